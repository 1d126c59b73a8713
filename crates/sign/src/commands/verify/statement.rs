//! `verify` of roots and beacons.

use fleetcast_cli::{CommandError, ErrorKind};
use fleetcast_core::beacon::Beacon;
use fleetcast_core::trust::{Root, Statement, StatementError, Trust, verify};
use fleetcast_core::wire::StatementKind;
use serde::Serialize;

use super::super::signed::name;
use super::Args;
use crate::beacon;
use crate::html::{Notice, Sections, Tone};
use crate::root::{RootFile, Shown as ShownRoot};
use crate::statement::Signable;

#[derive(Serialize)]
struct Passed<S> {
    verified: bool,
    signed_by: Vec<String>,
    /// Version of the root that decided; null for keys alone.
    by_root: Option<u16>,
    #[serde(flatten)]
    facts: S,
}

impl Args {
    /// Checks a root or beacon by the last of the roots given.
    pub(super) fn check_statement(&self, statement: &Signable) -> Result<(), CommandError> {
        let usage = |message: &str| CommandError::new(ErrorKind::Usage, message);
        if self.device.is_given() {
            return Err(usage("--as-device is for releases").hint("give the roots that the device has: --root"));
        }
        if !self.images.is_empty() {
            return Err(usage("--image is for releases").hint("leave --image out"));
        }
        let trust = self.trust.load()?.ok_or_else(|| usage("there is nothing to trust"))?;
        match statement.kind() {
            StatementKind::Root => {
                let facts = ShownRoot::new(&RootFile::of(statement.clone())?, None)?;
                self.tell::<Root, _>(statement, &trust, facts)
            }
            _ => {
                self.tell::<Beacon, _>(statement, &trust, beacon::Shown::new(statement).map_err(CommandError::failed)?)
            }
        }
    }

    fn tell<T: Statement, S: Serialize + Sections>(
        &self,
        statement: &Signable,
        trust: &Trust,
        facts: S,
    ) -> Result<(), CommandError> {
        let kind = name(statement.kind());
        match verify::<T>(&statement.encode().map_err(CommandError::failed)?, trust) {
            Ok(verified) => {
                let root = trust.root().map(|root| &**root);
                let signed_by: Vec<_> = verified.signers().iter().map(ToString::to_string).collect();
                let by = match trust.version() {
                    0 => "the keys".into(),
                    version => format!("root {version}"),
                };
                let line = format!("{kind}: VERIFIED by {by}, signed by {}\n", signed_by.join(" and by "));
                let passed = Passed { verified: true, signed_by, by_root: root.map(|root| root.version), facts };
                self.form.tell(
                    &passed,
                    || line,
                    || {
                        let what =
                            format!("checked: signature by {}, enough for {by}", passed.signed_by.join(" and by "));
                        let notice = Notice::new(Tone::Good, "VERIFIED", vec![(Tone::Good, what)]);
                        notice.signed_by(&passed.signed_by, root).document(&self.file, &passed.facts)
                    },
                )
            }
            Err(reason) => {
                let (code, message) = (reason.code(), format!("the {kind} is refused: {reason}"));
                self.tell_refusal(
                    match statement.kind() {
                        StatementKind::Root => "Root",
                        _ => "Beacon",
                    },
                    code,
                    message.clone(),
                )?;
                let error = CommandError::new(ErrorKind::Refused, format!("refused ({code}): {message}"));
                Err(error.hint(hint(statement.kind(), &reason)))
            }
        }
    }
}

fn hint(kind: StatementKind, reason: &StatementError) -> &'static str {
    match (kind, reason) {
        (StatementKind::Root, StatementError::Threshold { .. }) => {
            "enough root keys of both roots must sign it: root show --previous says whose are missing"
        }
        (_, StatementError::Threshold { .. }) => {
            "enough beacon keys of the last root must sign it: root show lists them"
        }
        (_, StatementError::RootVersion { .. }) => "give all roots before it: --root",
        (_, StatementError::Template) => "nobody has signed it: fleetcast-sign sign",
        (_, StatementError::Scope) => "it is of another vendor than the root",
        _ => "get the file again",
    }
}
