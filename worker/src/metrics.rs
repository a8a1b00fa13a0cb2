//! What a checkpoint measures of a network, apart from its LLC.
//!
//! With residuals e = f − y over N examples (i) and p outputs (k):
//! - the loss is ½·Σ e²/N, and if centred, with each output's mean over the examples subtracted first;
//! - the reported loss is the form of the literature: Σ_ik (e_ik − mean_k e_ik)² / (2pN), whatever the training loss;
//! - accuracy is the share of examples whose largest output is the class.
//!
//! Sums are taken in double precision.

use phasegrid_proto::task::Loss;
use phasegrid_proto::v1;
use tch::{Kind, Tensor};

use crate::estimate::finite;
use crate::host;
use crate::models::Model;
use crate::objective::{Stacked, Stacks};

/// The measurements of E members at `weights` [E, D]; the record's step and estimates are left open.
///
/// What is not finite is absent.
#[must_use]
pub fn measure(
    model: &dyn Model,
    loss: Loss,
    train: &Stacks,
    validation: Option<&Stacks>,
    weights: &Tensor,
) -> Vec<v1::Record> {
    let train = Fit::of(model, loss, train, weights);
    let validation = validation.map(|set| Fit::of(model, loss, set, weights));
    let norm = host::values(&sum(&weights.square(), &[1]).sqrt());
    let ipr = model.inverse_participation_ratio(weights).map(|ratio| host::values(&ratio));
    let record = |e: usize| {
        let at = |values: &[f64]| values.get(e).copied().and_then(finite);
        let of_validation = |of: fn(&Fit) -> &Vec<f64>| validation.as_ref().and_then(|fit| at(of(fit)));
        v1::Record {
            train_loss: at(&train.loss),
            val_loss: of_validation(|fit| &fit.loss),
            train_loss_reported: at(&train.reported),
            val_loss_reported: of_validation(|fit| &fit.reported),
            train_accuracy: at(&train.accuracy),
            val_accuracy: of_validation(|fit| &fit.accuracy),
            weight_norm: at(&norm),
            ipr: ipr.as_ref().and_then(|ipr| at(ipr)),
            ..v1::Record::default()
        }
    };
    (0..weights.size()[0] as usize).map(record).collect()
}

/// How well networks do on a set, one number a member; NaN where there are no examples.
#[derive(Default)]
struct Fit {
    loss: Vec<f64>,
    reported: Vec<f64>,
    /// Empty for regression.
    accuracy: Vec<f64>,
}

impl Fit {
    fn of(model: &dyn Model, loss: Loss, stacks: &Stacks, weights: &Tensor) -> Self {
        let mut all = Self::default();
        for (members, stack) in stacks.parts() {
            let weights = weights.narrow(0, members.start, members.end - members.start);
            let part = Self::of_stack(model, loss, stack, &weights);
            all.loss.extend(part.loss);
            all.reported.extend(part.reported);
            all.accuracy.extend(part.accuracy);
        }
        all
    }

    fn of_stack(model: &dyn Model, loss: Loss, set: &Stacked, weights: &Tensor) -> Self {
        let (members, examples) = set.size();
        if examples == 0 {
            let none = vec![f64::NAN; members as usize];
            return Self { loss: none.clone(), reported: none.clone(), accuracy: none };
        }
        let (n, p) = (&set.counts, model.outputs() as f64); // n [E]
        let without_padding = |values: Tensor| match &set.padding {
            Some(padding) => values * &padding.mask,
            None => values,
        };
        let outputs = model.outputs_at(weights, &set.inputs); // [E, N, p]
        let accuracy = set.classes.as_ref().map(|classes| {
            let right = outputs.argmax(2, false).eq_tensor(classes).unsqueeze(2); // [E, N, 1]
            host::values(&(sum(&without_padding(right), &[1, 2]) / n))
        });
        // Means are subtracted before squaring: where a residual is mostly its mean, the squares' difference is rounding.
        let residual = without_padding(outputs.to_kind(Kind::Double) - &set.targets); // [E, N, p]
        let squares = |residual: &Tensor| sum(&residual.square(), &[1, 2]);
        let loss = match loss {
            Loss::Mse => squares(&residual),
            Loss::CentredMse => {
                let mean = residual.sum_dim_intlist(1, true, None) / n.view([-1, 1, 1]); // over the examples
                squares(&without_padding(&residual - mean))
            }
        };
        let reported = squares(&without_padding(&residual - residual.mean_dim(2, true, None)));
        Self {
            loss: host::values(&(loss * 0.5 / n)),
            reported: host::values(&(reported * (0.5 / p) / n)),
            accuracy: accuracy.unwrap_or_default(),
        }
    }
}

