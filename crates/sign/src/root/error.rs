//! What is wrong with a root, or with what is to be done to it.

use fleetcast_cli::{CommandError, ErrorKind};
use fleetcast_core::trust::{KeyId, MAX_SIGNATURES, StatementError, TrustError};

use super::Role;
use crate::statement::AttachError;

/// Why a root is not made, changed or signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RootError {
    /// A key twice in one role.
    #[error("key {key} has {role} already")]
    Present {
        /// The key.
        key: KeyId,
        /// Its role.
        role: Role,
    },
    /// A key that does not have the role, or none at all.
    #[error("key {key} does not have {}", .role.map_or("any role".into(), |role| role.to_string()))]
    Absent {
        /// The key.
        key: KeyId,
        /// The role asked for; `None` for any.
        role: Option<Role>,
    },
    /// More keys must sign than there are, or none.
    #[error("{role}")]
    Threshold {
        /// The role.
        role: Role,
        /// Why it cannot be.
        source: TrustError,
    },
    /// The role is not there.
    #[error("the root has no {role}")]
    NoRole {
        /// The role.
        role: Role,
    },
    /// The role must be there.
    #[error("a root cannot be without {role}")]
    Needed {
        /// The role.
        role: Role,
    },
    /// There is no grant of this number.
    #[error("the root has no grant {grant}: it has {grants}")]
    NoGrant {
        /// The number.
        grant: usize,
        /// How many there are.
        grants: usize,
    },
    /// A root needs one.
    #[error("the root would have no grant, and so nobody could sign releases")]
    LastGrant,
    /// Author and operator of a grant must be different keys.
    #[error("key {key} would be author and operator of grant {grant}: one signature would stand for two people")]
    Both {
        /// The key.
        key: KeyId,
        /// The grant.
        grant: usize,
    },
    /// More of something than a root can have.
    #[error("the root would have {count} {what}, and {most} is the most there can be")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        count: usize,
        /// How many there may be.
        most: usize,
    },
    /// It does not fit a packet once enough have signed.
    #[error("with {signatures} signatures the root has {len} octets, and its packet has room for {room}")]
    TooLong {
        /// Octets it would have.
        len: usize,
        /// Octets there are.
        room: usize,
        /// Signatures it needs.
        signatures: usize,
        /// Keys that could go, if any are to spare.
        spare: Option<String>,
    },
    /// It cannot have all signatures that it needs after the root before.
    #[error("it needs {needed} signatures to follow root {before}, and {MAX_SIGNATURES} is the most there can be")]
    TooManySignatures {
        /// How many it needs.
        needed: usize,
        /// Version of the root before.
        before: u16,
    },
    /// It has signatures, which a change would make void.
    #[error("root {version} has signatures")]
    Signed {
        /// Its version.
        version: u16,
    },
    /// There is no version after the last one.
    #[error("there is no version after {}", u16::MAX)]
    LastVersion,
    /// Not the root before.
    #[error("root {version} does not follow root {before}")]
    NotNext {
        /// The version it has.
        version: u16,
        /// The version of the one before.
        before: u16,
    },
    /// A key whose signature would count for nothing.
    #[error("key {key} does not sign this root")]
    Foreign {
        /// The key.
        key: KeyId,
        /// Whether the root before was looked at too.
        has_previous: bool,
    },
    /// A signature cannot be put on it.
    #[error(transparent)]
    Sign(#[from] AttachError),
    /// It would not be a root.
    #[error("no valid root says this")]
    Invalid(#[from] StatementError),
}

impl RootError {
    /// Stable word for this reason.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Present { .. } => "root-present",
            Self::Absent { .. } => "root-absent",
            Self::Threshold { .. } => "root-threshold",
            Self::NoRole { .. } => "root-no-role",
            Self::Needed { .. } => "root-needed",
            Self::NoGrant { .. } => "root-no-grant",
            Self::LastGrant => "root-last-grant",
            Self::Both { .. } => "root-both",
            Self::TooMany { .. } => "root-too-many",
            Self::TooLong { .. } => "root-too-long",
            Self::TooManySignatures { .. } => "root-too-many-signatures",
            Self::Signed { .. } => "root-signed",
            Self::LastVersion => "root-last-version",
            Self::NotNext { .. } => "root-not-next",
            Self::Foreign { .. } => "root-foreign",
            Self::Sign(error) => error.code(),
            Self::Invalid(error) => error.code(),
        }
    }

    /// What the reader can do about it, if anything is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Present { .. } => "give each key once in a role; `fleetcast-sign root show` lists them",
            Self::Absent { .. } | Self::NoRole { .. } | Self::NoGrant { .. } => {
                "`fleetcast-sign root show` lists roles, grants and keys"
            }
            Self::Threshold { .. } => {
                "add another key first (root add-key), or lower the threshold (root set-threshold): 1 to 8, and no more \
                 than there are keys"
            }
            Self::Needed { .. } => "only the roles operator and beacon can go; a grant goes with root remove-grant",
            Self::LastGrant => "add another grant first: root add-grant",
            Self::Both { .. } => "give author and operator different keys",
            Self::TooMany { .. } => "remove some first: root remove-key, root remove-grant",
            Self::TooLong { spare: None, .. } => "lower thresholds, or use fewer keys, grants, classes or targets",
            Self::TooLong { spare: Some(spare), .. } => {
                return Some(format!("a key takes 34 octets, a signature 83; to spare: {spare}"));
            }
            Self::TooManySignatures { .. } => {
                "go in two steps: first a root with a lower threshold or with keys of the old one, then the one you want"
            }
            Self::Signed { .. } => {
                "make the next one: fleetcast-sign root bump. --force drops the signatures, for a root that no device has"
            }
            Self::LastVersion => "devices need a root file of another vendor UUID, installed at the factory",
            Self::NotNext { .. } => "give the root whose version is one less",
            Self::Foreign { has_previous: false, .. } => {
                "it has not the role root; if it has it in the root before, give that with --previous"
            }
            Self::Foreign { .. } => "it has the role root neither in this root nor in the one before",
            Self::Sign(error) => return error.hint(),
            Self::Invalid(StatementError::Range { .. }) => "correct the value that is out of range",
            Self::Invalid(_) => "get the file again, or make it anew: fleetcast-sign root init",
        };
        Some(hint.into())
    }
}

impl From<RootError> for CommandError {
    fn from(error: RootError) -> Self {
        let kind = match error {
            RootError::Invalid(ref reason) if !matches!(reason, StatementError::Range { .. }) => ErrorKind::Refused,
            _ => ErrorKind::Failed,
        };
        let hint = error.hint();
        Self::new(kind, Coded { code: error.code(), source: error }).hint_if(hint)
    }
}

/// An error as it is told, with its word in front.
#[derive(Debug, thiserror::Error)]
#[error("refused ({code})")]
struct Coded {
    code: &'static str,
    source: RootError,
}
