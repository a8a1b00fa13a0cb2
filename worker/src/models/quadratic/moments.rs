//! The squared error over the whole grid of pairs, from moments of the weights: about 12·K²·p operations in double precision,
//! in place of 6·p³·K in single precision.
//!
//! With u = U′[a] = ū + ũ and v = U″[b] = v̄ + ṽ per neuron (ū, v̄ means over residues) and s = ū + v̄, the square (u + v)² falls into
//! four parts that are orthogonal over the grid: its mean m = s² + mean ũ² + mean ṽ², α(a) = 2sũ + ũ² − mean ũ², β(b) the same of
//! ṽ, and 2ũṽ. So do outputs f = V(u + v)² and targets y, and so does the loss:
//!
//! L = ½|Vm − y₀|² + Σ_a |Vα(a) − y(a)|²/2p + Σ_b |Vβ(b) − y(b)|²/2p + (4·Σ_kl G_kl·S′_kl·S″_kl − 4·Σ V∘C + |ỹ|²)/2p²
//!
//! with G = VᵀV, S′ = ũᵀũ, S″ = ṽᵀṽ, [K, K], and C[c] = Σ ũ[a]∘ṽ[b] over the pairs of class c. The centred loss lacks the first term,
//! which is the mean over the grid. The last term is a difference of large numbers where the loss is small: it is
//! why everything here is in double precision.

use phasegrid_proto::task::Loss;
use tch::{Device, IndexOp, Kind, Tensor};

use crate::data::{Inputs, Set, Targets};
use crate::host::{self, widest};
use crate::models::WholeLoss;

/// The loss of E members over the whole grid.
#[derive(Debug)]
pub(super) struct Moments {
    p: i64,
    width: i64,
    loss: Loss,
    targets: Vec<Grid>,
}

/// One member's targets.
#[derive(Debug)]
struct Grid {
    /// The class of each pair, a·p + b.
    classes: Vec<u32>,
    /// The orthogonal parts of the one-hot targets: y₀ `[p]`, y(a) and y(b) [p, p] by residue and class.
    mean: Tensor,
    rows: Tensor,
    columns: Tensor,
    /// |ỹ|², the square of what is left.
    rest: f64,
}

/// Whether moments are cheaper than the outputs of all pairs, as measured on one core (the benchmark's `grid_` lines).
pub(super) fn pay(p: i64, width: i64) -> bool {
    // Microseconds: for the calls, for so many operations in double precision, and for those of the correlation with the
    // targets, which reads as much as it computes.
    let moments = 300.0 + (12 * width.pow(2) * p) as f64 / 1.7e4 + (6 * p.pow(2) * width) as f64 / 1.3e4;
    moments < (6 * p.pow(3) * width) as f64 / 8.5e4
}

impl Moments {
    /// `None` unless each set is the whole grid with classes for targets.
    pub(super) fn of(p: i64, width: i64, loss: Loss, sets: &[&Set]) -> Option<Self> {
        let targets: Option<Vec<_>> = sets.iter().map(|set| Grid::of(p, set)).collect();
        Some(Self { p, width, loss, targets: targets? })
    }
}

impl WholeLoss for Moments {
    fn evaluate(&self, weights: &Tensor, gradient: Option<&mut Tensor>) -> Tensor {
        let exact = weights.to_kind(Kind::Double);
        let of_member = |(grid, e): (&Grid, i64)| {
            let gradient = gradient.as_ref().map(|gradient| gradient.get(e));
            self.of_member(grid, &exact.get(e), gradient)
        };
        let losses: Vec<f64> = self.targets.iter().zip(0..).map(of_member).collect();
        Tensor::from_slice(&losses).to_kind(weights.kind())
    }
}

