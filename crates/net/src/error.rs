//! Why opening, joining and sending fail.

use std::io;
use std::net::SocketAddr;

use crate::{GroupError, InterfaceError};

/// Why no receiver was opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The list of memberships is empty.
    #[error("no group to join; name at least one")]
    Empty,
    /// A group or source cannot be used.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// A limit of the kernel is reached.
    #[error(
        "the kernel lets this program join no more on interface {interface}, with {sources} sources of group {group} joined; \
         raise the limit {sysctl}"
    )]
    Limit {
        /// Sources of the group that are joined.
        sources: usize,
        /// Name of the limit, as `sysctl` knows it.
        sysctl: &'static str,
        /// Group and port.
        group: SocketAddr,
        /// Name of the interface.
        interface: String,
    },
    /// The system refused one step.
    #[error("cannot {step} for group {group} on interface {interface}")]
    Socket {
        /// What was tried, as an infinitive.
        step: &'static str,
        /// Group and port.
        group: SocketAddr,
        /// Name of the interface.
        interface: String,
        /// What the system said.
        source: io::Error,
    },
}

impl JoinError {
    /// Stable word for this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "join-empty",
            Self::Group(group) => group.code(),
            Self::Limit { .. } => "join-limit",
            Self::Socket { .. } => "join-socket",
        }
    }
}

/// Why no sender was opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The group cannot be used.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// A layer's group is of another family than the base layer's.
    #[error("group {group} is of another address family than {base}; use one family for all layers")]
    Family {
        /// Group and port.
        group: SocketAddr,
        /// Those of the base layer.
        base: SocketAddr,
    },
    /// The interface is not there any more.
    #[error(transparent)]
    Interface(#[from] InterfaceError),
    /// The code point needs more than 6 bits.
    #[error("DSCP {got} is out of range; use 0 to 63")]
    Dscp {
        /// The value given.
        got: u8,
    },
    /// The interface has no address of the group's family to send from.
    #[error("interface {interface} has no IPv4 address to send to group {group} from; give it one")]
    NoAddress {
        /// The interface and its addresses.
        interface: String,
        /// Group and port.
        group: SocketAddr,
    },
    /// The system refused one step.
    #[error("cannot {step} for group {group} on interface {interface}")]
    Socket {
        /// What was tried, as an infinitive.
        step: &'static str,
        /// Group and port.
        group: SocketAddr,
        /// Name of the interface.
        interface: String,
        /// What the system said.
        source: io::Error,
    },
}

impl OpenError {
    /// Stable word for this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Group(group) => group.code(),
            Self::Family { .. } => "open-family",
            Self::Interface(interface) => interface.code(),
            Self::Dscp { .. } => "open-dscp",
            Self::NoAddress { .. } => "open-no-address",
            Self::Socket { .. } => "open-socket",
        }
    }
}

/// Why datagrams were not sent. Some of those before the failing one may have been.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// Link down, firewall, no memory: a later call may succeed. The carousel goes on.
    #[error("the system cannot send now")]
    Transient(#[source] io::Error),
    /// A datagram does not fit the link, and fragmentation is forbidden.
    #[error(
        "a datagram of {bytes} bytes does not fit the link, which takes {fits}; use smaller chunks or a larger MTU"
    )]
    TooLong {
        /// UDP payload of the datagram.
        bytes: usize,
        /// Largest UDP payload that fits.
        fits: usize,
    },
    /// The socket is of no more use.
    #[error("the system refuses to send")]
    Fatal(#[source] io::Error),
}

impl SendError {
    /// Stable word for this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Transient(_) => "send-transient",
            Self::TooLong { .. } => "send-too-long",
            Self::Fatal(_) => "send-fatal",
        }
    }
}
