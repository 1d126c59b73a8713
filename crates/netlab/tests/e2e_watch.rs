//! What operators watch: metrics in files and on an address, read by another implementation, and `status` of senders.
#![expect(clippy::unwrap_used, clippy::panic, reason = "test code")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use fleetcast_cli::metrics::Family;
use fleetcast_netlab::fleet::{Fleet, PATIENCE, count, noise, program, run, write};
use fleetcast_netlab::netns::{Host, INTERFACE, Signal};
use serde_json::{Value, json};

/// Prints what the reader of Prometheus's own library makes of a page, as JSON.
const READER: &str = "
import json, sys
from prometheus_client.parser import text_string_to_metric_families
with open(sys.argv[1], encoding='utf-8') as page:
    families = list(text_string_to_metric_families(page.read()))
names = [family.name for family in families]
assert len(names) == len(set(names)), names
samples = [(sample.name, dict(sample.labels), sample.value) for family in families for sample in family.samples]
assert len(samples) == len({(name, tuple(sorted(labels.items()))) for name, labels, _ in samples})
json.dump([[family.name, family.type, family.documentation, [[s.name, dict(s.labels), s.value] for s in family.samples]]
    for family in families], sys.stdout)
";

/// The interpreter that has the library; `None`, said loudly, without it. In CI no test may be skipped.
fn python() -> Option<PathBuf> {
    let python = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("venv").join("bin/python");
    if python.exists() {
        return Some(python);
    }
    assert!(std::env::var_os("CI").is_none(), "{} is needed: run .ci/test", python.display());
    eprintln!("SKIPPED: a test with another reader of metrics; {} is missing: run .ci/test", python.display());
    None
}

/// Name, labels and value, as they were read.
type Sample = (String, BTreeMap<String, String>, f64);

/// A page as it was read: values by name and labels.
struct Page(BTreeMap<(String, BTreeMap<String, String>), f64>);

impl Page {
    /// Reads a page, which must have nothing but samples of these families, with their labels behind the `common` ones.
    #[track_caller]
    fn read(python: &Path, path: &Path, families: &[&Family], common: &[&str]) -> Self {
        let output = run(Command::new(python).args(["-c", READER]).arg(path)).stdout;
        let read: Vec<(String, String, String, Vec<Sample>)> = serde_json::from_slice(&output).unwrap();
        let mut values = BTreeMap::new();
        for (name, kind, help, samples) in read {
            let family = families.iter().find(|family| family.name.trim_end_matches("_total") == name);
            let family = family.unwrap_or_else(|| panic!("{name} is nowhere listed"));
            assert_eq!((&*kind, &*help), (family.kind.word(), family.help), "{name}");
            for (name, labels, value) in samples {
                let mut expected: Vec<_> = common.iter().chain(family.labels).copied().collect();
                expected.sort_unstable();
                assert_eq!(labels.keys().collect::<Vec<_>>(), expected, "{name}");
                values.insert((name, labels), value);
            }
        }
        Self(values)
    }

    /// The value of a sample with this name and, among others, these labels.
    #[track_caller]
    fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let is_it = |(key, all): &&(String, BTreeMap<String, String>)| {
            key == name && labels.iter().all(|(label, value)| all.get(*label).is_some_and(|other| other == value))
        };
        let found: Vec<_> = self.0.keys().filter(is_it).collect();
        assert_eq!(found.len(), 1, "{name} {labels:?}: {found:?}");
        self.0[found[0]]
    }
}

/// Waits until a file has a line.
#[track_caller]
fn wait_for_line(path: &Path, is_wanted: impl Fn(&str) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !fs::read_to_string(path).is_ok_and(|text| text.lines().any(&is_wanted)) {
        assert!(Instant::now() < deadline, "{}: {:?}", path.display(), fs::read_to_string(path));
        thread::sleep(Duration::from_millis(20));
    }
}

fn get(host: &Host, address: &str, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    let fetch = || {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map(|_| answer)
    };
    host.enter(fetch).unwrap().unwrap()
}

/// What `fleetcast-send status` says, and its exit code.
fn status(host: &Host, folder: &Path) -> (Value, i32) {
    let mut command = Command::new(program("send"));
    command.args(["status", "--json", "--runtime"]).arg(folder);
    let output = host.run(&command).unwrap();
    (serde_json::from_slice(&output.stdout).unwrap_or_default(), output.status.code().unwrap())
}

#[expect(clippy::cast_precision_loss, reason = "small counts")]
fn as_float(event: &Value, field: &str) -> f64 {
    count(event, field) as f64
}

