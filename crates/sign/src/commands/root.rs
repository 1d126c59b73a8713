//! `root`: who may sign what, and the next root after it.

mod bump;
mod diff;
mod edit;
mod init;
mod show;
mod sign;
mod verify;

use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};
use fleetcast_cli::{self as cli, CommandError, ErrorKind, identity};
use fleetcast_core::manifest::{MAX_CLASSES, Token, Uuid};
use fleetcast_core::trust::{Grant, Root, Trust};
use fleetcast_core::wire::{MAX_COMPONENTS, StatementKind};

use super::document::open;
use super::image_arg::token;
use super::trust_args::{bare_keys, public_keys, statement};
use crate::root::{Diff, Role, RootError, RootFile, Shown, Standing, keys_of, warnings};
use crate::statement::StatementFile;
use crate::time;

/// Make and change trust roots: who may sign what
///
/// A root lists the keys of all roles and how many of each must sign: `root` signs the next root, `release` signs releases,
/// `operator` signs them too where it is asked for, `beacon` says which are current. Devices are made with root 1, and take
/// each that follows, once enough root keys of the old one and of the new one have signed it.
///
/// A root file is written unsigned, edited, and then signed by one person after the other; signatures end the editing.
#[derive(clap::Args, Debug)]
#[command(
    arg_required_else_help = true,
    after_help = "\
Examples:
  The first root: two of three people sign roots, one key signs releases, one lies on the head-end:
    fleetcast-sign root init 1.root --vendor acme.example --root-threshold 2 \\
      --root-key ann.pub.pem --root-key bob.pub.pem --root-key cem.pub.pem \\
      --release-key release.pub.pem --beacon-key beacon.pub.pem
    fleetcast-sign root sign 1.root --key ann.pem
    fleetcast-sign root sign 1.root --key bob.pem
    fleetcast-sign root verify 1.root

  Another release key, since the old one may be stolen:
    fleetcast-sign root bump 1.root --out 2.root
    fleetcast-sign root add-key 2.root --role release release2.pub.pem
    fleetcast-sign root remove-key 2.root 0123456789abcdef
    fleetcast-sign root diff 1.root 2.root
    fleetcast-sign root sign 2.root --previous 1.root --key ann.pem --key cem.pem
    fleetcast-sign root verify 1.root 2.root"
)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Init(init::Args),
    AddKey(edit::AddKey),
    RemoveKey(edit::RemoveKey),
    SetThreshold(edit::SetThreshold),
    AddGrant(edit::AddGrant),
    RemoveGrant(edit::RemoveGrant),
    RemoveRole(edit::RemoveRole),
    Bump(bump::Args),
    Sign(Box<sign::Args>),
    Show(show::Args),
    Diff(diff::Args),
    Verify(verify::Args),
}

impl Args {
    pub(super) fn run(self) -> Result<(), CommandError> {
        match self.command {
            Command::Init(args) => args.run(),
            Command::AddKey(args) => args.run(),
            Command::RemoveKey(args) => args.run(),
            Command::SetThreshold(args) => args.run(),
            Command::AddGrant(args) => args.run(),
            Command::RemoveGrant(args) => args.run(),
            Command::RemoveRole(args) => args.run(),
            Command::Bump(args) => args.run(),
            Command::Sign(args) => args.run(),
            Command::Show(args) => args.run(),
            Command::Diff(args) => args.run(),
            Command::Verify(args) => args.run(),
        }
    }
}

/// A root file that is there.
struct Opened {
    file: StatementFile,
    root: RootFile,
}

impl Opened {
    fn open(path: &Path) -> Result<Self, CommandError> {
        let file = open(path)?;
        if file.statement.kind() != StatementKind::Root {
            let message = format!("refused (template): {} is no root", path.display());
            let hint = "give a root file, made by: fleetcast-sign root init";
            return Err(CommandError::new(ErrorKind::Refused, message).hint(hint));
        }
        Ok(Self { root: RootFile::of(file.statement.clone())?, file })
    }

