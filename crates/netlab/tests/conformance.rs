//! The conformance kit: it passes our receivers, fails wrong ones by the right rules, and exports the same octets each time.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use fleetcast_netlab::board;
use fleetcast_netlab::command_line::{Folder, assert_help, shipped};
use fleetcast_netlab::conformance::receiver::Receiver;
use fleetcast_netlab::conformance::report::Verdict;
use fleetcast_netlab::conformance::run::{Outcome, Played, run};
use fleetcast_netlab::conformance::{Case, cases, export, report};
use fleetcast_netlab::fleet::program;

/// The receiver files that are shipped.
const RECEIVERS: [&str; 3] = [
    "crates/netlab/conformance/receiver.toml",
    "examples/python-receiver/conformance/receiver.toml",
    "examples/mcu/conformance/receiver.toml",
];

/// Faults of the Python receiver, and for each a case that must find it, and one that must not.
const FAULTS: [(&str, &str, &str); 8] = [
    ("believes_signatures", "others-kid", "clean"),
    ("takes_unverified_chunks", "wrong-chunks", "clean"),
    ("takes_older_releases", "older", "clean"),
    ("ignores_repair", "repair", "lossy"),
    ("installs_one_component", "components", "clean"),
    ("forgets_roots", "revoked-key", "rotated-keys"),
    ("needs_no_beacon", "beacon", "above-the-beacon"),
    ("believes_packet_counts", "two-senders", "joined-midway"),
];

fn read(path: &str) -> Receiver {
    Receiver::read(&shipped(path)).unwrap()
}

/// The receiver with a variable in the environment of its `receive` command.
fn with(mut receiver: Receiver, name: &str, value: &Path) -> Receiver {
    let program = receiver.folder.join(&receiver.receive[0]);
    let set = ["env".to_owned(), format!("{name}={}", value.display()), program.display().to_string()];
    receiver.receive.splice(..1, set);
    receiver
}

/// An interpreter with the packages that the receiver needs; `None`, said loudly, where there is none. In CI there must be.
fn python() -> Option<&'static str> {
    let has_packages = |python: &&str| {
        Command::new(python).args(["-c", "import cbor2, cryptography"]).output().is_ok_and(|run| run.status.success())
    };
    let found = ["python3", "/usr/bin/python3"].into_iter().find(has_packages);
    if found.is_none() {
        assert!(env::var_os("CI").is_none(), "missing: python3-cbor2, python3-cryptography");
        eprintln!("SKIPPED: the Python receiver under test; missing: python3-cbor2, python3-cryptography");
    }
    found
}

#[track_caller]
fn assert_passes(receiver: &Receiver) {
    let played = run(receiver, &cases(), 4, |one| print!("{}", report::line(one)));
    print!("{}", report::summary(&played));
    let failed: String = played.iter().filter(|one| is_failed(one)).map(report::line).collect();
    assert!(failed.is_empty(), "{}:\n{failed}", receiver.name);
}

const fn is_failed(one: &Played) -> bool {
    matches!(one.outcome, Outcome::Failed(_))
}

#[test]
fn help_is_as_reviewed() {
    let program = env!("CARGO_BIN_EXE_fleetcast-conformance");
    assert_help(program, env!("CARGO_MANIFEST_DIR"), &["list", "run", "export"]);
}

#[test]
fn fleetcast_recv_passes_what_it_claims() {
    assert_passes(&with(read(RECEIVERS[0]), "FLEETCAST_RECV", &program("recv")));
}

#[test]
fn the_python_receiver_passes_what_it_claims() {
    if python().is_some() {
        assert_passes(&read(RECEIVERS[1]));
    }
}

#[test]
fn the_receiver_for_microcontrollers_passes_what_it_claims() {
    let Some(board) = board::program() else { return };
    assert_passes(&with(read(RECEIVERS[2]), "FLEETCAST_BOARD", &board));
}

#[test]
fn wrong_receivers_fail_by_the_rules_that_they_break() {
    let Some(python) = python() else { return };
    let mut receiver = read(RECEIVERS[1]);
    let play = receiver.folder.join("play.py").display().to_string();
    let wrong = shipped("crates/netlab/tests/conformance/wrong.py").display().to_string();
    for (fault, finds, passes) in FAULTS {
        let command = [python, "-B", &wrong, &play, fault, "{device}", "{capture}"];
        receiver.receive = command.map(str::to_owned).to_vec();
        let chosen: Vec<Case> = cases().into_iter().filter(|case| [finds, passes].contains(&case.name)).collect();
        let played = run(&receiver, &chosen, 2, |_| ());
        let told: String = played.iter().map(report::line).collect();
        let failed: Vec<_> = played.iter().filter(|one| is_failed(one)).map(|one| one.case.name).collect();
        assert_eq!(failed, [finds], "{fault}:\n{told}");
        let rules = report::rules(&played).into_iter();
        let broken: BTreeSet<_> = rules.filter(|(_, verdict)| *verdict == Verdict::Failed).map(|(id, _)| id).collect();
        let cited = played.iter().find(|one| is_failed(one)).unwrap().case.requirements;
        assert_eq!(broken, cited.iter().copied().collect(), "{fault}");
    }
}

#[test]
fn the_same_octets_are_exported_each_time() {
    let folder = Folder::default();
    let chosen: Vec<_> = cases().into_iter().filter(|case| case.name != "blocks" && case.name != "too-large").collect();
    for name in ["one", "two"] {
        export::export(&folder.path(name), &chosen).unwrap();
    }
    let (mut left, mut files) = (vec![folder.path("one")], 0);
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let twin = folder.path("two").join(path.strip_prefix(folder.path("one")).unwrap());
            assert_eq!(fs::read(&path).unwrap(), fs::read(twin).unwrap(), "{}", path.display());
            files += 1;
        }
    }
    // A case has at least its file, a device of three files, and a capture.
    assert!(files >= 5 * chosen.len(), "{files} files");
    assert!(export::export(&folder.path("one"), &chosen).is_err(), "nothing is overwritten");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "nobody relies on this file after a power cut")]
fn the_table_of_the_documentation_is_that_of_the_receiver_files() {
    const MARKS: [&str; 2] = ["<!-- table -->\n", "<!-- end of the table -->"];
    let path = shipped("spec/conformance.md");
    let text = fs::read_to_string(&path).unwrap();
    let [start, end] = MARKS.map(|mark| text.find(mark).unwrap());
    let start = start + MARKS[0].len();
    let table = report::table(&RECEIVERS.map(read), &cases());
    if env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(&path, [&text[..start], &table, &text[end..]].concat()).unwrap();
    } else {
        assert_eq!(text[start..end], table, "run this test with UPDATE_SNAPSHOTS=1");
    }
}
