//! What Fleetcast's programs share on the command line.
//!
//! [`command`] has errors, exit codes and output; [`keys`] loads public keys; [`identity`] turns names into the UUIDs of
//! manifests; [`quantity`] reads sizes and rates. It knows nothing of sockets, storage or signing.

pub mod command;
pub mod identity;
pub mod keys;
pub mod quantity;

pub use command::{CommandError, ErrorKind, note, out, out_json, run, warn};
