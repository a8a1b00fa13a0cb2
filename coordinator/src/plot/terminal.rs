//! The phase diagram as text: one letter a cell, the largest value of the vertical axis on top.

use super::columns::{WIDTH, column_width, under, widest};
use super::palette;
use super::reading::{self, DrawnCell};
use super::scale::{Places, pretty};
use crate::results::{Layout, Phase, Table};

/// The rows.
const HEIGHT: usize = 50;

/// Draws the phases and, below, the mean of the final LLC where it was estimated and fits.
///
/// A letter is upper-case where all tasks of the cell agree, and a dot stands where there is no result. `colour` sets
/// each letter on its phase's colour, by ANSI escapes. Of axes too long for a terminal, every so many values are shown.
#[must_use]
pub fn terminal(layout: &Layout, cells: &Table, colour: bool) -> String {
    let drawn = reading::cells(layout, cells, Some("final_llc_mean"));
    let sheet = Sheet::new(layout, &drawn);
    let values = sheet.values();
    // A sweep that trains nothing has no phases, and nothing is to be said of them.
    let phased = values.is_none() || drawn.iter().any(|cell| cell.phase.is_some());
    let phases = phased.then(|| sheet.phases(colour) + &legend(layout.phases.labels(), &drawn, colour));
    let values = values.map(|values| format!("LLC at the last checkpoint, mean over the tasks of a cell\n{values}"));
    phases.into_iter().chain(values).collect::<Vec<_>>().join("\n")
}

/// The places that are shown, with their labels and cells.
struct Sheet<'a> {
    x_path: Option<&'a str>,
    y_path: Option<&'a str>,
    x_labels: Vec<String>,
    y_labels: Vec<String>,
    /// Rows from the smallest value on; `None` where there is no cell yet.
    rows: Vec<Vec<Option<&'a DrawnCell>>>,
    /// What was left out, for the reader.
    note: String,
}

impl<'a> Sheet<'a> {
    fn new(layout: &'a Layout, cells: &'a [DrawnCell]) -> Self {
        let axis = |path: &Option<String>| Places::new(path.as_ref().and_then(|path| layout.axis(path)));
        let (x, y) = (axis(&layout.x), axis(&layout.y));
        let y_labels = if y.path().is_some() { y.labels() } else { vec![String::new()] };
        let y_stride = y.count().div_ceil(HEIGHT);
        let x_stride = x.count().div_ceil(WIDTH - widest(&y_labels) - 2);
        let mut rows = vec![vec![None; x.count().div_ceil(x_stride)]; y.count().div_ceil(y_stride)];
        for cell in cells.iter().filter(|cell| cell.x % x_stride == 0 && cell.y % y_stride == 0) {
            rows[cell.y / y_stride][cell.x / x_stride] = Some(cell);
        }
        let left_out = [(x_stride, x.path()), (y_stride, y.path())].into_iter().filter(|(stride, _)| *stride > 1);
        let note = left_out.map(|(stride, path)| format!("one of {stride} values of {}\n", path.unwrap_or_default()));
        Self {
            x_path: x.path(),
            y_path: y.path(),
            x_labels: x.labels().into_iter().step_by(x_stride).collect(),
            y_labels: y_labels.into_iter().step_by(y_stride).collect(),
            rows,
            note: note.collect(),
        }
    }

    /// The room left of the first column.
    fn margin(&self) -> usize {
        widest(&self.y_labels) + 2
    }

    /// Cells under their labels where these fit, else cells of one column under the labels that fit.
    fn phases(&self, colour: bool) -> String {
        let width = column_width(self.margin(), &self.x_labels);
        let placed = |letter: char| under(letter, width);
        let letter = |cell: Option<&DrawnCell>| {
            let Some((cell, phase)) = cell.and_then(|cell| Some((cell, cell.phase?))) else { return placed('·') };
            let agree = cell.minorities().next().is_none();
            let letter = if agree { letter(phase).to_ascii_uppercase() } else { letter(phase) };
            let text = placed(letter);
            if colour { palette::painted(&text, palette::terminal(phase)) } else { text }
        };
        self.table(width, letter)
    }

    /// The values, where all have room.
    fn values(&self) -> Option<String> {
        let text = |cell: &DrawnCell| Some(pretty(cell.value?, 4));
        let cells = self.rows.iter().flatten().copied().flatten();
        let longest = cells.filter_map(text).map(|text| text.chars().count()).max()?;
        let width = widest(&self.x_labels).max(longest) + 2;
        let fits = self.margin() + self.x_labels.len() * width <= WIDTH;
        let value = |cell: Option<&DrawnCell>| format!("{:>width$}", cell.and_then(text).unwrap_or("·".to_owned()));
        fits.then(|| self.table(width, value))
    }

