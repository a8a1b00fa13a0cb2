//! Turns leases into running ensembles, and their results into reports, until the worker is to leave.
//!
//! One loop takes in everything that happens, one event after the other, and then starts whatever the new situation calls
//! for. What is held is decided in `held` and what is to be reported in `outbox`, both pure; around them are `compute`,
//! the threads that run ensembles and take them from what is held at the `desk`, `reporter`, the stream of records, and
//! calls to the coordinator, of each kind at most one at a time. A lease that was lost goes through three steps: its records
//! are held back until nothing of it is on the way, what was started of it is asked for, and it goes on under another name
//! or is dropped. The engine reaches out through `ensemble` alone; a
//! point's snapshots are on its `shelf`.

mod baselines;
mod compute;
mod desk;
mod ensemble;
mod held;
mod outbox;
mod reporter;
mod shelf;
mod spool;

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use phasegrid_proto::v1;
use tch::Device;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::{Sleep, sleep};

use self::baselines::Baselines;
use self::compute::{Bench, Compute, Engine};
use self::desk::Desk;
use self::held::{Claim, Held, Loss, Sending};
use self::reporter::{Mail, Reporter};
use self::shelf::{Library, Shelf};
use self::spool::Spool;
pub use self::spool::SpoolSettings;
use crate::client::{Client, ClientError, Directives, Leased, Reclaimed, Token, Verdict};
use crate::permits::Permits;
use crate::snapshots::{SnapshotSettings, Snapshots};

/// How long a worker that is told to leave may take to stop its tasks and give back its leases. Schedulers send KILL
/// some seconds after TERM, and leases that are not given back expire.
const GRACE: Duration = Duration::from_secs(5);
/// How long a worker that drains waits for threads whose leases are gone: tasks look every few steps whether they are to
/// stop, and steps are short.
const PATIENCE: Duration = Duration::from_secs(60);
/// Events that are taken in before anything new is started.
const GULP: usize = 1024;

/// What a worker can do at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Points that may be started at once, at least as many as there are threads.
    pub slots: usize,
    /// The device of each thread that computes, at least one. Threads have equal shares of the slots.
    pub devices: Vec<Device>,
}

/// Why a worker ends before it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The coordinator refused the worker or one of its calls.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The system gives no threads.
    #[error("the compute threads cannot be started: {0}")]
    Threads(#[from] std::io::Error),
    /// A device cannot be trusted any more.
    #[error("{0}; the worker has given back what it held")]
    GivenUp(String),
}

/// Something that happened.
#[derive(Debug)]
enum Event {
    /// A request for work was answered.
    Leased(Option<Leased>, Directives),
    /// A lease's snapshots were looked for.
    Found(Token, Vec<(u64, v1::Snapshot)>),
    /// Snapshots that nobody needs any more were deleted.
    Cleared,
    /// A heartbeat was answered.
    Beaten(Directives),
    /// Outcomes of a lease were answered.
    Finished(Token, Verdict),
    /// A lease was given back.
    Released,
    /// So many records of each of these points are durable.
    Durable { token: Token, points: Vec<(u64, u64)> },
    /// The coordinator says that a lease has ended.
    Dropped(Token),
    /// No record of a lost lease is on the way any more.
    Settled(Token),
    /// The question for a lost lease was answered.
    Reclaimed(Token, Option<Reclaimed>),
    /// The coordinator will not go on with this worker.
    Refused(ClientError),
}

/// What the worker is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aim {
    /// As much as it can.
    Work,
    /// Finish what is held, then leave.
    Drain,
    /// Stop what runs, give back what is held, leave.
    Leave,
}

struct Runner {
    client: Arc<Client>,
    desk: Arc<Desk>,
    /// Kept for the threads, which end with it.
    _compute: Compute,
    snapshots: Option<Arc<Snapshots>>,
    mail: UnboundedSender<Mail>,
    /// Calls on the way; dropping them with the runner ends them.
    calls: JoinSet<Event>,
    aim: Aim,
    leasing: bool,
    finishing: bool,
    releasing: usize,
    reclaiming: bool,
    clearing: usize,
    beating: bool,
    next_beat: Pin<Box<Sleep>>,
}

