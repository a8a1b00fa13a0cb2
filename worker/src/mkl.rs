//! Lets MKL, the matrix library inside libtorch, use AVX-512 on processors that are not Intel's.
//!
//! MKL asks a function of its own who made the processor before it asks what the processor can do, and falls back to
//! AVX2 elsewhere. libtorch calls it through the dynamic linker, which finds the one defined here first as long as the
//! program exports it (see the build script). What the processor can do is still asked afterwards. On one AMD Zen 5 core
//! this doubles the speed of a matrix product.

/// "Is this an Intel processor?" Yes.
#[expect(unsafe_code, reason = "the name is MKL's: defining it is the only switch there is")]
#[unsafe(no_mangle)]
extern "C" fn mkl_serv_intel_cpu_true() -> i32 {
    1
}
