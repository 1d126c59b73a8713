//! `verify`: the checks of a device, made at leisure.

mod device;
mod statement;

use std::fmt;
use std::path::{Path, PathBuf};

use clap::ArgGroup;
use fleetcast_cli::{CommandError, ErrorKind};
use fleetcast_core::manifest::{Component, Manifest, Token};
use fleetcast_core::trust::{Root, Trust, Unverified, Verified, verify};
use serde::Serialize;

use super::document::root_or_beacon;
use super::form_args::FormArgs;
use super::image_arg::{ImageArg, check_unique};
use super::progress;
use super::trust_args::TrustArgs;
use crate::device::{Device, Does, Verdict};
use crate::html::{Notice, Tone};
use crate::release::{
    ComponentSummary, Image, ImageReason, Refusal, ReleaseFile, Summary, VerifyError, check_image, check_pages,
};
use crate::time;

/// Check a release, root or beacon as a device would, and more
///
/// Checks the signatures, the length of the file, every page, and every parity page that follows from them. With
/// --image it checks that image too: length, SHA-256, every chunk and every repair chunk. Tells what it checked and what it
/// did not.
///
/// With --as-device it says what a device would do with the release, and why: whether it takes it, and when it installs it.
///
/// Of a root it checks that it follows those given, of a beacon that the last of them knows who signed it.
///
/// Exit code 3 and a word for the cause if anything is not as signed, or the device would not install it; --json and --html
/// print a document then too.
#[derive(clap::Args, Debug)]
#[command(group(ArgGroup::new("anchor").args(["keys", "roots", "as_device"]).multiple(true).required(true)))]
#[command(after_help = "\
Examples:
  Before a release goes to the head-end:
    fleetcast-sign verify 1.2.3.fleetcast --trust release-key.pub.pem \\
      --image rootfs=build/rootfs.img

  As devices that ask for two of three keys:
    fleetcast-sign verify 1.2.3.fleetcast --threshold 2 \\
      --trust a.pub.pem --trust b.pub.pem --trust c.pub.pem

  As devices that have walked to root 2:
    fleetcast-sign verify 1.2.3.fleetcast --root 1.root --root 2.root

  What would this device do with it tomorrow, when it has heard root 2 and the beacon?
    fleetcast-sign verify 1.2.3.fleetcast --as-device examples/device.toml \\
      --root 2.root --beacon current.beacon --at 2026-12-02T08:00Z

  Is this the root that follows, and this beacon right?
    fleetcast-sign verify 3.root --root 1.root --root 2.root
    fleetcast-sign verify current.beacon --root 1.root --root 2.root

  For whoever reviews it, with all that was checked:
    fleetcast-sign verify --html 1.2.3.fleetcast --root 1.root --image rootfs=build/rootfs.img \
      > 1.2.3.html")]
pub(super) struct Args {
    /// Release, root or beacon file
    #[arg(value_name = "FILE")]
    file: PathBuf,

    #[command(flatten)]
    trust: TrustArgs,

    #[command(flatten)]
    device: device::DeviceArgs,

    /// Image to check against the release
    #[arg(long = "image", value_name = "NAME=PATH")]
    images: Vec<ImageArg>,

    #[command(flatten)]
    form: FormArgs,
}

#[derive(Serialize)]
struct Passed {
    verified: bool,
    signed_by: Vec<String>,
    /// How many of the keys given must have signed; null if a root says that.
    threshold: Option<u8>,
    /// Version of the root that decided; null for keys alone.
    root: Option<u16>,
    pages: u64,
    parity_pages: u64,
    /// Names of the components whose images were checked.
    images_checked: Vec<String>,
    images_not_checked: Vec<String>,
    /// What the device does with it, if one is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<Verdict>,
    #[serde(flatten)]
    summary: Summary,
}

#[derive(Serialize)]
struct Refused {
    verified: bool,
    code: &'static str,
    message: String,
}

