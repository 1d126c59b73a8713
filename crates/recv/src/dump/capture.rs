//! Capture files: pcap and pcapng, as a stream (draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng).

use std::io::{self, Read};

use fleetcast_core::reader::{Reader, Truncated};

/// Most octets of a frame: what libpcap captures at most.
const MAX_FRAME: u32 = 1 << 18;
/// Most octets of a pcapng block that is looked into; options come beside the frame.
const MAX_BLOCK: u32 = MAX_FRAME + (1 << 16);
/// Most interfaces of a pcapng section.
const MAX_INTERFACES: usize = 256;

const SECTION: u32 = 0x0A0D_0D0A;
const INTERFACE: u32 = 1;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;
const BYTE_ORDER: u32 = 0x1A2B_3C4D;
const OPTION_RESOLUTION: u16 = 9;
const OPTION_OFFSET: u16 = 14;
const MICROS: u128 = 1_000_000;

/// Why a capture is not read to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CaptureError {
    /// The input failed.
    #[error("cannot read it: {0}")]
    Io(#[source] io::Error),
    /// It starts with other octets.
    #[error("it is no capture in the form of pcap or pcapng")]
    Magic,
    /// It ends within a record, as a capture does whose program was killed.
    #[error("it ends within a record")]
    Cut,
    /// What it says of itself cannot be.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
}

impl From<io::Error> for CaptureError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Cut,
            _ => Self::Io(error),
        }
    }
}

impl From<Truncated> for CaptureError {
    fn from(_: Truncated) -> Self {
        Self::Damaged("a block is too short for its fields")
    }
}

/// A frame, or as much of it as was captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    /// When it was captured, in microseconds of Unix time; `None` if that is not said.
    pub(crate) time: Option<u64>,
    /// Its link type (LINKTYPE_... of tcpdump.org).
    pub(crate) link: u32,
    /// Its octets.
    pub(crate) octets: &'a [u8],
}

/// A capture that is read frame by frame, in memory that does not grow.
#[derive(Debug)]
pub(crate) struct Capture<R> {
    input: R,
    order: Order,
    form: Form,
    /// The record or block read last.
    record: Vec<u8>,
}

#[derive(Debug)]
enum Form {
    Pcap { link: u32, ticks: Ticks },
    Pcapng { interfaces: Vec<Interface> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Little,
    Big,
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    link: u32,
    snap: u32,
    ticks: Ticks,
}

/// How times are counted.
#[derive(Clone, Copy, Debug)]
struct Ticks {
    /// Ticks a second; 0 if that is not known.
    rate: u128,
    /// Seconds added.
    offset: i64,
}

impl Order {
    fn word(self, octets: [u8; 4]) -> u32 {
        if self == Self::Little { u32::from_le_bytes(octets) } else { u32::from_be_bytes(octets) }
    }

    fn half(self, octets: [u8; 2]) -> u16 {
        if self == Self::Little { u16::from_le_bytes(octets) } else { u16::from_be_bytes(octets) }
    }

