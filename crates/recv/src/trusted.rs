//! What a device trusts and knows to be current, for people and programs.

use std::fmt;

use fleetcast_core::beacon::Beacon;
use fleetcast_core::freshness::Freshness;
use fleetcast_core::manifest::Uuid;
use fleetcast_core::trust::{Grant, PublicKey, Root, Trust, TrustedKeys};
use fleetcast_core::wire::StatementKind;
use serde::Serialize;

/// What a device trusts, and knows to be current.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trusted {
    /// Who signs.
    pub root: RootFacts,
    /// The newest beacon, if there is one.
    pub beacon: Option<BeaconFacts>,
    /// Whether that is current: `off`, `waiting`, `fresh`, `stale` or `behind`.
    pub freshness: &'static str,
    /// A time that is past for sure, in seconds of Unix time.
    pub clock: u64,
}

/// A root; that of keys alone has the version 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RootFacts {
    /// Its version.
    pub version: u16,
    /// Ids of keys, by role.
    pub keys: Roles,
}

/// Ids of keys, by role; of all grants together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Roles {
    /// Who signs the next root.
    pub root: Vec<String>,
    /// Who signs releases.
    pub author: Vec<String>,
    /// Who signs them too, where somebody must.
    pub operator: Vec<String>,
    /// Who signs beacons.
    pub beacon: Vec<String>,
}

/// A beacon; times in seconds of Unix time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BeaconFacts {
    /// When it was made.
    pub issued: u64,
    /// Until when it holds.
    pub until: u64,
    /// The version of the newest root.
    pub root: u16,
    /// The highest sequence number that is current for the device.
    pub current: Option<u64>,
}

impl Trusted {
    pub(crate) fn new(
        trust: &Trust,
        beacon: Option<&Beacon>,
        classes: &[Uuid],
        freshness: Freshness,
        clock: u64,
    ) -> Self {
        let beacon = beacon.map(|beacon| BeaconFacts {
            issued: beacon.issued,
            until: beacon.until,
            root: beacon.root,
            current: beacon.of(classes).map(|current| current.sequence).max(),
        });
        Self { root: trust.into(), beacon, freshness: freshness.code(), clock }
    }
}

impl RootFacts {
    pub(crate) fn of(root: &Root) -> Self {
        Self::new(root.version, root.root.keys(), &root.grants, root.beacon.as_ref())
    }

    fn new(version: u16, root: &[PublicKey], grants: &[Grant], beacon: Option<&TrustedKeys>) -> Self {
        let authors = grants.iter().flat_map(|grant| grant.author.keys());
        let operators = grants.iter().filter_map(|grant| grant.operator.as_ref()).flat_map(TrustedKeys::keys);
        let beacon = ids(beacon.into_iter().flat_map(TrustedKeys::keys));
        Self { version, keys: Roles { root: ids(root), author: ids(authors), operator: ids(operators), beacon } }
    }
}

impl From<&Trust> for RootFacts {
    fn from(trust: &Trust) -> Self {
        let root: Vec<_> = trust.keys_for(StatementKind::Root).cloned().collect();
        Self::new(trust.version(), &root, trust.grants(), trust.beacon_role())
    }
}

fn ids<'a>(keys: impl IntoIterator<Item = &'a PublicKey>) -> Vec<String> {
    let mut ids: Vec<_> = keys.into_iter().map(|key| key.key_id().to_string()).collect();
    ids.sort();
    ids.dedup();
    ids
}

impl fmt::Display for RootFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, keys } = self;
        if *version == 0 {
            return write!(f, "trusted keys: {}", keys.author.join(", "));
        }
        write!(
            f,
            "root version {version}; root keys: {}; release keys: {}",
            keys.root.join(", "),
            keys.author.join(", ")
        )?;
        for (role, ids) in [("operator", &keys.operator), ("beacon", &keys.beacon)] {
            if !ids.is_empty() {
                write!(f, "; {role} keys: {}", ids.join(", "))?;
            }
        }
        Ok(())
    }
}
