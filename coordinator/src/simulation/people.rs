//! A person who creates two sweeps, the second perhaps much later, and may cancel one of them or have failed points tried
//! again; asks until answered. The second one's points are points of the first, too.

use super::calls::{Answer, Request};
use super::chance::Chance;
use crate::service::Refusal;

pub(super) struct Person {
    sizes: [u64; 2],
    /// Steps of each task: what it takes is worth remembering for other sweeps, or is not.
    steps: u64,
    /// Of a thousand times, so often the next sweep is created.
    haste: u64,
    /// The ids of the sweeps created so far.
    pub(super) sweeps: Vec<String>,
    cancels: bool,
}

impl Person {
    pub(super) fn new(chance: &mut Chance) -> Self {
        let sizes = [chance.between(3, 40), chance.between(1, 10)];
        let steps = if chance.permille(700) { 1000 } else { 100 };
        let haste = if chance.permille(500) { 1000 } else { 50 };
        Self { sizes, steps, haste, sweeps: Vec::new(), cancels: chance.permille(100) }
    }

    /// All sweeps are there.
    pub(super) fn is_content(&self) -> bool {
        self.sweeps.len() == self.sizes.len()
    }

    pub(super) fn wish(&mut self, chance: &mut Chance, calm: bool) -> Option<Request> {
        let now = self.sweeps.is_empty() || calm || chance.permille(self.haste);
        if let Some(size) = self.sizes.get(self.sweeps.len()).filter(|_| now) {
            let request_id = format!("wish {}", self.sweeps.len());
            return Some(Request::Create { request_id, source: sweep(*size, self.steps) });
        }
        let sweep = self.sweeps[usize::from(chance.permille(500)).min(self.sweeps.len() - 1)].clone();
        if calm {
            return None;
        }
        if self.cancels && self.is_content() && chance.permille(30) {
            return Some(Request::Cancel { sweep: self.sweeps[1].clone() });
        }
        chance.permille(50).then_some(Request::Retry { sweep })
    }

    pub(super) fn answered(&mut self, answer: Result<Answer, Refusal>) {
        match answer {
            Ok(Answer::Created(view)) => {
                if !self.sweeps.contains(&view.id) {
                    self.sweeps.push(view.id);
                }
            }
            Ok(_) | Err(Refusal::Unavailable(_) | Refusal::FailedPrecondition(_)) => {}
            Err(refusal) => panic!("a person is refused: {refusal}"),
        }
    }
}

/// A sweep file of so many points.
fn sweep(points: u64, steps: u64) -> String {
    format!(
        r#"
        name = "map"
        task = {{ data = {{ kind = "modular", modulus = 7, train_fraction = 0.5 }}, model = {{ kind = "quadratic", width = 8 }}, train = {{ learning_rate = 1e-3, steps = {steps} }}, checkpoints = [0, {steps}] }}
        axes = {{ seed = {{ from = 0, count = {points} }} }}
        "#
    )
}
