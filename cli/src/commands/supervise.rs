//! `ssi supervise`: the session's owner; other commands start it.

use super::Global;
use crate::exit::{Exit, Failure};
use crate::supervisor;

pub(super) async fn run(global: &Global) -> Result<Exit, Failure> {
    supervisor::run(global.session()?).await.map(|()| Exit::Success)
}
