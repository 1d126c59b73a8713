//! `publish`: a release goes to a store, under a channel, and roots and a beacon beside it.

use std::path::PathBuf;

use fleetcast_cli::{CommandError, ErrorKind};
use fleetcast_core::beacon::Beacon;
use fleetcast_core::manifest::Manifest;
use fleetcast_core::trust::{Verified, verify};
use indicatif::{HumanBytes, ProgressBar};
use serde::Serialize;

use super::release::{beacon_statement, open_source, trusted_chain, trusted_keys};
use super::store_arg::{StoreArg, not_stored};
use crate::driver;
use crate::notices::beacon::concerns;
use crate::notices::chain::Chain;
use crate::report::{self, BeaconFacts, Event};
use crate::source::ImageArg;
use crate::store::Store;
use crate::store::gc::{manifest_of, statement_of};
use crate::store::notices::{Joined, NoticeError};
use crate::store::pointer::Channel;
use crate::store::publish::{Offer, PublishError, Published, named, publish};

/// Put a release, roots or a beacon where head-ends fetch them, under a channel
///
/// First checks all of the release and its images, as `check` does, signatures included, and roots and beacon as a device does. Then puts
/// images, release file and roots into the store, and last the pointer by which head-ends that follow the channel find them: until then
/// nobody sees anything of the release, and a publisher that is broken off leaves the channel as it was. The beacon comes behind it. What
/// the store has already is not put again; what the channel has already changes nothing. Of two publishers at once the later one goes by
/// what the other has published.
///
/// With --from it is the release that another channel of the store names, as it is: so it goes from those who try it to all others. Its
/// signatures are verified, and its files must be there. They are not fetched: head-ends check them when they do, as they check everything.
///
/// A channel that has roots takes only releases and beacons that are valid by the newest of them, and roots that follow it.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  From a pipeline, to a folder that a web server serves or a disk that is carried:
    fleetcast-send publish app.fleetcast --image app.img --trust release-key.pub.pem \\
        --store /srv/releases --channel stable

  To a bucket, verified by the roots that devices go by, which head-ends then send along:
    AWS_REGION=eu-central-1 fleetcast-send publish app.fleetcast --image app.img \\
        --root 1.root --root 2.root --store s3://acme-releases/boards --channel beta

  What has proved good, to everybody:
    fleetcast-send publish --from beta --trust release-key.pub.pem \\
        --store /srv/releases --channel stable

  A beacon that a timer has signed anew:
    fleetcast-send publish --beacon current.beacon --root 1.root --store /srv/releases --channel stable

Exit codes: 0 published, or it was already; 1 failed; 2 wrong usage; 3 release, roots or beacon are refused, or are no
later than what the channel has.")]
pub(super) struct Args {
    /// Release file, as made by `fleetcast-sign create`; may be left out if there are roots or a beacon to publish
    #[arg(value_name = "RELEASE", required_unless_present_any = ["from", "root", "beacon"], requires = "images", group = "named")]
    release: Option<PathBuf>,

    /// Publish the release that this channel names, in place of a release file and its images
    #[arg(long, value_name = "NAME", group = "named")]
    from: Option<Channel>,

    /// Image of a component; NAME may be left out if the release has one component only
    #[arg(long = "image", value_name = "NAME=PATH", requires = "release")]
    images: Vec<ImageArg>,

    /// Public key that must have signed the release; may be repeated
    #[arg(long, value_name = "FILE", requires = "named")]
    trust: Vec<PathBuf>,

    /// How many of the keys must have signed
    #[arg(long, value_name = "M", default_value_t = 1, requires = "trust")]
    threshold: u8,

    /// Root to publish, and to verify by; repeat it for each, in order of version and none left out. Each must be signed by the one
    /// before it, and go together with those that the channel has. Head-ends that follow the channel take new ones without a restart
    #[arg(long, value_name = "FILE", conflicts_with_all = ["trust", "threshold"])]
    root: Vec<PathBuf>,

    /// Beacon to publish, valid by the newest root of the channel and later than its newest beacon. Without --root that root is taken as
    /// the store has it: head-ends verify it by their own
    #[arg(long, value_name = "FILE")]
    beacon: Option<PathBuf>,

    #[command(flatten)]
    store: StoreArg,

    /// Channel that names the release from then on, such as `stable`
    #[arg(long, value_name = "NAME")]
    channel: Channel,

    /// Publish it even if the channel names a release of a higher sequence number. Devices that have taken that one refuse this
    #[arg(long, requires = "named")]
    rollback: bool,

