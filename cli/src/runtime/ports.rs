//! Ports of this machine.

use std::net::{Ipv4Addr, TcpListener};

use crate::session::Records;

/// The port of this machine for `of` (a unit and one of its ports): the one it had, else the one it prefers,
/// else any that is free. Ports that others hold are stepped around.
///
/// `held` says that the unit runs and itself holds the port that it has.
pub(crate) fn allocate(records: &mut Records, of: &str, preferred: u16, held: bool) -> std::io::Result<u16> {
    let known = records.ports.get(of).copied();
    if let Some(port) = known
        && (held || is_free(port))
    {
        return Ok(port);
    }
    let promised = |port: u16| records.ports.iter().any(|(other, taken)| other != of && *taken == port);
    let port = if !promised(preferred) && is_free(preferred) {
        preferred
    } else {
        loop {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
            if !promised(port) {
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

    #[test]
    fn a_unit_keeps_its_port_and_others_step_around() {
        let mut records = Records::default();
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let stepped = allocate(&mut records, "a http", port, false).unwrap();
        assert_ne!(stepped, port);
        assert_eq!(allocate(&mut records, "a http", port, false).unwrap(), stepped);
        drop(taken);
        let other = allocate(&mut records, "b http", stepped, false).unwrap();
        assert_ne!(other, stepped);
    }

    #[test]
    fn a_running_unit_holds_its_own_port() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut records = Records::default();
        records.ports.insert("a http".into(), port);
        assert_eq!(allocate(&mut records, "a http", 1, true).unwrap(), port);
    }
}
