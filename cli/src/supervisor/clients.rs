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

/// One of them.
struct Client {
    tell: Sender<protocol::Event>,
    /// It knows which program this is. Whoever is told anything before that takes it for another build's words.
    is_greeted: bool,
}

/// All of them.
#[derive(Default)]
pub(super) struct Clients {
    tell: BTreeMap<ClientId, Client>,
    last: ClientId,
}

impl Clients {
    pub(super) fn is_empty(&self) -> bool {
        self.tell.is_empty()
    }

    /// Tells one; a client that is gone needs to know nothing.
    pub(super) fn tell(&mut self, id: ClientId, event: protocol::Event) {
        let Some(client) = self.tell.get_mut(&id) else { return };
        client.is_greeted |= matches!(event, protocol::Event::Hello { .. });
        if client.tell.try_send(event).is_err() {
            self.tell.remove(&id);
        }
    }

    /// Tells all of them that have been greeted.
    pub(super) fn tell_all(&mut self, text: &str) {
        let greeted = self.tell.iter().filter(|(_, client)| client.is_greeted);
        for id in greeted.map(|(id, _)| *id).collect::<Vec<_>>() {
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
        self.tell.insert(id, Client { tell, is_greeted: false });
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_word_to_whoever_comes_is_the_greeting() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (events, _inbox) = tokio::sync::mpsc::unbounded_channel();
        let mut clients = Clients::default();
        clients.welcome(ours, events);
        clients.tell_all("cart: it ended with code 1");
        clients.tell(1, protocol::Event::Hello { build: "1".into() });
        clients.tell_all("cart: it is ready");
        let mut lines = BufReader::new(theirs).lines();
        let mut next = async || lines.next_line().await.unwrap().unwrap();
        assert!(next().await.contains("hello"));
        assert!(next().await.contains("cart: it is ready"));
    }
}
