//! The one strict CBOR decoder: RFC 8949 core deterministic, shallow, small, typed (spec §3 \[S-9\]).
//!
//! On a receiver only bytes whose signature has been verified come here \[S-8\]. Everything that reads CBOR calls [`decode`].

mod decoder;

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use self::decoder::Decoder;
use crate::reader::{Reader, Truncated};

/// Deepest nesting of arrays and maps.
const MAX_DEPTH: usize = 4;
/// Most data items in one object, containers included.
const MAX_ITEMS: usize = 512;

/// Why bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CborError {
    /// Not core deterministic CBOR within the limits.
    Form,
    /// Well formed, but not of the expected type: unknown or missing key, wrong type.
    Schema,
}

impl From<Truncated> for CborError {
    fn from(_: Truncated) -> Self {
        Self::Form
    }
}

/// Decodes one object of type `T`, whose structs are maps keyed by field position (0, 1, 2 ...).
///
/// # Errors
///
/// [`CborError::Form`] if `bytes` are not strict CBOR, [`CborError::Schema`] if they are no `T`.
pub fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, CborError> {
    validate(bytes)?;
    T::deserialize(&mut Decoder::new(bytes))
}

/// Encodes one object in the only form that [`decode`] takes.
///
/// # Errors
///
/// [`CborError::Schema`] if `T` cannot be expressed in CBOR at all.
pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, CborError> {
    let mut bytes = Vec::new();
    let mut serializer = serde_cbor::Serializer::new(&mut bytes).packed_format();
    value.serialize(&mut serializer).map_err(|_| CborError::Schema)?;
    Ok(bytes)
}

/// One data item head: major type and argument.
///
/// # Errors
///
/// [`CborError::Form`] if it is cut off, indefinite, reserved or not the shortest form.
pub(crate) fn head(r: &mut Reader<'_>) -> Result<(u8, u64), CborError> {
    let initial = r.octet()?;
    let (argument, least) = match initial & 0x1F {
        direct @ 0..=23 => (u64::from(direct), 0),
        24 => (u64::from(r.octet()?), 24),
        25 => (u64::from(u16::from_be_bytes(r.array()?)), 1 << 8),
        26 => (u64::from(u32::from_be_bytes(r.array()?)), 1 << 16),
        27 => (u64::from_be_bytes(r.array()?), 1 << 32),
        _ => return Err(CborError::Form),
    };
    if argument < least {
        return Err(CborError::Form);
    }
    Ok((initial >> 5, argument))
}

/// An open array or map.
#[derive(Clone, Copy)]
struct Frame {
    /// Items still to come; a pair of a map counts as two.
    left: u64,
    is_map: bool,
    last_key: Option<u64>,
}

/// Walks the bytes once, without recursion or allocation.
fn validate(bytes: &[u8]) -> Result<(), CborError> {
    const TOP: Frame = Frame { left: 1, is_map: false, last_key: None };
    let mut r = Reader::new(bytes);
    let mut stack = [TOP; MAX_DEPTH + 1];
    let mut depth = 0;
    for _ in 0..MAX_ITEMS {
        let (major, argument) = head(&mut r)?;
        let frame = stack.get_mut(depth).ok_or(CborError::Form)?;
        if frame.is_map && frame.left.is_multiple_of(2) {
            if major != 0 || frame.last_key.is_some_and(|last| argument <= last) {
                return Err(CborError::Form);
            }
            frame.last_key = Some(argument);
        }
        frame.left = frame.left.saturating_sub(1);
        match major {
            0 | 1 => {}
            2 | 3 => {
                let text = r.take(usize::try_from(argument).map_err(|_| CborError::Form)?)?;
                if major == 3 && core::str::from_utf8(text).is_err() {
                    return Err(CborError::Form);
                }
            }
            4 | 5 => {
                depth = depth.saturating_add(1);
                let is_map = major == 5;
                let left = if is_map { argument.checked_mul(2) } else { Some(argument) }.ok_or(CborError::Form)?;
                *stack.get_mut(depth).ok_or(CborError::Form)? = Frame { left, is_map, last_key: None };
            }
            _ => return Err(CborError::Form),
        }
        while stack.get(depth).is_some_and(|frame| frame.left == 0) {
            let Some(outer) = depth.checked_sub(1) else {
                return if r.is_empty() { Ok(()) } else { Err(CborError::Form) };
            };
            depth = outer;
        }
    }
    Err(CborError::Form)
}
