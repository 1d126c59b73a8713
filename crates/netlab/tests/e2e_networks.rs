//! Groups in networks as they are: switches that snoop and forget, one uplink, routers.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use fleetcast_netlab::fleet::{Fleet, PATIENCE, count, noise, run, write};
use fleetcast_netlab::netns::{Host, Process, Signal};

/// Runs a command of a shell in a namespace, and gives its output.
fn sh(namespace: &str, command: &str) -> String {
    let output = run(Command::new("ip").args(["netns", "exec", namespace, "sh", "-c", command]));
    String::from_utf8(output.stdout).unwrap()
}

/// Counts the UDP packets that come in (`prerouting`) or go out (`output`), of each family.
fn watch(host: &Host, hook: &str) {
    let rules = format!(
        "add table inet watch; add counter inet watch four; add counter inet watch six;
         add chain inet watch seen {{ type filter hook {hook} priority -310; }};
         add rule inet watch seen iifname != lo meta nfproto ipv4 meta l4proto udp counter name four;
         add rule inet watch seen iifname != lo meta nfproto ipv6 meta l4proto udp counter name six;"
    );
    let rules = if hook == "output" { rules.replace("iifname", "oifname") } else { rules };
    sh(host.namespace(), &format!("nft '{rules}'"));
}

/// Packets and octets counted so far, of IPv4 and of IPv6.
fn watched(host: &Host) -> [(u64, u64); 2] {
    ["four", "six"].map(|name| {
        let text = sh(host.namespace(), &format!("nft list counter inet watch {name}"));
        let after = |word| text.split_ascii_whitespace().skip_while(|w| *w != word).nth(1).unwrap().parse().unwrap();
        (after("packets"), after("bytes"))
    })
}

/// Packets of both families counted so far.
fn packets(host: &Host) -> u64 {
    watched(host).map(|(packets, _)| packets).iter().sum()
}

/// Waits until it is so.
#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "not yet: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until nothing has come to a host for half a second.
#[track_caller]
fn wait_for_silence(host: &Host) {
    wait_until("silence", || {
        let before = packets(host);
        thread::sleep(Duration::from_millis(500));
        packets(host) == before
    });
}

#[test]
fn behind_a_switch_that_snoops_packets_come_to_members_only_and_only_while_they_are() {
    let Some(fleet) = Fleet::new("members") else { return };
    let release = fleet.release(1, &noise(1, 8 << 20));
    let (sender, bystander) = (fleet.host("sender"), fleet.host("bystander"));
    let devices = ["one", "two"].map(|name| fleet.device(name, &["app"]));
    watch(&sender, "output");
    for host in [&bystander, &devices[0].host, &devices[1].host] {
        watch(host, "prerouting");
    }
    fleet.lab.snooping(true).unwrap();
    let sources = [sender.v4().to_string(), sender.v6().to_string()];
    for (group, source) in [
        ("239.77.1.1:4000", None),
        ("[ff15::77]:4000", None),
        ("232.77.1.1:4000", Some(&sources[0])),
        ("[ff35::77]:4000", Some(&sources[1])),
    ] {
        let _send = fleet.send(&sender, &release, &format!("--group {group} --rate 5M"));
        let source = source.map_or(String::new(), |source| format!("--source {source}"));
        let (sent, before) = (packets(&sender), devices.each_ref().map(|device| packets(&device.host)));
        wait_until("sent", || packets(&sender) > sent + 500);
        assert_eq!(devices.each_ref().map(|device| packets(&device.host)), before, "{group}: without a member");

        let mut member = devices[0].start(&format!("--group {group} {source}"));
        let _ = member.wait_until("progress", |progress| count(progress, "have") > 100);
        assert_eq!(packets(&devices[1].host), before[1], "{group}: no member");
        member.end(Signal::TERM);
        wait_for_silence(&devices[0].host);
        assert_eq!(packets(&devices[1].host), before[1], "{group}: no member");
    }
    assert_eq!(packets(&bystander), 0);
}

#[test]
fn one_stream_crosses_the_uplink_however_many_receive_it() {
    let mut octets = Vec::new();
    for receivers in [1, 4, 16] {
        let Some(fleet) = Fleet::new(&format!("uplink-{receivers}")) else { return };
        let release = fleet.release(1, &noise(1, 1 << 20));
        let sender = fleet.host("sender");
        let devices: Vec<_> = (0..receivers).map(|n| fleet.device(&format!("device-{n}"), &["app"])).collect();
        let mut runs: Vec<_> = devices.iter().map(|device| device.start("--once")).collect();
        for run in &mut runs {
            run.wait_for("ready");
        }
        fleet.lab.snooping(true).unwrap();
        watch(&sender, "output");
        let mut send = fleet.send(&sender, &release, "--cycles 2 --start 0 --rate 10M --no-gso");
        send.success();
        for (run, device) in runs.iter_mut().zip(&devices) {
            run.success();
            device.assert_runs(&release);
        }
        let [(packets, came), _] = watched(&sender);
        println!("{receivers} receivers: {packets} packets, {came} octets, {:.2} s", send.process.cpu_seconds());
        octets.push(came);
    }
    // A busy machine sends a few more manifests, which are due by time too.
    let (least, most) = (octets.iter().min().unwrap(), octets.iter().max().unwrap());
    assert!(most - least < least / 100, "{octets:?}");
}

