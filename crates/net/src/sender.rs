//! Batched send to one group, or one for each layer, from a socket that hears nothing.

pub(crate) mod socket;

use std::io::{self, IoSlice};
use std::iter;
use std::net::SocketAddr;
use std::os::fd::AsFd;

use socket2::{MsgHdr, SockAddr, SockRef};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use socket::{deaf_socket, set_marks, set_path, source_address};

use crate::membership::{check_group, scoped};
use crate::{Interface, MAX_DATAGRAM, OpenError, SendError, sys};

/// Most datagrams in one train (`UDP_MAX_SEGMENTS` of kernels before 6.9).
const MAX_SEGMENTS: usize = 64;

/// Where and how to send.
#[derive(Clone, Debug)]
pub struct SendOptions {
    /// Multicast address and UDP port.
    pub group: SocketAddr,
    /// The groups of layers above the base layer, of the same family.
    pub upper_groups: Vec<SocketAddr>,
    /// Interface to send through, whatever the routes say.
    pub interface: Interface,
    /// TTL or hop limit; 1 stays on the link.
    pub hops: u8,
    /// Differentiated services code point, 0 to 63 (RFC 2474).
    pub dscp: u8,
    /// Let receivers on this host hear it too.
    pub loopback: bool,
    /// UDP source port, 0 for any.
    pub source_port: u16,
    /// Send buffer asked of the kernel, in bytes; `None` leaves the system's.
    pub buffer: Option<usize>,
    /// Send trains of datagrams in one system call (UDP GSO), where the kernel can.
    pub gso: bool,
}

impl SendOptions {
    /// One hop, best effort, heard on this host too, any source port, GSO on.
    #[must_use]
    pub fn new(group: SocketAddr, interface: Interface) -> Self {
        Self {
            group,
            upper_groups: Vec::new(),
            interface,
            hops: 1,
            dscp: 0,
            loopback: true,
            source_port: 0,
            buffer: None,
            gso: true,
        }
    }
}

/// Sends to one group, or to one for each layer, all from one address and port. It never reads: a filter drops every arrival in the kernel.
///
/// The socket is not connected, and on purpose: the kernel reports ICMP errors to
/// connected sockets only, and a forged one would make a send fail.
#[derive(Debug)]
pub struct Sender {
    /// `None` after [`Sender::reopen`] failed.
    io: Option<UdpSocket>,
    options: SendOptions,
    /// The group of each layer.
    to: Vec<SockAddr>,
    /// Datagrams in one train; 1 without GSO.
    max_train: usize,
}

impl Sender {
    /// Opens the socket on the interface and port asked for.
    ///
    /// IPv4 leaves from the interface's address ([`Interface::ipv4`]); IPv6 from the address
    /// the interface was found by, else from one the kernel picks (RFC 6724).
    ///
    /// # Errors
    ///
    /// Any [`OpenError`].
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O enabled.
    pub fn open(options: &SendOptions) -> Result<Self, OpenError> {
        let groups = || iter::once(options.group).chain(options.upper_groups.iter().copied());
        groups().try_for_each(check_group)?;
        if let Some(group) = groups().find(|group| group.is_ipv4() != options.group.is_ipv4()) {
            return Err(OpenError::Family { group, base: options.group });
        }
        if options.dscp > 63 {
            return Err(OpenError::Dscp { got: options.dscp });
        }
        let source = source_address(options)?;
        let step = |step| failed(options, step);
        let socket = deaf_socket(options.group).map_err(step("open a socket that hears nothing"))?;
        set_path(&socket, options).map_err(step("choose the way out"))?;
        set_marks(&socket, options).map_err(step("set hops, DSCP and loopback"))?;
        if let Some(bytes) = options.buffer {
            socket.set_send_buffer_size(bytes).map_err(step("set the send buffer"))?;
        }
        socket.bind(&source.into()).map_err(step("bind the source address and port"))?;
        socket.set_nonblocking(true).map_err(step("set up the socket"))?;
        let knows_gso = || {
            // Reset at once: trains are asked for call by call.
            let segment = |bytes| sys::set(socket.as_fd(), libc::SOL_UDP, libc::UDP_SEGMENT, bytes);
            segment(1024).and_then(|()| segment(0)).is_ok()
        };
        let max_train = if options.gso && knows_gso() { MAX_SEGMENTS } else { 1 };
        let io = UdpSocket::from_std(socket.into()).map_err(step("watch the socket"))?;
        let to = groups().map(|group| scoped(group, &options.interface).into()).collect();
        Ok(Self { io: Some(io), to, options: options.clone(), max_train })
    }

