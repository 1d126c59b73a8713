//! Clocks that are wrong, beacons that are old, and what a device makes of it: whether what it knows is current.

use std::time::Duration;

use fleetcast_core::freshness::Freshness;
use fleetcast_install::Program;
use fleetcast_install::sim::SimDisk;
use fleetcast_recv::config::{self, Config, Hooks};
use fleetcast_recv::device::Outcome;
use rustix::io::Errno;

use super::super::bench::{Job, Running, disk, failing, files, image};
use super::{DAY, beacon, day, made_with, release, root_packet};

/// Long past whatever statements say.
const FAR_FUTURE: u64 = day(20_000);
const YEAR: u64 = 365 * DAY;

/// A beacon and what it names, again and again as a carousel brings them.
fn stream(root: u16, issued: u64, job: &Job) -> Vec<Vec<u8>> {
    [vec![beacon(root, issued, &[job])], job.packets(0).take(300).collect()].concat()
}

fn with(freshness: config::Freshness) -> Config {
    Config { freshness, ..made_with(1) }
}

fn trusting_its_clock() -> Config {
    with(config::Freshness { trust_clock: true, ..config::Freshness::default() })
}

fn start(config: &Config) -> (SimDisk, Running<SimDisk>) {
    let disk = disk();
    let running = Running::start_as(&disk, config).unwrap();
    (disk, running)
}

#[test]
fn a_clock_at_1970_keeps_no_device_from_what_is_current_nor_from_its_wave() {
    for config in [made_with(1), trusting_its_clock()] {
        let (disk, mut running) = start(&Config { wave: Some(5), ..config });
        let job = Job::in_waves_by(&["author-1"], 7, &[("rootfs", image(1, 64 * 30))], &[(10, day(1) + 5)]);
        assert_eq!(running.follow(60, 0, &stream(1, day(1), &job)).unwrap(), Outcome::Installed);
        job.check_targets(&disk, true);
        assert_eq!(running.told_freshness(), ["waiting", "fresh"]);
        assert!((day(1) + 5..day(1) + 60).contains(&running.device.trusted().clock));
    }
}

#[test]
fn a_clock_in_the_far_future_makes_stale_only_who_trusts_it() {
    let job = release(1, 7);
    let (_disk, mut running) = start(&made_with(1));
    assert_eq!(running.follow(60, FAR_FUTURE, &stream(1, day(1), &job)).unwrap(), Outcome::Installed);

    let (disk, mut running) = start(&trusting_its_clock());
    assert_eq!(running.follow(60, FAR_FUTURE, &stream(1, day(1), &job)).unwrap(), Outcome::Going);
    assert_eq!((running.waited_for(), running.freshness()), (vec!["stale"], Freshness::Stale { until: day(1) + 3600 }));
    job.check_targets(&disk, false);
    // The clock is set right: what was held goes on by itself.
    assert_eq!(running.wait(2, day(1) + 60).unwrap(), Outcome::Installed);
}

#[test]
fn who_may_install_when_stale_does_so_and_says_so() {
    let settings = config::Freshness { trust_clock: true, install_when_stale: true };
    let (disk, mut running) = start(&with(settings));
    let job = release(1, 7);
    assert_eq!(running.follow(60, FAR_FUTURE, &stream(1, day(1), &job)).unwrap(), Outcome::Installed);
    assert_eq!(running.told("installing-stale"), 1);
    job.check_targets(&disk, true);
}

#[test]
fn a_device_that_is_behind_installs_nothing_until_the_root_comes_even_if_it_may_when_stale() {
    let settings = config::Freshness { install_when_stale: true, ..config::Freshness::default() };
    let (disk, mut running) = start(&with(settings));
    // Both keys are author-1's: root 2 leaves it in force.
    let job = Job::signed_by(&["author-1", "author-2"], 7, &[("rootfs", image(7, 64 * 30))]);
    let mut packets = stream(1, day(1), &job);
    let names_root_2 = super::beacon_by("beacon-1", 2, day(1), &[&job]);
    packets[0] = names_root_2;
    running.follow(7200, 0, &packets).unwrap();
    assert_eq!((running.freshness(), running.waited_for()), (Freshness::Behind { root: 2 }, vec!["behind"]));
    job.check_targets(&disk, false);
    running.hear([root_packet(2)]).unwrap();
    assert_eq!(running.follow(60, 0, &stream(2, day(2), &job)).unwrap(), Outcome::Installed);
    assert_eq!(running.told_freshness(), ["behind", "waiting", "fresh"]);
}

