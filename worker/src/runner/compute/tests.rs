//! Claims about running ensembles, with engines of the tests' own.

use std::ops::Range;
use std::sync::mpsc;
use std::time::Duration;

use phasegrid_proto::v1;
use phasegrid_proto::v1::outcome::Outcome;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::*;
use crate::client::{Client, Leased, Token};
use crate::runner::held::tests::mixed;
use crate::runner::held::{Held, Sending};
use crate::runner::shelf;
use crate::runner::spool::{Spool, SpoolSettings};
use crate::surroundings::TaskEnd;

/// An engine that stacks any tasks.
fn engine(run: fn(Vec<Start>, Device, &Permits, &dyn Surroundings)) -> Engine {
    #[expect(clippy::single_range_in_vec_init, reason = "one ensemble that spans all tasks")]
    let ensembles = |tasks: &[TaskConfig], _: Device| vec![0..tasks.len()];
    Engine { run, ensembles }
}

fn bench(engine: Engine, width: usize, leases: impl IntoIterator<Item = Leased>) -> (Bench, UnboundedReceiver<Mail>) {
    let mut held = Held::new(width);
    leases.into_iter().for_each(|lease| held.take(lease, false));
    // Nobody is there: no baseline is asked for.
    let client = Arc::new(Client::new("http://127.0.0.1:9", &Default::default(), "w", 1, "cpu").unwrap());
    let (mail, letters) = unbounded_channel();
    let bench = Bench {
        engine,
        width,
        permits: Permits::new(1),
        desk: Arc::new(Desk::new(held)),
        baselines: Baselines::new(client, Handle::current()),
        library: None,
        mail,
        room: Spool::new(SpoolSettings::default()).room(),
    };
    (bench, letters)
}

/// Runs the next ensemble on this thread.
fn run_next(bench: &Bench) {
    let ensemble = bench.desk.next(bench.width, |tasks| bench.stack(tasks, Device::Cpu)).expect("an ensemble waits");
    bench.run(ensemble, Device::Cpu);
}

/// Points and outcomes of the first lease that has any.
fn outcomes(bench: &Bench) -> Vec<(u64, Outcome)> {
    let Sending { token, outcomes, .. } = bench.desk.held().outcomes().expect("a point has ended");
    bench.desk.held().finished(&token);
    outcomes.into_iter().map(|of| (of.point, of.outcome.unwrap())).collect()
}

fn completed(records: u64) -> Outcome {
    Outcome::Completed(v1::Completed { records })
}

fn failed(error: &str) -> Outcome {
    Outcome::Failed(v1::Failed { error: error.into(), permanent: false })
}

#[tokio::test]
async fn a_panic_fails_those_that_have_not_ended_for_now_with_its_message() {
    let engine = engine(|_, _, _, surroundings| {
        surroundings.ended(1, TaskEnd::Completed);
        panic!("out of memory on step {}", 7);
    });
    let (bench, _letters) = bench(engine, 3, [mixed("a", 0..3, |_| 0)]);
    run_next(&bench);
    let failure = || failed("the engine panicked: out of memory on step 7");
    assert_eq!(outcomes(&bench), [(1, completed(0)), (0, failure()), (2, failure())]);
    assert!(bench.desk.held().is_empty(), "the thread is free");
}

#[tokio::test]
async fn an_engine_that_loses_a_task_fails_it_alone_and_an_end_counts_once() {
    let engine = engine(|_, _, _, surroundings| {
        surroundings.ended(0, TaskEnd::Completed);
        surroundings.ended(0, TaskEnd::Stopped);
    });
    let (bench, _letters) = bench(engine, 2, [mixed("a", 0..2, |_| 0)]);
    run_next(&bench);
    assert_eq!(outcomes(&bench), [(0, completed(0)), (1, failed("the engine has lost the task"))]);
}

