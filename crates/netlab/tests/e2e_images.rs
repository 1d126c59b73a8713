//! Images of all sizes, and what they cost.

use fleetcast_netlab::fleet::{Fleet, noise};

/// Source chunks of a block at most.
const BLOCK: usize = 4096;

#[test]
fn images_of_the_sizes_at_which_things_change_arrive_bit_exact() {
    let Some(fleet) = Fleet::new("sizes") else { return };
    let (sender, device) = (fleet.host("sender"), fleet.device("device", &["app"]));
    device.host.loss(50).unwrap();
    let mut sequence = 0;
    for chunk in [64, 1024] {
        let t = usize::try_from(chunk).unwrap();
        for size in [1, t - 1, t, t + 1, 8 * t, BLOCK * t, BLOCK * t + 1] {
            sequence += 1;
            let release = fleet.draft(sequence).image("app", &noise(sequence, size)).chunk(chunk).sign();
            let _send = fleet.send(&sender, &release, "--rate 20M");
            device.start("--once").success();
            device.assert_runs(&release);
        }
    }
}

#[test]
fn an_image_of_zeros_is_received_although_its_file_looks_empty() {
    let Some(fleet) = Fleet::new("zeros") else { return };
    let (sender, device) = (fleet.host("sender"), fleet.device("device", &["app"]));
    let mut half = vec![0; 1 << 20];
    half[..1 << 19].copy_from_slice(&noise(1, 1 << 19));
    for (sequence, image) in [(1, vec![0; 1 << 20]), (2, half)] {
        let release = fleet.release(sequence, &image);
        let _send = fleet.send(&sender, &release, "--rate 20M");
        device.start("--once").success();
        device.assert_runs(&release);
    }
}

#[test]
fn kernel_and_initrd_are_installed_together() {
    let Some(fleet) = Fleet::new("components") else { return };
    let (sender, device) = (fleet.host("sender"), fleet.device("device", &["kernel", "initrd"]));
    device.host.loss(100).unwrap();
    let draft = fleet.draft(1).image("kernel", &noise(1, 700_001)).image("initrd", &noise(2, 2_500_000));
    let release = draft.sign();
    let _send = fleet.send(&sender, &release, "--rate 20M");
    let mut run = device.start("--once");
    while run.process.try_wait().unwrap().is_none() {
        // Renamed one after the other within one step; none before both are verified.
        let is_installed = device.installed("kernel").is_some() || device.installed("initrd").is_some();
        assert!(!is_installed || !run.all("complete").is_empty());
    }
    run.success();
    device.assert_runs(&release);
}

#[test]
fn three_hundred_mebibytes_fit_through_a_small_receiver() {
    let Some(fleet) = Fleet::new("large") else { return };
    let (sender, device) = (fleet.host("sender"), fleet.device("device", &["app"]));
    let release = fleet.release(1, &noise(1, 300 << 20));
    for host in [&sender, &device.host] {
        host.offload(true).unwrap();
    }
    let mut run = device.start("--once --receive-buffer 16M");
    let send = fleet.send(&sender, &release, "--rate 250M --start 0.6");
    let stopped = run.success();
    device.assert_runs(&release);
    let (at_sender, at_device) = (send.process.rss_kib() / 1024, run.process.rss_kib() / 1024);
    println!("resident at most: sender {at_sender} MiB, receiver {at_device} MiB; {stopped}");
    println!("processor: sender {:.1} s, receiver {:.1} s", send.process.cpu_seconds(), run.process.cpu_seconds());
    assert!(at_sender <= 32 && at_device <= 24, "{at_sender} and {at_device} MiB");
}
