//! The phase diagram of a sweep: where each phase is, and beside it what a quantity does there.

use super::map::{Frame, Grid, colour_bar};
use super::reading::{self, DrawnCell};
use super::scale::{Places, Range};
use super::svg::{self, Page, RULE, Style};
use super::{LARGE, PlotError, SMALL, TICK, captions, line, palette, trajectories};
use crate::results::{Layout, Phase, Table};

/// What a diagram is drawn from.
#[derive(Clone, Copy, Debug)]
pub struct Drawing<'a> {
    /// The sweep.
    pub layout: &'a Layout,
    /// Its cells.
    pub cells: &'a Table,
    /// Its tasks: from them come the sampler's settings, and the choice of typical tasks.
    pub tasks: &'a Table,
    /// Its records, of all tasks or of some: if given, trajectories of typical tasks are drawn below.
    pub records: Option<&'a Table>,
    /// The value beside the phases: any numeric column of tasks, of which the mean is drawn, or of cells; `phase` draws the
    /// phases alone. By default it is the final LLC or, where none was estimated, the final validation accuracy.
    pub value: Option<&'a str>,
}

/// Width of one map.
const PANEL: f64 = 340.0;
/// Room at the right and at the bottom.
const MARGIN: f64 = 18.0;

/// Draws the diagram as SVG.
///
/// Where the sweep has several sampler settings that are not axes of the diagram, the first is drawn, and the caption
/// says so.
///
/// # Errors
/// If the value is no numeric column.
pub fn diagram(drawing: &Drawing<'_>) -> Result<String, PlotError> {
    let layout = drawing.layout;
    let (table, column) = reading::value_column(drawing)?;
    let cells = reading::cells(layout, &table, column.as_deref());
    let axis = |path: &Option<String>| Places::new(path.as_ref().and_then(|path| layout.axis(path)));
    let (x, y) = (axis(&layout.x), axis(&layout.y));
    let mut page = Page::new();
    let body = if layout.y.is_some() {
        Body::two_axes(x, y, column.as_deref(), &cells)
    } else {
        Body::one_axis(x, column.as_deref(), &cells)
    };
    let width = body.width();
    let top = header(&mut page, drawing, width) + 34.0;
    let mut bottom = body.draw(&mut page, top, column.as_deref(), &cells);
    bottom = legend(&mut page, &body, bottom, layout.phases.labels(), &cells);
    let typical = drawing.records.map(|records| trajectories::typical(layout, drawing.tasks, records));
    if let Some(typical) = typical.filter(|typical| !typical.is_empty()) {
        let frame = Frame { left: body.left, top: bottom + 50.0, width: width - body.left - 60.0, height: 118.0 };
        page.text(frame.left, bottom + 22.0, "Typical tasks (median of their phase)", Style::new(SMALL).soft());
        trajectories::draw(&mut page, frame, &typical);
        bottom = frame.bottom() + 36.0;
    }
    Ok(page.finish(width, bottom + MARGIN, &format!("Phase diagram of {}", layout.name)))
}

/// Title and captions; returns where they end.
fn header(page: &mut Page, drawing: &Drawing<'_>, width: f64) -> f64 {
    let room = width - 2.0 * MARGIN;
    let mut y = 28.0;
    page.text(MARGIN, y, &drawing.layout.name, Style::new(LARGE));
    let first = [captions::rule(&drawing.layout.phases), captions::tasks_of_a_cell(drawing.layout, drawing.cells)];
    let second = [captions::sampler(drawing.layout, drawing.tasks), captions::health(drawing.layout, drawing.cells)];
    for sentences in [first.to_vec(), second.into_iter().flatten().collect()] {
        for line in wrapped(&sentences.join("; "), room, TICK) {
            y += 15.0;
            page.text(MARGIN, y, &line, Style::new(TICK).soft());
        }
    }
    y
}

