//! Roots that follow each other, whenever and however they come.

use std::path::Path;
use std::time::Duration;

use fleetcast_core::freshness::Freshness;
use fleetcast_core::manifest::Uuid;
use fleetcast_core::trust::{Grant, Root};
use fleetcast_install::record::Floors;
use fleetcast_install::{Program, durable};
use fleetcast_netlab::authority::{role, signed_root};
use fleetcast_recv::config::{Config, Hooks};
use fleetcast_recv::device::{Outcome, Standing};
use rustix::io::Errno;

use super::super::bench::{Job, Running, STATE, config, disk, failing, files, image};
use super::super::slots::boot::{self, backend, power_on};
use super::{beacon, day, made_with, packet_of, quiet, release, root, root_packet, signed, trusting};

/// Changes a file.
type Spoil = fn(&mut Vec<u8>);

/// All orders of roots 2 to 5.
fn orders() -> Vec<Vec<u16>> {
    let mut orders = vec![vec![]];
    for version in 2..=5 {
        let insert =
            |order: Vec<u16>| (0..=order.len()).map(move |at| [&order[..at], &[version], &order[at..]].concat());
        orders = orders.into_iter().flat_map(insert).collect();
    }
    orders
}

#[test]
fn roots_2_to_5_are_walked_in_any_order_of_arrival_with_restarts_between() {
    let (config, job) = (made_with(1), release(5, 7));
    assert_eq!(orders().len(), 24);
    for order in orders() {
        let disk = disk();
        // The carousel brings them again and again.
        for _ in 0..4 {
            for version in &order {
                let mut running = Running::start_as(&disk, &config).unwrap();
                let known = running.version();
                running.hear([root_packet(*version)]).unwrap();
                assert_eq!(running.version(), if *version == known + 1 { *version } else { known }, "{order:?}");
            }
        }
        let mut running = Running::start_as(&disk, &config).unwrap();
        assert_eq!((running.version(), running.device.record().root), (5, 5), "{order:?}");
        let packets = [vec![beacon(5, day(5), &[&job])], job.packets(0).take(300).collect()].concat();
        assert_eq!(running.follow(30, 0, &packets).unwrap(), Outcome::Installed);
        job.check_targets(&disk, true);
    }
}

#[test]
fn a_thief_s_release_under_a_revoked_key_is_refused() {
    let disk = disk();
    let (thief, job) = (release(1, 9), release(5, 7));
    let mut running = Running::start_as(&disk, &made_with(1)).unwrap();
    running.hear((2..=5).map(root_packet)).unwrap();
    running.hear(thief.packets(0).take(300)).unwrap();
    assert!(running.device.chunks().is_none() && running.dropped("threshold") > 0);
    let packets = [vec![beacon(5, day(5), &[&job])], job.packets(0).take(300).collect()].concat();
    assert_eq!(running.follow(30, 0, &packets).unwrap(), Outcome::Installed);
    job.check_targets(&disk, true);
}

#[test]
fn a_running_download_of_a_thief_s_release_is_given_up_when_its_key_is_revoked() {
    let disk = disk();
    let config = trusting(&signed_root(&quiet(root(1)), &["root-0", "root-1"]));
    let (thief, job) = (release(1, 9), release(2, 7));
    let mut running = Running::start_as(&disk, &config).unwrap();
    running.hear(thief.packets(0).take(30)).unwrap();
    assert!(running.device.chunks().unwrap().have > 0 && !files(&disk, ".part").is_empty());

    running.hear([packet_of(2, &signed_root(&quiet(root(2)), &["root-1", "root-2"]))]).unwrap();
    assert_eq!((running.abandoned(), running.device.chunks()), (vec![(9, "threshold")], None));
    for left in [".part", "scratch", "statement"] {
        assert_eq!(files(&disk, left), [], "its room is free");
    }
    // What it was never keeps the device from what follows, though that has a lower number.
    assert_eq!(running.hear(job.packets(0).take(300)).unwrap(), Outcome::Installed);
    job.check_targets(&disk, true);
}

