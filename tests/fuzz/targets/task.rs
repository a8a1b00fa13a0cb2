//! Configurations of tasks, as JSON.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| phasegrid_coordinator::fuzzing::task(bytes));
