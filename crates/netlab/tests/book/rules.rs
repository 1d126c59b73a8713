//! What a chapter must keep, whoever reads it: see `docs/README.md`.

use std::fs;

use fleetcast_netlab::command_line::shipped;

use super::chapter::{Block, Chapter, Word};

/// Names of our programs, as what a line of a shell begins with.
const PROGRAMS: [&str; 4] = ["fleetcast-sign ", "fleetcast-send ", "fleetcast-recv ", "fleetcast-conformance "];

/// Shells that have to be `sh`, so that what they are told is run.
const SHELLS: [&str; 9] =
    ["bash", "console", "shell", "sh-session", "shell-session", "shellsession", "terminal", "zsh", "fish"];

/// Where a link may lead outside the book: CI has no network to see whether it still does.
const OUTSIDE: [&str; 1] = ["https://www.rfc-editor.org/rfc/rfc"];

/// Folders of the repository that chapters name files of.
const FOLDERS: [&str; 5] = ["crates/", "examples/", "keys/", "packaging/", "spec/"];

/// What is to be done with a block.
#[derive(PartialEq, Eq)]
pub(crate) enum Use<'a> {
    /// Run it, as commands of which the last has this exit code.
    Run(u8),
    /// Its lines stand in this file of the repository, which CI runs.
    Elsewhere(&'a str),
    /// Write it to this file, in the folder of the chapter.
    File(&'a str),
    /// What the commands of the block before have written.
    Output,
    /// Only to be read.
    Read,
}

/// What is to be done with the block of this number.
pub(crate) fn what(blocks: &[Block], number: usize) -> Result<Use<'_>, String> {
    let block = &blocks[number];
    let place = &block.place;
    let info = block.info.as_deref().ok_or_else(|| format!("{place}: code is in fences"))?;
    let (language, attribute) = info.split_once(',').unwrap_or((info, ""));
    match (language, attribute.split_once('=')) {
        ("", _) => Err(format!("{place}: name the language of the block; `text` is for all that has none")),
        (shell, _) if SHELLS.contains(&shell) => Err(format!("{place}: a shell is `sh`, so that it is run")),
        (_, Some(("file", name))) if !name.is_empty() => Ok(Use::File(name)),
        ("sh", Some(("elsewhere", file))) => Ok(Use::Elsewhere(file)),
        ("sh", Some(("fails", code))) => {
            let code = code.parse().ok().filter(|code| *code != 0);
            Ok(Use::Run(code.ok_or_else(|| format!("{place}: `fails=` takes an exit code"))?))
        }
        (_, None) if !attribute.is_empty() => Err(format!("{place}: {attribute:?} is not known")),
        (_, Some((key, _))) => Err(format!("{place}: {key:?} is not known here")),
        ("sh", None) => Ok(Use::Run(0)),
        ("text", None) if block.follows && number > 0 => match what(blocks, number - 1)? {
            Use::Run(_) => Ok(Use::Output),
            _ => Ok(Use::Read),
        },
        _ => Ok(Use::Read),
    }
}

/// Holds a chapter to all rules, and tells each that it breaks.
pub(crate) fn check(chapter: &Chapter) -> Result<(), String> {
    let blocks = (0..chapter.blocks.len()).filter_map(|number| of_block(&chapter.blocks, number).err());
    let links = chapter.links.iter().filter_map(|link| of_link(link).err());
    let spans = chapter.spans.iter().filter_map(|span| of_span(span).err());
    let broken: Vec<_> = blocks.chain(links).chain(spans).collect();
    if broken.is_empty() { Ok(()) } else { Err(broken.join("\n")) }
}

