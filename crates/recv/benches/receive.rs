//! `cargo bench -p fleetcast-recv`: verified goodput of a receiver in memory, and restoring lost chunks.

#![expect(clippy::unwrap_used, reason = "benchmark")]

use std::convert::Infallible;
use std::hint::black_box;

use divan::Bencher;
use divan::counter::BytesCount;
use fleetcast_core::fec::{ChunkIo, Decoder};
use fleetcast_core::time::Instant;
use fleetcast_core::tree::{Geometry, Parameters};
use fleetcast_netlab::release::{Release, receiver};

/// Octets of the image: one block of the largest size at 1,024 octets a chunk.
const SIZE: u64 = 4096 * 1024;

fn main() {
    divan::main();
}

fn image() -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(1);
    std::iter::repeat_with(|| random.u8(..)).take(usize::try_from(SIZE).unwrap()).collect()
}

/// Image octets a second that one core verifies, cell size by cell size: a whole release in order, nothing lost, nothing written.
#[divan::bench(args = [8, 64])]
fn verify(bencher: Bencher<'_, '_>, cell: u64) {
    let parameters = Parameters { size: SIZE, chunk: 1024, cell, repair: 0, digest: 16, cap_len: 16 };
    let carousel = Release::made(1, vec![("rootfs", image(), Geometry::new(&parameters).unwrap())]).carousel;
    let packets: Vec<_> = (0..carousel.schedule().cycle())
        .filter_map(|slot| {
            let mut packet = Vec::new();
            carousel.packet(slot, 0, &mut packet).then_some(packet)
        })
        .collect();
    bencher.counter(BytesCount::new(SIZE)).with_inputs(receiver).bench_local_values(|mut receiver| {
        for packet in &packets {
            let mut actions = receiver.handle_datagram(Instant::default(), 1, packet);
            while let Some(action) = actions.next() {
                black_box(action);
            }
        }
        assert!(receiver.is_complete());
    });
}

/// A block in memory.
struct Block {
    chunk: usize,
    bytes: Vec<u8>,
}

impl ChunkIo for Block {
    type Error = Infallible;

    fn read(&mut self, position: u32, column: usize, buf: &mut [u8]) -> Result<(), Infallible> {
        buf.copy_from_slice(&self.bytes[position as usize * self.chunk + column..][..buf.len()]);
        Ok(())
    }

    fn write(&mut self, position: u32, column: usize, bytes: &[u8]) -> Result<(), Infallible> {
        self.bytes[position as usize * self.chunk + column..][..bytes.len()].copy_from_slice(bytes);
        Ok(())
    }
}

/// Image octets a second that are restored when a tenth of the source chunks is lost, by width of the slices.
#[divan::bench(args = [64, 512, 1024])]
fn restore(bencher: Bencher<'_, '_>, slice: usize) {
    let parameters = Parameters { size: SIZE, chunk: 1024, cell: 64, repair: 100, digest: 16, cap_len: 16 };
    let geometry = Geometry::new(&parameters).unwrap();
    // The content does not matter to the time it takes.
    let mut block = Block { chunk: 1024, bytes: vec![0x5A; geometry.chunks() as usize * 1024] };
    let mut decoder = Decoder::new(slice);
    bencher.counter(BytesCount::new(SIZE)).bench_local(|| {
        let have = |position: u32| position >= 4096 || position % 10 != 3;
        assert_eq!(decoder.restore(&geometry, 0, have, &mut block).unwrap(), 410);
    });
}
