//! The geometry of the training loss at the weights of a checkpoint, where a task asks for it.
//!
//! J is the Jacobian of w ↦ (outputs f on the training set), N·p×D, with the examples' mean subtracted if the loss
//! subtracts it; G = JᵀJ/N is the Gauss-Newton matrix, with eigenvalues h_k, and equals the Hessian H where the loss is zero.
//!
//! - `trace`: Hutchinson's estimate of tr H;
//! - `jacobian`: J written out, its rank and the spectrum of G, where it is small enough;
//! - `lanczos`: sums over the spectrum of G where it is not;
//! - `gauss_newton`: what each sampler would find if the loss were ½·(w−w*)ᵀG(w−w*).
//!
//! All of it is in double precision, and none of it depends on the ensemble or on threads. Letters: D parameters, N
//! training examples, p outputs.

mod gauss_newton;
mod jacobian;
mod lanczos;
#[cfg(test)]
mod tests;
mod trace;

use phasegrid_proto::task::{JacobianSize, Loss};
use phasegrid_proto::v1;
use tch::{Device, Kind, Tensor};

use crate::llc::Subject;
use crate::objective::SquaredError;
use crate::random::Stream;

/// Measures what the subject's task asks for at its weights and puts it into `record`, whose estimates get their
/// predictions; whether anything is due at this step is for the caller to know. If `stopped` says so on the way, some of it
/// is missing. What is not finite is absent, as at weights that have diverged.
///
/// # Panics
/// If the task is not a checked one, or the weights are not those of its network; and in libtorch's own words where the
/// device is out of memory.
pub fn measure(subject: &Subject, device: Device, record: &mut v1::Record, stopped: &dyn Fn() -> bool) {
    let Some(geometry) = &subject.task.geometry else { return };
    let dense = JacobianSize::of(&subject.task.model, &subject.task.data).is_dense();
    let point = Point::new(subject, device, stopped);
    tch::no_grad(|| {
        if geometry.trace_probes > 0 {
            let trace = trace::estimate(&point, geometry.trace_probes);
            record.hessian_trace = trace.as_ref().and_then(|trace| trace.value);
            record.hessian_trace_se = trace.and_then(|trace| trace.standard_error);
        }
        let predicted = geometry.gauss_newton && !record.estimates.is_empty();
        let jacobian = (dense && (geometry.jacobian_rank || predicted)).then(|| jacobian::dense(&point)).flatten();
        if geometry.jacobian_rank {
            record.jacobian_rank = jacobian.as_ref().map(|jacobian| jacobian::rank(&jacobian.curvatures(None)));
        }
        if predicted {
            gauss_newton::predict(&point, jacobian.as_ref(), &mut record.estimates);
        }
    });
}

/// Where the geometry is measured, and of what.
struct Point<'a> {
    subject: &'a Subject<'a>,
    /// The training loss in double precision, of one member.
    objective: SquaredError,
    /// w, [1, D]
    weights: Tensor,
    stopped: &'a dyn Fn() -> bool,
}

impl<'a> Point<'a> {
    fn new(subject: &'a Subject, device: Device, stopped: &'a dyn Fn() -> bool) -> Self {
        let objective = SquaredError::of(subject.task, subject.examples, 1, Kind::Double, device);
        let weights = subject.weights.to_device(device).to_kind(Kind::Double).unsqueeze(0);
        Self { subject, objective, weights, stopped }
    }

    /// N.
    fn examples(&self) -> f64 {
        self.subject.examples.train.len() as f64
    }

    /// The training inputs, as the model takes them.
    fn inputs(&self) -> &[Tensor] {
        self.objective.stacks().parts().first().map_or(&[], |(_, stack)| &stack.inputs)
    }

    /// Subtracts the mean over examples from `outputs` [N, …] if the loss does.
    fn centre(&self, outputs: &mut Tensor) {
        if self.subject.task.train.loss == Loss::CentredMse {
            *outputs -= outputs.mean_dim(0, true, None);
        }
    }

    /// Signs +1 and −1 for the probe of this number, `[size]`.
    fn signs(&self, name: &str, probe: u64, size: i64) -> Tensor {
        let mut stream = Stream::derive(self.subject.task.seed, name, &[self.subject.step, probe]);
        let signs: Vec<f64> = (0..size).map(|_| if stream.uniform_u64_below(2) == 0 { 1.0 } else { -1.0 }).collect();
        Tensor::from_slice(&signs).to_device(self.weights.device())
    }
}
