//! Every rule of `spec/protocol.md` and `spec/store.md` has a vector, a case of the conformance kit, or a row in `spec/coverage.md` that says why not.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use fleetcast_netlab::{conformance, vectors};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(file: &str) -> String {
    fs::read_to_string(repository().join(file)).unwrap()
}

/// The ids that the pages give their rules.
fn rules() -> Vec<String> {
    let text = ["spec/protocol.md", "spec/store.md"].map(read).concat();
    let id = |line: &str| Some(line.strip_prefix("- **")?.split_once("**")?.0.to_owned());
    text.lines().filter_map(id).filter(|id| id.contains('-')).collect()
}

/// The ids that vectors name.
fn of_vectors() -> BTreeSet<String> {
    let folders = fs::read_dir(vectors::folder()).unwrap().map(|entry| entry.unwrap());
    let names = folders.filter(|f| f.file_type().unwrap().is_dir()).map(|f| f.file_name().into_string().unwrap());
    let layers = names.filter(|name| name != "fleetcast_reference" && !name.starts_with('_'));
    let all = layers.flat_map(|name| vectors::layer(&name));
    all.flat_map(|v| v.get("requirement").split(' ').map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// The ids that cases of the conformance kit name.
fn of_kit() -> BTreeSet<String> {
    conformance::cases().iter().flat_map(|case| case.requirements).map(|id| (*id).to_owned()).collect()
}

/// A rule without vector and case, why, and its tests.
struct Row {
    id: String,
    reason: String,
    tests: Vec<String>,
}

fn rows() -> Vec<Row> {
    let text = read("spec/coverage.md");
    let row = |line: &str| {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [id, reason, tests] = cells.try_into().unwrap();
        let tests = tests.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        Row { id: id.into(), reason: reason.into(), tests }
    };
    let is_rule = |line: &&str| line.starts_with("| ") && !line.starts_with("| id ") && !line.starts_with("| ---");
    text.lines().filter(is_rule).map(row).collect()
}

#[test]
fn rules_have_ids_of_their_own() {
    let rules = rules();
    assert!(rules.len() > 100, "{}", rules.len());
    assert_eq!(rules.iter().collect::<BTreeSet<_>>().len(), rules.len());
}

#[test]
fn every_rule_has_a_vector_or_case_or_says_why_not() {
    let rules: BTreeSet<String> = rules().into_iter().collect();
    let proven: BTreeSet<String> = of_vectors().into_iter().chain(of_kit()).collect();
    let rows: Vec<String> = rows().into_iter().map(|row| row.id).collect();
    let listed: BTreeSet<String> = rows.iter().cloned().collect();
    assert_eq!(listed.len(), rows.len(), "one row each");
    let known: BTreeSet<String> = proven.union(&listed).cloned().collect();
    let difference = |a: &BTreeSet<String>, b: &BTreeSet<String>| a.difference(b).cloned().collect::<Vec<_>>();
    assert_eq!(difference(&rules, &known), [""; 0], "no vector, no case, no row in spec/coverage.md");
    assert_eq!(difference(&known, &rules), [""; 0], "no rule of spec/protocol.md or spec/store.md");
    assert_eq!(
        proven.intersection(&listed).collect::<Vec<_>>(),
        [""; 0],
        "a vector or case, and a row in spec/coverage.md"
    );
}

#[test]
fn every_row_gives_a_reason_and_tests_that_exist() {
    let exists = |test: &str| {
        let (file, name) = test.split_once("::").unwrap_or_default();
        let source = fs::read_to_string(repository().join("crates").join(file)).unwrap_or_default();
        source.contains(&format!("fn {name}("))
    };
    let mut wrong = Vec::new();
    for Row { id, reason, tests } in rows() {
        if reason.is_empty() || tests.is_empty() {
            wrong.push(format!("{id}: a reason, and a test"));
        }
        wrong.extend(tests.iter().filter(|test| !exists(test)).map(|test| format!("{id}: {test}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
