//! Sessions: what is sent when and by whom, and what must be installed afterwards.

use std::collections::BTreeMap;

use super::device::Device;
use crate::release::Release;

/// Time between two packets of a session unless said: about 10 Mbit/s.
const PACE: u64 = 1000;

/// A datagram of a session.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Microseconds since the start of the case.
    pub micros: u64,
    /// Which sender: each has an address of its own.
    pub sender: u8,
    /// UDP payload.
    pub datagram: Vec<u8>,
}

/// What a device hears between one start and the next.
#[derive(Clone, Debug, Default)]
pub struct Session {
    /// In order of time.
    pub sent: Vec<Sent>,
    micros: u64,
}

impl Session {
    /// Starts with these packets, of sender 0.
    #[must_use]
    pub fn of<'a>(packets: impl IntoIterator<Item = &'a Vec<u8>>) -> Self {
        Self::default().then(packets)
    }

    /// Goes on with these packets, of sender 0.
    #[must_use]
    pub fn then<'a>(self, packets: impl IntoIterator<Item = &'a Vec<u8>>) -> Self {
        self.from(0, packets)
    }

    /// Goes on with these packets of a sender.
    #[must_use]
    pub fn from<'a>(mut self, sender: u8, packets: impl IntoIterator<Item = &'a Vec<u8>>) -> Self {
        for datagram in packets {
            self.sent.push(Sent { micros: self.micros, sender, datagram: datagram.clone() });
            self.micros += PACE;
        }
        self
    }

    /// Goes on after so many seconds of silence.
    #[must_use]
    pub const fn pause(mut self, seconds: u64) -> Self {
        self.micros += seconds * 1_000_000;
        self
    }
}

/// A device, and what it hears.
#[derive(Clone, Debug)]
pub struct Script {
    /// The device.
    pub device: Device,
    /// Sessions, and what each target must hold after each of them.
    pub sessions: Vec<(Session, BTreeMap<&'static str, Vec<u8>>)>,
}

impl Default for Script {
    fn default() -> Self {
        Self::on(Device::default())
    }
}

impl Script {
    /// Nothing yet, on this device.
    #[must_use]
    pub const fn on(device: Device) -> Self {
        Self { device, sessions: Vec::new() }
    }

    /// A session after which the images of `release` must be installed.
    ///
    /// # Panics
    ///
    /// If the device has not all of its targets.
    #[must_use]
    pub fn installs(mut self, release: &Release, session: Session) -> Self {
        let mut content = self.content();
        for (component, image) in release.manifest().components.iter().zip(&release.images) {
            let place = content.iter_mut().find(|(target, _)| **target == component.target.as_str());
            place.unwrap().1.clone_from(image);
        }
        self.push(session, content);
        self
    }

    /// A session after which every target must be as it was before.
    #[must_use]
    pub fn keeps(mut self, session: Session) -> Self {
        let content = self.content();
        self.push(session, content);
        self
    }

    /// What each target must hold so far.
    fn content(&self) -> BTreeMap<&'static str, Vec<u8>> {
        self.sessions.last().map_or_else(|| self.device.factory(), |(_, content)| content.clone())
    }

    /// Two seconds lie between two sessions.
    fn push(&mut self, mut session: Session, content: BTreeMap<&'static str, Vec<u8>>) {
        let before = self.sessions.last().map_or(0, |(session, _)| session.micros + 2_000_000);
        session.sent.iter_mut().for_each(|sent| sent.micros += before);
        session.micros += before;
        self.sessions.push((session, content));
    }
}