    fn of(magic: [u8; 4], expected: u32) -> Option<Self> {
        [Self::Little, Self::Big].into_iter().find(|order| order.word(magic) == expected)
    }
}

impl Ticks {
    /// Microseconds of Unix time.
    fn micros(self, ticks: u64) -> Option<u64> {
        let since = i128::try_from((u128::from(ticks) * MICROS).checked_div(self.rate)?).ok()?;
        u64::try_from(since + i128::from(self.offset) * 1_000_000).ok()
    }
}

impl<R: Read> Capture<R> {
    /// Reads the head of a capture.
    ///
    /// # Errors
    ///
    /// [`CaptureError`].
    pub(crate) fn open(mut input: R) -> Result<Self, CaptureError> {
        let mut magic = [0; 4];
        input.read_exact(&mut magic).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => CaptureError::Magic,
            _ => CaptureError::Io(e),
        })?;
        if magic == SECTION.to_be_bytes() {
            let form = Form::Pcapng { interfaces: vec![] };
            let mut capture = Self { input, order: Order::Little, form, record: vec![] };
            capture.section()?;
            return Ok(capture);
        }
        let known = [(0xA1B2_C3D4, 1_000_000), (0xA1B2_3C4D, 1_000_000_000)];
        let known = known.into_iter().find_map(|(magic_of, rate)| Some((Order::of(magic, magic_of)?, rate)));
        let (order, rate) = known.ok_or(CaptureError::Magic)?;
        let mut head = [0; 20];
        input.read_exact(&mut head)?;
        let [.., a, b, c, d] = head;
        // The upper bits say how long a checksum is that follows each frame, and that is not looked at.
        let link = order.word([a, b, c, d]) & 0xFFFF;
        Ok(Self { input, order, form: Form::Pcap { link, ticks: Ticks { rate, offset: 0 } }, record: vec![] })
    }

    /// The next frame; `None` at the end.
    ///
    /// # Errors
    ///
    /// [`CaptureError`]; nothing can be read after it.
    pub(crate) fn next_frame(&mut self) -> Result<Option<Frame<'_>>, CaptureError> {
        match self.form {
            Form::Pcap { link, ticks } => {
                let Some(first) = self.word_or_end()? else { return Ok(None) };
                let seconds = self.order.word(first);
                let [part, captured, _original] = [self.word()?, self.word()?, self.word()?];
                self.fill(captured, MAX_FRAME)?;
                let time = u128::from(seconds) * ticks.rate + u128::from(part);
                let time = u64::try_from(time).ok().and_then(|time| ticks.micros(time));
                Ok(Some(Frame { time, link, octets: &self.record }))
            }
            Form::Pcapng { .. } => self.next_packet(),
        }
    }

    /// Goes through blocks to the next one that is a packet.
    fn next_packet(&mut self) -> Result<Option<Frame<'_>>, CaptureError> {
        let (link, time, range) = loop {
            let Some(kind) = self.word_or_end()? else { return Ok(None) };
            if kind == SECTION.to_be_bytes() {
                self.section()?;
                continue;
            }
            let kind = self.order.word(kind);
            let len = self.body_len()?;
            if ![INTERFACE, SIMPLE_PACKET, ENHANCED_PACKET].contains(&kind) {
                self.skip(len.saturating_add(4))?;
                continue;
            }
            self.fill(len, MAX_BLOCK)?;
            self.skip(4)?;
            let Form::Pcapng { interfaces } = &mut self.form else { return Ok(None) };
            let (order, mut r) = (self.order, Reader::new(&self.record));
            if kind == INTERFACE {
                if interfaces.len() >= MAX_INTERFACES {
                    return Err(CaptureError::Damaged("it has too many interfaces"));
                }
                interfaces.push(interface(order, &mut r)?);
                continue;
            }
            let (interface, ticks, captured) = if kind == ENHANCED_PACKET {
                let interface = order.word(r.array()?);
                let [high, low] = [order.word(r.array()?), order.word(r.array()?)];
                let captured = order.word(r.array()?);
                let _original: [u8; 4] = r.array()?;
                (interface, Some(u64::from(high) << 32 | u64::from(low)), captured)
            } else {
                let original = order.word(r.array()?);
                let snap = interfaces.first().map_or(0, |one| one.snap);
                (0, None, if snap == 0 { original } else { original.min(snap) })
            };
            let of = usize::try_from(interface).ok().and_then(|index| interfaces.get(index));
            let of = of.ok_or(CaptureError::Damaged("a packet is of an interface that was not described"))?;
            let start = self.record.len() - r.rest().len();
            let captured = usize::try_from(captured).unwrap_or(usize::MAX);
            if captured > r.rest().len() {
                return Err(CaptureError::Damaged("a packet is longer than its block"));
            }
            break (of.link, ticks.and_then(|ticks| of.ticks.micros(ticks)), start..start + captured);
        };
        Ok(Some(Frame { time, link, octets: self.record.get(range).unwrap_or_default() }))
    }

    /// Reads the rest of a section header block, behind its type.
    fn section(&mut self) -> Result<(), CaptureError> {
        let mut head = [0; 8];
        self.input.read_exact(&mut head)?;
        let [a, b, c, d, magic @ ..] = head;
        self.order = Order::of(magic, BYTE_ORDER).ok_or(CaptureError::Damaged("a section has no byte order"))?;
        // Type, both lengths and the byte order.
        let rest = self.order.word([a, b, c, d]).checked_sub(16);
        let rest = rest.ok_or(CaptureError::Damaged("a section header is too short"))?;
        self.form = Form::Pcapng { interfaces: vec![] };
        self.skip(rest.saturating_add(4))
    }

    /// Octets of a block without its type and both lengths.
    fn body_len(&mut self) -> Result<u32, CaptureError> {
        let len = self.word()?;
        let body = len.checked_sub(12).filter(|_| len.is_multiple_of(4));
        body.ok_or(CaptureError::Damaged("a block has a length that none can have"))
    }

    fn word(&mut self) -> Result<u32, CaptureError> {
        let mut octets = [0; 4];
        self.input.read_exact(&mut octets)?;
        Ok(self.order.word(octets))
    }

    /// Four octets, or none at the end.
    fn word_or_end(&mut self) -> Result<Option<[u8; 4]>, CaptureError> {
        let mut octets = [0; 4];
        let mut got = 0;
        while got < octets.len() {
            match self.input.read(&mut octets[got..]) {
                Ok(0) if got == 0 => return Ok(None),
                Ok(0) => return Err(CaptureError::Cut),
                Ok(more) => got += more,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(Some(octets))
    }

    fn fill(&mut self, len: u32, max: u32) -> Result<(), CaptureError> {
        let len = usize::try_from(len).ok().filter(|_| len <= max);
        self.record.resize(len.ok_or(CaptureError::Damaged("a record is longer than any frame"))?, 0);
        Ok(self.input.read_exact(&mut self.record)?)
    }

    fn skip(&mut self, len: u32) -> Result<(), CaptureError> {
        let skipped = io::copy(&mut self.input.by_ref().take(len.into()), &mut io::sink())?;
        if skipped == u64::from(len) { Ok(()) } else { Err(CaptureError::Cut) }
    }
}

/// An interface description block.
fn interface(order: Order, r: &mut Reader<'_>) -> Result<Interface, CaptureError> {
    let link = order.half(r.array()?).into();
    let _reserved: [u8; 2] = r.array()?;
    let snap = order.word(r.array()?);
    let mut ticks = Ticks { rate: MICROS, offset: 0 };
    while !r.is_empty() {
        let (code, len) = (order.half(r.array()?), usize::from(order.half(r.array()?)));
        let value = r.take(len)?;
        r.take((4 - len % 4) % 4)?;
        match (code, value) {
            (0, _) => break,
            (OPTION_RESOLUTION, [power]) => {
                let base: u128 = if power & 0x80 == 0 { 10 } else { 2 };
                ticks.rate = base.checked_pow((power & 0x7F).into()).unwrap_or(0);
            }
            (OPTION_OFFSET, value) => {
                let value: [u8; 8] = value.try_into().map_err(|_| Truncated)?;
                ticks.offset =
                    if order == Order::Little { i64::from_le_bytes(value) } else { i64::from_be_bytes(value) };
            }
            _ => {}
        }
    }
    Ok(Interface { link, snap, ticks })
}