impl Moments {
    /// L at `weights` `[D]`, and where it is wanted ∇L into `gradient` `[D]`.
    fn of_member(&self, grid: &Grid, weights: &Tensor, gradient: Option<Tensor>) -> f64 {
        let (p, matrix) = (self.p as f64, self.p * self.width);
        let half = |index: i64| weights.narrow(0, index * matrix, matrix);
        let (u, v, vt) = (Half::of(&half(0).view([self.p, -1])), Half::of(&half(1).view([self.p, -1])), half(2));
        // A copy, so that products do not depend on where a member's weights begin.
        let vt = vt.view([self.width, self.p]).copy(); // Vᵀ
        let s = &u.mean + &v.mean; // [K]
        let (alpha, beta) = (u.effect(&s), v.effect(&s)); // [p, K]
        let m = s.square() + &u.mean_square + &v.mean_square; // [K]

        // Residuals of the first three parts; the mean is not part of the centred loss.
        let mut r = m.unsqueeze(0).mm(&vt).squeeze_dim(0) - &grid.mean; // [p]
        if self.loss == Loss::CentredMse {
            let _ = r.zero_();
        }
        let r_rows = alpha.mm(&vt) - &grid.rows; // [p, p]
        let r_columns = beta.mm(&vt) - &grid.columns;

        // The interaction: half its square over p², and that square's derivatives.
        let g = vt.mm(&vt.tr());
        let (su, sv) = (u.rest.tr().mm(&u.rest), v.rest.tr().mm(&v.rest));
        let (gu, gv, uv) = (&g * &su, &g * &sv, su * sv); // [K, K]
        let correlation = self.correlate(grid, &u.rest, &v.rest, &vt.tr().contiguous());
        let c = &correlation[0]; // [p, K]
        let interaction = 4.0 * (&g * &uv).sum(Kind::Double) - 4.0 * (vt.tr() * c).sum(Kind::Double) + grid.rest;
        let square = |x: &Tensor| x.square().sum(Kind::Double);
        let loss: Tensor =
            0.5 * square(&r) + (square(&r_rows) + square(&r_columns)) * (0.5 / p) + interaction * (0.5 / (p * p));
        let Some(gradient) = gradient else { return loss.double_value(&[]) };

        let d_m = vt.mv(&r); // [K]
        let (d_alpha, d_beta) = (r_rows.mm(&vt.tr()) / p, r_columns.mm(&vt.tr()) / p); // [p, K]
        let twice_sums = |d: &Tensor, x: &Tensor| 2.0 * (d * x).sum_dim_intlist(0, false, None);
        let d_s = twice_sums(&d_alpha, &u.rest) + twice_sums(&d_beta, &v.rest) + 2.0 * &d_m * &s;
        let of_half = |half: &Half, d_effect: &Tensor, other: &Tensor, d: &Tensor| {
            let through_mean = &half.rest * (2.0 / p) * &d_m;
            let through_effect = 2.0 * d_effect * (&s + &half.rest);
            let through_interaction = (half.rest.mm(other) * 4.0 - d * 2.0) / (p * p);
            let rest: Tensor = through_mean + through_effect + through_interaction;
            &rest - rest.mean_dim(0, true, None) + &d_s / p
        };
        let d_u = of_half(&u, &d_alpha, &gv, &correlation[1]);
        let d_v = of_half(&v, &d_beta, &gu, &correlation[2]);
        let d_vt = m.unsqueeze(1).mm(&r.unsqueeze(0))
            + (alpha.tr().mm(&r_rows) + beta.tr().mm(&r_columns)) / p
            + (uv.mm(&vt) * 4.0 - c.tr() * 2.0) / (p * p);
        for (index, part) in [d_u, d_v, d_vt].iter().enumerate() {
            gradient.i(index as i64 * matrix..(index as i64 + 1) * matrix).copy_(&part.flatten(0, 1));
        }
        loss.double_value(&[])
    }

    /// The sums over all pairs (a, b) of class c that the interaction meets the targets in, each [p, K]: ũ[a]∘ṽ[b] by class,
    /// V[c]∘ṽ[b] by a and V[c]∘ũ[a] by b.
    fn correlate(&self, grid: &Grid, u: &Tensor, v: &Tensor, output: &Tensor) -> [Tensor; 3] {
        let mut sums = [u, u, u].map(Tensor::zeros_like);
        let [c, du, dv] = sums.each_mut().map(host::slice_mut);
        let width = self.width as usize;
        correlate(width, &grid.classes, host::slice(u), host::slice(v), host::slice(output), c, du, dv);
        sums
    }
}

/// U′ or U″ [p, K], taken apart.
struct Half {
    /// `[K]`
    mean: Tensor,
    /// What the mean leaves, [p, K].
    rest: Tensor,
    /// The mean of its square, `[K]`.
    mean_square: Tensor,
}

impl Half {
    fn of(rows: &Tensor) -> Self {
        let mean = rows.mean_dim(0, false, None);
        let rest = rows - &mean;
        let mean_square = rest.square().mean_dim(0, false, None);
        Self { mean, rest, mean_square }
    }

