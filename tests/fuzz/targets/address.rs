//! Addresses of databases and coordinators, places, spans and secrets.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| phasegrid_coordinator::fuzzing::address(bytes));
