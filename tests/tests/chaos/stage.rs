//! A cluster to which things happen.

use std::thread::sleep;

use phasegrid_tests::{Cluster, Link, Postgres, Process};

use crate::fate::{Fate, Misfortune};

const WORKERS: usize = 3;

/// Leases shorter than some cuts and longer than others. Attempts without end: a point that happens to be running whenever a
/// worker is killed is not at fault. Records are sealed a few points at a time, so that this too is interrupted.
const SETTINGS: [(&str, &str); 3] = [("LEASE_TIME", "2s"), ("MAX_ATTEMPTS", "1000000"), ("SEAL_RECORDS", "40")];

/// A cluster, in which everything is reached through a link. A new one for each sweep: what one has computed another would
/// be given.
pub(crate) struct Stage<'a> {
    pub(crate) cluster: Cluster,
    /// Of each worker one to each coordinator.
    links: Vec<Vec<Link>>,
    workers: Vec<Process>,
    server: Option<Server<'a>>,
    pub(crate) fate: &'a mut Fate,
}

/// A server that holds the store, and the link by which coordinators reach it.
struct Server<'a> {
    postgres: &'a Postgres,
    link: Link,
}

impl<'a> Stage<'a> {
    /// One coordinator, on a folder.
    pub(crate) fn on_folder(fate: &'a mut Fate) -> Self {
        Self::of(Cluster::with_settings(SETTINGS), None, fate)
    }

    /// Two coordinators, on a new database of the server.
    pub(crate) fn on_server(postgres: &'a Postgres, database: &str, fate: &'a mut Fate) -> Self {
        let _ = postgres.database(database);
        let link = Link::to(&postgres.address());
        let url = postgres.url_through(&link, database);
        Self::of(Cluster::of_two_with_settings(&url, SETTINGS), Some(Server { postgres, link }), fate)
    }

    fn of(cluster: Cluster, server: Option<Server<'a>>, fate: &'a mut Fate) -> Self {
        let links = || cluster.url().split(',').map(Link::to).collect();
        let links: Vec<Vec<Link>> = (0..WORKERS).map(|_| links()).collect();
        let workers = links.iter().map(|links| worker(&cluster, links)).collect();
        Self { cluster, links, workers, server, fate }
    }

    /// Whoever was not struck lives: a process that ends by itself would be started again with the next misfortune, and
    /// nobody would know.
    pub(crate) fn assert_all_live(&mut self) {
        let Self { cluster, workers, .. } = self;
        for process in cluster.coordinators().iter_mut().chain(workers) {
            assert!(process.is_running(), "a process has ended by itself: {}", process.stderr());
        }
    }

    /// One misfortune, and its mending.
    pub(crate) fn strike(&mut self) {
        self.assert_all_live();
        let which = self.fate.chance.below(WORKERS);
        match self.fate.draw() {
            Misfortune::WorkerKilled => {
                self.workers[which].kill();
                self.pass(1000);
                self.restart_worker(which);
            }
            Misfortune::WorkerSentAway => {
                self.workers[which].terminate();
                self.workers[which].wait();
                self.restart_worker(which);
            }
            Misfortune::CoordinatorKilled => {
                self.kill_coordinators();
                self.pass(3000);
                self.cluster.restart_coordinator();
            }
            Misfortune::CoordinatorFrozen => {
                let coordinator = self.fate.chance.below(self.cluster.coordinators().len());
                self.cluster.coordinators()[coordinator].freeze();
                self.pass(8000);
                self.cluster.coordinators()[coordinator].thaw();
            }
            Misfortune::LinkCut => self.between(which, Link::cut, 4000),
            Misfortune::LinkMuted => self.between(which, Link::mute, 4000),
            Misfortune::AllAtOnce => {
                self.links[which].iter().for_each(Link::mute);
                self.pass(500);
                self.workers[which].kill();
                self.kill_coordinators();
                self.links[which].iter().for_each(Link::mend);
                self.cluster.restart_coordinator();
                self.restart_worker(which);
            }
            Misfortune::ServerKilled => {
                self.server().postgres.kill();
                self.pass(3000);
                self.server().postgres.start();
            }
            Misfortune::ServerCutOff => {
                self.server().link.cut();
                self.pass(8000);
                self.server().link.mend();
            }
            Misfortune::ServerMuted => {
                self.server().link.mute();
                self.pass(8000);
                self.server().link.mend();
            }
        }
    }

    /// Whether the sweep has ended, as far as can be known just now.
    pub(crate) fn has_ended(&self, sweep: &str) -> bool {
        self.cluster.progress(sweep).is_some_and(|progress| progress.leased + progress.pending == 0)
    }

    /// Does something to all links of a worker, and mends them after a while.
    fn between(&mut self, which: usize, harm: impl Fn(&Link), most: usize) {
        self.links[which].iter().for_each(harm);
        self.pass(most);
        self.links[which].iter().for_each(Link::mend);
    }

    /// Any one of the coordinators, or all of them.
    fn kill_coordinators(&mut self) {
        let coordinators = self.cluster.coordinators();
        let one = self.fate.chance.below(coordinators.len() + 1);
        for (number, coordinator) in coordinators.iter_mut().enumerate() {
            if number == one || one == self.links[0].len() {
                coordinator.kill();
            }
        }
    }

    fn restart_worker(&mut self, which: usize) {
        self.workers[which] = worker(&self.cluster, &self.links[which]);
    }

    fn server(&self) -> &Server<'a> {
        self.server.as_ref().expect("what happens to servers happens where there is one")
    }

    /// Lets some time pass, up to so many milliseconds.
    fn pass(&mut self, most: usize) {
        sleep(self.fate.chance.millis(most));
    }
}

/// A worker that reaches each coordinator through a link.
fn worker(cluster: &Cluster, links: &[Link]) -> Process {
    let urls: Vec<_> = links.iter().map(Link::url).collect();
    cluster.worker_through(&urls.join(","), [])
}
