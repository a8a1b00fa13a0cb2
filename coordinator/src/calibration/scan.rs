//! From a sweep to its calibration: a sweep of its own, of a few of the points at a few of the checkpoints, in which every
//! task is sampled with each setting of the [`Grid`]. The axes are inner ones: nothing is trained twice.

use phasegrid_proto::task::TaskConfig;
use serde_json::{Map, Value, json};

use super::estimates::Site;
use super::grid::{Grid, Level, Values};
use crate::spec::{MOST_SAMPLERS, Spec, SpecError};

/// The dotted paths of what is scanned: ε, γ and nβ.
pub(super) const SCANNED: [&str; 3] = ["llc.step_size", "llc.localization", "llc.nbeta"];

/// What is to be scanned; what is left open has a default.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// How many points of the sweep take part, at least one.
    pub points: u64,
    /// The checkpoints at which they do.
    pub checkpoints: Option<Vec<u64>>,
    /// The values of ε, γ and nβ.
    pub values: [Option<Values>; 3],
}

/// A calibration to be run.
#[derive(Clone, Debug)]
pub struct Scan {
    /// The settings that are tried.
    pub grid: Grid,
    /// The points of the sweep that take part. Their places are the points of the calibration.
    pub points: Vec<u64>,
    /// The checkpoints at which they do, ascending.
    pub checkpoints: Vec<u64>,
    /// The calibration as a sweep.
    pub spec: Spec,
    /// Its sweep file.
    pub source: String,
}

/// Why a sweep cannot be calibrated so.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// There is nothing to calibrate.
    #[error("no [task.llc]: there is no sampler to calibrate; give it one with a first guess of its settings")]
    NoSampler,
    /// The sweep scans one of the settings itself.
    #[error(
        "axes.{0} varies what is to be calibrated: take the axis out and put a first guess at task.{0}, or run the sweep \
         as it is and compare its estimates by that axis"
    )]
    Varied(String),
    /// A checkpoint lies beyond a point's training.
    #[error("--checkpoints: step {step} lies beyond the end of point {point}; accepted: 0 to {end}")]
    Beyond {
        /// The checkpoint.
        step: u64,
        /// The point.
        point: u64,
        /// Its last step.
        end: u64,
    },
    /// More settings than a task takes.
    #[error(
        "the grid makes {0} samplers of each task; accepted: up to {MOST_SAMPLERS}, with fewer POINTS in --step-sizes, \
         --localizations or --nbetas"
    )]
    TooMany(usize),
    /// The sweep is not well, at these points or with these settings.
    #[error("{0}")]
    Spec(#[from] SpecError),
}

impl Scan {
    /// Plans the calibration of a sweep.
    ///
    /// # Errors
    /// If the sweep has no sampler or varies its settings itself, or the request does not suit it.
    pub fn new(spec: &Spec, request: Request) -> Result<Self, ScanError> {
        if let Some(varied) = spec.sampler_axes().iter().find(|path| SCANNED.contains(&path.as_str())) {
            return Err(ScanError::Varied(varied.clone()));
        }
        let points = points(spec, request.points);
        let tasks = points.iter().map(|point| spec.task(*point)).collect::<Result<Vec<_>, _>>()?;
        let middle = &tasks[tasks.len() / 2];
        let sampler = middle.llc.as_ref().and_then(|llc| llc.samplers.first()).ok_or(ScanError::NoSampler)?;
        let checkpoints = checkpoints(&points, &tasks, request.checkpoints)?;
        let examples = middle.data.train_examples();
        let nbeta = sampler.nbeta.resolve(examples, sampler.batch_size.resolve(examples));
        let grid = Grid::around(sampler, nbeta, request.values);
        let samplers = grid.size().saturating_mul(spec.sampler_coordinates().len().max(1));
        if samplers as u64 > MOST_SAMPLERS {
            return Err(ScanError::TooMany(samplers));
        }
        let source = source(spec, &points, &checkpoints, &grid);
        let spec = Spec::parse(&source, &[])?;
        Ok(Self { grid, points, checkpoints, spec, source })
    }

    /// A site's name: the point with its values but for the seed, the checkpoint, and what else tells it from others.
    #[must_use]
    pub fn label(&self, site: &Site) -> String {
        let values = self.spec.coordinates(site.point as u64);
        let axes = self.spec.axes().iter().zip(values.iter().map(plain)).filter(|(path, _)| *path != "seed");
        let axes: Vec<String> = axes.map(|(path, value)| format!("{} {value}", last(path))).collect();
        let point = self.points.get(site.point).copied().unwrap_or_default();
        let axes = if axes.is_empty() { String::new() } else { format!(" ({})", axes.join(", ")) };
        let further = site.further.iter().map(|(path, value)| format!(", {} {}", last(path), plain(value)));
        format!("point {point}{axes}, step {}{}", site.step, further.collect::<String>())
    }
}

