//! What the tests that cut the power have in common.

use crate::sim::SimDisk;

/// All subsets of up to this many unflushed changes; a sample of as many beyond.
const EXHAUSTIVE: u32 = 10;

/// Each way a power cut can leave the disk.
pub(crate) fn reboots(disk: &SimDisk, seed: u64) -> Vec<SimDisk> {
    let changes = u32::try_from(disk.unflushed()).unwrap();
    (0..1_u64 << changes.min(EXHAUSTIVE))
        .map(|subset| {
            disk.reboot(|change| match changes {
                ..=EXHAUSTIVE => subset >> change & 1 == 1,
                _ => mix(seed ^ mix(subset << 32 | change as u64)) & 1 == 1,
            })
        })
        .collect()
}

/// The seed of this run, printed.
pub(crate) fn seed() -> u64 {
    let seed = std::env::var("FLEETCAST_SEED").map_or(1, |seed| seed.parse().unwrap());
    println!("FLEETCAST_SEED={seed} replays this");
    seed
}

/// The finaliser of `SplitMix64`.
fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ x >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ x >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ x >> 31
}
