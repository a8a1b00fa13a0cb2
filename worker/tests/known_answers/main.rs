//! The estimator against exact values: the path that production takes, on potentials and networks whose answer is known.
//!
//! Every case prints a row of a table (`cargo test --release -p phasegrid-worker --test known_answers -- --nocapture`): the
//! learning coefficient, what the sampler should find at its own temperature and step size, the estimate with its own
//! standard error, and z, the difference in standard errors. Seeds are fixed, so that a case that holds once holds always on
//! that kind of machine; on another, sums are rounded otherwise and chains go other ways.
//! What separates an estimate from its learning coefficient besides chance:
//!
//! - temperature: at finite nβ/γ the exact value is another, and potentials and linear networks have it by quadrature;
//! - discretisation: a direction of curvature h contributes ½·1/(1 − ε·(nβ·h+γ)/4) and not ½, known exactly for quadratics.
//!
//! Each case says how large these are where its expectation leaves them out.
#![expect(clippy::unwrap_used, reason = "the lint spares tests, but not the functions that tests share")]

mod case;
mod crossings;
mod deep_linear;
mod potentials;
mod strata;
mod teachers;
