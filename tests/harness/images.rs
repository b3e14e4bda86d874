//! A registry that has every image, by name: for pods that only say that they run.

use std::net::SocketAddr;

use crate::listener::{Listener, Request};

/// The registry; ends when dropped.
pub struct EveryImage(Listener);

impl EveryImage {
    /// Begins to answer.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it takes a port")]
    pub fn new() -> Self {
        Self(Listener::new(|request: Request, mut reply| async move {
            // Who asks by digest has that very one.
            let asked = request.path.rsplit('/').next().filter(|asked| asked.starts_with("sha256:"));
            let of_path = || request.path.bytes().fold(7_u64, |sum, b| sum * 31 % 0xffff_fffb + u64::from(b));
            let digest = asked.map_or_else(|| format!("sha256:{:0>64x}", of_path()), str::to_owned);
            let kind = "application/vnd.oci.image.manifest.v1+json";
            reply.begin(200, &[("docker-content-digest", &digest), ("content-type", kind)]).await;
            reply.end().await;
        }))
    }

    /// Its host and port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.0.address()
    }
}
