//! The bench itself: what it promises about multicast, loss, bottlenecks, and leaving nothing behind.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::fs;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use fleetcast_netlab::netns::{Host, INTERFACE, INTERFACE_INDEX, Lab, Signal, require_netns};
use rustix::net::sockopt::set_socket_recv_buffer_size_force;
use socket2::{Domain, Socket, Type};

const PORT: u16 = 4_077;
const V4: IpAddr = IpAddr::V4(Ipv4Addr::new(239, 77, 0, 1));
const V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0, 0x77));

/// After so long without a packet no more are expected.
const SILENCE: Duration = Duration::from_millis(300);

/// Set for [`victim`], to tell it from an ordinary run of the ignored tests.
const VICTIM: &str = "FLEETLAB_VICTIM";

#[test]
fn multicast_of_both_families_reaches_every_host_that_joined() {
    if !require_netns() {
        return;
    }
    let lab = Lab::new("multicast").unwrap();
    let sender = lab.host("sender").unwrap();
    let devices = [lab.host("a").unwrap(), lab.host("b").unwrap()];
    for group in [V4, V6] {
        let sockets = devices.each_ref().map(|device| join(device, group));
        send_socket(&sender, group).send(b"to all").unwrap();
        for socket in &sockets {
            let mut buffer = [0; 64];
            let (len, from) = socket.recv_from(&mut buffer).unwrap();
            assert_eq!(&buffer[..len], b"to all");
            let own = if group.is_ipv4() { IpAddr::V4(sender.v4()) } else { IpAddr::V6(sender.v6()) };
            assert_eq!(from.ip(), own);
        }
    }
}

#[test]
fn with_snooping_only_hosts_that_joined_are_sent_to() {
    if !require_netns() {
        return;
    }
    let lab = Lab::new("snooping").unwrap();
    let (sender, member, other) =
        (lab.host("sender").unwrap(), lab.host("member").unwrap(), lab.host("other").unwrap());
    // Dropped at once where it comes in, and so counted.
    other.loss(1_000).unwrap();
    for group in [V4, V6] {
        let before = other.drop_counter().unwrap();
        let (joined, socket) = (join(&member, group), send_socket(&sender, group));
        lab.snooping(false).unwrap();
        send_paced(&socket, 20);
        assert_eq!(receive(&joined).len(), 20);
        assert_eq!(other.drop_counter().unwrap(), before + 20, "flooded");
        lab.snooping(true).unwrap();
        send_paced(&socket, 20);
        assert_eq!(receive(&joined).len(), 20);
        assert_eq!(other.drop_counter().unwrap(), before + 20, "not for it");
    }
}

#[test]
fn a_fifth_of_the_packets_is_lost_and_counted() {
    if !require_netns() {
        return;
    }
    let lab = Lab::new("loss").unwrap();
    let (sender, device) = (lab.host("sender").unwrap(), lab.host("device").unwrap());
    for group in [V4, V6] {
        let (receiver, socket) = (join(&device, group), send_socket(&sender, group));
        let before = device.drop_counter().unwrap();
        device.loss(200).unwrap();
        let arrived = thread::scope(|scope| {
            let counting = scope.spawn(|| receive(&receiver).len());
            send_paced(&socket, 5_000);
            counting.join().unwrap()
        });
        let dropped = device.drop_counter().unwrap() - before;
        assert!((750..=1_250).contains(&dropped), "{dropped} of 5000 dropped");
        assert_eq!(u64::try_from(arrived).unwrap() + dropped, 5_000);
        device.loss(1_000).unwrap();
        send_paced(&socket, 50);
        assert_eq!(receive(&receiver).len(), 0);
        // What it multicasts to itself.
        send_paced(&send_socket(&device, group), 5);
        assert_eq!(receive(&receiver).len(), 0);
        device.loss(0).unwrap();
        send_paced(&socket, 50);
        assert_eq!(receive(&receiver).len(), 50);
        assert_eq!(device.drop_counter().unwrap() - before, dropped + 55);
    }
    assert_eq!(device.loss(1_001).unwrap_err().code(), "range");
}

