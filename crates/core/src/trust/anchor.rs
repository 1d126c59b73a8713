//! What a device trusts: bare keys, or a root and those that follow it (spec §17).

use alloc::vec::Vec;

use super::{
    Envelope, Grant, PublicKey, Root, Signature, StatementError, TrustedKeys, Verified, check_role, verify,
    verify_anchor,
};
use crate::manifest::Uuid;
use crate::wire::StatementKind;

/// Whose statements count.
///
/// Keys alone are like a root of version 0 of any vendor: they sign releases, and the first root \[K-8\].
#[derive(Clone, Debug)]
pub struct Trust(Anchor);

#[derive(Clone, Debug)]
enum Anchor {
    /// The only grant is to the keys.
    Keys([Grant; 1]),
    Root(Verified<Root>),
}

/// A root has followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// No release that could be signed before counts any more: what follows from such ones, the floors, is void \[K-9\].
    pub voids_floors: bool,
}

impl From<TrustedKeys> for Trust {
    fn from(keys: TrustedKeys) -> Self {
        Self(Anchor::Keys([Grant::everything(keys)]))
    }
}

impl Trust {
    /// Trusts a root that was chosen otherwise, such as the one that a device was made with.
    ///
    /// # Errors
    ///
    /// [`StatementError`] if it is no root, or its own root keys have not signed it.
    pub fn from_root(statement: &[u8]) -> Result<Self, StatementError> {
        verify_anchor(statement).map(|root| Self(Anchor::Root(root)))
    }

    /// Trusts the root that follows, from then on.
    ///
    /// # Errors
    ///
    /// [`StatementError`] if it does not; nothing has changed then.
    ///
    /// Spec §17 \[K-6, K-9\].
    pub fn step(&mut self, statement: &[u8]) -> Result<Step, StatementError> {
        verify(statement, self).map(|root| self.follow(root))
    }

    /// Trusts a root that was found to follow this one.
    pub(crate) fn follow(&mut self, root: Verified<Root>) -> Step {
        let voids_floors = self.voids_floors(&root);
        self.0 = Anchor::Root(root);
        Step { voids_floors }
    }

    /// Whether no release that could be signed before counts under the next root \[K-9\].
    #[must_use]
    pub fn voids_floors(&self, next: &Root) -> bool {
        let old: Vec<_> = self.grants().iter().flat_map(Grant::roles).flat_map(TrustedKeys::keys).collect();
        let has_few_old = |role: &TrustedKeys| {
            role.keys().iter().filter(|key| old.contains(key)).count() < usize::from(role.threshold())
        };
        next.grants.iter().all(|grant| grant.roles().any(has_few_old))
    }

    /// The root; `None` for keys alone.
    #[must_use]
    pub const fn root(&self) -> Option<&Verified<Root>> {
        match &self.0 {
            Anchor::Keys(_) => None,
            Anchor::Root(root) => Some(root),
        }
    }

    /// Version of the root; 0 for keys alone.
    #[must_use]
    pub fn version(&self) -> u16 {
        self.root().map_or(0, |root| root.version)
    }

    /// Who may sign releases.
    #[must_use]
    pub fn grants(&self) -> &[Grant] {
        match &self.0 {
            Anchor::Keys(grant) => grant,
            Anchor::Root(root) => &root.grants,
        }
    }

    /// Who signs beacons; `None` if there are none.
    #[must_use]
    pub fn beacon_role(&self) -> Option<&TrustedKeys> {
        self.root().and_then(|root| root.beacon.as_ref())
    }

    /// What verifying a statement may cost, in signatures; 0 if none claims to be by a key that counts: the cheapest of all
    /// checks.
    #[must_use]
    pub fn cost(&self, kind: StatementKind, envelope: &Envelope<'_>) -> usize {
        let keys: Vec<_> = self.keys_for(kind).collect();
        let is_ours = |s: &Signature<'_>| keys.iter().any(|key| key.key_id() == s.kid);
        match envelope.signatures().filter(is_ours).count() {
            0 => 0,
            // Those of its own keys are verified too.
            _ if kind == StatementKind::Root => envelope.signatures().count(),
            ours => ours,
        }
    }

    /// Who signs the next root.
    #[must_use]
    pub fn root_role(&self) -> &TrustedKeys {
        match &self.0 {
            Anchor::Keys([grant]) => &grant.author,
            Anchor::Root(root) => &root.root,
        }
    }

    /// Whether statements of this vendor can count.
    pub(super) fn is_of(&self, vendor: Uuid) -> bool {
        self.root().is_none_or(|root| root.vendor == vendor)
    }

    /// Keys whose signatures under a kind of statement count, each once.
    pub fn keys_for(&self, kind: StatementKind) -> impl Iterator<Item = &PublicKey> {
        let roles: Vec<&TrustedKeys> = match kind {
            StatementKind::Manifest => self.grants().iter().flat_map(Grant::roles).collect(),
            StatementKind::Root => [self.root_role()].into(),
            StatementKind::Beacon => self.beacon_role().into_iter().collect(),
        };
        let mut keys: Vec<&PublicKey> = Vec::new();
        for key in roles.into_iter().flat_map(TrustedKeys::keys) {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys.into_iter()
    }

    /// Whether enough have signed a kind of statement, as far as that is known without its content.
    pub(super) fn check_signers(&self, kind: StatementKind, signers: &[PublicKey]) -> Result<(), StatementError> {
        match kind {
            StatementKind::Manifest => {
                let unmet = |grant: &Grant| grant.unmet(signers).map_or(Ok(()), |role| check_role(role, signers));
                let mut results = self.grants().iter().map(unmet);
                let first = results.next().unwrap_or(Err(StatementError::Scope));
                if results.any(|result| result.is_ok()) { Ok(()) } else { first }
            }
            StatementKind::Root => check_role(self.root_role(), signers),
            StatementKind::Beacon => {
                let none = StatementError::Threshold { valid: 0, required: 1 };
                self.beacon_role().ok_or(none).and_then(|role| check_role(role, signers))
            }
        }
    }
}
