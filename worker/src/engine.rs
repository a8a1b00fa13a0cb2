//! The seam between the runtime and the numerics: runs an ensemble of tasks, blocking, on the caller's thread.
//!
//! Above: leases, network, threads ([`crate::runner`]). Below: training and sampling, which know none of it and tell
//! what happens through [`Surroundings`].

use std::ops::Range;

use phasegrid_proto::task::TaskConfig;
use tch::{Device, Kind};

use crate::permits::Permits;
use crate::surroundings::{Start, Surroundings};
use crate::train::{self, Place};

/// Groups of neighbouring tasks that can be stacked. Together the ranges cover all tasks, in order; which they are follows from
/// tasks and device, and from what did not fit into the device's memory before.
///
/// On a CPU every task is alone: a step of the smallest network takes microseconds there, and stacking saves none of them.
#[must_use]
pub fn ensembles(tasks: &[TaskConfig], device: Device) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    // How many members the last of them may have: as many as the largest of its tasks allows.
    let mut room = 0;
    for (index, task) in tasks.iter().enumerate() {
        let own = train::room(task, device);
        match ranges.last_mut() {
            Some(range) if range.len() < room.min(own) && stackable(&tasks[range.start], task) => {
                range.end += 1;
                room = room.min(own);
            }
            _ => {
                ranges.push(index..index + 1);
                room = own;
            }
        }
    }
    ranges
}

/// Whether two tasks can be members of one ensemble: shapes, loss, batch size and the optimiser's rule with its betas or momentum
/// agree. Seeds, data, learning rates, weight decays, steps, checkpoints, early stops and estimates are each member's own.
#[must_use]
pub fn stackable(a: &TaskConfig, b: &TaskConfig) -> bool {
    train::stackable(a, b)
}

/// Trains the tasks of `starts`, which are one of [`ensembles`], and whoever joins them, and estimates at their checkpoints. The
/// caller holds a permit. Each member's end is told; those that are not told when this returns by a panic have none.
///
/// Never panics on numerics or for want of memory: a training loss that is not finite is a permanent failure that names the
/// step, a chain that failed is an estimate of that health, and an ensemble that does not fit is split.
pub fn run(starts: Vec<Start>, device: Device, permits: &Permits, surroundings: &dyn Surroundings) {
    // Parallelism is between tasks and chains; threads inside an operation would compete with them.
    tch::set_num_threads(1);
    let _guard = tch::no_grad_guard();
    train::run(starts, &Place { kind: Kind::Float, device, permits, surroundings });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::tests::{gaussian_task, modular_task};
    use phasegrid_proto::task::{BatchSize, Checkpoints, Data, Init, Optimizer, Stop};

    #[test]
    fn stackable_neighbours_form_an_ensemble_and_nothing_else_does() {
        let small = |seed| modular_task(7, 10, seed);
        let mut tasks: Vec<_> = (0..3).map(small).collect();
        tasks.push(small(3));
        tasks[3].train.batch_size = BatchSize::Size(4);
        tasks.push(modular_task(11, 10, 0));
        assert_eq!(ensembles(&tasks, Device::Cuda(0)), [0..3, 3..4, 4..5]);
        assert_eq!(ensembles(&tasks[..2], Device::Cpu), [0..1, 1..2]);
        assert!(ensembles(&[], Device::Cpu).is_empty());
    }

    #[test]
    fn members_share_shapes_and_rule_and_have_all_else_of_their_own() {
        let task = modular_task(7, 10, 0);
        let mut other = modular_task(7, 10, 1);
        other.train.optimizer = Optimizer::AdamW { learning_rate: 0.5, weight_decay: 0.0, betas: [0.9, 0.98] };
        other.train.stop = Some(Stop { val_accuracy: 0.5, checkpoints: 1 });
        (other.train.steps, other.checkpoints) = (7, Checkpoints::Log(3));
        let Data::Modular { train_fraction, label_noise, .. } = &mut other.data else { panic!("modular") };
        (*train_fraction, *label_noise) = (0.8, 0.1);
        assert!(stackable(&task, &other));
        let refused = |change: fn(&mut TaskConfig)| {
            let mut other = task.clone();
            change(&mut other);
            !stackable(&task, &other)
        };
        assert!(refused(|task| task.model = task.model.with_init(Init::Teacher)), "its targets are no classes");
        assert!(refused(|task| task.train.batch_size = BatchSize::Size(3)));
        assert!(refused(|task| task.train.loss = phasegrid_proto::task::Loss::CentredMse));
        let betas = |task: &mut TaskConfig| {
            let Optimizer::AdamW { betas, .. } = &mut task.train.optimizer else { panic!("AdamW") };
            betas[0] = 0.8;
        };
        assert!(refused(betas));
        assert!(refused(|task| task.data = Data::Gaussian { samples: 5, whiten: false }));
    }

    #[test]
    fn an_ensemble_has_the_members_that_its_largest_task_allows() {
        let task = |samples| gaussian_task(&[100, 100], 1, samples);
        // 2^28 numbers: the largest of these allows two such tasks, whatever its place.
        let tasks = [1_000, 600_000, 1_000, 1_000].map(task);
        assert_eq!(ensembles(&tasks, Device::Cuda(0)), [0..2, 2..4]);
        assert_eq!(ensembles(&[1_000, 1_000, 600_000].map(task), Device::Cuda(0)), [0..2, 2..3]);
    }
}
