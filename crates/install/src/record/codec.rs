//! The record as bytes.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use sha2::{Digest as _, Sha256};

use super::{Component, MAX_COMPONENTS, Plan, PlanError, Record, ReleaseId, Seen};

/// Bytes of a record, at most; more than the largest one needs.
pub const MAX_RECORD: u32 = 16 * 1024;

const MAGIC: [u8; 4] = *b"FCDR";
const FORMAT: u8 = 1;
const CHECKSUM: usize = 16;

/// Why bytes are no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// More than [`MAX_RECORD`] bytes.
    #[error("{got} bytes, where {MAX_RECORD} are possible")]
    TooLong {
        /// Bytes there are.
        got: usize,
    },
    /// It ends too early.
    #[error("it ends inside {field}")]
    Truncated {
        /// The field it ends in.
        field: &'static str,
    },
    /// It does not begin as a record does.
    #[error("it does not begin as a device record does")]
    Magic,
    /// Written in a form this program does not know.
    #[error("it has format {got}, this program reads {FORMAT}")]
    Format {
        /// The format it names.
        got: u8,
    },
    /// Its checksum does not match: it is damaged.
    #[error("its checksum does not match")]
    Checksum,
    /// Neither "none" nor "there is one".
    #[error("{got} where only 0 or 1 can be, before {field}")]
    Presence {
        /// The field it stands before.
        field: &'static str,
        /// The byte found.
        got: u8,
    },
    /// A version that is not UTF-8.
    #[error("a version is not UTF-8")]
    Text,
    /// A field is out of its bounds.
    #[error("it holds an impossible release: {0}")]
    Plan(#[from] PlanError),
    /// Bytes follow its end.
    #[error("{got} bytes follow its end")]
    Trailing {
        /// How many.
        got: usize,
    },
}

impl DecodeError {
    /// A stable word for the kind of error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "too-long",
            Self::Truncated { .. } => "truncated",
            Self::Magic => "magic",
            Self::Format { .. } => "format",
            Self::Checksum => "checksum",
            Self::Presence { .. } => "presence",
            Self::Text => "text",
            Self::Plan(inner) => inner.code(),
            Self::Trailing { .. } => "trailing",
        }
    }
}

impl Record {
    /// The record as bytes, at most [`MAX_RECORD`].
    ///
    /// # Errors
    ///
    /// [`PlanError`] if a field is out of its bounds.
    pub fn encode(&self) -> Result<Vec<u8>, PlanError> {
        if let Some(release) = &self.installed {
            release.check()?;
        }
        if let Some(plan) = &self.pending {
            plan.check()?;
        }
        let mut out = Vec::from(MAGIC);
        out.push(FORMAT);
        out.push(u8::from(self.installed.is_some()));
        if let Some(release) = &self.installed {
            put_release(&mut out, release);
        }
        out.push(u8::from(self.seen.is_some()));
        if let Some(seen) = &self.seen {
            out.extend(seen.sequence.to_be_bytes());
            out.extend(seen.manifest);
        }
        out.push(u8::from(self.pending.is_some()));
        if let Some(plan) = &self.pending {
            put_release(&mut out, &plan.release);
            out.extend(low_byte(plan.components.len()));
            for component in &plan.components {
                let target = component.target.as_os_str().as_bytes();
                out.extend(low_two_bytes(target.len()));
                out.extend(target);
                out.extend(component.size.to_be_bytes());
                out.extend(component.sha256);
            }
        }
        let sum = checksum(&out);
        out.extend(sum);
        Ok(out)
    }

