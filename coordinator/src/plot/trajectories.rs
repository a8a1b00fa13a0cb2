//! What happens along the way: one typical task of each phase, its accuracies and its LLC against the step.

use serde_json::Value;

use super::map::Frame;
use super::reading::{named, of_samplers};
use super::scale::{Range, thousands_short};
use super::svg::{INK, Page, RULE, SOFT, Style, width};
use super::{SMALL, TICK, captions, palette};
use crate::results::{Cell, Layout, Phase, Table};

/// A task's curves.
pub(super) struct Trajectory {
    phase: Phase,
    task: i64,
    points: Vec<Point>,
}

/// A checkpoint of it.
struct Point {
    step: f64,
    train_accuracy: Option<f64>,
    val_accuracy: Option<f64>,
    llc: Option<f64>,
}

/// Of each phase the task whose final LLC (or, without any, validation accuracy) is the median of its phase.
pub(super) fn typical(layout: &Layout, tasks: &Table, records: &Table) -> Vec<Trajectory> {
    let column = |name| tasks.column(name);
    let (Some(task), Some(phase)) = (column("task"), column("phase")) else { return Vec::new() };
    let (llc, accuracy) = (column("final_llc"), column("final_val_accuracy"));
    let chosen = of_samplers(layout, tasks, &first_sampler(layout));
    let rank = |row: &[Cell]| [llc, accuracy].into_iter().flatten().find_map(|column| row[column].number());
    let of_phase = |label: Phase| {
        let mut candidates: Vec<(f64, i64)> = tasks
            .rows
            .iter()
            .filter(|row| chosen(row))
            .filter(|row| named(layout, &row[phase]) == Some(label))
            .filter_map(|row| match row[task] {
                Cell::Integer(task) => Some((rank(row).unwrap_or(0.0), task)),
                _ => None,
            })
            .collect();
        candidates.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let (_, task) = candidates.get(candidates.len() / 2)?;
        Some(Trajectory { phase: label, task: *task, points: points(layout, records, *task) })
    };
    let labels = layout.phases.labels().iter().copied();
    labels.filter_map(of_phase).filter(|trajectory| trajectory.points.len() > 1).collect()
}

/// A task's estimates along the way are drawn for one setting, whatever the diagram's axes are.
fn first_sampler(layout: &Layout) -> Vec<&[Value]> {
    layout.samplers.iter().take(1).map(Vec::as_slice).collect()
}

fn points(layout: &Layout, records: &Table, task: i64) -> Vec<Point> {
    let column = |name| records.column(name);
    let (Some(tasks), Some(steps)) = (column("task"), column("step")) else { return Vec::new() };
    let curves = ["train_accuracy", "val_accuracy", "llc"].map(column);
    let chosen = of_samplers(layout, records, &first_sampler(layout));
    let rows = records.rows.iter().filter(|row| row[tasks] == Cell::Integer(task));
    let mut points: Vec<_> = rows
        .filter(|row| chosen(row))
        .filter_map(|row| {
            let [train_accuracy, val_accuracy, llc] = curves.map(|column| row[column?].number());
            Some(Point { step: row[steps].number()?, train_accuracy, val_accuracy, llc })
        })
        .collect();
    points.sort_by(|a, b| a.step.total_cmp(&b.step));
    points
}

/// The colour of the LLC's curve and scale: blue, which no phase has.
const LLC: &str = "#0072b2";

/// Draws the panels side by side; all share their scales.
pub(super) fn draw(page: &mut Page, frame: Frame, trajectories: &[Trajectory]) {
    let values = |pick: fn(&Point) -> Option<f64>| {
        trajectories.iter().flat_map(move |trajectory| trajectory.points.iter().filter_map(pick))
    };
    let last = values(|point| Some(point.step)).fold(1.0, f64::max);
    let llcs = Range::of(values(|point| point.llc)).map(|range| range.padded(0.06));
    let gap = 16.0;
    let panel_width = (frame.width - gap * (trajectories.len() - 1) as f64) / trajectories.len() as f64;
    for (index, trajectory) in trajectories.iter().enumerate() {
        let panel = Frame { left: frame.left + index as f64 * (panel_width + gap), width: panel_width, ..frame };
        draw_one(page, panel, trajectory, last, llcs.as_ref());
        if index == 0 {
            for (share, label) in [(0.0, "0"), (0.5, "0.5"), (1.0, "1")] {
                let y = accuracy_y(&panel, share);
                page.text(panel.left - 6.0, y + TICK * 0.36, label, Style::new(TICK).end());
            }
            let middle = panel.top + panel.height / 2.0;
            page.text(panel.left - 28.0, middle, "accuracy", Style::new(SMALL).middle().upright());
        }
        if let (Some(range), true) = (&llcs, index + 1 == trajectories.len()) {
            let style = Style { fill: LLC, ..Style::new(TICK) };
            for (share, label) in range.ticks((panel.height / 26.0) as usize) {
                page.text(panel.right() + 6.0, panel.bottom() - share * panel.height + TICK * 0.36, &label, style);
            }
            let widest = range.ticks(4).iter().map(|(_, label)| width(label, TICK)).fold(0.0, f64::max);
            let name = Style { fill: LLC, ..Style::new(SMALL).middle().upright() };
            page.text(panel.right() + widest + 20.0, panel.top + panel.height / 2.0, "LLC", name);
        }
    }
    key(page, frame, llcs.is_some());
}

