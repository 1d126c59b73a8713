//! Test bench of the Fleetcast programs: what their end-to-end tests run on.
//!
//! [`vectors`] reads the vectors of the spec, [`release`] has their releases, [`authority`] signs roots and beacons, [`bogus`]
//! forges, [`capture`] writes captures, [`browser`] shows documents, [`board`] is a microcontroller, [`sim`] is a lossy multicast on a virtual clock, [`netns`]
//! has hosts in network namespaces, [`fleet`] the programs on them, [`command_line`] what a test of one program needs,
//! [`conformance`] plays sessions at any receiver and says which rules it keeps.
#![expect(clippy::unwrap_used, clippy::panic, reason = "test code")]

pub mod authority;
pub mod board;
pub mod bogus;
pub mod browser;
pub mod capture;
pub mod command_line;
pub mod conformance;
pub mod cost;
pub mod fleet;
pub mod netns;
pub mod release;
pub mod sim;
pub mod vectors;

/// Devices on paper, which `fleetcast-sign verify --as-device` asks.
pub use fleetcast_sign::device as paper;
