//! Images of all sizes, and images that change.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use fleetcast_core::manifest::{Component, Manifest, Token, Uuid};
use fleetcast_core::release::encode_head;
use fleetcast_core::tree::{Geometry, Hasher};
use fleetcast_core::trust::encode_statement;
use fleetcast_core::wire::{PageKind, StatementKind};
use fleetcast_netlab::vectors::image;
use fleetcast_sign::keys::SecretKey;
use fleetcast_sign::release::{
    BuildError, Coding, Draft, Existing, Facts, Image, Input, Pages, Refusal, ReleaseFile, Scan, VerifyError, Wanted,
    check_image, check_pages, plan, write,
};
use tempfile::TempDir;

const DEFAULT: Coding = Coding { chunk: 1024, repair: 100, digest: 16 };

fn token(text: &str) -> Token {
    Token::new(text).unwrap()
}

fn facts() -> Facts {
    Facts {
        sequence: 5,
        security_version: 0,
        version: token("1"),
        vendor: Uuid([1; 16]),
        classes: vec![Uuid([2; 16])],
        from: None,
        hardware: None,
        waves: vec![],
    }
}

fn keys() -> [SecretKey; 1] {
    [SecretKey::from_seed(&[9; 32]).unwrap()]
}

/// A folder with an image.
struct Bench {
    folder: TempDir,
    image: PathBuf,
}

impl Bench {
    fn new(octets: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("image");
        File::create(&image).unwrap().write_all(octets).unwrap();
        Self { folder, image }
    }

    fn input(&self, coding: Coding) -> Input {
        let image = Image::open(&self.image).unwrap();
        let wanted = Wanted { name: token("a"), target: token("b"), size: image.size(), coding };
        let geometry = plan(&facts(), &[wanted], 1, 1232).unwrap()[0];
        Input { name: token("a"), target: token("b"), image, geometry }
    }

    fn build(&self, coding: Coding) -> (PathBuf, Draft) {
        let path = self.folder.path().join("out");
        let draft = Draft::new(&facts(), &[self.input(coding)], &keys(), &|_| {}).unwrap();
        write(&draft, &path, Existing::Replace).unwrap();
        (path, draft)
    }

    fn check(&self, release: &Path, draft: &Draft) -> Result<(), VerifyError> {
        let file = ReleaseFile::open(release).unwrap();
        check_image(&file, draft.manifest(), 0, &Image::open(&self.image)?, &|_| {})
    }
}

#[test]
fn images_of_every_size_make_releases_that_verify() {
    // Around a chunk, around a block of 4,096 chunks, and many blocks with groups that do not come out even.
    let sizes = [1, 63, 64, 65, 4096 * 64 - 1, 4096 * 64, 4096 * 64 + 1, 5 << 20, 20 * 4096 * 64 + 77];
    for size in sizes {
        let octets = image("sizes", size);
        let bench = Bench::new(&octets);
        let (release, draft) = bench.build(Coding { chunk: 64, repair: 35, digest: 16 });
        bench.check(&release, &draft).unwrap();
        assert_eq!(draft.manifest().components[0].geometry.size(), size as u64);
        let again = std::fs::read(&release).unwrap();
        bench.build(Coding { chunk: 64, repair: 35, digest: 16 });
        assert!(std::fs::read(&release).unwrap() == again, "{size}: not reproducible");
    }
    for size in [1023, 1024, 1025, 5 << 20] {
        let bench = Bench::new(&image("sizes", size));
        for coding in [DEFAULT, Coding { repair: 0, digest: 32, ..DEFAULT }] {
            let (release, draft) = bench.build(coding);
            bench.check(&release, &draft).unwrap();
        }
    }
}

