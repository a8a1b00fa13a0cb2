//! The one task that decides. Events come in through its inbox and are handled one after the other, synchronously; what
//! they change goes to the writer, and their answers go out behind it.
//!
//! Besides events it minds the time: leases that expire, workers that have waited long enough, watchers that want news.
//! When the store fails, whatever was decided on top of the failed write is void: the state is made anew from what is
//! stored, and calls are refused until that works.

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc as inbox, oneshot};
use tokio::time::Instant;

use super::aside;
use super::desk::Desk;
use super::parking::{Asking, Parking, Work};
use super::publisher::Publisher;
use crate::scheduler::{Change, Decision, LeaseKey, LeaseReply, Moment, Settings};
use crate::store::writer::{Batch, Done};
use crate::store::{Reader, StoreError, Write};

/// After a failure the store is tried again this often.
const RELOAD_INTERVAL: Duration = Duration::from_secs(1);

/// Something that happened. It changes the desk and says what to write, and whom to tell afterwards. Dropped, it refuses.
pub(super) type Event = Box<dyn FnOnce(&mut Desk, &mut Publisher, Moment) -> (Vec<Write>, Done) + Send>;

pub(super) enum Message {
    Event(Event),
    /// Asks for work, and is willing to wait so long.
    Ask(Asking, Duration),
    /// Batches of this generation cannot be written.
    StoreFailed(u64),
    /// Take no more, finish what is there.
    Shutdown(oneshot::Sender<()>),
}

/// Gone when the actor has ended.
pub(super) type SharedReader = Arc<Mutex<Option<Box<dyn Reader>>>>;

pub(super) struct Actor {
    pub(super) settings: Settings,
    pub(super) started: Instant,
    pub(super) inbox: inbox::Receiver<Message>,
    /// Back to the inbox, without keeping it open.
    pub(super) itself: inbox::WeakSender<Message>,
    /// Absent only while the actor ends.
    pub(super) writer: Option<mpsc::Sender<Batch>>,
    pub(super) writer_thread: Option<JoinHandle<()>>,
    pub(super) reader: SharedReader,
    /// Held only to be closed in order.
    pub(super) records: SharedReader,
    pub(super) desk: Desk,
    /// While the store fails: when to try it again.
    pub(super) reload: Option<Moment>,
    pub(super) parking: Parking,
    pub(super) publisher: Publisher,
    /// When leases may have expired.
    pub(super) tick: Moment,
}

impl Actor {
    pub(super) async fn run(mut self) {
        let mut stopped = None;
        loop {
            let wake = self.started + self.wake();
            tokio::select! {
                message = self.inbox.recv() => match message {
                    Some(Message::Shutdown(reply)) => {
                        self.inbox.close();
                        stopped = Some(reply);
                    }
                    Some(message) => self.on_message(message, self.started.elapsed()),
                    None => break,
                },
                () = tokio::time::sleep_until(wake) => {}
            }
            self.on_time(self.started.elapsed()).await;
        }
        let readers = [Arc::clone(&self.reader), Arc::clone(&self.records)];
        let (writer, thread) = (self.writer.take(), self.writer_thread.take());
        let close = move || {
            // The store is closed after its readers: whoever is last leaves it in order.
            for reader in readers {
                reader.lock().unwrap_or_else(PoisonError::into_inner).take();
            }
            drop(writer);
            // The thread commits what has gathered and closes the store.
            thread.map(JoinHandle::join)
        };
        // It can only fail by a panic, which was told.
        let _ = tokio::task::spawn_blocking(close).await;
        if let Some(reply) = stopped {
            let _ = reply.send(());
        }
    }

