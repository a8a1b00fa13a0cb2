//! Which columns the tables of a sweep have, and what theory says in them.

use phasegrid_proto::task::{Llc, TaskConfig};
use phasegrid_proto::theory;
use phasegrid_proto::v1::{Record, SamplerSettings};

use super::fixture::{estimate, finished, record, settings, small};
use super::*;
use crate::spec::Spec;

const PAIRS: &str = r#"
name = "pairs"
[task.data]
kind = "modular"
modulus = 53
train_fraction = 0.4
[task.model]
kind = "quadratic"
[task.train]
learning_rate = 1e-4
steps = 100
loss = "centred_mse"
[task.llc]
preset = "authors_code"
baselines = ["zero"]
[axes]
"train.weight_decay" = [0, 0.1]
"model.width" = [1024, 512]
seed = [0, 1]
"#;

const LINEAR: &str = r#"
name = "linear"
[task.data]
kind = "gaussian"
samples = 64
whiten = true
[task.model]
kind = "deep_linear"
widths = [2, 2, 2]
init = "teacher"
[task.train]
steps = 0
loss = "mse"
[task.llc]
preset = "population"
nbeta = 1e3
step_size = 1e-5
burn_in = 20
draws = 50
[axes]
"model.rank" = [0, 2]
"#;

fn spec(source: &str, overrides: &[&str]) -> Spec {
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
    Spec::parse(source, &overrides).unwrap_or_else(|error| panic!("{error}"))
}

fn table(layout: &Layout, level: Level, results: &[TaskResult]) -> Table {
    let mut builder = TableBuilder::new(layout.clone(), level);
    results.iter().for_each(|result| builder.push(result));
    let table = builder.finish();
    assert!(table.rows.iter().all(|row| row.len() == table.columns.len()));
    table
}

fn names(layout: &Layout, level: Level) -> Vec<String> {
    table(layout, level, &[]).columns.into_iter().map(|column| column.name).collect()
}

fn has(layout: &Layout, name: &str) -> bool {
    names(layout, Level::Records).iter().any(|column| column == name)
}

fn numbers(table: &Table, name: &str) -> Vec<Option<f64>> {
    assert!(table.column(name).is_some(), "no column {name}");
    table.numbers(name).collect()
}

#[test]
fn what_was_not_asked_for_has_no_column() {
    let plain = Layout::of(&spec(PAIRS, &[]));
    let asked = |overrides: &[&str]| Layout::of(&spec(PAIRS, overrides));
    for (column, overrides) in [
        ("sensitivity_step_size", &["task.llc.sensitivity=true"][..]),
        ("acceptance", &["task.llc.method=mala", "task.llc.batch_size=full", "task.llc.nbeta=30"]),
        ("llc_baseline_init", &["task.llc.baselines=[\"init\"]"]),
        ("hessian_trace", &["task.geometry.trace_probes=10"]),
        ("llc_gauss_newton", &["task.geometry.gauss_newton=true"]),
        ("llc_linearised", &["task.geometry.jacobian_rank=true", "axes.model.width=[1, 2]"]),
    ] {
        assert!(!has(&plain, column) && has(&asked(overrides), column), "{column}");
    }
    // One probe has no spread.
    assert!(!has(&asked(&["task.geometry.trace_probes=1"]), "hessian_trace_se"));
    assert!(has(&plain, "llc_theory_paper_generic") && !has(&plain, "llc_theory_deep_linear"));
    assert!(has(&plain, "val_accuracy") && has(&plain, "ipr") && !has(&plain, "llc_exact"));
    assert!(!has(&asked(&["task.data.train_fraction=1"]), "val_accuracy"));

    let linear = Layout::of(&spec(LINEAR, &[]));
    assert!(has(&linear, "llc_theory_deep_linear") && has(&linear, "llc_exact") && has(&linear, "llc_finite"));
    for column in ["llc_theory_paper_generic", "train_accuracy", "val_loss", "ipr", "llc_baseline_zero"] {
        assert!(!has(&linear, column), "{column}");
    }
    assert!(!names(&linear, Level::Tasks).iter().any(|name| name == "t_train_90"));
}

#[test]
fn a_column_is_there_if_any_value_of_an_axis_asks_for_it() {
    let inits = Layout::of(&spec(
        "name = \"inits\"\n[task.data]\nkind = \"modular\"\nmodulus = 3\ntrain_fraction = 1.0\n[task.model]\nkind = \"quadratic\"\n\
         width = 2\n[task.train]\nsteps = 0\n[task.llc]\npreset = \"population\"\nstep_size = 1e-6\nburn_in = 5\ndraws = 5\n\
         [axes]\n\"model.init\" = [\"zero\", \"teacher\"]\n\"geometry.trace_probes\" = [0, 5, 10]\nseed = { from = 0, count = 100 }\n",
        &[],
    ));
    for column in ["llc_exact", "llc_z", "train_accuracy", "hessian_trace_se"] {
        assert!(has(&inits, column), "{column}");
    }
    assert!(!has(&inits, "val_accuracy") && !has(&inits, "llc_finite"));
}

