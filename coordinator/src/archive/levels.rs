//! The places at which the values of a row group's columns stand: one a row, or one an estimate. Writing and reading walk
//! the same places.

use std::iter;

use phasegrid_proto::v1::{Estimate, SamplerSettings};

use super::Row;

/// A place for a value.
pub(super) struct Slot<'a, T> {
    /// 0 begins a row, 1 goes on with its list.
    pub(super) repetition: i16,
    /// What has the value, or how much of its path is there.
    pub(super) of: Result<&'a mut T, i16>,
}

/// How much of the path of a value is there if what has it is.
pub(super) const IN_ROW: i16 = 0;
/// The same of what estimates have: the list has an entry.
pub(super) const IN_ESTIMATE: i16 = 1;
/// The same of what their settings have: these are there as well.
pub(super) const IN_SETTINGS: i16 = 2;

pub(super) fn rows(rows: &mut [Row]) -> impl Iterator<Item = Slot<'_, Row>> {
    rows.iter_mut().map(|row| Slot { repetition: 0, of: Ok(row) })
}

/// A row without estimates has one place, for nothing.
pub(super) fn estimates(rows: &mut [Row]) -> impl Iterator<Item = Slot<'_, Estimate>> {
    rows.iter_mut().flat_map(|row| {
        let none = row.record.estimates.is_empty().then_some(Slot { repetition: 0, of: Err(IN_ROW) });
        let repetitions = iter::once(0).chain(iter::repeat(1));
        let each = repetitions.zip(&mut row.record.estimates);
        none.into_iter().chain(each.map(|(repetition, estimate)| Slot { repetition, of: Ok(estimate) }))
    })
}

pub(super) fn settings(rows: &mut [Row]) -> impl Iterator<Item = Slot<'_, SamplerSettings>> {
    estimates(rows).map(|Slot { repetition, of }| {
        let of = of.and_then(|estimate| estimate.settings.as_mut().ok_or(IN_ESTIMATE));
        Slot { repetition, of }
    })
}
