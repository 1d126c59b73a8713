//! The book in `docs/src`: its chapters are all in the summary and keep the rules of `docs/README.md`, and every command in them is run.
#![expect(clippy::unwrap_used, reason = "test code")]

#[path = "book/chapter.rs"]
mod chapter;
#[path = "book/play.rs"]
mod play;
#[path = "book/rules.rs"]
mod rules;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use fleetcast_netlab::command_line::shipped;
use libtest_mimic::{Arguments, Trial};

use chapter::Chapter;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let named = chapter::summary();
    let mut trials = vec![
        Trial::test("every_chapter_is_in_the_summary", every_chapter_is_in_the_summary),
        Trial::test("every_breach_of_a_rule_is_told", || rules::tests::every_breach_is_told().map_err(Into::into)),
        Trial::test("every_failure_is_told_with_its_line", || play::tests::every_failure_is_told().map_err(Into::into)),
    ];
    for name in named {
        let title = name.trim_end_matches(".md").to_owned();
        let read = name.clone();
        trials.push(Trial::test(format!("rules::{title}"), move || Ok(rules::check(&Chapter::read(&read)?)?)));
        trials.push(Trial::test(format!("commands::{title}"), move || Ok(play::run(&Chapter::read(&name)?)?)));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn every_chapter_is_in_the_summary() -> Result<(), libtest_mimic::Failed> {
    let mut found = BTreeSet::new();
    find(&shipped("docs/src"), "", &mut found);
    found.remove("SUMMARY.md");
    let named: BTreeSet<_> = chapter::summary().into_iter().collect();
    if found == named {
        return Ok(());
    }
    Err(format!("docs/src has {:?} in no summary, SUMMARY.md {:?} in no folder", &found - &named, &named - &found)
        .into())
}

/// Adds the Markdown files below a folder, by their path from where the search began.
fn find(folder: &Path, prefix: &str, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{prefix}{}", entry.file_name().into_string().unwrap());
        if entry.path().is_dir() {
            find(&entry.path(), &format!("{name}/"), found);
        } else if entry.path().extension().is_some_and(|extension| extension == "md") {
            found.insert(name);
        }
    }
}
