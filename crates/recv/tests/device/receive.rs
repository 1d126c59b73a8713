//! Receiving, from one start to the install.

use fleetcast_core::wire::HEADER_LEN;
use fleetcast_netlab::vectors;
use fleetcast_recv::device::Outcome;
use fleetcast_recv::events::Event;

use super::bench::{Job, Running, STATE, disk, files, image, mix, run, seed};

#[test]
fn every_release_is_installed_bit_exactly_whatever_is_lost_and_wherever_it_joins() {
    let seed = seed();
    for name in
        ["ok-one-octet", "ok-small", "ok-three-components", "ok-short-cells", "ok-two-blocks", "ok-mixed-geometry"]
    {
        let job = Job::vector(name);
        for (nth, loss) in (0..).zip([0.0, 0.05, 0.2, 0.4]) {
            let disk = disk();
            let outcome = run(&disk, job.lossy(loss, mix(seed ^ nth))).unwrap();
            assert_eq!(outcome, Outcome::Installed, "{name}, loss {loss}");
            job.check_installed(&disk);
        }
    }
}

#[test]
fn the_cycle_of_the_session_vector_is_installed() {
    let vector = vectors::one("session/ok-cycle");
    let job = Job::vector("ok-three-components");
    let mut rest = &vector.body[..];
    let mut packets = vec![];
    while let Some((length, behind)) = rest.split_first_chunk() {
        let (packet, behind) = behind.split_at(u16::from_be_bytes(*length).into());
        packets.push(packet.to_vec());
        rest = behind;
    }
    assert_eq!(packets.len() as u64, vector.number("packets"));
    let disk = disk();
    assert_eq!(run(&disk, packets).unwrap(), Outcome::Installed);
    job.check_installed(&disk);
}

#[test]
fn an_image_of_zeros_and_one_of_the_old_size_are_installed() {
    let mut sparse = image(1, 64 * 100 + 13);
    sparse[64 * 10..64 * 90].fill(0);
    for (nth, content) in (1..).zip([vec![0; 64 * 40], vec![0; 1], sparse, b"the new root file system".to_vec()]) {
        let job = Job::made(nth, &[("rootfs", content)]);
        for loss in [0.0, 0.3] {
            let disk = disk();
            assert_eq!(run(&disk, job.lossy(loss, nth)).unwrap(), Outcome::Installed);
            job.check_installed(&disk);
        }
    }
}

#[test]
fn what_is_lost_is_restored_from_repair_chunks_alone() {
    let job = Job::made(1, &[("rootfs", image(2, 64 * 500))]);
    let mut running = Running::start(&disk()).unwrap();
    // A join behind the last source cell: only repair chunks come before the cycle wraps.
    let schedule = job.carousel.schedule();
    let is_repair = |slot: &u64| matches!(schedule.at(*slot), Some(fleetcast_core::fec::Slot::Chunk { position, .. }) if position >= 500);
    let start = (0..schedule.cycle()).find(is_repair);
    assert_eq!(running.feed(job.packets(start.unwrap()).take(700)).unwrap(), Outcome::Installed);
    assert!(running.device.counters().chunks == 500, "{:?}", running.device.counters());
    let restored = running.events.iter().any(|event| matches!(event, Event::Restored { chunks } if *chunks > 450));
    assert!(restored, "{:?}", running.events);
}

