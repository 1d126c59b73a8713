//! Power cut before every storage operation while roots and beacons come, and a release that follows from them.

use std::path::Path;

use fleetcast_install::record::Floors;
use fleetcast_install::sim::SimDisk;
use fleetcast_install::{Disk, Loaded, load};
use fleetcast_netlab::authority::signed_root;
use fleetcast_recv::config::Config;
use fleetcast_recv::device::{DeviceError, Outcome};
use rustix::io::Errno;

use super::super::bench::{Job, Running, STATE, disk, failing, files, mix, reboots, seed};
use super::{beacon, day, made_with, packet_of, quiet, release, root, root_packet, trusting};

/// What happens to a device, in this order.
struct Case {
    config: Config,
    first: SimDisk,
    thief: Job,
    job: Job,
}

impl Case {
    /// It runs a thief's release with the highest number, by root 1.
    fn new() -> Self {
        let disk = disk();
        let thief = release(1, i64::MAX as u64);
        let config = made_with(1);
        let mut running = Running::start_as(&disk, &config).unwrap();
        let packets = [vec![beacon(1, day(1), &[&thief])], thief.packets(0).take(300).collect()].concat();
        assert_eq!(running.follow(60, 0, &packets).unwrap(), Outcome::Installed);
        running.device.flush().unwrap();
        drop(running);
        Self { config, first: disk, thief, job: release(2, 5) }
    }

    /// Root 2 and its beacon come, then a release by it is installed.
    fn run<D: Disk + 'static>(&self, disk: &D) -> Result<Outcome, DeviceError> {
        let mut running = Running::start_as(disk, &self.config)?;
        running.hear([root_packet(2)])?;
        running.hear([beacon(2, day(2), &[&self.job])])?;
        running.wait(12, 0)?;
        running.hear([beacon(2, day(2) + 1, &[&self.job])])?;
        running.device.flush()?;
        if running.hear(self.job.packets(0).take(300))? == Outcome::Going {
            running.wait(12, 0)?;
        }
        running.device.flush()?;
        Ok(running.outcome)
    }

    /// Whatever was interrupted, the next start knows as much as was kept, and nothing half.
    #[track_caller]
    fn check(&self, disk: &SimDisk) {
        let running = Running::start_as(disk, &self.config).unwrap();
        assert_eq!((running.told("roots-set-aside"), running.told("roots-lost")), (0, 0));
        let record = running.device.record();
        assert_eq!(record.root, running.version());
        let is_new = record.installed.as_ref().unwrap().sequence == 5;
        match (running.version(), is_new) {
            (1, false) => assert_eq!((record.floors, record.seen.is_some()), (Floors::Hold, true)),
            (2, false) => assert_eq!(record.floors, Floors::Void { under_way: None }),
            (2, true) => assert_eq!((record.floors, record.seen.map(|seen| seen.sequence)), (Floors::Hold, Some(5))),
            other => panic!("{other:?}"),
        }
        let trusted = running.device.trusted();
        let issued = trusted.beacon.map_or(0, |beacon| beacon.issued);
        let could_be = if running.version() == 1 { vec![day(1)] } else { vec![0, day(2), day(2) + 1] };
        assert!(could_be.contains(&issued), "{issued}");
        let image = &files(disk, "/data/rootfs.img")[0].1;
        let mut could_be = self.thief.images.values().chain(self.job.images.values().filter(|_| is_new));
        assert!(could_be.any(|whole| whole == image), "half-installed");
    }

    #[track_caller]
    fn completes(&self, disk: &SimDisk) {
        let outcome = self.run(disk).unwrap();
        assert!(matches!(outcome, Outcome::Installed | Outcome::AlreadyInstalled), "{outcome:?}");
        self.job.check_targets(disk, true);
        let Ok(Loaded::Ok(record)) = load(disk, Path::new(STATE)) else { panic!("no record") };
        assert_eq!((record.root, record.floors), (2, Floors::Hold));
    }
}

#[test]
fn power_is_cut_before_every_operation_while_a_root_and_beacons_come_and_a_release_by_them() {
    let case = Case::new();
    let (_, operations) = failing(case.first.fork(), u64::MAX..u64::MAX, Errno::IO, |disk| {
        assert_eq!(case.run(disk).unwrap(), Outcome::Installed);
    });
    let seed = seed();
    let mut states = 0;
    for cut in 0..operations {
        let (cut_off, _) = failing(case.first.fork(), cut..u64::MAX, Errno::IO, |disk| drop(case.run(disk)));
        for after in reboots(&cut_off, seed ^ cut) {
            states += 1;
            case.check(&after.fork());
            // Cut a second time, in what the next start does.
            let again = mix(seed ^ cut ^ states) % 30;
            let (twice, _) = failing(after.fork(), again..u64::MAX, Errno::IO, |disk| drop(case.run(disk)));
            let twice = twice.reboot(|change| mix(again ^ change as u64) & 1 == 1);
            case.check(&twice.fork());
            case.completes(&twice);
            case.completes(&after);
        }
    }
    println!("{operations} operations, {states} states");
    assert!(operations > 30);
}

/// A root comes, then a release by it.
fn act<D: Disk + 'static>(disk: &D, config: &Config, next: &[u8], job: &Job) -> Result<Outcome, DeviceError> {
    let mut running = Running::start_as(disk, config)?;
    running.hear([next.to_vec()])?;
    running.hear(job.packets(0).take(300))
}

#[test]
fn power_is_cut_before_every_operation_while_a_download_is_given_up_for_a_root() {
    let config = trusting(&signed_root(&quiet(root(1)), &["root-1"]));
    let next = packet_of(2, &signed_root(&quiet(root(2)), &["root-1", "root-2"]));
    let (thief, job, first) = (release(1, 9), release(2, 5), disk());
    let mut running = Running::start_as(&first, &config).unwrap();
    running.hear(thief.packets(0).take(30)).unwrap();
    running.device.flush().unwrap();
    drop(running);
    let (_, operations) = failing(first.fork(), u64::MAX..u64::MAX, Errno::IO, |disk| {
        assert_eq!(act(disk, &config, &next, &job).unwrap(), Outcome::Installed);
    });
    for cut in 0..operations {
        let run = |disk: &_| drop(act(disk, &config, &next, &job));
        let (cut_off, _) = failing(first.fork(), cut..u64::MAX, Errno::IO, run);
        for after in reboots(&cut_off, seed() ^ cut) {
            let mut running = Running::start_as(&after, &config).unwrap();
            // With the root, nothing is left of what was signed by the key that it revokes.
            assert!(running.version() == 1 || running.device.receiver().manifest().is_none_or(|m| m.sequence == 5));
            running.hear([next.clone()]).unwrap();
            let outcome = running.hear(job.packets(0).take(300)).unwrap();
            assert!(matches!(outcome, Outcome::Installed | Outcome::AlreadyInstalled));
            drop(running);
            drop(Running::start_as(&after, &config).unwrap());
            job.check_targets(&after, true);
            assert!(files(&after, ".part").is_empty());
        }
    }
}
