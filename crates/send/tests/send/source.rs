//! What is checked before anything is sent, and what while it is.

use std::fs::{self, File};

use fleetcast_core::trust::{PublicKey, Trust, TrustedKeys};
use fleetcast_netlab::vectors;
use fleetcast_send::release::{OpenReleaseError, ReleaseFile};
use fleetcast_send::source::{Cell, CellError, Progress, Source, SourceError};

use super::fixture::Release;

#[test]
fn every_release_vector_is_taken_or_refused_as_it_says() {
    for vector in vectors::layer("release") {
        let release = Release::of(vector.name.trim_start_matches("release/"));
        let got = release.open();
        assert_eq!(got.as_ref().map_or_else(SourceError::code, |_| "ok"), release.expect, "{}: {got:?}", vector.name);
    }
}

#[test]
fn with_trusted_keys_the_signatures_are_verified() {
    let release = Release::of("ok-small");
    let open = |keys: &[[u8; 32]], threshold| {
        let keys = keys.iter().map(|key| PublicKey::from_bytes(*key).unwrap()).collect();
        ReleaseFile::open(&release.path("release"), Some(&Trust::from(TrustedKeys::new(keys, threshold).unwrap())))
    };
    let [ours, other] = fleetcast_cli::keys::unsafe_test::UNSAFE_TEST_KEYS;
    let unverified = ReleaseFile::open(&release.path("release"), None).unwrap();
    let verified = open(&[ours], 1).unwrap();
    assert_eq!(verified.manifest().payload_digest(), unverified.manifest().payload_digest());
    assert_eq!(verified.manifest().tsi().to_string(), "9feda4d4");
    for (keys, threshold) in [(&[other][..], 1), (&[ours, other], 2)] {
        let error = open(keys, threshold).unwrap_err();
        assert!(matches!(error, OpenReleaseError::Statement { .. }) && error.code() == "threshold", "{error:?}");
    }
}

#[test]
fn a_changed_octet_of_an_image_is_found_at_its_chunk() {
    for offset in [0, 63, 64, 500, 999] {
        let release = Release::of("ok-small");
        release.flip("rootfs.img", offset);
        match release.open() {
            Err(SourceError::Cell(CellError::Image { component, path, offset: at })) => {
                assert_eq!((component.as_str(), at), ("rootfs", offset as u64 / 64 * 64));
                assert_eq!(path, release.path("rootfs.img"));
            }
            other => panic!("{offset}: {other:?}"),
        }
    }
}

#[test]
fn an_image_of_another_length_is_refused() {
    let release = Release::of("ok-small");
    let image = fs::read(release.path("rootfs.img")).unwrap();
    for changed in [&image[..999], &[&image[..], &[0]].concat(), &[]] {
        release.folder.write("rootfs.img", changed);
        let error = release.open().unwrap_err();
        let expected = matches!(error, SourceError::Size { got, expected: 1000, .. } if got == changed.len() as u64);
        assert!(expected, "{error:?}");
    }
}

#[test]
fn images_in_each_others_place_are_refused() {
    let release = Release::of("ok-three-components");
    let [boot, kernel] = ["boot.img", "kernel.img"].map(|name| fs::read(release.path(name)).unwrap());
    release.folder.write("boot.img", &kernel);
    release.folder.write("kernel.img", &boot);
    assert_eq!(release.open().unwrap_err().code(), "size");
}

#[test]
fn a_missing_image_and_an_unusable_folder_are_named() {
    let release = Release::of("ok-small");
    let open = |folder: &std::path::Path| {
        let file = ReleaseFile::open(&release.path("release"), None).unwrap();
        Source::open(file, &release.images(), folder, &mut |_| {}).unwrap_err()
    };
    let error = open(&release.path("nowhere"));
    assert!(matches!(&error, SourceError::Temporary { octets: 1024, .. }), "{error:?}");
    assert!(error.to_string().contains("nowhere"), "{error}");
    fs::remove_file(release.path("rootfs.img")).unwrap();
    let error = open(&release.path(""));
    assert!(error.to_string().contains("rootfs.img"), "{error}");
}

