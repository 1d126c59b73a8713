//! Relays: what verified crosses, and nothing else does.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::collections::{HashSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fleetcast_netlab::fleet::{Device, Fleet, GROUP, Release, Run, count, noise};
use fleetcast_netlab::netns::{Host, INTERFACE, Lab, SECOND_INTERFACE, Signal};
use socket2::{Domain, Protocol, Socket, Type};

/// Most a relay may ever have in memory, in KiB. It is not optimised here.
const RSS_KIB: u64 = 24 * 1024;

/// Time after which a packet is no copy of what a relay has just sent: its window is 0.4 s.
const AFTER_WINDOW: Duration = Duration::from_millis(800);

/// A site's own link, with a relay on it and on the sender's.
struct Site {
    lab: Lab,
    relay: Host,
    device: Device,
}

impl Site {
    fn new(fleet: &Fleet, name: &str) -> Self {
        let lab = Lab::new(name).unwrap();
        let device = fleet.device_on(lab.host("device").unwrap(), &["app"]);
        let relay = fleet.host("relay");
        relay.attach(&lab).unwrap();
        Self { lab, relay, device }
    }

    fn start(&self, fleet: &Fleet, options: &str) -> Run {
        let up = format!("--upstream {GROUP} --upstream-interface {INTERFACE}");
        let mut run =
            fleet.relay(&self.relay, &format!("{up} --group {GROUP} --interface {SECOND_INTERFACE} {options}"));
        run.wait_for("ready");
        run
    }
}

/// A socket in `host` that hears the group.
fn listen(host: &Host) -> UdpSocket {
    let group: SocketAddr = GROUP.parse().unwrap();
    let (IpAddr::V4(address), port) = (group.ip(), group.port()) else { unreachable!("an IPv4 group") };
    let open = || {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.bind(&SocketAddr::from((address, port)).into()).unwrap();
        socket.join_multicast_v4(&address, &host.v4()).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        UdpSocket::from(socket)
    };
    host.enter(open).unwrap()
}

/// A socket in `host` that sends to the group.
fn speak(host: &Host) -> UdpSocket {
    let address: Ipv4Addr = host.v4();
    let open = || {
        let socket = UdpSocket::bind((address, 0)).unwrap();
        socket2::SockRef::from(&socket).set_multicast_if_v4(&address).unwrap();
        socket.connect(GROUP.parse::<SocketAddr>().unwrap()).unwrap();
        socket
    };
    host.enter(open).unwrap()
}

/// All that is heard until told to stop, each as `keep` makes it of its source and content.
fn hear<T>(ear: &UdpSocket, is_over: &AtomicBool, mut keep: impl FnMut(IpAddr, &[u8]) -> T) -> Vec<T> {
    let mut buffer = [0; 2048];
    let mut all = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        if let Ok((len, from)) = ear.recv_from(&mut buffer) {
            all.push(keep(from.ip(), &buffer[..len]));
        }
    }
    all
}

/// A packet without its count, which is the relay's own.
fn content(packet: &[u8]) -> Vec<u8> {
    [&packet[..4], &packet[8..]].concat()
}

