//! The session's network, and the way out of it to programs of this machine.
//!
//! A program of this machine listens on loopback, which no container sees. So a forwarder (`ssi forward`, a process
//! like any other: recorded, adopted, stopped) listens where containers can reach it and passes on to loopback:
//!
//! - Where the engine runs on this machine itself, that is the network's gateway: an address of this machine on
//!   the session's own bridge. Another address, `docker0`'s say, may be switched off, and is everybody's.
//! - Where the engine runs in a virtual machine (Docker Desktop, Colima), the gateway is an address of that one,
//!   and nobody here can listen on it. Such engines pass on `host-gateway` to this machine's loopback, so the
//!   forwarder listens there.
//!
//! Which of the two is found out by trying to listen. A container that would share this machine's network could
//! forward, too, but not from its loopback on a virtual machine, and it would need an image; and it would not see
//! less: a process that survives the supervisor is what everything here is made of.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, TcpListener};

use bollard::errors::Error;
use bollard::models::NetworkCreateRequest;
use ipnet::IpNet;

use super::super::Cause;
use super::{Docker, SESSION_LABEL, engine_said};

/// Where containers find programs of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gateway {
    /// Where a forwarder listens.
    pub(crate) listen: IpAddr,
    /// What containers call it: an address, or the engine's own word for this machine.
    pub(crate) seen: String,
    /// Who may come; nobody else's containers or machines.
    pub(crate) from: IpNet,
}

impl Gateway {
    /// That of an engine that passes its `host-gateway` on to this machine's loopback; also stands in for one
    /// that is not known yet, in a plan that nobody carries out.
    pub(crate) fn of_virtual_machine() -> Self {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Self { listen: loopback, seen: "host-gateway".to_owned(), from: loopback.into() }
    }
}

impl Docker {
    /// What the session's network is called.
    pub(super) fn network(&self) -> String {
        format!("ssi-{}", self.session.id)
    }

    /// Makes the network, unless it is there.
    pub(super) async fn ensure_network(&self) -> Result<(), Cause> {
        let engine = self.engine().await?;
        match engine.inspect_network(&self.network(), None).await {
            Ok(_) => return Ok(()),
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => {}
            Err(error) => return Err(engine_said(error)),
        }
        let request = NetworkCreateRequest {
            name: self.network(),
            labels: Some(HashMap::from([(SESSION_LABEL.to_owned(), self.session.id.clone())])),
            ..Default::default()
        };
        engine.create_network(request).await.map_err(engine_said)?;
        Ok(())
    }

    /// Where containers find programs of this machine; `None` while there is no network.
    pub(crate) async fn gateway(&self) -> Result<Option<Gateway>, Cause> {
        let network = match self.engine().await?.inspect_network(&self.network(), None).await {
            Ok(network) => network,
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => return Ok(None),
            Err(error) => return Err(engine_said(error)),
        };
        let ranges = network.ipam.and_then(|ipam| ipam.config).unwrap_or_default();
        let found = ranges.into_iter().find_map(|range| {
            let address = range.gateway?.parse::<IpAddr>().ok().filter(IpAddr::is_ipv4)?;
            Some((address, range.subnet?.parse::<IpNet>().ok()?))
        });
        let (address, from) = found
            .ok_or_else(|| Cause::new(format!("the engine names no gateway of the network {}", self.network())))?;
        if TcpListener::bind((address, 0)).is_ok() {
            return Ok(Some(Gateway { listen: address, seen: address.to_string(), from }));
        }
        Ok(Some(Gateway::of_virtual_machine()))
    }
}