#[tokio::test]
async fn waiting_points_take_the_places_of_those_that_have_left_whatever_their_lease() {
    let engine = engine(|starts, _, _, surroundings| {
        assert_eq!(starts.len(), 2);
        assert!(surroundings.newcomers(9).is_empty(), "all places are taken");
        surroundings.ended(1, TaskEnd::Completed);
        assert!(surroundings.newcomers(0).is_empty());
        let newcomers = surroundings.newcomers(9);
        assert_eq!(newcomers.iter().map(|start| start.task.train.steps).collect::<Vec<_>>(), [2]);
        surroundings.record(2, v1::Record::default());
        surroundings.progress(2, 0.5);
        surroundings.ended(0, TaskEnd::Completed);
        surroundings.ended(2, TaskEnd::Stopped);
        assert_eq!(surroundings.newcomers(9).len(), 1, "the last that waits");
        surroundings.ended(3, TaskEnd::Completed);
        assert!(surroundings.newcomers(9).is_empty());
    });
    let (bench, mut letters) = bench(engine, 2, [mixed("a", 0..3, |point| point), mixed("b", 7..8, |point| point)]);
    run_next(&bench);
    let Some(Mail::Record { token, point: 2, .. }) = letters.recv().await else { panic!("a record of point 2") };
    assert_eq!(token, Token::new("a"));
    assert_eq!(outcomes(&bench), [(1, completed(0)), (0, completed(0))]);
    assert_eq!(outcomes(&bench), [(7, completed(0))]);
    bench.desk.leave();
    assert_eq!(bench.desk.held().give_back(), Some(Token::new("a")), "point 2 was stopped");
}

#[tokio::test]
async fn a_dropped_lease_stops_its_members_alone() {
    let engine = engine(|_, _, _, surroundings| {
        assert!(surroundings.stopped(0) && !surroundings.stopped(1));
        surroundings.ended(0, TaskEnd::Stopped);
        surroundings.ended(1, TaskEnd::Completed);
    });
    let (bench, _letters) = bench(engine, 2, [mixed("a", 0..1, |_| 0), mixed("b", 7..8, |_| 0)]);
    let ensemble = bench.desk.next(2, |tasks| tasks.len()).unwrap();
    bench.desk.held().drop_lease(&Token::new("a"));
    bench.run(ensemble, Device::Cpu);
    assert_eq!(outcomes(&bench), [(7, completed(0))]);
}

/// Runs everything on one thread until its device is given up, which it must be. Returns why, and the points that ended.
async fn given_up(engine: Engine, device: Device, points: Range<u64>) -> (String, Vec<u64>) {
    let (bench, _letters) = bench(engine, 1, [mixed("a", points, |point| point)]);
    let desk = Arc::clone(&bench.desk);
    let _compute = Compute::start(&Capacity { slots: 1, devices: vec![device] }, bench).unwrap();
    while desk.held().given_up().is_none() {
        desk.changed().await;
    }
    let reason = desk.held().given_up().unwrap().to_owned();
    let outcomes = desk.held().outcomes().expect("a point has failed").outcomes;
    (reason, outcomes.into_iter().map(|outcome| outcome.point).collect())
}

#[tokio::test]
async fn a_gpu_on_which_the_engine_panics_is_given_up_before_it_fails_another_point() {
    let engine = engine(|_, _, _, _| panic!("CUDA error: an illegal memory access was encountered"));
    let (reason, failed) = given_up(engine, Device::Cuda(3), 0..3).await;
    assert_eq!(
        reason,
        "nothing more is computed on cuda:3: it may be unusable, since the engine panicked: CUDA error: an illegal memory \
         access was encountered"
    );
    assert_eq!(failed, [0]);
}

#[tokio::test]
async fn a_device_on_which_ensemble_after_ensemble_fails_is_given_up() {
    // The third point is computed; what failed before it does not count.
    let engine = engine(|starts, _, _, surroundings| match starts[0].task.train.steps {
        2 => surroundings.ended(0, TaskEnd::Completed),
        3 => surroundings.ended(0, TaskEnd::Stopped),
        _ => panic!("no memory"),
    });
    let (reason, ended) = given_up(engine, Device::Cpu, 0..20).await;
    assert_eq!(
        reason,
        "nothing more is computed on cpu: 5 ensembles in a row failed, at last because the engine panicked: no memory"
    );
    assert_eq!(ended, [0, 1, 2, 4, 5, 6, 7, 8], "3 was stopped");
}

