//! What can be asked of a [`Receiver`].

use super::download::Download;
use super::{Arrival, Counters, Progress, Receiver};
use crate::manifest::Manifest;
use crate::tree::Geometry;
use crate::trust::Verified;

impl Receiver {
    /// The release being received.
    #[must_use]
    pub fn manifest(&self) -> Option<&Verified<Manifest>> {
        self.download.as_ref().map(Download::manifest)
    }

    /// Unix time in seconds from which on the release being received may be installed \[M-10\].
    #[must_use]
    pub fn not_before(&self) -> Option<u64> {
        let manifest = self.manifest()?;
        manifest.not_before(self.policy.wave.number(manifest.sequence))
    }

    /// Whether a release is left alone because the storage could not take it.
    #[must_use]
    pub fn has_declined(&self) -> bool {
        !self.declined.is_empty()
    }

    /// Geometry of a component of the release being received.
    #[must_use]
    pub fn geometry(&self, component: u8) -> Option<&Geometry> {
        self.download.as_ref()?.geometry(component)
    }

    /// Whether the chunk at this position has been verified and handed out.
    #[must_use]
    pub fn has(&self, component: u8, position: u32) -> bool {
        self.download.as_ref().is_some_and(|download| download.has(component, position))
    }

    /// Chunks that a block lacks until it can be restored; 0 of one that does not exist.
    #[must_use]
    pub fn missing(&self, component: u8, block: u16) -> u16 {
        self.download.as_ref().map_or(0, |download| download.missing(component, block))
    }

    /// Whether the page of a cell is at hand, so that [`Receiver::handle_stored_chunk`] can check the cell's chunks.
    #[must_use]
    pub fn knows_page(&self, component: u8, cell: u32) -> bool {
        self.download.as_ref().is_some_and(|download| download.knows_page(component, cell))
    }

    /// Whether the chunk at this position is missing and would be of use if it came.
    #[must_use]
    pub fn wants(&self, component: u8, position: u32) -> bool {
        self.download.as_ref().is_some_and(|download| download.wants(component, position))
    }

    /// Whether the page of a cell has not come, nor followed from others lately.
    #[must_use]
    pub fn lacks_page(&self, component: u8, cell: u32) -> bool {
        self.download.as_ref().is_some_and(|download| download.lacks_page(component, cell))
    }

    /// The digests of a cell's chunks, if its page is at hand.
    #[must_use]
    pub fn page(&self, component: u8, cell: u32) -> Option<&[u8]> {
        self.download.as_ref()?.page(component, cell)
    }

    /// Whether everything needed is there.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// How far the release being received is.
    #[must_use]
    pub fn progress(&self) -> Option<Progress> {
        let (needed, have) = self.download.as_ref()?.progress();
        Some(Progress { needed, have })
    }

    /// What came and what was dropped.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Share of the packets sent for this session that did not come, 0.0 ..= 1.0, by the senders' counts \[W-5\]: an
    /// estimate to show, for the counts are not authenticated.
    #[must_use]
    pub fn loss(&self) -> f64 {
        self.loss.estimate()
    }

    /// Packets sent for this session as far as that is known, and those of them that came: what [`Receiver::loss`] is of.
    #[must_use]
    pub const fn sent_and_came(&self) -> (u64, u64) {
        self.loss.counts()
    }

    /// What the last datagram tells about loss, once its actions are done; `None` if it failed a check, or is not of the
    /// release being received.
    #[must_use]
    pub const fn arrival(&self) -> Option<Arrival> {
        self.arrival
    }
}
