//! Maps over the diagram's two axes: of phases, and of a value.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::palette;
use super::reading::DrawnCell;
use super::scale::{Places, Range};
use super::svg::{self, INK, Page, RULE, Style};
use super::{SMALL, TICK};
use crate::results::Phase;

/// A rectangle on the page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Frame {
    pub(super) fn right(&self) -> f64 {
        self.left + self.width
    }

    pub(super) fn bottom(&self) -> f64 {
        self.top + self.height
    }

    pub(super) fn middle(&self) -> f64 {
        self.left + self.width / 2.0
    }

    pub(super) fn outline(&self, page: &mut Page, attributes: &str) {
        page.rect(self.left, self.top, self.width, self.height, attributes);
    }
}

/// The side from which on cells stand apart and marks in them have an edge.
const LARGE_CELL: f64 = 10.0;

/// Rectangles, gathered by their fill: a path for each keeps a map of 10,000 cells small.
#[derive(Default)]
struct Patches(BTreeMap<String, String>);

impl Patches {
    fn add(&mut self, frame: Frame, fill: &str) {
        let [left, top, width, height] = [frame.left, frame.top, frame.width, frame.height].map(svg::number);
        let path = self.0.entry(fill.to_owned()).or_default();
        path.push_str(&format!("M{left} {top}h{width}v{height}h-{width}z"));
    }