#[test]
fn the_check_reports_all_of_its_work() {
    let release = Release::of("ok-mixed-geometry");
    let mut told = Vec::new();
    let file = ReleaseFile::open(&release.path("release"), None).unwrap();
    Source::open(file, &release.images(), &release.path(""), &mut |p| told.push(p)).unwrap();
    let Some(Progress { done, total }) = told.last().copied() else { panic!("nothing told") };
    assert!(done == total && total > 101_001, "{done} of {total}");
    assert!(told.is_sorted_by_key(|progress| progress.done));
}

/// Reads all cells; the first error, with what was read until then.
fn read_all(source: &Source, cells: u32) -> (u32, Option<CellError>) {
    let mut cell = Cell::default();
    for index in 0..cells {
        if let Err(error) = source.read(0, index, &mut cell) {
            return (index, Some(error));
        }
    }
    (cells, None)
}

#[test]
fn what_is_written_to_an_open_image_never_comes_out() {
    // 16 source chunks of 64 octets in cells of 8, then 16 repair chunks.
    let release = Release::of("ok-small");
    let source = release.open().unwrap();
    assert!(matches!(read_all(&source, 4), (4, None)));
    release.flip("rootfs.img", 700);
    let (read, error) = read_all(&source, 4);
    assert!(matches!(error, Some(CellError::Image { offset: 640, .. })), "{error:?}");
    assert_eq!(read, 1);
    release.flip("rootfs.img", 700);
    assert!(matches!(read_all(&source, 4), (4, None)));
}

#[test]
fn an_image_cut_off_or_grown_while_open_never_comes_out() {
    let release = Release::of("ok-small");
    let source = release.open().unwrap();
    let file = File::options().write(true).open(release.path("rootfs.img")).unwrap();
    file.set_len(600).unwrap();
    let (_, error) = read_all(&source, 4);
    assert!(matches!(error, Some(CellError::Image { offset: 576, .. })), "{error:?}");
}

#[test]
fn a_release_file_written_to_while_open_never_comes_out() {
    let release = Release::of("ok-small");
    let source = release.open().unwrap();
    let len = fs::metadata(release.path("release")).unwrap().len();
    // The last page: read for its own cell, and for the parity page three cells on.
    release.flip("release", usize::try_from(len).unwrap() - 200);
    let (_, error) = read_all(&source, 4);
    assert!(matches!(error, Some(CellError::Page { .. })), "{error:?}");
    File::options().write(true).open(release.path("release")).unwrap().set_len(len - 300).unwrap();
    let (_, error) = read_all(&source, 4);
    assert_eq!(error.unwrap().code(), "truncated");
}

#[test]
fn files_replaced_or_removed_change_nothing() {
    let release = Release::of("ok-small");
    let source = release.open().unwrap();
    fs::remove_file(release.path("rootfs.img")).unwrap();
    fs::remove_file(release.path("release")).unwrap();
    release.folder.write("rootfs.img", "something else");
    assert!(matches!(read_all(&source, 4), (4, None)));
}

#[test]
fn nothing_is_left_in_the_temporary_folder() {
    let release = Release::of("ok-small");
    let before = fs::read_dir(release.path("")).unwrap().count();
    let source = release.open().unwrap();
    assert_eq!(fs::read_dir(release.path("")).unwrap().count(), before);
    drop(source);
}

#[test]
fn a_cell_that_does_not_exist_is_an_error() {
    let source = Release::of("ok-small").open().unwrap();
    let mut cell = Cell::default();
    assert_eq!(source.read(0, 4, &mut cell).unwrap_err().code(), "page-digest");
    assert_eq!(source.read(1, 0, &mut cell).unwrap_err().code(), "range");
}
