//! `check`: all that `run` checks before it sends, and nothing else.

use std::fmt::Write as _;
use std::time::Duration;

use fleetcast_cli::{CommandError, hex};
use indicatif::{HumanBytes, HumanCount, HumanDuration};
use serde::Serialize;

use super::release::ReleaseArgs;
use crate::driver;
use crate::notices::Notices;
use crate::report::{BeaconFacts, Event};
use crate::source::Source;

/// Check a release and its images without sending
///
/// Checks every page against the manifest and every image against its pages, its length and its SHA-256. Computes all
/// repair chunks and checks them as well. Then prints what would be sent, and warns if devices would refuse the release by the
/// beacon.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  Before a release goes on air, signatures included:
    fleetcast-send check box.fleetcast --image boot=boot.img --image rootfs=rootfs.img \\
        --trust release-key.pub.pem

  The same by roots and a beacon that go with it:
    fleetcast-send check app.fleetcast --image app.img \\
        --root 1.root --root 2.root --beacon current.beacon

Exit codes: 0 all is right, 1 failed, 2 wrong usage, 3 release, images, roots or beacon refused.")]
pub(super) struct Args {
    #[command(flatten)]
    release: ReleaseArgs,

    /// Print a JSON document
    #[arg(long)]
    json: bool,
}

/// What was checked and would be sent.
#[derive(Serialize)]
struct Facts {
    v: u8,
    version: String,
    sequence: u64,
    security_version: u32,
    vendor: String,
    classes: Vec<String>,
    tsi: String,
    /// SHA-256 of the manifest payload.
    manifest: String,
    /// Whether signatures were verified.
    verified: bool,
    components: Vec<ComponentFacts>,
    cycle_packets: u64,
    cycle_octets: u64,
    max_packet: usize,
    /// Versions of the roots that go along.
    roots: Vec<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    beacon: Option<BeaconFacts>,
}

#[derive(Serialize)]
struct ComponentFacts {
    name: String,
    target: String,
    size: u64,
    sha256: String,
    chunk: usize,
    source_chunks: u32,
    repair_chunks: u32,
}

impl Args {
    pub(super) fn run(self) -> Result<(), CommandError> {
        let (source, mut notices) = self.release.open(self.json)?;
        let facts = Facts::new(&source, self.release.verifies(), notices.as_ref());
        if let Some(notices) = &mut notices {
            for concern in notices.concerns(source.release(), driver::unix_now()) {
                if let Event::Warning { reason, .. } = concern {
                    fleetcast_cli::warn(reason);
                }
            }
        }
        if self.json { fleetcast_cli::out_json(&facts) } else { fleetcast_cli::out(&facts.text()) }
    }
}

impl Facts {
    fn new(source: &Source, verified: bool, notices: Option<&Notices>) -> Self {
        let manifest = source.release().manifest();
        let component = |c: &fleetcast_core::manifest::Component| ComponentFacts {
            name: c.name.to_string(),
            target: c.target.to_string(),
            size: c.geometry.size(),
            sha256: hex(&c.sha256),
            chunk: c.geometry.chunk_len(),
            source_chunks: c.geometry.source_chunks(),
            repair_chunks: c.geometry.repair_chunks(),
        };
        Self {
            v: 1,
            version: manifest.version.to_string(),
            sequence: manifest.sequence,
            security_version: manifest.security_version,
            vendor: manifest.vendor.to_string(),
            classes: manifest.classes.iter().map(ToString::to_string).collect(),
            tsi: manifest.tsi().to_string(),
            manifest: hex(manifest.payload_digest()),
            verified,
            components: manifest.components.iter().map(component).collect(),
            cycle_packets: source.volume().packets,
            cycle_octets: source.volume().octets,
            max_packet: source.max_packet(),
            roots: notices.map(Notices::versions).unwrap_or_default(),
            beacon: notices.and_then(Notices::facts),
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: String| {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{name:<12} {value}");
        };
        line(
            "release",
            format!("{} (sequence {}, security version {})", self.version, self.sequence, self.security_version),
        );
        line("session", self.tsi.clone());
        line("manifest", self.manifest.clone());
        line("signatures", if self.verified { "verified" } else { "not checked: no --trust, no --root" }.into());
        if !self.roots.is_empty() {
            let roots: Vec<_> = self.roots.iter().map(ToString::to_string).collect();
            line("roots", format!("{}, each signed by the one before it", roots.join(" ")));
        }
        if let Some(beacon) = &self.beacon {
            line("beacon", beacon.to_string());
        }
        line("vendor", self.vendor.clone());
        line("classes", self.classes.join(" "));
        for c in &self.components {
            line("component", format!("{} for target {}: {} octets, right", c.name, c.target, HumanCount(c.size)));
            line("  sha256", c.sha256.clone());
            let (source, repair) = (HumanCount(c.source_chunks.into()), HumanCount(c.repair_chunks.into()));
            line("  chunks", format!("{source} source, {repair} repair, of {} octets", c.chunk));
        }
        let time = Duration::from_secs((self.cycle_octets * 8).div_ceil(10_000_000));
        line(
            "cycle",
            format!(
                "{} packets of up to {} octets, {}, {} at 10 Mbit/s",
                HumanCount(self.cycle_packets),
                self.max_packet,
                HumanBytes(self.cycle_octets),
                HumanDuration(time)
            ),
        );
        text
    }
}
