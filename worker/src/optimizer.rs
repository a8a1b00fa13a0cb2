//! Update rules, stacked: E members step together, each with its own learning rate and weight decay, in place.
//!
//! With gradient g, weights w, learning rate η, weight decay δ, step t = 1, 2, …:
//! - Adam: g += δ·w; m = β₁m + (1−β₁)g; v = β₂v + (1−β₂)g²; w −= η/(1−β₁ᵗ) · m / (√v/√(1−β₂ᵗ) + ε), ε = 1e-8;
//! - AdamW: w −= ηδ·w in place of g += δ·w;
//! - SGD: g += δ·w; m = μm + g; w −= η·m.
//!
//! They are torch's own rules to rounding. In host memory a member's step is one loop; elsewhere each operation is a pass.

use phasegrid_proto::task;
use tch::Tensor;

use crate::host::{self, widest};

const EPSILON: f64 = 1e-8;

/// The state of E optimisers of the same rule.
#[derive(Debug)]
pub struct Optimizer {
    rule: Rule,
    /// η and δ of each member.
    constants: Vec<[f64; 2]>,
    /// m, [E, D]; v too for Adam.
    moments: Vec<Tensor>,
    /// Steps taken.
    steps: i32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Rule {
    Adam { betas: [f64; 2], coupled: bool },
    Sgd { momentum: f64 },
}

impl Optimizer {
    /// Optimisers for `weights` [E, D], one a member. All are of the first one's rule.
    #[must_use]
    pub fn new(members: &[task::Optimizer], weights: &Tensor) -> Self {
        let (rule, moments) = match members[0] {
            task::Optimizer::Adam { betas, .. } => (Rule::Adam { betas, coupled: true }, 2),
            task::Optimizer::AdamW { betas, .. } => (Rule::Adam { betas, coupled: false }, 2),
            task::Optimizer::Sgd { momentum, .. } => (Rule::Sgd { momentum }, 1),
        };
        let constants = |optimizer: &task::Optimizer| match *optimizer {
            task::Optimizer::Adam { learning_rate, weight_decay, .. }
            | task::Optimizer::AdamW { learning_rate, weight_decay, .. }
            | task::Optimizer::Sgd { learning_rate, weight_decay, .. } => [learning_rate, weight_decay],
        };
        let moments = (0..moments).map(|_| weights.zeros_like()).collect();
        Self { rule, constants: members.iter().map(constants).collect(), moments, steps: 0 }
    }

    /// One step of all members. `gradient` [E, D] is used up.
    pub fn step(&mut self, weights: &mut Tensor, gradient: &mut Tensor) {
        self.steps += 1;
        if host::applies(weights) {
            self.step_on_host(weights, gradient)
        } else {
            self.step_anywhere(weights, gradient)
        }
    }

    /// Goes on with these members alone.
    pub fn keep(&mut self, members: &[usize]) {
        let index: Vec<i64> = members.iter().map(|member| *member as i64).collect();
        for moment in &mut self.moments {
            *moment = moment.index_select(0, &Tensor::from_slice(&index).to_device(moment.device()));
        }
        self.constants = members.iter().map(|member| self.constants[*member]).collect();
    }

    fn step_on_host(&mut self, weights: &mut Tensor, gradient: &Tensor) {
        let dimension = weights.size()[1] as usize;
        let mut moments: Vec<_> =
            self.moments.iter_mut().map(|moment| host::slice_mut::<f32>(moment).chunks_exact_mut(dimension)).collect();
        let weights = host::slice_mut::<f32>(weights).chunks_exact_mut(dimension);
        let gradients = host::slice::<f32>(gradient).chunks_exact(dimension);
        for ((w, g), &[rate, decay]) in weights.zip(gradients).zip(&self.constants) {
            let member: Vec<_> = moments.iter_mut().filter_map(Iterator::next).collect();
            match (self.rule, <[_; 2]>::try_from(member)) {
                (Rule::Adam { betas, coupled }, Ok([m, v])) => {
                    adam(&AdamConstants::new(betas, coupled, self.steps, rate, decay), w, g, m, v);
                }
                (Rule::Sgd { momentum }, Err(mut member)) => {
                    sgd([rate, decay, momentum].map(|x| x as f32), w, g, member.remove(0));
                }
                _ => unreachable!("Adam has two moments and SGD one"),
            }
        }
    }

