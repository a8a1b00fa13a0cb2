//! How long things take, by the clock and by the processor.

use std::time::Instant;

/// Seconds that something took.
#[derive(Clone, Copy, Debug, PartialEq, serde::Deserialize)]
pub(crate) struct Seconds {
    /// By the clock.
    pub(crate) wall: f64,
    /// Of all the process's threads.
    pub(crate) processor: f64,
}

/// Runs `f` once.
pub(crate) fn time<T>(f: impl FnOnce() -> T) -> (Seconds, T) {
    let (start, processor) = (Instant::now(), of_process());
    let value = f();
    (Seconds { wall: start.elapsed().as_secs_f64(), processor: of_process() - processor }, value)
}

/// Processor time of one call of `f`, in microseconds: the least of several runs, each long against the system's turns.
pub(crate) fn microseconds(mut f: impl FnMut()) -> f64 {
    f(); // warm up
    let mut run = |seconds: f64| {
        let (start, started) = (Instant::now(), of_thread());
        let mut calls = 0;
        while start.elapsed().as_secs_f64() < seconds {
            f();
            calls += 1;
        }
        (of_thread() - started) / f64::from(calls) * 1e6
    };
    (0..5).map(|_| run(0.08)).fold(f64::INFINITY, f64::min)
}

/// Seconds that this thread has run for, as Linux counts them.
fn of_thread() -> f64 {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let nanoseconds: f64 = schedstat.split(' ').next().and_then(|field| field.parse().ok()).expect("three numbers");
    nanoseconds * 1e-9
}

/// Seconds that this process has run for, ended threads included, in steps of a hundredth.
fn of_process() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    // The name, in brackets, may hold spaces; user and system time are the 12th and 13th fields after it.
    let fields = stat.rsplit(')').next().expect("a name in brackets").split_whitespace();
    fields.skip(11).take(2).map(|field| field.parse::<f64>().expect("a number")).sum::<f64>() / 100.0
}