#[test]
fn a_complete_release_that_waits_is_given_up_when_its_key_is_revoked() {
    let later = Program::new("/bin/sh".into(), vec!["-c".into(), "exit 75".into()], Duration::from_secs(10));
    let hooks = Hooks { before_install: Some(later), ..Hooks::default() };
    let waits_for_hook = (Config { hooks, ..made_with(1) }, "program-later");
    for (config, code) in [(made_with(1), "stale"), waits_for_hook] {
        let disk = disk();
        let thief = release(1, 9);
        let mut running = Running::start_as(&disk, &config).unwrap();
        let packets = [vec![beacon(1, day(1), &[&thief])], thief.packets(0).take(300).collect()].concat();
        running.hear(packets.clone()).unwrap();
        running.skip(7200 * u64::from(code == "stale") + 20, 0).unwrap();
        running.skip(1, 0).unwrap();
        assert!(running.device.receiver().is_complete() && running.waited_for().contains(&code), "{code}");

        running.hear([root_packet(2)]).unwrap();
        assert_eq!((running.abandoned(), running.device.chunks()), (vec![(9, "threshold")], None));
        running.wait(70, 0).unwrap();
        assert_eq!(running.outcome, Outcome::Going);
        thief.check_targets(&disk, false);
        assert_eq!([".part", "scratch", "statement"].map(|left| files(&disk, left).len()), [0; 3]);
        drop(running);
        assert_eq!(Running::start_as(&disk, &config).unwrap().resumed(), None);
    }
}

#[test]
fn a_release_on_trial_whose_key_is_revoked_goes_on_running_and_its_commit_makes_no_floors() {
    let disk = boot::device::new();
    let thief = Job::signed_by(&["author-1"], 1 << 40, &[("rootfs", image(1, 64 * 20)), ("kernel", image(2, 64 * 9))]);
    let job = Job::signed_by(&["author-2"], 7, &[("rootfs", image(3, 64 * 20)), ("kernel", image(4, 64 * 9))]);
    let config = trusting(&signed_root(&quiet(root(1)), &["root-0", "root-1"]));
    let start = |slot| Running::start_with(&disk, backend(&disk, slot), &config).unwrap();
    let mut running = start(power_on(&disk));
    assert_eq!(running.hear(thief.packets(0).take(300)).unwrap(), Outcome::OnTrial);
    drop(running);
    let mut running = start(power_on(&disk));
    assert_eq!(running.device.standing(), Standing::Trying);
    running.hear([packet_of(2, &signed_root(&quiet(root(2)), &["root-1", "root-2"]))]).unwrap();
    assert_eq!(running.device.standing(), Standing::Trying);
    running.device.commit(&mut |_| {}).unwrap();
    assert!(matches!(running.device.record().floors, Floors::Void { .. }) && running.device.record().seen.is_none());
    drop(running);
    let mut running = start(power_on(&disk));
    assert_eq!(running.hear(job.packets(0).take(300)).unwrap(), Outcome::OnTrial);
    drop(running);
    let mut running = start(power_on(&disk));
    running.device.commit(&mut |_| {}).unwrap();
    assert_eq!(running.device.record().floors, Floors::Hold);
    assert_eq!(running.device.record().installed.as_ref().unwrap().sequence, 7);
}

#[test]
fn a_release_that_only_one_of_author_and_operator_has_signed_is_refused() {
    let grant = Grant { operator: Some(role(1, &["operator-1"])), ..Grant::everything(role(1, &["author-1"])) };
    let both = quiet(Root { grants: vec![grant], ..root(1) });
    let config = trusting(&signed_root(&both, &["root-1"]));
    let made = |names: &[&str]| Job::signed_by(names, 7, &[("rootfs", image(7, 64 * 30))]);
    let disk = disk();
    let mut running = Running::start_as(&disk, &config).unwrap();
    for names in [&["author-1"][..], &["operator-1"], &["author-1", "thief"], &["thief", "operator-1"]] {
        let before = running.dropped("threshold");
        running.hear(made(names).packets(0).take(300)).unwrap();
        assert!(running.device.chunks().is_none() && running.dropped("threshold") > before, "{names:?}");
    }
    assert_eq!(running.hear(made(&["author-1", "operator-1"]).packets(0).take(300)).unwrap(), Outcome::Installed);
}

