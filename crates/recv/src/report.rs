//! Device reports: what became of a release is told to a web server that the settings name, and to nobody without them.
//!
//! In the form of hawkBit's Direct Device Integration API, version 1 (`DdiActionFeedback`): `POST
//! URL/controller/v1/ID/deploymentBase/SEQUENCE/feedback`. Of what came from the network only the sequence number, version and
//! digest of a verified release are in it.
//!
//! What is to be told follows from the device record, and what was told is kept in the state folder: a report survives a
//! restart, and is made once. `Plan` is pure; a thread of its own asks the server, so nothing waits for it.

mod client;

use std::path::{Path, PathBuf};
use std::time::Duration;

use fleetcast_core::time::Instant;
use fleetcast_install::record::Phase;
use fleetcast_install::{RealFs, Record, ReleaseId, durable};
use serde::{Deserialize, Serialize};

use crate::config::Server;
use crate::events::Event;
use crate::repair::FetchError;
pub(crate) use client::Client;

/// Name of the file in the state folder.
pub(crate) const REPORTED: &str = "reported";
/// Most octets of it.
const MAX_FILE: u32 = 4 << 10;
/// Times that a report is tried until the next start.
const MAX_TRIES: u32 = 10;
/// Least and most time between two of them.
const PAUSE: Duration = Duration::from_mins(1);
const LONGEST: Duration = Duration::from_hours(24);

/// Whom to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The folder of the server: its tenant.
    pub server: Server,
    /// The name of the device there.
    pub id: String,
    /// A file with the value of the header `Authorization`.
    pub token: Option<PathBuf>,
    /// A report waits for a random part of this time.
    pub delay: Duration,
    /// Time that a request may take.
    pub timeout: Duration,
    /// Certificates of who may vouch for a server that is asked by TLS.
    pub ca: PathBuf,
}

/// What became of a release.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct Report {
    what: What,
    sequence: u64,
    version: String,
    /// SHA-256 of the manifest payload, hexadecimal.
    manifest: String,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum What {
    OnTrial,
    Installed,
    GivenUp,
}

impl Report {
    fn new(what: What, release: &ReleaseId) -> Self {
        let (version, manifest) = (release.version.clone(), release.manifest_hex());
        Self { what, sequence: release.sequence, version, manifest }
    }

    /// What there is to tell of a device; nothing while an install is under way.
    fn of(record: &Record) -> Option<Self> {
        let installed = record.installed.as_ref();
        match &record.phase {
            Phase::Trial(trial) => Some(Self::new(What::OnTrial, &trial.release)),
            Phase::Idle => match &record.failed {
                Some(failed) if installed.is_none_or(|release| release.sequence < failed.release.sequence) => {
                    Some(Self::new(What::GivenUp, &failed.release))
                }
                _ => installed.map(|release| Self::new(What::Installed, release)),
            },
            Phase::Installing(_) | Phase::Switching(_) | Phase::Returning(..) => None,
        }
    }

    fn path(&self, id: &str) -> String {
        format!("/controller/v1/{id}/deploymentBase/{}/feedback", self.sequence)
    }

    fn json(&self) -> String {
        let (execution, finished) = match self.what {
            What::OnTrial => ("proceeding", "none"),
            What::Installed => ("closed", "success"),
            What::GivenUp => ("closed", "failure"),
        };
        let Self { sequence, version, manifest, .. } = self;
        let details = [
            format!("fleetcast sequence {sequence}"),
            format!("fleetcast version {version}"),
            format!("fleetcast manifest {manifest}"),
        ];
        let status = serde_json::json!({"execution": execution, "result": {"finished": finished}, "details": details});
        serde_json::json!({ "status": status }).to_string()
    }
}

/// What was told, what is to be told, and when.
#[derive(Debug)]
pub(crate) struct Plan {
    told: Option<Report>,
    /// What is waited with, and until when; no time while the server is being asked, or once it was given up.
    next: Option<(Report, Option<Instant>)>,
    tries: u32,
    delay: Duration,
}

/// What a reply led to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// It was told: to be kept.
    Told(Report),
    /// It is tried again in this time.
    Again(Duration),
    /// It is tried no more before the next start.
    GivenUp,
}

impl Plan {
    pub(crate) fn new(told: Option<Report>, delay: Duration) -> Self {
        Self { told, next: None, tries: 0, delay }
    }

