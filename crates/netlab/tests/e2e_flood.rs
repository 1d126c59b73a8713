//! Floods of bogus statements: each costs no more than cheap checks cost, and the download completes.
//!
//! What they cost: `cargo build --release -p fleetcast-netlab --examples`, then
//! `cargo test --release -p fleetcast-netlab --test e2e_flood -- --nocapture --test-threads 1`.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fleetcast_core::trust::{Envelope, KeyId};
use fleetcast_core::wire::{Object, StatementKind};
use fleetcast_netlab::bogus::{Bogus, statement_of};
use fleetcast_netlab::fleet::{Device, Fleet, GROUP, Release, Run, count, noise};
use fleetcast_netlab::netns::{Host, INTERFACE, Signal};
use quinn_udp::{Transmit, UdpSocketState};
use serde_json::Value;

/// Statements of one train, and how often one is sent: 60,000 a second, if the machine can.
const TRAIN: usize = 6;
const PERIOD: Duration = Duration::from_micros(100);

/// Octets of a packet that fills an Ethernet frame.
const LONGEST: usize = 1472;

/// Addresses of the flood.
const ADDRESSES: u8 = 63;

/// Statements that are verified a second, and in a burst, for all sources together.
const BUDGET: f64 = 128.0;

const FIRST_ROOT: Object = Object::Statement { kind: StatementKind::Root, number: 1 };

/// Sends trains of packets from one address.
struct Mouth {
    socket: UdpSocket,
    state: UdpSocketState,
}

impl Mouth {
    /// Takes an address, which may be another host's.
    fn new(host: &Host, address: Ipv4Addr) -> Self {
        let add = format!("addr add {address}/32 dev {INTERFACE}");
        assert!(host.run(Command::new("ip").args(add.split(' '))).unwrap().status.success());
        let open = || {
            let socket = UdpSocket::bind((address, 0)).unwrap();
            socket2::SockRef::from(&socket).set_multicast_if_v4(&address).unwrap();
            socket
        };
        let socket = host.enter(open).unwrap();
        let state = UdpSocketState::new((&socket).into()).unwrap();
        Self { socket, state }
    }

    /// Sends a train of packets of `len` octets each; whether it went.
    fn say(&self, train: &[u8], len: usize) -> bool {
        let destination: SocketAddr = GROUP.parse().unwrap();
        let transmit = Transmit { destination, ecn: None, contents: train, segment_size: Some(len), src_ip: None };
        self.state.try_send((&self.socket).into(), &transmit).is_ok()
    }
}

/// Bogus statements of some forms, from some mouths.
#[derive(Default)]
struct Flood {
    mouths: Vec<Mouth>,
    is_over: AtomicBool,
    sent: AtomicU64,
}

impl Flood {
    fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Goes on until told to stop, with the forms by turns, and with the mouths by turns.
    fn run(&self, mut forms: Vec<Bogus>) {
        let (mut train, mut next) = (Vec::new(), Instant::now());
        for mouth in self.mouths.iter().cycle() {
            for form in &mut forms {
                if self.is_over.load(Ordering::Relaxed) {
                    return;
                }
                train.clear();
                (0..TRAIN).for_each(|_| train.extend_from_slice(form.next_packet()));
                if mouth.say(&train, form.packet_len()) {
                    self.sent.fetch_add(TRAIN as u64, Ordering::Relaxed);
                }
                next += PERIOD;
                thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        }
    }

    /// Lets it run while something is done.
    fn during<T>(&self, forms: Vec<Bogus>, work: impl FnOnce() -> T) -> T {
        struct End<'a>(&'a AtomicBool);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        thread::scope(|scope| {
            scope.spawn(|| self.run(forms));
            // Also by a panic.
            let _end = End(&self.is_over);
            work()
        })
    }
}

/// What a reception took.
struct Reception {
    /// From its begin until all was there.
    time: Duration,
    cpu_seconds: f64,
    stopped: Value,
}

impl Reception {
    /// Waits until the device, which has begun to receive it, has the release installed.
    fn of(device: &Device, release: &Release, mut run: Run) -> Self {
        let start = Instant::now();
        run.wait_for("complete");
        let time = start.elapsed();
        let stopped = run.success();
        device.assert_runs(release);
        assert_eq!(count(&stopped, "verified_chunks"), release.chunks, "{stopped}");
        Self { time, cpu_seconds: run.process.cpu_seconds(), stopped }
    }

    fn dropped(&self, code: &str) -> u64 {
        self.stopped["dropped"][code].as_u64().unwrap_or_default()
    }
}

