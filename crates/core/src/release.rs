//! Layout of the release file: the statement and all pages (spec §10). Pure arithmetic; callers do the I/O.

use alloc::vec::Vec;
use core::fmt;

use crate::manifest::Manifest;
use crate::trust::MAX_STATEMENT;

/// First 8 octets of a release file, the file version last \[X-1\].
pub const MAGIC: [u8; 8] = *b"\x89FCR\x0d\x0a\x1a\x01";

/// Octets in front of the statement: magic and length.
pub const HEAD_LEN: usize = 12;

/// Why a file is no release file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReleaseError {
    /// It starts with other octets.
    Magic,
    /// It ends early.
    Truncated,
    /// It does not end where it should.
    Trailing,
}

impl ReleaseError {
    /// The word for it in vectors and output (spec §12).
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Magic => "magic",
            Self::Truncated => "truncated",
            Self::Trailing => "trailing",
        }
    }
}

impl fmt::Display for ReleaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Magic => "not a release file (or damaged in transfer as text)",
            Self::Truncated => "the release file is cut off",
            Self::Trailing => "the release file is longer than its manifest says",
        })
    }
}

impl core::error::Error for ReleaseError {}

/// Encodes the head for a statement of `statement_len` octets.
#[must_use]
pub fn encode_head(statement_len: u32) -> [u8; HEAD_LEN] {
    let ([a, b, c, d, e, f, g, h], [i, j, k, l]) = (MAGIC, statement_len.to_be_bytes());
    [a, b, c, d, e, f, g, h, i, j, k, l]
}

/// Reads the head; gives the octets of the statement that follows it.
///
/// # Errors
///
/// [`ReleaseError::Magic`], or [`ReleaseError::Truncated`] if the length is none a statement can have.
pub fn decode_head(head: [u8; HEAD_LEN]) -> Result<usize, ReleaseError> {
    let [magic @ .., i, j, k, l] = head;
    if magic != MAGIC {
        return Err(ReleaseError::Magic);
    }
    let len = usize::try_from(u32::from_be_bytes([i, j, k, l])).unwrap_or(usize::MAX);
    if len > MAX_STATEMENT { Err(ReleaseError::Truncated) } else { Ok(len) }
}

/// Where the records of each component lie.
#[derive(Clone, Debug)]
pub struct Layout {
    components: Vec<Records>,
    len: u64,
}

#[derive(Clone, Copy, Debug)]
struct Records {
    offset: u64,
    record_len: u64,
    cells: u32,
}

#[expect(clippy::arithmetic_side_effects, reason = "at most 8 * 2^26 records below 2^14 octets each")]
impl Layout {
    /// The layout of a file with this manifest in a statement of `statement_len` octets.
    #[must_use]
    pub fn new(statement_len: usize, manifest: &Manifest) -> Self {
        let mut len = (HEAD_LEN + statement_len) as u64;
        let place = |g: &crate::tree::Geometry| {
            let records = Records { offset: len, record_len: g.max_page_payload_len() as u64, cells: g.cells() };
            len += records.record_len * u64::from(records.cells);
            records
        };
        let components = manifest.components.iter().map(|c| &c.geometry).map(place).collect();
        Self { components, len }
    }

    /// Octets of the whole file.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Never: a file has at least a head.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// Compares with the length a file really has.
    ///
    /// # Errors
    ///
    /// [`ReleaseError::Truncated`] or [`ReleaseError::Trailing`].
    pub fn check_len(&self, len: u64) -> Result<(), ReleaseError> {
        match len.cmp(&self.len) {
            core::cmp::Ordering::Less => Err(ReleaseError::Truncated),
            core::cmp::Ordering::Equal => Ok(()),
            core::cmp::Ordering::Greater => Err(ReleaseError::Trailing),
        }
    }

    /// Offset of the record of a cell; `None` if there is no such cell.
    #[must_use]
    pub fn record_offset(&self, component: u8, cell: u32) -> Option<u64> {
        let records = self.components.get(usize::from(component))?;
        (cell < records.cells).then(|| records.offset + u64::from(cell) * records.record_len)
    }
}