    /// Folder for the repair chunks that are computed for the check, by default the system's for temporary files
    #[arg(long, value_name = "FOLDER")]
    temp_dir: Option<PathBuf>,

    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

/// What came of it.
#[derive(Serialize)]
struct Facts {
    v: u8,
    channel: String,
    #[serde(flatten)]
    release: Option<ReleaseFacts>,
    /// Versions of the roots of the channel, in order.
    roots: Vec<u16>,
    /// Those of them that are new there.
    new_roots: Vec<u16>,
    /// The beacon that was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    beacon: Option<BeaconPublished>,
}

#[derive(Serialize)]
struct ReleaseFacts {
    number: u64,
    release: String,
    sequence: u64,
    version: String,
    unchanged: bool,
    octets: u64,
    /// Sequence number of the release that the channel named before, if it named another.
    #[serde(skip)]
    before: Option<u64>,
}

#[derive(Serialize)]
struct BeaconPublished {
    #[serde(flatten)]
    facts: BeaconFacts,
    unchanged: bool,
}

impl Args {
    pub(super) fn run(self) -> Result<(), CommandError> {
        if (self.release.is_some() || self.from.is_some()) && self.trust.is_empty() && self.root.is_empty() {
            let error = "what is published must be verified: name who must have signed it";
            return Err(
                CommandError::new(ErrorKind::Usage, error).hint("--trust release-key.pub.pem, or --root 1.root")
            );
        }
        let own = if self.root.is_empty() { None } else { Some(trusted_chain(&self.root)?) };
        let beacon = self.beacon.as_deref().map(beacon_statement).transpose()?;
        let store = self.store.open()?;
        let joined = own.map(|own| store.join(&self.channel, &own)).transpose().map_err(not_noticed)?;
        let chain = match &joined {
            Some(joined) => Some(joined.chain.clone()),
            None => store.chain(&self.channel).map_err(not_stored)?,
        };
        let beacon = beacon.map(|statement| self.judge(&store, chain.as_ref(), &statement)).transpose();
        let beacon = beacon.map_err(not_noticed)?;
        let release = self.publish(&store, joined.as_ref())?;
        if let (None, Some(joined)) = (&release, &joined) {
            store.put_roots(&self.channel, joined).map_err(not_noticed)?;
        }
        if let Some((beacon, false)) = &beacon {
            store.put_beacon(&self.channel, beacon).map_err(not_noticed)?;
        }
        if let Some(chain) = &chain {
            self.warn(&store, chain);
        }
        let facts = Facts {
            v: 1,
            channel: self.channel.to_string(),
            release,
            roots: chain.iter().flat_map(Chain::roots).map(|root| root.version).collect(),
            new_roots: joined.map(|joined| joined.missing).unwrap_or_default(),
            beacon: beacon.map(|(beacon, unchanged)| BeaconPublished { facts: (&*beacon).into(), unchanged }),
        };
        if self.json {
            return fleetcast_cli::out_json(&facts);
        }
        facts.tell();
        Ok(())
    }

    fn judge(
        &self,
        store: &Store,
        chain: Option<&Chain>,
        statement: &[u8],
    ) -> Result<(Verified<Beacon>, bool), NoticeError> {
        let no_root = || NoticeError::NoRoot { channel: self.channel.clone() };
        store.judge_beacon(&self.channel, chain.ok_or_else(no_root)?, statement)
    }

    /// Publishes the release, if there is one to publish.
    fn publish(&self, store: &Store, joined: Option<&Joined>) -> Result<Option<ReleaseFacts>, CommandError> {
        let trust = || match joined {
            Some(joined) => Ok(joined.chain.trust().clone()),
            None => trusted_keys(&self.trust, self.threshold),
        };
        if let Some(from) = &self.from {
            let manifest = named(store, from, &trust()?).map_err(not_published)?;
            return self.put(store, Offer::Named(&manifest), joined).map(Some);
        }
        let Some(release) = &self.release else { return Ok(None) };
        let source = open_source(release, &self.images, Some(&trust()?), self.temp_dir.as_deref(), self.json)?;
        self.put(store, Offer::Files(&source), joined).map(Some)
    }

