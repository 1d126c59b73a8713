//! The signing station of Fleetcast: keys, releases and the commands around them.
//!
//! It reads and writes files and knows no network, so it can run on a machine without one.
//! [`keys`] makes and loads Ed25519 keys, [`passphrase`] finds out what unlocks them,
//! [`signers`] sign with them wherever they are, [`statement`] puts signatures on
//! statements, [`release`] makes and checks releases, [`root`] makes the roots that say who
//! may sign them, [`beacon`] says which of them are current, [`device`] what a device makes of
//! them, [`changes`] what differs, [`html`] shows it to reviewers. [`commands`] is the command line.

pub mod beacon;
mod beside;
pub mod changes;
pub mod commands;
pub mod device;
pub mod html;
pub mod keys;
pub mod passphrase;
pub mod release;
pub mod root;
pub mod signers;
pub mod statement;
mod time;
