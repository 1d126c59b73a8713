//! How a receiver did: by case, and by rule.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::receiver::Receiver;
use super::run::{Outcome, Played};
use super::{Case, Need};

/// What the cases that cite a rule say about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// None of them was played.
    NotClaimed,
    /// All that were played passed.
    Passed,
    /// One failed.
    Failed,
}

impl Verdict {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::NotClaimed => "not claimed",
            Self::Passed => "passed",
            Self::Failed => "FAILED",
        }
    }

    const fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Passed => Self::Passed,
            Outcome::Failed(_) => Self::Failed,
            Outcome::NotClaimed(_) => Self::NotClaimed,
        }
    }
}

/// The verdict of each rule that is cited, ids in the order of the specification's letters and numbers.
///
/// # Panics
///
/// Never: ids are a letter and a number.
#[must_use]
pub fn rules(played: &[Played]) -> Vec<(&'static str, Verdict)> {
    let mut rules = BTreeMap::new();
    for one in played {
        for &id in one.case.requirements {
            let (letter, number) = id.split_once('-').unwrap();
            let verdict = rules.entry((letter, number.parse::<u32>().unwrap(), id)).or_insert(Verdict::NotClaimed);
            *verdict = Verdict::of(&one.outcome).max(*verdict);
        }
    }
    rules.into_iter().map(|((_, _, id), verdict)| (id, verdict)).collect()
}

/// One case in a line or two.
#[must_use]
pub fn line(one: &Played) -> String {
    let name = one.case.name;
    let ids = one.case.requirements.join(" ");
    match &one.outcome {
        Outcome::Passed => format!("passed       {name}  {ids}\n"),
        Outcome::NotClaimed(lacks) => format!("not claimed  {name}  {ids}  (lacks {})\n", words(lacks)),
        Outcome::Failed(why) => format!("FAILED       {name}  {ids}\n    {why}\n"),
    }
}

fn words(needs: &[Need]) -> String {
    needs.iter().map(|need| need.code()).collect::<Vec<_>>().join(", ")
}

/// Rules by verdict, and how many cases there are of each.
#[must_use]
pub fn summary(played: &[Played]) -> String {
    let mut text = String::new();
    for verdict in [Verdict::Passed, Verdict::Failed, Verdict::NotClaimed] {
        let ids: Vec<_> = rules(played).into_iter().filter(|(_, of)| *of == verdict).map(|(id, _)| id).collect();
        let cases = played.iter().filter(|one| Verdict::of(&one.outcome) == verdict).count();
        let _ = writeln!(text, "{}: {cases} cases, {} rules  {}", verdict.word(), ids.len(), ids.join(" "));
    }
    text
}

/// All of it for programs.
#[must_use]
pub fn json(receiver: &str, played: &[Played]) -> Value {
    let case = |one: &Played| {
        let why = if let Outcome::Failed(why) = &one.outcome { Some(why) } else { None };
        let lacks = if let Outcome::NotClaimed(lacks) = &one.outcome { &lacks[..] } else { &[] };
        json!({
            "name": one.case.name,
            "requirements": one.case.requirements,
            "result": code(Verdict::of(&one.outcome)),
            "why": why,
            "lacks": lacks,
        })
    };
    let rules: BTreeMap<_, _> = rules(played).into_iter().map(|(id, verdict)| (id, code(verdict))).collect();
    json!({ "v": 1, "receiver": receiver, "cases": played.iter().map(case).collect::<Vec<_>>(), "requirements": rules })
}

const fn code(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::NotClaimed => "not-claimed",
        Verdict::Passed => "passed",
        Verdict::Failed => "failed",
    }
}

/// Which cases these receivers pass, if they pass what they claim, as a table in Markdown.
#[must_use]
pub fn table(receivers: &[Receiver], cases: &[Case]) -> String {
    let names: String = receivers.iter().flat_map(|receiver| [" ", &receiver.name, " |"]).collect();
    let mut text =
        format!("| case | rules | needs |{names}\n| --- | --- | --- |{}\n", " --- |".repeat(receivers.len()));
    for case in cases {
        let _ = write!(text, "| `{}` | {} | {} |", case.name, case.requirements.join(" "), words(case.needs));
        for receiver in receivers {
            let is_claimed = case.needs.iter().all(|need| !receiver.lacks.contains(need));
            text.push_str(if is_claimed { " passed |" } else { " - |" });
        }
        text.push('\n');
    }
    text
}
