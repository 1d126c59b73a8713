//! What Fleetcast's programs share on the command line.
//!
//! [`command`] has errors, exit codes and output; [`clock`] has times; [`keys`] loads public keys; [`release`] opens release files; [`identity`]
//! turns names into the UUIDs of manifests; [`journal`] tells people through that of the system; [`lines`] tells events to a reader
//! that may be slow; [`quantity`] reads sizes and rates; [`html`] makes documents to look at; [`metrics`] and [`posted`] tell others how a daemon is doing, [`service`] a service manager; [`settings`] reads files of settings. It knows nothing of sockets of networks, storage or signing.

use std::fmt::Write as _;

pub mod clock;
pub mod command;
pub mod html;
pub mod identity;
pub mod journal;
pub mod keys;
pub mod lines;
pub mod metrics;
pub mod posted;
pub mod quantity;
pub mod release;
pub mod service;
pub mod settings;

pub use command::{CommandError, ErrorKind, note, out, out_json, run, tell, warn};
pub use lines::Lines;
pub use posted::{Posted, Renewed};
pub use service::Service;

/// Lower-case hexadecimal digits.
#[must_use]
pub fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        // Writing to a string does not fail.
        let _ = write!(text, "{octet:02x}");
        text
    })
}
