//! A carousel, a lossy channel and a receiver on a virtual clock: what the protocol costs, measured without a network.
//!
//! Everything random comes from a seed, so a run can be had again.

use fleetcast_core::fec::{Encoder, Layers, Schedule, Slot};
use fleetcast_core::manifest::Manifest;
use fleetcast_core::release::{HEAD_LEN, Layout, decode_head};
use fleetcast_core::session::{Action, Actions, Receiver};
use fleetcast_core::time::Instant;
use fleetcast_core::tree::{Geometry, Tree, xor};
use fleetcast_core::trust::{Trust, Verified, verify};
use fleetcast_core::wire::{Header, Object, PageKind, Tsi};

/// All packets of a release in memory.
#[derive(Debug)]
pub struct Carousel {
    statement: Vec<u8>,
    tsi: Tsi,
    components: Vec<Component>,
    schedule: Schedule,
}

#[derive(Debug)]
struct Component {
    tree: Tree,
    /// Source and repair chunks in send order, padding included.
    chunks: Vec<u8>,
    /// Page payloads, then parity payloads.
    pages: [Vec<Vec<u8>>; 2],
}

impl Carousel {
    /// The carousel of a release file and its images.
    ///
    /// # Panics
    ///
    /// If the file does not verify by `trust`.
    #[must_use]
    pub fn new(file: &[u8], images: &[Vec<u8>], trust: &Trust) -> Self {
        let len = decode_head(*file.first_chunk().unwrap()).unwrap();
        let statement = file[HEAD_LEN..HEAD_LEN + len].to_vec();
        let manifest: Verified<Manifest> = verify(&statement, trust).unwrap();
        let layout = Layout::new(len, &manifest);
        let components: Vec<_> = (0..)
            .zip(manifest.trees().unwrap())
            .zip(images)
            .map(|((c, tree), image)| {
                let record = |cell| usize::try_from(layout.record_offset(c, cell).unwrap()).unwrap();
                Component::new(tree, image, |cell, len| &file[record(cell)..][..len])
            })
            .collect();
        let schedule = Schedule::new(components.iter().map(|c| *c.tree.geometry()).collect(), 256);
        Self { statement, tsi: manifest.tsi(), components, schedule }
    }

    /// The same on several layers.
    #[must_use]
    pub fn layered(self, layers: Layers) -> Self {
        let geometries = self.components.iter().map(|c| *c.tree.geometry()).collect();
        Self { schedule: Schedule::layered(geometries, 256, layers), ..self }
    }

    /// The order of sending.
    #[must_use]
    pub const fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// Source chunks of all images.
    #[must_use]
    pub fn image_packets(&self) -> u64 {
        self.components.iter().map(|c| u64::from(c.tree.geometry().source_chunks())).sum()
    }

    /// The manifest statement.
    #[must_use]
    pub fn statement(&self) -> &[u8] {
        &self.statement
    }

    /// Puts the packet of `slot` into `datagram`; `false` if the slot is empty.
    ///
    /// # Panics
    ///
    /// Never: the schedule names only what there is.
    pub fn packet(&self, slot: u64, count: u32, datagram: &mut Vec<u8>) -> bool {
        let layer = self.schedule.layer(slot);
        let Some(slot) = self.schedule.at(slot) else { return false };
        let (object, payload): (_, &[u8]) = match slot {
            Slot::Statement => (Object::MANIFEST, &self.statement),
            Slot::Page { kind, component, cell } => {
                let pages = &self.components[usize::from(component)].pages[usize::from(kind == PageKind::Parity)];
                (Object::Page { kind, component, cell }, &pages[cell as usize])
            }
            Slot::Chunk { component, position } => {
                let c = &self.components[usize::from(component)];
                let (sbn, esi) = c.tree.geometry().symbol(position).unwrap();
                (Object::Chunk { component, sbn, esi }, c.chunk(position))
            }
        };
        datagram.clear();
        datagram.extend_from_slice(&Header { layer, count, tsi: self.tsi, object }.encode());
        datagram.extend_from_slice(payload);
        true
    }
}

