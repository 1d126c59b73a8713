//! What a relay hears: groups on one interface, a copy by unicast from one host, or both.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;

use fleetcast_cli::CommandError;
use fleetcast_net::{
    Interface, InterfaceError, JoinError, Membership, ReceiveOptions, Receiver, UnicastReceiver, source_number,
};

use super::report::Event;

/// The sockets that hear.
#[derive(Debug)]
pub struct Upstream {
    groups: Option<Groups>,
    unicast: Option<UnicastReceiver>,
}

/// Joined groups.
#[derive(Debug)]
pub struct Groups {
    net: Receiver,
    memberships: Vec<Membership>,
    options: ReceiveOptions,
    /// The word for why nothing can be heard, once told.
    deaf: Option<&'static str>,
    /// What sockets before these have counted.
    lost: Lost,
}

/// What never got to the relay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Dropped by the kernel: for full buffers, or from other hosts than the peer.
    pub by_kernel: u64,
    /// Longer than a packet may be.
    pub overlong: u64,
}

impl Groups {
    /// Joins these memberships, which are on one interface.
    ///
    /// # Errors
    ///
    /// Any [`JoinError`].
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O enabled.
    pub fn join(memberships: Vec<Membership>, options: ReceiveOptions) -> Result<Self, JoinError> {
        let net = Receiver::join(&memberships, &options)?;
        Ok(Self { net, memberships, options, deaf: None, lost: Lost::default() })
    }

    /// Joins again if the interface was made anew: a socket does not say that its interface is gone, it hears nothing any more.
    fn follow_interface(&mut self) -> Option<Event> {
        let interface = &self.memberships.first()?.interface;
        let found = match interface.find_again() {
            Ok(found) if found.index() == interface.index() && self.deaf.is_none() => return None,
            Ok(found) => found,
            Err(InterfaceError::List(_)) => return None,
            Err(error) => {
                let reason =
                    format!("interface {} is gone; its groups are joined again once it is back", interface.name());
                return self.tell_deaf(error.code(), reason);
            }
        };
        let memberships: Vec<_> =
            self.memberships.iter().map(|m| Membership { interface: found.clone(), ..m.clone() }).collect();
        match Receiver::join(&memberships, &self.options) {
            Ok(net) => {
                self.lost = self.lost();
                (self.net, self.memberships, self.deaf) = (net, memberships, None);
                Some(Event::Rejoined { interface: found.name().to_owned() })
            }
            Err(error) => {
                let (code, error) = (error.code(), CommandError::failed(error));
                self.tell_deaf(code, format!("interface {} is back, but {error}; trying again", found.name()))
            }
        }
    }

    /// A warning, but not the same one twice.
    fn tell_deaf(&mut self, code: &'static str, reason: String) -> Option<Event> {
        (self.deaf.replace(code) != Some(code)).then_some(Event::Warning { code, reason })
    }

    fn lost(&self) -> Lost {
        Lost {
            by_kernel: self.lost.by_kernel + self.net.dropped().unwrap_or_default(),
            overlong: self.lost.overlong + self.net.overlong(),
        }
    }
}

impl Upstream {
    /// Hears both, of which there must be one.
    #[must_use]
    pub const fn new(groups: Option<Groups>, unicast: Option<UnicastReceiver>) -> Self {
        Self { groups, unicast }
    }

    /// Waits for datagrams and calls `handle` with a number for the sender's address, and the content of each. Cancel-safe.
    ///
    /// # Errors
    ///
    /// What the system says of a socket. The call may be repeated.
    pub async fn receive(&mut self, handle: impl FnMut(u64, &[u8])) -> io::Result<()> {
        let handle = RefCell::new(handle);
        let take = |from: SocketAddr, datagram: &[u8]| handle.borrow_mut()(source_number(from), datagram);
        match (&mut self.groups, &mut self.unicast) {
            (Some(groups), None) => groups.net.receive(take).await.map(drop),
            (None, Some(unicast)) => unicast.receive(take).await,
            (Some(groups), Some(unicast)) => tokio::select! {
                result = groups.net.receive(take) => result.map(drop),
                result = unicast.receive(take) => result,
            },
            (None, None) => std::future::pending().await,
        }
    }

    /// Joins again if the interface was made anew; to be called about once a second. Gives what is to be told.
    pub fn follow_interface(&mut self) -> Option<Event> {
        self.groups.as_mut()?.follow_interface()
    }

    /// What never got to the relay so far.
    #[must_use]
    pub fn lost(&self) -> Lost {
        let groups = self.groups.as_ref().map(Groups::lost).unwrap_or_default();
        let unicast = self.unicast.as_ref();
        Lost {
            by_kernel: groups.by_kernel + unicast.map_or(0, |net| net.dropped().unwrap_or_default()),
            overlong: groups.overlong + unicast.map_or(0, UnicastReceiver::overlong),
        }
    }
}

/// Whether what is sent to `group` through `interface` is heard by one of these memberships: the relay would hear itself.
#[must_use]
pub fn hears(memberships: &[Membership], group: SocketAddr, interface: &Interface) -> bool {
    memberships
        .iter()
        .any(|m| m.group == group.ip() && m.port == group.port() && m.interface.index() == interface.index())
}
