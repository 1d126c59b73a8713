//! Devices that know a domain only, and ask a real name server (Knot DNS) for groups and senders.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::path::{Path, PathBuf};
use std::process::Command;

use fleetcast_netlab::fleet::{Fleet, GROUP, count, noise, write};
use fleetcast_netlab::netns::{Host, Process, Signal};
use serde_json::{Value, json};

const DOMAIN: &str = "updates.acme.example";
const V4: &str = "232.1.2.3";
const V6: &str = "ff3e::8000:1";

/// A name server on a host of its own, with one zone. TTLs are of one second, which receivers stretch to ten.
struct Dns {
    host: Host,
    folder: PathBuf,
    serial: u32,
    server: Option<Process>,
}

impl Dns {
    fn new(fleet: &Fleet) -> Self {
        let (host, folder) = (fleet.host("dns"), fleet.path("dns-files"));
        std::fs::create_dir(&folder).unwrap();
        let mut dns = Self { host, folder, serial: 0, server: None };
        dns.zone("");
        dns
    }

    /// Writes the zone with these records of the domain.
    fn zone(&mut self, records: &str) {
        self.serial += 1;
        let soa =
            format!("@ SOA ns.acme.example. admin.acme.example. {} 60 60 60 1\n@ NS ns\nns A 192.0.2.1\n", self.serial);
        let zone = format!("$ORIGIN acme.example.\n$TTL 1\n{soa}{records}\n");
        write(&self.folder.join("zone"), zone.as_bytes());
        if let Some(server) = &self.server {
            server.kill(Signal::HUP).unwrap();
        }
    }

    /// Starts it; without a zone it answers every question with a failure.
    fn start(&mut self, has_zone: bool) {
        let folder = self.folder.display();
        let (address, zone) = (self.host.v4(), if has_zone { "zone" } else { "none" });
        let config = format!(
            "server:\n  rundir: \"{folder}\"\n  listen: {address}@53\nlog:\n  - target: stderr\n    any: info\ndatabase:\n  \
             storage: \"{folder}\"\ntemplate:\n  - id: default\n    storage: \"{folder}\"\n    zonefile-sync: -1\n    \
             zonefile-load: whole\n    journal-content: none\nzone:\n  - domain: acme.example\n    file: {zone}\n"
        );
        write(&self.folder.join("knot.conf"), config.as_bytes());
        let server = self.host.spawn(Command::new("knotd").arg("-c").arg(self.folder.join("knot.conf"))).unwrap();
        self.server = Some(server);
    }

    fn stop(&mut self) {
        let mut server = self.server.take().unwrap();
        server.kill(Signal::TERM).unwrap();
        server.wait(fleetcast_netlab::fleet::PATIENCE).unwrap();
    }

    /// Options of a device that knows the domain only.
    fn options(&self) -> String {
        format!("--domain {DOMAIN} --dns {}", self.host.v4())
    }

    /// What `discover` prints on a host.
    fn discover(&self, on: &Host) -> (bool, String) {
        let program = fleetcast_netlab::fleet::program("recv");
        let mut command = Command::new(program);
        command.args(["discover", DOMAIN, "--json", "--dns", &self.host.v4().to_string()]);
        let output = on.run(&command).unwrap();
        (
            output.status.success(),
            String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap(),
        )
    }
}

/// Files that stand in for those of `/etc` on a host, see ip-netns(8).
struct Etc(PathBuf);

impl Etc {
    fn new(host: &Host, dns: &Dns) -> Self {
        let folder = Path::new("/etc/netns").join(host.namespace());
        std::fs::create_dir_all(&folder).unwrap();
        write(&folder.join("resolv.conf"), format!("nameserver {}\n", dns.host.v4()).as_bytes());
        Self(folder)
    }
}

