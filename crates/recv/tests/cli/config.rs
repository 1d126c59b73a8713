//! Settings, by file and by flag.

use super::common::Folder;
use fleetcast_netlab::command_line::{Done, shipped};

/// The smallest good file; each line is one key.
const GOOD: &str = r#"trust = ["key.pem"]
vendor = "acme.example"
classes = ["board-a"]
interface = "eth0"
groups = ["239.255.70.67:4701"]
state = "/var/lib/fleetcast"
[[target]]
name = "app"
path = "/data/app.img"
"#;

fn folder() -> Folder {
    let folder = Folder::default();
    for (name, key) in [("key.pem", "release"), ("other.pem", "other")] {
        folder.write(name, std::fs::read(shipped(&format!("keys/UNSAFE-test-{key}.pub.pem"))).unwrap());
    }
    folder
}

fn check(folder: &Folder, text: &str) -> Done {
    folder.write("recv.toml", text);
    folder.recv(&["check-config", "recv.toml"])
}

#[test]
fn the_example_with_slots_is_good_and_so_are_the_defaults_it_shows() {
    let folder = folder();
    std::fs::copy(folder.path("key.pem"), folder.path("release-key.pub.pem")).unwrap();
    let example = std::fs::read_to_string(shipped("examples/recv-slots.toml")).unwrap();
    check(&folder, &example).ok();
    let shown = ["attempts", "timeout", "interval", "deadline", "before-install"];
    let uncomment = |line: &str| match line.strip_prefix('#') {
        Some(key) if shown.iter().any(|name| key.starts_with(&format!("{name} = "))) => key.to_owned(),
        _ => line.to_owned(),
    };
    check(&folder, &example.lines().map(uncomment).collect::<Vec<_>>().join("\n")).ok();
}

#[test]
fn ways_to_install_do_not_mix_and_programs_are_absolute() {
    let folder = folder();
    std::fs::copy(folder.path("key.pem"), folder.path("release-key.pub.pem")).unwrap();
    let example = std::fs::read_to_string(shipped("examples/recv-slots.toml")).unwrap();
    let boot = "adapter = [\"/usr/lib/fleetcast/boot/uboot\"]";
    for (from, to, problem) in [
        ("[boot]", "[boot.x]", "unknown field"),
        (boot, "adapter = []", "adapter: the list is empty"),
        (boot, "adapter = [\"uboot\"]", "no absolute path"),
        ("#attempts = 3", "attempts = 0", "attempts: 1 to 9 are possible"),
        ("#timeout = \"30s\"", "timeout = \"soon\"", "timeout: "),
        ("slots = [\"/dev/disk/by-partlabel/kernel-a\", ", "slots = [", "expected an array of length 2"),
        ("/dev/disk/by-partlabel/kernel-a", "/dev/disk/by-partlabel/kernel-b", "both slots are"),
        ("/dev/disk/by-partlabel/kernel-a", "/dev/disk/by-partlabel/rootfs-b", "have the same path"),
        ("slots = [\"/dev/disk/by-partlabel/kernel-a\"", "path = \"/x\"\nslots = [\"/y\"", "either a `path` or two"),
        ("[hooks]", "[exec]\nprogram = [\"/x\"]\n[hooks]", "there is a table boot too"),
    ] {
        let text = example.replace(from, to);
        assert_ne!(text, example, "{from}");
        check(&folder, &text).failed(78, &["recv.toml:", problem]);
    }
    let without = example.replace("[boot]", "[unused]").replace(boot, "");
    let start = without.find("[unused]").unwrap();
    let end = without.find("# A new release is on trial").unwrap();
    check(&folder, &[&without[..start], &without[end..]].concat()).failed(78, &["there is no table boot"]);
    let path = example
        .replace("slots = [\"/dev/disk/by-partlabel/kernel-a\", \"/dev/disk/by-partlabel/kernel-b\"]", "path = \"/x\"");
    check(&folder, &path).failed(78, &["has no `slots`"]);
}