impl Component {
    fn new<'a>(tree: Tree, image: &[u8], record: impl Fn(u32, usize) -> &'a [u8]) -> Self {
        let g = *tree.geometry();
        let t = g.chunk_len();
        let mut chunks = image.to_vec();
        chunks.resize(g.chunks() as usize * t, 0);
        let mut encoder = Encoder::default();
        for block in 0..g.blocks() {
            let size = g.block(block).unwrap();
            let at = |esi: u16| g.position(block.try_into().unwrap(), esi).unwrap() as usize * t;
            let mut repair = Vec::new();
            encoder
                .encode(
                    size,
                    t,
                    |number, chunk| {
                        chunk.copy_from_slice(&chunks[at(number)..][..t]);
                        Ok::<_, ()>(())
                    },
                    |number, chunk| {
                        repair.push((at(size.source + number), chunk.to_vec()));
                        Ok(())
                    },
                )
                .unwrap();
            for (offset, chunk) in repair {
                chunks[offset..offset + t].copy_from_slice(&chunk);
            }
        }
        let page = |cell| record(cell, g.page_payload_len(PageKind::Page, cell).unwrap());
        let pages = (0..g.cells()).map(|cell| page(cell).to_vec()).collect();
        let parities = (0..g.cells()).map(|cell| parity_payload(&tree, &g, cell, page)).collect();
        Self { tree, chunks, pages: [pages, parities] }
    }

    fn chunk(&self, position: u32) -> &[u8] {
        let t = self.tree.geometry().chunk_len();
        &self.chunks[position as usize * t..][..t]
    }
}

/// Payload of the parity packet of `cell`, from page payloads \[T-4, T-7\].
fn parity_payload<'a>(tree: &Tree, g: &Geometry, cell: u32, payload: impl Fn(u32) -> &'a [u8]) -> Vec<u8> {
    let len = |cell| g.page_len(PageKind::Page, cell).unwrap();
    let page = &payload(cell)[..len(cell)];
    let mut parity = page.to_vec();
    parity.resize(g.page_len(PageKind::Parity, cell).unwrap(), 0);
    if let Some(partner) = g.parity_partner(cell) {
        xor(&mut parity, &payload(partner)[..len(partner)]);
    }
    parity.extend_from_slice(tree.hasher().page(PageKind::Page, page).as_ref());
    parity.extend_from_slice(&payload(cell)[len(cell) + g.digest_len()..]);
    parity
}

/// How packets get lost.
#[derive(Clone, Copy, Debug)]
pub enum Channel {
    /// Each with this probability, alone.
    Independent(f64),
    /// In runs of ten on average, with this probability in all (Gilbert's model).
    Bursts(f64),
}

/// A channel with its random numbers.
#[derive(Debug)]
pub struct Losses {
    channel: Channel,
    random: fastrand::Rng,
    is_bad: bool,
}

impl Losses {
    /// A channel that loses the same packets for the same seed.
    #[must_use]
    pub fn new(channel: Channel, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let is_bad = matches!(channel, Channel::Bursts(p) if random.f64() < p);
        Self { channel, random, is_bad }
    }

    /// Whether the next packet is lost.
    pub fn loses(&mut self) -> bool {
        match self.channel {
            Channel::Independent(p) => self.random.f64() < p,
            Channel::Bursts(p) => {
                let change = if self.is_bad { 0.1 } else { 0.1 * p / (1.0 - p) };
                self.is_bad ^= self.random.f64() < change;
                self.is_bad
            }
        }
    }
}

