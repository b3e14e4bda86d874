//! One process for each session: it owns what runs. Commands are its clients.
//!
//! Everything that happens is one [`Event`]; [`machine`] decides synchronously what is to be done about it;
//! this module's loop does it. What runs does not depend on the supervisor's life: killed, it leaves
//! everything as it is, and the next one adopts it from the records.

mod desired;
mod machine;
mod prepare;
mod probe;
mod steps;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clustergraph::graph::Unit;
use clustergraph::plan::Step;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::exit::Failure;
use crate::protocol::{self, Request, RuntimeName};
use crate::runtime::{self, Cause, Claims, Runtime};
use crate::session::{Instance, Record, Records, Session};
use desired::Desired;
use machine::{Effect, Machine};

/// How long a supervisor with nothing to own stays for the next command.
const IDLE: Duration = Duration::from_secs(2);

/// A connected command.
type ClientId = u64;

/// Everything that happens.
enum Event {
    /// A client asks for something.
    Request { client: ClientId, request: Request },
    /// A client is gone; what it asked for goes on.
    Left { client: ClientId },
    /// An `up` has its plan, or none.
    Prepared { result: Result<Box<Prepared>, Failure> },
    /// A step has something to tell while it runs.
    Told { unit: Unit, text: String },
    /// Something runs now, ready or not.
    Started { unit: Unit, instance: Instance },
    /// A step that begins a unit is over.
    Over { unit: Unit, result: Result<(), Cause> },
    /// A step that ends a unit is over.
    Stopped { unit: Unit, result: Result<(), Cause> },
    /// Something that ran has ended.
    Exited { unit: Unit, instance: Instance, how: String },
    /// What belonged to no unit is removed.
    CleanedUp { result: Result<(), Cause> },
    /// The supervisor is asked to end.
    Terminate,
}

/// An `up` with its plan.
struct Prepared {
    steps: Vec<Step>,
    desired: Desired,
    records: Records,
    runtime: RuntimeName,
    dry_run: bool,
}

/// The loop's own things.
struct Supervisor {
    session: Session,
    runtimes: BTreeMap<RuntimeName, Arc<dyn Runtime>>,
    clients: BTreeMap<ClientId, UnboundedSender<protocol::Event>>,
    events: UnboundedSender<Event>,
}

