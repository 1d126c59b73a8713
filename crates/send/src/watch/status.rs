//! The file that `status` shows: what a program tells of itself each second.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::path::Path;

use fleetcast_cli::clock;
use serde::Serialize;
use serde_json::Value;

/// Its name in the runtime folder.
pub const FILE: &str = "send.json";

/// Most octets that are read of it.
const MAX_FILE: u64 = 1 << 20;

/// Seconds without news after which a program counts as gone: it tells every second.
const SILENCE: u64 = 10;

#[derive(Serialize)]
struct Document<'a, S> {
    v: u8,
    /// `run` or `relay`.
    program: &'static str,
    pid: u32,
    /// Unix time in seconds.
    started: u64,
    time: u64,
    /// Seconds since the system was started.
    since_boot: u64,
    streams: &'a [S],
}

pub(super) fn document(program: &'static str, started: u64, streams: &[impl Serialize]) -> String {
    let (time, since_boot) = (clock::unix(), clock::since_boot().as_secs());
    let document = Document { v: 1, program, pid: std::process::id(), started, time, since_boot, streams };
    // It holds nothing that JSON cannot.
    serde_json::to_string(&document).unwrap_or_default()
}

/// Reads what the program of a runtime folder has told; `None` if none has.
///
/// # Errors
///
/// The system's, or that it is no JSON.
pub fn read(folder: &Path) -> io::Result<Option<Value>> {
    let mut text = Vec::new();
    match File::open(folder.join(FILE)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened?.take(MAX_FILE).read_to_end(&mut text)?,
    };
    Ok(Some(serde_json::from_slice(&text)?))
}

/// How a program that told something does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Life {
    /// It runs.
    Runs,
    /// It has said that it ends, and why.
    Ended(String),
    /// It was killed, or hangs: it has told nothing for so many seconds; `None` if the system was started anew since.
    Gone(Option<u64>),
}

impl Life {
    /// That of what was read, when the system was started `since_boot` seconds ago.
    #[must_use]
    pub fn of(document: &Value, since_boot: u64) -> Self {
        let streams = document["streams"].as_array().map(Vec::as_slice).unwrap_or_default();
        let ends: Option<Vec<_>> = streams.iter().map(|stream| stream["stopped"].as_str()).collect();
        if let Some(end) = ends.as_ref().and_then(|ends| ends.first()) {
            return Self::Ended((*end).to_owned());
        }
        match document["since_boot"].as_u64().and_then(|told| since_boot.checked_sub(told)) {
            Some(..=SILENCE) => Self::Runs,
            age => Self::Gone(age),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn who_says_nothing_for_ten_seconds_is_gone_and_who_has_ended_says_so() {
        let told = |stopped: Value| json!({"since_boot": 100, "streams": [{"stopped": stopped}]});
        assert_eq!(Life::of(&told(Value::Null), 110), Life::Runs);
        assert_eq!(Life::of(&told(Value::Null), 111), Life::Gone(Some(11)));
        assert_eq!(Life::of(&told(Value::Null), 99), Life::Gone(None), "before the last start of the system");
        assert_eq!(Life::of(&told("signal".into()), 500), Life::Ended("signal".into()));
        assert_eq!(Life::of(&json!([]), 1), Life::Gone(None));
    }

    #[test]
    fn one_stream_that_goes_on_is_enough() {
        let both = json!({"since_boot": 1, "streams": [{"stopped": "signal"}, {"stopped": null}]});
        assert_eq!(Life::of(&both, 1), Life::Runs);
    }
}
