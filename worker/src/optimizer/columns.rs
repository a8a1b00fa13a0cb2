//! The members' constants as tensors: made when members come or go, so that nothing is copied to the device in a step.

use tch::{Kind, Tensor};

use super::{Member, Rule, power};

/// Columns [E, 1].
#[derive(Debug)]
pub(super) struct Columns {
    /// The weights' precision.
    kind: Kind,
    /// −η, in double precision.
    rates: Tensor,
    /// δ
    pub(super) decays: Tensor,
    /// 1 − ηδ
    pub(super) shrink: Tensor,
    /// β₁ᵗ and β₂ᵗ of the last step, in double precision, which 1−βᵗ asks for where t is small.
    powers: [Tensor; 2],
}

impl Columns {
    /// For members that are about to finish their present step; on the device and in the precision of `like`.
    pub(super) fn new(rule: Rule, members: &[Member], like: &Tensor) -> Self {
        let exact = |of: &dyn Fn(&Member) -> f64| {
            let values: Vec<f64> = members.iter().map(of).collect();
            Tensor::from_slice(&values).to_device(like.device()).unsqueeze(1) // [E, 1]
        };
        let betas = match rule {
            Rule::Adam { betas, .. } => betas,
            Rule::Sgd { .. } => [0.0; 2],
        };
        Self {
            kind: like.kind(),
            rates: exact(&|member| -member.rate),
            decays: exact(&|member| member.decay).to_kind(like.kind()),
            shrink: exact(&|member| 1.0 - member.rate * member.decay).to_kind(like.kind()),
            powers: betas.map(|beta| exact(&|member| power(beta, member.steps - 1))),
        }
    }

    /// −η
    pub(super) fn rates(&self) -> Tensor {
        self.rates.to_kind(self.kind)
    }

    /// −η/(1−β₁ᵗ) and 1/√(1−β₂ᵗ), at the next step.
    pub(super) fn corrected(&mut self, betas: [f64; 2]) -> [Tensor; 2] {
        let [first, second] = &mut self.powers;
        *first *= betas[0];
        *second *= betas[1];
        let room = |power: &Tensor| -> Tensor { 1.0 - power };
        [(&self.rates / room(first)).to_kind(self.kind), room(second).rsqrt().to_kind(self.kind)]
    }
}