#[test]
fn a_beacon_from_before_is_a_replay_and_what_only_it_names_is_superseded() {
    let (_disk, mut running) = start(&made_with(1));
    let (old, new) = (release(1, 6), release(1, 7));
    running.hear([beacon(1, day(2), &[&new])]).unwrap();
    running.follow(60, 0, &stream(1, day(1), &old)).unwrap();
    assert!(running.dropped("beacon-replay") == 1 && running.dropped("refused-before") > 0);
    assert_eq!((running.told("superseded"), running.device.chunks()), (1, None));
    assert_eq!(running.follow(60, 0, &stream(1, day(2) + 60, &new)).unwrap(), Outcome::Installed);
}

#[test]
fn a_beacon_that_comes_for_ever_the_same_becomes_stale_and_the_next_one_mends_it() {
    let (disk, mut running) = start(&made_with(1));
    let job = release(1, 7);
    let frozen = [beacon(1, day(1), &[&job])];
    running.follow(3590, 0, &frozen).unwrap();
    assert_eq!(running.freshness(), Freshness::Fresh { until: day(1) + 3600 });
    running.follow(30, 0, &frozen).unwrap();
    assert_eq!(running.told_freshness(), ["waiting", "fresh", "stale"]);
    // A release that comes by then is received, and held.
    assert_eq!(running.follow(600, 0, &stream(1, day(1), &job)).unwrap(), Outcome::Going);
    assert!(running.device.receiver().is_complete());
    assert_eq!(running.waited_for(), ["stale"]);
    job.check_targets(&disk, false);
    running.hear([beacon(1, day(1) + 5000, &[&job])]).unwrap();
    assert_eq!(running.wait(3, 0).unwrap(), Outcome::Installed);
    assert_eq!(running.told_freshness(), ["waiting", "fresh", "stale", "fresh"]);
}

#[test]
fn without_any_beacon_a_device_waits_five_minutes_then_is_stale() {
    let (_disk, mut running) = start(&made_with(1));
    running.follow(600, 0, &[root_packet(1)]).unwrap();
    assert_eq!(running.told_freshness(), ["waiting", "stale"]);
    assert_eq!(running.freshness(), Freshness::Stale { until: 0 });
}

#[test]
fn a_device_that_slept_a_year_falls_for_no_recording_of_before_its_sleep() {
    let (disk, mut running) = start(&made_with(1));
    let (old, slept, new) = (release(1, 5), release(1, 6), release(1, 7));
    running.follow(30, 0, &[beacon(1, day(10), &[&slept])]).unwrap();
    running.device.flush().unwrap();
    drop(running);

    // A year later its clock stands at 1970 again, and somebody sends what was sent the day before.
    let mut running = Running::start_as(&disk, &made_with(1)).unwrap();
    assert_eq!(running.device.trusted().beacon.unwrap().issued, day(10), "kept");
    running.follow(600, 0, &stream(1, day(9), &old)).unwrap();
    assert_eq!((running.device.chunks(), running.told("superseded")), (None, 1));
    assert_eq!(running.told_freshness(), ["waiting", "stale"], "no replay makes it fresh");

    // What is genuine comes.
    assert_eq!(running.follow(30, 0, &stream(1, day(10) + YEAR, &new)).unwrap(), Outcome::Installed);
    new.check_targets(&disk, true);
    assert!(running.device.trusted().clock >= day(10) + YEAR);
    running.hear(stream(1, day(10), &slept)).unwrap();
    assert_eq!(running.dropped("beacon-replay"), 2);
}

#[test]
fn a_device_that_slept_a_year_and_hears_its_last_beacon_again_takes_nothing_older_and_is_soon_stale() {
    let (disk, mut running) = start(&made_with(1));
    let slept = release(1, 6);
    running.follow(30, 0, &[beacon(1, day(10), &[&slept])]).unwrap();
    running.device.flush().unwrap();
    drop(running);
    // Nothing tells this recording from then: at most what was current then is installed, for at most its hour.
    let mut running = Running::start_as(&disk, &made_with(1)).unwrap();
    running.follow(3700, 0, &[beacon(1, day(10), &[&slept])]).unwrap();
    assert_eq!(running.told_freshness(), ["waiting", "fresh", "stale"]);
    drop(running);
    // Whoever has a clock to trust, or newer software, knows better from the start.
    let by_build = Config { built: day(11), ..made_with(1) };
    for (config, unix) in [(trusting_its_clock(), day(10) + YEAR), (by_build, 0)] {
        let mut running = Running::start_as(&disk.fork(), &config).unwrap();
        running.follow(60, unix, &stream(1, day(10), &slept)).unwrap();
        assert_eq!(running.told_freshness(), ["stale"]);
        assert_eq!(running.waited_for(), ["stale"]);
    }
}

