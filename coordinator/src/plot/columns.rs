//! The columns of tables of letters, as a terminal shows them.

/// The columns of a terminal that a table may fill.
pub(super) const WIDTH: usize = 100;

/// A letter under the middle of a label that ends at the right of a column.
pub(super) fn under(letter: char, width: usize) -> String {
    format!("{letter:>0$}{1}", width - (width - 1) / 2, " ".repeat((width - 1) / 2))
}

/// A column that is as wide as its label, where all have room right of the margin, or else as a letter.
pub(super) fn column_width(margin: usize, labels: &[String]) -> usize {
    let full = widest(labels) + 1;
    if margin + labels.len() * full <= WIDTH { full } else { 1 }
}

/// The characters of the longest label.
pub(super) fn widest(labels: &[String]) -> usize {
    labels.iter().map(|label| label.chars().count()).max().unwrap_or(0)
}
