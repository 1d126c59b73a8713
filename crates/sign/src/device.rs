//! What a device would do with a release, and why: its settings and state from a profile, decided by the code of the device.

mod profile;

use std::fmt;

use fleetcast_core::freshness::{Freshness, LISTEN, Verdict as Heard, Watch};
use fleetcast_core::manifest::{Manifest, Uuid};
use fleetcast_core::session::{Mark, Policy, Wave};
use fleetcast_core::time::Instant;
use fleetcast_core::trust::{StatementError, Trust, Verified, verify};
use serde::Serialize;

pub use profile::{Profile, ProfileError};

use crate::time;

/// A device at some time.
#[derive(Clone, Debug)]
pub struct Device {
    trust: Trust,
    policy: Policy,
    watch: Watch,
    /// Whether the device's place in waves is known.
    has_wave: bool,
    ignore_waves: bool,
    install_when_stale: bool,
    /// Sequence of the highest release seen, whose manifest is not known.
    seen: Option<u64>,
    /// Seconds of Unix time.
    time: u64,
}

/// What a device does with a release.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// What it does.
    pub verdict: Does,
    /// The word for why it does not install, if it does not.
    pub code: Option<&'static str>,
    /// Why.
    pub why: String,
    /// Unix time from which on it installs; null if at once, or never.
    pub from: Option<u64>,
    /// Unix time it was asked for.
    pub time: u64,
    /// Version of its root; 0 for keys alone.
    pub root: u16,
    /// Whether it knows what is current: off, waiting, fresh, behind, stale.
    pub freshness: &'static str,
}

/// What a device does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Does {
    /// Receives and installs it.
    Installs,
    /// Receives it, and installs it later.
    InstallsLater,
    /// Receives it, and does not install it while things are as they are.
    Holds,
    /// Does not take it.
    Refuses,
}

impl Device {
    /// It hears the root that follows.
    ///
    /// # Errors
    ///
    /// [`RootRefusal`] if it does not take it.
    ///
    /// Spec §17 \[K-6, K-8, K-9\].
    pub fn hear_root(&mut self, statement: &[u8]) -> Result<(), RootRefusal> {
        let mut trust = self.trust.clone();
        let step = trust.step(statement)?;
        if !is_of(&trust, self.policy.vendor) {
            return Err(RootRefusal::Vendor);
        }
        self.trust = trust;
        if step.voids_floors {
            self.policy.void_floors();
            self.seen = None;
        }
        self.watch.follow(Instant::default(), &self.trust);
        Ok(())
    }

    /// It hears a beacon. One that is not later than the newest it has does nothing.
    ///
    /// # Errors
    ///
    /// [`StatementError`] if it does not take it.
    pub fn hear_beacon(&mut self, statement: &[u8]) -> Result<Heard, StatementError> {
        let beacon = verify(statement, &self.trust)?;
        Ok(self.watch.hear(Instant::default(), beacon))
    }

    /// Whose statements count for it.
    #[must_use]
    pub const fn trust(&self) -> &Trust {
        &self.trust
    }

    /// What it does with a release that verifies by its [`trust`](Self::trust).
    ///
    /// It is taken to be on for long enough to have heard what there is to hear, and to know the time.
    ///
    /// Spec §4 \[M-4, M-10\], §18 \[B-4, B-7, B-8\].
    #[must_use]
    pub fn judge(&self, manifest: &Verified<Manifest>) -> Verdict {
        let now = Instant::default().after(LISTEN);
        let freshness = self.watch.state(now, Some(self.time), &self.trust);
        let verdict = |verdict, code, why, from| Verdict {
            verdict,
            code,
            why,
            from,
            time: self.time,
            root: self.trust.version(),
            freshness: freshness.code(),
        };
        let beacon = self.watch.newest().map(|beacon| &**beacon);
        if let Err(reason) = self.policy(manifest).check(manifest, beacon) {
            return verdict(Does::Refuses, Some(reason.code()), reason.to_string(), None);
        }
        if let Some(why) = self.hold(freshness) {
            return verdict(Does::Holds, Some(freshness.code()), why, None);
        }
        // Those of the first wave, where its place is not known.
        let from = manifest.not_before(self.policy.wave.number(manifest.sequence)).unwrap_or_default();
        let last = manifest.waves.last().filter(|last| !self.has_wave && last.time > from);
        let rest = last.map(|last| format!(", and others of its kind up to {}", time::text(last.time)));
        if !self.ignore_waves && from > self.time.max(self.watch.clock(now)) {
            let why = format!("its wave begins then{}", rest.unwrap_or_default());
            return verdict(Does::InstallsLater, None, why, Some(from));
        }
        verdict(Does::Installs, None, rest.map_or(String::new(), |rest| format!("at once{rest}")), None)
    }

