//! The real `fleetcast-sign`, driven as a user drives it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod beacon;
mod common;
mod device;
mod diff;
mod frame;
mod html;
mod keygen;
mod openssl;
mod release;
mod root;
mod shipped;
