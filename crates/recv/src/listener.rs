//! The joined groups, and joining them again when an interface is replaced or the network has forgotten them.

mod link;
mod silence;

use std::io;
use std::net::SocketAddr;

use fleetcast_cli::CommandError;
use fleetcast_core::time::Instant;
use fleetcast_net::{InterfaceError, JoinError, Membership, ReceiveOptions, Receiver};

use crate::config::{Config, Feed};
use crate::events::Event;
use link::Link;
use silence::Silence;

/// Hears feeds on the interfaces of a configuration.
///
/// A socket does not say that its interface is gone: it hears nothing any more, even if one of that name returns, as it
/// does when a driver is reloaded, a modem dials anew or a container is moved. So the interfaces are looked at now and then.
#[derive(Debug)]
pub(crate) struct Listener {
    net: Receiver,
    feeds: Vec<Feed>,
    links: Vec<Link>,
    silence: Silence,
    /// The word for why not all is joined that could be, once told. It is tried again.
    failed: Option<&'static str>,
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
        let find = |name: &String| Link::find(name, |error| missing = Some(error));
        let links: Vec<_> = config.interfaces.iter().map(find).collect();
        if let (Some(error), true) = (missing, links.iter().all(Link::is_gone)) {
            return Err(error.into());
        }
        let options = ReceiveOptions {
            buffer: config.receive_buffer,
            max_datagram: config.max_packet,
            ..ReceiveOptions::default()
        };
        let mut listener =
            Self { net: Receiver::new(&options), feeds: vec![], links, silence: Silence::default(), failed: None };
        listener.change(&config.feeds)?;
        Ok(listener)
    }

    /// Makes `feeds` what is heard: joins what is new, then leaves what is not wanted, also if something could not be
    /// joined; what stays loses nothing. The same feeds again do nothing.
    ///
    /// What could not be joined is tried again about once a second, by [`Self::follow`].
    pub(crate) fn change(&mut self, feeds: &[Feed]) -> Result<(), ListenError> {
        if feeds != self.feeds {
            feeds.clone_into(&mut self.feeds);
            self.silence.clear();
        }
        let joined = self.net.change(&self.memberships());
        self.failed = joined.as_ref().err().map(JoinError::code);
        Ok(joined?)
    }

    /// As [`Receiver::receive`].
    pub(crate) async fn receive(&mut self, handle: impl FnMut(SocketAddr, &[u8])) -> io::Result<usize> {
        self.net.receive(handle).await
    }

    /// Joins again on interfaces that were gone or replaced, and has groups that are silent reported anew; to be called about
    /// once a second.
    pub(crate) fn follow(&mut self, now: Instant, tell: &mut dyn FnMut(Event)) {
        let mut is_other = false;
        for link in &mut self.links {
            is_other |= link.look();
            if let Some(name) = link.gone() {
                let reason = format!("interface {name} is gone; its groups are joined again once it is back");
                tell(Event::Warning { code: "interface-gone", reason });
            }
        }
        if is_other {
            self.silence.clear();
        }
        let joined = if is_other || self.failed.is_some() { self.net.change(&self.memberships()) } else { Ok(()) };
        let Self { net, links, silence, .. } = self;
        let reported = net.refresh(|group, interface, heard| {
            let is_plugged_in = links.iter().any(|link| link.is_plugged_in(interface));
            silence.is_long(now, (group, interface.index()), heard) || is_plugged_in
        });
        match joined.and(reported) {
            Ok(()) => {
                self.failed = None;
                for name in self.links.iter_mut().filter_map(Link::back) {
                    tell(Event::Rejoined { interface: name });
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

    /// Whether nothing is joined.
    pub(crate) fn is_deaf(&self) -> bool {
        self.net.heard().next().is_none()
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
        let interfaces = self.links.iter().filter_map(Link::current);
        interfaces.flat_map(|interface| self.feeds.iter().flat_map(|feed| feed.memberships(interface))).collect()
    }
}
