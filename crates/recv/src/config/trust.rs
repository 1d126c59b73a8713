//! Whose statements count: a root file, or bare keys.

use std::fs::File;
use std::path::Path;

use fleetcast_cli::{keys, warn};
use fleetcast_core::trust::{MAX_STATEMENT, Trust, TrustedKeys};
use toml::Spanned;

use super::ConfigError;
use super::settings::{Place, Source};

/// What flags say.
pub(super) struct Given {
    pub(super) root: Option<String>,
    pub(super) trust: Option<Vec<String>>,
    pub(super) threshold: Option<u8>,
}

/// What a file says: root, keys and threshold.
type InFile = (Option<Spanned<String>>, Option<Spanned<Vec<String>>>, Option<Spanned<u8>>);

/// What a device trusts.
pub(super) fn trust(source: &Source, flags: Given, (root, keys, threshold): InFile) -> Result<Trust, ConfigError> {
    if let (Some(root), Some(keys)) = (&root, &keys) {
        let other = source.place("trust", keys).0;
        return Err(source.place("root", root).wrong(format_args!("{other} is there too; use one of both")));
    }
    // A flag of either kind stands for what the file says of both.
    let (root, keys, threshold) = match (&flags.root, &flags.trust) {
        (Some(_), _) => (None, None, None),
        (None, Some(_)) => (None, keys, threshold),
        (None, None) => (root, keys, threshold),
    };
    let threshold = source.pick("threshold", flags.threshold, threshold);
    match (source.pick("root", flags.root, root), threshold) {
        (Some(_), Some((_, at))) => {
            Err(at.wrong("a root says itself how many must have signed: it is for `trust` only"))
        }
        (Some((path, at)), None) => self::root(&source.beside(&path, &at), &at),
        (None, threshold) => {
            let need = source.need("trust", "trust", flags.trust, keys);
            let (paths, at) = need.map_err(|e| ConfigError {
                hint: Some("or `root`, with a file that says who signs what".into()),
                ..e
            })?;
            bare_keys(source, &paths, &at, threshold.map_or(1, |(n, _)| n))
        }
    }
}

fn bare_keys(source: &Source, paths: &[String], at: &Place, threshold: u8) -> Result<Trust, ConfigError> {
    let load = |path: &String| {
        keys::load_public(&source.beside(path, at)).map(keys::Loaded::tell).map_err(|e| {
            let hint = e.reason.hint();
            ConfigError { hint, ..at.wrong(format_args!("{e}: {}", e.reason)) }
        })
    };
    let keys = paths.iter().map(load).collect::<Result<_, _>>()?;
    TrustedKeys::new(keys, threshold).map(Trust::from).map_err(|e| at.wrong(e))
}

fn root(path: &Path, at: &Place) -> Result<Trust, ConfigError> {
    let wrong = |problem: &str| at.wrong(format_args!("cannot use root {}: {problem}", path.display()));
    let max = MAX_STATEMENT as u64;
    let read = File::open(path).and_then(|file| keys::read_bounded(file, max));
    let bytes = read.map_err(|e| wrong(&e.to_string()))?;
    let bytes = bytes.ok_or_else(|| wrong(&format!("more than {max} octets, so it is no root")))?;
    let trust = Trust::from_root(&bytes).map_err(|e| {
        let is_pem = bytes.starts_with(b"-----BEGIN");
        let hint = is_pem.then(|| "it is a PEM file: name public keys by `trust`".into());
        ConfigError { hint, ..wrong(&format!("{e} ({})", e.code())) }
    })?;
    for key in trust.root().map(|root| root.keys()).unwrap_or_default() {
        let is_test_key = keys::unsafe_test::is_unsafe_test_key(&key.to_bytes());
        if is_test_key && keys::unsafe_test::REFUSED {
            return Err(wrong("it has an UNSAFE test key, whose private half is published (key-unsafe-test)"));
        }
        if is_test_key {
            warn(keys::KeyWarning::UnsafeTestKey { path: path.display().to_string() });
        }
    }
    Ok(trust)
}