#[test]
fn the_example_is_good() {
    let folder = folder();
    std::fs::copy(folder.path("key.pem"), folder.path("release-key.pub.pem")).unwrap();
    let example = std::fs::read_to_string(shipped("examples/recv.toml")).unwrap();
    let done = check(&folder, &example).ok();
    assert!(done.stdout.starts_with("recv.toml: good; trusted keys: "), "{done:?}");
    // The defaults it shows are good too.
    let shown = |line: &str| match line.strip_prefix('#') {
        Some(key) if key.starts_with("root = ") => String::new(),
        Some(key) if key.starts_with(|c: char| c.is_ascii_lowercase()) && key.contains(" = ") => key.to_owned(),
        Some(table) if table.starts_with('[') => table.to_owned(),
        _ => line.to_owned(),
    };
    let all = example.lines().map(shown).collect::<Vec<_>>().join("\n");
    assert!(all.contains("\nmax-size = ") && all.contains("\nstaging = ") && all.contains("\n[repair]\n"));
    check(&folder, &all).ok();
}

#[test]
fn a_domain_stands_in_for_groups_and_name_servers_need_one() {
    let folder = folder();
    let groups = "groups = [\"239.255.70.67:4701\"]";
    let domain = "domain = \"updates.acme.example\"";
    for good in [
        domain.to_owned(),
        format!("{domain}\n{groups}"),
        format!("{domain}\ndns = [\"192.0.2.53\", \"[fd00::1]:5353\"]"),
    ] {
        check(&folder, &GOOD.replace(groups, &good)).ok();
    }
    for (wrong, problem) in [
        ("domain = \"a..b\"", "recv.toml:5: domain: \"a..b\" is no domain name"),
        ("domain = \"../x\"", "recv.toml:5: domain: \"../x\" is no domain name"),
        ("domain = \"a\"\ndns = \"ns\"", "recv.toml:6: dns: \"ns\" is not ADDR or ADDR:PORT"),
        ("domain = \"a\"\ndns = []", "recv.toml:6: dns: 0 name servers, where 1 to 3 are possible"),
        ("groups = [\"239.1.1.1:5\"]\ndns = \"::1\"", "recv.toml:6: dns: name servers are asked for a `domain` only"),
        ("domain = \"a\"\nsource = \"192.0.2.1\"", "groups is not set"),
        ("", "groups is not set"),
    ] {
        check(&folder, &GOOD.replace(groups, wrong)).failed(78, &[problem]);
    }
}

