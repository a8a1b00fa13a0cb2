//! The examples of one task: plain host data, decided by the task's configuration alone.
//!
//! Modular data are the p² pairs (a, b) with class `operation(a, b) mod p`, split into a training and a validation set.
//! Gaussian data are standard normal vectors with the outputs of a linear teacher. The origin is a single example without
//! inputs whose target is 0. Neither has a validation set. Where a network starts as its own teacher, the targets are the
//! teacher's outputs.

use phasegrid_proto::task::{Data, Init, Model, Operation, TaskConfig};
use tch::{Device, Kind, Tensor};

use crate::host;
use crate::models;
use crate::random::{Normals, Stream, Subsets};

/// The examples of one task.
#[derive(Clone, Debug)]
pub struct Examples {
    /// What the network is trained on, N examples.
    pub train: Set,
    /// What it is tested on; may be empty.
    pub validation: Set,
}

/// Inputs with their targets.
#[derive(Clone, Debug)]
pub struct Set {
    /// What the network sees.
    pub inputs: Inputs,
    /// What it should answer.
    pub targets: Targets,
}

/// The inputs of a set.
#[derive(Clone, Debug)]
pub enum Inputs {
    /// Two residues; the network sees their one-hot vectors.
    Pairs(Vec<[u32; 2]>),
    /// Vectors of this dimension, one after the other.
    Vectors {
        /// Numbers in one vector.
        dimension: usize,
        /// All numbers, example by example.
        values: Vec<f32>,
    },
    /// So many examples of which there is nothing to see.
    Nothing(usize),
}

/// The targets of a set: p numbers an example.
#[derive(Clone, Debug)]
pub enum Targets {
    /// One-hot vectors of classes.
    Classes {
        /// Number of classes p.
        of: usize,
        /// The class of each example.
        classes: Vec<u32>,
    },
    /// Any numbers.
    Values {
        /// Number of outputs p.
        of: usize,
        /// All numbers, example by example.
        values: Vec<f32>,
    },
}

impl Examples {
    /// The examples of `task`.
    #[must_use]
    pub fn of(task: &TaskConfig) -> Self {
        match task.data {
            Data::Modular { operation, modulus, label_noise, .. } => {
                let mut examples = modular(task, operation, modulus, label_noise);
                if task.model.init() == Init::Teacher {
                    examples.train = taught(task, examples.train.inputs);
                    examples.validation = taught(task, examples.validation.inputs);
                }
                examples
            }
            Data::Gaussian { samples, whiten } => {
                let Model::DeepLinear { widths, .. } = &task.model else {
                    unreachable!("a checked task has vectors for deep linear networks alone")
                };
                let dimension = widths[0] as usize;
                let mut values = vec![0.0; samples as usize * dimension];
                Normals::derive(task.seed, "inputs", &[]).fill(&mut values);
                if whiten {
                    values = whitened(&values, dimension);
                }
                let nothing = Inputs::Vectors { dimension, values: vec![] };
                Self { train: taught(task, Inputs::Vectors { dimension, values }), validation: taught(task, nothing) }
            }
            Data::Origin => {
                Self { train: taught(task, Inputs::Nothing(1)), validation: taught(task, Inputs::Nothing(0)) }
            }
        }
    }
}

/// All pairs, split at random; both parts in ascending order, which keeps look-ups close together.
fn modular(task: &TaskConfig, operation: Operation, p: u32, label_noise: f64) -> Examples {
    let mut grid = vec![0; (p * p) as usize];
    Subsets::new(Stream::derive(task.seed, "split", &[]), grid.len()).draw(&mut grid);
    let (train, validation) = grid.split_at_mut(task.data.train_examples() as usize);
    let [(train, mut labels), (validation, clean)] = [train, validation].map(|part| {
        part.sort_unstable();
        let pairs: Vec<_> = part.iter().map(|index| [*index as u32 / p, *index as u32 % p]).collect();
        let classes: Vec<_> = pairs.iter().map(|[a, b]| class(operation, *a, *b, p)).collect();
        (Inputs::Pairs(pairs), classes)
    });
    corrupt(&mut labels, p, label_noise, task.seed);
    let set = |inputs, classes| Set { inputs, targets: Targets::Classes { of: p as usize, classes } };
    Examples { train: set(train, labels), validation: set(validation, clean) }
}

