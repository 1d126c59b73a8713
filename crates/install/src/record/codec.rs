//! The record as bytes.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use sha2::{Digest as _, Sha256};

use super::{
    Component, Failed, Floors, MAX_COMPONENTS, Phase, Plan, PlanError, Reason, Record, ReleaseId, Seen, Slot, Trial,
};

/// Bytes of a copy, at most; more than the largest one needs.
pub(super) const MAX_COPY: usize = 16 * 1024;

const MAGIC: [u8; 4] = *b"FCDR";
const FORMAT: u8 = 3;
const CHECKSUM: usize = 16;
/// Bytes before the body: magic, format, counter, length of the body.
const HEAD: usize = 4 + 1 + 8 + 4;

/// Why bytes are no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
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
    /// A number that has no meaning.
    #[error("{got} is nothing that {field} can be")]
    Value {
        /// The field.
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
            Self::Truncated { .. } => "truncated",
            Self::Magic => "magic",
            Self::Format { .. } => "format",
            Self::Checksum => "checksum",
            Self::Value { .. } => "value",
            Self::Text => "text",
            Self::Plan(inner) => inner.code(),
            Self::Trailing { .. } => "trailing",
        }
    }
}

impl Record {
    /// One copy of the record as bytes. `counter` grows with every change.
    ///
    /// # Errors
    ///
    /// [`PlanError`] if a field is out of its bounds.
    pub fn encode(&self, counter: u64) -> Result<Vec<u8>, PlanError> {
        let mut body = Vec::new();
        put_optional(&mut body, self.installed.as_ref(), put_release)?;
        body.push(u8::from(self.seen.is_some()));
        if let Some(seen) = &self.seen {
            body.extend(seen.sequence.to_be_bytes());
            body.extend(seen.manifest);
        }
        put_phase(&mut body, &self.phase)?;
        put_optional(&mut body, self.failed.as_ref(), |out, failed| {
            out.push(failed.reason.number());
            put_release(out, &failed.release)
        })?;
        for slot in &self.slots {
            put_optional(&mut body, slot.as_ref(), put_release)?;
        }
        body.extend(self.seed);
        body.extend(self.root.to_be_bytes());
        put_floors(&mut body, self.floors);
        let mut out = Vec::from(MAGIC);
        out.push(FORMAT);
        out.extend(counter.to_be_bytes());
        out.extend(u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend(body);
        let sum = checksum(&out);
        out.extend(sum);
        Ok(out)
    }

    /// Reads one copy and its counter; what stands behind it is left alone. Total: any bytes give a record or an error,
    /// and each record has one form only.
    ///
    /// # Errors
    ///
    /// The first [`DecodeError`] found.
    pub fn decode(bytes: &[u8]) -> Result<(u64, Self), DecodeError> {
        let mut head = Cursor(bytes);
        if head.array("magic")? != MAGIC {
            return Err(DecodeError::Magic);
        }
        match head.byte("format")? {
            FORMAT => {}
            got => return Err(DecodeError::Format { got }),
        }
        let counter = u64::from_be_bytes(head.array("counter")?);
        let length = usize::try_from(u32::from_be_bytes(head.array("length")?)).unwrap_or(usize::MAX);
        let mut body = Cursor(head.bytes(length, "body")?);
        let sum: [u8; CHECKSUM] = head.array("checksum")?;
        if bytes.get(..HEAD.saturating_add(length)).map(checksum) != Some(sum) {
            return Err(DecodeError::Checksum);
        }
        let installed = body.optional("installed", Cursor::release)?;
        let seen = body.optional("seen", |body| {
            Ok(Seen { sequence: u64::from_be_bytes(body.array("sequence")?), manifest: body.array("manifest digest")? })
        })?;
        let phase = body.phase()?;
        let failed = body.optional("failed", |body| Ok(Failed { reason: body.reason()?, release: body.release()? }))?;
        let slots = [body.optional("slot a", Cursor::release)?, body.optional("slot b", Cursor::release)?];
        let own = body.array("seed")?;
        let root = u16::from_be_bytes(body.array("root")?);
        let floors = body.floors()?;
        match body.0.len() {
            0 => Ok((counter, Self { installed, seen, phase, failed, slots, seed: own, root, floors })),
            got => Err(DecodeError::Trailing { got }),
        }
    }
}

impl Reason {
    const ALL: [Self; 3] = [Self::FellBack, Self::Health, Self::Asked];

