//! Carries what a program writes in one pod into a program that reads it in another one, as it comes: nothing of it is kept.
//!
//! That all of it came is known, and not believed: what writes ends with a mark that nobody can know before, and where it is read its
//! bytes are counted.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::{AttachParams, AttachedProcess};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::cluster::Cluster;
use crate::error::{Error, Result};
use crate::fault;
use crate::render::SERVER_CONTAINER;

/// What is on its way at once.
const CHUNK: usize = 64 * 1024;
/// How much of a program's last words is kept.
const WORDS: usize = 4 * 1024;
/// What a program that reads says when it fails.
const FAILED: &str = "clustergraph: it failed";
/// How long the last words of a program may take after its end.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// One end of a pipe: a shell command where a server runs.
pub(super) struct Side<'s> {
    pub(super) cluster: &'s Cluster,
    pub(super) pod: &'s str,
    pub(super) command: &'s str,
}

/// Carries all that `from` writes to `to`, and says now and then how many bytes came. Inside is why not all of it came, or the program
/// there failed, in the words of both.
pub(super) async fn pipe(from: Side<'_>, to: Side<'_>, mut told: impl FnMut(u64)) -> Result<Result<u64, String>> {
    let mark = hex::encode(rand::random::<[u8; 16]>());
    let mut writes = Running::begin(&from, &writing(from.command, &mark), false).await?;
    let mut reads = Running::begin(&to, &reading(to.command), true).await?;
    let mut gate = Gate::new(mark.as_bytes());
    let mut sent = 0_u64;
    let mut buffer = vec![0; CHUNK];
    let broken = loop {
        let count = match writes.read(&mut buffer).await {
            Some(0) => break None,
            Some(count) => count,
            None => break Some("the connection to the program that writes was lost".to_owned()),
        };
        let passed = gate.pass(buffer.get(..count).unwrap_or_default());
        if !reads.write(&passed).await {
            break Some("the program that reads ended before all was written".to_owned());
        }
        sent = sent.saturating_add(u64::try_from(passed.len()).unwrap_or(u64::MAX));
        fault::point("copy-flows");
        told(sent);
    };
    let failed = match broken {
        Some(why) => Some(why),
        None => writes.failure().await.or_else(|| {
            (!gate.is_complete()).then(|| "the program that writes ended, and not all that it wrote came".to_owned())
        }),
    };
    if let Some(why) = failed {
        // Where it is read, nothing is ended in good order: it is thrown away.
        return Ok(Err(format!("{why}{}{}", writes.words(&from).await, reads.words(&to).await)));
    }
    let arrived = reads.finish().await;
    if let Some(why) = reads.failure().await {
        return Ok(Err(format!("{why}{}{}", writes.words(&from).await, reads.words(&to).await)));
    }
    match bytes_of(&arrived) {
        Some(bytes) if bytes == sent => Ok(Ok(sent)),
        came => Ok(Err(format!(
            "{sent} bytes were sent, and {} came",
            came.map_or_else(|| "nobody knows how many".to_owned(), |bytes| bytes.to_string())
        ))),
    }
}

/// What writes, and the mark when it ended well.
fn writing(command: &str, mark: &str) -> String {
    format!("{command} && printf %s {mark}")
}

/// What reads, and what `dd` says of what came. The program's own output is nobody's.
///
/// One that fails says so, and the rest of its input is thrown away until we have heard that: a connection on which nobody takes what is
/// sent does not tell of an end either.
fn reading(command: &str) -> String {
    let failed = format!("{{ code=$?; echo '{FAILED}' >&4; cat >/dev/null 3>&-; exit $code; }}");
    format!(
        "exec 4>&2; told=$({{ LC_ALL=C dd bs={CHUNK} 2>&3 | {{ {command} >/dev/null 2>&4 3>&- || {failed}; }}; }} 3>&1) && printf \
         '%s\\n' \"$told\""
    )
}

/// The bytes that `dd` says it has carried.
fn bytes_of(told: &str) -> Option<u64> {
    let line = told.lines().find(|line| line.contains(" byte"))?;
    line.split(' ').next()?.parse().ok()
}

/// Lets everything through but the mark at the end.
struct Gate {
    mark: Vec<u8>,
    held: Vec<u8>,
}

impl Gate {
    fn new(mark: &[u8]) -> Self {
        Self { mark: mark.to_vec(), held: Vec::new() }
    }

