//! What the payloads of all statements share: the structure version, and values in their ranges.

use serde::Deserialize;
use serde_bytes::Bytes;

use crate::cbor::{self, CborError};
use crate::manifest::Token;
use crate::reader::Reader;
use crate::trust::StatementError;

/// The only structure version \[M-1\].
pub(crate) const STRUCTURE_VERSION: u64 = 1;

/// Decodes a payload: its structure version first, then the rest.
pub(crate) fn payload<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, StatementError> {
    if let Some(got) = structure_version(bytes).filter(|&got| got != STRUCTURE_VERSION) {
        return Err(StatementError::StructureVersion { got });
    }
    cbor::decode(bytes).map_err(|e| match e {
        CborError::Form => StatementError::Cbor,
        CborError::Schema => StatementError::Schema,
    })
}

/// Value of key 0, if the payload starts like a statement of any version.
fn structure_version(payload: &[u8]) -> Option<u64> {
    let mut r = Reader::new(payload);
    let (5, _) = cbor::head(&mut r).ok()? else { return None };
    let (0, 0) = cbor::head(&mut r).ok()? else { return None };
    let (0, version) = cbor::head(&mut r).ok()? else { return None };
    Some(version)
}

pub(crate) const fn range(field: &'static str) -> StatementError {
    StatementError::Range { field }
}

pub(crate) fn in_range(field: &'static str, is_in_range: bool) -> Result<(), StatementError> {
    if is_in_range { Ok(()) } else { Err(range(field)) }
}

pub(crate) fn token(field: &'static str, text: &str) -> Result<Token, StatementError> {
    Token::new(text).ok_or(range(field))
}

pub(crate) fn octets<const N: usize>(field: &'static str, bytes: &Bytes) -> Result<[u8; N], StatementError> {
    <[u8; N]>::try_from(&**bytes).or(Err(range(field)))
}
