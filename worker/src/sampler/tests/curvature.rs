//! The greatest curvature of a quadratic is the largest of its coefficients.

use super::super::curvature::Curvature;
use super::*;
use crate::random::Normals;

/// What so many iterations find at a point of members with this loss and gradient.
fn find_at<F>(of: F, weights: &Tensor, moving: Option<Range<usize>>, iterations: usize) -> Vec<Curvature>
where
    F: Fn(&Tensor, Option<&Tensor>) -> (Tensor, Tensor),
{
    let [members, dimension] = [0, 1].map(|side| weights.size()[side] as usize);
    let mut normals: Vec<_> = (0..members).map(|_| Normals::derive(0, "curvature", &[])).collect();
    let objective = Potential { members, dimension, of };
    let moving = moving.unwrap_or(0..dimension);
    let courses = power_iterations(&objective, weights, &mut normals, &moving, iterations, &|| false);
    courses.unwrap().iter().map(|course| course.after(iterations)).collect()
}

fn find(curvatures: &[&[f64]], moving: Option<Range<usize>>, iterations: usize) -> Vec<Option<f64>> {
    let (members, dimension) = (curvatures.len() as i64, curvatures[0].len() as i64);
    let all = Tensor::from_slice(&curvatures.concat()).view([members, dimension]);
    let of = |weights: &Tensor, _: Option<&Tensor>| {
        ((weights.square() * &all).sum_dim_intlist(1, false, None) * 0.5, weights * &all)
    };
    let weights = Tensor::ones([members, dimension], (Kind::Double, Device::Cpu));
    find_at(of, &weights, moving, iterations).into_iter().map(Curvature::value).collect()
}

fn zeros(dimension: i64) -> Tensor {
    Tensor::zeros([1, dimension], (Kind::Double, Device::Cpu))
}

#[test]
fn the_greatest_curvature_of_a_quadratic_is_found() {
    // The value settles to a thousandth; the largest may be negative, away from a minimum.
    assert!((find(&[&[0.1, 3.0, 1.0]], None, 100)[0].unwrap() / 3.0 - 1.0).abs() < 2e-3);
    assert!((find(&[&[0.1, -3.0, 1.0]], None, 100)[0].unwrap() / 3.0 - 1.0).abs() < 2e-3);
    assert!(find(&[&[2.9, 3.0, 2.8]], None, 2)[0].unwrap() <= 3.0);
    assert_eq!(find(&[&[0.0, 0.0]], None, 100), [None]);
}

#[test]
fn weights_that_do_not_move_have_no_say() {
    assert!((find(&[&[7.0, 3.0, 1.0, 9.0]], Some(1..3), 100)[0].unwrap() / 3.0 - 1.0).abs() < 2e-3);
}

#[test]
fn a_networks_curvature_does_not_depend_on_those_beside_it() {
    // One that settles at once, one that takes long, and one that is flat.
    let all: [&[f64]; 3] = [&[0.1, 3.0, 0.2], &[2.9, 3.0, 2.8], &[0.0; 3]];
    let together = find(&all, None, 100);
    let alone: Vec<_> = all.iter().map(|one| find(&[one], None, 100)[0]).collect();
    assert_eq!(together, alone);
    assert!(together[0].is_some() && together[1].is_some() && together[2].is_none());
}

#[test]
fn a_loss_that_is_flat_to_second_order_is_told_from_one_of_small_curvature() {
    for powers in [[1, 1], [2, 0], [1, 2], [3, 0], [2, 2]] {
        assert_eq!(
            find_at(exact::crossing(powers[0], powers[1]), &zeros(2), None, 200),
            [Curvature::Flat],
            "{powers:?}"
        );
    }
    for small in [1e-11, 1e-30] {
        let found = find_at(ellipse(&[small, small / 3.0]), &zeros(2), None, 200)[0].value().unwrap();
        assert!((found / small - 1.0).abs() < 2e-3, "{found}");
        assert!((find(&[&[small, small / 3.0]], None, 200)[0].unwrap() / small - 1.0).abs() < 2e-3);
    }
    // Away from w* there is a gradient, and rounding of it: 1 + w, rounded, and no curvature at all.
    let slope = |weights: &Tensor, _: Option<&Tensor>| {
        let loss = weights.sum_dim_intlist(1, false, None);
        (loss, (weights + 1.0) - weights)
    };
    assert_eq!(find_at(slope, &(zeros(3) + 0.3), None, 200), [Curvature::Flat]);
}

#[test]
fn a_gradient_that_is_not_finite_is_not_flat() {
    let nowhere = |weights: &Tensor, _: Option<&Tensor>| {
        (weights.sum_dim_intlist(1, false, None), weights.full_like(f64::INFINITY))
    };
    assert_eq!(find_at(nowhere, &zeros(3), None, 200), [Curvature::NotFinite]);
}

#[test]
fn what_few_products_say_does_not_depend_on_how_many_follow() {
    let one: &[&[f64]] = &[&[2.9, 3.0, 2.8]];
    let ten = find(one, None, 4);
    let objective = Potential { members: 1, dimension: 3, of: ellipse(one[0]) };
    let weights = Tensor::ones([1, 3], (Kind::Double, Device::Cpu));
    let mut normals = [Normals::derive(0, "curvature", &[])];
    let course = power_iterations(&objective, &weights, &mut normals, &(0..3), 200, &|| false).unwrap().remove(0);
    // Gradients are of the same formula, but not of the same operations.
    assert!((course.after(4).value().unwrap() / ten[0].unwrap() - 1.0).abs() < 1e-9);
    assert!(course.after(200).value().unwrap() >= course.after(1).value().unwrap());
}

#[test]
fn a_stop_is_heeded() {
    let weights = Tensor::ones([1, 3], (Kind::Double, Device::Cpu));
    let objective = Potential { members: 1, dimension: 3, of: ellipse(&[1.0; 3]) };
    let mut normals = [Normals::derive(0, "curvature", &[])];
    assert_eq!(power_iterations(&objective, &weights, &mut normals, &(0..3), 100, &|| true), None);
}
