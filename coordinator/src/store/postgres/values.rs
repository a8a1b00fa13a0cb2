//! Values for statements, as the database has them.

use super::session::Value;
use super::{int, text};
use crate::scheduler::SweepKey;

/// A value of a column that is never NULL.
pub(super) fn value(value: impl Into<Scalar>) -> Value {
    match value.into() {
        Scalar::Number(number) => Box::new(number),
        Scalar::Text(text) => Box::new(text),
        Scalar::Bytes(bytes) => Box::new(bytes),
    }
}

/// A number, or NULL.
pub(super) fn nullable(number: Option<i64>) -> Value {
    Box::new(number)
}

/// A text, or NULL.
pub(super) fn nullable_text(value: Option<&str>) -> Value {
    Box::new(value.map(text))
}

/// What a column holds.
pub(super) enum Scalar {
    Number(i64),
    Text(String),
    Bytes(Vec<u8>),
}

impl From<u64> for Scalar {
    fn from(number: u64) -> Self {
        Self::Number(int(number))
    }
}

impl From<SweepKey> for Scalar {
    fn from(key: SweepKey) -> Self {
        Self::Number(int(key.0))
    }
}

impl From<i64> for Scalar {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for Scalar {
    fn from(value: &str) -> Self {
        Self::Text(text(value))
    }
}

impl From<Vec<u8>> for Scalar {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

/// A column of numbers.
pub(super) fn numbers(numbers: impl Iterator<Item = u64>) -> Value {
    Box::new(numbers.map(int).collect::<Vec<_>>())
}

/// A column of texts.
pub(super) fn texts<'a>(texts: impl Iterator<Item = &'a str>) -> Value {
    Box::new(texts.map(text).collect::<Vec<_>>())
}
