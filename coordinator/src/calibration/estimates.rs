//! What the samplers of a scan found, read from its records.

use phasegrid_proto::v1::Health;
use serde_json::Value;

use super::grid::{Level, Node};
use super::map::{Choice, Map};
use super::scan::{SCANNED, Scan};
use crate::results::{Cell, Column, Kind, Table};

/// Where estimates were made: every setting of the grid has one at each site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Index of the point among those of the scan.
    pub point: usize,
    /// The checkpoint.
    pub step: u64,
    /// The values of further `llc.` axes of the sweep, if it has any.
    pub further: Vec<(String, Value)>,
}

/// One estimate, as far as a calibration looks at it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The verdict on it; unspecified where there is no estimate at all.
    pub health: Health,
    /// The LLC.
    pub llc: Option<f64>,
    /// Its standard error.
    pub llc_se: Option<f64>,
    /// nβ·(mean loss of the second half of the draws − that of the first).
    pub drift: Option<f64>,
}

/// All estimates of a scan.
#[derive(Clone, Debug, PartialEq)]
pub struct Estimates {
    /// Where they were made.
    pub sites: Vec<Site>,
    /// One row a site, in which each setting has its place as in [`Grid::index`](super::Grid::index).
    pub rows: Vec<Vec<Estimate>>,
}

/// A sampler's place in the grid, and what else it has.
struct Role {
    node: Node,
    further: Vec<(String, Value)>,
}

impl Estimates {
    /// Reads the records of a scan. Checkpoints at which nothing was estimated are left out.
    #[must_use]
    pub fn read(scan: &Scan, records: &Table) -> Self {
        let roles: Vec<Role> = scan.spec.sampler_coordinates().iter().map(|values| role(scan, values)).collect();
        let column = |name: &str| records.column(name);
        let (Some(point), Some(step), Some(health)) = (column("task"), column("step"), column("health")) else {
            return Self { sites: vec![], rows: vec![] };
        };
        let [llc, llc_se, drift] = ["llc", "llc_se", "drift"].map(column);
        let none = Estimate { health: Health::Unspecified, llc: None, llc_se: None, drift: None };
        let mut all = Self { sites: vec![], rows: vec![] };
        // A record has one row a sampler, in the order of the samplers.
        for record in records.rows.chunks(roles.len().max(1)) {
            for (row, role) in record.iter().zip(&roles).filter(|(row, _)| row[health] != Cell::Missing) {
                let whole = |at: usize| row[at].number().unwrap_or_default() as u64;
                let site = Site { point: whole(point) as usize, step: whole(step), further: role.further.clone() };
                let number = |column: Option<usize>| row[column?].number();
                all.row(site, vec![none; scan.grid.size()])[scan.grid.index(role.node)] = Estimate {
                    health: health_of(&row[health]),
                    llc: number(llc),
                    llc_se: number(llc_se),
                    drift: number(drift),
                };
            }
        }
        all
    }

    /// The row of a site; a new one if there is none yet.
    fn row(&mut self, site: Site, empty: Vec<Estimate>) -> &mut Vec<Estimate> {
        let index = self.sites.iter().rposition(|known| *known == site).unwrap_or(self.sites.len());
        if index == self.sites.len() {
            self.sites.push(site);
            self.rows.push(empty);
        }
        &mut self.rows[index]
    }
}

/// The records of a scan at the sites, with two columns more: the verdict on each row's setting, and whether it is the one
/// that is chosen (1) or not (0).
#[must_use]
pub fn judged(scan: &Scan, map: &Map<'_>, choice: Option<&Choice>, mut records: Table) -> Table {
    let nodes: Vec<Node> = scan.spec.sampler_coordinates().iter().map(|values| role(scan, values).node).collect();
    let health = records.column("health");
    records.columns.extend([Column::new("verdict", Kind::Text), Column::new("chosen", Kind::Integer)]);
    for (row, node) in records.rows.iter_mut().zip(nodes.iter().cycle()) {
        let chosen = choice.is_some_and(|choice| choice.node == *node);
        row.extend([Cell::text(map.verdict(*node).name()), Cell::Integer(chosen.into())]);
    }
    records.rows.retain(|row| health.is_some_and(|health| row[health] != Cell::Missing));
    records
}

fn role(scan: &Scan, values: &[Value]) -> Role {
    let named = || scan.spec.sampler_axes().iter().zip(values);
    let place = |path: &str, levels: &[Level]| {
        let value = named().find(|(axis, _)| *axis == path).map(|(_, value)| value);
        levels.iter().position(|level| Some(&level.written) == value).unwrap_or_default()
    };
    let [step_size, localization, nbeta] = SCANNED;
    let node = Node {
        step_size: place(step_size, &scan.grid.step_sizes),
        localization: place(localization, &scan.grid.localizations),
        nbeta: place(nbeta, &scan.grid.nbetas),
    };
    let further = named().filter(|(axis, _)| !SCANNED.contains(&axis.as_str()));
    Role { node, further: further.map(|(axis, value)| (axis.clone(), value.clone())).collect() }
}

fn health_of(cell: &Cell) -> Health {
    let Cell::Text(name) = cell else { return Health::Unspecified };
    match name.as_str() {
        "ok" => Health::Ok,
        "not_mixed" => Health::NotMixed,
        "not_local" => Health::NotLocal,
        "unstable" => Health::Unstable,
        "diverged" => Health::Diverged,
        _ => Health::Unspecified,
    }
}
