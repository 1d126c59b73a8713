//! The contract with boot loaders.
//!
//! | verb | what the adapter does |
//! | --- | --- |
//! | `get-current` | prints the slot, `a` or `b`, that the running system was started from |
//! | `get-primary` | prints the slot that would be started next, spent attempts considered |
//! | `set-primary SLOT N` | from the next start on SLOT, in at most N attempts, then the other: one atomic, durable step |
//! | `get-state SLOT` | prints `good` or `bad`: whether SLOT may be started at all |
//! | `set-state SLOT good` | confirms SLOT: its attempts are no longer counted |
//! | `set-state SLOT bad` | SLOT is never started, until `set-primary` names it |
//!
//! All of them may be repeated. Those are the verbs of RAUC's custom backends.

use std::ffi::OsString;
use std::fmt::Debug;

use crate::fault::Fault;
use crate::program::Program;
use crate::record::Slot;

/// A boot loader.
///
/// # Errors
///
/// Every method: why the boot loader did not answer or obey.
#[expect(clippy::missing_errors_doc, reason = "said once for all methods")]
pub trait Boot: Debug {
    /// The slot that runs.
    fn current(&self) -> Result<Slot, Fault>;
    /// The slot that would be started next.
    fn primary(&self) -> Result<Slot, Fault>;
    /// Makes a slot the one to be started next, in at most so many attempts.
    fn set_primary(&self, slot: Slot, attempts: u8) -> Result<(), Fault>;
    /// Whether a slot may be started.
    fn is_good(&self, slot: Slot) -> Result<bool, Fault>;
    /// Confirms a slot, or forbids to start it.
    fn set_good(&self, slot: Slot, is_good: bool) -> Result<(), Fault>;
}

/// A boot adapter: a program that keeps the contract.
#[derive(Clone, Debug)]
pub struct Adapter(pub Program);

impl Adapter {
    fn ask(&self, args: &[&str]) -> Result<String, Fault> {
        let args: Vec<OsString> = args.iter().map(Into::into).collect();
        Ok(self.0.run(&args, &[])?)
    }

    fn ask_slot(&self, verb: &str) -> Result<Slot, Fault> {
        let answer = self.ask(&[verb])?;
        Slot::of_name(&answer).ok_or_else(|| self.0.wrong_answer(verb, answer, "a or b").into())
    }
}

impl Boot for Adapter {
    fn current(&self) -> Result<Slot, Fault> {
        self.ask_slot("get-current")
    }

    fn primary(&self) -> Result<Slot, Fault> {
        self.ask_slot("get-primary")
    }

    fn set_primary(&self, slot: Slot, attempts: u8) -> Result<(), Fault> {
        self.ask(&["set-primary", slot.name(), &attempts.to_string()]).map(drop)
    }

    fn is_good(&self, slot: Slot) -> Result<bool, Fault> {
        match self.ask(&["get-state", slot.name()])? {
            answer if answer == "good" => Ok(true),
            answer if answer == "bad" => Ok(false),
            answer => Err(self.0.wrong_answer("get-state", answer, "good or bad").into()),
        }
    }

    fn set_good(&self, slot: Slot, is_good: bool) -> Result<(), Fault> {
        self.ask(&["set-state", slot.name(), if is_good { "good" } else { "bad" }]).map(drop)
    }
}
