//! Real datagrams on the loopback interface.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use fleetcast_net::{Interface, SendOptions, Sender};
use fleetcast_netlab::release::Release;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::common::Folder;
use fleetcast_netlab::command_line::{Done, shipped};

/// Sends a release over and over until dropped.
pub(super) struct OnAir {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl OnAir {
    /// `pause` after each 16 packets.
    pub(super) fn start(name: &str, group: SocketAddr, pause: Duration) -> Self {
        let release = Release::of_vector(name);
        let stop = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut sender = Sender::open(&SendOptions::new(group, Interface::find("lo").unwrap())).unwrap();
                let mut packet = Vec::new();
                let mut count = 0;
                for slot in 77.. {
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    if release.carousel.packet(slot, count, &mut packet) {
                        sender.send(&packet, packet.len()).await.unwrap();
                        count += 1;
                        if count % 16 == 0 {
                            std::thread::sleep(pause);
                        }
                    }
                }
            });
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for OnAir {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking());
    }
}

/// `receive` on the loopback interface for a device that takes the vectors' releases.
pub(super) fn receive(folder: &Folder, group: SocketAddr, more: &[&str]) -> Command {
    receive_on("lo", folder, group, more)
}

fn receive_on(interface: &str, folder: &Folder, group: SocketAddr, more: &[&str]) -> Command {
    let group = group.to_string();
    let key = shipped("keys/UNSAFE-test-release.pub.pem");
    let args = [
        "receive",
        "--trust",
        key.to_str().unwrap(),
        "--vendor",
        "bcc16965-6f3a-5338-9d83-d8b565c63bc7",
        "--class",
        "beeb812d-ff36-5b67-837e-f954c859ed52",
        "--interface",
        interface,
        "--group",
        &group,
        "--state",
        "state",
        "--receive-buffer",
        "200K",
        "--target",
        "rootfs=rootfs.img",
        "--target",
        "slot=slot.img",
        "--target",
        "kernel=kernel.img",
        "--target",
        "boot=boot.img",
    ];
    folder.command(&[&args[..], more].concat())
}

fn run(mut command: Command) -> Done {
    Done::run(&mut command)
}

fn events(done: &Done) -> Vec<Value> {
    let events: Vec<Value> = done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events.iter().all(|event| event["v"] == 1), "{done:?}");
    events
}

fn names(events: &[Value]) -> Vec<&str> {
    let names = events.iter().map(|event| event["event"].as_str().unwrap());
    names.filter(|name| !["progress", "warning"].contains(name)).collect()
}

pub(super) fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Waits until the program has written an event with this name, as JSON.
pub(super) fn wait_for(child: &mut Child, name: &str, is_wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
    let mut seen = vec![];
    for line in BufReader::new(child.stdout.as_mut().unwrap()).lines() {
        let event: Value = serde_json::from_str(&line.unwrap()).unwrap();
        seen.push(event);
        let event = seen.last().unwrap();
        if event["event"] == name && is_wanted(event) {
            return seen;
        }
    }
    panic!("no {name} in {seen:?}");
}

fn check_installed(folder: &Folder, name: &str, files: &[&str]) {
    for (file, image) in files.iter().zip(Release::of_vector(name).images) {
        assert!(std::fs::read(folder.path(file)).unwrap() == image, "{file}");
    }
    let mut left: Vec<_> =
        std::fs::read_dir(folder.path("state")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    // The history is written at its own pace: it may be there, or be on its way.
    left.retain(|name| !name.to_string_lossy().trim_start_matches('.').starts_with("history"));
    left.sort();
    assert_eq!(left, ["lock", "record"]);
}

const THREE: [&str; 3] = ["boot.img", "kernel.img", "slot.img"];

#[test]
fn a_release_on_the_air_is_installed_once_and_then_known() {
    let folder = Folder::default();
    let group: SocketAddr = "239.255.77.1:15077".parse().unwrap();
    let _on_air = OnAir::start("ok-three-components", group, Duration::from_millis(1));
    let once = ["--once", "--timeout", "60s", "--json"];
    let first = run(receive(&folder, group, &once)).ok();
    let told = events(&first);
    assert_eq!(names(&told)[..2], ["ready", "begin"]);
    assert_eq!(names(&told).last(), Some(&"stopped"));
    assert!(names(&told).contains(&"installed"), "{told:?}");
    check_installed(&folder, "ok-three-components", &THREE);
    let status = folder.recv(&["status", "--state", "state", "--json"]).ok().stdout;
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!((&status["installed"]["sequence"], &status["receiving"]), (&7.into(), &Value::Null));

    let again = run(receive(&folder, group, &["--once", "--timeout", "60s"])).ok();
    assert!(again.stderr.contains("already installed") && again.stdout.is_empty(), "{again:?}");
}

#[test]
fn killed_it_goes_on_where_it_was() {
    let folder = Folder::default();
    let group: SocketAddr = "239.255.77.2:15077".parse().unwrap();
    let on_air = OnAir::start("ok-two-blocks", group, Duration::from_millis(5));
    let mut child = receive(&folder, group, &["--json", "--progress-interval", "50ms"]).spawn().unwrap();
    let told = wait_for(&mut child, "progress", |event| event["have"].as_u64().is_some_and(|have| have > 1500));
    let had = told.last().unwrap()["have"].as_u64().unwrap();
    drop(on_air);
    // What has come is written out within a second.
    std::thread::sleep(Duration::from_millis(1200));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!folder.path("rootfs.img").exists());
    let status = folder.recv(&["status", "--state", "state"]).ok().stdout;
    assert_eq!(status, "installed  nothing yet\nreceiving  sequence 6\n");
    // Without an interface nothing of it is looked at.
    let done = run(receive_on("nosuch0", &folder, group, &["--json"])).failed(1, &["no interface has the name"]);
    assert_eq!(names(&events(&done)), ["stopped"]);
    assert_eq!(events(&done)[0]["code"], "interface-unknown");
    let _on_air = OnAir::start("ok-two-blocks", group, Duration::from_millis(1));
    let done = run(receive(&folder, group, &["--json", "--once", "--timeout", "60s"])).ok();
    let told = events(&done);
    let stopped = told.last().unwrap();
    assert!(stopped["ok"] == true && stopped["code"] == "installed", "{stopped}");
    let resumed = told.iter().find(|event| event["event"] == "resumed").unwrap();
    assert!(resumed["have"].as_u64().unwrap() >= had && had > 1500, "{resumed} {had}");
    check_installed(&folder, "ok-two-blocks", &["rootfs.img"]);
}

