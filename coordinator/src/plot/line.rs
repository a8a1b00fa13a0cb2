//! Diagrams of one axis: a value with its standard error, each point in the colour of its phase.

use super::map::{Frame, Grid};
use super::reading::DrawnCell;
use super::scale::Range;
use super::svg::{INK, Page, RULE, Style};
use super::{SMALL, TICK, captions, palette};

/// The range that all values with their errors need, with some room.
pub(super) fn range(cells: &[DrawnCell]) -> Option<Range> {
    let ends = cells.iter().filter_map(|cell| {
        let (value, error) = (cell.value?, cell.error.unwrap_or(0.0));
        Some([value - error, value + error])
    });
    let all = Range::of(ends.flatten())?;
    // An error bar below zero must not keep values from a logarithmic scale.
    let range = match Range::of(cells.iter().filter_map(|cell| cell.value)) {
        Some(values) if values.log => values,
        _ => all,
    };
    Some(range.padded(0.06))
}

/// Draws the points over the places of `grid`, in a frame that stands above it.
pub(super) fn points(page: &mut Page, frame: Frame, grid: &Grid<'_>, cells: &[DrawnCell], range: &Range, column: &str) {
    let y_of = |value: f64| frame.bottom() - range.share(value) * frame.height;
    for (share, label) in range.ticks((frame.height / 30.0) as usize) {
        let y = frame.bottom() - share * frame.height;
        page.line((frame.left, y), (frame.right(), y), r##"stroke="#e6e6e6" stroke-width="0.8""##);
        page.text(frame.left - 7.0, y + TICK * 0.36, &label, Style::new(TICK).end());
    }
    let mut sorted: Vec<&DrawnCell> = cells.iter().collect();
    sorted.sort_by_key(|cell| cell.x);
    let place = |cell: &&DrawnCell| Some((grid.x_of(cell.x as f64), y_of(cell.value?)));
    page.polyline(sorted.iter().map(place), r##"stroke="#999999" stroke-width="1.2""##);
    for cell in &sorted {
        let Some((x, y)) = place(cell) else { continue };
        let value = cell.value.unwrap_or_default();
        let colour = cell.phase.map_or("#ffffff", palette::phase);
        if let Some(error) = cell.error {
            let (low, high) = (y_of(value - error), y_of(value + error));
            let stroke = format!(r#"stroke="{INK}" stroke-width="1""#);
            page.line((x, low), (x, high), &stroke);
            for end in [low, high] {
                page.line((x - 3.0, end), (x + 3.0, end), &stroke);
            }
        }
        page.circle((x, y), 4.5, &format!(r#"fill="{colour}" stroke="{INK}" stroke-width="0.8""#));
    }
    frame.outline(page, &format!(r#"fill="none" stroke="{RULE}" stroke-width="0.8""#));
    page.text(frame.left, frame.top - 9.0, &captions::value(column), Style::new(SMALL));
}
