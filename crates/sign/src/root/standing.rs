//! How far a root is signed: whose signatures are there, and whose are missing.

use std::fmt;

use fleetcast_core::trust::{
    Envelope, KeyId, MAX_SIGNATURES, PublicKey, StatementError, Trust, TrustedKeys, signed_bytes, statement_len,
};
use fleetcast_core::wire::StatementKind;
use serde::Serialize;

use super::{ROOM, RootError, RootFile};

/// What a role asks of the signatures.
#[derive(Clone, Debug, Serialize)]
pub struct Need {
    /// How many of its keys must sign.
    pub threshold: u8,
    /// Its keys that have signed.
    pub signed: Vec<String>,
    /// Its keys that have not.
    pub not_signed: Vec<String>,
}

/// What the root before makes of it.
#[derive(Clone, Debug, Serialize)]
pub struct After {
    /// Version of the root before; 0 for keys alone.
    pub version: u16,
    /// Its root keys.
    pub need: Need,
    /// Devices that have the root before take this one.
    pub is_complete: bool,
    /// Why they do not.
    pub code: Option<&'static str>,
    /// What they say.
    pub reason: Option<String>,
    /// Whether no release that was signed before counts then, and floors are void \[K-9\].
    pub voids_floors: bool,
}

/// How far a root is signed.
#[derive(Clone, Debug, Serialize)]
pub struct Standing {
    /// Its own root keys.
    pub own: Need,
    /// Devices can be made with it.
    pub is_complete: bool,
    /// After the root before, if that is known.
    pub after: Option<After>,
    /// Keys that signatures name, and that are of neither root: their signatures are not verified.
    pub unknown: Vec<String>,
    /// Root keys that signatures name falsely.
    pub invalid: Vec<String>,
}

impl Standing {
    /// That of a root file, after `previous` if that is known.
    ///
    /// # Errors
    ///
    /// [`RootError::NotNext`] if it is not the root before.
    pub fn new(file: &RootFile, previous: Option<&Trust>) -> Result<Self, RootError> {
        let root = file.root();
        if let Some(previous) = previous
            && previous.version().checked_add(1) != Some(root.version)
        {
            return Err(RootError::NotNext { version: root.version, before: previous.version() });
        }
        let statement = file.encode()?;
        let own = Need::new(&root.root, &statement);
        let after = previous.map(|previous| After::new(file, &statement, previous));
        let roles = [Some(&root.root), previous.map(Trust::root_role)];
        let known: Vec<_> = roles.into_iter().flatten().flat_map(TrustedKeys::keys).collect();
        let (named, unknown): (Vec<KeyId>, _) =
            file.signers().partition(|kid| known.iter().any(|key| key.key_id() == *kid));
        let has_signed = |kid: &KeyId| known.iter().any(|key| key.key_id() == *kid && has_signed(key, &statement));
        Ok(Self {
            is_complete: own.missing() == 0,
            own,
            after,
            unknown: ids(unknown),
            invalid: ids(named.into_iter().filter(|kid| !has_signed(kid))),
        })
    }
}

impl After {
    fn new(file: &RootFile, statement: &[u8], previous: &Trust) -> Self {
        // The one place that decides.
        let error = previous.clone().step(statement).err();
        Self {
            version: previous.version(),
            need: Need::new(previous.root_role(), statement),
            is_complete: error.is_none(),
            code: error.as_ref().map(StatementError::code),
            reason: error.as_ref().map(ToString::to_string),
            voids_floors: previous.voids_floors(file.root()),
        }
    }
}

impl Need {
    fn new(role: &TrustedKeys, statement: &[u8]) -> Self {
        let (signed, not_signed): (Vec<&PublicKey>, _) = role.keys().iter().partition(|key| has_signed(key, statement));
        let names = |keys: Vec<&PublicKey>| ids(keys.into_iter().map(PublicKey::key_id));
        Self { threshold: role.threshold(), signed: names(signed), not_signed: names(not_signed) }
    }

    /// How many signatures are missing.
    #[must_use]
    pub fn missing(&self) -> usize {
        usize::from(self.threshold).saturating_sub(self.signed.len())
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} signatures", self.signed.len(), self.threshold)?;
        match self.missing() {
            0 => Ok(()),
            missing => write!(f, "; {missing} more of {}", self.not_signed.join(", ")),
        }
    }
}

fn ids(keys: impl IntoIterator<Item = KeyId>) -> Vec<String> {
    keys.into_iter().map(|key| key.to_string()).collect()
}

/// Whether a root has a valid signature by this key. Nothing follows from it but what people are told.
fn has_signed(key: &PublicKey, statement: &[u8]) -> bool {
    // One that nobody has signed is no envelope.
    Envelope::parse(statement).is_ok_and(|envelope| {
        envelope.signatures().any(|signature| {
            let message = signed_bytes(StatementKind::Root, signature.protected, envelope.payload());
            signature.kid == key.key_id() && key.verify(&message, signature.bytes)
        })
    })
}

/// Whether a root can be signed by as many as it must be to follow `previous`.
///
/// # Errors
///
/// [`RootError::TooManySignatures`], [`RootError::TooLong`].
pub fn check_room(file: &RootFile, previous: &Trust) -> Result<(), RootError> {
    let (old, new) = (previous.root_role(), &file.root().root);
    let needed = signatures(old, new);
    if needed > MAX_SIGNATURES {
        return Err(RootError::TooManySignatures { needed, before: previous.version() });
    }
    let len = statement_len(file.root().encode()?.len(), needed);
    if len > ROOM {
        return Err(RootError::TooLong { len, room: ROOM, signatures: needed, spare: super::spare(file.root()) });
    }
    Ok(())
}

/// Fewest signatures that meet both roles: those by keys of both count twice.
fn signatures(old: &TrustedKeys, new: &TrustedKeys) -> usize {
    let both = old.keys().iter().filter(|key| new.keys().contains(key)).count();
    let (old, new) = (usize::from(old.threshold()), usize::from(new.threshold()));
    let twice = both.min(old.max(new));
    twice + old.saturating_sub(twice) + new.saturating_sub(twice)
}

#[cfg(test)]
mod tests {
    use fleetcast_netlab::authority::role;

    use super::*;

    #[test]
    fn keys_of_both_roots_sign_once() {
        let (old, new) = (role(2, &["a", "b", "c"]), role(3, &["b", "c", "d", "e"]));
        assert_eq!(signatures(&old, &new), 3);
        assert_eq!(signatures(&old, &old), 2);
        assert_eq!(signatures(&old, &role(1, &["d"])), 3);
        assert_eq!(signatures(&old, &role(4, &["c", "d", "e", "f"])), 5);
    }
}
