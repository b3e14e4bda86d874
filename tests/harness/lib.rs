//! What the end-to-end tests have in common: repositories, the real programs, a steady load.
//!
//! Every test works in folders, ports and namespaces of its own and leaves nothing behind.

pub mod http;
pub mod load;
pub mod local;
pub mod namespace;
pub mod program;
pub mod repository;
pub mod shop;
pub mod versions;
pub mod visitor;

pub use http::{Answer, get, leave_early};
pub use load::{Load, Served};
pub use namespace::Namespace;
pub use program::{Program, Run, Session};
pub use repository::{Repository, workspace};
pub use versions::Versions;
pub use visitor::{Page, Visitor};
