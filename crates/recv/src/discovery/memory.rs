//! The last good answer, kept in the state folder so that a device hears its senders where there is no DNS.

use std::path::{Path, PathBuf};
use std::time::Duration;

use fleetcast_core::time::Instant;
use fleetcast_install::{Fault, RealFs, durable};
use serde::{Deserialize, Serialize};

use super::answer::Answer;

/// Its name in the state folder.
pub(crate) const REMEMBERED: &str = "discovered";
/// Most octets of it: a full answer has not half as many.
const MAX_FILE: u32 = 64 << 10;
/// Least time between two writes, for the sake of flash memory, whoever answers.
const REST: Duration = Duration::from_mins(10);

/// The form of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    v: u8,
    domain: String,
    answer: Answer,
}

/// What is kept, and whether it is written yet.
#[derive(Debug)]
pub(super) struct Memory {
    path: PathBuf,
    answer: Option<Answer>,
    is_written: bool,
    tried: Option<Instant>,
}

impl Memory {
    pub(super) fn load(state: &Path, domain: &str) -> Self {
        let path = state.join(REMEMBERED);
        let read = durable::read_bounded(&RealFs, &path, MAX_FILE).ok().flatten();
        let file = read.and_then(|json| serde_json::from_slice::<File>(&json).ok());
        let answer = file.filter(|file| file.v == 1 && file.domain == domain).map(|file| file.answer);
        Self { path, answer, is_written: true, tried: None }
    }

    pub(super) const fn answer(&self) -> Option<&Answer> {
        self.answer.as_ref()
    }

    pub(super) fn keep(&mut self, answer: Answer) {
        if self.answer.as_ref() != Some(&answer) {
            (self.answer, self.is_written) = (Some(answer), false);
        }
    }

    /// Writes what is new, unless that was done, or failed, a moment ago.
    pub(super) fn write(&mut self, now: Instant, domain: &str) -> Result<(), Fault> {
        let Some(answer) = self.answer.as_ref().filter(|_| !self.is_written) else { return Ok(()) };
        if self.tried.is_some_and(|tried| now.since(tried) < REST) {
            return Ok(());
        }
        self.tried = Some(now);
        let json =
            serde_json::to_vec(&File { v: 1, domain: domain.into(), answer: answer.clone() }).unwrap_or_default();
        durable::replace(&RealFs, &self.path, &json)?;
        self.is_written = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::answer::Target;

    fn answer(port: u16) -> Answer {
        let target =
            Target { port, name: "a.".into(), addresses: vec!["192.0.2.1".parse().unwrap()], ..Target::default() };
        Answer { targets: vec![target], texts: vec![vec!["v=1".into(), "group=232.1.2.3".into()]] }
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn an_answer_is_remembered_for_its_domain_and_written_seldom() {
        let folder = tempfile::tempdir().unwrap();
        let load = |domain| Memory::load(folder.path(), domain).answer().cloned();
        let mut memory = Memory::load(folder.path(), "a.example");
        assert_eq!(memory.answer(), None);
        memory.keep(answer(1));
        memory.write(at(0), "a.example").unwrap();
        assert_eq!((load("a.example"), load("b.example")), (Some(answer(1)), None));
        memory.keep(answer(2));
        memory.write(at(599), "a.example").unwrap();
        assert_eq!(load("a.example"), Some(answer(1)));
        memory.write(at(600), "a.example").unwrap();
        assert_eq!(load("a.example"), Some(answer(2)));
    }

    #[test]
    fn what_is_damaged_or_too_large_is_not_remembered() {
        let folder = tempfile::tempdir().unwrap();
        for bytes in [&b"{"[..], b"{\"v\":1,\"domain\":\"a\",\"answer\":{}}", &vec![b' '; 65 << 10]] {
            durable::replace(&RealFs, &folder.path().join(REMEMBERED), bytes).unwrap();
            assert_eq!(Memory::load(folder.path(), "a").answer(), None);
        }
    }
}