#[test]
fn digests_are_those_of_the_chunks_at_their_positions() {
    // 3 blocks: a group of rows, read at once, crosses all of them.
    let octets = image("positions", 2 * 4096 * 64 + 1000);
    let bench = Bench::new(&octets);
    let input = bench.input(Coding { chunk: 64, repair: 10, digest: 16 });
    let g: Geometry = input.geometry;
    assert_eq!(g.blocks(), 3);
    let hasher = Hasher::new(5, 0, &[3; 32], false);
    let digests = Scan::new(&input.image, g, &|_| {}).unwrap().digests(&hasher, &|_| {}).unwrap();
    assert_eq!(digests.len(), g.chunks() as usize * 16);
    for (position, digest) in (0..g.source_chunks()).zip(digests.chunks_exact(16)) {
        let (offset, len) = g.image_range(position).unwrap();
        let mut chunk = octets[usize::try_from(offset).unwrap()..][..len].to_vec();
        chunk.resize(64, 0);
        assert_eq!(hasher.chunk(&chunk).as_ref(), digest, "{position}");
    }
    let mut distinct: Vec<_> = digests.chunks_exact(16).collect();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), g.chunks() as usize, "a position that nothing was written to");
}

#[test]
fn progress_reaches_twice_the_image_and_no_more() {
    let bench = Bench::new(&image("progress", 3_000_001));
    let done = AtomicU64::new(0);
    Draft::new(&facts(), &[bench.input(DEFAULT)], &keys(), &|octets| {
        done.fetch_add(octets, Ordering::Relaxed);
    })
    .unwrap();
    assert_eq!(done.into_inner(), 2 * 3_000_001);
}

/// What comes of an image that `change` is done to between the passes.
fn changed(change: impl Fn(&File)) -> &'static str {
    let bench = Bench::new(&image("change", 300_000));
    let input = bench.input(DEFAULT);
    let scan = Scan::new(&input.image, input.geometry, &|_| {}).unwrap();
    change(&OpenOptions::new().write(true).open(&bench.image).unwrap());
    let digests = scan.digests(&Hasher::new(1, 0, &[0; 32], false), &|_| {});
    digests.map_or_else(|error| error.reason.code(), |_| "ok")
}

#[test]
fn an_image_that_changes_between_the_passes_is_refused() {
    assert_eq!(changed(|_| {}), "ok");
    let modified = |file: &File| file.metadata().unwrap().modified().unwrap();
    // The time of change is set back: only the content tells.
    let secretly = |file: &File, offset| {
        let before = modified(file);
        file.write_all_at(b"?", offset).unwrap();
        file.set_modified(before).unwrap();
    };
    assert_eq!(changed(|file| secretly(file, 0)), "image-changed");
    assert_eq!(changed(|file| secretly(file, 299_999)), "image-changed");
    assert_eq!(changed(|file| file.set_len(299_999).unwrap()), "image-changed");
    assert_eq!(changed(|file| file.set_len(300_001).unwrap()), "image-changed");
    let touched = |file: &File| file.set_modified(modified(file) + std::time::Duration::from_secs(1)).unwrap();
    assert_eq!(changed(touched), "image-changed");
}

