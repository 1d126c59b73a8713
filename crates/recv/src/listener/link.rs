//! An interface of the settings: there, gone, replaced, without carrier.

use fleetcast_net::{Interface, InterfaceError};

#[derive(Debug)]
pub(super) struct Link {
    /// As it is named in the settings.
    name: String,
    /// As it was last seen; `None` if it is gone.
    current: Option<Interface>,
    carrier: Carrier,
    /// It has gone or was replaced, and nothing has been told of its return.
    is_lost: bool,
    /// That it is gone has been told.
    is_told: bool,
}

/// Whether an interface is up and plugged in, by two looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carrier {
    None,
    /// Since the last look.
    Back,
    There,
}

impl Link {
    /// Looks an interface up; `missing` is told why it is not there.
    pub(super) fn find(name: &str, missing: impl FnOnce(InterfaceError)) -> Self {
        let current = Interface::find(name).map_err(missing).ok();
        Self {
            name: name.to_owned(),
            carrier: Carrier::There.now(current.as_ref()),
            is_lost: current.is_none(),
            is_told: false,
            current,
        }
    }

    pub(super) fn is_gone(&self) -> bool {
        self.current.is_none()
    }

    pub(super) fn current(&self) -> Option<&Interface> {
        self.current.as_ref()
    }

    pub(super) fn name(&self) -> &str {
        self.current.as_ref().map_or(&self.name, Interface::name)
    }

    /// Whether this is that interface, and its carrier has just come back: maybe from another switch, which knows nothing of
    /// the memberships. Over IPv4 the kernel does not report them by itself.
    pub(super) fn is_plugged_in(&self, interface: &Interface) -> bool {
        self.carrier == Carrier::Back && self.is(interface)
    }

    /// Its name, if it is gone and that was not told yet.
    pub(super) fn gone(&mut self) -> Option<&str> {
        let is_new = self.is_gone() && !std::mem::replace(&mut self.is_told, true);
        is_new.then_some(&self.name)
    }

    /// Its name, if it is back and that was not told yet.
    pub(super) fn back(&mut self) -> Option<String> {
        let current = self.current.as_ref()?;
        std::mem::take(&mut self.is_lost).then(|| current.name().to_owned())
    }

    /// Looks the interface up again. Whether it is another than before, or gone.
    pub(super) fn look(&mut self) -> bool {
        let found = match Interface::find(&self.name) {
            Ok(found) => Some(found),
            // Nothing is known.
            Err(InterfaceError::List(_)) => return false,
            // Perhaps only the address has gone by which the interface was named.
            Err(_) => Interface::find(self.name()).ok().filter(|found| self.is(found)),
        };
        self.carrier = self.carrier.now(found.as_ref());
        if found.as_ref().map_or(self.is_gone(), |found| self.is(found)) {
            return false;
        }
        self.is_lost = true;
        self.is_told &= found.is_none();
        self.current = found;
        true
    }

    /// Once gone, an interface is another one, whatever its index.
    fn is(&self, found: &Interface) -> bool {
        self.current.as_ref().is_some_and(|c| (c.name(), c.index()) == (found.name(), found.index()))
    }
}

impl Carrier {
    /// What it is by another look, at this interface.
    fn now(self, interface: Option<&Interface>) -> Self {
        let is_running = interface.is_some_and(|interface| interface.is_running().unwrap_or(true));
        match (is_running, self) {
            (false, _) => Self::None,
            (true, Self::None) => Self::Back,
            (true, _) => Self::There,
        }
    }
}
