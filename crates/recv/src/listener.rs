//! The joined groups, and joining them again when the interface is replaced.

use std::io;
use std::net::SocketAddr;

use fleetcast_cli::CommandError;
use fleetcast_net::{Interface, InterfaceError, JoinError, Membership, ReceiveOptions, Receiver};

use crate::config::Config;
use crate::events::Event;

/// Hears the groups of a configuration.
///
/// A socket does not say that its interface is gone: it hears nothing any more, even if one of that name returns, as it
/// does when a driver is reloaded, a modem dials anew or a container is moved. So the interface is looked at now and then.
#[derive(Debug)]
pub(crate) struct Listener {
    net: Receiver,
    interface: Interface,
    /// The word for why nothing can be heard, once told.
    deaf: Option<&'static str>,
    /// What sockets before these have counted.
    dropped: u64,
    overlong: u64,
}

/// Why the groups are not joined.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) enum ListenError {
    Interface(#[from] InterfaceError),
    Join(#[from] JoinError),
}

impl ListenError {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Interface(error) => error.code(),
            Self::Join(error) => error.code(),
        }
    }
}

impl From<ListenError> for CommandError {
    fn from(error: ListenError) -> Self {
        let is_down = matches!(&error,
            ListenError::Join(JoinError::Socket { source, .. }) if source.kind() == io::ErrorKind::NotFound);
        Self::failed(error).hint_if(is_down.then_some("the interface is gone or has no multicast; see `ip link`"))
    }
}

impl Listener {
    /// Joins all groups.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O enabled.
    pub(crate) fn join(config: &Config) -> Result<Self, ListenError> {
        let interface = Interface::find(&config.interface)?;
        Ok(Self { net: join(config, &interface)?, interface, deaf: None, dropped: 0, overlong: 0 })
    }

    /// As [`Receiver::receive`].
    pub(crate) async fn receive(&mut self, handle: impl FnMut(SocketAddr, &[u8])) -> io::Result<usize> {
        self.net.receive(handle).await
    }

    /// Joins again if the interface is gone or is another; to be called about once a second. Gives what is to be told.
    pub(crate) fn follow_interface(&mut self, config: &Config) -> Option<Event> {
        let found = match Interface::find(&config.interface) {
            Ok(found) if self.is_joined(&found) => return None,
            Ok(found) => found,
            // Nothing is known; or only the address has gone by which the interface was named.
            Err(InterfaceError::List(_)) => return None,
            Err(_) if Interface::find(self.interface.name()).is_ok_and(|found| self.is_joined(&found)) => return None,
            Err(_) => {
                let reason =
                    format!("interface {} is gone; its groups are joined again once it is back", config.interface);
                return self.tell_deaf("interface-gone", reason);
            }
        };
        match join(config, &found) {
            Ok(net) => {
                let before = std::mem::replace(&mut self.net, net);
                self.dropped += before.dropped().unwrap_or_default();
                self.overlong += before.overlong();
                self.deaf = None;
                self.interface = found;
                Some(Event::Rejoined { interface: self.name().to_owned() })
            }
            Err(error) => {
                let (code, error) = (error.code(), CommandError::failed(error));
                self.tell_deaf(code, format!("interface {} is back, but {error}; trying again", config.interface))
            }
        }
    }

    /// Whether nothing can be heard, for want of the interface.
    pub(crate) const fn is_deaf(&self) -> bool {
        self.deaf.is_some()
    }

    /// Name of the interface.
    pub(crate) fn name(&self) -> &str {
        self.interface.name()
    }

    /// As [`Receiver::granted_buffer`].
    pub(crate) fn granted_buffer(&self) -> io::Result<usize> {
        self.net.granted_buffer()
    }

    /// As [`Receiver::dropped`], of all sockets there were.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped + self.net.dropped().unwrap_or_default()
    }

    /// As [`Receiver::overlong`], of all sockets there were.
    pub(crate) fn overlong(&self) -> u64 {
        self.overlong + self.net.overlong()
    }

    /// Once gone, an interface is another one, whatever its index.
    fn is_joined(&self, found: &Interface) -> bool {
        !self.is_deaf() && found.name() == self.interface.name() && found.index() == self.interface.index()
    }

    /// A warning, but not the same one twice.
    fn tell_deaf(&mut self, code: &'static str, reason: String) -> Option<Event> {
        (self.deaf.replace(code) != Some(code)).then_some(Event::Warning { code, reason })
    }
}

fn join(config: &Config, interface: &Interface) -> Result<Receiver, JoinError> {
    let membership = |group: &SocketAddr| Membership {
        group: group.ip(),
        port: group.port(),
        source: config.source,
        interface: interface.clone(),
    };
    let memberships: Vec<_> = config.groups.iter().map(membership).collect();
    let options =
        ReceiveOptions { buffer: config.receive_buffer, max_datagram: config.max_packet, ..ReceiveOptions::default() };
    Receiver::join(&memberships, &options)
}
