//! Files of settings: read whole, parsed, and where in them something stands.

use std::fmt::Display;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde::de::DeserializeOwned;

/// Most octets of a file; a real one has a few thousand.
const MAX_FILE: u64 = 1 << 20;

/// The octet of a file at which each line begins.
#[derive(Debug, Default)]
pub struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(text.bytes().enumerate().filter(|(_, octet)| *octet == b'\n').map(|(at, _)| at + 1).collect())
    }

    /// Number of the line, from 1, that the octet `at` is in.
    #[must_use]
    pub fn line(&self, at: usize) -> usize {
        1 + self.0.partition_point(|&start| start <= at)
    }
}

/// Why a file is not what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// `FILE`, or `FILE:LINE`.
    pub place: String,
    /// What is wrong there.
    pub problem: String,
}

/// Reads and parses a file of TOML; what is beyond 1 MiB is cut off.
///
/// # Errors
///
/// [`Unread`].
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<(T, Lines), Unread> {
    let unread = |line: &dyn Display, problem| Unread { place: format!("{}{line}", path.display()), problem };
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MAX_FILE).read_to_string(&mut text));
    read.map_err(|e| unread(&"", format!("cannot read it: {e}")))?;
    let lines = Lines::of(&text);
    let parsed = toml::from_str(&text).map_err(|e| {
        let line = e.span().map_or(String::new(), |span| format!(":{}", lines.line(span.start)));
        unread(&line, e.message().to_owned())
    })?;
    Ok((parsed, lines))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("settings.toml");
        let told = || read::<BTreeMap<String, u8>>(&path).unwrap_err();
        assert!(told().problem.starts_with("cannot read it: "));
        tempfile::NamedTempFile::new_in(&folder).unwrap().persist(&path).unwrap();
        let (empty, lines) = read::<BTreeMap<String, u8>>(&path).unwrap();
        assert_eq!((empty.len(), lines.line(0)), (0, 1));
        let mut file = tempfile::NamedTempFile::new_in(&folder).unwrap();
        std::io::Write::write_all(&mut file, b"a = 1\n\nb = \"2\"\n").unwrap();
        file.persist(&path).unwrap();
        assert_eq!(told().place, format!("{}:3", path.display()));
    }
}