#[test]
fn what_is_wrong_is_told_with_line_and_key() {
    let folder = folder();
    check(&folder, GOOD).ok();
    check(&folder, &GOOD.replace("/data/app.img", "/var/lib/fleetcast/app.img")).ok();
    let several = "[\"eth0\", \"wlan0\"]\nsource = [\"192.0.2.1\", \"192.0.2.2\", \"fd00::1\"]";
    let groups = "\"232.1.1.1:5\", \"[ff35::1]:5\", \"239.255.70.67:4701\"";
    check(&folder, &GOOD.replace("\"eth0\"", several).replace("\"239.255.70.67:4701\"", groups)).ok();
    let cases = [
        ("vendor", "vender = 1", "recv.toml:2: unknown field `vender`"),
        ("vendor", "vendor = 7", "recv.toml:2: invalid type"),
        ("vendor", "vendor = \"a b\"", "recv.toml:2: vendor: \"a b\" is neither"),
        ("vendor", "", "recv.toml: vendor is not set"),
        ("vendor", "vendor = \"a\"\nvendor = \"b\"", "recv.toml:3: duplicate key"),
        ("vendor", "vendor = \"a", "recv.toml:2: "),
        ("trust", "trust = [\"missing.pem\"]", "recv.toml:1: trust: cannot use key missing.pem"),
        ("trust", "trust = [\"key.pem\", \"key.pem\"]", "recv.toml:1: trust: key "),
        ("trust", "threshold = 2\ntrust = [\"key.pem\"]", "recv.toml:2: trust: a threshold of 2 cannot be met"),
        ("trust", "threshold = 0\ntrust = [\"key.pem\"]", "recv.toml:2: trust: a threshold of 0"),
        ("classes", "classes = []", "recv.toml:3: classes: the list is empty"),
        ("interface", "interface = \"\"", "recv.toml:4: interface: it is empty"),
        ("interface", "interface = []", "recv.toml:4: interface: it is empty"),
        (
            "interface",
            "interface = 7",
            "recv.toml:4: invalid type: integer `7`, expected a string or a list of strings",
        ),
        ("interface", "interface = [\"a\", \"b\", \"a\"]", "recv.toml:4: interface: a is named twice"),
        ("groups", "groups = [\"10.0.0.1:5077\"]", "recv.toml:5: groups: 10.0.0.1 is no multicast address"),
        ("groups", "groups = [\"239.77.1.1\"]", "recv.toml:5: groups: \"239.77.1.1\" is not ADDR:PORT"),
        ("groups", "groups = [\"232.1.1.1:5\"]", "recv.toml:5: groups: group 232.1.1.1 is source-specific"),
        ("groups", "groups = [\"239.77.1.1:0\"]", "recv.toml:5: groups: group 239.77.1.1 needs a UDP port"),
        (
            "groups",
            "groups = [\"[ff15::1]:5\", \"239.77.1.1:5\", \"[ff15:0::1]:5\"]",
            "recv.toml:5: groups: [ff15::1]:5 is named twice",
        ),
        ("interface", "interface = \"eth0\"\nsource = \"me\"", "recv.toml:5: source: \"me\" is not an IP address"),
        ("interface", "interface = \"eth0\"\nsource = []", "recv.toml:5: source: the list is empty"),
        (
            "interface",
            "interface = \"eth0\"\nsource = [\"10.0.0.1\", \"fd00::1\"]",
            "recv.toml:5: source: source fd00::1 is no unicast address of the family of any group",
        ),
        (
            "groups",
            "groups = [\"239.77.1.1:5\", \"[ff15::1]:5\"]\nsource = [\"10.0.0.1\"]",
            "recv.toml:6: source: no source is of the family of group ff15::1",
        ),
        ("state", "state = \"here\"", "recv.toml:6: state: \"here\" must be an absolute path"),
        ("state", "state = \"/x\"\nseeds = \"/y\"", "recv.toml:7: invalid type"),
        (
            "state",
            "state = \"/x\"\nseeds = [\"/y\", \"old.img\"]",
            "recv.toml:7: seeds: \"old.img\" must be an absolute path",
        ),
        ("state", "state = \"/x\"\nseeds = [\"/y\", \"/y\"]", "recv.toml:7: seeds: /y is named twice"),
        ("state", "state = \"/x\"\nreceive-buffer = \"4 M\"", "recv.toml:7: receive-buffer: \"4 M\" is no size"),
        ("state", "state = \"/x\"\nreceive-buffer = \"8G\"", "recv.toml:7: receive-buffer: 8589934592 octets"),
        ("state", "state = \"/x\"\nmax-packet = 83", "recv.toml:7: max-packet: 83, where 84 to 8972"),
        ("state", "state = \"/x\"\nstaging = 1025", "recv.toml:7: staging: 1025, where 256 to 1024"),
        ("state", "state = \"/x\"\nprogress-interval = \"1d\"", "recv.toml:7: progress-interval: \"1d\" is no time"),
        ("name", "name = \"../app\"", "recv.toml:8: name: \"../app\" is no target name"),
        ("path", "path = \"data/app.img\"", "recv.toml:9: path: \"data/app.img\" must be an absolute path"),
        ("path", "path = \"/data/../app.img\"", "recv.toml:9: path: \"/data/../app.img\" must be"),
        ("path", "path = \"/x\"\nmax-size = \"big\"", "recv.toml:10: max-size: \"big\" is no size"),
        ("path", "path = \"/x\"\nmode = 7", "recv.toml:10: unknown field `mode`"),
        ("path", "path = \"/x\"\n[[target]]\nname = \"app\"\npath = \"/y\"", "recv.toml:11: name: targets app and app"),
        (
            "path",
            "path = \"/x\"\n[[target]]\nname = \"b\"\npath = \"/x\"",
            "recv.toml:11: name: targets app and b have the same path",
        ),
        (
            "path",
            "path = \"/var/lib/fleetcast\"",
            "recv.toml:8: name: target app: /var/lib/fleetcast is the receiver's own",
        ),
        ("path", "path = \"/var/lib\"", "recv.toml:8: name: target app: /var/lib is the receiver's own"),
        ("path", "path = \"/var/lib/fleetcast/record\"", "target app: /var/lib/fleetcast/record is the receiver's own"),
        ("path", "path = \"/var/lib/fleetcast/scratch.0.0\"", "scratch.0.0 is the receiver's own"),
        ("[[target]]", "", "recv.toml:7: unknown field `name`"),
    ];
    for (key, with, expected) in cases {
        let mut lines: Vec<_> = GOOD.lines().collect();
        let at = lines.iter().position(|line| line.starts_with(key)).unwrap();
        lines[at] = with;
        let text: Vec<_> = lines.into_iter().filter(|line| !line.is_empty()).collect();
        check(&folder, &text.join("\n")).failed(78, &[expected]);
    }
    let none = GOOD.split("[[target]]").next().unwrap();
    check(&folder, none).failed(78, &["recv.toml: target is not set"]);
    folder.recv(&["check-config", "missing.toml"]).failed(78, &["missing.toml: cannot read it: No such file"]);
    folder.write("recv.toml", b"\xff\xfe");
    folder.recv(&["check-config", "recv.toml"]).failed(78, &["recv.toml: cannot read it"]);
}

