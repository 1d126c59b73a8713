//! The roots that a relay has walked: they pass on, for devices that slept \[C-18\].

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::trust::{Envelope, StatementError, Trust};

/// Roots that are kept; of a longer chain the older ones do not pass any more.
const MAX_ROOTS: usize = 1024;

/// What is trusted, and the way there.
#[derive(Debug)]
pub(super) struct Chain {
    /// What it began with.
    origin: Trust,
    /// What it has come to.
    trust: Trust,
    /// Statements of the newest roots as they came, each following the one before; one that it began with is the first.
    roots: VecDeque<Vec<u8>>,
}

/// What a root is to a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It is one of it, octet by octet.
    Walked,
    /// It says the same as one of it, between other signatures.
    Resigned,
    /// It may be the one that follows.
    Next,
}

impl Chain {
    pub(super) fn new(origin: Trust) -> Self {
        let roots = origin.root().map(|root| root.statement().to_vec()).into_iter().collect();
        Self { trust: origin.clone(), origin, roots }
    }

    /// What it has come to.
    pub(super) const fn trust(&self) -> &Trust {
        &self.trust
    }

    /// What a root that comes as `version` may be, as far as that is known by comparing; `None` if it has no place.
    pub(super) fn place(&self, version: u16, statement: &[u8]) -> Option<Place> {
        let payload = |statement| Envelope::parse(statement).ok().map(|envelope| envelope.payload());
        match self.root(version) {
            Some(known) if known == statement => Some(Place::Walked),
            Some(known) => (payload(known) == payload(statement)).then_some(Place::Resigned),
            None => (version.checked_sub(1) == Some(self.trust.version())).then_some(Place::Next),
        }
    }

    /// Trusts the root that follows.
    pub(super) fn step(&mut self, statement: &[u8]) -> Result<(), StatementError> {
        self.trust.step(statement)?;
        if self.roots.len() >= MAX_ROOTS {
            self.roots.pop_front();
        }
        self.roots.push_back(statement.to_vec());
        Ok(())
    }

    /// Verifies a root that was walked before between other signatures: else whoever puts useless ones beside the genuine ones
    /// and comes first would keep the others out for good.
    pub(super) fn verify_again(&self, version: u16, statement: &[u8]) -> Result<(), &'static str> {
        let result = if version == self.origin.version() {
            Trust::from_root(statement).map(drop)
        } else {
            let before = version.saturating_sub(1);
            let trust = match self.root(before) {
                Some(root) => Trust::from_root(root),
                None if before == self.origin.version() => Ok(self.origin.clone()),
                None => return Err("root-version"),
            };
            trust.and_then(|mut trust| trust.step(statement).map(drop))
        };
        result.map_err(|e| e.code())
    }

    /// The root of this version, as it came.
    fn root(&self, version: u16) -> Option<&[u8]> {
        let back = self.trust.version().checked_sub(version)?;
        self.roots.iter().rev().nth(back.into()).map(Vec::as_slice)
    }
}
