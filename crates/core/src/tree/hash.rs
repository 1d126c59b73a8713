//! The salted, domain-separated hash of one component (spec §6 \[T-1, T-2\]).

use sha2::{Digest as _, Sha256};

use crate::wire::PageKind;

const SALT_TAG: &[u8; 16] = b"fleetcast-salt-1";
const CHUNK: u8 = 1;
const PAGE: u8 = 2;
const PARITY: u8 = 3;
const LEAF: u8 = 4;
const NODE: u8 = 5;

/// A digest of `D` octets, 16 or 32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest {
    bytes: [u8; 32],
    len: DigestLen,
}

/// Octets of a digest: the two lengths \[G-1\] allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DigestLen {
    Short,
    Full,
}

impl AsRef<[u8]> for Digest {
    fn as_ref(&self) -> &[u8] {
        match self.len {
            DigestLen::Short => self.bytes.first_chunk::<16>().map_or(&[], |half| half),
            DigestLen::Full => &self.bytes,
        }
    }
}

/// `H` of \[T-2\] for one component of one release.
#[derive(Clone, Debug)]
pub struct Hasher {
    salt: [u8; 16],
    len: DigestLen,
}

impl Hasher {
    /// The hash of component number `component` of the release with number `sequence`, whose image has the SHA-256
    /// `image`; digests have 32 octets if `full`, else 16.
    #[must_use]
    pub fn new(sequence: u64, component: u32, image: &[u8; 32], full: bool) -> Self {
        let digest: [u8; 32] = Sha256::new()
            .chain_update(SALT_TAG)
            .chain_update(sequence.to_be_bytes())
            .chain_update(component.to_be_bytes())
            .chain_update(image)
            .finalize()
            .into();
        let salt = digest.first_chunk::<16>().copied().unwrap_or_default();
        Self { salt, len: if full { DigestLen::Full } else { DigestLen::Short } }
    }

    /// Digest of a chunk. Its position is not in it: it is bound by the slot in the page.
    #[must_use]
    pub fn chunk(&self, chunk: &[u8]) -> Digest {
        self.hash(CHUNK, 0, 0, &[chunk])
    }

    /// Digest of a page or parity page.
    #[must_use]
    pub fn page(&self, kind: PageKind, page: &[u8]) -> Digest {
        self.hash(if kind == PageKind::Page { PAGE } else { PARITY }, 0, 0, &[page])
    }

    /// Leaf of a cell from the digests of its page and parity page.
    #[must_use]
    pub fn leaf(&self, cell: u32, page: &[u8], parity: &[u8]) -> Digest {
        self.hash(LEAF, 0, cell, &[page, parity])
    }

    /// Node number `index` of `level` (1 is the parents of leaves) from its children.
    #[must_use]
    pub fn node(&self, level: u8, index: u32, left: &[u8], right: &[u8]) -> Digest {
        self.hash(NODE, level, index, &[left, right])
    }

    fn hash(&self, kind: u8, level: u8, index: u32, data: &[&[u8]]) -> Digest {
        let mut hash =
            Sha256::new().chain_update([kind, level, 0, 0]).chain_update(index.to_be_bytes()).chain_update(self.salt);
        for part in data {
            hash.update(part);
        }
        Digest { bytes: hash.finalize().into(), len: self.len }
    }
}
