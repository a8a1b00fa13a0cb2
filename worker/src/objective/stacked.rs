//! Examples of many members as tensors. Letters: E members, N examples, n examples of a batch, p outputs.
//!
//! Members may have different numbers of examples. Where a tensor program computes them all at once N is the largest
//! number, and the others' examples are padded; loops in host memory take members one after the other, and nothing is padded.

use std::ops::Range;

use tch::{Device, Kind, Tensor};

use crate::data::Set;
use crate::models::Model;

/// Examples of E members on a device, in one stack or, where nothing is gained by padding, in several.
#[derive(Debug)]
pub struct Stacks {
    /// Members and their stack, in order.
    parts: Vec<(Range<i64>, Stacked)>,
}

/// Examples of E members on a device.
#[derive(Debug)]
pub struct Stacked {
    /// As [`Model::inputs`] gives them: tensors [E, N, …].
    pub inputs: Vec<Tensor>,
    /// [E, N, p]
    pub targets: Tensor,
    /// [E, N]; `None` for regression.
    pub classes: Option<Tensor>,
    /// Each member's own number of examples, in double precision `[E]`.
    pub counts: Tensor,
    /// `None` where all members have N examples.
    pub padding: Option<Padding>,
    /// Where each member's examples begin among those of all, [E, 1].
    starts: Tensor,
}

/// What tells examples from padding, in the precision of the targets.
#[derive(Debug)]
pub struct Padding {
    /// 1 for an example and 0 for padding, [E, N, 1].
    pub mask: Tensor,
    /// 1 / a member's own number of examples, [E, 1, 1].
    pub shares: Tensor,
}

impl Stacks {
    /// The sets of E members.
    #[must_use]
    pub fn new(model: &dyn Model, sets: &[&Set], kind: Kind, device: Device) -> Self {
        // This is what is computed in host memory, and to the bit as if each member were alone.
        let apart = device == Device::Cpu && kind == Kind::Float;
        let groups = if apart { sets.chunk_by(|a, b| a.len() == b.len()).collect() } else { vec![sets] };
        let mut start = 0;
        let part = |sets: &[&Set]| {
            let members = start..start + sets.len() as i64;
            start = members.end;
            (members, Stacked::new(model, sets, kind, device))
        };
        Self { parts: groups.into_iter().map(part).collect() }
    }

    /// E.
    #[must_use]
    pub fn members(&self) -> i64 {
        self.parts.last().map_or(0, |(members, _)| members.end)
    }

    /// The stacks, each with the members that it belongs to.
    #[must_use]
    pub fn parts(&self) -> &[(Range<i64>, Stacked)] {
        &self.parts
    }
}

impl Stacked {
    /// Stacks sets, one a member.
    #[must_use]
    pub fn new(model: &dyn Model, sets: &[&Set], kind: Kind, device: Device) -> Self {
        let examples = sets.iter().map(|set| set.len()).max().unwrap_or(0);
        if sets.iter().all(|set| set.len() == examples) {
            return Self::of_same_size(model, sets, kind, device);
        }
        let padded: Vec<Set> = sets.iter().map(|set| set.padded(examples)).collect();
        let stack = Self::of_same_size(model, &padded.iter().collect::<Vec<_>>(), kind, device);
        let counts = Tensor::from_slice(&sets.iter().map(|set| set.len() as f64).collect::<Vec<_>>()).to_device(device);
        let places = Tensor::arange(examples as i64, (Kind::Double, device));
        let padding = Padding {
            mask: places.unsqueeze(0).lt_tensor(&counts.unsqueeze(1)).to_kind(kind).unsqueeze(2),
            shares: counts.reciprocal().to_kind(kind).view([-1, 1, 1]),
        };
        Self { counts, padding: Some(padding), ..stack }
    }

    fn of_same_size(model: &dyn Model, sets: &[&Set], kind: Kind, device: Device) -> Self {
        let stack = |parts: Vec<Tensor>| Tensor::stack(&parts, 0);
        let classes: Option<Vec<Tensor>> = sets.iter().map(|set| set.classes(device)).collect();
        let targets = stack(sets.iter().map(|set| set.targets(kind, device)).collect());
        let (members, examples) = (targets.size()[0], targets.size()[1]);
        Self {
            inputs: model.inputs(sets, kind, device),
            targets,
            classes: classes.map(stack),
            counts: Tensor::full([members], examples as f64, (Kind::Double, device)),
            padding: None,
            starts: (Tensor::arange(members, (Kind::Int64, device)) * examples).unsqueeze(1),
        }
    }

    /// E, N.
    #[must_use]
    pub fn size(&self) -> (i64, i64) {
        let size = self.targets.size();
        (size[0], size[1])
    }

    /// Inputs and targets at each member's own `batch` [E, n]. They lie in `buffers`, which are kept from call to call.
    pub(super) fn select(&self, batch: &Tensor, buffers: &mut Vec<Tensor>) -> (Vec<Tensor>, Tensor) {
        let index = if self.size().0 == 1 { batch.flatten(0, 1) } else { (batch + &self.starts).flatten(0, 1) };
        let sources = || self.inputs.iter().chain([&self.targets]);
        let shape = |source: &Tensor| [batch.size().as_slice(), &source.size()[2..]].concat();
        if buffers.first().map(|buffer| buffer.size()[..2].to_vec()) != Some(batch.size()) {
            *buffers =
                sources().map(|source| source.new_empty(shape(source), (source.kind(), source.device()))).collect();
        }
        for (source, buffer) in sources().zip(buffers.iter()) {
            let _ = source.flatten(0, 1).index_select_out(&buffer.flatten(0, 1), 0, &index);
        }
        let mut selected: Vec<_> = buffers.iter().map(Tensor::shallow_clone).collect();
        let targets = selected.remove(self.inputs.len());
        (selected, targets)
    }
}
