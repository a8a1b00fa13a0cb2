//! The calibrated sweep file: a person's own, comments, order and spelling kept, with other values of the sampler's keys.

use serde_json::Value;
use toml_edit::{DocumentMut, Item, Table, TableLike, TomlError};

use super::grid::Level;
use super::scan::keys_of_scanned;
use crate::spec::Spec;

/// The keys of `[task.llc]` that make the sampler, beside those that are scanned: an estimate is healthy with these.
const SAMPLER: [&str; 8] = ["preset", "method", "chains", "burn_in", "draws", "batch_size", "layer", "initial_loss"];

/// A key of `[task.llc]` with the value that it shall have.
pub type Setting = (String, Value);

/// The sweep file `source` with these settings.
///
/// # Errors
/// If it is no TOML, or `task` or `task.llc` is no table.
pub fn calibrated(source: &str, settings: &[Setting]) -> Result<String, TomlError> {
    let mut document: DocumentMut = source.parse()?;
    let llc = ["task", "llc"].into_iter().try_fold(document.as_item_mut(), |item, key| {
        let table = item.as_table_like_mut()?;
        if !table.contains_key(key) {
            let mut empty = Table::new();
            empty.set_implicit(key == "task");
            table.insert(key, Item::Table(empty));
        }
        table.get_mut(key)
    });
    if let Some(llc) = llc.and_then(Item::as_table_like_mut) {
        settings.iter().for_each(|(key, value)| set(llc, key, value));
    }
    Ok(document.to_string())
}

/// The settings of a choice.
#[must_use]
pub fn chosen(levels: [&Level; 3]) -> Vec<Setting> {
    keys_of_scanned().map(str::to_owned).zip(levels.map(|level| level.written.clone())).collect()
}

/// What `overrides` say of the sampler, as `spec` has understood them: the sampler was calibrated with that, and is not the
/// same without.
#[must_use]
pub fn sampler_overrides(spec: &Spec, overrides: &[String]) -> Vec<Setting> {
    let paths = || overrides.iter().filter_map(|text| Some(text.split_once('=')?.0.trim()));
    let set = |key: &&str| {
        let path = format!("task.llc.{key}");
        paths().any(|set| set == "task.llc" || set == path || set.starts_with(&format!("{path}.")))
    };
    let value = |key: &str| Some((key.to_owned(), spec.task_table()["llc"].get(key)?.clone()));
    SAMPLER.into_iter().filter(set).filter_map(value).collect()
}

/// Gives a key its value; one that it has already is left as it is written.
fn set(table: &mut dyn TableLike, key: &str, value: &Value) {
    match table.get_mut(key) {
        None => {
            table.insert(key, Item::Value(toml(value)));
        }
        Some(Item::Value(old)) if same(old, value) => {}
        Some(Item::Value(old)) => {
            let decor = old.decor().clone();
            *old = toml(value);
            *old.decor_mut() = decor;
        }
        Some(item) => match (item.as_table_like_mut(), value) {
            // A table under a header of its own, such as [task.llc.step_size].
            (Some(inner), Value::Object(pairs)) => pairs.iter().for_each(|(key, value)| set(inner, key, value)),
            _ => {
                table.remove(key);
                table.insert(key, Item::Value(toml(value)));
            }
        },
    }
}

/// Whether a value of the file means the same.
fn same(old: &toml_edit::Value, value: &Value) -> bool {
    match value {
        Value::Number(number) => {
            old.as_float().or_else(|| old.as_integer().map(|whole| whole as f64)) == number.as_f64()
        }
        Value::String(text) => old.as_str() == Some(text),
        Value::Object(pairs) => old.as_inline_table().is_some_and(|table| {
            table.len() == pairs.len()
                && pairs.iter().all(|(key, value)| table.get(key).is_some_and(|old| same(old, value)))
        }),
        _ => false,
    }
}

/// A setting as TOML: a number, a word, or a table of them.
fn toml(value: &Value) -> toml_edit::Value {
    match value {
        Value::Number(number) => {
            let number = number.as_f64().unwrap_or_default();
            toml_number(number).parse().unwrap_or_else(|_| number.into())
        }
        Value::String(text) => text.as_str().into(),
        Value::Bool(truth) => (*truth).into(),
        Value::Object(pairs) => {
            toml_edit::Value::InlineTable(pairs.iter().map(|(key, value)| (key.as_str(), toml(value))).collect())
        }
        other => other.to_string().into(),
    }
}

/// A number as people write it in TOML: 300, 0.15, 5e-4.
pub(super) fn toml_number(number: f64) -> String {
    if number == 0.0 || (1e-2..1e6).contains(&number.abs()) { format!("{number}") } else { format!("{number:e}") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn settings(values: [Value; 3]) -> Vec<Setting> {
        keys_of_scanned().map(str::to_owned).zip(values).collect()
    }

    #[test]
    fn all_but_the_samplers_keys_stays_as_it_was_written() {
        let source = "\
# why\nname = \"x\"   # spaces kept

[task.llc]            # the sampler
preset = \"authors_code\"
step_size = 5.0e-4    # too small
nbeta = 1_000
chains = 3            # enough

[axes] # what varies
seed = { from = 0, count = 3 }
";
        let text = calibrated(source, &settings([json!(1.58e-3), json!(15.8), json!(1000.0)])).unwrap();
        let expected = source
            .replace("5.0e-4", "1.58e-3")
            .replace("chains = 3            # enough\n", "chains = 3            # enough\nlocalization = 15.8\n");
        assert_eq!(text, expected);
    }

    #[test]
    fn every_spelling_of_the_table_is_understood() {
        let chosen = settings([json!({ "stable": 0.05 }), json!(300.0), json!("n_over_log_n")]);
        for source in [
            "[task.llc]\nstep_size = 1e-3\nlocalization = 5\nnbeta = 10\n",
            "[task]\nllc = { step_size = { stable = 0.15 }, localization = 5, nbeta = 10 }\n",
            "task.llc.step_size.stable = 0.15\ntask.llc.localization = 5\n",
            "[task.llc]\nnbeta = 5\n[task.llc.step_size]\nstable = 0.15 # a share\n",
            "name = \"x\"\n",
        ] {
            let text = calibrated(source, &chosen).unwrap();
            let tree: toml::Table = toml::from_str(&text).unwrap_or_else(|error| panic!("{text}{error}"));
            let llc = &json!(tree)["task"]["llc"];
            assert_eq!(llc["step_size"], json!({ "stable": 0.05 }), "{text}");
            assert_eq!((llc["localization"].as_f64(), &llc["nbeta"]), (Some(300.0), &json!("n_over_log_n")), "{text}");
        }
    }

    #[test]
    fn numbers_are_written_as_people_write_them() {
        let cases = [(5e-4, "5e-4"), (300.0, "300"), (0.15, "0.15"), (1e6, "1e6"), (0.0, "0"), (26.381, "26.381")];
        for (number, text) in cases {
            assert_eq!(toml_number(number), text);
        }
    }
}
