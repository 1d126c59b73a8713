//! The facts of a release as commands show them.

mod html;

use std::fmt;

use fleetcast_cli::hex;
use fleetcast_core::manifest::{Component, Manifest, Share};
use fleetcast_core::release::Layout;
use fleetcast_core::tree::Geometry;
use fleetcast_core::trust::{Envelope, Unverified};
use fleetcast_core::wire::{HEADER_LEN, PageKind};
use serde::Serialize;

use crate::time;

/// What a manifest says, and what follows from it. Digests, keys and ids are lower-case hexadecimal.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Session id: how packets name the release.
    pub tsi: String,
    /// SHA-256 of the manifest.
    pub manifest_digest: String,
    /// Sequence number.
    pub sequence: u64,
    /// Security version.
    pub security_version: u32,
    /// Version as people call it.
    pub version: String,
    /// UUID of the vendor.
    pub vendor: String,
    /// UUIDs of the device classes.
    pub classes: Vec<String>,
    /// Sequences a device may run now, least and greatest; null for any.
    pub from: Option<(u64, u64)>,
    /// Hardware revisions it is for.
    pub hardware: Option<(u64, u64)>,
    /// Which share of the devices may install from when.
    pub waves: Vec<WaveSummary>,
    /// Ids of the keys that the signatures name, in order. Naming a key proves nothing.
    pub signatures: Vec<String>,
    /// Octets of the signed manifest.
    pub statement_octets: usize,
    /// Octets of the largest packet, header included.
    pub packet_octets: usize,
    /// Octets of the release file.
    pub file_octets: u64,
    /// Packets in one cycle of the carousel, manifests left out.
    pub cycle_packets: u64,
    /// Octets of UDP payload in one cycle of the carousel, manifests left out.
    pub cycle_octets: u64,
    /// The components, in order.
    pub components: Vec<ComponentSummary>,
}

/// One component of a [`Summary`].
#[derive(Clone, Debug, Serialize)]
pub struct ComponentSummary {
    /// Name.
    pub name: String,
    /// Install target.
    pub target: String,
    /// Octets of the image.
    pub size: u64,
    /// SHA-256 of the image.
    pub sha256: String,
    /// Octets of a chunk.
    pub chunk: usize,
    /// Chunks of a cell.
    pub cell: u32,
    /// Repair chunks per 100 source chunks.
    pub repair: u32,
    /// Octets of a digest.
    pub digest: usize,
    /// Source chunks.
    pub source_chunks: u32,
    /// Repair chunks.
    pub repair_chunks: u32,
    /// Blocks of the erasure code.
    pub blocks: u32,
    /// Cells, and so pages.
    pub cells: u32,
    /// Digests in the path of a page.
    pub path_digests: u32,
    /// The cap of the tree.
    pub cap: String,
    /// Octets of a chunk packet, header included.
    pub chunk_packet: usize,
    /// Octets of the largest page packet, header included.
    pub page_packet: usize,
    /// What the packets of all source chunks, with their pages, have more than the image, in percent of it.
    pub overhead_percent: f64,
}

/// A share of the devices, and when they may install.
#[derive(Clone, Debug, Serialize)]
pub struct WaveSummary {
    /// Per mille of the devices.
    pub share: u16,
    /// Unix time in seconds.
    pub time: u64,
}

impl From<&Share> for WaveSummary {
    fn from(&Share { share, time }: &Share) -> Self {
        Self { share, time }
    }
}

impl fmt::Display for WaveSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, tenth) = (self.share / 10, self.share % 10);
        write!(f, "{whole}.{tenth} % of the devices from {}", time::text(self.time))
    }
}

impl Summary {
    /// The facts of a manifest and the statement it came in.
    #[must_use]
    pub fn new(manifest: &Unverified<Manifest>, statement: &[u8]) -> Self {
        let geometries = || manifest.components.iter().map(|c| &c.geometry);
        let totals = geometries().map(|g| Traffic::of(g, 0, g.cells()));
        let Traffic { packets, octets } = totals.fold(Traffic::default(), Traffic::plus);
        let largest = geometries().map(Geometry::max_packet_len).max().unwrap_or(0);
        let signatures = Envelope::parse(statement).map(|e| e.signatures().map(|s| s.kid.to_string()).collect());
        Self {
            tsi: manifest.tsi().to_string(),
            manifest_digest: hex(manifest.payload_digest()),
            sequence: manifest.sequence,
            security_version: manifest.security_version,
            version: manifest.version.to_string(),
            vendor: manifest.vendor.to_string(),
            classes: manifest.classes.iter().map(ToString::to_string).collect(),
            from: manifest.from,
            hardware: manifest.hardware,
            waves: manifest.waves.iter().map(WaveSummary::from).collect(),
            signatures: signatures.unwrap_or_default(),
            statement_octets: statement.len(),
            packet_octets: largest.max(HEADER_LEN + statement.len()),
            file_octets: Layout::new(statement.len(), manifest).len(),
            cycle_packets: packets,
            cycle_octets: octets,
            components: manifest.components.iter().map(ComponentSummary::new).collect(),
        }
    }
}

