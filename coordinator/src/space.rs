//! Points as arithmetic: a bijection between the numbers 0..size and the combinations of axis values.
//!
//! A point's number is written in mixed radix with one digit an axis (or group of axes that advance together). Digits
//! whose axes change tensor shapes vary slowest, the seed's fastest, so that neighbours in the index can be advanced
//! together as one ensemble. Nothing is ever listed: a space of 10⁸ points costs what one of 10 does.

/// The most points that a space may have. Beyond it no cluster gets, and numbers of points stay exact as floats.
pub const MOST_POINTS: u64 = 1_000_000_000_000;

/// How often an axis moves on while the index rises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pace {
    /// Seldom: it changes the shapes of tensors.
    Slow,
    /// In between.
    Middle,
    /// At each step: the seed.
    Fast,
}

/// The digits of an index, each with its radix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Space {
    /// One a digit, in the order in which they were given.
    counts: Vec<u64>,
    /// Positions in `counts`, from the slowest digit to the fastest.
    order: Vec<usize>,
    size: u64,
}

/// Why there is no such space.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpaceError {
    /// One digit has no value to take.
    #[error("an axis without values leaves no point")]
    Empty,
    /// The product of the digits' counts is beyond [`MOST_POINTS`].
    #[error("the axes make {points} points; accepted: up to {MOST_POINTS}")]
    TooLarge {
        /// About how many, as a power of ten where they are very many.
        points: String,
    },
}

impl Pace {
    /// The pace of the axis at this dotted path.
    #[must_use]
    pub fn of(path: &str) -> Self {
        const SHAPE: [&str; 5] =
            ["data.kind", "data.modulus", "data.samples", "data.train_fraction", "train.batch_size"];
        match path {
            "seed" => Self::Fast,
            path if SHAPE.contains(&path) || path.starts_with("model.") => Self::Slow,
            _ => Self::Middle,
        }
    }
}

impl Space {
    /// The space of all combinations of digits with these paces and counts. Among digits of one pace, the first given is
    /// the slowest.
    ///
    /// # Errors
    /// If there is no point, or more than [`MOST_POINTS`].
    pub fn new(digits: &[(Pace, u64)]) -> Result<Self, SpaceError> {
        if digits.iter().any(|(_, count)| *count == 0) {
            return Err(SpaceError::Empty);
        }
        let size = digits.iter().try_fold(1_u64, |size, (_, count)| size.checked_mul(*count));
        let Some(size) = size.filter(|size| *size <= MOST_POINTS) else {
            let points: f64 = digits.iter().map(|(_, count)| *count as f64).product();
            let points = if points < 1e15 { format!("{points}") } else { format!("about {points:.0e}") };
            return Err(SpaceError::TooLarge { points });
        };
        let mut order: Vec<usize> = (0..digits.len()).collect();
        order.sort_by_key(|digit| digits[*digit].0);
        Ok(Self { counts: digits.iter().map(|(_, count)| *count).collect(), order, size })
    }

    /// The number of points.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The point with these digits, given in the order of [`Space::new`]; `None` if there is none.
    #[must_use]
    pub fn rank(&self, digits: &[u64]) -> Option<u64> {
        let fits =
            digits.len() == self.counts.len() && digits.iter().zip(&self.counts).all(|(digit, count)| digit < count);
        let shift = |point: u64, position: &usize| point * self.counts[*position] + digits[*position];
        fits.then(|| self.order.iter().fold(0, shift))
    }

    /// The digits of a point, in the order of [`Space::new`]; `None` if there is no such point.
    #[must_use]
    pub fn unrank(&self, point: u64) -> Option<Vec<u64>> {
        let mut digits = vec![0; self.counts.len()];
        let mut rest = point;
        for position in self.order.iter().rev() {
            digits[*position] = rest % self.counts[*position];
            rest /= self.counts[*position];
        }
        (rest == 0).then_some(digits)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn digits() -> impl Strategy<Value = Vec<(Pace, u64)>> {
        let paces = proptest::sample::select(vec![Pace::Slow, Pace::Middle, Pace::Fast]);
        proptest::collection::vec((paces, 1_u64..6), 0..5)
    }

    proptest! {
        #[test]
        fn unrank_covers_all_combinations_and_rank_undoes_it(digits in digits()) {
            let space = Space::new(&digits).unwrap();
            let mut seen = HashSet::new();
            for point in 0..space.size() {
                let combination = space.unrank(point).unwrap();
                prop_assert_eq!(space.rank(&combination), Some(point));
                seen.insert(combination);
            }
            prop_assert_eq!(seen.len() as u64, digits.iter().map(|(_, count)| count).product::<u64>());
            prop_assert_eq!(space.unrank(space.size()), None);
        }

        #[test]
        fn rank_undoes_unrank_in_a_large_space(point in 0_u64..100_000_000) {
            let space = Space::new(&[(Pace::Fast, 1000), (Pace::Slow, 100), (Pace::Middle, 1000)]).unwrap();
            prop_assert_eq!(space.rank(&space.unrank(point).unwrap()), Some(point));
        }
    }

    #[test]
    fn shapes_vary_slowest_and_the_seed_fastest() {
        let paths = ["seed", "train.weight_decay", "data.modulus", "train.loss", "model.width"];
        let digits: Vec<_> = paths.iter().map(|path| (Pace::of(path), 10)).collect();
        let space = Space::new(&digits).unwrap();
        // Decimal digits, slowest first: modulus, width, weight decay, loss, seed.
        assert_eq!(space.unrank(12345).unwrap(), [5, 3, 1, 4, 2]);
    }

    #[test]
    fn space_without_axes_is_one_point() {
        let space = Space::new(&[]).unwrap();
        assert_eq!((space.size(), space.unrank(0), space.rank(&[])), (1, Some(vec![]), Some(0)));
    }

    #[test]
    fn digits_out_of_range_have_no_rank() {
        let space = Space::new(&[(Pace::Middle, 2), (Pace::Fast, 3)]).unwrap();
        assert_eq!(space.rank(&[2, 0]), None);
        assert_eq!(space.rank(&[0]), None);
    }

    #[test]
    fn too_large_a_space_is_refused_with_its_count() {
        let message = |counts: &[u64]| {
            let digits: Vec<_> = counts.iter().map(|count| (Pace::Middle, *count)).collect();
            Space::new(&digits).unwrap_err().to_string()
        };
        let tenth = 10_000_000_000;
        assert_eq!(message(&[tenth; 3]), "the axes make about 1e30 points; accepted: up to 1000000000000");
        assert_eq!(
            message(&[1_000_000, 1_000_001]),
            "the axes make 1000001000000 points; accepted: up to 1000000000000"
        );
        assert_eq!(message(&[3, 0]), "an axis without values leaves no point");
    }
}
