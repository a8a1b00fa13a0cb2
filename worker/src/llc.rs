//! llc
