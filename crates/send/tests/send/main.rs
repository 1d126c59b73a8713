//! Releases from the vectors: checked, read, carouselled, and sent by the real program.

#![expect(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod carousel;
mod check;
mod fixture;
mod frame;
mod link;
mod relay;
mod run;
mod source;
