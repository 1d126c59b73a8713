//! Packets: the ALC/LCT header of 20 octets and what it points at (spec §2).

use core::fmt;

use crate::reader::{Reader, Truncated};

/// Octets before the payload: LCT header (16) and FEC payload id (4).
pub const HEADER_LEN: usize = 20;

/// Most components of a release, and so the number of component TOIs (spec §11).
pub const MAX_COMPONENTS: usize = 8;

/// The packet count wraps at 2^28 \[W-5\].
pub const COUNT_MASK: u32 = 0x0FFF_FFFF;

const LCT_VERSION: u8 = 0x10;
const LCT_FLAGS: u8 = 0xA0;
const LCT_CLOSE_FLAGS: u8 = 0x03;
const LCT_HEADER_WORDS: u8 = 4;

/// Names a session: the first 4 octets of SHA-256 of its manifest payload \[W-6\]. Not authenticated, and never more than
/// a hint where to look \[W-11\].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tsi(pub [u8; 4]);

impl fmt::Display for Tsi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

/// Kind of a statement; the registry is in the spec, §3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum StatementKind {
    /// Describes a release.
    Manifest = 0,
    /// Whom to trust for what (spec §17).
    Root = 1,
    /// What is current (spec §18).
    Beacon = 2,
}

impl StatementKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Manifest, Self::Root, Self::Beacon];
}

/// Which of the two objects that carry digests of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PageKind {
    /// The digests of the cell's chunks \[T-3\].
    Page,
    /// The exclusive or of two pages \[T-4\].
    Parity,
}

/// What a packet carries: codepoint, TOI and FEC payload id together \[W-4, W-7, W-8\].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Object {
    /// A whole signed object.
    Statement {
        /// Its kind.
        kind: StatementKind,
        /// The version of a root; 0 of all others.
        number: u16,
    },
    /// A page or parity page.
    Page {
        /// Which of both.
        kind: PageKind,
        /// Component number, 0..=7.
        component: u8,
        /// Cell index.
        cell: u32,
    },
    /// A chunk, source or repair.
    Chunk {
        /// Component number, 0..=7.
        component: u8,
        /// Block number.
        sbn: u16,
        /// Encoding symbol id: source chunks first, then repair.
        esi: u16,
    },
}

/// Packet header: 20 octets on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Layer of a multi-rate session, 0..=15; 0 is the lowest or only one.
    pub layer: u8,
    /// Packets this sender sent on this layer, modulo 2^28.
    pub count: u32,
    /// The session.
    pub tsi: Tsi,
    /// What the payload is.
    pub object: Object,
}

/// A datagram cut into header and payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The header.
    pub header: Header,
    /// Everything behind it; never empty.
    pub payload: &'a [u8],
}

/// Why a datagram is no packet. It is dropped and counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PacketError {
    /// Shorter than a header, or no payload \[W-9\].
    Truncated,
    /// Octet 0 is not LCT version 1 with a 32-bit CCI \[W-1\].
    Version {
        /// Octet 0 as received.
        got: u8,
    },
    /// Octet 1 has other flags \[W-2\].
    Flags {
        /// Octet 1 as received.
        got: u8,
    },
    /// The header is not 4 words long \[W-3\].
    HeaderLength {
        /// Octet 2 as received.
        got: u8,
    },
    /// No such codepoint \[W-4\].
    Codepoint {
        /// Octet 3 as received.
        got: u8,
    },
    /// TOI and codepoint disagree, or no such component \[W-7\].
    Toi {
        /// TOI as received.
        got: u32,
    },
    /// No such statement kind, or a number that it cannot have \[W-8\].
    StatementKind {
        /// FEC payload id as received.
        got: u32,
    },
}

impl PacketError {
    /// The word for it in counters and vectors (spec §12).
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::Version { .. } => "version",
            Self::Flags { .. } => "flags",
            Self::HeaderLength { .. } => "header-length",
            Self::Codepoint { .. } => "codepoint",
            Self::Toi { .. } => "toi",
            Self::StatementKind { .. } => "statement-kind",
        }
    }
}

impl From<Truncated> for PacketError {
    fn from(_: Truncated) -> Self {
        Self::Truncated
    }
}

