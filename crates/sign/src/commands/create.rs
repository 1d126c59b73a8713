//! `create`: a signed release from images.

use std::io;
use std::path::PathBuf;
use std::str::FromStr;

use fleetcast_cli::{self as cli, CommandError, ErrorKind, identity};
use fleetcast_core::manifest::{MAX_CLASSES, MAX_SEQUENCE, MAX_WAVES, Share, Token};
use fleetcast_core::trust::MAX_SIGNATURES;
use serde::Serialize;

use super::image_arg::{ImageArg, check_unique, token};
use super::signer_args::SignerArgs;
use super::{check_out, progress};
use crate::release::{Coding, Draft, Existing, Facts, Image, Input, Summary, Wanted, plan, write};
use crate::time;

/// Octets of the largest datagram that a device takes unless its `max-packet` says more.
const DEFAULT_MAX_PACKET: usize = 1500;

/// Make a signed release from images
///
/// Writes one file with the signed manifest and the digests of every packet; the images stay beside it, and
/// fleetcast-send needs both. The same images and options give the same file on every machine.
///
/// The file is verified before it gets its name, and never replaces another one unless --force is given. Memory: 1/32 of
/// the images with the default options, and 25 MiB for each of up to four threads.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  One image for two classes of device:
    fleetcast-sign create --key release-key.pem --vendor acme.example \\
      --class board-a --class board-b --version 1.2.3 --sequence 17 \\
      --image rootfs=build/rootfs.img --out 1.2.3.fleetcast

  Two images that are installed together, for devices that run sequence 10 to 16:
    fleetcast-sign create --key release-key.pem --vendor acme.example --class board-a \\
      --version 1.2.3 --sequence 17 --from 10..16 \\
      --image kernel=build/vmlinuz,target=boot --image rootfs=build/rootfs.img --out 1.2.3.fleetcast

  One device in a hundred first, the others a day later:
    fleetcast-sign create ... --wave 1@2026-12-01T08:00Z --wave 100@2026-12-02T08:00Z

  Two signatures, for devices that ask for both:
    fleetcast-sign create --key alice.pem --passphrase-file alice.pass \\
      --key bob.pem --passphrase-file bob.pass ...

  Signed by a key in a token, by one of the ssh-agent, by a program:
    fleetcast-sign create --key 'pkcs11:token=release;object=release-key' ...
    fleetcast-sign create --key ssh-agent:0123456789abcdef ...
    fleetcast-sign create --sign-cmd ./sign-in-the-safe --pub release-key.pub.pem ...

  Signed later, at two other places:
    fleetcast-sign create --unsigned --signatures 2 ...")]
pub(super) struct Args {
    /// Sign nothing: `sign` and `attach` put signatures on the file later, here or elsewhere
    #[arg(long, conflicts_with_all = ["keys", "commands"])]
    unsigned: bool,

    /// Leave room in the packet of the signed manifest for N signatures; otherwise for those of the keys given, or for 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=MAX_SIGNATURES as i64))]
    signatures: Option<u8>,

    /// Who makes the devices: a domain name, or its UUID
    #[arg(long, value_name = "NAME")]
    vendor: String,

    /// Class of device it is for: a name, or its UUID; up to 8 times
    #[arg(long = "class", value_name = "NAME", required = true)]
    classes: Vec<String>,

    /// Version as people call it; devices never compare it
    #[arg(long, value_name = "TEXT", value_parser = token)]
    version: Token,

    /// Sequence number: larger than that of any release before
    ///
    /// Devices follow the largest one they see and refuse smaller ones. They also refuse one that is more than
    /// 4,294,967,296 above the one they run (a device that has installed nothing takes any), so count releases: the
    /// steps of a date or time stamp can be too large. It is never taken from a clock, so that a release can be made
    /// again.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=MAX_SEQUENCE))]
    sequence: u64,

    /// Security version: raised once older releases have become dangerous; devices never go back below it
    #[arg(long, value_name = "N", default_value_t = 0)]
    security_version: u32,

