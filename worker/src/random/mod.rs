//! All chance in the numerics: named streams derived from a task's seed.
//!
//! A stream is named by the seed, what it is for ("split", "labels", "init", "batches", "chain") and indices. Nothing else
//! decides its numbers, not the processor's instruction set either; and so the results of a task depend neither on the
//! ensemble that it runs in nor on threads. What is computed of the numbers is rounded as the machine does it: products are
//! fused with additions, and sums taken in an order, that suit its vectors and caches.

mod normals;
mod stream;
mod subsets;

pub use normals::Normals;
pub use stream::Stream;
pub use subsets::Subsets;

/// Fills `state` with bits that look independent for any two different names.
fn derive(seed: u64, name: &str, indices: &[u64], state: &mut [u8]) {
    let mut hasher = blake3::Hasher::new_derive_key("phasegrid 2026 random stream");
    hasher.update(&seed.to_le_bytes());
    // The length keeps ("a", [b, …]) apart from names that end in the bytes of b.
    hasher.update(&(name.len() as u64).to_le_bytes());
    hasher.update(name.as_bytes());
    for index in indices {
        hasher.update(&index.to_le_bytes());
    }
    hasher.finalize_xof().fill(state);
}
