//! The facts of a root as commands show them.

mod html;

use std::fmt;

use fleetcast_cli::hex;
use fleetcast_core::manifest::{Token, Uuid};
use fleetcast_core::trust::{Grant, KeyId, PublicKey, TrustedKeys};
use serde::Serialize;

use super::diff::scope_text;
use super::{ROOM, RootError, RootFile, Standing, warnings};
use crate::time;

/// What a root says, and how far it is signed. Keys and ids are lower-case hexadecimal.
#[derive(Clone, Debug, Serialize)]
pub struct Shown {
    kind: &'static str,
    version: u16,
    /// UUID of the vendor.
    vendor: String,
    /// Unix time in seconds.
    issued: u64,
    keys: Vec<Key>,
    root: Role,
    grants: Vec<GrantShown>,
    beacon: Option<Role>,
    /// Keys that its signatures name, in order. Naming a key proves nothing.
    signatures: Vec<String>,
    statement_octets: usize,
    #[serde(flatten)]
    standing: Option<Standing>,
    warnings: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
struct Key {
    key_id: String,
    public_key: String,
}

#[derive(Clone, Debug, Serialize)]
struct Role {
    threshold: u8,
    keys: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
struct GrantShown {
    release: Role,
    operator: Option<Role>,
    /// UUIDs of the classes; null for all.
    classes: Option<Vec<String>>,
    /// Install targets; null for all.
    targets: Option<Vec<String>>,
    #[serde(skip)]
    scope: String,
}

impl From<&TrustedKeys> for Role {
    fn from(role: &TrustedKeys) -> Self {
        let keys = role.keys().iter().map(|key| key.key_id().to_string()).collect();
        Self { threshold: role.threshold(), keys }
    }
}

impl From<&Grant> for GrantShown {
    fn from(grant: &Grant) -> Self {
        Self {
            release: (&grant.author).into(),
            operator: grant.operator.as_ref().map(Role::from),
            classes: grant.classes.as_ref().map(|list| list.iter().map(Uuid::to_string).collect()),
            targets: grant.targets.as_ref().map(|list| list.iter().map(Token::to_string).collect()),
            scope: scope_text(grant),
        }
    }
}

impl Shown {
    /// The facts of a root file. Without a standing nothing is said of its signatures but whose they claim to be.
    ///
    /// # Errors
    ///
    /// None is expected.
    pub fn new(file: &RootFile, standing: Option<Standing>) -> Result<Self, RootError> {
        let root = file.root();
        let key = |key: &PublicKey| Key { key_id: key.key_id().to_string(), public_key: hex(&key.to_bytes()) };
        Ok(Self {
            kind: "root",
            version: root.version,
            vendor: root.vendor.to_string(),
            issued: root.issued,
            keys: root.keys().iter().map(key).collect(),
            root: (&root.root).into(),
            grants: root.grants.iter().map(GrantShown::from).collect(),
            beacon: root.beacon.as_ref().map(Role::from),
            signatures: file.signers().map(|kid: KeyId| kid.to_string()).collect(),
            statement_octets: file.encode()?.len(),
            standing,
            warnings: warnings(root).iter().map(ToString::to_string).collect(),
        })
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.threshold, self.keys.join(", "))
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "root {} of vendor {}, issued {}", self.version, self.vendor, time::text(self.issued))?;
        let mut line = |label: &str, value: &dyn fmt::Display| writeln!(f, "{label:<11} {value}");
        line("root", &self.root)?;
        for (number, grant) in (1..).zip(&self.grants) {
            line(&format!("grant {number}"), &grant.scope)?;
            line("  release", &grant.release)?;
            if let Some(operator) = &grant.operator {
                line("  operator", operator)?;
            }
        }
        match &self.beacon {
            Some(beacon) => line("beacon", beacon)?,
            None => line("beacon", &"none: devices do not ask whether releases are current")?,
        }
        let list = |keys: &[String]| if keys.is_empty() { "none".into() } else { keys.join(", ") };
        line("statement", &format_args!("{} octets of {ROOM}", self.statement_octets))?;
        match &self.standing {
            None => line("signatures", &format_args!("{} (not verified)", list(&self.signatures))),
            Some(standing) => write!(f, "{standing}"),
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |label: &str, value: &dyn fmt::Display| writeln!(f, "{label:<11} {value}");
        let end = |is_complete: bool| if is_complete { ": complete" } else { "" };
        line("by its own", &format_args!("{}{}", self.own, end(self.is_complete)))?;
        if let Some(after) = &self.after {
            let label = if after.version == 0 { "by the keys".into() } else { format!("by root {}", after.version) };
            line(&label, &after.need)?;
            match (&after.code, &after.reason) {
                (Some(code), Some(reason)) => line("devices", &format_args!("refuse it ({code}): {reason}"))?,
                _ => line("devices", &"take it")?,
            }
            let floors = if after.voids_floors {
                "become void: no release signed before counts any more"
            } else {
                "stay: releases signed before can still count"
            };
            line("floors", &floors)?;
        }
        if !self.unknown.is_empty() {
            line("others", &format_args!("{} (not verified)", self.unknown.join(", ")))?;
        }
        if !self.invalid.is_empty() {
            line("INVALID", &format_args!("{}: not signatures by these keys", self.invalid.join(", ")))?;
        }
        Ok(())
    }
}