    fn step_anywhere(&mut self, weights: &mut Tensor, gradient: &mut Tensor) {
        let column = |of: &dyn Fn(f64, f64) -> f64| {
            let values: Vec<f64> = self.constants.iter().map(|&[rate, decay]| of(rate, decay)).collect();
            Tensor::from_slice(&values).to_kind(weights.kind()).to_device(weights.device()).unsqueeze(1) // [E, 1]
        };
        let (rates, decays) = (column(&|rate, _| rate), column(&|_, decay| decay));
        match self.rule {
            Rule::Adam { betas: [beta1, beta2], coupled } => {
                if coupled {
                    let _ = gradient.addcmul_(weights, &decays);
                } else {
                    *weights *= column(&|rate, decay| 1.0 - rate * decay);
                }
                let [m, v] = &mut self.moments[..] else { unreachable!("Adam has two moments") };
                let _ = m.lerp_(gradient, 1.0 - beta1);
                *v *= beta2;
                *v += gradient.square_() * (1.0 - beta2);
                let mut denominator = v.sqrt();
                denominator /= (1.0 - beta2.powi(self.steps)).sqrt();
                denominator += EPSILON;
                denominator *= 1.0 - beta1.powi(self.steps);
                *weights -= (&*m / denominator) * rates;
            }
            Rule::Sgd { momentum } => {
                let _ = gradient.addcmul_(weights, &decays);
                let m = &mut self.moments[0];
                *m *= momentum;
                *m += &*gradient;
                *weights -= &*m * rates;
            }
        }
    }
}

/// Adam's constants at one step, in single precision.
struct AdamConstants {
    /// δ if coupled, else 0.
    coupled_decay: f32,
    /// 1 − ηδ if decoupled, else 1.
    shrink: f32,
    /// β₁, 1−β₁, β₂, 1−β₂
    betas: [f32; 4],
    /// η/(1−β₁ᵗ)
    rate: f32,
    /// 1/√(1−β₂ᵗ)
    correction: f32,
}

impl AdamConstants {
    fn new([beta1, beta2]: [f64; 2], coupled: bool, step: i32, rate: f64, decay: f64) -> Self {
        Self {
            coupled_decay: if coupled { decay as f32 } else { 0.0 },
            shrink: if coupled { 1.0 } else { (1.0 - rate * decay) as f32 },
            betas: [beta1, 1.0 - beta1, beta2, 1.0 - beta2].map(|beta| beta as f32),
            rate: (rate / (1.0 - beta1.powi(step))) as f32,
            correction: (1.0 - beta2.powi(step)).sqrt().recip() as f32,
        }
    }
}

widest! {
    fn adam(constants: &AdamConstants, w: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32]) {
        let &AdamConstants { coupled_decay, shrink, betas: [keep1, take1, keep2, take2], rate, correction } = constants;
        for (((w, g), m), v) in w.iter_mut().zip(g).zip(m).zip(v) {
            let g = g + coupled_decay * *w;
            *m = keep1 * *m + take1 * g;
            *v = keep2 * *v + take2 * (g * g);
            *w = shrink * *w - rate * (*m / (v.sqrt() * correction + EPSILON as f32));
        }
    }
}