impl Args {
    pub(super) fn run(self) -> Result<(), CommandError> {
        check_unique("image", self.images.iter().map(|arg| &arg.name))?;
        if let Some(statement) = root_or_beacon(&self.file)? {
            return self.check_statement(&statement);
        }
        let device = self.device.load(&self.trust)?;
        let trust = match &device {
            Some(device) => Some(device.trust().clone()),
            None => self.trust.load()?,
        };
        let trust = trust.ok_or_else(|| CommandError::new(ErrorKind::Usage, "there is nothing to trust"))?;
        match self.check(&trust, device.as_ref()) {
            Ok(passed) => {
                self.form.tell(
                    &passed,
                    || passed.text(),
                    || passed.notice(trust.root().map(|root| &**root)).document(&self.file, &passed.summary),
                )?;
                passed.device.as_ref().map_or(Ok(()), device::conclude)
            }
            Err(Failure::Command(error)) => Err(error),
            Err(Failure::Verify(error)) => {
                let code = error.code();
                let refusal = CommandError::from(error);
                if refusal.kind() == ErrorKind::Refused {
                    self.tell_refusal("Release", code, refusal.to_string())?;
                }
                Err(refusal)
            }
        }
    }

    /// Prints a document that says so, if one is asked for; for people the error is enough.
    fn tell_refusal(&self, what: &str, code: &'static str, message: String) -> Result<(), CommandError> {
        if !self.form.json && !self.form.html {
            return Ok(());
        }
        let refused = Refused { verified: false, code, message };
        let notice = || Notice::new(Tone::Bad, "REFUSED", vec![(Tone::Bad, refused.message.clone())]);
        self.form.tell(&refused, String::new, || notice().alone(&format!("{what} refused"), &self.file))
    }

    fn check(&self, trust: &Trust, device: Option<&Device>) -> Result<Passed, Failure> {
        let file = ReleaseFile::open(&self.file).map_err(VerifyError::File)?;
        let manifest: Verified<Manifest> = verify(file.statement(), trust).map_err(VerifyError::Statement)?;
        let pages = check_pages(&file, &manifest)?;
        self.check_images(&file, &manifest)?;
        let names = |checked: bool| {
            let is_given = |name: &Token| self.images.iter().any(|arg| arg.name == *name);
            let names = manifest.components.iter().map(|component| &component.name);
            names.filter(|name| is_given(name) == checked).map(ToString::to_string).collect()
        };
        Ok(Passed {
            verified: true,
            signed_by: manifest.signers().iter().map(ToString::to_string).collect(),
            threshold: trust.root().is_none().then(|| trust.root_role().threshold()),
            root: trust.root().map(|root| root.version),
            device: device.map(|device| device.judge(&manifest)),
            pages,
            parity_pages: pages,
            images_checked: names(true),
            images_not_checked: names(false),
            summary: Summary::new(&Unverified::from(manifest.clone()), file.statement()),
        })
    }

    fn check_images(&self, file: &ReleaseFile, manifest: &Verified<Manifest>) -> Result<(), Failure> {
        let mut images = Vec::new();
        for arg in &self.images {
            let mut components = (0..).zip(&manifest.components);
            let (number, component) =
                components.find(|(_, component)| component.name == arg.name).ok_or_else(|| {
                    let names: Vec<_> = manifest.components.iter().map(|component| component.name.as_str()).collect();
                    let message = format!("the release has no component {}", arg.name);
                    CommandError::new(ErrorKind::Usage, message).hint(format!("it has: {}", names.join(", ")))
                })?;
            images.push((number, open_image(&arg.path, component)?));
        }
        let bar = progress(2 * images.iter().map(|(_, image)| image.size()).sum::<u64>());
        let checked = images
            .iter()
            .try_for_each(|(number, image)| check_image(file, manifest, *number, image, &|octets| bar.inc(octets)));
        bar.finish_and_clear();
        Ok(checked?)
    }
}

