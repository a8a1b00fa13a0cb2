//! A running ensemble's way out: what the engine tells and asks, brought to where it belongs.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use phasegrid_proto::task::TaskConfig;
use phasegrid_proto::v1;
use tch::Device;

use super::compute::{Bench, Ran};
use super::held::{Assignment, Ended, Stop};
use super::reporter::Mail;
use super::shelf::Shelf;
use crate::client::Token;
use crate::surroundings::{Start, Surroundings, TaskEnd};

/// Steps in which it is told how much of a point's work is done. Finer ones are of no use to anyone; with these a task of a
/// week makes progress each minute, and is not taken for one that hangs.
const STEPS_TOLD: f64 = 10_000.0;

/// One ensemble on one thread.
pub(super) struct Ensemble<'a> {
    bench: &'a Bench,
    device: Device,
    /// A task that all its members stack with.
    task: Option<TaskConfig>,
    /// In the engine's order. It only grows.
    members: RwLock<Vec<Arc<Member>>>,
    ran: Mutex<Ran>,
}

struct Member {
    token: Token,
    point: u64,
    stop: Stop,
    reported: AtomicU64,
    /// How many of the [`STEPS_TOLD`] were told.
    told: AtomicU64,
    ended: AtomicBool,
    /// It was stopped, and a record that it told was not kept: whatever comes of it is no result.
    lacks_records: AtomicBool,
    shelf: Option<Arc<Shelf>>,
}

impl<'a> Ensemble<'a> {
    /// An ensemble of these points, and what the engine is to start.
    pub(super) fn new(bench: &'a Bench, device: Device, assignments: Vec<Assignment>) -> (Self, Vec<Start>) {
        let task = assignments.first().map(|assignment| assignment.start.task.clone());
        let ensemble = Self { bench, device, task, members: RwLock::default(), ran: Mutex::default() };
        let starts = ensemble.admit(assignments);
        (ensemble, starts)
    }

    /// Members that have not ended have failed, for now: it may be the machine's fault.
    pub(super) fn fail_rest(&self, error: &str) {
        let members = self.members.read().unwrap_or_else(PoisonError::into_inner).len();
        for member in 0..members {
            self.ended(member, TaskEnd::Failed { error: error.to_owned(), permanent: false });
        }
    }

    /// How it went, once all members have ended.
    pub(super) fn ran(self) -> Ran {
        self.so_far().clone()
    }

    fn so_far(&self) -> MutexGuard<'_, Ran> {
        self.ran.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admit(&self, assignments: Vec<Assignment>) -> Vec<Start> {
        let mut members = self.members.write().unwrap_or_else(PoisonError::into_inner);
        let admit = |Assignment { token, point, start, stop }| {
            let library = self.bench.library.as_ref();
            members.push(Arc::new(Member {
                token,
                point,
                stop,
                reported: AtomicU64::new(0),
                told: AtomicU64::new(0),
                ended: AtomicBool::new(false),
                lacks_records: AtomicBool::new(false),
                shelf: library.map(|library| Arc::new(library.shelf(Instant::now(), start.snapshot.as_ref()))),
            }));
            start
        };
        assignments.into_iter().map(admit).collect()
    }

    fn member(&self, member: usize) -> Arc<Member> {
        Arc::clone(&self.members.read().unwrap_or_else(PoisonError::into_inner)[member])
    }

    /// Members that have not ended.
    fn running(&self) -> usize {
        let members = self.members.read().unwrap_or_else(PoisonError::into_inner);
        members.iter().filter(|member| !member.ended.load(Ordering::Relaxed)).count()
    }
}

impl Surroundings for Ensemble<'_> {
    fn resumed(&self, member: usize, step: u64) {
        let member = self.member(member);
        tracing::info!(lease = %member.token, point = member.point, step, "resumed");
    }

    fn misfit(&self, member: usize, step: u64, reason: &str) {
        let member = self.member(member);
        let digest = member.shelf.as_ref().and_then(|shelf| shelf.digest());
        tracing::warn!(lease = %member.token, point = member.point, digest, step, reason, "a snapshot does not fit; its task starts anew");
    }

    fn record(&self, member: usize, record: v1::Record) {
        let member = self.member(member);
        if !self.bench.room.take(&record, || member.stop.is_raised()) {
            member.lacks_records.store(true, Ordering::Relaxed);
            return;
        }
        member.reported.fetch_add(1, Ordering::Relaxed);
        // Nobody listens any more when the process leaves.
        let mail = Mail::Record { token: member.token.clone(), point: member.point, record: Box::new(record) };
        self.bench.mail.send(mail).ok();
    }

    fn progress(&self, member: usize, work_done: f64) {
        let (member, share) = (self.member(member), (work_done * STEPS_TOLD) as u64);
        if member.told.fetch_max(share, Ordering::Relaxed) < share {
            self.bench.desk.held().progress(&member.token, member.point, work_done);
        }
    }

    fn ended(&self, member: usize, end: TaskEnd) {
        let member = self.member(member);
        if member.ended.swap(true, Ordering::Relaxed) {
            return;
        }
        let end = if member.lacks_records.load(Ordering::Relaxed) { TaskEnd::Stopped } else { end };
        match &end {
            TaskEnd::Completed | TaskEnd::Failed { permanent: true, .. } => *self.so_far() = Ran::Well,
            TaskEnd::Failed { error, .. } if *self.so_far() != Ran::Well => *self.so_far() = Ran::Failed(error.clone()),
            TaskEnd::Failed { .. } | TaskEnd::Stopped => {}
        }
        if let TaskEnd::Failed { error, permanent } = &end {
            tracing::warn!(lease = %member.token, point = member.point, permanent, error, "a task failed");
        }
        let shelf = member.shelf.clone().filter(|shelf| shelf.is_used());
        let ended = Ended { end, reported: member.reported.load(Ordering::Relaxed), shelf };
        self.bench.desk.end(&member.token, member.point, ended);
    }

    fn stopped(&self, member: usize) -> bool {
        self.member(member).stop.is_raised()
    }

    fn keeps_snapshots(&self) -> bool {
        self.bench.library.is_some()
    }

    fn wants_snapshot(&self, member: usize) -> bool {
        self.member(member).shelf.as_ref().is_some_and(|shelf| shelf.wants(Instant::now()))
    }

    fn keep_snapshot(&self, member: usize, snapshot: v1::Snapshot) {
        if let Some(shelf) = &self.member(member).shelf {
            shelf.keep(Instant::now(), snapshot);
        }
    }

    fn newcomers(&self, room: usize) -> Vec<Start> {
        let Some(task) = &self.task else { return Vec::new() };
        // A wider ensemble would leave other threads without slots.
        let room = room.min(self.bench.width.saturating_sub(self.running()));
        let joining = self.bench.desk.held().join(room, task, |tasks| self.bench.stack(tasks, self.device));
        self.admit(joining)
    }

    fn baseline(&self, digest: &str) -> Option<v1::Estimate> {
        self.bench.baselines.find(digest)
    }

    fn store_baseline(&self, digest: &str, estimate: &v1::Estimate) {
        self.bench.baselines.store(digest, estimate);
    }
}
