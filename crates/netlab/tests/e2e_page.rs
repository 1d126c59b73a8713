//! Status pages of the real programs, in a real browser.
//!
//! `UPDATE_PICTURES=1 cargo nextest run -p fleetcast-netlab --test e2e_page` makes those of the documentation anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use fleetcast_netlab::browser::Browser;
use fleetcast_netlab::fleet::{Fleet, PATIENCE, count, noise, write};
use fleetcast_netlab::netns::{INTERFACE, Signal};

/// Waits until a page has all of these texts, and gives it.
#[track_caller]
fn wait_for_texts(page: &Path, texts: &[&str]) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let html = fs::read_to_string(page).unwrap_or_default();
        if texts.iter().all(|text| html.contains(text)) {
            return html;
        }
        assert!(Instant::now() < deadline, "{}: not all of {texts:?}: {html}", page.display());
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn pages_of_sender_relay_and_receiver_are_renewed_in_a_browser_and_fit_to_be_seen() {
    let (Some(fleet), Some(browser)) = (Fleet::new("page"), Browser::find()) else { return };
    let root = fleet.root(1).display().to_string();
    let (old, new) = (fleet.draft(6).keys(&["release-1"]), fleet.draft(7).keys(&["release-1"]));
    let (old, new) = (old.image("app", &noise(6, 1 << 18)).sign(), new.image("app", &noise(7, 8 << 20)).sign());
    let beacon = |release| fleet.beacon("current", 1, &[release], "1h").display().to_string();
    let (head, site, device) = (fleet.host("head"), fleet.host("site"), fleet.device("device", &["app"]));
    let [of_send, of_relay, of_recv] = ["send.html", "relay.html", "recv.html"].map(|name| fleet.path(name));
    let layers = "--layers 4";
    let send = |release, rate: &str| {
        let (page, roots, beacon) = (of_send.display(), fleet.roots(1..=1), beacon(release));
        fleet.send(&head, release, &format!("--rate {rate} {layers} {roots} --beacon {beacon} --page {page}"))
    };
    let settings = fleet.path("page.toml");
    write(&settings, format!("page = {of_recv:?}\nlayers = 4\n").as_bytes());
    let mut receive = device.start(&format!("--config {} --root {root}", settings.display()));
    receive.wait_for("ready");
    wait_for_texts(&of_recv, &["Waiting", "Nothing is installed yet"]);
    let mut first = send(&old, "20M");
    receive.wait_for("installed");
    wait_for_texts(&of_recv, &["1.6 (sequence 6) is installed", "fresh: what is current is known"]);
    assert_eq!(first.end(Signal::TERM), 0);
    wait_for_texts(&of_send, &["Ended", "has ended: nothing below changes"]);

    // Slowly, for a browser on a busy machine.
    device.host.loss(60).unwrap();
    let up = format!("--upstream 239.77.1.1:4000 --upstream-interface {INTERFACE} --root {root}");
    let down = format!("--group 239.77.9.1:4000 --interface {INTERFACE} --page {}", of_relay.display());
    let mut relay = fleet.relay(&site, &format!("{up} {down}"));
    let mut slow = send(&new, "1500k");
    receive.wait_until("progress", |progress| count(progress, "have") > 200);
    browser.renewed(&[of_recv.clone(), of_send.clone()]);
    let pages = tempfile::tempdir_in(fleet.lab.directory()).unwrap();
    let mut kept = Vec::new();
    let mut keep = |page: &Path, name: &str| {
        let copy: PathBuf = pages.path().join(format!("{name}.html"));
        fs::copy(page, &copy).unwrap();
        kept.push(copy);
    };
    wait_for_texts(
        &of_recv,
        &["Receiving", "1.7 (sequence 7)", "Time left", "<h2>Layers</h2>", "of this release so far"],
    );
    keep(&of_recv, "receiver");
    wait_for_texts(&of_send, &["Sending", "1.7 (sequence 7)", "Time of a cycle", "0 (base)"]);
    keep(&of_send, "sender");
    wait_for_texts(&of_relay, &["Passing on", "sequence 7"]);
    keep(&of_relay, "relay");

    // Enough of that: the rest comes fast, and all end.
    assert_eq!(slow.end(Signal::TERM), 0);
    let mut fast = send(&new, "40M");
    receive.wait_until("installed", |installed| installed["release"]["sequence"] == 7);
    device.assert_runs(&new);
    wait_for_texts(&of_recv, &["1.7 (sequence 7) is installed"]);
    keep(&of_recv, "receiver-installed");
    for run in [&mut fast, &mut relay, &mut receive] {
        assert_eq!(run.end(Signal::TERM), 0);
    }
    for (page, name) in [(&of_send, "sender-ended"), (&of_relay, "relay-ended"), (&of_recv, "receiver-ended")] {
        let html = wait_for_texts(page, &["The program has ended"]);
        assert!(!html.contains("http-equiv=\"refresh\""), "{html}");
        keep(page, name);
    }
    let pictures = browser.look("programs", &kept);
    if std::env::var_os("UPDATE_PICTURES").is_some() {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/pictures");
        fs::create_dir_all(&docs).unwrap();
        for name in ["receiver", "sender"] {
            fs::copy(pictures.join(format!("{name}-desk-light.png")), docs.join(format!("{name}.png"))).unwrap();
        }
    }
}
