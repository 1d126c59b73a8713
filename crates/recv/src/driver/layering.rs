//! Joins and leaves layers as [`Control`] decides.

use std::net::SocketAddr;

use fleetcast_core::session::Arrival;
use fleetcast_core::time::Instant;

use super::hash;
use crate::config::Config;
use crate::events::Event;
use crate::layers::Control;
use crate::listener::Listener;
use crate::progress::Reporter;

/// The layers of a run; nothing is done if the settings have only one.
#[derive(Debug)]
pub(super) struct Layering(Option<Control>);

impl Layering {
    pub(super) fn new(now: Instant, config: &Config, seed: u64) -> Self {
        Self((config.layers > 1).then(|| Control::new(now, config.layers, seed)))
    }

    /// A datagram has come. Senders are told apart by address and port: several may run on one machine.
    pub(super) fn note(&mut self, now: Instant, from: SocketAddr, arrival: Option<Arrival>) {
        if let (Some(control), Some(arrival)) = (&mut self.0, arrival) {
            control.note(now, hash(from), arrival);
        }
    }

    /// Does what is due; to be called often.
    pub(super) fn look(
        &mut self,
        now: Instant,
        is_receiving: bool,
        net: &mut Listener,
        config: &Config,
        reporter: &mut Reporter,
    ) {
        let Some(control) = &mut self.0 else { return };
        let Some(change) = (if is_receiving { control.look(now) } else { control.rest(now) }) else { return };
        reporter.tell(&Event::Layers { joined: change.joined, code: change.why.code(), losses: change.losses });
        // It is tried again, and a layer of which nothing comes is left.
        if let Err(error) = net.change(&config.layered(change.joined)) {
            reporter.tell(&Event::Warning { code: error.code(), reason: format!("{error}; trying again") });
        }
    }

    /// Loss of each layer joined; `None` if there are no layers.
    pub(super) fn losses(&self) -> Option<Vec<f64>> {
        let control = self.0.as_ref()?;
        let mut losses = control.losses().to_vec();
        losses.resize(control.joined().into(), 0.0);
        Some(losses)
    }
}
