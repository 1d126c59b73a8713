//! The conformance kit: plays sessions at any receiver, and says which rules of the specification it keeps.
//!
//! A [`Case`] is a device and the sessions that it hears; after each of them certain images must be installed, octet for octet. The receiver under
//! test is a black box: two commands and a file, see `spec/conformance.md`. [`cases()`] has all cases, [`run`] plays them, [`export`] writes them as
//! captures for who does without this program, [`report`] tells how it went.

mod cases;
pub mod commands;
pub mod device;
pub mod export;
mod live;
mod packets;
mod pcap;
pub mod receiver;
pub mod report;
pub mod run;
mod script;

pub use script::{Script, Sent, Session};

use serde::{Deserialize, Serialize};

/// What a receiver must be able to do for a case to be played at it, for the specification leaves it free, or it may do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Need {
    /// Restores lost chunks by the erasure code.
    Repair,
    /// Derives pages from parity pages.
    Parity,
    /// Keeps chunks that come before their page.
    EarlyChunks,
    /// Takes releases of several components.
    Components,
    /// Goes on after a restart with what it has.
    Resume,
    /// Trusts more than one bare key, by a threshold.
    Keys,
    /// Knows its hardware revision.
    Hardware,
    /// Knows what is installed, from a session before.
    Installed,
    /// Tells the time, for releases that may not be installed yet.
    Time,
    /// Walks trust roots.
    Roots,
    /// Takes beacons.
    Beacons,
    /// Reads captures and goes by their time, which leaps by minutes.
    Leaps,
}

impl Need {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 12] = [
        Self::Repair,
        Self::Parity,
        Self::EarlyChunks,
        Self::Components,
        Self::Resume,
        Self::Keys,
        Self::Hardware,
        Self::Installed,
        Self::Time,
        Self::Roots,
        Self::Beacons,
        Self::Leaps,
    ];

    /// The word for it in receiver files and output.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Repair => "repair",
            Self::Parity => "parity",
            Self::EarlyChunks => "early-chunks",
            Self::Components => "components",
            Self::Resume => "resume",
            Self::Keys => "keys",
            Self::Hardware => "hardware",
            Self::Installed => "installed",
            Self::Time => "time",
            Self::Roots => "roots",
            Self::Beacons => "beacons",
            Self::Leaps => "leaps",
        }
    }
}

/// Sessions for one device, and what they show.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Its name, without blanks.
    pub name: &'static str,
    /// What is played, and what must be installed.
    pub about: &'static str,
    /// Ids of the rules that a receiver breaks if it fails, and only by breaking which it can fail while it passes `clean`.
    pub requirements: &'static [&'static str],
    /// What the receiver must be able to do.
    pub needs: &'static [Need],
    /// Makes the sessions; the same ones each time.
    pub script: fn() -> Script,
}

/// All cases, in the order in which they are told.
#[must_use]
pub fn cases() -> Vec<Case> {
    cases::all()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_ids_are_rules_of_the_specification() {
        let spec = std::fs::read_to_string(crate::command_line::shipped("spec/protocol.md")).unwrap();
        let mut names = BTreeSet::new();
        for case in cases() {
            assert!(names.insert(case.name), "{} twice", case.name);
            assert!(!case.requirements.is_empty(), "{} shows nothing", case.name);
            for id in case.requirements {
                assert!(spec.contains(&format!("- **{id}** ")), "{}: no rule {id}", case.name);
            }
        }
    }

    #[test]
    fn every_need_is_listed_and_named_alike_everywhere() {
        for need in Need::ALL {
            assert_eq!(serde_json::to_value(need).unwrap(), need.code());
            assert!(cases().iter().any(|case| case.needs.contains(&need)), "{} is needed by no case", need.code());
        }
    }
}
