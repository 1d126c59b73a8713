//! Sessions sent on the loopback interface, at their time.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::script::Session;

/// Where everything is sent and heard.
pub(super) const INTERFACE: &str = "lo";

/// How often it is asked whether the receiver listens.
const POLL: Duration = Duration::from_millis(10);

/// A group of one case.
#[derive(Debug)]
pub(super) struct Air {
    pub(super) group: SocketAddrV4,
}

impl Air {
    /// The group of the case of this number; those of two programs at the same time differ too.
    pub(super) fn new(number: usize) -> Self {
        let [.., high, low] = std::process::id().to_be_bytes();
        let group = Ipv4Addr::new(239, 0xC0 | u8::try_from(number % 64).unwrap(), high, low);
        Self { group: SocketAddrV4::new(group, 4701) }
    }

    /// Waits until somebody has joined, then sends `session`.
    pub(super) fn play(
        &self,
        session: &Session,
        mut is_over: impl FnMut() -> bool,
        patience: Duration,
    ) -> Result<(), String> {
        let deadline = Instant::now() + patience;
        while !self.is_joined().map_err(|error| format!("cannot see who listens: {error}"))? {
            if is_over() || Instant::now() > deadline {
                return Err(format!("nobody has joined {} on {INTERFACE}", self.group));
            }
            thread::sleep(POLL);
        }
        self.send(session).map_err(|error| format!("cannot send to {} on {INTERFACE}: {error}", self.group))
    }

    fn send(&self, session: &Session) -> io::Result<()> {
        let senders = session.sent.iter().map(|sent| sent.sender).max().unwrap_or(0);
        let sockets = (0..=senders).map(Self::socket).collect::<io::Result<Vec<_>>>()?;
        let first = session.sent.first().map_or(0, |sent| sent.micros);
        let start = Instant::now();
        for sent in &session.sent {
            let due = start + Duration::from_micros(sent.micros - first);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            sockets[usize::from(sent.sender)].send_to(&sent.datagram, self.group)?;
        }
        Ok(())
    }

    /// Whether a program on this host has joined the group: Linux lists it.
    fn is_joined(&self) -> io::Result<bool> {
        let group = format!("{:08X}", u32::from_ne_bytes(self.group.ip().octets()));
        let joined = fs::read_to_string("/proc/self/net/igmp")?;
        let words = |line: &str| line.split_whitespace().next().map(str::to_owned);
        Ok(joined.lines().filter_map(words).any(|word| word == group))
    }

    /// Each sender has an address of its own.
    fn socket(sender: u8) -> io::Result<UdpSocket> {
        let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 1 + sender), 0))?;
        SockRef::from(&socket).set_multicast_if_v4(&Ipv4Addr::LOCALHOST)?;
        socket.set_multicast_ttl_v4(1)?;
        Ok(socket)
    }
}
