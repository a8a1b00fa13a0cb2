//! What is wrong with a configuration, in the words of its author.

use std::fmt;

/// One thing that is wrong: the key's full path and a sentence that says what would be accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The dotted path in the sweep file, such as `task.model.width`.
    pub path: String,
    /// What is wrong and what is accepted; lower case, no full stop.
    pub message: String,
}

impl Problem {
    /// A problem at `path`.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }

    /// A value that the key at `path` does not take.
    pub fn refused(path: impl Into<String>, value: &(impl serde::Serialize + ?Sized), accepted: &str) -> Self {
        Self::new(path, format!("{} is not accepted; accepted: {accepted}", show(value)))
    }

    /// A key that nobody knows, at `path`; `accepted` are the keys that may stand in its place.
    pub fn unknown<'a>(path: impl Into<String>, key: &str, accepted: impl IntoIterator<Item = &'a str>) -> Self {
        let accepted: Vec<_> = accepted.into_iter().collect();
        let hint = nearest(key, &accepted).map(|near| format!(", did you mean {near}?")).unwrap_or_default();
        Self::new(path, format!("unknown key{hint}; accepted: {}", accepted.join(", ")))
    }

    /// What serde refused, below `root`.
    pub fn from_serde<E: fmt::Display>(root: &str, error: &serde_path_to_error::Error<E>) -> Self {
        let inner = error.path().to_string();
        let path = match (root, inner.as_str()) {
            (root, "." | "?") => root.to_owned(),
            ("", inner) => inner.to_owned(),
            (root, inner) => format!("{root}.{inner}"),
        };
        // serde_json adds its own position, which is that of the JSON and not of the file.
        let message = error.inner().to_string();
        let message = message.split(" at line ").next().unwrap_or_default().to_owned();
        Self { path, message }
    }

    /// Notes a problem unless `holds`.
    pub(super) fn unless(problems: &mut Vec<Self>, holds: bool, path: &str, message: impl FnOnce() -> String) {
        if !holds {
            problems.push(Self::new(path, message()));
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// A value as its author would recognise it, cut where it is long.
fn show(value: &(impl serde::Serialize + ?Sized)) -> String {
    const LONGEST: usize = 60;
    let text = serde_json::to_string(value).unwrap_or_else(|_| "this value".to_owned());
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// The candidate that `word` most likely was meant to be: within a third of its letters.
pub fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let best = candidates.iter().min_by_key(|candidate| edits(word, candidate))?;
    (edits(word, best) <= word.chars().count() / 3).then_some(*best)
}

/// Letters to insert, remove, replace or swap with their neighbour to turn one word into the other.
fn edits(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    // rows[i][j] is the number of edits from the first i letters to the first j.
    let mut rows: Vec<Vec<usize>> = vec![(0..=to.len()).collect()];
    for i in 1..=from.len() {
        let mut row = vec![i];
        for j in 1..=to.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let mut least = replaced.min(row[j - 1] + 1).min(rows[i - 1][j] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn slips_of_the_pen_are_recognised_and_other_words_are_not() {
        let keys = ["width", "widths", "rank", "x"];
        for (word, meant) in
            [("wdth", Some("width")), ("widht", Some("width")), ("rnak", Some("rank")), ("z", None), ("depth", None)]
        {
            assert_eq!(nearest(word, &keys), meant, "{word}");
        }
    }
}
