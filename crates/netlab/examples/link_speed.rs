//! Prints the highest verified goodput from one sender to one receiver beside the bare limit of the same link, and what both
//! cost in processor time and memory. Needs root: the link is a pair of veth devices between two network namespaces.
//!
//! ```text
//! cargo build --release --workspace --examples
//! cargo run --release -p fleetcast-netlab --example link_speed
//! ```

#![expect(clippy::cast_precision_loss, reason = "figures for people")]

use std::error::Error;
use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use clap::Parser;
use fleetcast_core::tree::Hasher;
use fleetcast_netlab::fleet::{Fleet, Release, noise, program};
use fleetcast_netlab::netns::{INTERFACE, Signal};

/// Measures one sender and one receiver on one link.
#[derive(Parser)]
struct Args {
    /// Size of the image, in MiB.
    #[arg(long, default_value_t = 1024)]
    mib: usize,
    /// Rates to send at, in Mbit/s of UDP payload; the best goodput counts.
    #[arg(long, value_delimiter = ',', default_value = "2000,3000,4000,5000,6000,8000")]
    rates: Vec<u32>,
    /// Size of the image that is sent at 100 Mbit/s, in MiB.
    #[arg(long, default_value_t = 256)]
    slow_mib: usize,
}

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let args = Args::parse();
    let home = Fleet::new("speed").ok_or("network namespaces cannot be made here")?;
    let image = noise(1, args.mib << 20);
    let release = home.release(1, &image);
    let alone = hash_and_write(&image)?;
    println!("{} MiB in chunks of 1,024 octets; Mbit/s of image octets, on the bare link of UDP payload", args.mib);
    println!("hashed and written alone: {alone:.0}");
    for is_offloaded in [false, true] {
        let bare = bare_link(is_offloaded)?;
        let mut best = (0.0, 0);
        for &rate in &args.rates {
            let reception = receive(&home, &release, image.len(), rate, is_offloaded)?;
            println!("  sent at {rate}: {reception}");
            if reception.goodput > best.0 {
                best = (reception.goodput, rate);
            }
        }
        let (limit, of) =
            if is_offloaded && alone < bare { (alone, "hashed and written alone") } else { (bare, "bare") };
        let (goodput, rate) = best;
        println!(
            "segmentation offload {}: bare {bare:.0}, verified {goodput:.0} (sent at {rate}): {:.0} % of {of}",
            if is_offloaded { "on" } else { "off" },
            100.0 * goodput / limit
        );
    }
    let slow = noise(2, args.slow_mib << 20);
    let reception = receive(&home, &home.release(2, &slow), slow.len(), 100, false)?;
    println!("{} MiB at 100 Mbit/s: {reception}", args.slow_mib);
    Ok(())
}

/// Mbit/s of hashing an image chunk by chunk and writing it to a file, on one core: the best of five times.
fn hash_and_write(image: &[u8]) -> Outcome<f64> {
    let hasher = Hasher::new(1, 0, &[0; 32], false);
    let mut best = 0.0;
    for _ in 0..5 {
        let mut file = tempfile::tempfile()?;
        let start = Instant::now();
        for run in image.chunks(64 << 10) {
            for chunk in run.chunks(1024) {
                std::hint::black_box(hasher.chunk(chunk));
            }
            file.write_all(run)?;
        }
        best = f64::max(best, mbit(image.len(), start.elapsed()));
    }
    Ok(best)
}

/// Touches the memory that a page cache for `size` octets will take. A virtual machine gives unused memory back to its host; to get it
/// again costs more than all that is measured here.
fn warm(size: usize) -> Outcome<()> {
    let block = vec![1; 1 << 20];
    for _ in 0..2 {
        let mut file = tempfile::tempfile()?;
        for _ in (0..size + size / 2).step_by(block.len()) {
            file.write_all(&block)?;
        }
    }
    Ok(())
}

/// Mbit/s that come through the link without any work on them.
fn bare_link(is_offloaded: bool) -> Outcome<f64> {
    let fleet = Fleet::new("bare").ok_or("network namespaces cannot be made here")?;
    let (sender, receiver) = (fleet.host("sender"), fleet.host("receiver"));
    sender.offload(is_offloaded)?;
    receiver.offload(is_offloaded)?;
    let command = |role: &str| {
        let mut command = Command::new(program("send").with_file_name("bare_link"));
        command.args(["--interface", INTERFACE, "--seconds", "5", role]);
        command
    };
    let mut receiving = receiver.spawn(&command("receive"))?;
    std::thread::sleep(Duration::from_millis(300));
    sender.run(&command("send"))?;
    receiving.wait(Duration::from_secs(20))?;
    let text = receiving.stdout()?;
    let rate = text.split_ascii_whitespace().find_map(|pair| pair.strip_prefix("payload_mbit_per_second="));
    Ok(rate.ok_or_else(|| format!("no rate in {text:?}"))?.parse()?)
}

/// What one reception took.
struct Reception {
    /// Mbit/s of image octets from the manifest until all was verified.
    goodput: f64,
    loss: f64,
    /// Processor seconds a GiB of image: the sender on the air, the receiver to the end.
    sender_cpu: f64,
    receiver_cpu: f64,
    /// KiB.
    sender_rss: u64,
    receiver_rss: u64,
}

impl std::fmt::Display for Reception {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "verified {:.0}, lost {:.1} %; sender {:.2} CPU s/GiB, {} KiB; receiver {:.2} CPU s/GiB, {} KiB",
            self.goodput,
            self.loss * 100.0,
            self.sender_cpu,
            self.sender_rss,
            self.receiver_cpu,
            self.receiver_rss
        )
    }
}

/// Sends `release`, with an image of `size` octets, at `rate` Mbit/s until a new device has installed it.
fn receive(home: &Fleet, release: &Release, size: usize, rate: u32, is_offloaded: bool) -> Outcome<Reception> {
    let fleet = Fleet::new("link").ok_or("network namespaces cannot be made here")?;
    let (host, device) = (fleet.host("sender"), fleet.device("device", &["app"]));
    host.offload(is_offloaded)?;
    device.host.offload(is_offloaded)?;
    let mut sender = fleet.send(&host, release, &format!("--rate {rate}M"));
    sender.wait_for("ready");
    warm(size)?;
    let sender_start = sender.process.cpu_seconds();
    let trust = home.key("release").1;
    let mut receiver = device.start(&format!("--once --timeout 300s --trust {}", trust.display()));
    receiver.wait_for("begin");
    let start = Instant::now();
    receiver.wait_for("complete");
    let took = start.elapsed();
    let loss = receiver.all("progress").pop().and_then(|event| event["loss"].as_f64()).unwrap_or_default();
    let sender_cpu = sender.process.cpu_seconds() - sender_start;
    // The end of the receiver is seen while it is waited for: its peak is in restoring and reading back.
    receiver.process.wait(Duration::from_mins(2))?;
    receiver.success();
    let gib = size as f64 / f64::from(1 << 30);
    let reception = Reception {
        goodput: mbit(size, took),
        loss,
        sender_cpu: sender_cpu / gib,
        receiver_cpu: receiver.process.cpu_seconds() / gib,
        sender_rss: sender.process.rss_kib(),
        receiver_rss: receiver.process.rss_kib(),
    };
    sender.end(Signal::INT);
    device.assert_runs(release);
    Ok(reception)
}

fn mbit(octets: usize, time: Duration) -> f64 {
    octets as f64 * 8e-6 / time.as_secs_f64()
}
