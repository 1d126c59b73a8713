//! Making a verified image the one that runs.
//!
//! Power may fail between any two storage operations; after [`Backend::recover`] a device
//! runs the old release or the new one, never a mixture. Three layers:
//!
//! - [`disk`]: every storage operation, behind one small trait, so that tests can
//!   cut the power at each of them; [`RealFs`] is the production one.
//! - [`durable`], [`record`], [`State`]: files that are old or new after a power
//!   cut, and the one file a device remembers its release in.
//! - [`Backend`]: receive into [`Staging`], read it back, install what was proven.
//!   [`FileBackend`] renames files over their targets, [`AbBackend`] writes the slot that does not run and has a
//!   [`Boot`] loader try it, [`ExecBackend`] hands the images to a program.

mod ab;
mod backend;
pub mod boot;
#[cfg(test)]
mod cuts;
pub mod disk;
pub mod durable;
pub mod exec;
mod fault;
#[cfg(any(test, feature = "sim"))]
pub mod faulty;
mod file;
mod fixed;
mod partial;
mod parts;
pub mod program;
mod real;
pub mod record;
mod room;
mod scratch;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
mod staging;
mod state;
mod trial;

pub use ab::{AbBackend, Pair};
pub use backend::{Backend, Installed, Recovery, RolledBack};
pub use boot::{Adapter, Boot};
pub use disk::{Disk, DiskFile};
pub use exec::{ExecBackend, HandOver};
pub use fault::Fault;
pub use file::FileBackend;
pub use program::{Program, ProgramError};
pub use real::RealFs;
pub use record::{Component, Plan, Record, ReleaseId, Slot};
pub use scratch::Scratch;
pub use staging::{Proven, Staging, Unverified, VerifyError};
pub use state::{Loaded, State, load};