    /// Finds the interface again, by its name or address, and opens a new socket if the old one is of
    /// no use on it: it was made anew, or the source address has changed. Returns whether it did.
    ///
    /// Meant for after transient errors that do not pass.
    ///
    /// # Errors
    ///
    /// Any [`OpenError`]; a later call may succeed.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O enabled.
    pub fn reopen(&mut self) -> Result<bool, OpenError> {
        let interface = self.options.interface.find_again()?;
        let options = SendOptions { interface, ..self.options.clone() };
        let is_same = options.interface.index() == self.options.interface.index()
            && source_address(&options)? == source_address(&self.options)?;
        if is_same && self.io.is_some() {
            return Ok(false);
        }
        // Closed first: the source port asked for must be free.
        self.io = None;
        *self = Self::open(&options)?;
        Ok(true)
    }

    /// The interface it sends through, as it was when the socket was opened.
    #[must_use]
    pub const fn interface(&self) -> &Interface {
        &self.options.interface
    }

    /// Sends `datagrams` to the group of the base layer, as [`Sender::send_on`] does.
    ///
    /// # Errors
    ///
    /// Any [`SendError`].
    pub async fn send(&mut self, datagrams: &[u8], segment: usize) -> Result<(), SendError> {
        self.send_on(0, datagrams, segment).await
    }

    /// Sends `datagrams` to the group of a layer; they lie back to back and are `segment` bytes each; the last may
    /// be shorter.
    ///
    /// They go out in as few system calls as the kernel allows. A `segment` of 0 means that
    /// all is one datagram. Waits while the send buffer is full. A call cancelled while it
    /// waits has sent the datagrams up to some point.
    ///
    /// # Errors
    ///
    /// Any [`SendError`].
    pub async fn send_on(&mut self, layer: usize, datagrams: &[u8], segment: usize) -> Result<(), SendError> {
        let segment = if segment == 0 { datagrams.len() } else { segment }.max(1);
        let mut rest = datagrams;
        while !rest.is_empty() {
            let bytes = rest.len().min(segment * self.max_segments(segment));
            let (train, after) = rest.split_at(bytes);
            match self.send_train(layer, train, segment).await {
                Ok(()) => rest = after,
                Err(e) if train.len() > segment && refuses_gso(&e) => {
                    let (first, after) = rest.split_at(segment);
                    self.send_train(layer, first, segment).await.map_err(|e| self.sort(e, first.len()))?;
                    // It passes alone, so what is wrong is the train.
                    self.max_train = 1;
                    rest = after;
                }
                Err(e) => return Err(self.sort(e, train.len().min(segment))),
            }
        }
        Ok(())
    }

    /// Most datagrams of `segment` bytes that go out in one system call; at least 1.
    #[must_use]
    pub fn max_segments(&self, segment: usize) -> usize {
        (MAX_DATAGRAM / segment.max(1)).clamp(1, self.max_train)
    }

