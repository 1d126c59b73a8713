//! What a thief of a key can do, and how a root undoes it.

use fleetcast_core::freshness::Freshness;
use fleetcast_core::trust::{Grant, Root};
use fleetcast_install::record::Floors;
use fleetcast_install::sim::SimDisk;
use fleetcast_netlab::authority::{role, signed_root};
use fleetcast_recv::config::Config;
use fleetcast_recv::device::Outcome;

use super::super::bench::{Running, disk};
use super::{beacon, day, made_with, packet_of, quiet, release, root, root_packet, trusting};

/// The highest sequence number.
const TOP: u64 = i64::MAX as u64;
/// Most seconds of Unix time that a statement may name.
const LAST: u64 = (1 << 40) - 1;

/// Starts the device again, if it is to be.
fn perhaps_again(running: &mut Option<Running<SimDisk>>, disk: &SimDisk, config: &Config, again: bool) {
    if again {
        *running = None;
        *running = Some(Running::start_as(disk, config).unwrap());
    }
}

#[test]
fn sequences_used_up_by_a_stolen_release_key_are_free_again_after_a_root() {
    let roots = [1, 2].map(|n| signed_root(&quiet(root(n)), &["root-0", "root-1", "root-2"]));
    let config = trusting(&roots[0]);
    for restarts in [false, true] {
        let disk = disk();
        let (thief, job, older) = (release(1, TOP), release(2, 5), release(2, 4));
        let mut running = Some(Running::start_as(&disk, &config).unwrap());
        assert_eq!(running.as_mut().unwrap().hear(thief.packets(0).take(300)).unwrap(), Outcome::Installed);
        perhaps_again(&mut running, &disk, &config, restarts);
        running.as_mut().unwrap().hear([packet_of(2, &roots[1])]).unwrap();
        perhaps_again(&mut running, &disk, &config, restarts);
        let running = running.as_mut().unwrap();
        assert_eq!(running.device.record().floors, Floors::Void { under_way: None });

        assert_eq!(running.hear(job.packets(0).take(300)).unwrap(), Outcome::Installed);
        assert_eq!(running.device.record().floors, Floors::Hold);
        // From then on there are floors as ever.
        running.hear(older.packets(0).take(300)).unwrap();
        assert_eq!(running.told("rollback"), 1);
        job.check_targets(&disk, true);
    }
}

#[test]
fn sequences_used_up_by_a_release_that_was_only_followed_are_free_again_too() {
    let roots = [1, 2].map(|n| signed_root(&quiet(root(n)), &["root-0", "root-1", "root-2"]));
    let (disk, config) = (disk(), trusting(&roots[0]));
    let mut running = Running::start_as(&disk, &config).unwrap();
    running.hear(release(1, TOP).packets(0).take(30)).unwrap();
    assert_eq!(running.device.record().seen.unwrap().sequence, TOP);
    running.hear([packet_of(2, &roots[1])]).unwrap();
    drop(running);
    let mut running = Running::start_as(&disk, &config).unwrap();
    assert_eq!(running.hear(release(2, 5).packets(0).take(300)).unwrap(), Outcome::Installed);
}

#[test]
fn floors_hold_over_a_root_that_leaves_a_release_key_in_force() {
    let first = quiet(root(1));
    let (author_1, author_2) = (Grant::everything(role(1, &["author-1"])), Grant::everything(role(1, &["author-2"])));
    let next = Root { grants: vec![author_1, author_2], ..quiet(root(2)) };
    let (disk, config) = (disk(), trusting(&signed_root(&first, &["root-1"])));
    let mut running = Running::start_as(&disk, &config).unwrap();
    assert_eq!(running.hear(release(1, 9).packets(0).take(300)).unwrap(), Outcome::Installed);
    running.hear([packet_of(2, &signed_root(&next, &["root-1", "root-2"]))]).unwrap();
    assert_eq!((running.version(), running.device.record().floors), (2, Floors::Hold));
    for again in [false, true] {
        running.hear(release(2, 8).packets(0).take(300)).unwrap();
        assert_eq!(running.told("rollback"), 1, "started again: {again}");
        drop(running);
        running = Running::start_as(&disk, &config).unwrap();
    }
}

#[test]
fn time_run_ahead_by_a_stolen_beacon_key_comes_back_with_a_root() {
    for restarts in [false, true] {
        let (disk, config) = (disk(), made_with(1));
        let job = release(2, 5);
        let mut running = Some(Running::start_as(&disk, &config).unwrap());
        let device = running.as_mut().unwrap();
        device.hear([beacon(1, LAST - 3600, &[&release(1, 1)])]).unwrap();
        device.skip(20, 0).unwrap();
        assert!(device.device.trusted().clock >= LAST - 3600);
        // What is genuine comes too late, for ever.
        device.hear([beacon(1, day(1), &[&release(1, 2)])]).unwrap();
        assert_eq!(device.dropped("beacon-replay"), 1);
        device.device.flush().unwrap();
        perhaps_again(&mut running, &disk, &config, restarts);
        assert!(running.as_mut().unwrap().device.trusted().clock >= LAST - 3600, "kept: {restarts}");

        running.as_mut().unwrap().hear([root_packet(2)]).unwrap();
        perhaps_again(&mut running, &disk, &config, restarts);
        let running = running.as_mut().unwrap();
        running.skip(1, 0).unwrap();
        assert_eq!(running.device.trusted().beacon, None);
        assert!((day(2)..day(3)).contains(&running.device.trusted().clock), "that of the root");
        let packets = [vec![beacon(2, day(2) + 5, &[&job])], job.packets(0).take(300).collect()].concat();
        assert_eq!(running.follow(30, 0, &packets).unwrap(), Outcome::Installed);
        assert_eq!(running.freshness(), Freshness::Fresh { until: day(2) + 3605 });
    }
}

#[test]
fn a_beacon_key_alone_can_hold_a_device_back_but_brings_nothing_into_it() {
    let disk = disk();
    let mut running = Running::start_as(&disk, &made_with(1)).unwrap();
    // It names a release of a key that may not sign any.
    let foreign = release(7, 9);
    let packets = [vec![beacon(1, day(1), &[&foreign])], foreign.packets(0).take(300).collect()].concat();
    running.follow(30, 0, &packets).unwrap();
    assert!(running.device.chunks().is_none() && running.dropped("threshold") > 0);
    let genuine = release(1, 8);
    running.hear(genuine.packets(0).take(300)).unwrap();
    assert_eq!(running.told("superseded"), 1);
}
