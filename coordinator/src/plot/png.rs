//! SVG to PNG, with the font that is built in: the same picture on every machine.

use std::sync::Arc;

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};

use super::PlotError;

/// DejaVu Sans, reduced to the characters of figures; its licence lies beside it.
const FONT: &[u8] = include_bytes!("../../assets/DejaVuSans-subset.ttf");

/// No picture is wider or higher: it would need gigabytes.
const LARGEST: f32 = 16_384.0;

/// Draws a figure at a width in pixels; the height follows.
///
/// # Errors
/// If `svg` is no SVG, or the picture would have no or too many pixels.
pub fn png(svg: &str, width: u32) -> Result<Vec<u8>, PlotError> {
    let tree = parse(svg)?;
    let scale = width as f32 / tree.size().width();
    let height = (tree.size().height() * scale).round();
    let fits = |length: f32| (1.0..=LARGEST).contains(&length);
    let pixmap = if fits(width as f32) && fits(height) { Pixmap::new(width, height as u32) } else { None };
    let mut pixmap = pixmap.ok_or(PlotError::Size { width, height: height as u32 })?;
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixmap.as_mut());
    pixmap.encode_png().map_err(|error| PlotError::Png(error.to_string()))
}

pub(super) fn parse(svg: &str) -> Result<Tree, PlotError> {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(FONT.to_vec());
    let options = Options { font_family: "DejaVu Sans".to_owned(), fontdb: Arc::new(fonts), ..Options::default() };
    Tree::from_str(svg, &options).map_err(|error| PlotError::Png(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_width_is_the_one_asked_for_and_absurd_ones_are_refused() {
        let svg = r#"<svg xmlns="http://www.w3.org/2000/svg" width="20" height="10"><text y="8">λ̂ ≥ ½</text></svg>"#;
        let bytes = png(svg, 40).unwrap();
        let size = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!((&bytes[1..4], size(16), size(20)), (&b"PNG"[..], 40, 20));
        assert!(matches!(png(svg, 0), Err(PlotError::Size { .. })));
        assert!(matches!(png(svg, 1_000_000), Err(PlotError::Size { .. })));
        assert!(matches!(png("<svg", 10), Err(PlotError::Png(_))));
    }

    #[test]
    fn the_built_in_font_has_every_character_of_a_figure() {
        let drawn = |text: &str| {
            let svg = format!(
                r#"<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><text font-family="DejaVu Sans">{text}</text></svg>"#
            );
            let tree = parse(&svg).unwrap();
            tree.root().abs_bounding_box().width()
        };
        for character in "εγβλµ·−×≥≤≈²½±∞…₀⁻⁰¹³⁴⁵⁶⁷⁸⁹äß→".chars() {
            assert!(drawn(&format!("x{character}x")) > drawn("xx"), "{character} is missing");
        }
    }
}
