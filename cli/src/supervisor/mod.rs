//! One process for each session: it owns what runs. Commands are its clients.
//!
//! Everything that happens is one [`Event`]; [`machine`] decides synchronously what is to be done about it;
//! this module's loop does it. What runs does not depend on the supervisor's life: killed, it leaves
//! everything as it is, and the next one adopts it from the records.

mod clients;
mod data;
mod desired;
mod gather;
mod inspect;
mod keeps;
mod machine;
mod place;
mod prepare;
mod probe;
mod purpose;
mod ready;
mod steps;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clustergraph::graph::Unit;
use clustergraph::plan::Step;
use tokio::net::UnixListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;

use crate::console;
use crate::exit::Failure;
use crate::protocol::{self, Listed, Request, RuntimeName};
use crate::runtime::{self, Cause, Claims, Ended, Runtime};
use crate::session::{Instance, Lease, Record, Records, Session, marks};
use clients::Clients;
use desired::{Desired, Work};
use machine::{Effect, Machine};
use place::Place;

pub(crate) use inspect::{inspect, runtimes};
use prepare::Life;
pub(crate) use purpose::unit_of;

/// How long a supervisor with nothing to own stays for the next command.
const IDLE: Duration = Duration::from_secs(2);

/// How often what failed for a cause that passes is tried again: records that could not be written, an engine
/// that does not answer.
const AGAIN: Duration = Duration::from_secs(1);
/// How often a supervisor looks whether its clients can still find it.
const LOOK: Duration = Duration::from_secs(5);

/// How late the records may be while one thing follows another.
const SOON: Duration = Duration::from_millis(20);

/// A connected command.
type ClientId = u64;

/// What was not written of the records yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unwritten {
    Nothing,
    /// What just happened.
    Soon,
    /// What the disk did not take.
    Refused,
}

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
    /// What ran of a unit before its step is gone.
    Cleared { unit: Unit },
    /// Something runs now, ready or not.
    Started { unit: Unit, instance: Instance },
    /// A step that begins a unit is over.
    Over { unit: Unit, result: Result<(), Cause> },
    /// A step that ends a unit is over.
    Stopped { unit: Unit, result: Result<(), Cause> },
    /// Something that ran has ended.
    Exited { unit: Unit, instance: Instance, ended: Ended },
    /// Something that runs does not answer any more.
    Silent { unit: Unit, instance: Instance, why: String },
    /// A pause is over.
    Due { unit: Unit, instance: Option<Instance> },
    /// What recorded units are made of, when that can still be told.
    Remembered { desired: Option<Box<Desired>> },
    /// What could not be asked before is asked again: whether it runs.
    Found { unit: Unit, instance: Instance, runs: bool },
    /// What belonged to no unit is removed.
    CleanedUp { result: Result<(), Cause> },
    /// The supervisor is asked to end.
    Terminate,
}

/// An `up` with its plan.
struct Prepared {
    steps: Vec<Step>,
    /// What no step touches although its version changed.
    keeps: Vec<protocol::Keeps>,
    desired: Desired,
    records: Records,
    /// What a person should know beside the plan.
    notes: Vec<String>,
    /// What the client needs for as long as it is connected.
    lease: Option<Lease>,
    dry_run: bool,
}

/// The loop's own things.
struct Supervisor {
    session: Session,
    place: Place,
    runtimes: BTreeMap<RuntimeName, Arc<dyn Runtime>>,
    clients: Clients,
    events: UnboundedSender<Event>,
    /// Ends the waiting of what was begun.
    interrupt: CancellationToken,
    /// What was not written of the records yet.
    unwritten: Unwritten,
}

/// Runs the supervisor of a session until nothing is left to own.
pub(crate) async fn run(session: Session) -> Result<(), Failure> {
    // The terminal that the first command was typed at may close.
    let _ = rustix::process::setsid();
    std::fs::create_dir_all(&session.runtime_dir)?;
    let Some((place, listener)) = Place::take(&session.lock(), &session.socket())
        .map_err(|error| Failure::unusable(format!("{}: {error}", session.socket().display())))?
    else {
        return Ok(()); // another one is there: the client finds it
    };
    let records = Records::read(&session.records()).map_err(Failure::unusable)?;
    let lives = prepare::lives(&session, &records).await;
    let (events, inbox) = unbounded_channel();
    tokio::spawn(marks::keep(session.state_dir.join("logs")));
    let supervisor = Supervisor {
        session,
        place,
        runtimes: BTreeMap::new(),
        clients: Clients::default(),
        events,
        interrupt: CancellationToken::new(),
        unwritten: Unwritten::Nothing,
    };
    supervisor.serve(listener, inbox, records, &lives).await
}