#[test]
fn where_and_when_to_ask_is_checked() {
    let folder = folder();
    let with = |lines: &str| check(&folder, &format!("{GOOD}[nack]\n{lines}"));
    with("to = \"239.77.1.2:5\"\nwindow = \"10ms\"\nhold = \"10ms\"\nper-minute = 60\nhops = 3").ok();
    with("to = \"[fd00::1]:5\"").ok();
    for (lines, expected) in [
        ("", "recv.toml:10: missing field `to`"),
        ("to = \"10.0.0.1\"", "recv.toml:11: to: it is not ADDR:PORT"),
        ("to = \"232.1.1.1:5\"", "recv.toml:11: to: group 232.1.1.1 is source-specific"),
        ("to = \"10.0.0.1:0\"", "recv.toml:11: to: 10.0.0.1:0 is no multicast or unicast"),
        ("to = \"10.0.0.1:5\"\nwindow = \"2min\"", "recv.toml:12: window: 10ms to 60s are possible"),
        ("to = \"10.0.0.1:5\"\nhold = \"400ms\"", "recv.toml:12: hold: shorter than `window`"),
        ("to = \"10.0.0.1:5\"\nper-minute = 61", "recv.toml:12: per-minute: 1 to 60 are possible"),
    ] {
        with(lines).failed(78, &[expected]);
    }
}

