//! The manifest: what a release is, in one signed object (spec §4).

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::{Deserialize, Serialize};
use serde_bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::cbor::{self, CborError};
use crate::fields::{self, STRUCTURE_VERSION, in_range, octets, range, token};
use crate::tree::{Geometry, GeometryError, Hasher, Parameters, Tree};
use crate::trust::StatementError;
use crate::wire::MAX_COMPONENTS;

/// Largest sequence number \[§4\].
pub const MAX_SEQUENCE: u64 = i64::MAX as u64;
/// Most device classes of a release.
pub const MAX_CLASSES: usize = 8;
/// Most octets of a token.
pub const MAX_TOKEN: usize = 32;

/// A name that can stand anywhere: letters, digits and `._+~-`, at most 32 octets, the first a letter or digit
/// \[M-2\].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(String);

impl Token {
    /// Checks `text`; `None` if it is no token.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let fits = text.len() <= MAX_TOKEN
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+~-".contains(&b))
            && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        fits.then(|| Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A UUID (RFC 9562) of a vendor or device class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid(pub [u8; 16]);

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, octet) in self.0.iter().enumerate() {
            let dash = if matches!(i, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(f, "{dash}{octet:02x}")?;
        }
        Ok(())
    }
}

/// A release, checked: every value is in the range the spec gives it.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// Grows with every release, 1 ..= 2^63-1 (RFC 9124 §3.2).
    pub sequence: u64,
    /// Raised when older releases have become dangerous.
    pub security_version: u32,
    /// The release's version as its maker calls it; never compared.
    pub version: Token,
    /// Who makes the devices (RFC 9124 §3.3).
    pub vendor: Uuid,
    /// Which devices it is for, 1 ..= 8 (RFC 9124 §3.4).
    pub classes: Vec<Uuid>,
    /// What is to be installed, 1 ..= 8.
    pub components: Vec<Component>,
    /// Sequences a device may run now, least and greatest; `None` for any (RFC 9124 §3.6).
    pub from: Option<(u64, u64)>,
    /// Hardware revisions it is for, least and greatest; `None` for any \[M-9\].
    pub hardware: Option<(u64, u64)>,
    /// Which share of the devices may install from when; empty for all, at once \[M-10\].
    pub waves: Vec<Share>,
}

/// A part of the devices, and when they may install.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Of 1,000 devices, those that may, 1 ..= 1,000.
    pub share: u16,
    /// Unix time in seconds from which on they may, below 2^40.
    pub time: u64,
}

/// Most shares of a release.
pub const MAX_WAVES: usize = 8;
/// Latest time of a share, exclusive.
pub const MAX_TIME: u64 = 1 << 40;
const WAVE_TAG: &[u8; 16] = b"fleetcast-wave-1";

/// A device's number in the waves of the release with this sequence, 0 ..= 999: others go first in each release.
///
/// Spec §4 \[M-10\].
#[must_use]
pub fn wave_number(seed: &[u8; 16], sequence: u64) -> u16 {
    let digest: [u8; 32] =
        Sha256::new().chain_update(WAVE_TAG).chain_update(seed).chain_update(sequence.to_be_bytes()).finalize().into();
    let number = digest.first_chunk().map_or(0, |&first| u64::from_be_bytes(first));
    u16::try_from(number % 1000).unwrap_or_default()
}

/// One image of a release.
#[derive(Clone, Debug)]
pub struct Component {
    /// Name, unique in the release.
    pub name: Token,
    /// Install target, looked up in the device's own configuration; unique in the release.
    pub target: Token,
    /// SHA-256 of the image.
    pub sha256: [u8; 32],
    /// How the image is cut.
    pub geometry: Geometry,
    /// The tree's cap.
    pub cap: Vec<u8>,
}

/// As on the wire; field positions are the keys of the CDDL. Numbers are wide, so that one out of range is `range`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawManifest<'a> {
    structure: u64,
    sequence: u64,
    security_version: u64,
    version: &'a str,
    #[serde(borrow)]
    vendor: &'a Bytes,
    #[serde(borrow)]
    classes: Vec<&'a Bytes>,
    #[serde(borrow)]
    components: Vec<RawComponent<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<(u64, u64)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hardware: Option<(u64, u64)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    waves: Option<Vec<(u64, u64)>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawComponent<'a> {
    name: &'a str,
    target: &'a str,
    size: u64,
    #[serde(borrow)]
    sha256: &'a Bytes,
    format: u64,
    fec: u64,
    chunk: u64,
    cell: u64,
    repair: u64,
    digest: u64,
    #[serde(borrow)]
    cap: &'a Bytes,
}

const FORMAT_RAW: u64 = 0;
const FEC_LCH_RS16: u64 = 1;

impl Manifest {
    /// Decodes a manifest payload. Call it through [`crate::trust::verify`], which checks the signatures first
    /// \[S-8\].
    ///
    /// # Errors
    ///
    /// [`StatementError`] with the codes `structure-version`, `cbor`, `schema`, `range` or `geometry`.
    ///
    /// Spec §4 \[M-1 .. M-3\].
    pub(crate) fn decode(payload: &[u8]) -> Result<Self, StatementError> {
        let raw: RawManifest<'_> = fields::payload(payload)?;
        raw.check()
    }

