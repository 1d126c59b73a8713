//! How a release is sent, the same for all that follow it.

use fleetcast_core::fec::{Layers, layer_rate};
use fleetcast_net::Sender;

use crate::carousel::{Carousel, Phase};
use crate::clock::{Clock, Share};
use crate::commands::groups::Groups;
use crate::driver::{self, Desk};
use crate::notices::Notices;
use crate::pacing::Pace;
use crate::report::{Layer, Rate, Ready};
use crate::source::Source;

/// On what layers, how fast, and from where in the cycle on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Course {
    pub(super) layers: Layers,
    pub(super) pace: Pace,
    /// Which of several senders this one is; then the place in the cycle is that of the clock.
    pub(super) share: Option<Share>,
    pub(super) phase: Phase,
}

impl Course {
    /// The carousel of a release; `None` if there is a share, and a cycle has no length.
    pub(super) fn carousel(&self, source: Source) -> Option<Carousel> {
        let every = self.pace.part(self.layers.rate()).statement_every(source.max_packet());
        let mut carousel = Carousel::layered(source, self.layers, self.phase, every);
        if let Some(share) = self.share {
            let clock = Clock::new(carousel.load(), self.pace, share.ahead(self.layers))?;
            carousel.lock(clock, driver::unix_now());
        }
        Some(carousel)
    }
}

/// What is told before the first packet; signatures count as verified.
pub(super) fn ready(
    source: &Source,
    sender: &Sender,
    groups: &Groups,
    pace: Pace,
    notices: Option<&Notices>,
    desk: Option<&Desk>,
) -> Ready {
    let manifest = source.release().manifest();
    let layer = |(number, group): (u8, std::net::SocketAddr)| Layer {
        group: group.to_string(),
        pace: told(pace.part(groups.layers.rate() / layer_rate(number))),
    };
    Ready {
        version: manifest.version.to_string(),
        sequence: manifest.sequence,
        tsi: manifest.tsi().to_string(),
        verified: true,
        group: groups.base.to_string(),
        layers: if groups.upper.is_empty() { Vec::new() } else { (0..).zip(groups.iter()).map(layer).collect() },
        interface: sender.interface().name().to_owned(),
        source: sender.local_addr().map(|address| address.to_string()).unwrap_or_default(),
        pace: told(pace),
        cycle_packets: source.volume().packets,
        cycle_octets: source.volume().octets,
        max_packet: source.max_packet(),
        roots: notices.map(Notices::versions).unwrap_or_default(),
        beacon: notices.and_then(Notices::facts),
        nack: desk.map(|desk| desk.at().to_string()),
    }
}

/// A pace, for people.
fn told(pace: Pace) -> String {
    match pace {
        Pace::Rate(rate) => Rate(rate.get()).to_string(),
        Pace::Delay(delay) => format!("one packet per {delay:?}"),
        Pace::Unlimited => "unlimited rate".into(),
    }
}
