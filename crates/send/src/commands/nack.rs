//! Where receivers may ask for what they lack.

use std::net::SocketAddr;

use fleetcast_cli::{CommandError, ErrorKind};
use fleetcast_net::{Interface, check_feedback};

use super::groups::Groups;
use crate::driver::Desk;
use crate::nack::{SHARE, SHARES};

#[derive(clap::Args, Debug)]
pub(super) struct NackArgs {
    /// Answer requests of receivers for what they lack: join this feedback group on the interface, or listen at this address of
    /// this host. Without it, nothing is read from the network. Only with one layer
    #[arg(long, value_name = "ADDR:PORT")]
    nack: Option<SocketAddr>,

    /// Most packets of 100 that are answers, 1 to 50
    #[arg(long, value_name = "PERCENT", default_value_t = SHARE, requires = "nack",
        value_parser = clap::value_parser!(u8).range(i64::from(*SHARES.start())..=i64::from(*SHARES.end())))]
    nack_share: u8,
}

/// Requests that are answered.
#[derive(Clone, Copy, Debug)]
pub struct Nack {
    /// Group or address that they go to.
    at: SocketAddr,
    /// Percent of the packets that are answers at most, of [`SHARES`].
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
    /// Requests to `at`, that at most `share` percent of the packets answer.
    ///
    /// # Errors
    ///
    /// [`CommandError`] if nobody can be asked there, or there are several layers.
    pub(crate) fn new(at: SocketAddr, share: u8, groups: &Groups) -> Result<Self, CommandError> {
        check_feedback(at).map_err(|error| CommandError::new(ErrorKind::Usage, error))?;
        if groups.upper.is_empty() {
            return Ok(Self { at, share });
        }
        let reason = "answers would exceed the rate of the base layer: do without requests, or send on one layer";
        Err(CommandError::new(ErrorKind::Usage, reason))
    }

    /// The address of this host that they go to, which no other stream can have; none if it is a group.
    pub(crate) fn host(&self) -> Option<SocketAddr> {
        Some(self.at).filter(|at| !at.ip().is_multicast())
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
