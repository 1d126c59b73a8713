//! Pages, parity pages and the tree above them (spec §6).

use fleetcast_core::tree::{Cell, Digest, Geometry, Hasher, xor};
use fleetcast_core::wire::PageKind;

/// The pages of one component, and their tree up to the cap.
#[derive(Debug)]
pub struct Pages<'a> {
    geometry: &'a Geometry,
    hasher: &'a Hasher,
    /// Digests of all chunks by position; pages are parts of it.
    digests: &'a [u8],
    /// Leaves first, the cap last.
    levels: Vec<Vec<u8>>,
}

impl<'a> Pages<'a> {
    /// Builds the tree over `digests`, those of all chunks by position.
    ///
    /// Spec §6 \[T-3 .. T-5\].
    #[must_use]
    pub fn new(geometry: &'a Geometry, hasher: &'a Hasher, digests: &'a [u8]) -> Self {
        let mut pages = Self { geometry, hasher, digests, levels: Vec::new() };
        let mut nodes = Vec::with_capacity(geometry.digest_len() << geometry.height());
        for cell in 0..geometry.cells() {
            let [page, parity] = [PageKind::Page, PageKind::Parity].map(|kind| pages.digest(kind, cell));
            nodes.extend_from_slice(hasher.leaf(cell, page.as_ref(), parity.as_ref()).as_ref());
        }
        nodes.resize(geometry.digest_len() << geometry.height(), 0);
        for level in (1..).take(geometry.path_digests() as usize) {
            let mut parents = Vec::with_capacity(nodes.len() / 2);
            for (index, pair) in (0..).zip(nodes.chunks_exact(2 * geometry.digest_len())) {
                let (left, right) = pair.split_at(geometry.digest_len());
                parents.extend_from_slice(hasher.node(level, index, left, right).as_ref());
            }
            pages.levels.push(std::mem::replace(&mut nodes, parents));
        }
        pages.levels.push(nodes);
        pages
    }

    /// The cap \[T-5\].
    #[must_use]
    pub fn cap(&self) -> &[u8] {
        self.levels.last().map_or(&[], |cap| cap)
    }

    /// Page `P` of a cell, empty if there is no such cell \[T-3\].
    #[must_use]
    pub fn page(&self, cell: u32) -> &'a [u8] {
        let digest_len = self.geometry.digest_len();
        let range = |c: Cell| {
            let start = c.start as usize * digest_len;
            self.digests.get(start..start + c.len as usize * digest_len)
        };
        self.geometry.cell_at(cell).and_then(range).unwrap_or_default()
    }

    /// Page or parity page of a cell \[T-3, T-4\].
    #[must_use]
    pub fn body(&self, kind: PageKind, cell: u32) -> Vec<u8> {
        match kind {
            PageKind::Page => self.page(cell).to_vec(),
            PageKind::Parity => {
                parity(self.page(cell), self.geometry.parity_partner(cell).map(|partner| self.page(partner)))
            }
        }
    }

    /// Payload of the page or parity packet of a cell \[T-6, T-7\].
    #[must_use]
    pub fn payload(&self, kind: PageKind, cell: u32) -> Vec<u8> {
        let other = match kind {
            PageKind::Page => PageKind::Parity,
            PageKind::Parity => PageKind::Page,
        };
        let mut payload = self.body(kind, cell);
        payload.extend_from_slice(self.digest(other, cell).as_ref());
        let digest_len = self.geometry.digest_len();
        for (level, nodes) in self.levels.iter().take(self.geometry.path_digests() as usize).enumerate() {
            let sibling = (cell >> level) as usize ^ 1;
            payload.extend_from_slice(&nodes[sibling * digest_len..][..digest_len]);
        }
        payload
    }

    fn digest(&self, kind: PageKind, cell: u32) -> Digest {
        self.hasher.page(kind, &self.body(kind, cell))
    }
}

/// Parity page of a page and its partner, if it has one \[T-4\].
pub(super) fn parity(page: &[u8], partner: Option<&[u8]>) -> Vec<u8> {
    let partner = partner.unwrap_or_default();
    let mut parity = page.to_vec();
    parity.resize(page.len().max(partner.len()), 0);
    xor(&mut parity, partner);
    parity
}

#[cfg(test)]
mod tests {
    use fleetcast_core::tree::{Parameters, Tree, TreeError};
    use proptest::prelude::*;

    use super::*;

    fn geometry() -> impl Strategy<Value = Geometry> {
        let parts = (1..64 * 700_u64, 1..=8_u64, 0..=100_u64, any::<bool>(), any::<prop::sample::Index>());
        parts.prop_map(|(size, cells, repair, full, cap)| {
            let digest = if full { 32 } else { 16 };
            let parameters = Parameters { size, chunk: 64, cell: 8 * cells, repair, digest, cap_len: 0 };
            let height = Geometry::with_cap_level(&parameters, 0).unwrap().height();
            let level = u32::try_from(cap.index(height as usize + 1)).unwrap();
            Geometry::with_cap_level(&parameters, level).unwrap()
        })
    }

    proptest! {
        #[test]
        fn every_page_leads_to_the_cap_and_no_other_octets_do(
            g in geometry(),
            seed in any::<u64>(),
            cell in any::<prop::sample::Index>(),
            octet in any::<prop::sample::Index>(),
            bit in 0..8,
        ) {
            let hasher = Hasher::new(seed, 3, &[7; 32], g.digest_len() == 32);
            let digests: Vec<u8> = (0..g.chunks()).flat_map(|i| hasher.chunk(&i.to_be_bytes()).as_ref().to_vec()).collect();
            let pages = Pages::new(&g, &hasher, &digests);
            let tree = Tree::new(g, hasher.clone(), pages.cap().to_vec()).unwrap();
            for kind in [PageKind::Page, PageKind::Parity] {
                for cell in 0..g.cells() {
                    let payload = pages.payload(kind, cell);
                    prop_assert_eq!(tree.check_page(kind, cell, &payload), Ok(&pages.body(kind, cell)[..]));
                }
                let cell = u32::try_from(cell.index(g.cells() as usize)).unwrap();
                let mut payload = pages.payload(kind, cell);
                let at = octet.index(payload.len());
                payload[at] ^= 1_u8 << bit;
                prop_assert_eq!(tree.check_page(kind, cell, &payload), Err(TreeError::PageDigest));
            }
        }
    }
}
