//! The chains of one program, advanced together.

use std::ops::Range;

use tch::{Device, Kind, Tensor};

use super::{Chain, Chance, Settings};
use crate::estimate::Failure;
use crate::objective::Objective;
use crate::random::with_slice_mut;

/// Steps between looks at the losses: often enough to notice the end of all chains or of the task, seldom enough that
/// an accelerator is not kept waiting.
const STEPS_A_LOOK: usize = 64;

/// Runs the chains `chains` from `start` [D], all in one stacked program of as many members as `objective` has. `None`
/// if `stopped` said so on the way.
pub(super) fn sample(
    objective: &dyn Objective,
    start: &Tensor,
    settings: &Settings,
    chains: Range<usize>,
    chances: &mut [Chance],
    stopped: &dyn Fn() -> bool,
) -> Option<Vec<Result<Chain, Failure>>> {
    let members = chains.len() as i64;
    assert_eq!(objective.members(), members, "one member a chain");
    let (kind, device) = (start.kind(), start.device());
    let scalar = |value: f64| Tensor::from(value).to_device(device).to_kind(kind);

    let mut weights = start.repeat([members, 1]); // w, [E, D]
    let mut gradient = weights.zeros_like(); // ∇L, [E, D]
    let mut normals = Normal::new(&weights);
    let mut batches = settings.batch_size.map(|size| Batches::new(members, size, device));
    let mut ledger = Ledger::new(chains, settings);

    let pull = settings.step_size / 2.0 * settings.localization;
    let slope = scalar(-settings.step_size / 2.0 * settings.nbeta);
    let spread = scalar(settings.step_size.sqrt());
    for step in 0..settings.steps() {
        let batch = batches.as_mut().map(|batches| batches.draw(chances));
        ledger.push(objective.loss_and_gradient(&weights, batch, &mut gradient));
        let last = step + 1 == settings.steps();
        if last || ledger.unread() == STEPS_A_LOOK {
            ledger.read();
            if ledger.all_failed() {
                break;
            }
            if stopped() {
                return None;
            }
        }
        if last {
            break; // the loss of a draw is that before its update: no one would see this one
        }
        let noise = normals.draw(chances);
        // w ← w − (ε/2)·(nβ·∇L + γ(w−w*)) + √ε·N(0,I); ∇L was taken before, so that the order is of no consequence, but
        // for the localisation, which comes first.
        let _ = weights.lerp_(start, pull); //              localisation  w −= (ε/2)·γ·(w−w*)
        let _ = weights.addcmul_(&gradient, &slope); //     drift         w −= (ε/2)·nβ·∇L
        let _ = weights.addcmul_(noise, &spread); //        noise         w += √ε·N(0,I)
    }
    let distances = (weights.to_kind(Kind::Double) - start).square().sum_dim_intlist(1, false, None).sqrt();
    Some(ledger.close(&host(&distances)))
}

/// Each chain's own noise, in a buffer of all.
struct Normal {
    host: Tensor,
    /// On the device; on the CPU the same memory.
    device: Tensor,
}

impl Normal {
    fn new(weights: &Tensor) -> Self {
        let host = Tensor::zeros(weights.size(), (Kind::Float, Device::Cpu));
        let device = host.to_device(weights.device()).to_kind(weights.kind());
        Self { host, device }
    }

    /// [E, D]
    fn draw(&mut self, chances: &mut [Chance]) -> &Tensor {
        let dimension = self.host.size()[1] as usize;
        with_slice_mut(&mut self.host, |all: &mut [f32]| {
            for (row, chance) in all.chunks_exact_mut(dimension).zip(chances) {
                chance.noise.fill(row);
            }
        });
        if self.host.data_ptr() != self.device.data_ptr() {
            self.device.copy_(&self.host);
        }
        &self.device
    }
}

/// Each chain's own minibatch, in a buffer of all.
struct Batches {
    host: Tensor,
    device: Tensor,
}

impl Batches {
    fn new(members: i64, size: usize, device: Device) -> Self {
        let host = Tensor::zeros([members, size as i64], (Kind::Int64, Device::Cpu));
        let device = host.to_device(device);
        Self { host, device }
    }

    /// [E, n]
    fn draw(&mut self, chances: &mut [Chance]) -> &Tensor {
        let size = self.host.size()[1] as usize;
        with_slice_mut(&mut self.host, |all: &mut [i64]| {
            for (row, chance) in all.chunks_exact_mut(size).zip(chances) {
                chance.batches.draw(row);
            }
        });
        if self.host.data_ptr() != self.device.data_ptr() {
            self.device.copy_(&self.host);
        }
        &self.device
    }
}

/// What the chains' losses were.
struct Ledger<'a> {
    settings: &'a Settings,
    /// Losses [E] not looked at yet.
    unread: Vec<Tensor>,
    /// Steps that were looked at.
    read: usize,
    chains: Vec<(usize, Result<Vec<f64>, Failure>)>,
}

impl<'a> Ledger<'a> {
    fn new(chains: Range<usize>, settings: &'a Settings) -> Self {
        let chains = chains.map(|chain| (chain, Ok(Vec::with_capacity(settings.draws)))).collect();
        Self { settings, unread: Vec::with_capacity(STEPS_A_LOOK), read: 0, chains }
    }

    fn push(&mut self, losses: Tensor) {
        self.unread.push(losses);
    }

    fn unread(&self) -> usize {
        self.unread.len()
    }

    fn read(&mut self) {
        let losses = host(&Tensor::stack(&self.unread, 0)); // [steps, E]
        let burn_in = self.settings.burn_in;
        for (i, row) in losses.chunks_exact(self.chains.len()).enumerate() {
            let step = self.read + i;
            for ((chain, state), loss) in self.chains.iter_mut().zip(row) {
                match state {
                    Ok(_) if !loss.is_finite() => *state = Err(Failure { chain: *chain, step, burn_in }),
                    Ok(draws) if step >= burn_in => draws.push(*loss),
                    _ => {}
                }
            }
        }
        self.read += self.unread.len();
        self.unread.clear();
    }

    fn all_failed(&self) -> bool {
        self.chains.iter().all(|(_, state)| state.is_err())
    }

    fn close(self, distances: &[f64]) -> Vec<Result<Chain, Failure>> {
        let close = |((_, state), distance): ((_, Result<_, _>), &f64)| state.map(|losses| (losses, *distance));
        let chain = |(losses, distance)| Chain { losses, distance };
        self.chains.into_iter().zip(distances).map(|pair| close(pair).map(chain)).collect()
    }
}

/// The values of a tensor, row by row.
fn host(tensor: &Tensor) -> Vec<f64> {
    let flat = tensor.to_kind(Kind::Double).flatten(0, -1);
    Vec::try_from(flat).unwrap_or_else(|error| unreachable!("a flat tensor of doubles: {error}"))
}
