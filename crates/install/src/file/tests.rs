//! On the real file system.

use std::fs;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::PathBuf;

use proptest::prelude::*;
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::*;
use crate::disk::DiskFile as _;
use crate::durable;
use crate::faulty::Faulty;
use crate::real::RealFs;
use crate::record::ReleaseId;
use crate::scratch::Scratch;
use crate::staging::{Staging, VerifyError};

const PART: &str = ".app.img.0707070707070707.part";

struct Device {
    folder: TempDir,
    image: Vec<u8>,
}

impl Device {
    fn new() -> Self {
        let image = (0..1_u32 << 20).map(|n| (n / 7).to_le_bytes()[0]).chain([1]).collect();
        Self { folder: TempDir::new().unwrap(), image }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn plan(&self) -> Plan {
        let release = ReleaseId { sequence: 2, security_version: 0, manifest: [7; 32], version: "2".into() };
        let component = Component {
            target: self.path("app.img"),
            size: self.image.len() as u64,
            sha256: Sha256::digest(&self.image).into(),
        };
        Plan { release, components: vec![component] }
    }

    fn state<D: Disk>(&self, disk: &D) -> Result<State<D>, Fault> {
        State::open(disk.clone(), &self.path("state"), [0; 16])
    }

    fn install<D: Disk + 'static>(&self, disk: &D) -> Result<(), Box<dyn std::error::Error>> {
        let backend = FileBackend::new(disk.clone());
        let mut state = self.state(disk)?;
        backend.recover(&mut state)?;
        if state.record().installed.is_some() {
            return Ok(());
        }
        let mut staging = backend.stage(&mut state, &self.plan(), &[])?;
        staging.write_at(0, 0, &self.image)?;
        backend.install(&mut state, staging.verify()?)?;
        Ok(())
    }

    fn stage(&self) -> Result<Staging<RealFs>, Fault> {
        partial::open(&RealFs, &self.plan(), &[])
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.path(name)).unwrap().mode() & 0o7777
    }

    fn put(&self, name: &str, bytes: &[u8], mode: u32) {
        durable::replace(&RealFs, &self.path(name), bytes).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }
}

#[test]
fn an_install_replaces_the_target_and_remembers_it() {
    let device = Device::new();
    device.install(&RealFs).unwrap();
    assert_eq!(fs::read(device.path("app.img")).unwrap(), device.image);
    assert_eq!(device.names(), ["app.img", "state"]);
    let record = device.state(&RealFs).unwrap().record().clone();
    assert_eq!(record.installed, Some(device.plan().release));
    assert_eq!(record.seen.map(|seen| seen.sequence), Some(2));
    assert_eq!(record.phase, Phase::Idle);
}

#[test]
fn the_mode_of_the_target_is_kept_without_setuid() {
    for (old, new) in [(None, 0o644), (Some(0o755), 0o755), (Some(0o6750), 0o750), (Some(0o444), 0o444)] {
        let device = Device::new();
        if let Some(mode) = old {
            device.put("app.img", b"old", mode);
        }
        drop(device.stage().unwrap());
        assert_eq!(device.mode(PART), 0o600);
        device.install(&RealFs).unwrap();
        assert_eq!(device.mode("app.img"), new);
    }
}

#[test]
fn a_part_that_had_its_last_mode_already_opens_again() {
    let device = Device::new();
    device.put(PART, b"begun", 0o444);
    let staging = device.stage().unwrap();
    let mut begun = [0; 5];
    staging.read_at(0, 0, &mut begun).unwrap();
    assert_eq!((&begun, device.mode(PART)), (b"begun", 0o600));
}

