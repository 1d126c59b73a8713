//! Reads what the strict form allows into a type: unsigned integers, text, bytes, arrays and maps, each only where it is asked for.

use core::fmt;

use serde::Deserializer;
use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::{CborError, head};
use crate::reader::Reader;

const UNSIGNED: u8 = 0;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;

impl fmt::Display for CborError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "not strict CBOR",
            Self::Schema => "not of the expected type",
        })
    }
}

impl core::error::Error for CborError {}

impl de::Error for CborError {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self::Schema
    }
}

/// Reads one object.
#[derive(Debug)]
pub(super) struct Decoder<'de>(Reader<'de>);

impl<'de> Decoder<'de> {
    /// Reads bytes in strict form.
    pub(super) const fn new(bytes: &'de [u8]) -> Self {
        Self(Reader::new(bytes))
    }

    /// Takes the head of an item of this major type; gives its argument.
    fn expect(&mut self, major: u8) -> Result<u64, CborError> {
        let (got, argument) = head(&mut self.0)?;
        if got == major { Ok(argument) } else { Err(CborError::Schema) }
    }

    fn string(&mut self, major: u8) -> Result<&'de [u8], CborError> {
        let len = self.expect(major)?;
        Ok(self.0.take(usize::try_from(len).or(Err(CborError::Form))?)?)
    }

    /// Takes what is in an array or map, to its end.
    fn items<T>(
        &mut self,
        major: u8,
        visit: impl FnOnce(&mut Items<'_, 'de>) -> Result<T, CborError>,
    ) -> Result<T, CborError> {
        let left = self.expect(major)?;
        let mut items = Items { decoder: self, left };
        let value = visit(&mut items)?;
        if items.left == 0 { Ok(value) } else { Err(CborError::Schema) }
    }
}

impl<'de> Deserializer<'de> for &mut Decoder<'de> {
    type Error = CborError;

    /// All other types: no statement has them.
    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, CborError> {
        Err(CborError::Schema)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CborError> {
        visitor.visit_u64(self.expect(UNSIGNED)?)
    }

    /// The key of a field is its number.
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CborError> {
        self.deserialize_u64(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CborError> {
        visitor.visit_borrowed_str(core::str::from_utf8(self.string(TEXT)?).or(Err(CborError::Form))?)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CborError> {
        visitor.visit_borrowed_bytes(self.string(BYTES)?)
    }

    /// What may be absent is, if its key is.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CborError> {
        visitor.visit_some(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CborError> {
        self.items(ARRAY, |items| visitor.visit_seq(items))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, CborError> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CborError> {
        self.items(MAP, |items| visitor.visit_map(items))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u128 f32 f64 char string byte_buf unit unit_struct newtype_struct tuple_struct map enum
        ignored_any
    }
}

/// What is left of an array or map.
struct Items<'a, 'de> {
    decoder: &'a mut Decoder<'de>,
    left: u64,
}

impl<'de> Items<'_, 'de> {
    fn next<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, CborError> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        seed.deserialize(&mut *self.decoder).map(Some)
    }
}

impl<'de> SeqAccess<'de> for &mut Items<'_, 'de> {
    type Error = CborError;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, CborError> {
        self.next(seed)
    }
}

impl<'de> MapAccess<'de> for &mut Items<'_, 'de> {
    type Error = CborError;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, CborError> {
        self.next(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, CborError> {
        seed.deserialize(&mut *self.decoder)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use serde::Deserialize;
    use serde_bytes::Bytes;

    use super::super::decode;
    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Sample<'a> {
        number: u64,
        text: &'a str,
        #[serde(borrow)]
        bytes: &'a Bytes,
        pairs: Vec<(u64, u64)>,
        #[serde(default)]
        option: Option<u64>,
    }

    const WHOLE: &[u8] = b"\xa5\x00\x07\x01\x61a\x02\x41b\x03\x81\x82\x01\x02\x04\x09";

    #[test]
    fn each_type_is_read_where_it_is_asked_for() {
        let whole =
            Sample { number: 7, text: "a", bytes: Bytes::new(b"b"), pairs: alloc::vec![(1, 2)], option: Some(9) };
        assert_eq!(decode(WHOLE), Ok(whole));
        let (_, short) = WHOLE.split_first().unwrap();
        let (short, _) = short.split_at(short.len() - 2);
        let absent = [b"\xa4", short].concat();
        assert_eq!(decode::<Sample<'_>>(&absent).unwrap().option, None);
    }

    #[test]
    fn no_type_is_read_as_another() {
        let other: [(usize, u8, &str); 5] = [
            (0, 0x8a, "an array for a map"),
            (2, 0x20, "a negative number"),
            (4, 0x41, "bytes for text"),
            (7, 0x61, "text for bytes"),
            (14, 0x05, "an unknown key"),
        ];
        for (at, octet, what) in other {
            let mut changed = WHOLE.to_vec();
            *changed.get_mut(at).unwrap() = octet;
            assert_eq!(decode::<Sample<'_>>(&changed), Err(CborError::Schema), "{what}");
        }
        assert_eq!(decode::<(u64, u64)>(b"\x81\x01"), Err(CborError::Schema));
        assert_eq!(decode::<(u64, u64)>(b"\x83\x01\x02\x03"), Err(CborError::Schema));
        assert_eq!(decode::<Vec<u64>>(b"\xa1\x00\x01"), Err(CborError::Schema));
        assert_eq!(decode::<bool>(b"\x01"), Err(CborError::Schema));
    }
}