    fn number(self) -> u8 {
        (1..).zip(Self::ALL).find_map(|(number, reason)| (reason == self).then_some(number)).unwrap_or(0)
    }
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM] {
    let mut sum = [0; CHECKSUM];
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    sum.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
    sum
}

fn put_optional<T>(
    out: &mut Vec<u8>,
    value: Option<&T>,
    put: impl FnOnce(&mut Vec<u8>, &T) -> Result<(), PlanError>,
) -> Result<(), PlanError> {
    out.push(u8::from(value.is_some()));
    value.map_or(Ok(()), |value| put(out, value))
}

fn put_floors(out: &mut Vec<u8>, floors: Floors) {
    match floors {
        Floors::Hold => out.push(0),
        Floors::Void { under_way: None } => out.push(1),
        Floors::Void { under_way: Some(manifest) } => {
            out.push(2);
            out.extend(manifest);
        }
    }
}

fn put_phase(out: &mut Vec<u8>, phase: &Phase) -> Result<(), PlanError> {
    let (number, trial) = match phase {
        Phase::Idle => (0, None),
        Phase::Installing(_) => (1, None),
        Phase::Switching(trial) => (2, Some(trial)),
        Phase::Trial(trial) => (3, Some(trial)),
        Phase::Returning(trial, _) => (4, Some(trial)),
    };
    out.push(number);
    if let Phase::Installing(plan) = phase {
        put_plan(out, plan)?;
    }
    if let Some(trial) = trial {
        out.push(match trial.slot {
            None => 0,
            Some(Slot::A) => 1,
            Some(Slot::B) => 2,
        });
        put_release(out, &trial.release)?;
    }
    if let Phase::Returning(_, reason) = phase {
        out.push(reason.number());
    }
    Ok(())
}

fn put_plan(out: &mut Vec<u8>, plan: &Plan) -> Result<(), PlanError> {
    plan.check()?;
    put_release(out, &plan.release)?;
    out.extend(low_byte(plan.components.len()));
    for component in &plan.components {
        let target = component.target.as_os_str().as_bytes();
        out.extend(low_two_bytes(target.len()));
        out.extend(target);
        out.extend(component.size.to_be_bytes());
        out.extend(component.sha256);
    }
    Ok(())
}

fn put_release(out: &mut Vec<u8>, release: &ReleaseId) -> Result<(), PlanError> {
    release.check()?;
    out.extend(release.sequence.to_be_bytes());
    out.extend(release.security_version.to_be_bytes());
    out.extend(release.manifest);
    out.extend(low_byte(release.version.len()));
    out.extend(release.version.as_bytes());
    Ok(())
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
            got => Err(DecodeError::Value { field, got }),
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

    fn phase(&mut self) -> Result<Phase, DecodeError> {
        let number = self.byte("phase")?;
        Ok(match number {
            0 => Phase::Idle,
            1 => Phase::Installing(self.plan()?),
            2 => Phase::Switching(self.trial()?),
            3 => Phase::Trial(self.trial()?),
            4 => {
                let trial = self.trial()?;
                Phase::Returning(trial, self.reason()?)
            }
            got => return Err(DecodeError::Value { field: "a phase", got }),
        })
    }

    fn trial(&mut self) -> Result<Trial, DecodeError> {
        let slot = match self.byte("slot")? {
            0 => None,
            1 => Some(Slot::A),
            2 => Some(Slot::B),
            got => return Err(DecodeError::Value { field: "a slot", got }),
        };
        Ok(Trial { release: self.release()?, slot })
    }

    fn floors(&mut self) -> Result<Floors, DecodeError> {
        match self.byte("floors")? {
            0 => Ok(Floors::Hold),
            1 => Ok(Floors::Void { under_way: None }),
            2 => Ok(Floors::Void { under_way: Some(self.array("manifest digest")?) }),
            got => Err(DecodeError::Value { field: "floors", got }),
        }
    }

    fn reason(&mut self) -> Result<Reason, DecodeError> {
        let got = self.byte("reason")?;
        let found = Reason::ALL.into_iter().find(|reason| reason.number() == got);
        found.ok_or(DecodeError::Value { field: "a reason", got })
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
