//! A member's state outside of its ensemble: in memory, and as the message that another worker can resume from.

use phasegrid_proto::task::TaskConfig;
use phasegrid_proto::v1;
use tch::{Device, Kind, Tensor};

use super::course::{Course, Position};
use crate::models;
use crate::optimizer::Optimizer;

/// What the rest of a training follows from, beside its task.
#[derive(Debug)]
pub(super) struct Saved {
    pub(super) at: Position,
    /// `[D]`, in host memory.
    pub(super) weights: Tensor,
    /// Each like the weights, in the optimiser's order.
    pub(super) moments: Vec<Tensor>,
}

/// Why a snapshot is of no use.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(super) enum Misfit {
    #[error("it is of the task {found} and not of {expected}")]
    Digest { found: String, expected: String },
    #[error("it is of step {0}, at which the task tells no record")]
    Step(u64),
    #[error("the condition of an early stop held {0} times in a row, which ends the task")]
    Streak(u32),
    #[error("{0} are not as many finite numbers as the network has weights")]
    Numbers(&'static str),
    #[error("it has {found} moments, and the optimiser {expected}")]
    Moments { found: usize, expected: usize },
    #[error("its records are not those that the task tells up to its step")]
    Records,
}

/// The snapshot of a task with all its records so far.
pub(super) fn write(task: &TaskConfig, saved: &Saved, records: Vec<v1::Record>) -> v1::Snapshot {
    v1::Snapshot {
        digest: task.digest(),
        step: saved.at.step,
        weights: bytes(&saved.weights),
        moments: saved.moments.iter().map(bytes).collect(),
        streak: saved.at.streak,
        records,
    }
}

/// The state in a snapshot and the records that led to it.
///
/// # Errors
/// If it is not a snapshot of this very task, or not a whole one.
pub(super) fn read(
    snapshot: v1::Snapshot,
    task: &TaskConfig,
    course: &Course,
) -> Result<(Saved, Vec<v1::Record>), Misfit> {
    let v1::Snapshot { digest, step, weights, moments, streak, records } = snapshot;
    let expected = task.digest();
    if digest != expected {
        return Err(Misfit::Digest { found: digest, expected });
    }
    if task.train.stop.map_or(streak > 0, |stop| streak >= stop.checkpoints) {
        return Err(Misfit::Streak(streak));
    }
    let at = course.after(step, streak).ok_or(Misfit::Step(step))?;
    if !records.iter().map(|record| record.step).eq(course.told(&at)) {
        return Err(Misfit::Records);
    }
    let expected = Optimizer::moments(&task.train.optimizer);
    if moments.len() != expected {
        return Err(Misfit::Moments { found: moments.len(), expected });
    }
    let dimension = models::of(task).dimension() as usize;
    let moments = moments.iter().map(|moment| numbers(moment, dimension).ok_or(Misfit::Numbers("moments")));
    let moments = moments.collect::<Result<_, _>>()?;
    let weights = numbers(&weights, dimension).ok_or(Misfit::Numbers("weights"))?;
    Ok((Saved { at, weights, moments }, records))
}

fn bytes(tensor: &Tensor) -> Vec<u8> {
    let values = Vec::<f32>::try_from(tensor.to_kind(Kind::Float).to_device(Device::Cpu));
    let values = values.unwrap_or_else(|error| unreachable!("a flat tensor of floats: {error}"));
    values.into_iter().flat_map(f32::to_le_bytes).collect()
}

/// `None` unless they are so many, and finite.
fn numbers(bytes: &[u8], count: usize) -> Option<Tensor> {
    let (numbers, rest) = bytes.as_chunks();
    let values: Vec<f32> = numbers.iter().copied().map(f32::from_le_bytes).collect();
    let fits = rest.is_empty() && values.len() == count && values.iter().all(|value| value.is_finite());
    fits.then(|| Tensor::from_slice(&values))
}
