//! The signing station of Fleetcast: keys, releases and the commands around them.
//!
//! It reads and writes files and knows no network, so it can run on a machine without one.
//! [`keys`] makes and loads Ed25519 keys, [`passphrase`] finds out what unlocks them,
//! [`signers`] sign with them wherever they are, [`statement`] puts signatures on
//! statements, [`release`] makes and checks releases, [`commands`] is the command line.

mod beside;
pub mod commands;
pub mod keys;
pub mod passphrase;
pub mod release;
pub mod signers;
pub mod statement;

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
