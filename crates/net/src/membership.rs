//! What to join, and what counts as a group.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use crate::Interface;

/// One multicast group to receive: any source (ASM), or one source only (SSM, RFC 4607).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Multicast address.
    pub group: IpAddr,
    /// UDP port.
    pub port: u16,
    /// The only source to hear, through `IGMPv3` or `MLDv2`; `None` hears all.
    pub source: Option<IpAddr>,
    /// Where to join.
    pub interface: Interface,
}

/// Why a group, or a source of it, cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GroupError {
    /// The group is not a multicast address.
    #[error("{group} is no multicast address; use one of 224.0.0.0/4 or ff00::/8")]
    NotMulticast {
        /// The address given.
        group: IpAddr,
    },
    /// The port is 0.
    #[error("group {group} needs a UDP port other than 0")]
    PortZero {
        /// The address given.
        group: IpAddr,
    },
    /// The group lies in a source-specific range (232.0.0.0/8, `ff3x::/32`).
    #[error("group {group} is source-specific (RFC 4607): name the sender's address as its source")]
    SourceRequired {
        /// The address given.
        group: IpAddr,
    },
    /// The source is no unicast address of the group's family.
    #[error("source {source_address} is no unicast address of the family of group {group}")]
    Source {
        /// The group given.
        group: IpAddr,
        /// The source given.
        source_address: IpAddr,
    },
}

impl GroupError {
    /// Stable word for this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotMulticast { .. } => "group-not-multicast",
            Self::PortZero { .. } => "group-port",
            Self::SourceRequired { .. } => "group-source-required",
            Self::Source { .. } => "group-source",
        }
    }
}

impl Membership {
    /// Checks group, port and source without touching the network.
    ///
    /// # Errors
    ///
    /// The first [`GroupError`] found.
    pub fn check(&self) -> Result<(), GroupError> {
        check_membership(SocketAddr::new(self.group, self.port), self.source)
    }
}

/// Checks group, port and source as [`Membership::check`] does, where no interface is known yet.
///
/// # Errors
///
/// The first [`GroupError`] found.
pub fn check_membership(group: SocketAddr, source: Option<IpAddr>) -> Result<(), GroupError> {
    check_group(group)?;
    let group = group.ip();
    match source {
        None if is_source_specific(group) => Err(GroupError::SourceRequired { group }),
        Some(source) if source.is_ipv4() != group.is_ipv4() || source.is_multicast() || source.is_unspecified() => {
            Err(GroupError::Source { group, source_address: source })
        }
        _ => Ok(()),
    }
}

/// Refuses what cannot be sent to or joined.
pub(crate) fn check_group(group: SocketAddr) -> Result<(), GroupError> {
    let (group, port) = (group.ip(), group.port());
    if !group.is_multicast() {
        Err(GroupError::NotMulticast { group })
    } else if port == 0 {
        Err(GroupError::PortZero { group })
    } else {
        Ok(())
    }
}

/// Adds the interface to an IPv6 group; one of link-local scope means nothing without it
/// (RFC 4291 §2.7).
pub(crate) fn scoped(group: SocketAddr, interface: &Interface) -> SocketAddr {
    match group {
        SocketAddr::V6(v6) => SocketAddrV6::new(*v6.ip(), v6.port(), 0, interface.index()).into(),
        SocketAddr::V4(_) => group,
    }
}

/// 232.0.0.0/8 and `ff3x::/32` (RFC 4607 §1).
fn is_source_specific(group: IpAddr) -> bool {
    match group {
        IpAddr::V4(v4) => v4.octets()[0] == 232,
        IpAddr::V6(v6) => v6.segments()[0] & 0xfff0 == 0xff30 && v6.segments()[1] == 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(group: &str, port: u16, source: Option<&str>) -> Result<(), &'static str> {
        let membership = Membership {
            group: group.parse().unwrap(),
            port,
            source: source.map(|s| s.parse().unwrap()),
            interface: Interface::find("lo").unwrap(),
        };
        membership.check().map_err(|e| e.code())
    }

    #[test]
    fn groups_ports_and_sources_are_checked() {
        for (group, port, source, expect) in [
            ("239.1.2.3", 5000, None, Ok(())),
            ("239.1.2.3", 5000, Some("10.0.0.1"), Ok(())),
            ("232.1.2.3", 5000, Some("10.0.0.1"), Ok(())),
            ("ff15::1", 5000, None, Ok(())),
            ("ff3e::8000:1", 5000, Some("fd00::1"), Ok(())),
            // Prefix-based (RFC 3306), thus any-source.
            ("ff3e:30:2001:db8::1", 5000, None, Ok(())),
            ("10.0.0.1", 5000, None, Err("group-not-multicast")),
            ("255.255.255.255", 5000, None, Err("group-not-multicast")),
            ("fe80::1", 5000, None, Err("group-not-multicast")),
            ("239.1.2.3", 0, None, Err("group-port")),
            ("232.1.2.3", 5000, None, Err("group-source-required")),
            ("ff35::1", 5000, None, Err("group-source-required")),
            ("232.1.2.3", 5000, Some("fd00::1"), Err("group-source")),
            ("232.1.2.3", 5000, Some("239.0.0.1"), Err("group-source")),
            ("ff3e::8000:1", 5000, Some("::"), Err("group-source")),
        ] {
            let got = check(group, port, source);
            assert_eq!(got, expect, "{group} {port} {source:?}");
        }
    }
}