    /// Only for devices that run a release with a sequence number in this range; 0 is one that has installed nothing
    #[arg(long, value_name = "MIN..MAX")]
    from: Option<From>,

    /// Only for devices whose hardware revision is in this range
    #[arg(long, value_name = "MIN..MAX")]
    hardware: Option<From>,

    /// Share of the devices that may install it from TIME on; up to 8 times, in ascending order
    ///
    /// PERCENT has at most one decimal. TIME is such as 2026-12-01T08:00Z, or Unix time in seconds. Each device has a place
    /// of its own in each release. With a last share below 100 the rest does not take the release at all. All of them
    /// receive it as soon as it is sent.
    #[arg(long = "wave", value_name = "PERCENT@TIME", conflicts_with = "not_before")]
    waves: Vec<Wave>,

    /// No device may install it before TIME: as --wave 100@TIME
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    not_before: Option<u64>,

    /// Name and file of an image, and the install target if it is not named like the image; up to 8 times
    #[arg(long = "image", value_name = "NAME=PATH[,target=NAME]", required = true)]
    images: Vec<TargetArg>,

    /// Octets of a chunk, one of which makes a packet: 64 to 8192 in steps of 64
    #[arg(long, value_name = "OCTETS", default_value_t = 1024)]
    chunk: u64,

    /// Repair chunks per 100 source chunks: 0 to 100
    #[arg(long, value_name = "PERCENT", default_value_t = 100)]
    repair: u64,

    /// Octets of a digest: 16 or 32
    #[arg(long, value_name = "OCTETS", default_value_t = 16)]
    digest: u64,

    /// Octets of UDP payload that no packet of the release exceeds
    ///
    /// 1232 fits every IPv6 network. For Ethernet 1452 is possible. Devices take more than 1500 only if their setting
    /// max-packet says so.
    #[arg(long, value_name = "OCTETS", default_value_t = 1232, value_parser = clap::value_parser!(u16).range(100..))]
    packet: u16,

    /// Release file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,

    /// Replace the release file if it exists
    #[arg(long)]
    force: bool,

    /// Print a JSON document
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    signers: SignerArgs,
}

/// A component, its image and its target.
#[derive(Clone, Debug)]
struct TargetArg {
    image: ImageArg,
    target: Token,
}

impl FromStr for TargetArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (image, target) = match text.rsplit_once(",target=") {
            None => (text, None),
            Some((image, target)) => (image, Some(token(target)?)),
        };
        let image: ImageArg = image.parse()?;
        Ok(Self { target: target.unwrap_or_else(|| image.name.clone()), image })
    }
}

/// `MIN..MAX`, both included.
#[derive(Clone, Copy, Debug)]
struct From(u64, u64);

impl FromStr for From {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("{text:?} is no range: write MIN..MAX, both included, such as 10..16");
        let (min, max) = text.split_once("..").ok_or_else(form)?;
        let (Ok(min), Ok(max)) = (min.parse(), max.parse()) else { return Err(form()) };
        if min > max { Err("MIN is larger than MAX".into()) } else { Ok(Self(min, max)) }
    }
}

/// `PERCENT@TIME`.
#[derive(Clone, Copy, Debug)]
struct Wave(Share);

impl FromStr for Wave {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("{text:?} is no wave: write PERCENT@TIME, such as 0.5@2026-12-01T08:00Z");
        let (percent, at) = text.split_once('@').ok_or_else(form)?;
        let (whole, tenth) = percent.split_once('.').unwrap_or((percent, "0"));
        let digits = |text: &str, most: usize| {
            let fits = (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
            fits.then(|| text.parse::<u16>().ok()).flatten()
        };
        let (Some(whole), Some(tenth)) = (digits(whole, 3), digits(tenth, 1)) else { return Err(form()) };
        let share = whole * 10 + tenth;
        if !(1..=1000).contains(&share) {
            return Err(format!("{percent} % is no share: 0.1 to 100 are possible"));
        }
        Ok(Self(Share { share, time: time::parse(at)? }))
    }
}

