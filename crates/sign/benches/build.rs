//! How fast a release is made: hashed, encoded, hashed again, signed. The image lies in the system's cache.

#![expect(clippy::unwrap_used, reason = "benchmark")]

use std::io::{self, Write};

use divan::counter::BytesCount;
use fleetcast_core::manifest::{Token, Uuid};
use fleetcast_sign::keys::SecretKey;
use fleetcast_sign::release::{Coding, Draft, Facts, Image, Input, Wanted, plan};

const SIZE: usize = 64 << 20;

fn main() {
    divan::main();
}

#[divan::bench(args = [0, 33, 100], sample_count = 5)]
fn build_64_mib(bencher: divan::Bencher<'_, '_>, repair: u64) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let mut word = 1_u64;
    for _ in 0..SIZE / 8 {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        file.write_all(&word.to_le_bytes()).unwrap();
    }
    let token = |text| Token::new(text).unwrap();
    let facts = Facts {
        sequence: 1,
        security_version: 0,
        version: token("1"),
        vendor: Uuid([1; 16]),
        classes: vec![Uuid([2; 16])],
        from: None,
        hardware: None,
        waves: vec![],
    };
    let coding = Coding { chunk: 1024, repair, digest: 16 };
    let wanted = Wanted { name: token("a"), target: token("a"), size: SIZE as u64, coding };
    let geometry = plan(&facts, &[wanted], 1, 1232).unwrap()[0];
    let input = Input { name: token("a"), target: token("a"), image: Image::open(file.path()).unwrap(), geometry };
    let keys = [SecretKey::from_seed(&[7; 32]).unwrap()];
    bencher.counter(BytesCount::new(SIZE)).bench_local(|| {
        let draft = Draft::new(&facts, std::slice::from_ref(&input), &keys, &|_| {}).unwrap();
        draft.write_to(&mut io::sink()).unwrap();
    });
}
