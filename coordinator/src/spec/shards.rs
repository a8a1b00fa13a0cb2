//! The numbering of what is leased. Where `llc.shards` = S splits the estimates of each point, S shards stand for the
//! point, each a task of its own to whoever leases, stores and computes it; else the point is its own only shard.
//!
//! Shard i of point p has the number p·S + i: the shards of a point are neighbours, begun and ended about the same time.
//! What is beyond this edge, the scheduler and the store above all, calls these numbers points and knows no other.

use crate::space::MOST_POINTS;

/// The shards of a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shards {
    points: u64,
    of: u32,
}

impl Shards {
    /// So many points, none of them split.
    pub(crate) fn whole(points: u64) -> Self {
        Self { points, of: 1 }
    }

    /// `of` shards of each of so many points; `None` if there are more than [`MOST_POINTS`] of them.
    pub(crate) fn new(points: u64, of: u32) -> Option<Self> {
        let fits = points.checked_mul(of.into()).is_some_and(|count| count <= MOST_POINTS);
        fits.then_some(Self { points, of })
    }

    /// How many stand for a point; 1 where nothing is split.
    #[must_use]
    pub fn of_each(self) -> u32 {
        self.of
    }

    /// The number of all shards.
    #[must_use]
    pub fn count(self) -> u64 {
        self.first(self.points)
    }

    /// The number of a point's first shard; the others follow.
    #[must_use]
    pub fn first(self, point: u64) -> u64 {
        point.saturating_mul(self.of.into())
    }

    /// The point of which this is the number of a shard, and which shard of it, from 0.
    #[must_use]
    pub fn place(self, number: u64) -> (u64, u32) {
        let of = u64::from(self.of);
        let index = u32::try_from(number % of).unwrap_or_default();
        (number / of, index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_one_shard_of_one_point() {
        let shards = Shards::new(3, 4).unwrap();
        let places: Vec<_> = (0..shards.count()).map(|number| shards.place(number)).collect();
        let expected: Vec<_> = (0..3).flat_map(|point| (0..4).map(move |index| (point, index))).collect();
        assert_eq!(places, expected);
        assert!((0..3).all(|point| shards.place(shards.first(point)) == (point, 0)));
    }

    #[test]
    fn a_point_that_is_not_split_keeps_its_number() {
        let shards = Shards::new(7, 1).unwrap();
        assert_eq!((shards.count(), shards.first(5), shards.place(5)), (7, 5, (5, 0)));
    }

    #[test]
    fn there_are_no_more_shards_than_a_space_may_have_points() {
        assert!(Shards::new(MOST_POINTS / 1000, 1000).is_some());
        assert!(Shards::new(MOST_POINTS / 1000 + 1, 1000).is_none());
    }
}
