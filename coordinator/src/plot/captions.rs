//! The words of a figure: what axes and values are called, which rule labelled the phases, how the LLC was sampled.

use super::scale::pretty;
use crate::results::{Cell, Layout, Phase, Table};
use crate::spec::PhaseRule;

/// A dotted path as people say it.
pub(super) fn axis(path: &str) -> String {
    match path {
        "llc.step_size" => "SGLD step size ε".to_owned(),
        "llc.localization" => "localisation γ".to_owned(),
        "llc.nbeta" => "inverse temperature nβ".to_owned(),
        "llc.draws" | "llc.chains" | "llc.burn_in" | "llc.batch_size" => {
            path.replace("llc.", "SGLD ").replace('_', " ")
        }
        "data.modulus" => "modulus p".to_owned(),
        "model.width" => "width K".to_owned(),
        _ => path.rsplit('.').next().unwrap_or(path).replace('_', " "),
    }
}

/// A phase as people say it.
pub(super) fn phase(phase: Phase) -> String {
    phase.name().replace('_', " ")
}

/// A value's column as people say it.
pub(super) fn value(column: &str) -> String {
    let (quantity, kind) = match column.strip_suffix("_mean") {
        Some(quantity) => (quantity, ", mean"),
        None => match column.strip_suffix("_se") {
            Some(quantity) => (quantity, ", standard error"),
            None => (column, ""),
        },
    };
    let name = match quantity {
        "final_llc" => "LLC at the last checkpoint".to_owned(),
        "final_llc_above_baseline" => "LLC above the zero baseline, last checkpoint".to_owned(),
        "final_llc_finite" => "LLC that the sampler should find".to_owned(),
        "final_llc_z" => "LLC less its known value, in standard errors".to_owned(),
        "final_llc_gauss_newton" => "LLC predicted by the Gauss-Newton matrix".to_owned(),
        "final_llc_linearised" => "LLC linearised, half the Jacobian's rank".to_owned(),
        "final_jacobian_rank" => "rank of the Jacobian".to_owned(),
        "final_hessian_trace" => "trace of the Hessian".to_owned(),
        "llc_max" => "largest LLC of the trajectory".to_owned(),
        "llc_max_step" => "step of the largest LLC".to_owned(),
        "llc_unhealthy" => "share of unhealthy LLC estimates".to_owned(),
        "delay_90" => "steps from 90 % train to 90 % validation accuracy".to_owned(),
        "max_gap" => "largest gap of train over validation accuracy".to_owned(),
        "gsm" => "grokking severity".to_owned(),
        path if path.contains('.') => axis(path),
        _ => match quantity.split_once('_') {
            Some(("t", rest)) => match rest.split_once('_') {
                Some((split, percent)) => format!("step of {percent} % {} accuracy", words(split)),
                None => words(quantity),
            },
            Some(("final", rest)) => format!("final {}", words(rest)),
            Some(("llc", rest)) if rest.starts_with("theory_") => {
                format!("LLC in theory: {}", words(rest.trim_start_matches("theory_")))
            }
            _ => words(quantity),
        },
    };
    format!("{name}{kind}")
}

fn words(name: &str) -> String {
    let word = |word: &str| match word {
        "val" => "validation".to_owned(),
        "llc" | "ipr" | "ess" => word.to_uppercase(),
        "se" => "standard error".to_owned(),
        _ => word.to_owned(),
    };
    name.split('_').map(word).collect::<Vec<_>>().join(" ")
}

/// The rule and its thresholds.
pub(super) fn rule(rule: &PhaseRule) -> String {
    let thresholds = match rule {
        PhaseRule::Liu2022(t) => format!(
            "{} % accuracy within {} steps, grokking from a delay of {} steps",
            pretty(t.accuracy * 100.0, 4),
            thousands(t.within),
            thousands(t.delay)
        ),
        PhaseRule::Cullen2026(t) => format!(
            "generalised from {} % final validation accuracy, grokking from a gap of {} %",
            pretty(t.generalised * 100.0, 4),
            pretty(t.gap * 100.0, 4)
        ),
    };
    format!("Phases by {}: {thresholds}", rule.name())
}

