//! Releases as the library makes and checks them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod images;
mod releases;
// The same file as in the test bench, which as a crate would bring the network along.
#[expect(dead_code, unreachable_pub, reason = "other tests use the rest")]
#[path = "../../../netlab/src/vectors.rs"]
mod vectors;
