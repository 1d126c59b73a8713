//! Where receivers may ask for what they lack.

use std::net::SocketAddr;

use clap::builder::RangedU64ValueParser;
use fleetcast_cli::{CommandError, ErrorKind};
use fleetcast_net::Interface;

use super::groups::Groups;
use crate::driver::Desk;
use crate::nack::SHARE;

#[derive(clap::Args, Debug)]
pub(super) struct NackArgs {
    /// Answer requests of receivers for what they lack: join this feedback group on the interface, or listen at this address of
    /// this host. Without it, nothing is read from the network. Only with one layer
    #[arg(long, value_name = "ADDR:PORT")]
    nack: Option<SocketAddr>,

    /// Most packets of 100 that are answers, 1 to 50
    #[arg(long, value_name = "PERCENT", default_value_t = SHARE, requires = "nack",
        value_parser = RangedU64ValueParser::<u8>::new().range(1..=50))]
    nack_share: u8,
}

/// Requests that are answered.
#[derive(Clone, Copy, Debug)]
pub struct Nack {
    /// Group or address that they go to.
    pub(crate) at: SocketAddr,
    /// Percent of the packets that are answers at most.
    share: u8,
}

impl NackArgs {
    /// The requests to be answered by who sends to these groups, if any.
    ///
    /// # Errors
    ///
    /// [`CommandError`], as [`Nack::new`].
    pub(super) fn nack(&self, groups: &Groups) -> Result<Option<Nack>, CommandError> {
        self.nack.map(|at| Nack::new(at, self.nack_share, groups)).transpose()
    }
}

impl Nack {
    /// Requests to `at`, that at most `share` percent of the packets answer, 1 to 50.
    ///
    /// # Errors
    ///
    /// [`CommandError`] if there are several layers.
    pub(crate) fn new(at: SocketAddr, share: u8, groups: &Groups) -> Result<Self, CommandError> {
        if groups.upper.is_empty() {
            return Ok(Self { at, share });
        }
        let reason = "answers would exceed the rate of the base layer: do without requests, or send on one layer";
        Err(CommandError::new(ErrorKind::Usage, reason))
    }

    /// Hears them on an interface.
    ///
    /// # Errors
    ///
    /// [`CommandError`].
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O enabled.
    pub(super) fn open(&self, interface: &Interface) -> Result<Desk, CommandError> {
        let seed =
            getrandom::u64().map_err(|e| CommandError::failed(format!("no random numbers from the system: {e}")))?;
        Desk::open(self.at, interface, self.share, seed).map_err(CommandError::failed)
    }
}