#[derive(Serialize)]
struct Made {
    file: String,
    #[serde(flatten)]
    summary: Summary,
}

impl Args {
    pub(super) fn run(self) -> Result<(), CommandError> {
        let facts = self.facts()?;
        check_unique("image", self.images.iter().map(|arg| &arg.image.name))?;
        check_unique("target", self.images.iter().map(|arg| &arg.target))?;
        self.check_signers()?;
        self.check_out()?;
        let inputs = self.inputs(&facts)?;
        let signers = if self.unsigned { Vec::new() } else { self.signers.load()? };

        // Each image is read twice.
        let bar = progress(2 * inputs.iter().map(|input| input.image.size()).sum::<u64>());
        let work = |octets| bar.inc(octets);
        let draft = if self.unsigned {
            Draft::unsigned(&facts, &inputs, &work)
        } else {
            Draft::new(&facts, &inputs, &signers, &work)
        };
        bar.finish_and_clear();
        let draft = draft?;
        let existing = if self.force { Existing::Replace } else { Existing::Keep };
        write(&draft, &self.out, existing)?;

        let summary = Summary::new(draft.manifest(), draft.statement());
        if summary.packet_octets > DEFAULT_MAX_PACKET {
            cli::warn(format_args!(
                "its packets have up to {octets} octets: only devices with max-packet = {octets} or more (recv.toml) take \
                 it, and the default is {DEFAULT_MAX_PACKET}",
                octets = summary.packet_octets
            ));
        }
        if self.json {
            return cli::out_json(&Made { file: self.out.display().to_string(), summary });
        }
        cli::note(format_args!("written and verified: {}", self.out.display()));
        cli::out(&summary.to_string())
    }

    fn facts(&self) -> Result<Facts, CommandError> {
        let usage = |message: String| CommandError::new(ErrorKind::Usage, message);
        if self.classes.len() > MAX_CLASSES {
            return Err(usage(format!("a release is for at most {MAX_CLASSES} classes, not {}", self.classes.len())));
        }
        if let Some(From(min, max)) = self.from
            && min >= self.sequence
        {
            let message = format!("no device that runs sequence {min} to {max} takes sequence {}", self.sequence);
            let hint = "devices never go back: --from must start below --sequence";
            return Err(usage(message).hint(hint));
        }
        let vendor = identity::vendor(&self.vendor).map_err(usage)?;
        let classes = self.classes.iter().map(|class| identity::class(vendor, class)).collect::<Result<_, _>>();
        Ok(Facts {
            sequence: self.sequence,
            security_version: self.security_version,
            version: self.version.clone(),
            vendor,
            classes: classes.map_err(usage)?,
            from: self.from.map(|From(min, max)| (min, max)),
            hardware: self.hardware.map(|From(min, max)| (min, max)),
            waves: self.waves()?,
        })
    }

    fn waves(&self) -> Result<Vec<Share>, CommandError> {
        let usage = |message: &str| CommandError::new(ErrorKind::Usage, message);
        let before = self.not_before.map(|time| Share { share: 1000, time });
        let waves: Vec<_> = self.waves.iter().map(|wave| wave.0).chain(before).collect();
        if waves.len() > MAX_WAVES {
            return Err(usage(&format!("a release has at most {MAX_WAVES} waves, not {}", waves.len())));
        }
        let ascends = |(a, b): (&Share, &Share)| a.share < b.share && a.time < b.time;
        if waves.iter().zip(waves.iter().skip(1)).all(ascends) {
            Ok(waves)
        } else {
            Err(usage("waves are not in order: each needs a larger share and a later time than the one before"))
        }
    }

