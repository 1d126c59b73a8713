//! One machine of the bench.

use std::fs::File;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;
use std::panic::resume_unwind;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::{Lab, LabError, Process, Shared, leftovers, tools};

/// Name of the one interface every host has besides `lo`.
pub const INTERFACE: &str = "eth0";

/// Index of [`INTERFACE`], the same in all hosts; what the IPv6 multicast socket options take.
pub const INTERFACE_INDEX: u32 = 77;

/// Name of the interface of a host that is on a second bridge: [`Host::attach`].
pub const SECOND_INTERFACE: &str = "eth1";

/// Least depth of a bottleneck's token bucket, in bytes: two packets, so that none is too long to pass.
const BURST_MIN: u32 = 3_200;

/// A host: a namespace with one interface on the bridge. Clones are the same host.
#[derive(Clone, Debug)]
pub struct Host {
    shared: Arc<Shared>,
    name: String,
    namespace: String,
    bridge: String,
    /// From 1 up; the last 16 bits of its addresses.
    index: u16,
}

impl Host {
    pub(super) fn new(
        shared: Arc<Shared>,
        name: &str,
        namespace: String,
        bridge: &str,
        index: u16,
    ) -> Result<Self, LabError> {
        let host = Self { shared, name: name.to_owned(), namespace, bridge: bridge.to_owned(), index };
        host.connect(Some(INTERFACE_INDEX))?;
        host.nft(
            "table inet lab {\ncounter dropped { }\nchain loss {\ntype filter hook prerouting priority raw;\n}\n}\n",
        )?;
        Ok(host)
    }

    /// Makes the pair of interfaces, directly in their namespaces, and the addresses and routes.
    ///
    /// Link-local addresses are set by hand and none waits for duplicate address detection, so that all
    /// can be used at once. The multicast route of IPv6 comes with the interface.
    fn connect(&self, number: Option<u32>) -> Result<(), LabError> {
        let (namespace, bridge, port, index) = (&self.namespace, &self.bridge, self.port(), self.index);
        let number = number.map_or(String::new(), |number| format!("index {number}"));
        tools::ip(
            bridge,
            &format!(
                "link add name {INTERFACE} {number} netns {namespace} type veth peer name {port}\n\
                 link set {port} addrgenmode none\n\
                 link set {port} master br0\n\
                 link set {port} up\n"
            ),
        )?;
        tools::ip(
            namespace,
            &format!(
                "link set lo up\n\
                 link set {INTERFACE} addrgenmode none\n\
                 link set {INTERFACE} up\n\
                 addr add {}/16 dev {INTERFACE}\n\
                 addr add {}/64 dev {INTERFACE} nodad\n\
                 addr add fe80::{index:x}/64 dev {INTERFACE} nodad\n\
                 route add 224.0.0.0/4 dev {INTERFACE}\n",
                self.v4(),
                self.v6(),
            ),
        )?;
        self.offload(false)
    }

    /// Puts the host on the bridge of another lab too, by an interface [`SECOND_INTERFACE`]. Its own bridge stays where its routes
    /// lead to; nothing is routed between the two.
    ///
    /// The address there is 10.77.255.x with the last octet of its own, which must be no address of that lab, and
    /// `fd77::ff:x`; the other addresses of the two labs may be the same. Call it once.
    ///
    /// # Errors
    ///
    /// [`LabError::Tool`].
    pub fn attach(&self, lab: &Lab) -> Result<(), LabError> {
        let (namespace, bridge, port, index) = (&self.namespace, &lab.bridge, format!("x{}", self.index), self.index);
        let [_, low] = index.to_be_bytes();
        tools::ip(
            bridge,
            &format!(
                "link add name {SECOND_INTERFACE} netns {namespace} type veth peer name {port}\n\
                 link set {port} addrgenmode none\n\
                 link set {port} master br0\n\
                 link set {port} up\n"
            ),
        )?;
        tools::ip(
            namespace,
            &format!(
                "link set {SECOND_INTERFACE} addrgenmode none\n\
                 link set {SECOND_INTERFACE} up\n\
                 addr add 10.77.255.{low}/32 dev {SECOND_INTERFACE}\n\
                 addr add fd77::ff:{index:x}/128 dev {SECOND_INTERFACE} nodad\n\
                 addr add fe80::ff:{index:x}/64 dev {SECOND_INTERFACE} nodad\n"
            ),
        )?;
        // Senders there have addresses to which the routes lead elsewhere.
        let off = format!("echo 0 > /proc/sys/net/ipv4/conf/{SECOND_INTERFACE}/rp_filter");
        tools::run_in(namespace, "sh", &["-c", &off], "")?;
        for (namespace, device) in [(namespace, SECOND_INTERFACE), (bridge, port.as_str())] {
            let args = ["-K", device, "tx-udp-segmentation", "off", "gso", "off", "gro", "off"];
            tools::run_in(namespace, "ethtool", &args, "")?;
        }
        Ok(())
    }

