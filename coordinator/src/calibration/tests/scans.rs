//! From a sweep to its scan, and from the scan's records back to its settings.

use phasegrid_proto::v1::{Estimate as Wire, Health, Record};
use serde_json::{Value, json};

use super::super::*;
use crate::results::{Layout, Level as Rows, TableBuilder, TaskResult, TaskState};
use crate::spec::Spec;

const SWEEP: &str = r#"
name = "map"
[task.data]
kind = "modular"
modulus = 11
train_fraction = 0.5
[task.model]
kind = "quadratic"
width = 16
[task.train]
optimizer = "adamw"
learning_rate = 1e-2
steps = 800
[task.checkpoints]
every = 100
[task.llc]
preset = "authors_code"
batch_size = 32
baselines = ["zero"]
sensitivity = true
shards = 2
[task.geometry]
trace_probes = 8
[axes]
"data.train_fraction" = [0.4, 0.5, 0.8]
"train.weight_decay" = [0.0, 1.0, 2.0]
seed = { from = 7, count = 4 }
"#;

fn scan(source: &str, request: Request) -> Result<Scan, ScanError> {
    Scan::new(&Spec::parse(source, &[]).unwrap(), request)
}

fn request(points: u64) -> Request {
    Request { points, ..Request::default() }
}

#[test]
fn a_scan_takes_a_few_points_that_differ_at_the_first_seed_and_a_few_checkpoints() {
    let scan = scan(SWEEP, request(3)).unwrap();
    // First, middle and last on both axes; four seeds a combination.
    assert_eq!(scan.points, [0, 16, 32]);
    assert_eq!(scan.checkpoints, [100, 500, 800]);
    assert_eq!((scan.spec.name(), scan.spec.size()), ("map-calibration", 3));
    let tasks: Vec<_> = (0..3).map(|point| scan.spec.task(point).unwrap()).collect();
    for (task, point) in tasks.iter().zip(&scan.points) {
        let own = Spec::parse(SWEEP, &[]).unwrap().task(*point).unwrap();
        assert_eq!((&task.data, &task.train, task.seed), (&own.data, &own.train, 7));
        assert_eq!(task.checkpoints, own.checkpoints, "an early stop looks at the same accuracies");
        let llc = task.llc.as_ref().unwrap();
        assert_eq!((llc.samplers.len(), llc.baselines.len(), llc.shard, task.geometry.as_ref()), (63, 0, None, None));
        assert!(llc.samplers.iter().all(|sampler| !sampler.sensitivity && sampler.draws == 500));
        assert_eq!(task.llc_steps(), [100, 500, 800]);
    }
}

#[test]
fn one_point_is_the_middle_and_a_sweep_of_one_point_has_no_more() {
    assert_eq!(scan(SWEEP, request(1)).unwrap().points, [16]);
    let single = SWEEP.split("[axes]").next().unwrap();
    assert_eq!(scan(single, request(3)).unwrap().points, [0]);
}

#[test]
fn further_axes_of_the_sampler_are_sites_of_their_own() {
    let source = SWEEP.to_owned() + "\"llc.layer\" = [\"all\", 1]\n";
    let scan = scan(&source, request(1)).unwrap();
    assert_eq!(scan.spec.sampler_coordinates().len(), 126);
    let mut record = Record { step: 400, ..Record::default() };
    record.estimates = (0..126).map(|sampler| Wire { sampler, health: Health::Ok.into(), ..Wire::default() }).collect();
    for (index, values) in scan.spec.sampler_coordinates().iter().enumerate() {
        // The LLC tells the sampler's place, so that every estimate is found where it belongs.
        let number = |path: &str| {
            let axis = scan.spec.sampler_axes().iter().position(|axis| axis == path).unwrap();
            values[axis].as_f64().unwrap_or(-1.0)
        };
        record.estimates[index].llc = Some(number("llc.step_size") + 1e3 * number("llc.localization"));
        record.estimates[index].llc_se = Some(number("llc.layer"));
    }
    let result = TaskResult {
        point: 0,
        state: TaskState::Finished,
        attempts: 1,
        worker: String::new(),
        error: None,
        records: vec![Record { step: 0, ..Record::default() }, record],
    };
    let mut builder = TableBuilder::new(Layout::of(&scan.spec), Rows::Records);
    builder.push(&result);
    let estimates = Estimates::read(&scan, &builder.finish());
    let layer = |layer: Value| vec![("llc.layer".to_owned(), layer)];
    let sites: Vec<_> = estimates.sites.iter().map(|site| (site.point, site.step, site.further.clone())).collect();
    assert_eq!(sites, [(0, 400, layer(json!("all"))), (0, 400, layer(json!(1)))], "nothing was estimated at step 0");
    let names: Vec<_> = estimates.sites.iter().map(|site| scan.label(site)).collect();
    assert_eq!(names[1], "point 16 (train_fraction 0.5, weight_decay 1.0), step 400, layer 1");
    for node in scan.grid.nodes() {
        let [step_size, localization, _] = scan.grid.levels(node).map(|level| level.number);
        for (estimate, layer) in estimates.rows.iter().map(|row| row[scan.grid.index(node)]).zip([-1.0, 1.0]) {
            assert_eq!((estimate.llc, estimate.llc_se), (Some(step_size + 1e3 * localization), Some(layer)));
        }
    }
}

#[test]
fn what_cannot_be_calibrated_is_refused_with_what_to_do() {
    let refused = |source: &str, request: Request| scan(source, request).unwrap_err().to_string();
    let untouched = SWEEP.replace(
        "[task.llc]\npreset = \"authors_code\"\nbatch_size = 32\nbaselines = [\"zero\"]\nsensitivity = true\nshards = 2\n",
        "",
    );
    assert!(refused(&untouched, request(3)).starts_with("no [task.llc]: "));
    let varied = refused(&(SWEEP.to_owned() + "\"llc.localization\" = [1, 5]\n"), request(3));
    assert!(varied.starts_with("axes.llc.localization varies what is to be calibrated: "), "{varied}");
    let beyond = refused(SWEEP, Request { checkpoints: Some(vec![900]), ..request(2) });
    assert_eq!(beyond, "--checkpoints: step 900 lies beyond the end of point 0; accepted: 0 to 800");
    let values = || Some("1e-5:1:100".parse().unwrap());
    let many = refused(SWEEP, Request { values: [values(), values(), None], ..request(1) });
    assert!(many.starts_with("the grid makes 30000 samplers of each task; accepted: up to 4096"), "{many}");
}
