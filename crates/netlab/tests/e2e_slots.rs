//! Devices with two slots and the shipped `pointer` as their boot loader: real programs, files and block devices.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use fleetcast_netlab::command_line::{Done, shipped};
use fleetcast_netlab::fleet::{Device, Fleet, Release, Run, noise, program, write};
use fleetcast_netlab::netns::Signal;
use serde_json::Value;

const KILLS: usize = 200;
const TARGETS: [&str; 2] = ["rootfs", "kernel"];

/// A device with slots.
struct Slotted {
    device: Device,
    folder: PathBuf,
    config: PathBuf,
}

impl Slotted {
    /// One whose slots are files; `health` is the script that says whether a release is good.
    fn new(fleet: &Fleet, health: &str) -> Self {
        let place = |target: &str, slot: &str| fleet.path("device").join(format!("{target}-{slot}"));
        Self::with_slots(fleet, health, place)
    }

    fn with_slots(fleet: &Fleet, health: &str, place: impl Fn(&str, &str) -> PathBuf) -> Self {
        let device = fleet.device("device", &[]);
        let folder = fleet.path("device");
        write(&folder.join("slots"), b"a ok 0 a\n");
        write(&folder.join("boot.conf"), format!("folder={}\n", folder.display()).as_bytes());
        let pair = |target: &str| {
            let [a, b] = ["a", "b"].map(|slot| place(target, slot).display().to_string());
            format!("[[target]]\nname = \"{target}\"\nslots = [\"{a}\", \"{b}\"]\n")
        };
        let pointer = fs::canonicalize(shipped("packaging/boot/pointer")).unwrap();
        let text = format!(
            "{}[boot]\nadapter = [\"{}\", \"-c\", \"{}\"]\nattempts = 9\n\
             [trial]\nhealth-check = [\"/bin/sh\", \"-c\", \"{health}\"]\ninterval = \"1s\"\ndeadline = \"2s\"\n\
             [confine]\nmode = \"required\"\nwrite = [\"{}\"]\n",
            TARGETS.map(pair).concat(),
            pointer.display(),
            folder.join("boot.conf").display(),
            folder.display()
        );
        let config = folder.join("recv.toml");
        write(&config, text.as_bytes());
        Self { device, folder, config }
    }

    fn start(&self, options: &str) -> Run {
        self.device.start(&format!("--config {} {options}", self.config.display()))
    }

    fn pointer(&self, verb: &str) -> String {
        let conf = self.folder.join("boot.conf");
        let mut command = Command::new(shipped("packaging/boot/pointer"));
        Done::run(command.arg("-c").arg(conf).arg(verb)).ok().stdout.trim().into()
    }

    fn status(&self) -> Value {
        let state = self.folder.join("state");
        let mut command = Command::new(program("recv"));
        let done = Done::run(command.args(["status", "--json", "--state"]).arg(state)).ok();
        serde_json::from_str(&done.stdout).unwrap()
    }

    /// Whether a slot begins with the images of a release, bit for bit.
    fn holds(&self, place: impl Fn(&str) -> PathBuf, release: &Release) -> bool {
        release.images.iter().all(|(target, image)| {
            let (image, found) = (fs::read(image).unwrap(), fs::read(place(target)).unwrap_or_default());
            found.get(..image.len()) == Some(&image)
        }) && self.folder.exists()
    }
}

fn kill_it(run: &mut Run) {
    run.process.kill(Signal::KILL).unwrap();
    assert_eq!(run.process.wait(Duration::from_secs(5)).unwrap().code(), None);
}

fn release(fleet: &Fleet, sequence: u64) -> Release {
    let draft = fleet.draft(sequence).image("rootfs", &noise(sequence, 150_001));
    draft.image("kernel", &noise(1000 + sequence, 40_000)).sign()
}

#[test]
fn two_hundred_kills_at_random_moments_never_leave_a_slot_that_starts_and_is_half_written() {
    let Some(fleet) = Fleet::new("slotkills") else { return };
    let sender = fleet.host("sender");
    let device = Slotted::new(&fleet, "exit 0");
    let mut random = fastrand::Rng::new();
    println!("seed {}", random.get_seed());
    let slot_file = |slot: &str| {
        let (folder, slot) = (device.folder.clone(), slot.to_owned());
        move |target: &str| folder.join(format!("{target}-{slot}"))
    };
    let (mut sequence, mut commits, mut phases) = (1, 0, [0; 5]);
    let mut committed: Option<Release> = None;
    let mut next = release(&fleet, sequence);
    let mut send = fleet.send(&sender, &next, "--rate 20M");
    for kill in 0..=KILLS {
        let mut run = device.start("");
        // The last one may take its time.
        if kill == KILLS {
            run.wait_for("on-trial");
        } else {
            // A health check takes up to two seconds; all else is over in a fraction of one.
            let longest = if kill % 5 == 0 { 2200 } else { 250 };
            thread::sleep(Duration::from_millis(random.u64(1..longest)));
        }
        kill_it(&mut run);
        let status = device.status();
        let phase = status["phase"].as_str().unwrap();
        phases[["idle", "installing", "switching", "trial", "returning"]
            .iter()
            .position(|name| *name == phase)
            .unwrap()] += 1;
        // What would be started now is the committed release or the next, whole.
        let first = device.pointer("get-primary");
        let is_new = device.holds(slot_file(&first), &next);
        let is_old = committed.as_ref().is_none_or(|release| device.holds(slot_file(&first), release));
        assert!(is_new || is_old, "kill {kill}: slot {first} is neither old nor new: {status}");
        if status["installed"]["sequence"] == sequence {
            assert!(is_new, "kill {kill}: {status}");
            commits += 1;
            committed = Some(next);
            sequence += 1;
            next = release(&fleet, sequence);
            send.end(Signal::INT);
            send = fleet.send(&sender, &next, "--rate 20M");
        } else if device.pointer("get-current") != first {
            assert_eq!(device.pointer("boot"), first);
        }
    }
    println!("{commits} releases committed in {KILLS} kills, phases {phases:?}");
    assert!(commits >= 3 && phases[3] > 0, "{commits} {phases:?}");
    device.pointer("boot");
    let mut run = device.start("");
    run.wait_for("committed");
    assert!(device.holds(slot_file(&device.pointer("get-primary")), &next));
    assert_eq!(run.end(Signal::TERM), 0);
}

