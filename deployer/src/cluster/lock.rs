//! Who may change a cluster: a Lease that is renewed while its holder lives.
//!
//! The API server checks no fence. So a holder first raises the number in the head, every change of an
//! existing object is conditional on the revision read under the lock, and what is changed carries the
//! number: a former holder that was only paused meets a conflict.

use std::fs::File;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::patience::Tenure;
use super::{Cluster, Condition};
use crate::console::Console;
use crate::error::{Error, Result};
use crate::names::{self, Component};

/// For how long a lock holds without being renewed.
const DURATION: Duration = Duration::from_secs(15);
/// How often it is renewed.
const RENEWAL: Duration = Duration::from_secs(4);
/// How often a lock is tried to be given back that changed meanwhile.
const TRIES: usize = 4;
/// How often a free lock is tried to be taken that others take first, and the pause after the first miss: each is longer.
const MISSES: u32 = 8;
const PAUSE: Duration = Duration::from_millis(50);
/// How often a waiting command looks.
const LOOK: Duration = Duration::from_secs(1);

/// The lock of a cluster, held until it is released or dropped.
pub(crate) struct Lock {
    api: Api<Lease>,
    tenure: Tenure,
    /// Whether the former holder went without releasing it.
    pub(crate) taken_over: bool,
    lease: watch::Receiver<Option<Lease>>,
    renewal: JoinHandle<()>,
    /// Locked while we live: another process on this machine sees at once when we do not.
    sign_of_life: Option<(PathBuf, File)>,
}

impl Lock {
    /// Takes the lock, waiting for it if asked to.
    pub(crate) async fn acquire(cluster: &Cluster, wait: bool, console: &Console) -> Result<Self> {
        let token = hex::encode(rand::random::<[u8; 8]>());
        let identity = format!("{}:{} {token}", author(), std::process::id());
        let sign_of_life = sign_of_life(&token);
        let api = cluster.api::<Lease>();
        let mut waiting = None;
        let mut taken_over = false;
        let mut missed = 0;
        loop {
            let found = api.get_opt(names::LOCK).await.map_err(|error| Error::cluster("reading the lock", &error))?;
            if let Some(lease) = &found {
                cluster.refuse_foreign(&format!("Lease {}", names::LOCK), &lease.metadata)?;
            }
            let held = found.as_ref().and_then(Held::of);
            let Some(held) = held.filter(|held| !held.is_over()) else {
                taken_over |= found.as_ref().and_then(Held::of).is_some();
                let begins = Tenure::from_now(DURATION);
                if let Some(lease) = take(&api, cluster, found, &identity).await? {
                    begins(&cluster.tenure);
                    return Ok(Self::hold(api, cluster.tenure.clone(), lease, taken_over, sign_of_life));
                }
                // Somebody was faster, or it was ourselves, and only the answer got lost.
                let found =
                    api.get_opt(names::LOCK).await.map_err(|error| Error::cluster("reading the lock", &error))?;
                if let Some(lease) = found.filter(|lease| is_held_by(lease, &identity)) {
                    begins(&cluster.tenure);
                    return Ok(Self::hold(api, cluster.tenure.clone(), lease, taken_over, sign_of_life));
                }
                taken_over = false;
                missed += 1;
                if missed == MISSES {
                    return Err(Error::Locked(format!(
                        "the lock of {} was changed by somebody else at each of {MISSES} tries to take it: run this again",
                        cluster.name()
                    )));
                }
                tokio::time::sleep(PAUSE * missed).await;
                continue;
            };
            if !wait {
                return Err(Error::Locked(format!(
                    "{} is changing {} since {}. Run this again when that is over, or with --wait; if that process is \
                     gone, the lock ends by itself within {} seconds",
                    held.holder,
                    cluster.name(),
                    held.since,
                    DURATION.as_secs()
                )));
            }
            waiting.get_or_insert_with(|| console.step("lock", &format!("waiting for {}", held.holder)));
            tokio::time::sleep(LOOK).await;
        }
    }

    fn hold(
        api: Api<Lease>,
        tenure: Tenure,
        lease: Lease,
        taken_over: bool,
        sign_of_life: Option<(PathBuf, File)>,
    ) -> Self {
        let (sender, receiver) = watch::channel(Some(lease));
        let renewal = tokio::spawn(renew(api.clone(), tenure.clone(), sender));
        Self { api, tenure, taken_over, lease: receiver, renewal, sign_of_life }
    }

    /// Ends when the lock is lost. Until then nobody else changes the cluster.
    pub(crate) async fn lost(&self) -> Error {
        let mut lease = self.lease.clone();
        // Both an empty lease and a renewal that has ended mean the same.
        let _ = lease.wait_for(Option::is_none).await;
        Error::lost()
    }

