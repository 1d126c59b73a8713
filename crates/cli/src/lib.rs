//! What Fleetcast's programs share on the command line.
//!
//! [`command`] has errors, exit codes and output; [`keys`] loads public keys; [`release`] opens release files; [`identity`]
//! turns names into the UUIDs of manifests; [`lines`] tells events to a reader that may be slow; [`quantity`] reads sizes and
//! rates; [`service`] tells a service manager how a daemon does. It knows nothing of sockets, storage or signing.

pub mod command;
pub mod identity;
pub mod keys;
pub mod lines;
pub mod quantity;
pub mod release;
pub mod service;

pub use command::{CommandError, ErrorKind, note, out, out_json, run, warn};
pub use lines::Lines;
pub use service::Service;