/// A text in lines that fit.
fn wrapped(text: &str, room: f64, size: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        match lines.last_mut() {
            Some(line) if svg::width(&format!("{line} {word}"), size) <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The panels between captions and legend.
struct Body<'a> {
    grid: Grid<'a>,
    /// Where the panels start, after the vertical axis' labels.
    left: f64,
    kind: BodyKind,
    range: Option<Range>,
}

/// What is drawn: maps over two axes, or points and a strip of phases over one.
#[derive(Clone, Copy, PartialEq)]
enum BodyKind {
    Phases,
    PhasesAndValues,
    Values,
    Strip,
    PointsAndStrip,
    Points,
}

/// Whether there is nothing to be said of phases, as of a sweep that trains nothing, and something of the value.
fn lacks_phases(cells: &[DrawnCell]) -> bool {
    cells.iter().all(|cell| cell.phase.is_none()) && cells.iter().any(|cell| cell.value.is_some())
}

/// Room between two maps, and right of the second one: for the colour bar and its ticks.
const BETWEEN: f64 = 26.0;
const BAR: f64 = 84.0;

impl<'a> Body<'a> {
    fn two_axes(x: Places<'a>, y: Places<'a>, column: Option<&str>, cells: &[DrawnCell]) -> Self {
        // Cells are square as far as the page allows.
        let height = (PANEL * y.count() as f64 / x.count() as f64).clamp(200.0, 400.0);
        let frame = Frame { left: 0.0, top: 0.0, width: PANEL, height };
        let mut grid = Grid { frame, x, y };
        let left = MARGIN + 20.0 + grid.y_labels_width() + 8.0;
        grid.frame.left = left;
        let kind = match column {
            None => BodyKind::Phases,
            Some(_) if lacks_phases(cells) => BodyKind::Values,
            Some(_) => BodyKind::PhasesAndValues,
        };
        Self { grid, left, kind, range: Range::of(cells.iter().filter_map(|cell| cell.value)) }
    }

    fn one_axis(x: Places<'a>, column: Option<&str>, cells: &[DrawnCell]) -> Self {
        let left = MARGIN + 52.0;
        let width = (x.count() as f64 * 60.0).clamp(420.0, 640.0);
        let frame = Frame { left, top: 0.0, width, height: 26.0 };
        let kind = match column {
            None => BodyKind::Strip,
            Some(_) if lacks_phases(cells) => BodyKind::Points,
            Some(_) => BodyKind::PointsAndStrip,
        };
        Self { grid: Grid { frame, x, y: Places::new(None) }, left, kind, range: line::range(cells) }
    }

    fn width(&self) -> f64 {
        self.left
            + self.grid.frame.width
            + match self.kind {
                BodyKind::PhasesAndValues => BETWEEN + PANEL + BAR,
                BodyKind::Values => BAR,
                BodyKind::Phases | BodyKind::Strip | BodyKind::PointsAndStrip | BodyKind::Points => MARGIN + 42.0,
            }
    }

    /// Draws the panels from `top` on; returns where they end, axes included.
    fn draw(&self, page: &mut Page, top: f64, column: Option<&str>, cells: &[DrawnCell]) -> f64 {
        let mut grid = self.grid.clone();
        grid.frame.top = top;
        if let (BodyKind::PointsAndStrip | BodyKind::Points, Some(column)) = (self.kind, column) {
            let frame = Frame { height: 220.0, ..grid.frame };
            match &self.range {
                Some(range) => line::points(page, frame, &grid, cells, range, column),
                None => frame.outline(page, r#"fill="url(#missing)""#),
            }
            grid.frame = match self.kind {
                BodyKind::Points => frame,
                _ => Frame { top: frame.bottom() + 10.0, ..grid.frame },
            };
        }
        match self.kind {
            BodyKind::Points => {}
            BodyKind::Values => self.values(page, &grid, column.unwrap_or_default(), cells),
            BodyKind::Phases | BodyKind::PhasesAndValues | BodyKind::Strip | BodyKind::PointsAndStrip => {
                grid.phases(page, cells);
            }
        }
        grid.x_axis(page);
        if matches!(self.kind, BodyKind::Phases | BodyKind::PhasesAndValues | BodyKind::Values) {
            grid.y_axis(page);
        }
        if matches!(self.kind, BodyKind::Phases | BodyKind::PhasesAndValues) {
            page.text(grid.frame.left, top - 9.0, "Phase", Style::new(SMALL));
        }
        if let (BodyKind::PhasesAndValues, Some(column)) = (self.kind, column) {
            let mut right = grid.clone();
            right.frame.left += PANEL + BETWEEN;
            self.values(page, &right, column, cells);
            right.x_axis(page);
        }
        grid.frame.bottom() + 40.0
    }

    /// A map of the value, with its title above and its colours at the right.
    fn values(&self, page: &mut Page, grid: &Grid<'_>, column: &str, cells: &[DrawnCell]) {
        grid.values(page, cells, self.range.as_ref());
        let title = captions::value(column);
        page.text(grid.frame.left, grid.frame.top - 9.0, &capitalised(&title), Style::new(SMALL));
        if let Some(range) = &self.range {
            colour_bar(page, Frame { left: grid.frame.right() + 14.0, width: 13.0, ..grid.frame }, range);
        }
    }
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().chain(characters).collect()).unwrap_or_default()
}

/// What the colours mean, with how many cells have each; returns where it ends.
fn legend(page: &mut Page, body: &Body<'_>, top: f64, labels: &[Phase], cells: &[DrawnCell]) -> f64 {
    const SIDE: f64 = 11.0;
    let places = body.grid.x.count() * body.grid.y.count();
    let phased = !matches!(body.kind, BodyKind::Values | BodyKind::Points);
    let mut entries: Vec<(String, String)> = Vec::new();
    let labelled = |phase| cells.iter().filter(|cell| cell.phase == Some(phase)).count();
    for phase in labels.iter().copied().filter(|_| phased) {
        let text = format!("{} ({})", captions::phase(phase), labelled(phase));
        entries.push((format!(r#"fill="{}""#, palette::phase(phase)), text));
    }
    let there = |cell: &&DrawnCell| if phased { cell.phase.is_some() } else { cell.value.is_some() };
    let missing = places.saturating_sub(cells.iter().filter(there).count());
    if missing > 0 {
        let fill = format!(r#"fill="url(#missing)" stroke="{RULE}" stroke-width="0.6""#);
        entries.push((fill, format!("no result ({missing})")));
    }
    let right = body.width() - MARGIN;
    let (mut x, mut y) = (body.left, top + 14.0);
    for (fill, text) in entries {
        let width = SIDE + 6.0 + svg::width(&text, TICK) + 18.0;
        if x + width > right && x > body.left {
            (x, y) = (body.left, y + 17.0);
        }
        page.rect(x, y - SIDE + 2.0, SIDE, SIDE, &fill);
        page.text(x + SIDE + 6.0, y, &text, Style::new(TICK));
        x += width;
    }
    let mut notes = Vec::new();
    if phased || missing > 0 {
        notes.push("in brackets: cells");
    }
    if cells.iter().any(|cell| cell.minorities().next().is_some()) {
        notes.push("squares within cells: tasks in another phase, their area is their share");
    }
    if body.kind == BodyKind::PhasesAndValues {
        notes.push("lines on the right: boundaries between phases");
    }
    if body.kind == BodyKind::PhasesAndValues && cells.iter().any(|cell| cell.phase.is_some() && cell.value.is_none()) {
        notes.push("hatched on the right: no task has the value; means are over those that have it");
    }
    if cells.iter().any(|cell| cell.error.is_some()) && matches!(body.kind, BodyKind::PointsAndStrip | BodyKind::Points)
    {
        notes.push("bars: standard error of the mean");
    }
    for line in wrapped(&notes.join("; "), right - body.left, TICK) {
        y += 16.0;
        page.text(body.left, y, &line, Style::new(TICK).soft());
    }
    y + 8.0
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plot::png::parse;
    use crate::results::fixture::{estimate, failed, finished, layout, record, sampled, small};
    use crate::results::{Axis, Level, TableBuilder, TaskResult};
    use crate::spec::Scale;

    fn results() -> Vec<TaskResult> {
        let task = |point: u64| {
            let val = if point.is_multiple_of(4) { 0.0 } else { 1.0 };
            let mut records = vec![record(0, 0.0, 0.0), record(10, 1.0, 0.0), record(2000, 1.0, val)];
            for record in &mut records {
                record.estimates = vec![estimate(0, 100.0 + point as f64), estimate(1, 50.0)];
            }
            finished(point, records)
        };
        (0..11).map(task).chain([failed(11)]).collect()
    }

    fn draw(layout: &Layout, results: &[TaskResult], value: Option<&str>) -> Result<String, PlotError> {
        let [cells, tasks, records] = [Level::Cells, Level::Tasks, Level::Records].map(|level| {
            let mut builder = TableBuilder::new(layout.clone(), level);
            results.iter().for_each(|result| builder.push(result));
            builder.finish()
        });
        diagram(&Drawing { layout, cells: &cells, tasks: &tasks, records: Some(&records), value })
    }

    #[test]
    fn every_kind_of_diagram_is_well_formed() {
        let two = Layout { samplers: vec![vec![]], ..small() };
        let one = Layout { y: None, ..two.clone() };
        let none = Layout { x: None, y: None, ..two.clone() };
        for layout in [two, one, none, sampled(), small()] {
            for value in [None, Some("phase"), Some("t_val_90"), Some("tasks_failed"), Some("final_ipr")] {
                for results in [&results()[..], &results()[..1], &[]] {
                    let svg = draw(&layout, results, value).unwrap();
                    parse(&svg).unwrap_or_else(|error| panic!("{error} in {svg}"));
                    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
                }
            }
        }
    }

    #[test]
    fn names_from_outside_stay_text() {
        let axis = |path: &str, values: Vec<_>| Axis::new(path, values, Scale::Categories);
        let axes = vec![axis("x.<b>", vec![json!("<i>\""), json!([1, 2])]), axis("y&", vec![json!("'"), json!("]]>")])];
        let layout = layout("<b>&\"", axes);
        let svg = draw(&layout, &results()[..4], None).unwrap();
        parse(&svg).unwrap();
        assert!(svg.contains("&lt;b&gt;&amp;&quot;") && !svg.contains("<b>") && !svg.contains("<i>"));
    }

    #[test]
    fn the_legend_counts_cells_and_the_caption_states_rule_and_sampler() {
        let layout = Layout { samplers: vec![vec![]], ..small() };
        let svg = draw(&layout, &results(), None).unwrap();
        for text in [
            "grokking (4)",
            "memorisation (0)",
            "90 % accuracy within 100,000 steps",
            "2 to 3 seeds a cell",
            "ε = 5·10⁻⁴",
            "LLC at the last checkpoint, mean",
            "train fraction",
            "data.train_fraction",
        ] {
            assert!(svg.contains(text), "{text} is missing");
        }
        assert!(!svg.contains("no result"));
        assert!(draw(&layout, &results()[..9], None).unwrap().contains("no result (1)"));
    }

    #[test]
    fn a_sweep_without_phases_is_drawn_by_its_values_alone() {
        let untrained = |point| {
            let mut record = record(0, 0.0, 0.0);
            record.estimates = vec![estimate(0, 1.0 + point as f64)];
            (record.train_accuracy, record.val_accuracy) = (None, None);
            finished(point, vec![record])
        };
        let results: Vec<_> = (0..12).map(untrained).collect();
        let two = Layout { samplers: vec![vec![]], ..small() };
        for layout in [two.clone(), Layout { y: None, ..two }] {
            let svg = draw(&layout, &results, None).unwrap();
            assert!(svg.contains("LLC at the last checkpoint, mean"));
            assert!(!svg.contains("no result") && !svg.contains("memorisation") && !svg.contains(">Phase<"), "{svg}");
        }
    }

    #[test]
    fn a_map_of_a_hundred_million_places_takes_what_its_cells_take() {
        let axis = |path: &str| Axis::new(path, (0..10_000).map(|value| json!(value)).collect(), Scale::Linear);
        let layout = layout("large", vec![axis("a"), axis("b")]);
        let svg = draw(&layout, &results(), None).unwrap();
        assert!(svg.len() < 200_000, "{} bytes", svg.len());
        assert!(svg.contains("no result (99999989)"), "{svg}");
    }

    #[test]
    fn an_unknown_value_is_refused() {
        assert!(matches!(draw(&small(), &results(), Some("lambda")), Err(PlotError::UnknownValue { .. })));
    }
}