/// Trains of datagrams, sent by one call each, under 50 % loss.
#[test]
fn without_offload_loss_hits_single_datagrams_and_with_it_whole_trains() {
    const TRAINS: usize = 40;
    const LENGTH: usize = 20;
    if !require_netns() {
        return;
    }
    let lab = Lab::new("offload").unwrap();
    let (sender, device) = (lab.host("sender").unwrap(), lab.host("device").unwrap());
    device.loss(500).unwrap();
    for offload in [false, true] {
        sender.offload(offload).unwrap();
        device.offload(offload).unwrap();
        let (receiver, socket) = (join(&device, V4), send_socket(&sender, V4));
        let state = quinn_udp::UdpSocketState::new((&socket).into()).unwrap();
        for train in 0..TRAINS {
            let transmit = quinn_udp::Transmit {
                destination: SocketAddr::new(V4, PORT),
                ecn: None,
                contents: &vec![u8::try_from(train).unwrap(); LENGTH * 1_000],
                segment_size: Some(1_000),
                src_ip: None,
            };
            state.try_send((&socket).into(), &transmit).unwrap();
        }
        let mut arrived = [0; TRAINS];
        let mut buffer = [0; 2_000];
        while let Ok(len) = receiver.recv(&mut buffer) {
            assert_eq!(len, 1_000);
            arrived[usize::from(buffer[0])] += 1;
        }
        let torn = arrived.iter().filter(|&&count| count != 0 && count != LENGTH).count();
        assert_eq!(torn, if offload { 0 } else { TRAINS }, "{arrived:?}");
        assert!(arrived.iter().any(|&count| count > 0), "{arrived:?}");
    }
}

#[test]
fn a_bottleneck_delays_what_its_queue_holds_and_drops_the_rest() {
    if !require_netns() {
        return;
    }
    let lab = Lab::new("bottleneck").unwrap();
    let (sender, device) = (lab.host("sender").unwrap(), lab.host("device").unwrap());
    let (receiver, socket) = (join(&device, V4), send_socket(&sender, V4));
    // 1,000 bytes, with UDP, IPv4 and Ethernet headers 1,042. Returns how many came, and when the last.
    let offer = |count: usize| {
        let start = Instant::now();
        thread::scope(|scope| {
            let counting = scope.spawn(|| receive(&receiver));
            for _ in 0..count {
                socket.send(&[7; 1_000]).unwrap();
            }
            let arrivals = counting.join().unwrap();
            (arrivals.len(), *arrivals.last().unwrap() - start)
        })
    };
    device.rate_limit(20, 1_000_000).unwrap();
    let (arrived, took) = offer(400);
    assert_eq!(arrived, 400, "all fit the queue");
    // 400 * 1,042 * 8 / 20e6 = 167 ms, less the first few that find the bucket full.
    assert!(took > Duration::from_millis(160), "{took:?}");

    device.rate_limit(20, 50_000).unwrap();
    let (arrived, _) = offer(400);
    assert!((48..400).contains(&arrived), "{arrived} through a queue for 48");

    device.rate_limit(1, 1_000_000).unwrap();
    let (arrived, slow) = offer(40);
    assert!(arrived == 40 && slow > Duration::from_millis(300), "{arrived} in {slow:?}");
    device.rate_unlimited().unwrap();
    let (arrived, fast) = offer(40);
    assert!(arrived == 40 && fast < slow, "{arrived} in {fast:?}, and with a limit in {slow:?}");
    assert_eq!(device.rate_limit(0, 1_000).unwrap_err().code(), "tool");
}

#[test]
fn a_program_runs_in_its_host_and_leaves_output_status_and_figures() {
    if !require_netns() {
        return;
    }
    let lab = Lab::new("program").unwrap();
    let host = lab.host("device").unwrap();
    let interfaces = host.run(Command::new("ip").args(["-brief", "address"])).unwrap();
    assert!(String::from_utf8_lossy(&interfaces.stdout).contains(&host.v4().to_string()));

    let burn = "echo $$ $WORD; echo bad >&2; i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; exit 3";
    let mut busy = host.spawn(Command::new("sh").args(["-c", burn]).env("WORD", "word")).unwrap();
    assert_eq!(fs::read_to_string(format!("/proc/{}/comm", busy.id())).unwrap().trim(), "sh");
    assert_eq!(busy.wait(Duration::from_secs(20)).unwrap().code(), Some(3));
    assert_eq!(busy.stdout().unwrap(), format!("{} word\n", busy.id()));
    assert_eq!(busy.stderr().unwrap(), "bad\n");
    assert!((100..20_000).contains(&busy.rss_kib()), "{} KiB", busy.rss_kib());
    assert!(busy.cpu_seconds() > 0.02 && busy.cpu_seconds() < 20.0, "{} s", busy.cpu_seconds());

    let mut missing = host.spawn(&Command::new("/no/such/program")).unwrap();
    assert_eq!(missing.wait(Duration::from_secs(5)).unwrap().code(), Some(127));
    assert!(missing.stderr().unwrap().contains("/no/such/program"));

    let mut asleep = host.spawn(Command::new("sleep").arg("60")).unwrap();
    assert_eq!(asleep.wait(Duration::from_millis(20)).unwrap_err().code(), "timeout");
    asleep.kill(Signal::INT).unwrap();
    let status = asleep.wait(Duration::from_secs(5)).unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(Signal::INT.as_raw()));
}