impl ComponentSummary {
    /// Digests in the cap.
    const fn cap_nodes(&self) -> usize {
        self.cap.len() / 2 / self.digest
    }

    fn new(component: &Component) -> Self {
        let g = &component.geometry;
        #[expect(clippy::cast_precision_loss, reason = "counts of octets of one image, below 2^53")]
        let percent = |part: u64, of: u64| (part as f64 / of as f64 * 10_000.0).round() / 100.0;
        let source = Traffic::of(g, 0, g.source_cells());
        Self {
            name: component.name.to_string(),
            target: component.target.to_string(),
            size: g.size(),
            sha256: hex(&component.sha256),
            chunk: g.chunk_len(),
            cell: g.cell(),
            repair: g.repair(),
            digest: g.digest_len(),
            source_chunks: g.source_chunks(),
            repair_chunks: g.repair_chunks(),
            blocks: g.blocks(),
            cells: g.cells(),
            path_digests: g.path_digests(),
            cap: hex(&component.cap),
            chunk_packet: HEADER_LEN + g.chunk_len(),
            page_packet: HEADER_LEN + g.page_payload_len(PageKind::Page, 0).unwrap_or_default(),
            overhead_percent: percent(source.octets - g.size(), g.size()),
        }
    }
}

/// Packets, and their octets of UDP payload.
#[derive(Clone, Copy, Default)]
struct Traffic {
    packets: u64,
    octets: u64,
}

impl Traffic {
    /// Chunks, pages and parity pages of some cells.
    fn of(g: &Geometry, first: u32, end: u32) -> Self {
        let page = |kind, cell| HEADER_LEN + g.page_payload_len(kind, cell).unwrap_or_default();
        let cell = |cell| {
            let chunks = g.cell_at(cell).map_or(0, |c| c.len);
            let pages = page(PageKind::Page, cell) + page(PageKind::Parity, cell);
            let octets = u64::from(chunks) * (HEADER_LEN + g.chunk_len()) as u64 + pages as u64;
            Self { packets: u64::from(chunks) + 2, octets }
        };
        (first..end).map(cell).fold(Self::default(), Self::plus)
    }

    const fn plus(self, other: Self) -> Self {
        Self { packets: self.packets + other.packets, octets: self.octets + other.octets }
    }
}

impl fmt::Display for Summary {
    /// Aligned lines, the last one ended.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |key: &str, value: &dyn fmt::Display| writeln!(f, "{key:<18}{value}");
        line("version", &self.version)?;
        line("sequence", &self.sequence)?;
        line("security version", &self.security_version)?;
        if let Some((min, max)) = self.from {
            line("from", &format_args!("sequence {min} to {max}"))?;
        }
        if let Some((min, max)) = self.hardware {
            line("hardware", &format_args!("revision {min} to {max}"))?;
        }
        for wave in &self.waves {
            line("wave", wave)?;
        }
        line("vendor", &self.vendor)?;
        for class in &self.classes {
            line("class", class)?;
        }
        for kid in &self.signatures {
            line("signed by", kid)?;
        }
        if self.signatures.is_empty() {
            line("signed by", &"nobody")?;
        }
        line("manifest", &self.manifest_digest)?;
        line("session (TSI)", &self.tsi)?;
        line("signed manifest", &format_args!("{} octets", self.statement_octets))?;
        line("release file", &format_args!("{} octets", self.file_octets))?;
        line("largest packet", &format_args!("{} octets of UDP payload", self.packet_octets))?;
        line("one cycle", &format_args!("{} packets, {} octets", self.cycle_packets, self.cycle_octets))?;
        self.components.iter().try_for_each(|component| write!(f, "\n{component}"))
    }
}

impl fmt::Display for ComponentSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = format_args!("{} source, {} repair ({} %)", self.source_chunks, self.repair_chunks, self.repair);
        writeln!(f, "component {} for target {}", self.name, self.target)?;
        let mut line = |key: &str, value: &dyn fmt::Display| writeln!(f, "  {key:<16}{value}");
        line("image", &format_args!("{} octets", self.size))?;
        line("SHA-256", &self.sha256)?;
        line("chunks", &format_args!("{source} of {} octets in {} blocks", self.chunk, self.blocks))?;
        line("cells", &format_args!("{} of {} chunks", self.cells, self.cell))?;
        line(
            "tree",
            &format_args!(
                "paths of {} digests of {} octets, cap of {}",
                self.path_digests,
                self.digest,
                self.cap_nodes()
            ),
        )?;
        line("packets", &format_args!("chunk {}, page {} octets", self.chunk_packet, self.page_packet))?;
        line("overhead", &format_args!("{:.2} % of the image, headers and pages", self.overhead_percent))?;
        line("cap", &self.cap)
    }
}
