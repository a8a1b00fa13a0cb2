//! A table: typed columns, and rows of cells that may be missing.

/// Columns and rows; every row has one cell a column.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// The columns, in order.
    pub columns: Vec<Column>,
    /// The rows, in order.
    pub rows: Vec<Vec<Cell>>,
}

/// A column's name and the kind of its cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// The quantity's one name, the same everywhere.
    pub name: String,
    /// What its cells hold, where they are not missing.
    pub kind: Kind,
}

/// What a column's cells hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// Whole numbers.
    Integer,
    /// Finite floating-point numbers.
    Real,
}

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Not measured, not reached or not applicable: never a stand-in such as 0 or NaN.
    Missing,
    /// Text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A finite number; build it with [`Cell::real`].
    Real(f64),
}

impl Column {
    pub(crate) fn new(name: impl Into<String>, kind: Kind) -> Self {
        Self { name: name.into(), kind }
    }
}

impl Cell {
    /// A finite number; anything else is missing.
    #[must_use]
    pub fn real(value: impl Into<Option<f64>>) -> Self {
        value.into().filter(|value| value.is_finite()).map_or(Self::Missing, Self::Real)
    }

    /// A count or a step; beyond `i64` it is missing.
    #[must_use]
    pub fn integer(value: u64) -> Self {
        i64::try_from(value).map_or(Self::Missing, Self::Integer)
    }

    /// Text; empty text is missing.
    #[must_use]
    pub fn text(value: impl Into<String>) -> Self {
        let value = value.into();
        if value.is_empty() { Self::Missing } else { Self::Text(value) }
    }

    /// The number, if it is one.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Integer(value) => Some(*value as f64),
            Self::Real(value) => Some(*value),
            Self::Missing | Self::Text(_) => None,
        }
    }

    /// A number as a cell of a column of this kind.
    pub(crate) fn of_kind(kind: Kind, value: Option<f64>) -> Self {
        match (kind, value) {
            (_, None) => Self::Missing,
            // Steps and counts pass through f64, which is exact up to 2^53.
            (Kind::Integer, Some(value)) => Self::Integer(value as i64),
            (_, Some(value)) => Self::real(value),
        }
    }
}

impl Table {
    /// The index of the column of this name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// The numbers of a column, row by row; `None` where there is none, or no such column.
    pub fn numbers<'a>(&'a self, name: &str) -> impl Iterator<Item = Option<f64>> + use<'a> {
        let column = self.column(name);
        self.rows.iter().map(move |row| row.get(column?)?.number())
    }
}