fn of_block(blocks: &[Block], number: usize) -> Result<(), String> {
    let Block { place, text, .. } = &blocks[number];
    match what(blocks, number)? {
        Use::Run(0) | Use::Output => Ok(()),
        Use::Run(_) => {
            let commands = text.replace("\\\n", " ");
            let is_one = commands.trim_end().lines().count() == 1;
            is_one.then_some(()).ok_or_else(|| format!("{place}: a command that fails has a block of its own"))
        }
        Use::Elsewhere(file) => {
            let content = fs::read_to_string(shipped(file)).map_err(|error| format!("{place}: {file}: {error}"))?;
            let commands = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
            let missing: Vec<_> = commands.filter(|line| !content.contains(line)).collect();
            if missing.is_empty() { Ok(()) } else { Err(format!("{place}: not in {file}: {}", missing.join("; "))) }
        }
        Use::File(name) => {
            let is_run = |later: &usize| matches!(what(blocks, *later), Ok(Use::Run(_)));
            let mut later = (number + 1..blocks.len()).filter(is_run);
            let used = later.any(|later| blocks[later].text.contains(name));
            used.then_some(()).ok_or_else(|| format!("{place}: no command after this uses {name}"))
        }
        Use::Read => {
            let ours = text.lines().find(|line| PROGRAMS.iter().any(|name| line.trim_start().starts_with(name)));
            ours.map_or(Ok(()), |line| Err(format!("{place}: a command that nothing runs: {line}")))
        }
    }
}

fn of_link(Word { place, text }: &Word) -> Result<(), String> {
    let is_inside = !text.contains("://") && !text.starts_with("mailto:");
    // The built book's links are followed by `.ci/book`.
    let is_known = OUTSIDE.iter().any(|start| text.starts_with(start));
    (is_inside || is_known)
        .then_some(())
        .ok_or_else(|| format!("{place}: a link to {text}, which nothing says will last"))
}

fn of_span(Word { place, text }: &Word) -> Result<(), String> {
    let is_file = FOLDERS.iter().any(|folder| text.starts_with(folder)) && !text.contains([' ', '*', '<']);
    let exists = !is_file || shipped(text).exists();
    exists.then_some(()).ok_or_else(|| format!("{place}: there is no {text}"))
}

pub(crate) mod tests {
    use super::{Chapter, check};

    /// Chapters that break one rule each, and what is said of it.
    const BREACHES: [(&str, &str); 13] = [
        ("```bash\ntrue\n```", "chapter.md:1: a shell is `sh`"),
        ("a\n\n```\ntrue\n```", "chapter.md:3: name the language"),
        ("a\n\n    true\n", "chapter.md:3: code is in fences"),
        ("```sh,ignore\ntrue\n```", "chapter.md:1: \"ignore\" is not known"),
        ("```sh,fails=no\nfalse\n```", "chapter.md:1: `fails=` takes an exit code"),
        ("```sh,fails=1\ntrue\nfalse\n```", "chapter.md:1: a command that fails has a block of its own"),
        ("```sh,elsewhere=packaging/none.sh\ntrue\n```", "chapter.md:1: packaging/none.sh: "),
        (
            "```sh,elsewhere=packaging/test.sh\n# why\nno such line\n```",
            "chapter.md:1: not in packaging/test.sh: no such line",
        ),
        ("```toml,file=a.toml\n```\n\n```sh\ncat b.toml\n```", "chapter.md:1: no command after this uses a.toml"),
        ("```toml\nfleetcast-sign verify\n```", "chapter.md:1: a command that nothing runs: fleetcast-sign verify"),
        (
            "```sh\ntrue\n```\n\nIt prints\n\n```text\nfleetcast-recv status\n```",
            "chapter.md:7: a command that nothing runs",
        ),
        ("[a](https://example.com/)", "chapter.md:1: a link to https://example.com/"),
        ("`spec/none.md`", "chapter.md:1: there is no spec/none.md"),
    ];

    /// A chapter that keeps them all.
    const KEPT: &str = "See `spec/protocol.md` and [RFC 5775](https://www.rfc-editor.org/rfc/rfc5775), or [next](next.md#here).\n\n\
        ```toml,file=a.toml\na = 1\n```\n\n```sh\ncat a.toml\n```\n\n```text\na = 1\n```\n\n```sh,fails=1\nfalse \\\n  again\n```\n";

    pub(crate) fn every_breach_is_told() -> Result<(), String> {
        check(&Chapter::of(KEPT))?;
        for (text, expected) in BREACHES {
            match check(&Chapter::of(text)) {
                Err(told) if told.starts_with(expected) && told.lines().count() == 1 => {}
                told => return Err(format!("{text}\n{told:?}, expected {expected}")),
            }
        }
        Ok(())
    }
}
