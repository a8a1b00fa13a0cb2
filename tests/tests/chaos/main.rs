//! Everything at once, at random: coordinators, workers and the database killed or frozen, links cut, answers lost, for as
//! long as `PHASEGRID_CHAOS_SECONDS` says on each kind of store. Every sweep ends all the same, with the tables of a run in
//! which nothing happened.
//!
//! What happens is drawn from `PHASEGRID_CHAOS_SEED`, which is told where the test fails; when it happens is the machine's.

mod fate;
mod stage;

use std::hash::{BuildHasher, RandomState};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use fate::{Fate, Misfortune, TO_ALL, TO_SERVERS};
use phasegrid_tests::tables::column;
use phasegrid_tests::{Cluster, Postgres, Tables, sweeps, wait};
use stage::Stage;

/// A quiet run of the sweep takes seconds: several misfortunes fall into each.
const STEPS: u64 = 4000;
const SEEDS: u64 = 8;
const POINTS: usize = 4 * SEEDS as usize;

/// Records are sealed forty at a time, of whole points, and the rest when the sweep has ended. A crash may leave a file more.
const LEAST_SEGMENTS: usize = POINTS * sweeps::RECORDS / 50;

/// What there is on each kind of store, unless something else is asked for. It is enough for two or three sweeps.
const SECONDS: u64 = 40;

/// Both tests at once would be in each other's way.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

static SOURCE: LazyLock<String> = LazyLock::new(|| sweeps::quadratic(STEPS, SEEDS));

/// The tables of a run in which nothing happened.
static UNDISTURBED: LazyLock<Tables> = LazyLock::new(|| {
    let cluster = Cluster::start();
    let _worker = cluster.worker();
    let sweep = cluster.submit(&SOURCE);
    cluster.until_complete(&sweep);
    Tables::of(&cluster, &sweep)
});

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}: {text:?} is not accepted; it takes a whole number")))
}

fn assert_undisturbed(cluster: &Cluster, sweep: &str) {
    cluster.until_complete(sweep);
    assert_eq!(column(&cluster.table(sweep, "tasks"), "state"), vec!["finished"; POINTS]);
    Tables::of(cluster, sweep).assert_equal(&UNDISTURBED);
}

/// Sweep after sweep, each on a stage of its own, on a database of the server if there is one; misfortunes of these kinds
/// strike.
fn play(kinds: Vec<Misfortune>, server: Option<&Postgres>) {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    LazyLock::force(&UNDISTURBED);
    let seed = number("PHASEGRID_CHAOS_SEED").unwrap_or_else(|| RandomState::new().hash_one(0) >> 32);
    let time = Duration::from_secs(number("PHASEGRID_CHAOS_SECONDS").unwrap_or(SECONDS));
    println!("PHASEGRID_CHAOS_SEED={seed}");
    let mut fate = Fate::new(seed, kinds);
    let start = Instant::now();
    let mut sweeps: u32 = 0;
    while start.elapsed() < time {
        sweeps += 1;
        let mut stage = match server {
            Some(server) => Stage::on_server(server, &format!("chaos_{sweeps}"), &mut fate),
            None => Stage::on_folder(&mut fate),
        };
        let sweep = stage.cluster.create_sweep("a wish", &SOURCE);
        while start.elapsed() < time && !stage.has_ended(&sweep) {
            let calm = stage.fate.chance.millis(1500);
            sleep(calm);
            stage.strike();
        }
        assert_undisturbed(&stage.cluster, &sweep);
        wait::until("all records are sealed", || (stage.cluster.segments(&sweep) >= LEAST_SEGMENTS).then_some(()));
        assert_undisturbed(&stage.cluster, &sweep);
        stage.assert_all_live();
    }
    println!("{sweeps} sweeps in {:.0} s: {fate}", start.elapsed().as_secs_f64());
}

#[test]
fn sweeps_that_everything_happens_to_end_as_if_nothing_had() {
    play(TO_ALL.to_vec(), None);
}

#[test]
fn with_several_coordinators_and_a_database_that_everything_happens_to_sweeps_end_as_if_nothing_had() {
    play([&TO_ALL[..], &TO_SERVERS].concat(), Some(&Postgres::new()));
}
