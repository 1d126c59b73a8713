//! Changes to a root that nobody has signed yet.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use fleetcast_cli::CommandError;
use fleetcast_cli::keys::load_public;
use fleetcast_core::trust::KeyId;

use super::{GrantArgs, RoleName, change, public_keys};
use crate::root;

/// The file that is changed.
#[derive(clap::Args, Debug)]
struct FileArgs {
    /// Root file to change
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Change it though it has signatures, and drop these: for a root that no device has
    #[arg(long)]
    force: bool,
}

/// Give keys a role
///
/// The roles operator and beacon begin with the first key that has them, and threshold 1.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  A second release key:
    fleetcast-sign root add-key 2.root --role release release2.pub.pem

  From this root on, an operator signs releases of grant 2 too:
    fleetcast-sign root add-key 2.root --role operator --grant 2 operator.pub.pem")]
pub(super) struct AddKey {
    #[command(flatten)]
    file: FileArgs,

    /// Public keys to add
    #[arg(value_name = "PUB", required = true)]
    keys: Vec<PathBuf>,

    /// The role they get
    #[arg(long, value_name = "ROLE")]
    role: RoleName,

    /// Number of the grant, for the roles release and operator; needed if there are several
    #[arg(long, value_name = "N")]
    grant: Option<usize>,
}

impl AddKey {
    pub(super) fn run(self) -> Result<(), CommandError> {
        let keys = public_keys(&self.keys)?;
        change(&self.file.file, self.file.force, |root| {
            Ok(root::add_keys(root, self.role.of(self.grant, root)?, keys)?)
        })
    }
}

/// Take a key out of a role, or out of all
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  A key that may be stolen, out of all roles:
    fleetcast-sign root remove-key 2.root 0123456789abcdef

  The same, with its public half at hand:
    fleetcast-sign root remove-key 2.root old-key.pub.pem")]
pub(super) struct RemoveKey {
    #[command(flatten)]
    file: FileArgs,

    /// Key to remove: its id, 16 hexadecimal digits, or the file with its public half
    #[arg(value_name = "KEYID|PUB")]
    key: OsString,

    /// The role it loses; all that it has if it is not given
    #[arg(long, value_name = "ROLE")]
    role: Option<RoleName>,

    /// Number of the grant, for the roles release and operator; needed if there are several
    #[arg(long, value_name = "N", requires = "role")]
    grant: Option<usize>,
}

impl RemoveKey {
    pub(super) fn run(self) -> Result<(), CommandError> {
        let key = match key_id(&self.key) {
            Some(key) => key,
            None => load_public(Path::new(&self.key))?.tell().key_id(),
        };
        change(&self.file.file, self.file.force, |root| {
            let role = self.role.map(|role| role.of(self.grant, root)).transpose()?;
            Ok(root::remove_key(root, key, role)?)
        })
    }
}

/// Set how many keys of a role must sign
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  Two people sign roots from the next one on:
    fleetcast-sign root set-threshold 2.root --role root 2")]
pub(super) struct SetThreshold {
    #[command(flatten)]
    file: FileArgs,

    /// How many must sign, 1 to 8
    #[arg(value_name = "M")]
    threshold: u8,

    /// The role
    #[arg(long, value_name = "ROLE")]
    role: RoleName,

    /// Number of the grant, for the roles release and operator; needed if there are several
    #[arg(long, value_name = "N")]
    grant: Option<usize>,
}

impl SetThreshold {
    pub(super) fn run(self) -> Result<(), CommandError> {
        change(&self.file.file, self.file.force, |root| {
            Ok(root::set_threshold(root, self.role.of(self.grant, root)?, self.threshold)?)
        })
    }
}

/// Let further keys sign releases, perhaps for some classes or targets only
///
/// A release counts if one grant has all its signatures and is for all its classes and targets.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  A supplier signs images for the modem of one class, and nothing else:
    fleetcast-sign root add-grant 2.root --class board-a --target modem --release-key supplier.pub.pem")]
pub(super) struct AddGrant {
    #[command(flatten)]
    file: FileArgs,

    #[command(flatten)]
    grant: GrantArgs,
}

impl AddGrant {
    pub(super) fn run(self) -> Result<(), CommandError> {
        change(&self.file.file, self.file.force, |root| {
            let grant = self.grant.grant(root.vendor, root.grants.len() + 1)?;
            Ok(root::add_grant(root, grant)?)
        })
    }
}

/// Take a grant away
///
/// Those behind it move up by one number.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  The supplier signs no longer:
    fleetcast-sign root show 3.root
    fleetcast-sign root remove-grant 3.root 2")]
pub(super) struct RemoveGrant {
    #[command(flatten)]
    file: FileArgs,

    /// Number of the grant, from 1
    #[arg(value_name = "N")]
    grant: usize,
}

impl RemoveGrant {
    pub(super) fn run(self) -> Result<(), CommandError> {
        change(&self.file.file, self.file.force, |root| Ok(root::remove_grant(root, self.grant)?))
    }
}

/// Do without operators in a grant, or without beacons
///
/// This makes devices ask for less: without operators the authors of the grant sign alone, without beacons devices do not
/// know whether a release is current.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  No operator signs releases of grant 1 any more:
    fleetcast-sign root remove-role 2.root --role operator")]
pub(super) struct RemoveRole {
    #[command(flatten)]
    file: FileArgs,

    /// The role: operator or beacon
    #[arg(long, value_name = "ROLE")]
    role: RoleName,

    /// Number of the grant, for the role operator; needed if there are several
    #[arg(long, value_name = "N")]
    grant: Option<usize>,
}

impl RemoveRole {
    pub(super) fn run(self) -> Result<(), CommandError> {
        change(&self.file.file, self.file.force, |root| Ok(root::remove_role(root, self.role.of(self.grant, root)?)?))
    }
}

/// A key id, if it is one.
fn key_id(text: &OsStr) -> Option<KeyId> {
    let digits =
        text.to_str().filter(|text| text.len() == 16 && text.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
    u64::from_str_radix(digits, 16).ok().map(|id| KeyId(id.to_be_bytes()))
}
