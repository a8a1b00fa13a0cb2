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
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use bugs::Bug;
use world::World;

use crate::results::TaskState;
use crate::scheduler::{Moment, SweepState};

/// By then every sweep has ended.
const END: Moment = Duration::from_secs(240 + 1800);
/// Steps between looks at whether all is over.
const STRIDE: usize = 32;

/// Plays a seed to its end. Panics if something does not hold. Returns how many events there were.
fn play(seed: u64, bug: Option<Bug>) -> u64 {
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
            let epoch = disk.truth.finished_by(sweep.key, result.point) as f64;
            let measured: Vec<_> = result.records.iter().map(|record| (record.step, record.train_loss)).collect();
            let expected: Vec<_> = (0..worker::records(result.point)).map(|step| (step, Some(epoch))).collect();
            assert_eq!(measured, expected, "the records of point {}", result.point);
        }
    }
    steps
}

fn is_over(world: &World) -> bool {
    let ended = world.disk.get().truth.sweeps().iter().all(|sweep| sweep.state != SweepState::Running);
    world.person.is_content() && ended
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}: a number is accepted")))
}

/// Plays seeds on all cores, in order. Returns the first that fails, with why.
fn first_failure(seeds: u64, bug: Option<Bug>) -> (u64, Option<u64>) {
    let (next, failed, events) = (AtomicU64::new(0), AtomicU64::new(u64::MAX), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds || seed > failed.load(Ordering::Relaxed) {
                        return;
                    }
                    match catch_unwind(|| play(seed, bug)) {
                        Ok(steps) => drop(events.fetch_add(steps, Ordering::Relaxed)),
                        Err(_) => drop(failed.fetch_min(seed, Ordering::Relaxed)),
                    }
                }
            });
        }
    });
    (events.into_inner(), Some(failed.into_inner()).filter(|seed| *seed != u64::MAX))
}

#[test]
fn seeds_keep_every_promise() {
    if let Some(seed) = number("PHASEGRID_SIMULATION_SEED") {
        play(seed, None);
        return;
    }
    let seeds = number("PHASEGRID_SIMULATION_SEEDS").unwrap_or(if cfg!(debug_assertions) { 300 } else { 10_000 });
    let start = crate::clock::instant();
    let (events, failed) = first_failure(seeds, None);
    let seconds = start.elapsed().as_secs_f64();
    println!("bench simulation {:.0} seeds/s", seeds as f64 / seconds);
    println!("bench simulation_events {:.0} events/s", events as f64 / seconds);
    assert_eq!(failed, None, "a seed failed: its reason stands above; replay it alone by PHASEGRID_SIMULATION_SEED");
}

#[test]
fn seeds_are_the_same_course_whenever_they_are_played() {
    for seed in 0..10 {
        assert_eq!(play(seed, None), play(seed, None), "seed {seed}");
    }
}

#[test]
fn seeded_bugs_are_caught() {
    for bug in Bug::ALL {
        let (_, caught) = first_failure(500, Some(bug));
        let seed = caught.unwrap_or_else(|| panic!("{bug:?} is not caught by 500 seeds"));
        println!("{bug:?} is caught by seed {seed}");
    }
}
