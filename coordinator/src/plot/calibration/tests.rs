//! An example to draw.

use phasegrid_proto::v1::Health;
use serde_json::json;

use super::Calibration;
use crate::calibration::{Choice, Estimate, Estimates, Grid, Level, Map, Node, Plateau, Site, Slope};

/// Six step sizes, one γ, two nβ: not mixed at first, then a plateau, then steep, then diverged.
pub(super) fn example(look: impl FnOnce(&Calibration<'_>)) {
    let level = |number: f64| Level { number, written: json!(number) };
    let grid = Grid {
        step_sizes: [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0].map(level).to_vec(),
        localizations: vec![level(5.0)],
        nbetas: vec![level(10.0), level(30.0)],
        own: [1e-3, 5.0, 10.0].map(level),
    };
    let estimate = |health: Health, llc: Option<f64>| Estimate { health, llc, llc_se: llc.map(|_| 0.1), drift: None };
    let row = [
        estimate(Health::NotMixed, Some(1.0)),
        estimate(Health::Ok, Some(4.1)),
        estimate(Health::Ok, Some(4.11)),
        estimate(Health::Ok, Some(4.12)),
        estimate(Health::Ok, Some(20.0)),
        estimate(Health::Diverged, None),
        estimate(Health::NotMixed, Some(1.0)),
        estimate(Health::NotMixed, Some(2.0)),
        estimate(Health::Ok, Some(4.03)),
        estimate(Health::Ok, Some(4.04)),
        estimate(Health::Ok, Some(12.0)),
        estimate(Health::Diverged, None),
    ];
    let site = Site { point: 0, step: 0, further: vec![] };
    let estimates = Estimates { sites: vec![site], rows: vec![row.to_vec()] };
    let map = Map::new(&grid, &estimates, 0.1);
    let slope = Slope { value: 0.0, error: 0.0 };
    let choice = Choice {
        node: Node { step_size: 1, localization: 0, nbeta: 0 },
        plateau: Plateau { localization: 0, nbeta: 0, step_sizes: 1..4 },
        step_size_slope: slope,
        localization_slope: None,
    };
    let sites = ["point 0, step 0".to_owned()];
    let (grid, estimates, map) = (&grid, &estimates, &map);
    look(&Calibration { name: "x", grid, estimates, map, choice: Some(&choice), sites: &sites, tolerance: 0.1 });
}
