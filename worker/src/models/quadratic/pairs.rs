//! Examples as row numbers: each looks up one row of U′ and one of U″.

/// Examples of one member.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pairs<'a> {
    first: &'a [i64],
    second: &'a [i64],
    /// The number of the member's first row among those of all members, which is how rows are numbered here.
    base: i64,
}

impl<'a> Pairs<'a> {
    /// The examples of each member, whose weights have so many rows: `examples` of both lists.
    pub(super) fn of_members(
        first: &'a [i64],
        second: &'a [i64],
        examples: usize,
        rows: usize,
    ) -> impl Iterator<Item = Self> {
        let members = first.chunks(examples).zip(second.chunks(examples));
        members.enumerate().map(move |(e, (first, second))| Self { first, second, base: (e * rows) as i64 })
    }

    pub(super) fn len(self) -> usize {
        self.first.len()
    }

    /// The same examples, so many at a time.
    pub(super) fn chunks(self, size: usize) -> impl Iterator<Item = Self> {
        self.first.chunks(size).zip(self.second.chunks(size)).map(move |(first, second)| Self { first, second, ..self })
    }

    /// The numbers of each example's rows among the member's own.
    pub(super) fn rows(self) -> impl Iterator<Item = (usize, usize)> {
        let own = move |row: &i64| (row - self.base) as usize;
        self.first.iter().map(own).zip(self.second.iter().map(own))
    }
}