widest! {
    fn sgd(constants: [f32; 3], w: &mut [f32], g: &[f32], m: &mut [f32]) {
        let [rate, decay, momentum] = constants;
        for ((w, g), m) in w.iter_mut().zip(g).zip(m) {
            *m = momentum * *m + (g + decay * *w);
            *w -= rate * *m;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Normals;
    use tch::nn::{self, OptimizerConfig};
    use tch::{Device, Kind};

    const BETAS: [f64; 2] = [0.9, 0.98];

    type Build = Box<dyn Fn(&nn::VarStore) -> nn::Optimizer>;

    /// Three rules, each with torch's own of the same constants.
    fn rules(learning_rate: f64, weight_decay: f64) -> [(task::Optimizer, Build); 3] {
        let [beta1, beta2] = BETAS;
        let adam = nn::Adam::default().beta1(beta1).beta2(beta2).wd(weight_decay);
        let adamw = nn::AdamW { beta1, beta2, wd: weight_decay, ..nn::AdamW::default() };
        let sgd = nn::Sgd { momentum: 0.8, wd: weight_decay, ..nn::Sgd::default() };
        [
            (
                task::Optimizer::Adam { learning_rate, weight_decay, betas: BETAS },
                Box::new(move |vs| adam.build(vs, learning_rate).unwrap()),
            ),
            (
                task::Optimizer::AdamW { learning_rate, weight_decay, betas: BETAS },
                Box::new(move |vs| adamw.build(vs, learning_rate).unwrap()),
            ),
            (
                task::Optimizer::Sgd { learning_rate, weight_decay, momentum: 0.8 },
                Box::new(move |vs| sgd.build(vs, learning_rate).unwrap()),
            ),
        ]
    }

    /// The gradient of a loss that is neither quadratic nor the same for all weights.
    fn gradient(weights: &Tensor) -> Tensor {
        let scale = Tensor::linspace(0.1, 2.0, weights.size()[1], (weights.kind(), Device::Cpu));
        weights.sin() * scale
    }

    #[test]
    fn stacked_rules_are_those_of_torch_member_by_member() {
        // Members differ in both constants; each is compared with an optimiser of torch's that knows it alone.
        let members = [(1e-2, 0.1), (3e-3, 0.0), (0.1, 0.01)];
        let mut start = vec![0.0; 3 * 50];
        Normals::derive(1, "test", &[]).fill(&mut start);
        let start = Tensor::from_slice(&start).view([3, 50]);
        for rule in 0..3 {
            for (kind, tolerance) in [(Kind::Double, 1e-12), (Kind::Float, 2e-6)] {
                let configs: Vec<_> = members.iter().map(|&(rate, decay)| rules(rate, decay)[rule].0).collect();
                let mut weights = start.to_kind(kind).copy();
                let mut optimizer = Optimizer::new(&configs, &weights);
                for _ in 0..20 {
                    let mut gradient = gradient(&weights);
                    optimizer.step(&mut weights, &mut gradient);
                }
                for (e, &(rate, decay)) in members.iter().enumerate() {
                    let mut vs = nn::VarStore::new(Device::Cpu);
                    let mut own = vs.root().var_copy("w", &start.get(e as i64).unsqueeze(0));
                    if kind == Kind::Double {
                        vs.double();
                    }
                    let mut torch = rules(rate, decay)[rule].1(&vs);
                    for _ in 0..20 {
                        torch.zero_grad();
                        // The gradient of (own · g) for a constant g is g.
                        (&own * gradient(&own.detach())).sum(None).backward();
                        torch.step();
                    }
                    own = own.detach();
                    // Relative to weights of order one; 20 steps of rounding each.
                    let error = f64::try_from((weights.get(e as i64) - own.squeeze_dim(0)).abs().max()).unwrap();
                    assert!(error < tolerance, "{:?}, {kind:?}: {error}", configs[e]);
                }
            }
        }
    }

    #[test]
    fn members_that_stay_go_on_as_if_nothing_had_happened() {
        let configs: Vec<_> = [0.01, 0.02, 0.03].map(|rate| rules(rate, 0.1)[1].0).to_vec();
        let start = Tensor::linspace(-1.0, 1.0, 30, (Kind::Float, Device::Cpu)).view([3, 10]);
        let mut all = (start.copy(), Optimizer::new(&configs, &start));
        let mut some = (start.copy(), Optimizer::new(&configs, &start));
        for step in 0..10 {
            if step == 5 {
                some.1.keep(&[0, 2]);
                some.0 = some.0.index_select(0, &Tensor::from_slice(&[0i64, 2]));
            }
            for (weights, optimizer) in [&mut all, &mut some] {
                let mut gradient = gradient(weights);
                optimizer.step(weights, &mut gradient);
            }
        }
        assert_eq!(some.0.get(1), all.0.get(2));
        assert_eq!(some.0.get(0), all.0.get(0));
    }
}
