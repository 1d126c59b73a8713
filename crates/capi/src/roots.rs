//! The roots that have followed the one a device was made with, walked and verified again at each start \[K-7\].
//!
//! One item: of each root its version and the length of its statement, 16 bits each, big-endian, then the statement.

use fleetcast_core::manifest::Uuid;
use fleetcast_core::trust::{Root, Trust, Verified};

/// Octets of the item, at most: a hundred roots.
pub(crate) const MAX_ROOTS: usize = 1 << 16;

/// What was kept.
#[derive(Debug)]
pub(crate) struct Roots {
    /// What follows, as it is kept.
    kept: Vec<u8>,
}

/// Where it leads to.
pub(crate) struct Walked {
    pub(crate) roots: Roots,
    pub(crate) trust: Trust,
    /// Version of each root that has followed, and whether it voids floors.
    pub(crate) steps: Vec<(u16, bool)>,
    /// All of it was followed.
    pub(crate) is_whole: bool,
}

impl Roots {
    /// Walks what was kept, as far as it goes. Roots that a newer one of the device's maker covers stand before it, and are passed over.
    pub(crate) fn walk(kept: &[u8], anchor: Trust, vendor: Uuid) -> Walked {
        let (mut trust, mut steps, mut rest, mut len) = (anchor, Vec::new(), kept, 0);
        while let Some((version, statement, behind)) = entry(rest) {
            if version > trust.version() {
                let mut next = trust.clone();
                let Ok(step) = next.step(statement) else { break };
                // Keys alone are of any vendor \[K-8\].
                if next.root().is_none_or(|root| root.vendor != vendor) {
                    break;
                }
                trust = next;
                steps.push((trust.version(), step.voids_floors));
            }
            len += rest.len() - behind.len();
            rest = behind;
        }
        let roots = Self { kept: kept.get(..len).unwrap_or_default().to_vec() };
        Walked { roots, trust, steps, is_whole: rest.is_empty() }
    }

    /// The item with the root that follows; `None` if there is no place for it.
    pub(crate) fn push(&mut self, root: &Verified<Root>) -> Option<&[u8]> {
        let length = u16::try_from(root.statement().len()).ok()?;
        if self.kept.len() + 4 + root.statement().len() > MAX_ROOTS {
            return None;
        }
        self.kept.extend_from_slice(&root.version.to_be_bytes());
        self.kept.extend_from_slice(&length.to_be_bytes());
        self.kept.extend_from_slice(root.statement());
        Some(&self.kept)
    }
}

/// Version and statement of the first root, and what is behind it.
fn entry(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let (version, rest) = bytes.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let (statement, behind) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
    Some((u16::from_be_bytes(*version), statement, behind))
}
