//! `status`: what a running `run` or `relay` does.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use fleetcast_cli::{CommandError, ErrorKind, clock, out, out_json};
use indicatif::{HumanBytes, HumanCount, HumanDuration};
use serde_json::{Value, json};

use crate::report::Rate;
use crate::watch::status::{self, Life};

/// Show what a running `run` or `relay` does
///
/// Reads the file that it writes each second to its runtime folder (--runtime). Nothing is asked over a network.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  fleetcast-send status --runtime /run/fleetcast-send
  fleetcast-send status --runtime /run/fleetcast-send --json | jq .streams[].progress.rate

Exit codes: 0 it runs, 1 nothing was told there, or it is unreadable, 6 shown, but it has ended or tells nothing any more.")]
pub(super) struct Args {
    /// Runtime folder of the program, as it was started with
    #[arg(long, value_name = "FOLDER")]
    runtime: PathBuf,

    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

impl Args {
    pub(super) fn run(self) -> Result<(), CommandError> {
        let place = self.runtime.join(status::FILE);
        let read = status::read(&self.runtime)
            .map_err(|e| CommandError::failed(format!("cannot read {}: {e}", place.display())))?;
        let Some(mut document) = read else {
            return Err(CommandError::failed(format!("there is no {}", place.display()))
                .hint("start `fleetcast-send run` or `relay` with --runtime and this folder"));
        };
        let life = Life::of(&document, clock::since_boot().as_secs());
        if self.json {
            document["runs"] = json!(life == Life::Runs);
            out_json(&document)?;
        } else {
            out(&text(&document, &life))?;
        }
        let reason = match life {
            Life::Runs => return Ok(()),
            Life::Ended(reason) => format!("the program has ended ({reason})"),
            Life::Gone(Some(age)) => format!("the program was killed or hangs: it has told nothing for {age} s"),
            Life::Gone(None) => "the program does not run: what it told is from before the system was started".into(),
        };
        Err(CommandError::new(ErrorKind::Stale, reason))
    }
}

fn text(document: &Value, state: &Life) -> String {
    let mut text = String::new();
    let mut line = |label: &str, value: String| {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{label:<11}{value}");
    };
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let up = Duration::from_secs(number(&document["time"]).saturating_sub(number(&document["started"])));
    let (program, pid) = (word(&document["program"]), number(&document["pid"]));
    let does = if *state == Life::Runs { "runs" } else { "ran" };
    line("program", format!("{program}, process {pid}, {does} for {}", HumanDuration(up)));
    for stream in document["streams"].as_array().into_iter().flatten() {
        let (ready, progress) = (&stream["ready"], &stream["progress"]);
        if let Some(name) = stream["name"].as_str() {
            line("stream", name.to_owned());
        }
        if program == "relay" {
            let all = |places: &Value| {
                let names = places.as_array().map(Vec::as_slice).unwrap_or_default();
                names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
            };
            line("hears", all(&ready["upstream"]));
            line("sends to", format!("{} at up to {}", all(&ready["downstream"]), Rate(number(&ready["rate"]))));
            line("releases", format!("sequences {}, root {}", progress["releases"], progress["root"]));
            let [received, verified] = ["received", "verified"].map(|key| HumanCount(number(&progress[key])));
            line("received", format!("{received} packets, {verified} verified"));
        } else if ready.is_null() {
            line("release", "none yet".into());
        } else {
            let (version, sequence) = (word(&ready["version"]), number(&ready["sequence"]));
            line("release", format!("{version} (sequence {sequence}), session {}", word(&ready["tsi"])));
            let (group, interface) = (word(&ready["group"]), word(&ready["interface"]));
            line("sends to", format!("{group} through {interface} at {}", word(&ready["pace"])));
            for (number, layer) in ready["layers"].as_array().into_iter().flatten().enumerate() {
                line("", format!("layer {number}: {} at {}", word(&layer["group"]), word(&layer["pace"])));
            }
            let percent = progress["part"].as_f64().unwrap_or_default() * 100.0;
            line("cycles", format!("{} complete, {percent:.1} % of the next", number(&progress["cycles"])));
        }
        let (packets, octets) = (HumanCount(number(&progress["packets"])), HumanBytes(number(&progress["octets"])));
        let (rate, failed) = (Rate(number(&progress["rate"])), HumanCount(number(&progress["failed"])));
        line("sent", format!("{packets} packets, {octets}; {rate} in the last second; {failed} attempts failed"));
        match number(&stream["failed_looks"]) {
            0 => {}
            failed => line("store", format!("the last {} looks at it failed", HumanCount(failed))),
        }
        for warning in stream["warnings"].as_array().into_iter().flatten() {
            let (code, at) = (word(&warning["code"]), number(&warning["time"]));
            line("warning", format!("{} ({code}), at Unix time {at}", word(&warning["reason"])));
        }
    }
    text
}
