//! What the rows' losses were.

use tch::{Device, Kind, Tensor};

use super::Chain;
use crate::estimate::Failure;
use crate::host;

/// Steps between looks at what happens: often enough to notice the end of all chains or of the task, seldom enough that an
/// accelerator is not kept waiting.
pub(super) const STEPS_A_LOOK: usize = 64;

/// The losses of each row's draws, or where it failed.
pub(super) struct Ledger {
    burn_in: usize,
    rows: Vec<Entry>,
    /// Losses that no one has looked at yet, [STEPS_A_LOOK, R]; of what lies in host memory none are kept there.
    waiting: Option<Tensor>,
    /// Steps since the last look.
    unread: usize,
    /// Steps that are in `rows`.
    read: usize,
}

struct Entry {
    chain: usize,
    draws: Result<Vec<f64>, Failure>,
}

impl Ledger {
    /// For the rows with these numbers among the chains of their origin.
    pub(super) fn new(chains: &[usize], burn_in: usize, draws: usize, device: Device, on_device: bool) -> Self {
        let entry = |chain: &usize| Entry { chain: *chain, draws: Ok(Vec::with_capacity(draws)) };
        let shape = [STEPS_A_LOOK as i64, chains.len() as i64];
        let waiting = on_device.then(|| Tensor::zeros(shape, (Kind::Double, device)));
        Self { burn_in, rows: chains.iter().map(entry).collect(), waiting, unread: 0, read: 0 }
    }

    /// Takes note of the losses [R] of a step.
    pub(super) fn push(&mut self, losses: &Tensor) {
        if let Some(waiting) = &self.waiting {
            waiting.get(self.unread as i64).copy_(losses);
        } else if host::applies(losses) {
            self.note(host::slice::<f32>(losses).iter().copied().map(f64::from));
        } else {
            self.note(host::values(losses).into_iter());
        }
        self.unread += 1;
    }

    /// Whether it is time for a look.
    pub(super) fn is_due(&self) -> bool {
        self.unread == STEPS_A_LOOK
    }

    /// Reads what is unread.
    pub(super) fn look(&mut self) {
        if let Some(waiting) = &self.waiting {
            let losses: Vec<f64> = host::values(&waiting.narrow(0, 0, self.unread as i64)); // [steps, R]
            for step in losses.chunks_exact(self.rows.len()) {
                self.note(step.iter().copied());
            }
        }
        self.unread = 0;
    }

    /// Enters the losses of one step, row by row.
    fn note(&mut self, losses: impl Iterator<Item = f64>) {
        let (step, burn_in) = (self.read, self.burn_in);
        for (Entry { chain, draws }, loss) in self.rows.iter_mut().zip(losses) {
            match draws {
                Ok(_) if !loss.is_finite() => *draws = Err(Failure { chain: *chain, step, burn_in }),
                Ok(draws) if step >= burn_in => draws.push(loss),
                _ => {}
            }
        }
        self.read += 1;
    }

    pub(super) fn all_failed(&self) -> bool {
        self.rows.iter().all(|row| row.draws.is_err())
    }

    /// The chains, with the distance of each from w* and the share of its proposals that were accepted.
    pub(super) fn close(self, distances: &[f64], acceptance: Option<&[f64]>) -> Vec<Result<Chain, Failure>> {
        let close = |(row, entry): (usize, Entry)| {
            let chain = |losses| Chain { losses, distance: distances[row], acceptance: acceptance.map(|all| all[row]) };
            entry.draws.map(chain)
        };
        self.rows.into_iter().enumerate().map(close).collect()
    }
}
