//! The settings that a scan tries: a grid over step size ε, localisation γ and inverse temperature nβ.

use std::str::FromStr;

use phasegrid_proto::task::{Nbeta, Sampler, StepSize};
use serde_json::{Value, json};

/// The most values of one axis.
const MOST_VALUES: usize = 100;

/// What `FROM:TO:POINTS` accepts.
const ACCEPTED: &str = "FROM:TO:POINTS with 0 < FROM < TO and 2 to 100 POINTS, which are spaced evenly in the \
     logarithm, or one number";

/// The numbers that a person asked for in place of the default ones; ascending.
#[derive(Clone, Debug, PartialEq)]
pub struct Values(Vec<f64>);

/// One value of one axis of the grid.
#[derive(Clone, Debug, PartialEq)]
pub struct Level {
    /// Its size. Of a step size that is a share of what curvature allows, the share; of an nβ by rule, what the rule gives
    /// in the middle of the sweep.
    pub number: f64,
    /// As it stands in a sweep file.
    pub written: Value,
}

/// The axes of a scan, and the sampler around which it was laid.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    /// ε, ascending.
    pub step_sizes: Vec<Level>,
    /// γ, ascending.
    pub localizations: Vec<Level>,
    /// nβ, ascending.
    pub nbetas: Vec<Level>,
    /// The file's own ε, γ and nβ, whether on the grid or not.
    pub own: [Level; 3],
}

/// A point of the grid: one sampler, by its places on the axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// Index of its ε.
    pub step_size: usize,
    /// Index of its γ.
    pub localization: usize,
    /// Index of its nβ.
    pub nbeta: usize,
}

impl Values {
    /// Whether all are above 0.
    #[must_use]
    pub fn is_positive(&self) -> bool {
        self.0.iter().all(|number| *number > 0.0)
    }
}

impl FromStr for Values {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || format!("accepted: {ACCEPTED}");
        let number = |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
        let parts: Vec<_> = text.split(':').collect();
        let [from, to, points] = *parts.as_slice() else {
            let [one] = *parts.as_slice() else { return Err(refused()) };
            return number(one).map(|one| Self(vec![one])).ok_or_else(refused);
        };
        let (from, to) = (number(from).ok_or_else(refused)?, number(to).ok_or_else(refused)?);
        let points = points.trim().parse().ok().filter(|points| (2..=MOST_VALUES).contains(points));
        let points = points.filter(|_| 0.0 < from && from < to).ok_or_else(refused)?;
        let inner = (1..points - 1).map(|i| rounded(from * (to / from).powf(i as f64 / (points - 1) as f64)));
        let values: Vec<f64> = [from].into_iter().chain(inner).chain([to]).collect();
        let apart = values.windows(2).all(|pair| pair[0] < pair[1]);
        if apart { Ok(Self(values)) } else { Err(format!("{points} values between {from} and {to} are too close")) }
    }
}

impl Grid {
    /// The grid around a sampler, in which a person may have asked for other values; `nbeta` is what the sampler's nβ comes
    /// to in the middle of the sweep.
    ///
    /// By default ε spans three decades in seven values, γ and nβ a decade each in three. A γ of 0 has no scale, and is
    /// replaced by 1, 10, 100.
    #[must_use]
    pub fn around(sampler: &Sampler, nbeta: f64, asked: [Option<Values>; 3]) -> Self {
        let step_size = match sampler.step_size {
            StepSize::Fixed(number) => Level { number, written: json!(number) },
            StepSize::Stable { stable } => Level { number: stable, written: json!({ "stable": stable }) },
        };
        let nbeta = match sampler.nbeta {
            Nbeta::Fixed(number) => Level { number, written: json!(number) },
            rule @ Nbeta::Rule(_) => Level { number: nbeta, written: json!(rule) },
        };
        let own = [step_size, Level { number: sampler.localization, written: json!(sampler.localization) }, nbeta];
        let default = |axis: usize| match (axis, own[axis].number) {
            (0, number) => spread(number, 7, 3.0),
            (1, 0.0) => vec![1.0, 10.0, 100.0],
            (_, number) => spread(number, 3, 1.0),
        };
        let stable = own[0].written.is_object();
        let level = |axis: usize, number: f64| match &own[axis] {
            own if (number / own.number - 1.0).abs() < 1e-9 => own.clone(),
            _ if axis == 0 && stable => Level { number, written: json!({ "stable": number }) },
            _ => Level { number, written: json!(number) },
        };
        let mut axis = 0;
        let [step_sizes, localizations, nbetas] = asked.map(|asked| {
            let numbers = asked.map_or_else(|| default(axis), |values| values.0);
            let levels: Vec<_> = numbers.into_iter().map(|number| level(axis, number)).collect();
            axis += 1;
            levels
        });
        Self { step_sizes, localizations, nbetas, own }
    }

    /// The number of settings.
    #[must_use]
    pub fn size(&self) -> usize {
        self.step_sizes.len() * self.localizations.len() * self.nbetas.len()
    }

