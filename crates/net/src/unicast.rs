//! A copy by unicast, from one host to another, where multicast does not reach.

use std::io;
use std::net::{self, IpAddr, SocketAddr};
use std::os::fd::AsFd;

use socket2::{Domain, Protocol, SockFilter, SockRef, Socket, Type};
use tokio::net::UdpSocket;

use crate::receiver::socket::set_receive_buffer;
use crate::sender::socket::deaf_socket;
use crate::{MAX_DATAGRAM, ReceiveOptions, SendError, sys};

/// Datagrams taken before the runtime looks at other sockets and timers.
const BATCH: usize = 64;

/// Why there is no socket for a copy by unicast.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnicastError {
    /// The address cannot be sent to or listened on.
    #[error("{address} is no unicast address with a port other than 0")]
    Address {
        /// The address given.
        address: SocketAddr,
    },
    /// The peer is no unicast address of the family of what is listened on.
    #[error("{peer} is no unicast address of the family of {address}")]
    Peer {
        /// The peer given.
        peer: IpAddr,
        /// What is listened on.
        address: SocketAddr,
    },
    /// The system refused one step.
    #[error("cannot {step} for {address}")]
    Socket {
        /// What was tried, as an infinitive.
        step: &'static str,
        /// Where to send to, or what to listen on.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

impl UnicastError {
    /// Stable word for this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Address { .. } => "unicast-address",
            Self::Peer { .. } => "unicast-peer",
            Self::Socket { .. } => "unicast-socket",
        }
    }
}

/// Sends to one host, by the way its routes say. As a [`crate::Sender`] it never reads, and is not connected.
#[derive(Debug)]
pub struct UnicastSender {
    socket: net::UdpSocket,
    to: SocketAddr,
}

impl UnicastSender {
    /// Opens a socket that sends to `to` with this code point (0 to 63), from any port, and asks the kernel for a send buffer of
    /// `buffer` bytes.
    ///
    /// # Errors
    ///
    /// Any [`UnicastError`].
    pub fn open(to: SocketAddr, dscp: u8, buffer: usize) -> Result<Self, UnicastError> {
        check(to)?;
        let step = |step| failed(to, step);
        let socket = deaf_socket(to).map_err(step("open a socket that hears nothing"))?;
        set_options(&socket, to, dscp).map_err(step("forbid fragments and set the DSCP"))?;
        socket.set_send_buffer_size(buffer).map_err(step("set the send buffer"))?;
        socket.set_nonblocking(true).map_err(step("set up the socket"))?;
        Ok(Self { socket: socket.into(), to })
    }

    /// Where it sends to.
    #[must_use]
    pub const fn to(&self) -> SocketAddr {
        self.to
    }

    /// Sends one datagram. Never waits.
    ///
    /// # Errors
    ///
    /// [`SendError::TooLong`] if it does not fit the way out; all else may pass and is [`SendError::Transient`]: routes come and
    /// go, and a send buffer is full where more is sent than the link takes.
    pub fn send(&self, datagram: &[u8]) -> Result<(), SendError> {
        match self.socket.send_to(datagram, self.to) {
            Ok(_) => Ok(()),
            Err(e) if e.raw_os_error() == Some(libc::EMSGSIZE) => {
                Err(SendError::TooLong { bytes: datagram.len(), fits: self.fits() })
            }
            Err(e) => Err(SendError::Transient(e)),
        }
    }

    /// Largest UDP payload that the way out takes in one piece, by the MTU it has at the moment.
    fn fits(&self) -> usize {
        let (level, name, headers) = match self.to {
            SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_MTU, 20 + 8),
            SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_MTU, 40 + 8),
        };
        // Only a connected socket knows its path.
        let mtu = deaf_socket(self.to).and_then(|probe| {
            probe.connect(&self.to.into())?;
            let [mtu] = sys::get(probe.as_fd(), level, name)?;
            Ok(mtu)
        });
        let mtu = mtu.ok().and_then(|mtu| usize::try_from(mtu).ok()).unwrap_or(MAX_DATAGRAM);
        mtu.saturating_sub(headers).min(MAX_DATAGRAM)
    }
}

/// Receives from one host at one address and port; the kernel drops what comes from others.
#[derive(Debug)]
pub struct UnicastReceiver {
    io: UdpSocket,
    buffer: Vec<u8>,
    max_datagram: usize,
    overlong: u64,
}