#[test]
fn another_image_is_refused_with_the_place_where_it_differs() {
    let octets = image("verify", 100_000);
    let bench = Bench::new(&octets);
    let (release, draft) = bench.build(DEFAULT);
    let refused = |octets: &[u8]| {
        File::create(&bench.image).unwrap().write_all(octets).unwrap();
        match bench.check(&release, &draft) {
            Err(VerifyError::Refused { refusal, .. }) => refusal,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused(&octets[1..]), Refusal::Length { got: 99_999, signed: 100_000 });
    assert_eq!(refused(&[&octets[..], b"!"].concat()), Refusal::Length { got: 100_001, signed: 100_000 });
    for (at, offset) in [(0, 0), (1023, 0), (1024, 1024), (99_999, 97 * 1024)] {
        let mut other = octets.clone();
        other[at] ^= 1;
        assert_eq!(refused(&other), Refusal::Chunk { offset }, "octet {at}");
    }
}

/// A release that is signed and whose pages lead to the cap, by a signer who names another SHA-256 or other digests.
fn faulty(bench: &Bench, damage: impl FnOnce(&mut [u8; 32], &mut dyn FnMut(u32))) -> VerifyError {
    let input = bench.input(DEFAULT);
    let g = input.geometry;
    let scan = Scan::new(&input.image, g, &|_| {}).unwrap();
    let mut sha256 = *scan.sha256();
    let mut flipped = Vec::new();
    damage(&mut sha256, &mut |position| flipped.push(position));
    let hasher = Hasher::new(5, 0, &sha256, false);
    let mut digests = scan.digests(&hasher, &|_| {}).unwrap();
    for position in flipped {
        digests[position as usize * 16] ^= 1;
    }

    let pages = Pages::new(&g, &hasher, &digests);
    let component = Component { name: token("a"), target: token("b"), sha256, geometry: g, cap: pages.cap().to_vec() };
    let Facts { sequence, security_version, version, vendor, classes, from, hardware, waves } = facts();
    let components = vec![component];
    let manifest = Manifest { sequence, security_version, version, vendor, classes, components, from, hardware, waves };
    let [key] = keys();
    let signer = (key.public().key_id(), |message: &[u8]| key.sign(message));
    let statement = encode_statement(StatementKind::Manifest, &manifest.encode().unwrap(), &[signer]).unwrap();
    let mut octets = encode_head(statement.len().try_into().unwrap()).to_vec();
    octets.extend(statement);
    for cell in 0..g.cells() {
        let mut record = pages.payload(PageKind::Page, cell);
        record.resize(g.max_page_payload_len(), 0);
        octets.extend(record);
    }
    let path = bench.folder.path().join("faulty");
    File::create(&path).unwrap().write_all(&octets).unwrap();
    let file = ReleaseFile::open(&path).unwrap();
    check_pages(&file, &manifest).unwrap();
    check_image(&file, &manifest, 0, &input.image, &|_| {}).unwrap_err()
}

#[test]
fn a_faulty_signer_is_found_out() {
    let bench = Bench::new(&image("faulty", 100_000));
    let refused = |error| match error {
        VerifyError::Refused { refusal, .. } => (refusal.code(), refusal),
        other => panic!("{other:?}"),
    };
    let repair = refused(faulty(&bench, |_, flip| flip(98 + 5)));
    assert_eq!(repair, ("chunk-digest", Refusal::Repair { block: 0, esi: 98 + 5 }));
    let source = refused(faulty(&bench, |_, flip| flip(7)));
    assert_eq!(source, ("chunk-digest", Refusal::Chunk { offset: 7 * 1024 }));
    let whole = refused(faulty(&bench, |sha256, _| sha256[0] ^= 1));
    assert_eq!(whole, ("image-digest", Refusal::Sha256));
}

#[test]
fn a_release_is_written_whole_or_not_at_all() {
    let bench = Bench::new(b"an image");
    let draft = Draft::new(&facts(), &[bench.input(DEFAULT)], &keys(), &|_| {}).unwrap();
    let path = bench.folder.path().join("release");
    File::create(&path).unwrap().write_all(b"precious").unwrap();
    let kept = write(&draft, &path, Existing::Keep).unwrap_err();
    assert_eq!(kept.code(), "build-exists");
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    write(&draft, &path, Existing::Replace).unwrap();
    assert!(std::fs::read(&path).unwrap().starts_with(b"\x89FCR"));
    let umask = 0o666 & !std::fs::metadata(&path).unwrap().mode();
    assert_ne!(umask, 0o666, "nobody could read it");

    let missing = write(&draft, &bench.folder.path().join("no/release"), Existing::Keep).unwrap_err();
    assert!(
        matches!(&missing, BuildError::Io { .. }) && missing.hint().as_deref() == Some("the folder must exist"),
        "{missing}"
    );
    let names = std::fs::read_dir(bench.folder.path()).unwrap().count();
    assert_eq!(names, 2, "something was left behind");
}

#[test]
fn one_key_cannot_sign_twice() {
    let bench = Bench::new(b"an image");
    let [a] = keys();
    let [b] = keys();
    let error = Draft::new(&facts(), &[bench.input(DEFAULT)], &[a, b], &|_| {}).unwrap_err();
    assert_eq!(error.code(), "build-keys");
}
