//! Roots and beacons on the air.

use fleetcast_core::freshness::Freshness;
use fleetcast_core::session::Receiver;
use fleetcast_core::time::Instant;
use fleetcast_core::trust::Trust;
use fleetcast_core::wire::{Object, Packet, StatementKind};

use super::{Finding, Level};
use crate::config;

/// What came of each kind of statement.
#[derive(Debug)]
pub(super) struct Statements {
    /// The root that was known before.
    before: u16,
    /// Beacons, whoever signed them.
    beacons: u64,
    /// Those that not enough of the keys that count have signed: manifests, roots, beacons.
    unsigned: [u64; 3],
}

impl Statements {
    pub(super) fn new(trust: &Trust) -> Self {
        Self { before: trust.version(), beacons: 0, unsigned: [0; 3] }
    }

    /// Takes a datagram, and whether it was found not to be signed as it must be.
    pub(super) fn note(&mut self, datagram: &[u8], is_unsigned: bool) {
        let Ok(Packet { header, .. }) = Packet::decode(datagram) else { return };
        let Object::Statement { kind, .. } = header.object else { return };
        self.beacons += u64::from(kind == StatementKind::Beacon);
        let [manifests, roots, beacons] = &mut self.unsigned;
        let count = match kind {
            StatementKind::Manifest => manifests,
            StatementKind::Root => roots,
            StatementKind::Beacon => beacons,
        };
        *count += u64::from(is_unsigned);
    }

    pub(super) const fn unsigned_manifests(&self) -> u64 {
        let [manifests, ..] = self.unsigned;
        manifests
    }

    /// What there is to say. `session` has taken what came, the last at `now`, which the system's clock calls `system`.
    pub(super) fn findings(
        &self,
        settings: config::Freshness,
        session: &Receiver,
        now: Instant,
        system: u64,
    ) -> Vec<Finding> {
        let [_, roots, beacons] = self.unsigned;
        let known = session.trust().version();
        let mut findings = Vec::new();
        if known > self.before {
            let seen = format_args!("roots up to version {known} are sent; this device has followed {}", self.before);
            findings.push(Finding::new(Level::Ok, "root-followed", seen));
        }
        if roots > 0 {
            let seen = format_args!("root {} is sent, but this device's root keys have not signed it", known + 1);
            findings.push(Finding::new(Level::Warning, "unknown-root-key", seen).advice(
                "each root must be signed as the one before it says, and as it says itself (`fleetcast-sign root show`); or \
                 this device was made with another root: compare with `fleetcast-recv status --config`",
            ));
        }
        if session.trust().beacon_role().is_none() {
            return findings;
        }
        if beacons > 0 {
            let seen = format_args!("{beacons} beacons came that not enough of the root's beacon keys have signed");
            findings.push(
                Finding::new(Level::Warning, "unknown-beacon-key", seen)
                    .advice("sign beacons with the keys that the newest root names (`fleetcast-sign root show`)"),
            );
        }
        findings.push(self.freshness(settings, session, now, system));
        findings
    }