    /// What to tell at this moment. `random` gives a number of at most that of its argument.
    pub(crate) fn look(&mut self, now: Instant, record: &Record, random: impl FnOnce(u64) -> u64) -> Option<Report> {
        let report = Report::of(record)?;
        if self.told.as_ref() == Some(&report) {
            self.next = None;
            return None;
        }
        match &mut self.next {
            Some((next, due)) if *next == report => {
                if due.is_none_or(|due| now < due) {
                    return None;
                }
                *due = None;
                Some(report)
            }
            _ => {
                self.tries = 0;
                self.next = Some((report, Some(now.after(part(self.delay, random)))));
                None
            }
        }
    }

    /// What came of the report. One that is out of date by then counts all the same.
    pub(crate) fn handle_reply(
        &mut self,
        now: Instant,
        report: Report,
        result: &Result<(), FetchError>,
        random: impl FnOnce(u64) -> u64,
    ) -> Reply {
        let Err(error) = result else {
            self.told = Some(report.clone());
            return Reply::Told(report);
        };
        self.tries += 1;
        // What the server says of the request does not change by asking again; that it has no time for it does.
        let is_lasting = matches!(error, FetchError::Status(400..=407 | 409..=499) | FetchError::Redirect(_));
        if is_lasting || self.tries >= MAX_TRIES {
            return Reply::GivenUp;
        }
        let pause = self.delay.max(PAUSE).saturating_mul(1 << self.tries.min(16)).min(LONGEST);
        let asked = if let FetchError::Busy { retry_after } = error { *retry_after } else { Duration::ZERO };
        let pause = (pause / 2 + part(pause / 2, random)).max(asked.min(LONGEST));
        if let Some((next, due)) = &mut self.next
            && *next == report
        {
            *due = Some(now.after(pause));
        }
        Reply::Again(pause)
    }
}

/// A random part of a time.
fn part(time: Duration, random: impl FnOnce(u64) -> u64) -> Duration {
    Duration::from_millis(random(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)))
}

/// Reports of a daemon: plan, thread and file together.
pub(crate) struct Reports {
    plan: Plan,
    client: Client,
    file: PathBuf,
}

impl Reports {
    /// Begins where an earlier run ended. What confines this thread confines the one that asks.
    ///
    /// # Errors
    ///
    /// What is wrong with the file of the token, or the certificates; or that the system gives no thread.
    pub(crate) fn start(settings: &Settings, state: &Path) -> std::io::Result<Self> {
        let file = state.join(REPORTED);
        let read = durable::read_bounded(&RealFs, &file, MAX_FILE);
        // What cannot be read is told again.
        let told = read.ok().flatten().and_then(|json| serde_json::from_slice(&json).ok());
        Ok(Self { plan: Plan::new(told, settings.delay), client: Client::start(settings)?, file })
    }

