//! Test bench of the Fleetcast programs: what their end-to-end tests run on.
//!
//! [`vectors`] reads the vectors of the spec, [`release`] has their releases, [`sim`] is a lossy multicast on a virtual clock, [`netns`] has hosts in network
//! namespaces, [`fleet`] the programs on them, [`command_line`] what a test of one program needs, [`bogus`] statements that forgers make.
#![expect(clippy::unwrap_used, clippy::panic, reason = "test code")]

pub mod bogus;
pub mod command_line;
pub mod cost;
pub mod fleet;
pub mod netns;
pub mod release;
pub mod sim;
pub mod vectors;
