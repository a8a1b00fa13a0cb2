//! Sweep files, and behind a line `--set` overrides.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| phasegrid_coordinator::fuzzing::sweep_file(bytes));