/// Runs the supervisor of a session until nothing is left to own.
pub(crate) async fn run(session: Session) -> Result<(), Failure> {
    // The terminal that the first command was typed at may close.
    let _ = rustix::process::setsid();
    std::fs::create_dir_all(&session.runtime_dir)?;
    let lock = std::fs::OpenOptions::new().create(true).append(true).open(session.lock())?;
    if lock.try_lock().is_err() {
        return Ok(()); // another one is there: the client finds it
    }
    let socket = session.socket();
    let _ = std::fs::remove_file(&socket); // left by one that was killed; the lock says it is gone
    let listener = UnixListener::bind(&socket)?;
    std::fs::set_permissions(&socket, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    let records = Records::read(&session.records()).map_err(Failure::unusable)?;
    let alive: BTreeSet<Unit> = match prepare::alive(&session, &records).await {
        Ok(alive) => alive.into_iter().filter(|(_, alive)| *alive).map(|(unit, _)| unit).collect(),
        // An engine that does not answer: nothing of it can be called alive, the next `up` looks again.
        Err(_) => BTreeSet::new(),
    };
    let (events, inbox) = unbounded_channel();
    let supervisor =
        Supervisor { session: session.clone(), runtimes: BTreeMap::new(), clients: BTreeMap::new(), events };
    let result = supervisor.serve(listener, inbox, records, &alive).await;
    let _ = std::fs::remove_file(&socket);
    let _ = std::fs::remove_file(session.lock());
    let _ = std::fs::remove_dir(&session.runtime_dir);
    result
}

impl Supervisor {
    async fn serve(
        mut self,
        listener: UnixListener,
        mut inbox: UnboundedReceiver<Event>,
        records: Records,
        alive: &BTreeSet<Unit>,
    ) -> Result<(), Failure> {
        let (mut machine, effects) = Machine::adopt(records, alive);
        for effect in effects {
            self.carry_out(effect)?;
        }
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        let mut next_client: ClientId = 0;
        loop {
            let idle = machine.is_idle() && self.clients.is_empty();
            let event = tokio::select! {
                event = inbox.recv() => match event {
                    Some(event) => event,
                    None => return Ok(()),
                },
                accepted = listener.accept() => {
                    if let Ok((stream, _)) = accepted {
                        next_client += 1;
                        self.welcome(next_client, stream);
                    }
                    continue;
                }
                _ = terminate.recv() => Event::Terminate,
                () = tokio::time::sleep(IDLE), if idle => return Ok(()),
            };
            if let Event::Left { client } = event {
                self.clients.remove(&client);
                continue;
            }
            for effect in machine.handle(event, Instant::now()) {
                if matches!(effect, Effect::Quit) {
                    return Ok(());
                }
                self.carry_out(effect)?;
            }
        }
    }

    /// Reads a client's requests and writes its events, each in a task of its own: a client that reads
    /// slowly or not at all delays nobody.
    fn welcome(&mut self, id: ClientId, stream: UnixStream) {
        let (reader, mut writer) = stream.into_split();
        let (tell, mut told) = unbounded_channel::<protocol::Event>();
        self.clients.insert(id, tell);
        let events = self.events.clone();
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

    fn runtime(&mut self, name: RuntimeName) -> Arc<dyn Runtime> {
        let session = &self.session;
        Arc::clone(self.runtimes.entry(name).or_insert_with(|| runtime::of(name, session)))
    }

    fn carry_out(&mut self, effect: Effect) -> Result<(), Failure> {
        let events = self.events.clone();
        match effect {
            Effect::Tell(client, event) => {
                if let Some(client) = self.clients.get(&client) {
                    let _ = client.send(event); // a client that is gone needs to know nothing
                }
            }
            Effect::Prepare(up, records) => {
                let session = self.session.clone();
                tokio::spawn(async move {
                    let result = prepare::prepare(&session, *up, *records).await.map(Box::new);
                    let _ = events.send(Event::Prepared { result });
                });
            }
            Effect::Begin { unit, runtime, work, left_over, server } => {
                let left_over = left_over.and_then(|record| self.left_over(*record));
                let step = steps::begin(self.runtime(runtime), unit.clone(), work, left_over, server, events.clone());
                let step = tokio::spawn(step);
                // A step that breaks tells nothing itself, and the command would wait for it for ever.
                tokio::spawn(async move {
                    if let Err(broken) = step.await {
                        let result = Err(Cause::new(format!("a fault in ssi itself: {broken}; see supervisor.log")));
                        let _ = events.send(Event::Over { unit, result });
                    }
                });
            }
            Effect::End(record) => {
                let unit = record.unit.clone();
                let left_over = self.left_over(*record);
                tokio::spawn(async move {
                    let result = match left_over {
                        Some(left_over) => left_over.end().await,
                        None => Ok(()),
                    };
                    let _ = events.send(Event::Stopped { unit, result });
                });
            }
            Effect::Watch { unit, runtime, instance } => {
                let runtime = self.runtime(runtime);
                tokio::spawn(async move {
                    let how = runtime.ended(&instance).await.to_string();
                    let _ = events.send(Event::Exited { unit, instance, how });
                });
            }
            Effect::Save(records) => {
                let path = self.session.records();
                records.write(&path).map_err(|error| Failure::unusable(format!("{}: {error}", path.display())))?;
            }
            Effect::CleanUp { runtimes, ports, delete_data } => {
                let runtimes: Vec<_> = runtimes.into_iter().map(|name| self.runtime(name)).collect();
                let session = self.session.clone();
                Claims::of(&session)?.release(ports);
                tokio::spawn(async move {
                    let _ = events.send(Event::CleanedUp { result: clean_up(&runtimes, &session, delete_data).await });
                });
            }
            Effect::Quit => {}
        }
        Ok(())
    }

    fn left_over(&mut self, record: Record) -> Option<LeftOver> {
        let runtime = self.runtime(record.runtime);
        let (signal, grace) = record.stop;
        record.instance.map(|instance| LeftOver { runtime, instance, signal, grace: Duration::from_millis(grace) })
    }
}

/// What ran of a unit and must end.
struct LeftOver {
    runtime: Arc<dyn Runtime>,
    instance: Instance,
    signal: String,
    grace: Duration,
}

impl LeftOver {
    async fn end(&self) -> Result<(), Cause> {
        self.runtime.stop(&self.instance, &self.signal, self.grace).await
    }
}

async fn clean_up(runtimes: &[Arc<dyn Runtime>], session: &Session, delete_data: bool) -> Result<(), Cause> {
    for runtime in runtimes {
        runtime.clean_up(delete_data).await?;
    }
    if delete_data {
        let logs = session.state_dir.join("logs");
        if logs.exists() {
            std::fs::remove_dir_all(&logs)?;
        }
    }
    Ok(())
}
