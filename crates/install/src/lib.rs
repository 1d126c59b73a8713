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
//!   [`FileBackend`] renames files over their targets.

pub mod backend;
pub mod disk;
pub mod durable;
mod fault;
#[cfg(any(test, feature = "sim"))]
pub mod faulty;
mod file;
mod fixed;
mod parts;
mod real;
pub mod record;
mod scratch;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
mod state;

pub use backend::{Backend, Recovery, Staging, Unverified, VerifyError};
pub use disk::{Disk, DiskFile};
pub use fault::Fault;
pub use file::{FileBackend, FileStaging, VerifiedStaging};
pub use real::RealFs;
pub use record::{Component, Plan, Record, ReleaseId};
pub use scratch::Scratch;
pub use state::{Loaded, State, load};
