//! Fleetcast's protocol: everything a device needs to *understand* an update.
//!
//! `no_std` with `alloc`, no `unsafe`, no clock, socket, file or randomness. `spec/protocol.md` is the law for bytes;
//! rule ids in brackets, such as \[W-3\], cite it.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`reader`] | bounds-checked cursor: whole fields or an error |
//! | [`wire`] | packet header and its three objects |
//! | [`cbor`] | the one strict decoder |
//! | [`trust`] | keys, roots, thresholds, the one [`trust::verify`], [`trust::Verified`] |
//! | [`manifest`] | the signed description of a release |
//! | [`beacon`], [`freshness`] | what is current, and whether that is known |
//! | [`tree`] | geometry, digests, pages and their check |
//! | [`fec`] | erasure code and send order |
//! | [`release`] | layout of the release file |
//! | [`scratch`] | layout of what a receiver keeps beside an image |
//! | [`session`] | the receive state machine |
//! | [`nack`] | requests for what is missing |
//! | [`time`] | instants that a caller supplies |
#![no_std]
#![forbid(unsafe_code)]
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::arithmetic_side_effects,
    reason = "hostile bytes reach every line of this crate"
)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod beacon;
pub mod cbor;
pub mod fec;
mod fields;
pub mod freshness;
pub mod manifest;
pub mod nack;
pub mod reader;
pub mod release;
pub mod scratch;
pub mod session;
pub mod time;
pub mod tree;
pub mod trust;
pub mod wire;
