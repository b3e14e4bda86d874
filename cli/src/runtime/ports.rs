//! Ports of this machine, given out so that sessions that start at the same moment do not get the same one.
//!
//! A free port is not yet ours: until the program listens, another session may find it free, too. So each
//! port that is given out is also claimed by a file that all sessions of this user see.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use crate::session::{Records, Session};

/// The right to look at and change the claims of this user; held until dropped.
pub(crate) struct Claims {
    folder: PathBuf,
    records: PathBuf,
    _lock: File,
}

impl Claims {
    /// Waits until no other session gives out ports.
    pub(crate) fn of(session: &Session) -> std::io::Result<Self> {
        let folder = session.runtime_dir.parent().unwrap_or(Path::new("/tmp")).join("ports");
        Self::open(folder, session.records())
    }

    fn open(folder: PathBuf, records: PathBuf) -> std::io::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        let lock = File::create(folder.join("lock"))?;
        lock.lock()?;
        Ok(Self { folder, records, _lock: lock })
    }

    /// Makes a port this session's, unless it is a living one's.
    fn claim(&self, port: u16) -> std::io::Result<bool> {
        let file = self.folder.join(port.to_string());
        if let Ok(text) = std::fs::read_to_string(&file)
            && let Some((pid, records)) = text.split_once('\n')
            && Path::new(records) != self.records
            && is_living(pid, Path::new(records))
        {
            return Ok(false);
        }
        let ours = format!("{}\n{}", std::process::id(), self.records.display());
        if std::fs::read_to_string(&file).is_ok_and(|text| text == ours) {
            return Ok(true);
        }
        std::fs::write(&file, ours)?;
        Ok(true)
    }

    /// Gives back what this session claims.
    pub(crate) fn release(&self, ports: impl IntoIterator<Item = u16>) {
        for port in ports {
            let file = self.folder.join(port.to_string());
            let ours = std::fs::read_to_string(&file)
                .is_ok_and(|text| text.split_once('\n').is_some_and(|(_, records)| Path::new(records) == self.records));
            if ours {
                let _ = std::fs::remove_file(file); // a claim that stays is found stale
            }
        }
    }
}

/// Whether a session lives: its supervisor does, or something of it runs.
fn is_living(pid: &str, records: &Path) -> bool {
    let supervisor = pid.parse().ok().and_then(rustix::process::Pid::from_raw);
    supervisor.is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok())
        || Records::read(records).is_ok_and(|records| records.units.values().any(|record| record.instance.is_some()))
}

/// The port of this machine for `of` (a unit and one of its ports): the one it had, else the one it prefers,
/// else any that is free. Ports that others hold are stepped around.
///
/// `held` says that the unit runs and itself holds the port that it has.
pub(crate) fn allocate(
    records: &mut Records,
    claims: &Claims,
    of: &str,
    preferred: u16,
    held: bool,
) -> std::io::Result<u16> {
    let known = records.ports.get(of).copied();
    if let Some(port) = known
        && (held || is_free(port))
        && claims.claim(port)?
    {
        return Ok(port);
    }
    let promised = |port: u16| records.ports.iter().any(|(other, taken)| other != of && *taken == port);
    let port = if !promised(preferred) && is_free(preferred) && claims.claim(preferred)? {
        preferred
    } else {
        loop {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
            if !promised(port) && claims.claim(port)? {
                break port;
            }
        }
    };
    records.ports.insert(of.to_owned(), port);
    Ok(port)
}

/// Whether a program could listen here, on loopback and on all addresses.
fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(folder: &Path, session: &str) -> Claims {
        Claims::open(folder.join("ports"), folder.join(session)).unwrap()
    }

    fn free() -> u16 {
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
    }

    #[test]
    fn a_unit_keeps_its_port_and_others_step_around() {
        let folder = tempfile::tempdir().unwrap();
        let claims = claims(folder.path(), "a");
        let mut records = Records::default();
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let stepped = allocate(&mut records, &claims, "a http", port, false).unwrap();
        assert_ne!(stepped, port);
        assert_eq!(allocate(&mut records, &claims, "a http", port, false).unwrap(), stepped);
        drop(taken);
        let other = allocate(&mut records, &claims, "b http", stepped, false).unwrap();
        assert_ne!(other, stepped);
    }

    #[test]
    fn a_running_unit_holds_its_own_port() {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut records = Records::default();
        records.ports.insert("a http".into(), port);
        assert_eq!(allocate(&mut records, &claims(folder.path(), "a"), "a http", 1, true).unwrap(), port);
    }

    #[test]
    fn two_sessions_that_start_together_get_different_ports() {
        let folder = tempfile::tempdir().unwrap();
        let port = free();
        let mine = allocate(&mut Records::default(), &claims(folder.path(), "a"), "a http", port, false).unwrap();
        assert_eq!(mine, port);
        let theirs = allocate(&mut Records::default(), &claims(folder.path(), "b"), "a http", port, false).unwrap();
        assert_ne!(theirs, port);
        claims(folder.path(), "a").release([port]);
        let theirs = allocate(&mut Records::default(), &claims(folder.path(), "b"), "a http", port, false).unwrap();
        assert_eq!(theirs, port);
    }
}