/// How many tasks a cell has, and what they differ in.
pub(super) fn tasks_of_a_cell(layout: &Layout, cells: &Table) -> String {
    let counts = || cells.numbers("tasks").flatten().filter(|count| *count > 0.0);
    let (least, most) = (counts().fold(f64::INFINITY, f64::min), counts().fold(0.0, f64::max));
    let further: Vec<&str> = layout
        .axes
        .iter()
        .map(|axis| axis.path())
        .filter(|path| *path != "seed" && ![&layout.x, &layout.y].into_iter().flatten().any(|drawn| drawn == path))
        .collect();
    let unit = match (further.is_empty(), most == 1.0) {
        (true, true) => "seed",
        (true, false) => "seeds",
        (false, true) => "task",
        (false, false) => "tasks",
    };
    let number = match (least.is_finite(), least == most) {
        (false, _) => "no".to_owned(),
        (true, true) => pretty(most, 4),
        (true, false) => format!("{} to {}", pretty(least, 4), pretty(most, 4)),
    };
    let over = if further.is_empty() { String::new() } else { format!(", over {}", further.join(", ")) };
    format!("{number} {unit} a cell{over}")
}

/// With which settings the LLC was sampled, as far as the tasks agree; ranges where they do not.
pub(super) fn sampler(layout: &Layout, tasks: &Table) -> Option<String> {
    let drawn = layout.drawn_samplers();
    let chosen = super::reading::of_samplers(layout, tasks, &drawn);
    let rows = || tasks.rows.iter().filter(|row| chosen(row));
    let range = |name: &str| {
        let column = [format!("{name}_resolved"), name.to_owned()].iter().find_map(|name| tasks.column(name))?;
        let values = || rows().filter_map(|row| row[column].number());
        let least = values().reduce(f64::min)?;
        let most = values().reduce(f64::max)?;
        Some(if least == most { pretty(least, 4) } else { format!("{} to {}", pretty(least, 3), pretty(most, 3)) })
    };
    let chains = range("llc.chains")?;
    let mut parts = vec![
        format!("ε = {}", range("llc.step_size")?),
        format!("γ = {}", range("llc.localization")?),
        format!("nβ = {}", range("llc.nbeta")?),
        format!("{chains} chain{}", if chains == "1" { "" } else { "s" }),
        format!("{} burn-in and {} draws", range("llc.burn_in")?, range("llc.draws")?),
        format!("batch {}", range("llc.batch_size")?),
    ];
    let text = |name: &str| {
        let column = tasks.column(name)?;
        rows().find_map(|row| match &row[column] {
            Cell::Text(text) => Some(text.clone()),
            _ => None,
        })
    };
    let preset = text("llc.preset");
    let method = match text("llc.method").as_deref() {
        Some("mala") => "MALA",
        Some("rmsprop_sgld") => "RMSprop SGLD",
        _ => "SGLD",
    };
    parts.extend(preset.map(|preset| format!("from {preset}")));
    let which = match (drawn.len(), layout.samplers.len()) {
        (drawn, all) if drawn == all => String::new(),
        (1, all) => format!("the first of {all} settings, "),
        (drawn, all) => format!("{drawn} of {all} settings, "),
    };
    Some(format!("LLC by {method}: {which}{}", parts.join(", ")))
}

/// A warning, where estimates were not healthy.
pub(super) fn health(layout: &Layout, cells: &Table) -> Option<String> {
    let column = cells.column("llc_unhealthy_mean")?;
    let chosen = super::reading::of_samplers(layout, cells, &layout.drawn_samplers());
    let shares = || cells.rows.iter().filter(|row| chosen(row)).filter_map(|row| row[column].number());
    let unhealthy = shares().sum::<f64>() / shares().count() as f64;
    (unhealthy > 0.0).then(|| format!("{} % of the estimates are flagged", pretty((unhealthy * 100.0).max(0.1), 2)))
}

