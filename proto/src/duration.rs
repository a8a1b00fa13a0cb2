//! Spans of time as people write them in settings and flags.

use std::time::Duration;

/// What [`parse`] takes, for whoever wrote something else.
pub const DURATIONS: &str = "up to 365 days as in \"500ms\", \"30s\", \"2m\", \"1h\", \"30d\" or a number of seconds";

/// Moments that lie further ahead can be no moments at all.
pub const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// Reads a duration: a number with a unit (`ms`, `s`, `m`, `h`, `d`), or seconds; from zero to [`LONGEST`].
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[number.len()..] {
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    let seconds: f64 = number.parse().ok()?;
    Duration::try_from_secs_f64(seconds * unit).ok().filter(|duration| *duration <= LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_numbers_with_a_unit_or_seconds() {
        for (text, milliseconds) in
            [("500ms", 500), ("1.5s", 1500), ("2m", 120_000), ("1h", 3_600_000), ("7", 7000), ("0", 0)]
        {
            assert_eq!(parse(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        assert_eq!((parse("8760h"), parse("365d")), (Some(LONGEST), Some(LONGEST)));
        for text in ["", "s", "-1s", "nan", "inf", "1 s", "10 parsecs", "1e300h", "8760.1h"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
