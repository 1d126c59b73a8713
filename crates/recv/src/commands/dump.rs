//! `dump`: what is on the air?

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::PathBuf;
use std::time::Duration;

use fleetcast_cli::{CommandError, ErrorKind, out, out_json, quantity, warn};

use crate::config::LookArgs;
use crate::dump::{CaptureError, Dump, PacketLine, Report, confine, listen, read};

/// Show what is sent, by whom, how fast, and what of it verifies
///
/// Reads a capture (pcap or pcapng: Ethernet with VLANs, bare IP, Linux cooked), or joins groups and listens. Tells for each
/// group and sender the rate, the loss and what is dropped why, and for each release what it is, who signed it and how long a
/// cycle takes. Octets are those of UDP payload. Nothing is installed or stored, and a daemon may run beside this.
///
/// Without --trust, --root or --config nothing is verified: then it tells what is claimed, and whether packets agree with it.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  fleetcast-recv dump session.pcapng --trust release-key.pub.pem
  fleetcast-recv dump --config /etc/fleetcast/recv.toml --for 1min
  tcpdump -i eth0 -w - udp | fleetcast-recv dump - --packets

Capture whole packets, without a snap length. A capture on the sending machine may have trains of
packets as one (UDP GSO), which are dropped as `length`: capture elsewhere, or first
`ethtool -K eth0 tx-udp-segmentation off`.

Exit codes: 0 told, 1 nothing of this protocol was seen, or it failed; 2 wrong usage, 3 no release
is verified (--require-verified), 78 wrong settings.")]
pub(super) struct Args {
    /// Capture to read, - for stdin; without one the groups are joined
    #[arg(value_name = "CAPTURE", id = "capture")]
    capture: Option<PathBuf>,

    /// How long to listen, such as 10s or 2min
    #[arg(long = "for", value_name = "TIME", default_value = "10s", value_parser = quantity::duration, conflicts_with = "capture")]
    time: Duration,

    /// Tell every packet on a line of its own, as it comes
    #[arg(long)]
    packets: bool,

    /// Print JSON: one document, and with --packets one more for each packet before it
    #[arg(long)]
    json: bool,

    /// Fail unless a release on the air is verified, with chunks of it
    #[arg(long)]
    require_verified: bool,

    #[command(flatten)]
    look: LookArgs,
}

impl Args {
    pub(super) fn run(self) -> Result<(), CommandError> {
        let look = self.look.load(self.capture.is_some())?;
        if self.require_verified && look.trust.is_none() {
            let what = "--require-verified needs somebody to trust";
            return Err(CommandError::new(ErrorKind::Usage, what).hint("name them by --trust, --root or --config"));
        }
        let (packets, json) = (self.packets, self.json);
        let mut tell = |line: &PacketLine| match (packets, json) {
            (false, _) => Ok(()),
            (true, true) => out_json(line),
            (true, false) => out(&format!("{line}\n")),
        };
        let report = if let Some(path) = &self.capture {
            let name = path.display();
            let failed = |error: &CaptureError| CommandError::failed(format!("cannot use capture {name}: {error}"));
            let input: Box<dyn Read> = if path.as_os_str() == "-" {
                Box::new(io::stdin().lock())
            } else {
                Box::new(File::open(path).map_err(|e| failed(&e.into()))?)
            };
            confine();
            let mut dump = Dump::new(look.trust, look.feeds.iter().map(|feed| feed.group).collect());
            match read(BufReader::new(input), &mut dump, &mut tell)? {
                Ok(()) => {}
                // What was read until then stands.
                Err(error @ CaptureError::Cut) => warn(format_args!("capture {name}: {error}")),
                Err(error) => return Err(failed(&error)),
            }
            dump.report()
        } else {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|e| CommandError::failed(format!("cannot wait for sockets: {e}")))?;
            runtime.block_on(listen(look, self.time, &mut tell))?
        };
        if json {
            out_json(&report)?;
        } else {
            let gap = if packets { "\n" } else { "" };
            out(&format!("{gap}{report}"))?;
        }
        self::conclude(&report, self.require_verified)
    }
}

fn conclude(report: &Report, require_verified: bool) -> Result<(), CommandError> {
    if report.is_empty() {
        return Err(CommandError::failed("nothing of this protocol was seen").hint(
            "see that group, port and interface are the sender's; `fleetcast-recv doctor` tells why nothing comes",
        ));
    }
    if require_verified && !report.is_any_verified() {
        return Err(CommandError::new(ErrorKind::Refused, "no release on the air is verified"));
    }
    Ok(())
}