    /// Reads a record. Total: any bytes give a record or an error, and each record
    /// has one form only.
    ///
    /// # Errors
    ///
    /// The first [`DecodeError`] found.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > MAX_RECORD as usize {
            return Err(DecodeError::TooLong { got: bytes.len() });
        }
        let mut head = Cursor(bytes);
        if head.array("magic")? != MAGIC {
            return Err(DecodeError::Magic);
        }
        match head.byte("format")? {
            FORMAT => {}
            got => return Err(DecodeError::Format { got }),
        }
        let Some((mut body, sum)) = head.0.split_last_chunk().map(|(b, s)| (Cursor(b), s)) else {
            return Err(DecodeError::Truncated { field: "checksum" });
        };
        let summed = bytes.len().saturating_sub(CHECKSUM);
        if bytes.get(..summed).map(checksum).as_ref() != Some(sum) {
            return Err(DecodeError::Checksum);
        }
        let installed = body.optional("installed", Cursor::release)?;
        let seen = body.optional("seen", |body| {
            Ok(Seen { sequence: u64::from_be_bytes(body.array("sequence")?), manifest: body.array("manifest digest")? })
        })?;
        let pending = body.optional("pending", Cursor::plan)?;
        match body.0.len() {
            0 => Ok(Self { installed, seen, pending }),
            got => Err(DecodeError::Trailing { got }),
        }
    }
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM] {
    let mut sum = [0; CHECKSUM];
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    sum.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    sum
}

fn put_release(out: &mut Vec<u8>, release: &ReleaseId) {
    out.extend(release.sequence.to_be_bytes());
    out.extend(release.security_version.to_be_bytes());
    out.extend(release.manifest);
    out.extend(low_byte(release.version.len()));
    out.extend(release.version.as_bytes());
}

/// A length that was checked to fit one byte.
fn low_byte(length: usize) -> [u8; 1] {
    let [.., low] = length.to_be_bytes();
    [low]
}

/// A length that was checked to fit two bytes.
fn low_two_bytes(length: usize) -> [u8; 2] {
    let [.., high, low] = length.to_be_bytes();
    [high, low]
}

/// Reads whole fields or fails.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        let (first, rest) = self.0.split_first_chunk().ok_or(DecodeError::Truncated { field })?;
        self.0 = rest;
        Ok(*first)
    }

    fn byte(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        self.array(field).map(|[byte]| byte)
    }

    fn bytes(&mut self, length: usize, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let (first, rest) = self.0.split_at_checked(length).ok_or(DecodeError::Truncated { field })?;
        self.0 = rest;
        Ok(first)
    }

    fn optional<T>(
        &mut self,
        field: &'static str,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        match self.byte(field)? {
            0 => Ok(None),
            1 => read(self).map(Some),
            got => Err(DecodeError::Presence { field, got }),
        }
    }

    fn release(&mut self) -> Result<ReleaseId, DecodeError> {
        let sequence = u64::from_be_bytes(self.array("sequence")?);
        let security_version = u32::from_be_bytes(self.array("security version")?);
        let manifest = self.array("manifest digest")?;
        let length = self.byte("version")?;
        let version = self.bytes(length.into(), "version")?;
        let version = str::from_utf8(version).map_err(|_| DecodeError::Text)?.into();
        let release = ReleaseId { sequence, security_version, manifest, version };
        release.check()?;
        Ok(release)
    }

    fn plan(&mut self) -> Result<Plan, DecodeError> {
        let release = self.release()?;
        let count = usize::from(self.byte("components")?);
        if count > MAX_COMPONENTS {
            return Err(PlanError::Components { got: count }.into());
        }
        let components = (0..count).map(|_| self.component()).collect::<Result<_, _>>()?;
        let plan = Plan { release, components };
        plan.check()?;
        Ok(plan)
    }

    fn component(&mut self) -> Result<Component, DecodeError> {
        let length = u16::from_be_bytes(self.array("target")?);
        let target = self.bytes(length.into(), "target")?;
        Ok(Component {
            target: OsStr::from_bytes(target).into(),
            size: u64::from_be_bytes(self.array("size")?),
            sha256: self.array("image digest")?,
        })
    }
}

#[cfg(test)]
mod tests;
