//! `spec/vectors/release`: the octets of an independent implementation.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use fleetcast_core::manifest::Manifest;
use fleetcast_core::manifest::{Token, Uuid};
use fleetcast_core::tree::{Geometry, Parameters};
use fleetcast_core::trust::{TrustedKeys, Verified, verify};
use fleetcast_netlab::vectors::{Vector, image, layer, unhex};
use fleetcast_sign::keys::SecretKey;
use fleetcast_sign::release::{
    Draft, Existing, Facts, Image, Input, ReleaseFile, VerifyError, check_image, check_pages, write,
};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

fn key(name: &str) -> SecretKey {
    SecretKey::from_seed(&Sha256::digest(format!("fleetcast UNSAFE test {name}")).into()).unwrap()
}

fn token(text: &str) -> Token {
    Token::new(text).unwrap()
}

fn uuid(text: &str) -> Uuid {
    Uuid(unhex(text).try_into().unwrap())
}

fn file(folder: &TempDir, name: &str, octets: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    File::create(&path).unwrap().write_all(octets).unwrap();
    path
}

fn facts(vector: &Vector) -> Facts {
    let from = vector.all("from").next().map(|from| {
        let (min, max) = from.split_once(',').unwrap();
        (min.parse().unwrap(), max.parse().unwrap())
    });
    Facts {
        sequence: vector.number("sequence"),
        security_version: vector.number("security-version").try_into().unwrap(),
        version: token(vector.get("version")),
        vendor: uuid(vector.get("vendor")),
        classes: vector.all("class").map(uuid).collect(),
        from,
        hardware: None,
        waves: vec![],
    }
}

fn inputs(vector: &Vector, folder: &TempDir) -> Vec<Input> {
    let input = |line: &str| {
        let parts: Vec<_> = line.split(',').collect();
        let number = |i: usize| parts[i].parse::<u64>().unwrap();
        let size = number(2);
        let (digest, nodes) = (number(7), number(8));
        let cap_len = usize::try_from(nodes * digest).unwrap();
        let geometry = Parameters { size, chunk: number(4), cell: number(5), repair: number(6), digest, cap_len };
        let path = file(folder, parts[0], &image(parts[3], size.try_into().unwrap()));
        Input {
            name: token(parts[0]),
            target: token(parts[1]),
            image: Image::open(&path).unwrap(),
            geometry: Geometry::new(&geometry).unwrap(),
        }
    };
    vector.all("component").map(input).collect()
}

/// The code with which a release file is refused.
fn refusal(path: &std::path::Path) -> Result<(), VerifyError> {
    let file = ReleaseFile::open(path)?;
    let trust = TrustedKeys::new(vec![key("release").public()], 1).unwrap().into();
    let manifest: Verified<Manifest> = verify(file.statement(), &trust)?;
    check_pages(&file, &manifest).map(|_| ())
}

#[test]
fn releases_are_bit_identical_to_those_of_the_reference() {
    let mut seen = 0;
    for vector in layer("release").iter().filter(|vector| vector.is_good()) {
        let folder = tempfile::tempdir().unwrap();
        let inputs = inputs(vector, &folder);
        let draft = Draft::new(&facts(vector), &inputs, &[key(vector.get("key"))], &|_| {}).unwrap();
        let path = folder.path().join("out");
        write(&draft, &path, Existing::Keep).unwrap();
        assert!(std::fs::read(&path).unwrap() == vector.body, "{}", vector.name);
        assert_eq!(draft.manifest().tsi().to_string(), vector.get("tsi"), "{}", vector.name);

        let file = ReleaseFile::open(&path).unwrap();
        for (number, input) in (0..).zip(&inputs) {
            check_image(&file, draft.manifest(), number, &input.image, &|_| {}).unwrap();
        }
        seen += 1;
    }
    assert!(seen >= 9, "{seen}");
}

#[test]
fn damaged_releases_are_refused_for_the_right_reason() {
    let folder = tempfile::tempdir().unwrap();
    for vector in layer("release") {
        let path = file(&folder, "release", &vector.body);
        let code = refusal(&path).map_or_else(|error| error.code(), |()| "ok");
        assert_eq!(code, vector.get("expect"), "{}", vector.name);
    }
}

#[test]
fn every_octet_of_a_release_counts() {
    let folder = tempfile::tempdir().unwrap();
    // Short cells: this one has padding in its records.
    let all = layer("release");
    let good = all.iter().find(|vector| vector.name == "release/ok-mixed-geometry").unwrap();
    let statement_end = 12 + u32::from_be_bytes(good.body[8..12].try_into().unwrap()) as usize;
    let mut padding = 0;
    for at in 0..good.body.len() {
        let mut octets = good.body.clone();
        octets[at] ^= 0x10;
        let error = refusal(&file(&folder, "release", &octets)).expect_err("an octet that does not count");
        if at >= statement_end {
            assert_eq!(error.code(), "page-digest", "octet {at}");
            padding += u32::from(error.to_string().contains("does not end in zeros"));
        }
    }
    assert!(padding > 10, "{padding}");
}