/// A count with its thousands apart.
pub(super) fn thousands(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::fixture::{estimate, finished, record, sampled, small};
    use crate::results::{Axis, Level, TableBuilder};
    use crate::spec::{CullenThresholds, LiuThresholds, Scale};

    #[test]
    fn names_read_as_people_say_them() {
        assert_eq!(axis("data.train_fraction"), "train fraction");
        assert_eq!(axis("llc.localization"), "localisation γ");
        assert_eq!(value("final_llc_mean"), "LLC at the last checkpoint, mean");
        assert_eq!(value("t_val_90_mean"), "step of 90 % validation accuracy, mean");
        assert_eq!(value("final_val_loss_se"), "final validation loss, standard error");
        assert_eq!(value("tasks_failed"), "tasks failed");
        assert_eq!(value("llc_theory_one_hot_lazy"), "LLC in theory: one hot lazy");
        assert_eq!(thousands(100_000), "100,000");
        assert_eq!(thousands(999), "999");
    }

    #[test]
    fn a_rule_of_the_sampler_is_told_by_what_came_of_it() {
        let rules = vec![serde_json::json!("n_over_log_n"), serde_json::json!(30.0)];
        let layout = Layout {
            samplers: rules.iter().map(|rule| vec![rule.clone()]).collect(),
            sampler_axes: vec![Axis::new("llc.nbeta", rules, Scale::Categories)],
            ..small()
        };
        let mut builder = TableBuilder::new(layout.clone(), Level::Tasks);
        let mut last = record(10, 1.0, 1.0);
        last.estimates = vec![estimate(0, 1.0), estimate(1, 2.0)];
        let nbeta = last.estimates[0].settings.as_ref().unwrap().nbeta;
        builder.push(&finished(0, vec![last]));
        let caption = sampler(&layout, &builder.finish()).unwrap();
        assert!(caption.contains("the first of 2 settings"), "{caption}");
        assert!(caption.contains(&format!("nβ = {}", pretty(nbeta, 4))), "{caption}");
    }

    #[test]
    fn the_rule_states_its_thresholds() {
        assert_eq!(
            rule(&PhaseRule::Liu2022(LiuThresholds::default())),
            "Phases by liu_2022: 90 % accuracy within 100,000 steps, grokking from a delay of 1,000 steps"
        );
        assert_eq!(
            rule(&PhaseRule::Cullen2026(CullenThresholds::default())),
            "Phases by cullen_2026: generalised from 90 % final validation accuracy, grokking from a gap of 15 %"
        );
    }

    #[test]
    fn cells_and_samplers_are_described_as_they_are() {
        let mut last = record(10, 1.0, 1.0);
        last.estimates = vec![estimate(0, 4.0), estimate(1, 5.0)];
        let build = |layout: &Layout, level| {
            let mut builder = TableBuilder::new(layout.clone(), level);
            (0..3).for_each(|point| builder.push(&finished(point, vec![last.clone()])));
            builder.finish()
        };
        let single = Layout { samplers: vec![vec![]], ..small() };
        assert_eq!(tasks_of_a_cell(&single, &build(&single, Level::Cells)), "3 seeds a cell");
        assert_eq!(
            sampler(&single, &build(&single, Level::Tasks)).unwrap(),
            "LLC by SGLD: ε = 5·10⁻⁴, γ = 5, nβ = 26.38, 3 chains, 100 burn-in and 500 draws, batch 128, from authors_code"
        );
        let several = sampled();
        let text = sampler(&several, &build(&several, Level::Tasks)).unwrap();
        assert!(text.starts_with("LLC by SGLD: the first of 2 settings, ε = 10⁻⁴, γ = 5"), "{text}");
        assert_eq!(sampler(&small(), &build(&small(), Level::Tasks)), None);
        let mut exact = last.clone();
        exact.estimates[0].settings.as_mut().unwrap().method = "mala".to_owned();
        let mut builder = TableBuilder::new(single.clone(), Level::Tasks);
        builder.push(&finished(0, vec![exact]));
        assert!(sampler(&single, &builder.finish()).unwrap().starts_with("LLC by MALA: ε = "));
        let averaged = Layout { y: None, ..small() };
        let text = tasks_of_a_cell(&averaged, &build(&averaged, Level::Cells));
        assert_eq!(text, "3 tasks a cell, over train.weight_decay");
    }
}
