//! The signing station of Fleetcast: keys, releases and the commands around them.
//!
//! It reads and writes files and never opens a socket, so it can run on a machine
//! without a network. [`keys`] makes and loads Ed25519 keys, [`passphrase`] finds out
//! what unlocks them, [`release`] makes and checks releases, [`commands`] is the command
//! line.

mod beside;
pub mod commands;
pub mod keys;
pub mod passphrase;
pub mod release;

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