    /// Why it does not install what it has received.
    fn hold(&self, freshness: Freshness) -> Option<String> {
        match freshness {
            Freshness::Off | Freshness::Fresh { .. } => None,
            Freshness::Stale { .. } if self.install_when_stale => None,
            Freshness::Stale { until } => {
                Some(format!("the newest beacon held until {}; it must hear a later one", time::text(until)))
            }
            Freshness::Waiting => Some("it must hear a beacon that says what is current".into()),
            Freshness::Behind { root } => {
                Some(format!("there is a root {root}, and it has {}; it must hear those between", self.trust.version()))
            }
        }
    }

    fn policy(&self, manifest: &Verified<Manifest>) -> Policy {
        let mut policy = self.policy.clone();
        if let Some(sequence) = self.seen {
            // Which manifest that was is not known: this one, unless it is another number.
            policy.seen = Some(Mark { sequence, digest: *manifest.payload_digest() });
        }
        if !self.has_wave {
            policy.wave = Wave::Fixed(0);
        }
        policy
    }
}

/// Why a device does not take a root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RootRefusal {
    /// It does not follow.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// The first root of a device that has keys alone is another vendor's \[K-8\].
    #[error("it is another vendor's")]
    Vendor,
}

impl RootRefusal {
    /// Stable word for this reason.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Statement(error) => error.code(),
            Self::Vendor => "vendor",
        }
    }
}

/// Whether the root that is trusted, if there is one, is of this vendor.
fn is_of(trust: &Trust, vendor: Uuid) -> bool {
    trust.root().is_none_or(|root| root.vendor == vendor)
}

impl Verdict {
    /// Whether it installs it, at once or later.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        matches!(self.verdict, Does::Installs | Does::InstallsLater)
    }
}

impl Verdict {
    /// What the reader can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self.code.unwrap_or_default() {
            "rollback" | "security-version" | "superseded" | "equivocation" | "rolled-back" => {
                "make the release again with a higher --sequence, and a --security-version that is not lower"
            }
            "far-jump" => "number releases with smaller steps",
            "installed" => "there is nothing to do",
            "trial" => "the device must commit the release on trial, or roll it back",
            "from" => "send a release first that this device takes, and that --from of this one lets through",
            "wave" => "make the release again with a last wave of 100 percent",
            "stale" | "waiting" => "give the beacon that is sent: --beacon",
            "behind" => "give the roots that are sent: --root",
            _ => "compare the profile with `fleetcast-sign inspect`",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code.unwrap_or_default();
        match (self.verdict, self.from) {
            (Does::Installs, _) if self.why.is_empty() => write!(f, "installs it"),
            (Does::Installs, _) => write!(f, "installs it: {}", self.why),
            (Does::InstallsLater, from) => {
                write!(f, "installs it from {} on: {}", time::text(from.unwrap_or_default()), self.why)
            }
            (Does::Holds, _) => write!(f, "receives it and does not install it ({code}): {}", self.why),
            (Does::Refuses, _) => write!(f, "refuses it ({code}): {}", self.why),
        }
    }
}