#[tokio::test]
async fn a_point_that_fails_wherever_it_runs_does_not_speak_against_the_device() {
    let engine = engine(|_, _, _, surroundings| {
        surroundings.ended(0, TaskEnd::Failed { error: "the loss is not finite".into(), permanent: true });
    });
    let (bench, _letters) = bench(engine, 1, [mixed("a", 0..20, |_| 0)]);
    let mut trust = Trust::default();
    for _ in 0..20 {
        let ensemble = bench.desk.next(1, |tasks| tasks.len()).unwrap();
        assert_eq!(trust.after(bench.run(ensemble, Device::Cuda(0))), Ok(()));
    }
}

#[tokio::test]
async fn threads_that_wait_are_woken_when_the_lease_is_gone_that_they_wait_for() {
    let (bench, _letters) = bench(Engine::default(), 1, [mixed("a", 0..1, |_| 0), mixed("b", 7..8, |_| 0)]);
    let (desk, (asked, ask), (found, find)) = (Arc::clone(&bench.desk), mpsc::channel(), mpsc::channel());
    let thread = Arc::clone(&desk);
    std::thread::spawn(move || {
        let mut first = true;
        // The lock is held from here until the thread waits.
        let stack = |_: &[TaskConfig]| {
            asked.send(()).unwrap();
            usize::from(!std::mem::take(&mut first))
        };
        let stack = std::cell::RefCell::new(stack);
        found.send(thread.next(1, |tasks| (stack.borrow_mut())(tasks)).unwrap()[0].point).unwrap();
    });
    ask.recv().unwrap();
    desk.drop_lease(&Token::new("a"));
    assert_eq!(find.recv_timeout(Duration::from_secs(60)), Ok(7));
}

/// A snapshot's bytes, as an engine would make them.
fn snapshot(step: u64) -> v1::Snapshot {
    v1::Snapshot { digest: "d".into(), step, ..Default::default() }
}

#[tokio::test]
async fn a_snapshot_is_kept_for_whoever_goes_on_and_deleted_once_the_point_is_finished() {
    let engine = engine(|_, _, _, surroundings| {
        assert!(surroundings.wants_snapshot(0));
        surroundings.keep_snapshot(0, snapshot(5));
        assert!(!surroundings.wants_snapshot(0), "one is on the way");
        surroundings.ended(0, TaskEnd::Completed);
        surroundings.ended(1, TaskEnd::Completed);
    });
    let (mut bench, _letters) = bench(engine, 2, [mixed("a", 0..2, |_| 0)]);
    let (_folder, library) = shelf::tests::library(Duration::ZERO);
    bench.library = Some(library.clone());
    run_next(&bench);
    let token = bench.desk.held().outcomes().unwrap().token;
    let shelves = bench.desk.held().finished(&token);
    assert_eq!(shelves.len(), 1, "the other took no snapshot");
    shelves[0].clear().await;
    assert_eq!(library.snapshots.newest("d").await, None);
}

#[tokio::test]
async fn no_snapshot_is_wanted_where_none_are_kept() {
    let engine = engine(|_, _, _, surroundings| {
        assert!(!surroundings.wants_snapshot(0));
        surroundings.keep_snapshot(0, snapshot(5));
        surroundings.ended(0, TaskEnd::Completed);
    });
    let (bench, _letters) = bench(engine, 1, [mixed("a", 0..1, |_| 0)]);
    run_next(&bench);
    assert_eq!(outcomes(&bench), [(0, completed(0))]);
}

#[test]
fn a_long_message_is_cut_and_a_strange_one_named() {
    assert_eq!(message(Some(&"é".repeat(5000))).chars().count(), MESSAGE_LENGTH);
    assert_eq!(message(None), "without a message");
}
