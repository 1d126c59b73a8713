//! `publish`: a release goes to a store, under a channel.

use fleetcast_cli::{CommandError, ErrorKind};
use indicatif::{HumanBytes, ProgressBar};
use serde::Serialize;

use super::release::ReleaseArgs;
use super::store_arg::{StoreArg, not_stored};
use crate::driver;
use crate::report;
use crate::store::pointer::Channel;
use crate::store::publish::{PublishError, Published, publish};

/// Put a release where head-ends fetch it, under a channel
///
/// First checks all of the release and its images, as `check` does, signatures included. Then puts images and release file into the
/// store, and last the pointer by which head-ends that follow the channel find them: until then nobody sees anything of it, and a
/// publisher that is broken off leaves the channel as it was. What the store has already is not put again; a release that the
/// channel names already changes nothing. Of two publishers at once the later one goes by what the other has published.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  From a pipeline, to a folder that a web server serves or a disk that is carried:
    fleetcast-send publish app.fleetcast --image app.img --trust release-key.pub.pem \\
        --store /srv/releases --channel stable

  To a bucket, verified by the roots that devices go by:
    AWS_REGION=eu-central-1 fleetcast-send publish app.fleetcast --image app.img \\
        --root 1.root --root 2.root --store s3://acme-releases/boards --channel beta

Exit codes: 0 published, or it was already; 1 failed; 2 wrong usage; 3 the release is refused, or is no later than
the one that the channel names.")]
pub(super) struct Args {
    #[command(flatten)]
    release: ReleaseArgs,

    #[command(flatten)]
    store: StoreArg,

    /// Channel that names the release from then on, such as `stable`
    #[arg(long, value_name = "NAME")]
    channel: Channel,

    /// Publish it even if the channel names a release of a higher sequence number. Devices that have taken that one refuse this
    #[arg(long)]
    rollback: bool,

    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

/// What came of it.
#[derive(Serialize)]
struct Facts {
    v: u8,
    channel: String,
    number: u64,
    release: String,
    sequence: u64,
    version: String,
    unchanged: bool,
    octets: u64,
}

impl Args {
    pub(super) fn run(self) -> Result<(), CommandError> {
        if !self.release.verifies() {
            let error = "what is published must be verified: name who must have signed it";
            return Err(
                CommandError::new(ErrorKind::Usage, error).hint("--trust release-key.pub.pem, or --root 1.root")
            );
        }
        let store = self.store.open()?;
        let (source, _) = self.release.open(self.json)?;
        let bar = if self.json { ProgressBar::hidden() } else { report::octets_bar("publishing") };
        let result =
            publish(&store, &self.channel, &source, self.rollback, driver::unix_now().as_secs(), &mut |done, total| {
                bar.set_length(total);
                bar.set_position(done);
            });
        bar.finish_and_clear();
        let Published { number, is_unchanged, before, octets } = result.map_err(not_published)?;
        let manifest = source.release().manifest();
        if self.json {
            return fleetcast_cli::out_json(&Facts {
                v: 1,
                channel: self.channel.to_string(),
                number,
                release: fleetcast_cli::hex(manifest.payload_digest()),
                sequence: manifest.sequence,
                version: manifest.version.to_string(),
                unchanged: is_unchanged,
                octets,
            });
        }
        let (channel, release) =
            (&self.channel, format!("release {} (sequence {})", manifest.version, manifest.sequence));
        let put = HumanBytes(octets);
        let told = match before {
            _ if is_unchanged => format!("names {release} already"),
            Some(before) => format!("names {release}, after sequence {before}"),
            None => format!("names {release}, its first"),
        };
        fleetcast_cli::note(format_args!("channel {channel} {told}; {put} were put into the store"));
        Ok(())
    }
}

fn not_published(error: PublishError) -> CommandError {
    match error {
        PublishError::Store(error) => not_stored(error),
        PublishError::Sequence { .. } => CommandError::new(ErrorKind::Refused, error)
            .hint("sign it with a higher sequence number; --rollback publishes it as it is"),
        PublishError::Equivocation { .. } => {
            CommandError::new(ErrorKind::Refused, error).hint("sign it with a higher sequence number")
        }
        PublishError::Busy { .. } => CommandError::failed(error),
    }
}