    /// Finds out before the work what would make it vain, or cost a file that it needs.
    fn check_out(&self) -> Result<(), CommandError> {
        let images = self.images.iter().map(|arg| arg.image.path.as_path());
        check_out(&self.out, self.signers.files().chain(images))?;
        let failed = |text: &str| CommandError::failed(format!("{} {text}", self.out.display()));
        match std::fs::symlink_metadata(&self.out) {
            Ok(metadata) if metadata.is_dir() => Err(failed("is a folder")),
            Ok(_) if !self.force => {
                Err(failed("exists already").hint("choose another name, or replace it with --force"))
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed(&format!("cannot be written: {error}")))
            }
            _ => Ok(()),
        }
    }

    /// Opens the images and chooses their geometry.
    fn inputs(&self, facts: &Facts) -> Result<Vec<Input>, CommandError> {
        let images: Vec<_> = self.images.iter().map(|arg| Image::open(&arg.image.path)).collect::<Result<_, _>>()?;
        let coding = Coding { chunk: self.chunk, repair: self.repair, digest: self.digest };
        let wanted = |(arg, image): (&TargetArg, &Image)| Wanted {
            name: arg.image.name.clone(),
            target: arg.target.clone(),
            size: image.size(),
            coding,
        };
        let wanted: Vec<_> = self.images.iter().zip(&images).map(wanted).collect();
        let geometries = plan(facts, &wanted, self.room_for(), self.packet.into())?;
        let input = |((image, geometry), Wanted { name, target, .. })| Input { name, target, image, geometry };
        Ok(images.into_iter().zip(geometries).zip(wanted).map(input).collect())
    }

    /// How many signatures there is to be room for.
    fn room_for(&self) -> usize {
        self.signatures.map_or(self.signers.count().max(1), usize::from)
    }

    fn check_signers(&self) -> Result<(), CommandError> {
        if !self.unsigned {
            self.signers.check()?;
        }
        let keys = self.signers.count();
        if keys > self.room_for() {
            let message = format!("{keys} keys make more signatures than --signatures {}", self.room_for());
            return Err(CommandError::new(ErrorKind::Usage, message));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_may_have_commas_and_a_target() {
        let read = |text: &str| {
            let TargetArg { image: ImageArg { name, path }, target } = text.parse().unwrap();
            (name.to_string(), path.display().to_string(), target.to_string())
        };
        let of = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
        assert_eq!(read("rootfs=a.img"), of("rootfs", "a.img", "rootfs"));
        assert_eq!(read("rootfs=a=b,c.img"), of("rootfs", "a=b,c.img", "rootfs"));
        assert_eq!(read("k=a,b.img,target=boot"), of("k", "a,b.img", "boot"));
        for text in ["", "a", "=a", "a=", "a b=c", "a=b,target=", "a=b,target=c/d", ".a=b", "a=,target=c"] {
            assert!(text.parse::<TargetArg>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_wave_is_a_share_and_a_time() {
        let read = |text: &str| text.parse::<Wave>().map(|Wave(Share { share, time })| (share, time));
        assert_eq!(read("0.1@1970-01-01T00:01Z"), Ok((1, 60)));
        assert_eq!(read("100@1764576000"), Ok((1000, 1_764_576_000)));
        assert_eq!(read("12.5@2025-12-01T08:00:00Z"), Ok((125, 1_764_576_000)));
        for text in [
            "",
            "5",
            "@5",
            "0@5",
            "0.0@5",
            "100.1@5",
            "1.25@5",
            "-1@5",
            "+1@5",
            "1%@5",
            "1@",
            "1@soon",
            "1@2026-12-01T08:00",
            "1@1099511627776",
            "1@1969-12-31T23:59Z",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_range_has_two_ends() {
        let read = |text: &str| text.parse::<From>().map(|From(min, max)| (min, max));
        assert_eq!(read("0..18446744073709551615"), Ok((0, u64::MAX)));
        assert_eq!(read("7..7"), Ok((7, 7)));
        for text in ["", "7", "7..", "..7", "8..7", "1...2", "-1..2", "1..=2"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
