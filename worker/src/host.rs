//! Loops over tensors in host memory, where torch would need a pass for each operation.
//!
//! [`slice`] and [`slice_mut`] lend a tensor's memory; [`widest!`] compiles a loop for several instruction sets and picks
//! one at run time. Rust fuses a product with an addition only where `mul_add` is written, so that all give the same bits.

use tch::kind::Element;
use tch::{Device, Kind, Tensor};

/// The elements of any tensor, row by row, as numbers of this kind.
#[must_use]
pub fn values<T: Element>(tensor: &Tensor) -> Vec<T> {
    slice(&tensor.to_device(Device::Cpu).to_kind(T::KIND).contiguous()).to_vec()
}

/// Whether loops over [`slice`]s apply: single precision in host memory, which is what a worker without accelerator
/// computes with.
pub(crate) fn applies(tensor: &Tensor) -> bool {
    tensor.device() == Device::Cpu && tensor.kind() == Kind::Float
}

/// The elements of a contiguous CPU tensor, whose kind is that of `T`.
///
/// Other handles to the same storage (`shallow_clone`, views) must not be written to while the slice lives.
#[expect(
    unsafe_code,
    reason = "torch hands out its memory as a raw pointer only, and a copy would cost as much as the loop"
)]
pub(crate) fn slice<T: Element>(tensor: &Tensor) -> &[T] {
    let Some(elements) = elements::<T>(tensor) else { return &[] };
    // SAFETY: the pointer is that of a live, initialised, contiguous host buffer of `elements` values of type T, and the
    // handle is borrowed for as long as the slice lives.
    unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast::<T>(), elements) }
}

/// [`slice`], to be written to; no other handle to the same storage may be used while it lives.
#[expect(unsafe_code, reason = "as for `slice`")]
pub(crate) fn slice_mut<T: Element>(tensor: &mut Tensor) -> &mut [T] {
    let Some(elements) = elements::<T>(tensor) else { return &mut [] };
    // SAFETY: as for `slice`, and the handle is borrowed exclusively.
    unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast::<T>(), elements) }
}

/// The number of elements if there are any, of a tensor that is what [`slice`] asks for.
fn elements<T: Element>(tensor: &Tensor) -> Option<usize> {
    assert_eq!(tensor.kind(), T::KIND, "the tensor's kind is that of the slice");
    assert_eq!(tensor.device(), Device::Cpu, "the tensor lies in host memory");
    assert!(tensor.is_contiguous(), "the tensor is contiguous");
    // An empty tensor may have no buffer at all.
    Some(tensor.numel()).filter(|elements| *elements > 0)
}

/// A function whose body runs in the widest vector instructions that the processor has.
///
/// Functions that the body calls take part if they are `#[inline(always)]`.
macro_rules! widest {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) $body:block) => {
        $(#[$meta])*
        #[cfg_attr(
            target_arch = "x86_64",
            expect(unsafe_code, reason = "a build for all x86-64 processors must ask at run time for vector instructions")
        )]
        $vis fn $name($($arg: $type),*) {
            #[inline(always)]
            fn plain($($arg: $type),*) $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,fma")]
                fn avx512($($arg: $type),*) {
                    plain($($arg),*);
                }
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $type),*) {
                    plain($($arg),*);
                }
                let fused = is_x86_feature_detected!("fma");
                if fused
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                {
                    // SAFETY: the processor has just said that it has these instructions.
                    return unsafe { avx512($($arg),*) };
                }
                if fused && is_x86_feature_detected!("avx2") {
                    // SAFETY: as above.
                    return unsafe { avx2($($arg),*) };
                }
            }
            plain($($arg),*);
        }
    };
}
pub(crate) use widest;

/// A row-major matrix in a slice, or its transpose.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
    /// Steps in `values` from row to row and from column to column.
    strides: (usize, usize),
}

impl<'a> Matrix<'a> {
    /// The matrix with these rows, one after the other, each of `columns` numbers.
    ///
    /// # Panics
    /// If `columns` is 0, or the values are no whole number of rows.
    #[must_use]
    pub fn new(values: &'a [f32], columns: usize) -> Self {
        assert!(columns > 0, "a matrix has columns");
        let rows = values.len() / columns;
        assert_eq!(values.len(), rows * columns, "whole rows");
        Self { values, rows, columns, strides: (columns, 1) }
    }

