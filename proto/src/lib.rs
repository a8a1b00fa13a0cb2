//! What travels between coordinator, workers and people.
//!
//! - [`v1`]: the messages and services, generated from `phasegrid/v1/*.proto`, which are the specification.
//! - [`task`]: a task's configuration, which crosses the wire as canonical JSON and names the task's result by content.
//! - [`connection`]: how clients and workers come to a coordinator.
//! - [`duration`]: spans of time as people write them.
//! - [`place`]: where snapshots of long tasks are kept, and records of finished ones; [`objects`]: the object store there.
//! - [`theory`]: what is known of a task without running it.

pub mod connection;
pub mod duration;
pub mod objects;
pub mod place;
pub mod task;
pub mod theory;

/// The version of everything that decides a task's numbers. Raised whenever the same configuration would give other
/// results: it is part of a result's digest, and a worker of another version is refused.
pub const NUMERICS_VERSION: u32 = 2;

/// Package `phasegrid.v1`, generated.
#[expect(missing_docs, clippy::allow_attributes, reason = "generated; the .proto files carry the documentation")]
pub mod v1 {
    tonic::include_proto!("phasegrid.v1");
}

/// The services and messages of package `phasegrid.v1`, encoded as a `FileDescriptorSet`: what the coordinator's
/// reflection service tells, and by which the table of roles is checked.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/phasegrid.v1.bin"));