/// What a receiver wrote: the storage of a device, in memory.
#[derive(Debug, Default)]
pub struct Store {
    /// Only pages are kept, to measure long receptions.
    pub is_pages_only: bool,
    /// Images by component, padded to whole chunks.
    pub images: Vec<Vec<u8>>,
    /// Repair chunks by component.
    pub repair: Vec<Vec<u8>>,
    /// Stored page payloads, by (component, cell).
    pub pages: std::collections::BTreeMap<(u8, u32), Vec<u8>>,
    /// Pages that were asked for.
    pub wanted: Vec<(u8, u32)>,
    /// Releases begun.
    pub begun: Vec<u64>,
    /// Releases of which a chunk has come.
    pub followed: Vec<u64>,
    /// Releases that were given up on the way, and why.
    pub abandoned: Vec<(u64, &'static str)>,
    /// Roots that have followed, and whether floors are void by them.
    pub roots: Vec<(u16, bool)>,
    /// Times of the beacons taken.
    pub beacons: Vec<u64>,
}

impl Store {
    /// Carries out actions.
    ///
    /// # Panics
    ///
    /// If a write lies outside its image.
    pub fn carry_out(&mut self, mut actions: Actions<'_>) {
        while let Some(action) = actions.next() {
            match action {
                Action::Begin { manifest } => {
                    self.begun.push(manifest.sequence);
                    self.pages.clear();
                    if self.is_pages_only {
                        continue;
                    }
                    let blank = |g: &Geometry, chunks: u32| vec![0xA5; chunks as usize * g.chunk_len()];
                    let g = || manifest.components.iter().map(|c| &c.geometry);
                    self.images = g().map(|g| blank(g, g.source_chunks())).collect();
                    self.repair = g().map(|g| blank(g, g.repair_chunks())).collect();
                    for (image, g) in self.images.iter_mut().zip(g()) {
                        image.truncate(usize::try_from(g.size()).unwrap());
                    }
                }
                Action::Write { .. } | Action::StoreRepair { .. } if self.is_pages_only => {}
                Action::Write { component, offset, bytes } => {
                    let image = &mut self.images[usize::from(component)];
                    image[usize::try_from(offset).unwrap()..][..bytes.len()].copy_from_slice(bytes);
                }
                Action::StoreRepair { component, number, bytes } => {
                    let repair = &mut self.repair[usize::from(component)];
                    repair[number as usize * bytes.len()..][..bytes.len()].copy_from_slice(bytes);
                }
                Action::StorePage { kind: PageKind::Page, component, cell, payload } => {
                    self.pages.insert((component, cell), payload.to_vec());
                }
                Action::LoadPage { component, cell } => self.wanted.push((component, cell)),
                Action::Follow { manifest } => self.followed.push(manifest.sequence),
                Action::Abandon { sequence, reason } => self.abandoned.push((sequence, reason.code())),
                Action::Root { root, voids_floors } => self.roots.push((root.version, voids_floors)),
                Action::Beacon { beacon } => self.beacons.push(beacon.issued),
                Action::StorePage { .. } | Action::Complete | Action::Refused { .. } => {}
            }
        }
    }
}

/// One reception.
#[derive(Clone, Copy, Debug)]
pub struct Reception {
    /// Packets sent from the join to the end, lost ones included.
    pub sent: u64,
    /// Chunks that came and were of use.
    pub chunks: u64,
}

/// Feeds `receiver` all layers of one sender, from slot `start` on, until it is complete.
///
/// # Panics
///
/// If it is not complete after 20 cycles.
pub fn receive(
    carousel: &Carousel,
    receiver: &mut Receiver,
    store: &mut Store,
    losses: &mut Losses,
    start: u64,
) -> Reception {
    receive_from(carousel, receiver, store, losses, &[start], carousel.schedule().layers().count())
}

/// Feeds `receiver` the first `layers` layers of senders of equal pace, each from a slot of its own on, until it is complete.
///
/// # Panics
///
/// If it is not complete after 20 cycles.
pub fn receive_from(
    carousel: &Carousel,
    receiver: &mut Receiver,
    store: &mut Store,
    losses: &mut Losses,
    starts: &[u64],
    layers: u8,
) -> Reception {
    let schedule = carousel.schedule();
    let mut datagram = Vec::new();
    let mut sent = 0;
    for (slot, (source, start)) in
        (0..20 * schedule.cycle()).flat_map(|slot| (1..).zip(starts).map(move |from| (slot, from)))
    {
        let slot = start + slot;
        let is_heard = schedule.layer(slot) < layers;
        if !is_heard || !carousel.packet(slot, (sent & 0x0FFF_FFFF) as u32, &mut datagram) {
            continue;
        }
        sent += 1;
        if losses.loses() {
            continue;
        }
        let now = Instant::from_micros(sent * 800);
        store.carry_out(receiver.handle_datagram(now, source, &datagram));
        for (component, cell) in std::mem::take(&mut store.wanted) {
            let payload = store.pages[&(component, cell)].clone();
            store.carry_out(receiver.handle_stored_page(PageKind::Page, component, cell, &payload));
        }
        if receiver.is_complete() {
            return Reception { sent, chunks: receiver.counters().chunks };
        }
    }
    panic!("not complete after 20 cycles: {:?}", receiver.counters());
}

/// Packets until complete for a carousel of bare image packets in order, nothing else: what a plain loop costs.
///
/// # Panics
///
/// If `packets` do not fit memory.
#[must_use]
pub fn receive_plain(packets: u64, losses: &mut Losses, start: u64) -> u64 {
    let mut have = vec![false; usize::try_from(packets).unwrap()];
    let mut missing = packets;
    let mut sent = 0;
    for slot in start.. {
        sent += 1;
        let had = &mut have[usize::try_from(slot % packets).unwrap()];
        if !losses.loses() && !std::mem::replace(had, true) {
            missing -= 1;
            if missing == 0 {
                break;
            }
        }
    }
    sent
}