impl<'a> Packet<'a> {
    /// Cuts a datagram into header and payload.
    ///
    /// # Errors
    ///
    /// Any [`PacketError`]. The caller drops and counts the datagram.
    ///
    /// Spec §2 \[W-1 .. W-9\].
    pub fn decode(datagram: &'a [u8]) -> Result<Self, PacketError> {
        let mut r = Reader::new(datagram);
        let [version, flags, words, codepoint] = r.array()?;
        let cci = u32::from_be_bytes(r.array()?);
        let tsi = Tsi(r.array()?);
        let toi = u32::from_be_bytes(r.array()?);
        let id: [u8; 4] = r.array()?;
        if version != LCT_VERSION {
            return Err(PacketError::Version { got: version });
        }
        if flags & !LCT_CLOSE_FLAGS != LCT_FLAGS {
            return Err(PacketError::Flags { got: flags });
        }
        if words != LCT_HEADER_WORDS {
            return Err(PacketError::HeaderLength { got: words });
        }
        let object = Object::decode(codepoint, toi, id)?;
        if r.is_empty() {
            return Err(PacketError::Truncated);
        }
        let [layer, ..] = cci.to_be_bytes();
        Ok(Self { header: Header { layer: layer >> 4, count: cci & COUNT_MASK, tsi, object }, payload: r.rest() })
    }
}

impl Header {
    /// The 20 octets in front of the payload. Bits of `layer` and `count` above 4 and 28 are cut off.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let (codepoint, toi, [i0, i1, i2, i3]) = self.object.encode();
        let cci = u32::from(self.layer) << 28 | self.count & COUNT_MASK;
        let [c0, c1, c2, c3] = cci.to_be_bytes();
        let Tsi([s0, s1, s2, s3]) = self.tsi;
        [
            LCT_VERSION,
            LCT_FLAGS,
            LCT_HEADER_WORDS,
            codepoint,
            c0,
            c1,
            c2,
            c3,
            s0,
            s1,
            s2,
            s3,
            0,
            0,
            0,
            toi,
            i0,
            i1,
            i2,
            i3,
        ]
    }
}

impl Object {
    /// The manifest of a session.
    pub const MANIFEST: Self = Self::Statement { kind: StatementKind::Manifest, number: 0 };

    fn decode(codepoint: u8, toi: u32, id: [u8; 4]) -> Result<Self, PacketError> {
        let wrong = PacketError::Toi { got: toi };
        // TOI 2c+1 is a chunk of component c, 2c+2 a page of it; one less splits into c and which.
        let component = |pages: bool| {
            let below = toi.checked_sub(1).ok_or(wrong)?;
            let component = u8::try_from(below >> 1).map_err(|_| wrong)?;
            let agrees = (below & 1 == 1) == pages && usize::from(component) < MAX_COMPONENTS;
            if agrees { Ok(component) } else { Err(wrong) }
        };
        let [i0, i1, i2, i3] = id;
        match codepoint {
            0 if toi != 0 => Err(wrong),
            0 => statement(id).ok_or(PacketError::StatementKind { got: u32::from_be_bytes(id) }),
            1 | 2 => Ok(Self::Page {
                kind: if codepoint == 1 { PageKind::Page } else { PageKind::Parity },
                component: component(true)?,
                cell: u32::from_be_bytes(id),
            }),
            3 => Ok(Self::Chunk {
                component: component(false)?,
                sbn: u16::from_be_bytes([i0, i1]),
                esi: u16::from_be_bytes([i2, i3]),
            }),
            got => Err(PacketError::Codepoint { got }),
        }
    }

    /// Codepoint, low octet of the TOI, FEC payload id.
    fn encode(self) -> (u8, u8, [u8; 4]) {
        match self {
            Self::Statement { kind, number } => {
                let [n0, n1] = number.to_be_bytes();
                (0, 0, [kind as u8, 0, n0, n1])
            }
            Self::Page { kind, component, cell } => {
                let codepoint = if kind == PageKind::Page { 1 } else { 2 };
                (codepoint, (component << 1).wrapping_add(2), cell.to_be_bytes())
            }
            Self::Chunk { component, sbn, esi } => {
                let ([s0, s1], [e0, e1]) = (sbn.to_be_bytes(), esi.to_be_bytes());
                (3, (component << 1).wrapping_add(1), [s0, s1, e0, e1])
            }
        }
    }
}

/// Kind and number of a statement.
fn statement([kind, n0, n1, n2]: [u8; 4]) -> Option<Object> {
    let kind = StatementKind::ALL.into_iter().find(|known| *known as u8 == kind)?;
    let number = u16::from_be_bytes([n1, n2]);
    let fits = n0 == 0 && (kind == StatementKind::Root) == (number != 0);
    fits.then_some(Object::Statement { kind, number })
}