    /// A node's place among [`Grid::nodes`].
    #[must_use]
    pub fn index(&self, node: Node) -> usize {
        (node.nbeta * self.localizations.len() + node.localization) * self.step_sizes.len() + node.step_size
    }

    /// All nodes, line after line; ε ascends fastest.
    pub fn nodes(&self) -> impl Iterator<Item = Node> {
        let step_sizes = self.step_sizes.len();
        self.lines().flat_map(move |line| (0..step_sizes).map(move |step_size| Node { step_size, ..line }))
    }

    /// The first node of each line of equal γ and nβ; γ ascends fastest.
    pub fn lines(&self) -> impl Iterator<Item = Node> {
        let (localizations, nbetas) = (self.localizations.len(), self.nbetas.len());
        let line = move |nbeta| (0..localizations).map(move |localization| Node { step_size: 0, localization, nbeta });
        (0..nbetas).flat_map(line)
    }

    /// A node's ε, γ and nβ.
    #[must_use]
    pub fn levels(&self, node: Node) -> [&Level; 3] {
        [&self.step_sizes[node.step_size], &self.localizations[node.localization], &self.nbetas[node.nbeta]]
    }
}

/// An odd number of values around `middle`, over so many decades.
fn spread(middle: f64, points: i32, decades: f64) -> Vec<f64> {
    let half = points / 2;
    let value = |i: i32| match i {
        0 => middle,
        i => rounded(middle * 10_f64.powf(decades / f64::from(points - 1) * f64::from(i))),
    };
    (-half..=half).map(value).collect()
}

/// Three significant digits: a step size need not be told apart from its thousandth.
fn rounded(number: f64) -> f64 {
    format!("{number:.2e}").parse().unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use phasegrid_proto::task::{NbetaRule, resolve};

    use super::*;

    fn sampler(llc: Value) -> Sampler {
        let task = json!({
            "data": { "kind": "modular", "modulus": 53, "train_fraction": 0.4 },
            "model": { "kind": "quadratic", "width": 8 },
            "train": { "steps": 0 },
            "llc": llc,
        });
        resolve(&task, &[]).unwrap().llc.unwrap().samplers.remove(0)
    }

    fn numbers(levels: &[Level]) -> Vec<f64> {
        levels.iter().map(|level| level.number).collect()
    }

    #[test]
    fn by_default_the_grid_lies_around_the_files_own_sampler() {
        let authors = sampler(json!({ "preset": "authors_code" }));
        let nbeta = authors.nbeta.resolve(1123, 128);
        let grid = Grid::around(&authors, nbeta, [None, None, None]);
        assert_eq!(numbers(&grid.step_sizes), [1.58e-5, 5e-5, 1.58e-4, 5e-4, 1.58e-3, 5e-3, 1.58e-2]);
        assert_eq!(numbers(&grid.localizations), [1.58, 5.0, 15.8]);
        // 128/ln 128 = 26.381, and a half decade on either side of it.
        assert_eq!(numbers(&grid.nbetas), [8.34, nbeta, 83.4]);
        assert_eq!(grid.nbetas[1].written, json!(NbetaRule::BatchOverLogBatch), "a rule stays one");
        assert_eq!(grid.size(), 63);
        let nodes: Vec<_> = grid.nodes().collect();
        assert!(nodes.iter().enumerate().all(|(index, node)| grid.index(*node) == index) && nodes.len() == 63);
    }

    #[test]
    fn a_share_is_scanned_as_a_share_and_no_localisation_as_some() {
        let own = sampler(json!({ "preset": "population", "localization": 0, "step_size": { "stable": 0.1 } }));
        let grid = Grid::around(&own, 1e4, [None, None, Some("1e3:1e5:3".parse().unwrap())]);
        assert_eq!(grid.step_sizes[0].written, json!({ "stable": 0.00316 }));
        assert_eq!(grid.step_sizes[3].written, json!({ "stable": 0.1 }));
        assert_eq!(numbers(&grid.localizations), [1.0, 10.0, 100.0]);
        assert_eq!(numbers(&grid.nbetas), [1e3, 1e4, 1e5]);
    }

    #[test]
    fn a_range_has_exact_ends_and_even_steps_of_the_logarithm() {
        assert_eq!("1e-5:1e-3:5".parse(), Ok(Values(vec![1e-5, 3.16e-5, 1e-4, 3.16e-4, 1e-3])));
        assert_eq!("1.2345:2:2".parse(), Ok(Values(vec![1.2345, 2.0])));
        assert_eq!("30".parse(), Ok(Values(vec![30.0])));
        for nonsense in ["", "1:2", "0:1:3", "2:1:3", "1:2:1", "1:2:101", "1:2:x", "nan", "-1", "1:inf:3", "1:2:3:4"] {
            assert_eq!(nonsense.parse::<Values>(), Err(format!("accepted: {ACCEPTED}")), "{nonsense}");
        }
        assert!("1:1.001:9".parse::<Values>().unwrap_err().contains("too close"));
    }
}
