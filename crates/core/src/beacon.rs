//! The beacon: which releases are current, and until when that is known (spec §18).

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use serde_bytes::Bytes;

use crate::cbor::{self, CborError};
use crate::fields::{STRUCTURE_VERSION, in_range, octets, payload, range};
use crate::manifest::{MAX_SEQUENCE, MAX_TIME, Uuid};
use crate::trust::StatementError;

/// Longest validity of a beacon, in seconds: 90 days.
pub const MAX_VALIDITY: u64 = 90 * 24 * 3600;
/// Most entries of a beacon.
pub const MAX_CURRENT: usize = 16;

/// What is current, as of some time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beacon {
    /// Whose devices it is for.
    pub vendor: Uuid,
    /// When it was made, in seconds of Unix time: a later one replaces it.
    pub issued: u64,
    /// Until when it holds, in seconds of Unix time.
    pub until: u64,
    /// Version of the newest root.
    pub root: u16,
    /// The current releases, 1 ..= 16, in ascending order of class, then sequence.
    pub current: Vec<Current>,
}

/// A current release for a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Current {
    /// Class of device.
    pub class: Uuid,
    /// Its sequence number.
    pub sequence: u64,
    /// SHA-256 of its manifest payload.
    pub digest: [u8; 32],
    /// Releases for the class with a lower security version are refused.
    pub security_version: u32,
}

/// As on the wire; field positions are the keys of the CDDL.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawBeacon<'a> {
    structure: u64,
    #[serde(borrow)]
    vendor: &'a Bytes,
    issued: u64,
    until: u64,
    root: u64,
    #[serde(borrow)]
    current: Vec<(&'a Bytes, u64, &'a Bytes, u64)>,
}

impl Beacon {
    /// Decodes a beacon payload. Call it through [`crate::trust::verify`].
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, StatementError> {
        let raw: RawBeacon<'_> = payload(bytes)?;
        let validity = raw.until.checked_sub(raw.issued).ok_or(range("until"))?;
        in_range("issued", raw.issued < MAX_TIME)?;
        in_range("until", raw.until < MAX_TIME && (1..=MAX_VALIDITY).contains(&validity))?;
        in_range("root", raw.root > 0)?;
        in_range("current", (1..=MAX_CURRENT).contains(&raw.current.len()))?;
        let one = |&(class, sequence, digest, security_version): &(&Bytes, u64, &Bytes, u64)| {
            in_range("sequence", (1..=MAX_SEQUENCE).contains(&sequence))?;
            Ok(Current {
                class: Uuid(octets("class", class)?),
                sequence,
                digest: octets("digest", digest)?,
                security_version: u32::try_from(security_version).or(Err(range("security version")))?,
            })
        };
        let current: Vec<_> = raw.current.iter().map(one).collect::<Result<_, StatementError>>()?;
        in_range("current", current.is_sorted_by(|a, b| (a.class, a.sequence) < (b.class, b.sequence)))?;
        Ok(Self {
            vendor: Uuid(octets("vendor", raw.vendor)?),
            issued: raw.issued,
            until: raw.until,
            root: u16::try_from(raw.root).or(Err(range("root")))?,
            current,
        })
    }

    /// The payload octets, in the only form that decodes again.
    ///
    /// # Errors
    ///
    /// [`StatementError::Range`] if a value is out of its range.
    pub fn encode(&self) -> Result<Vec<u8>, StatementError> {
        let raw = RawBeacon {
            structure: STRUCTURE_VERSION,
            vendor: Bytes::new(&self.vendor.0),
            issued: self.issued,
            until: self.until,
            root: self.root.into(),
            current: self
                .current
                .iter()
                .map(|c| (Bytes::new(&c.class.0), c.sequence, Bytes::new(&c.digest), c.security_version.into()))
                .collect(),
        };
        let bytes = cbor::encode(&raw).map_err(|_: CborError| StatementError::Schema)?;
        Self::decode(&bytes)?;
        Ok(bytes)
    }

    /// The current releases of some classes.
    pub fn of<'a>(&'a self, classes: &'a [Uuid]) -> impl Iterator<Item = &'a Current> {
        self.current.iter().filter(|current| classes.contains(&current.class))
    }
}
