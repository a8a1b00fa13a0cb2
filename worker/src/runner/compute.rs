//! The compute threads: each runs one ensemble at a time and survives whatever the engine does.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};

use phasegrid_proto::v1;
use tch::Device;
use tokio::sync::mpsc::UnboundedSender;

use super::baselines::Baselines;
use super::held::{Assignment, Ended};
use super::reporter::Mail;
use super::{Capacity, Event};
use crate::engine;
use crate::permits::Permits;
use crate::surroundings::{Start, Surroundings, TaskEnd};

/// Characters of a panic's message that are worth sending: libtorch appends its stack.
const MESSAGE_LENGTH: usize = 500;

/// Gives ensembles to threads. The threads end with it, each after the ensemble that it runs.
#[derive(Debug)]
pub(super) struct Compute {
    assignments: mpsc::Sender<Assignment>,
}

/// What all compute threads share.
#[derive(Debug)]
pub(super) struct Bench {
    pub(super) device: Device,
    pub(super) permits: Permits,
    pub(super) baselines: Baselines,
    pub(super) mail: UnboundedSender<Mail>,
    pub(super) events: UnboundedSender<Event>,
}

impl Compute {
    /// Starts the threads.
    ///
    /// # Errors
    /// If the system gives no more threads.
    pub(super) fn start(capacity: Capacity, bench: Bench) -> std::io::Result<Self> {
        let (assignments, queue) = mpsc::channel();
        let (bench, queue) = (Arc::new(bench), Arc::new(Mutex::new(queue)));
        for thread in 0..capacity.threads {
            let (bench, queue) = (Arc::clone(&bench), Arc::clone(&queue));
            std::thread::Builder::new().name(format!("compute-{thread}")).spawn(move || {
                while let Some(assignment) = next(&queue) {
                    bench.run(&assignment);
                }
            })?;
        }
        Ok(Self { assignments })
    }

    /// Hands an ensemble to the next free thread.
    pub(super) fn run(&self, assignment: Assignment) {
        // Threads outlive this handle: they hold the receiver until it is dropped.
        self.assignments.send(assignment).ok();
    }
}

fn next(queue: &Mutex<mpsc::Receiver<Assignment>>) -> Option<Assignment> {
    queue.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}

impl Bench {
    fn run(&self, assignment: &Assignment) {
        let members = assignment.points.iter().map(|_| Member::default()).collect();
        let ensemble = Ensemble { bench: self, assignment, members };
        let ends = caught(assignment.points.len(), || {
            let _permit = self.permits.acquire();
            let starts = assignment.tasks.iter().map(|task| Start { task: task.clone(), snapshot: None }).collect();
            engine::run(starts, self.device, &self.permits, &ensemble);
            ensemble.members.iter().filter_map(|member| member.end.get().cloned()).collect()
        });
        let members = assignment.points.iter().zip(&ensemble.members).zip(ends);
        let ended = members.map(|((&point, member), end)| Ended {
            point,
            end,
            reported: member.reported.load(Ordering::Relaxed),
        });
        let (token, ended) = (assignment.token.clone(), ended.collect());
        // Nobody listens any more when the process leaves.
        self.events.send(Event::Ended { token, ended }).ok();
    }
}

/// Runs an ensemble of `members`. A panic is a failure of them all that may pass: it may be the machine's.
fn caught(members: usize, run: impl FnOnce() -> Vec<TaskEnd>) -> Vec<TaskEnd> {
    let failed = |error: String| vec![TaskEnd::Failed { error, permanent: false }; members];
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(ends) if ends.len() == members => ends,
        Ok(ends) => failed(format!("the engine ended {} of {members} tasks", ends.len())),
        Err(panic) => failed(format!("the engine panicked: {}", message(&*panic))),
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("without a message").chars().take(MESSAGE_LENGTH).collect()
}

/// A running ensemble's way out.
struct Ensemble<'a> {
    bench: &'a Bench,
    assignment: &'a Assignment,
    members: Vec<Member>,
}

#[derive(Default)]
struct Member {
    reported: AtomicU64,
    end: OnceLock<TaskEnd>,
    /// Percent of the work that was last told; finer steps are of no use to anyone.
    told: AtomicU64,
}

impl Surroundings for Ensemble<'_> {
    fn record(&self, member: usize, record: v1::Record) {
        self.members[member].reported.fetch_add(1, Ordering::Relaxed);
        let (token, point) = (self.assignment.token.clone(), self.assignment.points[member]);
        self.bench.mail.send(Mail::Record { token, point, record }).ok();
    }

    fn progress(&self, member: usize, work_done: f64) {
        let percent = (work_done * 100.0) as u64;
        if self.members[member].told.fetch_max(percent, Ordering::Relaxed) < percent {
            let (token, point) = (self.assignment.token.clone(), self.assignment.points[member]);
            self.bench.events.send(Event::Progress { token, point, work_done }).ok();
        }
    }

    fn ended(&self, member: usize, end: TaskEnd) {
        self.members[member].end.set(end).ok();
    }

    fn wants_snapshot(&self, _member: usize) -> bool {
        false
    }

    fn keep_snapshot(&self, _member: usize, _snapshot: v1::Snapshot) {}

    fn newcomers(&self, _room: usize) -> Vec<Start> {
        Vec::new()
    }

    fn stopped(&self, _member: usize) -> bool {
        self.assignment.stop.is_raised()
    }

    fn baseline(&self, digest: &str) -> Option<v1::Estimate> {
        self.bench.baselines.find(digest)
    }

    fn store_baseline(&self, digest: &str, estimate: &v1::Estimate) {
        self.bench.baselines.store(digest, estimate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panicking_engine_fails_every_member_for_now_with_its_message() {
        let ends = caught(2, || panic!("out of memory on step {}", 7));
        let failed = TaskEnd::Failed { error: "the engine panicked: out of memory on step 7".into(), permanent: false };
        assert_eq!(ends, [failed.clone(), failed]);
    }

    #[test]
    fn an_engine_that_loses_a_task_fails_them_all() {
        let ends = caught(2, || vec![TaskEnd::Stopped]);
        assert!(matches!(&ends[..], [TaskEnd::Failed { permanent: false, .. }, TaskEnd::Failed { .. }]), "{ends:?}");
    }

    #[test]
    fn a_long_message_is_cut_and_a_strange_one_named() {
        assert_eq!(message(&"é".repeat(5000)).chars().count(), MESSAGE_LENGTH);
        assert_eq!(message(&7_u8), "without a message");
    }
}