#[test]
fn while_the_genuine_stream_comes_too_a_recording_has_ten_seconds_in_vain() {
    let (disk, mut running) = start(&made_with(1));
    let (old, new) = (release(1, 6), release(1, 7));
    running.hear(stream(1, day(1), &old)).unwrap();
    assert!(running.device.receiver().is_complete());
    running.wait(8, 0).unwrap();
    running.hear([beacon(1, day(2), &[&new])]).unwrap();
    assert_eq!(running.abandoned(), [(6, "superseded")]);
    assert_eq!(running.follow(60, 0, &stream(1, day(2), &new)).unwrap(), Outcome::Installed);
    new.check_targets(&disk, true);
}

#[test]
fn a_device_that_was_suspended_is_stale_when_it_wakes() {
    let (disk, mut running) = start(&made_with(1));
    let job = release(1, 7);
    running.follow(30, 0, &[beacon(1, day(1), &[&job])]).unwrap();
    let packets: Vec<_> = job.packets(0).take(300).collect();
    running.hear(packets[..20].to_vec()).unwrap();
    assert!(!running.device.receiver().is_complete());
    // The first it hears after two hours is the rest of a release.
    running.now += 7200 * 1_000_000;
    running.hear(packets[20..].to_vec()).unwrap();
    assert!(running.device.receiver().is_complete());
    assert_eq!((running.outcome, running.waited_for()), (Outcome::Going, vec!["stale"]));
    job.check_targets(&disk, false);
}

#[test]
fn the_hook_is_run_each_time_a_device_is_stale_or_behind_for_a_minute_and_knows_how_far_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let variables = ["FRESHNESS", "UNTIL", "ROOT", "NEWEST_ROOT"].map(|name| format!("$FLEETCAST_{name}")).join(" ");
    let script = format!("echo \"$0 {variables}\" >> {}", log.display());
    let hook = Program::new("/bin/sh".into(), vec!["-c".into(), script.into()], Duration::from_secs(10));
    let config = Config { hooks: Hooks { on_stale: Some(hook), ..Hooks::default() }, ..made_with(1) };
    assert!(config.has_programs());
    let (_disk, mut running) = start(&config);
    let job = release(1, 7);
    running.follow(4000, 0, &[beacon(1, day(1), &[&job])]).unwrap();
    running.follow(30, 0, &[beacon(1, day(2), &[&job])]).unwrap();
    let names_root_2 = super::beacon_by("beacon-1", 2, day(3), &[&job]);
    running.follow(90, 0, &[names_root_2]).unwrap();
    // New keys, and no beacon by them for a moment: that is not worth a hook.
    running.follow(30, 0, &[root_packet(2)]).unwrap();
    running.follow(30, 0, &[beacon(2, day(4), &[&job])]).unwrap();
    assert_eq!(running.told_freshness(), ["waiting", "fresh", "stale", "fresh", "behind", "stale", "waiting", "fresh"]);
    let told = std::fs::read_to_string(log).unwrap();
    let (until, last) = (day(1) + 3600, day(3) + 3600);
    assert_eq!(told, format!("on-stale stale {until} 1 1\non-stale behind {last} 1 2\n"));
}

#[test]
fn the_newest_beacon_is_kept_at_most_once_a_minute_and_at_the_end() {
    let (disk, mut running) = start(&made_with(1));
    let job = release(1, 7);
    let kept = || files(&disk, "/beacon").pop().map(|(_, bytes)| bytes);
    let sent = |n: u64| beacon(1, day(1) + n, &[&job]);
    running.hear([sent(0)]).unwrap();
    assert_eq!(kept(), None, "no datagram waits for it");
    running.wait(1, 0).unwrap();
    assert_eq!(kept().unwrap(), sent(0)[20..]);
    for n in 1..59 {
        running.hear([sent(n)]).unwrap();
        running.wait(1, 0).unwrap();
    }
    assert_eq!(kept().unwrap(), sent(0)[20..]);
    running.device.flush().unwrap();
    assert_eq!(kept().unwrap(), sent(58)[20..]);
    running.hear([sent(60)]).unwrap();
    running.wait(2, 0).unwrap();
    assert_eq!(kept().unwrap(), sent(60)[20..]);

    // A disk that is full is told of once a minute, and nothing else comes of it.
    let (_, operations) = failing(disk.fork(), u64::MAX..u64::MAX, Errno::NOSPC, |disk| {
        drop(Running::start_as(disk, &made_with(1)).unwrap());
    });
    let (disk, _) = failing(disk.fork(), operations..operations + 1, Errno::NOSPC, |disk| {
        let mut running = Running::start_as(disk, &made_with(1)).unwrap();
        running.hear([sent(61)]).unwrap();
        running.wait(50, 0).unwrap();
        assert_eq!(running.told("no-space"), 1);
        running.wait(20, 0).unwrap();
        assert_eq!(running.told("no-space"), 1);
    });
    assert_eq!(files(&disk, "/beacon")[0].1, sent(61)[20..]);
}
