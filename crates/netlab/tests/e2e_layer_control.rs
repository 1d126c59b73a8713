//! One session on seven layers, and receivers behind links of 2, 10 and 50 Mbit/s.
#![expect(clippy::unwrap_used, reason = "test code")]
#![expect(clippy::cast_precision_loss, reason = "counts of packets are small")]

use std::thread;
use std::time::{Duration, Instant};

use fleetcast_netlab::fleet::{Device, Fleet, Run, count, noise};
use serde_json::Value;

/// Links in Mbit/s of Ethernet frames, and the layers each carries: the first so many have 0.9, 1.8, 3.6, ... Mbit/s of
/// payload, and about 4 % more of frames.
const LINKS: [(u32, u64); 3] = [(50, 6), (10, 4), (2, 2)];
const LAYERS: &str = "--layers 7";
const RATE: &str = "57600k";
/// Octets that may wait at a bottleneck: 80 ms of the slowest.
const QUEUE: u32 = 20_000;
/// Time that the table is about.
const MEASURED: Duration = Duration::from_secs(5);

/// A receiver behind a link.
struct Receiver {
    device: Device,
    run: Run,
}

impl Receiver {
    fn new(fleet: &Fleet, mbit: u32) -> Self {
        let device = fleet.device(&format!("device-{mbit}"), &["app"]);
        device.host.rate_limit(mbit, QUEUE).unwrap();
        let run = device.start(LAYERS);
        Self { device, run }
    }

    /// Waits until the next layer was tried and given up, and so little is lost.
    fn settle(&mut self, layers: u64) {
        self.run.wait_until("layers", |event| event["joined"] == layers && event["code"] == "failed");
        self.run.wait_until("progress", |progress| {
            let losses = losses(progress);
            losses.len() as u64 == layers && losses.iter().all(|loss| *loss < 0.05)
        });
    }

    fn progress(&self) -> Value {
        self.run.all("progress").pop().unwrap()
    }
}

fn losses(progress: &Value) -> Vec<f64> {
    progress["layers"].as_array().unwrap().iter().map(|loss| loss.as_f64().unwrap()).collect()
}

#[test]
fn each_receiver_settles_at_the_layers_its_link_carries_and_follows_the_link() {
    let Some(fleet) = Fleet::new("layers") else { return };
    let release = fleet.release(1, &noise(1, 160 << 20));
    let sender = fleet.host("sender");
    // As behind a switch that forwards to each port what was joined there, and nothing else.
    fleet.lab.snooping(true).unwrap();
    let mut send = fleet.send(&sender, &release, &format!("{LAYERS} --rate {RATE}"));
    send.wait_for("ready");
    let mut receivers: Vec<Receiver> = vec![];
    for (mbit, layers) in LINKS {
        // One after the other, so that they settle at about the same time, before trials become rare.
        if let Some(before) = receivers.last_mut() {
            before.run.wait_until("layers", |event| event["joined"] == layers && event["code"] == "kept");
        }
        receivers.push(Receiver::new(&fleet, mbit));
    }
    for (receiver, (_, layers)) in receivers.iter_mut().zip(LINKS) {
        receiver.settle(layers);
    }

    let progress = || receivers.iter().map(Receiver::progress).collect::<Vec<_>>();
    let (before, since) = (progress(), Instant::now());
    thread::sleep(MEASURED);
    let after = progress();
    let seconds = since.elapsed().as_secs_f64();
    println!("link       layers  packets/s  chunks/s   loss of each layer, %");
    for (((before, after), (mbit, _)), receiver) in before.iter().zip(&after).zip(LINKS).zip(&receivers) {
        let pace = |field| (count(after, field) - count(before, field)) as f64 / seconds;
        let lost: Vec<_> = losses(after).iter().map(|loss| format!("{:.1}", loss * 100.0)).collect();
        let (packets, chunks) = (pace("datagrams"), pace("verified_chunks"));
        println!("{mbit:2} Mbit/s  {:6}  {packets:9.0}  {chunks:8.0}   {}", lost.len(), lost.join(" "));
        println!("    {:?}", history(&receiver.run));
    }

    // What the slow ones go through is nothing to the fast one.
    let [fast, middle, slow] = &mut receivers[..] else { panic!("three receivers") };
    let left = |run: &Run| run.all("layers").into_iter().filter(|event| event["code"] == "loss").count();
    assert_eq!(left(&fast.run), 0, "{:?}", history(&fast.run));

    // Links change.
    slow.device.host.rate_limit(10, QUEUE).unwrap();
    middle.device.host.rate_limit(2, QUEUE).unwrap();
    middle.run.wait_until("layers", |event| count(event, "joined") <= 2);
    slow.run.wait_until("layers", |event| event["joined"] == 4 && event["code"] == "kept");
    println!("10 to 2 Mbit/s: {:?}", history(&middle.run));
    println!("2 to 10 Mbit/s: {:?}", history(&slow.run));
}

/// All that happened to the layers of a receiver.
fn history(run: &Run) -> Vec<String> {
    let line = |event: &Value| format!("{} {}", event["joined"], event["code"].as_str().unwrap());
    run.all("layers").iter().map(line).collect()
}
