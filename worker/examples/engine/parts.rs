//! What a step is made of, each part timed by itself on one thread.

use std::hint::black_box;

use phasegrid_proto::task::{self, Loss, TaskConfig};
use phasegrid_worker::data::Examples;
use phasegrid_worker::models;
use phasegrid_worker::objective::{Objective, SquaredError, Stacked};
use phasegrid_worker::random::{Normals, Stream, Subsets};
use serde_json::json;
use tch::{Device, Kind, Tensor};

use crate::clock::microseconds;

pub(crate) fn measure(peak: f64) {
    for (p, width, batch) in [
        (11, 32, None),
        (23, 128, None),
        (31, 128, None),
        (53, 128, Some(128)),
        (53, 128, None),
        (53, 1024, Some(128)),
        (53, 512, None),
        (97, 512, Some(128)),
        (97, 512, None),
    ] {
        step(p, width, batch, peak);
    }
    for (p, width) in [(23, 64), (31, 64), (31, 128), (53, 64), (53, 128), (53, 256), (53, 512), (97, 128), (97, 512)] {
        whole_grid(p, width);
    }
}

/// A task on this share of the pairs.
fn task(p: u32, width: u32, train_fraction: f64) -> TaskConfig {
    let table = json!({
        "data": { "kind": "modular", "modulus": p, "train_fraction": train_fraction },
        "model": { "kind": "quadratic", "width": width },
        "train": { "optimizer": "adam", "learning_rate": 1e-3, "steps": 1, "loss": "centred_mse" },
    });
    task::resolve(&table, &[]).unwrap_or_else(|problems| panic!("a valid task: {problems:?}"))
}

/// The parts of one step of sampling. Useful arithmetic is 6·n·K·p: a product on the way forward and two on the way back.
fn step(p: u32, width: u32, batch: Option<usize>, peak: f64) {
    let task = task(p, width, 0.4);
    let examples = Examples::of(&task);
    let (model, total) = (models::of(&task), examples.train.len());
    let objective = SquaredError::of(&task, &examples, 1, Kind::Float, Device::Cpu);
    let weights = Tensor::from_slice(&models::initial_weights(&task)).unsqueeze(0);
    let mut gradient = weights.zeros_like();

    let n = batch.unwrap_or(total);
    let name = format!("{p}_{width}_{n}");
    let flops = 6.0 * n as f64 * f64::from(width) * f64::from(p);
    let tell = |part: &str, time: f64| println!("bench part_{name}_{part} {time:.1} us");

    let mut subsets = Subsets::new(Stream::derive(0, "bench", &[]), total);
    let mut indices = vec![0; n];
    subsets.draw(&mut indices);
    let indices = Tensor::from_slice(&indices).unsqueeze(0);
    let whole =
        microseconds(|| drop(black_box(objective.loss_and_gradient(&weights, batch.map(|_| &indices), &mut gradient))));
    tell("gradient", whole);
    println!("bench part_{name}_gradient_share_of_peak {:.1} %", flops / whole / 10.0 / peak);

    // The examples of a batch, as the objective picks them.
    let set = Stacked::new(model.as_ref(), &[&examples.train], Kind::Float, Device::Cpu);
    let pick = |tensor: &Tensor| tensor.index_select(1, &indices.squeeze_dim(0));
    let inputs: Vec<_> = set.inputs.iter().map(pick).collect();
    if batch.is_some() {
        let mut drawn = vec![0; n];
        let copies = microseconds(|| {
            subsets.draw(&mut drawn);
            drop(black_box([pick(&set.inputs[0]), pick(&set.inputs[1]), pick(&set.targets)]));
        });
        tell("batch", copies);
    }
    let mut saved = Vec::new();
    let mut outputs = model.forward(&weights, &inputs, &mut saved);
    tell("forward", microseconds(|| outputs = model.forward(&weights, &inputs, &mut saved)));
    tell("backward", microseconds(|| model.backward(&weights, &inputs, &mut saved, &outputs, &mut gradient)));
    tell("products_at_peak", flops / peak / 1e3);

    let mut normals = Normals::derive(0, "bench", &[]);
    let mut noise = vec![0f32; weights.numel()];
    tell("noise", microseconds(|| normals.fill(black_box(&mut noise))));
}

/// The loss over all pairs from all outputs against that from moments, where the objective chooses those.
fn whole_grid(p: u32, width: u32) {
    let whole = task(p, width, 1.0);
    // One pair less has no moments, and the same cost otherwise.
    let part = task(p, width, 1.0 - 0.5 / f64::from(p * p));
    let [chosen, outputs] = [whole, part].map(|task| {
        assert_eq!(task.train.loss, Loss::CentredMse);
        let examples = Examples::of(&task);
        let objective = SquaredError::of(&task, &examples, 1, Kind::Float, Device::Cpu);
        let weights = Tensor::from_slice(&models::initial_weights(&task)).unsqueeze(0);
        let mut gradient = weights.zeros_like();
        microseconds(|| drop(black_box(objective.loss_and_gradient(&weights, None, &mut gradient))))
    });
    println!("bench grid_{p}_{width}_outputs {outputs:.1} us");
    println!("bench grid_{p}_{width}_chosen {chosen:.1} us");
}
