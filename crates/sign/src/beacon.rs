//! Beacons: which releases are current, and until when that is known (spec §18).

mod html;

use std::fmt;

use fleetcast_cli::{CommandError, ErrorKind, hex};
use fleetcast_core::beacon::{Beacon, Current, MAX_CURRENT, MAX_VALIDITY};
use fleetcast_core::manifest::{Manifest, Uuid};
use fleetcast_core::trust::{KeyId, StatementError, Trust, Verified, statement_len};
use serde::Serialize;

use crate::changes::{Changes, Diff};
use crate::root::ROOM;
use crate::statement::Signable;
use crate::time;

/// Why there is no beacon.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BeaconError {
    /// Nobody may sign beacons.
    #[error("nobody may sign beacons: {}", match .root { Some(root) => format!("root {root} has no role beacon"), None => "keys alone have no beacons".into() })]
    NoRole {
        /// Version of the root, if there is one.
        root: Option<u16>,
    },
    /// A key whose signature would count for nothing.
    #[error("key {key} does not have role beacon in root {root}")]
    Foreign {
        /// The key.
        key: KeyId,
        /// Version of the root.
        root: u16,
    },
    /// Two releases with the same number.
    #[error("two releases for class {class} have sequence {sequence}: which one is current?")]
    Twice {
        /// The class.
        class: Uuid,
        /// The number.
        sequence: u64,
    },
    /// More entries than a beacon can have.
    #[error("the beacon would have {count} entries, one for each class of each release, and can have {MAX_CURRENT}")]
    TooMany {
        /// How many.
        count: usize,
    },
    /// It does not fit a packet once enough have signed.
    #[error("the signed beacon would have {len} octets, and its packet has room for {ROOM}")]
    TooLong {
        /// Octets it would have.
        len: usize,
    },
    /// Too short or too long.
    #[error("a beacon holds for 1 second to {} days, not for {seconds} seconds", MAX_VALIDITY / 86_400)]
    Validity {
        /// How long it would hold.
        seconds: u64,
    },
    /// Devices that have the one before would not take it.
    #[error("it would be issued {}, and the one that is there {}: devices take a later one only", time::text(*.issued), time::text(*.before))]
    NotLater {
        /// When it would be issued.
        issued: u64,
        /// When the one that is there was.
        before: u64,
    },
    /// Too few have signed it.
    #[error("{reason}")]
    Unsigned {
        /// How many have, and how many must.
        reason: StatementError,
    },
    /// It would not be a beacon.
    #[error("no valid beacon says this")]
    Invalid(#[from] StatementError),
}

impl BeaconError {
    /// Stable word for this reason.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoRole { .. } => "beacon-no-role",
            Self::Foreign { .. } => "beacon-foreign",
            Self::Twice { .. } => "beacon-twice",
            Self::TooMany { .. } => "beacon-too-many",
            Self::TooLong { .. } => "beacon-too-long",
            Self::Validity { .. } => "beacon-validity",
            Self::NotLater { .. } => "beacon-replay",
            Self::Unsigned { reason } => reason.code(),
            Self::Invalid(error) => error.code(),
        }
    }

    /// What the reader can do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::NoRole { .. } => "make a root that has it: fleetcast-sign root bump, root add-key --role beacon",
            Self::Foreign { .. } => "`fleetcast-sign root show` lists the keys that have it",
            Self::Twice { .. } => "leave out the one that devices are not to take",
            Self::TooMany { .. } | Self::TooLong { .. } => {
                "name the newest release of each class, and stepping stones only where they are needed"
            }
            Self::Validity { .. } => "give --valid such as 24h",
            Self::NotLater { .. } => {
                "is the clock of this machine right? If the one that is there was made with a wrong clock, give a time \
                 after it with --issued, or wait"
            }
            Self::Unsigned { .. } => {
                "give more of the beacon keys, or --unsigned and collect signatures: fleetcast-sign sign"
            }
            Self::Invalid(_) => "correct the value that is out of range",
        }
    }
}

impl From<BeaconError> for CommandError {
    fn from(error: BeaconError) -> Self {
        let kind = if let BeaconError::Validity { .. } = error { ErrorKind::Usage } else { ErrorKind::Failed };
        let (hint, message) = (error.hint(), format!("refused ({}): ", error.code()));
        Self::new(kind, message + &Self::failed(error).to_string()).hint(hint)
    }
}

