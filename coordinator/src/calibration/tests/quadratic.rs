//! Quadratic potentials L = ½·Σ h_k w_k², whose estimates are known in closed form, discretisation and transient included
//! ([`llc_of_curvature`]). With a = nβ·h + γ of a single curvature, chains are stable for εa < 4; after a long burn-in
//! ∂ log LLC / ∂ log ε = (εa/4)/(1 − εa/4), and ∂ log LLC / ∂ log γ = −γ/a for small ε.

use phasegrid_proto::theory::llc_of_curvature;
use phasegrid_proto::v1::{Health, SamplerSettings};

use super::super::*;
use super::grid;

/// Chains of so many steps on a potential with these curvatures.
struct Potential<'a> {
    curvatures: &'a [f64],
    burn_in: u32,
    draws: u32,
    /// Standard error of every estimate, relative to it.
    noise: f64,
}

const TEN_OF_ONE: [f64; 10] = [1.0; 10];

impl Potential<'_> {
    /// What the draws from `burn_in` on say, so many of them; `None` where chains are not stable.
    fn llc(&self, [step_size, localization, nbeta]: [f64; 3], burn_in: u32, draws: u32) -> Option<f64> {
        let method = "sgld".to_owned();
        let step_size = Some(step_size);
        let settings =
            SamplerSettings { method, step_size, localization, nbeta, burn_in, draws, ..SamplerSettings::default() };
        self.curvatures.iter().map(|h| llc_of_curvature(*h, &settings)).sum()
    }

    fn estimate(&self, setting: [f64; 3]) -> Estimate {
        let (half, middle) = (self.draws / 2, self.burn_in + self.draws / 2);
        let llc = self.llc(setting, self.burn_in, self.draws);
        let drift = self.llc(setting, middle, half).zip(self.llc(setting, self.burn_in, half));
        Estimate {
            health: if llc.is_some() { Health::Ok } else { Health::Unstable },
            llc,
            llc_se: llc.map(|llc| llc * self.noise),
            drift: drift.map(|(second, first)| second - first),
        }
    }

    fn on(&self, grid: &Grid) -> Estimates {
        let numbers = |node: Node| grid.levels(node).map(|level| level.number);
        let row = grid.nodes().map(|node| self.estimate(numbers(node))).collect();
        Estimates { sites: vec![Site { point: 0, step: 0, further: vec![] }], rows: vec![row] }
    }
}

