//! Draws example figures from made-up results, to look at the drawing itself: `cargo run --example figures -- DIR`.
//!
//! The curves are invented so that every feature of a figure occurs; they say nothing about networks.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use phasegrid_coordinator::plot::{self, Drawing};
use phasegrid_coordinator::results::{Axis, Layout, Level, Table, TableBuilder, TaskResult, TaskState, format};
use phasegrid_coordinator::spec::{CullenThresholds, LiuThresholds, PhaseRule, Scale};
use phasegrid_proto::v1::{Estimate, Health, Record, SamplerSettings};
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let out = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "phasegrid-out".to_owned()));
    std::fs::create_dir_all(&out)?;
    let decays = [0.0, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 40.0].map(|decay| json!(decay)).to_vec();
    let demo = layout("demo", linear(0.2, 0.9, 8), Axis::new("train.weight_decay", decays, Scale::Categories), 3);
    figure(&demo, &out, "demo", None, true)?;
    figure(&demo, &out, "demo-phase", Some("phase"), false)?;
    figure(&demo, &out, "demo-delay", Some("t_val_90"), false)?;
    let fine = layout("a fine map", linear(0.1, 0.9, 100), log(1e-3, 1e2, 100), 3);
    figure(&fine, &out, "fine", Some("llc_max"), false)?;
    let line = Layout { y: None, ..layout("one axis", linear(0.2, 0.9, 15), log(0.1, 10.0, 1), 5) };
    figure(&line, &out, "line", None, true)?;
    let cullen = Layout {
        phases: PhaseRule::Cullen2026(CullenThresholds::default()),
        ..layout("<b>&\" a wide map", linear(0.1, 0.9, 24), log(1e-2, 1e1, 7), 1)
    };
    figure(&cullen, &out, "cullen", None, true)?;
    let coarse = layout("two by two", linear(0.3, 0.6, 2), log(1e-7, 1.0, 2), 16);
    figure(&coarse, &out, "coarse", Some("final_train_loss"), true)?;
    let seeds = Layout { x: None, y: None, ..layout("seeds alone", linear(0.5, 0.6, 2), log(1.0, 1.0, 1), 16) };
    figure(&seeds, &out, "seeds", None, false)?;
    Ok(())
}

fn figure(
    layout: &Layout,
    out: &Path,
    name: &str,
    value: Option<&str>,
    trajectories: bool,
) -> Result<(), Box<dyn std::error::Error>> {
    let size: usize = layout.axes.iter().map(|axis| axis.values().len()).product();
    let table = |level| {
        let mut builder = TableBuilder::new(layout.clone(), level);
        // One corner has no results, and one task failed.
        (0..size as u64)
            .filter(|point| *point + 5 < size as u64)
            .for_each(|point| builder.push(&result(layout, point)));
        builder.finish()
    };
    let (cells, tasks) = (table(Level::Cells), table(Level::Tasks));
    let records: Option<Table> = trajectories.then(|| table(Level::Records));
    let svg = plot::diagram(&Drawing { layout, cells: &cells, tasks: &tasks, records: records.as_ref(), value })?;
    std::fs::write(out.join(format!("{name}.png")), plot::png(&svg, 1800)?)?;
    std::fs::write(out.join(format!("{name}.svg")), svg)?;
    if let Some(records) = records {
        let mut file = std::fs::File::create(out.join(format!("{name}.parquet")))?;
        format::write(&records, format::Format::Parquet, &mut file)?;
    }
    println!("{}", plot::terminal(layout, &cells, true));
    Ok(())
}

fn linear(from: f64, to: f64, points: u32) -> Axis {
    let values = (0..points).map(|i| json!(from + (to - from) * f64::from(i) / f64::from(points - 1)));
    Axis::new("data.train_fraction", values.collect(), Scale::Linear)
}

