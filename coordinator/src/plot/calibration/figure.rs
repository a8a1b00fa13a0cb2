//! The LLC against the step size: a panel for each site and γ, a line for each nβ, plateaus shaded, the choice marked.

use super::super::map::Frame;
use super::super::palette;
use super::super::scale::Range;
use super::super::svg::{INK, Page, RULE, Style, width};
use super::super::{LARGE, SMALL, TICK};
use super::{Calibration, labels, step_size_name};
use crate::calibration::Node;

/// A panel, and the room between two.
const PANEL: (f64, f64) = (250.0, 130.0);
const GAP: (f64, f64) = (16.0, 34.0);
/// Room at the left for the vertical scale, and on the other sides.
const LEFT: f64 = 74.0;
const MARGIN: f64 = 18.0;

/// Draws the figure as SVG.
#[must_use]
pub fn calibration_figure(calibration: &Calibration<'_>) -> String {
    let mut page = Page::new();
    let columns = calibration.grid.localizations.len();
    let wide = LEFT + columns as f64 * (PANEL.0 + GAP.0) - GAP.0 + MARGIN;
    page.text(MARGIN, 28.0, &format!("{}: calibration of the sampler", calibration.name), Style::new(LARGE));
    page.text(MARGIN, 44.0, &caption(calibration), Style::new(TICK).soft());
    let mut top = 84.0;
    for (column, label) in labels(&calibration.grid.localizations).iter().enumerate() {
        let middle = LEFT + column as f64 * (PANEL.0 + GAP.0) + PANEL.0 / 2.0;
        page.text(middle, top - 22.0, &format!("localisation γ = {label}"), Style::new(SMALL).middle());
    }
    let x = x_range(calibration);
    for (site, name) in calibration.sites.iter().enumerate() {
        page.text(LEFT, top - 5.0, name, Style::new(TICK).soft());
        let y = y_range(calibration, site);
        for column in 0..columns {
            let left = LEFT + column as f64 * (PANEL.0 + GAP.0);
            let panel = Panel { calibration, frame: Frame { left, top, width: PANEL.0, height: PANEL.1 }, x, y, site };
            panel.draw(&mut page, column);
        }
        top += PANEL.1 + GAP.1;
    }
    let name = match step_size_name(calibration.grid) {
        "step_size" => "SGLD step size ε",
        _ => "step size ε as a share of 1/(nβ·h_max)",
    };
    let bottom = top - GAP.1 + 33.0;
    page.text(LEFT + (wide - LEFT - MARGIN) / 2.0, bottom, name, Style::new(SMALL).middle());
    key(&mut page, calibration, bottom + 24.0);
    page.finish(wide, bottom + 24.0 + MARGIN, &format!("Calibration of {}", calibration.name))
}

fn caption(calibration: &Calibration<'_>) -> String {
    let Calibration { grid, choice, tolerance, .. } = calibration;
    let chosen = choice.map_or("no plateau".to_owned(), |choice| {
        let pick = |labels: Vec<String>, index: usize| labels[index].clone();
        let node = choice.node;
        let step_size = pick(labels(&grid.step_sizes), node.step_size);
        let localization = pick(labels(&grid.localizations), node.localization);
        let nbeta = pick(labels(&grid.nbetas), node.nbeta);
        format!("chosen: {} = {step_size}, γ = {localization}, nβ = {nbeta}", step_size_name(grid))
    });
    format!("Estimates agree up to a slope of {tolerance} of log LLC over log ε; {chosen}")
}

fn x_range(calibration: &Calibration<'_>) -> Range {
    let ends = (calibration.grid.step_sizes.first(), calibration.grid.step_sizes.last());
    let (low, high) = (ends.0.map_or(1.0, |level| level.number), ends.1.map_or(1.0, |level| level.number));
    let room = if high > low { (high / low).powf(0.05) } else { 2.0 };
    Range { low: low / room, high: high * room, log: true, cut: (false, false) }
}

/// The range of the estimates of a site: of the healthy ones, if there are any. What lies beyond is drawn at the edge. It
/// is logarithmic where it can be: a plateau is then as flat as its slope says, however high it lies.
fn y_range(calibration: &Calibration<'_>, site: usize) -> Option<Range> {
    let llcs = |healthy: bool| {
        let drawn = calibration.grid.nodes().filter(move |node| !healthy || calibration.fault(site, *node).is_none());
        drawn.filter_map(move |node| calibration.estimates.rows[site][calibration.grid.index(node)].llc)
    };
    let range = Range::of(llcs(true)).or_else(|| Range::of(llcs(false)))?;
    Some(Range { log: range.low > 0.0 && range.high > 3.0 * range.low, ..range }.padded(0.08))
}

/// One panel.
struct Panel<'a> {
    calibration: &'a Calibration<'a>,
    frame: Frame,
    x: Range,
    y: Option<Range>,
    site: usize,
}