fn sum(values: &Tensor, over: &[i64]) -> Tensor {
    values.sum_dim_intlist(over, false, Kind::Double)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Examples, Set, Targets};
    use crate::models::{self, tests::modular_task};
    use crate::objective::{Objective, SquaredError};
    use phasegrid_proto::task::{Data, TaskConfig};
    use tch::Device;

    fn at_init(task: &TaskConfig) -> v1::Record {
        let examples = Examples::of(task);
        let model = models::of(task);
        let [train, validation] = [&examples.train, &examples.validation]
            .map(|set| Stacks::new(model.as_ref(), &[set], Kind::Float, Device::Cpu));
        let weights = Tensor::from_slice(&models::initial_weights(task)).unsqueeze(0);
        measure(model.as_ref(), task.train.loss, &train, Some(&validation), &weights).remove(0)
    }

    #[test]
    fn the_reported_loss_at_initialisation_is_that_of_the_reference_implementation() {
        let record = at_init(&modular_task(53, 1024, 0));
        // Published as 0.0091; outputs are small at first, and a one-hot target alone gives (1 − 1/p)/(2p) = 0.00926.
        assert!((record.train_loss_reported.unwrap() - 0.0091).abs() < 2e-4, "{record:?}");
        assert!((record.val_loss_reported.unwrap() - 0.0091).abs() < 2e-4, "{record:?}");
        assert!(record.train_accuracy.unwrap() < 0.06 && record.val_accuracy.unwrap() < 0.06, "{record:?}");
    }

    #[test]
    fn the_measured_loss_is_the_objective() {
        for loss in [Loss::Mse, Loss::CentredMse] {
            let mut task = modular_task(11, 20, 0);
            task.train.loss = loss;
            let weights = Tensor::from_slice(&models::initial_weights(&task)).unsqueeze(0);
            let objective = SquaredError::of(&task, &Examples::of(&task), 1, Kind::Float, Device::Cpu);
            let expected = objective.loss_and_gradient(&weights, None, &mut weights.zeros_like()).double_value(&[0]);
            // Single precision on one side.
            assert!((at_init(&task).train_loss.unwrap() / expected - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn a_loss_that_centring_takes_away_is_nil_and_never_negative() {
        // At zero weights a residual is minus its target. Targets that are all alike leave nothing when centred.
        let task = models::tests::gaussian_task(&[3, 2], 1, 7);
        let (model, mut examples) = (models::of(&task), Examples::of(&task));
        examples.train.targets = Targets::Values { of: 2, values: vec![1e3 / 3.0; 14] };
        let train = Stacks::new(model.as_ref(), &[&examples.train], Kind::Float, Device::Cpu);
        let weights = Tensor::zeros([1, model.dimension()], (Kind::Float, Device::Cpu));
        let record = measure(model.as_ref(), Loss::CentredMse, &train, None, &weights).remove(0);
        for loss in [record.train_loss.unwrap(), record.train_loss_reported.unwrap()] {
            // Rounding of doubles of this size, squared.
            assert!((0.0..1e-20).contains(&loss), "{loss}");
        }
    }

    #[test]
    fn regression_has_no_accuracy_and_an_empty_set_no_loss() {
        let task = models::tests::gaussian_task(&[3, 2], 1, 10);
        let (model, examples) = (models::of(&task), Examples::of(&task));
        let train = Stacks::new(model.as_ref(), &[&examples.train], Kind::Float, Device::Cpu);
        let weights = Tensor::from_slice(&models::initial_weights(&task)).unsqueeze(0);
        let record = measure(model.as_ref(), Loss::Mse, &train, None, &weights).remove(0);
        assert!(record.train_loss.is_some() && record.train_accuracy.is_none() && record.ipr.is_none());
        assert!(record.val_loss.is_none() && record.val_accuracy.is_none() && record.val_loss_reported.is_none());
    }

    #[test]
    fn a_diverged_network_has_no_measurements_rather_than_nan() {
        let task = modular_task(5, 4, 0);
        let (model, examples) = (models::of(&task), Examples::of(&task));
        let train = Stacks::new(model.as_ref(), &[&examples.train], Kind::Float, Device::Cpu);
        let weights = Tensor::full([1, model.dimension()], f64::NAN, (Kind::Float, Device::Cpu));
        let record = measure(model.as_ref(), Loss::Mse, &train, None, &weights).remove(0);
        assert!(record.train_loss.is_none() && record.weight_norm.is_none() && record.ipr.is_none(), "{record:?}");
    }

    #[test]
    fn a_network_measures_the_same_beside_others_that_have_more_examples() {
        let fractions = [0.4, 0.7, 1.0];
        let task = |fraction: f64| {
            let mut task = modular_task(5, 4, 0);
            let Data::Modular { train_fraction, .. } = &mut task.data else { panic!("modular") };
            *train_fraction = fraction;
            task
        };
        let all = fractions.map(|fraction| Examples::of(&task(fraction)));
        let model = models::of(&task(0.4));
        let weights = Tensor::from_slice(&models::initial_weights(&task(0.4))).repeat([3, 1]);
        for (kind, tolerance) in [(Kind::Float, 0.0), (Kind::Double, 1e-14)] {
            let weights = weights.to_kind(kind);
            let measured = |all: &[Examples], weights: &Tensor| {
                let stacks = |sets: Vec<&Set>| Stacks::new(model.as_ref(), &sets, kind, Device::Cpu);
                let train = stacks(all.iter().map(|examples| &examples.train).collect());
                let validation = stacks(all.iter().map(|examples| &examples.validation).collect());
                measure(model.as_ref(), Loss::CentredMse, &train, Some(&validation), weights)
            };
            let together = measured(&all, &weights);
            for (e, record) in together.iter().enumerate() {
                let alone = measured(&all[e..=e], &weights.narrow(0, e as i64, 1)).remove(0);
                let same = |of: fn(&v1::Record) -> Option<f64>| match (of(record), of(&alone)) {
                    (None, None) => true,
                    // Rounding of sums in another order.
                    (Some(a), Some(b)) => (a - b).abs() <= tolerance * b.abs(),
                    _ => false,
                };
                assert!(same(|r| r.train_loss) && same(|r| r.train_loss_reported) && same(|r| r.train_accuracy));
                assert!(same(|r| r.val_loss) && same(|r| r.val_loss_reported) && same(|r| r.val_accuracy));
            }
            assert!(together[0].val_loss.is_some() && together[2].val_loss.is_none(), "{together:?}");
        }
    }
}