fn names(grid: &Grid, map: &Map<'_>, localization: usize, nbeta: usize) -> Vec<&'static str> {
    let verdict = |step_size| map.verdict(Node { step_size, localization, nbeta }).name();
    (0..grid.step_sizes.len()).map(verdict).collect()
}

#[test]
fn the_plateau_ends_where_the_step_sizes_bias_grows_and_where_chains_are_too_short() {
    // a = 101. Above: between ε and 10^½·ε the LLC grows by (1 − εa/4)/(1 − 10^½·εa/4). From εa = 0.0505·10^½ to 0.505 that
    // is 10 %, a slope of 0.09; from there to 1.597 it is 45 %, a slope of 0.33: the plateau ends at ε = 5e-3.
    // Below: draws begin at i = 2000, where ρ^{2i} = e^{−εa·i} is 4 % for ε = 1.58e-5, and 36 % for 5e-6.
    let step_sizes = [5e-6, 1.58e-5, 5e-5, 1.58e-4, 5e-4, 1.58e-3, 5e-3, 1.58e-2, 5e-2];
    let grid = grid(&step_sizes, &[1.0], &[100.0], [5e-4, 1.0, 100.0]);
    let estimates = Potential { curvatures: &TEN_OF_ONE, burn_in: 2000, draws: 3000, noise: 0.0 }.on(&grid);
    let map = Map::new(&grid, &estimates, 0.1);
    let expected = ["drifting", "plateau", "plateau", "plateau", "plateau", "plateau", "plateau", "steep", "unstable"];
    assert_eq!(names(&grid, &map, 0, 0), expected);
    assert_eq!(map.plateaus(), [Plateau { localization: 0, nbeta: 0, step_sizes: 1..7 }]);
    let choice = map.choice().unwrap();
    assert_eq!(choice.node.step_size, 5, "the largest with a larger neighbour on the plateau");
    // The larger of its two slopes, to 5e-3: ln((1 − 101·1.58e-3/4)/(1 − 101·5e-3/4))/ln(5/1.58) = 0.0819.
    assert!((choice.step_size_slope.value - 0.0819).abs() < 5e-4, "{:?}", choice.step_size_slope);
    assert_eq!(choice.localization_slope, None, "there is no other γ");
}

#[test]
fn a_smaller_tolerance_makes_a_smaller_plateau() {
    let step_sizes = [1.58e-4, 5e-4, 1.58e-3, 5e-3];
    let grid = grid(&step_sizes, &[1.0], &[100.0], [5e-4, 1.0, 100.0]);
    let estimates = Potential { curvatures: &TEN_OF_ONE, burn_in: 2000, draws: 3000, noise: 0.0 }.on(&grid);
    let run = |tolerance: f64| Map::new(&grid, &estimates, tolerance).plateaus()[0].step_sizes.clone();
    // Slopes to the next: 0.0075, 0.0243, 0.0819.
    assert_eq!([run(0.1), run(0.05), run(0.01)], [0..4, 0..3, 0..2]);
    assert_eq!(Map::new(&grid, &estimates, 0.005).choice(), None);
}

#[test]
fn the_weakest_localisation_that_has_a_plateau_is_the_least_sensitive() {
    // ∂ log LLC / ∂ log γ = −γ/(nβ + γ): −0.01, −0.09, −0.5, −0.91 at γ = 1, 10, 100, 1000 with nβ·h = 100.
    let grid = grid(&[5e-5, 1.58e-4, 5e-4], &[1.0, 10.0, 100.0, 1000.0], &[100.0], [5e-4, 100.0, 100.0]);
    let estimates = Potential { curvatures: &TEN_OF_ONE, burn_in: 4000, draws: 3000, noise: 0.0 }.on(&grid);
    let choice = Map::new(&grid, &estimates, 0.1).choice().unwrap();
    assert_eq!((choice.node.localization, choice.node.step_size), (0, 1));
    // One-sided, over a decade: ln(101/110)/ln 10 = −0.037.
    assert!((choice.localization_slope.unwrap().value + 0.037).abs() < 5e-4);
}

#[test]
fn where_noise_hides_all_differences_the_files_own_localisation_stays() {
    let grid = grid(&[5e-5, 1.58e-4, 5e-4], &[1.0, 2.0, 4.0], &[1000.0], [5e-4, 2.0, 1000.0]);
    let estimates = Potential { curvatures: &TEN_OF_ONE, burn_in: 4000, draws: 3000, noise: 0.02 }.on(&grid);
    // γ/(nβ + γ) is 0.004 at most; a standard error of 2 % is one of 0.04 in the slope over a factor of 2.
    let choice = Map::new(&grid, &estimates, 0.1).choice().unwrap();
    assert_eq!(choice.node.localization, 1);
}

#[test]
fn the_files_own_temperature_is_kept_if_it_has_a_plateau_and_else_the_nearest_taken() {
    let step_sizes = [1e-3, 2e-3, 4e-3];
    let scan = |own: f64, nbetas: &[f64]| {
        let grid = grid(&step_sizes, &[1.0], nbetas, [1e-3, 1.0, own]);
        let estimates = Potential { curvatures: &TEN_OF_ONE, burn_in: 4000, draws: 3000, noise: 0.0 }.on(&grid);
        Map::new(&grid, &estimates, 0.1).choice().map(|choice| nbetas[choice.node.nbeta])
    };
    // At nβ = 1000 every ε is unstable or steep; at 100 and 10 there are plateaus.
    assert_eq!(scan(10.0, &[10.0, 100.0, 1000.0]), Some(10.0));
    assert_eq!(scan(1000.0, &[10.0, 100.0, 1000.0]), Some(100.0));
    assert_eq!(scan(1000.0, &[1000.0]), None);
}

#[test]
fn noise_beyond_the_tolerance_is_no_plateau() {
    let grid = grid(&[1.58e-4, 5e-4], &[1.0], &[100.0], [5e-4, 1.0, 100.0]);
    let estimates = Potential { curvatures: &TEN_OF_ONE, burn_in: 2000, draws: 3000, noise: 0.1 }.on(&grid);
    let map = Map::new(&grid, &estimates, 0.1);
    assert_eq!(names(&grid, &map, 0, 0), ["noisy", "noisy"]);
    assert_eq!(map.choice(), None);
    assert!(advice(&grid, &map)[0].contains("more draws"));
}

#[test]
fn a_setting_is_as_good_as_its_worst_site() {
    let step_sizes = [5e-5, 1.58e-4, 5e-4, 1.58e-3, 5e-3];
    let grid = grid(&step_sizes, &[1.0], &[100.0], [5e-4, 1.0, 100.0]);
    let chains = |curvatures| Potential { curvatures, burn_in: 4000, draws: 3000, noise: 0.0 };
    let (flat, sharp) = (chains(&[1.0; 10]), chains(&[10.0; 10]));
    let both = [flat.on(&grid), sharp.on(&grid)];
    let rows: Vec<_> = both.iter().flat_map(|estimates| estimates.rows.clone()).collect();
    let sites = vec![Site { point: 0, step: 0, further: vec![] }, Site { point: 1, step: 0, further: vec![] }];
    let map_of = |estimates: &Estimates| Map::new(&grid, estimates, 0.1).plateaus()[0].step_sizes.clone();
    assert_eq!(map_of(&both[0]), 0..5);
    // Ten times the curvature ends the plateau a decade earlier.
    assert_eq!(map_of(&both[1]), 0..3);
    assert_eq!(map_of(&Estimates { sites, rows }), 0..3);
}

#[test]
fn a_site_at_which_no_setting_has_a_plateau_is_told_and_left_out() {
    let grid = grid(&[1.58e-4, 5e-4, 1.58e-3], &[1.0], &[100.0], [5e-4, 1.0, 100.0]);
    let good = Potential { curvatures: &TEN_OF_ONE, burn_in: 4000, draws: 3000, noise: 0.0 }.on(&grid);
    let far = good.rows[0].iter().map(|estimate| Estimate { health: Health::NotLocal, ..*estimate }).collect();
    let below = |estimate: &Estimate| Estimate { llc: estimate.llc.map(|llc| -llc), ..*estimate };
    let below = good.rows[0].iter().map(below).collect();
    let site = |point| Site { point, step: 0, further: vec![] };
    let rows = vec![good.rows[0].clone(), far, below];
    let estimates = Estimates { sites: (0..3).map(site).collect(), rows };
    let map = Map::new(&grid, &estimates, 0.1);
    assert_eq!(map.hopeless(), [(1, Verdict::NotLocal), (2, Verdict::Negative)]);
    assert_eq!((map.sites(), map.choice().unwrap().node.step_size), ([0].as_slice(), 1));
    // Where all are hopeless, none is left out.
    let estimates = Estimates { sites: vec![site(1), site(2)], rows: estimates.rows[1..].to_vec() };
    let map = Map::new(&grid, &estimates, 0.1);
    assert_eq!((map.sites(), map.choice()), ([0, 1].as_slice(), None));
}

#[test]
fn where_there_is_no_plateau_each_region_has_its_reason() {
    let grid = grid(&[1e-7, 1e-6, 3e-2, 1e-1], &[1.0], &[100.0], [1e-6, 1.0, 100.0]);
    let estimates = Potential { curvatures: &TEN_OF_ONE, burn_in: 2000, draws: 3000, noise: 0.0 }.on(&grid);
    let map = Map::new(&grid, &estimates, 0.1);
    assert_eq!(map.choice(), None);
    let regions = regions(&grid, &map);
    assert_eq!(regions, ["localization 1, nbeta 100: drifting from 1e-7, alone from 0.03, unstable from 0.1"]);
    let advice = advice(&grid, &map);
    assert!(advice[0].contains("burn_in") && advice.len() == 3, "{advice:?}");
}
