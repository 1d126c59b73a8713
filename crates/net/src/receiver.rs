//! Batched receive from any number of groups.

use std::future::poll_fn;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::task::{Context, Poll, ready};

use quinn_udp::{RecvMeta, UdpSocketState};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockRef, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::{JoinError, MAX_DATAGRAM, Membership, sys};

/// Buffers filled by one system call.
const BATCH: usize = 16;

/// Datagrams handled in a row before the runtime looks at other sockets and timers.
const YIELD_AFTER: usize = 512;

/// How to receive. The default suits a device on an Ethernet link.
#[derive(Clone, Debug)]
pub struct ReceiveOptions {
    /// Receive buffer asked of the kernel for each socket, in bytes; see
    /// [`Receiver::granted_buffer`].
    pub buffer: usize,
    /// Longest datagram delivered, in bytes of UDP payload. Longer ones are counted.
    pub max_datagram: usize,
    /// Let the kernel hand over trains of datagrams at once (UDP GRO), where it can.
    pub gro: bool,
}

impl Default for ReceiveOptions {
    fn default() -> Self {
        Self { buffer: 4 << 20, max_datagram: 1500, gro: true }
    }
}

/// Receives what is sent to the groups it has joined, and nothing else on their ports.
#[derive(Debug)]
pub struct Receiver {
    sockets: Vec<GroupSocket>,
    /// Where the next search for a readable socket starts, so that none waits for ever.
    next: usize,
    /// `BATCH` buffers of `stride` bytes.
    buffers: Vec<u8>,
    stride: usize,
    meta: [RecvMeta; BATCH],
    max_datagram: usize,
    overlong: u64,
    /// Datagrams since the runtime last had its turn.
    in_a_row: usize,
}

#[derive(Debug)]
struct GroupSocket {
    address: SocketAddr,
    io: UdpSocket,
    state: UdpSocketState,
}

impl Receiver {
    /// Joins all `memberships`: one socket for each group and port (over IPv6 and interface),
    /// bound to them, so that other groups and unicast traffic on the same port stay out.
    ///
    /// Several receivers of one host may join the same group and port; each hears all.
    /// The kernel limits the groups of one socket (`net.ipv4.igmp_max_memberships`) and the
    /// sources of one group (`net.ipv4.igmp_max_msf`).
    ///
    /// # Errors
    ///
    /// Any [`JoinError`]; nothing stays joined then.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O enabled.
    pub fn join(memberships: &[Membership], options: &ReceiveOptions) -> Result<Self, JoinError> {
        if memberships.is_empty() {
            return Err(JoinError::Empty);
        }
        memberships.iter().try_for_each(Membership::check)?;
        let mut sockets: Vec<GroupSocket> = Vec::new();
        for membership in memberships {
            let address = membership.socket_address();
            if !sockets.iter().any(|socket| socket.address == address) {
                sockets.push(GroupSocket::open(membership, options)?);
            }
            for socket in sockets.iter().filter(|socket| socket.address == address) {
                socket.join(membership)?;
            }
        }
        let max_datagram = options.max_datagram.min(MAX_DATAGRAM);
        let trains = options.gro && sockets.iter().any(|s| s.state.gro_segments() > 1);
        // A train fills up to one IP packet. Without trains one byte over the limit shows
        // that a datagram was longer.
        let stride = if trains { 1 << 16 } else { max_datagram + 1 };
        Ok(Self {
            sockets,
            next: 0,
            buffers: vec![0; BATCH * stride],
            stride,
            meta: [RecvMeta::default(); BATCH],
            max_datagram,
            overlong: 0,
            in_a_row: 0,
        })
    }

    /// Waits until a socket is readable, takes one batch from it and calls `handle` with
    /// sender and content of each datagram.
    ///
    /// Returns how many datagrams were handled, at most 1,024. It is 0 if all of the batch
    /// were overlong. The sockets take turns. Cancel-safe: a batch is handled in the poll
    /// that took it.
    ///
    /// # Errors
    ///
    /// What the system says of a socket. The call may be repeated.
    pub async fn receive(&mut self, mut handle: impl FnMut(SocketAddr, &[u8])) -> io::Result<usize> {
        if self.in_a_row >= YIELD_AFTER {
            self.in_a_row = 0;
            tokio::task::yield_now().await;
        }
        let filled = poll_fn(|cx| self.poll_batch(cx)).await?;
        let mut handled = 0;
        for (meta, buffer) in self.meta[..filled].iter().zip(self.buffers.chunks(self.stride)) {
            let train = &buffer[..meta.len.min(buffer.len())];
            let mut deliver = |datagram: &[u8]| {
                if datagram.len() > self.max_datagram {
                    self.overlong += 1;
                } else {
                    handle(meta.addr, datagram);
                    handled += 1;
                }
            };
            if train.is_empty() {
                deliver(train);
            } else {
                train.chunks(meta.stride.max(1)).for_each(deliver);
            }
        }
        // At least 1, so that overlong ones count too.
        self.in_a_row += handled.max(1);
        Ok(handled)
    }

