//! What the page has of the events that were told, beside what the ledger keeps.

use std::collections::VecDeque;

use fleetcast_cli::clock;
use fleetcast_cli::html::{Notice, Tone};

use crate::events::{Event, Release};

/// Events that are kept.
const KEPT: usize = 16;

/// What was told.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// Groups, and through which interface.
    pub(super) listening: Option<(String, String)>,
    /// How far the process is confined.
    pub(super) confined: &'static str,
    /// Octets of receive buffer.
    pub(super) receive_buffer: usize,
    pub(super) begun: Option<Begun>,
    /// Why a release that is complete is not installed yet.
    pub(super) waiting: Option<&'static str>,
    /// Warnings and the like, the newest first.
    pub(super) notices: VecDeque<Notice>,
}

/// The release that was last begun.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) release: Release,
    pub(super) tsi: String,
    pub(super) needed: u64,
    pub(super) octets: u64,
    /// Unix time in seconds.
    pub(super) since: u64,
}

impl Notes {
    /// Takes an event.
    pub(crate) fn note(&mut self, event: &Event) {
        match event {
            Event::Ready { groups, interface, receive_buffer, confined, .. } => {
                self.listening = Some((groups.join(", "), interface.clone()));
                (self.receive_buffer, self.confined) = (*receive_buffer, confined);
            }
            Event::Discovered { feeds, .. } => {
                if let Some((groups, _)) = &mut self.listening {
                    *groups = feeds.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
                }
            }
            Event::Begin { release, tsi, needed, octets } => {
                let (release, tsi, since) = (release.clone(), tsi.clone(), clock::unix());
                self.begun = Some(Begun { release, tsi, needed: *needed, octets: *octets, since });
                self.waiting = None;
            }
            Event::Waiting { code, .. } => self.waiting = Some(code),
            Event::Installed { .. } | Event::OnTrial { .. } | Event::Abandoned { .. } => self.waiting = None,
            _ => {}
        }
        let (tone, word) = match event {
            Event::Warning { code, .. } => (Tone::Warn, *code),
            Event::Stalled { .. }
            | Event::ReadbackMismatch { .. }
            | Event::RepairFailed { .. }
            | Event::Freshness { state: "stale" | "behind", .. } => (Tone::Warn, event.kind()),
            Event::Rejoined { .. } | Event::Restarting => (Tone::Quiet, event.kind()),
            _ => return,
        };
        self.notices.truncate(KEPT - 1);
        self.notices.push_front(Notice { time: clock::unix(), tone, word: word.into(), text: event.to_string() });
    }

    /// Octets of a chunk of the release that was last begun, on average.
    #[expect(clippy::cast_precision_loss, reason = "for show")]
    pub(super) fn chunk(&self) -> Option<f64> {
        self.begun.as_ref().map(|begun| begun.octets as f64 / begun.needed.max(1) as f64)
    }
}
