//! Update rules, stacked: E members step together, each with its own learning rate and weight decay, in place.
//!
//! With gradient g, weights w, learning rate η, weight decay δ, step t = 1, 2, …:
//! - Adam: g += δ·w; m = β₁m + (1−β₁)g; v = β₂v + (1−β₂)g²; w −= η/(1−β₁ᵗ) · m / (√v/√(1−β₂ᵗ) + ε), ε = 1e-8;
//! - AdamW: w −= ηδ·w in place of g += δ·w;
//! - SGD: g += δ·w; m = μm + g; w −= η·m.
//!
//! They are torch's own rules to rounding. In host memory a member's step is one loop; elsewhere each operation is a pass over
//! all members. Each member counts its own steps.

mod columns;
mod fused;

use phasegrid_proto::task;
use tch::Tensor;

use self::columns::Columns;
use self::fused::{AdamConstants, adam, sgd};
use crate::host;

const EPSILON: f64 = 1e-8;

/// The state of E optimisers of the same rule.
#[derive(Debug)]
pub struct Optimizer {
    rule: Rule,
    members: Vec<Member>,
    /// m, [E, D]; v too for Adam.
    moments: Vec<Tensor>,
    /// For tensor programs; `None` until the first step after members have come or gone.
    columns: Option<Columns>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Rule {
    Adam { betas: [f64; 2], coupled: bool },
    Sgd { momentum: f64 },
}

/// What one member has of its own.
#[derive(Clone, Copy, Debug)]
struct Member {
    /// η
    rate: f64,
    /// δ
    decay: f64,
    /// t, steps taken.
    steps: u64,
}

impl Optimizer {
    /// Optimisers for `weights` [E, D], one a member. All are of the first one's rule.
    #[must_use]
    pub fn new(members: &[task::Optimizer], weights: &Tensor) -> Self {
        let rule = match members[0] {
            task::Optimizer::Adam { betas, .. } => Rule::Adam { betas, coupled: true },
            task::Optimizer::AdamW { betas, .. } => Rule::Adam { betas, coupled: false },
            task::Optimizer::Sgd { momentum, .. } => Rule::Sgd { momentum },
        };
        let member = |optimizer: &task::Optimizer| match *optimizer {
            task::Optimizer::Adam { learning_rate: rate, weight_decay: decay, .. }
            | task::Optimizer::AdamW { learning_rate: rate, weight_decay: decay, .. }
            | task::Optimizer::Sgd { learning_rate: rate, weight_decay: decay, .. } => Member { rate, decay, steps: 0 },
        };
        let moments = (0..Self::moments(&members[0])).map(|_| weights.zeros_like()).collect();
        Self { rule, members: members.iter().map(member).collect(), moments, columns: None }
    }

    /// The number of moments that `optimizer` keeps, each like the weights.
    #[must_use]
    pub fn moments(optimizer: &task::Optimizer) -> usize {
        match optimizer {
            task::Optimizer::Adam { .. } | task::Optimizer::AdamW { .. } => 2,
            task::Optimizer::Sgd { .. } => 1,
        }
    }

    /// The moments of one member, each `[D]`.
    #[must_use]
    pub fn moments_of(&self, member: usize) -> Vec<Tensor> {
        self.moments.iter().map(|moment| moment.get(member as i64)).collect()
    }

    /// Lets a member go on where it had taken so many steps and had these moments, each `[D]`.
    pub fn resume(&mut self, member: usize, steps: u64, moments: &[Tensor]) {
        self.members[member].steps = steps;
        for (own, moment) in self.moments.iter().zip(moments) {
            own.get(member as i64).copy_(moment);
        }
        self.columns = None;
    }

    /// Goes on with these members alone.
    pub fn keep(&mut self, members: &[usize]) {
        let index: Vec<i64> = members.iter().map(|member| *member as i64).collect();
        for moment in &mut self.moments {
            *moment = moment.index_select(0, &Tensor::from_slice(&index).to_device(moment.device()));
        }
        self.members = members.iter().map(|member| self.members[*member]).collect();
        self.columns = None;
    }

    /// Goes on with those of `other`, of the same rule, after its own.
    pub fn join(&mut self, other: Self) {
        for (moment, other) in self.moments.iter_mut().zip(&other.moments) {
            *moment = Tensor::cat(&[&*moment, other], 0);
        }
        self.members.extend(other.members);
        self.columns = None;
    }

    /// One step of all members. `gradient` [E, D] is used up.
    pub fn step(&mut self, weights: &mut Tensor, gradient: &mut Tensor) {
        for member in &mut self.members {
            member.steps += 1;
        }
        if host::applies(weights) {
            self.step_on_host(weights, gradient)
        } else {
            self.step_anywhere(weights, gradient)
        }
    }

