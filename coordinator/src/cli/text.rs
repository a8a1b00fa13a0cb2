//! Quantities in the words of a person.

use std::time::Duration;

/// A span to two significant units at most: "45 s", "3 min", "2 h 10 min", "3 days".
pub(super) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    let minutes = (seconds / 60.0).round() as u64;
    match seconds {
        ..1.0 => "less than 1 s".to_owned(),
        ..100.0 => format!("{seconds:.0} s"),
        ..6_000.0 => format!("{minutes} min"),
        ..172_800.0 => format!("{} h {} min", minutes / 60, minutes % 60),
        ..31_557_600.0 => format!("{:.1} days", seconds / 86_400.0),
        _ => format!("{} years", metric(seconds / 31_557_600.0).trim_end()),
    }
}

/// A number of something with a metric prefix: "1.23 G", "512 k", "7 ".
pub(super) fn metric(value: f64) -> String {
    let prefixes = ["", "k", "M", "G", "T", "P", "E", "Z", "Y"];
    let power = if value >= 1.0 { (value.log10() / 3.0) as usize } else { 0 }.min(prefixes.len() - 1);
    let scaled = value / 1000_f64.powi(power as i32);
    let digits = if power == 0 || scaled >= 100.0 { 0 } else { 2 - scaled.log10() as usize };
    format!("{scaled:.digits$} {}", prefixes[power])
}

/// "1 point", "2 points".
pub(super) fn counted(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_as_precise_as_a_person_wants_them() {
        let cases = [
            (0.2, "less than 1 s"),
            (45.4, "45 s"),
            (200.0, "3 min"),
            (7800.0, "2 h 10 min"),
            (260_000.0, "3.0 days"),
            (25_296_000_000.0, "802 years"),
        ];
        for (seconds, text) in cases {
            assert_eq!(span(Duration::from_secs_f64(seconds)), text);
        }
    }

    #[test]
    fn metric_numbers_have_three_digits() {
        let cases = [
            (7.0, "7 "),
            (1234.0, "1.23 k"),
            (51_200.0, "51.2 k"),
            (999e9, "999 G"),
            (2.5e30, "2500000 Y"),
            (0.0, "0 "),
        ];
        for (value, text) in cases {
            assert_eq!(metric(value), text);
        }
    }
}
