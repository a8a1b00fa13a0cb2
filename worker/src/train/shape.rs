//! Which tasks can be stacked, and how many of them.

use phasegrid_proto::task::{Checkpoints, Data, Init, Operation, Optimizer, TaskConfig};
use tch::Device;

use super::memory;
use crate::models;

/// Members of one ensemble at most.
const MOST_MEMBERS: usize = 256;

/// Numbers of weights and, for one layer, of activations that an ensemble may have: a few GB with gradients and moments.
const MOST_NUMBERS: u64 = 1 << 28;

/// What the members of an ensemble have in common: `task` without what each may have of its own. Shapes, loss, batch size and
/// the optimiser's rule with its betas or momentum remain.
pub(super) fn of(task: &TaskConfig) -> TaskConfig {
    let mut shape = task.clone();
    shape.seed = 0;
    // A teacher's targets are numbers, all other networks' are classes.
    let teacher = shape.model.init() == Init::Teacher;
    shape.model = shape.model.with_init(if teacher { Init::Teacher } else { Init::Zero });
    match &mut shape.data {
        Data::Modular { operation, label_noise, train_fraction, modulus: _ } => {
            (*operation, *label_noise, *train_fraction) = (Operation::Add, 0.0, 0.0);
        }
        Data::Gaussian { samples, whiten } => (*samples, *whiten) = (0, false),
        Data::Origin => {}
    }
    let (Optimizer::Adam { learning_rate, weight_decay, .. }
    | Optimizer::AdamW { learning_rate, weight_decay, .. }
    | Optimizer::Sgd { learning_rate, weight_decay, .. }) = &mut shape.train.optimizer;
    (*learning_rate, *weight_decay) = (0.0, 0.0);
    (shape.train.steps, shape.train.stop) = (0, None);
    shape.checkpoints = Checkpoints::List(vec![]);
    (shape.llc, shape.geometry) = (None, None);
    shape
}

/// How many members like `task` an ensemble may have. On a CPU every task is alone: a step of the smallest network takes
/// microseconds there, and stacking saves none of them.
pub(crate) fn room(task: &TaskConfig, device: Device) -> usize {
    if device == Device::Cpu {
        return 1;
    }
    let model = models::of(task);
    let widest = model.layers().iter().map(|layer| layer.inputs as u64).max().unwrap_or(1);
    // Validation examples count: they are all looked at together.
    let examples = task.data.examples();
    let numbers = model.dimension().unsigned_abs() + examples * (widest + model.outputs().unsigned_abs());
    let fit = (MOST_NUMBERS / numbers).clamp(1, MOST_MEMBERS as u64) as usize;
    fit.min(memory::most(task, device))
}

/// Whether two tasks can be members of one ensemble.
pub(crate) fn stackable(a: &TaskConfig, b: &TaskConfig) -> bool {
    of(a) == of(b)
}