#[test]
fn without_samplers_nothing_is_said_of_the_llc() {
    let bare = PAIRS.split("[task.llc]").next().unwrap().to_owned() + "[axes]\n\"model.width\" = [8, 16]\n";
    let layout = Layout::of(&spec(&bare, &[]));
    for level in [Level::Records, Level::Tasks, Level::Cells] {
        let named = names(&layout, level);
        assert!(!named.iter().any(|name| name.contains("llc") || name.contains("health")), "{named:?}");
    }
}

#[test]
fn theory_stands_beside_every_estimate_and_in_cells_whose_tasks_agree() {
    let source = spec(PAIRS, &[]);
    let mut last = record(100, 1.0, 1.0);
    last.estimates = vec![estimate(0, 4300.0)];
    let results: Vec<_> =
        (0..source.size()).map(|point| finished(point, vec![record(0, 0.0, 0.0), last.clone()])).collect();
    let layout = Layout::of(&source);

    let records = table(&layout, Level::Records, &results);
    let train_set = numbers(&records, "llc_theory_one_hot_train_set");
    assert_eq!(train_set[..2], [None, Some(29_733.0)]);
    let late = table(&layout, Level::Tasks, &results);
    let (widths, late) = (numbers(&late, "model.width"), numbers(&late, "llc_theory_paper_late_stage"));
    assert!(widths.iter().zip(&late).all(|(width, late)| *late == Some(79.0 * width.unwrap())), "K(3·53 − 1)/2");

    let cells = table(&layout, Level::Cells, &results);
    assert_eq!(numbers(&cells, "llc_theory_paper_lazy_low"), [Some(2782.5); 4]);
    assert!(cells.column("llc_theory_paper_lazy_low_mean").is_none(), "what is known has no spread");
    // Averaged over widths, a cell has no value of what depends on them.
    let averaged = Layout { y: None, ..layout };
    let cells = table(&averaged, Level::Cells, &results);
    assert_eq!(numbers(&cells, "llc_theory_paper_late_stage"), [None; 2]);
    assert_eq!(numbers(&cells, "llc_theory_paper_lazy_low"), [Some(2782.5); 2]);
}

#[test]
fn z_compares_with_what_the_sampler_should_find_or_else_with_the_exact_value() {
    let source = spec(LINEAR, &[]);
    let sampler = SamplerSettings {
        step_size: Some(1e-5),
        localization: 1.0,
        nbeta: 1e3,
        burn_in: 20,
        draws: 50,
        batch_size: 64,
        ..settings()
    };
    let mut found = estimate(0, 2.0);
    found.settings = Some(sampler.clone());
    let results =
        [0, 1].map(|point| finished(point, vec![Record { estimates: vec![found.clone()], ..record(0, 0.0, 0.0) }]));
    let layout = Layout::of(&source);
    let finite = theory::llc_finite(&source.task(0).unwrap(), &sampler).unwrap();
    let tasks = table(&layout, Level::Tasks, &results);
    assert_eq!(numbers(&tasks, "llc_exact"), [Some(1.5), Some(2.0)]);
    assert_eq!(numbers(&tasks, "final_llc_finite"), [Some(finite), None]);
    assert_eq!(numbers(&tasks, "final_llc_z"), [Some((2.0 - finite) / 0.5), Some(0.0)]);
    let records = table(&layout, Level::Records, &results);
    assert_eq!(numbers(&records, "llc_z"), numbers(&tasks, "final_llc_z"));
    assert_eq!(numbers(&table(&layout, Level::Cells, &results), "llc_exact"), [Some(1.5), Some(2.0)]);
}

#[test]
fn a_refined_estimate_is_held_against_the_value_of_its_layer() {
    let source = spec(LINEAR, &["axes.llc.layer=[1, \"all\"]", "task.model.widths=[4, 2]"]);
    let exact = |task: &TaskConfig| {
        let Some(Llc { samplers, .. }) = &task.llc else { panic!("samplers") };
        samplers.iter().map(|sampler| theory::llc_exact(task, sampler.layer)).collect::<Vec<_>>()
    };
    let expected = exact(&source.task(0).unwrap());
    let tasks = table(&Layout::of(&source), Level::Tasks, &[finished(0, vec![])]);
    assert_eq!(numbers(&tasks, "llc_exact"), expected);
}

#[test]
fn every_column_is_explained_in_the_readme() {
    let readme = include_str!("../../README.md");
    let layout = small();
    let records = names(&layout, Level::Records).into_iter();
    let tasks = names(&layout, Level::Tasks).into_iter();
    let cells = names(&layout, Level::Cells).into_iter();
    let stem = |name: String| {
        let stem = name.strip_suffix("_mean").unwrap_or(&name);
        stem.strip_prefix("final_").filter(|rest| *rest != "step").unwrap_or(stem).to_owned()
    };
    // A standard error of tasks that is no measurement itself goes without saying.
    let cells = cells.filter(|name| !name.ends_with("_se") && !name.starts_with("tasks_"));
    for name in records.chain(tasks).chain(cells).map(stem) {
        let axis = layout.axis(&name).is_some();
        assert!(axis || readme.contains(&format!("`{name}`")), "{name} is not explained");
    }
}
