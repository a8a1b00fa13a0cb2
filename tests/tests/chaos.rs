//! Everything at once, at random: coordinator and workers killed, links cut, answers lost, for a minute or as long as
//! `PHASEGRID_CHAOS_SECONDS` says. Every sweep ends all the same, with the tables of a run in which nothing happened.
//!
//! What happens is drawn from `PHASEGRID_CHAOS_SEED`, which is told where the test fails; when it happens is the machine's.

use std::hash::{BuildHasher, RandomState};
use std::thread::sleep;
use std::time::{Duration, Instant};

use phasegrid_tests::tables::column;
use phasegrid_tests::{Cluster, Link, Process, Tables, sweeps};

/// A quiet run of the sweep takes seconds: several misfortunes fall into each.
const STEPS: u64 = 4000;
const SEEDS: u64 = 8;
const POINTS: usize = 4 * SEEDS as usize;
const WORKERS: usize = 3;

/// Shorter than some cuts and longer than others. Attempts without end: a point that happens to be running whenever a
/// worker is killed is not at fault.
const SETTINGS: [(&str, &str); 2] = [("LEASE_TIME", "2s"), ("MAX_ATTEMPTS", "1000000")];

/// What to do next, from a seed: the generator is SplitMix64.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (bits ^ (bits >> 31)) % bound
    }

    fn millis(&mut self, most: u64) -> Duration {
        Duration::from_millis(self.below(most))
    }
}

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}: {text:?} is not accepted; it takes a whole number")))
}

/// What happens, and how often each kind of it has.
struct Fate {
    chance: Chance,
    happened: [u32; 6],
}

/// A cluster to which things happen. A new one for each sweep: what one has computed another would be given.
struct Stage<'a> {
    cluster: Cluster,
    links: Vec<Link>,
    workers: Vec<Process>,
    fate: &'a mut Fate,
}

impl<'a> Stage<'a> {
    fn new(fate: &'a mut Fate) -> Self {
        let cluster = Cluster::with_settings(SETTINGS);
        let links: Vec<Link> = (0..WORKERS).map(|_| Link::to(cluster.url())).collect();
        let workers = links.iter().map(|link| cluster.worker_through(&link.url(), [])).collect();
        Self { cluster, links, workers, fate }
    }

    fn restart_worker(&mut self, which: usize) {
        self.workers[which] = self.cluster.worker_through(&self.links[which].url(), []);
    }

    /// One misfortune, and its mending.
    fn strike(&mut self) {
        let which = self.fate.chance.below(WORKERS as u64) as usize;
        let kind = self.fate.chance.below(self.fate.happened.len() as u64) as usize;
        self.fate.happened[kind] += 1;
        match kind {
            0 => {
                self.workers[which].kill();
                sleep(self.fate.chance.millis(1000));
                self.restart_worker(which);
            }
            1 => {
                self.workers[which].terminate();
                self.workers[which].wait();
                self.restart_worker(which);
            }
            2 => {
                self.cluster.coordinator().kill();
                sleep(self.fate.chance.millis(3000));
                self.cluster.restart_coordinator();
            }
            3 => {
                self.links[which].cut();
                sleep(self.fate.chance.millis(4000));
                self.links[which].mend();
            }
            4 => {
                self.links[which].mute();
                sleep(self.fate.chance.millis(4000));
                self.links[which].mend();
            }
            // A coordinator and a worker at once, and both without answers before.
            _ => {
                self.links[which].mute();
                sleep(self.fate.chance.millis(500));
                self.workers[which].kill();
                self.cluster.coordinator().kill();
                self.links[which].mend();
                self.cluster.restart_coordinator();
                self.restart_worker(which);
            }
        }
    }

    /// Whether the sweep has ended, as far as can be known just now.
    fn has_ended(&self, sweep: &str) -> bool {
        self.cluster.progress(sweep).is_some_and(|progress| progress.leased + progress.pending == 0)
    }
}

fn assert_undisturbed(cluster: &Cluster, sweep: &str, undisturbed: &Tables) {
    cluster.until_complete(sweep);
    assert_eq!(column(&cluster.table(sweep, "tasks"), "state"), vec!["finished"; POINTS]);
    Tables::of(cluster, sweep).assert_equal(undisturbed);
}

#[test]
fn sweeps_that_everything_happens_to_end_as_if_nothing_had() {
    let source = sweeps::quadratic(STEPS, SEEDS);
    let undisturbed = {
        let cluster = Cluster::start();
        let _worker = cluster.worker();
        let sweep = cluster.submit(&source);
        cluster.until_complete(&sweep);
        Tables::of(&cluster, &sweep)
    };

    let seed = number("PHASEGRID_CHAOS_SEED").unwrap_or_else(|| RandomState::new().hash_one(0) >> 32);
    let time = Duration::from_secs(number("PHASEGRID_CHAOS_SECONDS").unwrap_or(60));
    println!("PHASEGRID_CHAOS_SEED={seed}");
    let mut fate = Fate { chance: Chance(seed), happened: [0; 6] };
    let start = Instant::now();
    let mut sweeps = 0;
    while start.elapsed() < time {
        sweeps += 1;
        let mut stage = Stage::new(&mut fate);
        let sweep = stage.cluster.create_sweep("a wish", &source);
        while start.elapsed() < time && !stage.has_ended(&sweep) {
            let calm = stage.fate.chance.millis(1500);
            sleep(calm);
            stage.strike();
        }
        assert_undisturbed(&stage.cluster, &sweep, &undisturbed);
    }
    let [killed, left, coordinators, cut, muted, both] = fate.happened;
    println!(
        "{sweeps} sweeps in {:.0} s: {killed} workers killed, {left} sent away, {coordinators} coordinators killed, {cut} links \
         cut, {muted} muted, {both} times all at once",
        start.elapsed().as_secs_f64()
    );
}