    /// What the writer tells when batches of a generation cannot be written.
    pub(super) fn failed(&self) -> impl Fn(u64, &StoreError) + Send + 'static {
        let itself = self.itself.clone();
        move |generation, error| {
            tracing::error!(%error, "a write failed; going back to what is stored");
            if let Some(itself) = itself.upgrade() {
                // Without an actor there is nobody to go back.
                let _ = itself.blocking_send(Message::StoreFailed(generation));
            }
        }
    }

    /// When to look at the time again.
    pub(super) fn wake(&self) -> Moment {
        // While there is nothing to decide upon, only those who wait have a time that can come.
        let tick = self.tick();
        let main = self.reload.unwrap_or_else(|| self.publisher.due().map_or(tick, |due| due.min(tick)));
        self.parking.due().map_or(main, |due| due.min(main))
    }

    /// When leases may have expired, or points have waited long enough.
    fn tick(&self) -> Moment {
        self.desk.scheduler.next_return().map_or(self.tick, |due| due.min(self.tick))
    }

    pub(super) fn on_message(&mut self, message: Message, now: Moment) {
        match message {
            Message::StoreFailed(generation) if generation == self.desk.generation => self.reload = Some(now),
            Message::StoreFailed(_) | Message::Shutdown(_) => {}
            // Dropping a call refuses it.
            Message::Event(_) | Message::Ask(..) if self.reload.is_some() => {}
            Message::Event(event) => {
                let (writes, done) = event(&mut self.desk, &mut self.publisher, now);
                self.submit(writes, done, now);
            }
            Message::Ask(mut asking, wait) => {
                asking.until = now + wait;
                if let Some(asking) = self.ask(asking, now) {
                    self.parking.park(asking);
                }
            }
        }
    }

    /// What is due by the time, or has become possible by an event.
    pub(super) async fn on_time(&mut self, now: Moment) {
        if self.reload.is_some_and(|due| due <= now) {
            self.reload(now).await;
        }
        if self.reload.is_none() {
            self.on_tick(now);
            if !self.parking.is_empty() {
                let mut parking = std::mem::take(&mut self.parking);
                let drained = std::mem::take(&mut self.desk.drained);
                if self.desk.scheduler.take_news() || drained {
                    parking.ask_again(|asking| self.ask(asking, now));
                }
                self.parking = parking;
            }
            if let Some(done) = self.publisher.publish(&self.desk, now) {
                self.send(Vec::new(), done);
            }
        }
        self.parking.expire(now);
    }

    fn on_tick(&mut self, now: Moment) {
        if now < self.tick() {
            return;
        }
        let decision = self.desk.scheduler.on_tick(now);
        // Whatever begins later than now ends later than this.
        let latest = now + self.settings.lease_time;
        self.tick = decision.reply.map_or(latest, |wake| wake.min(latest));
        if !decision.changes.is_empty() {
            let writes = decision.changes.into_iter().map(Write::Schedule).collect();
            self.submit(writes, Box::new(|_| {}), now);
        }
    }

    /// Asks the scheduler for work. Hands back who is to wait.
    fn ask(&mut self, asking: Asking, now: Moment) -> Option<Asking> {
        if asking.reply.is_closed() {
            return None;
        }
        // Whatever becomes of the reply, what was decided is written.
        let decided = self.desk.scheduler.on_lease_request(&asking.worker, now);
        let (changes, reply) = match decided {
            Ok(Decision { changes, reply }) => (changes, Ok(reply)),
            Err(refused) => (Vec::new(), Err(refused)),
        };
        let writes: Vec<_> = changes.into_iter().map(Write::Schedule).collect();
        let (granted, work) = match reply {
            Err(refused) => (None, Err(refused.into())),
            Ok(LeaseReply::Nothing) => {
                if !writes.is_empty() {
                    self.submit(writes, Box::new(|_| {}), now);
                }
                return Some(asking);
            }
            Ok(LeaseReply::Drain) => (None, Ok(Work::Drain)),
            Ok(LeaseReply::Granted(grant)) => (Some(grant.lease), self.desk.work(grant)),
        };
        let itself = self.itself.clone();
        let done = move |outcome: Result<(), StoreError>| {
            // A lease that could not be written is none, and its name may soon be another's.
            let granted = granted.filter(|_| outcome.is_ok());
            let of_use = work.is_ok();
            let delivered = asking.reply.send(outcome.map_err(Into::into).and(work)).is_ok() && of_use;
            if let (false, Some(lease), Some(itself)) = (delivered, granted, itself.upgrade()) {
                // Who asked has gone meanwhile, or can do nothing with it. If the inbox is full the lease ends by its time.
                let _ = itself.try_send(Message::Event(release(lease)));
            }
        };
        self.submit(writes, Box::new(done), now);
        None
    }

    fn submit(&mut self, writes: Vec<Write>, done: Done, now: Moment) {
        let ends = writes.iter().any(|write| matches!(write, Write::Schedule(Change::Moved { .. })));
        self.publisher.nudge(now, ends);
        self.send(writes, done);
    }

    fn send(&self, writes: Vec<Write>, done: Done) {
        if let Some(writer) = &self.writer {
            // Without its thread nothing can be written; dropped, the batch refuses.
            let _ = writer.send(Batch { generation: self.desk.generation, writes, done });
        }
    }

    async fn reload(&mut self, now: Moment) {
        let reader = Arc::clone(&self.reader);
        let load = move || reader.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(|reader| reader.sweeps());
        let stored = match aside::run(load).await {
            Ok(Some(Ok(stored))) => stored,
            Ok(Some(Err(error))) => return self.reload_later(&error, now),
            Ok(None) => return,
            Err(error) => return self.reload_later(&error, now),
        };
        self.desk = Desk::restore(self.settings.clone(), stored, now, Some(&mut self.desk));
        self.reload = None;
        self.tick = now;
        self.publisher.forget_untold(now);
        tracing::warn!("went back to the stored state after a failed write");
    }

    fn reload_later(&mut self, error: &dyn std::error::Error, now: Moment) {
        tracing::error!(%error, "the stored state cannot be read; calls are refused until it can");
        self.reload = Some(now + RELOAD_INTERVAL);
    }
}

/// Gives a lease back that its worker never heard of.
pub(super) fn release(lease: LeaseKey) -> Event {
    Box::new(move |desk, _, _| {
        let decision = desk.scheduler.on_release(lease);
        (decision.changes.into_iter().map(Write::Schedule).collect(), Box::new(|_| {}))
    })
}
