//! The C library and `examples/c`, built by the C compiler with its sanitizers: on a device of the fleet, and misused.
#![expect(clippy::unwrap_used, reason = "test code")]

mod forger;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fleetcast_cli::{hex, identity, keys};
use fleetcast_core::tree::{Geometry, Parameters};
use fleetcast_netlab::authority::public;
use fleetcast_netlab::command_line::{Done, Folder, shipped};
use fleetcast_netlab::fleet::{CLASS, Device, Fleet, GROUP, PATIENCE, VENDOR, noise, write};
use fleetcast_netlab::netns::{INTERFACE, Process, Signal};
use fleetcast_netlab::release::{self, Release};

use forger::{Defer, forge};

const SANITIZERS: &str = "-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all";

/// The library as these tests are built, and as fresh as they are.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let test = env::current_exe().unwrap();
        let folder = test.ancestors().nth(2).unwrap();
        let profile = match folder.file_name().unwrap().to_str().unwrap() {
            "debug" => "dev",
            other => other,
        };
        let mut cargo = Command::new("cargo");
        cargo.args(["build", "--locked", "--quiet", "-p", "fleetcast-capi", "--profile", profile, "--target-dir"]);
        Done::run(cargo.arg(folder.parent().unwrap()).current_dir(shipped("."))).ok();
        folder.join("libfleetcast.a")
    })
}

/// Builds a program of one file in `folder`, as the example is built.
fn build(folder: &Path, source: &str) -> PathBuf {
    let out = folder.join("program");
    let mut make = Command::new("make");
    make.arg("-C").arg(shipped("examples/c")).arg(format!("LIBRARY={}", library().display()));
    make.arg(format!("OUT={}", out.display()))
        .arg(format!("SOURCE={}", shipped(source).canonicalize().unwrap().display()));
    make.arg(format!("CFLAGS={SANITIZERS}"));
    Done::run(&mut make).ok();
    out
}

/// Starts the example on the host of `device`, and waits until it listens.
#[track_caller]
fn start(device: &Device, program: &Path, trust: &str) -> Process {
    let vendor = identity::vendor(VENDOR).unwrap();
    let class = identity::class(vendor, CLASS).unwrap();
    let (group, port) = GROUP.split_once(':').unwrap();
    let mut command = Command::new(program);
    command.args([trust, &vendor.to_string(), &class.to_string(), "app"]);
    command.arg(device.target("app")).arg(device.state()).args([group, port, INTERFACE]);
    let mut process = device.host.spawn(&command).unwrap();
    wait_for(&mut process, "ready ");
    process
}