impl UnicastReceiver {
    /// Binds `address` for datagrams from `peer`, from whatever port.
    ///
    /// # Errors
    ///
    /// Any [`UnicastError`].
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O enabled.
    pub fn listen(address: SocketAddr, peer: IpAddr, options: &ReceiveOptions) -> Result<Self, UnicastError> {
        check(address)?;
        if peer.is_ipv4() != address.is_ipv4() || peer.is_multicast() || peer.is_unspecified() {
            return Err(UnicastError::Peer { peer, address });
        }
        let step = |step| failed(address, step);
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP));
        let socket = socket.map_err(step("open a socket"))?;
        // Before it has a port: nobody else is ever heard.
        socket.attach_filter(&only_from(peer)).map_err(step("keep other hosts out"))?;
        if address.is_ipv6() {
            socket.set_only_v6(true).map_err(step("keep to IPv6"))?;
        }
        set_receive_buffer(&socket, options.buffer).map_err(step("set the receive buffer"))?;
        socket.bind(&address.into()).map_err(step("bind the socket"))?;
        socket.set_nonblocking(true).map_err(step("set up the socket"))?;
        let io = UdpSocket::from_std(socket.into()).map_err(step("watch the socket"))?;
        let max_datagram = options.max_datagram.min(MAX_DATAGRAM);
        // One byte over the limit shows that a datagram was longer.
        Ok(Self { io, buffer: vec![0; max_datagram + 1], max_datagram, overlong: 0 })
    }

    /// Waits for datagrams and calls `handle` with sender and content of each; at most 64 at once. Cancel-safe.
    ///
    /// # Errors
    ///
    /// What the system says. The call may be repeated.
    pub async fn receive(&mut self, mut handle: impl FnMut(SocketAddr, &[u8])) -> io::Result<()> {
        self.io.readable().await?;
        for _ in 0..BATCH {
            match self.io.try_recv_from(&mut self.buffer) {
                Ok((len, _)) if len > self.max_datagram => self.overlong += 1,
                Ok((len, from)) => handle(from, &self.buffer[..len]),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Address and port it listens on.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.local_addr()
    }

    /// Arrivals that the kernel dropped at this socket so far: for a full buffer, or from other hosts.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn dropped(&self) -> io::Result<u64> {
        const WORDS: usize = libc::SK_MEMINFO_DROPS as usize + 1;
        let words: [u32; WORDS] = sys::get(self.io.as_fd(), libc::SOL_SOCKET, libc::SO_MEMINFO)?;
        Ok(words[WORDS - 1].into())
    }

    /// Datagrams longer than [`ReceiveOptions::max_datagram`] so far.
    #[must_use]
    pub const fn overlong(&self) -> u64 {
        self.overlong
    }
}

fn check(address: SocketAddr) -> Result<(), UnicastError> {
    let ip = address.ip();
    let is_broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    let is_usable = address.port() != 0 && !ip.is_multicast() && !ip.is_unspecified() && !is_broadcast;
    is_usable.then_some(()).ok_or(UnicastError::Address { address })
}

/// No fragments, whatever a router or a forger of one says of the path.
fn set_options(socket: &Socket, to: SocketAddr, dscp: u8) -> io::Result<()> {
    let (fd, class) = (socket.as_fd(), u32::from(dscp.min(63)) << 2);
    if to.is_ipv4() {
        sys::set(fd, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_PROBE)?;
        socket.set_tos_v4(class)
    } else {
        socket.set_only_v6(true)?;
        sys::set(fd, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_PROBE)?;
        SockRef::from(socket).set_tclass_v6(class)
    }
}

/// A filter that takes datagrams of one source address and drops all others.
fn only_from(peer: IpAddr) -> Vec<SockFilter> {
    // `BPF_LD | BPF_W | BPF_ABS`, `BPF_JMP | BPF_JEQ | BPF_K`, `BPF_RET | BPF_K` of linux/filter.h. Offsets from here count from
    // the IP header (`SKF_NET_OFF`).
    const LOAD: u16 = 0x20;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const NET: u32 = (-0x10_0000_i32).cast_unsigned();
    let (offset, octets) = match peer {
        IpAddr::V4(v4) => (12, v4.octets().to_vec()),
        IpAddr::V6(v6) => (8, v6.octets().to_vec()),
    };
    let words: Vec<u32> = octets.as_chunks().0.iter().map(|word| u32::from_be_bytes(*word)).collect();
    let mut filter = Vec::new();
    for (at, word) in (0_u8..).zip(&words) {
        // To the last instruction if it differs: past the comparisons that are left, and past the one before the last.
        let left = u8::try_from(words.len()).unwrap_or(0) - at - 1;
        filter.push(SockFilter::new(LOAD, 0, 0, NET + offset + 4 * u32::from(at)));
        filter.push(SockFilter::new(JUMP_IF_EQUAL, 0, 2 * left + 1, *word));
    }
    filter.push(SockFilter::new(RETURN, 0, 0, u32::MAX));
    filter.push(SockFilter::new(RETURN, 0, 0, 0));
    filter
}

fn failed(address: SocketAddr, step: &'static str) -> impl FnOnce(io::Error) -> UnicastError {
    move |source| UnicastError::Socket { step, address, source }
}
