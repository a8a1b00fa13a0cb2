//! That a task which goes on elsewhere tells what it would have told.

use phasegrid_proto::task::Stop;

use super::*;

/// Minibatches, AdamW, an early stop, estimates: all that a snapshot must bring along.
fn long() -> TaskConfig {
    let mut task = small(3, 0.02, BatchSize::Size(8));
    (task.train.steps, task.checkpoints) = (400, Checkpoints::Every(20));
    task.train.stop = Some(Stop { val_accuracy: 0.1, checkpoints: 7 });
    task.llc = Some(llc(&[10, 20, 60]));
    task
}

fn snapshots(task: &TaskConfig) -> (Notebook, Vec<v1::Snapshot>) {
    let notebook = Notebook { snaps: true, ..Notebook::default() }.run(starts(std::slice::from_ref(task)));
    let snapshots = notebook.snapshots.lock().unwrap().drain(..).map(|(_, snapshot)| snapshot).collect();
    (notebook, snapshots)
}

#[test]
fn a_resumed_task_tells_to_the_bit_what_it_would_have_told() {
    let task = long();
    let (whole, snapshots) = snapshots(&task);
    let last = whole.of(0).last().unwrap().step;
    assert!((141..400).contains(&last), "it stops on the way: {last}");
    assert!(snapshots.iter().any(|snapshot| snapshot.streak > 0));
    assert_eq!(snapshots.len(), whole.of(0).len() - 1, "none where it ends");
    for snapshot in snapshots {
        let step = snapshot.step;
        let records = snapshot.records.len();
        // Alone, and beside another that starts anew.
        for others in [vec![], starts(&[small(9, 0.01, BatchSize::Size(8))])] {
            let start = Start { task: task.clone(), snapshot: Some(snapshot.clone()) };
            let resumed = Notebook { snaps: true, ..Notebook::default() }.run([vec![start], others].concat());
            assert_eq!(resumed.of(0), whole.of(0), "from step {step}");
            let again = resumed.snapshots.lock().unwrap();
            assert!(again.iter().all(|(of, snapshot)| *of != 0 || snapshot.step > step));
            assert!(again.iter().all(|(of, snapshot)| *of != 0 || snapshot.records.len() > records));
        }
    }
}

#[test]
fn every_rule_resumes() {
    for rule in [
        Optimizer::Adam { learning_rate: 0.01, weight_decay: 0.01, betas: [0.9, 0.999] },
        Optimizer::Sgd { learning_rate: 0.1, weight_decay: 0.01, momentum: 0.9 },
    ] {
        let mut task = small(0, 0.0, BatchSize::Full);
        task.train.optimizer = rule;
        let (whole, snapshots) = snapshots(&task);
        let start = Start { task, snapshot: Some(snapshots[1].clone()) };
        assert_eq!(Notebook::default().run(vec![start]).of(0), whole.of(0));
    }
}

#[test]
fn a_snapshot_that_does_not_fit_is_dropped_and_the_task_starts_anew() {
    let task = long();
    let (whole, snapshots) = snapshots(&task);
    let good = &snapshots[4];
    let changed = |change: fn(&mut v1::Snapshot)| {
        let mut snapshot = good.clone();
        change(&mut snapshot);
        snapshot
    };
    for bad in [
        changed(|snapshot| snapshot.digest = "0".repeat(32)),
        changed(|snapshot| snapshot.step += 1),
        changed(|snapshot| snapshot.step = 400),
        changed(|snapshot| snapshot.streak = 7),
        changed(|snapshot| snapshot.weights.truncate(16)),
        changed(|snapshot| snapshot.weights.push(0)),
        changed(|snapshot| snapshot.weights[..4].copy_from_slice(&f32::NAN.to_le_bytes())),
        changed(|snapshot| drop(snapshot.moments.pop())),
        changed(|snapshot| snapshot.moments[1].clear()),
        changed(|snapshot| drop(snapshot.records.remove(0))),
        v1::Snapshot::default(),
    ] {
        let start = Start { task: task.clone(), snapshot: Some(bad) };
        let notebook = Notebook::default().run(vec![start]);
        assert_eq!((notebook.of(0), notebook.end(0)), (whole.of(0), Some(TaskEnd::Completed)));
    }
}

#[test]
fn who_never_wants_snapshots_gets_none() {
    struct Never(Notebook);
    impl Surroundings for Never {
        fn keeps_snapshots(&self) -> bool {
            false
        }
        fn wants_snapshot(&self, member: usize) -> bool {
            self.0.wants_snapshot(member)
        }
        fn keep_snapshot(&self, member: usize, snapshot: v1::Snapshot) {
            self.0.keep_snapshot(member, snapshot);
        }
    }
    let never = Never(Notebook { snaps: true, ..Notebook::default() });
    run_on(Kind::Float, starts(&[small(0, 0.01, BatchSize::Full)]), &never);
    assert!(never.0.snapshots.lock().unwrap().is_empty());
}
