//! From values to positions: places along an axis of cells, and continuous scales with their ticks.

use serde_json::Value;

use super::svg::width;
use crate::results::Axis;
use crate::results::format::significant;
use crate::spec::Scale;

/// A tick: where it stands, as a share of the scale or in places of an axis, and what it says.
pub(super) type Tick = (f64, String);

/// A range of values, evenly or logarithmically spaced.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Range {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) log: bool,
    /// Values lie beyond the ends, which are drawn as the ends.
    pub(super) cut: (bool, bool),
}

impl Range {
    /// The range of these values; logarithmic if all are positive and span more than three decades, and cut to the 2nd
    /// to 98th percentile if a few values lie so far out that the rest would look alike.
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (first, last) = (*values.first()?, *values.last()?);
        if first > 0.0 && last / first > 1e3 {
            return Some(Self { low: first, high: last, log: true, cut: (false, false) });
        }
        let at = |share: f64| values[(share * (values.len() - 1) as f64).round() as usize];
        let (low, high) = (at(0.02), at(0.98));
        let bulk = high - low;
        let cut = (bulk > 0.0 && low - first > 2.0 * bulk, bulk > 0.0 && last - high > 2.0 * bulk);
        let range =
            Self { low: if cut.0 { low } else { first }, high: if cut.1 { high } else { last }, log: false, cut };
        Some(if range.high > range.low { range } else { range.widened() })
    }

    /// A single value gets room around it.
    fn widened(self) -> Self {
        let room = if self.low == 0.0 { 1.0 } else { self.low.abs() * 0.1 };
        Self { low: self.low - room, high: self.high + room, ..self }
    }

    /// Room of a share of the range at both ends, for lines that should not touch the frame.
    pub(super) fn padded(self, share: f64) -> Self {
        if self.log {
            let factor = (self.high / self.low).powf(share);
            Self { low: self.low / factor, high: self.high * factor, ..self }
        } else {
            let room = (self.high - self.low) * share;
            Self { low: self.low - room, high: self.high + room, ..self }
        }
    }

    /// Where a value lies between the ends, as a share of the range.
    pub(super) fn share(&self, value: f64) -> f64 {
        let map = |value: f64| if self.log { value.log10() } else { value };
        let (low, high) = (map(self.low), map(self.high));
        ((map(value) - low) / (high - low)).clamp(0.0, 1.0)
    }

    /// Round values within the range, at most about `most`.
    pub(super) fn ticks(&self, most: usize) -> Vec<Tick> {
        let values = if self.log { decades(self.low, self.high, most) } else { evenly(self.low, self.high, most) };
        let labels = labels(&values);
        values.into_iter().map(|value| self.share(value)).zip(labels).collect()
    }
}

/// Multiples of 1, 2 or 5 times a power of ten between `low` and `high`, at most `most`.
fn evenly(low: f64, high: f64, most: usize) -> Vec<f64> {
    let rough = (high - low) / most.max(1) as f64;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|step| *step >= rough).unwrap_or(rough);
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last).map(|multiple| multiple as f64 * step).collect()
}

/// Powers of ten between `low` and `high`, at most `most`; with their multiples by 2 and 5 if there is room.
fn decades(low: f64, high: f64, most: usize) -> Vec<f64> {
    let within = |value: &f64| *value >= low * (1.0 - 1e-9) && *value <= high * (1.0 + 1e-9);
    let exponents = || (low.log10().floor() as i32)..=(high.log10().ceil() as i32);
    let multiples = |set: &'static [f64]| {
        exponents().flat_map(move |e| set.iter().map(move |m| power(*m, e))).filter(within).collect::<Vec<f64>>()
    };
    [&[1.0, 2.0, 5.0][..], &[1.0, 3.0], &[1.0]]
        .into_iter()
        .map(multiples)
        .find(|ticks| ticks.len() <= most)
        .unwrap_or_else(|| {
            let powers = multiples(&[1.0]);
            let stride = powers.len().div_ceil(most.max(1));
            powers.into_iter().step_by(stride).collect()
        })
}

/// m·10^e, rounded once: 1e-3 and not 0.001 times a rounding.
fn power(mantissa: f64, exponent: i32) -> f64 {
    format!("{mantissa}e{exponent}").parse().unwrap_or(mantissa)
}