    /// Rows and columns exchanged.
    #[must_use]
    pub fn transposed(self) -> Self {
        let (row, column) = self.strides;
        Self { rows: self.columns, columns: self.rows, strides: (column, row), ..self }
    }
}

/// out = keep·out + a·b, with keep 0 or 1, for `a` [I, J], `b` [J, K] and `out` [I, K], which is row-major. Without `keep` it
/// does not matter what `out` holds.
///
/// The kernels of the `gemm` crates are as fast as libtorch's, and a call has no tensors to make: that counts for networks
/// whose step takes microseconds. On one kind of machine the result depends on the numbers alone, and not on where they lie in
/// memory; on another, whose caches or vectors are of other sizes, sums may be taken in another order.
///
/// # Panics
/// If the matrices do not fit, or `out` has no room for just their product.
#[expect(unsafe_code, reason = "the crate takes pointers; the matrices here are checked slices")]
pub fn multiply(out: &mut [f32], keep: bool, a: Matrix, b: Matrix) {
    assert_eq!(a.columns, b.rows, "matrices that fit");
    assert_eq!(out.len(), a.rows * b.columns, "room for the product");
    let stride = |steps: usize| steps as isize;
    let gemm = gemm_f32::gemm::f32::get_gemm_fn();
    // SAFETY: each pointer comes with the extents and strides of the slice that it points into, asserted here and when the
    // matrices were made; `out` is borrowed exclusively and overlaps neither factor.
    unsafe {
        // Kernels store columns: outᵀ = bᵀ·aᵀ has the columns that `out` has as rows.
        gemm(
            b.columns,
            a.rows,
            a.columns,
            out.as_mut_ptr(),
            stride(b.columns),
            1,
            keep,
            b.values.as_ptr(),
            stride(b.strides.0),
            stride(b.strides.1),
            a.values.as_ptr(),
            stride(a.strides.0),
            stride(a.strides.1),
            1.0,
            1.0,
            false,
            false,
            false,
            gemm_common::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_reach_the_tensor() {
        let mut tensor = Tensor::zeros([2, 3], (Kind::Float, Device::Cpu));
        slice_mut::<f32>(&mut tensor)[4] = 2.5;
        assert_eq!(tensor.double_value(&[1, 1]), 2.5);
        assert_eq!(slice::<f32>(&tensor), [0.0, 0.0, 0.0, 0.0, 2.5, 0.0]);
        assert!(slice::<f32>(&tensor.narrow(0, 0, 0)).is_empty());
    }

    #[test]
    #[should_panic(expected = "contiguous")]
    fn a_transposed_view_is_refused() {
        slice::<f32>(&Tensor::zeros([2, 3], (Kind::Float, Device::Cpu)).tr());
    }

    #[test]
    fn products_are_those_of_the_definition() {
        let numbers = |n: usize| (0..n).map(|i| (i % 7) as f32 - 3.0).collect::<Vec<_>>();
        for (i, j, k) in [(1, 1, 1), (3, 4, 5), (17, 40, 33)] {
            let (a, b) = (numbers(i * j), numbers(j * k));
            let expected: Vec<f32> =
                (0..i * k).map(|at| (0..j).map(|l| a[at / k * j + l] * b[l * k + at % k]).sum()).collect();
            // Small integers: every sum is exact.
            let mut out = vec![f32::NAN; i * k];
            multiply(&mut out, false, Matrix::new(&a, j), Matrix::new(&b, k));
            assert_eq!(out, expected);
            // (bᵀ·aᵀ)ᵀ, on top of what is there.
            let mut out = vec![1.0; i * k];
            multiply(&mut out, true, Matrix::new(&b, k).transposed(), Matrix::new(&a, j).transposed());
            assert!(out.iter().enumerate().all(|(at, value)| *value == 1.0 + expected[at % i * k + at / i]));
        }
    }

    widest! {
        fn double(values: &mut [f32]) {
            for value in values {
                *value *= 2.0;
            }
        }
    }

    #[test]
    fn a_widest_function_does_what_its_body_says() {
        let mut values: Vec<f32> = (0..100u8).map(f32::from).collect();
        double(&mut values);
        assert!(values.iter().enumerate().all(|(i, value)| *value == 2.0 * i as f32));
    }
}
