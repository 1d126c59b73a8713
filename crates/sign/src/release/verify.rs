//! The checks of a release that a device would make, and those that only its parts together allow.

use fleetcast_cli::release::{FileError, FileReason, ReleaseFile};
use fleetcast_cli::{CommandError, ErrorKind};
use fleetcast_core::manifest::{Component, Manifest, Token};
use fleetcast_core::release::Layout;
use fleetcast_core::tree::{Tree, TreeError};
use fleetcast_core::trust::StatementError;
use fleetcast_core::wire::PageKind;

use super::Progress;
use super::digests::Scan;
use super::image::{Image, ImageError};
use super::pages::parity;

/// Why a release or image did not pass.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The release file cannot be read, or has another length than its manifest says.
    #[error(transparent)]
    File(#[from] FileError),
    /// The signed manifest is refused.
    #[error("the signed manifest is refused")]
    Statement(#[from] StatementError),
    /// The image cannot be read.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Something in them is not what was signed.
    #[error("component {component}: {refusal}")]
    Refused {
        /// The component.
        component: Token,
        /// What is wrong.
        refusal: Refusal,
    },
}

/// What is not as the manifest says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The record of a cell does not lead to the cap \[T-8\].
    #[error("the page of cell {cell} is not the signed one")]
    Page {
        /// The cell.
        cell: u32,
    },
    /// The octets behind the page of a short cell are not zero \[X-1\].
    #[error("the record of cell {cell} does not end in zeros")]
    Padding {
        /// The cell.
        cell: u32,
    },
    /// The parity page that follows from two pages does not lead to the cap \[T-4, T-8\].
    #[error("the parity page of cell {cell} is not the signed one")]
    Parity {
        /// The cell.
        cell: u32,
    },
    /// The image is shorter or longer.
    #[error("the image has {got} octets, the signed one {signed}")]
    Length {
        /// Octets it has.
        got: u64,
        /// Octets it should have.
        signed: u64,
    },
    /// A chunk of the image is not the one its page names \[T-9\].
    #[error("the image differs from the signed one from octet {offset} on")]
    Chunk {
        /// Where in the image the first such chunk starts.
        offset: u64,
    },
    /// The image is right, and a repair chunk is not the one its page names.
    #[error("repair chunk {esi} of block {block} is not the signed one")]
    Repair {
        /// Block number.
        block: u16,
        /// Encoding symbol id.
        esi: u16,
    },
    /// All chunks are right, and the SHA-256 of the whole is not \[I-1\].
    #[error("the SHA-256 of the image is not the signed one")]
    Sha256,
}

impl Refusal {
    /// The word for it (spec §12).
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Page { .. } | Self::Padding { .. } | Self::Parity { .. } => "page-digest",
            Self::Length { .. } => "size",
            Self::Chunk { .. } | Self::Repair { .. } => "chunk-digest",
            Self::Sha256 => "image-digest",
        }
    }
}

impl VerifyError {
    /// Stable word for this reason.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::File(error) => error.reason.code(),
            Self::Statement(error) => error.code(),
            Self::Image(error) => error.reason.code(),
            Self::Refused { refusal, .. } => refusal.code(),
        }
    }
}

/// A refusal as it is told, with its word in front.
#[derive(Debug, thiserror::Error)]
#[error("refused ({code})")]
struct Coded {
    code: &'static str,
    source: VerifyError,
}

impl From<VerifyError> for CommandError {
    fn from(error: VerifyError) -> Self {
        let hint = match error {
            VerifyError::File(FileError { reason: FileReason::Io(_), .. }) => return Self::failed(error),
            VerifyError::Image(error) => return error.into(),
            VerifyError::Statement(StatementError::Threshold { .. }) => {
                "compare the key ids of `fleetcast-sign inspect` with those of the trusted keys"
            }
            VerifyError::Statement(StatementError::Template) => {
                "get the file again; if nobody has signed it yet: fleetcast-sign sign, or attach"
            }
            VerifyError::Refused { refusal: Refusal::Length { .. } | Refusal::Chunk { .. }, .. } => {
                "give the very image that the release was made from"
            }
            VerifyError::Refused { refusal: Refusal::Repair { .. } | Refusal::Sha256, .. } => {
                "whoever signed this release used a faulty program"
            }
            _ => "get the file again, or make it anew: fleetcast-sign create",
        };
        Self::new(ErrorKind::Refused, Coded { code: error.code(), source: error }).hint(hint)
    }
}