    /// Does what is due; to be called about once a second. It waits for nobody.
    pub(crate) fn look(&mut self, now: Instant, record: &Record, tell: &mut dyn FnMut(Event)) {
        let random = |most| fastrand::u64(..=most);
        if let Some((report, result)) = self.client.reply() {
            let sequence = report.sequence;
            let reply = self.plan.handle_reply(now, report, &result, random);
            let reason = result.err().map(|error| error.to_string()).unwrap_or_default();
            let mut warn = |code, reason| tell(Event::Warning { code, reason });
            match reply {
                Reply::Told(report) => {
                    let json = serde_json::to_vec(&report).unwrap_or_default();
                    if let Err(fault) = durable::replace(&RealFs, &self.file, &json) {
                        warn(fault.code(), fault.to_string());
                    }
                }
                Reply::Again(pause) if self.plan.tries == 1 => {
                    let seconds = pause.as_secs();
                    let reason = format!("the report about sequence {sequence} is made again in {seconds} s: {reason}");
                    warn("report-failed", reason);
                }
                Reply::Again(_) => {}
                Reply::GivenUp => {
                    let reason = format!("the report about sequence {sequence} waits for the next start: {reason}");
                    warn("report-given-up", reason);
                }
            }
        }
        if let Some(report) = self.plan.look(now, record, random) {
            self.client.send(report);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fleetcast_install::record::{Failed, Reason, Trial};

    fn release(sequence: u64) -> ReleaseId {
        ReleaseId { sequence, security_version: 0, manifest: [0xab; 32], version: "1 \"a\"\n".into() }
    }

    fn installed(sequence: u64) -> Record {
        Record { installed: Some(release(sequence)), ..Record::default() }
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn a_report_waits_for_its_moment_and_is_made_once() {
        let mut plan = Plan::new(None, Duration::from_mins(10));
        let half = |most: u64| most / 2;
        assert_eq!(plan.look(at(0), &Record::default(), half), None, "nothing to tell");
        let record = installed(7);
        assert_eq!(plan.look(at(1), &record, half), None);
        assert_eq!(plan.look(at(300), &record, half), None);
        let report = plan.look(at(301), &record, half).unwrap();
        assert_eq!(plan.look(at(9999), &record, half), None, "the server is being asked");
        assert_eq!(plan.handle_reply(at(302), report.clone(), &Ok(()), half), Reply::Told(report.clone()));
        assert_eq!(plan.look(at(99_999), &record, half), None);
        // Also where another outcome was in between that nobody was told of.
        assert_eq!(plan.look(at(99_999), &installed(8), half), None);
        assert!((0..2).all(|nth| plan.look(at(100_000 + 1000 * nth), &record, half).is_none()));
        // After a restart too.
        let kept = serde_json::from_slice(&serde_json::to_vec(&report).unwrap()).unwrap();
        assert!(Plan::new(Some(kept), Duration::ZERO).look(at(0), &record, half).is_none());
        let mut plan = Plan::new(Some(report), Duration::ZERO);
        assert_eq!(plan.look(at(0), &installed(8), half), None);
        assert_eq!(plan.look(at(0), &installed(8), half).unwrap().sequence, 8);
    }

    #[test]
    fn failures_are_tried_again_ever_more_seldom_and_in_the_end_no_more() {
        let (mut plan, record, most) = (Plan::new(None, Duration::ZERO), installed(1), |most| most);
        assert!(plan.look(at(0), &record, most).is_none());
        let failed = Err(FetchError::Timeout);
        let mut now = at(0);
        let mut pauses = Vec::new();
        loop {
            let report = plan.look(now, &record, most).unwrap();
            match plan.handle_reply(now, report, &failed, most) {
                Reply::Again(pause) => {
                    assert_eq!(plan.look(now, &record, most), None);
                    pauses.push(pause.as_secs() / 60);
                    now = now.after(pause);
                }
                reply => break assert_eq!(reply, Reply::GivenUp),
            }
        }
        assert_eq!(pauses, [2, 4, 8, 16, 32, 64, 128, 256, 512]);
        assert_eq!(plan.look(now.after(LONGEST), &record, most), None);
        assert!(plan.look(now, &installed(2), most).is_none());
        assert!(plan.look(now, &installed(2), most).is_some(), "another release is another matter");
    }

    #[test]
    fn a_server_that_refuses_is_asked_no_more_and_a_busy_one_as_it_says() {
        for (error, expected) in [
            (FetchError::Status(404), Reply::GivenUp),
            (FetchError::Status(401), Reply::GivenUp),
            (FetchError::Redirect(302), Reply::GivenUp),
            (FetchError::Status(408), Reply::Again(PAUSE)),
            (FetchError::Status(500), Reply::Again(PAUSE)),
            (FetchError::Busy { retry_after: Duration::from_hours(2) }, Reply::Again(Duration::from_hours(2))),
            (FetchError::Busy { retry_after: Duration::MAX }, Reply::Again(LONGEST)),
        ] {
            let mut plan = Plan::new(None, Duration::ZERO);
            let none = |_| 0;
            plan.look(at(0), &installed(1), none);
            let report = plan.look(at(0), &installed(1), none).unwrap();
            assert_eq!(plan.handle_reply(at(0), report, &Err(error.clone()), none), expected, "{error}");
        }
    }

    #[test]
    fn what_is_told_follows_from_the_record_and_is_json_whatever_the_version() {
        let report = |record: Record| {
            let report = Report::of(&record).unwrap();
            let json: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
            let status = &json["status"];
            assert_eq!(status["details"][1], "fleetcast version 1 \"a\"\n");
            let word = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
            (report.path("d-1"), word(&status["execution"]), word(&status["result"]["finished"]))
        };
        let path = |sequence| format!("/controller/v1/d-1/deploymentBase/{sequence}/feedback");
        assert_eq!(report(installed(7)), (path(7), "closed".into(), "success".into()));
        let failed = |sequence| Some(Failed { release: release(sequence), reason: Reason::Health });
        assert_eq!(report(Record { failed: failed(8), ..installed(7) }).2, "failure");
        assert_eq!(report(Record { failed: failed(6), ..installed(7) }).2, "success");
        let phase = Phase::Trial(Trial { release: release(8), slot: None });
        assert_eq!(report(Record { phase, ..installed(7) }), (path(8), "proceeding".into(), "none".into()));
    }
}
