//! A session: what runs for one work tree, or for one of its commits. Its identity, its folders, its records, and the way to its supervisor.

mod client;
mod folders;
mod index;
pub(crate) mod marks;
mod records;
mod revision;
mod sources;

pub(crate) use client::{Client, is_running, unsafe_folder};
pub(crate) use folders::{Session, write_whole};
pub(crate) use index::Found;
pub(crate) use records::{Instance, Kept, Lease, Record, Records, Stored, random};
pub(crate) use revision::At;
pub(crate) use sources::Sources;
