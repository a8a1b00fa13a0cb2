//! Chains that wander where the loss is low, near weights w*: Langevin dynamics under the potential
//!
//! U(w) = nβ·L(w) + (γ/2)·‖w−w*‖²
//!
//! ε `step_size`, γ `localization`, nβ `nbeta`: inverse temperature times dataset size. The loss that a draw records is
//! the one before that step's move. Letters: R rows, one a chain of a program; D parameters, M of them moving.
//!
//! An [`Origin`] is a w* with its settings. [`run`] puts the chains of all origins into programs (`stacking`) and the
//! programs on threads (`spread`). A `program` is a loop: the objective says loss and gradient at all rows, the `ledger`
//! keeps the losses, one of the `dynamics` moves the rows by gradient and `randomness`.
//!
//! Every chain has random streams of its own, so that its draws are the same whichever chains run beside it, in its
//! program or on other threads: to the bit on a CPU, to rounding on an accelerator.

mod curvature;
mod dynamics;
mod ledger;
mod program;
mod randomness;
mod spread;
mod stacking;

use std::ops::Range;

use phasegrid_proto::task::Method;
use tch::{Device, Kind};

pub(crate) use curvature::{Course, Curvature, power_iterations};
pub(crate) use randomness::Chance;
pub(crate) use spread::spread;
pub(crate) use stacking::Stacking;

use crate::estimate::Failure;
use crate::objective::Objective;
use crate::permits::Permits;

/// Settings of chains, every value resolved.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Settings {
    /// The dynamics.
    pub(crate) method: Method,
    /// ε.
    pub(crate) step_size: f64,
    /// γ.
    pub(crate) localization: f64,
    /// nβ.
    pub(crate) nbeta: f64,
    /// Number of chains.
    pub(crate) chains: usize,
    /// Steps before the first draw.
    pub(crate) burn_in: usize,
    /// Draws of each chain.
    pub(crate) draws: usize,
    /// Examples behind one gradient; `None` is the full set.
    pub(crate) batch_size: Option<usize>,
    /// The weights that move while all others stay at w*; `None` is all.
    pub(crate) moving: Option<Range<usize>>,
    /// Whether what a draw records is its loss minus that of w* on the same minibatch.
    pub(crate) paired: bool,
}

impl Settings {
    /// Steps of one chain.
    pub(crate) fn steps(&self) -> usize {
        self.burn_in + self.draws
    }
}

/// Where chains start and stay near, and how they move.
pub(crate) trait Origin: Sync {
    /// w*, D numbers.
    fn start(&self) -> &[f32];

    /// How chains move.
    fn settings(&self) -> &Settings;

    /// The randomness of the chain of this number.
    fn chance(&self, chain: usize) -> Chance;

    /// N, the number of examples behind the full loss.
    fn examples(&self) -> usize;

    /// About how many numbers a chain takes in memory: its weights, its share of the examples, its activations.
    fn numbers(&self) -> usize {
        self.start().len()
    }

    /// Whether nobody wants these chains any more.
    fn stopped(&self) -> bool {
        false
    }
}

/// What one chain recorded.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Chain {
    /// The loss of each draw; its excess over that of w* if [`Settings::paired`].
    pub(crate) losses: Vec<f64>,
    /// Distance from w* at the last draw.
    pub(crate) distance: f64,
    /// Share of the proposals that were accepted while drawing, of dynamics that reject and had the chance.
    pub(crate) acceptance: Option<f64>,
}

/// The chains of one origin in order, where one whose loss became non-finite says so; `None` if it was stopped.
pub(crate) type Outcome = Option<Vec<Result<Chain, Failure>>>;

/// The form of a computation. Which it is makes no difference to a chain but for the numbers that its randomness consists
/// of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    pub(crate) stacking: Stacking,
    /// Random numbers are made where the rows are, and losses stay there until someone looks.
    pub(crate) on_device: bool,
}

impl Form {
    /// Numbers in memory of one program on an accelerator: 4 GB of them.
    const MOST_NUMBERS: usize = 1 << 30;

    /// The one that suits a device.
    pub(crate) fn of(device: Device) -> Self {
        match device {
            Device::Cpu => Self { stacking: Stacking::OfOneOrigin, on_device: false },
            _ => Self { stacking: Stacking::OfAll { numbers: Self::MOST_NUMBERS }, on_device: true },
        }
    }
}

/// Runs all chains of all origins, which share the shapes of their networks, in this precision and on this device.
///
/// `objective` makes the loss of a program's rows, given the origin of each. The caller's thread holds a permit; on a CPU
/// idle ones are taken for threads of their own.
pub(crate) fn run<W: Origin, O: Objective>(
    origins: &[&W],
    objective: &(impl Fn(&[&W]) -> O + Sync),
    options: (Kind, Device),
    form: Form,
    permits: &Permits,
) -> Vec<Outcome> {
    let programs = stacking::programs(origins, form.stacking);
    // An accelerator is filled by stacking: programs side by side would only take more of its memory.
    let permits = Some(permits).filter(|_| options.1 == Device::Cpu);
    let sampled = spread(programs.len(), permits, &|kept: &mut Option<(Vec<usize>, O)>, number| {
        let rows = &programs[number];
        let of_rows: Vec<usize> = rows.iter().map(|row| row.origin).collect();
        let (_, objective) = match kept.take() {
            Some((of, objective)) if of == of_rows => kept.insert((of, objective)),
            of_others => {
                drop(of_others); // before the next is made, so that there is memory for one alone
                let at: Vec<&W> = of_rows.iter().map(|origin| origins[*origin]).collect();
                kept.insert((of_rows, objective(&at)))
            }
        };
        program::sample(origins, rows, objective, options, form.on_device)
    });
    let mut outcomes: Vec<Outcome> = origins.iter().map(|_| Some(Vec::new())).collect();
    for (rows, chains) in programs.iter().zip(sampled) {
        match chains {
            // The chains of an origin come in order, be they in one program or in several.
            Some(chains) => {
                for (row, chain) in rows.iter().zip(chains) {
                    if let Some(outcome) = &mut outcomes[row.origin] {
                        outcome.push(chain);
                    }
                }
            }
            None => rows.iter().for_each(|row| outcomes[row.origin] = None),
        }
    }
    outcomes
}

#[cfg(test)]
mod tests;