    /// α or β, [p, K].
    fn effect(&self, s: &Tensor) -> Tensor {
        2.0 * s * &self.rest + self.rest.square() - &self.mean_square
    }
}

impl Grid {
    fn of(p: i64, set: &Set) -> Option<Self> {
        let size = p as usize;
        let (Inputs::Pairs(pairs), Targets::Classes { classes, .. }) = (&set.inputs, &set.targets) else { return None };
        if pairs.len() != size * size {
            return None; // pairs come at most once
        }
        let mut table = vec![0; size * size];
        for ([a, b], class) in pairs.iter().zip(classes) {
            table[*a as usize * size + *b as usize] = *class;
        }
        let zeros = || Tensor::zeros([p, p], (Kind::Double, Device::Cpu));
        let (mut rows, mut columns) = (zeros(), zeros());
        let share = 1.0 / p as f64;
        for (index, class) in table.iter().enumerate() {
            host::slice_mut::<f64>(&mut rows)[index / size * size + *class as usize] += share;
            host::slice_mut::<f64>(&mut columns)[index % size * size + *class as usize] += share;
        }
        let mean = rows.mean_dim(0, false, None);
        rows -= &mean;
        columns -= &mean;
        let square = |x: &Tensor| x.square().sum(Kind::Double).double_value(&[]);
        let rest = (p * p) as f64 * (1.0 - square(&mean)) - p as f64 * (square(&rows) + square(&columns));
        Some(Self { classes: table, mean, rows, columns, rest })
    }
}

/// Neurons that pass over the grid together: their numbers stay in the nearest cache.
const LANES: usize = 16;