#[test]
fn events_tell_the_story_in_order() {
    let job = Job::vector("ok-small");
    let mut running = Running::start(&disk()).unwrap();
    running.feed(job.lossy(0.3, 5)).unwrap();
    let names: Vec<_> = running
        .events
        .iter()
        .map(|event| serde_json::to_value(event).unwrap()["event"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["begin", "complete", "restored", "installed"]);
    assert_eq!(running.device.record().installed.as_ref().unwrap().sequence, 2);
}

#[test]
fn a_newer_release_takes_over_midway_and_an_older_one_never() {
    let old = Job::made(5, &[("rootfs", image(3, 64 * 300))]);
    let new = Job::made(6, &[("rootfs", image(4, 64 * 200))]);
    let disk = disk();
    let mut running = Running::start(&disk).unwrap();
    running.feed(old.packets(0).take(150)).unwrap();
    assert_eq!(files(&disk, ".part").len(), 1);
    let replay = new.cycle(0).into_iter().filter(|packet| packet[3] == 0).take(1);
    running.feed(replay).unwrap();
    assert_eq!(running.device.chunks().unwrap().needed, 300, "a manifest without data takes nothing over");

    // Both on the air at once.
    let both = old.packets(200).zip(new.packets(0)).flat_map(|(a, b)| [a, b]);
    assert_eq!(running.feed(both.take(3000)).unwrap(), Outcome::Installed);
    new.check_installed(&disk);

    running.outcome = Outcome::Going;
    running.feed(old.cycle(0)).unwrap();
    new.check_installed(&disk);
    assert!(running.events.iter().any(|event| matches!(event, Event::Refused { code: "rollback", .. })));
    drop(running);
    let mut running = Running::start(&disk).unwrap();
    running.feed(old.cycle(0)).unwrap();
    new.check_installed(&disk);
    assert!(running.device.chunks().is_none());
}

#[test]
fn a_replayed_manifest_without_data_does_not_keep_a_device_from_what_comes() {
    let replayed = Job::made(9, &[("rootfs", image(3, 64 * 300))]);
    let real = Job::made(6, &[("rootfs", image(4, 64 * 200))]);
    let disk = disk();
    let mut running = Running::start(&disk).unwrap();
    running.feed(replayed.packets(0).take(1)).unwrap();
    drop(running);
    assert_eq!(run(&disk, real.lossy(0.1, 1)).unwrap(), Outcome::Installed);
    real.check_installed(&disk);
}

#[test]
fn two_manifests_of_one_number_are_an_alarm() {
    let first = Job::made(5, &[("rootfs", image(3, 64 * 30))]);
    let twin = Job::made(5, &[("rootfs", image(4, 64 * 30))]);
    let disk = disk();
    run(&disk, first.cycle(0)).unwrap();
    first.check_installed(&disk);
    let mut running = Running::start(&disk).unwrap();
    running.feed(twin.cycle(0)).unwrap();
    assert!(running.events.iter().any(|event| matches!(event, Event::Alarm { sequence: 5, code: "equivocation", .. })));
    first.check_installed(&disk);
}

#[test]
fn the_installed_release_on_the_air_is_known_at_once() {
    let job = Job::vector("ok-small");
    let disk = disk();
    run(&disk, job.cycle(0)).unwrap();
    let mut running = Running::start(&disk).unwrap();
    assert_eq!(running.feed(job.packets(0).take(1)).unwrap(), Outcome::AlreadyInstalled);
    running.outcome = Outcome::Going;
    assert_eq!(running.feed(job.cycle(0)).unwrap(), Outcome::Going, "told once");
    job.check_installed(&disk);
}

#[test]
fn forged_chunks_and_pages_are_never_written() {
    let job = Job::vector("ok-two-blocks");
    let seed = seed();
    let mut random = fastrand::Rng::with_seed(seed);
    let disk = disk();
    let mut running = Running::start(&disk).unwrap();
    let image = job.images.values().next().unwrap();
    for (nth, genuine) in job.lossy(0.1, seed).enumerate() {
        for _ in 0..5 {
            let mut forged = genuine.clone();
            let from = if random.bool() { 0 } else { HEADER_LEN };
            let at = random.usize(from..forged.len());
            forged[at] ^= 1 << random.u8(..8);
            running.feed([forged]).unwrap();
        }
        if running.feed([genuine]).unwrap() == Outcome::Installed {
            break;
        }
        if nth % 1000 == 0 {
            running.device.write_out().unwrap();
            for (_, part) in files(&disk, ".part") {
                assert_eq!(part.len(), image.len(), "nothing is written outside the image");
                let wrong = part.iter().zip(image).position(|(found, right)| found != right && *found != 0);
                assert_eq!(wrong, None, "a forged octet was written");
            }
        }
    }
    job.check_installed(&disk);
}

#[test]
fn a_second_receiver_on_the_same_state_is_refused() {
    let disk = disk();
    let _first = Running::start(&disk).unwrap();
    let Err(error) = Running::start(&disk).map(drop) else { panic!("two at once") };
    assert!(error.code() == "locked" && error.to_string().contains(STATE), "{error}");
}
