//! From a publisher to devices: a store, head-ends that follow it, and what happens when store, cache or head-end fail.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use fleetcast_netlab::browser::Browser;
use fleetcast_netlab::fleet::{Device, Fleet, Release, Run, noise, program, run, write};
use fleetcast_netlab::netns::{Host, INTERFACE, Signal};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// What most head-ends here send with.
const RATE: &str = "20M";

/// Publishes `release` under `stable` into a folder.
fn publish_command(fleet: &Fleet, store: &Path, release: &Release, options: &str) -> Command {
    let mut command = Command::new(program("send"));
    command.arg("publish").arg(&release.file).args(["--channel", "stable", "--json"]).arg("--store").arg(store);
    command.arg("--trust").arg(fleet.key("release").1).args(options.split_ascii_whitespace());
    for (name, path) in &release.images {
        command.arg("--image").arg(format!("{name}={}", path.display()));
    }
    command
}

fn publish(fleet: &Fleet, store: &Path, release: &Release) -> Value {
    let output = publish_command(fleet, store, release, "").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A folder of the bench that serves as a store.
fn store(fleet: &Fleet) -> PathBuf {
    let store = fleet.path("store");
    fs::create_dir(&store).unwrap();
    store
}

/// Settings of a head-end that follows `stable`; its cache is `NAME/cache` unless another folder is given.
fn settings(fleet: &Fleet, name: &str, store: &str, more: &str, cache: Option<&Path>) -> PathBuf {
    let path = fleet.path(&format!("{name}.toml"));
    let own = fleet.path(&format!("{name}-cache"));
    let text = format!(
        "store = {store:?}\ncache = \"{}\"\npoll = \"200ms\"\n[[stream]]\nchannel = \"stable\"\ntrust = [\"{}\"]\n\
         group = \"239.77.1.1:4000\"\ninterface = \"{INTERFACE}\"\n{more}\n",
        cache.unwrap_or(&own).display(),
        fleet.key("release").1.display(),
    );
    write(&path, text.as_bytes());
    path
}

fn head_end(fleet: &Fleet, host: &Host, settings: &Path) -> Run {
    let runtime = runtime(fleet, host);
    fs::create_dir_all(&runtime).unwrap();
    let runtime = runtime.display();
    let watched = format!("--runtime {runtime} --metrics {runtime}/send.prom --page {runtime}/send.html");
    fleet.start_send(host, &format!("run --json --config {} {watched}", settings.display()))
}

/// Where a head-end tells how it goes.
fn runtime(fleet: &Fleet, host: &Host) -> PathBuf {
    fleet.path(&format!("{}-runtime", host.name()))
}

/// What `fleetcast-send status` shows of a head-end's only stream.
fn shown(fleet: &Fleet, host: &Host) -> Value {
    let output = run(Command::new(program("send")).args(["status", "--json", "--runtime"]).arg(runtime(fleet, host)));
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["streams"].as_array().unwrap().len(), 1, "{status}");
    status["streams"][0].clone()
}

/// Lines of a table of `/proc/net` in a host, without its head.
fn sockets(host: &Host, table: &str) -> Vec<String> {
    let output = host.run(Command::new("cat").arg(format!("/proc/net/{table}"))).unwrap();
    String::from_utf8(output.stdout).unwrap().lines().skip(1).map(str::to_owned).collect()
}

/// Waits until a device has installed a release.
fn wait_installed(run: &mut Run, sequence: u64) {
    run.wait_until("installed", |installed| installed["release"]["sequence"] == sequence);
}

fn warned(run: &mut Run, code: &str) -> String {
    run.wait_until("warning", |warning| warning["code"] == code)["reason"].as_str().unwrap().to_owned()
}

