//! Hosts in Linux network namespaces, joined by a bridge.
//!
//! ```text
//!    sender            bridge              device-1
//!   +------+     +----------------+       +------+
//!   | eth0 |-----| p1   br0    p2 |-------| eth0 |   loss: nftables, where packets come in
//!   +------+     |             p3 |----   +------+   bottleneck: tbf on p2, towards the host
//!                +----------------+
//! ```
//!
//! Each host is a namespace with one interface, [`INTERFACE`], and one address of each family. Nothing
//! is ever created in the namespace the tests run in, and all goes when the [`Lab`] is dropped, also by
//! a panic; what a killed test left is removed by the next [`Lab::new`].
//!
//! It takes root and the Debian packages iproute2, nftables, ethtool and util-linux: see [`require_netns`].
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use fleetcast_netlab::netns::{Lab, require_netns};
//! use std::net::UdpSocket;
//! use std::process::Command;
//! use std::time::Duration;
//!
//! if !require_netns() {
//!     return Ok(());
//! }
//! let lab = Lab::new("example")?;
//! let (sender, device) = (lab.host("sender")?, lab.host("device")?);
//! device.loss(200)?;
//! let mut program = device.spawn(Command::new("tcpdump").args(["-i", "eth0", "-c", "1"]))?;
//! let socket = sender.enter(|| UdpSocket::bind((sender.v4(), 0)))??;
//! socket.send_to(b"hello", (device.v4(), 4000))?;
//! assert!(program.wait(Duration::from_secs(5))?.success());
//! # Ok(())
//! # }
//! ```

mod error;
mod host;
mod leftovers;
mod procfs;
mod require;
mod spawn;
mod tools;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

pub use error::LabError;
pub use host::{Host, INTERFACE, INTERFACE_INDEX, SECOND_INTERFACE};
pub use require::require_netns;
pub use rustix::process::Signal;
pub use spawn::Process;

use spawn::Spawner;

/// Longest name of a lab or host, in characters.
const NAME_MAX: usize = 32;

/// Most hosts of one lab: as many as the last 16 bits of an IPv4 address can tell apart, less the
/// network and broadcast addresses.
const HOSTS_MAX: usize = 65_534;

/// Time in which a host answers a query about its groups, in hundredths of a second. The bridge
/// floods for as long after snooping is switched on.
const QUERY_RESPONSE: u32 = 10;

/// A bridge and the hosts on it.
///
/// Dropping it ends every process in its namespaces and removes them, whoever still holds a
/// [`Host`] or [`Process`]; those then answer with errors.
#[derive(Debug)]
pub struct Lab {
    shared: Arc<Shared>,
    bridge: String,
}

/// What hosts and processes need from their lab for as long as they live.
#[derive(Debug)]
struct Shared {
    /// Start of all its namespaces' names.
    prefix: String,
    directory: TempDir,
    spawner: Spawner,
    /// The bridge first, then the hosts in the order of their addresses.
    namespaces: Mutex<Vec<String>>,
    processes: AtomicUsize,
}

impl Lab {
    /// A bridge without hosts; what labs of dead processes left is removed first.
    ///
    /// `name` is part of the namespaces' names, so that `ip netns list` tells the tests apart: up to
    /// 32 of `a-z`, `0-9` and `-`. The bridge floods multicast to every host; see [`Lab::snooping`].
    ///
    /// # Errors
    ///
    /// [`LabError::Name`], or [`LabError::Tool`] and [`LabError::Io`] where a namespace cannot be made.
    pub fn new(name: &str) -> Result<Self, LabError> {
        check_name(name)?;
        leftovers::remove_dead()?;
        let prefix = leftovers::prefix(name)?;
        let directory = tempfile::Builder::new()
            .prefix(&format!("{prefix}-"))
            .tempdir()
            .map_err(|e| LabError::io("cannot make the lab's temporary directory", e))?;
        let lab = Self {
            bridge: format!("{prefix}-bridge"),
            shared: Arc::new(Shared {
                prefix,
                directory,
                spawner: Spawner::new()?,
                namespaces: Mutex::default(),
                processes: AtomicUsize::new(0),
            }),
        };
        lab.shared.add_namespace(&lab.bridge)?;
        tools::ip(
            &lab.bridge,
            &format!(
                "link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0 mcast_igmp_version 3 \
                 mcast_mld_version 2 mcast_query_response_interval {QUERY_RESPONSE}\n\
                 link set br0 addrgenmode none\n\
                 link set br0 up\n\
                 addr add fe80::ffff/64 dev br0 nodad\n"
            ),
        )?;
        Ok(lab)
    }

