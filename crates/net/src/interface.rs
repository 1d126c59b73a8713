//! Network interfaces by name or address.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

use nix::ifaddrs::getifaddrs;
use nix::net::if_::{InterfaceFlags, if_nametoindex};

/// A network interface of this host, as it was when it was looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    name: String,
    index: u32,
    addresses: Vec<IpAddr>,
    chosen: Option<IpAddr>,
}

/// Flags of an interface (netdevice(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceState {
    /// It is switched on.
    pub is_up: bool,
    /// It is up and plugged in. Without carrier the kernel takes packets and drops them. An interface whose driver knows no
    /// carrier, such as `lo`, always has one.
    pub has_carrier: bool,
    /// It takes multicast.
    pub has_multicast: bool,
}

/// Why no interface was found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InterfaceError {
    /// No interface has this name or address.
    #[error("no interface has the name or address {wanted}; this host has {existing}")]
    Unknown {
        /// What was asked for.
        wanted: String,
        /// The interfaces there are, with their addresses.
        existing: String,
    },
    /// The system's list of interfaces could not be read.
    #[error("cannot list the network interfaces of this host")]
    List(#[source] io::Error),
}

impl InterfaceError {
    /// Stable word for this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "interface-unknown",
            Self::List(_) => "interface-list",
        }
    }
}

impl Interface {
    /// Finds an interface by its name (`eth0`) or by one of its addresses.
    ///
    /// An address given here is the one a [`crate::Sender`] sends from.
    ///
    /// # Errors
    ///
    /// [`InterfaceError::Unknown`] names the interfaces there are.
    pub fn find(wanted: &str) -> Result<Self, InterfaceError> {
        let all = Self::all()?;
        let chosen = wanted.parse::<IpAddr>().ok();
        let is_wanted = |interface: &&Self| match chosen {
            Some(address) => interface.addresses.contains(&address),
            None => interface.name == wanted,
        };
        match all.iter().find(is_wanted) {
            Some(interface) => Ok(Self { chosen, ..interface.clone() }),
            None => Err(InterfaceError::Unknown {
                wanted: wanted.to_owned(),
                existing: all.iter().map(Self::to_string).collect::<Vec<_>>().join(", "),
            }),
        }
    }

    /// All interfaces of this host (of the calling thread's network namespace).
    ///
    /// # Errors
    ///
    /// [`InterfaceError::List`] if the system does not tell.
    pub fn all() -> Result<Vec<Self>, InterfaceError> {
        let list = |e: nix::Error| InterfaceError::List(e.into());
        let mut all: Vec<Self> = Vec::new();
        // One entry per interface and address, and one without an IP address.
        for entry in getifaddrs().map_err(list)? {
            let name = entry.interface_name;
            let at = match all.iter().position(|known| known.name == name) {
                Some(at) => at,
                None => match if_nametoindex(name.as_str()) {
                    Ok(index) => {
                        all.push(Self { name, index, addresses: Vec::new(), chosen: None });
                        all.len() - 1
                    }
                    // It went away since the list was made.
                    Err(nix::Error::ENODEV) => continue,
                    Err(error) => return Err(list(error)),
                },
            };
            let address = entry.address.and_then(|address| {
                let v4 = address.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
                v4.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip())))
            });
            all[at].addresses.extend(address);
        }
        Ok(all)
    }

    /// Finds it again by what it was found by: its name, or the address.
    ///
    /// One that was removed and made anew has another index, one with a new lease another address.
    ///
    /// # Errors
    ///
    /// As [`Interface::find`].
    pub fn find_again(&self) -> Result<Self, InterfaceError> {
        match self.chosen {
            Some(address) => Self::find(&address.to_string()),
            None => Self::find(&self.name),
        }
    }

    /// Whether the interface of this name exists, is up and has a carrier at the moment.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn is_running(&self) -> io::Result<bool> {
        Ok(self.state()?.is_some_and(|state| state.has_carrier))
    }

    /// How the interface of this name is at the moment; `None` if it does not exist.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn state(&self) -> io::Result<Option<InterfaceState>> {
        let has = |flags: InterfaceFlags, flag| flags.contains(flag);
        Ok(getifaddrs()?.find(|entry| entry.interface_name == self.name).map(|entry| InterfaceState {
            is_up: has(entry.flags, InterfaceFlags::IFF_UP),
            has_carrier: has(entry.flags, InterfaceFlags::IFF_RUNNING),
            has_multicast: has(entry.flags, InterfaceFlags::IFF_MULTICAST),
        }))
    }

    /// Name, as in `ip link`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Index, by which the kernel knows it.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// All its addresses, in the system's order.
    #[must_use]
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// Its IPv4 address: the one it was found by, else its first.
    #[must_use]
    pub fn ipv4(&self) -> Option<Ipv4Addr> {
        let v4 = |address: &IpAddr| match address {
            IpAddr::V4(v4) => Some(*v4),
            IpAddr::V6(_) => None,
        };
        self.chosen.iter().chain(&self.addresses).find_map(v4)
    }

    /// The address it was found by, if by an address.
    pub(crate) fn chosen(&self) -> Option<IpAddr> {
        self.chosen
    }
}

/// Writes `eth0 (192.0.2.2, fd00::2)`.
impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for (i, address) in self.addresses.iter().enumerate() {
            f.write_str(if i == 0 { " (" } else { ", " })?;
            write!(f, "{address}")?;
        }
        f.write_str(if self.addresses.is_empty() { "" } else { ")" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_found_by_name_and_by_address() {
        let named = Interface::find("lo").unwrap();
        let addressed = Interface::find("127.0.0.1").unwrap();
        assert_eq!((named.name(), named.index()), ("lo", if_nametoindex("lo").unwrap()));
        assert_eq!((addressed.name(), addressed.index()), ("lo", named.index()));
        assert_eq!(named.ipv4(), Some(Ipv4Addr::LOCALHOST));
        assert_eq!(named.chosen(), None);
        assert_eq!(addressed.chosen(), Some(Ipv4Addr::LOCALHOST.into()));
        assert_eq!((named.find_again().unwrap(), addressed.find_again().unwrap()), (named, addressed));
    }

    #[test]
    fn an_unknown_interface_is_refused_with_the_list_of_those_there_are() {
        for wanted in ["nosuch0", "203.0.113.77", "", "127.0.0.1/8"] {
            let error = Interface::find(wanted).unwrap_err();
            assert_eq!(error.code(), "interface-unknown");
            let message = error.to_string();
            assert!(message.contains("lo (127.0.0.1"), "{message}");
        }
    }
}
