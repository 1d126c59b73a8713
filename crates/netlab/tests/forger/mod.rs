//! Who sends everything again with one wrong bit.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use fleetcast_core::wire::HEADER_LEN;
use fleetcast_netlab::fleet::GROUP;
use fleetcast_netlab::netns::Host;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// Hears the group in `host`, and sends everything again with one wrong bit, until told to stop.
pub(crate) fn forge(host: &Host, is_over: &AtomicBool, forgeries: &AtomicU64) {
    let group: SocketAddr = GROUP.parse().unwrap();
    let IpAddr::V4(address) = group.ip() else { unreachable!("an IPv4 group") };
    let open = || {
        let ear = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
        ear.bind(&group.into()).unwrap();
        ear.join_multicast_v4(&address, &host.v4()).unwrap();
        ear.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let mouth = UdpSocket::bind((host.v4(), 0)).unwrap();
        let mouth_ref = SockRef::from(&mouth);
        mouth_ref.set_multicast_if_v4(&host.v4()).unwrap();
        mouth_ref.set_multicast_loop_v4(false).unwrap();
        (UdpSocket::from(ear), mouth)
    };
    let (ear, mouth) = host.enter(open).unwrap();
    let (mut random, mut buffer) = (fastrand::Rng::with_seed(5), [0; 2048]);
    while !is_over.load(Ordering::Relaxed) {
        let Ok(len) = ear.recv(&mut buffer) else { continue };
        // In the header as often as in the payload.
        let at = if random.bool() { random.usize(..HEADER_LEN) } else { random.usize(HEADER_LEN..len) };
        buffer[at] ^= 1 << random.u8(..8);
        if mouth.send_to(&buffer[..len], group).is_ok() {
            forgeries.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Does something when dropped, also by a panic.
pub(crate) struct Defer<F: Fn()>(pub(crate) F);

impl<F: Fn()> Drop for Defer<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