/// Numbers as people write them, with so many digits that no two look alike.
pub(super) fn labels(values: &[f64]) -> Vec<String> {
    let with = |digits: usize| values.iter().map(|value| pretty(*value, digits)).collect::<Vec<_>>();
    (3..=15).map(with).find(|labels| labels.windows(2).all(|pair| pair[0] != pair[1])).unwrap_or_else(|| with(15))
}

/// A number with so many significant digits: 0.25, 1500, 10⁻⁴, 5·10⁻⁴.
pub(super) fn pretty(value: f64, digits: usize) -> String {
    let (size, zero) = (value.abs(), value == 0.0);
    if zero || (1e-2..1e6).contains(&size) {
        return significant(value, digits).replace('-', "−");
    }
    let text = format!("{value:.*e}", digits.saturating_sub(1));
    let Some((mantissa, exponent)) = text.split_once('e') else { return text };
    let mantissa = match mantissa.contains('.') {
        true => mantissa.trim_end_matches('0').trim_end_matches('.'),
        false => mantissa,
    };
    let raised: String = exponent.chars().map(superscript).collect();
    match mantissa {
        "1" => format!("10{raised}"),
        "-1" => format!("−10{raised}"),
        _ => format!("{}·10{raised}", mantissa.replace('-', "−")),
    }
}

/// A step as short as it gets: 0, 10, 100, 1k, 10k, 1M.
pub(super) fn thousands_short(step: f64) -> String {
    match step {
        step if step >= 1e6 => format!("{}M", significant(step / 1e6, 3)),
        step if step >= 1e3 => format!("{}k", significant(step / 1e3, 3)),
        step => significant(step, 3),
    }
}

fn superscript(character: char) -> char {
    match character {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        '4'..='9' | '0' => char::from_u32('⁰' as u32 + (character as u32 - '0' as u32)).unwrap_or(character),
        _ => character,
    }
}

/// The places of an axis' values, one beside the other, along a length; without an axis there is one place.
#[derive(Clone)]
pub(super) struct Places<'a> {
    axis: Option<&'a Axis>,
}

impl<'a> Places<'a> {
    pub(super) fn new(axis: Option<&'a Axis>) -> Self {
        Self { axis }
    }

    /// How many there are, at least one.
    pub(super) fn count(&self) -> usize {
        self.axis.map_or(1, |axis| axis.values().len().max(1))
    }

    /// The axis' dotted path.
    pub(super) fn path(&self) -> Option<&'a str> {
        self.axis.map(Axis::path)
    }

    /// One label a place.
    pub(super) fn labels(&self) -> Vec<String> {
        let Some(axis) = self.axis else { return vec!["all".to_owned()] };
        match numbers(axis) {
            Some(values) => labels(&values),
            None => axis.values().iter().map(text).collect(),
        }
    }

    /// Labels with their places, thinned until each has `room`, a function of the widest label, on a length.
    ///
    /// Where there is no room for all of them, evenly and logarithmically spaced axes get round numbers, between places
    /// if need be, and others every so many places.
    pub(super) fn ticks(&self, length: f64, room: impl Fn(f64) -> f64) -> Vec<Tick> {
        let labels = self.labels();
        let widest = labels.iter().map(|label| width(label, 1.0)).fold(0.0, f64::max);
        let most = ((length / room(widest)).floor() as usize).max(1);
        if labels.len() <= most {
            return labels.into_iter().enumerate().map(|(place, label)| (place as f64, label)).collect();
        }
        let round = self.axis.and_then(|axis| round_ticks(axis, most)).filter(|ticks| ticks.len() >= 2);
        round.unwrap_or_else(|| {
            let stride = labels.len().div_ceil(most);
            labels.into_iter().enumerate().step_by(stride).map(|(place, label)| (place as f64, label)).collect()
        })
    }
}