    fn table(&self, width: usize, text: impl Fn(Option<&DrawnCell>) -> String) -> String {
        let margin = self.margin();
        let mut lines = Vec::from_iter(self.y_path.map(str::to_owned));
        for (row, label) in self.rows.iter().zip(&self.y_labels).rev() {
            let cells: String = row.iter().map(|cell| text(*cell)).collect();
            lines.push(format!("{label:>0$}  {cells}", margin - 2));
        }
        let labels = match width {
            1 => thinned(&self.x_labels),
            _ => self.x_labels.iter().map(|label| format!("{label:>width$}")).collect(),
        };
        for line in [labels.as_str(), self.x_path.unwrap_or_default()] {
            lines.push(format!("{}{line}", " ".repeat(margin)));
        }
        let lines = lines.iter().map(|line| line.trim_end()).filter(|line| !line.is_empty());
        lines.map(|line| format!("{line}\n")).chain([self.note.clone()]).collect()
    }
}

/// Labels of columns that are one character wide: each starts at its column, and those that would touch are left out.
fn thinned(labels: &[String]) -> String {
    let mut line = String::new();
    let mut end = 0;
    for (column, label) in labels.iter().enumerate() {
        if column >= end {
            line += &" ".repeat(column - line.chars().count());
            line += label;
            end = line.chars().count() + 2;
        }
    }
    line
}

fn letter(phase: Phase) -> char {
    match phase {
        Phase::Comprehension => 'c',
        Phase::Grokking => 'g',
        Phase::Memorisation => 'm',
        Phase::Confusion => 'x',
        Phase::NoGeneralisation => 'n',
        Phase::ImmediateGeneralisation => 'i',
    }
}

fn legend(labels: &[Phase], cells: &[DrawnCell], colour: bool) -> String {
    let entry = |phase: &Phase| {
        let letter = letter(*phase).to_string();
        let letter = if colour { palette::painted(&format!(" {letter} "), palette::terminal(*phase)) } else { letter };
        let count = cells.iter().filter(|cell| cell.phase == Some(*phase)).count();
        format!("{letter} {} {count}", phase.name())
    };
    let entries: Vec<String> = labels.iter().map(entry).collect();
    format!("{}  (cells; upper-case where all tasks agree)\n", entries.join("  "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::results::fixture::{estimate, failed, finished, layout, record, small};
    use crate::results::{Axis, Level, TableBuilder, TaskResult};
    use crate::spec::Scale;

    fn cells(layout: &Layout, results: impl IntoIterator<Item = TaskResult>) -> Table {
        let mut builder = TableBuilder::new(layout.clone(), Level::Cells);
        results.into_iter().for_each(|result| builder.push(&result));
        builder.finish()
    }

    /// Memorises, or generalises at once; with an LLC that is the point's index.
    fn task(point: u64, generalises: bool) -> TaskResult {
        let mut record = record(10, 1.0, if generalises { 1.0 } else { 0.0 });
        record.estimates = vec![estimate(0, point as f64)];
        finished(point, vec![record])
    }

    #[test]
    fn agreement_is_upper_case_the_largest_row_is_on_top_and_values_follow() {
        let layout = Layout { samplers: vec![vec![]], ..small() };
        let results = (0..9).map(|point| task(point, point >= 5)).chain([failed(9)]);
        let expected = "\
train.weight_decay
0.5    m   ·
  0    M   C
      0.3 0.6
     data.train_fraction
c comprehension 1  g grokking 0  m memorisation 2  x confusion 0  (cells; upper-case where all tasks agree)

LLC at the last checkpoint, mean over the tasks of a cell
train.weight_decay
0.5      4    ·
  0      1    7
       0.3  0.6
     data.train_fraction
";
        assert_eq!(terminal(&layout, &cells(&layout, results), false), expected);
    }

    #[test]
    fn colours_are_there_only_if_asked_for() {
        let layout = small();
        let table = cells(&layout, [task(0, true)]);
        assert!(!terminal(&layout, &table, false).contains('\x1b'));
        assert!(terminal(&layout, &table, true).contains("\x1b[30;48;5;36m  C \x1b[0m"));
    }

    #[test]
    fn one_axis_is_one_row() {
        let layout = Layout { y: None, ..small() };
        let text = terminal(&layout, &cells(&layout, [task(0, true), task(6, false)]), false);
        let lines: Vec<_> = text.lines().take(3).collect();
        assert_eq!(lines, ["    C   M", "   0.3 0.6", "  data.train_fraction"]);
    }

    #[test]
    fn no_line_of_a_large_map_is_wider_than_a_terminal() {
        let values = |count: u32| (0..count).map(|value| json!(value)).collect();
        let axes = vec![Axis::new("a", values(300), Scale::Linear), Axis::new("b", values(200), Scale::Linear)];
        let layout = layout("large", axes);
        let text = terminal(&layout, &cells(&layout, (0..60_000).step_by(7).map(|point| task(point, true))), false);
        assert!(text.lines().filter(|line| !line.contains("(cells;")).all(|line| line.chars().count() <= WIDTH));
        assert!(text.contains("one of 4 values of a") && text.contains("one of 4 values of b"));
    }
}