#[test]
fn a_program_outlives_the_thread_that_started_it() {
    if !require_netns() {
        return;
    }
    let lab = Lab::new("thread").unwrap();
    let host = lab.host("device").unwrap();
    let mut program = thread::scope(|scope| {
        let starting = scope.spawn(|| host.spawn(Command::new("sleep").arg("60")).unwrap());
        starting.join().unwrap()
    });
    assert_eq!(program.wait(Duration::from_millis(100)).unwrap_err().code(), "timeout");
}

#[test]
fn dropping_a_process_ends_it_even_if_it_ignores_sigterm() {
    if !require_netns() {
        return;
    }
    let lab = Lab::new("stubborn").unwrap();
    let host = lab.host("device").unwrap();
    let script = "trap '' TERM; echo ready; while true; do sleep 0.05; done";
    let process = host.spawn(Command::new("sh").args(["-c", script])).unwrap();
    while process.stdout().unwrap().is_empty() {
        thread::sleep(Duration::from_millis(5));
    }
    let pid = process.id();
    process.kill(Signal::TERM).unwrap();
    thread::sleep(Duration::from_millis(100));
    assert!(runs(pid), "it ignores SIGTERM");
    drop(process);
    assert!(!runs(pid));
}

#[test]
fn dropping_the_lab_leaves_nothing_even_while_its_hosts_and_processes_are_held() {
    if !require_netns() {
        return;
    }
    let lab = Lab::new("drop").unwrap();
    let host = lab.host("device").unwrap();
    host.loss(100).unwrap();
    let process = host.spawn(Command::new("sh").args(["-c", "sleep 60 & echo $!; wait"])).unwrap();
    while process.stdout().unwrap().is_empty() {
        thread::sleep(Duration::from_millis(5));
    }
    let grandchild = process.stdout().unwrap().trim().parse().unwrap();
    let namespaces = lab.namespaces();
    let directory = lab.directory().to_owned();
    assert_eq!(listed(&namespaces), 2);
    assert!(runs(process.id()) && runs(grandchild) && directory.is_dir());
    drop(lab);
    assert_eq!(listed(&namespaces), 0);
    assert!(!runs(process.id()) && !runs(grandchild));
    assert_eq!(host.enter(|| ()).unwrap_err().code(), "io");
    assert_eq!(host.run(&Command::new("true")).unwrap_err().code(), "io");
    assert_eq!(host.spawn(&Command::new("true")).unwrap_err().code(), "io");
    assert_eq!(host.loss(1).unwrap_err().code(), "tool");
    drop((host, process));
    assert!(!directory.exists());
}

#[test]
fn a_panic_leaves_nothing() {
    if !require_netns() {
        return;
    }
    let mut namespaces = Vec::new();
    let mut pid = 0;
    let result = catch_unwind(AssertUnwindSafe(|| {
        let lab = Lab::new("panic").unwrap();
        let host = lab.host("device").unwrap();
        let process = host.spawn(Command::new("sleep").arg("60")).unwrap();
        (namespaces, pid) = (lab.namespaces(), process.id());
        assert_eq!(listed(&namespaces), 2);
        assert!(runs(pid));
        host.enter(|| panic!("on purpose")).unwrap();
    }));
    assert_eq!(*result.unwrap_err().downcast::<&str>().unwrap(), "on purpose");
    assert_eq!(listed(&namespaces), 0);
    assert!(!runs(pid));
}

/// Dies without unwinding, as a killed test does.
#[test]
#[ignore = "run by the test below"]
fn victim() {
    if std::env::var_os(VICTIM).is_none() {
        return;
    }
    let lab = Lab::new("victim").unwrap();
    let host = lab.host("device").unwrap();
    // In a namespace of its own, where the clearing up of other tests does not find it.
    let process = host.spawn(Command::new("unshare").args(["--net", "sleep", "60"])).unwrap();
    println!("\npid {} {} {}", process.id(), lab.directory().display(), lab.namespaces().join(" "));
    assert_eq!(listed(&lab.namespaces()), 2);
    assert!(runs(process.id()));
    std::process::abort();
}

