//! `spec/registry.md`: it names what `spec/protocol.md` and the code have, and nothing else.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn spec(name: &str) -> String {
    fs::read_to_string(repository().join("spec").join(name)).unwrap()
}

/// What stands below the heading `## title`.
fn section(text: &str, title: &str) -> String {
    text.split("\n## ").find(|section| section.lines().next() == Some(title)).unwrap().to_owned()
}

/// What stands between `mark`s.
fn between(text: &str, mark: char) -> impl Iterator<Item = String> {
    text.split(mark).skip(1).step_by(2).map(str::to_owned)
}

fn quoted(text: &str) -> BTreeSet<String> {
    between(text, '`').collect()
}

/// The first column of the table of codes.
fn codes() -> BTreeSet<String> {
    let section = section(&spec("registry.md"), "Codes");
    let rows: Vec<_> = section.lines().filter(|line| line.starts_with("| `")).map(str::to_owned).collect();
    let first = |row: &String| between(row, '`').next().unwrap();
    let codes: Vec<_> = rows.iter().map(first).collect();
    assert!(codes.is_sorted(), "in alphabetical order");
    let set: BTreeSet<_> = codes.iter().cloned().collect();
    assert_eq!(set.len(), codes.len(), "one row each");
    set
}

/// The code of all files in `crates/NAME/src`, without tests at their ends.
fn sources(name: &str) -> Vec<String> {
    let mut folders = vec![repository().join("crates").join(name).join("src")];
    let mut sources = vec![];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = fs::read_to_string(path).unwrap();
                sources.push(text.split("#[cfg(test)]").next().unwrap().to_owned());
            }
        }
    }
    sources
}

/// The words that functions named `code` of a crate give.
fn given(name: &str) -> BTreeSet<String> {
    let body = |text: &str| text.split("\n    }\n").next().unwrap().to_owned();
    let sources = sources(name);
    let bodies = sources.iter().flat_map(|source| source.split("fn code(").skip(1).map(body));
    bodies.flat_map(|body| between(&body, '"').collect::<Vec<_>>()).collect()
}

#[test]
fn the_codes_are_those_of_section_12() {
    assert_eq!(codes(), quoted(&section(&spec("protocol.md"), "12. Codes")));
}

