//! What the end-to-end tests have in common: repositories, the real programs, a steady load.
//!
//! Every test works in folders, ports and namespaces of its own and leaves nothing behind.

// A test that cannot go on says so by panicking; this crate is nothing but tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

pub mod http;
pub mod load;
pub mod program;
pub mod repository;

pub use http::{Answer, get};
pub use load::{Load, Served};
pub use program::{Program, Run, Session};
pub use repository::{Repository, workspace};
