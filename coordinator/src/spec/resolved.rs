//! The resolved sweep file: defaults and presets filled in, overrides applied. Parsing it gives the same sweep.

use phasegrid_proto::task::{SELECTORS, TaskConfig};
use serde_json::{Map, Value, json};

use super::axes::overlap;

/// Fills into `task` what `config`, resolved from it at the first values of all axes, has beyond it. Left alone are keys
/// that an axis sets, and tables in which an axis decides what the other keys default to.
pub(super) fn fill(task: &mut Map<String, Value>, config: &TaskConfig, axes: &[&str]) {
    let varies = |path: &str| axes.iter().any(|axis| overlap(axis, path));
    for (name, value) in sections(config) {
        let selected = |selector: &&str| selector.split('.').next() == Some(name.as_str()) && axes.contains(selector);
        if SELECTORS.iter().any(selected) {
            continue;
        }
        match value {
            Value::Object(keys) if name != "checkpoints" => {
                let table = task.entry(&name).or_insert_with(|| json!({}));
                let Some(table) = table.as_object_mut() else { continue };
                for (key, value) in keys {
                    if !varies(&format!("{name}.{key}")) {
                        table.entry(key).or_insert(value);
                    }
                }
            }
            value if !varies(&name) => {
                task.entry(name).or_insert(value);
            }
            _ => {}
        }
    }
}

/// A task's configuration as the tables of a sweep file.
fn sections(config: &TaskConfig) -> Map<String, Value> {
    let mut sections = match serde_json::to_value(config) {
        Ok(Value::Object(sections)) => sections,
        other => unreachable!("a task's configuration serialises as a table, not as {other:?}"),
    };
    if let Some(Value::Object(llc)) = sections.get_mut("llc") {
        let sampler = llc.remove("samplers").and_then(|mut samplers| samplers.get_mut(0).map(Value::take));
        llc.remove("shard");
        llc.insert("shards".to_owned(), json!(config.shards()));
        if let Some(Value::Object(sampler)) = sampler {
            *llc = sampler.into_iter().chain(std::mem::take(llc)).collect();
        }
    }
    sections
}

/// The file's text.
pub(super) fn write(tree: &Map<String, Value>) -> String {
    let mut text = String::new();
    // What is no table has to come first, or TOML would take it for part of a table.
    let (tables, loose): (Vec<_>, Vec<_>) = tree.iter().partition(|(name, value)| value.is_object() || *name == "zip");
    for (name, value) in loose.into_iter().chain(tables) {
        match (name.as_str(), value) {
            ("task", Value::Object(task)) => write_task(&mut text, task),
            ("zip", Value::Array(zips)) => {
                zips.iter().filter_map(Value::as_object).for_each(|zip| write_table(&mut text, "[[zip]]", zip));
            }
            (name, Value::Object(table)) => write_table(&mut text, &format!("[{name}]"), table),
            (name, value) => text.push_str(&format!("{} = {}\n", key(name), inline(value))),
        }
    }
    text
}

/// Tables under headers of their own, and before them what is no table: the seed, a list of checkpoints.
fn write_task(text: &mut String, task: &Map<String, Value>) {
    let loose: Map<_, _> =
        task.iter().filter(|(_, value)| !value.is_object()).map(|(k, v)| (k.clone(), v.clone())).collect();
    if !loose.is_empty() {
        write_table(text, "[task]", &loose);
    }
    for (name, value) in task {
        if let Value::Object(table) = value {
            write_table(text, &format!("[task.{}]", key(name)), table);
        }
    }
}

fn write_table(text: &mut String, header: &str, table: &Map<String, Value>) {
    text.push_str(&format!("\n{header}\n"));
    for (name, value) in table {
        text.push_str(&format!("{} = {}\n", key(name), inline(value)));
    }
}

fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if bare { name.to_owned() } else { inline(&Value::from(name)) }
}

/// A value in one line. JSON and TOML write words, truths and whole numbers alike.
fn inline(value: &Value) -> String {
    match value {
        Value::Array(values) => format!("[{}]", values.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::Object(table) if table.is_empty() => "{}".to_owned(),
        Value::Object(table) => {
            let pairs = table.iter().map(|(name, value)| format!("{} = {}", key(name), inline(value)));
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
        scalar => scalar.to_string(),
    }
}