/// The last part of a dotted path.
fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

/// A value without the quotes of a word.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// So many points that differ as much as may be, at the first seed: even steps along all axes at once, from the first
/// values to the last. A single one is in the middle.
fn points(spec: &Spec, count: u64) -> Vec<u64> {
    let share = |i: u64| if count == 1 { 0.5 } else { i as f64 / (count - 1) as f64 };
    let mut points: Vec<u64> = (0..count).map(|i| spec.along(share(i))).collect();
    points.dedup();
    points
}

/// The steps asked for; or else the first, the middle and the last at which the sweep estimates, of the point that trains
/// the shortest. The initialisation is no minimum of anything, and left out unless there is nothing else.
fn checkpoints(points: &[u64], tasks: &[TaskConfig], asked: Option<Vec<u64>>) -> Result<Vec<u64>, ScanError> {
    let Some(mut steps) = asked else {
        let shortest = tasks.iter().min_by_key(|task| task.train.steps);
        let mut steps = shortest.map(TaskConfig::all_llc_steps).unwrap_or_default();
        if steps.len() > 1 {
            steps.retain(|step| *step > 0);
        }
        let mut chosen: Vec<u64> =
            [0, steps.len() / 2, steps.len().saturating_sub(1)].iter().filter_map(|i| steps.get(*i).copied()).collect();
        chosen.dedup();
        return Ok(chosen);
    };
    steps.sort_unstable();
    steps.dedup();
    for (point, task) in points.iter().zip(tasks) {
        let end = task.train.steps;
        if let Some(step) = steps.iter().find(|step| **step > end) {
            return Err(ScanError::Beyond { step: *step, point: *point, end });
        }
    }
    Ok(steps)
}

/// The calibration's sweep file: the sweep's own, with the grid for samplers, and of its points and checkpoints those that
/// take part. Left out is what costs and tells nothing of the sampler.
fn source(spec: &Spec, points: &[u64], checkpoints: &[u64], grid: &Grid) -> String {
    let mut task = spec.task_table().clone();
    if let Some(task) = task.as_object_mut() {
        task.remove("geometry");
        if let Some(llc) = task.get_mut("llc").and_then(Value::as_object_mut) {
            for key in ["baselines", "sensitivity", "shards"].into_iter().chain(keys_of_scanned()) {
                llc.remove(key);
            }
            llc.insert("checkpoints".to_owned(), json!(checkpoints));
        }
    }
    let written = |levels: &[Level]| Value::Array(levels.iter().map(|level| level.written.clone()).collect());
    let axes = [&grid.step_sizes, &grid.localizations, &grid.nbetas].map(|levels| written(levels));
    let axes: Map<String, Value> = SCANNED.into_iter().map(str::to_owned).zip(axes).collect();
    let outer: Vec<_> = points.iter().map(|point| spec.coordinates(*point)).collect();
    let zips: Vec<Value> = [(spec.axes(), outer.as_slice()), (spec.sampler_axes(), spec.sampler_coordinates())]
        .into_iter()
        .filter(|(paths, _)| !paths.is_empty())
        .map(|(paths, rows)| zip(paths, rows))
        .collect();
    let name: String = spec.name().chars().take(88).collect();
    let mut tree = json!({ "name": format!("{name}-calibration"), "task": task, "axes": axes });
    if !zips.is_empty() {
        tree["zip"] = Value::Array(zips);
    }
    toml::to_string(&tree).unwrap_or_else(|error| unreachable!("plain data always serialises: {error}"))
}

/// The names of the scanned keys in `[task.llc]`.
pub(super) fn keys_of_scanned() -> impl Iterator<Item = &'static str> {
    SCANNED.into_iter().filter_map(|path| path.strip_prefix("llc."))
}

/// Axes that advance together along `rows`.
fn zip(paths: &[String], rows: &[Vec<Value>]) -> Value {
    let column = |index: usize| rows.iter().filter_map(|row| row.get(index).cloned()).collect();
    let columns = paths.iter().enumerate().map(|(index, path)| (path.clone(), Value::Array(column(index))));
    Value::Object(columns.collect())
}