#[test]
fn two_head_ends_follow_a_store_and_four_devices_follow_them_without_a_restart() {
    let Some(fleet) = Fleet::new("follow") else { return };
    let store = store(&fleet);
    let (old, new) = (fleet.release(1, &noise(1, 3 << 20)), fleet.release(2, &noise(2, 2 << 20)));
    assert_eq!(publish(&fleet, &store, &old)["number"], 1);
    let hosts = [fleet.host("site-a"), fleet.host("site-b")];
    let mut head_ends: Vec<_> = hosts
        .iter()
        .zip(["0/2", "1/2"])
        .map(|(host, share)| {
            let more = format!("rate = {RATE:?}\nsender = {share:?}");
            head_end(&fleet, host, &settings(&fleet, host.name(), &store.display().to_string(), &more, None))
        })
        .collect();
    for head_end in &mut head_ends {
        let ready = head_end.wait_for("ready");
        assert_eq!(
            (&ready["sequence"], &ready["verified"], &ready["stream"]),
            (&1.into(), &true.into(), &"stable".into())
        );
    }
    let devices: Vec<Device> = ["one", "two", "three", "four"].map(|name| fleet.device(name, &["app"])).into();
    let page = |device: &Device| fleet.path(&format!("{}.html", device.host.name()));
    let start = |device: &Device| device.start(&format!("--page {}", page(device).display()));
    let mut runs: Vec<_> = devices.iter().map(start).collect();
    wait_installed(&mut runs[0], 1);
    assert_eq!(publish(&fleet, &store, &new)["number"], 2);
    for head_end in &mut head_ends {
        assert_eq!(head_end.wait_for("switched")["sequence"], 2);
    }
    for (device, run) in devices.iter().zip(&mut runs) {
        wait_installed(run, 2);
        device.assert_runs(&new);
    }
    // One socket each, which sends; nothing listens.
    for host in &hosts {
        assert_eq!(sockets(host, "udp").len(), 1);
        for table in ["udp6", "tcp", "tcp6", "raw", "raw6", "packet", "udplite"] {
            assert!(sockets(host, table).is_empty(), "{table}");
        }
    }
    for head_end in &mut head_ends {
        assert_eq!((head_end.all("ready").len(), head_end.all("stopped").len()), (1, 0), "no restart");
        // A busy machine may be slower than the rate.
        let warnings = head_end.all("warning");
        assert!(warnings.iter().all(|warning| warning["code"] == "clock"), "{warnings:?}");
        assert_eq!(head_end.end(Signal::TERM), 0);
    }
    for run in &mut runs {
        run.end(Signal::INT);
    }
    // Pages of all tell it, and people can read them.
    let pages: Vec<_> = devices.iter().map(page).collect();
    for page in &pages {
        let html = fs::read_to_string(page).unwrap();
        assert!(html.contains("The program has ended") && html.contains("1.2 (sequence 2)"), "{html}");
    }
    let of_head_ends = hosts.iter().map(|host| {
        let copy = fleet.path(&format!("{}.html", host.name()));
        fs::copy(runtime(&fleet, host).join("send.html"), &copy).unwrap();
        copy
    });
    if let Some(browser) = Browser::find() {
        let _pictures = browser.look("two-head-ends", &of_head_ends.chain(pages).collect::<Vec<_>>());
    }
    // What the first release needed is gone from the caches.
    let kept = fs::read_dir(fleet.path("site-a-cache/files")).unwrap().count();
    assert_eq!(kept, 2, "release file and image");
}

