//! The greatest curvature of a quadratic is the largest of its coefficients.

use super::*;
use crate::random::Normals;

fn find(curvatures: &[&[f64]], moving: Option<Range<usize>>, iterations: usize) -> Vec<Option<f64>> {
    let (members, dimension) = (curvatures.len(), curvatures[0].len());
    let all = Tensor::from_slice(&curvatures.concat()).view([members as i64, -1]);
    let of = move |weights: &Tensor, _: Option<&Tensor>| {
        ((weights.square() * &all).sum_dim_intlist(1, false, None) * 0.5, weights * &all)
    };
    let weights = Tensor::ones([members as i64, dimension as i64], (Kind::Double, Device::Cpu));
    let mut normals: Vec<_> = (0..members).map(|_| Normals::derive(0, "curvature", &[])).collect();
    let asked = PowerIteration { moving, iterations };
    greatest_curvatures(&Potential { members, dimension, of }, &weights, &mut normals, &asked, &|| false)
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
fn a_stop_is_heeded() {
    let weights = Tensor::ones([1, 3], (Kind::Double, Device::Cpu));
    let objective = Potential { members: 1, dimension: 3, of: ellipse(&[1.0; 3]) };
    let mut normals = [Normals::derive(0, "curvature", &[])];
    let asked = PowerIteration { moving: None, iterations: 100 };
    assert_eq!(greatest_curvatures(&objective, &weights, &mut normals, &asked, &|| true), [None]);
}