#[test]
fn every_failing_operation_leaves_the_old_image_or_the_new_and_the_next_run_completes() {
    let device = Device::new();
    device.put("app.img", b"old", 0o644);
    let whole = Faulty::new(RealFs, 0..0, Errno::IO);
    device.install(&whole).unwrap();
    let operations = whole.operations();
    assert!(operations > 20, "{operations}");
    for failing in 0..operations {
        for (errno, code) in [(Errno::NOSPC, "no-space"), (Errno::IO, "io")] {
            let device = Device::new();
            device.put("app.img", b"old", 0o644);
            let disk = Faulty::new(RealFs, failing..failing + 1, errno);
            let Err(error) = device.install(&disk) else {
                // A record that cannot be written in place gets another file.
                assert_eq!((errno, fs::read(device.path("app.img")).unwrap()), (Errno::IO, device.image), "{failing}");
                continue;
            };
            let fault = error.downcast::<Fault>().map_or_else(
                |error| error.downcast::<crate::Unverified<Faulty<RealFs>>>().unwrap().reason.code(),
                |fault| fault.code(),
            );
            assert_eq!(fault, code, "operation {failing}");
            let found = fs::read(device.path("app.img")).unwrap();
            assert!(found == b"old" || found == device.image, "operation {failing}");
            device.install(&RealFs).unwrap();
            assert_eq!(fs::read(device.path("app.img")).unwrap(), device.image);
            assert_eq!(device.names(), ["app.img", "state"], "operation {failing}");
            assert_eq!(fs::read_dir(device.path("state")).unwrap().count(), 2);
        }
    }
}

#[test]
fn a_release_that_does_not_fit_is_refused_before_anything_is_written() {
    let device = Device::new();
    let mut plan = device.plan();
    plan.components[0].size = 1 << 60;
    plan.components.push(Component { target: device.path("ui.img"), ..plan.components[0].clone() });
    let fault = partial::open(&RealFs, &plan, &[]).unwrap_err();
    let Fault::NoRoom { needed, available, .. } = fault else {
        panic!("{fault}");
    };
    assert_eq!(needed, 2 << 60);
    assert!(available < 1 << 60);
    assert!(device.names().is_empty());
}

#[test]
fn room_that_will_be_freed_counts_as_free() {
    let device = Device::new();
    let disk = crate::sim::SimDisk::default();
    let stale = Path::new("/.app.img.1111111111111111.part");
    disk.open_locked(stale).unwrap().set_size(1000).unwrap();
    disk.set_free(device.image.len() as u64 - 1000);
    let mut plan = device.plan();
    plan.components[0].target = "/app.img".into();
    let backend = FileBackend::new(disk.clone());
    assert_eq!(partial::open(&disk, &plan, &[]).unwrap_err().code(), "no-space");
    let freed = backend.stale(&plan.components[0].target, Some(&[7; 32])).unwrap();
    assert_eq!(freed, [stale]);
    partial::open(&disk, &plan, &freed).unwrap();
    assert!(disk.files().contains_key(stale), "only the caller removes it");
}

#[test]
fn a_folder_whose_parent_cannot_be_flushed_is_opened() {
    durable::create_dir(&RealFs, Path::new("/proc/sys")).unwrap();
}

#[test]
fn a_staged_image_occupies_no_room_until_written() {
    let device = Device::new();
    let _staging = device.stage().unwrap();
    let part = fs::metadata(device.path(PART)).unwrap();
    assert_eq!((part.len(), part.blocks()), (device.image.len() as u64, 0));
}

#[test]
fn a_part_of_wrong_length_gets_the_right_one_and_keeps_its_content() {
    for length in [0, 5, 5 << 20] {
        let device = Device::new();
        let old = vec![b'x'; length];
        device.put(PART, &old, 0o600);
        let staging = device.stage().unwrap();
        let part = fs::read(device.path(PART)).unwrap();
        assert_eq!(part.len(), device.image.len());
        let common = length.min(part.len());
        assert!(part[..common] == old[..common]);
        drop(staging);
    }
}

#[test]
fn a_link_or_folder_where_an_image_goes_is_refused() {
    let elsewhere = Device::new();
    elsewhere.put("victim", b"untouched", 0o644);
    for name in [PART, "app.img"] {
        let device = Device::new();
        symlink(elsewhere.path("victim"), device.path(name)).unwrap();
        let fault = device.stage().unwrap_err();
        assert_eq!(fault.code(), "not-regular", "{fault}");
        assert!(fault.to_string().contains(name), "{fault}");
        fs::remove_file(device.path(name)).unwrap();
        fs::create_dir(device.path(name)).unwrap();
        assert_eq!(device.stage().unwrap_err().code(), "not-regular");
    }
    assert_eq!(fs::read(elsewhere.path("victim")).unwrap(), b"untouched");
    assert_eq!(elsewhere.mode("victim"), 0o644);
}

