//! From images and keys to a release file (spec §10).

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use fleetcast_cli::CommandError;
use fleetcast_core::manifest::{Component, Manifest, Token};
use fleetcast_core::release::encode_head;
use fleetcast_core::tree::{Geometry, Hasher};
use fleetcast_core::trust::{
    MAX_STATEMENT, StatementError, Trust, TrustError, TrustedKeys, Unverified, Verified, verify as verify_statement,
};
use fleetcast_core::wire::{PageKind, StatementKind};

use super::digests::Scan;
use super::image::{Image, ImageError};
use super::pages::Pages;
use super::verify::{VerifyError, check_pages};
use super::{Facts, Progress, ReleaseFile};
use crate::beside::{self, Existing};
use crate::signers::Signer;
use crate::statement::{AttachError, Signable};

/// A component with its image and the geometry chosen for it.
#[derive(Debug)]
pub struct Input {
    /// Its name.
    pub name: Token,
    /// Its install target.
    pub target: Token,
    /// Its image.
    pub image: Image,
    /// How the image is cut.
    pub geometry: Geometry,
}

/// Why there is no release file to rely on. But for [`Unflushed`](Self::Unflushed), whatever had its name is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// An image cannot be used.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The same key twice.
    #[error("cannot sign with these keys")]
    Keys(#[from] TrustError),
    /// A key does not sign.
    #[error(transparent)]
    Sign(AttachError),
    /// The manifest does not become a valid statement.
    #[error("cannot make the signed manifest")]
    Statement(#[from] StatementError),
    /// Something has that name already.
    #[error("{} exists already", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be written.
    #[error("cannot write {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file has its name and its whole content, and a power cut may still bring back what had the name before.
    #[error("{} is complete, but its folder cannot be flushed", path.display())]
    Unflushed {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file that was written does not pass the checks of a device: memory, storage or this program are faulty.
    #[error("the new release does not verify")]
    Faulty(#[source] Box<VerifyError>),
}

impl BuildError {
    /// Stable word for this reason.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Image(error) => error.reason.code(),
            Self::Keys(_) => "build-keys",
            Self::Sign(error) => error.code(),
            Self::Statement(error) => error.code(),
            Self::Exists { .. } => "build-exists",
            Self::Io { .. } => "build-io",
            Self::Unflushed { .. } => "build-unflushed",
            Self::Faulty(_) => "build-faulty",
        }
    }

    /// What the reader can do about it, if anything is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Sign(error) => return error.hint(),
            Self::Image(error) => error.reason.hint(),
            Self::Keys(_) => Some("give each key once"),
            Self::Exists { .. } => Some("choose another name, or replace it with --force"),
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => Some("the folder must exist"),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Some("make room and run again"),
                _ => None,
            },
            Self::Faulty(_) => Some("nothing was kept; test the memory and the storage of this machine"),
            Self::Unflushed { .. } => Some("test the storage of this machine, and make the release again with --force"),
            Self::Statement(_) => None,
        };
        hint.map(str::to_owned)
    }
}

impl From<BuildError> for CommandError {
    fn from(error: BuildError) -> Self {
        let hint = error.hint();
        Self::failed(error).hint_if(hint)
    }
}

/// A release in memory: all but the pages' paths, which follow.
#[derive(Debug)]
pub struct Draft {
    manifest: Unverified<Manifest>,
    statement: Vec<u8>,
    /// The keys that signed it, all of which must have; none if nobody has.
    trust: Option<Trust>,
    /// For each component its hash and the digests of all its chunks.
    digests: Vec<(Hasher, Vec<u8>)>,
}

impl Draft {
    /// Hashes and encodes the images, and has each of the keys sign, in their order.
    ///
    /// # Errors
    ///
    /// [`BuildError`] if an image cannot be read or changes, facts, geometries and keys make no valid statement, or a key does
    /// not sign.
    ///
    /// Spec §3 \[S-1, S-5\], §6.
    pub fn new(
        facts: &Facts,
        inputs: &[Input],
        keys: &[impl Signer],
        progress: Progress<'_>,
    ) -> Result<Self, BuildError> {
        let all = u8::try_from(keys.len()).unwrap_or(u8::MAX);
        let trust = Trust::from(TrustedKeys::new(keys.iter().map(Signer::public).collect(), all)?);
        let (mut signable, digests) = unsigned(facts, inputs, progress)?;
        for key in keys {
            signable.sign(key, MAX_STATEMENT).map_err(BuildError::Sign)?;
        }
        let statement = signable.encode()?;
        let manifest: Verified<Manifest> = verify_statement(&statement, &trust)?;
        Ok(Self { manifest: manifest.into(), statement, trust: Some(trust), digests })
    }

