//! That a member's records are those of its task alone, however different the others are.

use phasegrid_proto::task::{Data, Loss, Operation, Stop};

use super::*;

/// Tasks that differ in everything that members may have of their own.
fn mixed(batch_size: BatchSize) -> Vec<TaskConfig> {
    let mut tasks: Vec<_> = (0..4).map(|seed| small(seed, 0.01 * (seed + 1) as f64, batch_size)).collect();
    for (task, share) in tasks.iter_mut().zip([0.4, 0.4, 0.7, 0.3]) {
        let Data::Modular { train_fraction, .. } = &mut task.data else { panic!("modular") };
        *train_fraction = share;
        task.train.loss = Loss::CentredMse;
    }
    let Data::Modular { operation, label_noise, .. } = &mut tasks[1].data else { panic!("modular") };
    (*operation, *label_noise) = (Operation::Multiply, 0.2);
    (tasks[1].train.steps, tasks[1].checkpoints) = (45, Checkpoints::Every(7));
    tasks[2].train.stop = Some(Stop { val_accuracy: 0.0, checkpoints: 3 });
    let Optimizer::AdamW { weight_decay, .. } = &mut tasks[3].train.optimizer else { panic!("AdamW") };
    *weight_decay = 1.0;
    tasks[3].checkpoints = Checkpoints::List(vec![3, 31]);
    tasks
}

#[test]
fn a_record_is_the_same_alone_in_an_ensemble_and_in_another_order() {
    for batch_size in [BatchSize::Full, BatchSize::Size(8)] {
        let mut tasks = mixed(batch_size);
        tasks[0].llc = Some(llc(&[20]));
        tasks[3].llc = Some(llc(&[3, 31]));
        let reversed: Vec<_> = tasks.iter().rev().cloned().collect();
        let (together, backwards) = (told(&tasks), told(&reversed));
        assert_eq!(together.steps(0), [0, 20, 40, 60]);
        assert_eq!(together.steps(1), [0, 7, 14, 21, 28, 35, 42, 45]);
        assert_eq!(together.steps(2), [0, 20, 40], "it stops early");
        assert_eq!(together.steps(3), [3, 31]);
        for (member, task) in tasks.iter().enumerate() {
            let alone = told(std::slice::from_ref(task));
            assert_eq!(alone.of(0), together.of(member));
            assert_eq!(alone.of(0), backwards.of(3 - member));
            assert_eq!(together.end(member), Some(TaskEnd::Completed));
        }
    }
}

#[test]
fn in_a_tensor_program_a_record_is_the_same_to_rounding() {
    for batch_size in [BatchSize::Full, BatchSize::Size(8)] {
        let tasks = mixed(batch_size);
        let together = Notebook::default();
        run_on(Kind::Double, starts(&tasks), &together);
        for (member, task) in tasks.iter().enumerate() {
            let alone = Notebook::default();
            run_on(Kind::Double, starts(std::slice::from_ref(task)), &alone);
            assert_eq!(alone.steps(0), together.steps(member));
            for (a, b) in alone.of(0).iter().zip(together.of(member)) {
                let near = |of: fn(&Record) -> Option<f64>| {
                    let (a, b) = (of(a).unwrap(), of(&b).unwrap());
                    // Rounding of doubles, which sixty steps of Adam enlarge.
                    assert!((a - b).abs() <= 1e-12 * a.abs().max(1.0), "{a} {b}");
                };
                near(|record| record.train_loss);
                near(|record| record.val_loss);
                near(|record| record.val_accuracy);
                near(|record| record.weight_norm);
            }
        }
    }
}

#[test]
fn all_rules_train_alike_in_single_precision_and_by_tensors_in_double() {
    let rules = [
        Optimizer::Adam { learning_rate: 0.01, weight_decay: 0.01, betas: [0.9, 0.999] },
        Optimizer::AdamW { learning_rate: 0.01, weight_decay: 0.01, betas: [0.9, 0.999] },
        Optimizer::Sgd { learning_rate: 0.1, weight_decay: 0.01, momentum: 0.9 },
    ];
    for rule in rules {
        let mut task = small(0, 0.01, BatchSize::Size(8));
        task.train.optimizer = rule;
        let exact = Notebook::default();
        run_on(Kind::Double, starts(std::slice::from_ref(&task)), &exact);
        let (exact, single) = (exact.of(0), told(&[task]).of(0));
        let (exact, single) = (exact[3].train_loss.unwrap(), single[3].train_loss.unwrap());
        // Sixty steps of rounding to single precision.
        assert!((single / exact - 1.0).abs() < 1e-4, "{rule:?}: {single} {exact}");
    }
}