impl Panel<'_> {
    fn draw(&self, page: &mut Page, localization: usize) {
        let Self { calibration, frame, .. } = self;
        frame.outline(page, r##"fill="#ffffff""##);
        for plateau in calibration.map.plateaus().iter().filter(|plateau| plateau.localization == localization) {
            let edge = |step_size: usize| self.x_of(calibration.grid.step_sizes[step_size].number);
            let (left, right) = (edge(plateau.step_sizes.start), edge(plateau.step_sizes.end - 1));
            let fill = format!(r#"fill="{}" fill-opacity="0.14""#, colour(calibration, plateau.nbeta));
            page.rect(left - 4.0, frame.top, right - left + 8.0, frame.height, &fill);
        }
        self.scales(page, localization);
        if let Some(choice) = calibration.choice.filter(|choice| choice.node.localization == localization) {
            let x = self.x_of(calibration.grid.step_sizes[choice.node.step_size].number);
            let stroke = format!(r#"stroke="{INK}" stroke-width="0.9" stroke-dasharray="4 3""#);
            page.line((x, frame.top), (x, frame.bottom()), &stroke);
        }
        for nbeta in 0..calibration.grid.nbetas.len() {
            self.line(page, localization, nbeta);
        }
        frame.outline(page, &format!(r#"fill="none" stroke="{RULE}" stroke-width="0.8""#));
    }

    /// Ticks: of ε below the last row, of the LLC left of the first column.
    fn scales(&self, page: &mut Page, localization: usize) {
        let frame = &self.frame;
        if self.site + 1 == self.calibration.sites.len() {
            for (share, label) in self.x.ticks(5) {
                let x = frame.left + share * frame.width;
                page.line((x, frame.bottom()), (x, frame.bottom() + 4.0), &format!(r#"stroke="{INK}""#));
                page.text(x, frame.bottom() + 15.0, &label, Style::new(TICK).middle());
            }
        }
        let Some(range) = self.y else { return };
        for (share, label) in range.ticks((frame.height / 30.0) as usize) {
            let y = frame.bottom() - share * frame.height;
            page.line((frame.left, y), (frame.right(), y), r##"stroke="#e6e6e6" stroke-width="0.8""##);
            if localization == 0 {
                page.text(frame.left - 7.0, y + TICK * 0.36, &label, Style::new(TICK).end());
            }
        }
        if localization == 0 {
            page.text(MARGIN + 8.0, frame.top + frame.height / 2.0, "LLC", Style::new(SMALL).middle().upright());
        }
    }

    /// The estimates at one nβ; hollow where they are not healthy.
    fn line(&self, page: &mut Page, localization: usize, nbeta: usize) {
        let Self { calibration, frame, y: Some(range), site, .. } = self else { return };
        let colour = colour(calibration, nbeta);
        // Not below the range, where an error reaches and a logarithm might not.
        let y_of = |llc: f64| frame.bottom() - range.share(llc.max(range.low)) * frame.height;
        let nodes = || (0..calibration.grid.step_sizes.len()).map(|step_size| Node { step_size, localization, nbeta });
        let estimate = |node: Node| &calibration.estimates.rows[*site][calibration.grid.index(node)];
        let place = |node: Node| {
            let llc = estimate(node).llc?;
            Some((self.x_of(calibration.grid.step_sizes[node.step_size].number), y_of(llc)))
        };
        page.polyline(nodes().map(place), &format!(r#"stroke="{colour}" stroke-width="1.2""#));
        for node in nodes() {
            let Some((x, y)) = place(node) else { continue };
            if let (Some(llc), Some(error)) = (estimate(node).llc, estimate(node).llc_se) {
                let stroke = format!(r#"stroke="{colour}" stroke-width="1""#);
                page.line((x, y_of(llc - error)), (x, y_of(llc + error)), &stroke);
            }
            let fill = if calibration.fault(*site, node).is_none() { colour.as_str() } else { "#ffffff" };
            page.circle((x, y), 3.0, &format!(r#"fill="{fill}" stroke="{colour}" stroke-width="1""#));
            if calibration.is_chosen(node) {
                page.circle((x, y), 6.5, &format!(r#"fill="none" stroke="{INK}" stroke-width="1.4""#));
            }
        }
    }

    fn x_of(&self, step_size: f64) -> f64 {
        self.frame.left + self.x.share(step_size) * self.frame.width
    }
}

/// The colour of an nβ: from dark to light as it rises, short of the yellow that white paper swallows.
fn colour(calibration: &Calibration<'_>, nbeta: usize) -> String {
    let last = (calibration.grid.nbetas.len() - 1).max(1);
    palette::viridis(0.8 * nbeta as f64 / last as f64)
}

/// What lines and marks mean.
fn key(page: &mut Page, calibration: &Calibration<'_>, y: f64) {
    let mut x = LEFT;
    for (nbeta, label) in labels(&calibration.grid.nbetas).iter().enumerate() {
        let text = format!("nβ = {label}");
        let stroke = format!(r#"stroke="{}" stroke-width="2""#, colour(calibration, nbeta));
        page.line((x, y - 3.5), (x + 18.0, y - 3.5), &stroke);
        page.text(x + 23.0, y, &text, Style::new(TICK));
        x += 41.0 + width(&text, TICK);
    }
    let marks = "shaded: plateau; hollow: not healthy; circle: chosen";
    page.text(x, y, marks, Style::new(TICK).soft());
}

#[cfg(test)]
mod tests {
    use super::super::super::png;
    use super::super::tests::example;
    use super::*;

    #[test]
    fn plateaus_are_shaded_and_the_choice_is_ringed_once() {
        example(|calibration| {
            let svg = calibration_figure(calibration);
            assert_eq!(svg.matches("fill-opacity").count(), calibration.map.plateaus().len());
            assert_eq!(svg.matches(r#"r="6.5""#).count(), 1);
            // Five estimates of six at either nβ; three of all are not mixed, and the diverged have none.
            assert_eq!(svg.matches(r#"r="3""#).count(), 10);
            assert_eq!(svg.matches(r##"r="3" fill="#ffffff""##).count(), 3);
            assert!(!svg.contains("NaN"));
            png::png(&svg, 400).unwrap();
        });
    }
}
