//! `channels`: what a store offers.

use std::fmt::Write as _;

use fleetcast_cli::CommandError;
use jiff::Timestamp;
use serde::Serialize;

use super::store_arg::{StoreArg, not_stored};
use crate::store::pointer::{Channel, Pointer};

/// List the channels of a store, and what each names
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
        let mut pointers = Vec::new();
        if let Some(channel) = &self.channel {
            for number in store.numbers(channel).map_err(not_stored)?.into_iter().rev() {
                let pointer = store.pointer(channel, number).map_err(not_stored)?;
                pointers.extend(pointer.map(|pointer| PointerFacts::new(channel, number, &pointer)));
            }
        } else {
            for channel in store.channels().map_err(not_stored)? {
                let newest = store.newest(&channel).map_err(not_stored)?;
                pointers.extend(newest.map(|(number, pointer)| PointerFacts::new(&channel, number, &pointer)));
            }
        }
        if self.json {
            return fleetcast_cli::out_json(&Facts { v: 1, store: store.name().to_owned(), pointers });
        }
        let text = pointers.iter().fold(String::new(), |mut text, p| {
            let when = i64::try_from(p.published).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
            let when = when.map_or_else(|| p.published.to_string(), |when| when.to_string());
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "{:<16} {:>4}  {:<16} sequence {:<10} {when}  {}",
                p.channel, p.number, p.version, p.sequence, p.release
            );
            text
        });
        if pointers.is_empty() {
            fleetcast_cli::note("nothing is published there");
        }
        fleetcast_cli::out(&text)
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
