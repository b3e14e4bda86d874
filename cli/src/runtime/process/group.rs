//! Process groups: started, watched, stopped; also those of a supervisor that is gone.

use std::collections::BTreeMap;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::super::{Cause, Ended};
use crate::session::Instance;

/// How often a process is looked at whose end nobody reports.
const LOOK: Duration = Duration::from_millis(100);

/// The processes that this supervisor started itself, each with its end once it is known.
#[derive(Clone, Default)]
pub(super) struct Children {
    ends: Arc<Mutex<BTreeMap<i32, watch::Receiver<Option<Ended>>>>>,
}

impl Children {
    /// Starts a command that leads a group of its own. It is reaped whenever it ends.
    pub(super) fn spawn(&self, mut command: Command, words: &str) -> Result<Instance, Cause> {
        let mut child = command.spawn().map_err(|error| Cause::new(format!("`{words}`: {error}")))?;
        let pid = child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .ok_or_else(|| Cause::new(format!("`{words}` ended at once")))?;
        let instance = Instance::Process { pid, started: started(pid).unwrap_or_default() };
        let (tell, told) = watch::channel(None);
        self.lock().insert(pid, told);
        let ends = Arc::clone(&self.ends);
        tokio::spawn(async move {
            let end = child.wait().await.map_or(Ended::Unknown, ended);
            let _ = tell.send(Some(end));
            // Whoever asks later sees from the kernel that it is gone; numbers of processes come back.
            tokio::time::sleep(Duration::from_secs(5)).await;
            ends.lock().unwrap_or_else(PoisonError::into_inner).remove(&pid);
        });
        Ok(instance)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<i32, watch::Receiver<Option<Ended>>>> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the end of a process.
    pub(super) async fn ended(&self, pid: i32, started: u64) -> Ended {
        let told = self.lock().get(&pid).cloned();
        if let Some(mut told) = told
            && let Ok(end) = told.wait_for(Option::is_some).await
        {
            return end.clone().unwrap_or(Ended::Unknown);
        }
        while is_alive(pid, started) {
            tokio::time::sleep(LOOK).await;
        }
        Ended::Unknown
    }
}

/// A program that somebody waits for: when nobody does any more, its whole group is ended by force.
pub(in crate::runtime) struct Waited {
    child: Child,
    group: Option<Pid>,
}

impl Waited {
    /// Starts a command that leads a group of its own.
    pub(in crate::runtime) fn spawn(mut command: Command, words: &str) -> Result<Self, Cause> {
        let child = command.spawn().map_err(|error| Cause::new(format!("`{words}`: {error}")))?;
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Ok(Self { child, group })
    }

    /// Waits for its end.
    pub(in crate::runtime) async fn status(mut self) -> std::io::Result<ExitStatus> {
        let status = self.child.wait().await?;
        self.group = None;
        Ok(status)
    }
}

impl Drop for Waited {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            let _ = kill_process_group(group, Signal::KILL); // gone already, then
        }
    }
}

/// How a status is told.
pub(in crate::runtime) fn ended(status: ExitStatus) -> Ended {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => Ended::Code(code.into()),
        (None, Some(signal)) => Ended::Signal(signal),
        _ => Ended::Unknown,
    }
}

/// Whether this very process runs: not a zombie, not a later one of the same number.
pub(super) fn is_alive(pid: i32, since: u64) -> bool {
    started(pid).is_some_and(|started| started == since)
}

/// When a process began, in ticks since the machine's start; `None` when it is gone or a zombie.
#[cfg(target_os = "linux")]
fn started(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses and may hold anything (proc(5)).
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// When a process began, in seconds since 1970 as `ps` tells it; `None` when it is gone or a zombie.
#[cfg(not(target_os = "linux"))]
fn started(pid: i32) -> Option<u64> {
    let output =
        std::process::Command::new("ps").args(["-o", "stat=,lstart=", "-p", &pid.to_string()]).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if text.is_empty() || text.starts_with('Z') {
        return None;
    }
    let mut hash: u64 = 14_695_981_039_346_656_037;
    for byte in text.split_once(' ')?.1.trim().bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(1_099_511_628_211);
    }
    Some(hash)
}