/// Works until the coordinator drains this worker, or `leave` is ready: then running tasks are stopped and leases given
/// back within a few seconds.
///
/// # Errors
/// If the coordinator refuses the worker or a call, there are no threads, or a device cannot be trusted any more: then, too,
/// leases are given back first.
pub async fn run(
    client: Client,
    capacity: Capacity,
    snapshots: SnapshotSettings,
    spool: SpoolSettings,
    leave: impl Future<Output = ()>,
) -> Result<(), RunError> {
    let mut leave = pin!(leave);
    tokio::select! {
        registered = client.register() => registered?,
        () = &mut leave => return Ok(()),
    }
    let (events, mut inbox) = unbounded_channel();
    let mut runner = Runner::start(client, &capacity, snapshots, spool, events)?;
    let desk = Arc::clone(&runner.desk);
    let mut grace = pin!(None::<Sleep>);
    let mut happened = Vec::new();
    loop {
        if runner.aim != Aim::Leave && desk.held().is_leaving() {
            // A thread has given up its device.
            runner.leave();
            grace.set(Some(sleep(GRACE)));
        }
        runner.act();
        if runner.may_leave() {
            return runner.end();
        }
        // A worker that drains waits for its threads, but not for one that hangs: its leases were taken from it.
        let lingers = runner.aim == Aim::Drain && desk.held().lingers();
        if runner.aim == Aim::Drain && lingers != grace.is_some() {
            grace.set(lingers.then(|| sleep(PATIENCE)));
        }
        tokio::select! {
            Some(answer) = runner.calls.join_next() => {
                runner.on(answer.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic())))?;
            }
            _ = inbox.recv_many(&mut happened, GULP) => {
                for event in happened.drain(..) {
                    runner.on(event)?;
                }
            }
            () = desk.changed() => {}
            () = &mut runner.next_beat, if !runner.beating => runner.beat(),
            () = &mut leave, if runner.aim != Aim::Leave => {
                runner.leave();
                grace.set(Some(sleep(GRACE)));
            }
            () = async { if let Some(grace) = grace.as_mut().as_pin_mut() { grace.await } }, if runner.aim == Aim::Leave || lingers => {
                if lingers {
                    desk.held().give_up("a task does not stop, and keeps its thread".to_owned());
                }
                runner.tell_what_is_left();
                return runner.end();
            }
        }
    }
}

impl Runner {
    fn start(
        client: Client,
        capacity: &Capacity,
        snapshots: SnapshotSettings,
        spool: SpoolSettings,
        events: UnboundedSender<Event>,
    ) -> Result<Self, RunError> {
        let client = Arc::new(client);
        let interval = snapshots.interval;
        let snapshots = snapshots.open(&client.terms().snapshots, client.name()).map(Arc::new);
        let library = |snapshots| Library { snapshots, interval, runtime: Handle::current() };
        let desk = Arc::new(Desk::new(Held::new(capacity.slots)));
        let (mail, letters) = unbounded_channel();
        let spool = Spool::new(spool);
        let bench = Bench {
            engine: Engine::default(),
            width: capacity.slots / capacity.devices.len(),
            permits: Permits::new(capacity.devices.len()),
            desk: Arc::clone(&desk),
            baselines: Baselines::new(Arc::clone(&client), Handle::current()),
            library: snapshots.clone().map(library),
            mail: mail.clone(),
            room: spool.room(),
        };
        let mut calls = JoinSet::new();
        let reporter = Reporter::new(Arc::clone(&client), letters, events, spool);
        calls.spawn(async move {
            match reporter.run().await {
                Err(error) => Event::Refused(error),
                // There is no more mail: the runner is about to go, and this call with it.
                Ok(()) => std::future::pending().await,
            }
        });
        let next_beat = Box::pin(sleep(client.terms().heartbeat_interval));
        Ok(Self {
            client,
            desk,
            _compute: Compute::start(capacity, bench)?,
            snapshots,
            mail,
            calls,
            aim: Aim::Work,
            leasing: false,
            finishing: false,
            releasing: 0,
            reclaiming: false,
            clearing: 0,
            beating: false,
            next_beat,
        })
    }

