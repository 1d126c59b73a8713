//! The head-end of Fleetcast: it multicasts a signed release, for ever and to nobody in particular.
//!
//! It holds no key and hears nothing: its socket drops whatever arrives. Memory does not grow with the images. Only [`relay`], a
//! command of its own, hears what others send, and [`nack`], where its operator wants it, requests at a second socket.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`release`] | opens a release file |
//! | [`source`] | checks release and images against each other, and reads them cell by cell |
//! | [`carousel`] | the endless loop of packets |
//! | [`clock`] | where in the loop a clock says to be; pure |
//! | [`batch`] | packets laid out for sending in trains |
//! | [`notices`] | roots and beacon: reads and verifies them |
//! | [`statements`] | when roots and beacon are due; pure |
//! | [`nack`] | which packets to send once more on request; pure |
//! | [`pacing`] | when the next packet may go; pure |
//! | [`feed`] | all of these together: what goes next, and when |
//! | [`driver`] | that, clock and socket together |
//! | [`relay`] | passes on what verified |
//! | [`report`] | what the operator is told |
//! | [`store`] | releases that wait in a folder or bucket |
//! | [`follow`] | fetches what a channel of a store names |
//! | [`config`] | the file with several streams |
//! | [`commands`] | the command line |

pub mod batch;
pub mod carousel;
pub mod clock;
pub mod commands;
pub mod config;
pub mod driver;
pub mod feed;
pub mod follow;
pub mod nack;
pub mod notices;
pub mod pacing;
pub mod relay;
pub mod release;
pub mod report;
pub mod source;
pub mod statements;
pub mod store;
mod timer;
pub mod watch;