#[test]
fn servers_for_repair_are_folders_by_url_and_limits_are_checked() {
    let folder = folder();
    let with = |table: &str| check(&folder, &format!("{GOOD}[repair]\n{table}\n"));
    for url in ["http://192.0.2.20", "http://[2001:db8::1]:8080/fleetcast/", "http://updates.acme.example/a/b"] {
        with(&format!("servers = [\"{url}\"]")).ok();
    }
    for (url, problem) in [
        ("updates.acme.example/a", "is no URL of a folder"),
        ("ftp://192.0.2.20/", "is no URL of a folder"),
        ("http:///a", "is no URL of a folder"),
        ("http://me:secret@192.0.2.20/a", "is no URL of a folder"),
        ("http://192.0.2.20/a?b=c", "is no URL of a folder"),
        ("http://192.0.2.20/a#b", "is no URL of a folder"),
        ("http://192.0.2.20:99999/a", "is no URL of a folder"),
    ] {
        with(&format!("servers = [\"{url}\"]")).failed(78, &["recv.toml:11: servers: ", url, problem]);
    }
    if !cfg!(feature = "https") {
        with("servers = [\"https://192.0.2.20/a\"]")
            .failed(78, &["recv.toml:11: servers: ", "asks for TLS", "feature https"]);
    }
    with("servers = []").failed(78, &["recv.toml:11: servers: 0 are named, where 1 to 8 are possible"]);
    with("after = \"1min\"").failed(78, &["missing field `servers`"]);
    for (key, problem) in [
        ("missing-below = 0", "recv.toml:12: missing-below: 1 to 100 are possible"),
        ("missing-below = 101", "recv.toml:12: missing-below: 1 to 100 are possible"),
        ("after = \"soon\"", "recv.toml:12: after: "),
        ("window = \"25h\"", "recv.toml:12: window: longer than 24h"),
        ("max-octets = \"much\"", "recv.toml:12: max-octets: "),
        ("rate = \"0\"", "recv.toml:12: rate: "),
        ("timeout = \"0.5\"", "recv.toml:12: timeout: shorter than 1s"),
        ("ca = \"ca.pem\"", "recv.toml:12: ca: \"ca.pem\" must be an absolute path"),
        ("retries = 3", "recv.toml:12: unknown field `retries`"),
    ] {
        with(&format!("servers = [\"http://192.0.2.20\"]\n{key}")).failed(78, &[problem]);
    }
}

#[test]
fn each_layer_needs_a_group_of_its_own() {
    let folder = folder();
    let with = |groups: &str, layers: u8| {
        check(&folder, &GOOD.replace("\"239.255.70.67:4701\"]", &format!("{groups}]\nlayers = {layers}")))
    };
    with("\"239.1.1.1:5\", \"[ff15::1]:5\", \"239.1.1.9:5\", \"239.1.1.2:6\"", 8).ok();
    for (groups, layers, expected) in [
        ("\"239.1.1.1:5\"", 9, "recv.toml:6: layers: 9, where 1 to 8 are possible"),
        ("\"239.1.1.1:5\", \"239.1.1.3:5\"", 3, "recv.toml:6: layers: 239.1.1.3:5 would be a layer of two groups"),
        ("\"239.255.255.254:5\"", 3, "recv.toml:6: layers: 240.0.0.0 is no multicast address"),
    ] {
        with(groups, layers).failed(78, &[expected]);
    }
}

