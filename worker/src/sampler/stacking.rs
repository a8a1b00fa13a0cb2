//! Which chains form a program. It follows from shapes and device alone, and makes no difference to any chain.

use super::{Origin, Settings};

/// One chain of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Index of its origin.
    pub(super) origin: usize,
    /// Its number among the chains of that origin.
    pub(super) chain: usize,
}

/// How chains are stacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stacking {
    /// Chains of one origin, few in a program, which is best for a CPU.
    ///
    /// A stacked program is no faster there than its rows one after the other, but for the cost of the calls into libtorch,
    /// some 50 µs a step: chains are stacked until their arithmetic takes as long.
    OfOneOrigin,
    /// Chains of all origins together, in as few programs as keep each at or below this many numbers in memory: on an
    /// accelerator a step costs the same for one row and for hundreds.
    OfAll {
        /// See [`Origin::numbers`].
        numbers: usize,
    },
}

/// All chains of all origins, program by program; those of one origin in order.
pub(super) fn programs<W: Origin>(origins: &[&W], stacking: Stacking) -> Vec<Vec<Row>> {
    let rows = |origin: usize| (0..origins[origin].settings().chains).map(move |chain| Row { origin, chain });
    let cut = |rows: Vec<Row>, most: usize| rows.chunks(most).map(<[Row]>::to_vec).collect::<Vec<_>>();
    match stacking {
        Stacking::OfOneOrigin => (0..origins.len())
            .flat_map(|origin| cut(rows(origin).collect(), chains_a_program(origins[origin])))
            .collect(),
        Stacking::OfAll { numbers } => {
            let of_class = |class: Vec<usize>| {
                let largest = class.iter().map(|origin| origins[*origin].numbers()).max().unwrap_or(1);
                let rows: Vec<Row> = class.into_iter().flat_map(rows).collect();
                let programs = rows.len().div_ceil((numbers / largest.max(1)).max(1));
                let most = rows.len().div_ceil(programs.max(1)).max(1);
                cut(rows, most)
            };
            classes(origins).into_iter().flat_map(of_class).collect()
        }
    }
}

/// Origins whose chains can advance in step: they differ in w* and in the factors of the update alone.
fn classes<W: Origin>(origins: &[&W]) -> Vec<Vec<usize>> {
    let course = |origin: &&W| {
        let settings = origin.settings().clone();
        Settings { step_size: 0.0, localization: 0.0, nbeta: 0.0, chains: 0, ..settings }
    };
    let mut classes: Vec<(Settings, Vec<usize>)> = Vec::new();
    for (number, origin) in origins.iter().enumerate() {
        let course = course(origin);
        match classes.iter_mut().find(|(of, _)| *of == course) {
            Some((_, class)) => class.push(number),
            None => classes.push((course, vec![number])),
        }
    }
    classes.into_iter().map(|(_, class)| class).collect()
}

/// How many chains of an origin are stacked on a CPU: a divisor of their number, with at most as much arithmetic (about 6
/// operations for each of D·n) as is worth the calls.
fn chains_a_program<W: Origin>(origin: &W) -> usize {
    const ARITHMETIC_WORTH_THE_CALLS: usize = 1 << 20;
    let Settings { chains, batch_size, .. } = *origin.settings();
    let arithmetic = origin.start().len() * batch_size.unwrap_or_else(|| origin.examples());
    let most = (ARITHMETIC_WORTH_THE_CALLS / arithmetic.max(1)).clamp(1, chains.max(1));
    (1..=most).rev().find(|stacked| chains.is_multiple_of(*stacked)).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampler::Chance;
    use phasegrid_proto::task::Method;

    struct Shapes {
        start: Vec<f32>,
        settings: Settings,
        examples: usize,
    }

    impl Origin for Shapes {
        fn start(&self) -> &[f32] {
            &self.start
        }
        fn settings(&self) -> &Settings {
            &self.settings
        }
        fn chance(&self, _: usize) -> Chance {
            unreachable!("shapes decide")
        }
        fn examples(&self) -> usize {
            self.examples
        }
    }

    fn shapes(dimension: usize, examples: usize, chains: usize) -> Shapes {
        Shapes { start: vec![0.0; dimension], settings: Settings { chains, ..Settings::default() }, examples }
    }

    fn refs(origins: &[Shapes]) -> Vec<&Shapes> {
        origins.iter().collect()
    }

    fn sizes(origins: &[Shapes], stacking: Stacking) -> Vec<usize> {
        programs(&refs(origins), stacking).iter().map(Vec::len).collect()
    }

    #[test]
    fn on_a_cpu_stacking_divides_the_chains_and_ends_where_arithmetic_outweighs_calls() {
        let of_one = |dimension, examples, chains| sizes(&[shapes(dimension, examples, chains)], Stacking::OfOneOrigin);
        assert_eq!(of_one(45, 9, 32), [32]);
        assert_eq!(of_one(3 * 53 * 1024, 128, 3), [1, 1, 1]);
        assert_eq!(of_one(1 << 10, 1 << 8, 6), [3, 3]);
        assert_eq!(of_one(1 << 10, 1 << 8, 7), [1; 7]);
        assert_eq!(sizes(&[shapes(45, 9, 2), shapes(45, 9, 3)], Stacking::OfOneOrigin), [2, 3]);
    }

    #[test]
    fn on_an_accelerator_all_chains_that_can_are_stacked_in_as_few_even_programs_as_fit() {
        let origins: Vec<_> = (1..=4).map(|chains| shapes(10, 9, chains)).collect();
        assert_eq!(sizes(&origins, Stacking::OfAll { numbers: 1000 }), [10]);
        assert_eq!(sizes(&origins, Stacking::OfAll { numbers: 80 }), [5, 5]);
        assert_eq!(sizes(&origins, Stacking::OfAll { numbers: 1 }), [1; 10], "one has to fit");
        let rows = programs(&refs(&origins), Stacking::OfAll { numbers: 80 }).concat();
        let expected: Vec<_> = (0..4).flat_map(|origin| (0..=origin).map(move |chain| Row { origin, chain })).collect();
        assert_eq!(rows, expected);
    }

    #[test]
    fn what_advances_in_step_may_differ_in_the_factors_of_the_update_alone() {
        let mut origins: Vec<_> = (0..4).map(|_| shapes(10, 9, 2)).collect();
        (origins[1].settings.step_size, origins[1].settings.nbeta) = (0.5, 7.0);
        origins[2].settings.method = Method::Mala;
        origins[3].settings.draws = 3;
        assert_eq!(classes(&refs(&origins)), [vec![0, 1], vec![2], vec![3]]);
    }
}
