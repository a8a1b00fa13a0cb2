//! The thread that writes. It takes what has gathered while the last transaction was on its way to the disk into the next
//! one, so that the price of durability is shared; and it answers in the order of asking, only after the commit. A batch
//! without writes is answered in its turn as well: an answer that passed here never speaks of something not yet durable.
//!
//! Batches were decided one on top of the other. When one cannot be written, those behind it that rest on it are refused
//! too: all batches of the same generation. Whoever decides starts a new generation from what the store holds.

use std::sync::mpsc;
use std::thread;

use super::{Store, StoreError, Write};

/// Writes that are taken into one transaction at most: it bounds the time to the first answer.
const MOST_WRITES: usize = 8192;

/// Told when the batch is durable, or why it is not.
pub type Done = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// What was decided at once.
pub struct Batch {
    /// Of those who decided.
    pub generation: u64,
    /// What to write.
    pub writes: Vec<Write>,
    /// Whom to tell.
    pub done: Done,
}

/// Starts the thread. `failed` is told the generation of each group that could not be written, once, and before anybody
/// waiting for the group is told. The thread ends when the batches' sender is dropped; the store is closed then.
///
/// # Errors
/// If the system has no thread to spare.
pub fn spawn(
    store: impl Store,
    batches: mpsc::Receiver<Batch>,
    failed: impl Fn(u64, &StoreError) + Send + 'static,
) -> std::io::Result<thread::JoinHandle<()>> {
    thread::Builder::new().name("store-writer".into()).spawn(move || run(store, &batches, &failed))
}

fn run(store: impl Store, batches: &mpsc::Receiver<Batch>, failed: &dyn Fn(u64, &StoreError)) {
    let mut writer = Writer::new(store);
    while let Ok(first) = batches.recv() {
        writer.write(first, batches, failed);
    }
}

/// The store, and what it must not be asked any more.
pub(crate) struct Writer<S> {
    store: S,
    /// The last generation that could not be written, and why.
    refused: Option<(u64, StoreError)>,
}

impl<S: Store> Writer<S> {
    pub(crate) fn new(store: S) -> Self {
        Self { store, refused: None }
    }

    /// Writes a batch, and with it those that wait behind it; then tells all who asked.
    pub(crate) fn write(&mut self, first: Batch, behind: &mpsc::Receiver<Batch>, failed: &dyn Fn(u64, &StoreError)) {
        let generation = first.generation;
        if let Some((_, error)) = self.refused.as_ref().filter(|(refused, _)| generation <= *refused) {
            return (first.done)(Err(error.clone()));
        }
        let mut writes = first.writes;
        let mut waiting = vec![first.done];
        while writes.len() < MOST_WRITES {
            let Ok(mut batch) = behind.try_recv() else { break };
            writes.append(&mut batch.writes);
            waiting.push(batch.done);
        }
        let outcome = if writes.is_empty() { Ok(()) } else { self.store.commit(&writes, crate::clock::now()) };
        if let Err(error) = &outcome {
            failed(generation, error);
            self.refused = Some((generation, error.clone()));
        }
        waiting.into_iter().for_each(|done| done(outcome.clone()));
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    /// Tells the size of each group, and takes from elsewhere whether it can be written.
    struct Gated {
        groups: mpsc::Sender<usize>,
        verdicts: mpsc::Receiver<Result<(), StoreError>>,
    }

    impl Store for Gated {
        fn commit(&mut self, writes: &[Write], _: SystemTime) -> Result<(), StoreError> {
            self.groups.send(writes.len()).unwrap();
            self.verdicts.recv().unwrap()
        }
    }

    /// A writer, what it was told, and what it told.
    struct Bench {
        writer: mpsc::Sender<Batch>,
        groups: mpsc::Receiver<usize>,
        verdicts: mpsc::Sender<Result<(), StoreError>>,
        failed: mpsc::Receiver<u64>,
        done: mpsc::Sender<(u32, bool)>,
        answers: mpsc::Receiver<(u32, bool)>,
    }

    impl Bench {
        fn new() -> Self {
            let ((groups, told), (verdicts, asked)) = (mpsc::channel(), mpsc::channel());
            let ((failures, failed), (done, answers)) = (mpsc::channel(), mpsc::channel());
            let store = Gated { groups, verdicts: asked };
            let (writer, batches) = mpsc::channel();
            spawn(store, batches, move |generation, _| failures.send(generation).unwrap()).unwrap();
            Self { writer, groups: told, verdicts, failed, done, answers }
        }

        fn send(&self, generation: u64, name: u32, writes: usize) {
            let write = Write::Baseline { digest: name.to_string(), estimate: Vec::new() };
            let done = self.done.clone();
            let done = Box::new(move |outcome: Result<(), _>| done.send((name, outcome.is_ok())).unwrap());
            self.writer.send(Batch { generation, writes: vec![write; writes], done }).unwrap();
        }

        fn answers(&self, count: usize) -> Vec<(u32, bool)> {
            (0..count).map(|_| self.answers.recv().unwrap()).collect()
        }
    }

    const FULL: Result<(), StoreError> = Err(StoreError::Conflict("a test says so"));

    #[test]
    fn what_gathers_during_a_commit_shares_the_next_and_is_answered_in_order() {
        let bench = Bench::new();
        bench.send(1, 0, 1);
        assert_eq!(bench.groups.recv(), Ok(1));
        (1..=3).for_each(|name| bench.send(1, name, 2));
        assert!(bench.answers.try_recv().is_err(), "nobody is answered before the commit");
        bench.verdicts.send(Ok(())).unwrap();
        assert_eq!(bench.groups.recv(), Ok(6));
        bench.verdicts.send(Ok(())).unwrap();
        assert_eq!(bench.answers(4), [(0, true), (1, true), (2, true), (3, true)]);
    }

    #[test]
    fn an_answer_without_writes_waits_its_turn_and_costs_no_commit() {
        let bench = Bench::new();
        bench.send(1, 0, 1);
        assert_eq!(bench.groups.recv(), Ok(1));
        bench.send(1, 1, 0);
        bench.verdicts.send(Ok(())).unwrap();
        assert_eq!(bench.answers(2), [(0, true), (1, true)]);
        assert!(bench.groups.try_recv().is_err());
    }

    #[test]
    fn what_was_decided_on_top_of_a_failed_write_is_refused() {
        let bench = Bench::new();
        bench.send(1, 0, 1);
        assert_eq!(bench.groups.recv(), Ok(1));
        bench.verdicts.send(FULL).unwrap();
        bench.send(1, 1, 1);
        bench.send(1, 2, 0);
        assert_eq!(bench.answers(3), [(0, false), (1, false), (2, false)]);
        assert_eq!(bench.failed.recv(), Ok(1));
        bench.send(2, 3, 1);
        assert_eq!(bench.groups.recv(), Ok(1), "a new generation is written");
        bench.verdicts.send(Ok(())).unwrap();
        assert_eq!(bench.answers(1), [(3, true)]);
        assert!(bench.failed.try_recv().is_err(), "a failure is told once");
    }
}
