//! The trust root: who may sign what, replaced by the next one (spec §17).

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use serde_bytes::Bytes;

use super::{PublicKey, StatementError, TrustedKeys};
use crate::cbor::{self, CborError};
use crate::fields::{STRUCTURE_VERSION, in_range, octets, payload, range, token};
use crate::manifest::{MAX_CLASSES, MAX_TIME, Manifest, Token, Uuid};
use crate::wire::MAX_COMPONENTS;

/// Most keys of a root.
pub const MAX_KEYS: usize = 32;
/// Most grants of a root.
pub const MAX_GRANTS: usize = 8;

/// Who may sign what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// Grows by one with each root, from 1 on.
    pub version: u16,
    /// Whose devices it is for.
    pub vendor: Uuid,
    /// When it was made, in seconds of Unix time, below 2^40.
    pub issued: u64,
    /// Who signs the next root.
    pub root: TrustedKeys,
    /// Who signs releases, 1 ..= 8: one of these is enough.
    pub grants: Vec<Grant>,
    /// Who signs beacons; `None` if there are none.
    pub beacon: Option<TrustedKeys>,
}

/// Who may sign which releases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Who must have signed.
    pub author: TrustedKeys,
    /// Who must have signed too, with other keys.
    pub operator: Option<TrustedKeys>,
    /// Device classes that a release may be for; `None` for all.
    pub classes: Option<Vec<Uuid>>,
    /// Install targets that a release may have; `None` for all.
    pub targets: Option<Vec<Token>>,
}

/// As on the wire; field positions are the keys of the CDDL.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRoot<'a> {
    structure: u64,
    version: u64,
    #[serde(borrow)]
    vendor: &'a Bytes,
    issued: u64,
    #[serde(borrow)]
    keys: Vec<&'a Bytes>,
    root: RawRole,
    #[serde(borrow)]
    grants: Vec<RawGrant<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    beacon: Option<RawRole>,
}

/// Threshold, and a bit for each key of the list.
type RawRole = (u64, u64);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGrant<'a> {
    author: RawRole,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    operator: Option<RawRole>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    classes: Option<Vec<&'a Bytes>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    targets: Option<Vec<&'a str>>,
}

impl Root {
    /// Decodes a root payload. Call it through [`super::verify`].
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, StatementError> {
        let raw: RawRoot<'_> = payload(bytes)?;
        in_range("version", raw.version > 0)?;
        in_range("issued", raw.issued < MAX_TIME)?;
        in_range("keys", (1..=MAX_KEYS).contains(&raw.keys.len()) && raw.keys.is_sorted_by(|a, b| a < b))?;
        in_range("grants", (1..=MAX_GRANTS).contains(&raw.grants.len()))?;
        let key = |bytes: &&Bytes| PublicKey::from_bytes(octets("keys", bytes)?).or(Err(range("keys")));
        let keys: Vec<_> = raw.keys.iter().map(key).collect::<Result<_, _>>()?;
        let root = Self {
            version: u16::try_from(raw.version).or(Err(range("version")))?,
            vendor: Uuid(octets("vendor", raw.vendor)?),
            issued: raw.issued,
            root: role("root", raw.root, &keys)?,
            grants: raw.grants.iter().map(|grant| grant.check(&keys)).collect::<Result<_, _>>()?,
            beacon: raw.beacon.map(|beacon| role("beacon", beacon, &keys)).transpose()?,
        };
        in_range("keys", keys.iter().all(|key| root.roles().any(|role| role.keys().contains(key))))?;
        Ok(root)
    }

    /// The payload octets, in the only form that decodes again.
    ///
    /// # Errors
    ///
    /// [`StatementError::Range`] if a value is out of its range.
    pub fn encode(&self) -> Result<Vec<u8>, StatementError> {
        let keys = self.keys();
        in_range("keys", keys.len() <= MAX_KEYS)?;
        let octets: Vec<_> = keys.iter().map(PublicKey::to_bytes).collect();
        let raw = RawRoot {
            structure: STRUCTURE_VERSION,
            version: self.version.into(),
            vendor: Bytes::new(&self.vendor.0),
            issued: self.issued,
            keys: octets.iter().map(|octets| Bytes::new(octets)).collect(),
            root: raw_role(&self.root, &keys),
            grants: self.grants.iter().map(|grant| RawGrant::new(grant, &keys)).collect(),
            beacon: self.beacon.as_ref().map(|role| raw_role(role, &keys)),
        };
        let bytes = cbor::encode(&raw).map_err(|_: CborError| StatementError::Schema)?;
        Self::decode(&bytes)?;
        Ok(bytes)
    }

