//! The connected commands. One that reads slowly or not at all delays nobody, and is dropped before it costs
//! much memory.

use std::collections::BTreeMap;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::mpsc::{Sender, UnboundedSender, channel};

use super::{ClientId, Event};
use crate::protocol;

/// How many events may wait for one client; far more than an `up` of a thousand services has.
const WAITING: usize = 20_000;

/// All of them.
#[derive(Default)]
pub(super) struct Clients {
    tell: BTreeMap<ClientId, Sender<protocol::Event>>,
    last: ClientId,
}

impl Clients {
    pub(super) fn is_empty(&self) -> bool {
        self.tell.is_empty()
    }

    /// Tells one; a client that is gone needs to know nothing.
    pub(super) fn tell(&mut self, id: ClientId, event: protocol::Event) {
        if self.tell.get(&id).is_some_and(|client| client.try_send(event).is_err()) {
            self.tell.remove(&id);
        }
    }

    /// Tells all of them.
    pub(super) fn tell_all(&mut self, text: &str) {
        for id in self.tell.keys().copied().collect::<Vec<_>>() {
            self.tell(id, protocol::Event::Note { text: text.to_owned() });
        }
    }

    pub(super) fn forget(&mut self, id: ClientId) {
        self.tell.remove(&id);
    }

    /// Reads a client's requests and writes its events, in a task of its own.
    pub(super) fn welcome(&mut self, stream: UnixStream, events: UnboundedSender<Event>) {
        self.last += 1;
        let id = self.last;
        let (reader, mut writer) = stream.into_split();
        let (tell, mut told) = channel::<protocol::Event>(WAITING);
        self.tell.insert(id, tell);
        tokio::spawn(async move {
            let reading = async {
                let mut lines = BufReader::new(reader).lines();
                while let Ok(Some(line)) = lines.next_line().await {
                    // Only this user reaches the socket, with this build or one that says hello first.
                    if let Ok(request) = serde_json::from_str(&line) {
                        let _ = events.send(Event::Request { client: id, request });
                    }
                }
            };
            let writing = async {
                while let Some(event) = told.recv().await {
                    let Ok(mut line) = serde_json::to_string(&event) else { continue };
                    line.push('\n');
                    if writer.write_all(line.as_bytes()).await.is_err() {
                        return;
                    }
                }
            };
            tokio::select! {
                () = reading => {}
                () = writing => {}
            }
            let _ = events.send(Event::Left { client: id });
        });
    }
}
