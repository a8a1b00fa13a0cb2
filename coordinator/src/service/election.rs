//! Several coordinators on one database: one leads, the others stand by until it falls silent.
//!
//! A thread of its own claims to lead, loads what is stored when it may, and then renews its term until somebody else has
//! taken the next, the database was out of reach for longer than a term, or the process ends. That two believe to lead for
//! a moment does no harm: the database takes writes of the newest term alone.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::watch;

use super::duty::{Duty, Running};
use super::{Coordinator, Keeping, OpenError, Settings};
use crate::clock;
use crate::scheduler::SweepKey;
use crate::store::postgres::{Address, Claim, Database, Term};

/// How long a term lasts that is not renewed: so long nobody leads after a leader died.
pub(super) const TERM: Duration = Duration::from_secs(4);
/// How often it is renewed, and how often those who stand by look whether it has run out.
const INTERVAL: Duration = Duration::from_secs(1);
/// How often it is asked whether everything is loaded.
const LOADING_INTERVAL: Duration = Duration::from_millis(20);

/// The thread that takes part. It leaves when it is told to, or with its last handle.
#[derive(Debug)]
pub(super) struct Office {
    leave: Mutex<Option<(mpsc::Sender<()>, JoinHandle<()>)>>,
}

impl Office {
    /// Closes the store, gives up the term, and returns when that is done. Blocks.
    pub(super) fn leave(&self) {
        let thread = self.leave.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((leave, thread)) = thread {
            drop(leave);
            // It can only fail by a panic, which was told.
            let _ = thread.join();
        }
    }
}

/// A coordinator that takes part in the election on a database; `url` is where it answers, and a term that is not renewed
/// lasts for `lasting`. Must be called within a runtime.
pub(super) fn take_part(
    database: Database,
    address: Address,
    url: String,
    keeping: Keeping,
    settings: Settings,
    lasting: Duration,
) -> Result<Coordinator, OpenError> {
    let (duty, coordinator) = Coordinator::new(keeping, settings);
    let (leave, told_to_leave) = mpsc::channel();
    let (known, runtime) = (coordinator.clone(), Handle::current());
    let candidate = Candidate { address, url, lasting, duty, told_to_leave, coordinator: known, runtime };
    let thread = thread::Builder::new().name("election".into()).spawn(move || candidate.run(database));
    let thread = thread.map_err(OpenError::Thread)?;
    let office = Office { leave: Mutex::new(Some((leave, thread))) };
    Ok(Coordinator { office: Some(Arc::new(office)), ..coordinator })
}

struct Candidate {
    address: Address,
    url: String,
    lasting: Duration,
    duty: watch::Sender<Duty>,
    /// Never says anything: it is closed.
    told_to_leave: mpsc::Receiver<()>,
    /// What is served here.
    coordinator: Coordinator,
    runtime: Handle,
}

/// A term in office.
struct Tenure {
    database: Database,
    claim: Claim,
    term: Term,
    /// It certainly lasts from here.
    renewed: Instant,
}

/// A store that is being loaded.
type Loading = JoinHandle<Result<(Running, Vec<SweepKey>), OpenError>>;

impl Candidate {
    fn run(self, database: Database) {
        let mut database = Some(database);
        while let Some(mut tenure) = self.stand_by(database.take()) {
            tracing::info!(term = %tenure.term, database = %self.address, "this coordinator leads");
            let leaving = self.lead(&mut tenure);
            self.tell("the coordinator has stopped leading, or is stopping; ask again".to_owned());
            if leaving {
                if let Err(error) = tenure.claim.resign(tenure.term) {
                    tracing::warn!(%error, "the term could not be given up; it runs out by itself");
                }
                return;
            }
        }
    }

