//! A calibration as text: a letter for each setting, a map for each γ; and below, the LLC at the γ that is chosen.

use super::super::columns::{WIDTH, column_width, under, widest};
use super::super::palette;
use super::super::scale::pretty;
use super::{Calibration, step_size_name};
use crate::calibration::{Level, Node, Verdict, short};

/// The mark of the setting that is chosen.
const CHOSEN: char = '@';

/// Draws the maps; `colour` sets each letter on a colour, by ANSI escapes.
#[must_use]
pub fn calibration_text(calibration: &Calibration<'_>, colour: bool) -> String {
    let sheet = Sheet::new(calibration, colour);
    let localizations = labels(&calibration.grid.localizations);
    let mut text = String::new();
    for (localization, label) in localizations.iter().enumerate() {
        text += &format!("localization {label}\n");
        text += &sheet.table(sheet.narrow(), |node| sheet.mark(Node { localization, ..node }));
        text.push('\n');
    }
    text += &format!("{}\n", sheet.legend());
    let shown = calibration.choice.map_or(localizations.len() / 2, |choice| choice.node.localization);
    let cells = |site: usize| move |node: Node| (site, Node { localization: shown, ..node });
    let longest = calibration.grid.nodes().map(|node| {
        let lengths = (0..calibration.sites.len()).map(|site| sheet.value(cells(site)(node)).chars().count());
        lengths.max().unwrap_or(0)
    });
    let width = longest.max().unwrap_or(0).max(sheet.narrow() - 1) + 1;
    if sheet.margin() + calibration.grid.step_sizes.len() * width > WIDTH {
        return text;
    }
    text += &format!(
        "\nLLC at localization {}; = on the plateau, [chosen], and letters where the estimate is not healthy\n",
        localizations[shown]
    );
    for (site, name) in calibration.sites.iter().enumerate() {
        let value = |node: Node| format!("{:>width$}", sheet.value(cells(site)(node)));
        text += &format!("{name}\n{}", sheet.table(width, value));
    }
    text
}

struct Sheet<'a> {
    calibration: &'a Calibration<'a>,
    colour: bool,
    step_sizes: Vec<String>,
    nbetas: Vec<String>,
}

impl<'a> Sheet<'a> {
    fn new(calibration: &'a Calibration<'a>, colour: bool) -> Self {
        let (step_sizes, nbetas) = (labels(&calibration.grid.step_sizes), labels(&calibration.grid.nbetas));
        Self { calibration, colour, step_sizes, nbetas }
    }

    /// The room left of the first column.
    fn margin(&self) -> usize {
        widest(&self.nbetas).max("nbeta".len()) + 1
    }

    /// A column that is as wide as its label, where all have room, or else as a letter.
    fn narrow(&self) -> usize {
        column_width(self.margin(), &self.step_sizes)
    }

    /// The cells over nβ, the largest on top, and ε.
    fn table(&self, width: usize, cell: impl Fn(Node) -> String) -> String {
        let margin = self.margin() - 1;
        let mut text = String::new();
        for (nbeta, label) in self.nbetas.iter().enumerate().rev() {
            let nodes = (0..self.step_sizes.len()).map(|step_size| Node { step_size, localization: 0, nbeta });
            let line = format!("{label:>margin$} {}", nodes.map(&cell).collect::<String>());
            text += &format!("{}\n", line.trim_end());
        }
        let (first, last) = (self.step_sizes.first(), self.step_sizes.last());
        let (first, last) = (first.map_or("", String::as_str), last.map_or("", String::as_str));
        let labels = match width {
            1 => format!(" {first} to {last}"),
            _ => self.step_sizes.iter().map(|label| format!("{label:>width$}")).collect(),
        };
        text + &format!("{:>margin$} {labels}  {}\n", "nbeta", step_size_name(self.calibration.grid))
    }

    /// The letter of a setting, under the middle of a label that ends at the right.
    fn mark(&self, node: Node) -> String {
        let verdict = self.calibration.map.verdict(node);
        let letter = if self.calibration.is_chosen(node) { CHOSEN } else { letter(verdict) };
        let text = under(letter, self.narrow());
        if self.colour { palette::painted(&text, palette::verdict(verdict)) } else { text }
    }

    /// The LLC of a setting at a site, or what is wrong with it.
    fn value(&self, (site, node): (usize, Node)) -> String {
        let index = self.calibration.grid.index(node);
        let llc = self.calibration.estimates.rows[site][index].llc.map(|llc| pretty(llc, 4));
        match (self.calibration.fault(site, node), llc) {
            (Some(fault), _) => letter(fault).to_string(),
            (None, None) => "·".to_owned(),
            (None, Some(llc)) if self.calibration.is_chosen(node) => format!("[{llc}]"),
            (None, Some(llc)) if self.calibration.map.verdict(node) == Verdict::Plateau => format!("{llc}="),
            (None, Some(llc)) => llc,
        }
    }

    /// The letters that are there, with their meaning and number.
    fn legend(&self) -> String {
        let Calibration { grid, map, choice, .. } = self.calibration;
        let sites = map.sites().len();
        let entry = |verdict: &Verdict| {
            let count = grid.nodes().filter(|node| map.verdict(*node) == *verdict).count();
            (count > 0).then(|| format!("{} {} {count}", letter(*verdict), verdict.name()))
        };
        let chosen = choice.map(|_| format!("{CHOSEN} chosen"));
        let entries: Vec<String> = chosen.into_iter().chain(Verdict::ALL.iter().filter_map(entry)).collect();
        let worst = if sites > 1 { format!("  (the worst of {sites} sites)") } else { String::new() };
        format!("{}{worst}", entries.join("  "))
    }
}

/// The values of an axis as in a sweep file.
fn labels(levels: &[Level]) -> Vec<String> {
    levels.iter().map(|level| short(level.number)).collect()
}

fn letter(verdict: Verdict) -> char {
    match verdict {
        Verdict::Plateau => '=',
        Verdict::Alone => 'a',
        Verdict::Noisy => 'n',
        Verdict::Steep => 's',
        Verdict::Negative => '-',
        Verdict::Drifting => 'r',
        Verdict::NotMixed => 'm',
        Verdict::NotLocal => 'l',
        Verdict::Unstable => 'u',
        Verdict::Diverged => 'd',
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::example;
    use super::*;

    #[test]
    fn letters_stand_over_their_step_sizes_and_values_follow() {
        let expected = "\
localization 5
   30   m    m    =    =    s    d
   10   m    @    =    =    s    d
nbeta  1e-5 1e-4 1e-3 0.01  0.1    1  step_size

@ chosen  = plateau 5  s steep 2  m not_mixed 3  d diverged 2

LLC at localization 5; = on the plateau, [chosen], and letters where the estimate is not healthy
point 0, step 0
   30      m     m 4.03= 4.04=    12     d
   10      m [4.1] 4.11= 4.12=    20     d
nbeta   1e-5  1e-4  1e-3  0.01   0.1     1  step_size
";
        example(|calibration| assert_eq!(calibration_text(calibration, false), expected));
    }

    #[test]
    fn colours_are_there_only_if_asked_for() {
        example(|calibration| {
            assert!(!calibration_text(calibration, false).contains('\x1b'));
            assert!(calibration_text(calibration, true).contains("\x1b[30;48;5;"));
        });
    }
}