/// Round numbers on an evenly or logarithmically spaced axis, at fractional places.
fn round_ticks(axis: &Axis, most: usize) -> Option<Vec<Tick>> {
    let values = numbers(axis)?;
    let (first, last) = (*values.first()?, *values.last()?);
    let log = match axis.scale() {
        Scale::Linear => false,
        Scale::Log if first > 0.0 && last > 0.0 => true,
        Scale::Log | Scale::Categories => return None,
    };
    let range = Range { low: first.min(last), high: first.max(last), log, cut: (false, false) };
    let end = (values.len() - 1) as f64;
    let place = |(share, label): Tick| (if last >= first { share } else { 1.0 - share }, label);
    Some(range.ticks(most).into_iter().map(place).map(|(share, label)| (share * end, label)).collect())
}

/// The axis' values as numbers, if all of them are.
pub(super) fn numbers(axis: &Axis) -> Option<Vec<f64>> {
    axis.values().iter().map(Value::as_f64).collect()
}

fn text(value: &Value) -> String {
    const LONGEST: usize = 18;
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.as_f64().map_or_else(|| number.to_string(), |value| pretty(value, 4)),
        other => other.to_string(),
    };
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_look_as_people_write_them() {
        let cases = [
            (0.0, "0"),
            (0.25, "0.25"),
            (1e-4, "10⁻⁴"),
            (5e-4, "5·10⁻⁴"),
            (-3.0, "−3"),
            (2e7, "2·10⁷"),
            (1500.0, "1500"),
        ];
        for (value, expected) in cases {
            assert_eq!(pretty(value, 3), expected);
        }
        assert_eq!(labels(&[1000.1, 1000.2]), ["1000.1", "1000.2"], "as many digits as tell them apart");
        assert_eq!(labels(&[0.1 + 0.2, 0.4]), ["0.3", "0.4"]);
    }

    #[test]
    fn ticks_are_round_and_within_the_range() {
        let range = Range { low: 3800.0, high: 5100.0, log: false, cut: (false, false) };
        let labels: Vec<_> = range.ticks(6).into_iter().map(|(_, label)| label).collect();
        assert_eq!(labels, ["4000", "4500", "5000"]);
        let range = Range { low: 1e-6, high: 1e-2, log: true, cut: (false, false) };
        let labels: Vec<_> = range.ticks(5).into_iter().map(|(_, label)| label).collect();
        assert_eq!(labels, ["10⁻⁶", "10⁻⁵", "10⁻⁴", "10⁻³", "0.01"]);
    }

    #[test]
    fn few_values_far_out_do_not_hide_the_rest() {
        let range = Range::of((0..99).map(f64::from).chain([1e6])).unwrap();
        assert_eq!((range.low, range.high, range.log, range.cut), (0.0, 97.0, false, (false, true)));
        let range = Range::of([1e-8, 1e-3, 1.0]).unwrap();
        assert!(range.log);
        let range = Range::of([5.0]).unwrap();
        assert!(range.low < 5.0 && range.high > 5.0);
        assert_eq!(Range::of([]), None);
    }

    #[test]
    fn crowded_axes_get_round_numbers_and_crowded_categories_every_so_many() {
        let linear = Axis::new("a", (0..100).map(|i| json!(f64::from(i) / 100.0)).collect(), Scale::Linear);
        let ticks = Places::new(Some(&linear)).ticks(300.0, |width| 10.0 * width + 20.0);
        assert!((2..=7).contains(&ticks.len()), "{ticks:?}");
        assert!(ticks.iter().any(|(place, label)| label == "0.4" && (place - 40.0).abs() < 1e-9), "{ticks:?}");
        let names = Axis::new("b", (0..100).map(|i| json!(format!("n{i}"))).collect(), Scale::Categories);
        let ticks = Places::new(Some(&names)).ticks(300.0, |width| 10.0 * width + 20.0);
        assert_eq!(ticks[0], (0.0, "n0".to_owned()));
        assert!(ticks.len() <= 8);
    }

    #[test]
    fn every_place_is_labelled_where_there_is_room() {
        let axis = Axis::new("a", vec![json!(0), json!(0.1), json!(40)], Scale::Categories);
        let ticks = Places::new(Some(&axis)).ticks(300.0, |width| 10.0 * width);
        assert_eq!(ticks, [(0.0, "0".to_owned()), (1.0, "0.1".to_owned()), (2.0, "40".to_owned())]);
        assert_eq!(Places::new(None).labels(), ["all"]);
    }
}
