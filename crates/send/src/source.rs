//! A release and its images: checked against each other first, then read cell by cell (spec §8 \[C-1\]).

mod cell;
mod error;
mod image;
mod repair;

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use fleetcast_core::fec::Encoder;
use fleetcast_core::tree::{Geometry, Tree};
use fleetcast_core::wire::HEADER_LEN;
use sha2::{Digest as _, Sha256};

pub use cell::Cell;
pub use error::{CellError, ImagesError, SourceError};
pub use image::ImageArg;

use crate::release::ReleaseFile;

/// A release whose pages and images were found to be what its manifest says.
///
/// The files stay open: one that is renamed or removed afterwards changes nothing. One that is written to is noticed, since
/// every cell is checked again when it is read.
#[derive(Debug)]
pub struct Source {
    release: ReleaseFile,
    components: Vec<Component>,
    volume: Volume,
}

/// What one cycle of the carousel carries, manifests left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// Packets.
    pub packets: u64,
    /// Octets of UDP payload.
    pub octets: u64,
}

/// One image and what was computed from it.
#[derive(Debug)]
struct Component {
    path: PathBuf,
    image: File,
    /// All repair chunks in send order, in a file without a name.
    repair: File,
}

/// How far [`Source::open`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Octets read or computed.
    pub done: u64,
    /// Octets there are to read or compute.
    pub total: u64,
}

impl Source {
    /// Opens the images of a release and checks everything before anything is sent: each page against the manifest, each
    /// image against its pages, its length and its SHA-256. Computes the repair chunks into a file without a name in
    /// `temp_dir`, as large as those chunks together, and checks them likewise.
    ///
    /// `progress` is called now and then.
    ///
    /// # Errors
    ///
    /// Any [`SourceError`].
    ///
    /// Spec §8 \[C-1\].
    pub fn open(
        release: ReleaseFile,
        images: &[ImageArg],
        temp_dir: &Path,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Self, SourceError> {
        let paths = image::assign(&release.manifest().components, images)?;
        let components: Vec<_> = release
            .geometries()
            .zip(paths)
            .map(|(geometry, path)| Component::open(geometry, path, temp_dir))
            .collect::<Result<_, _>>()?;
        let mut source = Self { release, components, volume: Volume::default() };
        let total = source.release.geometries().map(work).sum();
        let mut done = 0;
        let mut advance = |octets| {
            done += octets;
            progress(Progress { done, total });
        };
        let mut volume = Volume::default();
        for (number, component) in (0..).zip(&source.components) {
            if let Some(tree) = source.release.tree(number) {
                source.check(number, component, tree, temp_dir, &mut volume, &mut advance)?;
            }
        }
        source.volume = volume;
        Ok(source)
    }

    /// The release file.
    #[must_use]
    pub const fn release(&self) -> &ReleaseFile {
        &self.release
    }

    /// Where the images are, in the order of the components.
    pub fn image_paths(&self) -> impl Iterator<Item = &Path> {
        self.components.iter().map(|component| component.path.as_path())
    }

    /// What one cycle carries.
    #[must_use]
    pub const fn volume(&self) -> Volume {
        self.volume
    }

    /// Octets of UDP payload of the longest packet.
    #[must_use]
    pub fn max_packet(&self) -> usize {
        let statement = HEADER_LEN + self.release.statement().len();
        self.release.geometries().map(Geometry::max_packet_len).fold(statement, usize::max)
    }

    /// Checks one component as a whole.
    fn check(
        &self,
        number: u8,
        component: &Component,
        tree: &Tree,
        temp_dir: &Path,
        volume: &mut Volume,
        advance: &mut dyn FnMut(u64),
    ) -> Result<(), SourceError> {
        let geometry = tree.geometry();
        let mut cell = Cell::default();
        let mut image = Sha256::new();
        let mut left = usize::try_from(geometry.size()).unwrap_or(usize::MAX);
        for index in 0..geometry.cells() {
            if index == geometry.source_cells() {
                let fails = |source| self.repair_error(number, temp_dir, source);
                repair::encode(&mut Encoder::default(), geometry, component, advance).map_err(fails)?;
            }
            self.read(number, index, &mut cell)?;
            let chunks = cell.chunks();
            let (own, _padding) = chunks.split_at(chunks.len().min(left));
            image.update(own);
            left -= own.len();
            volume.packets += cell.packets();
            volume.octets += cell.octets();
            advance(chunks.len() as u64);
        }
        let digest = self.release.manifest().components.get(usize::from(number)).map(|c| c.sha256);
        if digest == Some(image.finalize().into()) {
            Ok(())
        } else {
            Err(SourceError::Digest { component: self.name(number), path: component.path.clone() })
        }
    }

    fn repair_error(&self, number: u8, temp_dir: &Path, error: repair::RepairError) -> SourceError {
        match error {
            repair::RepairError::Image { offset, source } => self.read_error(number, offset, source).into(),
            repair::RepairError::File(source) => {
                let octets = self.release.tree(number).map_or(0, |tree| repair_octets(tree.geometry()));
                SourceError::Temporary { folder: temp_dir.into(), octets, source }
            }
        }
    }

    fn read_error(&self, number: u8, offset: u64, source: io::Error) -> CellError {
        CellError::Read { path: self.image_path(number), offset, source }
    }

    fn name(&self, number: u8) -> String {
        let component = self.release.manifest().components.get(usize::from(number));
        component.map(|c| c.name.to_string()).unwrap_or_default()
    }

    fn image_path(&self, number: u8) -> PathBuf {
        self.components.get(usize::from(number)).map(|c| c.path.clone()).unwrap_or_default()
    }
}

impl Component {
    fn open(geometry: &Geometry, path: &Path, temp_dir: &Path) -> Result<Self, SourceError> {
        let fails = |source| SourceError::OpenImage { path: path.into(), source };
        let mut image = File::open(path).map_err(fails)?;
        // Of a block device the metadata do not tell the size.
        let size = image.seek(SeekFrom::End(0)).map_err(fails)?;
        if size != geometry.size() {
            return Err(SourceError::Size { path: path.into(), got: size, expected: geometry.size() });
        }
        let repair = tempfile::tempfile_in(temp_dir).map_err(|source| SourceError::Temporary {
            folder: temp_dir.into(),
            octets: repair_octets(geometry),
            source,
        })?;
        Ok(Self { path: path.into(), image, repair })
    }
}

/// Octets of all repair chunks of a component.
fn repair_octets(geometry: &Geometry) -> u64 {
    u64::from(geometry.repair_chunks()) * geometry.chunk_len() as u64
}

/// Octets that the check of a component reads and computes.
fn work(geometry: &Geometry) -> u64 {
    u64::from(geometry.source_chunks()) * geometry.chunk_len() as u64 + 2 * repair_octets(geometry)
}

/// Fills `buf` from `offset` on. What lies behind the end of the file reads as zero, which no digest takes for more than
/// it is.
fn read_padded(file: &File, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buf.is_empty() {
        match file.read_at(buf, offset) {
            Ok(0) => {
                buf.fill(0);
                break;
            }
            Ok(count) => {
                buf = buf.get_mut(count..).unwrap_or_default();
                offset += count as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