/// What the records of a session say where nothing runs.
pub(crate) fn recorded(records: Records) -> Vec<Listed> {
    Machine::adopt(records, &BTreeMap::new()).0.listing()
}

impl Supervisor {
    async fn serve(
        mut self,
        listener: UnixListener,
        mut inbox: UnboundedReceiver<Event>,
        records: Records,
        lives: &BTreeMap<Unit, Life>,
    ) -> Result<(), Failure> {
        let (mut machine, effects) = Machine::adopt(records, lives);
        for effect in effects {
            self.carry_out(effect);
        }
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        let mut look = tokio::time::interval(LOOK);
        let mut written = Instant::now();
        loop {
            let idle = machine.is_idle() && self.clients.is_empty() && self.unwritten == Unwritten::Nothing;
            let event = tokio::select! {
                event = inbox.recv() => match event {
                    Some(event) => event,
                    None => return Ok(()),
                },
                accepted = listener.accept() => {
                    match accepted {
                        Ok((stream, _)) => self.clients.welcome(stream, self.events.clone()),
                        // Out of descriptors or the like: it passes, and asking at once again would burn a core.
                        Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                    }
                    continue;
                }
                _ = terminate.recv() => Event::Terminate,
                () = tokio::time::sleep(AGAIN), if self.unwritten == Unwritten::Refused => {
                    self.write(machine.records());
                    continue;
                }
                () = tokio::time::sleep(SOON.saturating_sub(written.elapsed())), if self.unwritten == Unwritten::Soon => {
                    self.write(machine.records());
                    written = Instant::now();
                    continue;
                }
                // Somebody swept the folder of sockets: what runs stays, and the next one adopts it.
                _ = look.tick() => if self.place.is_ours() { continue } else { Event::Terminate },
                () = tokio::time::sleep(IDLE), if idle => return Ok(()),
            };
            if let Event::Left { client } = event {
                self.clients.forget(client);
            }
            for effect in machine.handle(event, Instant::now()) {
                // Whoever is told that all is over finds it written.
                let is_end = matches!(effect, Effect::Quit | Effect::Tell(_, protocol::Event::End { .. }));
                if matches!(effect, Effect::SaveNow) || (is_end && self.unwritten == Unwritten::Soon) {
                    self.write(machine.records());
                }
                if matches!(effect, Effect::Quit) {
                    return Ok(());
                }
                self.carry_out(effect);
            }
            // A hundred services that start at once are written down a few times, not three hundred times.
            if self.unwritten == Unwritten::Soon && written.elapsed() > SOON {
                self.write(machine.records());
                written = Instant::now();
            }
        }
    }

    /// Writes the records. What runs must never be forgotten because a disk is full: they are tried again, and
    /// everybody is told.
    fn write(&mut self, records: &Records) {
        let path = self.session.records();
        let written = records.write(&path);
        let is = if written.is_ok() { Unwritten::Nothing } else { Unwritten::Refused };
        match (std::mem::replace(&mut self.unwritten, is), written) {
            (Unwritten::Refused, Ok(())) => self.clients.tell_all("the session's records are written again"),
            (Unwritten::Nothing | Unwritten::Soon, Err(error)) => {
                let text = format!(
                    "{}: {error}: what runs is remembered only while the supervisor lives; make room, it tries again every second",
                    path.display()
                );
                console::note(&text);
                self.clients.tell_all(&text);
            }
            _ => {}
        }
    }

    /// Does something in a task of its own and tells how it went. A task that breaks tells nothing itself,
    /// and a command would wait for it for ever.
    fn spawn(
        &self,
        task: impl Future<Output = Result<(), Cause>> + Send + 'static,
        event: impl FnOnce(Result<(), Cause>) -> Event + Send + 'static,
    ) {
        let events = self.events.clone();
        let task = tokio::spawn(task);
        tokio::spawn(async move {
            let result = match task.await {
                Ok(result) => result,
                Err(broken) => Err(Cause::new(format!("a fault in ssi itself: {broken}; see supervisor.log"))),
            };
            // The machine lives as long as its events are taken; after that nobody asks.
            let _ = events.send(event(result));
        });
    }

    fn runtime(&mut self, name: RuntimeName) -> Arc<dyn Runtime> {
        let session = &self.session;
        Arc::clone(self.runtimes.entry(name).or_insert_with(|| runtime::of(name, session)))
    }