    /// Puts `root` in its place.
    fn replace(mut self, root: &RootFile) -> Result<(), CommandError> {
        self.file.statement = root.signable().clone();
        Ok(self.file.save()?)
    }
}

/// The root before, if it is known.
#[derive(clap::Args, Debug)]
struct PreviousArgs {
    /// Root file of the version before: says too whether devices that have it take this one
    #[arg(long, value_name = "FILE", conflicts_with = "trust")]
    previous: Option<PathBuf>,

    /// For root 1: public key of devices that were made with keys alone; give it again for more
    #[arg(long = "trust", value_name = "FILE")]
    trust: Vec<PathBuf>,

    /// How many of these keys must have signed
    #[arg(long, value_name = "M", default_value_t = 1, requires = "trust")]
    threshold: u8,
}

impl PreviousArgs {
    fn load(&self) -> Result<Option<Trust>, CommandError> {
        let Some(path) = &self.previous else { return bare_keys(&self.trust, self.threshold) };
        let before = Trust::from_root(&statement(path)?).map_err(|reason| {
            let message = format!("refused ({}): previous root {}: {reason}", reason.code(), path.display());
            CommandError::new(ErrorKind::Refused, message)
                .hint("give the root that devices have: signed by enough of its own root keys")
        })?;
        Ok(Some(before))
    }

    /// The root of the version before, if that is what is known.
    fn root(&self) -> Result<Option<RootFile>, CommandError> {
        self.previous.as_ref().map(|path| Ok(RootFile::parse(&statement(path)?)?)).transpose()
    }
}

/// When a root or beacon is made.
#[derive(clap::Args, Debug)]
pub(super) struct IssuedArg {
    /// When it is made, such as 2026-12-01T08:00Z, or Unix time in seconds; the clock of this machine otherwise
    ///
    /// Devices take it for a time that is past for sure.
    #[arg(long, value_name = "TIME", value_parser = time::parse, env = "SOURCE_DATE_EPOCH", hide_env_values = true)]
    issued: Option<u64>,
}

impl IssuedArg {
    pub(super) fn get(&self) -> u64 {
        let now = fleetcast_cli::clock::unix();
        let issued = self.issued.unwrap_or(now);
        if issued > now {
            cli::warn(format_args!(
                "{} is later than the clock of this machine: devices take it for past, and beacons up to then for stale",
                time::text(issued)
            ));
        }
        issued
    }
}

/// A role, by its name.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum RoleName {
    /// Signs roots
    Root,
    /// Signs releases
    Release,
    /// Signs releases too, where a grant asks for it
    Operator,
    /// Signs beacons
    Beacon,
}

impl RoleName {
    /// The role in a root. Which grant is meant need not be said if there is one only.
    fn of(self, grant: Option<usize>, root: &Root) -> Result<Role, CommandError> {
        let usage = |message: String, hint: &str| Err(CommandError::new(ErrorKind::Usage, message).hint(hint));
        match (self, grant) {
            (Self::Release | Self::Operator, None) if root.grants.len() > 1 => {
                let message = format!("the root has {} grants: which one?", root.grants.len());
                usage(message, "give --grant N; `fleetcast-sign root show` lists them")
            }
            (Self::Release, grant) => Ok(Role::Release(grant.unwrap_or(1))),
            (Self::Operator, grant) => Ok(Role::Operator(grant.unwrap_or(1))),
            (Self::Root, None) => Ok(Role::Root),
            (Self::Beacon, None) => Ok(Role::Beacon),
            (Self::Root | Self::Beacon, Some(_)) => {
                usage("--grant goes with the roles release and operator only".into(), "leave --grant out")
            }
        }
    }
}

