//! `commit` and `rollback`: what becomes of the release on trial.

use std::path::PathBuf;

use fleetcast_cli::{CommandError, ErrorKind, note, out_json};
use fleetcast_install::record::Reason;
use fleetcast_install::{Fault, RealFs, ReleaseId, State};
use serde::Serialize;

use crate::config::{Config, Settings};
use crate::events::Release;

/// Keep the release on trial
///
/// To be called once the device has started into a new release and found it good: it stays, and its sequence and security
/// version are the floors from now on. Until then, it is tried in so many starts as the settings say, and then the device
/// goes back to what ran before. A daemon may run beside this.
#[derive(clap::Args, Debug)]
#[command(
    visible_alias = "mark-good",
    after_help = "\
Examples:
  fleetcast-recv commit --config /etc/fleetcast/recv.toml

  At each start of the device that went well:
    fleetcast-recv commit --if-on-trial --config /etc/fleetcast/recv.toml

Exit codes: 0 committed, 1 nothing is on trial, it does not run yet, or it failed; 78 wrong settings."
)]
pub(super) struct CommitArgs {
    /// Be content if nothing is on trial
    #[arg(long)]
    if_on_trial: bool,

    #[command(flatten)]
    common: Common,
}

/// Give up the release on trial
///
/// From the next start on the device runs what it ran before. The release is not installed here again. A daemon may run
/// beside this.
#[derive(clap::Args, Debug)]
#[command(
    visible_alias = "mark-bad",
    after_help = "\
Examples:
  fleetcast-recv rollback --config /etc/fleetcast/recv.toml && reboot

A release that was committed is not rolled back: sign what ran before anew, with a higher sequence.

Exit codes: 0 given up, 1 nothing is on trial, or it failed; 78 wrong settings."
)]
pub(super) struct RollbackArgs {
    #[command(flatten)]
    common: Common,
}

#[derive(clap::Args, Debug)]
struct Common {
    /// Settings file; see examples/recv-slots.toml
    #[arg(long, value_name = "FILE")]
    config: PathBuf,

    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Verdict {
    v: u8,
    /// `committed`, `given-up` or `nothing`.
    done: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    release: Option<Release>,
    /// The device must be restarted.
    restart: bool,
}

impl CommitArgs {
    pub(super) fn run(self) -> Result<(), CommandError> {
        let (config, mut state) = self.common.open()?;
        let backend = config.install.backend(&RealFs, &config.targets);
        match backend.commit(&mut state) {
            Err(Fault::NoTrial) if self.if_on_trial => self.common.tell_nothing(),
            done => self.common.tell("committed", &done.map_err(explain)?, false),
        }
    }
}

impl RollbackArgs {
    pub(super) fn run(self) -> Result<(), CommandError> {
        let (config, mut state) = self.common.open()?;
        let backend = config.install.backend(&RealFs, &config.targets);
        let given_up = backend.roll_back(&mut state, Reason::Asked).map_err(explain)?;
        self.common.tell("given-up", &given_up.release, given_up.still_runs)
    }
}

impl Common {
    fn open(&self) -> Result<(Config, State<RealFs>), CommandError> {
        let config = Settings::of_file(self.config.clone()).load()?;
        let state = State::attach(RealFs, &config.state).map_err(explain)?;
        Ok((config, state))
    }

    fn tell(&self, done: &'static str, release: &ReleaseId, restart: bool) -> Result<(), CommandError> {
        let release = Release::from(release);
        if self.json {
            return out_json(&Verdict { v: 1, done, release: Some(release), restart });
        }
        let restart = if restart { ", and runs until the device is restarted" } else { "" };
        note(format_args!("{} {release}{restart}", done.replace('-', " ")));
        Ok(())
    }

    fn tell_nothing(&self) -> Result<(), CommandError> {
        if self.json {
            return out_json(&Verdict { v: 1, done: "nothing", release: None, restart: false });
        }
        note("nothing is on trial");
        Ok(())
    }
}

fn explain(fault: Fault) -> CommandError {
    let hint = match &fault {
        Fault::NoTrial => Some("see what is installed with `fleetcast-recv status`"),
        _ => None,
    };
    CommandError::new(ErrorKind::Failed, fault).hint_if(hint)
}
