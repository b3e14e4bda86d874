//! A steady load: visitors who come on fresh connections, and visitors who keep theirs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::http;

/// How much longer each visitor waits between an answer and the next request for each visitor that there is: many are told
/// apart by their connections, and a small machine serves them all the same.
const PACE: Duration = Duration::from_millis(5);

/// Visitors that come until they are told to stop.
pub struct Load {
    stop: Arc<AtomicBool>,
    served: Arc<Mutex<Served>>,
    thread: Option<JoinHandle<()>>,
}

/// What the visitors got.
#[derive(Debug, Default, Clone)]
pub struct Served {
    /// How often each set of nodes answered, sets as sorted names joined by blanks.
    pub sets: BTreeMap<String, usize>,
    /// Every request that was not answered with 200, with the cause and when it came.
    pub failures: Vec<String>,
    /// When each set last answered a fresh connection.
    pub last_fresh: BTreeMap<String, Instant>,
    /// How many requests were made.
    pub requests: usize,
}

impl Load {
    /// Sends `fresh` visitors on new connections and `kept` visitors on one connection each to a page,
    /// 200 requests a second at most in all.
    #[must_use]
    pub fn on(url: &str, fresh: usize, kept: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let served = Arc::new(Mutex::new(Served::default()));
        let (url, stopped, results) = (url.to_owned(), Arc::clone(&stop), Arc::clone(&served));
        let pause = PACE * u32::try_from(fresh + kept).expect("not that many");
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let mut visitors = tokio::task::JoinSet::new();
                for visitor in 0..fresh + kept {
                    let (url, stopped, results) = (url.clone(), Arc::clone(&stopped), Arc::clone(&results));
                    visitors.spawn(visit(url, visitor < fresh, pause, stopped, results));
                    tokio::time::sleep(PACE).await;
                }
                while visitors.join_next().await.is_some() {}
            });
        });
        Self { stop, served, thread: Some(thread) }
    }

    /// What they got so far.
    #[must_use]
    pub fn so_far(&self) -> Served {
        self.served.lock().expect("no visitor panics").clone()
    }

    /// Stops them and tells what they got.
    #[must_use]
    pub fn stop(mut self) -> Served {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("no visitor panics");
        }
        self.so_far()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

async fn visit(url: String, fresh: bool, pause: Duration, stop: Arc<AtomicBool>, served: Arc<Mutex<Served>>) {
    let keeping = || http::builder().timeout(Duration::from_secs(20)).build().expect("a client");
    let client = if fresh { http::client() } else { keeping() };
    let began = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let answer = http::ask(&client, &url).await;
        {
            let mut served = served.lock().expect("no visitor panics");
            served.requests += 1;
            match answer {
                Ok(answer) if answer.status == 200 => {
                    let mut nodes = answer.served_by;
                    nodes.sort();
                    let set = nodes.join(" ");
                    if fresh {
                        served.last_fresh.insert(set.clone(), Instant::now());
                    }
                    *served.sets.entry(set).or_default() += 1;
                }
                Ok(answer) => {
                    let text: String = answer.body.chars().take(200).collect();
                    served.failures.push(format!("{:.2} s: {} {text}", began.elapsed().as_secs_f32(), answer.status));
                }
                Err(error) => served.failures.push(format!("{:.2} s: {error}", began.elapsed().as_secs_f32())),
            }
        }
        tokio::time::sleep(pause).await;
    }
}
