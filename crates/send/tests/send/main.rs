//! Releases from the vectors: checked, read, carouselled, and sent by the real program.

#![expect(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod carousel;
mod check;
mod config;
mod feed;
mod fixture;
mod frame;
mod link;
mod notices;
mod relay;
mod run;
mod source;
mod store;
mod store_notices;
