//! What is wrong with the reception of a device, in the order in which one would look.
//!
//! | module | looks at |
//! | --- | --- |
//! | `host` | interfaces, and what the kernel and other programs do about the groups |
//! | `tables` | the kernel's tables in `/proc/net` |
//! | `listen` | joins as the daemon does, and hears for a while |
//! | `air` | what was heard: whose it is, and whether this device would take it |
//! | `current` | roots and beacons among it |
//!
//! Nothing of a daemon is touched: the device record is only read, and memberships are of sockets of its own.
//!
//! | what is told of | codes |
//! | --- | --- |
//! | settings and state | `settings`, `record` |
//! | the domain, if there is one | `discovered`, else the word for why not (`dns-...`) |
//! | an interface | `interface` if it is good, `interface-unknown`, `interface-down`, `interface-carrier`, `interface-multicast` |
//! | other programs | `joined`, `not-joined`, `port-shared`, `port-taken` |
//! | the kernel | `igmp-version`, `mld-version`, `join-limit`, `join-socket`, `receive-buffer`, `kernel-drops`, `overlong` |
//! | a group | `heard`, `no-packets`, `other-source`, `rp-filter` |
//! | packets | `not-fleetcast`, `no-manifest`, `malformed`, `unknown-key`, `loss` |
//! | roots | `root`, `roots-set-aside`, `root-followed`, `root-missing`, `unknown-root-key` |
//! | beacons, if the root has any | `beacon` if the newest holds, `no-beacon`, `beacon-stale`, `unknown-beacon-key` |
//! | a release | `release` if this device takes it, `refused-before` if a daemon did not, `installed`, else the word for why not (spec §12) |

mod air;
mod current;
mod host;
mod listen;
mod tables;

use std::fmt;
use std::time::Duration;

use fleetcast_cli::{CommandError, ErrorKind};
use fleetcast_core::trust::Trust;
use fleetcast_install::record::Record;
use fleetcast_install::{Loaded, RealFs, load};
use serde::Serialize;

use crate::config::{Config, ConfigError};
use crate::device;
use crate::discovery::{self, Place};
use crate::trusted::RootFacts;

/// How bad a finding is, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Level {
    /// As it should be.
    Ok,
    /// Worth knowing; it need not be wrong.
    Note,
    /// Updates arrive, but slower than they could, or not always.
    Warning,
    /// Genuine or not, what is sent is not for this device as it is set up.
    Refused,
    /// No update can arrive.
    Wrong,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Finding {
    pub(crate) level: Level,
    /// A stable word for it.
    pub(crate) code: &'static str,
    /// What was seen.
    pub(crate) seen: String,
    /// What to do about it.
    #[serde(rename = "do")]
    pub(crate) advice: Option<String>,
}

impl Finding {
    fn new(level: Level, code: &'static str, seen: impl fmt::Display) -> Self {
        Self { level, code, seen: seen.to_string(), advice: None }
    }

    fn advice(self, advice: impl fmt::Display) -> Self {
        Self { advice: Some(advice.to_string()), ..self }
    }
}

/// All findings, in the order in which one would look.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    v: u8,
    verdict: Level,
    findings: Vec<Finding>,
}

impl Report {
    fn new(findings: Vec<Finding>) -> Self {
        let verdict = findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok);
        Self { v: 1, verdict, findings }
    }

    /// That of settings that cannot be used.
    pub(crate) fn of_settings(error: &ConfigError) -> Self {
        let wrong = Finding::new(Level::Wrong, "settings", error);
        let hint = error.hint.clone().unwrap_or_else(|| "correct it; examples/recv.toml explains every setting".into());
        Self::new(vec![wrong.advice(hint)])
    }

    /// What the exit code tells.
    pub(crate) fn conclude(&self) -> Result<(), CommandError> {
        let codes = |level| {
            let codes: Vec<_> = self.findings.iter().filter(|f| f.level == level).map(|f| f.code).collect();
            codes.join(", ")
        };
        match self.verdict {
            Level::Wrong => Err(CommandError::failed(format!("no update can arrive: {}", codes(Level::Wrong)))),
            Level::Refused => {
                let what = format!("what is sent is refused: {}", codes(Level::Refused));
                Err(CommandError::new(ErrorKind::Refused, what))
            }
            Level::Ok | Level::Note | Level::Warning => Ok(()),
        }
    }
}

