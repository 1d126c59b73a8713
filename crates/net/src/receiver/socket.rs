//! One socket: one group and port on one interface, from any source or from those named.

use std::collections::BTreeSet;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::task::{Context, Poll, ready};

use quinn_udp::{RecvMeta, UdpSocketState};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockRef, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::ReceiveOptions;
use crate::membership::scoped;
use crate::{Interface, JoinError, Membership, sys};

/// What a socket is bound to.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Group and port.
    pub(super) group: SocketAddr,
    pub(super) interface: Interface,
}

/// Once gone, an interface is another one; its addresses may change.
impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        let of = |place: &Self| (place.group, place.interface.index());
        of(self) == of(other) && self.interface.name() == other.interface.name()
    }
}

/// Whom a socket hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Filter {
    Any,
    /// These only; nobody is no membership.
    Only(BTreeSet<IpAddr>),
}

impl Place {
    /// The sockets that memberships need, in their order.
    pub(super) fn of(memberships: &[Membership]) -> Vec<(Self, Filter)> {
        let mut places: Vec<(Self, Filter)> = Vec::new();
        for Membership { group, port, source, interface } in memberships {
            let place = Self { group: SocketAddr::new(*group, *port), interface: interface.clone() };
            let at = places.iter().position(|(known, _)| *known == place).unwrap_or_else(|| {
                places.push((place, Filter::Only(BTreeSet::new())));
                places.len() - 1
            });
            match (&mut places[at].1, source) {
                (Filter::Only(sources), Some(source)) => drop(sources.insert(*source)),
                (filter, _) => *filter = Filter::Any,
            }
        }
        places
    }

    /// Makes an error of what the system said of `step`.
    fn failed(&self, step: &'static str) -> impl FnOnce(io::Error) -> JoinError {
        let (group, interface) = (self.group, self.interface.name().to_owned());
        move |source| JoinError::Socket { step, group, interface, source }
    }
}

#[derive(Debug)]
pub(super) struct GroupSocket {
    pub(super) place: Place,
    /// Datagrams and trains so far.
    pub(super) heard: u64,
    filter: Filter,
    io: UdpSocket,
    state: UdpSocketState,
}