    fn draw(self, page: &mut Page, attributes: &str) {
        page.open(&format!(r#"shape-rendering="crispEdges" {attributes}"#));
        for (fill, path) in self.0 {
            page.element("path", &format!(r#"fill="{fill}" d="{path}""#));
        }
        page.close();
    }
}

/// A frame divided into cells; the first value of the vertical axis is at the bottom.
#[derive(Clone)]
pub(super) struct Grid<'a> {
    pub(super) frame: Frame,
    pub(super) x: Places<'a>,
    pub(super) y: Places<'a>,
}

impl Grid<'_> {
    fn cell_width(&self) -> f64 {
        self.frame.width / self.x.count() as f64
    }

    fn cell_height(&self) -> f64 {
        self.frame.height / self.y.count() as f64
    }

    /// The middle of a place of the horizontal axis.
    pub(super) fn x_of(&self, place: f64) -> f64 {
        self.frame.left + (place + 0.5) * self.cell_width()
    }

    fn y_of(&self, place: f64) -> f64 {
        self.frame.bottom() - (place + 0.5) * self.cell_height()
    }

    /// A cell's rectangle; cells that are large enough stand apart.
    fn rect(&self, x: usize, y: usize) -> Frame {
        let (width, height) = (self.cell_width(), self.cell_height());
        let gap = if self.large_cells() { 1.0 } else { 0.0 };
        Frame {
            left: self.x_of(x as f64) - width / 2.0 + gap / 2.0,
            top: self.y_of(y as f64) - height / 2.0 + gap / 2.0,
            width: width - gap,
            height: height - gap,
        }
    }

    /// Ticks and name of the horizontal axis, below the frame.
    pub(super) fn x_axis(&self, page: &mut Page) {
        let bottom = self.frame.bottom();
        for (place, label) in self.x.ticks(self.frame.width, |widest| widest * TICK + 8.0) {
            let x = self.x_of(place);
            page.line((x, bottom), (x, bottom + 4.0), &format!(r#"stroke="{INK}" stroke-width="0.8""#));
            page.text(x, bottom + 15.0, &label, Style::new(TICK).middle());
        }
        name(page, self.x.path(), self.frame.middle(), bottom + 33.0, Style::new(SMALL).middle());
    }

    /// Ticks and name of the vertical axis, left of the frame.
    pub(super) fn y_axis(&self, page: &mut Page) {
        let left = self.frame.left;
        for (place, label) in self.y.ticks(self.frame.height, |_| TICK * 1.3) {
            let y = self.y_of(place);
            page.line((left - 4.0, y), (left, y), &format!(r#"stroke="{INK}" stroke-width="0.8""#));
            page.text(left - 7.0, y + TICK * 0.36, &label, Style::new(TICK).end());
        }
        let (x, y) = (left - self.y_labels_width() - 18.0, self.frame.top + self.frame.height / 2.0);
        name(page, self.y.path(), x, y, Style::new(SMALL).middle().upright());
    }

    /// The room that the labels of the vertical axis need.
    pub(super) fn y_labels_width(&self) -> f64 {
        self.y.labels().iter().map(|label| svg::width(label, TICK)).fold(0.0, f64::max)
    }

    /// Fills the frame: every place in the colour that its cell has, or hatched where it has none. Where places are too
    /// small to stand apart there may be very many: the whole frame is hatched then, and the cells lie over it.
    fn fill(&self, page: &mut Page, cells: &[DrawnCell], colour: impl Fn(&DrawnCell) -> Option<String>) {
        self.frame.outline(page, r##"fill="#ffffff""##);
        let mut patches = Patches::default();
        let mut covered = HashSet::new();
        for cell in cells {
            if let Some(colour) = colour(cell) {
                covered.insert((cell.x, cell.y));
                patches.add(self.rect(cell.x, cell.y), &colour);
            }
        }
        if self.large_cells() {
            let places = (0..self.y.count()).flat_map(|y| (0..self.x.count()).map(move |x| (x, y)));
            places
                .filter(|place| !covered.contains(place))
                .for_each(|(x, y)| patches.add(self.rect(x, y), "url(#missing)"));
        } else {
            self.frame.outline(page, r#"fill="url(#missing)""#);
        }
        patches.draw(page, "");
    }

    fn outline(&self, page: &mut Page) {
        self.frame.outline(page, &format!(r#"fill="none" stroke="{RULE}" stroke-width="0.8""#));
    }

    fn large_cells(&self) -> bool {
        self.cell_width().min(self.cell_height()) >= LARGE_CELL
    }

    /// Every cell in the colour of its phase. In a square inside, the phases of the tasks that differ from it: its area
    /// is their share of the cell.
    pub(super) fn phases(&self, page: &mut Page, cells: &[DrawnCell]) {
        self.fill(page, cells, |cell| cell.phase.map(|phase| palette::phase(phase).to_owned()));
        let mut patches = Patches::default();
        for cell in cells {
            let total: f64 = cell.minorities().map(|(_, share)| share).sum();
            let whole = self.rect(cell.x, cell.y);
            let (width, height) = (whole.width * total.sqrt(), whole.height * total.sqrt());
            let (mut left, top) = (whole.middle() - width / 2.0, whole.top + (whole.height - height) / 2.0);
            for (phase, share) in cell.minorities() {
                let part = width * share / total;
                patches.add(Frame { left, top, width: part, height }, palette::phase(phase));
                left += part;
            }
        }
        patches.draw(page, if self.large_cells() { r##"stroke="#ffffff""## } else { "" });
        self.outline(page);
    }

    /// Every cell in the colour of its value, and the boundaries between phases.
    pub(super) fn values(&self, page: &mut Page, cells: &[DrawnCell], range: Option<&Range>) {
        self.fill(page, cells, |cell| Some(palette::viridis(range?.share(cell.value?))));
        self.boundaries(page, cells);
        self.outline(page);
    }

    /// Lines between neighbours of different phases.
    fn boundaries(&self, page: &mut Page, cells: &[DrawnCell]) {
        let phased = cells.iter().filter_map(|cell| Some(((cell.x, cell.y), cell.phase?)));
        let phases: HashMap<(usize, usize), Phase> = phased.collect();
        let (width, height) = (self.cell_width(), self.cell_height());
        let mut path = String::new();
        for &DrawnCell { x, y, phase, .. } in cells {
            let differs = |place| phase.zip(phases.get(&place).copied()).is_some_and(|(here, there)| here != there);
            let (right, top) = (self.x_of(x as f64 + 0.5), self.y_of(y as f64 + 0.5));
            let [right, top, left, bottom] = [right, top, right - width, top + height].map(svg::number);
            if differs((x + 1, y)) {
                path += &format!("M{right} {top}L{right} {bottom}");
            }
            if differs((x, y + 1)) {
                path += &format!("M{left} {top}L{right} {top}");
            }
        }
        if path.is_empty() {
            return;
        }
        let [halo, core] = if self.large_cells() { [3.6, 1.2] } else { [1.6, 0.7] };
        for (colour, width) in [("#ffffff", halo), ("#000000", core)] {
            let stroke = format!(r#"stroke="{colour}" stroke-width="{width}" stroke-linecap="square""#);
            page.element("path", &format!(r#"d="{path}" fill="none" {stroke}"#));
        }
    }
}

/// An axis' name, and its dotted path beside it where that says more.
pub(super) fn name(page: &mut Page, path: Option<&str>, x: f64, y: f64, style: Style) {
    let Some(path) = path else { return };
    let spoken = super::captions::axis(path);
    if spoken == path {
        page.text(x, y, path, style);
    } else {
        page.texts(x, y, &[(&format!("{spoken}  "), INK), (path, svg::SOFT)], style);
    }
}

/// The colours of a range of values, with ticks on the right.
pub(super) fn colour_bar(page: &mut Page, frame: Frame, range: &Range) {
    let stops = palette::VIRIDIS.iter().enumerate().map(|(index, colour)| {
        let offset = index as f64 / (palette::VIRIDIS.len() - 1) as f64;
        format!(r##"<stop offset="{offset:.4}" stop-color="#{colour:06x}"/>"##)
    });
    let stops: String = stops.collect();
    page.raw(&format!(
        r#"<defs><linearGradient id="viridis" x1="0" y1="1" x2="0" y2="0">{stops}</linearGradient></defs>"#
    ));
    frame.outline(page, &format!(r#"fill="url(#viridis)" stroke="{RULE}" stroke-width="0.8""#));
    let right = frame.right();
    for (share, label) in range.ticks((frame.height / 30.0) as usize) {
        let y = frame.bottom() - share * frame.height;
        page.line((right, y), (right + 4.0, y), &format!(r#"stroke="{INK}" stroke-width="0.8""#));
        page.text(right + 7.0, y + TICK * 0.36, &label, Style::new(TICK));
    }
    // Where values lie beyond the bar, its ends say so.
    if range.cut.1 {
        page.text(frame.left, frame.top - 4.0, "and more", Style::new(TICK).soft());
    }
    if range.cut.0 {
        page.text(frame.left, frame.bottom() + 12.0, "and less", Style::new(TICK).soft());
    }
}
