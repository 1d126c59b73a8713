//! Packets a second that the carousel makes, every chunk read and checked; no socket.
//!
//! `cargo bench -p fleetcast-send`

#![expect(clippy::unwrap_used, clippy::panic, reason = "benchmark code")]

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use fleetcast_send::batch::Batch;
use fleetcast_send::carousel::{Carousel, Phase};

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
