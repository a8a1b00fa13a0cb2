//! Small hand-made sweeps for the tests of results and plots.

use std::sync::Arc;

use phasegrid_proto::v1::{Estimate, Health, Record, SamplerSettings};
use serde_json::{Value, json};

use super::{Axis, Layout, TaskResult, TaskState};
use crate::spec::{LiuThresholds, PhaseRule, Scale};

/// A record with accuracies alone.
pub(crate) fn record(step: u64, train_accuracy: f64, val_accuracy: f64) -> Record {
    Record { step, train_accuracy: Some(train_accuracy), val_accuracy: Some(val_accuracy), ..Record::default() }
}

/// A healthy estimate.
pub(crate) fn estimate(sampler: u32, llc: f64) -> Estimate {
    Estimate {
        sampler,
        llc: Some(llc),
        llc_se: Some(0.5),
        settings: Some(settings()),
        health: Health::Ok.into(),
        ..Estimate::default()
    }
}

/// The settings of every estimate of these tests.
pub(crate) fn settings() -> SamplerSettings {
    SamplerSettings {
        preset: "authors_code".to_owned(),
        step_size: Some(5e-4),
        localization: 5.0,
        nbeta: 26.381,
        chains: 3,
        burn_in: 100,
        draws: 500,
        batch_size: 128,
        method: "sgld".to_owned(),
        layer: 0,
        initial_loss: "whole".to_owned(),
    }
}

/// A finished task.
pub(crate) fn finished(point: u64, records: Vec<Record>) -> TaskResult {
    TaskResult { point, state: TaskState::Finished, attempts: 1, worker: "w1".to_owned(), error: None, records }
}

/// A failed task.
pub(crate) fn failed(point: u64) -> TaskResult {
    let error = Some("the loss became infinite at step 7".to_owned());
    TaskResult { point, state: TaskState::Failed, attempts: 3, worker: "w2".to_owned(), error, records: vec![] }
}

/// The product of these axes, the last one fastest, drawn on the first two; nothing is sampled. Nothing is known of its
/// tasks, so that tables have every column.
pub(crate) fn layout(name: &str, axes: Vec<Axis>) -> Layout {
    let values: Vec<Vec<Value>> = axes.iter().map(|axis| axis.values().to_vec()).collect();
    let coordinates = move |point: u64| {
        let mut rest = usize::try_from(point).unwrap();
        let mut coordinates: Vec<Value> = values
            .iter()
            .rev()
            .map(|values| {
                let value = values[rest % values.len()].clone();
                rest /= values.len();
                value
            })
            .collect();
        coordinates.reverse();
        coordinates
    };
    let path = |index: usize| axes.get(index).map(|axis| axis.path().to_owned()).filter(|path| path != "seed");
    Layout {
        name: name.to_owned(),
        x: path(0),
        y: path(1),
        axes,
        coordinates: Arc::new(coordinates),
        task: Arc::new(|_| None),
        specimens: None,
        sampler_axes: vec![],
        samplers: vec![],
        phases: PhaseRule::Liu2022(LiuThresholds::default()),
    }
}

/// Two train fractions by two weight decays by three seeds: twelve tasks.
pub(crate) fn small() -> Layout {
    layout(
        "small",
        vec![
            Axis::new("data.train_fraction", vec![json!(0.3), json!(0.6)], Scale::Linear),
            Axis::new("train.weight_decay", vec![json!(0), json!(0.5)], Scale::Categories),
            Axis::new("seed", vec![json!(0), json!(1), json!(2)], Scale::Linear),
        ],
    )
}

/// [`small`] with two samplers that differ in their step size.
pub(crate) fn sampled() -> Layout {
    let step_sizes = vec![json!(1e-4), json!(5e-4)];
    Layout {
        samplers: step_sizes.iter().map(|value| vec![value.clone()]).collect(),
        sampler_axes: vec![Axis::new("llc.step_size", step_sizes, Scale::Log)],
        ..small()
    }
}