#[test]
fn a_killed_test_takes_its_programs_along_and_the_next_lab_clears_up_the_rest() {
    if !require_netns() {
        return;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "victim", "--ignored", "--nocapture"])
        .env(VICTIM, "1")
        .output()
        .unwrap();
    assert!(output.status.code().is_none(), "killed by a signal: {output:?}");
    let stdout = String::from_utf8(output.stdout).unwrap();
    let (_, line) = stdout.split_once("pid ").unwrap();
    let mut words = line.split_ascii_whitespace().map(str::to_owned);
    let pid = words.next().unwrap().parse().unwrap();
    let directory = words.next().unwrap();
    let namespaces: Vec<_> = words.collect();
    assert_eq!(namespaces.len(), 2);
    let deadline = Instant::now() + Duration::from_secs(2);
    while runs(pid) && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
    }
    assert!(!runs(pid), "killed with its parent");
    let _lab = Lab::new("after").unwrap();
    assert_eq!(listed(&namespaces), 0);
    assert!(!Path::new(&directory).exists());
}

#[test]
fn a_name_is_taken_once_and_another_lab_is_left_alone() {
    if !require_netns() {
        return;
    }
    let first = Lab::new("same").unwrap();
    first.host("device").unwrap();
    assert_eq!(first.host("device").unwrap_err().code(), "tool");
    assert_eq!(first.host("bridge").unwrap_err().code(), "tool");
    let second = Lab::new("same").unwrap();
    second.host("device").unwrap();
    drop(second);
    assert_eq!(listed(&first.namespaces()), 2);
}

/// A socket of `host` that hears `group` on [`PORT`] and gives up after [`SILENCE`].
fn join(host: &Host, group: IpAddr) -> UdpSocket {
    let open = || -> io::Result<UdpSocket> {
        let socket = Socket::new(Domain::for_address(SocketAddr::new(group, PORT)), Type::DGRAM, None)?;
        // Beyond net.core.rmem_max: a reader that is not scheduled for a while loses nothing.
        set_socket_recv_buffer_size_force(&socket, 16 << 20)?;
        socket.bind(&SocketAddr::new(group, PORT).into())?;
        match group {
            IpAddr::V4(group) => socket.join_multicast_v4(&group, &host.v4())?,
            IpAddr::V6(group) => socket.join_multicast_v6(&group, INTERFACE_INDEX)?,
        }
        socket.set_read_timeout(Some(SILENCE))?;
        Ok(socket.into())
    };
    host.enter(open).unwrap().unwrap()
}

/// A socket of `host` that sends to `group`, by the host's multicast route.
fn send_socket(host: &Host, group: IpAddr) -> UdpSocket {
    let open = || -> io::Result<UdpSocket> {
        let socket = Socket::new(Domain::for_address(SocketAddr::new(group, PORT)), Type::DGRAM, None)?;
        socket.bind_device(Some(INTERFACE.as_bytes()))?;
        socket.connect(&SocketAddr::new(group, PORT).into())?;
        Ok(socket.into())
    };
    host.enter(open).unwrap().unwrap()
}

/// Sends `count` packets, slowly enough for any queue on the way.
fn send_paced(socket: &UdpSocket, count: usize) {
    for i in 0..count {
        socket.send(&[1; 100]).unwrap();
        if i % 20 == 19 {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// When each packet came, until [`SILENCE`].
fn receive(socket: &UdpSocket) -> Vec<Instant> {
    let mut arrivals = Vec::new();
    loop {
        match socket.recv(&mut [0; 2_000]) {
            Ok(_) => arrivals.push(Instant::now()),
            Err(e) => {
                assert_eq!(e.kind(), ErrorKind::WouldBlock);
                return arrivals;
            }
        }
    }
}

/// How many of the namespaces `ip netns list` shows.
fn listed(namespaces: &[String]) -> usize {
    let output = Command::new("ip").args(["netns", "list"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let all: Vec<_> = text.lines().filter_map(|line| line.split_ascii_whitespace().next()).collect();
    namespaces.iter().filter(|name| all.contains(&name.as_str())).count()
}

/// Whether a process exists and is more than a zombie.
fn runs(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}
