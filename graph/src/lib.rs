//! A repository's services as one versioned value.
//!
//! [`tree::Tree`] reads a work tree or a commit; [`graph::Graph::build`] makes a validated graph of it, with
//! an identity for every node; [`wiring`] says what each service finds in its environment; [`plan`] says what
//! must be done so that what runs is what is wanted; [`diff`] says what lies between two graphs. Only [`tree`] touches
//! the file system and git, and nothing here knows the time, the network, Docker or Kubernetes.

pub mod catalogue;
pub mod diagnostic;
pub mod diff;
pub mod format;
pub mod graph;
pub mod image;
pub mod plan;
pub mod tree;
pub mod wiring;
