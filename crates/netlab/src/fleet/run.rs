//! A program that runs, and what it tells.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::PATIENCE;
use crate::netns::{Process, Signal};

/// How often output is looked at.
const POLL: Duration = Duration::from_millis(10);

/// A sender or receiver with JSON output. Dropping it ends it.
#[derive(Debug)]
#[must_use = "dropping it ends the program"]
pub struct Run {
    /// The process.
    pub process: Process,
}

impl Run {
    pub(super) const fn new(process: Process) -> Self {
        Self { process }
    }

    /// What it has told so far, oldest first.
    ///
    /// # Panics
    ///
    /// If a line is no JSON of version 1.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        let text = self.process.stdout().unwrap();
        // The last line may still be being written.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let event = |line: &str| {
            let event: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
            assert_eq!(event["v"], 1, "{line}");
            event
        };
        whole.lines().map(event).collect()
    }

    /// The events of one kind told so far, oldest first.
    #[must_use]
    pub fn all(&self, kind: &str) -> Vec<Value> {
        self.events().into_iter().filter(|event| event["event"] == kind).collect()
    }

    /// The last event of a kind, waited for if there is none yet.
    ///
    /// # Panics
    ///
    /// If it does not come within [`PATIENCE`], or the program ends before.
    #[track_caller]
    pub fn wait_for(&mut self, kind: &str) -> Value {
        self.wait_until(kind, |_| true)
    }

    /// Waits until the last event of a kind is as wanted, and gives it.
    ///
    /// # Panics
    ///
    /// As [`Run::wait_for`].
    #[track_caller]
    pub fn wait_until(&mut self, kind: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            // Looked at before the events: what it told before its end is all there then.
            let ended = self.process.try_wait().unwrap();
            if let Some(event) = self.all(kind).pop().filter(&is_wanted) {
                return event;
            }
            assert!(ended.is_none(), "it ended without the {kind} event wanted: {}", self.process.stderr().unwrap());
            assert!(Instant::now() < deadline, "no {kind} event as wanted; the last is {:?}", self.events().pop());
            thread::sleep(POLL);
        }
    }

    /// Waits for its end and gives its exit code.
    ///
    /// # Panics
    ///
    /// If it still runs after [`PATIENCE`], or was killed by a signal.
    #[track_caller]
    pub fn exit_code(&mut self) -> i32 {
        let status = self.process.wait(PATIENCE).unwrap();
        status.code().unwrap_or_else(|| panic!("{status}"))
    }

    /// Waits for its end, which must be a success, and gives the last event, `stopped`.
    ///
    /// # Panics
    ///
    /// If it fails.
    #[track_caller]
    pub fn success(&mut self) -> Value {
        assert_eq!(self.exit_code(), 0, "{}", self.process.stderr().unwrap());
        self.all("stopped").pop().unwrap()
    }

    /// Sends a signal and gives the exit code that follows.
    ///
    /// # Panics
    ///
    /// As [`Run::exit_code`].
    #[track_caller]
    pub fn end(&mut self, signal: Signal) -> i32 {
        self.process.kill(signal).unwrap();
        self.exit_code()
    }
}

/// A count out of an event.
///
/// # Panics
///
/// If there is no such field, or it is no count.
#[must_use]
#[track_caller]
pub fn count(event: &Value, field: &str) -> u64 {
    event[field].as_u64().unwrap_or_else(|| panic!("no count {field}: {event}"))
}
