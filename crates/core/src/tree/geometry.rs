//! How an image is cut into chunks, blocks and cells (spec §5).

use crate::wire::{HEADER_LEN, PageKind};

/// Largest image, in octets: 16 GiB \[G-1\].
pub const MAX_SIZE: u64 = 1 << 34;
/// Most source chunks of an image \[G-2\].
pub const MAX_SOURCE_CHUNKS: u32 = 1 << 24;
/// Most source chunks of a block \[G-3\].
pub const MAX_BLOCK_SOURCE: u32 = 4096;
/// Most chunks of a cell \[G-1\].
pub const MAX_CELL: u32 = 64;

/// What a manifest says of a component's geometry, unchecked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// Image octets, `L`.
    pub size: u64,
    /// Octets of a chunk, `T`.
    pub chunk: u64,
    /// Chunks of a cell.
    pub cell: u64,
    /// Repair chunks per 100 source chunks.
    pub repair: u64,
    /// Octets of a digest, `D`.
    pub digest: u64,
    /// Octets of the tree's cap.
    pub cap_len: usize,
}

/// Which parameter is not allowed (spec §5 \[G-1, G-2\], §6 \[T-5\]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GeometryError {
    /// Not 1 octet to 16 GiB.
    Size {
        /// Octets asked for.
        size: u64,
    },
    /// Not a multiple of 64 from 64 to 8192.
    Chunk {
        /// Octets asked for.
        chunk: u64,
    },
    /// Not a multiple of 8 from 8 to 64.
    Cell {
        /// Chunks asked for.
        cell: u64,
    },
    /// More than 100.
    Repair {
        /// Repair chunks per 100 asked for.
        repair: u64,
    },
    /// Neither 16 nor 32.
    Digest {
        /// Octets asked for.
        digest: u64,
    },
    /// More than 2^24 source chunks: the chunk is too small for the image.
    TooManyChunks {
        /// Source chunks there would be.
        chunks: u64,
    },
    /// Not 2^c digests for a tree of this height.
    Cap {
        /// Octets of the cap.
        len: usize,
    },
}

impl core::error::Error for GeometryError {}

impl core::fmt::Display for GeometryError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Size { size } => write!(f, "an image has 1 octet to 16 GiB, this one {size} octets"),
            Self::Chunk { chunk } => {
                write!(f, "a chunk has 64 to 8192 octets in steps of 64, not {chunk}")
            }
            Self::Cell { cell } => write!(f, "a cell has 8 to 64 chunks in steps of 8, not {cell}"),
            Self::Repair { repair } => write!(f, "repair is 0 to 100 percent, not {repair}"),
            Self::Digest { digest } => write!(f, "a digest has 16 or 32 octets, not {digest}"),
            Self::TooManyChunks { chunks } => {
                write!(f, "an image has at most {MAX_SOURCE_CHUNKS} chunks, not {chunks}: use larger chunks")
            }
            Self::Cap { len } => write!(f, "a cap of {len} octets does not fit the tree"),
        }
    }
}

/// Source and repair chunks of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockSize {
    /// Source chunks, `K_b`: 1..=4096.
    pub source: u16,
    /// Repair chunks, `R_b`: 0..=4096.
    pub repair: u16,
}

/// The chunks of one cell: consecutive positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Position of its first chunk.
    pub start: u32,
    /// Number of its chunks, 1..=64.
    pub len: u32,
}

/// Checked geometry of a component. All counts are derived, and none overflows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    size: u64,
    chunk: u32,
    cell: u32,
    repair: u32,
    full_digest: bool,
    source_chunks: u32,
    repair_chunks: u32,
    blocks: u32,
    source_cells: u32,
    cells: u32,
    height: u32,
    cap_level: u32,
}

#[expect(
    clippy::arithmetic_side_effects,
    reason = "`new` bounds every operand: sums stay below 2^26, lengths below 2^35"
)]
impl Geometry {
    /// Checks parameters and derives all counts.
    ///
    /// # Errors
    ///
    /// The first [`GeometryError`] in the order of its variants.
    ///
    /// Spec §5 \[G-1 .. G-6\].
    pub fn new(p: &Parameters) -> Result<Self, GeometryError> {
        let g = Self::with_cap_level(p, 0)?;
        let nodes = p.cap_len / g.digest_len();
        let wrong = GeometryError::Cap { len: p.cap_len };
        if !nodes.is_power_of_two() || nodes * g.digest_len() != p.cap_len {
            return Err(wrong);
        }
        if nodes.ilog2() > g.height { Err(wrong) } else { Ok(Self { cap_level: nodes.ilog2(), ..g }) }
    }

