//! The real `fleetcast-recv`, driven as a user drives it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod common;
mod config;
mod confine;
mod doctor;
mod dump;
mod frame;
mod paper;
mod sockets;
mod trust;