    /// Waits until nobody else leads, and takes the next term. `None` if it is time to leave.
    fn stand_by(&self, database: Option<Database>) -> Option<Tenure> {
        let mut known = database.and_then(|database| Some((database.claim().ok()?, database)));
        loop {
            let asked = clock::instant();
            match self.claim(&mut known) {
                Ok(Ok(term)) => {
                    let (claim, database) = known?;
                    return Some(Tenure { database, claim, term, renewed: asked });
                }
                Ok(Err(reason)) => self.tell(reason),
                Err(error) => {
                    known = None;
                    self.tell(error.to_string());
                }
            }
            if self.is_to_leave_within(INTERVAL) {
                return None;
            }
        }
    }

    /// The next term, or why it is not to be had.
    fn claim(&self, known: &mut Option<(Claim, Database)>) -> Result<Result<Term, String>, OpenError> {
        let (claim, _) = match known {
            Some(known) => known,
            none => {
                // A later release may have been here meanwhile.
                let database = Database::open(&self.address)?;
                none.insert((database.claim()?, database))
            }
        };
        if let Some(term) = claim.take(&self.url, self.lasting)? {
            return Ok(Ok(term));
        }
        Ok(Err(match claim.leader()? {
            Some(leader) => format!("this coordinator stands by; the one at {leader} leads: ask that one"),
            None => "no coordinator leads at this moment; ask again".to_owned(),
        }))
    }

    /// Serves for as long as the term lasts. True if it is time to leave.
    fn lead(&self, tenure: &mut Tenure) -> bool {
        let mut loading = Some(self.load(tenure));
        let mut running = None;
        loop {
            let interval = if loading.is_some() { LOADING_INTERVAL } else { INTERVAL };
            if self.is_to_leave_within(interval) {
                if let Some(running) = running {
                    let running: Running = running;
                    self.runtime.block_on(running.shutdown());
                }
                return true;
            }
            if let Some(loaded) = loading.take_if(|loading| loading.is_finished()) {
                let Some(loaded) = self.serve(loaded) else { return false };
                running = Some(loaded);
            }
            if !self.renew(tenure) {
                return false;
            }
        }
    }

    /// Loads what is stored on a thread of its own, as the term is to be renewed meanwhile.
    fn load(&self, tenure: &Tenure) -> Loading {
        let (database, term, coordinator) = (tenure.database.clone(), tenure.term, self.coordinator.clone());
        let runtime = self.runtime.clone();
        thread::spawn(move || {
            let (store, reader, records) = (database.store(term)?, database.reader()?, database.reader()?);
            let _within = runtime.enter();
            Running::start(store, reader, records, &coordinator)
        })
    }

    /// Lets everybody have what was loaded.
    fn serve(&self, loaded: Loading) -> Option<Running> {
        let (running, unweighed) = match loaded.join() {
            Ok(Ok(loaded)) => loaded,
            Ok(Err(error)) => {
                tracing::error!(%error, "this coordinator cannot lead");
                return None;
            }
            // The panic was told.
            Err(_) => return None,
        };
        self.duty.send_replace(Duty::Serving(running.clone()));
        let _within = self.runtime.enter();
        unweighed.into_iter().for_each(|key| self.coordinator.weigh_soon(key));
        Some(running)
    }

    /// Whether the term still lasts.
    fn renew(&self, tenure: &mut Tenure) -> bool {
        let asked = clock::instant();
        match tenure.claim.renew(tenure.term, self.lasting) {
            Ok(true) => {
                tenure.renewed = asked;
                true
            }
            Ok(false) => {
                tracing::warn!(term = %tenure.term, "another coordinator leads by now; this one stands by");
                false
            }
            Err(error) => {
                let lasts = clock::instant() - tenure.renewed < self.lasting;
                tracing::warn!(%error, lasts, "the term could not be renewed");
                lasts
            }
        }
    }

    fn is_to_leave_within(&self, time: Duration) -> bool {
        !matches!(self.told_to_leave.recv_timeout(time), Err(RecvTimeoutError::Timeout))
    }

    /// Says why calls are not answered, where that is news.
    fn tell(&self, reason: String) {
        self.duty.send_if_modified(|duty| {
            let news = !matches!(duty, Duty::Absent(known) if *known == reason);
            if news {
                tracing::info!(reason, "standing by");
                *duty = Duty::Absent(reason);
            }
            news
        });
    }
}