    /// All keys, each once, in the order of their octets.
    #[must_use]
    pub fn keys(&self) -> Vec<PublicKey> {
        let mut keys: Vec<_> = self.roles().flat_map(TrustedKeys::keys).cloned().collect();
        keys.sort_by_key(PublicKey::to_bytes);
        keys.dedup();
        keys
    }

    fn roles(&self) -> impl Iterator<Item = &TrustedKeys> {
        core::iter::once(&self.root).chain(self.grants.iter().flat_map(Grant::roles)).chain(&self.beacon)
    }
}

impl Grant {
    /// A grant of all releases to keys alone.
    #[must_use]
    pub const fn everything(author: TrustedKeys) -> Self {
        Self { author, operator: None, classes: None, targets: None }
    }

    /// Its roles.
    pub fn roles(&self) -> impl Iterator<Item = &TrustedKeys> {
        core::iter::once(&self.author).chain(&self.operator)
    }

    /// The first role that is not met by these signers.
    pub(super) fn unmet(&self, signers: &[PublicKey]) -> Option<&TrustedKeys> {
        self.roles().find(|role| !role.is_met(signers))
    }

    /// Whether it is about this release.
    pub(super) fn covers(&self, manifest: &Manifest) -> bool {
        let has_class = |class| self.classes.as_ref().is_none_or(|classes| classes.contains(class));
        let has_target = |target| self.targets.as_ref().is_none_or(|targets| targets.contains(target));
        manifest.classes.iter().all(has_class) && manifest.components.iter().all(|c| has_target(&c.target))
    }
}

impl<'a> RawGrant<'a> {
    fn new(grant: &'a Grant, keys: &[PublicKey]) -> Self {
        Self {
            author: raw_role(&grant.author, keys),
            operator: grant.operator.as_ref().map(|role| raw_role(role, keys)),
            classes: grant.classes.as_ref().map(|list| list.iter().map(|class| Bytes::new(&class.0)).collect()),
            targets: grant.targets.as_ref().map(|list| list.iter().map(Token::as_str).collect()),
        }
    }

    fn check(&self, keys: &[PublicKey]) -> Result<Grant, StatementError> {
        let scope = |text: &&str| token("targets", text);
        let class = |bytes: &&Bytes| octets("classes", bytes).map(Uuid);
        let grant = Grant {
            author: role("author", self.author, keys)?,
            operator: self.operator.map(|operator| role("operator", operator, keys)).transpose()?,
            classes: self.classes.as_ref().map(|list| list.iter().map(class).collect()).transpose()?,
            targets: self.targets.as_ref().map(|list| list.iter().map(scope).collect()).transpose()?,
        };
        let (mut authors, operators) = (grant.author.keys().iter(), grant.operator.iter().flat_map(TrustedKeys::keys));
        let operators: Vec<_> = operators.collect();
        in_range("operator", !authors.any(|key| operators.contains(&key)))?;
        in_range("classes", grant.classes.as_ref().is_none_or(|list| is_list(list, MAX_CLASSES)))?;
        in_range("targets", grant.targets.as_ref().is_none_or(|list| is_list(list, MAX_COMPONENTS)))?;
        Ok(grant)
    }
}

fn raw_role(role: &TrustedKeys, keys: &[PublicKey]) -> RawRole {
    let is_own = |(key, _): &(&PublicKey, u32)| role.keys().contains(key);
    let bits = keys.iter().zip(0..).filter(is_own).fold(0, |bits, (_, i)| bits | 1_u64.checked_shl(i).unwrap_or(0));
    (role.threshold().into(), bits)
}

/// Strictly ascending, and neither empty nor too long.
fn is_list<T: PartialOrd>(list: &[T], most: usize) -> bool {
    (1..=most).contains(&list.len()) && list.is_sorted_by(|a, b| a < b)
}

fn role(field: &'static str, (threshold, bits): RawRole, keys: &[PublicKey]) -> Result<TrustedKeys, StatementError> {
    let listed = u32::try_from(keys.len()).ok().and_then(|len| 1_u64.checked_shl(len)).ok_or(range(field))?;
    in_range(field, bits < listed)?;
    let own = keys.iter().zip(0_u32..).filter(|(_, i)| bits.checked_shr(*i).is_some_and(|rest| rest & 1 == 1));
    let threshold = u8::try_from(threshold).or(Err(range(field)))?;
    TrustedKeys::new(own.map(|(key, _)| key.clone()).collect(), threshold).or(Err(range(field)))
}
