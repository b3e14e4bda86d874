//! `ssi forward`: the way from containers to a program that listens on this machine's loopback.
//!
//! Why it is needed, and where it listens, says `docker/network.rs`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use tokio::net::{TcpListener, TcpStream};

use super::Gateway;

/// A forwarder as it is wanted.
#[derive(Debug, Clone)]
pub(crate) struct Forward {
    /// Where it listens, and for whom.
    pub(crate) gateway: Gateway,
    /// The ways.
    pub(crate) routes: Vec<Route>,
    /// Where it writes.
    pub(crate) log: PathBuf,
}

/// From a port of the gateway to one of loopback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Route {
    /// Where it listens.
    pub(crate) from: u16,
    /// Where it goes.
    pub(crate) to: u16,
}

impl FromStr for Route {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let port = |text: &str| text.parse().map_err(|_| format!("`{text}` is no port"));
        let (from, to) = text.split_once('=').ok_or_else(|| format!("`{text}` is not FROM=TO"))?;
        Ok(Self { from: port(from)?, to: port(to)? })
    }
}

impl std::fmt::Display for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.from, self.to)
    }
}

/// Passes on what comes from `allowed` until it is ended.
pub(crate) async fn forward(listen: IpAddr, allowed: IpNet, routes: &[Route]) -> std::io::Result<()> {
    let mut listening = tokio::task::JoinSet::new();
    for route in routes {
        let address = SocketAddr::new(listen, route.from);
        let named = |error: std::io::Error| std::io::Error::new(error.kind(), format!("{address}: {error}"));
        let listener = TcpListener::bind(address).await.map_err(named)?;
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, route.to));
        listening.spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, peer)) if allowed.contains(&peer.ip()) => drop(tokio::spawn(pass(stream, to))),
                    Ok(_) => {} // not one of ours: it is closed
                    // Out of descriptors: it passes, and asking at once again would burn a core.
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        });
    }
    while listening.join_next().await.is_some() {}
    Ok(())
}

async fn pass(mut caller: TcpStream, to: SocketAddr) {
    let Ok(mut called) = TcpStream::connect(to).await else {
        // Nobody is there: the caller's connection breaks, as it would without anyone between.
        let _ = caller.set_zero_linger();
        return;
    };
    for stream in [&caller, &called] {
        let _ = stream.set_nodelay(true); // without it everything arrives, only later
    }
    // One side's failure is the other's end: both are closed when this returns.
    let _ = tokio::io::copy_bidirectional(&mut caller, &mut called).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn free() -> u16 {
        TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
    }

    async fn connect(port: u16) -> TcpStream {
        loop {
            if let Ok(stream) = TcpStream::connect(("127.0.0.1", port)).await {
                return stream;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn what_is_said_is_passed_on_both_ways_and_half_an_end_is_no_whole_one() {
        let program = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let route = Route { from: free().await, to: program.local_addr().unwrap().port() };
        tokio::spawn(
            async move { forward(Ipv4Addr::LOCALHOST.into(), "127.0.0.0/8".parse().unwrap(), &[route]).await },
        );
        tokio::spawn(async move {
            let (mut stream, _) = program.accept().await.unwrap();
            let mut heard = String::new();
            stream.read_to_string(&mut heard).await.unwrap();
            stream.write_all(format!("you said {heard}").as_bytes()).await.unwrap();
        });
        let mut stream = connect(route.from).await;
        stream.write_all(b"hello").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "you said hello");
    }

    #[tokio::test]
    async fn nobody_there_and_nobody_let_in_are_told_at_once() {
        let (one, other) = (Route { from: free().await, to: free().await }, Route { from: free().await, to: 1 });
        let home: IpAddr = Ipv4Addr::LOCALHOST.into();
        tokio::spawn(async move { forward(home, "127.0.0.0/8".parse().unwrap(), &[one]).await });
        tokio::spawn(async move { forward(home, "10.0.0.0/8".parse().unwrap(), &[other]).await });
        let mut byte = [0];
        assert!(connect(one.from).await.read(&mut byte).await.is_err(), "it breaks");
        assert!(!matches!(connect(other.from).await.read(&mut byte).await, Ok(1..)), "strangers get nothing");
    }

    #[test]
    fn routes_are_written_as_they_are_read() {
        let route = Route { from: 4001, to: 8080 };
        assert_eq!(route.to_string().parse(), Ok(route));
        assert!("4001".parse::<Route>().is_err() && "4001=x".parse::<Route>().is_err());
    }
}
