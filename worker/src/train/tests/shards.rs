//! That the shards of a task tell together what the whole tells.

use phasegrid_proto::task::{Shard, Stop};

use super::*;

#[test]
fn shards_of_a_task_that_stops_early_tell_together_exactly_the_records_of_the_whole() {
    let mut whole = small(3, 0.02, BatchSize::Size(8));
    (whole.train.steps, whole.checkpoints) = (400, Checkpoints::Every(20));
    whole.llc = Some(Llc { checkpoints: Some(Checkpoints::Every(30)), ..llc(&[]) });
    // Reached here and there before it has lasted: a shard that looked at its own records alone would count otherwise.
    whole.train.stop = Some(Stop { val_accuracy: 0.1, checkpoints: 7 });
    let expected = told(std::slice::from_ref(&whole)).of(0);
    let last = expected.last().unwrap().step;
    assert!((141..400).contains(&last), "it stops on the way: {last}");
    let mut records = Vec::new();
    for index in 0..3 {
        let mut shard = whole.clone();
        shard.llc.as_mut().unwrap().shard = Some(Shard { index, of: 3 });
        let notebook = told(&[shard]);
        assert_eq!(notebook.end(0), Some(TaskEnd::Completed));
        assert!(!notebook.of(0).is_empty(), "each has its share");
        records.extend(notebook.of(0));
    }
    records.sort_by_key(|record| record.step);
    assert_eq!(records, expected);
}

#[test]
fn a_shard_with_nothing_to_tell_is_complete_at_once() {
    let mut task = small(0, 0.01, BatchSize::Full);
    task.llc = Some(Llc { shard: Some(Shard { index: 3, of: 4 }), ..llc(&[10, 40]) });
    let notebook = told(&[task]);
    assert_eq!((notebook.of(0).len(), notebook.end(0)), (0, Some(TaskEnd::Completed)));
}