impl GroupSocket {
    /// Opens and binds the socket. It hears nothing before [`Self::set`].
    pub(super) fn open(place: &Place, options: &ReceiveOptions) -> Result<Self, JoinError> {
        let address = scoped(place.group, &place.interface);
        let step = |step| place.failed(step);
        let domain = Domain::for_address(address);
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP)).map_err(step("open a socket"))?;
        socket.set_reuse_address(true).map_err(step("share the port"))?;
        keep_others_out(&socket, place).map_err(step("keep other traffic out"))?;
        set_receive_buffer(&socket, options.buffer).map_err(step("set the receive buffer"))?;
        socket.bind(&address.into()).map_err(step("bind the socket"))?;
        let state = UdpSocketState::new((&socket).into())
            .and_then(|state| trim(&socket, address, options).map(|()| state))
            .map_err(step("set up batched receive"))?;
        let io = UdpSocket::from_std(socket.into()).map_err(step("watch the socket"))?;
        Ok(Self { place: place.clone(), heard: 0, filter: Filter::Only(BTreeSet::new()), io, state })
    }

    /// Whether it hears anybody.
    pub(super) fn is_joined(&self) -> bool {
        self.filter != Filter::Only(BTreeSet::new())
    }

    /// Hears whom `wanted` names from now on. Sources that stay lose nothing.
    pub(super) fn set(&mut self, wanted: &Filter) -> Result<(), JoinError> {
        match wanted {
            Filter::Any if self.filter == Filter::Any => Ok(()),
            Filter::Any => {
                self.leave();
                self.join_any()
            }
            Filter::Only(wanted) => {
                // First: without any source the kernel would leave the group, to join it again.
                let joined = self.join_sources(wanted);
                let has_left = self.leave_all_but(wanted);
                // There may be room for them now.
                if has_left { self.join_sources(wanted) } else { joined }
            }
        }
    }

    /// As many as there is room for.
    fn join_sources(&mut self, wanted: &BTreeSet<IpAddr>) -> Result<(), JoinError> {
        let mut first = Ok(());
        for source in wanted {
            first = first.and(self.join_source(*source));
        }
        first
    }

    /// Whether there was anybody else.
    fn leave_all_but(&mut self, wanted: &BTreeSet<IpAddr>) -> bool {
        let Filter::Only(joined) = &mut self.filter else {
            // No source could be joined in place of all of them.
            self.leave();
            return true;
        };
        let (group, index) = (self.place.group.ip(), self.place.interface.index());
        let others: Vec<_> = joined.extract_if(.., |source| !wanted.contains(source)).collect();
        for source in &others {
            // It was joined; if the interface is gone, the membership is too.
            let _ = sys::leave_source(self.io.as_fd(), group, *source, index);
        }
        !others.is_empty()
    }

    /// Leaves and joins again.
    pub(super) fn refresh(&mut self) -> Result<(), JoinError> {
        let filter = self.filter.clone();
        self.leave();
        self.set(&filter)
    }

    fn join_any(&mut self) -> Result<(), JoinError> {
        let (socket, index) = (SockRef::from(&self.io), self.place.interface.index());
        match self.place.group.ip() {
            IpAddr::V4(group) => socket.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(index)),
            IpAddr::V6(group) => socket.join_multicast_v6(&group, index),
        }
        .map_err(|error| self.refused(error))?;
        self.filter = Filter::Any;
        Ok(())
    }

    /// The first source takes the place of all there were before; the kernel does that in one step.
    fn join_source(&mut self, source: IpAddr) -> Result<(), JoinError> {
        if matches!(&self.filter, Filter::Only(joined) if joined.contains(&source)) {
            return Ok(());
        }
        sys::join_source(self.io.as_fd(), self.place.group.ip(), source, self.place.interface.index())
            .map_err(|error| self.refused(error))?;
        match &mut self.filter {
            Filter::Only(joined) => drop(joined.insert(source)),
            filter @ Filter::Any => *filter = Filter::Only(BTreeSet::from([source])),
        }
        Ok(())
    }

    /// Leaves the group with all its sources.
    fn leave(&mut self) {
        let (socket, index) = (SockRef::from(&self.io), self.place.interface.index());
        // It fails if nothing is joined, which is what is wanted.
        let _ = match self.place.group.ip() {
            IpAddr::V4(group) => socket.leave_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(index)),
            IpAddr::V6(group) => socket.leave_multicast_v6(&group, index),
        };
        self.filter = Filter::Only(BTreeSet::new());
    }

    /// Why the kernel joins no more.
    fn refused(&self, error: io::Error) -> JoinError {
        if error.raw_os_error() != Some(libc::ENOBUFS) {
            return self.place.failed("join")(error);
        }
        let sources = match &self.filter {
            Filter::Only(joined) => joined.len(),
            Filter::Any => 0,
        };
        let sysctl = match (sources, self.place.group.is_ipv4()) {
            (0, true) => "net.ipv4.igmp_max_memberships",
            (0, false) => "net.core.optmem_max",
            (_, true) => "net.ipv4.igmp_max_msf",
            (_, false) => "net.ipv6.mld_max_msf",
        };
        let (group, interface) = (self.place.group, self.place.interface.name().to_owned());
        JoinError::Limit { sources, sysctl, group, interface }
    }

    pub(super) fn granted_buffer(&self) -> io::Result<usize> {
        // The kernel reserves, and reports, twice what it was asked for.
        Ok(SockRef::from(&self.io).recv_buffer_size()? / 2)
    }

    pub(super) fn dropped(&self) -> io::Result<u64> {
        const WORDS: usize = libc::SK_MEMINFO_DROPS as usize + 1;
        let words: [u32; WORDS] = sys::get(self.io.as_fd(), libc::SOL_SOCKET, libc::SO_MEMINFO)?;
        Ok(words[WORDS - 1].into())
    }

    /// One batch, or wake `cx` when there may be one.
    pub(super) fn poll_fill(
        &mut self,
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
                result => {
                    self.heard += result.as_ref().map_or(0, |&filled| filled as u64);
                    return Poll::Ready(result);
                }
            }
        }
    }
}

/// Delivers only what this socket itself joined, on the interface it joined on.
fn keep_others_out(socket: &Socket, place: &Place) -> io::Result<()> {
    let unless = |code, result: io::Result<()>| match result {
        Err(e) if e.raw_os_error() == Some(code) => Ok(()),
        result => result,
    };
    if place.group.is_ipv4() {
        return socket.set_multicast_all_v4(false);
    }
    socket.set_only_v6(true)?;
    // Kernels before 4.20 lack it; the bound address keeps other groups out there too.
    unless(libc::ENOPROTOOPT, socket.set_multicast_all_v6(false))?;
    // The kernel compares only the group of an IPv6 membership, not its interface. Before 5.7
    // this needs CAP_NET_RAW; without it the group is heard wherever this host joined it.
    unless(libc::EPERM, socket.bind_device(Some(place.interface.name().as_bytes())))
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
