//! The random numbers of a program's rows, step by step. Each row's are its own, whichever rows lie beside it.

mod counters;
mod streams;

use tch::{Device, Kind, Tensor};

use crate::random::{Normals, Stream};

/// The randomness of one chain: streams that know nothing of each other, so that what one is used for changes no other.
#[derive(Clone, Debug)]
pub(crate) struct Chance {
    /// Noise, where it is made on the host.
    pub(super) noise: Normals,
    /// Minibatches, where they are drawn on the host.
    pub(super) batches: Stream,
    /// What decides about proposals.
    pub(super) acceptance: Stream,
    /// The keys of noise and of minibatches that an accelerator makes itself, one a step.
    pub(super) keys: [Stream; 2],
    /// N, from which minibatches are drawn.
    pub(super) examples: usize,
}

impl Chance {
    /// The randomness of the chain that `seed` and `indices` name, with minibatches of so many examples.
    pub(crate) fn derive(seed: u64, indices: &[u64], examples: usize) -> Self {
        Self {
            noise: Normals::derive(seed, "chain", indices),
            batches: Stream::derive(seed, "chain batches", indices),
            acceptance: Stream::derive(seed, "chain acceptance", indices),
            keys: ["chain noise keys", "chain batch keys"].map(|name| Stream::derive(seed, name, indices)),
            examples,
        }
    }
}

/// Where the numbers of R rows come from.
pub(super) trait Randomness {
    /// A standard normal number for each weight that moves, [R, M].
    fn noise(&mut self) -> &Tensor;

    /// A minibatch for each row, as indices into its examples, [R, n]; `None` is the full set.
    fn batch(&mut self) -> Option<&Tensor>;
}

/// The randomness of the rows that `chances` belong to: made on the device, or by their streams on the host.
pub(super) fn of(
    chances: Vec<Chance>,
    moving: usize,
    batch_size: Option<usize>,
    options: (Kind, Device),
    on_device: bool,
) -> Box<dyn Randomness> {
    if on_device {
        Box::new(counters::Counters::new(chances, moving, batch_size, options))
    } else {
        Box::new(streams::Streams::new(chances, moving, batch_size, options))
    }
}
