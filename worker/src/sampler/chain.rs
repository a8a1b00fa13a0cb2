//! The chains of one program, advanced together.

use std::ops::Range;

use tch::{Device, Kind, Tensor};

use super::{Chain, Chance, Settings};
use crate::estimate::Failure;
use crate::host::{self, widest};
use crate::objective::Objective;

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

    let mut weights = start.repeat([members, 1]); // w, [E, D]
    let mut gradient = weights.zeros_like(); // ∇L, [E, D]
    let mut normals = Noise::new(&weights);
    let mut batches = settings.batch_size.map(|size| Batches::new(members, size, start.device()));
    let mut ledger = Ledger::new(chains, settings);

    let update = Update::new(settings, start);
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
        update.apply(&mut weights, start, &gradient, normals.draw(chances));
    }
    let distances = (weights.to_kind(Kind::Double) - start).square().sum_dim_intlist(1, false, None).sqrt();
    Some(ledger.close(&values(&distances)))
}

/// w ← w − (ε/2)·(nβ·∇L + γ(w−w*)) + √ε·N(0,I)
struct Update {
    /// (ε/2)·γ
    pull: f64,
    /// (ε/2)·nβ
    slope: f64,
    /// √ε
    spread: f64,
    /// −slope and spread as tensors, which is how torch takes factors in place.
    tensors: [Tensor; 2],
}

impl Update {
    fn new(settings: &Settings, like: &Tensor) -> Self {
        let pull = settings.step_size / 2.0 * settings.localization;
        let slope = settings.step_size / 2.0 * settings.nbeta;
        let spread = settings.step_size.sqrt();
        let scalar = |value: f64| Tensor::from(value).to_device(like.device()).to_kind(like.kind());
        Self { pull, slope, spread, tensors: [scalar(-slope), scalar(spread)] }
    }

    /// `weights`, `gradient` and `noise` are [E, D], `start` is [D].
    fn apply(&self, weights: &mut Tensor, start: &Tensor, gradient: &Tensor, noise: &Tensor) {
        if host::applies(weights) {
            let (start, gradient, noise) = (host::slice(start), host::slice(gradient), host::slice(noise));
            let factors = [self.pull as f32, self.slope as f32, self.spread as f32];
            return langevin(host::slice_mut(weights), start, gradient, noise, factors);
        }
        // ∇L was taken before any of it, and the localisation comes first: it is that of the old weights.
        let [slope, spread] = &self.tensors;
        let _ = weights.lerp_(start, self.pull);
        let _ = weights.addcmul_(gradient, slope);
        let _ = weights.addcmul_(noise, spread);
    }
}

widest! {
    /// [`Update::apply`] in one pass over host memory.
    fn langevin(weights: &mut [f32], start: &[f32], gradient: &[f32], noise: &[f32], factors: [f32; 3]) {
        let [pull, slope, spread] = factors;
        let d = start.len();
        let rows = weights.chunks_exact_mut(d).zip(gradient.chunks_exact(d)).zip(noise.chunks_exact(d));
        for ((weights, gradient), noise) in rows {
            for (((w, start), gradient), noise) in weights.iter_mut().zip(start).zip(gradient).zip(noise) {
                let localisation = pull * (*w - start);
                let drift = slope * gradient;
                let noise = spread * noise;
                *w = *w - drift - localisation + noise;
            }
        }
    }
}

/// Each chain's own noise, in a buffer of all.
struct Noise {
    host: Tensor,
    /// On the device; on the CPU the same memory.
    device: Tensor,
}

impl Noise {
    fn new(weights: &Tensor) -> Self {
        let host = Tensor::zeros(weights.size(), (Kind::Float, Device::Cpu));
        let device = host.to_device(weights.device()).to_kind(weights.kind());
        Self { host, device }
    }

    /// [E, D]
    fn draw(&mut self, chances: &mut [Chance]) -> &Tensor {
        let dimension = self.host.size()[1] as usize;
        for (row, chance) in host::slice_mut(&mut self.host).chunks_exact_mut(dimension).zip(chances) {
            chance.noise.fill(row);
        }
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
        for (row, chance) in host::slice_mut(&mut self.host).chunks_exact_mut(size).zip(chances) {
            chance.batches.draw(row);
        }
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
        let losses = values(&Tensor::stack(&self.unread, 0)); // [steps, E]
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
fn values(tensor: &Tensor) -> Vec<f64> {
    let flat = tensor.to_kind(Kind::Double).flatten(0, -1);
    Vec::try_from(flat).unwrap_or_else(|error| unreachable!("a flat tensor of doubles: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Normals;

    #[test]
    fn the_update_is_the_same_in_host_memory_and_by_tensors() {
        let settings = Settings {
            step_size: 0.02,
            localization: 3.0,
            nbeta: 50.0,
            chains: 2,
            burn_in: 0,
            draws: 1,
            batch_size: None,
        };
        let tensor = |name: u64| {
            let mut values = vec![0.0; 6];
            Normals::derive(name, "test", &[]).fill_f64(&mut values);
            Tensor::from_slice(&values).view([2, 3])
        };
        let [weights, gradient, noise] = [0, 1, 2].map(tensor);
        let start = tensor(3).get(0);
        let (epsilon, gamma, nbeta) = (0.02, 3.0, 50.0);
        let drift = (&gradient * nbeta + (&weights - &start) * gamma) * (epsilon / 2.0);
        let expected = &weights - drift + &noise * f64::sqrt(epsilon);
        for kind in [Kind::Float, Kind::Double] {
            let mut moved = weights.to_kind(kind).copy();
            let start = start.to_kind(kind);
            Update::new(&settings, &start).apply(&mut moved, &start, &gradient.to_kind(kind), &noise.to_kind(kind));
            // Rounding of f32 at most; numbers are of order 1.
            assert!((moved - &expected).abs().max().double_value(&[]) < 1e-6);
        }
    }
}
