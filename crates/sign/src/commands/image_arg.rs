//! `--image NAME=PATH`: which file is which component.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::str::FromStr;

use fleetcast_cli::{CommandError, ErrorKind};
use fleetcast_core::manifest::Token;

/// A component and its image.
#[derive(Clone, Debug)]
pub(super) struct ImageArg {
    pub(super) name: Token,
    pub(super) path: PathBuf,
}

impl FromStr for ImageArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, path) = text.split_once('=').ok_or("write NAME=PATH, such as rootfs=build/rootfs.img")?;
        if path.is_empty() {
            return Err("there is no path behind the =".into());
        }
        Ok(Self { name: token(name)?, path: path.into() })
    }
}

/// A token of the manifest \[M-2\].
pub(super) fn token(text: &str) -> Result<Token, String> {
    let form = "has 1 to 32 letters, digits or ._+~-, and starts with a letter or digit";
    Token::new(text).ok_or_else(|| format!("{text:?} is no name: one {form}"))
}

/// Refuses a second `what` of the same name.
pub(super) fn check_unique<'a>(what: &str, names: impl Iterator<Item = &'a Token>) -> Result<(), CommandError> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(CommandError::new(ErrorKind::Usage, format!("{what} {name} is given twice")));
        }
    }
    Ok(())
}
