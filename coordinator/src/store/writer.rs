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
/// waiting for the group is told. The thread ends when the sender is dropped; the store is closed then.
///
/// # Errors
/// If the system has no thread to spare.
pub fn spawn(
    store: impl Store,
    failed: impl Fn(u64, &StoreError) + Send + 'static,
) -> std::io::Result<(mpsc::Sender<Batch>, thread::JoinHandle<()>)> {
    let (sender, batches) = mpsc::channel();
    let handle = thread::Builder::new().name("store-writer".into()).spawn(move || run(store, &batches, &failed))?;
    Ok((sender, handle))
}

fn run(mut store: impl Store, batches: &mpsc::Receiver<Batch>, failed: &dyn Fn(u64, &StoreError)) {
    let mut refused: Option<(u64, StoreError)> = None;
    while let Ok(first) = batches.recv() {
        let generation = first.generation;
        if let Some((_, error)) = refused.as_ref().filter(|(refused, _)| generation <= *refused) {
            (first.done)(Err(error.clone()));
            continue;
        }
        let mut writes = first.writes;
        let mut waiting = vec![first.done];
        while writes.len() < MOST_WRITES {
            let Ok(mut batch) = batches.try_recv() else { break };
            writes.append(&mut batch.writes);
            waiting.push(batch.done);
        }
        let outcome = if writes.is_empty() { Ok(()) } else { store.commit(&writes, crate::clock::now()) };
        if let Err(error) = &outcome {
            failed(generation, error);
            refused = Some((generation, error.clone()));
        }
        waiting.into_iter().for_each(|done| done(outcome.clone()));
    }
}