/// A link with a sender, a liar and a device.
struct Bench {
    fleet: Fleet,
    sender: Host,
    liar: Host,
    device: Device,
}

impl Bench {
    fn new(name: &str) -> Option<Self> {
        let fleet = Fleet::new(name)?;
        let (sender, liar) = (fleet.host("sender"), fleet.host("liar"));
        let device = fleet.device("device", &["app"]);
        Some(Self { fleet, sender, liar, device })
    }

    /// The liar, by many addresses.
    fn mouths(&self) -> Vec<Mouth> {
        (1..=ADDRESSES).map(|low| Mouth::new(&self.liar, Ipv4Addr::new(10, 77, 200, low))).collect()
    }

    fn send(&self, release: &Release) -> Run {
        let mut send = self.fleet.send(&self.sender, release, "--rate 8M");
        send.wait_for("ready");
        send
    }
}

/// Payload of a release's manifest, and the key that signed it.
fn manifest(release: &Release) -> (Vec<u8>, KeyId) {
    let file = fs::read(&release.file).unwrap();
    let envelope = Envelope::parse(statement_of(&file)).unwrap();
    (envelope.payload().to_vec(), envelope.signatures().next().unwrap().kid)
}

#[test]
fn a_flood_from_everywhere_does_not_stop_a_download() {
    let Some(bench) = Bench::new("flood") else { return };
    let [first, second] = [1, 2].map(|number| bench.fleet.release(number, &noise(number, 3 << 20)));
    let mut send = bench.send(&first);
    let mut run = bench.device.start("--once");
    run.wait_for("begin");
    let calm = Reception::of(&bench.device, &first, run);
    send.end(Signal::INT);

    let (payload, kid) = manifest(&second);
    let forms = vec![
        Bogus::around(&payload, Object::MANIFEST, kid, 8),
        Bogus::filling(LONGEST, Object::MANIFEST, kid, 1),
        Bogus::filling(LONGEST, FIRST_ROOT, kid, 1),
        Bogus::filling(LONGEST, Object::MANIFEST, kid, 8),
    ];
    let mut mouths = bench.mouths();
    mouths.push(Mouth::new(&bench.liar, bench.sender.v4()));
    let flood = Flood { mouths, ..Flood::default() };
    let _send = bench.send(&second);
    let mut run = bench.device.start("--once");
    run.wait_for("begin");
    let start = Instant::now();
    let (flooded, seconds) = flood.during(forms, || {
        let reception = Reception::of(&bench.device, &second, run);
        (reception, start.elapsed().as_secs_f64())
    });
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let rate = flood.sent() as f64 / seconds;
    println!(
        "{rate:.0} bogus statements a second: {:.2} times the time it takes without; receiver {:.2} CPU s in {:.2} s, without {:.2} in {:.2}\n{}",
        flooded.time.as_secs_f64() / calm.time.as_secs_f64(),
        flooded.cpu_seconds,
        flooded.time.as_secs_f64(),
        calm.cpu_seconds,
        calm.time.as_secs_f64(),
        flooded.stopped
    );
    assert!(flood.sent() > 10 * second.chunks, "{} statements are no flood", flood.sent());
    assert!(flooded.dropped("budget") > 0, "{}", flooded.stopped);
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let verified = flooded.dropped("threshold") as f64;
    assert!(verified <= BUDGET * (2.0 + seconds), "{}", flooded.stopped);
}

#[test]
fn a_flood_from_many_addresses_does_not_keep_a_download_from_beginning() {
    let Some(bench) = Bench::new("flooded") else { return };
    let release = bench.fleet.release(1, &noise(1, 1 << 20));
    let (payload, kid) = manifest(&release);
    // One signature each, for a share of the budget that is left to the last signature leaves nothing to the genuine one.
    let forms = vec![
        Bogus::around(&payload, Object::MANIFEST, kid, 1),
        Bogus::filling(LONGEST, Object::MANIFEST, kid, 1),
        Bogus::filling(LONGEST, Object::MANIFEST, KeyId([0; 8]), 1),
        Bogus::filling(LONGEST, Object::Statement { kind: StatementKind::Beacon, number: 0 }, kid, 1),
    ];
    let flood = Flood { mouths: bench.mouths(), ..Flood::default() };
    let _send = bench.send(&release);
    flood.during(forms, || {
        let mut run = bench.device.start("--once");
        let start = Instant::now();
        run.wait_for("begin");
        println!("begun after {:.2} s in a flood", start.elapsed().as_secs_f64());
        let flooded = Reception::of(&bench.device, &release, run);
        println!("{} bogus statements: {}", flood.sent(), flooded.stopped);
    });
}
