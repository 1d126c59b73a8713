//! Packets a second that the carousel makes, every chunk read and checked; no socket. Alone, and fed at an unlimited pace without
//! and with roots and a beacon in between.
//!
//! `cargo bench -p fleetcast-send`

#![expect(clippy::unwrap_used, clippy::panic, reason = "benchmark code")]

use std::time::{Duration, Instant};

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use fleetcast_send::batch::Batch;
use fleetcast_send::carousel::{Carousel, Phase};
use fleetcast_send::feed::Feed;
use fleetcast_send::notices::chain::SentRoot;
use fleetcast_send::pacing::Pace;
use fleetcast_send::statements::Statements;

#[expect(dead_code, reason = "shared with the tests, which use all of it")]
#[path = "../tests/send/fixture.rs"]
mod fixture;

fn main() {
    divan::main();
}

/// One cycle of chunks of 1,024 octets, source and repair.
#[divan::bench]
fn carousel(bencher: Bencher<'_, '_>) {
    let release = fixture::Release::of("ok-digest-32");
    let source = release.open().unwrap();
    let volume = source.volume();
    let mut carousel = Carousel::new(source, Phase(0), 256);
    let mut batch = Batch::default();
    bencher.counter(ItemsCount::new(volume.packets)).counter(BytesCount::new(volume.octets)).bench_local(|| {
        batch.clear();
        for _ in 0..volume.packets {
            carousel.next_packet(&mut batch).unwrap();
        }
    });
}

#[divan::bench]
fn feed(bencher: Bencher<'_, '_>) {
    fed(bencher, 0);
}

#[divan::bench]
fn feed_with_five_roots_and_a_beacon(bencher: Bencher<'_, '_>) {
    fed(bencher, 5);
}

/// About a cycle, by the clock.
fn fed(bencher: Bencher<'_, '_>, roots: u16) {
    let release = fixture::Release::of("ok-digest-32");
    let source = release.open().unwrap();
    let volume = source.volume();
    let octets = usize::try_from(volume.octets).unwrap();
    let mut carousel = Carousel::new(source, Phase(0), 256);
    let beacon = (roots > 0).then(|| vec![0; 300]);
    let roots = (1..=roots).map(|version| SentRoot { version, statement: vec![0; 600] }).collect();
    let statements = Statements::new(Pace::Unlimited, roots, beacon);
    let mut feed = Feed::new(&mut carousel, Pace::Unlimited, None, statements, None);
    let mut batches = [Batch::default()];
    let start = Instant::now();
    bencher.counter(ItemsCount::new(volume.packets)).counter(BytesCount::new(volume.octets)).bench_local(|| {
        batches[0].clear();
        feed.fill(start.elapsed(), Duration::ZERO, octets, &mut batches).unwrap()
    });
}
