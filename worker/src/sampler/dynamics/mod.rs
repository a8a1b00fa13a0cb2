//! How rows move: one file a dynamics. Each is drift, localisation and noise, and one decides afterwards whether to stay.
//!
//! Host loops serve single precision on a CPU; tensor operations serve everything else, and are the reference.

mod langevin;
mod mala;
mod rmsprop;

use std::ops::Range;

use phasegrid_proto::task::Method;
use tch::{Device, Kind, Tensor};

use super::Settings;
use crate::host;
use crate::random::Stream;

/// Where R rows are. Weights that do not move stay at w*.
pub(super) struct Place {
    /// w, [R, D]
    pub(super) weights: Tensor,
    /// w* of each row, [R, D]
    pub(super) start: Tensor,
    /// ∇L(w), [R, D]
    pub(super) gradient: Tensor,
    moving: Range<usize>,
}

impl Place {
    /// At the rows' w*.
    pub(super) fn new(starts: &[&[f32]], moving: Option<&Range<usize>>, options: (Kind, Device)) -> Self {
        let rows: Vec<Tensor> = starts.iter().map(|start| Tensor::from_slice(start)).collect();
        let start = Tensor::stack(&rows, 0).to_device(options.1).to_kind(options.0);
        let moving = moving.cloned().unwrap_or(0..start.size()[1] as usize);
        Self { weights: start.copy(), gradient: start.zeros_like(), start, moving }
    }

    /// M, the number of weights that move.
    pub(super) fn moves(&self) -> usize {
        self.moving.len()
    }

    /// What of `all` [R, D] belongs to the weights that move: [R, M], a view.
    fn view(&self, all: &Tensor) -> Tensor {
        all.narrow(1, self.moving.start as i64, self.moving.len() as i64)
    }

    /// Row by row what of w, w* and ∇L belongs to the weights that move, in host memory.
    fn rows(&mut self) -> impl Iterator<Item = (&mut [f32], &[f32], &mut [f32])> {
        let (dimension, moving) = (self.start.size()[1] as usize, self.moving.clone());
        let weights = host::slice_mut(&mut self.weights).chunks_exact_mut(dimension);
        let start = host::slice(&self.start).chunks_exact(dimension);
        let gradient = host::slice_mut(&mut self.gradient).chunks_exact_mut(dimension);
        weights.zip(start).zip(gradient).map(move |((w, start), gradient)| {
            (&mut w[moving.clone()], &start[moving.clone()], &mut gradient[moving.clone()])
        })
    }

    /// [`Self::view`] of weights, w* and gradient.
    fn views(&self) -> [Tensor; 3] {
        [&self.weights, &self.start, &self.gradient].map(|all| self.view(all))
    }
}

/// One way of moving.
pub(super) trait Dynamics {
    /// Moves the weights, given their gradient and noise [R, M].
    fn step(&mut self, place: &mut Place, noise: &Tensor);

    /// Decides about the last step, now that loss [R] and gradient are known where it led: what rejects takes weights,
    /// gradient and loss back. `counts` says whether this is a draw.
    fn settle(&mut self, _place: &mut Place, _loss: &mut Tensor, _counts: bool) {}

    /// The share of accepted proposals among those that counted, row by row; `None` if there were none.
    fn acceptance(&self) -> Option<Vec<f64>> {
        None
    }
}

/// The dynamics of rows at `place`, which differ in the factors that `settings` have; `acceptance` decides for each row.
pub(super) fn of(method: Method, settings: &[&Settings], acceptance: Vec<Stream>, place: &Place) -> Box<dyn Dynamics> {
    let factors = Factors::new(settings, &place.weights);
    match method {
        Method::Sgld => Box::new(langevin::Langevin::new(factors)),
        Method::RmspropSgld => Box::new(rmsprop::Rmsprop::new(factors, place)),
        Method::Mala => Box::new(mala::Mala::new(factors, settings, acceptance, place)),
    }
}

/// The factors of each row's update.
struct Factors {
    /// (ε/2)·γ, (ε/2)·nβ and √ε of each row.
    rows: Vec<[f32; 3]>,
    /// The same as three tensors, [R, 1].
    tensors: [Tensor; 3],
}

impl Factors {
    fn new(settings: &[&Settings], like: &Tensor) -> Self {
        let of_row = |settings: &&Settings| {
            let half = settings.step_size / 2.0;
            [half * settings.localization, half * settings.nbeta, settings.step_size.sqrt()]
        };
        let rows: Vec<[f64; 3]> = settings.iter().map(of_row).collect();
        let tensor = |index: usize| column(rows.iter().map(|row| row[index]), (like.kind(), like.device()));
        Self {
            tensors: [tensor(0), tensor(1), tensor(2)],
            rows: rows.iter().map(|row| row.map(|x| x as f32)).collect(),
        }
    }
}

/// One number a row, [R, 1].
fn column(values: impl Iterator<Item = f64>, (kind, device): (Kind, Device)) -> Tensor {
    Tensor::from_slice(&values.collect::<Vec<_>>()).unsqueeze(1).to_device(device).to_kind(kind)
}

#[cfg(test)]
mod tests;