/// Opens an image to check. An empty one is no accident of reading: it is not what was signed.
fn open_image(path: &Path, component: &Component) -> Result<Image, VerifyError> {
    Image::open(path).map_err(|error| match error.reason {
        ImageReason::Empty => {
            let refusal = Refusal::Length { got: 0, signed: component.geometry.size() };
            VerifyError::Refused { component: component.name.clone(), refusal }
        }
        _ => VerifyError::Image(error),
    })
}

/// Told in different ways.
enum Failure {
    Command(CommandError),
    Verify(VerifyError),
}

impl From<CommandError> for Failure {
    fn from(error: CommandError) -> Self {
        Self::Command(error)
    }
}

impl From<VerifyError> for Failure {
    fn from(error: VerifyError) -> Self {
        Self::Verify(error)
    }
}

impl Passed {
    /// What was looked at, and what was not.
    fn checks(&self) -> Vec<Check> {
        let anchor = match (self.root, self.threshold) {
            (Some(root), _) => format!("enough for root {root}"),
            (None, threshold) => format!("threshold {}", threshold.unwrap_or_default()),
        };
        let done = |what: String| Check { is_done: true, what };
        let image = |component: &ComponentSummary| {
            let name = &component.name;
            if self.images_checked.contains(name) {
                let (source, repair) = (component.source_chunks, component.repair_chunks);
                return done(format!("image {name}: length, SHA-256, {source} source and {repair} repair chunks"));
            }
            Check { is_done: false, what: format!("image {name}, for want of --image {name}=PATH") }
        };
        let statement = [
            done(format!("signature by {} ({anchor})", self.signed_by.join(" and by "))),
            done(format!("{} pages and {} parity pages", self.pages, self.parity_pages)),
        ];
        statement.into_iter().chain(self.summary.components.iter().map(image)).collect()
    }

    fn text(&self) -> String {
        let Summary { version, sequence, security_version, .. } = &self.summary;
        let head = format!("release {version}, sequence {sequence}, security version {security_version}: VERIFIED");
        let checks = self.checks().into_iter().map(|check| check.to_string());
        let device = self.device.as_ref().map(|verdict| format!("device: {verdict}"));
        [head].into_iter().chain(checks).chain(device).collect::<Vec<_>>().join("\n") + "\n"
    }

    /// What stands above its document. `root` is the one that decided.
    fn notice(&self, root: Option<&Root>) -> Notice {
        let line = |check: Check| (if check.is_done { Tone::Good } else { Tone::Warn }, check.to_string());
        let mut lines: Vec<_> = self.checks().into_iter().map(line).collect();
        let mut tone = lines.iter().map(|(tone, _)| *tone).max().unwrap_or(Tone::Good);
        let mut verdict = if tone == Tone::Good { "VERIFIED" } else { "VERIFIED, BUT NOT ALL IMAGES" };
        if let Some(device) = &self.device {
            let (device_tone, what) = match device.verdict {
                Does::Installs => (Tone::Good, "VERIFIED, AND THE DEVICE INSTALLS IT"),
                Does::InstallsLater => (Tone::Good, "VERIFIED, AND THE DEVICE INSTALLS IT LATER"),
                Does::Holds => (Tone::Bad, "VERIFIED, BUT THE DEVICE DOES NOT INSTALL IT"),
                Does::Refuses => (Tone::Bad, "VERIFIED, BUT THE DEVICE REFUSES IT"),
            };
            lines.push((device_tone, format!("device: {device}, as of {}", time::text(device.time))));
            tone = tone.max(device_tone);
            verdict = what;
        }
        Notice::new(tone, verdict, lines).signed_by(&self.signed_by, root)
    }
}

/// Something that was looked at, or was not.
struct Check {
    is_done: bool,
    what: String,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", if self.is_done { "checked" } else { "NOT checked" }, self.what)
    }
}