#[test]
fn a_release_is_tried_on_block_devices_committed_by_its_health_check_and_a_sick_one_comes_back() {
    let Some(fleet) = Fleet::new("slots") else { return };
    let loops: Vec<_> =
        ["rootfs-a", "rootfs-b", "kernel-a", "kernel-b"].map(|name| (name, Loop::new(&fleet, name))).into();
    let at = |target: &str, slot: &str| {
        loops.iter().find(|(name, _)| *name == format!("{target}-{slot}")).unwrap().1.device.clone()
    };
    let sick = fleet.path("sick");
    let device = Slotted::with_slots(&fleet, &format!("test ! -e {}", sick.display()), at);
    let sender = fleet.host("sender");
    let first = release(&fleet, 1);
    let send = fleet.send(&sender, &first, "--rate 20M");

    // A slot that cannot be written, or is in use, is told before anything is touched.
    let loader = || fs::read(device.folder.join("slots")).unwrap();
    let before = loader();
    Done::run(Command::new("blockdev").arg("--setro").arg(at("kernel", "b"))).ok();
    let mut run = device.start("");
    let refused = run.wait_for("refused");
    Done::run(Command::new("blockdev").arg("--setrw").arg(at("kernel", "b"))).ok();
    assert_eq!(refused["code"], "slot-read-only", "{refused}");
    kill_it(&mut run);
    Done::run(Command::new("mkfs.ext4").args(["-q"]).arg(at("rootfs", "b"))).ok();
    let mount = fleet.path("mounted");
    fs::create_dir(&mount).unwrap();
    Done::run(Command::new("mount").arg(at("rootfs", "b")).arg(&mount)).ok();
    let mut run = device.start("");
    let refused = run.wait_for("refused");
    Done::run(Command::new("umount").arg(&mount)).ok();
    assert_eq!(refused["code"], "slot-busy", "{refused}");
    kill_it(&mut run);
    assert_eq!(loader(), before);

    let mut run = device.start("--once");
    run.success();
    assert!(!run.all("on-trial").is_empty());
    assert!(device.holds(|target| at(target, "b"), &first));
    assert!(device.status()["installed"].is_null(), "the floors rise at the commit");
    assert_eq!(device.pointer("boot"), "b");
    let mut run = device.start("");
    run.wait_for("committed");
    assert_eq!(device.status()["installed"]["sequence"], 1);
    run.end(Signal::TERM);
    drop(send);

    // One whose health check fails is given up, and not installed again.
    let second = release(&fleet, 2);
    let _send = fleet.send(&sender, &second, "--rate 20M");
    let mut run = device.start("--once");
    run.success();
    assert!(device.holds(|target| at(target, "a"), &second));
    write(&sick, b"");
    assert_eq!(device.pointer("boot"), "a");
    let mut run = device.start("");
    let given_up = run.wait_for("given-up");
    assert_eq!((given_up["code"].as_str(), given_up["release"]["sequence"].as_u64()), (Some("health"), Some(2)));
    assert_eq!(device.pointer("boot"), "b");
    kill_it(&mut run);
    let mut run = device.start("");
    let refused = run.wait_for("refused");
    assert_eq!(refused["code"], "rolled-back");
    assert!(device.holds(|target| at(target, "b"), &first));
    let status = device.status();
    assert_eq!((&status["failed"]["code"], &status["installed"]["sequence"]), (&"health".into(), &1.into()));
    kill_it(&mut run);
}

/// A block device on a file.
struct Loop {
    device: PathBuf,
}

impl Loop {
    fn new(fleet: &Fleet, name: &str) -> Self {
        let file = fleet.path(name);
        write(&file, &vec![0x55; 4 << 20]);
        let made = Done::run(Command::new("losetup").args(["--find", "--show"]).arg(&file)).ok();
        Self { device: made.stdout.trim().into() }
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("--detach").arg(&self.device).status();
    }
}