/// Ends what waits for it, also by a panic.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_device_behind_a_relay_completes_and_no_forged_packet_crosses() {
    let Some(fleet) = Fleet::new("relay-a") else { return };
    let (sender, forger) = (fleet.host("sender"), fleet.host("forger"));
    let site = Site::new(&fleet, "relay-b");
    let spies = [fleet.host("spy"), site.lab.host("spy").unwrap()];
    let (near, far) = (listen(&spies[0]), listen(&spies[1]));
    let (mouth, model) = (speak(&forger), listen(&forger));
    let release = fleet.release(2, &noise(2, 2 << 20));
    let alien = fleet.draft(3).image("app", &noise(3, 1 << 20)).keys(&["stranger"]).sign();

    let (is_over, wrong) = (AtomicBool::new(false), Mutex::new(HashSet::new()));
    thread::scope(|scope| {
        let over = Over(&is_over);
        let crossed = scope.spawn(|| hear(&far, &is_over, |_, packet| content(packet)));
        let heard = scope.spawn(|| hear(&near, &is_over, |_, _| ()).len());
        // Copies with one wrong octet of all that the sender sends, at once and when they are no copies of what went just now.
        scope.spawn(|| {
            let mut random = fastrand::Rng::with_seed(7);
            let mut late = VecDeque::new();
            hear(&model, &is_over, |from, genuine| {
                if from != sender.v4() {
                    return false;
                }
                let mut packet = genuine.to_vec();
                let at = random.usize(8..packet.len());
                packet[at] ^= random.u8(1..);
                wrong.lock().unwrap().insert(content(&packet));
                let is_sent = mouth.send(&packet).is_ok();
                late.push_back((Instant::now(), packet));
                match late.pop_front_if(|(since, _)| since.elapsed() > AFTER_WINDOW) {
                    Some((_, packet)) => mouth.send(&packet).is_ok() && is_sent,
                    None => is_sent,
                }
            });
        });
        let mut relay = site.start(&fleet, "--rate 20M");
        let _alien = fleet.send(&forger, &alien, "--rate 3M");
        let _send = fleet.send(&sender, &release, "--rate 6M");
        let stopped = site.device.start("--once").success();
        site.device.assert_runs(&release);
        let told = relay.wait_until("progress", |progress| progress["releases"][0] == 2);
        assert_eq!(relay.wait_for("release")["version"], "1.2");
        assert_eq!(relay.end(Signal::TERM), 0);
        let totals = relay.wait_for("stopped");
        println!("{totals}\n{stopped}\n{} KiB resident at most", relay.process.rss_kib());
        assert_eq!(totals["reason"], "signal");
        assert!(told["releases"].as_array().unwrap().len() == 1);
        drop(over);
        let (crossed, heard, wrong) = (crossed.join().unwrap(), heard.join().unwrap(), wrong.lock().unwrap());
        let through = crossed.iter().filter(|packet| wrong.contains(*packet)).count();
        println!("{heard} packets upstream, {} of them forged, {} crossed", wrong.len(), crossed.len());
        assert!(crossed.len() > 1000 && wrong.len() > 1000, "{} crossed, {} forged", crossed.len(), wrong.len());
        assert_eq!(through, 0, "forged packets crossed");
        // Nothing is dropped behind a relay but what this device has already.
        let dropped = stopped["dropped"].as_object().unwrap();
        assert!(dropped.keys().all(|code| code == "no-page"), "{stopped}");
        for code in ["page-digest", "chunk-digest", "threshold", "other-session"] {
            assert!(totals["dropped"][code].as_u64().is_some_and(|n| n > 0), "no {code}: {totals}");
        }
    });
}

#[test]
fn two_relays_with_a_network_without_multicast_between_them_carry_a_release() {
    let Some(fleet) = Fleet::new("chain-a") else { return };
    let sender = fleet.host("sender");
    // Where only unicast goes; the first host is there so that no address is one of the sender's lab.
    let middle = Lab::new("chain-m").unwrap();
    let [stranger, first, second] = ["stranger", "first", "second"].map(|name| middle.host(name).unwrap());
    let far = Lab::new("chain-b").unwrap();
    let device = fleet.device_on(far.host("device").unwrap(), &["app"]);
    first.attach(&fleet.lab).unwrap();
    second.attach(&far).unwrap();
    let (from, to) = (first.v4(), second.v4());
    let up = format!("--upstream {GROUP} --upstream-interface {SECOND_INTERFACE} --to {to}:4701");
    let mut relays = [
        fleet.relay(&first, &up),
        fleet.relay(
            &second,
            &format!("--listen {to}:4701 --from {from} --group {GROUP} --interface {SECOND_INTERFACE}"),
        ),
    ];
    for relay in &mut relays {
        relay.wait_for("ready");
    }

    let release = fleet.release(1, &noise(1, 2 << 20));
    first.loss(50).unwrap();
    let _send = fleet.send(&sender, &release, "--rate 8M");
    // One who is not the peer is not even counted.
    let thrower = stranger.enter(|| UdpSocket::bind((stranger.v4(), 0)).unwrap()).unwrap();
    for _ in 0..500 {
        thrower.send_to(&[0x10; 1000], (to, 4701)).unwrap();
    }
    device.start("--once").success();
    device.assert_runs(&release);
    let [one, two] = relays.each_mut().map(|relay| {
        assert_eq!(relay.end(Signal::INT), 0);
        relay.wait_for("stopped")
    });
    println!("{one}\n{two}");
    assert!(count(&two, "kernel_drops") >= 500, "{two}");
    assert!(two["dropped"].get("version").is_none(), "{two}");
    assert!(count(&two, "packets") > release.chunks * 9 / 10, "{two}");
}