#[test]
fn a_head_end_killed_midway_goes_on_from_its_cache_while_the_store_is_gone() {
    let Some(fleet) = Fleet::new("gone") else { return };
    let (store, aside) = (store(&fleet), fleet.path("unmounted"));
    let (old, new) = (fleet.release(1, &noise(1, 3 << 20)), fleet.release(2, &noise(2, 1 << 20)));
    publish(&fleet, &store, &old);
    let host = fleet.host("head-end");
    let settings = settings(&fleet, "head-end", &store.display().to_string(), &format!("rate = {RATE:?}"), None);
    let mut first = head_end(&fleet, &host, &settings);
    first.wait_for("ready");
    let device = fleet.device("device", &["app"]);
    let mut run = device.start("");
    run.wait_until("progress", |progress| progress["have"].as_u64().unwrap() > 200);
    first.process.kill(Signal::KILL).unwrap();
    let _ = first.process.wait(Duration::from_secs(10));
    move_aside(&store, &aside);
    let mut second = head_end(&fleet, &host, &settings);
    second.wait_for("ready");
    let reason = warned(&mut second, "store-access");
    assert!(reason.contains("release 1.1 (sequence 1) is sent on"), "{reason}");
    let stream = shown(&fleet, &host);
    assert_eq!((&stream["name"], &stream["ready"]["sequence"]), (&"stable".into(), &1.into()));
    assert_eq!(stream["warnings"][0]["code"], "store-access");
    assert_ne!(stream["failed_looks"], 0);
    wait_installed(&mut run, 1);
    device.assert_runs(&old);
    move_aside(&aside, &store);
    publish(&fleet, &store, &new);
    assert_ne!(second.wait_for("reached")["failed"], 0);
    wait_installed(&mut run, 2);
    device.assert_runs(&new);
    let stream = shown(&fleet, &host);
    assert_eq!((&stream["ready"]["sequence"], &stream["failed_looks"]), (&2.into(), &0.into()));
    assert_eq!(second.end(Signal::TERM), 0);
    let metrics = fs::read_to_string(runtime(&fleet, &host).join("send.prom")).unwrap();
    assert!(metrics.contains("\nfleetcast_send_release_sequence{stream=\"stable\",group="), "{metrics}");
    assert!(metrics.contains("fleetcast_send_warnings_total{stream=\"stable\""), "{metrics}");
    run.end(Signal::INT);
}

#[test]
fn requests_are_answered_for_the_release_that_took_over() {
    const FEEDBACK: &str = "239.77.1.2:4002";
    let Some(fleet) = Fleet::new("follow-nack") else { return };
    let store = store(&fleet);
    // Without repair chunks: what is lost must come again.
    let release = |sequence| fleet.draft(sequence).image("app", &noise(sequence, 2 << 20)).repair(0).sign();
    let (old, new) = (release(1), release(2));
    publish(&fleet, &store, &old);
    let host = fleet.host("head-end");
    let more = format!("rate = \"8M\"\nnack = {FEEDBACK:?}");
    let mut head_end =
        head_end(&fleet, &host, &settings(&fleet, "head-end", &store.display().to_string(), &more, None));
    assert_eq!(head_end.wait_for("ready")["nack"], FEEDBACK);
    let device = fleet.device("device", &["app"]);
    device.host.loss(50).unwrap();
    let config = fleet.path("device.toml");
    write(&config, format!("[nack]\nto = {FEEDBACK:?}\nper-minute = 60\n").as_bytes());
    let mut run = device.start(&format!("--config {}", config.display()));
    wait_installed(&mut run, 1);
    publish(&fleet, &store, &new);
    head_end.wait_for("switched");
    let answers = |told: &Value| told["nack"]["answers"].as_u64().unwrap();
    let before = answers(&head_end.wait_for("progress"));
    wait_installed(&mut run, 2);
    device.assert_runs(&new);
    assert_eq!(head_end.end(Signal::TERM), 0);
    let stopped = head_end.wait_for("stopped");
    assert!(answers(&stopped) > before, "{stopped}, and {before} before");
    run.end(Signal::INT);
}

#[test]
fn a_cache_that_is_full_keeps_the_old_release_on_the_air_and_says_why() {
    let Some(fleet) = Fleet::new("full") else { return };
    let store = store(&fleet);
    let (old, new) = (fleet.release(1, &noise(1, 1 << 20)), fleet.release(2, &noise(2, 8 << 20)));
    publish(&fleet, &store, &old);
    let small = fleet.path("small");
    fs::create_dir(&small).unwrap();
    let mount = Mount::new(&small, "4m");
    let host = fleet.host("head-end");
    let settings = settings(
        &fleet,
        "head-end",
        &store.display().to_string(),
        &format!("rate = {RATE:?}"),
        Some(&small.join("cache")),
    );
    let mut head_end = head_end(&fleet, &host, &settings);
    head_end.wait_for("ready");
    publish(&fleet, &store, &new);
    let reason = warned(&mut head_end, "cache");
    assert!(reason.contains("No space left on device") && reason.contains("sequence 1) is sent on"), "{reason}");
    let device = fleet.device("device", &["app"]);
    let mut run = device.start("--once");
    run.success();
    device.assert_runs(&old);
    mount.grow("64m");
    head_end.wait_for("switched");
    device.start("--once").success();
    device.assert_runs(&new);
    assert_eq!(head_end.end(Signal::TERM), 0);
}