    /// Gives the lock back.
    pub(crate) async fn release(mut self) {
        self.renewal.abort();
        let lease = self.lease.borrow().clone();
        let is_free = match lease {
            Some(lease) => give_back(&self.api, lease).await,
            None => true,
        };
        self.tenure.end();
        // If this failed, the lock ends by itself, and on this machine the file tells that we have ended.
        if is_free {
            self.sign_of_life.take().map(|(path, _)| std::fs::remove_file(path));
        }
    }
}

/// Frees a lock that is ours; `true` when it is not ours any more.
async fn give_back(api: &Api<Lease>, mut lease: Lease) -> bool {
    let identity = lease.spec.as_ref().map(identity_of).unwrap_or_default().to_owned();
    for _ in 0..TRIES {
        if let Some(spec) = &mut lease.spec {
            spec.holder_identity = None;
            spec.renew_time = None;
        }
        match api.replace(names::LOCK, &PostParams::default(), &lease).await {
            Ok(_) => return true,
            // A renewal may have been under way that was broken off here, but not there.
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(_) => return false,
        }
        match api.get_opt(names::LOCK).await {
            Ok(Some(found)) if is_held_by(&found, &identity) => lease = found,
            Ok(_) => return true,
            Err(_) => return false,
        }
    }
    false
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The file stays, unlocked: whoever finds it knows that we ended without giving the lock back.
        self.renewal.abort();
        self.tenure.end();
    }
}

/// Takes the lock's object away, unless somebody holds it, or takes it at this very moment.
pub(crate) async fn forget(cluster: &Cluster) -> Result<()> {
    let api = cluster.api::<Lease>();
    let found = api.get_opt(names::LOCK).await.map_err(|error| Error::cluster("reading the lock", &error))?;
    let Some(lease) = found.filter(|lease| cluster.owns(&lease.metadata)) else { return Ok(()) };
    if Held::of(&lease).is_some_and(|held| !held.is_over()) {
        return Ok(());
    }
    match api.delete(names::LOCK, &Condition::of(&lease.metadata).parameters()).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        Err(error) => Err(Error::cluster("removing the lock", &error)),
    }
}

/// Somebody's hold of a lock, as the Lease says.
pub(crate) struct Held {
    /// Who, for people.
    pub(crate) holder: String,
    token: String,
    /// Since when.
    pub(crate) since: Timestamp,
    until: Timestamp,
}

impl Held {
    /// Reads a Lease; nobody holds one without a holder.
    pub(crate) fn of(lease: &Lease) -> Option<Self> {
        let spec = lease.spec.as_ref()?;
        let identity = spec.holder_identity.as_deref().filter(|holder| !holder.is_empty())?;
        let (holder, token) = identity.rsplit_once(' ').unwrap_or((identity, ""));
        let renewed = spec.renew_time.as_ref()?.0;
        let seconds = spec.lease_duration_seconds.unwrap_or(0).clamp(0, 3600);
        let until = renewed.checked_add(jiff::SignedDuration::from_secs(seconds.into())).ok()?;
        let since = spec.acquire_time.as_ref().map_or(renewed, |time| time.0);
        let since = since.round(jiff::Unit::Second).unwrap_or(since);
        // Whoever may write the Lease may write anything: it must not move a cursor.
        let holder = holder.chars().filter(|c| !c.is_control()).collect();
        Some(Self { holder, token: token.to_owned(), since, until })
    }

    /// Expired, or its holder is known to have ended.
    pub(crate) fn is_over(&self) -> bool {
        Timestamp::now() > self.until || is_dead(&self.token)
    }
}

/// Takes a lock that is free. `None` when somebody else just did.
async fn take(api: &Api<Lease>, cluster: &Cluster, found: Option<Lease>, identity: &str) -> Result<Option<Lease>> {
    let now = MicroTime(Timestamp::now());
    let transitions = found.as_ref().and_then(|lease| lease.spec.as_ref()).and_then(|spec| spec.lease_transitions);
    let spec = LeaseSpec {
        holder_identity: Some(identity.to_owned()),
        lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
        acquire_time: Some(now.clone()),
        renew_time: Some(now),
        lease_transitions: Some(transitions.unwrap_or(0).saturating_add(1)),
        ..LeaseSpec::default()
    };
    let taken = match found {
        Some(mut lease) => {
            lease.spec = Some(spec);
            api.replace(names::LOCK, &PostParams::default(), &lease).await
        }
        None => {
            let metadata = ObjectMeta {
                name: Some(names::LOCK.to_owned()),
                labels: Some(names::labels(cluster.name(), Component::Store)),
                owner_references: cluster.anchors(),
                ..ObjectMeta::default()
            };
            api.create(&PostParams::default(), &Lease { metadata, spec: Some(spec) }).await
        }
    };
    match taken {
        Ok(lease) => Ok(Some(lease)),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
        Err(error) => Err(Error::cluster("taking the lock", &error)),
    }
}