widest! {
    /// [`Moments::correlate`], into sums that are zero.
    #[expect(clippy::too_many_arguments, reason = "three factors and the three sums of their products two by two")]
    fn correlate(
        width: usize, classes: &[u32], u: &[f64], v: &[f64], output: &[f64], c: &mut [f64], du: &mut [f64], dv: &mut [f64],
    ) {
        let p = u.len() / width;
        for start in (0..width).step_by(LANES) {
            let lanes = start..width.min(start + LANES);
            let at = |row: usize| row * width + lanes.start..row * width + lanes.end;
            for a in 0..p {
                let u = &u[at(a)];
                let mut du_of_a = [0.0; LANES];
                for (b, class) in classes[a * p..][..p].iter().enumerate() {
                    let class = at(*class as usize);
                    let (v, output) = (&v[at(b)], &output[class.clone()]);
                    for (((u, v), output), ((c, du), dv)) in
                        u.iter().zip(v).zip(output).zip(c[class].iter_mut().zip(&mut du_of_a).zip(&mut dv[at(b)]))
                    {
                        *c += u * v;
                        *du += output * v;
                        *dv += output * u;
                    }
                }
                du[at(a)].copy_from_slice(&du_of_a[..lanes.len()]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Examples;
    use crate::models::quadratic::Quadratic;
    use crate::models::tests::modular_task;
    use crate::objective::{Objective, SquaredError};
    use crate::random::Normals;
    use phasegrid_proto::task::{Data, Operation};

    fn whole_grid(p: u32, operation: Operation, label_noise: f64, seed: u64) -> Examples {
        let mut task = modular_task(p, 1, seed);
        task.data = Data::Modular { operation, modulus: p, train_fraction: 1.0, label_noise };
        Examples::of(&task)
    }

    /// Loss and gradient from all outputs, in the precision of the weights.
    fn direct(p: u32, width: u32, loss: Loss, sets: &[&Set], weights: &Tensor) -> [Tensor; 2] {
        let model = Box::new(Quadratic::new(p, width));
        let objective = SquaredError::new(model, loss, sets, weights.kind(), Device::Cpu);
        let mut gradient = weights.zeros_like();
        let loss = objective.loss_and_gradient(weights, None, &mut gradient);
        [loss, gradient].map(|tensor| tensor.to_kind(Kind::Double))
    }

    fn by_moments(p: u32, width: u32, loss: Loss, sets: &[&Set], weights: &Tensor) -> [Tensor; 2] {
        let moments = Moments::of(i64::from(p), i64::from(width), loss, sets).unwrap();
        let mut gradient = weights.full_like(f64::NAN);
        let loss = moments.evaluate(weights, Some(&mut gradient));
        [loss, gradient].map(|tensor| tensor.to_kind(Kind::Double))
    }

    #[test]
    fn moments_give_the_loss_and_gradient_that_all_outputs_give() {
        let (p, width) = (7, 19);
        for loss in [Loss::Mse, Loss::CentredMse] {
            for operation in [Operation::Add, Operation::Subtract, Operation::Multiply, Operation::SumOfSquares] {
                let examples = [0, 1].map(|seed| whole_grid(p, operation, 0.1, seed));
                let sets = [&examples[0].train, &examples[1].train];
                let mut weights = vec![0.0; 2 * 3 * (p * width) as usize];
                Normals::derive(3, "test", &[]).fill_f64(&mut weights);
                let weights = Tensor::from_slice(&weights).view([2, -1]);
                let found = by_moments(p, width, loss, &sets, &weights);
                for (found, expected) in found.iter().zip(direct(p, width, loss, &sets, &weights)) {
                    // Both round in double precision.
                    let error = f64::try_from((found - &expected).norm() / expected.norm()).unwrap();
                    assert!(error < 1e-13, "{loss:?} {operation:?}: {error}");
                }
            }
        }
    }

    #[test]
    fn parts_of_the_grid_and_other_targets_have_no_moments() {
        assert!(Moments::of(7, 5, Loss::Mse, &[&Examples::of(&modular_task(7, 5, 0)).train]).is_none());
        let mut task = modular_task(7, 5, 0);
        task.data = Data::Modular { operation: Operation::Add, modulus: 7, train_fraction: 1.0, label_noise: 0.0 };
        task.model = task.model.with_init(phasegrid_proto::task::Init::Teacher);
        assert!(Moments::of(7, 5, Loss::Mse, &[&Examples::of(&task).train]).is_none());
    }

    /// A network that adds without error but for rounding, when centred: for each frequency nine neurons, whose phases φ, ψ and
    /// φ + ψ are thirds of a turn, so that all but cos(a + b − c) averages out.
    fn adder(p: u32) -> (u32, Vec<f32>) {
        let frequencies = (p - 1) / 2;
        let width = 9 * frequencies;
        let mut weights = vec![0f32; 3 * (p * width) as usize];
        let third = std::f64::consts::TAU / 3.0;
        for neuron in 0..width {
            let omega = std::f64::consts::TAU * f64::from(neuron / 9 + 1) / f64::from(p);
            let (phi, psi) = (third * f64::from(neuron % 3), third * f64::from(neuron % 9 / 3));
            // Nine neurons give 9·2·¼·cos, of which the targets have 2/p.
            let scale = (4.0 / (9.0 * f64::from(p))).cbrt();
            for residue in 0..p {
                let wave = |phase: f64| (scale * (omega * f64::from(residue) + phase).cos()) as f32;
                weights[(residue * width + neuron) as usize] = wave(phi);
                weights[((p + residue) * width + neuron) as usize] = wave(psi);
                weights[(2 * p * width + neuron * p + residue) as usize] = wave(phi + psi);
            }
        }
        (width, weights)
    }

    #[test]
    fn where_nothing_is_left_moments_err_less_than_outputs_in_single_precision() {
        let p = 11;
        let (width, weights) = adder(p);
        let weights = Tensor::from_slice(&weights).unsqueeze(0);
        let examples = whole_grid(p, Operation::Add, 0.0, 0);
        let sets = [&examples.train];
        let loss = Loss::CentredMse;
        let exact = direct(p, width, loss, &sets, &weights.to_kind(Kind::Double));
        assert!(exact[0].double_value(&[0]) < 1e-12, "{exact:?}");
        let error =
            |found: [Tensor; 2]| [0, 1].map(|part| f64::try_from((&found[part] - &exact[part]).norm()).unwrap());
        let [loss_error, gradient_error] = error(by_moments(p, width, loss, &sets, &weights));
        let [of_outputs, gradient_of_outputs] = error(direct(p, width, loss, &sets, &weights));
        // Rounding of doubles of order 1, and of the gradient to single precision.
        assert!(loss_error < 1e-14 && gradient_error < 1e-7 * exact[1].norm().double_value(&[]), "{gradient_error}");
        assert!(loss_error < of_outputs && gradient_error < gradient_of_outputs, "{of_outputs} {gradient_of_outputs}");
    }
}
