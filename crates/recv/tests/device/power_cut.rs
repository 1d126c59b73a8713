//! Power cut before storage operations of a whole reception, install included.

use fleetcast_install::sim::SimDisk;
use fleetcast_recv::device::Outcome;
use rustix::io::Errno;

use super::bench::{Job, disk, failing, mix, reboots, run, seed};

fn cuts(job: &Job, loss: f64, step: u64, again: bool) {
    let seed = seed();
    let packets: Vec<_> = job.lossy(loss, seed).collect();
    let first = disk();
    let (_, operations) = failing(first.fork(), u64::MAX..u64::MAX, Errno::IO, |disk| {
        assert_eq!(run(disk, packets.clone()).unwrap(), Outcome::Installed);
    });
    println!("{operations} operations");
    for cut in (0..operations).step_by(usize::try_from(step).unwrap()) {
        let (cut_off, _) = failing(first.fork(), cut..u64::MAX, Errno::IO, |disk| drop(run(disk, packets.clone())));
        for after in reboots(&cut_off, seed ^ cut) {
            job.check_targets(&after, false);
            if again {
                // Cut a second time, while it recovers and goes on.
                let second = mix(seed ^ cut) % 40;
                let (twice, _) =
                    failing(after.fork(), second..u64::MAX, Errno::IO, |disk| drop(run(disk, packets.clone())));
                let twice = twice.reboot(|change| mix(second ^ change as u64) & 1 == 1);
                job.check_targets(&twice, false);
                completes(job, &twice, &packets);
            }
            completes(job, &after, &packets);
        }
    }
}

#[track_caller]
fn completes(job: &Job, disk: &SimDisk, packets: &[Vec<u8>]) {
    let outcome = run(disk, packets.to_vec()).unwrap();
    assert_ne!(outcome, Outcome::Going);
    if outcome == Outcome::Installed {
        // A start that only finished the install may leave its scratch to the next.
        let _ = run(disk, []).unwrap();
    }
    job.check_installed(disk);
}

#[test]
fn one_component_cut_before_every_operation() {
    cuts(&Job::vector("ok-small"), 0.2, 1, true);
}

#[test]
fn three_components_cut_before_many_operations() {
    cuts(&Job::vector("ok-mixed-geometry"), 0.1, 13, false);
}