/// Renews until somebody else took over, or for as long as a lock holds without an answer.
async fn renew(api: Api<Lease>, tenure: Tenure, sender: watch::Sender<Option<Lease>>) {
    let mut renewed = Instant::now();
    loop {
        tokio::time::sleep(RENEWAL).await;
        let Some(mut lease) = sender.borrow().clone() else { return };
        let asked = Instant::now();
        let holds = Tenure::from_now(DURATION);
        if let Some(spec) = &mut lease.spec {
            spec.renew_time = Some(MicroTime(Timestamp::now()));
        }
        let ours = |found: &Lease| lease.spec.as_ref().is_some_and(|spec| is_held_by(found, identity_of(spec)));
        let replaced = async {
            match api.replace(names::LOCK, &PostParams::default(), &lease).await {
                // Perhaps it was ourselves, and only the answer got lost.
                Err(kube::Error::Api(status)) if status.code == 409 => match api.get(names::LOCK).await {
                    Ok(found) if ours(&found) => Ok(found),
                    Ok(_) => Err(kube::Error::Api(status)),
                    Err(error) => Err(error),
                },
                replaced => replaced,
            }
        };
        let rest = DURATION.saturating_sub(renewed.elapsed());
        match tokio::time::timeout(rest, replaced).await {
            Ok(Ok(lease)) => {
                renewed = asked;
                holds(&tenure);
                sender.send_replace(Some(lease));
            }
            Ok(Err(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => break,
            Ok(Err(_)) if renewed.elapsed() + RENEWAL > DURATION => break,
            Ok(Err(_)) => {}
            Err(_) => break,
        }
    }
    sender.send_replace(None);
}

fn identity_of(spec: &LeaseSpec) -> &str {
    spec.holder_identity.as_deref().unwrap_or_default()
}

/// Whether a Lease says that it is this very holder's.
fn is_held_by(lease: &Lease, identity: &str) -> bool {
    !identity.is_empty() && lease.spec.as_ref().map(identity_of) == Some(identity)
}

/// Who we are, for people: `KOMANDAN_AUTHOR`, else the account and machine.
pub(crate) fn author() -> String {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    if let Some(author) = set("KOMANDAN_AUTHOR") {
        return author.replace(char::is_whitespace, "-");
    }
    let user = set("USER").or_else(|| set("LOGNAME")).unwrap_or_else(|| "someone".to_owned());
    let host = set("HOSTNAME")
        .or_else(|| std::fs::read_to_string("/etc/hostname").ok())
        .unwrap_or_else(|| "unknown".to_owned());
    format!("{user}@{}", host.trim()).replace(char::is_whitespace, "-")
}

fn sign_path(token: &str) -> PathBuf {
    let folder = std::env::var_os("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    folder.join(format!("komandan-{token}.lock"))
}

/// A file that the system unlocks when we end, however that happens.
fn sign_of_life(token: &str) -> Option<(PathBuf, File)> {
    let path = sign_path(token);
    let file = File::options().create_new(true).write(true).open(&path).ok()?;
    file.try_lock().ok()?;
    Some((path, file))
}

/// Whether a holder was a process of this machine that has ended. Of other machines nothing is known.
fn is_dead(token: &str) -> bool {
    if token.is_empty() || !token.chars().all(|c| c.is_ascii_hexdigit()) {
        return false;
    }
    let path = sign_path(token);
    let Ok(file) = File::open(&path) else { return false };
    let dead = file.try_lock().is_ok();
    if dead {
        let _ = std::fs::remove_file(&path);
    }
    dead
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_of_this_machine_is_known_to_live_or_not() {
        let token = hex::encode(rand::random::<[u8; 8]>());
        assert!(!is_dead(&token), "one that is not of this machine");
        let (path, file) = sign_of_life(&token).unwrap();
        assert!(!is_dead(&token), "one that lives");
        drop(file);
        assert!(is_dead(&token), "one that has ended");
        assert!(!path.exists());
    }

    #[test]
    fn a_hold_is_read_and_ends() {
        let spec = |renewed: Timestamp| LeaseSpec {
            holder_identity: Some("me@here:1 abcd".to_owned()),
            lease_duration_seconds: Some(15),
            renew_time: Some(MicroTime(renewed)),
            ..LeaseSpec::default()
        };
        let held = |renewed| Held::of(&Lease { spec: Some(spec(renewed)), ..Lease::default() }).unwrap();
        assert_eq!(held(Timestamp::now()).holder, "me@here:1");
        assert!(!held(Timestamp::now()).is_over());
        assert!(held(Timestamp::UNIX_EPOCH).is_over());
        assert!(Held::of(&Lease::default()).is_none());
        let hostile = LeaseSpec { holder_identity: Some("me\u{1b}[2J:1 abcd".to_owned()), ..spec(Timestamp::now()) };
        assert_eq!(Held::of(&Lease { spec: Some(hostile), ..Lease::default() }).unwrap().holder, "me[2J:1");
    }
}
