//! The signing station of Fleetcast: keys, releases and the commands around them.
//!
//! It reads and writes files and never opens a socket, so it can run on a machine
//! without a network. [`keys`] makes and loads Ed25519 keys, [`passphrase`] finds out
//! what unlocks them, [`commands`] is the command line and [`cli`] what every Fleetcast
//! command line has in common.

pub mod cli;
pub mod commands;
pub mod keys;
pub mod passphrase;
