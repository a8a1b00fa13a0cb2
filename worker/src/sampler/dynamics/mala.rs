//! The Metropolis-adjusted Langevin algorithm (MALA; Roberts and Tweedie 1996): SGLD's step on the full batch is a proposal
//! w′, accepted with the probability that makes exp(−U) the exact law of the draws at any ε.
//!
//! ln α = U(w) − U(w′) + ln q(w|w′) − ln q(w′|w), U(w) = nβ·L(w) + (γ/2)·‖w−w*‖²
//!
//! With ξ the noise that made w′ and S = ∇U(w) + ∇U(w′), the noise that would lead back is (√ε/2)·S − ξ, and so
//!
//! ln q(w|w′) − ln q(w′|w) = (√ε/2)·ξ·S − (ε/8)·‖S‖²
//!
//! in which nothing cancels. Sums are in double precision; the rounding of the losses themselves, nβ·L times 6e-8 in single
//! precision, is the error of ln α. A proposal without a finite loss is rejected.

use tch::{Kind, Tensor};

use super::langevin::Langevin;
use super::{Dynamics, Factors, Place, Settings, column};
use crate::host::{self, widest};
use crate::random::Stream;

pub(super) struct Mala {
    proposal: Langevin,
    /// ε, γ and nβ of each row.
    constants: Vec<[f64; 3]>,
    /// The same as three tensors, [R, 1].
    columns: [Tensor; 3],
    /// Decides about each row's proposals.
    chance: Vec<Stream>,
    /// w, ∇L(w) and ξ of the last proposal, [R, M].
    from: [Tensor; 3],
    /// L(w), [R]
    loss: Tensor,
    proposed: bool,
    /// How many proposals of each row were accepted, [R], among those that counted.
    accepted: Tensor,
    counted: u32,
}

impl Mala {
    pub(super) fn new(factors: Factors, settings: &[&Settings], chance: Vec<Stream>, place: &Place) -> Self {
        let of_row = |settings: &&Settings| [settings.step_size, settings.localization, settings.nbeta];
        let constants: Vec<[f64; 3]> = settings.iter().map(of_row).collect();
        let (kind, device) = (place.weights.kind(), place.weights.device());
        let rows = chance.len() as i64;
        let columns = [0, 1, 2].map(|index| column(constants.iter().map(|row| row[index]), (Kind::Double, device)));
        Self {
            proposal: Langevin::new(factors),
            constants,
            columns,
            chance,
            from: [(); 3].map(|()| place.view(&place.weights).zeros_like().contiguous()),
            loss: Tensor::zeros([rows], (kind, device)),
            proposed: false,
            accepted: Tensor::zeros([rows], (Kind::Double, device)),
            counted: 0,
        }
    }

    /// [`Dynamics::settle`] in host memory.
    fn judge_rows(&mut self, place: &mut Place, loss: &mut [f32], counts: f64) {
        let moves = place.moves();
        let [old_weights, old_gradient, noise] = self.from.each_ref().map(host::slice::<f32>);
        let old_loss = host::slice::<f32>(&self.loss);
        let accepted = host::slice_mut::<f64>(&mut self.accepted);
        for (row, (weights, start, gradient)) in place.rows().enumerate() {
            let own = row * moves..(row + 1) * moves;
            let [old_weights, old_gradient, noise] = [old_weights, old_gradient, noise].map(|all| &all[own.clone()]);
            let [step_size, localization, nbeta] = self.constants[row];
            let mut sums = [0.0; 3];
            add_up([weights, old_weights, start, gradient, old_gradient, noise], [localization, nbeta], &mut sums);
            let [pull, along, square] = sums;
            let rise = nbeta * (f64::from(loss[row]) - f64::from(old_loss[row])) + localization / 2.0 * pull;
            let log_ratio = step_size.sqrt() / 2.0 * along - step_size / 8.0 * square - rise;
            if self.chance[row].uniform().ln() < log_ratio {
                accepted[row] += counts;
            } else {
                weights.copy_from_slice(old_weights);
                gradient.copy_from_slice(old_gradient);
                loss[row] = old_loss[row];
            }
        }
    }

    /// The same by tensors.
    fn judge(&mut self, place: &mut Place, loss: &mut Tensor, counts: f64) {
        let [mut weights, start, mut gradient] = place.views();
        let [old_weights, old_gradient, noise] = &self.from;
        let [step_size, localization, nbeta] = &self.columns;
        let sum = |x: Tensor| x.sum_dim_intlist(1, true, Kind::Double); // [R, 1]
        let apart = &weights + old_weights - start * 2.0; // w + w′ − 2w*
        let slopes = (&gradient + old_gradient) * nbeta + &apart * localization; // S, [R, M]
        let rise =
            (&*loss - &self.loss).unsqueeze(1) * nbeta + sum((&weights - old_weights) * apart) * localization / 2.0;
        let way_back = sum(noise * &slopes) * step_size.sqrt() / 2.0 - sum(slopes.square()) * step_size / 8.0;
        let chances: Vec<f64> = self.chance.iter_mut().map(|chance| chance.uniform().ln()).collect();
        let chances = Tensor::from_slice(&chances).to_device(loss.device()).unsqueeze(1);
        let accept = chances.lt_tensor(&(way_back - rise)); // [R, 1]
        weights.copy_(&weights.where_self(&accept, old_weights));
        gradient.copy_(&gradient.where_self(&accept, old_gradient));
        let accept = accept.squeeze_dim(1);
        *loss = loss.where_self(&accept, &self.loss);
        self.accepted += accept.to_kind(Kind::Double) * counts;
    }
}

impl Dynamics for Mala {
    fn step(&mut self, place: &mut Place, noise: &Tensor) {
        let [weights, _, gradient] = place.views();
        for (kept, now) in self.from.iter_mut().zip([&weights, &gradient, noise]) {
            kept.copy_(now);
        }
        self.proposal.step(place, noise);
        self.proposed = true;
    }

    fn settle(&mut self, place: &mut Place, loss: &mut Tensor, counts: bool) {
        if self.proposed {
            self.counted += u32::from(counts);
            if host::applies(&place.weights) {
                self.judge_rows(place, host::slice_mut(loss), f64::from(u8::from(counts)));
            } else {
                self.judge(place, loss, f64::from(u8::from(counts)));
            }
        }
        self.loss.copy_(loss);
    }

    fn acceptance(&self) -> Option<Vec<f64>> {
        (self.counted > 0).then(|| host::values(&(&self.accepted / f64::from(self.counted))))
    }
}

widest! {
    /// Adds Σ(w′−w)·(w′+w−2w*), Σξ·S and ‖S‖² to `sums`; `vectors` are w′, w, w*, ∇L(w′), ∇L(w) and ξ, `factors` γ and nβ.
    fn add_up(vectors: [&[f32]; 6], factors: [f64; 2], sums: &mut [f64; 3]) {
        let [weights, old_weights, start, gradient, old_gradient, noise] = vectors;
        let [localization, nbeta] = factors;
        let places = weights.iter().zip(old_weights).zip(start);
        for (((w, old), start), ((g, old_g), noise)) in places.zip(gradient.iter().zip(old_gradient).zip(noise)) {
            let [w, old, start, g, old_g, noise] = [*w, *old, *start, *g, *old_g, *noise].map(f64::from);
            let apart = w + old - 2.0 * start;
            let slope = nbeta * (g + old_g) + localization * apart;
            sums[0] += (w - old) * apart;
            sums[1] += noise * slope;
            sums[2] += slope * slope;
        }
    }
}