    /// As [`Geometry::new`], with a cap of 2^`cap_level` nodes instead of `cap_len` octets.
    ///
    /// # Errors
    ///
    /// As [`Geometry::new`].
    pub fn with_cap_level(p: &Parameters, cap_level: u32) -> Result<Self, GeometryError> {
        let in_steps = |value: u64, step: u64, most: u64| {
            let value = u32::try_from(value).ok()?;
            (value > 0 && u64::from(value).is_multiple_of(step) && u64::from(value) <= most).then_some(value)
        };
        if p.size == 0 || p.size > MAX_SIZE {
            return Err(GeometryError::Size { size: p.size });
        }
        let chunk = in_steps(p.chunk, 64, 8192).ok_or(GeometryError::Chunk { chunk: p.chunk })?;
        let cell = in_steps(p.cell, 8, u64::from(MAX_CELL)).ok_or(GeometryError::Cell { cell: p.cell })?;
        let repair = u32::try_from(p.repair).ok().filter(|&percent| percent <= 100);
        let repair = repair.ok_or(GeometryError::Repair { repair: p.repair })?;
        if p.digest != 16 && p.digest != 32 {
            return Err(GeometryError::Digest { digest: p.digest });
        }
        let chunks = p.size.div_ceil(u64::from(chunk));
        let source_chunks = u32::try_from(chunks).ok().filter(|&count| count <= MAX_SOURCE_CHUNKS);
        let source_chunks = source_chunks.ok_or(GeometryError::TooManyChunks { chunks })?;

        let blocks = source_chunks.div_ceil(MAX_BLOCK_SOURCE);
        let (low, larger) = (source_chunks / blocks, source_chunks % blocks);
        let repair_of = |source: u32| (source * repair).div_ceil(100);
        let repair_chunks = larger * repair_of(low + 1) + (blocks - larger) * repair_of(low);
        let source_cells = source_chunks.div_ceil(cell);
        let cells = source_cells + repair_chunks.div_ceil(cell);
        let height = cells.next_power_of_two().ilog2();
        if cap_level > height {
            return Err(GeometryError::Cap { len: 0 });
        }
        Ok(Self {
            size: p.size,
            chunk,
            cell,
            repair,
            full_digest: p.digest == 32,
            source_chunks,
            repair_chunks,
            blocks,
            source_cells,
            cells,
            height,
            cap_level,
        })
    }

    /// Image octets, `L`.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Octets of a chunk, `T`.
    #[must_use]
    pub const fn chunk_len(&self) -> usize {
        self.chunk as usize
    }

    /// Chunks of a full cell.
    #[must_use]
    pub const fn cell(&self) -> u32 {
        self.cell
    }

    /// Repair chunks per 100 source chunks.
    #[must_use]
    pub const fn repair(&self) -> u32 {
        self.repair
    }

    /// Octets of a digest, `D`.
    #[must_use]
    pub const fn digest_len(&self) -> usize {
        if self.full_digest { 32 } else { 16 }
    }

    /// Source chunks, `S`.
    #[must_use]
    pub const fn source_chunks(&self) -> u32 {
        self.source_chunks
    }

    /// Repair chunks of all blocks, `Q`.
    #[must_use]
    pub const fn repair_chunks(&self) -> u32 {
        self.repair_chunks
    }

    /// Source and repair chunks; positions are below this.
    #[must_use]
    pub const fn chunks(&self) -> u32 {
        self.source_chunks + self.repair_chunks
    }

    /// Blocks, `Z`.
    #[must_use]
    pub const fn blocks(&self) -> u32 {
        self.blocks
    }

    /// Cells of source chunks.
    #[must_use]
    pub const fn source_cells(&self) -> u32 {
        self.source_cells
    }

    /// All cells, n.
    #[must_use]
    pub const fn cells(&self) -> u32 {
        self.cells
    }

    /// Height of the tree, h.
    #[must_use]
    pub const fn height(&self) -> u32 {
        self.height
    }

    /// Digests in a path, h - c.
    #[must_use]
    pub const fn path_digests(&self) -> u32 {
        self.height - self.cap_level
    }

    /// Octets of the cap.
    #[must_use]
    pub const fn cap_len(&self) -> usize {
        (1 << self.cap_level) * self.digest_len()
    }

    /// Size of block `block`, `None` if there is no such block \[G-3, G-4\].
    #[must_use]
    pub fn block(&self, block: u32) -> Option<BlockSize> {
        let larger = u32::from(block < self.source_chunks % self.blocks);
        let source = self.source_chunks / self.blocks + larger;
        let repair = (source * self.repair).div_ceil(100);
        let exists = block < self.blocks;
        exists.then_some(BlockSize { source: u16::try_from(source).ok()?, repair: u16::try_from(repair).ok()? })
    }

