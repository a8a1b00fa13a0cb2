//! What a coordinator counts for those who watch it from outside, as a page in the text format of Prometheus.
//!
//! Commits and requests are counted as they happen; sweeps, points, leases and workers are counted when the page is
//! asked for, from a [`Census`].

mod metered;
mod process;

use std::fmt::Write as _;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tonic::Code;

pub use metered::Metered;

use crate::scheduler::{Census, SweepState};

/// What a page of metrics says of itself.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds of the commit histogram, in seconds: a fast disk syncs in 100 µs, one in trouble takes seconds.
const COMMIT_SECONDS: [f64; 12] = [1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 0.1, 0.5, 2.0, 10.0];

/// A label with its value.
type Labels<const N: usize> = [(&'static str, &'static str); N];

/// All metrics.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    commits: Histogram,
    writes: Counter,
    requests: Family<Labels<2>, Counter>,
    sweeps: Family<Labels<1>, Gauge>,
    points: Family<Labels<1>, Gauge>,
    leases: Gauge,
    workers: Gauge,
    memory: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Nothing counted yet.
    #[must_use]
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            commits: Histogram::new(COMMIT_SECONDS),
            writes: Counter::default(),
            requests: Family::default(),
            sweeps: Family::default(),
            points: Family::default(),
            leases: Gauge::default(),
            workers: Gauge::default(),
            memory: Gauge::default(),
        };
        let registry = &mut metrics.registry;
        registry.register("phasegrid_sweeps", "Sweeps by state", metrics.sweeps.clone());
        registry.register(
            "phasegrid_points",
            "Points of all sweeps by state; shards where points are split",
            metrics.points.clone(),
        );
        registry.register("phasegrid_leases", "Leases that are alive", metrics.leases.clone());
        registry.register("phasegrid_workers", "Workers heard of lately", metrics.workers.clone());
        registry.register("phasegrid_commit_seconds", "Time that a durable commit took", metrics.commits.clone());
        registry.register("phasegrid_writes", "Writes that commits carried", metrics.writes.clone());
        registry.register("phasegrid_requests", "Calls that ended, by method and gRPC code", metrics.requests.clone());
        registry.register("process_resident_memory_bytes", "Resident memory size in bytes", metrics.memory.clone());
        metrics
    }

    /// A commit of so many writes became durable.
    pub fn on_commit(&self, writes: usize, took: Duration) {
        self.commits.observe(took.as_secs_f64());
        self.writes.inc_by(writes as u64);
    }

    /// A call of a method ended with a code.
    pub fn on_request(&self, method: &'static str, code: Code) {
        self.requests.get_or_create(&[("method", method), ("code", code_name(code))]).inc();
    }

    /// The page.
    #[must_use]
    pub fn page(&self, census: &Census) -> String {
        for state in [SweepState::Running, SweepState::Paused, SweepState::Completed, SweepState::Cancelled] {
            let count = census.sweeps.iter().find(|(of, _)| *of == state).map_or(0, |(_, count)| *count);
            self.sweeps.get_or_create(&[("state", state_name(state))]).set(gauge(count));
        }
        let Census { finished, failed, leased, pending, .. } = *census;
        for (state, count) in [("finished", finished), ("failed", failed), ("leased", leased), ("pending", pending)] {
            self.points.get_or_create(&[("state", state)]).set(gauge(count));
        }
        self.leases.set(gauge(census.leases));
        self.workers.set(gauge(census.workers));
        if let Some(bytes) = process::resident_memory() {
            self.memory.set(gauge(bytes));
        }
        let mut page = String::new();
        if let Err(error) = encode(&mut page, &self.registry) {
            let _ = write!(page, "# {error}");
        }
        page
    }
}

fn gauge(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn state_name(state: SweepState) -> &'static str {
    match state {
        SweepState::Running => "running",
        SweepState::Paused => "paused",
        SweepState::Completed => "completed",
        SweepState::Cancelled => "cancelled",
    }
}

/// A code as gRPC's own documents write it.
fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_what_was_counted() {
        let metrics = Metrics::new();
        metrics.on_commit(3, Duration::from_millis(2));
        metrics.on_request("/phasegrid.v1.SweepService/GetSweep", Code::NotFound);
        let sweeps = vec![(SweepState::Running, 2)];
        let census = Census { sweeps, finished: 5, failed: 1, leased: 4, pending: 90, leases: 2, workers: 1 };
        let page = metrics.page(&census);
        for line in [
            "phasegrid_sweeps{state=\"running\"} 2",
            "phasegrid_sweeps{state=\"cancelled\"} 0",
            "phasegrid_points{state=\"finished\"} 5",
            "phasegrid_points{state=\"pending\"} 90",
            "phasegrid_leases 2",
            "phasegrid_workers 1",
            "phasegrid_commit_seconds_count 1",
            "phasegrid_commit_seconds_bucket{le=\"0.001\"} 0",
            "phasegrid_commit_seconds_bucket{le=\"0.0025\"} 1",
            "phasegrid_writes_total 3",
            "phasegrid_requests_total{method=\"/phasegrid.v1.SweepService/GetSweep\",code=\"NOT_FOUND\"} 1",
            "# EOF",
        ] {
            assert!(page.lines().any(|found| found == line), "{line} is missing in\n{page}");
        }
        let memory = page.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
        assert!(memory.unwrap().parse::<u64>().unwrap() > 1 << 20, "a process has some memory");
    }
}
