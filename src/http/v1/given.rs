//! A field of a change, which may be left out, null, or something.

use serde::{Deserialize, Deserializer};

use crate::db::administration::Change;
use crate::http::fault::Fault;

/// What a field says. Null is not the same as nothing.
#[derive(Debug, Clone, Default)]
pub(super) enum Given<T> {
    /// It was left out.
    #[default]
    Nothing,
    /// null.
    Null,
    /// A value.
    Value(T),
}

impl<T> Given<T> {
    /// Left out: it stays; null: it goes; else it is set to what is made of it.
    pub(super) fn change<'a, U>(
        &'a self,
        make: impl FnOnce(&'a T) -> Result<U, Fault>,
    ) -> Result<Change<U>, Fault> {
        match self {
            Self::Nothing => Ok(Change::Keep),
            Self::Null => Ok(Change::Remove),
            Self::Value(value) => make(value).map(Change::To),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Given<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let value = Option::<T>::deserialize(from)?;
        Ok(value.map_or(Self::Null, Self::Value))
    }
}
