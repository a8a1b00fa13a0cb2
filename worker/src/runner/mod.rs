//! Turns leases into running ensembles, and their results into reports, until the worker is to leave.
//!
//! One loop takes in everything that happens, one event after the other, and then starts whatever the new situation calls
//! for. What is held is decided in `held` and what is to be reported in `outbox`, both pure; around them are `compute`,
//! the threads that run ensembles, `reporter`, the stream of records, and calls to the coordinator, of each kind at most
//! one at a time. The engine reaches out through `compute` alone.

mod baselines;
mod compute;
mod held;
mod outbox;
mod reporter;

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use tch::Device;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio::time::{Sleep, sleep};

use self::baselines::Baselines;
use self::compute::{Bench, Compute};
use self::held::{Ended, Held};
use self::reporter::{Mail, Reporter};
use crate::client::{Client, ClientError, Directives, Leased, Token, Verdict};
use crate::engine;
use crate::permits::Permits;
use crate::surroundings::TaskEnd;

/// How long a worker that is told to leave may take to stop its tasks and give back its leases. Schedulers send KILL
/// some seconds after TERM, and leases that are not given back expire.
const GRACE: Duration = Duration::from_secs(5);
/// Events that are taken in before anything new is started.
const GULP: usize = 1024;

/// What a worker can do at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Points that may be started at once, at least 1.
    pub slots: usize,
    /// Threads that compute, at least 1 and at most `slots`.
    pub threads: usize,
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
}

/// Something that happened.
#[derive(Debug)]
enum Event {
    /// A request for work was answered.
    Leased(Option<Leased>, Directives),
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
    /// A running point got further.
    Progress { token: Token, point: u64, work_done: f64 },
    /// An ensemble has ended.
    Ended { token: Token, ended: Vec<Ended> },
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
    device: Device,
    held: Held,
    compute: Compute,
    mail: UnboundedSender<Mail>,
    /// Calls on the way; dropping them with the runner ends them.
    calls: JoinSet<Event>,
    aim: Aim,
    leasing: bool,
    finishing: bool,
    releasing: usize,
    beating: bool,
    next_beat: Pin<Box<Sleep>>,
}

/// Works until the coordinator drains this worker, or `leave` is ready: then running tasks are stopped and leases given
/// back within a few seconds.
///
/// # Errors
/// If the coordinator refuses the worker or a call, or there are no threads.
pub async fn run(
    client: Client,
    device: Device,
    capacity: Capacity,
    leave: impl Future<Output = ()>,
) -> Result<(), RunError> {
    let mut leave = pin!(leave);
    tokio::select! {
        registered = client.register() => registered?,
        () = &mut leave => return Ok(()),
    }
    let (events, mut inbox) = unbounded_channel();
    let mut runner = Runner::start(client, device, capacity, events)?;
    let mut grace = pin!(None::<Sleep>);
    let mut happened = Vec::new();
    loop {
        runner.act();
        if runner.may_leave() {
            return Ok(());
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
            () = &mut runner.next_beat, if !runner.beating => runner.beat(),
            () = &mut leave, if runner.aim != Aim::Leave => {
                runner.leave();
                grace.set(Some(sleep(GRACE)));
            }
            () = async { if let Some(grace) = grace.as_mut().as_pin_mut() { grace.await } }, if runner.aim == Aim::Leave => {
                tracing::warn!(leases = runner.held.leases(), "leaving without having given back every lease; they will expire");
                return Ok(());
            }
        }
    }
}

impl Runner {
    fn start(
        client: Client,
        device: Device,
        capacity: Capacity,
        events: UnboundedSender<Event>,
    ) -> Result<Self, RunError> {
        let client = Arc::new(client);
        let (mail, letters) = unbounded_channel();
        let bench = Bench {
            device,
            permits: Permits::new(capacity.threads),
            baselines: Baselines::new(Arc::clone(&client), Handle::current()),
            mail: mail.clone(),
            events: events.clone(),
        };
        let mut calls = JoinSet::new();
        let reporter = Reporter::new(Arc::clone(&client), letters, events);
        calls.spawn(async move {
            match reporter.run().await {
                Err(error) => Event::Refused(error),
                // There is no more mail: the runner is about to go, and this call with it.
                Ok(()) => std::future::pending().await,
            }
        });
        let next_beat = Box::pin(sleep(client.heartbeat_interval()));
        Ok(Self {
            client,
            device,
            held: Held::new(capacity),
            compute: Compute::start(capacity, bench)?,
            mail,
            calls,
            aim: Aim::Work,
            leasing: false,
            finishing: false,
            releasing: 0,
            beating: false,
            next_beat,
        })
    }