    fn put(&self, store: &Store, offer: Offer<'_>, joined: Option<&Joined>) -> Result<ReleaseFacts, CommandError> {
        let bar = if self.json { ProgressBar::hidden() } else { report::octets_bar("publishing") };
        let now = driver::unix_now().as_secs();
        let result = publish(store, &self.channel, offer, joined, self.rollback, now, &mut |done, total| {
            bar.set_length(total);
            bar.set_position(done);
        });
        bar.finish_and_clear();
        let Published { number, is_unchanged, before, octets, pointer } = result.map_err(not_published)?;
        Ok(ReleaseFacts {
            number,
            release: pointer.release().to_owned(),
            sequence: pointer.sequence,
            version: pointer.version,
            unchanged: is_unchanged,
            octets,
            before,
        })
    }

    /// Warns of what devices will not take of the channel as it is. What cannot be read is for `channels` to show.
    fn warn(&self, store: &Store, chain: &Chain) {
        let Ok(Some((_, pointer))) = store.newest(&self.channel) else { return };
        let Ok(statement) = statement_of(store, &pointer) else { return };
        let Ok(manifest) = manifest_of(store, &pointer, &statement) else { return };
        let root = chain.trust().version();
        if let Err(error) = verify::<Manifest>(&statement, chain.trust()) {
            fleetcast_cli::warn(format_args!(
                "root {root} refuses release {} (sequence {}), which the channel names: {error} ({}); publish one that it takes",
                manifest.version,
                manifest.sequence,
                error.code()
            ));
        }
        if let Ok((Some(beacon), _)) = store.newest_beacon(&self.channel, None, chain.trust()) {
            for concern in concerns(&beacon, &manifest, root, driver::unix_now()) {
                if let Event::Warning { reason, .. } = concern {
                    fleetcast_cli::warn(reason);
                }
            }
        }
    }
}

impl Facts {
    fn tell(&self) {
        let channel = &self.channel;
        if let Some(release) = &self.release {
            let name = format!("release {} (sequence {})", release.version, release.sequence);
            let put = HumanBytes(release.octets);
            let told = match release.before {
                _ if release.unchanged => format!("names {name} already"),
                Some(before) => format!("names {name}, after sequence {before}"),
                None => format!("names {name}, its first"),
            };
            fleetcast_cli::note(format_args!("channel {channel} {told}; {put} were put into the store"));
        }
        let new = self.new_roots.len();
        if let Some(newest) = self.roots.last().filter(|_| new > 0 || self.release.is_none()) {
            fleetcast_cli::note(format_args!("channel {channel} has roots up to {newest}, {new} of them new"));
        }
        if let Some(BeaconPublished { facts, unchanged }) = &self.beacon {
            let already = if *unchanged { " already" } else { "" };
            fleetcast_cli::note(format_args!("channel {channel} has the {facts}{already}"));
        }
    }
}

/// Roots or a beacon that the channel does not take.
fn not_noticed(error: NoticeError) -> CommandError {
    let hint = match &error {
        NoticeError::Root { .. } => "name all roots from one that the channel has: --root 1.root --root 2.root ...",
        NoticeError::Fork { .. } => {
            "compare both: fleetcast-sign diff; a root that went out is never replaced, only followed"
        }
        NoticeError::Replay { .. } => "sign a new one: fleetcast-sign beacon",
        NoticeError::Beacon { .. } => "the newest root says who signs beacons: fleetcast-sign root show FILE",
        NoticeError::NoRoot { .. } => "--root 1.root",
        NoticeError::Store(_) => "",
    };
    match error {
        NoticeError::Store(error) => not_stored(error),
        NoticeError::NoRoot { .. } => CommandError::new(ErrorKind::Usage, error).hint(hint),
        error => CommandError::new(ErrorKind::Refused, error).hint(hint),
    }
}

fn not_published(error: PublishError) -> CommandError {
    match error {
        PublishError::Store(error) => not_stored(error),
        PublishError::Notice(error) => not_noticed(error),
        PublishError::Refused { .. } => CommandError::new(ErrorKind::Refused, error)
            .hint("sign it with keys that the newest root names: fleetcast-sign root show FILE"),
        PublishError::Sequence { .. } => CommandError::new(ErrorKind::Refused, error)
            .hint("sign it with a higher sequence number; --rollback publishes it as it is"),
        PublishError::Equivocation { .. } => {
            CommandError::new(ErrorKind::Refused, error).hint("sign it with a higher sequence number")
        }
        PublishError::Named { .. } => CommandError::new(ErrorKind::Refused, error)
            .hint("devices that go by these keys or roots refuse it too: name others, or publish one that they take"),
        PublishError::Lacks { .. } => CommandError::new(ErrorKind::Refused, error)
            .hint("publish its release file and images, which puts what is missing"),
        PublishError::Empty { .. } | PublishError::Busy { .. } => CommandError::failed(error),
    }
}
