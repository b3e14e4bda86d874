//! `make demo-cluster`: the shop on a Kubernetes; a service in the middle of it changes, is deployed and taken back, all under
//! load. Ends with a table of times, and with how many requests failed.

#![allow(clippy::print_stdout, reason = "it is for somebody who looks on")]

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::Child;
use std::time::{Duration, Instant};

use clustergraph_tests::local::wait_until;
use clustergraph_tests::{Load, Namespace, Program, Repository, get};

/// Ten images are built, some of them compiled.
const LIMIT: Duration = Duration::from_secs(1800);
/// Visitors on new connections, and as many that keep theirs.
const VISITORS: usize = 10;
/// How long the load goes on before and after a change.
const LOOK: Duration = Duration::from_secs(3);
/// How long a node takes to know an address that is new, and more.
const NEAR: Duration = Duration::from_secs(5);
/// What changes: the shop's page calls it, and it calls nobody.
const EDITED: &str = "services/catalog/app.py";

struct Demo {
    repository: Repository,
    namespace: Namespace,
    rows: Vec<(String, Duration)>,
}

impl Demo {
    fn komandan(&self, line: &str) -> Program {
        Program::new("komandan", self.repository.path())
            .env("KUBECONFIG", self.namespace.kubeconfig())
            .args(&format!("--namespace {} {line}", self.namespace.name()))
            .within(LIMIT)
    }

    /// Runs a command, tells its last line, and remembers how long it took.
    fn step(&mut self, what: &str, line: &str) {
        println!("$ komandan {line}");
        let began = Instant::now();
        let run = self.komandan(line).run().succeeds();
        let took = began.elapsed();
        for said in run.stdout().lines() {
            println!("  {said}");
        }
        self.rows.push((what.to_owned(), took));
    }
}

/// The way to the shop: the address of its entry where this machine is in the cluster's network, else a port of this machine.
struct Way {
    page: String,
    connection: Option<Child>,
}

impl Way {
    fn to(demo: &Demo, entry: String) -> Self {
        let address = entry.trim_start_matches("http://").trim_end_matches('/').parse().expect("an address");
        let began = Instant::now();
        while began.elapsed() < NEAR {
            if TcpStream::connect_timeout(&address, Duration::from_millis(500)).is_ok() {
                return Self { page: entry, connection: None };
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        println!("$ komandan connect www");
        let mut child = demo.komandan("connect www").spawn();
        let mut page = String::new();
        let out = child.stdout.as_mut().expect("its output");
        BufReader::new(out).read_line(&mut page).expect("an address");
        Self { page: page.trim().to_owned(), connection: Some(child) }
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        if let Some(child) = &mut self.connection {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn main() {
    let mut demo = Demo { repository: Repository::of_shop(), namespace: Namespace::new("demo"), rows: Vec::new() };
    for (service, name) in [("payment", "PROCESSOR_KEY"), ("www", "STAFF_CODE")] {
        let _ = demo.komandan(&format!("secret set {service} {name}")).input("a-value-of-this-demo").run().succeeds();
    }
    demo.step("the shop, images included", "deploy");
    let _ = demo.komandan("exec catalog -- python seed.py").run().succeeds();
    let status = demo.komandan("status --output json").run().succeeds().json();
    let entry = status["entries"]["www"].as_str().expect("the page's address").to_owned();
    let way = Way::to(&demo, entry);
    let page = way.page.clone();
    wait_until("the shop answers", || get(&page).status == 200);
    println!(
        "The shop is open at {page} until this is over. {VISITORS} visitors on new connections and {VISITORS} on kept ones come now."
    );

    let load = Load::on(&page, VISITORS, VISITORS);
    std::thread::sleep(LOOK);
    demo.repository.append(EDITED, "# one remark more");
    demo.repository.commit("one remark more");
    demo.step("one service changed, its image included", "deploy");
    std::thread::sleep(LOOK);
    demo.step("nothing changed", "deploy");
    demo.step("taken back", "revert");
    std::thread::sleep(LOOK);
    let served = load.stop();
    drop(way);
    demo.step("ended, with its data", "down --delete-data");

    println!();
    for (what, took) in &demo.rows {
        println!("{what:42} {:7.2} s", took.as_secs_f64());
    }
    println!("{:42} {:7}", "requests under way", served.requests);
    println!("{:42} {:7}", "requests that failed", served.failures.len());
    for failure in served.failures.iter().take(10) {
        println!("  {failure}");
    }
    assert!(served.failures.is_empty(), "requests failed");
}
