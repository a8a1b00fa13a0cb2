//! A page of SVG: the few shapes that a figure needs, and nothing in a text that could end it.

use std::fmt::Write;

/// The families that a viewer may have; the first is the one that PNGs are drawn with.
const FONT_FAMILY: &str = "DejaVu Sans, Verdana, sans-serif";

/// A page that is being drawn, in units of one pixel at a scale of one.
pub(super) struct Page {
    body: String,
}

/// How a text stands.
#[derive(Clone, Copy)]
pub(super) struct Style {
    /// Height of the font.
    pub(super) size: f64,
    /// Its colour.
    pub(super) fill: &'static str,
    /// Which end of the text stands at its position.
    pub(super) anchor: Anchor,
    /// Whether it reads from bottom to top.
    pub(super) upright: bool,
}

/// Which end of a text stands at its position.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// The colour of text and of whatever has to be read.
pub(super) const INK: &str = "#222222";
/// The colour of what explains.
pub(super) const SOFT: &str = "#666666";
/// The colour of frames and grid lines.
pub(super) const RULE: &str = "#b0b0b0";

impl Style {
    pub(super) const fn new(size: f64) -> Self {
        Self { size, fill: INK, anchor: Anchor::Start, upright: false }
    }

    pub(super) const fn soft(self) -> Self {
        Self { fill: SOFT, ..self }
    }

    pub(super) const fn middle(self) -> Self {
        Self { anchor: Anchor::Middle, ..self }
    }

    pub(super) const fn end(self) -> Self {
        Self { anchor: Anchor::End, ..self }
    }

    pub(super) const fn upright(self) -> Self {
        Self { upright: true, ..self }
    }
}

impl Page {
    pub(super) fn new() -> Self {
        Self { body: String::new() }
    }

    /// Any element, its attributes written out; `attributes` must not hold text from outside.
    pub(super) fn element(&mut self, name: &str, attributes: &str) {
        self.push(format_args!("<{name} {attributes}/>\n"));
    }

    /// Markup as it stands; it must not hold text from outside.
    pub(super) fn raw(&mut self, markup: &str) {
        self.body.push_str(markup);
        self.body.push('\n');
    }

    pub(super) fn rect(&mut self, x: f64, y: f64, width: f64, height: f64, attributes: &str) {
        let [x, y, width, height] = [x, y, width, height].map(number);
        self.push(format_args!(r#"<rect x="{x}" y="{y}" width="{width}" height="{height}" {attributes}/>"#));
        self.body.push('\n');
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), attributes: &str) {
        let [x1, y1, x2, y2] = [from.0, from.1, to.0, to.1].map(number);
        self.push(format_args!(r#"<path d="M{x1} {y1}L{x2} {y2}" fill="none" {attributes}/>"#));
        self.body.push('\n');
    }

    /// A line through these points, in pieces where a point is missing.
    pub(super) fn polyline(&mut self, points: impl IntoIterator<Item = Option<(f64, f64)>>, attributes: &str) {
        let mut data = String::new();
        let mut pen = 'M';
        for point in points {
            match point {
                Some((x, y)) => {
                    let _ = write!(data, "{pen}{} {}", number(x), number(y));
                    pen = 'L';
                }
                None => pen = 'M',
            }
        }
        if !data.is_empty() {
            self.push(format_args!(r#"<path d="{data}" fill="none" stroke-linejoin="round" {attributes}/>"#));
            self.body.push('\n');
        }
    }

    pub(super) fn circle(&mut self, centre: (f64, f64), radius: f64, attributes: &str) {
        let [x, y, r] = [centre.0, centre.1, radius].map(number);
        self.push(format_args!(r#"<circle cx="{x}" cy="{y}" r="{r}" {attributes}/>"#));
        self.body.push('\n');
    }

    /// A text whose baseline starts, ends or has its middle at (x, y).
    pub(super) fn text(&mut self, x: f64, y: f64, text: &str, style: Style) {
        self.texts(x, y, &[(text, style.fill)], style);
    }

    /// A text in parts of several colours.
    pub(super) fn texts(&mut self, x: f64, y: f64, parts: &[(&str, &str)], style: Style) {
        let anchor = match style.anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let [x, y, size] = [x, y, style.size].map(number);
        let turn = if style.upright { format!(r#" transform="rotate(-90 {x} {y})""#) } else { String::new() };
        self.push(format_args!(
            r#"<text x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}" xml:space="preserve"{turn}>"#
        ));
        for (text, fill) in parts {
            self.push(format_args!(r#"<tspan fill="{fill}">{}</tspan>"#, escaped(text)));
        }
        self.body.push_str("</text>\n");
    }

    /// What follows, until [`Page::close`], shares these attributes.
    pub(super) fn open(&mut self, attributes: &str) {
        self.push(format_args!("<g {attributes}>\n"));
    }

    pub(super) fn close(&mut self) {
        self.body.push_str("</g>\n");
    }

    /// The page as a document.
    pub(super) fn finish(self, width: f64, height: f64, title: &str) -> String {
        let [width, height] = [width, height].map(|length| length.ceil());
        format!(
            r##"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" font-family="{FONT_FAMILY}">
<title>{}</title>
<defs><pattern id="missing" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="6" height="6" fill="#f4f4f4"/><rect width="1.6" height="6" fill="#cccccc"/></pattern></defs>
<rect width="{width}" height="{height}" fill="#ffffff"/>
{}</svg>
"##,
            escaped(title),
            self.body
        )
    }

    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.body.write_fmt(text);
    }
}

/// A length with two decimals at most: a hundredth of a pixel is finer than any print.
pub(super) fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// The width of a text in DejaVu Sans, to some per cent: what layout needs, without the font.
pub(super) fn width(text: &str, size: f64) -> f64 {
    let em = |character: char| match character {
        'i' | 'j' | 'l' | '\'' => 0.28,
        ' ' | '.' | ',' | ':' | ';' | '·' | '|' | '!' => 0.32,
        'f' | 't' | 'r' | '(' | ')' | '/' | '-' | 'I' | '[' | ']' => 0.39,
        'm' | 'w' | 'M' | 'W' | '%' | '@' => 0.95,
        '⁰' | '¹' | '²' | '³' | '⁴'..='⁹' | '⁻' => 0.42,
        '×' | '=' | '+' | '<' | '>' | '≥' | '≤' | '−' | '±' => 0.84,
        'A'..='Z' | '&' => 0.70,
        _ => 0.61,
    };
    text.chars().map(em).sum::<f64>() * size
}

/// Text that is nothing but text to a reader of XML.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            '\n' | '\r' | '\t' => escaped.push(' '),
            // Not allowed in XML in any form.
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_element() {
        assert_eq!(escaped("<b>&\"'\0"), "&lt;b&gt;&amp;&quot;&apos;\u{fffd}");
    }

    #[test]
    fn lengths_are_short_and_never_minus_zero() {
        assert_eq!(number(1.0), "1");
        assert_eq!(number(1.239), "1.24");
        assert_eq!(number(-0.001), "0");
        assert_eq!(number(100.0), "100");
    }
}
