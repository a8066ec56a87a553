//! Whether a type is read from a JSON object.
//!
//! Derived code also reads a struct from an array, field by field in the order of the source: nobody documents that, and a
//! field added later would change its meaning. So bodies that are arrays are refused where an object is expected.

use std::fmt;

use serde::de::{DeserializeOwned, Deserializer, Error, Visitor};
use serde::forward_to_deserialize_any;

/// Whether `T` is a struct.
pub(super) fn is_expected<T: DeserializeOwned>() -> bool {
    matches!(T::deserialize(Probe), Err(Asked::ForStruct))
}

/// Has nothing, and notes what it is asked for.
struct Probe;

/// What was asked for.
#[derive(Debug)]
enum Asked {
    /// A struct.
    ForStruct,
    /// Anything else.
    ForOther,
}

impl<'de> Deserializer<'de> for Probe {
    type Error = Asked;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Asked> {
        Err(Asked::ForOther)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Asked> {
        Err(Asked::ForStruct)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

impl Error for Asked {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::ForOther
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, formatter)
    }
}

impl std::error::Error for Asked {}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::is_expected;

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its kind matters")]
    struct Point {
        x: i32,
    }

    #[test]
    fn a_struct_is_read_from_an_object_and_lists_and_values_are_not() {
        assert!(is_expected::<Point>());
        assert!(!is_expected::<Vec<Point>>());
        assert!(!is_expected::<serde_json::Value>());
    }
}
