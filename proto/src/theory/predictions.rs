//! The closed forms that stand beside estimates, each under its one name. None of them knows a sampler: they are values
//! for nβ → ∞, at the kind of optimum that the formula is about.

use super::{deep_linear, one_hot_lazy, one_hot_teacher, paper_generic, paper_late_stage, paper_lazy};
use crate::task::{Data, Loss, Model, TaskConfig};

/// A closed form for the LLC of a kind of network.
#[derive(Clone, Copy, Debug)]
pub struct Prediction {
    /// Its name, which is that of its column.
    pub name: &'static str,
    formula: Formula,
}

#[derive(Clone, Copy, Debug)]
enum Formula {
    Pairs(fn(&Pairs) -> f64),
    DeepLinear,
}

/// A quadratic network on pairs of residues.
#[derive(Clone, Copy, Debug)]
struct Pairs {
    /// p, the modulus.
    p: u64,
    /// K, the width.
    k: u64,
    /// N, training examples.
    n: u64,
    /// Whether the loss subtracts the residuals' mean.
    centred: bool,
}

/// All of them: of the paper (arXiv 2603.01192), of one-hot pairs, of deep linear networks.
pub const PREDICTIONS: [Prediction; 8] = [
    pairs("llc_theory_paper_late_stage", |on| paper_late_stage(on.p, on.k)),
    pairs("llc_theory_paper_generic", |on| paper_generic(on.p, on.k)),
    pairs("llc_theory_paper_lazy_low", |on| paper_lazy(on.p, on.k).0),
    pairs("llc_theory_paper_lazy_high", |on| paper_lazy(on.p, on.k).1),
    pairs("llc_theory_one_hot_population", |on| one_hot_teacher(on.p, on.k, on.p * on.p, on.centred)),
    pairs("llc_theory_one_hot_train_set", |on| one_hot_teacher(on.p, on.k, on.n, on.centred)),
    pairs("llc_theory_one_hot_lazy", |on| one_hot_lazy(on.p, on.k, on.n, on.centred)),
    Prediction { name: "llc_theory_deep_linear", formula: Formula::DeepLinear },
];

const fn pairs(name: &'static str, formula: fn(&Pairs) -> f64) -> Prediction {
    Prediction { name, formula: Formula::Pairs(formula) }
}

impl Prediction {
    /// The value for a task; `None` if the formula is not about its network and data.
    #[must_use]
    pub fn of(&self, task: &TaskConfig) -> Option<f64> {
        match (self.formula, &task.model, &task.data) {
            (Formula::Pairs(formula), Model::Quadratic { width, .. }, Data::Modular { modulus, .. }) => {
                let (p, k, n) = (u64::from(*modulus), u64::from(*width), task.data.train_examples());
                Some(formula(&Pairs { p, k, n, centred: task.train.loss == Loss::CentredMse }))
            }
            (Formula::DeepLinear, Model::DeepLinear { widths, rank, .. }, _) => {
                let widths: Vec<u64> = widths.iter().copied().map(u64::from).collect();
                Some(deep_linear(&widths, u64::from(*rank))?.value)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::task::resolve;

    fn found(table: Value) -> Vec<(&'static str, f64)> {
        let task = resolve(&table, &[]).unwrap();
        PREDICTIONS.iter().filter_map(|prediction| Some((prediction.name, prediction.of(&task)?))).collect()
    }

    #[test]
    fn the_papers_cell_has_the_papers_values() {
        let task = json!({
            "data": { "kind": "modular", "modulus": 53, "train_fraction": 0.4 },
            "model": { "kind": "quadratic", "width": 1024 },
            "train": { "learning_rate": 1e-4, "steps": 100, "loss": "centred_mse" },
        });
        let expected = [
            ("llc_theory_paper_late_stage", 80_896.0),
            ("llc_theory_paper_generic", 80_896.0),
            ("llc_theory_paper_lazy_low", 2782.5),
            ("llc_theory_paper_lazy_high", 27_136.0),
            // Half of p·(p² − 1), and of p·(N − 1).
            ("llc_theory_one_hot_population", 74_412.0),
            ("llc_theory_one_hot_train_set", 29_733.0),
            ("llc_theory_one_hot_lazy", 27_136.0),
        ];
        assert_eq!(found(task), expected);
    }

    #[test]
    fn a_deep_linear_network_has_the_value_of_its_teachers_rank_alone() {
        let task = json!({
            "data": { "kind": "gaussian", "samples": 50 },
            "model": { "kind": "deep_linear", "widths": [5, 3, 5], "rank": 1 },
            "train": { "learning_rate": 1e-2, "steps": 100 },
        });
        assert_eq!(found(task), [("llc_theory_deep_linear", 8.0)]);
    }
}
