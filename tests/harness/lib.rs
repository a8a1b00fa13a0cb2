//! Real coordinators, workers and command lines for tests that read as sentences.
//!
//! A [`Cluster`] is a `phasegrid serve` on a data folder of its own with the workers that a test lets join. Every
//! [`Process`] can be killed, signalled and waited for; it shows its log if the test fails, and ends with its handle.
//! [`phasegrid`] calls the command line, [`wait::until`] waits for what a test expects, [`Tables`] compares results.
//!
//! Nothing here knows how the parts work inside: the harness speaks to them as people do, by command line and service.

mod binaries;
mod client;
mod cluster;
mod command;
mod folder;
mod link;
mod postgres;
mod process;
pub mod sweeps;
pub mod tables;
pub mod wait;

pub use cluster::Cluster;
pub use command::{Call, Output, phasegrid};
pub use folder::{Folder, read};
pub use link::Link;
pub use postgres::Postgres;
pub use process::{Process, lives};
pub use tables::Tables;