#[test]
fn a_root_that_only_the_old_or_only_its_own_keys_have_signed_does_not_follow() {
    let disk = disk();
    let mut running = Running::start_as(&disk, &made_with(1)).unwrap();
    for names in [&["root-1"][..], &["root-2"], &["thief", "root-2"]] {
        running.hear([packet_of(2, &signed_root(&root(2), names))]).unwrap();
        assert_eq!(running.version(), 1, "{names:?}");
    }
    // Not under another number either.
    running.hear([packet_of(2, &signed(3))]).unwrap();
    assert_eq!((running.version(), files(&disk, "/roots").len()), (1, 0));
}

#[test]
fn keys_alone_are_followed_by_a_first_root_of_the_device_s_vendor() {
    let disk = disk();
    let keys = Config { trust: role(1, &["root-0"]).into(), ..config() };
    let mut running = Running::start_as(&disk, &keys).unwrap();
    let foreign = Root { vendor: Uuid([5; 16]), ..root(1) };
    running.hear([packet_of(1, &signed_root(&foreign, &["root-0", "root-1"]))]).unwrap();
    assert_eq!((running.version(), running.dropped("vendor")), (0, 1));
    running.hear([root_packet(1), root_packet(2)]).unwrap();
    drop(running);
    assert_eq!(Running::start_as(&disk, &keys).unwrap().version(), 2);

    // One that was written there by others is not believed for being there.
    let statement = signed_root(&foreign, &["root-0", "root-1"]);
    let length = u16::try_from(statement.len()).unwrap().to_be_bytes();
    let forged = [&[0, 1], &length[..], &statement].concat();
    durable::replace(&disk, &Path::new(STATE).join("roots"), &forged).unwrap();
    let running = Running::start_as(&disk, &keys).unwrap();
    assert_eq!((running.version(), running.told("roots-set-aside"), running.told("roots-lost")), (0, 1, 1));
}

#[test]
fn a_newer_root_file_skips_the_roots_it_covers_and_an_older_one_walks_them_again() {
    let disk = disk();
    Running::start_as(&disk, &made_with(1)).unwrap().hear((2..=4).map(root_packet)).unwrap();
    for (file, reached) in [(1, 4), (3, 4), (4, 4), (5, 5), (2, 4)] {
        let running = Running::start_as(&disk, &made_with(file)).unwrap();
        // Root 5 was in the settings only, and is missing once they are older again.
        let lost = usize::from(file == 2);
        assert_eq!((running.version(), running.told("roots-lost")), (reached, lost), "root file {file}");
        assert_eq!(running.told("roots-set-aside"), 0);
    }
}