impl Drop for Etc {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Records of one sender, and of the text.
fn records(sender: &Host, text: &str) -> String {
    format!(
        "_fleetcast._udp.updates SRV 10 0 4000 head-end\n_fleetcast._udp.updates TXT \"v=1\" {text}\nhead-end A {}\nhead-end AAAA {}\n",
        sender.v4(),
        sender.v6()
    )
}

/// `discovered` with exactly this group and source.
fn is_from(event: &Value, group: &str, source: &impl ToString) -> bool {
    event["feeds"] == json!([{ "group": format!("{group}:4000"), "sources": [source.to_string()], "layers": 1 }])
}

fn remembered(fleet: &Fleet, device: &str) -> PathBuf {
    fleet.path(device).join("state/discovered")
}

/// Whether the host is a member of a group, by the kernel's list.
fn is_member(host: &Host, list: &str, group: &str) -> bool {
    let path = format!("/proc/thread-self/net/{list}");
    host.enter(|| std::fs::read_to_string(Path::new(&path)).unwrap()).unwrap().to_lowercase().contains(group)
}

#[test]
fn a_device_that_knows_a_domain_only_installs_from_the_senders_that_dns_names() {
    let Some(fleet) = Fleet::new("discover") else { return };
    let release = fleet.release(1, &noise(1, 1 << 20));
    let (sender, other) = (fleet.host("sender"), fleet.host("other"));
    let mut dns = Dns::new(&fleet);
    for (name, group, source) in [("four", V4, sender.v4().to_string()), ("six", V6, sender.v6().to_string())] {
        dns.zone(&records(&sender, &format!("\"group={group}\" \"later=x\"")));
        dns.start(true);
        let shown = if group.contains(':') { format!("[{group}]") } else { group.to_owned() };
        let device = fleet.device(name, &["app"]);
        // Asked for of the system in one case.
        let _etc = Etc::new(&device.host, &dns);
        let options = if name == "six" { format!("--domain {DOMAIN}") } else { dns.options() };
        let mut run = device.start(&format!("--once {options}"));
        let found = run.wait_for("discovered");
        assert!(is_from(&found, &shown, &source) && found["origin"] == "dns", "{found}");
        // Who else sends to the group is not heard.
        let foreign = fleet.release(7, &noise(7, 1 << 16));
        let _other = fleet.send(&other, &foreign, &format!("--rate 2M --group {shown}:4000"));
        let _send = fleet.send(&sender, &release, &format!("--rate 20M --group {shown}:4000"));
        run.success();
        device.assert_runs(&release);
        assert!(remembered(&fleet, name).exists());
        let (is_good, text) = dns.discover(&device.host);
        assert!(is_good && text.contains(&source), "{text}");
        let (code, report) = device.doctor(&format!("--for 1s {}", dns.options()));
        assert!(code == 0 && report.to_string().contains("\"discovered\""), "{report}");
        dns.stop();
    }
}

#[test]
fn a_device_that_knows_a_domain_only_joins_the_layers_that_dns_names() {
    let Some(fleet) = Fleet::new("dnslayers") else { return };
    let release = fleet.release(1, &noise(1, 32 << 20));
    let sender = fleet.host("sender");
    let mut dns = Dns::new(&fleet);
    dns.zone(&records(&sender, &format!("\"group={V4}\" \"layers=3\"")));
    dns.start(true);
    let device = fleet.device("device", &["app"]);
    let mut run = device.start(&format!("--once {}", dns.options()));
    let found = run.wait_for("discovered");
    assert_eq!(found["feeds"][0]["layers"], 3, "{found}");
    let _send = fleet.send(&sender, &release, &format!("--layers 3 --rate 20M --group {V4}:4000"));
    run.wait_until("layers", |event| event["joined"] == 3 && event["code"] == "kept");
    run.success();
    device.assert_runs(&release);
}

#[test]
fn a_device_follows_the_zone_and_stays_where_it_is_while_dns_fails() {
    let Some(fleet) = Fleet::new("follow") else { return };
    let (first, second) = (fleet.release(1, &noise(1, 1 << 20)), fleet.release(2, &noise(2, 1 << 20)));
    let sender = fleet.host("sender");
    let mut dns = Dns::new(&fleet);
    dns.zone(&records(&sender, &format!("\"group={V4}\"")));
    dns.start(true);
    let device = fleet.device("device", &["app"]);
    let mut run = device.start(&dns.options());
    run.wait_for("discovered");
    let send = fleet.send(&sender, &first, &format!("--rate 400k --group {V4}:4000"));
    run.wait_until("progress", |progress| count(progress, "have") > 50);
    // Midway the server answers no question any more, then it is gone: reception goes on.
    dns.stop();
    dns.start(false);
    run.wait_until("warning", |warning| warning["code"] == "dns-failure");
    dns.stop();
    run.wait_until("installed", |installed| installed["release"]["sequence"] == 1);
    assert_eq!(run.all("discovered").len(), 1, "nothing was left or joined anew");
    drop(send);
    // The sender moves.
    let moved = "232.9.9.9";
    dns.zone(&records(&sender, &format!("\"group={moved}\"")));
    dns.start(true);
    run.wait_until("discovered", |found| is_from(found, moved, &sender.v4()));
    let _send = fleet.send(&sender, &second, &format!("--rate 20M --group {moved}:4000"));
    run.wait_until("installed", |installed| installed["release"]["sequence"] == 2);
    device.assert_runs(&second);
    assert!(!is_member(&device.host, "igmp", "030201e8"), "it has left the old group");
    assert_eq!(run.end(Signal::TERM), 0);
}

#[test]
fn a_device_that_starts_without_dns_uses_what_it_remembers_and_asks_on() {
    let Some(fleet) = Fleet::new("remember") else { return };
    let (first, second) = (fleet.release(1, &noise(1, 1 << 18)), fleet.release(2, &noise(2, 1 << 18)));
    let sender = fleet.host("sender");
    let mut dns = Dns::new(&fleet);
    dns.zone(&records(&sender, &format!("\"group={V4}\"")));
    let device = fleet.device("device", &["app"]);
    // Nothing is known, and nobody answers; then somebody does.
    let mut run = device.start(&dns.options());
    run.wait_until("warning", |warning| warning["code"].as_str().unwrap().starts_with("dns-"));
    assert!(run.all("discovered").is_empty());
    dns.start(true);
    run.wait_for("discovered");
    let send = fleet.send(&sender, &first, &format!("--rate 20M --group {V4}:4000"));
    run.wait_for("installed");
    assert_eq!(run.end(Signal::TERM), 0);
    drop(send);
    dns.stop();
    let mut run = device.start(&dns.options());
    let found = run.wait_for("discovered");
    assert!(is_from(&found, V4, &sender.v4()) && found["origin"] == "remembered", "{found}");
    let _send = fleet.send(&sender, &second, &format!("--rate 20M --group {V4}:4000"));
    run.wait_until("installed", |installed| installed["release"]["sequence"] == 2);
    device.assert_runs(&second);
    assert_eq!(run.end(Signal::TERM), 0);
    // A damaged one is as none.
    write(&remembered(&fleet, "device"), b"{\"v\":1");
    let mut run = device.start(&dns.options());
    run.wait_until("warning", |warning| warning["code"].as_str().unwrap().starts_with("dns-"));
    assert!(run.all("discovered").is_empty());
    assert_eq!(run.end(Signal::TERM), 0);
}

#[test]
fn a_zone_that_lies_is_told_and_has_nothing_joined() {
    let Some(fleet) = Fleet::new("lies") else { return };
    let release = fleet.release(1, &noise(1, 1 << 20));
    let sender = fleet.host("sender");
    let mut dns = Dns::new(&fleet);
    let srv = |count: u32| (0..count).map(|n| format!("_fleetcast._udp.updates SRV 1 0 4000 h{n}\nh{n} A 192.0.2.1\n"));
    let srv = |count| srv(count).collect::<String>();
    let text = |text: &str| format!("_fleetcast._udp.updates TXT \"v=1\" {text}\n");
    let lies = [
        ("unicast", records(&sender, "\"group=192.0.2.7\""), "dns-group"),
        ("control", records(&sender, "\"group=224.0.0.251\""), "dns-group"),
        ("path", records(&sender, "\"group=/etc/passwd\""), "dns-group"),
        ("many", srv(9) + &text("\"group=232.66.6.6\""), "dns-too-many"),
        ("huge", srv(300) + &text("\"group=232.66.6.6\""), "dns-truncated"),
        ("layers", records(&sender, "\"group=232.66.6.6\" \"layers=200\""), "dns-layers"),
        (
            "self",
            "_fleetcast._udp.updates SRV 1 0 4000 h\nh A 127.0.0.1\n".to_owned() + &text("\"group=232.66.6.6\""),
            "dns-source",
        ),
        (
            "none",
            "_fleetcast._udp.updates SRV 1 0 4000 h\n".to_owned() + &text("\"group=239.66.6.6\""),
            "dns-no-address",
        ),
    ];
    let mut runs = Vec::new();
    let send = fleet.send(&sender, &release, "--rate 5M");
    for (name, zone, code) in &lies {
        dns.zone(zone);
        dns.start(true);
        let device = fleet.device(name, &["app"]);
        // What the settings say goes on beside.
        let mut run = device.start(&format!("--group {GROUP} {}", dns.options()));
        run.wait_until("warning", |warning| warning["code"] == *code);
        assert!(!dns.discover(&device.host).0, "{name}");
        runs.push((device, run));
        dns.stop();
    }
    for (device, run) in &mut runs {
        run.wait_for("installed");
        device.assert_runs(&release);
        assert!(run.all("discovered").is_empty());
        assert!(!is_member(&device.host, "igmp", "060642e8"), "{}", device.host.name());
        assert!(is_member(&device.host, "igmp", "01014def"), "{GROUP} of the settings");
    }
    drop(send);
}

#[test]
fn dns_changes_no_group_of_the_settings() {
    let Some(fleet) = Fleet::new("settings") else { return };
    let (good, foreign) = (fleet.release(1, &noise(1, 1 << 20)), fleet.release(2, &noise(2, 1 << 20)));
    let (sender, stranger) = (fleet.host("sender"), fleet.host("stranger"));
    let mut dns = Dns::new(&fleet);
    let (group, _) = GROUP.split_once(':').unwrap();
    dns.zone(&records(&stranger, &format!("\"group={group}\"")));
    dns.start(true);
    let device = fleet.device("device", &["app"]);
    let mut run = device.start(&format!("--group {GROUP} --source {} {}", sender.v4(), dns.options()));
    run.wait_for("discovered");
    let _foreign = fleet.send(&stranger, &foreign, "--rate 5M");
    let _good = fleet.send(&sender, &good, "--rate 2M");
    assert_eq!(run.wait_for("installed")["release"]["sequence"], 1);
    device.assert_runs(&good);
    assert_eq!(run.end(Signal::TERM), 0);
}