#[test]
fn an_interrupt_is_never_a_success_and_keeps_what_came() {
    let folder = Folder::default();
    let group: SocketAddr = "239.255.77.3:15077".parse().unwrap();
    let on_air = OnAir::start("ok-two-blocks", group, Duration::from_millis(10));
    for (name, number, least) in [("interrupted", Signal::INT, 100), ("terminated", Signal::TERM, 400)] {
        let mut child = receive(&folder, group, &["--json", "--progress-interval", "50ms"]).spawn().unwrap();
        wait_for(&mut child, "progress", |event| event["have"].as_u64().is_some_and(|have| have > least));
        signal(&child, number);
        let done = Done::from(child.wait_with_output().unwrap()).failed(1, &[name, "the next start goes on"]);
        assert!(done.stdout.contains(&format!("\"stopped\",\"ok\":false,\"code\":\"{name}\"")), "{done:?}");
    }
    drop(on_air);
    let done = run(receive(&folder, group, &["--json", "--once", "--timeout", "300ms"]));
    let done = done.failed(1, &["timed out with "]);
    let told = events(&done);
    let resumed = told.iter().find(|event| event["event"] == "resumed").unwrap();
    assert!(resumed["have"].as_u64().unwrap() > 400, "{resumed}");
    assert!(!folder.path("rootfs.img").exists());
}

#[test]
fn an_idle_daemon_stops_cleanly_by_sigterm_only() {
    let folder = Folder::default();
    let group: SocketAddr = "239.255.77.4:15077".parse().unwrap();
    for (number, more, code) in [(Signal::TERM, None, 0), (Signal::INT, None, 1), (Signal::TERM, Some("--once"), 1)] {
        let more: Vec<_> = ["--json"].into_iter().chain(more).collect();
        let mut child = receive(&folder, group, &more).spawn().unwrap();
        wait_for(&mut child, "ready", |_| true);
        signal(&child, number);
        let done = Done::from(child.wait_with_output().unwrap());
        assert_eq!(done.code, Some(code), "{number:?} {more:?} {done:?}");
    }
}

#[test]
fn a_daemon_stays_and_follows_later_releases() {
    let folder = Folder::default();
    let group: SocketAddr = "239.255.77.5:15077".parse().unwrap();
    let mut child = receive(&folder, group, &["--json"]).spawn().unwrap();
    for (name, sequence) in [("ok-small", 2), ("ok-two-blocks", 6)] {
        let _on_air = OnAir::start(name, group, Duration::from_millis(1));
        wait_for(&mut child, "installed", |event| event["release"]["sequence"] == sequence);
        check_installed(&folder, name, &["rootfs.img"]);
    }
    signal(&child, Signal::TERM);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    // With nothing to do, it says so.
    let mut child = receive(&folder, group, &["--json"]).spawn().unwrap();
    wait_for(&mut child, "ready", |_| true);
    signal(&child, Signal::INT);
    let done = Done::from(child.wait_with_output().unwrap());
    done.failed(1, &["interrupted while nothing was being received; ", "(sequence 6) is installed"]);
}

#[test]
fn a_stalled_reader_of_events_holds_up_neither_the_update_nor_the_end() {
    let folder = Folder::default();
    let group: SocketAddr = "239.255.77.7:15077".parse().unwrap();
    let _on_air = OnAir::start("ok-two-blocks", group, Duration::from_millis(10));
    let (stalled, mut pipe) = std::io::pipe().unwrap();
    let stdout = pipe.try_clone().unwrap();
    // It fills the pipe, and ends with its reader.
    std::thread::spawn(move || drop(pipe.write_all(&vec![b' '; 1 << 22])));
    let mut child = receive(&folder, group, &["--json"]).stdout(stdout).spawn().unwrap();
    while !folder.path("rootfs.img").exists() {
        assert_eq!(child.try_wait().unwrap(), None);
        std::thread::sleep(Duration::from_millis(10));
    }
    signal(&child, Signal::TERM);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    drop(stalled);
}

#[test]
fn storage_that_cannot_be_used_is_told_with_its_path() {
    let folder = Folder::default();
    let group: SocketAddr = "239.255.77.6:15077".parse().unwrap();
    folder.write("state", "a file where a folder should be");
    let done = run(receive(&folder, group, &["--once", "--json"])).failed(1, &["state"]);
    assert_eq!(names(&events(&done)), ["stopped"]);
    std::fs::remove_file(folder.path("state")).unwrap();
    let gone = Path::new("gone/away.img");
    let target = format!("other={}", gone.display());
    run(receive(&folder, group, &["--once", "--target", &target])).failed(1, &["gone", "the folder does not exist"]);
}
