//! The joined groups, and joining them again when the interface is replaced.

use std::io;
use std::net::SocketAddr;

use fleetcast_cli::CommandError;
use fleetcast_net::{Interface, InterfaceError, JoinError, Membership, ReceiveOptions, Receiver};

use crate::config::{Config, Feed};
use crate::events::Event;

/// Hears feeds on the interfaces of a configuration.
///
/// A socket does not say that its interface is gone: it hears nothing any more, even if one of that name returns, as it
/// does when a driver is reloaded, a modem dials anew or a container is moved. So the interfaces are looked at now and then.
#[derive(Debug)]
pub(crate) struct Listener {
    net: Receiver,
    feeds: Vec<Feed>,
    links: Vec<Link>,
    /// The word for why not all is joined that could be, once told. It is tried again.
    failed: Option<&'static str>,
}

/// An interface of the settings.
#[derive(Debug)]
struct Link {
    /// As it is named there.
    name: String,
    /// As it was last seen; `None` if it is gone.
    current: Option<Interface>,
    /// It has gone or was replaced, and nothing has been told of its return.
    is_lost: bool,
    /// That it is gone has been told.
    is_told: bool,
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
    /// Joins the feeds of a configuration. Interfaces that are not there are joined once they come; one must be.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O enabled.
    pub(crate) fn join(config: &Config) -> Result<Self, ListenError> {
        let mut missing = None;
        let mut link = |name: &String| {
            let current = Interface::find(name).map_err(|error| missing = Some(error)).ok();
            Link { name: name.clone(), is_lost: current.is_none(), current, is_told: false }
        };
        let links: Vec<_> = config.interfaces.iter().map(&mut link).collect();
        if let (Some(error), true) = (missing, links.iter().all(Link::is_gone)) {
            return Err(error.into());
        }
        let options = ReceiveOptions {
            buffer: config.receive_buffer,
            max_datagram: config.max_packet,
            ..ReceiveOptions::default()
        };
        let mut listener = Self { net: Receiver::new(&options), feeds: vec![], links, failed: None };
        listener.change(&config.feeds)?;
        Ok(listener)
    }

    /// Makes `feeds` what is heard: joins what is new, then leaves what is not wanted, also if something could not be
    /// joined; what stays loses nothing. The same feeds again do nothing.
    ///
    /// What could not be joined is tried again about once a second, by [`Self::follow`].
    pub(crate) fn change(&mut self, feeds: &[Feed]) -> Result<(), ListenError> {
        feeds.clone_into(&mut self.feeds);
        let joined = self.net.change(&self.memberships());
        self.failed = joined.as_ref().err().map(JoinError::code);
        Ok(joined?)
    }

    /// As [`Receiver::receive`].
    pub(crate) async fn receive(&mut self, handle: impl FnMut(SocketAddr, &[u8])) -> io::Result<usize> {
        self.net.receive(handle).await
    }

    /// Joins again on interfaces that were gone or replaced; to be called about once a second.
    pub(crate) fn follow(&mut self, tell: &mut dyn FnMut(Event)) {
        let mut is_other = false;
        for link in &mut self.links {
            is_other |= link.look();
            if link.is_gone() && !std::mem::replace(&mut link.is_told, true) {
                let reason = format!("interface {} is gone; its groups are joined again once it is back", link.name);
                tell(Event::Warning { code: "interface-gone", reason });
            }
        }
        if !is_other && self.failed.is_none() {
            return;
        }
        match self.net.change(&self.memberships()) {
            Ok(()) => {
                self.failed = None;
                for link in &mut self.links {
                    let Some(current) = &link.current else { continue };
                    if std::mem::take(&mut link.is_lost) {
                        tell(Event::Rejoined { interface: current.name().to_owned() });
                    }
                }
            }
            Err(error) => {
                let code = error.code();
                if self.failed.replace(code) != Some(code) {
                    let error = CommandError::failed(error);
                    tell(Event::Warning { code, reason: format!("{error}; trying again") });
                }
            }
        }
    }

    /// Whether nothing can be heard, for want of the interfaces.
    pub(crate) fn is_deaf(&self) -> bool {
        self.failed.is_some() || self.links.iter().all(Link::is_gone)
    }

    /// Names of the interfaces, separated by commas.
    pub(crate) fn names(&self) -> String {
        self.links.iter().map(Link::name).collect::<Vec<_>>().join(", ")
    }

    /// As [`Receiver::granted_buffer`].
    pub(crate) fn granted_buffer(&self) -> io::Result<usize> {
        self.net.granted_buffer()
    }

    /// As [`Receiver::dropped`].
    pub(crate) fn dropped(&self) -> u64 {
        self.net.dropped().unwrap_or_default()
    }

    /// As [`Receiver::overlong`].
    pub(crate) fn overlong(&self) -> u64 {
        self.net.overlong()
    }

    fn memberships(&self) -> Vec<Membership> {
        let interfaces = self.links.iter().filter_map(|link| link.current.as_ref());
        interfaces.flat_map(|interface| self.feeds.iter().flat_map(|feed| feed.memberships(interface))).collect()
    }
}

impl Link {
    fn is_gone(&self) -> bool {
        self.current.is_none()
    }

    fn name(&self) -> &str {
        self.current.as_ref().map_or(&self.name, Interface::name)
    }

    /// Looks the interface up. Whether it is another than before, or gone.
    fn look(&mut self) -> bool {
        // Once gone, an interface is another one, whatever its index.
        let is_same = |found: &Interface| {
            self.current.as_ref().is_some_and(|c| (c.name(), c.index()) == (found.name(), found.index()))
        };
        let found = match Interface::find(&self.name) {
            Ok(found) if is_same(&found) => return false,
            Ok(found) => Some(found),
            // Nothing is known; or only the address has gone by which the interface was named.
            Err(InterfaceError::List(_)) => return false,
            Err(_) if Interface::find(self.name()).is_ok_and(|found| is_same(&found)) => return false,
            Err(_) => None,
        };
        let is_other = self.current.is_some() || found.is_some();
        self.is_lost |= is_other;
        self.is_told &= found.is_none();
        self.current = found;
        is_other
    }
}