/// The beacon by which these releases are current from `issued` on for so many seconds.
///
/// # Errors
///
/// [`BeaconError`].
///
/// Spec §18 \[B-1, B-2\].
pub fn beacon(
    trust: &Trust,
    releases: &[Verified<Manifest>],
    issued: u64,
    seconds: u64,
) -> Result<Beacon, BeaconError> {
    let root = match trust.root() {
        Some(root) if root.beacon.is_some() => root,
        other => return Err(BeaconError::NoRole { root: other.map(|root| root.version) }),
    };
    if !(1..=MAX_VALIDITY).contains(&seconds) {
        return Err(BeaconError::Validity { seconds });
    }
    let entries = |release: &Verified<Manifest>| {
        let (sequence, digest) = (release.sequence, *release.payload_digest());
        let security_version = release.security_version;
        let entry = |&class: &Uuid| Current { class, sequence, digest, security_version };
        release.classes.iter().map(entry).collect::<Vec<_>>()
    };
    let mut current: Vec<_> = releases.iter().flat_map(entries).collect();
    current.sort_unstable();
    current.dedup();
    let is_twice = |pair: &&[Current]| (pair[0].class, pair[0].sequence) == (pair[1].class, pair[1].sequence);
    if let Some(pair) = current.windows(2).find(is_twice) {
        return Err(BeaconError::Twice { class: pair[0].class, sequence: pair[0].sequence });
    }
    if current.len() > MAX_CURRENT {
        return Err(BeaconError::TooMany { count: current.len() });
    }
    let until = issued.saturating_add(seconds);
    let beacon = Beacon { vendor: root.vendor, issued, until, root: root.version, current };
    let signatures = root.beacon.as_ref().map_or(1, |role| role.threshold().into());
    let len = statement_len(beacon.encode()?.len(), signatures);
    if len > ROOM { Err(BeaconError::TooLong { len }) } else { Ok(beacon) }
}

/// Compares what two beacons say.
#[must_use]
pub fn diff(a: &Beacon, b: &Beacon) -> Diff {
    let mut changes = Changes::default();
    changes.value("vendor", (&a.vendor, &b.vendor), ToString::to_string);
    changes.value("issued", (&a.issued, &b.issued), |&issued| time::text(issued));
    changes.value("holds until", (&a.until, &b.until), |&until| time::text(until));
    changes.value("newest root", (&a.root, &b.root), ToString::to_string);
    changes.list("current", (&a.current, &b.current), |entry| CurrentShown::from(entry).to_string());
    changes.into()
}

/// The facts of a beacon as commands show them.
#[derive(Clone, Debug, Serialize)]
pub struct Shown {
    kind: &'static str,
    /// UUID of the vendor.
    vendor: String,
    /// Unix time in seconds.
    issued: u64,
    /// Unix time in seconds.
    until: u64,
    /// Version of the newest root.
    root: u16,
    current: Vec<CurrentShown>,
    /// Keys that its signatures name, in order. Naming a key proves nothing.
    signatures: Vec<String>,
    statement_octets: usize,
}

#[derive(Clone, Debug, Serialize)]
struct CurrentShown {
    /// UUID of the class.
    class: String,
    sequence: u64,
    /// SHA-256 of the manifest, lower-case hexadecimal.
    manifest: String,
    security_version: u32,
}

impl From<&Current> for CurrentShown {
    fn from(entry: &Current) -> Self {
        Self {
            class: entry.class.to_string(),
            sequence: entry.sequence,
            manifest: hex(&entry.digest),
            security_version: entry.security_version,
        }
    }
}

impl fmt::Display for CurrentShown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { class, sequence, manifest, security_version } = self;
        write!(f, "sequence {sequence} for class {class}, security version {security_version}, manifest {manifest}")
    }
}

impl Shown {
    /// The facts of a beacon and its statement.
    ///
    /// # Errors
    ///
    /// [`StatementError`] if it is none.
    pub fn new(statement: &Signable) -> Result<Self, StatementError> {
        let beacon = statement.decode::<Beacon>()?;
        Ok(Self {
            kind: "beacon",
            vendor: beacon.vendor.to_string(),
            issued: beacon.issued,
            until: beacon.until,
            root: beacon.root,
            current: beacon.current.iter().map(CurrentShown::from).collect(),
            signatures: statement.signers().map(|kid| kid.to_string()).collect(),
            statement_octets: statement.encode()?.len(),
        })
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (issued, until) = (time::text(self.issued), time::text(self.until));
        writeln!(f, "beacon of vendor {}, issued {issued}, holds until {until}", self.vendor)?;
        let mut line = |label: &str, value: &dyn fmt::Display| writeln!(f, "{label:<11} {value}");
        line("newest root", &self.root)?;
        for current in &self.current {
            line("current", current)?;
        }
        let signatures = if self.signatures.is_empty() { "none".into() } else { self.signatures.join(", ") };
        line("signatures", &signatures)
    }
}
