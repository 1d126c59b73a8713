//! The statement envelope: a fixed byte template around payload and signatures (spec §3 \[S-1 .. S-5\]).

use alloc::vec::Vec;

use super::{KeyId, StatementError};
use crate::cbor;
use crate::reader::Reader;
use crate::wire::StatementKind;

/// Most octets of a statement \[S-2\].
pub const MAX_STATEMENT: usize = 8192;
/// Most signatures of a statement \[S-1\].
pub const MAX_SIGNATURES: usize = 8;

/// `{1: -19, 4: kid}` up to the kid, as a bstr head and map; with -8 the third octet of the map is 0x27.
const PROTECTED_LEN: usize = 13;
const ALG_ED25519: u8 = 0x32;
const ALG_EDDSA: u8 = 0x27;

/// One signature of an envelope.
#[derive(Clone, Copy, Debug)]
pub struct Signature<'a> {
    /// Whose it claims to be.
    pub kid: KeyId,
    /// The protected header as received; part of what is signed.
    pub protected: &'a [u8],
    /// The signature itself.
    pub bytes: &'a [u8; 64],
}

/// A statement cut into payload and signatures. Nothing in it is verified.
#[derive(Clone, Debug)]
pub struct Envelope<'a> {
    payload: &'a [u8],
    signatures: [Option<Signature<'a>>; MAX_SIGNATURES],
}

impl<'a> Envelope<'a> {
    /// Cuts a statement by the template.
    ///
    /// # Errors
    ///
    /// [`StatementError::Template`].
    ///
    /// Spec §3 \[S-1, S-2\].
    pub fn parse(statement: &'a [u8]) -> Result<Self, StatementError> {
        parse(statement).ok_or(StatementError::Template)
    }

    /// The payload octets.
    #[must_use]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// The signatures, in order.
    pub fn signatures(&self) -> impl Iterator<Item = Signature<'a>> {
        self.signatures.iter().copied().flatten()
    }
}

fn parse(statement: &[u8]) -> Option<Envelope<'_>> {
    if statement.len() > MAX_STATEMENT {
        return None;
    }
    let mut r = Reader::new(statement);
    let (4, 2) = cbor::head(&mut r).ok()? else { return None };
    let (2, len) = cbor::head(&mut r).ok()? else { return None };
    let payload = r.take(usize::try_from(len).ok()?).ok()?;
    let (4, count) = cbor::head(&mut r).ok()? else { return None };
    let count = usize::try_from(count).ok().filter(|count| (1..=MAX_SIGNATURES).contains(count))?;
    let mut signatures = [None; MAX_SIGNATURES];
    for slot in signatures.iter_mut().take(count) {
        let [0x84, 0x4D] = r.array().ok()? else { return None };
        let protected = r.take(PROTECTED_LEN).ok()?;
        let mut header = Reader::new(protected);
        let [0xA2, 0x01, ALG_ED25519 | ALG_EDDSA, 0x04, 0x48] = header.array().ok()? else { return None };
        let kid = KeyId(header.array().ok()?);
        let [0xA0, 0xF6, 0x58, 0x40] = r.array().ok()? else { return None };
        let bytes = r.take(64).ok()?.first_chunk()?;
        *slot = Some(Signature { kid, protected, bytes });
    }
    r.is_empty().then_some(Envelope { payload, signatures })
}

/// Protected header of a signature by `kid`: `{1: -19, 4: kid}`.
#[must_use]
fn protected_header(kid: KeyId) -> [u8; PROTECTED_LEN] {
    let [a, b, c, d, e, f, g, h] = kid.0;
    [0xA2, 0x01, ALG_ED25519, 0x04, 0x48, a, b, c, d, e, f, g, h]
}

/// What a signature covers: the COSE `Sig_structure` (RFC 9052 §4.4) \[S-5\].
#[must_use]
pub fn signed_bytes(kind: StatementKind, protected: &[u8], payload: &[u8]) -> Vec<u8> {
    let context: &[u8] = match kind {
        StatementKind::Manifest => b"fleetcast-manifest-1",
        StatementKind::Root => b"fleetcast-root-1",
        StatementKind::Beacon => b"fleetcast-beacon-1",
    };
    let mut bytes = Vec::with_capacity(payload.len().saturating_add(64));
    bytes.push(0x84);
    bytes.extend_from_slice(b"\x6aSignature1");
    push_bstr(&mut bytes, protected);
    push_bstr(&mut bytes, context);
    push_bstr(&mut bytes, payload);
    bytes
}

/// Octets of a statement with this payload and so many signatures \[S-1\], whether it may be that long or not.
#[must_use]
pub const fn statement_len(payload_len: usize, signatures: usize) -> usize {
    // Both array heads and the bstr head.
    let heads = match payload_len {
        0..=23 => 3,
        24..=0xFF => 4,
        _ => 5,
    };
    // Array head, bstr head, protected header, empty map, null, bstr head and signature.
    let signature_len = 1 + 1 + PROTECTED_LEN + 1 + 1 + 2 + 64;
    payload_len.saturating_add(heads).saturating_add(signatures.saturating_mul(signature_len))
}

/// Encodes a statement; `sign` signs for the key with the id it comes with.
///
/// # Errors
///
/// [`StatementError::Template`] if there are no or too many signers, or the statement would be too long.
///
/// Spec §3 \[S-1\].
pub fn encode_statement<S>(
    kind: StatementKind,
    payload: &[u8],
    signers: &[(KeyId, S)],
) -> Result<Vec<u8>, StatementError>
where
    S: Fn(&[u8]) -> [u8; 64],
{
    let mut bytes = Vec::new();
    bytes.push(0x82);
    push_bstr(&mut bytes, payload);
    let count = u8::try_from(signers.len()).or(Err(StatementError::Template))?;
    bytes.push(0x80 | count);
    for (kid, sign) in signers {
        let protected = protected_header(*kid);
        bytes.extend_from_slice(&[0x84, 0x4D]);
        bytes.extend_from_slice(&protected);
        bytes.extend_from_slice(&[0xA0, 0xF6, 0x58, 0x40]);
        bytes.extend_from_slice(&sign(&signed_bytes(kind, &protected, payload)));
    }
    Envelope::parse(&bytes)?;
    Ok(bytes)
}

fn push_bstr(bytes: &mut Vec<u8>, content: &[u8]) {
    match (u8::try_from(content.len()), u16::try_from(content.len())) {
        (Ok(len @ 0..=23), _) => bytes.push(0x40 | len),
        (Ok(len), _) => bytes.extend_from_slice(&[0x58, len]),
        (_, Ok(len)) => {
            bytes.push(0x59);
            bytes.extend_from_slice(&len.to_be_bytes());
        }
        // Larger than any statement: `Envelope::parse` refuses the result.
        _ => bytes.push(0x5F),
    }
    bytes.extend_from_slice(content);
}