#[test]
fn groups_of_ipv6_cross_and_a_lossy_upstream_and_restarts_of_the_relay_only_take_longer() {
    let Some(fleet) = Fleet::new("rough-a") else { return };
    let sender = fleet.host("sender");
    let site = Site::new(&fleet, "rough-b");
    site.relay.loss(50).unwrap();
    let release = fleet.release(1, &noise(1, 3 << 20));
    let options = |group: &str| {
        format!("--upstream {group} --upstream-interface {INTERFACE} --group {group} --interface {SECOND_INTERFACE}")
    };
    let group = "[ff15::77]:4000";
    let _send = fleet.send(&sender, &release, &format!("--rate 8M --group {group}"));
    let mut run = site.device.start(&format!("--once --group {group}"));
    for part in [4, 2] {
        let mut relay = fleet.relay(&site.relay, &options(group));
        run.wait_until("progress", |progress| count(progress, "have") > release.chunks / part);
        // Not asked to end: killed.
        relay.process.kill(Signal::KILL).unwrap();
        relay.process.wait(Duration::from_secs(20)).unwrap();
    }
    let mut relay = fleet.relay(&site.relay, &options(group));
    run.success();
    site.device.assert_runs(&release);
    assert_eq!(relay.end(Signal::TERM), 0);
    assert!(site.relay.drop_counter().unwrap() > 50);
}

#[test]
fn a_link_slower_than_the_sender_gets_its_rate_and_pages_before_chunks() {
    let Some(fleet) = Fleet::new("slow-a") else { return };
    let sender = fleet.host("sender");
    let site = Site::new(&fleet, "slow-b");
    let release = fleet.release(1, &noise(1, 1 << 20));
    let mut relay = site.start(&fleet, "--rate 2M");
    let _send = fleet.send(&sender, &release, "--rate 8M");
    let stopped = site.device.start("--once").success();
    site.device.assert_runs(&release);
    assert_eq!(relay.end(Signal::TERM), 0);
    let totals = relay.wait_for("stopped");
    println!("{totals}\n{stopped}");
    let bits = count(&totals, "octets") * 8;
    let most = totals["seconds"].as_f64().unwrap() * 2e6 * 1.02 + 100_000.0;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let is_within = bits as f64 <= most;
    assert!(is_within, "{totals}");
    let dropped = ["late", "queue-full"].iter().filter_map(|code| totals["dropped"][code].as_u64()).sum::<u64>();
    assert!(dropped > release.chunks, "{totals}");
    // Hardly a chunk came without its page.
    assert!(stopped["dropped"]["no-page"].as_u64().unwrap_or(0) < 50, "{stopped}");
}

#[test]
fn a_large_image_takes_no_more_memory() {
    let Some(fleet) = Fleet::new("large-a") else { return };
    let sender = fleet.host("sender");
    let site = Site::new(&fleet, "large-b");
    let mut peaks = Vec::new();
    for (sequence, size) in [(1, 1 << 20), (2, 64 << 20)] {
        let release: Release = fleet.release(sequence, &noise(sequence, size));
        let mut relay = site.start(&fleet, "--rate 200M");
        let _send = fleet.send(&sender, &release, "--rate 100M --start 0");
        relay.wait_until("progress", |progress| count(progress, "packets") > 20_000);
        assert_eq!(relay.end(Signal::TERM), 0);
        peaks.push(relay.process.rss_kib());
        println!("{size} octets: {} KiB at most\n{}", relay.process.rss_kib(), relay.wait_for("stopped"));
    }
    assert!(peaks.iter().all(|peak| *peak <= RSS_KIB), "{peaks:?} KiB");
}