/// A multicast router with a route for `group` from `source`.
fn route(fleet: &Fleet, router: &Host, [from, to]: [&str; 2], groups: &[(&str, String)]) -> Process {
    sh(router.namespace(), "echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding");
    let route = |(group, source): &(&str, String)| {
        let of = format!("from {from} group {group} source {source}");
        format!("mgroup {of}\nmroute {of} to {to}\n")
    };
    let settings =
        format!("phyint {from} enable\nphyint {to} enable\n") + &groups.iter().map(route).collect::<String>();
    let path = |end: &str| fleet.path(&format!("{}.{end}", router.name())).display().to_string();
    write(path("conf").as_ref(), settings.as_bytes());
    let (conf, pid, socket) = (path("conf"), path("pid"), path("sock"));
    let mut command = Command::new("smcrouted");
    command.args(["-n", "-N", "-f", &conf, "-P", &pid, "-u", &socket]);
    let process = router.spawn(&command).unwrap();
    let is_routed = |table: &str| sh(router.namespace(), &format!("cat /proc/net/{table}")).lines().count() > 1;
    wait_until("routes", || is_routed("ip_mr_cache") && is_routed("ip6_mr_cache"));
    process
}

#[test]
fn source_specific_groups_cross_two_routers_as_far_as_the_hop_limit_says() {
    let Some(fleet) = Fleet::new("routers") else { return };
    // Of the Debian package smcroute; without it this fails at once.
    run(Command::new("smcrouted").arg("-v"));
    let (sender, device) = (fleet.host("sender"), fleet.device("device", &["app"]));
    let routers = ["router-1", "router-2"].map(|name| fleet.host(name));
    fleet.lab.cable(1, [&routers[0], &routers[1]]).unwrap();
    fleet.lab.cable(2, [&routers[1], &device.host]).unwrap();
    // Only the cable leads to it. Neither it nor the second router takes what comes from where no route leads back.
    device.host.remove_interface().unwrap();
    routers[1].remove_interface().unwrap();
    for (host, via) in [(&routers[1], 1), (&device.host, 2)] {
        let way_back = format!(
            "ip route add 10.77.0.0/16 via 10.78.{via}.1 && ip route add fd77::/64 via fd78:{via}::1;
             echo 1 > /proc/sys/net/ipv4/conf/all/rp_filter"
        );
        sh(host.namespace(), &way_back);
    }
    let groups = [("232.77.1.1", sender.v4().to_string()), ("ff35::77", sender.v6().to_string())];
    let _routed = [
        route(&fleet, &routers[0], ["eth0", "cable1"], &groups),
        route(&fleet, &routers[1], ["cable1", "cable2"], &groups),
    ];
    for (sequence, (group, source)) in (1..).zip(&groups) {
        let release = fleet.release(sequence, &noise(sequence, 300_000));
        let group = if group.contains(':') { format!("[{group}]:4000") } else { format!("{group}:4000") };
        let here = format!("--interface cable2 --group {group} --source {source}");
        let mut send = fleet.send(&sender, &release, &format!("--group {group} --hops 2 --rate 5M"));
        send.wait_for("ready");
        let (code, report) = device.doctor(&format!("--for 2s {here}"));
        assert!(code == 1 && report.to_string().contains("no-packets"), "{report}");
        send.end(Signal::INT);

        let _send = fleet.send(&sender, &release, &format!("--group {group} --hops 3 --rate 5M"));
        device.start(&format!("--once {here}")).success();
        device.assert_runs(&release);
    }
}

#[test]
fn groups_are_reported_anew_when_the_network_has_forgotten_them_and_nobody_asks() {
    let Some(fleet) = Fleet::new("forgotten") else { return };
    let release = fleet.release(1, &noise(1, 64 << 20));
    let (sender, device) = (fleet.host("sender"), fleet.device("device", &["app"]));
    let bridge = &fleet.lab.namespaces()[0];
    watch(&device.host, "prerouting");
    // Queries do not reach the device, which so is never asked.
    sh(
        device.host.namespace(),
        "nft 'add rule inet watch seen ip protocol igmp drop; add rule inet watch seen icmpv6 type mld-listener-query drop'",
    );
    fleet.lab.snooping(true).unwrap();
    let groups = ["239.77.1.1:4000", "[ff15::77]:4000"];
    let _sends = groups.map(|group| fleet.send(&sender, &release, &format!("--group {group} --rate 1M")));
    let grows = || {
        let before = watched(&device.host);
        wait_until("packets of both families", || {
            let now = watched(&device.host);
            now[0].0 > before[0].0 + 20 && now[1].0 > before[1].0 + 20
        });
    };
    let _run = device.start(&groups.map(|group| format!("--group {group}")).join(" "));
    grows();

    // Another address is no other member.
    sh(device.host.namespace(), "ip addr add 10.77.9.9/16 dev eth0; ip addr del 10.77.0.2/16 dev eth0");
    grows();

    // Plugged into another switch, which knows nothing of it.
    sh(bridge, "ip link set p2 down");
    wait_until("no carrier", || sh(device.host.namespace(), "ip link show eth0").contains("NO-CARRIER"));
    thread::sleep(Duration::from_secs(3));
    sh(bridge, "ip link set p2 up");
    grows();

    // The switch forgets whoever is silent for two seconds.
    sh(bridge, "ip link set br0 type bridge mcast_membership_interval 200");
    sh(bridge, "ip link set br0 type bridge mcast_snooping 0; ip link set br0 type bridge mcast_snooping 1");
    wait_for_silence(&device.host);
    grows();
}
