//! `channels`: what a store offers.

use std::fmt::Write as _;

use fleetcast_cli::{CommandError, clock};
use serde::Serialize;

use super::store_arg::{StoreArg, not_stored};
use crate::driver;
use crate::report::BeaconFacts;
use crate::store::Store;
use crate::store::pointer::{Channel, Pointer};

/// List the channels of a store, what each names, and its roots and beacon
///
/// Nothing is verified: whoever may write to the store may have written it.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  What head-ends send:
    fleetcast-send channels --store /srv/releases

  All releases that one of them has named, as far as they are kept:
    fleetcast-send channels --store /srv/releases --channel stable

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a pointer is damaged.")]
pub(super) struct Args {
    #[command(flatten)]
    store: StoreArg,

    /// List all pointers of this channel, the newest first
    #[arg(long, value_name = "NAME")]
    channel: Option<Channel>,

    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Facts {
    v: u8,
    store: String,
    pointers: Vec<PointerFacts>,
    /// Of each channel that has some.
    notices: Vec<NoticeFacts>,
}

/// Roots and beacon of a channel.
#[derive(Serialize)]
struct NoticeFacts {
    channel: String,
    /// Versions of the roots, in order.
    roots: Vec<u16>,
    /// The newest beacon that can be read and is valid by the newest root.
    beacon: Option<BeaconFacts>,
}

#[derive(Serialize)]
struct PointerFacts {
    channel: String,
    number: u64,
    release: String,
    sequence: u64,
    version: String,
    published: u64,
}

impl Args {
    pub(super) fn run(self) -> Result<(), CommandError> {
        let store = self.store.open()?;
        let (mut pointers, mut notices) = (Vec::new(), Vec::new());
        let channels = match &self.channel {
            Some(channel) => vec![channel.clone()],
            None => store.channels().map_err(not_stored)?,
        };
        for channel in &channels {
            notices.extend(NoticeFacts::of(&store, channel)?);
        }
        if let Some(channel) = &self.channel {
            for number in store.numbers(channel).map_err(not_stored)?.into_iter().rev() {
                let pointer = store.pointer(channel, number).map_err(not_stored)?;
                pointers.extend(pointer.map(|pointer| PointerFacts::new(channel, number, &pointer)));
            }
        } else {
            for channel in &channels {
                let newest = store.newest(channel).map_err(not_stored)?;
                pointers.extend(newest.map(|(number, pointer)| PointerFacts::new(channel, number, &pointer)));
            }
        }
        if self.json {
            return fleetcast_cli::out_json(&Facts { v: 1, store: store.name().to_owned(), pointers, notices });
        }
        let mut text = String::new();
        for p in &pointers {
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "{:<16} {:>4}  {:<16} sequence {:<10} {}  {}",
                p.channel,
                p.number,
                p.version,
                p.sequence,
                time(p.published),
                p.release
            );
        }
        for n in &notices {
            let _ = writeln!(text, "{:<16} {}", n.channel, n.text());
        }
        if text.is_empty() {
            fleetcast_cli::note("nothing is published there");
        }
        fleetcast_cli::out(&text)
    }
}

/// Seconds of Unix time, for people.
fn time(seconds: u64) -> String {
    clock::rfc3339(seconds).unwrap_or_else(|| seconds.to_string())
}

impl NoticeFacts {
    /// `None` if there are no roots.
    fn of(store: &Store, channel: &Channel) -> Result<Option<Self>, CommandError> {
        let Some(chain) = store.chain(channel).map_err(not_stored)? else { return Ok(None) };
        let (beacon, wrong) = store.newest_beacon(channel, None, chain.trust()).map_err(not_stored)?;
        for error in wrong {
            fleetcast_cli::warn(error);
        }
        Ok(Some(Self {
            channel: channel.to_string(),
            roots: chain.roots().iter().map(|root| root.version).collect(),
            beacon: beacon.map(|beacon| (&*beacon).into()),
        }))
    }

    /// `roots 1 to 3, beacon of ... good until ...`
    fn text(&self) -> String {
        let roots = match &self.roots[..] {
            [first, .., last] => format!("roots {first} to {last}"),
            [root] => format!("root {root}"),
            [] => "no root".into(),
        };
        let Some(beacon) = &self.beacon else { return format!("{roots}, no beacon") };
        let is_over = driver::unix_now().as_secs() > beacon.until;
        let good = if is_over { "was good until" } else { "good until" };
        let (issued, until) = (time(beacon.issued), time(beacon.until));
        format!("{roots}, beacon of {issued} for root {}, {good} {until}", beacon.root)
    }
}

impl PointerFacts {
    fn new(channel: &Channel, number: u64, pointer: &Pointer) -> Self {
        Self {
            channel: channel.to_string(),
            number,
            release: pointer.release().to_owned(),
            sequence: pointer.sequence,
            version: pointer.version.clone(),
            published: pointer.published,
        }
    }
}
