//! What is on the air: whose it is, and whether this device would take it.

use fleetcast_core::session::{self, Action, Policy, RefuseReason, ResumeError};
use fleetcast_core::time::Instant;
use fleetcast_core::trust::Trust;
use fleetcast_core::wire::StatementKind;

use super::current::Statements;
use super::{Finding, Level};
use crate::config;
use crate::events::Release;
use crate::ledger::Entry;

/// Drops for this are of statements that not enough of the keys that count have signed.
const UNSIGNED: &str = "threshold";
/// Packets that may wait for a page.
const STAGING: usize = 256;
/// Releases that are told apart.
const MAX_RELEASES: usize = 8;
/// Loss from which on it is told as such: below it costs next to nothing.
const LOSS: f64 = 0.01;
/// Drops for these causes are of packets that are not of this protocol (spec §12).
const ALIEN: [&str; 7] = ["truncated", "version", "flags", "header-length", "codepoint", "toi", "statement-kind"];
/// Drops for these are of statements that verify but cannot be understood, or are not even of the form of one.
const MALFORMED: [&str; 6] = ["template", "cbor", "schema", "structure-version", "range", "geometry"];

/// Takes what is heard; nothing is stored.
#[derive(Debug)]
pub(super) struct Air {
    /// Follows whatever the device could ever take, also what it has already.
    session: session::Receiver,
    /// The device's own.
    policy: Policy,
    trusted: String,
    heard: Vec<Heard>,
    statements: Statements,
    /// Time of the last datagram.
    now: Instant,
}

/// A genuine release, and what this device says to it.
#[derive(Debug)]
struct Heard {
    sequence: u64,
    release: String,
    verdict: Result<(), ResumeError>,
}

impl Air {
    /// `policy` is the device's own.
    pub(super) fn new(trust: Trust, policy: Policy) -> Self {
        let open = Policy { installed: None, seen: None, trial: None, failed: None, ..policy.clone() };
        let keys = trust.keys_for(StatementKind::Manifest).map(|key| key.key_id().to_string());
        Self {
            trusted: keys.collect::<Vec<_>>().join(", "),
            statements: Statements::new(&trust),
            session: session::Receiver::new(session::Config {
                trust,
                policy: open,
                staging: STAGING,
                // Nothing is kept for long that a flood could displace.
                seed: 0,
            }),
            policy,
            heard: Vec::new(),
            now: Instant::default(),
        }
    }

    /// Takes the beacon that the device has kept.
    pub(super) fn restore_beacon(&mut self, statement: &[u8]) {
        // One that does not verify is none for the daemon either.
        let _ = self.session.restore_beacon(self.now, statement);
    }

    /// What there is to say of roots and beacons; `system` is the time by the system's clock.
    pub(super) fn current(&self, settings: config::Freshness, system: u64) -> Vec<Finding> {
        self.statements.findings(settings, &self.session, self.now, system)
    }

    /// Takes a datagram; `source` is a number for its sender.
    pub(super) fn take(&mut self, now: Instant, source: u64, datagram: &[u8]) {
        self.now = now;
        let unsigned = self.session.counters().dropped_for(UNSIGNED);
        let beacon = self.session.beacon().map(|beacon| (**beacon).clone());
        let mut actions = self.session.handle_datagram(now, source, datagram);
        while let Some(action) = actions.next() {
            let heard = match action {
                Action::Begin { manifest } => Heard {
                    sequence: manifest.sequence,
                    release: Release::from(manifest).to_string(),
                    verdict: self.policy.check(manifest, beacon.as_ref()).map_err(ResumeError::Refused),
                },
                Action::Refused { sequence, reason } => Heard {
                    sequence,
                    release: format!("sequence {sequence}"),
                    verdict: Err(ResumeError::Refused(reason)),
                },
                // A root or beacon says otherwise than what came before.
                Action::Abandon { sequence, reason } => {
                    let known = self.heard.iter_mut().filter(|heard| heard.sequence == sequence);
                    known.for_each(|heard| heard.verdict = Err(reason));
                    continue;
                }
                Action::Root { voids_floors: true, .. } => {
                    self.policy.void_floors();
                    continue;
                }
                _ => continue,
            };
            if self.heard.len() < MAX_RELEASES && !self.heard.iter().any(|known| known.release == heard.release) {
                self.heard.push(heard);
            }
        }
        let is_unsigned = self.session.counters().dropped_for(UNSIGNED) > unsigned;
        self.statements.note(datagram, is_unsigned);
    }

    /// What a daemon has refused of what this device would take: what its storage says is found out by trying alone.
    pub(super) fn refused_before(&self, history: &[Entry]) -> Vec<Finding> {
        let taken = self.heard.iter().filter(|heard| heard.verdict.is_ok());
        let newest = |heard: &Heard| {
            let about = |entry: &&Entry| entry.event["sequence"] == heard.sequence;
            history.iter().find(about).filter(|entry| entry.event["event"] == "refused")
        };
        let tell = |Entry { time, event }: &Entry| {
            let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
            let (sequence, reason, code) = (&event["sequence"], text("reason"), text("code"));
            let seen = format!("the daemon refused sequence {sequence}: {reason} ({code}), at Unix time {time}");
            Finding::new(Level::Warning, "refused-before", seen)
                .advice("see to that; it is tried again ten minutes later, or when the daemon is restarted")
        };
        taken.filter_map(newest).map(tell).collect()
    }