    /// The payload octets, in the only form that decodes again.
    ///
    /// # Errors
    ///
    /// [`CborError`] is not expected of a `Manifest`: all its values can be expressed.
    pub fn encode(&self) -> Result<Vec<u8>, CborError> {
        cbor::encode(&RawManifest {
            structure: STRUCTURE_VERSION,
            sequence: self.sequence,
            security_version: self.security_version.into(),
            version: self.version.as_str(),
            vendor: Bytes::new(&self.vendor.0),
            classes: self.classes.iter().map(|class| Bytes::new(&class.0)).collect(),
            components: self.components.iter().map(RawComponent::from).collect(),
            from: self.from,
            hardware: self.hardware,
            waves: (!self.waves.is_empty())
                .then(|| self.waves.iter().map(|&Share { share, time }| (share.into(), time)).collect()),
        })
    }

    /// Unix time in seconds from which on a device with this wave number may install it, 0 if at once; `None` if it never
    /// may.
    #[must_use]
    pub fn not_before(&self, number: u16) -> Option<u64> {
        if self.waves.is_empty() {
            return Some(0);
        }
        self.waves.iter().find(|wave| wave.share > number).map(|wave| wave.time)
    }

    /// The hash trees of the components, in order.
    ///
    /// # Errors
    ///
    /// [`GeometryError::Cap`] if a component was built with a cap that does not fit; never for a decoded manifest.
    pub fn trees(&self) -> Result<Vec<Tree>, GeometryError> {
        let tree = |(number, c): (u32, &Component)| {
            let hasher = Hasher::new(self.sequence, number, &c.sha256, c.geometry.digest_len() == 32);
            Tree::new(c.geometry, hasher, c.cap.clone())
        };
        (0..).zip(&self.components).map(tree).collect()
    }
}

impl RawManifest<'_> {
    fn check(&self) -> Result<Manifest, StatementError> {
        let mut components: Vec<_> = self.components.iter().map(RawComponent::check).collect::<Result<_, _>>()?;
        // Room for four is made at first, and a small device keeps several manifests.
        components.shrink_to_fit();
        let names_differ = |name: fn(&Component) -> &Token| {
            components.iter().enumerate().all(|(i, c)| components.iter().take(i).all(|other| name(other) != name(c)))
        };
        in_range("sequence", (1..=MAX_SEQUENCE).contains(&self.sequence))?;
        in_range("classes", (1..=MAX_CLASSES).contains(&self.classes.len()))?;
        in_range("components", (1..=MAX_COMPONENTS).contains(&components.len()))?;
        in_range("name", names_differ(|c| &c.name))?;
        in_range("target", names_differ(|c| &c.target))?;
        in_range("from", self.from.is_none_or(|(min, max)| min <= max))?;
        in_range("hardware", self.hardware.is_none_or(|(min, max)| min <= max))?;
        Ok(Manifest {
            sequence: self.sequence,
            security_version: u32::try_from(self.security_version).or(Err(range("security version")))?,
            version: token("version", self.version)?,
            vendor: Uuid(octets("vendor", self.vendor)?),
            classes: self.classes.iter().map(|class| octets("class", class).map(Uuid)).collect::<Result<_, _>>()?,
            components,
            from: self.from,
            hardware: self.hardware,
            waves: self.waves.as_ref().map_or(Ok(Vec::new()), |waves| waves_of(waves))?,
        })
    }
}

fn waves_of(waves: &[(u64, u64)]) -> Result<Vec<Share>, StatementError> {
    in_range("waves", (1..=MAX_WAVES).contains(&waves.len()))?;
    let ascend =
        |((share, time), (next_share, next_time)): (&(u64, u64), &(u64, u64))| share < next_share && time < next_time;
    in_range("waves", waves.iter().zip(waves.iter().skip(1)).all(ascend))?;
    let share = |&(share, time): &(u64, u64)| {
        in_range("waves", (1..=1000).contains(&share) && time < MAX_TIME)?;
        Ok(Share { share: u16::try_from(share).or(Err(range("waves")))?, time })
    };
    waves.iter().map(share).collect()
}

impl RawComponent<'_> {
    fn check(&self) -> Result<Component, StatementError> {
        in_range("format", self.format == FORMAT_RAW)?;
        in_range("fec", self.fec == FEC_LCH_RS16)?;
        let geometry = Geometry::new(&Parameters {
            size: self.size,
            chunk: self.chunk,
            cell: self.cell,
            repair: self.repair,
            digest: self.digest,
            cap_len: self.cap.len(),
        })?;
        Ok(Component {
            name: token("name", self.name)?,
            target: token("target", self.target)?,
            sha256: octets("sha256", self.sha256)?,
            geometry,
            cap: self.cap.to_vec(),
        })
    }
}

impl<'a> From<&'a Component> for RawComponent<'a> {
    fn from(c: &'a Component) -> Self {
        let g = &c.geometry;
        Self {
            name: c.name.as_str(),
            target: c.target.as_str(),
            size: g.size(),
            sha256: Bytes::new(&c.sha256),
            format: FORMAT_RAW,
            fec: FEC_LCH_RS16,
            chunk: g.chunk_len() as u64,
            cell: g.cell().into(),
            repair: g.repair().into(),
            digest: g.digest_len() as u64,
            cap: Bytes::new(&c.cap),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wave_numbers_are_those_of_the_reference() {
        let ascending = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
        assert_eq!(wave_number(&ascending, 7), 565);
        assert_eq!(wave_number(&[0; 16], 1), 726);
        assert_eq!(wave_number(&[0xFF; 16], MAX_SEQUENCE), 237);
    }
}
