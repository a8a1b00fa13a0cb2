//! Host memory of a tensor as a slice, so that noise and indices are written in place.

use tch::kind::Element;
use tch::{Device, Tensor};

/// Lends the elements of a contiguous CPU tensor, whose kind is that of `T`, to `f`.
///
/// Other handles to the same storage (`shallow_clone`, views) must not be used inside `f`.
#[expect(
    unsafe_code,
    reason = "torch hands out its memory as a raw pointer only, and a copy a step costs as much as the noise"
)]
pub(crate) fn with_slice_mut<T: Element, R>(tensor: &mut Tensor, f: impl FnOnce(&mut [T]) -> R) -> R {
    assert_eq!(tensor.kind(), T::KIND, "the tensor's kind is that of the slice");
    assert_eq!(tensor.device(), Device::Cpu, "the tensor lies in host memory");
    assert!(tensor.is_contiguous(), "the tensor is contiguous");
    let elements = tensor.numel();
    if elements == 0 {
        return f(&mut []);
    }
    // SAFETY: the pointer is that of a live, initialised, contiguous host buffer of `elements` values of type T, and the
    // handle is borrowed exclusively for as long as the slice lives.
    f(unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast::<T>(), elements) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Kind;

    #[test]
    fn writes_reach_the_tensor() {
        let mut tensor = Tensor::zeros([2, 3], (Kind::Float, Device::Cpu));
        with_slice_mut(&mut tensor, |slice: &mut [f32]| slice[4] = 2.5);
        assert_eq!(tensor.double_value(&[1, 1]), 2.5);
        assert_eq!(tensor.sum(Kind::Float).double_value(&[]), 2.5);
    }

    #[test]
    #[should_panic(expected = "contiguous")]
    fn a_transposed_view_is_refused() {
        let mut tensor = Tensor::zeros([2, 3], (Kind::Float, Device::Cpu)).tr();
        with_slice_mut(&mut tensor, |_: &mut [f32]| ());
    }
}