    /// Removes the interface, as a driver that is unloaded does.
    ///
    /// # Errors
    ///
    /// [`LabError::Tool`].
    pub fn remove_interface(&self) -> Result<(), LabError> {
        tools::ip(&self.namespace, &format!("link delete {INTERFACE}\n"))
    }

    /// Makes an interface of the same name and addresses after [`Host::remove_interface`], with an index of the kernel's
    /// choice.
    ///
    /// # Errors
    ///
    /// [`LabError::Tool`].
    pub fn replace_interface(&self) -> Result<(), LabError> {
        self.connect(None)
    }

    /// Its name in the lab.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Name of its namespace, for `ip -netns`.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Its IPv4 address, in 10.77.0.0/16.
    #[must_use]
    pub fn v4(&self) -> Ipv4Addr {
        let [high, low] = self.index.to_be_bytes();
        Ipv4Addr::new(10, 77, high, low)
    }

    /// Its unique local IPv6 address, in `fd77::/64`.
    #[must_use]
    pub fn v6(&self) -> Ipv6Addr {
        Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, self.index)
    }

    /// Drops UDP packets at random where they come in, from this moment on, with this probability in
    /// thousandths; 0 ends it. Every packet is drawn for by itself, without a seed. What the host
    /// multicasts to itself comes in, too; `lo` is spared, and so are ARP, IGMP, MLD and ND.
    ///
    /// # Errors
    ///
    /// [`LabError::Range`] above 1,000, [`LabError::Tool`].
    pub fn loss(&self, per_mille: u16) -> Result<(), LabError> {
        let test = match per_mille {
            0 => return self.nft("flush chain inet lab loss\n"),
            1..=999 => format!("numgen random mod 1000 < {per_mille}"),
            // Always true as a comparison, and nft refuses those.
            1_000 => String::new(),
            _ => return Err(LabError::Range { what: "per mille of loss", value: per_mille.into(), max: 1_000 }),
        };
        // One transaction: no packet passes between two losses.
        self.nft(&format!(
            "flush chain inet lab loss\n\
             add rule inet lab loss iifname {INTERFACE} meta l4proto udp {test} counter name dropped drop\n"
        ))
    }

    /// How many packets [`loss`](Self::loss) has dropped since the host was made.
    ///
    /// # Errors
    ///
    /// [`LabError::Tool`], [`LabError::Format`].
    pub fn drop_counter(&self) -> Result<u64, LabError> {
        let text = tools::run_in(&self.namespace, "nft", &["list", "counter", "inet", "lab", "dropped"], "")?;
        let mut words = text.split_ascii_whitespace().skip_while(|&word| word != "packets").skip(1);
        let count = words.next().and_then(|word| word.parse().ok());
        count.ok_or(LabError::Format { what: "nft list counter", text })
    }

    /// Switches segmentation and receive offload on its interface and its port of the bridge.
    ///
    /// Off, as hosts start, each datagram travels by itself and is lost by itself. On, a train of
    /// datagrams sent by one call stays together up to the receiving socket, faster and lost as one.
    ///
    /// # Errors
    ///
    /// [`LabError::Tool`].
    pub fn offload(&self, on: bool) -> Result<(), LabError> {
        let to = if on { "on" } else { "off" };
        let port = self.port();
        for (namespace, device) in [(&self.namespace, INTERFACE), (&self.bridge, port.as_str())] {
            let args = ["-K", device, "tx-udp-segmentation", to, "gso", to, "gro", to];
            tools::run_in(namespace, "ethtool", &args, "")?;
        }
        Ok(())
    }

    /// Makes its port of the bridge a bottleneck towards it: `mbit` millions of bits of Ethernet frames
    /// a second, and a queue that drops what does not fit in `queue_bytes`.
    ///
    /// Packets leave in bursts of up to one millisecond's worth.
    ///
    /// # Errors
    ///
    /// [`LabError::Tool`], as for a rate of 0.
    pub fn rate_limit(&self, mbit: u32, queue_bytes: u32) -> Result<(), LabError> {
        let port = self.port();
        let burst = mbit.saturating_mul(125).max(BURST_MIN).to_string();
        let (rate, queue) = (format!("{mbit}mbit"), queue_bytes.to_string());
        let device = ["-netns", &self.bridge, "qdisc", "replace", "dev", &port, "root"];
        let shaper = ["tbf", "rate", &rate, "burst", &burst, "limit", &queue];
        tools::run("tc", &[&device[..], &shaper].concat(), "").map(drop)
    }

    /// Ends a [`rate_limit`](Self::rate_limit); what was queued is lost.
    ///
    /// # Errors
    ///
    /// [`LabError::Tool`] if there is none.
    pub fn rate_unlimited(&self) -> Result<(), LabError> {
        tools::run("tc", &["-netns", &self.bridge, "qdisc", "delete", "dev", &self.port(), "root"], "").map(drop)
    }

    /// Starts a program here, with the arguments, environment and working directory of `command`;
    /// input is empty, output goes to files. Returns when the program itself runs.
    ///
    /// As with a shell, a program that is not found ends with status 127, and 126 if it cannot run.
    ///
    /// # Errors
    ///
    /// [`LabError::Io`], as when the lab is gone.
    pub fn spawn(&self, command: &Command) -> Result<Process, LabError> {
        let program = command.get_program().to_string_lossy();
        Process::start(&self.shared, &self.name, self.wrap(command)?, &program)
    }

    /// Runs a program here to its end and returns its output; otherwise as [`spawn`](Self::spawn).
    ///
    /// # Errors
    ///
    /// [`LabError::Io`], as when the lab is gone.
    pub fn run(&self, command: &Command) -> Result<Output, LabError> {
        let output = self.wrap(command)?.stdin(Stdio::null()).output();
        let program = command.get_program().display();
        output.map_err(|e| LabError::io(format!("cannot run {program} in {}", self.name), e))
    }

    /// Runs `work` in a thread of this process that is in the namespace, and returns its result.
    ///
    /// A socket opened by it stays in the namespace and can be returned and used from anywhere.
    /// `/proc/net` and `/sys` still show the test's own namespace; `/proc/thread-self/net` this one.
    ///
    /// # Errors
    ///
    /// [`LabError::Io`] if the namespace is gone or cannot be entered; `work` has not run then.
    ///
    /// # Panics
    ///
    /// If `work` does.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, LabError> {
        let file = self.open()?;
        let inside = || {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))
                .map_err(|e| LabError::io(format!("cannot enter {}", self.namespace), e))?;
            Ok(work())
        };
        thread::scope(|scope| scope.spawn(inside).join().unwrap_or_else(|panic| resume_unwind(panic)))
    }

    /// `command` in the namespace, killed if the thread that starts it ends; both wrappers become the
    /// program, which so has the process id.
    fn wrap(&self, command: &Command) -> Result<Command, LabError> {
        // Told apart from a program that fails: the wrapper's status 1 could be the program's.
        self.open()?;
        let mut wrapped = Command::new("ip");
        wrapped.args(["netns", "exec", &self.namespace, "setpriv", "--pdeathsig", "KILL"]);
        wrapped.arg(command.get_program()).args(command.get_args());
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => wrapped.env(key, value),
                None => wrapped.env_remove(key),
            };
        }
        if let Some(directory) = command.get_current_dir() {
            wrapped.current_dir(directory);
        }
        Ok(wrapped)
    }

    fn open(&self) -> Result<File, LabError> {
        let path = leftovers::path(&self.namespace);
        File::open(&path).map_err(|e| LabError::io(format!("cannot open {}", path.display()), e))
    }

    /// Its side of the bridge.
    fn port(&self) -> String {
        format!("p{}", self.index)
    }

    fn nft(&self, script: &str) -> Result<(), LabError> {
        tools::run_in(&self.namespace, "nft", &["-f", "-"], script).map(drop)
    }
}
