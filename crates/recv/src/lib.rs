//! The device daemon of Fleetcast: joins a group, verifies every packet, installs whole releases.
//!
//! ```text
//! datagrams -> driver -> Device { core::session::Receiver -> actions -> Storage } -> install
//! ```
//!
//! | module | what it does |
//! | --- | --- |
//! | [`config`] | one file or flags, parsed once into checked types |
//! | [`confine`] | what the process may open from its start on |
//! | [`device`] | the receive session on its storage: datagrams in, installed releases out; no sockets, no clock |
//! | [`repair`] | what is missing, fetched from web servers |
//! | [`report`] | what became of a release, told to a web server, where the settings want it |
//! | `seed` | old images, and where their chunks are |
//! | `storage` | partial images, repair chunks and pages of one release |
//! | [`driver`] | signals and timers around a [`device::Device`] |
//! | [`layers`] | which layers of a session to hear; no sockets, no clock |
//! | `listener` | the joined groups, also when the interface is replaced |
//! | [`nack`] | asking for what is missing, where the settings want it |
//! | `doctor` | what is wrong with the reception |
//! | `dump` | what is on the air, or in a capture of it |
//! | `discovery` | groups and senders by a domain's name: DNS |
//! | [`events`], [`progress`] | what is told: JSON lines, a progress bar, plain lines or entries of the journal |
//! | [`trusted`] | who may sign, and how current that is, to be shown |
//! | `ledger` | what is kept to be asked about later |
//! | [`metrics`] | the same for Prometheus |
//! | `page` | the same for browsers |
//! | `socket` | TCP connections that nobody waits for too long |
//! | [`commands`] | the command line |
//!
//! It holds public keys only.

pub mod commands;
pub mod config;
pub mod confine;
pub mod device;
mod discovery;
mod doctor;
pub mod driver;
mod dump;
pub mod events;
pub mod layers;
mod ledger;
mod listener;
pub mod metrics;
pub mod nack;
mod page;
pub mod progress;
pub mod repair;
pub mod report;
mod seed;
mod socket;
mod stall;
mod storage;
pub mod trusted;
