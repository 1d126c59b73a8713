//! Joins and leaves layers as [`Control`] decides.

use std::net::SocketAddr;

use fleetcast_core::session::Arrival;
use fleetcast_core::time::Instant;
use fleetcast_net::endpoint_number;

use crate::config::{Config, Feed};
use crate::events::Event;
use crate::layers::Control;
use crate::listener::Listener;
use crate::progress::Reporter;

/// The layers of a run.
#[derive(Debug)]
pub(super) struct Layering {
    feeds: Vec<Feed>,
    /// Most layers to join.
    cap: u8,
    /// Most layers there are to join.
    most: u8,
    /// `None` while there is only one.
    control: Option<Control>,
    seed: u64,
}

impl Layering {
    pub(super) fn new(now: Instant, config: &Config, seed: u64) -> Self {
        let mut layering = Self { feeds: vec![], cap: config.layers, most: 1, control: None, seed };
        layering.set_feeds(now, config.feeds.clone());
        layering
    }

    /// Takes what there is to hear from now on. With another number of layers it begins anew, at the base.
    pub(super) fn set_feeds(&mut self, now: Instant, feeds: Vec<Feed>) {
        let most = feeds.iter().map(|feed| feed.layers).max().unwrap_or(1).min(self.cap);
        if most != self.most {
            self.most = most;
            self.control = (most > 1).then(|| Control::new(now, most, self.seed));
        }
        self.feeds = feeds;
    }

    /// What to join of it.
    pub(super) fn wanted(&self) -> Vec<Feed> {
        let joined = self.control.as_ref().map_or(1, Control::joined);
        (0..joined).flat_map(|layer| self.feeds.iter().filter_map(move |feed| feed.layer(layer))).collect()
    }

    /// A datagram has come.
    pub(super) fn note(&mut self, now: Instant, from: SocketAddr, arrival: Option<Arrival>) {
        if let (Some(control), Some(arrival)) = (&mut self.control, arrival) {
            control.note(now, endpoint_number(from), arrival);
        }
    }

    /// Does what is due; to be called often.
    pub(super) fn look(&mut self, now: Instant, is_receiving: bool, net: &mut Listener, reporter: &mut Reporter) {
        let Some(control) = &mut self.control else { return };
        let Some(change) = (if is_receiving { control.look(now) } else { control.rest(now) }) else { return };
        reporter.tell(&Event::Layers { joined: change.joined, code: change.why.code(), losses: change.losses });
        // It is tried again, and a layer of which nothing comes is left.
        if let Err(error) = net.change(&self.wanted()) {
            reporter.tell(&Event::Warning { code: error.code(), reason: format!("{error}; trying again") });
        }
    }

    /// Loss of each layer joined; `None` if there are no layers.
    pub(super) fn losses(&self) -> Option<Vec<f64>> {
        let control = self.control.as_ref()?;
        let mut losses = control.losses().to_vec();
        losses.resize(control.joined().into(), 0.0);
        Some(losses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(group: &str, layers: u8) -> Feed {
        Feed { group: group.parse().unwrap(), sources: vec![], layers }
    }

    #[test]
    fn groups_without_layers_stay_at_their_base_and_another_number_of_layers_begins_anew() {
        let now = Instant::from_micros(0);
        let mut layering = Layering { feeds: vec![], cap: 3, most: 1, control: None, seed: 1 };
        let base = [feed("239.1.1.1:5", 1), feed("[ff15::1]:5", 1)];
        layering.set_feeds(now, vec![feed("239.1.1.1:5", 8), feed("[ff15::1]:5", 1)]);
        assert_eq!(
            (layering.most, layering.wanted()),
            (3, base.to_vec()),
            "the settings' limit, and first of all the base"
        );
        layering.control = None;
        // Others with as many layers go on where these are.
        layering.set_feeds(now, vec![feed("239.1.1.1:5", 4)]);
        assert!(layering.control.is_none());
        layering.set_feeds(now, vec![feed("239.1.1.1:5", 2)]);
        assert!(layering.control.is_some() && layering.wanted() == base[..1]);
        layering.set_feeds(now, vec![]);
        assert!(layering.control.is_none() && layering.wanted().is_empty());
        let layers: Vec<_> = (0..4).filter_map(|layer| feed("239.1.1.1:5", 3).layer(layer)).collect();
        assert_eq!(layers, ["239.1.1.1:5", "239.1.1.2:5", "239.1.1.3:5"].map(|group| feed(group, 1)));
    }
}