/// Checks the length of a release file, every page in it and every parity page that follows from them.
///
/// Gives the number of pages; there are as many parity pages.
///
/// # Errors
///
/// [`VerifyError::File`], [`Refusal::Page`], [`Refusal::Padding`] or [`Refusal::Parity`].
///
/// Spec §6 \[T-4, T-8\], §10 \[X-1, X-2\].
pub fn check_pages(file: &ReleaseFile, manifest: &Manifest) -> Result<u64, VerifyError> {
    let layout = Layout::new(file.statement().len(), manifest);
    file.check_len(&layout)?;
    let mut pages = 0;
    for (number, component) in (0..).zip(&manifest.components) {
        let tree = tree(manifest, number, component)?;
        let g = tree.geometry();
        let refused = |refusal| VerifyError::Refused { component: component.name.clone(), refusal };
        let [mut record, mut other] = [(); 2].map(|()| vec![0; g.max_page_payload_len()]);
        for cell in 0..g.cells() {
            file.read_record(&layout, number, cell, &mut record)?;
            let wrong = |_: TreeError| refused(Refusal::Page { cell });
            let payload_len = g.page_payload_len(PageKind::Page, cell).unwrap_or_default();
            let (payload, padding) = record.split_at(payload_len);
            let page = tree.check_page(PageKind::Page, cell, payload).map_err(wrong)?;
            if padding.iter().any(|&octet| octet != 0) {
                return Err(refused(Refusal::Padding { cell }));
            }
            let partner = match g.parity_partner(cell) {
                None => None,
                Some(partner) => {
                    file.read_record(&layout, number, partner, &mut other)?;
                    Some(&other[..g.page_len(PageKind::Page, partner).unwrap_or_default()])
                }
            };
            let mut payload = parity(page, partner);
            payload.extend_from_slice(tree.hasher().page(PageKind::Page, page).as_ref());
            payload.extend_from_slice(&record[page.len() + g.digest_len()..payload_len]);
            tree.check_page(PageKind::Parity, cell, &payload).map_err(|_| refused(Refusal::Parity { cell }))?;
            pages += 1;
        }
    }
    Ok(pages)
}

/// Checks an image: its length, every chunk and the repair chunks that follow from them, and its SHA-256.
///
/// The pages of `file` must have passed [`check_pages`].
///
/// # Errors
///
/// [`VerifyError::Image`], [`Refusal::Length`], [`Refusal::Chunk`], [`Refusal::Repair`] or [`Refusal::Sha256`].
///
/// Spec §6 \[T-9\], §9 \[I-1\].
pub fn check_image(
    file: &ReleaseFile,
    manifest: &Manifest,
    number: u8,
    image: &Image,
    progress: Progress<'_>,
) -> Result<(), VerifyError> {
    let Some(component) = manifest.components.get(usize::from(number)) else { return Ok(()) };
    let refused = |refusal| VerifyError::Refused { component: component.name.clone(), refusal };
    let tree = tree(manifest, number, component)?;
    let g = tree.geometry();
    if image.size() != g.size() {
        return Err(refused(Refusal::Length { got: image.size(), signed: g.size() }));
    }
    let scan = Scan::new(image, *g, progress)?;
    let sha256 = *scan.sha256();
    let digests = scan.digests(tree.hasher(), progress)?;
    let layout = Layout::new(file.statement().len(), manifest);
    let mut record = vec![0; g.max_page_payload_len()];
    let mut places = (0..).zip(digests.chunks_exact(g.digest_len()));
    for cell in 0..g.cells() {
        file.read_record(&layout, number, cell, &mut record)?;
        let page = &record[..g.page_len(PageKind::Page, cell).unwrap_or_default()];
        let mut slots = page.chunks_exact(g.digest_len()).zip(&mut places);
        if let Some((_, (position, _))) = slots.find(|(signed, (_, digest))| signed != digest) {
            return Err(refused(match (g.image_range(position), g.symbol(position)) {
                (Some((offset, _)), _) => Refusal::Chunk { offset },
                (None, symbol) => {
                    let (block, esi) = symbol.unwrap_or_default();
                    Refusal::Repair { block, esi }
                }
            }));
        }
    }
    if sha256 == component.sha256 { Ok(()) } else { Err(refused(Refusal::Sha256)) }
}

/// The tree of one component. A cap that does not fit it is no page's cap; decoding a manifest rules that out.
fn tree(manifest: &Manifest, number: u8, component: &Component) -> Result<Tree, VerifyError> {
    let trees = manifest.trees().unwrap_or_default();
    let refused = || VerifyError::Refused { component: component.name.clone(), refusal: Refusal::Page { cell: 0 } };
    trees.into_iter().nth(number.into()).ok_or_else(refused)
}
