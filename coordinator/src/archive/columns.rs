//! The columns of a segment: one table of all that a record has. Each column is named once and reaches its value by one
//! function, through which it is both written and read.

use std::sync::Arc;

use ::parquet::basic::{LogicalType, Repetition, Type as Physical};
use ::parquet::data_type::ByteArray;
use ::parquet::errors::ParquetError;
use ::parquet::schema::types::{Type, TypePtr};
use phasegrid_proto::v1::{Estimate, Health as HealthState, SamplerSettings};

use super::Row;

/// A column of what a `T` has.
pub(super) struct Column<T> {
    pub(super) name: &'static str,
    kind: Kind<T>,
}

/// How a column's value is reached. What is absent is null; all else is always there.
enum Kind<T> {
    Real(fn(&mut T) -> &mut f64),
    OptionalReal(fn(&mut T) -> &mut Option<f64>),
    Count(fn(&mut T) -> &mut u64),
    OptionalCount(fn(&mut T) -> &mut Option<u64>),
    Small(fn(&mut T) -> &mut u32),
    Text(fn(&mut T) -> &mut String),
    Health(fn(&mut T) -> &mut i32),
}

use Kind::{Count, Health, OptionalCount, OptionalReal, Real, Small, Text};

/// The values of one column as Parquet has them. They are in one of these: in order when written, and taken from the end
/// when read.
#[derive(Debug, Default)]
pub(super) struct Values {
    pub(super) reals: Vec<f64>,
    pub(super) longs: Vec<i64>,
    pub(super) ints: Vec<i32>,
    pub(super) texts: Vec<ByteArray>,
}

impl Values {
    pub(super) fn is_empty(&self) -> bool {
        self.reals.is_empty() && self.longs.is_empty() && self.ints.is_empty() && self.texts.is_empty()
    }
}

const fn column<T>(name: &'static str, kind: Kind<T>) -> Column<T> {
    Column { name, kind }
}

/// What there is once a row. They are named as in the records' table, but for `point`: where points are split it counts
/// shards, and the table's `task` does not.
pub(super) static ROW: [Column<Row>; 13] = [
    column(POINT, Count(|row| &mut row.point)),
    column("step", Count(|row| &mut row.record.step)),
    column("train_loss", OptionalReal(|row| &mut row.record.train_loss)),
    column("val_loss", OptionalReal(|row| &mut row.record.val_loss)),
    column("train_loss_reported", OptionalReal(|row| &mut row.record.train_loss_reported)),
    column("val_loss_reported", OptionalReal(|row| &mut row.record.val_loss_reported)),
    column("train_accuracy", OptionalReal(|row| &mut row.record.train_accuracy)),
    column("val_accuracy", OptionalReal(|row| &mut row.record.val_accuracy)),
    column("weight_norm", OptionalReal(|row| &mut row.record.weight_norm)),
    column("ipr", OptionalReal(|row| &mut row.record.ipr)),
    column("jacobian_rank", OptionalCount(|row| &mut row.record.jacobian_rank)),
    column("hessian_trace", OptionalReal(|row| &mut row.record.hessian_trace)),
    column("hessian_trace_se", OptionalReal(|row| &mut row.record.hessian_trace_se)),
];

/// What each estimate of a row has. The first tells how many there are.
pub(super) static ESTIMATE: [Column<Estimate>; 18] = [
    column("sampler", Small(|estimate| &mut estimate.sampler)),
    column("llc", OptionalReal(|estimate| &mut estimate.llc)),
    column("llc_se", OptionalReal(|estimate| &mut estimate.llc_se)),
    column("llc_baseline_zero", OptionalReal(|estimate| &mut estimate.llc_baseline_zero)),
    column("llc_baseline_init", OptionalReal(|estimate| &mut estimate.llc_baseline_init)),
    column("llc_gauss_newton", OptionalReal(|estimate| &mut estimate.llc_gauss_newton)),
    column("r_hat", OptionalReal(|estimate| &mut estimate.r_hat)),
    column("ess", OptionalReal(|estimate| &mut estimate.ess)),
    column("drift", OptionalReal(|estimate| &mut estimate.drift)),
    column("below_initial", OptionalReal(|estimate| &mut estimate.below_initial)),
    column("distance", OptionalReal(|estimate| &mut estimate.distance)),
    column("initial_loss", OptionalReal(|estimate| &mut estimate.initial_loss)),
    column("stiffness", OptionalReal(|estimate| &mut estimate.stiffness)),
    column("acceptance", OptionalReal(|estimate| &mut estimate.acceptance)),
    column("sensitivity_localization", OptionalReal(|estimate| &mut estimate.sensitivity_localization)),
    column("sensitivity_step_size", OptionalReal(|estimate| &mut estimate.sensitivity_step_size)),
    column("health", Health(|estimate| &mut estimate.health)),
    column("health_reason", Text(|estimate| &mut estimate.health_reason)),
];

