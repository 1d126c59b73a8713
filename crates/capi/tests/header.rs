//! `fleetcast.h` says what the library does: sizes, places and numbers, by the C and C++ compilers.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::fmt::Write as _;
use std::io::Write as _;
use std::mem::offset_of;
use std::path::Path;
use std::process::{Command, Stdio};

use fleetcast::abi::{self, Status};
use fleetcast::device::Phase;
use fleetcast::storage::{Area, EventKind, Item};

/// Lines that compile only if the expression of C is the number of Rust.
#[derive(Default)]
struct Claims(String);

impl Claims {
    fn number(&mut self, expression: &str, value: i64) {
        let number = self.0.lines().count();
        writeln!(self.0, "typedef char claim_{number}[(long long)({expression}) == {value}LL ? 1 : -1]; /* {value} */")
            .unwrap();
    }
}

macro_rules! layout {
    ($claims:ident, $c:literal, $type:ty, $($field:ident),*) => {
        $claims.number(concat!("sizeof(", $c, ")"), i64::try_from(size_of::<$type>()).unwrap());
        $($claims.number(&format!("offsetof({}, {})", $c, stringify!($field)), i64::try_from(offset_of!($type, $field)).unwrap());)*
    };
}

fn claims() -> String {
    let mut claims = Claims::default();
    layout!(claims, "fc_target", abi::Target, name, max_image, max_scratch);
    layout!(claims, "fc_mark", abi::Mark, sequence, security_version, reserved, digest);
    layout!(claims, "fc_room", abi::Room, target, reserved, image_size, scratch_size);
    layout!(claims, "fc_event", abi::Event, kind, reserved, number, code);
    #[rustfmt::skip]
    layout!(claims, "fc_storage", abi::Functions, struct_size, reserved, context, load, save, prepare, read, write, flush, event);
    #[rustfmt::skip]
    layout!(claims, "fc_config", abi::Config, struct_size, flags, storage, keys, key_count, root, root_size, classes, class_count, targets,
        target_count, installed, hardware, built, threshold, wave, max_packet, staging, vendor, random);
    #[rustfmt::skip]
    layout!(claims, "fc_info", abi::Info, struct_size, phase, sequence, installed_sequence, chunks_needed, chunks_have, datagrams, security_version,
        component_count, root_version, reserved, digest, version, freshness);
    layout!(claims, "fc_component", abi::Component, struct_size, target, size, sha256, name);
    layout!(claims, "fc_counter", abi::Counter, struct_size, reserved, count, code);
    for (name, value) in numbers() {
        claims.number(name, value);
    }
    claims.0
}

