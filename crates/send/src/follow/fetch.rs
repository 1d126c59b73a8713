//! One release out of a store. Nothing is kept that a trusted signature does not lead to: first the manifest is verified, which tells
//! length and digest of all else.

use std::path::Path;

use fleetcast_cli::hex;
use fleetcast_core::manifest::Manifest;
use fleetcast_core::trust::{StatementError, Trust, Verified, verify};

use super::cache::{Cache, CacheError};
use crate::release::ReleaseFile;
use crate::source::{CellError, ImageArg, Source, SourceError};
use crate::store::gc::statement_of;
use crate::store::pointer::{Channel, Pointer, StoredFile};
use crate::store::{Store, StoreError};

/// What takes releases out of a store, for one stream.
pub struct Fetcher<'a> {
    /// Name of the stream.
    pub stream: &'a str,
    /// Whose releases are taken.
    pub trust: &'a Trust,
    /// By whom also a release may be that was fetched before: so it is sent on after a restart though a root has come that refuses it, and
    /// devices hear that root.
    pub before: &'a [Trust],
    /// Where they are kept.
    pub cache: &'a Cache,
    /// Folder for repair chunks.
    pub temp_dir: &'a Path,
    /// Whether it is to break off.
    pub stop: &'a dyn Fn() -> bool,
}

/// Why a release was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The store did not give it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It cannot be kept here.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// Nothing is published there.
    #[error("channel {channel} names no release yet")]
    Empty {
        /// The channel.
        channel: Channel,
    },
    /// Its manifest is not by who is trusted, or is none.
    #[error("release {release} of the store is refused: {reason} ({code})", code = reason.code())]
    Refused {
        /// SHA-256 of the manifest payload, by the pointer.
        release: String,
        /// Why.
        reason: StatementError,
    },
    /// It is another release than the pointer says.
    #[error("the file of release {release} in the store has another manifest")]
    Other {
        /// SHA-256 of the manifest payload, by the pointer.
        release: String,
    },
    /// Release and images do not go together.
    #[error(transparent)]
    Source(#[from] SourceError),
}

impl FetchError {
    /// Stable word for this error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Store(StoreError::Local { .. }) | Self::Cache(CacheError::Io { .. } | CacheError::Used { .. }) => {
                "cache"
            }
            Self::Store(error) => error.code(),
            Self::Cache(CacheError::Size { .. }) => "cache-size",
            Self::Empty { .. } => "store-empty",
            Self::Refused { reason, .. } => reason.code(),
            Self::Other { .. } => "store-content",
            Self::Source(error) => error.code(),
        }
    }
}

impl Fetcher<'_> {
    /// The release that the stream went by last, out of the cache alone: `None` if there was none.
    #[must_use]
    pub fn remembered(&self) -> Option<(Pointer, Result<Source, FetchError>)> {
        let remembered = self.cache.remembered(self.stream);
        let noted = remembered.map(|pointer| (self.note(&pointer), pointer));
        self.cache.heard(self.stream);
        let (noted, pointer) = noted?;
        let result = noted.and_then(|()| self.open(&pointer));
        Some((pointer, result))
    }

    /// Notes that what is in the cache of a release is needed.
    fn note(&self, pointer: &Pointer) -> Result<(), FetchError> {
        let release = self.open_file(pointer)?;
        let wanted = pointer.files(release.manifest(), release.statement().len());
        let names: Vec<_> = wanted.iter().map(|file| (file.name.clone(), file.len)).collect();
        Ok(self.cache.need(self.stream, &names)?)
    }

    /// Fetches what a pointer names, as far as it is not here, and checks all of it. `begin` is told the octets to come.
    ///
    /// # Errors
    ///
    /// Any [`FetchError`]; what is sent stays here.
    pub fn fetch(&self, store: &Store, pointer: &Pointer, begin: &mut dyn FnMut(u64)) -> Result<Source, FetchError> {
        let statement = statement_of(store, pointer)?;
        let refused = |reason| FetchError::Refused { release: pointer.release().to_owned(), reason };
        let manifest: Verified<Manifest> = verify(&statement, self.trust).map_err(refused)?;
        if hex(manifest.payload_digest()) != pointer.release() {
            return Err(FetchError::Other { release: pointer.release().to_owned() });
        }
        let wanted = pointer.files(&manifest, statement.len());
        let before = self.cache.needed(self.stream);
        let result = self.fetch_all(store, pointer, &wanted, begin);
        match &result {
            Ok(_) => {
                let files = wanted.into_iter().map(|file| (file.name, file.len)).collect();
                self.cache.settle(self.stream, pointer, files)?;
                self.cache.sweep()?;
            }
            // What came whole stays: the next attempt needs it.
            Err(_) => self.cache.forget(self.stream, before),
        }
        result
    }

    fn fetch_all(
        &self,
        store: &Store,
        pointer: &Pointer,
        wanted: &[StoredFile],
        begin: &mut dyn FnMut(u64),
    ) -> Result<Source, FetchError> {
        let names: Vec<_> = wanted.iter().map(|file| (file.name.clone(), file.len)).collect();
        self.cache.need(self.stream, &names)?;
        self.cache.sweep()?;
        let missing: Vec<_> = wanted.iter().filter(|file| !self.cache.has(&file.name, file.len)).collect();
        begin(missing.iter().map(|file| file.len).sum());
        for file in missing {
            let path = file.path();
            self.cache.write(&file.name, |to| {
                let sha256 = store.download(&path, file.len, to, self.stop)?;
                if file.sha256.is_some_and(|wanted| wanted != sha256) {
                    return Err(FetchError::from(store.content(&path, "has not the SHA-256 of its name")));
                }
                Ok(())
            })?;
        }
        self.open(pointer)
    }

    fn open_file(&self, pointer: &Pointer) -> Result<ReleaseFile, FetchError> {
        let name = pointer.file_name();
        let open = |trust| ReleaseFile::open(&self.cache.path(&name), Some(trust));
        let opened =
            open(self.trust).or_else(|error| self.before.iter().find_map(|trust| open(trust).ok()).ok_or(error));
        let file = opened.inspect_err(|_| self.cache.discard(&name)).map_err(SourceError::from)?;
        if hex(file.manifest().payload_digest()) == pointer.release() {
            return Ok(file);
        }
        // Another genuine one, put there between the two looks.
        self.cache.discard(&name);
        Err(FetchError::Other { release: pointer.release().to_owned() })
    }

    /// Opens a release in the cache and checks all of it. A file that is not as it should be is removed, so that it is fetched again.
    fn open(&self, pointer: &Pointer) -> Result<Source, FetchError> {
        let release = self.open_file(pointer)?;
        let manifest = release.manifest();
        let images: Vec<_> = manifest
            .components
            .iter()
            .map(|c| ImageArg { name: Some(c.name.clone()), path: self.cache.path(&hex(&c.sha256)) })
            .collect();
        let result = Source::open(release, &images, self.temp_dir, &mut |_| {});
        match &result {
            Err(SourceError::Cell(CellError::Release(_) | CellError::Page { .. })) => {
                self.cache.discard(&pointer.file_name());
            }
            Err(SourceError::Size { path, .. } | SourceError::Cell(CellError::Image { path, .. })) => {
                path.file_name().and_then(|name| name.to_str()).into_iter().for_each(|name| self.cache.discard(name));
            }
            _ => {}
        }
        Ok(result?)
    }
}