    /// What there is to say of all that came.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let counters = self.session.counters();
        let dropped = |codes: &[&str]| codes.iter().map(|code| counters.dropped_for(code)).sum::<u64>();
        let (came, alien, unknown) = (counters.datagrams, dropped(&ALIEN), self.statements.unsigned_manifests());
        let is_for_us = |heard: &&Heard| {
            matches!(heard.verdict, Ok(()) | Err(ResumeError::Refused(RefuseReason::Installed { .. })))
        };
        let has_ours = self.heard.iter().any(|heard| is_for_us(&heard));
        let unless_ours = |level| if has_ours { Level::Note } else { level };
        let mut findings = Vec::new();
        if alien > 0 {
            let seen = format!("{alien} of {came} packets are not Fleetcast's");
            let level = if alien == came { Level::Wrong } else { Level::Warning };
            findings.push(Finding::new(level, "not-fleetcast", seen).advice(
                "another program sends to the same group and port: give one of both another, or name the sender by `source`",
            ));
        }
        if unknown > 0 {
            let seen =
                format!("{unknown} manifests came that not enough of the trusted keys have signed: {}", self.trusted);
            findings.push(Finding::new(unless_ours(Level::Refused), "unknown-key", seen).advice(
                "compare with the key ids of the release (`fleetcast-sign inspect`); put the right public key into `trust`",
            ));
        }
        let malformed = dropped(&MALFORMED);
        if malformed > 0 {
            let seen = format!("{malformed} statements came that this program does not understand");
            findings.push(
                Finding::new(unless_ours(Level::Refused), "malformed", seen)
                    .advice("the sender may be of a newer version: update this program by other means"),
            );
        }
        if self.heard.is_empty() && unknown + malformed == 0 && alien < came {
            let seen = format!("{came} packets came, but no manifest among them");
            findings.push(Finding::new(Level::Wrong, "no-manifest", seen).advice(
                "one is sent every second: listen longer (`--for`); if it stays so, packets of that size get lost on the way",
            ));
        }
        findings.extend(self.heard.iter().map(|Heard { release, verdict, .. }| match verdict {
            Ok(()) => Finding::new(Level::Ok, "release", format_args!("{release} is sent, and this device takes it")),
            Err(ResumeError::Refused(RefuseReason::Installed { .. })) => {
                Finding::new(Level::Ok, "installed", format_args!("{release} is sent, and is installed already"))
            }
            Err(reason) => {
                let (seen, advice) = match reason {
                    ResumeError::Refused(reason) => {
                        (format!("{release} is genuine, but not for this device: {reason}"), advice(*reason))
                    }
                    ResumeError::Statement(reason) => (
                        format!("{release} is not genuine by the root that has come: {reason}"),
                        "sign the release with keys of the newest root",
                    ),
                };
                Finding::new(unless_ours(Level::Refused), reason.code(), seen).advice(advice)
            }
        }));
        findings.extend(self.session.manifest().map(|_| self.loss()));
        findings
    }

    fn loss(&self) -> Finding {
        let loss = self.session.loss();
        let seen = format!("{:.1} % of the packets did not arrive", loss * 100.0);
        if loss < LOSS {
            return Finding::new(Level::Ok, "loss", seen);
        }
        Finding::new(
            Level::Warning,
            "loss",
            format_args!("{seen}: an update takes {:.1} times as long", 1.0 / (1.0 - loss)),
        )
        .advice("see to the link, or send more slowly; also see `kernel-drops` and `receive-buffer`, if told")
    }
}

fn advice(reason: RefuseReason) -> &'static str {
    match reason {
        RefuseReason::Vendor | RefuseReason::Class | RefuseReason::Hardware { .. } => {
            "compare `vendor`, `classes` and `hardware` with `fleetcast-sign inspect`; or the release is for other devices"
        }
        RefuseReason::Rollback { .. } | RefuseReason::SecurityVersion { .. } => {
            "an old release is never taken again: sign it anew with a higher sequence"
        }
        RefuseReason::Target { .. } | RefuseReason::Size { .. } => "compare the targets with `fleetcast-sign inspect`",
        RefuseReason::PacketSize { .. } => "raise `max-packet`, or sign the release for smaller packets",
        RefuseReason::Trial { .. } => "commit the release on trial, or roll it back",
        RefuseReason::RolledBack { .. } => "sign what is to be tried again anew, with a higher sequence",
        _ => {
            "see `fleetcast-recv status` for what is installed, and `fleetcast-sign inspect` for what the release asks"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stall::tests::nobody;

    /// Levels and codes of what is said about these packets.
    fn findings(packets: &[&[u8]]) -> Vec<(Level, &'static str)> {
        let (trust, policy) = nobody();
        let mut air = Air::new(trust, policy);
        for packet in packets {
            air.take(Instant::from_micros(0), 1, packet);
        }
        air.findings().iter().map(|finding| (finding.level, finding.code)).collect()
    }

    /// A packet by its header: version, flags and length of it, and the code point; no count, session, object or place.
    fn packet(codepoint: u8) -> [u8; 100] {
        let mut packet = [0; 100];
        packet[..4].copy_from_slice(&[0x10, 0xA0, 4, codepoint]);
        packet
    }

    #[test]
    fn what_is_of_another_protocol_or_version_is_told_apart() {
        assert_eq!(findings(&[&[7; 100], &[]]), [(Level::Wrong, "not-fleetcast")]);
        assert_eq!(findings(&[&packet(0)]), [(Level::Refused, "malformed")]);
        let mut chunk = packet(3);
        chunk[15] = 1;
        assert_eq!(findings(&[&chunk]), [(Level::Wrong, "no-manifest")]);
        assert_eq!(findings(&[&[7; 100], &chunk]), [(Level::Warning, "not-fleetcast"), (Level::Wrong, "no-manifest")]);
    }
}