#[test]
fn a_store_that_is_full_leaves_the_channel_as_it_was() {
    let Some(fleet) = Fleet::new("full-store") else { return };
    let store = store(&fleet);
    let mount = Mount::new(&store, "4m");
    let (old, new) = (fleet.release(1, &noise(1, 1 << 20)), fleet.release(2, &noise(2, 8 << 20)));
    publish(&fleet, &store, &old);
    let output = publish_command(&fleet, &store, &new, "").output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && told.contains("No space left on device"), "{told}");
    assert_eq!(pointers(&store).len(), 1);
    assert_whole(&store);
    mount.grow("64m");
    assert_eq!(publish(&fleet, &store, &new)["number"], 2);
    assert_whole(&store);
}

#[test]
fn what_a_store_holds_is_not_trusted() {
    let Some(fleet) = Fleet::new("forged") else { return };
    let store = store(&fleet);
    let host = fleet.host("head-end");
    let good = fleet.release(1, &noise(1, 1 << 20));
    publish(&fleet, &store, &good);
    let path = settings(&fleet, "head-end", &store.display().to_string(), &format!("rate = {RATE:?}"), None);
    let mut head_end = head_end(&fleet, &host, &path);
    head_end.wait_for("ready");
    // A later release by another key, put there by who can write to the store.
    let alien = fleet.draft(2).image("app", &noise(2, 1 << 20)).keys(&["stranger"]).sign();
    let mut command = publish_command(&fleet, &store, &alien, "");
    assert_eq!(command.output().unwrap().status.code(), Some(3), "the publisher refuses it");
    let trusting = Command::new(program("send"))
        .arg("publish")
        .arg(&alien.file)
        .args(["--channel", "stable", "--store"])
        .arg(&store)
        .arg("--trust")
        .arg(fleet.key("stranger").1)
        .arg("--image")
        .arg(&alien.images[0].1)
        .output()
        .unwrap();
    assert!(trusting.status.success(), "{trusting:?}");
    let reason = warned(&mut head_end, "threshold");
    assert!(reason.contains("refused") && reason.contains("sequence 1) is sent on"), "{reason}");
    // A genuine one whose image was damaged there.
    let next = fleet.release(3, &noise(3, 1 << 20));
    let image = fs::read(&next.images[0].1).unwrap();
    let facts = publish(&fleet, &store, &next);
    assert_eq!(facts["number"], 3);
    let name = image_name(&store, &image);
    head_end.wait_until("switched", |switched| switched["sequence"] == 3);
    fs::remove_dir_all(fleet.path("head-end-cache")).unwrap();
    let mut damaged = image;
    damaged[4711] ^= 1;
    write(&name, &damaged);
    assert_eq!(head_end.end(Signal::TERM), 0);
    let mut head_end = self::head_end(&fleet, &host, &path);
    let reason = warned(&mut head_end, "store-content");
    assert!(reason.contains("has not the SHA-256 of its name") && reason.contains("nothing is sent yet"), "{reason}");
    assert!(head_end.all("ready").is_empty());
    assert_eq!(head_end.end(Signal::TERM), 0);
}

#[test]
fn publishers_killed_at_any_moment_leave_no_channel_half_visible() {
    let Some(fleet) = Fleet::new("killed") else { return };
    let store = store(&fleet);
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let releases: Vec<_> = (1..=8).map(|n| fleet.release(n, &noise(n, 1 << 20))).collect();
    // How long a whole run takes here.
    let begin = std::time::Instant::now();
    publish(&fleet, &store, &releases[0]);
    let whole = begin.elapsed();
    for release in &releases[1..] {
        for _ in 0..4 {
            let mut command = publish_command(&fleet, &store, release, "");
            let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            thread::sleep(whole.mul_f64(random.f64() * 1.2));
            let _ = child.kill();
            child.wait().unwrap();
            assert_whole(&store);
        }
        // And as soon as the first, second, ... new file is to be seen, whole or not.
        for step in 1..=3 {
            let before = paths(&store);
            let mut command = publish_command(&fleet, &store, release, "");
            let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            while paths(&store) < before + step && child.try_wait().unwrap().is_none() {}
            let _ = child.kill();
            child.wait().unwrap();
            assert_whole(&store);
        }
        publish(&fleet, &store, release);
        assert_whole(&store);
    }
}

