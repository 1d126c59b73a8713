//! Acceptable releases of which no chunk has come: a manifest alone wins nothing (spec §4 \[M-6\]).

use alloc::vec::Vec;

use fleetcast_core::manifest::Manifest;
use fleetcast_core::tree::Tree;
use fleetcast_core::trust::Verified;
use fleetcast_core::wire::Tsi;

use crate::download::{Chunk, check_page, tree_of};
use crate::receiver::Stop;

/// Most of them: the highest ones.
const MOST: usize = 8;

/// The last page that has come of any of them. The sender's next packet is a chunk of it, so one does: other pages can delay that, and no more.
#[derive(Debug)]
pub(crate) struct Page {
    tsi: Tsi,
    pub(crate) cell: u32,
    pub(crate) payload: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Candidates {
    manifests: Vec<Verified<Manifest>>,
    page: Option<Page>,
}

impl Candidates {
    pub(crate) fn new() -> Self {
        Self { manifests: Vec::with_capacity(MOST), page: None }
    }

    pub(crate) fn has(&self, payload_digest: &[u8; 32]) -> bool {
        self.manifests.iter().any(|manifest| manifest.payload_digest() == payload_digest)
    }

    /// Takes a release in, if need be for a lower one.
    pub(crate) fn insert(&mut self, manifest: Verified<Manifest>) -> Result<(), Stop> {
        if self.manifests.len() == MOST {
            let lowest = (0..).zip(&self.manifests).min_by_key(|(_, lowest)| lowest.sequence);
            let lower = lowest.filter(|(_, lowest)| lowest.sequence < manifest.sequence);
            let (at, _) = lower.ok_or(Stop::Drop("outnumbered"))?;
            self.manifests.swap_remove(at);
        }
        self.manifests.push(manifest);
        Ok(())
    }

    /// Lets go of all that are not above `sequence`.
    pub(crate) fn keep_above(&mut self, sequence: u64) {
        self.manifests.retain(|manifest| manifest.sequence > sequence);
    }

    pub(crate) fn take_page(&mut self, tsi: Tsi, cell: u32, payload: &[u8]) -> Result<(), Stop> {
        let (_, tree) = self.find(tsi)?;
        check_page(&tree, cell, payload)?;
        // Freed first: both need not be in memory at once.
        self.page = None;
        self.page = Some(Page { tsi, cell, payload: payload.to_vec() });
        Ok(())
    }

    /// Gives up the candidate that this chunk is of, and the page that shows it.
    pub(crate) fn take_proven(&mut self, tsi: Tsi, chunk: &Chunk<'_>) -> Result<(Verified<Manifest>, Page), Stop> {
        let (at, tree) = self.find(tsi)?;
        let place = chunk.place(tree.geometry())?;
        let page = self.page.take_if(|page| page.tsi == tsi && page.cell == place.cell).ok_or(Stop::Drop("no-page"))?;
        if let Err(error) = tree.check_chunk(&page.payload, place.slot, chunk.bytes) {
            self.page = Some(page);
            return Err(error.into());
        }
        Ok((self.manifests.swap_remove(at), page))
    }

    fn find(&self, tsi: Tsi) -> Result<(usize, Tree), Stop> {
        let found = (0..).zip(&self.manifests).find(|(_, manifest)| manifest.tsi() == tsi);
        let (at, manifest) = found.ok_or(Stop::Drop("other-session"))?;
        Ok((at, tree_of(manifest)?))
    }
}