    /// Nothing is left to be done here.
    fn may_leave(&self) -> bool {
        self.aim != Aim::Work
            && self.desk.held().is_empty()
            && self.releasing == 0
            && !self.reclaiming
            && self.clearing == 0
    }

    /// How the worker ends when it leaves.
    fn end(&self) -> Result<(), RunError> {
        self.desk.held().given_up().map_or(Ok(()), |reason| Err(RunError::GivenUp(reason.to_owned())))
    }

    /// What the grace was too short for.
    fn tell_what_is_left(&self) {
        let leases = self.desk.held().leases() + self.releasing;
        if leases > 0 {
            tracing::warn!(leases, "leaving without having given back every lease; they will expire");
        }
        if self.clearing > 0 {
            let points = self.clearing;
            tracing::warn!(
                points,
                "leaving without having deleted the snapshots of finished points; they are of no more use"
            );
        }
    }

    /// Starts whatever the situation calls for.
    fn act(&mut self) {
        while self.aim == Aim::Leave
            && let Some(token) = self.give_back()
        {
            self.release(token, Vec::new());
        }
        let gone = self.desk.held().gone();
        for token in gone {
            self.tell(Mail::Drop(token));
        }
        if !self.reclaiming
            && let Some(claim) = self.claim()
        {
            self.reclaiming = true;
            self.reclaim(claim);
        }
        if self.aim == Aim::Work && !self.leasing && self.desk.held().wants_lease() {
            self.leasing = true;
            self.lease();
        }
        // Outcomes gather while others are on the way.
        let outcomes = if self.finishing { None } else { self.desk.held().outcomes() };
        if let Some(Sending { token, known_as, outcomes }) = outcomes {
            self.finishing = true;
            self.ask(|client| async move {
                client.finish(&known_as, outcomes).await.map(|verdict| Event::Finished(token, verdict))
            });
        }
    }

