//! A person who creates two sweeps, and may cancel one of them or have failed points tried again; asks until answered.

use super::calls::{Answer, Request};
use super::chance::Chance;
use crate::service::Refusal;

pub(super) struct Person {
    sizes: [u64; 2],
    /// The ids of the sweeps created so far.
    pub(super) sweeps: Vec<String>,
    cancels: bool,
}

impl Person {
    pub(super) fn new(chance: &mut Chance) -> Self {
        let sizes = [chance.between(3, 40), chance.between(1, 10)];
        Self { sizes, sweeps: Vec::new(), cancels: chance.permille(100) }
    }

    /// All sweeps are there.
    pub(super) fn is_content(&self) -> bool {
        self.sweeps.len() == self.sizes.len()
    }

    pub(super) fn wish(&mut self, chance: &mut Chance, calm: bool) -> Option<Request> {
        if let Some(size) = self.sizes.get(self.sweeps.len()) {
            let request_id = format!("wish {}", self.sweeps.len());
            return Some(Request::Create { request_id, source: sweep(*size) });
        }
        let sweep = self.sweeps[usize::from(chance.permille(500))].clone();
        if calm {
            return None;
        }
        if self.cancels && chance.permille(30) {
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
fn sweep(points: u64) -> String {
    format!(
        r#"
        name = "map"
        task = {{ data = {{ kind = "modular", modulus = 7, train_fraction = 0.5 }}, model = {{ kind = "quadratic", width = 8 }}, train = {{ learning_rate = 1e-3, steps = 100 }}, checkpoints = [0, 50, 100] }}
        axes = {{ seed = {{ from = 0, count = {points} }} }}
        "#
    )
}