/// Whether anyone of a group runs. Zombies that nobody has reaped yet do not count.
#[cfg(target_os = "linux")]
fn has_members(group: Pid) -> bool {
    rustix::process::test_kill_process_group(group).is_ok() && !members(group.as_raw_nonzero().get()).is_empty()
}

/// Everyone of a group who runs.
#[cfg(target_os = "linux")]
fn members(group: i32) -> Vec<i32> {
    let wanted = group.to_string();
    let of_group = |process: &std::fs::DirEntry| {
        let stat = std::fs::read_to_string(process.path().join("stat")).unwrap_or_default();
        let mut fields = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default().split_whitespace();
        let (state, _parent, of) = (fields.next(), fields.next(), fields.next());
        of == Some(wanted.as_str()) && !matches!(state, Some("Z" | "X"))
    };
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten().filter(of_group);
    processes.filter_map(|process| process.file_name().to_str()?.parse().ok()).collect()
}

#[cfg(not(target_os = "linux"))]
fn has_members(group: Pid) -> bool {
    rustix::process::test_kill_process_group(group).is_ok()
}

fn signal(name: &str) -> Signal {
    match name {
        "INT" => Signal::INT,
        "QUIT" => Signal::QUIT,
        "HUP" => Signal::HUP,
        "USR1" => Signal::USR1,
        "USR2" => Signal::USR2,
        "KILL" => Signal::KILL,
        _ => Signal::TERM,
    }
}

/// Ends a group: first by the signal, after the grace by force. Members that outlive their leader end, too,
/// also those of a leader that ended by itself.
pub(super) async fn stop(pid: i32, since: u64, by: &str, grace: Duration, children: &Children) -> Result<(), Cause> {
    let leads = is_alive(pid, since);
    if !leads && !is_ours(pid, since) {
        return Ok(());
    }
    let group = Pid::from_raw(pid).ok_or_else(|| Cause::new(format!("{pid} is no process")))?;
    let send = |signal| match kill_process_group(group, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(Cause::new(format!("the process {pid} cannot be ended: {error}"))),
    };
    let began = Instant::now();
    send(signal(by))?;
    if leads && tokio::time::timeout(grace, children.ended(pid, since)).await.is_err() {
        send(Signal::KILL)?;
        children.ended(pid, since).await;
    }
    // The leader is gone; what it left in its group gets what remains of the grace.
    while has_members(group) {
        if began.elapsed() > grace {
            return send(Signal::KILL);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// Whether what is in the group of a leader that is gone was started by it. The kernel gives a group's number to
/// no new process while the group has members, so only a number that somebody has now, or whose members are older
/// than the leader was, belongs to strangers.
#[cfg(target_os = "linux")]
fn is_ours(group: i32, since: u64) -> bool {
    started(group).is_none() && members(group).iter().all(|member| started(*member).is_none_or(|began| began >= since))
}

#[cfg(not(target_os = "linux"))]
fn is_ours(group: i32, _since: u64) -> bool {
    started(group).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A leader that leaves a member behind and ends at once, as `sh -c 'server &'` does.
    async fn orphaned(children: &Children) -> (i32, u64) {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1000 &"]).process_group(0);
        let Instance::Process { pid, started } = children.spawn(command, "sh").unwrap() else { unreachable!() };
        children.ended(pid, started).await;
        (pid, started)
    }

    #[tokio::test]
    async fn members_that_outlive_a_leader_that_ended_by_itself_are_ended() {
        let children = Children::default();
        let (pid, started) = orphaned(&children).await;
        let group = Pid::from_raw(pid).unwrap();
        assert!(has_members(group));
        stop(pid, started, "TERM", Duration::from_secs(5), &children).await.unwrap();
        assert!(!has_members(group));
    }

    #[tokio::test]
    async fn a_group_of_a_number_that_came_back_is_left_alone() {
        let children = Children::default();
        let mut command = Command::new("sleep");
        command.arg("1000").process_group(0);
        let Instance::Process { pid, started } = children.spawn(command, "sleep").unwrap() else { unreachable!() };
        stop(pid, started + 1, "KILL", Duration::ZERO, &children).await.unwrap();
        assert!(is_alive(pid, started));
        stop(pid, started, "KILL", Duration::ZERO, &children).await.unwrap();
        assert!(!is_alive(pid, started));
    }
}