    fn carry_out(&mut self, effect: Effect) {
        let events = self.events.clone();
        match effect {
            Effect::Tell(client, event) => self.clients.tell(client, event),
            Effect::Prepare(up, records) => {
                let session = self.session.clone();
                let plan = tokio::spawn(async move { prepare::prepare(&session, *up, *records).await });
                tokio::spawn(async move {
                    let result = plan.await.unwrap_or_else(|broken| {
                        Err(Failure::failed(format!("a fault in ssi itself: {broken}; see supervisor.log")))
                    });
                    let _ = events.send(Event::Prepared { result: result.map(Box::new) });
                });
            }
            Effect::Begin { unit, runtime, work, left_over, server } => {
                let left_over = left_over.and_then(|record| self.left_over(*record));
                let runtime = self.runtime(runtime);
                let step = steps::begin(runtime, unit.clone(), work, left_over, server, events, self.interrupt.clone());
                self.spawn(step, |result| Event::Over { unit, result });
            }
            Effect::End(record) => {
                let unit = record.unit.clone();
                let left_over = self.left_over(*record);
                let task = async move {
                    match left_over {
                        Some(left_over) => left_over.end().await,
                        None => Ok(()),
                    }
                };
                self.spawn(task, |result| Event::Stopped { unit, result });
            }
            Effect::Kill(record) => {
                if let Some(left_over) = self.left_over(*record) {
                    tokio::spawn(async move { left_over.end().await });
                }
            }
            Effect::Interrupt => {
                self.interrupt.cancel();
                self.interrupt = CancellationToken::new();
            }
            Effect::Watch { unit, runtime, instance } => {
                let runtime = self.runtime(runtime);
                tokio::spawn(async move {
                    let ended = runtime.ended(&instance).await;
                    let _ = events.send(Event::Exited { unit, instance, ended });
                });
            }
            Effect::Heed { unit, runtime, instance, work } => {
                let runtime = self.runtime(runtime);
                tokio::spawn(async move {
                    let Work::Service(running) = &*work else { return };
                    tokio::select! {
                        why = ready::no_longer(&*runtime, running, &instance) => {
                            let _ = events.send(Event::Silent { unit, instance, why });
                        }
                        _ = runtime.ended(&instance) => {}
                    }
                });
            }
            Effect::Later { unit, instance, after } => {
                tokio::spawn(async move {
                    tokio::time::sleep(after).await;
                    let _ = events.send(Event::Due { unit, instance });
                });
            }
            Effect::Remember(records) => {
                let session = self.session.clone();
                tokio::spawn(async move {
                    let desired = prepare::remember(&session, *records).await;
                    let _ = events.send(Event::Remembered { desired: desired.map(Box::new) });
                });
            }
            Effect::TellAll(text) => self.clients.tell_all(&text),
            Effect::Look { unit, runtime, instance } => {
                let runtime = self.runtime(runtime);
                tokio::spawn(async move {
                    let runs = loop {
                        tokio::time::sleep(AGAIN).await;
                        if let Ok(runs) = runtime.running(std::slice::from_ref(&instance)).await {
                            break runs.first() == Some(&true);
                        }
                    };
                    let _ = events.send(Event::Found { unit, instance, runs });
                });
            }
            Effect::Save if self.unwritten == Unwritten::Nothing => self.unwritten = Unwritten::Soon,
            Effect::CleanUp { runtimes, ports, delete_data } => {
                let runtimes: Vec<_> = runtimes.into_iter().map(|name| self.runtime(name)).collect();
                if delete_data {
                    self.unwritten = Unwritten::Nothing;
                }
                let task = clean_up(runtimes, self.session.clone(), ports, delete_data);
                self.spawn(task, |result| Event::CleanedUp { result });
            }
            Effect::Save | Effect::SaveNow | Effect::Quit => {}
        }
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

/// Removes what belongs to no unit; with the data everything that the session keeps. That is done here, by
/// the holder of the lock: a command could hit what another one has just begun anew.
async fn clean_up(
    runtimes: Vec<Arc<dyn Runtime>>,
    session: Session,
    ports: Vec<u16>,
    delete_data: bool,
) -> Result<(), Cause> {
    for runtime in runtimes {
        runtime.clean_up(delete_data).await?;
    }
    let removed = tokio::task::spawn_blocking(move || {
        Claims::of(&session)?.release(ports);
        session.give_back_sources()?;
        if !delete_data {
            return Ok(());
        }
        match std::fs::remove_dir_all(&session.state_dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(std::io::Error::new(error.kind(), format!("{}: {error}", session.state_dir.display())))
            }
            _ => Ok(()),
        }
    });
    removed.await.map_err(|_| Cause::new("interrupted"))??;
    Ok(())
}
