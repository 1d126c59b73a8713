//! Keys wherever they are: all of them sign the same octets, in one go or one after the other.

#![expect(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod agent;
#[path = "../cli/common.rs"]
#[expect(dead_code, reason = "the tests of the command line use more of it")]
mod common;
mod hook;
mod places;
mod same;
mod station;
mod token;