#[test]
fn every_word_of_the_core_has_its_place() {
    let registry = spec("registry.md");
    let named: BTreeSet<_> = codes()
        .into_iter()
        .chain(quoted(&section(&registry, "Freshness")))
        .chain(quoted(registry.lines().find(|line| line.starts_with("Why a public key")).unwrap()))
        .collect();
    let given = given("core");
    assert!(given.len() > 40, "{given:?}");
    assert_eq!(given.difference(&named).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn every_code_is_one_that_a_program_gives() {
    let all: String = ["core", "install", "recv", "send", "sign"].iter().flat_map(|name| sources(name)).collect();
    let unknown: Vec<_> = codes().into_iter().filter(|code| !all.contains(&format!("\"{code}\""))).collect();
    assert_eq!(unknown, Vec::<String>::new());
}

#[test]
fn freshness_states_and_texts_that_separate_are_those_of_protocol_and_core() {
    let (registry, protocol) = (spec("registry.md"), spec("protocol.md"));
    let (_, rule) = protocol.split_once("- **B-7**").unwrap();
    let rows = rule.split("- **B-8**").next().unwrap().lines();
    let states: BTreeSet<_> = rows.filter_map(|line| between(line.strip_prefix("  | ")?, '`').next()).collect();
    assert_eq!(quoted(&section(&registry, "Freshness")), states);
    let separates = |text: &String| text.starts_with("fleetcast-") && text.ends_with("-1");
    let of_core: BTreeSet<_> =
        sources("core").iter().flat_map(|source| between(source, '"').collect::<Vec<_>>()).filter(separates).collect();
    let of = |text: &str| quoted(text).into_iter().filter(separates).collect::<BTreeSet<_>>();
    assert_eq!(of(&registry), of_core);
    assert_eq!(of(&protocol), of_core);
}

#[test]
fn every_rule_that_a_page_cites_exists() {
    let protocol = spec("protocol.md");
    let rules: BTreeSet<_> =
        protocol.lines().filter_map(|line| Some(line.strip_prefix("- **")?.split_once("**")?.0)).collect();
    let is_rule = |word: &&str| {
        let mut parts = word.splitn(2, '-');
        let [letter, number] = [parts.next().unwrap_or_default(), parts.next().unwrap_or_default()];
        letter.len() == 1
            && letter.chars().all(|c| c.is_ascii_uppercase())
            && !number.is_empty()
            && number.chars().all(|c| c.is_ascii_digit())
    };
    for page in ["protocol.md", "registry.md", "example.md", "security.md", "conformance.md", "README.md"] {
        let text = spec(page);
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        let unknown: Vec<_> = words.filter(is_rule).filter(|word| !rules.contains(word)).collect();
        assert_eq!(unknown, Vec::<&str>::new(), "{page}");
    }
}

#[test]
fn every_link_between_the_pages_leads_somewhere() {
    let pages = [
        "protocol.md",
        "registry.md",
        "example.md",
        "security.md",
        "conformance.md",
        "coverage.md",
        "store.md",
        "README.md",
    ];
    for page in pages {
        for target in spec(page).split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let text = if file.is_empty() { spec(page) } else { String::new() };
            assert!(file.is_empty() || repository().join("spec").join(file).exists(), "{page}: {target}");
            let slug = |line: &str| {
                let kept = line.trim_start_matches('#').trim().to_lowercase();
                let kept: String = kept.chars().filter(|c| c.is_alphanumeric() || *c == ' ' || *c == '-').collect();
                kept.replace(' ', "-")
            };
            let has_anchor = text.lines().filter(|line| line.starts_with('#')).any(|line| slug(line) == anchor);
            assert!(anchor.is_empty() || !file.is_empty() || has_anchor, "{page}: {target}");
        }
    }
}

/// The first columns of the rows of tables whose first column is a number.
fn numbered(text: &str) -> BTreeSet<[String; 2]> {
    let rows = text.lines().filter_map(|line| line.trim().strip_prefix("| "));
    let columns = rows.filter_map(|row| row.split_once(" | ").map(|(first, rest)| (first, rest.split(" | ").next())));
    let numbered = columns.filter(|(first, _)| first.parse::<u8>().is_ok());
    numbered.map(|(first, second)| [first.to_owned(), second.unwrap_or_default().to_owned()]).collect()
}

#[test]
fn numbers_are_those_of_the_protocol_and_of_the_shapes() {
    let (registry, protocol, cddl) = (spec("registry.md"), spec("protocol.md"), spec("fleetcast.cddl"));
    let kinds = numbered(&section(&registry, "Statements"));
    assert_eq!((kinds.len(), kinds), (3, numbered(&section(&protocol, "2. Packets"))));
    let hashes = numbered(&section(&registry, "Domain separation"));
    assert_eq!((hashes.len(), hashes), (5, numbered(&section(&protocol, "6. The hash tree"))));
    for map in ["manifest", "component", "root", "grant", "beacon"] {
        let (_, shape) = cddl.split_once(&format!("\n{map} = {{\n")).unwrap();
        let keys = shape.split("\n}").next().unwrap().lines().filter_map(|line| line.split_once(" => "));
        let highest = keys.map(|(key, _)| key.trim().trim_start_matches("? ").parse::<u8>().unwrap()).max().unwrap();
        let row = format!("| keys of a {map} | 0 to {highest} |");
        assert!(
            registry.contains(&row) && registry.contains(&format!("| from {} on | `schema` |", highest + 1)),
            "{row}"
        );
    }
}