    /// Smallest receive buffer the kernel granted to a socket, in bytes.
    ///
    /// If it is below [`ReceiveOptions::buffer`], raise `net.core.rmem_max` or give the
    /// program `CAP_NET_ADMIN`.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn granted_buffer(&self) -> io::Result<usize> {
        let mut smallest = usize::MAX;
        for socket in &self.sockets {
            // The kernel reserves, and reports, twice what it was asked for.
            smallest = smallest.min(SockRef::from(&socket.io).recv_buffer_size()? / 2);
        }
        Ok(smallest)
    }

    /// Arrivals that the kernel dropped at these sockets so far, mostly for full buffers.
    /// A train counts as one.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn dropped(&self) -> io::Result<u64> {
        const WORDS: usize = libc::SK_MEMINFO_DROPS as usize + 1;
        let mut sum = 0;
        for socket in &self.sockets {
            let words: [u32; WORDS] = sys::get(socket.io.as_fd(), libc::SOL_SOCKET, libc::SO_MEMINFO)?;
            sum += u64::from(words[WORDS - 1]);
        }
        Ok(sum)
    }

    /// Datagrams longer than [`ReceiveOptions::max_datagram`] so far.
    #[must_use]
    pub fn overlong(&self) -> u64 {
        self.overlong
    }

    /// Fills buffers from the first readable socket in turn; ready with their number.
    fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        for _ in 0..self.sockets.len() {
            let socket = &self.sockets[self.next];
            self.next = (self.next + 1) % self.sockets.len();
            let mut free = self.buffers.chunks_mut(self.stride);
            let mut slices: [IoSliceMut<'_>; BATCH] =
                std::array::from_fn(|_| IoSliceMut::new(free.next().unwrap_or_default()));
            if let Poll::Ready(result) = socket.poll_fill(cx, &mut slices, &mut self.meta) {
                return Poll::Ready(result);
            }
        }
        Poll::Pending
    }
}

impl GroupSocket {
    /// Opens and binds the socket. It hears nothing before [`Self::join`].
    fn open(membership: &Membership, options: &ReceiveOptions) -> Result<Self, JoinError> {
        let address = membership.socket_address();
        let step = |step| failed(membership, step);
        let domain = Domain::for_address(address);
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP)).map_err(step("open a socket"))?;
        socket.set_reuse_address(true).map_err(step("share the port"))?;
        keep_others_out(&socket, membership).map_err(step("keep other traffic out"))?;
        set_receive_buffer(&socket, options.buffer).map_err(step("set the receive buffer"))?;
        socket.bind(&address.into()).map_err(step("bind the socket"))?;
        let state = UdpSocketState::new((&socket).into())
            .and_then(|state| trim(&socket, address, options).map(|()| state))
            .map_err(step("set up batched receive"))?;
        let io = UdpSocket::from_std(socket.into()).map_err(step("watch the socket"))?;
        Ok(Self { address, io, state })
    }

    fn join(&self, membership: &Membership) -> Result<(), JoinError> {
        let socket = SockRef::from(&self.io);
        let index = membership.interface.index();
        match (membership.group, membership.source) {
            (group, Some(source)) => sys::join_source(self.io.as_fd(), group, source, index),
            (IpAddr::V4(group), None) => socket.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(index)),
            (IpAddr::V6(group), None) => socket.join_multicast_v6(&group, index),
        }
        .map_err(failed(membership, "join"))
    }

    /// One batch, or wake `cx` when there may be one.
    fn poll_fill(
        &self,
        cx: &mut Context<'_>,
        slices: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.io.poll_recv_ready(cx))?;
            let receive = || self.state.recv((&self.io).into(), slices, meta);
            match self.io.try_io(Interest::READABLE, receive) {
                // Readiness was stale and is cleared by this; ask again, to be woken.
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }
}

/// Delivers only what this socket itself joined, on the interface it joined on.
fn keep_others_out(socket: &Socket, membership: &Membership) -> io::Result<()> {
    let unless = |code, result: io::Result<()>| match result {
        Err(e) if e.raw_os_error() == Some(code) => Ok(()),
        result => result,
    };
    if membership.group.is_ipv4() {
        return socket.set_multicast_all_v4(false);
    }
    socket.set_only_v6(true)?;
    // Kernels before 4.20 lack it; the bound address keeps other groups out there too.
    unless(libc::ENOPROTOOPT, socket.set_multicast_all_v6(false))?;
    // The kernel compares only the group of an IPv6 membership, not its interface. Before 5.7
    // this needs CAP_NET_RAW; without it the group is heard wherever this host joined it.
    unless(libc::EPERM, socket.bind_device(Some(membership.interface.name().as_bytes())))
}

/// Asks for `bytes`, beyond the system's limit where the program may.
pub(crate) fn set_receive_buffer(socket: &Socket, bytes: usize) -> io::Result<()> {
    let value = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX / 2);
    let forced = sys::set(socket.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, value);
    forced.or_else(|_| socket.set_recv_buffer_size(bytes))
}

/// Switches off what `quinn-udp` asks of the kernel for each datagram and nobody here reads.
fn trim(socket: &Socket, address: SocketAddr, options: &ReceiveOptions) -> io::Result<()> {
    let off = |level, name| sys::set(socket.as_fd(), level, name, 0);
    off(libc::SOL_SOCKET, libc::SO_TIMESTAMPNS)?;
    if address.is_ipv4() {
        off(libc::IPPROTO_IP, libc::IP_PKTINFO)?;
        off(libc::IPPROTO_IP, libc::IP_RECVTOS)?;
    } else {
        off(libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO)?;
        off(libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS)?;
    }
    if options.gro { Ok(()) } else { off(libc::SOL_UDP, libc::UDP_GRO) }
}

fn failed(membership: &Membership, step: &'static str) -> impl FnOnce(io::Error) -> JoinError {
    let group = SocketAddr::new(membership.group, membership.port);
    let interface = membership.interface.name().to_owned();
    move |source| JoinError::Socket { step, group, interface, source }
}
