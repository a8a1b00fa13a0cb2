//! The coordinator under a seeded simulation: the real service, scheduler and store, with the network, the disk's faults,
//! the workers and the time in the hands of chance.
//!
//! A seed decides everything: messages lost, doubled, late and overtaking, answers lost; workers that die, freeze and are cut
//! off; a coordinator that crashes, whose clock jumps, whose disk is full, and whose commits fail before or after they are
//! durable. After every step holds what the oracle in [`disk`] says: no lease overlaps another, no point finishes twice,
//! nothing is written under a lease that ended, nothing is acknowledged that is not durable, no attempts count that were
//! not made; the database holds what was written. Once faults stop every sweep ends, with the records of the attempts
//! that finished its points and no others.
//!
//! - [`world`]: events and the network; [`host`]: one life of the coordinator's process; [`worker`], [`reclaim`], [`people`]: who
//!   asks;
//!   [`calls`]: what they ask; [`disk`]: what is durable, and what may be; [`bugs`]: defects that must be found.
//!
//! A seed that fails prints itself. To replay it: `PHASEGRID_SIMULATION_SEED=N cargo test --release -p phasegrid-coordinator
//! --lib simulation::seeds`. `PHASEGRID_SIMULATION_SEEDS=N` asks for so many.

mod bugs;
mod calls;
mod chance;
mod disk;
mod host;
mod people;
mod reclaim;
mod worker;
mod world;

use std::panic::catch_unwind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use bugs::Bug;
use disk::Reached;
use worker::Origin;
use world::World;

use crate::results::TaskState;
use crate::scheduler::{Moment, SweepState};

/// By then every sweep has ended.
const END: Moment = Duration::from_secs(240 + 1800);
/// Steps between looks at whether all is over.
const STRIDE: usize = 32;

/// Plays a seed to its end. Panics if something does not hold. Returns how many events there were, and what they reached.
fn play(seed: u64, bug: Option<Bug>) -> (u64, Reached) {
    let mut world = World::new(seed, bug);
    let mut steps = 0;
    loop {
        let went_on = (0..STRIDE).all(|_| world.step(END));
        steps += STRIDE as u64;
        let over = is_over(&world);
        if over && world.calm {
            break;
        }
        assert!(went_on, "a sweep does not end: {:?}", world.disk.get().truth.sweeps());
    }
    let mut disk = world.disk.get();
    disk.check();
    for sweep in disk.truth.sweeps() {
        for result in disk.results(sweep.key) {
            if result.state != TaskState::Finished {
                continue;
            }
            // All of one attempt, be it another sweep's.
            let measured: Vec<_> = result.records.iter().map(|record| (record.step, Origin::of(record))).collect();
            let origin = measured.first().map_or(sweep.key, |(_, origin)| origin.sweep);
            let origin = Origin { sweep: origin, epoch: disk.truth.finished_by(origin, result.point) };
            let expected: Vec<_> = (0..worker::records(result.point)).map(|step| (step, origin)).collect();
            assert_eq!(measured, expected, "the records of point {}", result.point);
        }
    }
    (steps, disk.truth.reached)
}

fn is_over(world: &World) -> bool {
    let ended = world.disk.get().truth.sweeps().iter().all(|sweep| sweep.state != SweepState::Running);
    world.person.is_content() && ended
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}: a number is accepted")))
}

/// What seeds came to.
struct Played {
    /// The first that failed.
    failed: Option<u64>,
    events: u64,
    reached: Reached,
}

/// Plays seeds on all cores, in order, until one fails.
fn play_all(seeds: u64, bug: Option<Bug>) -> Played {
    let (next, failed, events) = (AtomicU64::new(0), AtomicU64::new(u64::MAX), AtomicU64::new(0));
    let reached = Mutex::new(Reached::default());
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds || seed > failed.load(Ordering::Relaxed) {
                        return;
                    }
                    match catch_unwind(|| play(seed, bug)) {
                        Ok((steps, of_one)) => {
                            events.fetch_add(steps, Ordering::Relaxed);
                            *reached.lock().unwrap() += of_one;
                        }
                        Err(_) => drop(failed.fetch_min(seed, Ordering::Relaxed)),
                    }
                }
            });
        }
    });
    let failed = Some(failed.into_inner()).filter(|seed| *seed != u64::MAX);
    Played { failed, events: events.into_inner(), reached: reached.into_inner().unwrap() }
}

#[test]
fn seeds_keep_every_promise() {
    if let Some(seed) = number("PHASEGRID_SIMULATION_SEED") {
        play(seed, None);
        return;
    }
    let seeds = number("PHASEGRID_SIMULATION_SEEDS").unwrap_or(if cfg!(debug_assertions) { 300 } else { 10_000 });
    let start = crate::clock::instant();
    let Played { failed, events, reached } = play_all(seeds, None);
    let seconds = start.elapsed().as_secs_f64();
    println!("bench simulation {:.0} seeds/s", seeds as f64 / seconds);
    println!("bench simulation_events {:.0} events/s", events as f64 / seconds);
    assert_eq!(failed, None, "a seed failed: its reason stands above; replay it alone by PHASEGRID_SIMULATION_SEED");
    let Reached { recalled, inherited, reclaimed, ceded } = reached;
    println!("records recalled {recalled}, inherited {inherited}; leases reclaimed {reclaimed}; points ceded {ceded}");
    // A few seeds may be without.
    assert!(seeds < 300 || [recalled, inherited, reclaimed, ceded].iter().all(|count| *count > 0), "{reached:?}");
}

#[test]
fn seeds_are_the_same_course_whenever_they_are_played() {
    for seed in 0..10 {
        assert_eq!(play(seed, None).0, play(seed, None).0, "seed {seed}");
    }
}

#[test]
fn seeded_bugs_are_caught() {
    for bug in Bug::ALL {
        let seed = play_all(500, Some(bug)).failed.unwrap_or_else(|| panic!("{bug:?} is not caught by 500 seeds"));
        println!("{bug:?} is caught by seed {seed}");
    }
}