fn log(from: f64, to: f64, points: u32) -> Axis {
    let values = (0..points).map(|i| json!(from * (to / from).powf(f64::from(i) / f64::from(points.max(2) - 1))));
    Axis::new("train.weight_decay", values.collect(), Scale::Log)
}

fn layout(name: &str, x: Axis, y: Axis, seeds: u32) -> Layout {
    let seed = Axis::new("seed", (0..seeds).map(|seed| json!(seed)).collect(), Scale::Linear);
    let axes = vec![x, y, seed];
    let values: Vec<Vec<Value>> = axes.iter().map(|axis| axis.values().to_vec()).collect();
    let coordinates = move |point: u64| {
        let mut rest = point as usize;
        let mut digits = [0; 3];
        for (digit, values) in digits.iter_mut().zip(&values).rev() {
            *digit = rest % values.len();
            rest /= values.len();
        }
        digits.iter().zip(&values).map(|(digit, values)| values[*digit].clone()).collect()
    };
    Layout {
        name: name.to_owned(),
        axes,
        coordinates: Arc::new(coordinates),
        task: Arc::new(|_| None),
        specimens: None,
        sampler_axes: vec![],
        samplers: vec![vec![]],
        x: Some("data.train_fraction".to_owned()),
        y: Some("train.weight_decay".to_owned()),
        phases: PhaseRule::Liu2022(LiuThresholds { delay: 500, ..LiuThresholds::default() }),
    }
}

/// A made-up task: more data or more decay generalise sooner, too much decay learns nothing.
fn result(layout: &Layout, point: u64) -> TaskResult {
    let coordinates = (layout.coordinates)(point);
    let number = |index: usize| coordinates.get(index).and_then(Value::as_f64).unwrap_or(0.0);
    let noise = |salt: u64| ((point * 7919 + salt * 104_729) as f64 * 0.618_033_988_749).fract() - 0.5;
    let (fraction, decay) = (number(0), number(1));
    let memorise = 60.0 * (1.0 + fraction) / (1.0 - (decay / 32.0).min(0.97));
    let generalise = memorise
        + 60.0
            * ((0.62 - fraction - 0.05 * (1.0 + decay).ln() + 0.06 * noise(1)) * 16.0).exp()
            * (1.0 + (decay / 12.0).powi(4));
    let learns = decay < 30.0;
    let steps = [0, 10, 20, 50, 100, 150, 200, 300, 400, 500, 700, 1000, 1300, 1600, 2000, 2500, 3000];
    let records = steps.iter().map(|&step| {
        let rise = |at: f64| if learns { 1.0 / (1.0 + (-(f64::from(step) - at) / (0.12 * at)).exp()) } else { 0.05 };
        let (train, val) = (rise(memorise), rise(generalise));
        let llc = 978.0 + 90.0 * train - 45.0 * val + 6.0 * decay.sqrt() + 8.0 * noise(u64::from(step as u32));
        Record {
            step: step as u64,
            train_loss: Some(0.5 * (1.0 - train) + 1e-4),
            train_accuracy: Some(train),
            val_accuracy: Some(val),
            estimates: vec![estimate(llc)],
            ..Record::default()
        }
    });
    let state = if point == 40 { TaskState::Failed } else { TaskState::Finished };
    TaskResult { point, state, attempts: 1, worker: "example".to_owned(), error: None, records: records.collect() }
}

fn estimate(llc: f64) -> Estimate {
    let settings = SamplerSettings {
        preset: String::new(),
        step_size: Some(5e-4),
        localization: 5.0,
        nbeta: 26.381,
        chains: 2,
        burn_in: 50,
        draws: 150,
        batch_size: 64,
        method: "sgld".to_owned(),
        layer: 0,
        initial_loss: "whole".to_owned(),
    };
    Estimate {
        llc: Some(llc),
        llc_se: Some(3.0),
        llc_baseline_zero: Some(978.0),
        settings: Some(settings),
        health: Health::Ok.into(),
        ..Estimate::default()
    }
}
