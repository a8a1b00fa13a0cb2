//! Random numbers by the streams of each row, on the host: the fastest there is for a CPU.

use tch::{Device, Kind, Tensor};

use super::{Chance, Randomness};
use crate::host;

/// Each row's own streams, and buffers for what they give.
pub(super) struct Streams {
    chances: Vec<Chance>,
    noise: Buffer,
    batches: Option<Buffer>,
}

impl Streams {
    pub(super) fn new(
        chances: Vec<Chance>,
        moving: usize,
        batch_size: Option<usize>,
        (kind, device): (Kind, Device),
    ) -> Self {
        let rows = chances.len();
        let batches = batch_size.map(|size| Buffer::new([rows, size], Kind::Int64, (Kind::Int64, device)));
        Self { chances, noise: Buffer::new([rows, moving], Kind::Float, (kind, device)), batches }
    }
}

impl Randomness for Streams {
    fn noise(&mut self) -> &Tensor {
        self.noise.fill(&mut self.chances, |chance, row| chance.noise.fill(row))
    }

    fn batch(&mut self) -> Option<&Tensor> {
        let batches = self.batches.as_mut()?;
        Some(batches.fill(&mut self.chances, |chance, row| chance.batches.draw(row)))
    }
}

/// Rows of numbers that are written in host memory and read elsewhere; on a CPU, in the same precision, that is the same
/// memory.
struct Buffer {
    host: Tensor,
    read: Tensor,
}

impl Buffer {
    fn new([rows, columns]: [usize; 2], written: Kind, (kind, device): (Kind, Device)) -> Self {
        let host = Tensor::zeros([rows as i64, columns as i64], (written, Device::Cpu));
        let read = host.to_device(device).to_kind(kind);
        Self { host, read }
    }

    fn fill<T: tch::kind::Element>(&mut self, chances: &mut [Chance], fill: impl Fn(&mut Chance, &mut [T])) -> &Tensor {
        let columns = self.host.size()[1] as usize;
        for (row, chance) in host::slice_mut(&mut self.host).chunks_exact_mut(columns).zip(chances) {
            fill(chance, row);
        }
        if self.host.data_ptr() != self.read.data_ptr() {
            self.read.copy_(&self.host);
        }
        &self.read
    }
}