#[test]
fn copies_by_two_ways_go_on_once() {
    let Some(fleet) = Fleet::new("ways-a") else { return };
    let (sender, other) = (fleet.host("sender"), fleet.host("other"));
    let site = Site::new(&fleet, "ways-b");
    let spy = site.lab.host("spy").unwrap();
    let (at, from) = (site.relay.v4(), other.v4());
    let mut relay = site.start(&fleet, &format!("--rate 20M --listen {at}:4701 --from {from}"));
    let mut helper =
        fleet.relay(&other, &format!("--upstream {GROUP} --upstream-interface {INTERFACE} --to {at}:4701 --rate 20M"));
    helper.wait_for("ready");
    let release = fleet.release(1, &noise(1, 2 << 20));
    let (far, is_over) = (listen(&spy), AtomicBool::new(false));
    thread::scope(|scope| {
        let over = Over(&is_over);
        let crossed = scope.spawn(|| hear(&far, &is_over, |_, packet| content(packet)));
        let mut run = site.device.start("--once");
        run.wait_for("ready");
        let _send = fleet.send(&sender, &release, "--rate 6M --cycles 1");
        run.success();
        site.device.assert_runs(&release);
        assert_eq!(relay.end(Signal::TERM), 0);
        drop(over);
        let crossed: Vec<_> = crossed.join().unwrap().into_iter().filter(|packet| packet[3] != 0).collect();
        let distinct: HashSet<_> = crossed.iter().collect();
        let totals = relay.wait_for("stopped");
        println!("{totals}");
        // A machine that stood still for longer than the window lets a few through twice.
        assert!(crossed.len() <= distinct.len() * 21 / 20, "{} of {}", crossed.len(), distinct.len());
        assert!(count(&totals["dropped"], "duplicate") > release.chunks / 2, "{totals}");
    });
}

#[test]
fn relays_in_a_circle_do_not_amplify_and_are_silent_when_the_sender_is() {
    let Some(fleet) = Fleet::new("circle-a") else { return };
    let sender = fleet.host("sender");
    let site = Site::new(&fleet, "circle-b");
    let back = fleet.host("back");
    back.attach(&site.lab).unwrap();
    let spies = [fleet.host("spy"), site.lab.host("spy").unwrap()];
    let [near, far] = spies.each_ref().map(listen);
    let start = |host: &Host, from: &str, to: &str| {
        let options = format!("--upstream {GROUP} --upstream-interface {from} --group {GROUP} --interface {to}");
        let mut relay = fleet.relay(host, &format!("{options} --rate 20M"));
        relay.wait_for("ready");
        relay
    };
    let mut relays = [start(&site.relay, INTERFACE, SECOND_INTERFACE), start(&back, SECOND_INTERFACE, INTERFACE)];
    let release = fleet.release(1, &noise(1, 1 << 20));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let over = Over(&is_over);
        let heard = [&near, &far].map(|ear| scope.spawn(|| hear(ear, &is_over, |_, _| ()).len()));
        let sent = fleet.send(&sender, &release, "--rate 8M --cycles 3").success();
        // What goes round would go on doing so.
        thread::sleep(Duration::from_secs(1));
        let before = relays.each_mut().map(|relay| count(&relay.wait_for("progress"), "packets"));
        thread::sleep(Duration::from_secs(2));
        let after = relays.each_mut().map(|relay| count(&relay.wait_for("progress"), "packets"));
        drop(over);
        let heard = heard.map(|ear| ear.join().unwrap() as u64);
        println!("{sent}\n{heard:?} heard, {after:?} sent by the relays");
        let packets = count(&sent, "packets");
        // But for a few, if the machine stood still for longer than the window: each packet once on the far link and twice on the near one.
        let most = packets * 21 / 20;
        assert!(after.iter().all(|sent| *sent <= most) && heard[0] <= 2 * most && heard[1] <= most);
        assert!(heard[1] > packets / 2 && after[0] > packets / 2, "the circle is none");
        assert!(before.iter().zip(&after).all(|(before, after)| after - before < packets / 10), "{before:?} {after:?}");
    });
}

