//! What the tests of samplers share: potentials without data, and origins on them.

mod chains;
mod curvature;
mod exact;

use super::*;
use crate::estimate::{self, Summary};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tch::Tensor;

/// E members of a potential L(w), given with its gradient, [E, D] → [E], [E, D].
struct Potential<F> {
    members: usize,
    dimension: usize,
    of: F,
}

impl<F: Fn(&Tensor, Option<&Tensor>) -> (Tensor, Tensor)> Objective for Potential<F> {
    fn members(&self) -> i64 {
        self.members as i64
    }
    fn dimension(&self) -> i64 {
        self.dimension as i64
    }
    fn loss_and_gradient(&self, weights: &Tensor, batch: Option<&Tensor>, gradient: &mut Tensor) -> Tensor {
        let (loss, slope) = (self.of)(weights, batch);
        gradient.copy_(&slope);
        loss
    }
}

/// L = ½·Σ h·w²; on a minibatch 1 or 2 times that, by its first example, and a constant that its second example has.
fn ellipse(curvatures: &[f64]) -> impl Fn(&Tensor, Option<&Tensor>) -> (Tensor, Tensor) + Clone + Sync {
    let curvatures = curvatures.to_vec();
    move |weights, batch| {
        let mut gradient = weights * Tensor::from_slice(&curvatures).to_kind(weights.kind());
        let mut constant = None;
        if let Some(batch) = batch {
            gradient *= (batch.narrow(1, 0, 1).remainder(2) + 1).to_kind(weights.kind());
            constant = Some(batch.select(1, 1).to_kind(weights.kind()));
        }
        let loss = (weights * &gradient).sum_dim_intlist(1, false, None) * 0.5;
        (constant.map_or_else(|| loss.copy(), |constant| &loss + constant), gradient)
    }
}

/// A w* with settings. Chains of origins with different seeds have nothing in common.
struct At {
    seed: u64,
    start: Vec<f32>,
    settings: Settings,
    /// N as the stacking sees it.
    examples: usize,
    stop: AtomicBool,
    looks: AtomicUsize,
}

impl At {
    fn new(seed: u64, start: &[f32], settings: &Settings) -> Self {
        let (stop, looks) = (AtomicBool::new(false), AtomicUsize::new(0));
        Self { seed, start: start.to_vec(), settings: settings.clone(), examples: 10, stop, looks }
    }
}

impl Origin for At {
    fn start(&self) -> &[f32] {
        &self.start
    }
    fn settings(&self) -> &Settings {
        &self.settings
    }
    fn chance(&self, chain: usize) -> Chance {
        Chance::derive(self.seed, &[chain as u64], 10)
    }
    fn examples(&self) -> usize {
        self.examples
    }
    fn stopped(&self) -> bool {
        self.looks.fetch_add(1, Ordering::Relaxed);
        self.stop.load(Ordering::Relaxed)
    }
}

/// One chain after the other, by the host's streams.
const APART: Form = Form { stacking: Stacking::OfOneOrigin, on_device: false };

/// All in one program, by the host's streams.
const STACKED: Form = Form { stacking: Stacking::OfAll { numbers: usize::MAX }, on_device: false };

/// As on an accelerator.
const ON_DEVICE: Form = Form { stacking: Stacking::OfAll { numbers: usize::MAX }, on_device: true };

const SINGLE: (Kind, Device) = (Kind::Float, Device::Cpu);

fn run_on<F>(of: &F, origins: &[At], options: (Kind, Device), idle: usize, form: Form) -> Vec<Outcome>
where
    F: Fn(&Tensor, Option<&Tensor>) -> (Tensor, Tensor) + Clone + Sync,
{
    let objective = |rows: &[&At]| Potential { members: rows.len(), dimension: rows[0].start.len(), of: of.clone() };
    let origins: Vec<&At> = origins.iter().collect();
    run(&origins, &objective, options, form, &Permits::new(idle))
}

/// The summary of chains around w* = 0, where the potential is 0, in one program on the host.
fn summarise<F>(of: &F, dimension: usize, settings: &Settings) -> (Summary, Vec<Chain>)
where
    F: Fn(&Tensor, Option<&Tensor>) -> (Tensor, Tensor) + Clone + Sync,
{
    let origin = At::new(1, &vec![0.0; dimension], settings);
    let chains = run_on(of, &[origin], SINGLE, 0, STACKED).remove(0).unwrap();
    let chains: Vec<Chain> = chains.into_iter().map(Result::unwrap).collect();
    let losses: Vec<_> = chains.iter().map(|chain| chain.losses.clone()).collect();
    (estimate::summarise(&losses, 0.0, settings.nbeta).unwrap(), chains)
}