    fn step_on_host(&mut self, weights: &mut Tensor, gradient: &Tensor) {
        let dimension = weights.size()[1] as usize;
        let gradients = host::slice::<f32>(gradient).chunks_exact(dimension);
        let steps = rows(weights, dimension).zip(gradients).zip(&self.members);
        match (self.rule, self.moments.as_mut_slice()) {
            (Rule::Adam { betas, coupled }, [first, second]) => {
                let moments = rows(first, dimension).zip(rows(second, dimension));
                for (((w, g), member), (m, v)) in steps.zip(moments) {
                    adam(&AdamConstants::new(betas, coupled, *member), w, g, m, v);
                }
            }
            (Rule::Sgd { momentum }, [moment]) => {
                for (((w, g), member), m) in steps.zip(rows(moment, dimension)) {
                    sgd([member.rate, member.decay, momentum].map(|x| x as f32), w, g, m);
                }
            }
            _ => unreachable!("Adam has two moments and SGD one"),
        }
    }

    fn step_anywhere(&mut self, weights: &mut Tensor, gradient: &mut Tensor) {
        let columns = self.columns.get_or_insert_with(|| Columns::new(self.rule, &self.members, weights));
        match (self.rule, self.moments.as_mut_slice()) {
            (Rule::Adam { betas: [beta1, beta2], coupled }, [m, v]) => {
                if coupled {
                    let _ = gradient.addcmul_(weights, &columns.decays);
                } else {
                    *weights *= &columns.shrink;
                }
                let _ = m.lerp_(gradient, 1.0 - beta1);
                let _ = v.lerp_(&gradient.square_(), 1.0 - beta2);
                let [rates, corrections] = columns.corrected([beta1, beta2]);
                // The gradient's memory takes the denominator, and then the direction.
                let _ = v.sqrt_out(gradient);
                *gradient *= corrections;
                *gradient += EPSILON;
                let _ = m.div_out(gradient, gradient);
                let _ = weights.addcmul_(gradient, &rates);
            }
            (Rule::Sgd { momentum }, [m]) => {
                let _ = gradient.addcmul_(weights, &columns.decays);
                *m *= momentum;
                *m += &*gradient;
                let _ = weights.addcmul_(m, &columns.rates());
            }
            _ => unreachable!("Adam has two moments and SGD one"),
        }
    }
}

/// The rows of a tensor [E, D] in host memory.
fn rows(tensor: &mut Tensor, dimension: usize) -> std::slice::ChunksExactMut<'_, f32> {
    host::slice_mut(tensor).chunks_exact_mut(dimension)
}

/// βᵗ
fn power(beta: f64, steps: u64) -> f64 {
    beta.powi(i32::try_from(steps).unwrap_or(i32::MAX))
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
    fn members_come_go_and_resume_without_any_trace() {
        let configs: Vec<_> = [0.01, 0.02, 0.03].map(|rate| rules(rate, 0.1)[1].0).to_vec();
        let start = Tensor::linspace(-1.0, 1.0, 30, (Kind::Double, Device::Cpu)).view([3, 10]);
        // Powers of β are products in one and powers in the other: a rounding of doubles apart.
        for (kind, tolerance) in [(Kind::Float, 0.0), (Kind::Double, 1e-14)] {
            let steps = |weights: &mut Tensor, optimizer: &mut Optimizer, steps: usize| {
                for _ in 0..steps {
                    let mut gradient = gradient(weights);
                    optimizer.step(weights, &mut gradient);
                }
            };
            let start = start.to_kind(kind);
            let alone = |member: i64, count: usize| {
                let mut weights = start.narrow(0, member, 1).copy();
                let mut optimizer = Optimizer::new(&configs[member as usize..][..1], &weights);
                steps(&mut weights, &mut optimizer, count);
                (weights, optimizer)
            };
            let mut weights = start.narrow(0, 0, 2).copy();
            let mut optimizer = Optimizer::new(&configs[..2], &weights);
            steps(&mut weights, &mut optimizer, 5);
            // The first leaves, and the third comes with three steps of its own.
            optimizer.keep(&[1]);
            let (third, trained) = alone(2, 3);
            let mut resumed = Optimizer::new(&configs[2..], &third);
            resumed.resume(0, 3, &trained.moments_of(0));
            optimizer.join(resumed);
            weights = Tensor::cat(&[weights.narrow(0, 1, 1), third], 0);
            steps(&mut weights, &mut optimizer, 4);
            let expected = Tensor::cat(&[alone(1, 9).0, alone(2, 7).0], 0);
            let error = (weights - expected).abs().max().double_value(&[]);
            assert!(error <= tolerance, "{kind:?}: {error}");
        }
    }
}