#[track_caller]
fn wait_for(process: &mut Process, line: &str) {
    let deadline = Instant::now() + PATIENCE;
    while !process.stdout().unwrap().contains(line) {
        let is_over = process.try_wait().unwrap().is_some();
        assert!(!is_over && Instant::now() < deadline, "{}\n{}", process.stdout().unwrap(), process.stderr().unwrap());
        thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until it has ended with this exit code, without a word from the sanitizers, and gives what it told.
#[track_caller]
fn ended(process: &mut Process, code: i32) -> String {
    let status = process.wait(PATIENCE).unwrap();
    let (told, errors) = (process.stdout().unwrap(), process.stderr().unwrap());
    assert!(status.code() == Some(code) && errors.is_empty(), "{status}: {told}\n{errors}");
    told
}

#[test]
fn the_c_receiver_installs_through_loss_forgeries_a_kill_and_a_rotated_root() {
    let Some(fleet) = Fleet::new("c") else { return };
    let program = build(fleet.lab.directory(), "examples/c/receive.c");
    let as_made = fleet.root(1).display().to_string();
    let _ = fleet.root(2);
    let draft = |sequence, key| fleet.draft(sequence).keys(&[key]).image("app", &noise(sequence, 2_000_001)).sign();
    let (release, older, stolen) = (draft(7, "release-2"), draft(6, "release-2"), draft(99, "release-1"));
    let beacon = fleet.beacon("current", 2, &[&release], "1h").display().to_string();
    let [head, thief, liar] = ["head", "thief", "liar"].map(|name| fleet.host(name));
    let device = fleet.device("device", &["app"]);
    device.host.loss(50).unwrap();
    write(&device.target("app"), b"old");

    let (is_over, forgeries) = (AtomicBool::new(false), AtomicU64::new(0));
    let told = thread::scope(|scope| {
        let _end = Defer(|| is_over.store(true, Ordering::Relaxed));
        scope.spawn(|| forge(&liar, &is_over, &forgeries));
        let mut run = start(&device, &program, &as_made);
        let send = fleet.send(&head, &release, &format!("--rate 4M {} --beacon {beacon}", fleet.roots(1..=2)));
        wait_for(&mut run, "begin 7");
        thread::sleep(Duration::from_secs(2));
        run.kill(Signal::KILL).unwrap();
        run.wait(PATIENCE).unwrap();
        assert_eq!(device.installed("app").unwrap(), b"old");
        let mut run = start(&device, &program, &as_made);
        let told = ended(&mut run, 0);
        drop(send);
        told
    });
    println!("{} forged; {told}", forgeries.load(Ordering::Relaxed));
    assert!(forgeries.load(Ordering::Relaxed) > release.chunks / 2);
    for line in ["resumed 7", "complete 7", "freshness 0 fresh", "installed 7", " chunk-digest"] {
        assert!(told.contains(line), "no {line:?} in {told}");
    }
    assert!(!told.contains("begin 7"), "what was received before the kill is gone on with: {told}");
    assert!(device.installed("app").unwrap() == fs::read(&release.images[0].1).unwrap(), "not bit-exact");

    // Neither what the revoked key signs gets in, nor what is older.
    let _thief = fleet.send(&thief, &stolen, "--rate 2M");
    let _older = fleet.send(&head, &older, "--rate 2M");
    let mut run = start(&device, &program, &as_made);
    wait_for(&mut run, "refused 6 ");
    thread::sleep(Duration::from_secs(2));
    run.kill(Signal::TERM).unwrap();
    let told = ended(&mut run, 1);
    assert!(told.contains(" threshold") && !told.contains("begin"), "{told}");
    assert!(device.installed("app").unwrap() == fs::read(&release.images[0].1).unwrap(), "touched");
    assert!(!device.target("app").with_extension("img.part").exists(), "storage was prepared for a refused release");
}

#[test]
fn the_c_receiver_installs_by_a_bare_key() {
    let Some(fleet) = Fleet::new("c-key") else { return };
    let program = build(fleet.lab.directory(), "examples/c/receive.c");
    let (release, head) = (fleet.release(1, &noise(1, 1)), fleet.host("head"));
    let device = fleet.device("device", &["app"]);
    let key = keys::load_public(&fleet.key("release").1).unwrap().key;
    let mut run = start(&device, &program, &hex(&key.to_bytes()));
    let _send = fleet.send(&head, &release, "--rate 1M");
    let told = ended(&mut run, 0);
    assert!(told.contains("installed 1"), "{told}");
    assert!(device.installed("app").unwrap() == fs::read(&release.images[0].1).unwrap(), "not bit-exact");
}

#[test]
fn misuse_is_an_error_and_nothing_worse() {
    let folder = Folder::default();
    let program = build(&folder.path(""), "crates/capi/tests/misuse.c");
    let parameters = Parameters { size: 20_001, chunk: 1024, cell: 64, repair: 100, digest: 16, cap_len: 16 };
    let geometry = Geometry::new(&parameters).unwrap();
    let datagrams = |sequence| {
        let release = Release::made(sequence, vec![("rootfs", noise(sequence, 20_001), geometry)]);
        let (mut file, mut datagram) = (Vec::new(), Vec::new());
        for slot in 0..release.carousel.schedule().cycle() {
            if release.carousel.packet(slot, 0, &mut datagram) {
                file.extend_from_slice(&u16::try_from(datagram.len()).unwrap().to_be_bytes());
                file.extend_from_slice(&datagram);
            }
        }
        folder.write(&format!("packets-{sequence}"), file)
    };
    let [key, vendor, class] = [&public("release").to_bytes()[..], &release::VENDOR.0, &release::CLASS.0].map(hex);
    let done = Done::run(Command::new(program).args([key, vendor, class]).arg(datagrams(1)).arg(datagrams(2)));
    assert_eq!((done.code, done.stdout.as_str(), done.stderr.as_str()), (Some(0), "all as it should be\n", ""));
}
