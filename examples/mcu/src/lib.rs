//! A receiver for microcontrollers: one release, one image, straight into flash.
//!
//! It is built on the lower layers of `fleetcast-core`: `wire` reads packets, `trust` verifies manifests, `session::Policy` decides about them, `tree`
//! checks pages and chunks. What `session::Receiver` keeps in memory, this one keeps in flash or does without:
//!
//! - pages go to flash, and of a page only the digest at hand is read back;
//! - chunks that come before their page are dropped: the carousel brings them again;
//! - only source chunks are taken, so nothing has to be restored.
//!
//! [`Receiver`] has no clock and no network, and reaches flash through [`Flash`].
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod bits;
mod budget;
mod candidates;
mod download;
mod flash;
mod receiver;
mod record;

pub use flash::{Fault, Flash, Layout, Region, SECTOR};
pub use receiver::{Config, Outcome, Receiver};
