//! The map of a scan: a verdict on every setting, the plateaus among them, and the setting that is chosen.
//!
//! A setting is as good as its worst site. A **plateau** is a run of neighbouring step sizes, at one γ and nβ, that are
//! healthy at every site and agree with the next at every site (see [`verdict`](super::verdict)). Sites at which no setting
//! at all has a plateau are *hopeless*: weights that are no minimum, or that decayed to nothing, have an LLC with no sampler
//! of the grid. They are told, and left out where others are not hopeless. The **choice**:
//!
//! 1. nβ is the file's own if it has a plateau, else the nearest that has: it is a scientific choice, the temperature at
//!    which the posterior is looked at, and not to be tuned by its numerical ease.
//! 2. Of each γ at that nβ, the longest plateau counts, and on it the largest ε whose next larger neighbour lies on it too.
//!    The largest, because chains of a given length then see the most; one step below the edge, because beyond it bias
//!    and divergence grow fast, and other points of the sweep may be steeper than those that were scanned.
//! 3. γ is the one at which the LLC is least sensitive to it, |∂ log LLC / ∂ log γ| at the worst site, less its noise; the
//!    localisation is a device, and the less the estimate is its doing the better. A slope whose standard error is beyond
//!    the tolerance says nothing, and counts as the worst. Of equals, the nearest to the file's own.

use std::ops::Range;

use super::estimates::{Estimate, Estimates};
use super::grid::{Grid, Level, Node};
use super::verdict::{Bond, Slope, Verdict};

/// A run of step sizes on which the LLC does not depend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plateau {
    /// Index of its γ.
    pub localization: usize,
    /// Index of its nβ.
    pub nbeta: usize,
    /// Indices of its step sizes, at least two.
    pub step_sizes: Range<usize>,
}

/// The setting that is chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// Which.
    pub node: Node,
    /// The plateau on which it lies.
    pub plateau: Plateau,
    /// ∂ log LLC / ∂ log ε to its neighbours on the plateau: the greatest in size over these and all sites.
    pub step_size_slope: Slope,
    /// ∂ log LLC / ∂ log γ: the greatest in size over all sites; `None` if no γ beside it is healthy.
    pub localization_slope: Option<Slope>,
}

/// Verdicts and plateaus of a scan.
#[derive(Clone, Debug)]
pub struct Map<'a> {
    grid: &'a Grid,
    estimates: &'a Estimates,
    /// The slope up to which estimates agree.
    tolerance: f64,
    /// The sites that take part.
    sites: Vec<usize>,
    hopeless: Vec<(usize, Verdict)>,
    verdicts: Vec<Verdict>,
    plateaus: Vec<Plateau>,
}

impl<'a> Map<'a> {
    /// Judges every setting; `tolerance` is the slope up to which estimates agree.
    #[must_use]
    pub fn new(grid: &'a Grid, estimates: &'a Estimates, tolerance: f64) -> Self {
        let all: Vec<usize> = (0..estimates.sites.len()).collect();
        let alone = |site: &usize| Self::of(grid, estimates, vec![*site], tolerance);
        let (hopeless, hopeful): (Vec<_>, Vec<_>) =
            all.iter().map(|site| (*site, alone(site))).partition(|(_, map)| map.plateaus.is_empty());
        let sites = if hopeful.is_empty() { all } else { hopeful.into_iter().map(|(site, _)| site).collect() };
        let hopeless = hopeless.into_iter().map(|(site, map)| (site, map.commonest())).collect();
        Self { hopeless, ..Self::of(grid, estimates, sites, tolerance) }
    }

    /// Judges every setting by these sites.
    fn of(grid: &'a Grid, estimates: &'a Estimates, sites: Vec<usize>, tolerance: f64) -> Self {
        let mut map = Self { grid, estimates, tolerance, sites, hopeless: vec![], verdicts: vec![], plateaus: vec![] };
        for line in grid.lines() {
            let nodes: Vec<Node> = (0..grid.step_sizes.len()).map(|step_size| Node { step_size, ..line }).collect();
            let fault = |node: &Node| map.at(*node).filter_map(|one| Verdict::of(one, tolerance)).max();
            let faults: Vec<Option<Verdict>> = nodes.iter().map(fault).collect();
            let bond = |i: usize| {
                let healthy = faults[i].is_none() && faults[i + 1].is_none();
                healthy.then(|| map.bond(nodes[i], nodes[i + 1], tolerance))
            };
            let bonds: Vec<Option<Bond>> = (0..nodes.len() - 1).map(bond).collect();
            map.verdicts.extend(verdicts(&faults, &bonds));
            let Node { localization, nbeta, .. } = line;
            map.plateaus.extend(runs(&bonds).map(|step_sizes| Plateau { localization, nbeta, step_sizes }));
        }
        map
    }

    /// The sites at which no setting has a plateau, each with its commonest verdict.
    #[must_use]
    pub fn hopeless(&self) -> &[(usize, Verdict)] {
        &self.hopeless
    }

    /// The sites by whose estimates settings are judged.
    #[must_use]
    pub fn sites(&self) -> &[usize] {
        &self.sites
    }

    /// What is to be said of a setting.
    #[must_use]
    pub fn verdict(&self, node: Node) -> Verdict {
        self.verdicts[self.grid.index(node)]
    }

    /// All plateaus, line after line.
    #[must_use]
    pub fn plateaus(&self) -> &[Plateau] {
        &self.plateaus
    }

