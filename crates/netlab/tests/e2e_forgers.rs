//! Hostile traffic at ten times the sender's rate: not one wrong octet, and the download completes.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use fleetcast_netlab::fleet::{Device, Fleet, GROUP, count, noise};
use fleetcast_netlab::netns::{Host, INTERFACE};
use socket2::{Domain, Protocol, Socket, Type};

/// Forged packets for each genuine one.
const TIMES: u64 = 10;

/// Octets of a packet header.
const HEADER: usize = 20;

/// Most the receiver may ever have in memory, in KiB. It is not optimised here.
const RSS_KIB: u64 = 40 * 1024;

fn group() -> SocketAddr {
    GROUP.parse().unwrap()
}

/// A socket in `host` that hears the group.
fn listen(host: &Host) -> UdpSocket {
    let (IpAddr::V4(address), port) = (group().ip(), group().port()) else { unreachable!("an IPv4 group") };
    let open = || {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
        socket.bind(&SocketAddr::from((address, port)).into()).unwrap();
        socket.join_multicast_v4(&address, &host.v4()).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        UdpSocket::from(socket)
    };
    host.enter(open).unwrap()
}

/// A socket in `host` that sends to the group from `address`.
fn speak(host: &Host, address: Ipv4Addr) -> UdpSocket {
    let open = || {
        let socket = UdpSocket::bind((address, 0)).unwrap();
        socket2::SockRef::from(&socket).set_multicast_if_v4(&address).unwrap();
        socket.connect(group()).unwrap();
        socket
    };
    host.enter(open).unwrap()
}

/// Makes a forgery out of a genuine packet.
fn forge(genuine: &[u8], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut forged = genuine.to_vec();
    let at = random.usize(..forged.len());
    match random.u8(..8) {
        // Anything.
        0 => {
            forged.truncate(at + 1);
            random.fill(&mut forged);
        }
        // One bit of a copy, of the header as often as of the payload.
        1 => {
            let at = if random.bool() { at % HEADER } else { at };
            forged[at] ^= 1 << random.u8(..8);
        }
        // Less of a copy.
        2 => forged.truncate(at),
        // The right session and place, another chunk, page or manifest.
        3 => random.fill(&mut forged[HEADER..]),
        // The right session, a genuine payload, another place: the next chunks, whose page has not come yet.
        4 => forged[HEADER - 1] = forged[HEADER - 1].wrapping_add(random.u8(1..64)),
        // Any other place, whole or not.
        5 => {
            forged[HEADER - 2..HEADER].copy_from_slice(&random.u16(..).to_be_bytes());
            if random.bool() {
                forged.truncate(at.max(HEADER + 1));
            }
        }
        // Another session.
        6 => forged[8..12].copy_from_slice(&random.u32(..).to_be_bytes()),
        // A genuine payload in junk signatures, or the last octets of a chunk or page.
        _ => {
            let end = forged.len() - 8;
            random.fill(&mut forged[end..]);
        }
    }
    forged
}

/// Sends forgeries of all that is heard of `sender`, by turns from each of `mouths`, until told to stop.
fn flood(ear: &UdpSocket, sender: SocketAddr, mouths: &[UdpSocket], is_over: &AtomicBool, count: &AtomicU64) {
    let mut random = fastrand::Rng::with_seed(7);
    let mut buffer = [0; 2048];
    let mut manifest = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let Ok((len, from)) = ear.recv_from(&mut buffer) else { continue };
        if from != sender {
            continue;
        }
        let genuine = &buffer[..len];
        // Manifests are rare on the air; forgers like them.
        if genuine[3] == 0 {
            manifest = genuine.to_vec();
        }
        for nth in 0..TIMES {
            let model = if nth == 0 && !manifest.is_empty() { &manifest[..] } else { genuine };
            let mouth = &mouths[random.usize(..mouths.len())];
            if mouth.send(&forge(model, &mut random)).is_ok() {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Whether all that has been written to the partial file is of the image, which has no zero octets.
fn check_partial(device: &Device, image: &[u8]) -> bool {
    let Some(partial) = device.partial("app") else { return false };
    assert!(partial.len() <= image.len(), "longer than the image");
    let wrong = partial.iter().zip(image).position(|(is, should)| is != should && *is != 0);
    assert_eq!(wrong, None, "first wrong octet of the partial file");
    partial.iter().any(|octet| *octet != 0)
}

#[test]
fn forgers_at_ten_times_the_rate_get_not_one_octet_in() {
    let Some(fleet) = Fleet::new("forgers") else { return };
    let image = noise(2, 2 << 20);
    let (older, release) = (fleet.release(1, &noise(1, 1 << 20)), fleet.release(2, &image));
    let alien = fleet.draft(3).image("app", &noise(3, 1 << 20)).keys(&["stranger"]).sign();
    let [sender, spy, liar, twin, replayer] = ["sender", "spy", "liar", "twin", "replayer"].map(|n| fleet.host(n));
    // One that has the sender's own address.
    let stolen = format!("addr add {}/32 dev {INTERFACE}", sender.v4());
    assert!(twin.run(Command::new("ip").args(stolen.split(' '))).unwrap().status.success());
    let mouths = [speak(&liar, liar.v4()), speak(&twin, sender.v4())];
    let (ear, is_over, forgeries) = (listen(&spy), AtomicBool::new(false), AtomicU64::new(0));

    let mut send = fleet.send(&sender, &release, "--rate 8M");
    let source = send.wait_for("ready")["source"].as_str().unwrap().parse().unwrap();
    let device = fleet.device("device", &["app"]);
    thread::scope(|scope| {
        scope.spawn(|| flood(&ear, source, &mouths, &is_over, &forgeries));
        let _end = Defer(|| is_over.store(true, Ordering::Relaxed));
        let mut run = device.start("--once");
        assert_eq!(run.wait_for("begin")["release"]["sequence"], 2);
        let _replays = [fleet.send(&replayer, &older, "--rate 4M"), fleet.send(&replayer, &alien, "--rate 4M")];
        let mut looks = 0;
        while run.process.try_wait().unwrap().is_none() {
            thread::sleep(Duration::from_millis(10));
            looks += u32::from(check_partial(&device, &image));
        }
        let stopped = run.success();
        device.assert_runs(&release);
        let (forgeries, rss) = (forgeries.load(Ordering::Relaxed), run.process.rss_kib());
        println!("{forgeries} forged, {stopped}\n{looks} looks at the partial file, {rss} KiB resident at most");
        assert!(looks > 10, "looked {looks} times");
        assert!(rss <= RSS_KIB, "{rss} KiB");
        assert!(forgeries > TIMES * release.chunks * 9 / 10, "{forgeries} packets are no flood");
        // Of both forgers: the stolen address is no hindrance.
        let arrived = count(&stopped, "datagrams") + count(&stopped, "kernel_drops");
        assert!(arrived > forgeries * 3 / 4, "{stopped}");
        for code in [
            "truncated",
            "version",
            "codepoint",
            "toi",
            "length",
            "range",
            "page-digest",
            "chunk-digest",
            "threshold",
            "tsi",
            "other-session",
            "rollback",
        ] {
            assert!(stopped["dropped"][code].as_u64().is_some_and(|n| n > 0), "no {code}: {stopped}");
        }
        assert_eq!(count(&stopped, "verified_chunks"), release.chunks, "{stopped}");
    });
}

/// Does something when dropped, also by a panic.
struct Defer<F: Fn()>(F);

impl<F: Fn()> Drop for Defer<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
