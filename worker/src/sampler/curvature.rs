//! The greatest curvature of a loss, which decides which step sizes are stable.

use std::ops::Range;

use tch::{Kind, Tensor};

use crate::host;
use crate::objective::{DISTANCE, Hessian, Objective};
use crate::random::Normals;

/// What is known of the eigenvalue of a Hessian that is largest in absolute value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Curvature {
    /// It, or a lower bound where an iteration ended before it settled.
    Found(f64),
    /// The loss is flat to second order, as far as finite differences can tell.
    Flat,
    /// Its gradient nearby is not finite.
    NotFinite,
}

impl Curvature {
    /// The eigenvalue, if there is any.
    pub(crate) fn value(self) -> Option<f64> {
        match self {
            Self::Found(value) => Some(value),
            Self::Flat | Self::NotFinite => None,
        }
    }
}

/// The course of one network's power iteration: what it says after any number of products.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Course(Vec<Product>);

/// ‖H·v‖ of a direction v, and what it may be by rounding alone.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Product {
    norm: f64,
    rounding: f64,
}

/// Runs a power iteration for each of R networks: on the Hessian of its full loss at `weights` [R, D], or on the block of
/// those that are `moving`, in double precision, with two gradients each of at most so many `iterations`.
///
/// `None` if `stopped` said so on the way. The same `normals` give a network the same course, to rounding, whichever
/// networks are beside it.
pub(crate) fn power_iterations(
    objective: &dyn Objective,
    weights: &Tensor,
    normals: &mut [Normals],
    moving: &Range<usize>,
    iterations: usize,
    stopped: &dyn Fn() -> bool,
) -> Option<Vec<Course>> {
    let (from, moves) = (moving.start as i64, moving.len() as i64);
    let norms = |vectors: &Tensor| vectors.norm_scalaropt_dim(2.0, 1, true); // [R, 1]

    let mut direction = weights.zeros_like(); // v, nil where weights do not move
    direction.narrow(1, from, moves).copy_(&drawn(normals, moves));
    direction /= norms(&direction);
    let mut hessian = Hessian::new(objective, weights);
    let mut courses = vec![Course::default(); normals.len()];
    for iteration in 0..iterations {
        if stopped() {
            return None;
        }
        let distance = distance(iteration);
        let product = hessian.times_at(&direction, distance).narrow(1, from, moves); // H·v, [R, M]
        let norm = norms(&product);
        let found = host::values(&norm).into_iter().zip(host::values(&hessian.rounding_at(distance)));
        for (course, (norm, rounding)) in courses.iter_mut().zip(found) {
            course.0.push(Product { norm, rounding });
        }
        if courses.iter().all(|course| course.state(iteration + 1).is_settled()) {
            break;
        }
        // A flat network has no direction; the bound keeps it from becoming NaN.
        direction.narrow(1, from, moves).copy_(&(product / norm.clamp_min(f64::MIN_POSITIVE)));
    }
    Some(courses)
}

/// δ of the product of this number: by turns two at the full distance and two at half of it. Curvature is the same there, while
/// what higher derivatives add falls fourfold or more. Two, because a direction may come back every other time.
fn distance(iteration: usize) -> f64 {
    if iteration % 4 < 2 { DISTANCE } else { DISTANCE / 2.0 }
}

impl Course {
    /// What at most so many products say. A later one is not heeded once two have changed the value by less than a thousandth.
    pub(crate) fn after(&self, iterations: usize) -> Curvature {
        match self.state(iterations) {
            State::Unsettled([_, value]) => Curvature::Found(value),
            State::Settled(curvature) => curvature,
        }
    }

    fn state(&self, iterations: usize) -> State {
        let products = self.0.iter().take(iterations);
        products.fold(State::Unsettled([0.0; 2]), |state, product| state.learn(*product))
    }
}

/// How far an iteration has come.
#[derive(Clone, Copy, Debug)]
enum State {
    /// The last two norms.
    Unsettled([f64; 2]),
    Settled(Curvature),
}

impl State {
    fn is_settled(self) -> bool {
        matches!(self, Self::Settled(_))
    }

    fn learn(self, Product { norm, rounding }: Product) -> Self {
        let Self::Unsettled([before, last]) = self else { return self };
        // The last but one was at the other distance. Of a symmetric matrix ‖H·v‖ never falls from iteration to iteration.
        let falls_with_distance = norm < before / 2.0;
        if !norm.is_finite() {
            Self::Settled(Curvature::NotFinite)
        } else if norm <= rounding || falls_with_distance {
            Self::Settled(Curvature::Flat)
        } else if (norm / before - 1.0).abs() < 1e-3 {
            Self::Settled(Curvature::Found(norm))
        } else {
            Self::Unsettled([last, norm])
        }
    }
}

/// A random vector for each network, [R, M].
fn drawn(normals: &mut [Normals], moves: i64) -> Tensor {
    let mut drawn = vec![0.0; normals.len() * moves as usize];
    for (row, normals) in drawn.chunks_exact_mut(moves as usize).zip(normals.iter_mut()) {
        normals.fill_f64(row);
    }
    Tensor::from_slice(&drawn).view([-1, moves]).to_kind(Kind::Double)
}