#[test]
fn a_chain_of_roots_that_does_not_connect_is_put_aside_and_nothing_is_installed_until_they_have_come_again() {
    let path = Path::new(STATE).join("roots");
    let spoil: [(&str, Spoil); 4] = [
        ("a bit of the last", |bytes| *bytes.last_mut().unwrap() ^= 1),
        ("its end", |bytes| bytes.truncate(bytes.len() - 1)),
        ("its beginning", |bytes| drop(bytes.drain(..signed(2).len() + 4))),
        ("all", |bytes| bytes.clear()),
    ];
    for (what, spoil) in spoil {
        let (disk, config) = (disk(), made_with(1));
        Running::start_as(&disk, &config).unwrap().hear((2..=3).map(root_packet)).unwrap();
        let mut bytes = files(&disk, "/roots").pop().unwrap().1;
        spoil(&mut bytes);
        durable::replace(&disk, &path, &bytes).unwrap();

        let mut running = Running::start_as(&disk, &config).unwrap();
        assert_eq!(running.told("roots-lost"), 1, "{what}");
        let aside = usize::from(what != "all");
        assert_eq!((running.told("roots-set-aside"), files(&disk, "roots.aside").len()), (aside, aside), "{what}");
        assert!(matches!(running.freshness(), Freshness::Behind { root: 3 }));
        // A thief's release whose key counts again for now is received, and does not get further.
        let version = running.version();
        let thief = release(version, 9);
        let packets = [vec![beacon(version, day(4), &[&thief])], thief.packets(0).take(300).collect()].concat();
        assert_eq!(running.follow(60, 0, &packets).unwrap(), Outcome::Going, "{what}");
        assert_eq!((running.waited_for(), running.told_freshness()), (vec!["behind"], vec!["behind"]));
        drop(running);
        let mut running = Running::start_as(&disk, &config).unwrap();
        assert_eq!(running.told("roots-set-aside"), 0, "once");
        running.hear((2..=3).map(root_packet)).unwrap();
        assert_eq!((running.version(), running.abandoned()), (3, vec![(9, "threshold")]), "{what}");
        drop(running);
        assert_eq!(Running::start_as(&disk, &config).unwrap().version(), 3, "{what}");
    }
}

#[test]
fn roots_for_which_there_is_no_room_count_all_the_same_and_come_again_after_a_restart() {
    let config = made_with(1);
    let mut times = 0;
    for cut in 0.. {
        let mut told = 0;
        let (disk, operations) = failing(disk(), cut..cut + 1, Errno::NOSPC, |disk| {
            let Ok(mut running) = Running::start_as(disk, &config) else { return };
            if running.hear([root_packet(2)]).is_ok() {
                assert_eq!(running.version(), 2);
                told = running.told("roots-not-kept");
            }
        });
        if cut >= operations {
            break;
        }
        times += told;
        let mut running = Running::start_as(&disk, &config).unwrap();
        // It may be there all the same: that it survives a power cut is what failed last.
        assert!(told == 0 || running.version() == 2 || running.told("roots-lost") == 1);
        running.hear([root_packet(2)]).unwrap();
        drop(running);
        assert_eq!(Running::start_as(&disk, &config).unwrap().version(), 2);
    }
    assert!(times > 2, "{times}");
}

#[test]
fn when_the_file_of_roots_is_full_those_that_the_root_file_covers_give_way() {
    let (disk, path) = (disk(), Path::new(STATE).join("roots"));
    drop(Running::start_as(&disk, &made_with(1000)).unwrap());
    // What is covered is passed over, whatever it is: 999 entries, and no room for another one.
    let entry = |n: u16, length: u16| [&n.to_be_bytes()[..], &length.to_be_bytes(), &vec![7; length.into()]].concat();
    let covered: Vec<u8> = (1..=998).flat_map(|n| entry(n, 1044)).chain(entry(999, 2500)).collect();
    assert!(covered.len() < 1 << 20 && covered.len() + signed(1001).len() > 1 << 20);
    durable::replace(&disk, &path, &covered).unwrap();
    for _ in 0..2 {
        let mut running = Running::start_as(&disk, &made_with(1000)).unwrap();
        running.hear([root_packet(1001)]).unwrap();
        let told = ["roots-set-aside", "roots-not-kept", "roots-lost"].map(|code| running.told(code));
        assert_eq!((running.version(), told), (1001, [0; 3]));
    }
    assert_eq!(files(&disk, "/roots")[0].1.len(), signed(1001).len() + 4);
}

#[test]
fn a_root_of_another_vendor_does_not_follow() {
    let disk = disk();
    let mut running = Running::start_as(&disk, &made_with(1)).unwrap();
    let foreign = Root { vendor: Uuid([5; 16]), ..root(2) };
    running.hear([packet_of(2, &signed_root(&foreign, &["root-1", "root-2"]))]).unwrap();
    assert_eq!((running.version(), running.dropped("scope")), (1, 1));
}
