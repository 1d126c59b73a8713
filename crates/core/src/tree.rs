//! From image to signature: geometry, digests, and the check of pages and chunks (spec §5, §6).

mod geometry;
mod hash;

pub use geometry::{
    BlockSize, Cell, Geometry, GeometryError, MAX_BLOCK_SOURCE, MAX_CELL, MAX_SIZE, MAX_SOURCE_CHUNKS, Parameters,
};
pub use hash::{Digest, Hasher};

use alloc::vec::Vec;

use crate::wire::PageKind;

/// Parity page `X_j` covers the pages of the cells j and j - this \[T-4\].
pub const PARITY_DISTANCE: u32 = 3;

/// Why a page or chunk is not the one the manifest means. It is dropped and counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TreeError {
    /// Not as long as its place says \[W-10\].
    Length {
        /// Octets that came.
        got: usize,
        /// Octets there should be.
        expected: usize,
    },
    /// No such block, symbol or cell \[G-7\].
    Range,
    /// The path does not lead to the cap \[T-8\].
    PageDigest,
    /// Not the digest its page has \[T-9\].
    ChunkDigest,
}

impl TreeError {
    /// The word for it in counters and vectors (spec §12).
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Length { .. } => "length",
            Self::Range => "range",
            Self::PageDigest => "page-digest",
            Self::ChunkDigest => "chunk-digest",
        }
    }
}

/// The hash tree of one component as its manifest fixes it: everything that is needed to check its packets.
#[derive(Clone, Debug)]
pub struct Tree {
    geometry: Geometry,
    hasher: Hasher,
    cap: Vec<u8>,
}

impl Tree {
    /// The tree below `cap`, which must have the length that `geometry` says.
    ///
    /// # Errors
    ///
    /// [`GeometryError::Cap`] for a cap of another length \[T-5\].
    pub fn new(geometry: Geometry, hasher: Hasher, cap: Vec<u8>) -> Result<Self, GeometryError> {
        if cap.len() == geometry.cap_len() {
            Ok(Self { geometry, hasher, cap })
        } else {
            Err(GeometryError::Cap { len: cap.len() })
        }
    }

    /// The component's geometry.
    #[must_use]
    pub const fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// The component's salted hash.
    #[must_use]
    pub const fn hasher(&self) -> &Hasher {
        &self.hasher
    }

    /// Checks the payload of a page or parity packet and gives its first part: the digests of the page, or the
    /// exclusive or of two.
    ///
    /// # Errors
    ///
    /// [`TreeError::Range`], [`TreeError::Length`] or [`TreeError::PageDigest`].
    ///
    /// Spec §6 \[T-6 .. T-8\].
    pub fn check_page<'a>(&self, kind: PageKind, cell: u32, payload: &'a [u8]) -> Result<&'a [u8], TreeError> {
        let g = &self.geometry;
        let expected = g.page_payload_len(kind, cell).ok_or(TreeError::Range)?;
        let wrong_length = TreeError::Length { got: payload.len(), expected };
        if payload.len() != expected {
            return Err(wrong_length);
        }
        let body_len = g.page_len(kind, cell).ok_or(TreeError::Range)?;
        let (body, rest) = payload.split_at_checked(body_len).ok_or(wrong_length)?;
        let (other, path) = rest.split_at_checked(g.digest_len()).ok_or(wrong_length)?;
        let own = self.hasher.page(kind, body);
        let leaf = match kind {
            PageKind::Page => self.hasher.leaf(cell, own.as_ref(), other),
            PageKind::Parity => self.hasher.leaf(cell, other, own.as_ref()),
        };
        let mut node = leaf;
        let mut index = cell;
        for (level, sibling) in (1..).zip(path.chunks_exact(g.digest_len())) {
            let is_right = index & 1 == 1;
            index >>= 1;
            node = if is_right {
                self.hasher.node(level, index, sibling, node.as_ref())
            } else {
                self.hasher.node(level, index, node.as_ref(), sibling)
            };
        }
        let cap = usize::try_from(index).ok().and_then(|i| self.cap.chunks_exact(g.digest_len()).nth(i));
        if cap == Some(node.as_ref()) { Ok(body) } else { Err(TreeError::PageDigest) }
    }

    /// Checks one chunk, padding included, against its cell's page.
    ///
    /// # Errors
    ///
    /// [`TreeError::Length`], [`TreeError::Range`] if the page has no such slot, or [`TreeError::ChunkDigest`].
    ///
    /// Spec §6 \[T-9\].
    pub fn check_chunk(&self, page: &[u8], slot: usize, chunk: &[u8]) -> Result<(), TreeError> {
        let expected = self.geometry.chunk_len();
        if chunk.len() != expected {
            return Err(TreeError::Length { got: chunk.len(), expected });
        }
        let digest = page.chunks_exact(self.geometry.digest_len()).nth(slot).ok_or(TreeError::Range)?;
        if self.hasher.chunk(chunk).as_ref() == digest { Ok(()) } else { Err(TreeError::ChunkDigest) }
    }
}

/// `into ^= with`; what `into` is longer stays, as if `with` were padded with zeros.
pub fn xor(into: &mut [u8], with: &[u8]) {
    for (a, b) in into.iter_mut().zip(with) {
        *a ^= b;
    }
}
