//! Copies by unicast, on the loopback interface.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use fleetcast_net::{ReceiveOptions, SendError, UnicastError, UnicastReceiver, UnicastSender};
use tokio::time::timeout;

fn run<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { timeout(Duration::from_secs(20), test).await.unwrap() })
}

/// A port of `ip` that was free a moment ago.
fn free(ip: &str) -> SocketAddr {
    UdpSocket::bind((ip.parse::<IpAddr>().unwrap(), 0)).unwrap().local_addr().unwrap()
}

fn listen(address: SocketAddr, peer: &str) -> Result<UnicastReceiver, UnicastError> {
    let options = ReceiveOptions { max_datagram: 1232, ..ReceiveOptions::default() };
    UnicastReceiver::listen(address, peer.parse().unwrap(), &options)
}

/// Receives until nothing has come for 200 ms.
async fn drain(receiver: &mut UnicastReceiver) -> Vec<(SocketAddr, Vec<u8>)> {
    let mut all = Vec::new();
    let pause = Duration::from_millis(200);
    while let Ok(result) = timeout(pause, receiver.receive(|from, d| all.push((from, d.to_vec())))).await {
        result.unwrap();
    }
    all
}

#[test]
fn what_is_sent_to_a_host_arrives_there_in_order() {
    run(async {
        for ip in ["127.0.0.1", "::1"] {
            let at = free(ip);
            let mut receiver = listen(at, ip).unwrap();
            let sender = UnicastSender::open(at, 10, 1 << 18).unwrap();
            for number in 0..200_u8 {
                sender.send(&[number; 1000]).unwrap();
            }
            let got = drain(&mut receiver).await;
            let numbers: Vec<u8> = got.iter().map(|(_, datagram)| datagram[0]).collect();
            assert_eq!(numbers, (0..200).collect::<Vec<_>>(), "{ip}");
            assert!(got.iter().all(|(from, datagram)| from.ip() == at.ip() && datagram.len() == 1000), "{ip}");
            sender.send(&[1; 1233]).unwrap();
            assert_eq!((drain(&mut receiver).await.len(), receiver.overlong()), (0, 1), "{ip}");
        }
    });
}

#[test]
fn only_the_peer_is_heard() {
    run(async {
        let at = free("127.0.0.1");
        let mut receiver = listen(at, "127.0.0.7").unwrap();
        for number in 1..=9_u8 {
            let socket = UdpSocket::bind((IpAddr::from([127, 0, 0, number]), 0)).unwrap();
            socket.send_to(&[number; 100], at).unwrap();
        }
        let got = drain(&mut receiver).await;
        assert_eq!(got.iter().map(|(_, datagram)| datagram[0]).collect::<Vec<_>>(), [7]);
        assert_eq!(receiver.dropped().unwrap(), 8);

        // The last of all words of an address counts as much as the first.
        let at = free("::1");
        for peer in ["::2", "1::1", "0:0:1::1", "::1:0:1"] {
            let mut receiver = listen(at, peer).unwrap();
            UdpSocket::bind("[::1]:0").unwrap().send_to(&[1; 100], at).unwrap();
            assert_eq!(drain(&mut receiver).await, [], "{peer}");
        }
    });
}

#[test]
fn a_sender_needs_nobody_who_listens_and_tells_what_does_not_fit() {
    run(async {
        let sender = UnicastSender::open(free("127.0.0.1"), 0, 1 << 18).unwrap();
        for _ in 0..20 {
            sender.send(&[1; 1000]).unwrap();
        }
        let error = sender.send(&vec![0; 65_508]).unwrap_err();
        assert!(matches!(error, SendError::TooLong { bytes: 65_508, .. }), "{error:?}");
    });
}

#[test]
fn addresses_are_checked() {
    run(async {
        for to in ["239.1.2.3:4000", "0.0.0.0:4000", "255.255.255.255:4000", "127.0.0.1:0", "[ff02::1]:4000"] {
            let to: SocketAddr = to.parse().unwrap();
            assert_eq!(UnicastSender::open(to, 0, 1 << 18).unwrap_err().code(), "unicast-address", "{to}");
            assert_eq!(listen(to, "127.0.0.1").unwrap_err().code(), "unicast-address", "{to}");
        }
        for peer in ["::1", "239.1.2.3", "0.0.0.0"] {
            assert_eq!(listen(free("127.0.0.1"), peer).unwrap_err().code(), "unicast-peer", "{peer}");
        }
        let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
        let error = listen(taken.local_addr().unwrap(), "127.0.0.1").unwrap_err();
        assert_eq!(error.code(), "unicast-socket");
    });
}