    /// The setting that the rule chooses; `None` if there is no plateau.
    #[must_use]
    pub fn choice(&self) -> Option<Choice> {
        let [_, own_localization, own_nbeta] = &self.grid.own;
        let far = |plateau: &Plateau| distance(&self.grid.nbetas[plateau.nbeta], own_nbeta);
        let nbeta = self.plateaus.iter().min_by(|a, b| far(a).total_cmp(&far(b)))?.nbeta;
        let lines = (0..self.grid.localizations.len()).filter_map(|localization| self.longest(localization, nbeta));
        let rank = |choice: &Choice| {
            let told = choice.localization_slope.filter(|slope| slope.error <= self.tolerance);
            let sensitivity = told.map_or(f64::INFINITY, Slope::certain);
            (sensitivity, distance(&self.grid.localizations[choice.node.localization], own_localization))
        };
        let better = |a: &Choice, b: &Choice| {
            let ((a, a_far), (b, b_far)) = (rank(a), rank(b));
            a.total_cmp(&b).then(a_far.total_cmp(&b_far))
        };
        lines.map(|plateau| self.on(plateau)).min_by(better)
    }

    /// The longest plateau of a line; of equals that of larger step sizes.
    fn longest(&self, localization: usize, nbeta: usize) -> Option<&Plateau> {
        let here = |plateau: &&Plateau| (plateau.localization, plateau.nbeta) == (localization, nbeta);
        self.plateaus.iter().filter(here).max_by_key(|plateau| plateau.step_sizes.len())
    }

    /// The setting that is chosen on a plateau.
    fn on(&self, plateau: &Plateau) -> Choice {
        let Plateau { localization, nbeta, ref step_sizes } = *plateau;
        let node = Node { step_size: step_sizes.end - 2, localization, nbeta };
        let below = node.step_size.checked_sub(1).filter(|below| step_sizes.contains(below));
        let neighbours = below.into_iter().chain([node.step_size + 1]);
        let slopes = neighbours.flat_map(|step_size| self.slopes(node, Node { step_size, ..node }));
        Choice {
            node,
            plateau: plateau.clone(),
            step_size_slope: worst(slopes.flatten()).unwrap_or(Slope { value: 0.0, error: 0.0 }),
            localization_slope: self.localization_slope(node),
        }
    }

    /// The slope along γ between the healthy neighbours of a setting, or between it and the only one.
    fn localization_slope(&self, node: Node) -> Option<Slope> {
        let healthy = |localization: usize| {
            let beside = Node { localization, ..node };
            (localization < self.grid.localizations.len() && self.verdict(beside).is_healthy()).then_some(beside)
        };
        let low = node.localization.checked_sub(1).and_then(healthy).unwrap_or(node);
        let high = healthy(node.localization + 1).unwrap_or(node);
        if low == high { None } else { worst(self.slopes(low, high).flatten()) }
    }

    /// Whether two healthy settings agree at every site.
    fn bond(&self, from: Node, to: Node, tolerance: f64) -> Bond {
        self.slopes(from, to).map(|slope| Bond::of(slope, tolerance)).max().unwrap_or(Bond::Noisy)
    }

    /// The slope between two settings that differ along one axis, at each site.
    fn slopes(&self, from: Node, to: Node) -> impl Iterator<Item = Option<Slope>> {
        let grid = self.grid;
        let pairs = grid.levels(from).into_iter().zip(grid.levels(to));
        let ratio: f64 = pairs.map(|(from, to)| if from == to { 1.0 } else { to.number / from.number }).product();
        self.at(from).zip(self.at(to)).map(move |(from, to)| Slope::between(from, to, ratio))
    }

    /// The estimates of a setting, one a site that takes part.
    fn at(&self, node: Node) -> impl Iterator<Item = &Estimate> {
        let index = self.grid.index(node);
        self.sites.iter().map(move |site| &self.estimates.rows[*site][index])
    }

    /// The verdict on most settings; of equals the worse.
    fn commonest(&self) -> Verdict {
        let count = |verdict: &Verdict| self.verdicts.iter().filter(|other| *other == verdict).count();
        Verdict::ALL.into_iter().max_by_key(count).unwrap_or(Verdict::Diverged)
    }
}

/// The verdicts on a line of settings, from what is wrong with each and how it goes with the next.
fn verdicts(faults: &[Option<Verdict>], bonds: &[Option<Bond>]) -> Vec<Verdict> {
    let bond = |i: Option<usize>| i.and_then(|i| bonds.get(i).copied().flatten());
    let judged = |(i, fault): (usize, &Option<Verdict>)| match (fault, bond(i.checked_sub(1)), bond(Some(i))) {
        (Some(fault), _, _) => *fault,
        (None, Some(Bond::Flat), _) | (None, _, Some(Bond::Flat)) => Verdict::Plateau,
        (None, Some(Bond::Steep), _) | (None, _, Some(Bond::Steep)) => Verdict::Steep,
        (None, Some(Bond::Noisy), _) | (None, _, Some(Bond::Noisy)) => Verdict::Noisy,
        (None, None, None) => Verdict::Alone,
    };
    faults.iter().enumerate().map(judged).collect()
}

/// The runs of settings that each agree with the next.
fn runs(bonds: &[Option<Bond>]) -> impl Iterator<Item = Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (i, _) in bonds.iter().enumerate().filter(|(_, bond)| **bond == Some(Bond::Flat)) {
        match runs.last_mut() {
            Some(run) if run.end == i + 1 => run.end = i + 2,
            _ => runs.push(i..i + 2),
        }
    }
    runs.into_iter()
}

/// The slope that is greatest in size.
fn worst(slopes: impl Iterator<Item = Slope>) -> Option<Slope> {
    slopes.max_by(|a, b| a.value.abs().total_cmp(&b.value.abs()))
}

/// How far a value lies from the file's own, in the logarithm. From an own of 0 the smallest is the nearest.
fn distance(level: &Level, own: &Level) -> f64 {
    if own.number == 0.0 { level.number } else { (level.number / own.number).ln().abs() }
}