    /// What is no part of a mark at the end, whatever comes.
    fn pass(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(bytes);
        let certain = self.held.len().saturating_sub(self.mark.len());
        self.held.drain(..certain).collect()
    }

    /// Whether what is left is the mark.
    fn is_complete(&self) -> bool {
        self.held == self.mark
    }
}

/// How a program ended; nothing while it runs, and nothing inside where the connection was lost.
type Ended = Option<Option<Status>>;

/// A program in a pod. Whatever is waited for, its end is seen: a connection that breaks gives no other sign.
struct Running {
    process: AttachedProcess,
    output: Option<Box<dyn AsyncRead + Unpin + Send>>,
    input: Option<Box<dyn tokio::io::AsyncWrite + Unpin + Send>>,
    end: std::pin::Pin<Box<dyn Future<Output = Option<Status>> + Send>>,
    ended: Ended,
    words: Arc<Mutex<Vec<u8>>>,
    listener: Option<JoinHandle<()>>,
    failed: Arc<Notify>,
}

impl Running {
    async fn begin(side: &Side<'_>, script: &str, reads: bool) -> Result<Self> {
        let parameters = AttachParams::default()
            .container(SERVER_CONTAINER)
            .stdin(reads)
            .stdout(true)
            .stderr(true)
            .max_stdin_buf_size(CHUNK)
            .max_stdout_buf_size(CHUNK);
        let begun = side.cluster.api::<Pod>().exec(side.pod, ["sh", "-c", script], &parameters).await;
        let what = || format!("running a program in {} of {}", side.pod, side.cluster.name());
        let mut process = begun.map_err(|error| Error::cluster(what(), &error))?;
        let end = process.take_status();
        let words = Arc::new(Mutex::new(Vec::new()));
        let failed = Arc::new(Notify::new());
        let heard = (Arc::clone(&words), Arc::clone(&failed));
        let listener = process.stderr().map(|stderr| tokio::spawn(listen(stderr, heard)));
        let output = process.stdout().map(|it| Box::new(it) as Box<dyn AsyncRead + Unpin + Send>);
        let input = process.stdin().map(|it| Box::new(it) as Box<dyn tokio::io::AsyncWrite + Unpin + Send>);
        let end: std::pin::Pin<Box<dyn Future<Output = _> + Send>> = match end {
            Some(end) => Box::pin(end),
            None => Box::pin(std::future::ready(None)),
        };
        Ok(Self { process, output, input, end, ended: None, words, listener, failed })
    }

    /// What it writes next: 0 bytes at its end. Nothing where the connection was lost.
    async fn read(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let output = self.output.as_mut()?;
        loop {
            tokio::select! {
                biased;
                read = output.read(buffer) => return read.ok(),
                status = &mut self.end, if self.ended.is_none() => {
                    let is_lost = status.is_none();
                    self.ended = Some(status);
                    if is_lost {
                        return None;
                    }
                }
            }
        }
    }

    /// Gives it something to read. `false` when it has ended, or failed.
    async fn write(&mut self, bytes: &[u8]) -> bool {
        let Some(input) = self.input.as_mut() else { return false };
        if self.ended.is_some() {
            return false;
        }
        tokio::select! {
            biased;
            status = &mut self.end => {
                self.ended = Some(status);
                false
            }
            () = self.failed.notified() => false,
            written = input.write_all(bytes) => written.is_ok(),
        }
    }

    /// Tells it that there is nothing more to read, and takes what it says then.
    async fn finish(&mut self) -> String {
        if let Some(mut input) = self.input.take() {
            let _ = input.shutdown().await;
        }
        let mut told = Vec::new();
        let mut buffer = [0; 256];
        while let Some(count) = self.read(&mut buffer).await.filter(|count| *count > 0) {
            if told.len() < WORDS {
                told.extend_from_slice(buffer.get(..count).unwrap_or_default());
            }
        }
        String::from_utf8_lossy(&told).into_owned()
    }

    /// How it failed; nothing when it ended well. Waits for its end.
    async fn failure(&mut self) -> Option<String> {
        let status = match self.ended.take() {
            Some(status) => status,
            None => (&mut self.end).await,
        };
        self.ended = Some(status.clone());
        match status {
            Some(status) if status.status.as_deref() == Some("Success") => None,
            Some(status) => Some(status.message.unwrap_or_else(|| "it failed".to_owned())),
            None => Some("the connection was lost before the program ended".to_owned()),
        }
    }

