//! Whether what the device knows is current, and what follows from it: see [`fleetcast_core::freshness`].

use std::time::Duration;

use fleetcast_core::freshness::{Freshness, Watch};
use fleetcast_core::time::Instant;
use fleetcast_core::trust::verify;
use fleetcast_install::{Disk, Fault, Record};

use super::{Chain, Device, Tell, beacon};
use crate::config::Config;
use crate::events::Event;
use crate::trusted::Trusted;

/// Time between two looks at what keeps a release from being installed.
const LOOK: Duration = Duration::from_secs(1);
/// For how long a device must have been stale or behind until the hook is told: while keys are replaced it may be so for as long as
/// the next root and beacon take to come.
const GRACE: Duration = Duration::from_mins(1);
/// An install in spite of an expired beacon was told.
const TOLD_STALE: &str = "install-when-stale";

impl<D: Disk> Device<D> {
    /// Whether what is known is current, as of the last input.
    #[must_use]
    pub fn freshness(&self) -> Freshness {
        let system = self.unix.filter(|_| self.config.freshness.trust_clock);
        lost(self.keeper.record(), self.receiver.trust().version())
            .unwrap_or_else(|| self.receiver.freshness(self.now, system))
    }

    /// What is trusted, and known to be current, to be shown.
    #[must_use]
    pub fn trusted(&self) -> Trusted {
        let (receiver, classes) = (&self.receiver, &self.config.classes);
        let beacon = receiver.beacon().map(|beacon| &**beacon);
        Trusted::new(receiver.trust(), beacon, classes, self.freshness(), receiver.clock(self.now))
    }

    /// Tells what has changed; and the hook, once it has been bad for a while.
    pub(super) fn look_at_freshness(&mut self, tell: Tell<'_>) {
        let freshness = self.freshness();
        let root = self.receiver.trust().version();
        let until = self.receiver.beacon().map(|beacon| beacon.until);
        let newest_root = if let Freshness::Behind { root } = freshness { root } else { root };
        if std::mem::replace(&mut self.told_freshness, freshness.code()) != freshness.code() {
            tell(Event::Freshness { state: freshness.code(), until, root, newest_root });
            let is_bad = matches!(freshness, Freshness::Stale { .. } | Freshness::Behind { .. });
            self.hook_due = is_bad.then(|| self.now.after(GRACE));
        }
        if self.hook_due.is_some_and(|due| self.now >= due) {
            self.hook_due = None;
            let environment = [
                ("FLEETCAST_FRESHNESS", freshness.code().into()),
                ("FLEETCAST_UNTIL", until.unwrap_or_default().to_string()),
                ("FLEETCAST_ROOT", root.to_string()),
                ("FLEETCAST_NEWEST_ROOT", newest_root.to_string()),
            ];
            self.keeper.call_on_stale(&environment, tell);
        }
    }

    /// Whether the time has come for the complete release \[M-10\], by whichever clock is ahead, and what is known is current
    /// \[B-8\]. What is not is looked at again.
    pub(super) fn is_due(&mut self, tell: Tell<'_>) -> bool {
        let time = self.receiver.not_before().unwrap_or_default();
        let clock = self.unix.unwrap_or_default().max(self.receiver.clock(self.now));
        if !self.config.ignore_waves && clock < time {
            self.tell_held("wave", time - clock, tell);
            self.not_before = Some(self.now.after(LOOK));
            return false;
        }
        match self.freshness() {
            Freshness::Off | Freshness::Fresh { .. } => true,
            Freshness::Stale { .. } if self.config.freshness.install_when_stale => {
                if self.held.replace(TOLD_STALE) != Some(TOLD_STALE) {
                    let reason = "no beacon tells whether the release is current; it is installed all the same, as \
                                  `install-when-stale` says";
                    tell(Event::Warning { code: "installing-stale", reason: reason.into() });
                }
                true
            }
            freshness => {
                self.tell_held(freshness.code(), LOOK.as_secs(), tell);
                self.not_before = Some(self.now.after(LOOK));
                false
            }
        }
    }

    /// Tells why the complete release is not installed yet, once.
    fn tell_held(&mut self, code: &'static str, seconds: u64, tell: Tell<'_>) {
        // Before the first look, the device's clock may know better.
        if self.unix.is_some() && self.held.replace(code) != Some(code) {
            tell(Event::Waiting { seconds, code });
        }
    }
}

/// Roots that were followed, and are lost, may have revoked keys that count again without them.
fn lost(record: &Record, known: u16) -> Option<Freshness> {
    (record.root > known).then_some(Freshness::Behind { root: record.root })
}

/// What a device trusts and knows that does not run: as it will find it at its next start.
pub(crate) fn trusted_at_rest<D: Disk>(
    disk: &D,
    config: &Config,
    record: &Record,
    unix: u64,
) -> Result<Trusted, Fault> {
    let (trust, now) = (Chain::walk(disk, config)?.trust, Instant::default());
    let mut watch = Watch::new(now, config.built, &trust);
    if let Some(beacon) = beacon::kept(disk, &config.state)?
        && let Ok(beacon) = verify(&beacon, &trust)
    {
        watch.restore(now, beacon);
    }
    let state = || watch.state(now, config.freshness.trust_clock.then_some(unix), &trust);
    let freshness = lost(record, trust.version()).unwrap_or_else(state);
    let newest = watch.newest().map(|beacon| &**beacon);
    Ok(Trusted::new(&trust, newest, &config.classes, freshness, watch.clock(now)))
}
