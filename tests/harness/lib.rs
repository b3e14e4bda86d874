//! What the end-to-end tests have in common: repositories, the real programs, clusters that run them, a
//! steady load, and what goes wrong on purpose.
//!
//! Every test works in folders, ports and namespaces of its own and leaves nothing behind.

pub mod apiserver;
pub mod clusters;
pub mod deployed;
pub mod http;
pub mod images;
pub mod listener;
pub mod load;
pub mod local;
pub mod namespace;
pub mod program;
pub mod proxy;
pub mod repository;
pub mod shop;
pub mod state;
pub mod versions;
pub mod visitor;

pub use apiserver::ApiServer;
pub use clusters::Clusters;
pub use deployed::Deployed;
pub use http::{Answer, get, leave_early};
pub use images::EveryImage;
pub use load::{Load, Served};
pub use namespace::Namespace;
pub use program::{Program, Run, Session};
pub use proxy::{Fault, Proxy};
pub use repository::{Repository, workspace};
pub use versions::Versions;
pub use visitor::{Page, Visitor};