/// Who may sign which releases.
#[derive(clap::Args, Debug)]
struct GrantArgs {
    /// Public key that signs releases; give it again for more
    #[arg(long = "release-key", value_name = "FILE", required = true)]
    release_keys: Vec<PathBuf>,

    /// How many of them must sign a release
    #[arg(long, value_name = "M", default_value_t = 1)]
    release_threshold: u8,

    /// Public key of an operator, who must sign releases too; give it again for more
    #[arg(long = "operator-key", value_name = "FILE")]
    operator_keys: Vec<PathBuf>,

    /// How many of them must sign a release
    #[arg(long, value_name = "M", default_value_t = 1, requires = "operator_keys")]
    operator_threshold: u8,

    /// Only for releases for this class of device, a name or UUID; up to 8 times. All classes otherwise
    #[arg(long = "class", value_name = "NAME")]
    classes: Vec<String>,

    /// Only for releases to this install target; up to 8 times. All targets otherwise
    #[arg(long = "target", value_name = "NAME", value_parser = token)]
    targets: Vec<Token>,
}

impl GrantArgs {
    /// The files that are read for it.
    fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.release_keys.iter().chain(&self.operator_keys)
    }

    /// The grant, which is to have this number in a root of this vendor.
    fn grant(&self, vendor: Uuid, number: usize) -> Result<Grant, CommandError> {
        let usage = |message: String| CommandError::new(ErrorKind::Usage, message);
        let class = |class: &String| identity::class(vendor, class).map_err(usage);
        let mut classes: Vec<_> = self.classes.iter().map(class).collect::<Result<_, _>>()?;
        let mut targets = self.targets.clone();
        classes.sort_unstable();
        targets.sort_unstable();
        for (what, count, most) in [("classes", classes.len(), MAX_CLASSES), ("targets", targets.len(), MAX_COMPONENTS)]
        {
            if count > most {
                return Err(usage(format!("a grant is for at most {most} {what}, not {count}")));
            }
        }
        let role =
            |role, paths: &[PathBuf], threshold| Ok::<_, CommandError>(keys_of(role, public_keys(paths)?, threshold)?);
        let author = role(Role::Release(number), &self.release_keys, self.release_threshold)?;
        let operator = (!self.operator_keys.is_empty())
            .then(|| role(Role::Operator(number), &self.operator_keys, self.operator_threshold));
        Ok(Grant {
            author,
            operator: operator.transpose()?,
            classes: (!classes.is_empty()).then_some(classes),
            targets: (!targets.is_empty()).then_some(targets),
        })
    }
}

/// Tells what is unwise about a root, and how to go on.
fn advise(path: &Path, root: &RootFile, next: &str) {
    warnings(root.root()).iter().for_each(cli::warn);
    cli::note(format_args!("written, unsigned: {}; {next}", path.display()));
}

/// Shows a root and how far it is signed.
fn show(root: &RootFile, standing: Standing, json: bool) -> Result<(), CommandError> {
    warnings(root.root()).iter().for_each(cli::warn);
    let shown = Shown::new(root, Some(standing))?;
    if json { cli::out_json(&shown) } else { cli::out(&shown.to_string()) }
}

/// Changes a root in its place and tells what has changed.
fn change(
    path: &Path,
    force: bool,
    edit: impl FnOnce(&Root) -> Result<Root, CommandError>,
) -> Result<(), CommandError> {
    let opened = Opened::open(path)?;
    let signatures = opened.root.signers().count();
    if signatures > 0 && !force {
        return Err(RootError::Signed { version: opened.root.root().version }.into());
    }
    let next = RootFile::new(edit(opened.root.root())?)?;
    let diff = Diff::new(&opened.root, &next);
    opened.replace(&next)?;
    if signatures > 0 {
        cli::warn(format_args!("{signatures} signatures dropped: whoever has signed must sign again"));
    }
    advise(path, &next, "sign it: fleetcast-sign root sign");
    cli::out(&diff.to_string())
}
