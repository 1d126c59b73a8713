//! The way back, where there is to be one: small datagrams to a group that all join, or to one host.

use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::Socket;
use tokio::net::UdpSocket;

use crate::{
    Interface, JoinError, Membership, OpenError, ReceiveOptions, Receiver, SendOptions, Sender, UnicastError,
    UnicastSender,
};

/// Buffer of the way back, in bytes: a flood is to be dropped by the kernel, not gathered.
const BUFFER: usize = 64 << 10;
/// Datagrams taken from one host's socket before the runtime looks at others.
const BATCH: usize = 16;

/// Why there is no way back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FeedbackError {
    /// The group cannot be joined.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// The group cannot be sent to.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The host cannot be sent to.
    #[error(transparent)]
    Unicast(#[from] UnicastError),
    /// The address cannot be sent to or listened on.
    #[error("{address} is no multicast or unicast address with a port other than 0")]
    Address {
        /// The address given.
        address: SocketAddr,
    },
    /// The system refused one step.
    #[error("cannot {step} for requests to {address}")]
    Socket {
        /// What was tried, as an infinitive.
        step: &'static str,
        /// Where requests go.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

impl FeedbackError {
    /// Stable word for this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Join(error) => error.code(),
            Self::Open(error) => error.code(),
            Self::Unicast(error) => error.code(),
            Self::Address { .. } => "feedback-address",
            Self::Socket { .. } => "feedback-socket",
        }
    }
}

/// Hears what is sent to a group, or to an address of this host.
#[derive(Debug)]
pub struct FeedbackReceiver(Hears);

#[derive(Debug)]
enum Hears {
    Group(Box<Receiver>),
    Host { io: UdpSocket, buffer: Vec<u8> },
}

impl FeedbackReceiver {
    /// Joins the group `at` on `interface`, or listens at the address `at` of this host, for datagrams of up to
    /// `max_datagram` bytes.
    ///
    /// # Errors
    ///
    /// [`FeedbackError`].
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O enabled.
    pub fn open(at: SocketAddr, interface: &Interface, max_datagram: usize) -> Result<Self, FeedbackError> {
        check_feedback(at)?;
        if at.ip().is_multicast() {
            let options = ReceiveOptions { buffer: BUFFER, max_datagram, gro: false };
            let member = Membership { group: at.ip(), port: at.port(), source: None, interface: interface.clone() };
            return Ok(Self(Hears::Group(Box::new(Receiver::join(&[member], &options)?))));
        }
        let step = |step| failed(at, step);
        let socket = std::net::UdpSocket::bind(at).map_err(step("bind a socket"))?;
        let socket = Socket::from(socket);
        socket.set_recv_buffer_size(BUFFER).map_err(step("set the receive buffer"))?;
        let io = watched(socket).map_err(step("watch the socket"))?;
        // One byte over the limit shows that a datagram was longer: it is handed out with it, and refused for its length.
        Ok(Self(Hears::Host { io, buffer: vec![0; max_datagram + 1] }))
    }

    /// Waits for datagrams and calls `handle` with sender and content of each, at most a few dozen at once. Cancel-safe.
    ///
    /// # Errors
    ///
    /// What the system says. The call may be repeated.
    pub async fn receive(&mut self, mut handle: impl FnMut(SocketAddr, &[u8])) -> io::Result<()> {
        match &mut self.0 {
            Hears::Group(net) => net.receive(handle).await.map(drop),
            Hears::Host { io, buffer } => {
                io.readable().await?;
                for _ in 0..BATCH {
                    match io.try_recv_from(buffer) {
                        Ok((len, from)) => handle(from, &buffer[..len]),
                        Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                        Err(e) => return Err(e),
                    }
                }
                Ok(())
            }
        }
    }
}

/// Sends to a group, or to one host, and never reads.
#[derive(Debug)]
pub struct FeedbackSender(Sends);

#[derive(Debug)]
enum Sends {
    Group(Box<Sender>),
    Host(UnicastSender),
}

impl FeedbackSender {
    /// Opens a socket that sends to the group `to` through `interface`, over at most `hops`, or to the host `to` as the routes
    /// say.
    ///
    /// # Errors
    ///
    /// [`FeedbackError`].
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O enabled.
    pub fn open(to: SocketAddr, interface: &Interface, hops: u8) -> Result<Self, FeedbackError> {
        check_feedback(to)?;
        if to.ip().is_multicast() {
            let options = SendOptions { hops, gso: false, ..SendOptions::new(to, interface.clone()) };
            return Ok(Self(Sends::Group(Box::new(Sender::open(&options)?))));
        }
        Ok(Self(Sends::Host(UnicastSender::open(to, 0, BUFFER)?)))
    }

    /// Sends one datagram.
    ///
    /// # Errors
    ///
    /// What the system says; to a host also that the send buffer is full.
    pub async fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        match &mut self.0 {
            Sends::Group(sender) => sender.send(datagram, 0).await.map_err(io::Error::other),
            Sends::Host(sender) => sender.send(datagram).map_err(io::Error::other),
        }
    }

    /// Whether a datagram that came from `from` is one of its own, which a group gives back.
    #[must_use]
    pub fn is_own(&self, from: SocketAddr) -> bool {
        match &self.0 {
            Sends::Group(sender) => sender.local_addr().is_ok_and(|own| {
                let is_any = own.ip().is_unspecified();
                own.port() == from.port() && (is_any || own.ip() == from.ip())
            }),
            Sends::Host(_) => false,
        }
    }
}

/// Whether an address can be sent requests to: a group for any source, or a host.
///
/// # Errors
///
/// [`FeedbackError`].
pub fn check_feedback(at: SocketAddr) -> Result<(), FeedbackError> {
    let ip = at.ip();
    if ip.is_multicast() {
        return crate::check_membership(at, None).map_err(|e| JoinError::from(e).into());
    }
    let is_broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    if at.port() == 0 || ip.is_unspecified() || is_broadcast {
        return Err(FeedbackError::Address { address: at });
    }
    Ok(())
}

fn watched(socket: Socket) -> io::Result<UdpSocket> {
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket.into())
}

fn failed(address: SocketAddr, step: &'static str) -> impl FnOnce(io::Error) -> FeedbackError {
    move |source| FeedbackError::Socket { step, address, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked() {
        for (address, code) in [
            ("239.1.2.3:5000", None),
            ("10.0.0.1:5000", None),
            ("[fd00::1]:5000", None),
            ("232.1.2.3:5000", Some("group-source-required")),
            ("239.1.2.3:0", Some("group-port")),
            ("10.0.0.1:0", Some("feedback-address")),
            ("0.0.0.0:5000", Some("feedback-address")),
            ("255.255.255.255:5000", Some("feedback-address")),
        ] {
            let got = check_feedback(address.parse().unwrap());
            assert_eq!(got.err().map(|e| e.code()), code, "{address}");
        }
    }

    #[tokio::test]
    async fn what_is_sent_to_a_host_is_heard_there() {
        let lo = Interface::find("lo").unwrap();
        let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut hears = FeedbackReceiver::open(free, &lo, 8).unwrap();
        let mut sends = FeedbackSender::open(free, &lo, 1).unwrap();
        let mut came = Vec::new();
        for datagram in [&b"one"[..], b"too long a one", b"two"] {
            sends.send(datagram).await.unwrap();
        }
        while came.len() < 3 {
            hears.receive(|_, datagram| came.push(datagram.to_vec())).await.unwrap();
        }
        assert_eq!(came, [&b"one"[..], b"too long ", b"two"]);
    }
}