fn accuracy_y(panel: &Frame, accuracy: f64) -> f64 {
    panel.bottom() - (accuracy * 0.9 + 0.04) * panel.height
}

fn draw_one(page: &mut Page, panel: Frame, trajectory: &Trajectory, last: f64, llcs: Option<&Range>) {
    // Steps are drawn logarithmically from 1 on, with room for step 0 at the left.
    let x_of = |step: f64| {
        let share = if step < 1.0 { 0.0 } else { 0.06 + 0.94 * step.log10() / last.max(10.0).log10() };
        panel.left + 8.0 + share * (panel.width - 16.0)
    };
    panel.outline(page, &format!(r##"fill="#ffffff" stroke="{RULE}" stroke-width="0.8""##));
    page.rect(panel.left, panel.top, panel.width, 3.0, &format!(r#"fill="{}""#, palette::phase(trajectory.phase)));
    let decades = last.max(10.0).log10().floor() as i32;
    let stride = if panel.width / f64::from(decades + 2) < 30.0 { 2 } else { 1 };
    let powers = (0..=decades).step_by(stride).map(|exponent| 10_f64.powi(exponent));
    for step in [0.0].into_iter().chain(powers.skip(1)) {
        let x = x_of(step);
        page.line((x, panel.bottom()), (x, panel.bottom() + 3.0), &format!(r#"stroke="{INK}" stroke-width="0.8""#));
        page.text(x, panel.bottom() + 13.0, &thousands_short(step), Style::new(TICK).middle());
    }
    let curve = |pick: fn(&Point) -> Option<f64>| {
        trajectory.points.iter().map(move |point| Some((x_of(point.step), accuracy_y(&panel, pick(point)?))))
    };
    page.polyline(curve(|point| point.train_accuracy), &format!(r#"stroke="{INK}" stroke-width="1.3""#));
    page.polyline(
        curve(|point| point.val_accuracy),
        &format!(r#"stroke="{INK}" stroke-width="1.3" stroke-dasharray="4 3""#),
    );
    if let Some(range) = llcs {
        let estimated = || trajectory.points.iter().filter_map(|point| Some((point.step, point.llc?)));
        let place = |(step, llc): (f64, f64)| (x_of(step), panel.bottom() - range.share(llc) * panel.height);
        page.polyline(estimated().map(|point| Some(place(point))), &format!(r#"stroke="{LLC}" stroke-width="1.5""#));
        for point in estimated() {
            page.circle(place(point), 2.0, &format!(r#"fill="{LLC}""#));
        }
    }
    let title = [(captions::phase(trajectory.phase), INK), (format!("  task {}", trajectory.task), SOFT)];
    let parts = title.each_ref().map(|(text, fill)| (text.as_str(), *fill));
    page.texts(panel.left, panel.top - 7.0, &parts, Style::new(SMALL));
}

/// Which line is what, below the panels.
fn key(page: &mut Page, frame: Frame, llcs: bool) {
    let y = frame.bottom() + 32.0;
    page.text(frame.left, y, "step (logarithmic)", Style::new(TICK).soft());
    let mut x = frame.right();
    let entries = [
        ("LLC", LLC, "", llcs),
        ("validation accuracy", INK, r#" stroke-dasharray="4 3""#, true),
        ("train accuracy", INK, "", true),
    ];
    for (label, colour, dashes, shown) in entries {
        if shown {
            x -= width(label, TICK);
            page.text(x, y, label, Style::new(TICK).soft());
            let stroke = format!(r#"stroke="{colour}" stroke-width="1.5"{dashes}"#);
            page.line((x - 26.0, y - 3.5), (x - 5.0, y - 3.5), &stroke);
            x -= 42.0;
        }
    }
}
