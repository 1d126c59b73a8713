//! Roots while they are made: who may sign what, edited, signed, shown and compared (spec §17).
//!
//! A root file is one statement, named `N.root` for version N; until somebody signs it, it stands there unsigned
//! \[X-3, X-4\].

mod chain;
mod diff;
mod edit;
mod error;
mod show;
mod standing;

use std::fmt;

use fleetcast_core::trust::{KeyId, Root, TrustedKeys, statement_len};
use fleetcast_core::wire::{HEADER_LEN, StatementKind};

pub use chain::{Chain, ChainError, Taken};
pub use diff::Diff;
pub use edit::{
    Role, add_grant, add_keys, checked, keys_of, remove_grant, remove_key, remove_role, roles, set_threshold,
};
pub use error::RootError;
pub use show::Shown;
pub use standing::{After, Need, Standing, check_room};

use crate::signers::Signer;
use crate::statement::{AttachError, Signable};

/// Octets of the largest statement that every network carries: what is left of 1,232 octets of UDP payload.
pub const ROOM: usize = 1232 - HEADER_LEN;

/// A root and the signatures on it so far.
#[derive(Clone, Debug)]
pub struct RootFile {
    root: Root,
    signable: Signable,
}

impl RootFile {
    /// A root that nobody has signed.
    ///
    /// # Errors
    ///
    /// [`RootError`] if it is none that devices take, or does not fit a packet once enough have signed it.
    pub fn new(root: Root) -> Result<Self, RootError> {
        let root = edit::checked(root)?;
        let payload = root.encode()?;
        let signatures = usize::from(root.root.threshold());
        let len = statement_len(payload.len(), signatures);
        if len > ROOM {
            return Err(RootError::TooLong { len, room: ROOM, signatures, spare: spare(&root) });
        }
        Self::of(Signable::new(StatementKind::Root, payload)?)
    }

    /// Takes a statement as a root, signed or not.
    ///
    /// # Errors
    ///
    /// [`RootError::Invalid`].
    pub fn of(signable: Signable) -> Result<Self, RootError> {
        let root = (*signable.decode::<Root>()?).clone();
        Ok(Self { root, signable })
    }

    /// Reads a root file, signed or not.
    ///
    /// # Errors
    ///
    /// [`RootError::Invalid`].
    pub fn parse(statement: &[u8]) -> Result<Self, RootError> {
        Self::of(Signable::parse(StatementKind::Root, statement)?)
    }

    /// What it says. Nobody need have signed it.
    #[must_use]
    pub const fn root(&self) -> &Root {
        &self.root
    }

    /// The statement.
    #[must_use]
    pub const fn signable(&self) -> &Signable {
        &self.signable
    }

    /// Has `signer` sign it.
    ///
    /// # Errors
    ///
    /// [`RootError::TooLong`] if there is no room, else [`RootError::Sign`].
    pub fn sign(&mut self, signer: &(impl Signer + ?Sized)) -> Result<(), RootError> {
        self.signable.sign(signer, ROOM).map_err(|error| match error {
            AttachError::TooLong { len, room } => {
                let (signatures, spare) = (self.signable.signers().count() + 1, spare(&self.root));
                RootError::TooLong { len, room, signatures, spare }
            }
            other => other.into(),
        })
    }

    /// Its octets.
    ///
    /// # Errors
    ///
    /// None is expected.
    pub fn encode(&self) -> Result<Vec<u8>, RootError> {
        Ok(self.signable.encode()?)
    }

    /// The keys that its signatures name. Naming a key proves nothing.
    pub fn signers(&self) -> impl Iterator<Item = KeyId> {
        self.signable.signers()
    }

    /// The root that is to follow, with the same roles and nobody's signature.
    ///
    /// # Errors
    ///
    /// [`RootError::LastVersion`].
    pub fn bump(&self, issued: u64) -> Result<Self, RootError> {
        let version = self.root.version.checked_add(1).ok_or(RootError::LastVersion)?;
        Self::new(Root { version, issued, ..self.root.clone() })
    }
}

/// The role with the most keys that it could do without, for who must make a root shorter.
fn spare(root: &Root) -> Option<String> {
    let spare = |keys: &TrustedKeys| keys.keys().len() - usize::from(keys.threshold());
    let (role, keys) = roles(root).into_iter().max_by_key(|(_, keys)| spare(keys)).filter(|(_, k)| spare(k) > 0)?;
    let ids: Vec<_> = keys.keys().iter().map(|key| key.key_id().to_string()).collect();
    Some(format!("{} of {} keys of {role}: {}", spare(keys), ids.len(), ids.join(", ")))
}

/// Something about a root that is allowed and unwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// A key that is online can do more than sign beacons.
    BeaconKey {
        /// The key.
        key: KeyId,
        /// What else it can do.
        role: Role,
    },
    /// One stolen key is all it takes.
    OneRootKey,
    /// One lost key is all it takes.
    AllRootKeys {
        /// How many there are.
        keys: usize,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BeaconKey { key, role } => {
                write!(f, "beacon key {key} has {role} too: it lies on a machine that is online, give it nothing else")
            }
            Self::OneRootKey => {
                write!(f, "one signature makes a root: whoever steals one root key has the fleet; 2 of 3 is better")
            }
            Self::AllRootKeys { keys } => {
                write!(f, "all {keys} root keys must sign: if one is lost, no root can follow; add one to spare")
            }
        }
    }
}

/// What is unwise about a root.
#[must_use]
pub fn warnings(root: &Root) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if root.root.threshold() == 1 {
        warnings.push(Warning::OneRootKey);
    }
    if root.root.keys().len() == usize::from(root.root.threshold()) {
        warnings.push(Warning::AllRootKeys { keys: root.root.keys().len() });
    }
    for key in root.beacon.iter().flat_map(TrustedKeys::keys) {
        let others = roles(root).into_iter().filter(|(role, keys)| *role != Role::Beacon && keys.keys().contains(key));
        warnings.extend(others.map(|(role, _)| Warning::BeaconKey { key: key.key_id(), role }));
    }
    warnings
}
