//! How members come, tell and end.

use phasegrid_proto::task::Stop;

use super::*;

#[test]
fn records_come_at_checkpoints_in_rising_steps() {
    let mut task = small(0, 0.01, BatchSize::Full);
    task.checkpoints = Checkpoints::List(vec![0, 7, 31]);
    let notebook = told(&[task]);
    assert_eq!((notebook.steps(0), notebook.end(0)), (vec![0, 7, 31], Some(TaskEnd::Completed)));
    assert_eq!(notebook.progress.lock().unwrap()[&0], 1.0, "nothing comes after the last record");
}

#[test]
fn members_that_fail_or_are_cancelled_leave_the_others_undisturbed() {
    let mut tasks: Vec<_> = (0..4).map(|seed| small(seed, 0.01, BatchSize::Size(8))).collect();
    let Optimizer::AdamW { learning_rate, .. } = &mut tasks[1].train.optimizer else { panic!("AdamW") };
    *learning_rate = 1e30;
    let notebook = Notebook { stop: Some((2, 2)), ..Notebook::default() }.run(starts(&tasks));
    assert_eq!(notebook.end(0), Some(TaskEnd::Completed));
    assert_eq!(notebook.end(2), Some(TaskEnd::Stopped));
    assert_eq!(notebook.end(3), Some(TaskEnd::Completed));
    let Some(TaskEnd::Failed { error, permanent: true }) = notebook.end(1) else { panic!("{:?}", notebook.end(1)) };
    assert_eq!(error, "the training loss is not finite at step 1");
    assert_eq!((notebook.of(1).len(), notebook.of(2).len()), (1, 2));
    assert_eq!(told(&tasks[3..]).of(0), notebook.of(3));
}

#[test]
fn training_stops_when_validation_accuracy_has_lasted() {
    let mut task = small(0, 0.01, BatchSize::Full);
    task.train.stop = Some(Stop { val_accuracy: 0.0, checkpoints: 2 });
    let notebook = told(&[task]);
    assert_eq!((notebook.steps(0), notebook.end(0)), (vec![0, 20], Some(TaskEnd::Completed)));
}

#[test]
fn estimates_come_with_the_records_of_the_steps_at_which_they_are_due() {
    let mut task = small(0, 0.01, BatchSize::Full);
    task.llc = Some(llc(&[10, 40]));
    let notebook = told(&[task]);
    let estimates: Vec<_> = notebook.of(0).iter().map(|record| (record.step, record.estimates.len())).collect();
    assert_eq!(estimates, [(0, 0), (10, 2), (20, 0), (40, 2), (60, 0)]);
    assert_eq!(notebook.progress.lock().unwrap()[&0], 1.0);
}

#[test]
fn newcomers_take_the_places_of_those_who_leave_and_disturb_nobody() {
    for batch_size in [BatchSize::Full, BatchSize::Size(8)] {
        let mut tasks: Vec<_> = (0..6).map(|seed| small(seed, 0.01, batch_size)).collect();
        // The first two leave at step 33, between the checkpoints of the third.
        for task in &mut tasks[..2] {
            (task.train.steps, task.checkpoints) = (33, Checkpoints::List(vec![33]));
        }
        tasks[4].llc = Some(llc(&[20]));
        let notebook = Notebook { newcomers: Mutex::new(starts(&tasks[3..])), ..Notebook::default() };
        let notebook = notebook.run(starts(&tasks[..3]));
        for (member, task) in tasks.iter().enumerate() {
            assert_eq!(notebook.end(member), Some(TaskEnd::Completed));
            assert_eq!(notebook.of(member), told(std::slice::from_ref(task)).of(0), "{member}");
        }
        // Two of them came when two places were free, and the last when the third member left.
        let records = notebook.records.lock().unwrap();
        let first = |member| records.iter().position(|(of, _)| *of == member);
        let last = |member| records.iter().rposition(|(of, _)| *of == member);
        assert!(last(1) < first(3) && first(4) < last(2) && last(2) < first(5) && first(5) < last(3));
    }
}

#[test]
fn minibatches_drawn_ahead_are_those_of_the_members_that_stay_and_come() {
    /// Stops the first member in the middle of a stretch of steps, and lets another come.
    struct Impatient(Notebook, Mutex<u32>);
    impl Surroundings for Impatient {
        fn stopped(&self, member: usize) -> bool {
            let mut asked = self.1.lock().unwrap();
            *asked += u32::from(member == 0);
            member == 0 && *asked > 12
        }
        fn newcomers(&self, room: usize) -> Vec<Start> {
            self.0.newcomers(room)
        }
        fn record(&self, member: usize, record: Record) {
            self.0.record(member, record);
        }
        fn ended(&self, member: usize, end: TaskEnd) {
            self.0.ended(member, end);
        }
    }
    let tasks: Vec<_> = (0..3).map(|seed| small(seed, 0.01, BatchSize::Size(8))).collect();
    let notebook = Notebook { newcomers: Mutex::new(starts(&tasks[2..])), ..Notebook::default() };
    let impatient = Impatient(notebook, Mutex::new(0));
    run_on(Kind::Float, starts(&tasks[..2]), &impatient);
    let notebook = impatient.0;
    assert_eq!((notebook.end(0), notebook.steps(0)), (Some(TaskEnd::Stopped), vec![0]));
    for member in [1, 2] {
        assert_eq!(notebook.of(member), told(&tasks[member..=member]).of(0));
    }
}
