//! Devices on a simulated disk, fed with packets: no sockets, no clock.
//!
//! What is random prints its seed; `FLEETCAST_SEED=n` replays it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod bench;
mod damage;
mod exec;
mod faults;
mod large;
mod power_cut;
mod receive;
mod refused;
mod repair;
mod restart;
mod reuse;
mod slots;
mod trust;
mod unreadable;
mod waves;
