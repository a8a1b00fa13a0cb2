//! Random numbers by the streams of each row, on the host: the fastest there is for a CPU.

use tch::kind::Element;
use tch::{Device, Kind, Tensor};

use super::{Chance, Randomness};
use crate::host;
use crate::random::{Normals, Subsets};

/// Each row's own streams, and buffers for what they give.
pub(super) struct Streams {
    noise: (Vec<Normals>, Buffer),
    /// `None` for the full set.
    batches: Option<(Vec<Subsets>, Buffer)>,
}

impl Streams {
    pub(super) fn new(
        chances: Vec<Chance>,
        moving: usize,
        batch_size: Option<usize>,
        (kind, device): (Kind, Device),
    ) -> Self {
        let rows = chances.len();
        let batches = batch_size.map(|size| {
            let subsets = |chance: &Chance| Subsets::new(chance.batches.clone(), chance.examples);
            let buffer = Buffer::new([rows, size], Kind::Int64, (Kind::Int64, device));
            (chances.iter().map(subsets).collect(), buffer)
        });
        let noise = Buffer::new([rows, moving], Kind::Float, (kind, device));
        Self { noise: (chances.into_iter().map(|chance| chance.noise).collect(), noise), batches }
    }
}

impl Randomness for Streams {
    fn noise(&mut self) -> &Tensor {
        let (normals, buffer) = &mut self.noise;
        buffer.fill(normals, Normals::fill)
    }

    fn batch(&mut self) -> Option<&Tensor> {
        let (subsets, buffer) = self.batches.as_mut()?;
        Some(buffer.fill(subsets, Subsets::draw))
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

    fn fill<T: Element, S>(&mut self, streams: &mut [S], fill: impl Fn(&mut S, &mut [T])) -> &Tensor {
        let columns = self.host.size()[1] as usize;
        for (row, stream) in host::slice_mut(&mut self.host).chunks_exact_mut(columns).zip(streams) {
            fill(stream, row);
        }
        if self.host.data_ptr() != self.read.data_ptr() {
            self.read.copy_(&self.host);
        }
        &self.read
    }
}
