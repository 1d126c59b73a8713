//! Test bench of the Fleetcast programs: what their end-to-end tests run on.
//!
//! [`vectors`] reads the vectors of the spec, [`release`] has their releases, [`authority`] signs roots and beacons, [`bogus`] forges, [`capture`] writes captures, [`sim`] is a lossy
//! multicast on a virtual clock, [`netns`] has hosts in network namespaces, [`fleet`] the programs on them, [`command_line`] what a test of one program
//! needs.
#![expect(clippy::unwrap_used, clippy::panic, reason = "test code")]

pub mod authority;
pub mod bogus;
pub mod capture;
pub mod command_line;
pub mod cost;
pub mod fleet;
pub mod netns;
pub mod release;
pub mod sim;
pub mod vectors;

/// Devices on paper, which `fleetcast-sign verify --as-device` asks.
pub use fleetcast_sign::device as paper;
