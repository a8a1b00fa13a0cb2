//! Hutchinson's estimate of the trace of the Hessian: tr H ≈ (1/m)·Σ vᵀHv over m probes v of random signs.

use super::Point;
use crate::estimate::{finite, mean_and_error};
use crate::objective::Hessian;

/// The estimate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Trace {
    /// Its value; `None` if it is not finite.
    pub(super) value: Option<f64>,
    /// Its standard error, from the spread of the probes; it takes two of them.
    pub(super) standard_error: Option<f64>,
}

/// The estimate from so many probes, each two gradients of the full training loss. `None` if stopped.
pub(super) fn estimate(point: &Point, probes: u32) -> Option<Trace> {
    let size = point.weights.numel() as i64;
    let mut hessian = Hessian::new(&point.objective, &point.weights);
    let mut probe = |number: u32| {
        if (point.stopped)() {
            return None;
        }
        // v/√D has length 1, and vᵀHv is D times as much as there.
        let direction = (point.signs("hessian trace", number.into(), size) / (size as f64).sqrt()).unsqueeze(0);
        Some(size as f64 * (hessian.times(&direction) * direction).sum(None).double_value(&[]))
    };
    let values = (0..probes).map(&mut probe).collect::<Option<Vec<f64>>>()?;
    let (mean, standard_error) = mean_and_error(&values);
    Some(Trace { value: finite(mean), standard_error: standard_error.and_then(finite) })
}