    /// Hashes and encodes the images; nobody signs.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn unsigned(facts: &Facts, inputs: &[Input], progress: Progress<'_>) -> Result<Self, BuildError> {
        let (signable, digests) = unsigned(facts, inputs, progress)?;
        Ok(Self { manifest: signable.decode()?, statement: signable.encode()?, trust: None, digests })
    }

    /// The manifest.
    #[must_use]
    pub const fn manifest(&self) -> &Unverified<Manifest> {
        &self.manifest
    }

    /// The statement with it.
    #[must_use]
    pub fn statement(&self) -> &[u8] {
        &self.statement
    }

    /// Writes the release file.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    ///
    /// Spec §10 \[X-1\].
    pub fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        let statement = &self.statement;
        // Never more than 8,192 octets.
        out.write_all(&encode_head(u32::try_from(statement.len()).unwrap_or(u32::MAX)))?;
        out.write_all(statement)?;
        for (component, (hasher, digests)) in self.manifest.components.iter().zip(&self.digests) {
            let g = &component.geometry;
            let pages = Pages::new(g, hasher, digests);
            for cell in 0..g.cells() {
                let mut record = pages.payload(PageKind::Page, cell);
                record.resize(g.max_page_payload_len(), 0);
                out.write_all(&record)?;
            }
        }
        Ok(())
    }
}

/// The manifest of a release, and for each component its hash and the digests of all its chunks.
#[expect(clippy::type_complexity, reason = "both become fields of a draft")]
fn unsigned(
    facts: &Facts,
    inputs: &[Input],
    progress: Progress<'_>,
) -> Result<(Signable, Vec<(Hasher, Vec<u8>)>), BuildError> {
    let mut digests = Vec::new();
    let mut components = Vec::new();
    for (number, input) in (0..).zip(inputs) {
        let g = input.geometry;
        let scan = Scan::new(&input.image, g, progress)?;
        let sha256 = *scan.sha256();
        let hasher = Hasher::new(facts.sequence, number, &sha256, g.digest_len() == 32);
        let chunks = scan.digests(&hasher, progress)?;
        components.push(Component {
            name: input.name.clone(),
            target: input.target.clone(),
            sha256,
            geometry: g,
            cap: Pages::new(&g, &hasher, &chunks).cap().to_vec(),
        });
        digests.push((hasher, chunks));
    }
    let payload = facts.manifest(components).encode().map_err(|_| StatementError::Schema)?;
    Ok((Signable::new(StatementKind::Manifest, payload)?, digests))
}

/// Writes the release file `path`: under another name first, flushed, read back and verified, then renamed.
///
/// # Errors
///
/// [`BuildError`]; nothing is left behind then, but for [`BuildError::Unflushed`].
pub fn write(draft: &Draft, path: &Path, existing: Existing) -> Result<(), BuildError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => BuildError::Exists { path: path.into() },
        _ => BuildError::Io { path: path.into(), source },
    };
    let file = beside::new_file(path, 0o666).map_err(failed)?;
    let flushed = (|| {
        let mut out = BufWriter::with_capacity(1 << 20, file.as_file());
        draft.write_to(&mut out)?;
        out.flush()?;
        drop(out);
        file.as_file().sync_all()
    })();
    flushed.map_err(failed)?;
    check(draft, file.path()).map_err(|error| BuildError::Faulty(Box::new(error)))?;
    let renamed = match existing {
        Existing::Keep => file.persist_noclobber(path),
        Existing::Replace => file.persist(path),
    };
    renamed.map_err(|error| failed(error.error))?;
    beside::flush_folder(path).map_err(|source| BuildError::Unflushed { path: path.into(), source })
}

fn check(draft: &Draft, path: &Path) -> Result<(), VerifyError> {
    let file = ReleaseFile::open(path)?;
    if let Some(trust) = &draft.trust {
        verify_statement::<Manifest>(file.statement(), trust).map_err(VerifyError::Statement)?;
    }
    if file.statement() != draft.statement {
        return Err(StatementError::Template.into());
    }
    check_pages(&file, &draft.manifest)?;
    Ok(())
}