/// Two lines a finding: what was seen, and what to do.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Finding { level, code, seen, advice } in &self.findings {
            let level = match level {
                Level::Ok => "ok",
                Level::Note => "note",
                Level::Warning => "warning",
                Level::Refused => "refused",
                Level::Wrong => "wrong",
            };
            writeln!(f, "{level:<8} {code:<20} {seen}")?;
            if let Some(advice) = advice {
                writeln!(f, "{:<29} -> {advice}", "")?;
            }
        }
        Ok(())
    }
}

/// Looks at everything, and listens for `time`.
///
/// # Panics
///
/// Outside a tokio runtime with I/O and time enabled.
pub(crate) async fn examine(config: &Config, time: Duration) -> Report {
    let mut findings = vec![Finding::new(Level::Ok, "settings", "the settings are good")];
    let config = &discovered(config, &mut findings).await;
    let record = record(config, &mut findings);
    let trust = trust(config, &record, &mut findings);
    let interfaces = host::interfaces(config, &mut findings);
    if interfaces.is_empty() || config.feeds.is_empty() {
        return Report::new(findings);
    }
    host::memberships(config, &interfaces, &mut findings);
    Box::pin(listen::listen(config, (trust, &record), &interfaces, time, &mut findings)).await;
    Report::new(findings)
}

/// The settings, with the groups of the first priority that DNS names.
async fn discovered(config: &Config, findings: &mut Vec<Finding>) -> Config {
    let mut config = config.clone();
    let Some(discover) = &config.discover else { return config };
    match discovery::ask(discover).await {
        Ok((mut priorities, _)) if !priorities.is_empty() => {
            let feeds = priorities.swap_remove(0);
            let places: Vec<_> = feeds.iter().map(|feed| Place::from(feed).to_string()).collect();
            let seen = format_args!("{} names {}", discover.domain, places.join("; "));
            findings.push(Finding::new(Level::Ok, "discovered", seen));
            config.feeds = discovery::beside(&config.feeds, feeds);
        }
        Ok(_) => {
            let level = if config.feeds.is_empty() { Level::Wrong } else { Level::Note };
            findings.push(Finding::new(level, "discovered", format_args!("{} has no sender", discover.domain)));
        }
        Err(error) => {
            // The daemon may remember what DNS does not say.
            let level = if config.feeds.is_empty() { Level::Wrong } else { Level::Warning };
            let advice = "correct the zone (section 15 of the protocol), or see that a name server can be reached";
            findings.push(Finding::new(level, error.code(), &error).advice(advice));
        }
    }
    config
}

/// Whose statements count, by the roots that the device has followed.
fn trust(config: &Config, record: &Record, findings: &mut Vec<Finding>) -> Trust {
    let chain = match device::Chain::walk(&RealFs, config) {
        Ok(chain) => chain,
        Err(fault) => {
            findings.push(Finding::new(Level::Wrong, fault.code(), fault).advice("see to the state folder"));
            return config.trust.clone();
        }
    };
    if let Some(reason) = &chain.broken {
        let seen = format_args!("the roots that were kept cannot all be followed: {reason}");
        findings.push(
            Finding::new(Level::Warning, "roots-set-aside", seen).advice("they have to come again from a sender"),
        );
    }
    let version = chain.trust.version();
    if version < record.root {
        let seen = format_args!("this device has followed root {}, and knows no more than root {version}", record.root);
        let advice = "nothing is installed until the others have come again: send them (`fleetcast-send run --root`); or \
                      remove the state folder, if the device is to trust others from now on";
        findings.push(Finding::new(Level::Wrong, "root-missing", seen).advice(advice));
    } else if version > 0 {
        findings.push(Finding::new(Level::Ok, "root", RootFacts::from(&chain.trust)));
    }
    chain.trust
}

/// The device record; that of a new device if there is none.
fn record(config: &Config, findings: &mut Vec<Finding>) -> Record {
    let place = config.state.display();
    let unreadable = |reason: &dyn fmt::Display| {
        Finding::new(Level::Wrong, "record", format_args!("the device record in {place} cannot be read: {reason}"))
            .advice("restore it, or remove it to let this device accept any release again")
    };
    match load(&RealFs, &config.state) {
        Ok(Loaded::Ok(record)) => return *record,
        Ok(Loaded::Missing) => {}
        Ok(Loaded::Unreadable { reason }) => findings.push(unreadable(&reason)),
        Err(fault) => findings.push(unreadable(&fault)),
    }
    Record::default()
}
