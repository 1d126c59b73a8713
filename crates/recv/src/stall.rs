//! Notices that nothing verifies any more, and says in plain words what is known about why.

use std::time::Duration;

use fleetcast_core::session::Counters;
use fleetcast_core::time::Instant;

/// Time without a verified packet until it is told, once.
const PATIENCE: Duration = Duration::from_secs(10);

/// Causes of drops, the telling ones first, and what they mean.
const CAUSES: [(&str, &str); 8] = [
    ("threshold", "statements come, but not signed by enough of the trusted keys: compare the key ids"),
    ("other-session", "only other releases come: the sender of the one being received may have stopped"),
    ("page-digest", "pages come that do not belong to the release: something on the network changes or forges packets"),
    (
        "chunk-digest",
        "chunks come that do not belong to the release: something on the network changes or forges packets",
    ),
    ("refused-before", "only releases come that were refused, see above"),
    ("template", "what comes to this group is not of this protocol's version"),
    ("version", "what comes to this group is not of this protocol: another program may use the same group and port"),
    ("no-page", "chunks come, but no pages"),
];

/// Watches for verified packets.
#[derive(Debug)]
pub(crate) struct Watch {
    since: Instant,
    verified: u64,
    before: Counters,
    is_told: bool,
}

impl Watch {
    pub(crate) fn new(now: Instant) -> Self {
        Self { since: now, verified: 0, before: Counters::default(), is_told: false }
    }

    /// Looks at the counters about once a second. Gives the seconds without a verified packet and the cause when it is
    /// time to tell; `is_waiting` is whether anything is expected at all.
    pub(crate) fn look(&mut self, now: Instant, counters: &Counters, is_waiting: bool) -> Option<(u64, String)> {
        let verified = verified(counters);
        if verified != self.verified || !is_waiting {
            *self = Self { since: now, verified, before: counters.clone(), is_told: false };
            return None;
        }
        let quiet = now.since(self.since);
        if self.is_told || quiet < PATIENCE {
            return None;
        }
        self.is_told = true;
        Some((quiet.as_secs(), self.reason(counters)))
    }

    fn reason(&self, counters: &Counters) -> String {
        let heard = counters.datagrams - self.before.datagrams;
        if heard == 0 {
            return "no packet comes at all: see that the sender runs, that group, port and interface are its, and that \
                    no firewall or switch (IGMP snooping) is in between"
                .into();
        }
        let dropped = |code: &str| counters.dropped_for(code) - self.before.dropped_for(code);
        match CAUSES.iter().find(|(code, _)| dropped(code) > 0) {
            Some((code, meaning)) => format!("{meaning} ({} of {heard} packets: {code})", dropped(code)),
            None => format!("{heard} packets came, but no manifest for this device among them"),
        }
    }
}

/// Packets that verified. Repeats are of such, and show that the right sender is heard.
pub(crate) const fn verified(counters: &Counters) -> u64 {
    counters.chunks + counters.pages + counters.duplicates
}

#[cfg(test)]
pub(crate) mod tests {
    use fleetcast_core::manifest::Uuid;
    use fleetcast_core::session::{Config, Policy, Receiver, Wave};
    use fleetcast_core::trust::{PublicKey, Trust, TrustedKeys};

    use super::*;

    /// Keys and policy of a device that takes nothing.
    pub(crate) fn nobody() -> (Trust, Policy) {
        // The base point of the curve: a valid key whose secret nobody needs here.
        let mut key = [0x66; 32];
        key[0] = 0x58;
        let trust = TrustedKeys::new(vec![PublicKey::from_bytes(key).unwrap()], 1).unwrap();
        let policy = Policy {
            vendor: Uuid([0; 16]),
            classes: vec![],
            targets: vec![],
            installed: None,
            seen: None,
            trial: None,
            failed: None,
            hardware: None,
            wave: Wave::Fixed(0),
            max_packet: 1500,
            has_floors: true,
            built: 0,
        };
        (trust.into(), policy)
    }

    fn receiver() -> Receiver {
        let (trust, policy) = nobody();
        Receiver::new(Config { trust, policy, staging: 256, seed: 1 })
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn silence_is_told_once_after_ten_seconds() {
        let (mut watch, receiver) = (Watch::new(at(5)), receiver());
        assert_eq!(watch.look(at(14), receiver.counters(), true), None);
        let (seconds, reason) = watch.look(at(15), receiver.counters(), true).unwrap();
        assert!(seconds == 10 && reason.contains("no packet comes at all"), "{reason}");
        assert_eq!(watch.look(at(99), receiver.counters(), true), None);
    }

    #[test]
    fn nothing_is_told_while_nothing_is_expected() {
        let (mut watch, receiver) = (Watch::new(at(0)), receiver());
        assert_eq!(watch.look(at(60), receiver.counters(), false), None);
        assert_eq!(watch.look(at(69), receiver.counters(), true), None);
        assert!(watch.look(at(70), receiver.counters(), true).is_some());
    }

    #[test]
    fn the_cause_is_the_most_telling_drop_since_the_last_verified_packet() {
        let (mut watch, mut receiver) = (Watch::new(at(0)), receiver());
        for _ in 0..3 {
            let _ = receiver.handle_datagram(at(1), 1, &[0; 100]);
        }
        let (_, reason) = watch.look(at(10), receiver.counters(), true).unwrap();
        assert!(reason.contains("another program") && reason.contains("3 of 3 packets: version"), "{reason}");
    }
}
