//! Batched receive from any number of groups.

pub(crate) mod socket;

use std::future::poll_fn;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::task::{Context, Poll};

use quinn_udp::RecvMeta;

use crate::{Interface, JoinError, MAX_DATAGRAM, Membership};
use socket::{Filter, GroupSocket, Place};

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
    options: ReceiveOptions,
    sockets: Vec<GroupSocket>,
    /// Where the next search for a readable socket starts, so that none waits for ever.
    next: usize,
    /// `BATCH` buffers of `stride` bytes.
    buffers: Vec<u8>,
    stride: usize,
    meta: [RecvMeta; BATCH],
    max_datagram: usize,
    overlong: u64,
    /// What the kernel dropped at sockets that are closed.
    dropped: u64,
    /// Datagrams since the runtime last had its turn.
    in_a_row: usize,
}

impl Receiver {
    /// Hears nothing until [`Receiver::change`].
    #[must_use]
    pub fn new(options: &ReceiveOptions) -> Self {
        let max_datagram = options.max_datagram.min(MAX_DATAGRAM);
        // A train fills up to one IP packet. Without trains one byte over the limit shows
        // that a datagram was longer.
        let stride = if options.gro { 1 << 16 } else { max_datagram + 1 };
        Self {
            options: options.clone(),
            sockets: Vec::new(),
            next: 0,
            buffers: vec![0; BATCH * stride],
            stride,
            meta: [RecvMeta::default(); BATCH],
            max_datagram,
            overlong: 0,
            dropped: 0,
            in_a_row: 0,
        }
    }

    /// Joins all `memberships`, at least one.
    ///
    /// Several receivers of one host may join the same group and port; each hears all.
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
        let mut receiver = Self::new(options);
        receiver.change(memberships)?;
        Ok(receiver)
    }

    /// Makes `wanted` what is joined: joins what is new, then leaves what is not wanted, also if something could not be
    /// joined. What stays is not touched and loses nothing; the same list again does nothing, or tries again what failed.
    ///
    /// There is one socket for each group, port and interface, bound so that other groups and unicast traffic on the same
    /// port stay out. All sources of a group share it, and a membership without source there hears them all.
    ///
    /// # Errors
    ///
    /// The first [`JoinError`]. With [`JoinError::Group`] nothing has changed.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O enabled.
    pub fn change(&mut self, wanted: &[Membership]) -> Result<(), JoinError> {
        wanted.iter().try_for_each(Membership::check)?;
        self.make(&Place::of(wanted))
    }

    /// Joins the groups of memberships for any source, also where one must be named: to find out who sends there. It is not
    /// for receiving, for routers do not forward a source-specific group to such a member.
    ///
    /// # Errors
    ///
    /// Any [`JoinError`] of the system; nothing stays joined then.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O enabled.
    pub fn overhear(memberships: &[Membership], options: &ReceiveOptions) -> Result<Self, JoinError> {
        let any: Vec<_> = memberships.iter().map(|known| Membership { source: None, ..known.clone() }).collect();
        let mut receiver = Self::new(options);
        receiver.make(&Place::of(&any))?;
        Ok(receiver)
    }

    fn make(&mut self, wanted: &[(Place, Filter)]) -> Result<(), JoinError> {
        let mut first = Ok(());
        for (place, filter) in wanted {
            let known = self.sockets.iter_mut().find(|socket| socket.place == *place);
            let result = match known {
                Some(socket) => socket.set(filter),
                None => GroupSocket::open(place, &self.options).and_then(|mut socket| {
                    let result = socket.set(filter);
                    if socket.is_joined() {
                        self.sockets.push(socket);
                    }
                    result
                }),
            };
            first = first.and(result);
        }
        let mut dropped = 0;
        self.sockets.retain(|socket| {
            let stays = wanted.iter().any(|(place, _)| socket.place == *place);
            dropped += if stays { 0 } else { socket.dropped().unwrap_or_default() };
            stays
        });
        self.dropped += dropped;
        first
    }

    /// Has the kernel report memberships to routers and switches anew, by leaving and joining: those for which `is_due`, told
    /// the group, the interface and how many datagrams (trains count as one) have come of it so far.
    ///
    /// The kernel reports by itself when asked, and when an interface comes up; over IPv6 also when a carrier returns. It
    /// does not when a switch forgot what it was told and nobody asks. What arrives in the moment between is lost, so this is
    /// for groups that are silent. Nothing is reported while another program of this host has joined the same.
    ///
    /// # Errors
    ///
    /// The first [`JoinError`]; [`Receiver::change`] joins what was lost by it.
    pub fn refresh(&mut self, mut is_due: impl FnMut(SocketAddr, &Interface, u64) -> bool) -> Result<(), JoinError> {
        let mut first = Ok(());
        for socket in &mut self.sockets {
            if is_due(socket.place.group, &socket.place.interface, socket.heard) {
                first = first.and(socket.refresh());
            }
        }
        first
    }

    /// Group, interface, and datagrams so far of each socket; trains count as one.
    pub fn heard(&self) -> impl Iterator<Item = (SocketAddr, &Interface, u64)> {
        self.sockets.iter().map(|socket| (socket.place.group, &socket.place.interface, socket.heard))
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

    /// Smallest receive buffer the kernel granted to a socket, in bytes; the largest number if there is none.
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
            smallest = smallest.min(socket.granted_buffer()?);
        }
        Ok(smallest)
    }

    /// Arrivals that the kernel dropped at its sockets so far, mostly for full buffers.
    /// A train counts as one.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn dropped(&self) -> io::Result<u64> {
        self.sockets.iter().try_fold(self.dropped, |sum, socket| Ok(sum + socket.dropped()?))
    }

    /// Datagrams longer than [`ReceiveOptions::max_datagram`] so far.
    #[must_use]
    pub fn overlong(&self) -> u64 {
        self.overlong
    }

    /// Fills buffers from the first readable socket in turn; ready with their number.
    fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        for _ in 0..self.sockets.len() {
            self.next = (self.next + 1) % self.sockets.len();
            let socket = &mut self.sockets[self.next];
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
