//! Minibatches of an ensemble: each member's own examples, drawn from its own stream.
//!
//! They are drawn for several steps at once, so that an accelerator is not stopped at each step by a copy. Letters: S steps,
//! E members, n examples of a batch.

use phasegrid_proto::task::BatchSize;
use tch::{Device, Kind, Tensor};

use super::member::Member;
use crate::host;
use crate::random::{Stream, Subsets};

/// Numbers in a block of minibatches at most: 8 MiB.
const BLOCK: usize = 1 << 20;

/// The minibatches to come.
pub(super) struct Batches {
    /// One a member.
    streams: Vec<Subsets>,
    size: usize,
    device: Device,
    /// [S, E, n]
    drawn: Tensor,
    /// How many of the S steps have been taken.
    taken: i64,
}

impl Batches {
    /// Those of members from where they are; `None` for the full set, which for one is the full set for all.
    pub(super) fn of(members: &[Member], device: Device) -> Option<Self> {
        if members[0].task.train.batch_size == BatchSize::Full {
            return None;
        }
        let size = members[0].batch();
        let drawn = Tensor::zeros([0, members.len() as i64, size as i64], (Kind::Int64, device));
        Some(Self { streams: members.iter().map(stream).collect(), size, device, drawn, taken: 0 })
    }

    /// Those of the next step, [E, n], of about so many that will be taken.
    pub(super) fn next(&mut self, steps: u64) -> Tensor {
        if self.taken == self.drawn.size()[0] {
            let most = (BLOCK / (self.size * self.streams.len())).max(1);
            self.drawn = self.draw(most.min(steps as usize));
            self.taken = 0;
        }
        self.taken += 1;
        self.drawn.get(self.taken - 1)
    }

    /// Goes on with these members alone; `index` holds the same numbers on the device.
    pub(super) fn keep(&mut self, members: &[usize], index: &Tensor) {
        self.streams = members.iter().map(|member| self.streams[*member].clone()).collect();
        self.drawn = self.drawn.index_select(1, index);
    }

    /// Goes on with the members of `other`, which has drawn nothing yet, after its own.
    pub(super) fn join(&mut self, mut other: Self) {
        let left = self.drawn.size()[0] - self.taken;
        let theirs = other.draw(left as usize);
        self.drawn = Tensor::cat(&[self.drawn.narrow(0, self.taken, left), theirs], 1);
        self.taken = 0;
        self.streams.extend(other.streams);
    }

    fn draw(&mut self, steps: usize) -> Tensor {
        let (members, size) = (self.streams.len(), self.size);
        let mut drawn = Tensor::zeros([steps as i64, members as i64, size as i64], (Kind::Int64, Device::Cpu));
        for step in host::slice_mut(&mut drawn).chunks_exact_mut(members * size) {
            for (row, stream) in step.chunks_exact_mut(size).zip(&mut self.streams) {
                stream.draw(row);
            }
        }
        drawn.to_device(self.device)
    }
}

/// A member's minibatches from the step on that it has reached: those before are drawn again and dropped.
fn stream(member: &Member) -> Subsets {
    let mut stream = Subsets::new(Stream::derive(member.task.seed, "batches", &[]), member.examples.train.len());
    let mut row = vec![0; member.batch()];
    for _ in 0..member.at.step {
        stream.draw(&mut row);
    }
    stream
}