#[test]
fn a_second_receiver_is_refused_until_the_first_is_gone() {
    let device = Device::new();
    let staging = device.stage().unwrap();
    assert_eq!(device.stage().unwrap_err().code(), "locked");
    drop(staging);
    device.stage().unwrap();

    let state = device.state(&RealFs).unwrap();
    let fault = device.state(&RealFs).unwrap_err();
    assert!(fault.to_string().contains("in use by another receiver"), "{fault}");
    drop(state);
    device.state(&RealFs).unwrap();
}

#[test]
fn a_flipped_bit_is_found_on_read_back_and_can_be_repaired() {
    for at in [0, 1 << 20] {
        let device = Device::new();
        let mut staging = device.stage().unwrap();
        staging.write_at(0, 0, &device.image).unwrap();
        let part = fs::OpenOptions::new().write(true).open(device.path(PART)).unwrap();
        part.write_all_at(&[device.image[at] ^ 4], at as u64).unwrap();
        let unverified = staging.verify().unwrap_err();
        let VerifyError::Mismatch { components } = &unverified.reason else {
            panic!("{unverified}");
        };
        assert_eq!(components, &[0]);
        let mut staging = unverified.staging;
        staging.write_at(0, at as u64, &device.image[at..=at]).unwrap();
        staging.verify().unwrap();
    }
}

#[test]
fn a_position_outside_the_image_is_an_error_and_nothing_is_done() {
    let device = Device::new();
    let size = device.image.len() as u64;
    let mut staging = device.stage().unwrap();
    for (offset, bytes) in [(size, 1), (size - 1, 2), (u64::MAX, 1), (u64::MAX - 1, 8), (0, 4 << 20)] {
        let fault = staging.write_at(0, offset, &vec![1; bytes]).unwrap_err();
        assert_eq!(fault.code(), "out-of-range", "{offset}");
        let fault = staging.read_at(0, offset, &mut vec![1; bytes]).unwrap_err();
        assert_eq!(fault.code(), "out-of-range", "{offset}");
    }
    assert_eq!(staging.write_at(1, 0, b"x").unwrap_err().code(), "no-component");
    staging.write_at(0, size - 1, b"x").unwrap();
    staging.write_at(0, size, b"").unwrap();
    assert_eq!(fs::metadata(device.path(PART)).unwrap().len(), size);
}

#[test]
fn faults_of_the_real_file_system_say_what_to_do() {
    let device = Device::new();
    let mut plan = device.plan();
    plan.components[0].target = device.path("missing/app.img");
    let fault = partial::open(&RealFs, &plan, &[]).unwrap_err();
    assert_eq!(fault.code(), "missing-folder");
    assert!(fault.to_string().contains("create it or correct the path"), "{fault}");

    plan.components[0].target = device.path(&"n".repeat(250));
    let fault = partial::open(&RealFs, &plan, &[]).unwrap_err();
    assert!(fault.to_string().contains("too long"), "{fault}");

    for (errno, code, remedy) in [
        (Errno::ROFS, "read-only", "remount it writable"),
        (Errno::ACCESS, "denied", "let this user write to the folder"),
    ] {
        // The fourth operation creates the staged file.
        let disk = Faulty::new(RealFs, 3..4, errno);
        let fault = partial::open(&disk, &device.plan(), &[]).unwrap_err();
        assert_eq!(fault.code(), code);
        let text = fault.to_string();
        assert!(text.contains(remedy) && text.contains(PART), "{text}");
    }
}

