//! What a person sees of a sweep under way: a bar on a terminal, else a line every few seconds, on stderr.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use phasegrid_proto::v1;

use crate::clock;

use super::output::talk;
use super::text::{counted, span};

/// The time between two lines where there is no terminal.
const INTERVAL: Duration = Duration::from_secs(5);

/// Shows progress until it is dropped.
pub(super) enum View {
    Bar(ProgressBar),
    Lines(Lines),
}

/// Where there is no terminal.
pub(super) struct Lines {
    /// When the last line was written, or the view begun.
    written: Instant,
    /// Whether a line has told of a point that ended.
    news: bool,
    latest: Option<v1::Progress>,
}

impl View {
    pub(super) fn new() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self::Lines(Lines { written: clock::instant(), news: false, latest: None });
        }
        let bar = ProgressBar::with_draw_target(Some(1000), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {percent:>3}%  {wide_msg}") {
            bar.set_style(style);
        }
        Self::Bar(bar)
    }

    /// Shows where the sweep is.
    pub(super) fn show(&mut self, progress: &v1::Progress) {
        match self {
            Self::Bar(bar) => {
                bar.set_position((progress.work_done * 1000.0) as u64);
                bar.set_message(summary(progress));
            }
            Self::Lines(lines) => {
                lines.latest = Some(*progress);
                // The first point that ends is news, however early.
                if !lines.news && progress.finished + progress.failed > 0 {
                    lines.news = true;
                    lines.write();
                }
            }
        }
    }

    /// Shows again where the sweep is, if it is time.
    pub(super) fn on_tick(&mut self) {
        match self {
            Self::Lines(lines) if clock::instant() - lines.written >= INTERVAL => lines.write(),
            Self::Lines(_) | Self::Bar(_) => {}
        }
    }

    /// Says something in between.
    pub(super) fn say(&self, line: &str) {
        match self {
            Self::Bar(bar) => bar.suspend(|| talk(line)),
            Self::Lines(_) => talk(line),
        }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

impl Lines {
    fn write(&mut self) {
        self.written = clock::instant();
        if let Some(progress) = &self.latest {
            talk(&format!("{:.0}% of the work: {}", progress.work_done * 100.0, summary(progress)));
        }
    }
}

/// Says every second that it is time to look whether to show something.
pub(super) fn ticks() -> tokio::time::Interval {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    ticks
}

/// What a sweep's progress counts: shards, where points are split.
pub(super) fn unit(progress: &v1::Progress) -> &'static str {
    if progress.shards > 1 { "shard" } else { "point" }
}

/// A sweep's progress in one line.
pub(super) fn summary(progress: &v1::Progress) -> String {
    // Points go without saying.
    let shards = if progress.shards > 1 { " shards" } else { "" };
    let mut parts = vec![format!("{}/{}{shards} finished", progress.finished, progress.size)];
    if progress.failed > 0 {
        parts.push(format!("{} failed", progress.failed));
    }
    if progress.finished + progress.failed < progress.size {
        parts.push(match progress.workers {
            0 => "no workers".to_owned(),
            workers => counted(workers.into(), "worker"),
        });
        if let Some(left) = progress.remaining.and_then(|remaining| Duration::try_from(remaining).ok()) {
            parts.push(format!("about {} left", span(left)));
        }
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_says_what_is_done_what_failed_who_works_and_how_long_it_takes() {
        let mut progress = v1::Progress { size: 216, finished: 12, pending: 204, ..Default::default() };
        assert_eq!(summary(&progress), "12/216 finished, no workers");
        progress =
            v1::Progress { failed: 1, workers: 2, remaining: Duration::from_secs(180).try_into().ok(), ..progress };
        assert_eq!(summary(&progress), "12/216 finished, 1 failed, 2 workers, about 3 min left");
    }

    #[test]
    fn a_summary_of_a_split_sweep_says_that_it_counts_shards() {
        let progress = v1::Progress { size: 8, finished: 3, failed: 5, shards: 4, ..Default::default() };
        assert_eq!((summary(&progress).as_str(), unit(&progress)), ("3/8 shards finished, 5 failed", "shard"));
    }

    #[test]
    fn nothing_is_left_of_a_sweep_that_has_ended() {
        let progress = v1::Progress { size: 3, finished: 2, failed: 1, workers: 1, ..Default::default() };
        assert_eq!(summary(&progress), "2/3 finished, 1 failed");
    }
}
