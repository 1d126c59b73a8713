//! The command line of `fleetcast-conformance`.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use fleetcast_cli::{CommandError, ErrorKind, out, out_json};

use super::receiver::Receiver;
use super::run::Outcome;
use super::{Case, cases, export, report, run};

/// Plays sessions at a receiver of any make, and says which rules of the Fleetcast specification it keeps.
#[derive(Parser, Debug)]
#[command(
    name = "fleetcast-conformance",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    after_help = "\
Examples:
  Which cases are there, and what do they show?
    fleetcast-conformance list

  Play all of them at a receiver:
    fleetcast-conformance run --receiver examples/python-receiver/conformance/receiver.toml

  One case, with the reason if it fails:
    fleetcast-conformance run --receiver my/receiver.toml --case rotated-keys

  All cases as captures, devices and digests, to be played by other means:
    fleetcast-conformance export captures

spec/conformance.md says what a receiver file is.

Exit codes: 0 passed, or nothing claimed; 1 failed to run; 2 wrong usage; 3 a case failed; 78 wrong receiver file."
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Show all cases
    List {
        /// Tell it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Play cases at a receiver
    Run(RunArgs),
    /// Write cases as captures
    Export {
        /// Folder to write to, one folder in it for each case
        folder: PathBuf,
        #[command(flatten)]
        choice: Choice,
    },
}

#[derive(clap::Args, Debug)]
struct RunArgs {
    /// Receiver file; see spec/conformance.md
    #[arg(long, value_name = "FILE")]
    receiver: PathBuf,
    #[command(flatten)]
    choice: Choice,
    /// Cases to play at the same time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=64))]
    jobs: u8,
    /// Tell the result as JSON
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args, Debug)]
struct Choice {
    /// Case to play; repeat for several [default: all]
    #[arg(long = "case", value_name = "NAME")]
    names: Vec<String>,
}

impl Choice {
    fn cases(&self) -> Result<Vec<Case>, CommandError> {
        let all = cases();
        if let Some(unknown) = self.names.iter().find(|name| all.iter().all(|case| case.name != **name)) {
            let error = CommandError::new(ErrorKind::Usage, format!("there is no case {unknown}"));
            return Err(error.hint("`fleetcast-conformance list` shows all"));
        }
        Ok(all
            .into_iter()
            .filter(|case| self.names.is_empty() || self.names.iter().any(|name| name == case.name))
            .collect())
    }
}

impl Cli {
    /// Does what the command line asks.
    ///
    /// # Errors
    ///
    /// [`CommandError`]; of kind [`ErrorKind::Refused`] if a case failed.
    pub fn run(self) -> Result<(), CommandError> {
        match self.command {
            Command::List { json } => list(json),
            Command::Run(args) => args.run(),
            Command::Export { folder, choice } => {
                export::export(&folder, &choice.cases()?).map_err(CommandError::failed)
            }
        }
    }
}

fn list(json: bool) -> Result<(), CommandError> {
    if json {
        let case = |case: &Case| {
            let Case { name, about, requirements, needs, .. } = case;
            serde_json::json!({ "name": name, "about": about, "requirements": requirements, "needs": needs })
        };
        return out_json(&serde_json::json!({ "v": 1, "cases": cases().iter().map(case).collect::<Vec<_>>() }));
    }
    cases().iter().try_for_each(|case| {
        let needs: Vec<_> = case.needs.iter().map(|need| need.code()).collect();
        let needs = if needs.is_empty() { String::new() } else { format!("  (needs {})", needs.join(", ")) };
        out(&format!("{}  {}{needs}\n    {}\n", case.name, case.requirements.join(" "), case.about))
    })
}

impl RunArgs {
    fn run(self) -> Result<(), CommandError> {
        let cases = self.choice.cases()?;
        let receiver = Receiver::read(&self.receiver).map_err(|e| CommandError::new(ErrorKind::Config, e))?;
        let tell = |one: &run::Played| {
            if !self.json {
                // A reader that has gone does not end the run.
                let _ = out(&report::line(one));
            }
        };
        let played = run::run(&receiver, &cases, self.jobs.into(), tell);
        if self.json {
            out_json(&report::json(&receiver.name, &played))?;
        } else {
            out(&report::summary(&played))?;
        }
        let failed = played.iter().filter(|one| matches!(one.outcome, Outcome::Failed(_))).count();
        if failed == 0 {
            return Ok(());
        }
        Err(CommandError::new(
            ErrorKind::Refused,
            format!("{} fails {failed} of {} cases", receiver.name, played.len()),
        ))
    }
}