    /// Largest UDP payload that the link takes in one piece, by the MTU it has at the moment.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn max_datagram(&self) -> io::Result<usize> {
        let (level, name, headers) = if self.options.group.is_ipv4() {
            (libc::IPPROTO_IP, libc::IP_MTU, 20 + 8)
        } else {
            (libc::IPPROTO_IPV6, libc::IPV6_MTU, 40 + 8)
        };
        // Only a connected socket knows its path.
        let probe = deaf_socket(self.options.group)?;
        set_path(&probe, &self.options)?;
        probe.connect(self.to.first().ok_or_else(closed)?)?;
        let [mtu] = sys::get(probe.as_fd(), level, name)?;
        let mtu = usize::try_from(mtu).unwrap_or(usize::MAX);
        Ok(mtu.saturating_sub(headers).min(MAX_DATAGRAM))
    }

    /// Source address and port.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.io.as_ref().ok_or_else(closed)?.local_addr()
    }

    /// One system call: a datagram, or a train of them.
    async fn send_train(&self, layer: usize, train: &[u8], segment: usize) -> io::Result<()> {
        let control = segment_control(segment);
        let buffers = [IoSlice::new(train)];
        let to = self.to.get(layer).ok_or_else(|| io::Error::other("the layer has no group"))?;
        let mut message = MsgHdr::new().with_addr(to).with_buffers(&buffers);
        if train.len() > segment {
            message = message.with_control(&control);
        }
        let io = self.io.as_ref().ok_or_else(closed)?;
        loop {
            let send = || SockRef::from(io).sendmsg(&message, 0);
            match io.async_io(Interest::WRITABLE, send).await {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                result => return result.map(drop),
            }
        }
    }

    /// Tells what the carousel can do about `error`, met with a datagram of `bytes`.
    fn sort(&self, error: io::Error, bytes: usize) -> SendError {
        match error.raw_os_error() {
            Some(libc::EMSGSIZE) => SendError::TooLong {
                bytes,
                fits: self.max_datagram().unwrap_or(MAX_DATAGRAM),
            },
            Some(
                libc::ENOBUFS
                | libc::ENOMEM
                | libc::ENETDOWN
                | libc::ENETUNREACH
                | libc::EHOSTDOWN
                | libc::EHOSTUNREACH
                | libc::ENODEV
                | libc::ENXIO
                | libc::EADDRNOTAVAIL
                // A firewall on this host.
                | libc::EPERM
                // The source address was taken off the interface, say between two leases.
                | libc::EINVAL,
            ) => SendError::Transient(error),
            _ => SendError::Fatal(error),
        }
    }
}

/// What a sender without a socket says.
fn closed() -> io::Error {
    io::Error::from_raw_os_error(libc::ENODEV)
}

/// Errors of a train that its datagrams may pass without: `EIO` if the way out cannot
/// checksum or segment, `EINVAL` if the kernel finds the sizes wrong.
fn refuses_gso(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EIO | libc::EINVAL))
}

/// The control message that asks for datagrams of `segment` bytes: `struct cmsghdr` with a
/// `__u16`, in the layout of this host's kernel (cmsg(3), udp(7)).
///
/// `quinn-udp` can send trains too, but puts a traffic class of its own on every one, which
/// would erase the DSCP.
fn segment_control(segment: usize) -> [u8; CONTROL] {
    let mut control = [0; CONTROL];
    let segment = u16::try_from(segment).unwrap_or(u16::MAX);
    let fields = CONTROL
        .to_ne_bytes()
        .into_iter()
        .chain(libc::SOL_UDP.to_ne_bytes())
        .chain(libc::UDP_SEGMENT.to_ne_bytes())
        .chain(segment.to_ne_bytes());
    control.iter_mut().zip(fields).for_each(|(to, from)| *to = from);
    control
}

/// `CMSG_LEN(sizeof(__u16))`.
const CONTROL: usize = size_of::<usize>() + 2 * size_of::<libc::c_int>() + size_of::<u16>();

fn failed(options: &SendOptions, step: &'static str) -> impl FnOnce(io::Error) -> OpenError {
    let group = options.group;
    let interface = options.interface.name().to_owned();
    move |source| OpenError::Socket { step, group, interface, source }
}
