//! Roots and beacons from a publisher to devices: head-ends follow them in a store, and nothing ever goes back.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use fleetcast_netlab::command_line::shipped;
use fleetcast_netlab::fleet::{Fleet, Release, Run, count, noise, program, run, write};
use fleetcast_netlab::netns::{Host, INTERFACE, Signal};
use serde_json::{Value, json};

/// `publish` under `stable` with these options, apart by blanks.
fn publish_command(fleet: &Fleet, release: Option<&Release>, options: &str) -> Command {
    let mut command = Command::new(program("send"));
    command.args(["publish", "--channel", "stable", "--json", "--store"]).arg(fleet.path("store"));
    command.args(options.split_ascii_whitespace());
    if let Some(release) = release {
        command.arg(&release.file);
        for (name, path) in &release.images {
            command.arg("--image").arg(format!("{name}={}", path.display()));
        }
    }
    command
}

fn publish(fleet: &Fleet, release: Option<&Release>, options: &str) -> Value {
    let output = run(&mut publish_command(fleet, release, options));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Publishes what must be refused, and gives what was said.
fn refused(fleet: &Fleet, release: Option<&Release>, options: &str) -> String {
    let output: Output = publish_command(fleet, release, options).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{told}");
    told
}

/// A release that the key of this root signs.
fn draft(fleet: &Fleet, sequence: u64, key: &'static str) -> Release {
    fleet.draft(sequence).keys(&[key]).image("app", &noise(sequence, 200_000)).sign()
}

/// A beacon, later than those made before: their times are whole seconds.
fn beacon(fleet: &Fleet, name: &str, root: u16, release: &Release) -> PathBuf {
    thread::sleep(Duration::from_millis(1100));
    fleet.beacon(name, root, &[release], "1h")
}

fn store(fleet: &Fleet) -> PathBuf {
    let store = fleet.path("store");
    fs::create_dir(&store).unwrap();
    store
}

/// A head-end that follows `stable` from root 1 on.
fn head_end(fleet: &Fleet, host: &Host, more: &str) -> Run {
    let path = |name: &str| fleet.path(name).display().to_string();
    let (store, cache) = (path("store"), path(&format!("{}-cache", host.name())));
    let text = format!(
        "store = {store:?}\ncache = {cache:?}\npoll = \"200ms\"\n[[stream]]\nchannel = \"stable\"\nroots = [{:?}]\n\
         group = \"239.77.1.1:4000\"\ninterface = \"{INTERFACE}\"\nrate = \"10M\"\n{more}\n",
        path("1.root"),
    );
    let settings = fleet.path(&format!("{}.toml", host.name()));
    write(&settings, text.as_bytes());
    fleet.start_send(host, &format!("run --json --config {}", settings.display()))
}

fn copy(from: &Path, to: &Path) {
    run(Command::new("cp").arg("-a").arg(from).arg(to));
}

#[test]
fn keys_are_replaced_through_the_store_and_nothing_is_restarted_and_nothing_goes_back() {
    let Some(fleet) = Fleet::new("rotate") else { return };
    let store = store(&fleet);
    let roots: Vec<_> = (1..=2).map(|version| fleet.root(version)).collect();
    let (first, second) = (draft(&fleet, 1, "release-1"), draft(&fleet, 2, "release-2"));
    let early = fleet.beacon("early", 1, &[&first], "1h");
    publish(&fleet, Some(&first), &format!("{} --beacon {}", fleet.roots(1..=1), early.display()));
    let hosts = [fleet.host("site-a"), fleet.host("site-b")];
    let shares = ["0/2", "1/2"].map(|share| format!("sender = {share:?}"));
    let mut head_ends: Vec<_> = hosts.iter().zip(&shares).map(|(host, share)| head_end(&fleet, host, share)).collect();
    let issued = head_ends.iter_mut().map(|head_end| {
        let ready = head_end.wait_for("ready");
        assert_eq!((&ready["sequence"], &ready["roots"]), (&1.into(), &json!([1])));
        count(&ready["beacon"], "issued")
    });
    let issued = issued.max().unwrap();
    let device = fleet.device("device", &["app"]);
    let mut receiver = device.start(&format!("--root {}", roots[0].display()));
    receiver.wait_until("installed", |installed| installed["release"]["sequence"] == 1);

    // The beacon is renewed, between releases.
    let renewed = beacon(&fleet, "renewed", 1, &first);
    let told = publish(&fleet, None, &format!("--beacon {}", renewed.display()));
    assert!(count(&told["beacon"], "issued") > issued, "{told}");
    for head_end in &mut head_ends {
        assert_eq!(head_end.wait_for("beacon")["issued"], told["beacon"]["issued"]);
    }
    let of_then = fleet.path("of-then");
    copy(&store, &of_then);
    let replayed = refused(&fleet, None, &format!("--beacon {}", early.display()));
    assert!(replayed.contains("(beacon-replay)"), "{replayed}");

    // The release key is replaced: the next root, a release by the new key, and a beacon that names both.
    let newest = beacon(&fleet, "newest", 2, &second);
    let options = format!("{} --beacon {}", fleet.roots(1..=2), newest.display());
    assert_eq!(publish(&fleet, Some(&second), &options)["new_roots"], json!([2]));
    for head_end in &mut head_ends {
        assert_eq!(head_end.wait_for("roots")["roots"], json!([1, 2]));
        assert_eq!(head_end.wait_for("switched")["sequence"], 2);
        head_end.wait_until("beacon", |beacon| beacon["root"] == 2);
    }
    receiver.wait_until("installed", |installed| installed["release"]["sequence"] == 2);
    device.assert_runs(&second);
    assert_eq!(count(&receiver.wait_for("root"), "version"), 2);

    // What the old key signs does not get in, nor another root 2.
    let stolen = draft(&fleet, 3, "release-1");
    assert!(refused(&fleet, Some(&stolen), &fleet.roots(1..=1)).contains("valid signatures"));
    fleet.sign("root bump 1.root --out fork.root");
    fleet.sign("root sign fork.root --previous 1.root --key root-1.pem");
    let fork = format!("{} --root {}", fleet.roots(1..=1), fleet.path("fork.root").display());
    assert!(refused(&fleet, None, &fork).contains("another root 2"));

    for head_end in &mut head_ends {
        assert_eq!((head_end.all("ready").len(), head_end.all("stopped").len()), (1, 0), "no restart");
    }
    // Killed, and started while the store is as it was before root 2: what it has taken it keeps.
    head_ends[0].process.kill(Signal::KILL).unwrap();
    let _ = head_ends[0].process.wait(Duration::from_secs(10));
    assert_eq!(head_ends[1].end(Signal::TERM), 0);
    fs::remove_dir_all(&store).unwrap();
    copy(&of_then, &store);
    let mut restarted = head_end(&fleet, &hosts[0], "");
    let ready = restarted.wait_for("ready");
    assert_eq!((&ready["sequence"], &ready["roots"], &ready["beacon"]["root"]), (&2.into(), &json!([1, 2]), &2.into()));
    let reason = restarted.wait_until("warning", |warning| warning["code"] == "threshold")["reason"].clone();
    assert!(reason.as_str().unwrap().contains("sequence 2) is sent on"), "{reason}");
    assert!(restarted.all("switched").is_empty() && restarted.all("beacon").is_empty());
    assert_eq!(restarted.end(Signal::TERM), 0);
    assert_eq!(receiver.end(Signal::TERM), 0);
}

#[test]
fn a_release_that_the_next_root_refuses_stays_on_the_air_with_that_root_also_after_a_restart() {
    let Some(fleet) = Fleet::new("revoked") else { return };
    store(&fleet);
    let _roots: Vec<_> = (1..=2).map(|version| fleet.root(version)).collect();
    let release = draft(&fleet, 1, "release-1");
    publish(&fleet, Some(&release), &fleet.roots(1..=1));
    let host = fleet.host("site");
    let mut sender = head_end(&fleet, &host, "");
    sender.wait_for("ready");
    publish(&fleet, None, &fleet.roots(1..=2));
    assert_eq!(sender.wait_for("roots")["roots"], json!([1, 2]));
    sender.wait_until("warning", |warning| warning["code"] == "release-refused");
    assert_eq!(sender.end(Signal::TERM), 0);
    let mut sender = head_end(&fleet, &host, "");
    assert_eq!(sender.wait_for("ready")["roots"], json!([1, 2]));
    sender.wait_until("warning", |warning| warning["code"] == "release-refused");
    assert_eq!(sender.end(Signal::TERM), 0);
}

#[test]
fn junk_in_the_store_is_told_once_and_what_is_good_is_taken_beside_it() {
    let Some(fleet) = Fleet::new("junk") else { return };
    let channel = store(&fleet).join("channels/stable");
    let _ = fleet.root(1);
    let release = draft(&fleet, 1, "release-1");
    publish(&fleet, Some(&release), &fleet.roots(1..=1));
    let host = fleet.host("site");
    let mut sender = head_end(&fleet, &host, "");
    assert_eq!(sender.wait_for("ready")["beacon"], Value::Null);
    // A root that its own key alone has signed, a beacon by a stranger far ahead, and noise.
    let _ = fleet.key("stranger");
    fleet.sign(
        "root init alien.root --vendor acme.example --root-key stranger.pub.pem --release-key stranger.pub.pem \
         --beacon-key stranger.pub.pem",
    );
    fleet.sign("root sign alien.root --key stranger.pem");
    fleet.sign("root bump alien.root --out alien-2.root");
    fleet.sign("root sign alien-2.root --previous alien.root --key stranger.pem");
    fs::create_dir_all(channel.join("beacons")).unwrap();
    write(&channel.join("beacons/0009999999999.beacon"), &noise(7, 100_000));
    fs::copy(fleet.path("alien-2.root"), channel.join("roots/00002.root")).unwrap();
    sender.wait_until("warning", |warning| warning["code"] == "store-content");
    let current = fleet.beacon("current", 1, &[&release], "1h");
    // The publisher does not build on a chain that is none.
    assert!(refused(&fleet, None, &format!("--beacon {}", current.display())).contains("00002.root"));
    fs::create_dir_all(channel.join("beacons")).unwrap();
    let facts = run(Command::new(program("sign")).args(["inspect", "--json"]).arg(&current));
    let issued = count(&serde_json::from_slice(&facts.stdout).unwrap(), "issued");
    fs::copy(&current, channel.join(format!("beacons/{issued:013}.beacon"))).unwrap();
    assert_eq!(sender.wait_for("beacon")["issued"], issued);
    thread::sleep(Duration::from_secs(1));
    let warnings = sender.all("warning");
    let reasons: Vec<_> = warnings.iter().map(|warning| warning["reason"].as_str().unwrap()).collect();
    let told = |part: &str| reasons.iter().filter(|reason| reason.contains(part)).count();
    assert_eq!(
        (told("root 2 of channel stable is refused"), told("0009999999999.beacon is refused")),
        (1, 1),
        "{reasons:?}"
    );
    assert!(sender.all("roots").is_empty());
    // The genuine root 2 in its place is taken.
    fs::copy(fleet.root(2), channel.join("roots/00002.root")).unwrap();
    assert_eq!(sender.wait_for("roots")["roots"], json!([1, 2]));
    assert_eq!(sender.end(Signal::TERM), 0);
}

#[test]
fn publishers_killed_at_any_moment_show_no_release_without_its_root_and_no_beacon_without_its_release() {
    let Some(fleet) = Fleet::new("killed-trust") else { return };
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let _roots: Vec<_> = (1..=2).map(|version| fleet.root(version)).collect();
    let (first, second) = (draft(&fleet, 1, "release-1"), draft(&fleet, 2, "release-2"));
    let (old, new) = (fleet.beacon("old", 1, &[&first], "1h"), beacon(&fleet, "new", 2, &second));
    let before = fleet.path("before");
    fs::create_dir(fleet.path("store")).unwrap();
    publish(&fleet, Some(&first), &format!("{} --beacon {}", fleet.roots(1..=1), old.display()));
    copy(&fleet.path("store"), &before);
    let options = format!("{} --beacon {}", fleet.roots(1..=2), new.display());
    let again = || {
        fs::remove_dir_all(fleet.path("store")).unwrap();
        copy(&before, &fleet.path("store"));
    };
    let begin = Instant::now();
    publish(&fleet, Some(&second), &options);
    let whole = begin.elapsed();
    let mut steps = [0; 4];
    for turn in 0..24 {
        again();
        let files = paths(&fleet);
        let mut command = publish_command(&fleet, Some(&second), &options);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        if turn % 2 == 0 {
            thread::sleep(whole.mul_f64(random.f64() * 1.1));
        } else {
            // As soon as the first, second, ... new file is to be steps, whole or not.
            while paths(&fleet) < files + 1 + turn / 2 % 5 && child.try_wait().unwrap().is_none() {}
        }
        let _ = child.kill();
        child.wait().unwrap();
        steps[step(&fleet)] += 1;
        // The next attempt completes it.
        let told = publish(&fleet, Some(&second), &options);
        assert_eq!((&told["number"], &told["roots"]), (&2.into(), &json!([1, 2])));
        assert_eq!(step(&fleet), 3);
    }
    println!("killed at {steps:?}");
}

#[test]
fn the_unit_beside_the_timer_publishes_what_the_timer_signed() {
    let Some(fleet) = Fleet::new("unit") else { return };
    store(&fleet);
    let _ = fleet.root(1);
    let release = draft(&fleet, 1, "release-1");
    publish(&fleet, Some(&release), &fleet.roots(1..=1));
    let beacon = fleet.beacon("current", 1, &[&release], "1h");
    let unit = fs::read_to_string(shipped("packaging/beacon/fleetcast-beacon-publish.service")).unwrap();
    let line = |key: &str| unit.lines().find_map(|line| line.strip_prefix(key)).unwrap();
    let command = line("ExecStart=").replace("/usr/bin/fleetcast-send", &program("send").display().to_string());
    let mut shell = Command::new("bash");
    shell.arg("-euc").arg(format!("export {}; BEACON={}; {command}", line("Environment="), beacon.display()));
    run(shell.env("FLEETCAST_STORE", fleet.path("store")));
    let shown = run(Command::new(program("send")).args(["channels", "--json", "--store"]).arg(fleet.path("store")));
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["notices"][0]["beacon"]["root"], 1);
}

/// How many files the store has, those that are being written included.
fn paths(fleet: &Fleet) -> usize {
    let count = |folder: &str| fs::read_dir(fleet.path("store").join(folder)).map_or(0, Iterator::count);
    ["files", "channels/stable", "channels/stable/roots", "channels/stable/beacons"].map(count).iter().sum()
}

/// How far a publisher came: nothing is to be seen, the root, the release, the beacon; each only with those before it.
fn step(fleet: &Fleet) -> usize {
    let shown = run(Command::new(program("send")).args(["channels", "--json", "--store"]).arg(fleet.path("store")));
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    let notices = &shown["notices"][0];
    let seen =
        [notices["roots"] == json!([1, 2]), shown["pointers"][0]["sequence"] == 2, notices["beacon"]["root"] == 2];
    let step = seen.iter().take_while(|seen| **seen).count();
    assert!(seen.iter().skip(step).all(|seen| !seen), "{shown}");
    step
}
