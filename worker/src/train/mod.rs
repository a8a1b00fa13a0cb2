//! Training of ensembles. Each member has a course, steps and a pace of events of its own; all step together.
//!
//! A `member` follows its `course`; an `ensemble` advances its members with one stacked `program` (with `batches`), and
//! `record`s those that are due. `snapshot`s let a member go on elsewhere. `shape` says who can be stacked, and `memory` what
//! happens where the device has too little of it: the ensemble is split, and its halves go on one after the other.
//!
//! A member ends when its last record is told, when it has stopped early, when its loss is no longer finite, or when nobody
//! wants it any more. It leaves at once, and newcomers may take its place.

mod batches;
mod course;
mod ensemble;
mod member;
mod memory;
mod program;
mod record;
mod shape;
mod snapshot;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use tch::{Device, Kind};

use self::ensemble::Ensemble;
use self::member::Member;
use self::memory::OutOfMemory;
pub(crate) use self::shape::{room, stackable};
use crate::cuda;
use crate::permits::Permits;
use crate::surroundings::{Start, Surroundings, TaskEnd};

/// Where and for whom is computed.
pub(crate) struct Place<'a> {
    /// The precision of training: single, but for tests of the tensor program.
    pub(crate) kind: Kind,
    pub(crate) device: Device,
    pub(crate) permits: &'a Permits,
    pub(crate) surroundings: &'a dyn Surroundings,
}

/// Trains the tasks of `starts`, which can be stacked, with whoever joins them, and tells their records and ends.
pub(crate) fn run(starts: Vec<Start>, place: &Place) {
    let Some(first) = starts.first() else { return };
    // Those that were given fit, whatever a newcomer would be allowed.
    let width = room(&first.task, place.device).max(starts.len());
    let mut numbers = 0..;
    let mut enter = |starts: Vec<Start>| -> Vec<Member> {
        starts.into_iter().zip(&mut numbers).map(|(start, number)| Member::new(number, start, place)).collect()
    };
    let mut waiting = VecDeque::from([enter(starts)]);
    while let Some(mut members) = waiting.pop_front() {
        let task = members[0].task.clone();
        let most = memory::most(&task, place.device);
        if members.len() > most {
            waiting.push_front(members.split_off(most));
        }
        let started = members.len();
        let mut ensemble = Ensemble::new(members, place);
        let ran = memory::caught(|| {
            ensemble.run(width.min(most), &mut |room| {
                // Whoever waits has been here longer.
                let starts = if waiting.is_empty() { place.surroundings.newcomers(room) } else { Vec::new() };
                debug_assert!(starts.iter().all(|start| stackable(&task, &start.task)), "newcomers stack");
                enter(starts)
            });
        });
        match ran {
            Ok(()) => memory::fitted(&task, place.device, started),
            Err(reason) => {
                halve(ensemble.disband(), reason, place).into_iter().rev().for_each(|half| waiting.push_front(half));
            }
        }
    }
}

/// The halves of an ensemble that was too large; a single member is none, and ends.
fn halve(mut members: Vec<Member>, OutOfMemory(reason): OutOfMemory, place: &Place) -> Vec<Vec<Member>> {
    if let [member] = members.as_slice() {
        let error = format!("the device has too little memory for this task alone: {reason}");
        place.surroundings.ended(member.number, TaskEnd::Failed { error, permanent: false });
        return Vec::new();
    }
    let half = members.len().div_ceil(2);
    tracing::warn!(
        device = cuda::name(&[place.device]),
        members = members.len(),
        half,
        first = members[0].task.digest(),
        reason,
        "an ensemble is out of memory: its halves go on one after the other"
    );
    memory::exceeded(members.iter().map(|member| &member.task), place.device, half);
    let rest = members.split_off(half);
    vec![members, rest]
}