#[test]
fn stale_parts_are_removed_but_not_ours_nor_locked_nor_foreign_ones() {
    let device = Device::new();
    let name = |digit: &str| format!(".app.img.{}.part", digit.repeat(16));
    let foreign = [
        ".app.img.07.part",
        ".app.img.070707070707070z.part",
        ".app.img.0707070707070707.partial",
        ".ui.img.1111111111111111.part",
        "app.img",
    ];
    for name in foreign {
        device.put(name, b"", 0o600);
    }
    let (stale, locked) = (name("1"), name("2"));
    device.put(&stale, b"", 0o600);
    device.put(&locked, b"", 0o600);
    let _lock = RealFs.open_locked(&device.path(&locked)).unwrap();
    let staging = device.stage().unwrap();
    let backend = FileBackend::new(RealFs);
    let removed = backend.remove_stale(&RealFs, &device.path("app.img"), Some(&[7; 32])).unwrap();
    assert_eq!(removed, [device.path(&stale)]);
    let mut left: Vec<_> = foreign.iter().map(ToString::to_string).collect();
    left.extend([locked.clone(), PART.into()]);
    left.sort();
    assert_eq!(device.names(), left);
    backend.discard(staging).unwrap();
    left.retain(|name| name != PART);
    assert_eq!(device.names(), left);
}

#[test]
fn scratch_is_sparse_bounded_found_again_and_removed() {
    let device = Device::new();
    let open = |component| Scratch::open(&RealFs, device.folder.path(), &[7; 32], component, 1 << 30);
    let mut scratch = open(3).unwrap();
    scratch.write_at((1 << 30) - 4, b"last").unwrap();
    scratch.flush().unwrap();
    assert_eq!(scratch.write_at(1 << 30, b"x").unwrap_err().code(), "out-of-range");
    assert_eq!(open(3).unwrap_err().code(), "locked");
    drop(scratch);
    let file = fs::metadata(device.path("scratch.0707070707070707.3")).unwrap();
    assert_eq!(file.len(), 1 << 30);
    assert!(file.blocks() * 512 < 1 << 20);
    let scratch = open(3).unwrap();
    let mut last = [0; 4];
    scratch.read_at((1 << 30) - 4, &mut last).unwrap();
    assert_eq!(&last, b"last");
    drop(open(4).unwrap());
    let stale = |keep| Scratch::remove_stale(&RealFs, device.folder.path(), keep).unwrap().len();
    assert_eq!((stale(Some(&[7; 32])), stale(None)), (0, 1));
    scratch.remove().unwrap();
    assert!(device.names().is_empty());
}

#[test]
fn missing_unreadable_and_good_records_are_three_answers() {
    let device = Device::new();
    let load = || crate::load(&RealFs, device.folder.path());
    assert_eq!(load().unwrap(), crate::Loaded::Missing);
    device.put("record", b"FCDR\x09", 0o600);
    let reason = crate::record::DecodeError::Format { got: 9 };
    assert_eq!(load().unwrap(), crate::Loaded::Unreadable { reason });
    let fault = State::open(RealFs, device.folder.path(), [0; 16]).unwrap_err();
    assert_eq!(fault.code(), "record-unreadable");
    assert!(fault.to_string().contains("format 9"), "{fault}");
    device.put("record", &vec![0; 40_000], 0o600);
    assert_eq!(load().unwrap_err().code(), "too-large");
    let good = crate::record::Record::default();
    device.put("record", &crate::record::journal::write(&good, 3).unwrap(), 0o600);
    assert_eq!(load().unwrap(), crate::Loaded::Ok(good.into()));
    fs::remove_file(device.path("record")).unwrap();
    fs::create_dir(device.path("record")).unwrap();
    assert_eq!(load().unwrap_err().code(), "not-regular");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_replaced_file_has_the_last_content(contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..2000), 1..4)) {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("a/b/file");
        durable::create_dir(&RealFs, path.parent().unwrap()).unwrap();
        durable::create_dir(&RealFs, path.parent().unwrap()).unwrap();
        for content in &contents {
            durable::replace(&RealFs, &path, content).unwrap();
            let found = durable::read_bounded(&RealFs, &path, 2000).unwrap();
            prop_assert_eq!(found.as_ref(), Some(content));
        }
        durable::remove_leftovers(&RealFs, &path).unwrap();
        prop_assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}