/// All numbers of the header, by name.
fn numbers() -> Vec<(&'static str, i64)> {
    let status = |status: Status| i64::from(status as i32);
    let event = |kind: EventKind| i64::from(kind as i32);
    let item = |item: Item| i64::from(item as i32);
    let phase = |phase: Phase| i64::from(phase as i32);
    vec![
        ("FC_ABI_VERSION", abi::ABI.into()),
        ("FC_CODE_SIZE", i64::try_from(abi::CODE).unwrap()),
        ("FC_NAME_SIZE", i64::try_from(abi::NAME).unwrap()),
        ("FC_OK", status(Status::Ok)),
        ("FC_END", status(Status::End)),
        ("FC_WAIT", status(Status::Wait)),
        ("FC_MISMATCH", status(Status::Mismatch)),
        ("FC_ERR_ARGUMENT", status(Status::Argument)),
        ("FC_ERR_ABI", status(Status::Abi)),
        ("FC_ERR_BUSY", status(Status::Busy)),
        ("FC_ERR_PHASE", status(Status::Phase)),
        ("FC_ERR_STORAGE", status(Status::Storage)),
        ("FC_ERR_DAMAGED", status(Status::Damaged)),
        ("FC_ERR_TRUST", status(Status::Trust)),
        ("FC_ERR_INTERNAL", status(Status::Internal)),
        ("FC_PHASE_IDLE", phase(Phase::Idle)),
        ("FC_PHASE_RECEIVING", phase(Phase::Receiving)),
        ("FC_PHASE_COMPLETE", phase(Phase::Complete)),
        ("FC_PHASE_PROVEN", phase(Phase::Proven)),
        ("FC_PHASE_TRIAL", phase(Phase::Trial)),
        ("FC_ITEM_RECORD", item(Item::Record)),
        ("FC_ITEM_STATEMENT", item(Item::Statement)),
        ("FC_ITEM_ROOTS", item(Item::Roots)),
        ("FC_ITEM_BEACON", item(Item::Beacon)),
        ("FC_AREA_IMAGE", i64::from(Area::Image as i32)),
        ("FC_AREA_SCRATCH", i64::from(Area::Scratch as i32)),
        ("FC_EVENT_BEGIN", event(EventKind::Begin)),
        ("FC_EVENT_RESUMED", event(EventKind::Resumed)),
        ("FC_EVENT_COMPLETE", event(EventKind::Complete)),
        ("FC_EVENT_ABANDONED", event(EventKind::Abandoned)),
        ("FC_EVENT_REFUSED", event(EventKind::Refused)),
        ("FC_EVENT_ALARM", event(EventKind::Alarm)),
        ("FC_EVENT_NO_ROOM", event(EventKind::NoRoom)),
        ("FC_EVENT_ROOT", event(EventKind::Root)),
        ("FC_EVENT_BEACON", event(EventKind::Beacon)),
        ("FC_EVENT_FRESHNESS", event(EventKind::Freshness)),
        ("FC_EVENT_MISMATCH", event(EventKind::Mismatch)),
        ("FC_EVENT_ROOTS_LOST", event(EventKind::RootsLost)),
        ("FC_HAS_HARDWARE", abi::HAS_HARDWARE.into()),
        ("FC_HAS_WAVE", abi::HAS_WAVE.into()),
        ("FC_IGNORE_WAVES", abi::IGNORE_WAVES.into()),
        ("FC_TRUST_CLOCK", abi::TRUST_CLOCK.into()),
        ("FC_INSTALL_STALE", abi::INSTALL_STALE.into()),
    ]
}

fn header() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("include/fleetcast.h")
}

#[track_caller]
fn compile(compiler: &str, language: &[&str], text: &str) {
    let mut command = Command::new(compiler);
    command.args(language).args(["-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only", "-I"]);
    command.arg(header().parent().unwrap()).arg("-").stdin(Stdio::piped());
    let mut running = command.spawn().unwrap();
    running.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(running.wait().unwrap().success(), "{compiler} {language:?}");
}

#[test]
fn header_and_library_agree() {
    let text = format!("#include \"fleetcast.h\"\n{}", claims());
    compile("cc", &["-x", "c", "-std=c99"], &text);
    let has_cpp = Command::new("g++").arg("--version").output().is_ok();
    if has_cpp {
        compile("g++", &["-x", "c++", "-std=c++11", "-Wno-long-long"], &text);
    } else {
        assert!(std::env::var_os("CI").is_none(), "missing: g++");
        eprintln!("SKIPPED: the header as C++; missing: g++");
    }
}

#[test]
fn nothing_in_the_header_goes_unchecked() {
    let header = std::fs::read_to_string(header()).unwrap();
    let numbers = numbers();
    for line in header.lines() {
        let line = line.trim_start();
        let is_number = line.starts_with("FC_") && line.contains(" = ");
        let name = line.split([' ', '=']).next().unwrap();
        assert!(!is_number || numbers.iter().any(|(known, _)| *known == name), "{name}");
    }
    let source = include_str!("../src/ffi.rs");
    let functions = |text: &str, before: &str| -> Vec<String> {
        let names = text.lines().filter_map(|line| Some(line.split_once(before)?.1.split_once('(')?.0.to_owned()));
        let mut names: Vec<_> = names.filter(|name| name.starts_with("fc_")).collect();
        names.sort();
        names
    };
    let exported = functions(source, "fn ");
    let of_kind = |kind: &str| {
        header.lines().filter(|line| line.starts_with(kind)).flat_map(|line| functions(line, kind)).collect::<Vec<_>>()
    };
    let mut declared: Vec<_> = ["fc_status ", "uint32_t ", "const char *"].into_iter().flat_map(of_kind).collect();
    declared.sort();
    assert_eq!(declared, exported);
}
