//! Where points are split, the results of a point's shards are joined to that of its task, as if it had been one.

use crate::results::{TaskResult, TaskState};
use crate::spec::Shards;

/// The results of tasks, made of a page of their shards' in the order of numbers. If there are more shards behind a page,
/// the last task of it may not be whole, and is left for the next page; a page has room for all shards of one task.
pub(super) fn joined(shards: Shards, page: Vec<TaskResult>, more: bool) -> Vec<TaskResult> {
    let mut tasks: Vec<Parts> = Vec::new();
    for part in page {
        let (point, _) = shards.place(part.point);
        match tasks.last_mut().filter(|parts| parts.task.point == point) {
            Some(parts) => parts.join(part),
            None => tasks.push(Parts { task: TaskResult { point, ..part }, count: 1 }),
        }
    }
    let whole = |parts: &Parts| parts.count == shards.of_each();
    if more && tasks.last().is_some_and(|last| !whole(last)) {
        tasks.pop();
    }
    let task = |parts: Parts| {
        let whole = whole(&parts);
        let mut task = parts.task;
        if task.state == TaskState::Finished && !whole {
            // The shards that are not there have not been leased yet.
            task.state = TaskState::Unfinished;
        }
        task.records.sort_by_key(|record| record.step);
        task
    };
    tasks.into_iter().map(task).collect()
}

/// What the first shards of a task amount to.
struct Parts {
    task: TaskResult,
    count: u32,
}

impl Parts {
    /// The task is as far as the shard that is least so, its error is that shard's, and its attempts are the most of any.
    fn join(&mut self, part: TaskResult) {
        let task = &mut self.task;
        if rank(part.state) < rank(task.state) {
            (task.state, task.error) = (part.state, part.error);
        } else {
            task.error = task.error.take().or(part.error);
        }
        task.attempts = task.attempts.max(part.attempts);
        if task.worker.is_empty() {
            task.worker = part.worker;
        } else if !part.worker.is_empty() && !task.worker.split(", ").any(|known| known == part.worker) {
            task.worker = format!("{}, {}", task.worker, part.worker);
        }
        task.records.extend(part.records);
        self.count += 1;
    }
}

/// How far a state is from the end. A shard that failed decides over all others: without it the task cannot end.
fn rank(state: TaskState) -> u8 {
    match state {
        TaskState::Failed => 0,
        TaskState::Leased => 1,
        TaskState::Unfinished => 2,
        TaskState::Finished => 3,
    }
}

#[cfg(test)]
mod tests {
    use phasegrid_proto::v1::Record;

    use super::*;

    /// A shard of four, with one record.
    fn shard(number: u64, state: TaskState) -> TaskResult {
        let records = vec![Record { step: 10 * (number % 4), ..Record::default() }];
        TaskResult { point: number, state, attempts: 1, worker: "a".to_owned(), error: None, records }
    }

    fn shards() -> Shards {
        Shards::new(10, 4).unwrap()
    }

    fn join(results: Vec<TaskResult>) -> TaskResult {
        let [task] = &joined(shards(), results, false)[..] else { panic!("one task") };
        task.clone()
    }

    #[test]
    fn workers_are_named_once_and_nobody_is_no_name() {
        let workers = ["", "b", "a", "b"];
        let part = |(number, worker): (u64, &str)| TaskResult {
            worker: worker.to_owned(),
            ..shard(number, TaskState::Unfinished)
        };
        assert_eq!(join((4..8).zip(workers).map(part).collect()).worker, "b, a");
    }

    fn states(parts: [TaskState; 4]) -> TaskState {
        join((4..8).zip(parts).map(|(number, state)| shard(number, state)).collect()).state
    }

    #[test]
    fn a_task_has_the_records_of_all_its_shards_in_rising_steps() {
        let mut results: Vec<_> = (4..8).map(|number| shard(number, TaskState::Finished)).collect();
        results[0].records.push(Record { step: 40, ..Record::default() });
        results[2].worker = "b".to_owned();
        results[3].attempts = 3;
        let task = join(results);
        assert_eq!((task.point, task.state, task.attempts), (1, TaskState::Finished, 3));
        assert_eq!(task.worker, "a, b");
        assert_eq!(task.records.iter().map(|record| record.step).collect::<Vec<_>>(), [0, 10, 20, 30, 40]);
    }

    #[test]
    fn a_task_is_as_far_as_the_shard_that_is_least_so() {
        use TaskState::{Failed, Finished, Leased, Unfinished};
        assert_eq!(states([Finished; 4]), Finished);
        assert_eq!(states([Finished, Unfinished, Finished, Finished]), Unfinished);
        assert_eq!(states([Finished, Unfinished, Leased, Finished]), Leased);
        assert_eq!(states([Leased, Unfinished, Finished, Failed]), Failed);
        let three = (4..7).map(|number| shard(number, Finished)).collect();
        assert_eq!(join(three).state, Unfinished, "one shard has not begun");
    }

    #[test]
    fn the_error_is_that_of_the_shard_that_failed() {
        let failed = TaskResult { error: Some("at step 7".to_owned()), ..shard(6, TaskState::Failed) };
        let retried = TaskResult { error: Some("lost".to_owned()), ..shard(5, TaskState::Leased) };
        assert_eq!(join(vec![retried.clone(), failed.clone()]).error.as_deref(), Some("at step 7"));
        let leased = TaskResult { error: Some("lost".to_owned()), ..shard(7, TaskState::Leased) };
        assert_eq!(join(vec![failed, leased]).error.as_deref(), Some("at step 7"));
        assert_eq!(join(vec![shard(4, TaskState::Leased), retried]).error.as_deref(), Some("lost"));
    }

    #[test]
    fn a_page_never_ends_within_a_task() {
        let results = |numbers: &[u64]| numbers.iter().map(|n| shard(*n, TaskState::Finished)).collect::<Vec<_>>();
        let points = |numbers: &[u64], more| {
            joined(shards(), results(numbers), more).into_iter().map(|task| task.point).collect::<Vec<_>>()
        };
        assert_eq!(points(&[0, 1, 2, 3, 4, 5, 6, 7], true), [0, 1]);
        assert_eq!(points(&[2, 3, 4, 5, 6, 7, 8, 9], true), [0, 1]);
        assert_eq!(points(&[2, 3, 4, 5, 6, 7, 8, 9], false), [0, 1, 2]);
        // Without its last shard a task may still be whole as far as it goes; it is then the first of the next page.
        assert_eq!(points(&[0, 1, 2, 3, 4, 5, 6, 8], true), [0, 1]);
    }

    #[test]
    fn tasks_that_are_not_split_stay_as_they_are() {
        let whole = Shards::new(10, 1).unwrap();
        let results: Vec<_> = (0..3).map(|point| shard(point, TaskState::Leased)).collect();
        assert_eq!(joined(whole, results.clone(), true), results);
    }
}
