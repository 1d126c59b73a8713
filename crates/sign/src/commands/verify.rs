//! `verify`: the checks of a device, made at leisure.

use std::path::{Path, PathBuf};

use fleetcast_cli::{self as cli, CommandError, ErrorKind, keys::load_public};
use fleetcast_core::manifest::{Component, Manifest, Token};
use fleetcast_core::trust::{Trust, TrustedKeys, Unverified, Verified, verify};
use serde::Serialize;

use super::image_arg::{ImageArg, check_unique};
use super::progress;
use crate::release::{Image, ImageReason, Refusal, ReleaseFile, Summary, VerifyError, check_image, check_pages};

/// Check a release as a device would, and more
///
/// Checks the signatures, the length of the file, every page, and every parity page that follows from them. With
/// --image it checks that image too: length, SHA-256, every chunk and every repair chunk. Tells what it checked and what it
/// did not.
///
/// Exit code 3 and a word for the cause if anything is not as signed.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  Before a release goes to the head-end:
    fleetcast-sign verify 1.2.3.fleetcast --trust release-key.pub.pem \\
      --image rootfs=build/rootfs.img

  As devices that ask for two of three keys:
    fleetcast-sign verify 1.2.3.fleetcast --threshold 2 \\
      --trust a.pub.pem --trust b.pub.pem --trust c.pub.pem")]
pub(super) struct Args {
    /// Release file
    #[arg(value_name = "RELEASE")]
    release: PathBuf,

    /// Public key to trust; give it again for more
    #[arg(long = "trust", value_name = "FILE", required = true)]
    trust: Vec<PathBuf>,

    /// How many of these keys must have signed
    #[arg(long, value_name = "M", default_value_t = 1)]
    threshold: u8,

    /// Image to check against the release
    #[arg(long = "image", value_name = "NAME=PATH")]
    images: Vec<ImageArg>,

    /// Print a JSON document, of a refusal too
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Passed {
    verified: bool,
    signed_by: Vec<String>,
    threshold: u8,
    pages: u64,
    parity_pages: u64,
    /// Names of the components whose images were checked.
    images_checked: Vec<String>,
    images_not_checked: Vec<String>,
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
        let usage = |error| CommandError::new(ErrorKind::Usage, error);
        check_unique("image", self.images.iter().map(|arg| &arg.name))?;
        let keys = self.trust.iter().map(|path| Ok(load_public(path)?.tell())).collect::<Result<_, CommandError>>()?;
        let trust = TrustedKeys::new(keys, self.threshold).map_err(|error| usage(error.to_string()))?.into();
        match self.check(&trust) {
            Ok(passed) if self.json => cli::out_json(&passed),
            Ok(passed) => cli::out(&passed.text()),
            Err(Failure::Command(error)) => Err(error),
            Err(Failure::Verify(error)) => {
                let code = error.code();
                let refusal = CommandError::from(error);
                if self.json && refusal.kind() == ErrorKind::Refused {
                    cli::out_json(&Refused { verified: false, code, message: refusal.to_string() })?;
                }
                Err(refusal)
            }
        }
    }

    fn check(&self, trust: &Trust) -> Result<Passed, Failure> {
        let file = ReleaseFile::open(&self.release).map_err(VerifyError::File)?;
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
            threshold: self.threshold,
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
    fn text(&self) -> String {
        let mut lines = vec![
            format!(
                "release {}, sequence {}, security version {}: VERIFIED",
                self.summary.version, self.summary.sequence, self.summary.security_version
            ),
            format!("checked: signature by {} (threshold {})", self.signed_by.join(" and by "), self.threshold),
            format!("checked: {} pages and {} parity pages", self.pages, self.parity_pages),
        ];
        for component in &self.summary.components {
            let name = &component.name;
            lines.push(if self.images_checked.contains(name) {
                let (source, repair) = (component.source_chunks, component.repair_chunks);
                format!("checked: image {name}: length, SHA-256, {source} source and {repair} repair chunks")
            } else {
                format!("NOT checked: image {name}, for want of --image {name}=PATH")
            });
        }
        lines.join("\n") + "\n"
    }
}
