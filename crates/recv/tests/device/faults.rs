//! A full or failing disk: a clear fault, nothing that runs is touched, and the next run completes.

use fleetcast_recv::device::{DeviceError, Outcome};
use rustix::io::Errno;

use super::bench::{Job, Running, disk, failing, run};

#[test]
fn one_failing_operation_is_a_clear_fault_and_the_next_run_completes() {
    let job = Job::vector("ok-small");
    let packets: Vec<_> = job.lossy(0.2, 1).collect();
    let first = disk();
    let (_, operations) = failing(first.fork(), u64::MAX..u64::MAX, Errno::IO, |disk| {
        run(disk, packets.clone()).unwrap();
    });
    for (error, code) in [(Errno::NOSPC, "no-space"), (Errno::IO, "io")] {
        let mut faults = 0;
        for nth in 0..operations {
            let mut result = Ok(Outcome::Going);
            let (after, _) = failing(first.fork(), nth..nth + 1, error, |disk| result = run(disk, packets.clone()));
            match result {
                // Clearing away after the install may fail; the next start does it.
                Ok(outcome) => assert_eq!(outcome, Outcome::Installed, "operation {nth}"),
                Err(DeviceError::Storage(fault)) => {
                    faults += 1;
                    assert!(fault.code() == code && fault.to_string().contains('/'), "operation {nth}: {fault}");
                    job.check_targets(&after, false);
                }
                Err(other) => panic!("operation {nth}: {other}"),
            }
            let outcome = run(&after, packets.clone()).unwrap();
            assert_ne!(outcome, Outcome::Going, "operation {nth}");
            let _ = run(&after, []).unwrap();
            job.check_installed(&after);
        }
        assert!(faults > operations / 2, "{faults} of {operations}");
    }
}

#[test]
fn a_disk_that_stays_full_is_told_and_what_came_before_is_kept() {
    let job = Job::vector("ok-three-components");
    let first = disk();
    let (full, _) = failing(first, 120..u64::MAX, Errno::NOSPC, |disk| {
        let Err(error) = run(disk, job.cycle(0)) else { panic!("no room, and no fault") };
        assert!(error.code() == "no-space" && error.to_string().contains("free some"), "{error}");
    });
    let freed = full.fork();
    job.check_targets(&freed, false);
    let mut running = Running::start(&freed).unwrap();
    assert!(running.resumed().unwrap() > 0);
    running.feed(job.cycle(0)).unwrap();
    job.check_installed(&freed);
}