    /// Its last words, for a message. What is not over ends.
    async fn words(&mut self, side: &Side<'_>) -> String {
        if self.ended.is_none() {
            self.process.abort();
        }
        if let Some(mut listener) = self.listener.take()
            && tokio::time::timeout(LAST_WORDS, &mut listener).await.is_err()
        {
            listener.abort();
        }
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let words = String::from_utf8_lossy(&words);
        let text = words.lines().filter(|line| !is_ours(line)).collect::<Vec<_>>().join("\n  ");
        let place = format!("{} of {}", side.pod, side.cluster.name());
        if text.trim().is_empty() { String::new() } else { format!("\nIn {place}:\n  {text}") }
    }
}

/// Whether a line is only ours.
fn is_ours(line: &str) -> bool {
    line.trim().is_empty() || line.contains(FAILED)
}

/// Keeps the last words of a program. What nobody reads would keep it from its end.
async fn listen(mut stderr: impl AsyncRead + Unpin, (words, failed): (Arc<Mutex<Vec<u8>>>, Arc<Notify>)) {
    let mut buffer = [0; 1024];
    while let Ok(count) = stderr.read(&mut buffer).await {
        if count == 0 {
            return;
        }
        let mut words = words.lock().unwrap_or_else(PoisonError::into_inner);
        words.extend_from_slice(buffer.get(..count).unwrap_or_default());
        let surplus = words.len().saturating_sub(WORDS);
        words.drain(..surplus);
        if String::from_utf8_lossy(&words).contains(FAILED) {
            failed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::{Command, Stdio};

    fn shell(script: &str, input: &[u8]) -> (Option<i32>, String, String) {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let _ = std::io::Write::write_all(&mut stdin, input);
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    #[test]
    fn what_reads_counts_what_came_and_fails_as_its_program_does() {
        let large = vec![0; 300_000];
        for (input, bytes) in [(&b""[..], 0), (b"x", 1), (b"some\0bytes", 10), (large.as_slice(), 300_000)] {
            let (code, told, words) = shell(&reading("cat"), input);
            assert_eq!((code, bytes_of(&told), words.as_str()), (Some(0), Some(bytes), ""), "{told}");
        }
        let (code, told, words) = shell(&reading("sh -c 'cat; echo an output; echo a remark >&2'"), b"abc");
        assert_eq!((code, bytes_of(&told), words.as_str()), (Some(0), Some(3), "a remark\n"));
        assert!(!told.contains("an output"), "{told}");
        let (code, told, words) = shell(&reading("sh -c 'head -c 1 >/dev/null; echo no room >&2; exit 3'"), &large);
        assert_eq!((code, bytes_of(&told)), (Some(3), None), "{told}");
        assert_eq!(words, format!("no room\n{FAILED}\n"), "it is heard of, and the rest is taken");
        assert_eq!(bytes_of("nothing that dd says"), None);
    }

    #[test]
    fn what_writes_ends_with_the_mark_if_it_ends_well() {
        assert_eq!(shell(&writing("printf abc", "MARK"), b""), (Some(0), "abcMARK".to_owned(), String::new()));
        assert_eq!(
            shell(&writing("sh -c 'printf abc; exit 4'", "MARK"), b""),
            (Some(4), "abc".to_owned(), String::new())
        );
    }

    proptest! {
        #[test]
        fn the_gate_keeps_the_mark_and_nothing_else(
            chunks in proptest::collection::vec("[MARKxy]{0,9}", 0..9), cut in 0_usize..5, ends in any::<bool>(),
        ) {
            let data = chunks.concat();
            let mut pieces: Vec<&[u8]> = chunks.iter().map(String::as_bytes).collect();
            let mark = if ends { b"MARK" } else { &b""[..] };
            let (one, other) = mark.split_at(cut.min(mark.len()));
            pieces.extend([one, other]);
            let mut gate = Gate::new(b"MARK");
            let passed: Vec<u8> = pieces.iter().flat_map(|piece| gate.pass(piece)).collect();
            if ends {
                prop_assert!(gate.is_complete());
                prop_assert_eq!(passed, data.into_bytes());
            } else {
                prop_assert_eq!(gate.is_complete(), data.ends_with("MARK"));
            }
        }
    }
}