#[test]
fn flags_override_the_file_and_are_checked_alike() {
    let folder = folder();
    folder.write("recv.toml", GOOD);
    // An interface that does not exist is the last thing found out, once all settings are good.
    let state = folder.path("state");
    let targets = folder.path("app.img");
    let (state, target) = (state.to_str().unwrap(), format!("app={}", targets.to_str().unwrap()));
    let base = ["receive", "--config", "recv.toml", "--once", "--state", state, "--target", &target];
    let with = |flags: &[&str]| folder.recv(&[&base[..], flags].concat());
    with(&["--interface", "nosuch0"]).failed(1, &["no interface has the name or address nosuch0", "lo (127.0.0.1"]);
    for (flags, expected) in [
        (["--trust", "none.pem"], "--trust: cannot use key none.pem"),
        (["--threshold", "2"], "trust: a threshold of 2 cannot be met"),
        (["--vendor", ""], "--vendor: \"\" is neither"),
        (["--class", "a b"], "--class: \"a b\" is neither"),
        (["--group", "1.2.3.4:5"], "--group: 1.2.3.4 is no multicast address"),
        (["--source", "ff02::1"], "source ff02::1 is no unicast address"),
        (["--layers", "0"], "--layers: 0, where 1 to 8 are possible"),
        (["--seed", "a/../b"], "--seed: \"a/../b\" must be"),
        (["--target", "app"], "--target: \"app\" is not NAME=PATH"),
        (["--target", "app=/other"], "--target: targets app and app have the same name"),
        (["--max-size", "app"], "--max-size: \"app\" is not NAME=SIZE"),
        (["--max-size", "web=1M"], "--max-size: there is no target \"web\""),
        (["--max-size", "app=much"], "--max-size: \"much\" is no size"),
        (["--receive-buffer", "0"], "--receive-buffer: 0 octets"),
        (["--max-packet", "9000"], "--max-packet: 9000, where"),
        (["--staging", "1"], "--staging: 1, where"),
        (["--progress-interval", "1ms"], "--progress-interval: shorter than 10ms"),
    ] {
        with(&flags).failed(78, &[expected]);
    }
    let deep = ["receive", "--config", "recv.toml", "--once", "--state", "typo/state", "--target", &target];
    folder.recv(&deep).failed(1, &["cannot use the state folder", "typo: No such file", "create the folder above it"]);
    assert!(!folder.path("typo").exists());
    folder
        .recv(&["receive"])
        .failed(78, &["--trust: trust is not set; give --trust, or name a settings file by --config"]);
}

#[test]
fn metrics_go_to_files_that_are_read_and_addresses_that_can_be_had() {
    let folder = folder();
    let with = |keys: &str| check(&folder, &format!("{GOOD}[metrics]\n{keys}\n"));
    with("file = \"/var/lib/x.prom\"\ninterval = \"1s\"\nlisten = \"[::1]:9101\"").ok();
    for (keys, problem) in [
        ("file = \"/var/lib/x.txt\"", "file: \"/var/lib/x.txt\" must end in .prom"),
        ("file = \"x.prom\"", "file: \"x.prom\" must be an absolute path"),
        ("interval = \"999ms\"", "interval: shorter than 1s"),
        ("listen = \"localhost:9101\"", "listen: \"localhost:9101\" is not ADDR:PORT"),
        ("port = 9101", "unknown field"),
    ] {
        with(keys).failed(78, &[problem]);
    }
}

#[test]
fn reports_go_where_the_settings_say_and_need_a_plain_name() {
    let folder = folder();
    let with = |keys: &str| check(&folder, &format!("{GOOD}[report]\n{keys}\n"));
    with("url = \"http://192.0.2.30:8080/DEFAULT\"\nid = \"device-17\"\ndelay = \"0s\"\ntoken = \"/etc/token\"").ok();
    let long = "x".repeat(129);
    for (keys, problem) in [
        ("id = \"a\"", "missing field `url`"),
        ("url = \"http://x/\"", "missing field `id`"),
        ("url = \"ftp://x\"\nid = \"a\"", "url: \"ftp://x\" is no URL"),
        ("url = \"http://x\"\nid = \"a/b\"", "id: \"a/b\" is not 1 to 128 letters"),
        ("url = \"http://x\"\nid = \"..\"", "id: \"..\" is not"),
        ("url = \"http://x\"\nid = \"\"", "id: \"\" is not"),
        (&*format!("url = \"http://x\"\nid = \"{long}\""), "is not 1 to 128"),
        ("url = \"http://x\"\nid = \"a\"\ndelay = \"25h\"", "delay: longer than 24h"),
        ("url = \"http://x\"\nid = \"a\"\ntimeout = \"10ms\"", "timeout: shorter than 1s"),
        ("url = \"http://x\"\nid = \"a\"\ntoken = \"token\"", "must be an absolute path"),
    ] {
        with(keys).failed(78, &[problem]);
    }
}