#[test]
fn metrics_of_sender_relay_and_receiver_are_read_by_another_implementation_and_are_those_of_the_events() {
    let (Some(fleet), Some(python)) = (Fleet::new("metrics"), python()) else { return };
    let release = fleet.release(7, &noise(7, 1 << 20));
    let [of_send, of_relay, of_recv] = ["send.prom", "relay.prom", "recv.prom"].map(|name| fleet.path(name));
    let (head, site, device) = (fleet.host("head"), fleet.host("site"), fleet.device("device", &["app"]));
    let option = |path: &Path| format!("--metrics {}", path.display());
    let mut send = fleet.send(&head, &release, &format!("--rate 20M {} --metrics-interval 1s", option(&of_send)));
    let up = format!("--upstream 239.77.1.1:4000 --upstream-interface {INTERFACE}");
    let down = format!("--group 239.77.1.2:4000 --interface {INTERFACE} --rate 20M");
    let mut relay = fleet.relay(&site, &format!("{up} {down} {} --metrics-interval 1s", option(&of_relay)));
    let settings = fleet.path("watch.toml");
    let file = of_recv.display();
    let text = format!("[metrics]\nfile = \"{file}\"\ninterval = \"1s\"\nlisten = \"127.0.0.1:9101\"\n");
    write(&settings, text.as_bytes());
    let mut receive = device.start(&format!("--group 239.77.1.2:4000 --config {}", settings.display()));
    receive.wait_for("installed");
    wait_for_line(&of_recv, |line| line == "fleetcast_recv_installed_sequence 7");

    // The address has the same, and nothing else; and it is the device's own.
    let answer = get(&device.host, "127.0.0.1:9101", "/metrics");
    let (head_of_answer, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head_of_answer.starts_with("HTTP/1.1 200 OK\r\n"), "{head_of_answer}");
    let asked = fleet.path("asked.prom");
    write(&asked, body.as_bytes());
    let page = Page::read(&python, &asked, fleetcast_recv::metrics::ALL, &[]);
    assert!((page.value("fleetcast_recv_installed_sequence", &[]) - 7.0).abs() < 0.1);
    assert!(get(&device.host, "127.0.0.1:9101", "/").starts_with("HTTP/1.1 404 "));

    // At their ends all say the same as their last event.
    let ends = [&mut send, &mut relay, &mut receive].map(|run| {
        assert_eq!(run.end(Signal::TERM), 0);
        run.all("stopped").pop().unwrap()
    });
    let [s, r, v] = &ends;
    let labels = fleetcast_send::watch::metrics::RUN_LABELS;
    let page = Page::read(&python, &of_send, fleetcast_send::watch::metrics::RUN, &labels);
    let of_stream = [("group", "239.77.1.1:4000"), ("interface", INTERFACE)];
    let same = |page: &Page, name: &str, labels: &[(&str, &str)], event: &Value, field: &str| {
        let (shown, told) = (page.value(name, labels), as_float(event, field));
        assert!((shown - told).abs() < 0.1, "{name}: {shown}, {field}: {told}");
    };
    same(&page, "fleetcast_send_packets_total", &of_stream, s, "packets");
    same(&page, "fleetcast_send_payload_bytes_total", &of_stream, s, "octets");
    same(&page, "fleetcast_send_running", &of_stream, &json!({"ended": 0}), "ended");
    let labels = fleetcast_send::watch::metrics::RELAY_LABELS;
    let page = Page::read(&python, &of_relay, fleetcast_send::watch::metrics::RELAY, &labels);
    same(&page, "fleetcast_relay_packets_total", &[], r, "packets");
    same(&page, "fleetcast_relay_verified_packets_total", &[], r, "verified");
    let page = Page::read(&python, &of_recv, fleetcast_recv::metrics::ALL, &[]);
    same(&page, "fleetcast_recv_datagrams_total", &[], v, "datagrams");
    same(&page, "fleetcast_recv_verified_packets_total", &[("kind", "chunk")], v, "verified_chunks");
    same(&page, "fleetcast_recv_events_total", &[("event", "installed")], &json!({"one": 1}), "one");
    // An increase from nothing would be none to Prometheus.
    same(&page, "fleetcast_recv_events_total", &[("event", "alarm")], &json!({"none": 0}), "none");
    same(&page, "fleetcast_recv_running", &[], &json!({"ended": 0}), "ended");
}

#[test]
fn who_drips_at_the_address_of_the_metrics_holds_up_no_reception() {
    let Some(fleet) = Fleet::new("drip") else { return };
    let release = fleet.release(1, &noise(1, 1 << 20));
    let (head, device) = (fleet.host("head"), fleet.device("device", &["app"]));
    let mut receive = device.start("--once --metrics-listen 127.0.0.1:9101");
    receive.wait_for("ready");
    let dripping: Vec<_> = (0..64).map(|_| device.host.enter(|| TcpStream::connect("127.0.0.1:9101"))).collect();
    for stream in &dripping {
        stream.as_ref().unwrap().as_ref().unwrap().write_all(b"GET /met").unwrap();
    }
    let _send = fleet.send(&head, &release, "--rate 20M");
    receive.success();
    device.assert_runs(&release);
}

#[test]
fn status_of_a_sender_tells_what_it_sends_and_that_it_was_killed() {
    let Some(fleet) = Fleet::new("status") else { return };
    let release = fleet.release(3, &noise(3, 1 << 20));
    let head = fleet.host("head");
    let folder = fleet.path("run");
    fs::create_dir(&folder).unwrap();
    assert_eq!(status(&head, &folder), (Value::Null, 1));
    let send = fleet.send(&head, &release, &format!("--rate 1M --runtime {}", folder.display()));
    wait_for_line(&folder.join("send.json"), |text| text.contains("\"cycles\""));
    let (told, code) = status(&head, &folder);
    let stream = &told["streams"][0];
    assert_eq!((code, &told["runs"], &told["pid"]), (0, &json!(true), &json!(send.process.id())), "{told}");
    assert_eq!((&stream["ready"]["sequence"], &stream["ready"]["group"]), (&json!(3), &json!("239.77.1.1:4000")));
    assert!(count(&stream["progress"], "packets") > 0, "{told}");
    let text = head.run(Command::new(program("send")).args(["status", "--runtime"]).arg(&folder)).unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    let expected = ["(sequence 3)", "239.77.1.1:4000 through", "% of the next", "attempts failed"];
    assert!(expected.iter().all(|part| text.contains(part)), "{text}");

    send.process.kill(Signal::KILL).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while status(&head, &folder).1 != 6 {
        assert!(Instant::now() < deadline);
        thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(status(&head, &folder).0["runs"], false);

    // One that ends in order says so.
    let mut send = fleet.send(&head, &release, &format!("--rate 20M --cycles 1 --runtime {}", folder.display()));
    send.success();
    let (told, code) = status(&head, &folder);
    assert_eq!((code, &told["streams"][0]["stopped"]), (6, &json!("cycles")));
}
