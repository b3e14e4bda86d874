//! The caller's terminal, or what stands in its place, handed to a program that runs elsewhere.

use std::io::{IsTerminal, Read, Write};
use std::pin::Pin;

use bollard::container::LogOutput;
use bollard::errors::Error;
use futures_util::{Stream, StreamExt};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{Receiver, UnboundedSender, channel};

/// What the caller has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terminal {
    /// Whether a person types and sees: both ends are a terminal.
    pub(crate) is_interactive: bool,
}

/// Something that the program should know of.
pub(super) enum Happened {
    /// The terminal has another size.
    Resized { lines: u16, columns: u16 },
    /// Ctrl-C, where no terminal passes it on as the character that it is.
    Interrupted,
}

/// A program's ends as an engine gives them.
pub(super) struct Ends {
    pub(super) input: Pin<Box<dyn AsyncWrite + Send>>,
    pub(super) output: Pin<Box<dyn Stream<Item = Result<LogOutput, Error>> + Send>>,
}

impl Terminal {
    /// The terminal of this very process.
    pub(crate) fn here() -> Self {
        Self { is_interactive: std::io::stdin().is_terminal() && std::io::stdout().is_terminal() }
    }

    /// Lines and columns.
    pub(super) fn size() -> Option<(u16, u16)> {
        let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
        (size.ws_row > 0).then_some((size.ws_row, size.ws_col))
    }

    /// Hands everything through until the program's output ends, and tells what only the engine can pass on.
    pub(super) async fn hand_through(self, ends: Ends, tell: UnboundedSender<Happened>) -> std::io::Result<()> {
        let _raw = if self.is_interactive { Raw::enter() } else { None };
        let mut changes = signal(SignalKind::window_change())?;
        let mut interrupts = signal(SignalKind::interrupt())?;
        let Ends { mut input, mut output } = ends;
        let mut typed = Some(typed());
        let resized = || {
            if let Some((lines, columns)) = Self::size().filter(|_| self.is_interactive) {
                let _ = tell.send(Happened::Resized { lines, columns });
            }
        };
        resized();
        loop {
            tokio::select! {
                chunk = output.next() => match chunk {
                    Some(Ok(chunk)) => show(&chunk)?,
                    _ => return Ok(()),
                },
                bytes = next(&mut typed) => match bytes {
                    // A program that reads no more ends when it likes.
                    Some(bytes) => if input.write_all(&bytes).await.is_err() || input.flush().await.is_err() {
                        typed = None;
                    },
                    None => {
                        typed = None;
                        let _ = input.shutdown().await;
                    }
                },
                _ = changes.recv() => resized(),
                _ = interrupts.recv() => drop(tell.send(Happened::Interrupted)),
            }
        }
    }
}

async fn next(typed: &mut Option<Receiver<Vec<u8>>>) -> Option<Vec<u8>> {
    match typed {
        Some(typed) => typed.recv().await,
        None => std::future::pending().await,
    }
}

/// What the caller types. A thread of its own reads it: one that waits for input must keep nobody from ending.
fn typed() -> Receiver<Vec<u8>> {
    let (tell, told) = channel(16);
    std::thread::spawn(move || {
        let mut input = std::io::stdin();
        let mut bytes = vec![0; 4096];
        while let Ok(count @ 1..) = input.read(&mut bytes) {
            if tell.blocking_send(bytes[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    told
}

fn show(chunk: &LogOutput) -> std::io::Result<()> {
    let write = |mut out: Box<dyn Write>, bytes: &[u8]| out.write_all(bytes).and_then(|()| out.flush());
    match chunk {
        LogOutput::StdErr { message } => write(Box::new(std::io::stderr()), message),
        LogOutput::StdOut { message } | LogOutput::Console { message } | LogOutput::StdIn { message } => {
            write(Box::new(std::io::stdout()), message)
        }
    }
}

/// A terminal that passes every key on; as it was before when dropped.
struct Raw(Termios);

impl Raw {
    fn enter() -> Option<Self> {
        let before = tcgetattr(std::io::stdin()).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(std::io::stdin(), OptionalActions::Now, &raw).ok()?;
        Some(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
    }
}