fn class(operation: Operation, a: u32, b: u32, p: u32) -> u32 {
    match operation {
        Operation::Add => (a + b) % p,
        Operation::Subtract => (a + p - b) % p,
        Operation::Multiply => a * b % p,
        Operation::SumOfSquares => (a * a + b * b) % p,
    }
}

/// Gives this share of the labels, chosen at random, another class.
fn corrupt(classes: &mut [u32], p: u32, share: f64, seed: u64) {
    let mut chosen = vec![0; (share * classes.len() as f64).round() as usize];
    Subsets::new(Stream::derive(seed, "labels", &[0]), classes.len()).draw(&mut chosen);
    let mut others = Stream::derive(seed, "labels", &[1]);
    for index in chosen {
        let class = &mut classes[index as usize];
        *class = (*class + 1 + others.uniform_u64_below(u64::from(p) - 1) as u32) % p;
    }
}

/// The vectors X [N, d] at X·(XᵀX/N)^(−1/2): of all whose second moments are the identity the ones nearest to them.
fn whitened(values: &[f32], dimension: usize) -> Vec<f32> {
    let x = Tensor::from_slice(values).to_kind(Kind::Double).view([-1, dimension as i64]);
    let (u, _, v) = x.svd(true, true); // X = U·S·Vᵀ
    let nearest = u.mm(&v.tr()) * (x.size()[0] as f64).sqrt();
    host::values(&nearest)
}

/// These inputs with the outputs of the task's teacher.
fn taught(task: &TaskConfig, inputs: Inputs) -> Set {
    let model = models::of(task);
    let mut set = Set { inputs, targets: Targets::Values { of: model.outputs() as usize, values: vec![] } };
    if !set.is_empty() {
        // In double precision, so that nothing but the rounding of the targets keeps the teacher's loss from zero.
        let weights = Tensor::from_slice(&model.teacher(task.seed)).to_kind(Kind::Double).unsqueeze(0);
        let inputs = model.inputs(&[&set], Kind::Double, Device::Cpu);
        let Targets::Values { values, .. } = &mut set.targets else { unreachable!("made so above") };
        *values = host::values(&model.outputs_at(&weights, &inputs));
    }
    set
}

impl Set {
    /// The number of examples.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.inputs {
            Inputs::Pairs(pairs) => pairs.len(),
            Inputs::Vectors { dimension, values } => values.len() / dimension,
            Inputs::Nothing(examples) => *examples,
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The set with its first example repeated at its end until there are `examples` of them; zeros stand for the examples
    /// of an empty set.
    #[must_use]
    pub fn padded(&self, examples: usize) -> Self {
        let inputs = match &self.inputs {
            Inputs::Pairs(pairs) => Inputs::Pairs(padded(pairs, 1, examples)),
            Inputs::Vectors { dimension, values } => {
                Inputs::Vectors { dimension: *dimension, values: padded(values, *dimension, examples) }
            }
            Inputs::Nothing(_) => Inputs::Nothing(examples),
        };
        let targets = match &self.targets {
            Targets::Classes { of, classes } => Targets::Classes { of: *of, classes: padded(classes, 1, examples) },
            Targets::Values { of, values } => Targets::Values { of: *of, values: padded(values, *of, examples) },
        };
        Self { inputs, targets }
    }

    /// The targets, [n, p].
    pub fn targets(&self, kind: Kind, device: Device) -> Tensor {
        match &self.targets {
            Targets::Classes { of, .. } => self.classes(device).map_or_else(
                || unreachable!("targets that are classes"),
                |classes| classes.one_hot(*of as i64).to_kind(kind),
            ),
            Targets::Values { of, values } => {
                Tensor::from_slice(values).view([-1, *of as i64]).to_device(device).to_kind(kind)
            }
        }
    }

