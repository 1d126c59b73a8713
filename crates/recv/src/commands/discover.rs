//! `discover`: what does DNS say of a domain?

use fleetcast_cli::{CommandError, out, out_json};
use serde::Serialize;

use crate::config::Discover;
use crate::discovery::{Place, ask};

/// Ask DNS which groups and senders a domain names
///
/// Prints what a device with this `domain` in its settings would join, by priority: those of the first at once, those of the
/// next only while nothing comes from the first. Nothing is joined.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Example:
  fleetcast-recv discover updates.acme.example --dns 192.0.2.53

Exit codes: 0 the domain can be used, 1 DNS does not answer, or with what is refused; 2 wrong usage; 78 wrong domain or server.")]
pub(super) struct Args {
    /// Domain; its records are at _fleetcast._udp.DOMAIN
    #[arg(value_name = "DOMAIN")]
    domain: String,

    /// Name server to ask, ADDR or ADDR:PORT; repeat for several [default: those of the system]
    #[arg(long, value_name = "ADDR")]
    dns: Vec<String>,

    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

/// The JSON document.
#[derive(Serialize)]
struct Report {
    v: u8,
    domain: String,
    /// Seconds until the answer is stale.
    ttl: u64,
    /// Groups and senders of each priority.
    priorities: Vec<Vec<Place>>,
}

impl Args {
    pub(super) fn run(self) -> Result<(), CommandError> {
        let settings = Discover::of_flags(&self.domain, self.dns)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| CommandError::failed(format!("cannot wait for sockets: {e}")))?;
        let (priorities, ttl) = runtime.block_on(ask(&settings)).map_err(CommandError::failed)?;
        let priorities: Vec<Vec<Place>> =
            priorities.iter().map(|feeds| feeds.iter().map(Place::from).collect()).collect();
        if self.json {
            return out_json(&Report { v: 1, domain: settings.domain, ttl, priorities });
        }
        if priorities.is_empty() {
            return out(&format!("{} has no sender\n", settings.domain));
        }
        let mut text = String::new();
        for (nth, places) in priorities.iter().enumerate() {
            let lines = places.iter().map(|place| format!("priority {}: {place}\n", nth + 1));
            text.extend(lines);
        }
        out(&text)
    }
}