    fn on(&mut self, event: Event) -> Result<(), RunError> {
        match event {
            Event::Leased(lease, directives) => self.on_lease(lease, directives),
            Event::Found(token, snapshots) => self.desk.found(&token, snapshots),
            Event::Cleared => self.clearing -= 1,
            Event::Beaten(directives) => {
                self.beating = false;
                self.next_beat = Box::pin(sleep(self.client.terms().heartbeat_interval));
                self.on_directives(directives);
            }
            Event::Finished(token, verdict) => {
                self.finishing = false;
                match verdict {
                    Verdict::Accepted => self.on_finished(&token),
                    Verdict::Stale => {
                        self.desk.held().came_late(&token);
                        self.lose(&token);
                    }
                }
            }
            Event::Released => self.releasing -= 1,
            Event::Durable { token, points } => {
                let mut held = self.desk.held();
                for (point, records) in points {
                    held.acknowledge(&token, point, records);
                }
            }
            Event::Dropped(token) => self.lose(&token),
            Event::Settled(token) => self.desk.held().settled(&token),
            Event::Reclaimed(token, reclaimed) => self.on_reclaimed(token, reclaimed),
            Event::Refused(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn on_lease(&mut self, lease: Option<Leased>, directives: Directives) {
        self.leasing = false;
        self.on_directives(directives);
        let Some(lease) = lease else { return };
        if self.aim != Aim::Work {
            // It was granted while this worker was told to leave.
            return self.release(lease.token, Vec::new());
        }
        tracing::debug!(lease = %lease.token, sweep = lease.sweep, tasks = lease.tasks.len(), "leased");
        // The lease is held from here on, however long the look at the snapshots takes.
        if let Some(snapshots) = self.snapshots.clone() {
            let (token, digests) = (lease.token.clone(), digests(&lease));
            self.calls.spawn(async move { Event::Found(token, snapshots.newest_of(digests).await) });
        }
        self.desk.take(lease, self.snapshots.is_some());
    }

    fn on_directives(&mut self, directives: Directives) {
        for known_as in &directives.dropped {
            let called = self.desk.held().called(known_as);
            if let Some(token) = called {
                self.lose(&token);
            }
        }
        for (known_as, points) in directives.cede {
            self.cede(known_as, points);
        }
        if directives.drain && self.aim == Aim::Work {
            tracing::info!("draining: no further leases are taken");
            self.aim = Aim::Drain;
        }
    }

    fn on_finished(&mut self, token: &Token) {
        let shelves = self.desk.held().finished(token);
        for shelf in shelves {
            self.clear(shelf);
        }
    }

    /// The coordinator says that a lease has ended.
    fn lose(&mut self, token: &Token) {
        match self.desk.lose(token) {
            Loss::Known => {}
            Loss::Kept => {
                tracing::info!(lease = %token, "the lease was lost; what was started of it goes on and is asked for");
                self.tell(Mail::HoldBack(token.clone()));
            }
            Loss::Gone => tracing::info!(lease = %token, "the lease has ended"),
        }
    }

    fn on_reclaimed(&mut self, token: Token, reclaimed: Option<Reclaimed>) {
        self.reclaiming = false;
        let Some(reclaimed) = reclaimed else {
            tracing::info!(lease = %token, "nothing of the lost lease is wanted any more; its work is dropped");
            return self.desk.drop_lease(&token);
        };
        if !self.desk.regain(&token, &reclaimed) {
            return self.release(reclaimed.known_as, Vec::new());
        }
        let Reclaimed { known_as, points } = &reclaimed;
        tracing::info!(lease = %token, points = points.len(), %known_as, "reclaimed: work of the lost lease is kept");
        self.tell(Mail::Regain(token, reclaimed));
    }

    /// Gives back points that others could start at once.
    fn cede(&mut self, known_as: Token, most: u64) {
        let called = self.desk.held().called(&known_as);
        let points = called.map(|token| self.desk.held().cede(&token, most)).unwrap_or_default();
        if !points.is_empty() {
            tracing::info!(lease = %known_as, points = points.len(), "points are given back that others can start at once");
            self.release(known_as, points);
        }
    }

    /// Tells the reporter, who lives as long as the runner.
    fn tell(&self, mail: Mail) {
        self.mail.send(mail).ok();
    }

    fn claim(&self) -> Option<Claim> {
        self.desk.held().claim()
    }

    fn reclaim(&mut self, Claim { token, known_as, kept }: Claim) {
        self.ask(|client| async move {
            let reclaimed = client.reclaim(&known_as, &kept).await?;
            Ok(Event::Reclaimed(token, reclaimed))
        });
    }

    fn beat(&mut self) {
        self.beating = true;
        let running = self.desk.held().running();
        self.ask(|client| async move { client.heartbeat(running).await.map(Event::Beaten) });
    }

    fn leave(&mut self) {
        tracing::info!(leases = self.desk.held().leases(), "leaving: running tasks are stopped and leases given back");
        self.aim = Aim::Leave;
        self.desk.leave();
    }

    fn lease(&mut self) {
        self.ask(|client| async move {
            let (lease, directives) = client.lease().await?;
            Ok(Event::Leased(lease, directives))
        });
    }

    fn give_back(&self) -> Option<Token> {
        self.desk.held().give_back()
    }

    fn clear(&mut self, shelf: Arc<Shelf>) {
        self.clearing += 1;
        self.calls.spawn(async move {
            shelf.clear().await;
            Event::Cleared
        });
    }

    /// Gives back points of a lease, or all that is left of it.
    fn release(&mut self, token: Token, points: Vec<u64>) {
        self.releasing += 1;
        self.ask(|client| async move { client.release(&token, points).await.map(|()| Event::Released) });
    }

    /// Calls the coordinator in the background.
    fn ask<F>(&mut self, call: impl FnOnce(Arc<Client>) -> F)
    where
        F: Future<Output = Result<Event, ClientError>> + Send + 'static,
    {
        let call = call(Arc::clone(&self.client));
        self.calls.spawn(async move { call.await.unwrap_or_else(Event::Refused) });
    }
}

/// The digests of a lease's points, under which there may be snapshots.
fn digests(lease: &Leased) -> Vec<(u64, String)> {
    lease.tasks.iter().filter_map(|(point, task)| Some((*point, task.as_ref().ok()?.digest()))).collect()
}