    /// Nothing is left to be done here.
    fn may_leave(&self) -> bool {
        self.aim != Aim::Work && self.held.is_empty() && self.releasing == 0
    }

    /// Starts whatever the situation calls for.
    fn act(&mut self) {
        if self.aim == Aim::Leave {
            while let Some(token) = self.held.give_back() {
                self.release(token);
            }
        } else {
            while let Some(assignment) = self.held.start() {
                self.compute.run(assignment);
            }
        }
        if self.aim == Aim::Work && !self.leasing && self.held.wants_lease() {
            self.leasing = true;
            self.ask(|client| async move { client.lease().await.map(|(lease, told)| Event::Leased(lease, told)) });
        }
        // Outcomes gather while others are on the way.
        if !self.finishing
            && let Some((token, outcomes)) = self.held.outcomes()
        {
            self.finishing = true;
            self.ask(|client| async move {
                client.finish(&token, outcomes).await.map(|verdict| Event::Finished(token, verdict))
            });
        }
    }

    fn on(&mut self, event: Event) -> Result<(), RunError> {
        match event {
            Event::Leased(lease, directives) => self.on_lease(lease, directives),
            Event::Beaten(directives) => {
                self.beating = false;
                self.next_beat = Box::pin(sleep(self.client.heartbeat_interval()));
                self.on_directives(directives);
            }
            Event::Finished(token, verdict) => {
                self.finishing = false;
                match verdict {
                    Verdict::Accepted => self.held.finished(&token),
                    Verdict::Stale => self.drop_lease(&token),
                }
            }
            Event::Released => self.releasing -= 1,
            Event::Durable { token, points } => {
                for (point, records) in points {
                    self.held.acknowledge(&token, point, records);
                }
            }
            Event::Dropped(token) => self.drop_lease(&token),
            Event::Progress { token, point, work_done } => self.held.progress(&token, point, work_done),
            Event::Ended { token, ended } => self.on_ended(&token, ended),
            Event::Refused(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn on_lease(&mut self, lease: Option<Leased>, directives: Directives) {
        self.leasing = false;
        self.on_directives(directives);
        let Some(lease) = lease else { return };
        if self.aim == Aim::Work {
            tracing::debug!(lease = %lease.token, sweep = lease.sweep, tasks = lease.tasks.len(), "leased");
            let device = self.device;
            self.held.take(lease, |tasks| engine::ensembles(tasks, device));
        } else {
            // It was granted while this worker was told to leave.
            self.release(lease.token);
        }
    }

    fn on_directives(&mut self, directives: Directives) {
        for token in directives.dropped {
            self.drop_lease(&token);
        }
        if directives.drain && self.aim == Aim::Work {
            tracing::info!("draining: no further leases are taken");
            self.aim = Aim::Drain;
        }
    }

    fn on_ended(&mut self, token: &Token, ended: Vec<Ended>) {
        for Ended { point, end, .. } in &ended {
            if let TaskEnd::Failed { error, permanent } = end {
                tracing::warn!(lease = %token, point, permanent, error, "a task failed");
            }
        }
        self.held.end(token, ended);
    }

    fn drop_lease(&mut self, token: &Token) {
        if self.held.drop_lease(token) {
            tracing::info!(lease = %token, "the lease has ended; its work is dropped");
        }
        // The reporter lives as long as the runner.
        self.mail.send(Mail::Drop(token.clone())).ok();
    }

    fn beat(&mut self) {
        self.beating = true;
        let running = self.held.running();
        self.ask(|client| async move { client.heartbeat(running).await.map(Event::Beaten) });
    }

    fn leave(&mut self) {
        tracing::info!(leases = self.held.leases(), "leaving: running tasks are stopped and leases given back");
        self.aim = Aim::Leave;
        self.held.stop();
    }

    fn release(&mut self, token: Token) {
        self.releasing += 1;
        self.ask(|client| async move { client.release(&token).await.map(|()| Event::Released) });
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