    /// The classes, `[n]`; `None` for regression.
    pub fn classes(&self, device: Device) -> Option<Tensor> {
        let Targets::Classes { classes, .. } = &self.targets else { return None };
        let classes: Vec<i64> = classes.iter().copied().map(i64::from).collect();
        Some(Tensor::from_slice(&classes).to_device(device))
    }
}

fn padded<T: Copy + Default>(values: &[T], width: usize, examples: usize) -> Vec<T> {
    let first = values.get(..width).map_or_else(|| vec![T::default(); width], <[T]>::to_vec);
    values.iter().copied().chain(first.into_iter().cycle()).take(width * examples).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::tests::{gaussian_task, modular_task, potential_task};
    use phasegrid_proto::task::Potential;

    fn pairs(set: &Set) -> (&[[u32; 2]], &[u32]) {
        match set {
            Set { inputs: Inputs::Pairs(pairs), targets: Targets::Classes { classes, .. } } => (pairs, classes),
            _ => panic!("not a set of pairs"),
        }
    }

    #[test]
    fn training_and_validation_set_are_a_partition_of_the_grid() {
        let examples = Examples::of(&modular_task(53, 8, 1));
        assert_eq!((examples.train.len(), examples.validation.len()), (1123, 53 * 53 - 1123));
        let mut all = [pairs(&examples.train).0, pairs(&examples.validation).0].concat();
        all.sort_unstable();
        let grid: Vec<_> = (0..53).flat_map(|a| (0..53).map(move |b| [a, b])).collect();
        assert_eq!(all, grid);
        let other = Examples::of(&modular_task(53, 8, 2));
        assert_ne!(pairs(&examples.train).0, pairs(&other.train).0, "the seed decides the split");
    }

    #[test]
    fn classes_follow_from_the_operation() {
        type Exact = fn(i64, i64) -> i64;
        let operations: [(Operation, Exact); 4] = [
            (Operation::Add, |a, b| a + b),
            (Operation::Subtract, |a, b| a - b),
            (Operation::Multiply, |a, b| a * b),
            (Operation::SumOfSquares, |a, b| a * a + b * b),
        ];
        for (operation, exact) in operations {
            let check = |a: u32, b: u32, p: u32| {
                let expected = exact(a.into(), b.into()).rem_euclid(p.into());
                assert_eq!(i64::from(class(operation, a, b, p)), expected, "{operation:?} of {a} and {b} modulo {p}");
            };
            // Prime and composite moduli, whole; of the greatest one the corners, where anything would overflow.
            for p in [2, 6, 7, 12] {
                (0..p).for_each(|a| (0..p).for_each(|b| check(a, b, p)));
            }
            for a in [0, 1, 4094, 4095] {
                [0, 1, 4094, 4095].into_iter().for_each(|b| check(a, b, 4096));
            }
        }
    }

    #[test]
    fn a_product_modulo_a_composite_number_has_its_zero_divisors() {
        let mut task = modular_task(6, 8, 1);
        let Data::Modular { operation, train_fraction, .. } = &mut task.data else { panic!("modular") };
        (*operation, *train_fraction) = (Operation::Multiply, 1.0);
        let examples = Examples::of(&task);
        let (pairs, classes) = pairs(&examples.train);
        let at = |pair| classes[pairs.iter().position(|other| *other == pair).unwrap()];
        assert_eq!((at([2, 3]), at([3, 4]), at([5, 5])), (0, 0, 1));
        assert!(examples.validation.is_empty());
    }

    #[test]
    fn label_noise_changes_its_share_of_the_training_labels_and_no_other() {
        let mut task = modular_task(23, 8, 1);
        let clean = Examples::of(&task);
        let Data::Modular { label_noise, .. } = &mut task.data else { panic!("modular") };
        *label_noise = 0.25;
        let noisy = Examples::of(&task);
        let changed = pairs(&clean.train).1.iter().zip(pairs(&noisy.train).1).filter(|(a, b)| a != b).count();
        assert_eq!(changed, (0.25 * clean.train.len() as f64).round() as usize);
        assert_eq!(pairs(&clean.train).0, pairs(&noisy.train).0);
        assert_eq!(pairs(&clean.validation), pairs(&noisy.validation));
        assert!(pairs(&noisy.train).1.iter().all(|class| *class < 23));
    }

    #[test]
    fn a_corrupted_label_is_any_other_class_as_likely_as_the_next() {
        for p in [2, 5] {
            let mut classes = vec![1; 10_000];
            corrupt(&mut classes, p, 1.0, 7);
            let others: Vec<_> = (0..p).map(|class| classes.iter().filter(|other| **other == class).count()).collect();
            assert_eq!(others[1], 0, "all were to change");
            let expected = 10_000.0 / f64::from(p - 1);
            // Five standard deviations of a binomial count.
            let apart = |count: usize| (count as f64 - expected).abs() <= 5.0 * expected.sqrt();
            assert!(others.iter().enumerate().all(|(class, count)| class == 1 || apart(*count)), "{others:?}");
        }
    }

    #[test]
    fn a_linear_teacher_gives_vectors_their_targets() {
        let examples = Examples::of(&gaussian_task(&[5, 3, 4], 2, 50));
        assert_eq!((examples.train.len(), examples.validation.len()), (50, 0));
        let targets = examples.train.targets(Kind::Double, Device::Cpu);
        assert_eq!(targets.size(), [50, 4]);
        // The teacher's product has rank 2, and so have its outputs; the rest is the rounding of targets to f32.
        let (_, singular, _) = targets.svd(true, false);
        let singular = Vec::<f64>::try_from(singular).unwrap();
        assert!(singular[1] > 1.0 && singular[2] < 1e-5, "{singular:?}");
    }

    #[test]
    fn whitened_vectors_have_the_second_moments_of_the_population() {
        for samples in [5, 40] {
            let mut task = gaussian_task(&[5, 3, 4], 2, samples);
            task.data = Data::Gaussian { samples, whiten: true };
            let Inputs::Vectors { values, .. } = Examples::of(&task).train.inputs else { panic!("vectors") };
            let x = Tensor::from_slice(&values).to_kind(Kind::Double).view([-1, 5]);
            let moments = x.tr().mm(&x) / samples as f64;
            let error = (moments - Tensor::eye(5, (Kind::Double, Device::Cpu))).abs().max().double_value(&[]);
            assert!(error < 1e-6, "{error}"); // inputs are rounded to single precision
        }
    }

    #[test]
    fn the_origin_is_one_example_whose_target_is_zero() {
        let examples = Examples::of(&potential_task(Potential::Powers([1, 2])));
        assert_eq!((examples.train.len(), examples.validation.len()), (1, 0));
        let Targets::Values { of: 1, values } = &examples.train.targets else { panic!("one number") };
        assert_eq!(values, &[0.0]);
    }

    #[test]
    fn padding_repeats_the_first_example_and_fills_an_empty_set_with_zeros() {
        let train = Examples::of(&modular_task(5, 8, 1)).train;
        let ((own, own_classes), long) = (pairs(&train), train.padded(12));
        assert_eq!((own.len(), long.len()), (10, 12));
        assert_eq!(pairs(&long).0, [own, &[own[0]; 2]].concat());
        assert_eq!(pairs(&long).1, [own_classes, &[own_classes[0]; 2]].concat());
        let empty = Examples::of(&gaussian_task(&[2, 3], 1, 4)).validation.padded(2);
        assert_eq!(empty.targets(Kind::Float, Device::Cpu), Tensor::zeros([2, 3], (Kind::Float, Device::Cpu)));
        assert_eq!(empty.len(), 2);
    }
}
