//! From records to tables: what a task's trajectory amounts to, which phase it is in, and what the tasks of a cell have
//! in common. Everything here is computed on reading and nothing of it is stored, so that other thresholds or other axes
//! never need a new run.
//!
//! In the order in which data flows: a [`TaskResult`] carries the records; `measurements` and `settings` name what a record
//! says, `known` what theory says beside it; [`curve`] condenses a trajectory into quantities; [`phases`] labels it; `cells`
//! aggregates tasks; [`TableBuilder`] lays all of it out as a [`Table`] of one of three [`Level`]s, which [`mod@format`]
//! writes. A column that no task of the sweep can fill is not there.

mod aggregate;
mod builder;
pub(crate) mod cells;
pub mod curve;
#[cfg(test)]
pub(crate) mod fixture;
pub mod format;
mod known;
mod layout;
mod measurements;
pub mod phases;
mod rows;
mod settings;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use aggregate::Moments;
pub use builder::{Level, TableBuilder};
pub use layout::{Axis, Coordinates, Layout, Tasks};
pub use phases::Phase;
pub use table::{Cell, Column, Kind, Table};

use phasegrid_proto::v1;

/// What is known of one task.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskResult {
    /// The task's index in the sweep's space.
    pub point: u64,
    /// Where the task is in its life.
    pub state: TaskState,
    /// Attempts so far.
    pub attempts: u32,
    /// The worker of the last attempt; all of them, where it is split.
    pub worker: String,
    /// What made the last attempt fail.
    pub error: Option<String>,
    /// The records, in ascending steps.
    pub records: Vec<v1::Record>,
}

/// Where a task is in its life, once it has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskState {
    /// A worker holds a lease of it; its records are those so far.
    Leased,
    /// It has records of an attempt that did not end, and nobody holds it: it was given back, its sweep was cancelled, or it
    /// is split and not all of its shards have begun.
    Unfinished,
    /// Its records are complete.
    Finished,
    /// Set aside after the last allowed attempt.
    Failed,
}

impl TaskState {
    /// The state's name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Leased => "leased",
            Self::Unfinished => "unfinished",
            Self::Finished => "finished",
            Self::Failed => "failed",
        }
    }
}
