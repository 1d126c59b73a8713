//! `spec/security.md`: every threat has its row, and what a row names exists.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// RFC 9124, sections 4.2, 4.3 and 4.5; TUF 1.0.34, section 1.5.2, with the names of its security page; Uptane 2.0, section 5.2; and ours.
const ROWS: &str = "\
    THREAT.IMG.EXPIRED THREAT.IMG.EXPIRED.OFFLINE THREAT.IMG.INCOMPATIBLE THREAT.IMG.FORMAT THREAT.IMG.LOCATION \
    THREAT.NET.REDIRECT THREAT.NET.ONPATH THREAT.IMG.REPLACE THREAT.IMG.NON_AUTH THREAT.UPD.WRONG_PRECURSOR \
    THREAT.UPD.UNAPPROVED THREAT.IMG.DISCLOSURE THREAT.MFST.OVERRIDE THREAT.MFST.EXPOSURE THREAT.IMG.EXTRA \
    THREAT.KEY.EXPOSURE THREAT.MFST.MODIFICATION THREAT.MFST.TOCTOU \
    REQ.SEC.SEQUENCE REQ.SEC.COMPATIBLE REQ.SEC.EXP REQ.SEC.AUTHENTIC REQ.SEC.AUTH.IMG_TYPE REQ.SEC.AUTH.IMG_LOC \
    REQ.SEC.AUTH.REMOTE_LOC REQ.SEC.AUTH.EXEC REQ.SEC.AUTH.PRECURSOR REQ.SEC.AUTH.COMPATIBILITY REQ.SEC.RIGHTS \
    REQ.SEC.IMG.CONFIDENTIALITY REQ.SEC.ACCESS_CONTROL REQ.SEC.MFST.CONFIDENTIALITY REQ.SEC.IMG.COMPLETE_DIGEST \
    REQ.SEC.REPORTING REQ.SEC.KEY.PROTECTION REQ.SEC.KEY.ROTATION REQ.SEC.MFST.CHECK REQ.SEC.MFST.TRUSTED \
    REQ.SEC.MFST.CONST \
    REQ.USE.MFST.PRE_CHECK REQ.USE.MFST.TEXT REQ.USE.MFST.OVERRIDE_REMOTE REQ.USE.MFST.COMPONENT \
    REQ.USE.MFST.MULTI_AUTH REQ.USE.IMG.FORMAT REQ.USE.IMG.NESTED REQ.USE.IMG.VERSIONS REQ.USE.IMG.SELECT \
    REQ.USE.EXEC REQ.USE.LOAD REQ.USE.PAYLOAD REQ.USE.PARSE REQ.USE.DELEGATION \
    MC1 MC2 MC3 MC4 MC5 MC6 MC7 MC8 MC9 MC10";
const PHRASES: [&str; 18] = [
    "TUF arbitrary installation",
    "TUF endless data",
    "TUF extraneous dependencies",
    "TUF fast-forward",
    "TUF indefinite freeze",
    "TUF malicious mirrors",
    "TUF mix-and-match",
    "TUF rollback",
    "TUF key compromise",
    "TUF wrong software",
    "Uptane eavesdrop",
    "Uptane drop-request",
    "Uptane slow retrieval",
    "Uptane freeze",
    "Uptane partial bundle installation",
    "Uptane denial of service",
    "Uptane compromised time server",
    "Uptane compromised online key",
];

/// A row of a table: its id, its codes, its tests.
struct Row {
    id: String,
    codes: Vec<String>,
    tests: Vec<String>,
    says_why_not: bool,
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What stands between backticks.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn rows() -> Vec<Row> {
    let text = fs::read_to_string(repository().join("spec/security.md")).unwrap();
    let cells = |line: &str| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let is_row = |cells: &Vec<String>| cells.len() == 4 && cells[0] != "id" && !cells[0].starts_with("---");
    let row = |cells: Vec<String>| {
        let [id, _, codes, tests] = cells.try_into().unwrap();
        Row { id, codes: quoted(&codes), says_why_not: tests.starts_with("no test: "), tests: quoted(&tests) }
    };
    text.lines().filter(|line| line.starts_with('|')).map(cells).filter(is_row).map(row).collect()
}

#[test]
fn every_threat_and_requirement_has_its_row() {
    let expected: BTreeSet<String> =
        ROWS.split_whitespace().map(str::to_owned).chain(PHRASES.map(str::to_owned)).collect();
    let id = |row: Row| if row.id.starts_with("MC") { row.id.split(' ').next().unwrap().to_owned() } else { row.id };
    let ids: Vec<String> = rows().into_iter().map(id).collect();
    assert_eq!(ids.iter().cloned().collect::<BTreeSet<_>>(), expected);
    assert_eq!(ids.len(), expected.len(), "one row each");
}

#[test]
fn every_row_names_tests_and_codes_that_exist() {
    let protocol = fs::read_to_string(repository().join("spec/protocol.md")).unwrap();
    let section = protocol.split("\n## ").find(|section| section.starts_with("12. Codes")).unwrap();
    let known: BTreeSet<String> = quoted(section).into_iter().collect();
    let mut sources: BTreeMap<PathBuf, String> = BTreeMap::new();
    let mut wrong = Vec::new();
    for row in rows() {
        let unknown =
            row.codes.iter().filter(|code| !known.contains(*code)).map(|code| format!("{}: code {code}", row.id));
        wrong.extend(unknown);
        if row.tests.is_empty() != row.says_why_not {
            wrong.push(format!("{}: a test, or why there is none", row.id));
        }
        for test in &row.tests {
            let exists = if let Some((file, name)) = test.split_once("::") {
                let path = repository().join("crates").join(file);
                let source =
                    sources.entry(path).or_insert_with_key(|path| fs::read_to_string(path).unwrap_or_default());
                source.contains(&format!("fn {name}("))
            } else {
                repository().join("spec").join(test).is_file()
            };
            if !exists {
                wrong.push(format!("{}: {test}", row.id));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
