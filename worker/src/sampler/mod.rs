//! Stochastic gradient Langevin dynamics (SGLD) around weights w*: chains that wander where the loss is low, near w*.
//!
//! w ← w − (ε/2)·(nβ·∇L_batch(w) + γ(w−w*)) + √ε·N(0,I)
//!
//! ε `step_size`, γ `localization`, nβ `nbeta`: inverse temperature times dataset size. The loss that a draw records is
//! the one before that step's update. E chains of one program, D parameters.
//!
//! Every chain has a stream of noise and one of minibatches of its own, so that its draws are the same (to rounding)
//! whichever chains run beside it, in its program or on other threads.

mod chain;
mod curvature;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use tch::{Device, Tensor};

pub use curvature::greatest_curvature;

use crate::estimate::Failure;
use crate::objective::Objective;
use crate::permits::Permits;
use crate::random::{Normals, Subsets};

/// Settings of chains, every value resolved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// ε.
    pub step_size: f64,
    /// γ.
    pub localization: f64,
    /// nβ.
    pub nbeta: f64,
    /// Number of chains.
    pub chains: usize,
    /// Steps before the first draw.
    pub burn_in: usize,
    /// Draws of each chain.
    pub draws: usize,
    /// Examples behind one gradient; `None` is the full set.
    pub batch_size: Option<usize>,
}

impl Settings {
    /// Steps of one chain.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.burn_in + self.draws
    }
}

/// The randomness of one chain.
#[derive(Clone, Debug)]
pub struct Chance {
    /// Its noise.
    pub noise: Normals,
    /// Its minibatches.
    pub batches: Subsets,
}

/// What one chain recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Chain {
    /// The loss of each draw.
    pub losses: Vec<f64>,
    /// Distance from w* at the last draw.
    pub distance: f64,
}

/// Runs all chains from `start` `[D]`, on the device and in the precision of `start`, and returns them in order; a chain
/// whose loss became non-finite ends there and says where. `None` if `stopped` said so on the way.
///
/// `objective` makes the loss for a number of stacked chains, `chance` the randomness of a chain. The caller's thread
/// holds a permit; chains that do not fit into one program take idle ones for threads of their own.
pub fn run<O: Objective>(
    objective: &(impl Fn(usize) -> O + Sync),
    start: &Tensor,
    settings: &Settings,
    chance: &(impl Fn(usize) -> Chance + Sync),
    permits: &Permits,
    stopped: &(dyn Fn() -> bool + Sync),
) -> Option<Vec<Result<Chain, Failure>>> {
    let examples = settings.batch_size.unwrap_or_else(|| objective(1).examples() as usize);
    let stacked = chains_a_program(start.numel(), examples, settings.chains, start.device());
    let programs = settings.chains / stacked;
    let next = AtomicUsize::new(0);
    let finished = Mutex::new(Vec::with_capacity(programs));
    // Takes programs until none is left. One objective serves them all: they are of the same size.
    let work = |start: &Tensor, recruit: &mut dyn FnMut(usize)| {
        tch::set_num_threads(1); // a permit is the right to one thread
        let objective = objective(stacked);
        loop {
            let program = next.fetch_add(1, Ordering::Relaxed);
            if program >= programs {
                return;
            }
            if stopped() {
                finished.lock().unwrap_or_else(PoisonError::into_inner).push((program, None));
                return;
            }
            recruit(programs - program - 1);
            let chains = program * stacked..(program + 1) * stacked;
            let mut chances: Vec<Chance> = chains.clone().map(chance).collect();
            let sampled = tch::no_grad(|| chain::sample(&objective, start, settings, chains, &mut chances, stopped));
            finished.lock().unwrap_or_else(PoisonError::into_inner).push((program, sampled));
        }
    };
    std::thread::scope(|scope| {
        let mut helpers = Vec::new();
        work(start, &mut |left| {
            while helpers.len() < left {
                let Some(permit) = permits.try_acquire() else { break };
                let start = start.copy();
                let work = &work;
                helpers.push(scope.spawn(move || {
                    work(&start, &mut |_| ());
                    drop(permit);
                }));
            }
        });
        for helper in helpers {
            // The scope would panic with words of its own, and libtorch's reason would be lost.
            helper.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    });
    let mut finished = finished.into_inner().unwrap_or_else(PoisonError::into_inner);
    finished.sort_unstable_by_key(|(program, _)| *program);
    let programs: Option<Vec<_>> = finished.into_iter().map(|(_, chains)| chains).collect();
    programs.map(|programs| programs.into_iter().flatten().collect())
}

/// How many of the chains are stacked into one program: a divisor of their number, and a function of shapes and device
/// alone.
///
/// On the CPU a stacked program is no faster than its members one after the other, but for the cost of the calls into
/// libtorch, some 50 µs a step: chains are stacked until their arithmetic (about 6 operations for each of D·n) takes as
/// long. On an accelerator everything is stacked.
fn chains_a_program(dimension: usize, examples: usize, chains: usize, device: Device) -> usize {
    const ARITHMETIC_WORTH_THE_CALLS: usize = 1 << 20;
    if device != Device::Cpu {
        return chains;
    }
    let most = (ARITHMETIC_WORTH_THE_CALLS / (dimension * examples).max(1)).clamp(1, chains);
    (1..=most).rev().find(|stacked| chains.is_multiple_of(*stacked)).unwrap_or(1)
}

#[cfg(test)]
mod tests;
