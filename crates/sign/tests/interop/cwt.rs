//! The Python package `cwt`, by the script beside this file. It makes whole statements, and takes ours apart.
//!
//! `.ci/test` installs it.

use std::path::{Path, PathBuf};

use fleetcast_netlab::command_line::{Done, Folder, shipped};
use fleetcast_sign::keys::public_to_pem;

use super::{KINDS, assert_taken, key, our_statement};

/// The interpreter that has the package; `None`, said loudly, without it. In CI no test may be skipped.
fn python() -> Option<PathBuf> {
    let python = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("venv").join("bin/python");
    if python.exists() {
        return Some(python);
    }
    assert!(std::env::var_os("CI").is_none(), "{} is needed: run .ci/test", python.display());
    eprintln!("SKIPPED: a test with Python's COSE; {} is missing: run .ci/test", python.display());
    None
}

/// Runs the script in a folder.
fn cose(python: &Path, folder: &Folder, args: &[&str]) -> Done {
    let script = shipped("crates/sign/tests/interop/cose.py");
    let args = [&["-B", script.to_str().unwrap()], args].concat();
    Done::run(&mut folder.command(python.to_str().unwrap(), &args))
}

#[test]
fn cwt_takes_what_we_sign() {
    let Some(python) = python() else { return };
    for (kind, text) in KINDS {
        let folder = Folder::default();
        folder.write("pub.pem", public_to_pem(&key().public()).unwrap());
        let statement = our_statement(kind);
        folder.write("statement", &statement);
        let told = cose(&python, &folder, &["verify", "pub.pem", text, "statement"]).ok().stdout;
        assert_eq!(told, format!("-19 {}\n", key().public().key_id()));
        cose(&python, &folder, &["verify", "pub.pem", "fleetcast-other-1", "statement"]).failed(1, &["VerifyError"]);
        let mut other = statement;
        other[9] ^= 1;
        folder.write("statement", &other);
        cose(&python, &folder, &["verify", "pub.pem", text, "statement"]).failed(1, &["VerifyError"]);
    }
}

#[test]
fn we_take_what_cwt_signs_by_both_names_of_the_algorithm() {
    let Some(python) = python() else { return };
    let folder = Folder::default();
    folder.write("key.pem", key().to_pem().unwrap());
    for algorithms in [&["Ed25519"][..], &["EdDSA"], &["EdDSA", "Ed25519"]] {
        assert_taken(&key().public(), |_, text, payload| {
            folder.write("payload", payload);
            let args = ["sign", "key.pem", text, "payload", "statement"];
            cose(&python, &folder, &[&args, algorithms].concat()).ok();
            std::fs::read(folder.path("statement")).unwrap()
        });
    }
}