#[test]
fn a_relay_says_that_nothing_comes_and_follows_its_interface() {
    let Some(fleet) = Fleet::new("gone-a") else { return };
    let sender = fleet.host("sender");
    let site = Site::new(&fleet, "gone-b");
    let mut relay = site.start(&fleet, "--rate 20M");
    let quiet = relay.wait_for("quiet");
    assert!(quiet["reason"].as_str().unwrap().contains("no packet comes at all"), "{quiet}");
    site.relay.remove_interface().unwrap();
    assert_eq!(relay.wait_for("warning")["code"], "interface-unknown");
    site.relay.replace_interface().unwrap();
    assert_eq!(relay.wait_for("rejoined")["interface"], INTERFACE);
    let release = fleet.release(1, &noise(1, 1 << 20));
    let _send = fleet.send(&sender, &release, "--rate 8M");
    site.device.start("--once").success();
    site.device.assert_runs(&release);
    assert_eq!(relay.end(Signal::TERM), 0);
}

#[test]
fn a_relay_goes_on_when_the_interface_it_sends_through_is_made_anew() {
    let Some(fleet) = Fleet::new("anew-a") else { return };
    let sender = fleet.host("sender");
    let lab = Lab::new("anew-b").unwrap();
    let device = fleet.device_on(lab.host("device").unwrap(), &["app"]);
    let host = lab.host("relay").unwrap();
    host.attach(&fleet.lab).unwrap();
    let up = format!("--upstream {GROUP} --upstream-interface {SECOND_INTERFACE}");
    let mut relay = fleet.relay(&host, &format!("{up} --group {GROUP} --interface {INTERFACE} --rate 20M"));
    relay.wait_for("ready");
    let release = fleet.release(1, &noise(1, 1 << 20));
    let _send = fleet.send(&sender, &release, "--rate 8M");
    relay.wait_for("release");
    host.remove_interface().unwrap();
    assert_eq!(relay.wait_for("warning")["code"], "send-transient");
    host.replace_interface().unwrap();
    assert_eq!(relay.wait_for("reopened")["interface"], INTERFACE);
    device.start("--once").success();
    device.assert_runs(&release);
    assert_eq!(relay.end(Signal::TERM), 0);
}

#[test]
fn a_link_slower_than_the_rate_of_the_relay_loses_packets_and_delays_none_for_long() {
    let Some(fleet) = Fleet::new("narrow-a") else { return };
    let sender = fleet.host("sender");
    let site = Site::new(&fleet, "narrow-b");
    let narrow = format!("qdisc add dev {SECOND_INTERFACE} root tbf rate 2mbit burst 4kb limit 1mb");
    assert!(site.relay.run(Command::new("tc").args(narrow.split(' '))).unwrap().status.success());
    let mut relay = site.start(&fleet, "--rate 10M");
    let release = fleet.release(1, &noise(1, 1 << 20));
    let _send = fleet.send(&sender, &release, "--rate 8M");
    site.device.start("--once").success();
    site.device.assert_runs(&release);
    assert_eq!(relay.end(Signal::TERM), 0);
    let totals = relay.wait_for("stopped");
    println!("{totals}");
    // The queue of the link would hold a second of what comes; the socket lets no more than a part of that into it.
    assert!(count(&totals, "failed") > release.chunks / 2, "{totals}");
    assert_eq!(count(&totals, "kernel_drops"), 0, "{totals}");
    assert_eq!(relay.wait_for("warning")["code"], "send-transient");
}

#[test]
fn what_would_hear_itself_is_refused_at_the_start() {
    let Some(fleet) = Fleet::new("self") else { return };
    let host = fleet.host("relay");
    let (_, key) = fleet.key("release");
    let refused = |options: &str| {
        let mut command = Command::new(fleetcast_netlab::fleet::program("send"));
        command.args(["relay", "--trust"]).arg(&key).args(options.split_ascii_whitespace());
        let output = host.run(&command).unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let up = format!("--upstream {GROUP} --upstream-interface");
    for interface in [INTERFACE, &host.v4().to_string()] {
        let (code, told) = refused(&format!("{up} {interface} --group {GROUP} --interface {INTERFACE}"));
        assert!(code == Some(2) && told.contains("would hear itself"), "{code:?} {told}");
    }
    let v4 = host.v4();
    let (code, told) = refused(&format!("--listen {v4}:4701 --from 10.77.9.9 --to {v4}:4701"));
    assert!(code == Some(2) && told.contains("would hear itself"), "{code:?} {told}");
}