/// How many files a store has, those that are being written included.
fn paths(store: &Path) -> usize {
    let count = |folder: &str| fs::read_dir(store.join(folder)).map_or(0, Iterator::count);
    count("files") + count("channels/stable")
}

#[test]
fn publishers_at_once_are_serialised_or_refused() {
    let Some(fleet) = Fleet::new("at-once") else { return };
    let store = store(&fleet);
    let releases: Vec<_> = (1..=6).map(|n| fleet.release(n, &noise(n, 200_000))).collect();
    let children: Vec<_> = releases
        .iter()
        .map(|release| {
            let mut command = publish_command(&fleet, &store, release, "");
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let outputs: Vec<Output> = children.into_iter().map(|child| child.wait_with_output().unwrap()).collect();
    for output in &outputs {
        let told = String::from_utf8_lossy(&output.stderr);
        let is_refused = output.status.code() == Some(3) && told.contains("channel stable names sequence");
        assert!(output.status.success() || is_refused, "{told}");
    }
    assert!(outputs[5].status.success(), "nobody publishes a later one");
    let sequences =
        pointers(&store).into_iter().map(|pointer| pointer["sequence"].as_u64().unwrap()).collect::<Vec<_>>();
    assert!(sequences.is_sorted() && sequences.last() == Some(&6), "{sequences:?}");
    assert_eq!(sequences.len(), outputs.iter().filter(|output| output.status.success()).count());
    assert_whole(&store);
}

/// The pointers of `stable`, in order.
fn pointers(store: &Path) -> Vec<Value> {
    let folder = fs::read_dir(store.join("channels/stable")).unwrap();
    // Files with another ending are being written.
    let mut paths: Vec<_> = folder
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .collect();
    paths.sort();
    paths.iter().map(|path| serde_json::from_slice(&fs::read(path).unwrap()).unwrap()).collect()
}

/// Fails the test unless all that any pointer names is there, whole, under its digest.
fn assert_whole(store: &Path) {
    for pointer in pointers(store) {
        let release = store.join(format!("files/{}.fleetcast", pointer["release"].as_str().unwrap()));
        let inspect = Command::new(program("sign")).args(["inspect", "--json"]).arg(&release).output().unwrap();
        assert!(inspect.status.success(), "{pointer}: {}", String::from_utf8_lossy(&inspect.stderr));
        let facts: Value = serde_json::from_slice(&inspect.stdout).unwrap();
        assert_eq!(facts["manifest_digest"], pointer["release"]);
        for component in facts["components"].as_array().unwrap() {
            let sha256 = component["sha256"].as_str().unwrap();
            let image = fs::read(store.join("files").join(sha256)).unwrap();
            assert_eq!(name(&image), sha256);
        }
    }
}

fn name(image: &[u8]) -> String {
    fleetcast_cli::hex(&Sha256::digest(image))
}

/// Where a store has an image.
fn image_name(store: &Path, image: &[u8]) -> PathBuf {
    store.join("files").join(name(image))
}

fn move_aside(from: &Path, to: &Path) {
    assert!(Command::new("mv").arg(from).arg(to).status().unwrap().success());
}

/// A small disk in memory, until it is dropped.
struct Mount(PathBuf);

impl Mount {
    fn new(path: &Path, size: &str) -> Self {
        let options = format!("size={size}");
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(path);
        assert!(command.status().unwrap().success());
        Self(path.into())
    }

    fn grow(&self, size: &str) {
        let mut command = Command::new("mount");
        command.args(["-o", &format!("remount,size={size}")]).arg(&self.0);
        assert!(command.status().unwrap().success());
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}