    /// Block number and ESI of the chunk at `position` \[G-3 .. G-5\].
    #[must_use]
    pub fn symbol(&self, position: u32) -> Option<(u16, u16)> {
        let (number, is_repair) = match position.checked_sub(self.source_chunks) {
            None => (position, false),
            Some(number) if number < self.repair_chunks => (number, true),
            Some(_) => return None,
        };
        let (block, row) = (number % self.blocks, number / self.blocks);
        let first = if is_repair { u32::from(self.block(block)?.source) } else { 0 };
        Some((u16::try_from(block).ok()?, u16::try_from(first + row).ok()?))
    }

    /// Position of the chunk with this block number and ESI, `None` if there is none \[G-7\].
    #[must_use]
    pub fn position(&self, sbn: u16, esi: u16) -> Option<u32> {
        let size = self.block(u32::from(sbn))?;
        let at = |row: u16| u32::from(row) * self.blocks + u32::from(sbn);
        match esi.checked_sub(size.source) {
            None => Some(at(esi)),
            Some(row) if row < size.repair => Some(self.source_chunks + at(row)),
            Some(_) => None,
        }
    }

    /// Positions of cell `cell`, `None` if there is no such cell \[G-6\].
    #[must_use]
    pub fn cell_at(&self, cell: u32) -> Option<Cell> {
        let (start, end) = match cell.checked_sub(self.source_cells) {
            None => (cell * self.cell, self.source_chunks),
            Some(_) if cell >= self.cells => return None,
            Some(number) => (self.source_chunks + number * self.cell, self.chunks()),
        };
        Some(Cell { start, len: self.cell.min(end - start) })
    }

    /// Cell and slot of the chunk at `position`, which must exist.
    #[must_use]
    pub fn slot(&self, position: u32) -> (u32, usize) {
        let (first_cell, number) = match position.checked_sub(self.source_chunks) {
            None => (0, position),
            Some(number) => (self.source_cells, number),
        };
        (first_cell + number / self.cell, (number % self.cell) as usize)
    }

    /// Offset and length in the image of the source chunk at `position`, padding left out; `None` for a repair chunk.
    #[must_use]
    pub fn image_range(&self, position: u32) -> Option<(u64, usize)> {
        let offset = self.image_offset(position, 0);
        (position < self.source_chunks).then(|| (offset, self.image_part(offset, self.chunk_len())))
    }

    /// Offset in the image of octet `column` of the source chunk at `position`.
    #[must_use]
    pub fn image_offset(&self, position: u32, column: usize) -> u64 {
        u64::from(position) * u64::from(self.chunk) + column as u64
    }

    /// How many of `len` octets from `offset` on are image and not padding.
    #[must_use]
    pub fn image_part(&self, offset: u64, len: usize) -> usize {
        usize::try_from(self.size.saturating_sub(offset)).map_or(len, |left| left.min(len))
    }

    /// Cell whose page is the other half of the parity page of `cell`, `None` if that parity page is a plain copy
    /// \[T-4\].
    #[must_use]
    pub fn parity_partner(&self, cell: u32) -> Option<u32> {
        let far = super::PARITY_DISTANCE;
        (self.cells > far).then(|| if cell >= far { cell - far } else { cell + self.cells - far })
    }

    /// The inverse of [`Geometry::parity_partner`]: cell whose parity page also covers `cell`.
    #[must_use]
    pub fn parity_follower(&self, cell: u32) -> Option<u32> {
        let far = super::PARITY_DISTANCE;
        (self.cells > far).then(|| (cell + far) % self.cells)
    }

    /// Octets of the page or parity page of `cell` \[T-3, T-4\].
    #[must_use]
    pub fn page_len(&self, kind: PageKind, cell: u32) -> Option<usize> {
        let mut digests = self.cell_at(cell)?.len;
        if kind == PageKind::Parity
            && let Some(partner) = self.parity_partner(cell)
        {
            digests = digests.max(self.cell_at(partner)?.len);
        }
        Some(digests as usize * self.digest_len())
    }

    /// Octets of the payload of a page or parity packet \[T-6, T-7\].
    #[must_use]
    pub fn page_payload_len(&self, kind: PageKind, cell: u32) -> Option<usize> {
        Some(self.page_len(kind, cell)? + self.page_tail_len())
    }

    /// Octets of the largest page or parity payload; also of a record of the release file \[X-1\].
    #[must_use]
    pub const fn max_page_payload_len(&self) -> usize {
        self.cell as usize * self.digest_len() + self.page_tail_len()
    }

    /// Octets of the largest packet of this component, header included.
    #[must_use]
    pub const fn max_packet_len(&self) -> usize {
        let (page, chunk) = (self.max_page_payload_len(), self.chunk_len());
        HEADER_LEN + if page > chunk { page } else { chunk }
    }

    /// Octets behind the page: the other digest and the path.
    const fn page_tail_len(&self) -> usize {
        (1 + self.path_digests() as usize) * self.digest_len()
    }
}
