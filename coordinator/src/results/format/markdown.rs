//! Markdown, for people: aligned columns, numbers to four significant digits.

use std::io::Write;

use super::WriteError;
use crate::results::table::{Cell, Kind, Table};

pub(super) fn write(table: &Table, out: &mut (dyn Write + Send)) -> Result<(), WriteError> {
    let names: Vec<String> = table.columns.iter().map(|column| escaped(&column.name)).collect();
    let rows: Vec<Vec<String>> = table.rows.iter().map(|row| row.iter().map(text).collect()).collect();
    let widest = |index: usize| rows.iter().map(|row| row[index].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> =
        names.iter().enumerate().map(|(index, name)| widest(index).max(name.chars().count()).max(3)).collect();

    let line = |out: &mut (dyn Write + Send), fields: &[String]| -> std::io::Result<()> {
        for ((field, width), column) in fields.iter().zip(&widths).zip(&table.columns) {
            match column.kind {
                Kind::Text => write!(out, "| {field:<width$} ")?,
                Kind::Integer | Kind::Real => write!(out, "| {field:>width$} ")?,
            }
        }
        writeln!(out, "|")
    };
    line(out, &names)?;
    for (width, column) in widths.iter().zip(&table.columns) {
        match column.kind {
            Kind::Text => write!(out, "|{}", "-".repeat(width + 2))?,
            Kind::Integer | Kind::Real => write!(out, "|{}:", "-".repeat(width + 1))?,
        }
    }
    writeln!(out, "|")?;
    rows.iter().try_for_each(|row| line(out, row))?;
    Ok(())
}

fn text(cell: &Cell) -> String {
    match cell {
        Cell::Missing => String::new(),
        Cell::Text(text) => escaped(text),
        Cell::Integer(value) => value.to_string(),
        Cell::Real(value) => significant(*value, 4),
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace(['\n', '\r'], " ")
}

/// A number to so many significant digits, without trailing zeros, with an exponent only where it is shorter.
pub(crate) fn significant(value: f64, digits: usize) -> String {
    let scientific = format!("{value:.*e}", digits.saturating_sub(1));
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let trimmed = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    match exponent.parse::<i32>() {
        Ok(exponent @ -4..=6) => {
            let rounded: f64 = scientific.parse().unwrap_or(value);
            let decimals = (digits as i32 - 1 - exponent).max(0) as usize;
            trimmed(&format!("{rounded:.decimals$}"))
        }
        _ => format!("{}e{exponent}", trimmed(mantissa)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::awkward;
    use super::*;

    #[test]
    fn numbers_have_four_significant_digits() {
        let cases = [
            (0.0, "0"),
            (1.0, "1"),
            (0.30000000000000004, "0.3"),
            (4334.56, "4335"),
            (123456.7, "123500"),
            (0.00012345, "0.0001234"),
            (1e-6, "1e-6"),
            (-2.5e-8, "-2.5e-8"),
            (1.23456e9, "1.235e9"),
            (9999.96, "10000"),
        ];
        for (value, expected) in cases {
            assert_eq!(significant(value, 4), expected, "{value}");
        }
    }

    #[test]
    fn columns_are_aligned_and_text_cannot_break_out_of_its_field() {
        let mut out = Vec::new();
        write(&awkward(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let expected = "\
|                task | train.weight_decay | error                      |
|--------------------:|-------------------:|----------------------------|
|                   0 |                0.3 | commas, \"quotes\" and lines |
";
        assert_eq!(text.lines().count(), 2 + awkward().rows.len());
        assert_eq!(text.lines().take(3).collect::<Vec<_>>(), expected.lines().collect::<Vec<_>>());
        assert!(text.contains(r"äöü λ̂ \| <b>&"));
    }
}