    fn freshness(&self, settings: config::Freshness, session: &Receiver, now: Instant, system: u64) -> Finding {
        let trusted = settings.trust_clock.then_some(system);
        // Without beacons a device becomes stale, and holds releases.
        let level = if settings.install_when_stale { Level::Warning } else { Level::Wrong };
        match session.freshness(now, trusted) {
            Freshness::Behind { root } => {
                let seen = format_args!(
                    "the newest beacon names root {root}, and root {} is known",
                    session.trust().version()
                );
                Finding::new(Level::Warning, "root-missing", seen).advice(
                    "roots are sent about once a minute: listen longer (`--for 2min`); if it stays so, send them \
                     (`fleetcast-send run --root`): nothing is installed until then",
                )
            }
            Freshness::Stale { until } if self.beacons > 0 => {
                let seen = format_args!("the newest beacon held until Unix time {until}: that is past");
                Finding::new(level, "beacon-stale", seen).advice(
                    "sign a new one (`fleetcast-sign beacon`) and see that a timer does so again and again; if one does, what is \
                     heard here is a recording; and see that `built`, or the clock with `trust-clock`, is not ahead",
                )
            }
            _ if self.beacons == 0 => {
                let seen = "the root has beacons, but none came";
                Finding::new(level, "no-beacon", seen).advice(
                    "one is sent every five seconds, with `fleetcast-send run --beacon`: without, releases are held back as \
                     stale after five minutes, unless `install-when-stale` is set",
                )
            }
            _ => match session.beacon() {
                // A daemon that has run for longer than this may know by its own clock.
                Some(beacon) if beacon.until < system => {
                    let until = beacon.until;
                    let seen = format_args!(
                        "the newest beacon held until Unix time {until}: that is past by the clock of this device, which says \
                         {system}"
                    );
                    Finding::new(Level::Warning, "beacon-stale", seen).advice(
                        "if the clock is right, sign a new one (`fleetcast-sign beacon`) and see that a timer does so again and \
                         again; a daemon that has run for so long is stale",
                    )
                }
                Some(beacon) => {
                    let seen = format_args!("the newest beacon holds until Unix time {}", beacon.until);
                    Finding::new(Level::Ok, "beacon", seen)
                }
                None => Finding::new(level, "no-beacon", "beacons came, but none of them counts"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use fleetcast_core::wire::{Header, Tsi};
    use fleetcast_netlab::authority::{beacon, root, signed_root, trust};
    use fleetcast_netlab::release::policy;

    use super::super::air::Air;
    use super::*;

    fn packet(kind: StatementKind, number: u16, statement: &[u8]) -> Vec<u8> {
        let header = Header { layer: 0, count: 0, tsi: Tsi([0; 4]), object: Object::Statement { kind, number } };
        [&header.encode()[..], statement].concat()
    }

    /// What is said of roots and beacons that a device with root 1 hears, once they have come for some seconds.
    fn findings(settings: config::Freshness, packets: &[Vec<u8>]) -> Vec<(Level, &'static str)> {
        findings_at(1_700_000_110, settings, packets)
    }

    fn findings_at(system: u64, settings: config::Freshness, packets: &[Vec<u8>]) -> Vec<(Level, &'static str)> {
        let mut air = Air::new(trust(&root(1, &["r"], &["release"], &["b"]), &["r"]), policy());
        for second in [0, 20] {
            for packet in packets {
                air.take(Instant::from_micros(second * 1_000_000), 1, packet);
            }
        }
        air.current(settings, system).iter().map(|finding| (finding.level, finding.code)).collect()
    }

    #[test]
    fn roots_and_beacons_on_the_air_are_told_apart() {
        let strict = config::Freshness::default();
        let lax = config::Freshness { install_when_stale: true, ..strict };
        let beacon =
            |root, issued, names: &[&str]| packet(StatementKind::Beacon, 0, &beacon(root, issued, (5, [1; 32]), names));
        let next = |names: &[&str]| {
            packet(StatementKind::Root, 2, &signed_root(&root(2, &["r"], &["release"], &["b"]), names))
        };
        let good = beacon(1, 1_700_000_100, &["b"]);
        assert_eq!(findings(strict, &[]), [(Level::Wrong, "no-beacon")]);
        assert_eq!(findings(lax, &[]), [(Level::Warning, "no-beacon")]);
        assert_eq!(findings(strict, std::slice::from_ref(&good)), [(Level::Ok, "beacon")]);
        assert_eq!(
            findings(strict, &[next(&["r"]), good.clone()]),
            [(Level::Ok, "root-followed"), (Level::Ok, "beacon")]
        );
        assert_eq!(
            findings(strict, &[next(&["thief"]), good.clone()]),
            [(Level::Warning, "unknown-root-key"), (Level::Ok, "beacon")]
        );
        assert_eq!(findings(strict, &[beacon(2, 1_700_000_100, &["b"])]), [(Level::Warning, "root-missing")]);
        assert_eq!(
            findings(strict, &[beacon(1, 1_700_000_100, &["thief"])]),
            [(Level::Warning, "unknown-beacon-key"), (Level::Wrong, "no-beacon")]
        );
        // Before the root was made.
        assert_eq!(findings(strict, &[beacon(1, 1_600_000_000, &["b"])]), [(Level::Wrong, "beacon-stale")]);
        let by_clock = config::Freshness { trust_clock: true, ..strict };
        assert_eq!(findings(by_clock, std::slice::from_ref(&good)), [(Level::Ok, "beacon")]);
        let later = |settings| findings_at(1_900_000_000, settings, std::slice::from_ref(&good));
        assert_eq!(later(by_clock), [(Level::Wrong, "beacon-stale")]);
        // A clock that is not trusted decides nothing, but is worth a look.
        assert_eq!(later(strict), [(Level::Warning, "beacon-stale")]);
    }
}