/// What the settings of an estimate have. The first tells whether there are any.
pub(super) static SETTINGS: [Column<SamplerSettings>; 11] = [
    column("preset", Text(|settings| &mut settings.preset)),
    column("method", Text(|settings| &mut settings.method)),
    column("step_size", OptionalReal(|settings| &mut settings.step_size)),
    column("localization", Real(|settings| &mut settings.localization)),
    column("nbeta", Real(|settings| &mut settings.nbeta)),
    column("chains", Small(|settings| &mut settings.chains)),
    column("burn_in", Small(|settings| &mut settings.burn_in)),
    column("draws", Small(|settings| &mut settings.draws)),
    column("batch_size", Count(|settings| &mut settings.batch_size)),
    column("layer", Small(|settings| &mut settings.layer)),
    column("initial_loss", Text(|settings| &mut settings.initial_loss)),
];

/// The column by which a segment is sorted.
pub(super) const POINT: &str = "point";
/// The path of what an estimate has.
pub(super) const IN_ESTIMATE: &str = "estimates.list.element.";
/// The path of what its settings have.
pub(super) const IN_SETTINGS: &str = "estimates.list.element.settings.";

/// The columns of a segment, in the order of their paths' first appearance: those of rows, of estimates, of settings.
pub(super) fn schema() -> Result<TypePtr, ParquetError> {
    let mut element = fields(&ESTIMATE)?;
    element.push(group("settings", Repetition::OPTIONAL, None, fields(&SETTINGS)?)?);
    let element = group("element", Repetition::REQUIRED, None, element)?;
    let list = group("list", Repetition::REPEATED, None, vec![element])?;
    let mut row = fields(&ROW)?;
    row.push(group("estimates", Repetition::REQUIRED, Some(LogicalType::List), vec![list])?);
    Type::group_type_builder("records").with_fields(row).build().map(Arc::new)
}

fn group(
    name: &str,
    repetition: Repetition,
    logical: Option<LogicalType>,
    fields: Vec<TypePtr>,
) -> Result<TypePtr, ParquetError> {
    let group = Type::group_type_builder(name).with_repetition(repetition).with_logical_type(logical);
    group.with_fields(fields).build().map(Arc::new)
}

fn fields<T>(columns: &[Column<T>]) -> Result<Vec<TypePtr>, ParquetError> {
    columns.iter().map(Column::field).collect()
}

impl<T> Column<T> {
    pub(super) fn is_optional(&self) -> bool {
        matches!(self.kind, OptionalReal(_) | OptionalCount(_))
    }

    fn field(&self) -> Result<TypePtr, ParquetError> {
        let unsigned = |bit_width| Some(LogicalType::integer(bit_width, false));
        let (physical, logical) = match self.kind {
            Real(_) | OptionalReal(_) => (Physical::DOUBLE, None),
            Count(_) | OptionalCount(_) => (Physical::INT64, unsigned(64)),
            Small(_) => (Physical::INT32, unsigned(32)),
            Text(_) | Health(_) => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        };
        let repetition = if self.is_optional() { Repetition::OPTIONAL } else { Repetition::REQUIRED };
        let field = Type::primitive_type_builder(self.name, physical).with_repetition(repetition);
        field.with_logical_type(logical).build().map(Arc::new)
    }

    /// Appends the value of this column, if there is one; a text is moved. True if an optional value is there.
    pub(super) fn take(&self, of: &mut T, values: &mut Values) -> bool {
        match self.kind {
            Real(at) => values.reals.push(*at(of)),
            Count(at) => values.longs.push(at(of).cast_signed()),
            Small(at) => values.ints.push(at(of).cast_signed()),
            Text(at) => values.texts.push(std::mem::take(at(of)).into_bytes().into()),
            Health(at) => values.texts.push(health_name(*at(of)).into_bytes().into()),
            OptionalReal(at) => {
                values.reals.extend(*at(of));
                return at(of).is_some();
            }
            OptionalCount(at) => {
                values.longs.extend(at(of).map(u64::cast_signed));
                return at(of).is_some();
            }
        }
        false
    }

    /// Gives back the next value of this column; `there` says whether an optional one has it. `None` if there are too few
    /// values, or one that is none.
    pub(super) fn give(&self, to: &mut T, there: bool, values: &mut Values) -> Option<()> {
        match self.kind {
            Real(at) => *at(to) = values.reals.pop()?,
            Count(at) => *at(to) = values.longs.pop()?.cast_unsigned(),
            Small(at) => *at(to) = values.ints.pop()?.cast_unsigned(),
            Text(at) => *at(to) = text(values)?,
            Health(at) => *at(to) = health_number(&text(values)?)?,
            OptionalReal(at) if there => *at(to) = Some(values.reals.pop()?),
            OptionalCount(at) if there => *at(to) = Some(values.longs.pop()?.cast_unsigned()),
            OptionalReal(_) | OptionalCount(_) => {}
        }
        Some(())
    }
}

fn text(values: &mut Values) -> Option<String> {
    values.texts.pop()?.as_utf8().ok().map(str::to_owned)
}

/// As in the records' table; a verdict of another release by its number.
fn health_name(number: i32) -> String {
    let known = HealthState::try_from(number).map(|health| health.as_str_name().trim_start_matches(HEALTH));
    known.map_or_else(|_| number.to_string(), str::to_ascii_lowercase)
}

fn health_number(name: &str) -> Option<i32> {
    let known = HealthState::from_str_name(&format!("{HEALTH}{}", name.to_ascii_uppercase()));
    known.map_or_else(|| name.parse().ok(), |health| Some(health.into()))
}

/// What the names of verdicts begin with on the wire.
const HEALTH: &str = "HEALTH_";
