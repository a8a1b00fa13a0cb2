//! Examples of many members as tensors. Letters: E members, N examples, n examples of a batch, p outputs.

use tch::{Device, Kind, Tensor};

use crate::data::Set;
use crate::models::Model;

/// Examples of E members on a device.
#[derive(Debug)]
pub struct Stacked {
    /// As [`Model::inputs`] gives them: tensors [E, N, …].
    pub inputs: Vec<Tensor>,
    /// [E, N, p]
    pub targets: Tensor,
    /// [E, N]; `None` for regression.
    pub classes: Option<Tensor>,
}

impl Stacked {
    /// Stacks sets of the same size, one a member.
    #[must_use]
    pub fn new(model: &dyn Model, sets: &[&Set], kind: Kind, device: Device) -> Self {
        let stack = |parts: Vec<Tensor>| Tensor::stack(&parts, 0);
        let classes: Option<Vec<Tensor>> = sets.iter().map(|set| set.classes(device)).collect();
        Self {
            inputs: model.inputs(sets, kind, device),
            targets: stack(sets.iter().map(|set| set.targets(kind, device)).collect()),
            classes: classes.map(stack),
        }
    }

    /// E, N.
    #[must_use]
    pub fn size(&self) -> (i64, i64) {
        let size = self.targets.size();
        (size[0], size[1])
    }

    /// Inputs and targets at each member's own `batch` [E, n].
    pub(super) fn select(&self, batch: &Tensor) -> (Vec<Tensor>, Tensor) {
        let (members, examples) = self.size();
        let index = if members == 1 {
            batch.flatten(0, 1)
        } else {
            // Each member's examples begin where those of the one before end.
            let starts = Tensor::arange_start_step(0, members * examples, examples, (Kind::Int64, batch.device()));
            (batch + starts.unsqueeze(1)).flatten(0, 1)
        };
        let select = |tensor: &Tensor| {
            let mut size = tensor.size();
            size[1] = -1;
            tensor.flatten(0, 1).index_select(0, &index).view(size.as_slice())
        };
        (self.inputs.iter().map(select).collect(), select(&self.targets))
    }
}
