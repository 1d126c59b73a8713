//! When a release may be installed: waves, and the place of a device in them.

use fleetcast_core::time::Instant;
use fleetcast_recv::device::Outcome;
use fleetcast_recv::events::Event;

use super::bench::{Job, Running, config, disk, image};

fn job() -> Job {
    Job::in_waves(3, &[("rootfs", image(1, 64 * 30))], &[(10, 1000), (500, 2000)])
}

#[test]
fn a_complete_release_waits_for_the_wave_of_its_device() {
    for (wave, time) in [(0, 1000), (9, 1000), (10, 2000), (499, 2000)] {
        let disk = disk();
        let config = fleetcast_recv::config::Config { wave: Some(wave), ..config() };
        let mut running = Running::start_as(&disk, &config).unwrap();
        let mut now = 0;
        let mut look = |running: &mut Running<_>, unix| {
            now += 2_000_000;
            let Running { device, events, .. } = running;
            device.look(Instant::from_micros(now), unix, &mut |event| events.push(event)).unwrap()
        };
        look(&mut running, time - 500);
        assert_eq!(running.feed(job().packets(0).take(300)).unwrap(), Outcome::Going);
        assert_eq!(look(&mut running, time - 1), Outcome::Going);
        let waits: Vec<_> = running.events.iter().filter(|event| matches!(event, Event::Waiting { .. })).collect();
        assert_eq!(waits, [&Event::Waiting { seconds: 500, code: "wave" }]);
        assert_eq!(look(&mut running, time), Outcome::Installed);
        job().check_installed(&disk);
    }
}

#[test]
fn a_restart_goes_on_waiting_and_whoever_may_ignore_waves_does_not_wait() {
    let disk = disk();
    let config = fleetcast_recv::config::Config { wave: Some(0), ..config() };
    let mut running = Running::start_as(&disk, &config).unwrap();
    assert_eq!(running.feed(job().packets(0).take(300)).unwrap(), Outcome::Going);
    running.device.flush().unwrap();
    drop(running);
    let running = Running::start_as(&disk, &config).unwrap();
    assert_eq!(running.outcome, Outcome::Going);
    drop(running);
    let config = fleetcast_recv::config::Config { ignore_waves: true, ..config };
    assert_eq!(Running::start_as(&disk, &config).unwrap().outcome, Outcome::Installed);
}

#[test]
fn a_device_in_no_wave_or_of_another_revision_touches_no_storage() {
    for (wave, hardware, code) in
        [(500, Some(4), "wave"), (999, Some(4), "wave"), (0, None, "hardware"), (0, Some(5), "hardware")]
    {
        let disk = disk();
        let config = fleetcast_recv::config::Config { wave: Some(wave), hardware, ..config() };
        let mut running = Running::start_as(&disk, &config).unwrap();
        let before = disk.files();
        let job = if code == "wave" { job() } else { Job::for_hardware(3, &[("rootfs", image(1, 64 * 30))], (3, 4)) };
        running.feed(job.packets(0).take(300)).unwrap();
        assert_eq!(running.told(code), 1);
        assert_eq!(disk.files(), before);
    }
}