    /// Adds a host, up and with all its addresses usable on return; loss is 0, offloads are off.
    ///
    /// # Errors
    ///
    /// [`LabError::Name`] unless `name` is up to 32 of `a-z`, `0-9` and `-`, [`LabError::Range`] if the
    /// lab is full, [`LabError::Tool`] if the name is taken ("bridge" is) or anything cannot be set up.
    pub fn host(&self, name: &str) -> Result<Host, LabError> {
        check_name(name)?;
        let namespace = format!("{}-{name}", self.shared.prefix);
        let index = self.shared.add_namespace(&namespace)?;
        Host::new(Arc::clone(&self.shared), name, namespace, &self.bridge, index)
    }

    /// Switches multicast snooping of the bridge, with the bridge as querier (`IGMPv3`, `MLDv2`).
    ///
    /// With it on, a host gets only the groups it has joined, as behind a managed switch; off, all.
    /// Returns when the hosts have had the time to report what they joined before.
    ///
    /// # Errors
    ///
    /// [`LabError::Tool`] if the bridge refuses.
    pub fn snooping(&self, on: bool) -> Result<(), LabError> {
        let bit = u8::from(on);
        tools::ip(&self.bridge, &format!("link set br0 type bridge mcast_snooping {bit} mcast_querier {bit}\n"))?;
        if on {
            thread::sleep(3 * Duration::from_millis(10) * QUERY_RESPONSE);
        }
        Ok(())
    }

    /// Joins two hosts by a cable of their own, beside the bridge: an interface `cableN` in each, with the addresses
    /// 10.78.N.1 and 10.78.N.2, and `fd78:N::1` and `fd78:N::2`. So that a host between two networks can be a router.
    ///
    /// # Errors
    ///
    /// [`LabError::Tool`], as for a number that one of them has already.
    pub fn cable(&self, number: u8, hosts: [&Host; 2]) -> Result<(), LabError> {
        let [one, two] = hosts.map(Host::namespace);
        let name = format!("cable{number}");
        tools::ip(one, &format!("link add name {name} type veth peer name {name} netns {two}\n"))?;
        for (nth, namespace) in [one, two].into_iter().enumerate() {
            let end = nth + 1;
            tools::ip(
                namespace,
                &format!(
                    "addr add 10.78.{number}.{end}/24 dev {name}\n\
                     addr add fd78:{number}::{end}/64 dev {name} nodad\n\
                     link set {name} up\n"
                ),
            )?;
        }
        Ok(())
    }

    /// Directory for the files of a test, removed with the lab and the last of its hosts and processes.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.shared.directory.path()
    }

    /// Names of its namespaces as `ip netns list` shows them: the bridge, then the hosts as added.
    #[must_use]
    pub fn namespaces(&self) -> Vec<String> {
        self.shared.namespaces().clone()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let namespaces = self.shared.namespaces();
        if let Err(e) = leftovers::remove(&namespaces) {
            eprintln!("lab {}: {e}", self.shared.prefix);
        }
    }
}

impl Shared {
    /// Adds a namespace and returns how many there were before: 0 for the bridge, then 1, 2, ...
    fn add_namespace(&self, name: &str) -> Result<u16, LabError> {
        let mut namespaces = self.namespaces();
        let index = u16::try_from(namespaces.len()).ok().filter(|&i| usize::from(i) <= HOSTS_MAX);
        let index = index.ok_or(LabError::Range { what: "hosts", value: namespaces.len(), max: HOSTS_MAX })?;
        tools::run("ip", &["netns", "add", name], "")?;
        namespaces.push(name.to_owned());
        Ok(index)
    }

    fn namespaces(&self) -> MutexGuard<'_, Vec<String>> {
        self.namespaces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Number of the next process, for the names of its files.
    fn next_process(&self) -> usize {
        self.processes.fetch_add(1, Ordering::Relaxed)
    }
}

fn check_name(name: &str) -> Result<(), LabError> {
    let fits = (1..=NAME_MAX).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    fits.then_some(()).ok_or_else(|| LabError::Name { name: name.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_the_directory_or_look_like_options_are_refused() {
        for name in ["", "../x", "A", "a b", "a\n", &"x".repeat(33)] {
            assert_eq!(check_name(name).unwrap_err().code(), "name", "{name:?}");
        }
        assert!(check_name("device-12").is_ok());
    }
}
