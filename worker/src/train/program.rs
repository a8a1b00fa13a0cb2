//! The stacked tensors of an ensemble, and the step that all its members take together.
//!
//! Letters: E members, D parameters, n examples of a batch.

use phasegrid_proto::v1;
use tch::{Device, Tensor};

use super::Place;
use super::batches::Batches;
use super::member::Member;
use super::snapshot::Saved;
use crate::data::Set;
use crate::metrics;
use crate::models;
use crate::objective::{Objective, SquaredError, Stacks};
use crate::optimizer::Optimizer;

/// What E members compute with.
pub(super) struct Program {
    rows: Rows,
    /// [E, D]
    gradient: Tensor,
    objective: SquaredError,
    /// `None` if no member has validation examples.
    validation: Option<Stacks>,
}

/// What each member has of its own, and brings along or takes away.
pub(super) struct Rows {
    /// [E, D]
    weights: Tensor,
    optimizer: Optimizer,
    /// `None` for the full set.
    batches: Option<Batches>,
}

impl Program {
    /// For members where they are.
    pub(super) fn of(members: &[Member], place: &Place) -> Self {
        let rows = Rows::of(members, place);
        let (objective, validation) = examples(&members.iter().collect::<Vec<_>>(), place);
        Self { gradient: rows.weights.zeros_like(), rows, objective, validation }
    }

    /// One step of all members, of about so many that follow each other. Returns the losses before it, [E].
    pub(super) fn step(&mut self, steps: u64) -> Tensor {
        let Rows { weights, optimizer, batches } = &mut self.rows;
        let batch = batches.as_mut().map(|batches| batches.next(steps));
        let losses = self.objective.loss_and_gradient(weights, batch.as_ref(), &mut self.gradient);
        optimizer.step(weights, &mut self.gradient);
        losses
    }

    /// What the members `due` measure of themselves, in this order.
    pub(super) fn measure(&self, members: &[Member], due: &[usize], place: &Place) -> Vec<v1::Record> {
        let loss = members[0].task.train.loss;
        let measure = |objective: &SquaredError, validation: Option<&Stacks>, weights: &Tensor| {
            metrics::measure(objective.model(), loss, objective.stacks(), validation, weights)
        };
        if due.len() == members.len() {
            return measure(&self.objective, self.validation.as_ref(), &self.rows.weights);
        }
        let (objective, validation) = examples(&due.iter().map(|e| &members[*e]).collect::<Vec<_>>(), place);
        let weights = self.rows.weights.index_select(0, &index(due, place.device));
        measure(&objective, validation.as_ref(), &weights)
    }

    /// The weights of a member, `[D]`.
    pub(super) fn weights(&self, member: usize) -> Tensor {
        self.rows.weights.get(member as i64)
    }

    /// Where a member is, in host memory.
    pub(super) fn save(&self, e: usize, member: &Member) -> Saved {
        let on_host = |tensor: &Tensor| tensor.to_device(Device::Cpu).copy();
        let moments = self.rows.optimizer.moments_of(e);
        Saved { at: member.at, weights: on_host(&self.weights(e)), moments: moments.iter().map(on_host).collect() }
    }

    /// Goes on with those numbered `staying`, which are now `members`.
    pub(super) fn keep(mut self, staying: &[usize], members: &[Member], place: &Place) -> Self {
        let index = index(staying, place.device);
        self.rows.weights = self.rows.weights.index_select(0, &index);
        self.rows.optimizer.keep(staying);
        if let Some(batches) = &mut self.rows.batches {
            batches.keep(staying, &index);
        }
        self.restacked(members, place)
    }

    /// E.
    pub(super) fn members(&self) -> usize {
        self.rows.weights.size()[0] as usize
    }

    /// Goes on with those who bring `new` along, after its own: together they are `members`.
    pub(super) fn join(mut self, new: Rows, members: &[Member], place: &Place) -> Self {
        self.rows.weights = Tensor::cat(&[&self.rows.weights, &new.weights], 0);
        self.rows.optimizer.join(new.optimizer);
        if let (Some(batches), Some(new)) = (&mut self.rows.batches, new.batches) {
            batches.join(new);
        }
        self.restacked(members, place)
    }

    fn restacked(self, members: &[Member], place: &Place) -> Self {
        let rows = self.rows;
        let gradient = rows.weights.zeros_like();
        // The examples as they were go first: both may not fit beside each other.
        drop((self.gradient, self.objective, self.validation));
        let (objective, validation) = examples(&members.iter().collect::<Vec<_>>(), place);
        Self { rows, gradient, objective, validation }
    }
}

impl Rows {
    pub(super) fn of(members: &[Member], place: &Place) -> Self {
        let weights = |member: &Member| match &member.saved {
            Some(saved) => saved.weights.to_kind(place.kind),
            None => Tensor::from_slice(&models::initial_weights(&member.task)).to_kind(place.kind),
        };
        let weights = Tensor::stack(&members.iter().map(weights).collect::<Vec<_>>(), 0).to_device(place.device);
        let optimizers: Vec<_> = members.iter().map(|member| member.task.train.optimizer).collect();
        let mut optimizer = Optimizer::new(&optimizers, &weights);
        for (e, member) in members.iter().enumerate() {
            if let Some(saved) = &member.saved {
                optimizer.resume(e, saved.at.step, &saved.moments);
            }
        }
        Self { weights, optimizer, batches: Batches::of(members, place.device) }
    }
}

/// The objective of these members, and their validation examples if there are any.
fn examples(members: &[&Member], place: &Place) -> (SquaredError, Option<Stacks>) {
    let task = &members[0].task;
    let train: Vec<_> = members.iter().map(|member| &member.examples.train).collect();
    let objective = SquaredError::new(models::of(task), task.train.loss, &train, place.kind, place.device);
    let validation: Vec<&Set> = members.iter().map(|member| &member.examples.validation).collect();
    let any = validation.iter().any(|set| !set.is_empty());
    let validation = any.then(|| Stacks::new(objective.model(), &validation, place.kind, place.device));
    (objective, validation)
}

fn index(rows: &[usize], device: Device) -> Tensor {
    let rows: Vec<i64> = rows.iter().map(|row| *row as i64).collect();
    Tensor::from_slice(&rows).to_device(device)
}
