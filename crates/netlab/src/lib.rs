//! Test bench of the Fleetcast programs: what their end-to-end tests run on.
//!
//! [`vectors`] reads the vectors of the spec, [`sim`] is a lossy multicast on a virtual clock, [`netns`] has hosts in network
//! namespaces.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "test code")]

pub mod netns;
pub mod sim;
pub mod vectors;
