//! Cells and caps that fit the packets of a release.

use std::cmp::Reverse;

use fleetcast_cli::{CommandError, ErrorKind};
use fleetcast_core::manifest::{Component, Manifest, Token};
use fleetcast_core::tree::{Geometry, GeometryError, MAX_CELL, Parameters};
use fleetcast_core::trust::{KeyId, MAX_STATEMENT, StatementError, encode_statement, parse_unverified, statement_len};
use fleetcast_core::wire::{HEADER_LEN, StatementKind};

use super::Facts;

/// How the images of a release are cut and coded (spec §5 \[G-1\]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coding {
    /// Octets of a chunk: 64 to 8192 in steps of 64.
    pub chunk: u64,
    /// Repair chunks per 100 source chunks: 0 to 100.
    pub repair: u64,
    /// Octets of a digest: 16 or 32.
    pub digest: u64,
}

/// A component whose geometry is to be chosen.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its name.
    pub name: Token,
    /// Its install target.
    pub target: Token,
    /// Octets of its image.
    pub size: u64,
    /// How the image is coded.
    pub coding: Coding,
}

/// Why no geometry fits.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The image cannot be cut that way at all.
    #[error("component {name} cannot be cut that way")]
    Geometry {
        /// The component.
        name: Token,
        /// Which parameter is not allowed.
        source: GeometryError,
    },
    /// A chunk alone is too large.
    #[error("component {name}: chunks of {chunk} octets do not fit packets of {packet}")]
    Chunk {
        /// The component.
        name: Token,
        /// Octets of a chunk.
        chunk: usize,
        /// Octets of a packet.
        packet: usize,
    },
    /// A page is too large even with the smallest cells and the largest cap.
    #[error("component {name}: the smallest page packet has {least} octets, and packets may have {packet}")]
    Page {
        /// The component.
        name: Token,
        /// Octets of the packet.
        least: usize,
        /// Octets it may have.
        packet: usize,
    },
    /// The signed manifest is too large whatever the cells.
    #[error("the signed manifest has {len} octets at least, and its packet has room for {room}")]
    Statement {
        /// Octets it would have.
        len: usize,
        /// Octets there are.
        room: usize,
    },
    /// The manifest would not be a valid one.
    #[error("no valid manifest says this")]
    Manifest(#[source] StatementError),
    /// A statement has 1 to 8 signatures.
    #[error("a release has 1 to 8 signatures, not {count}")]
    Signatures {
        /// How many were asked for.
        count: usize,
    },
}

impl PlanError {
    /// Stable word for this reason.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Geometry { .. } => "geometry",
            Self::Chunk { .. } => "plan-chunk",
            Self::Page { .. } => "plan-page",
            Self::Statement { .. } => "plan-statement",
            Self::Manifest(error) => error.code(),
            Self::Signatures { .. } => "plan-signatures",
        }
    }

    /// What to change so that it fits.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Chunk { chunk, packet, .. } => {
                let most = packet.saturating_sub(HEADER_LEN) / 64 * 64;
                let smaller = if most == 0 { String::new() } else { format!("a --chunk of {most} or less, or ") };
                Some(format!("use {smaller}a --packet of {} or more", chunk + HEADER_LEN))
            }
            Self::Page { least, .. } => Some(format!("use a --packet of {least} or more, or --digest 16")),
            Self::Statement { len, .. } => {
                let less = "fewer components, classes or keys, shorter names, or --digest 16";
                Some(match len + HEADER_LEN {
                    packet if *len <= MAX_STATEMENT => format!("use a --packet of {packet} or more, or {less}"),
                    _ => format!("use {less}"),
                })
            }
            Self::Geometry { .. } | Self::Manifest(_) | Self::Signatures { .. } => None,
        }
    }
}

impl From<PlanError> for CommandError {
    fn from(error: PlanError) -> Self {
        use GeometryError::{Chunk, Digest, Repair};
        // Wrong whatever the image is; the others depend on it.
        let kind = match error {
            PlanError::Geometry { source: Chunk { .. } | Repair { .. } | Digest { .. }, .. }
            | PlanError::Chunk { .. }
            | PlanError::Signatures { .. } => ErrorKind::Usage,
            _ => ErrorKind::Failed,
        };
        let hint = error.hint();
        Self::new(kind, error).hint_if(hint)
    }
}

/// Chooses the geometry of each component: the largest cells, then the smallest cap, with which no packet of the release
/// has more than `packet` octets of UDP payload.
///
/// Larger cells need shorter paths and so larger caps, and all caps share the statement. While that is too long, the
/// component that frees most by it gets the next smaller cells; of equal ones the first.
///
/// # Errors
///
/// Any [`PlanError`]: nothing fits, or the manifest would be invalid.
pub fn plan(
    facts: &Facts,
    components: &[Wanted],
    signatures: usize,
    packet: usize,
) -> Result<Vec<Geometry>, PlanError> {
    let choices: Vec<_> = components.iter().map(|wanted| choices(wanted, packet)).collect::<Result<_, _>>()?;
    let mut picks: Vec<_> = choices.iter().map(|of_one| of_one.iter().peekable()).collect();
    let room = packet.saturating_sub(HEADER_LEN).min(MAX_STATEMENT);
    loop {
        let current: Vec<Geometry> = picks.iter_mut().filter_map(|pick| pick.peek().map(|g| **g)).collect();
        let payload = payload(facts, components, &current)?;
        let len = statement_len(payload.len(), signatures);
        if len <= room {
            check(&payload, signatures)?;
            return Ok(current);
        }
        let saved = |pick: &std::iter::Peekable<std::slice::Iter<'_, Geometry>>| {
            let mut rest = pick.clone();
            let now = rest.next()?.cap_len();
            Some(now - rest.next()?.cap_len())
        };
        let best =
            picks.iter_mut().filter_map(|pick| Some((saved(pick)?, pick))).min_by_key(|(saved, _)| Reverse(*saved));
        let Some((_, pick)) = best else { return Err(PlanError::Statement { len, room }) };
        pick.next();
    }
}

/// Geometries of one component that fit, from the largest cells on; each has a smaller cap than the one before it.
fn choices(wanted: &Wanted, packet: usize) -> Result<Vec<Geometry>, PlanError> {
    let name = || wanted.name.clone();
    let geometry = |cell: u32, level: u32| {
        let Coding { chunk, repair, digest } = wanted.coding;
        let p = Parameters { size: wanted.size, chunk, cell: cell.into(), repair, digest, cap_len: 0 };
        Geometry::with_cap_level(&p, level).map_err(|source| PlanError::Geometry { name: name(), source })
    };
    let mut found: Vec<Geometry> = Vec::new();
    let mut least = usize::MAX;
    for cell in (8..=MAX_CELL).rev().step_by(8) {
        let bare = geometry(cell, 0)?;
        if HEADER_LEN + bare.chunk_len() > packet {
            return Err(PlanError::Chunk { name: name(), chunk: bare.chunk_len(), packet });
        }
        let digests = packet.saturating_sub(HEADER_LEN) / bare.digest_len();
        // A page has the digests of its chunks and of its parity page, and then the path.
        let Some(path) = digests.checked_sub(cell as usize + 1) else {
            least = HEADER_LEN + (cell as usize + 1) * bare.digest_len();
            continue;
        };
        let level = bare.height().saturating_sub(u32::try_from(path).unwrap_or(u32::MAX));
        let fits = geometry(cell, level)?;
        if found.last().is_none_or(|last| fits.cap_len() < last.cap_len()) {
            found.push(fits);
        }
    }
    if found.is_empty() { Err(PlanError::Page { name: name(), least, packet }) } else { Ok(found) }
}

/// The manifest's payload with zeros for all that is not known yet; it has its final length.
fn payload(facts: &Facts, components: &[Wanted], geometries: &[Geometry]) -> Result<Vec<u8>, PlanError> {
    let component = |(wanted, geometry): (&Wanted, &Geometry)| Component {
        name: wanted.name.clone(),
        target: wanted.target.clone(),
        sha256: [0; 32],
        geometry: *geometry,
        cap: vec![0; geometry.cap_len()],
    };
    let manifest = facts.manifest(components.iter().zip(geometries).map(component).collect());
    manifest.encode().map_err(|_| PlanError::Manifest(StatementError::Schema))
}

/// Whether a device would take such a manifest, seals and digests apart.
fn check(payload: &[u8], signatures: usize) -> Result<(), PlanError> {
    let signers = vec![(KeyId([0; 8]), |_: &[u8]| [0; 64]); signatures];
    let statement = encode_statement(StatementKind::Manifest, payload, &signers)
        .map_err(|_| PlanError::Signatures { count: signatures })?;
    parse_unverified::<Manifest>(&statement).map_err(PlanError::Manifest)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use fleetcast_core::manifest::Uuid;

    use super::*;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;
    const DEFAULT: Coding = Coding { chunk: 1024, repair: 100, digest: 16 };

    fn facts() -> Facts {
        let version = Token::new("1.2.3").unwrap();
        Facts {
            sequence: 1,
            security_version: 0,
            version,
            vendor: Uuid([1; 16]),
            classes: vec![Uuid([2; 16])],
            from: None,
            hardware: None,
            waves: vec![],
        }
    }

    fn wanted(name: &str, size: u64, coding: Coding) -> Wanted {
        let name = Token::new(name).unwrap();
        Wanted { target: name.clone(), name, size, coding }
    }

    fn named(sizes: &[u64]) -> Vec<Wanted> {
        sizes.iter().enumerate().map(|(i, &size)| wanted(&format!("c{i}"), size, DEFAULT)).collect()
    }

    /// Chunks of a cell, nodes of the cap and digests of a path, for each component.
    fn shapes(components: &[Wanted], packet: usize) -> Result<Vec<(u32, usize, u32)>, PlanError> {
        let planned = plan(&facts(), components, 1, packet)?;
        for g in &planned {
            assert!(g.max_packet_len() <= packet, "{g:?}");
        }
        Ok(planned.iter().map(|g| (g.cell(), g.cap_len() / g.digest_len(), g.path_digests())).collect())
    }

    #[test]
    fn the_figures_of_the_design_hold() {
        let nodes = |size| shapes(&named(&[size]), 1232).unwrap()[0];
        for (upto, cap) in [(32 * MIB, 1), (64 * MIB, 2), (128 * MIB, 4), (256 * MIB, 8), (GIB, 32)] {
            assert_eq!(nodes(upto), (64, cap, 10), "{upto}");
            // One octet more is one chunk, one cell and one level more.
            if upto < GIB {
                assert_eq!(nodes(upto + 1).1, 2 * cap, "{upto}");
            }
        }
        // 64 nodes do not fit beside the rest of the manifest.
        assert_eq!(nodes(GIB + 1).0, 56);
        assert_eq!(nodes(7 * GIB), (56, 1, 18));
        assert_eq!(nodes(7 * GIB + 1), (56, 2, 18));
        assert_eq!(nodes(16 * GIB), (56, 4, 18));
    }

    /// Whether a statement has room for the smallest cap with which pages of such cells fit.
    fn fits_statement(size: u64, coding: Coding, cell: u32, packet: usize) -> bool {
        let Coding { chunk, repair, digest } = coding;
        let p = Parameters { size, chunk, cell: cell.into(), repair, digest, cap_len: 0 };
        let path = (packet - HEADER_LEN) / 16 - (cell as usize + 1);
        let height = Geometry::with_cap_level(&p, 0).unwrap().height();
        let level = height.saturating_sub(path.try_into().unwrap());
        let g = Geometry::with_cap_level(&p, level).unwrap();
        let payload = payload(&facts(), &[wanted("a", size, coding)], &[g]).unwrap();
        HEADER_LEN + statement_len(payload.len(), 1) <= packet
    }

    #[test]
    fn all_that_is_possible_is_used_and_nothing_more() {
        for packet in [300, 508, 600, 1232, 1452, 8952] {
            for size in [1, 1024, 100_000, 7 * MIB, 300 * MIB] {
                let coding = Coding { chunk: 192, ..DEFAULT };
                let Ok(shapes) = shapes(&[wanted("a", size, coding)], packet) else {
                    assert!(packet == 300, "{packet} {size}");
                    continue;
                };
                let (cell, nodes, path) = shapes[0];
                let page = |cell: u32, path: u32| HEADER_LEN + (cell + 1 + path) as usize * 16;
                assert!(nodes == 1 || page(cell, path + 1) > packet, "a smaller cap fits: {packet} {size}");
                for larger in (cell + 8..=64).step_by(8) {
                    assert!(
                        page(larger, 0) > packet || !fits_statement(size, coding, larger, packet),
                        "larger cells fit: {packet} {size} {larger}"
                    );
                }
            }
        }
    }

    #[test]
    fn components_share_the_statement() {
        // Each of these alone would take 64-chunk cells with 8 nodes.
        let shapes = shapes(&named(&[256 * MIB; 6]), 1232).unwrap();
        let large = shapes.iter().filter(|(cell, ..)| *cell == 64).count();
        assert!((1..6).contains(&large), "{shapes:?}");
        assert!(shapes.windows(2).all(|pair| pair[0].0 <= pair[1].0), "the first gives way first: {shapes:?}");
        // The one with the largest cap gives way, and small ones keep large cells.
        let shapes = self::shapes(&named(&[MIB, 900 * MIB, 3 * MIB, 300 * MIB, MIB]), 1232).unwrap();
        assert_eq!(shapes.iter().map(|(cell, ..)| *cell).collect::<Vec<_>>(), [64, 56, 64, 64, 64]);
    }

    #[test]
    fn the_length_of_a_statement_is_known_before_it_is_made() {
        let sign = |_: &[u8]| [0; 64];
        for payload_len in [0, 1, 23, 24, 255, 256, 300, 1130, 7000] {
            for count in 1..=8 {
                let signers = vec![(KeyId([0; 8]), sign); count];
                let made = encode_statement(StatementKind::Manifest, &vec![0; payload_len], &signers).unwrap();
                assert_eq!(made.len(), statement_len(payload_len, count));
            }
        }
    }

    #[test]
    fn a_statement_fits_to_the_octet() {
        let small = named(&[1; 8]);
        let least = match plan(&facts(), &small, 8, 1100) {
            Err(PlanError::Statement { len, .. }) => len + HEADER_LEN,
            other => panic!("{other:?}"),
        };
        assert!(plan(&facts(), &small, 8, least).is_ok());
        assert!(plan(&facts(), &small, 8, least - 1).is_err());
    }

    #[test]
    fn what_does_not_fit_says_what_to_change() {
        let refused = |components: &[Wanted], signatures, packet| {
            let error = plan(&facts(), components, signatures, packet).unwrap_err();
            (error.code(), format!("{}; {}", error.hint().unwrap_or_default(), CommandError::from(error)))
        };
        let (code, text) = refused(&[wanted("a", 1, Coding { chunk: 1408, ..DEFAULT })], 1, 1232);
        assert_eq!(code, "plan-chunk");
        assert!(text.contains("--chunk of 1152 or less") && text.contains("--packet of 1428 or more"), "{text}");
        let (code, text) = refused(&[wanted("a", 1, Coding { chunk: 64, digest: 32, ..DEFAULT })], 1, 300);
        assert_eq!(code, "plan-page");
        assert!(text.contains("--packet of 308 or more") && text.contains("--digest 16"), "{text}");
        let long = |i| wanted(&format!("{i}{}", "x".repeat(31)), 300 * MIB, DEFAULT);
        let eight: Vec<_> = (0..8).map(long).collect();
        let (code, text) = refused(&eight, 1, 1232);
        assert_eq!(code, "plan-statement");
        assert!(text.contains("fewer components") && text.contains("--packet of"), "{text}");
        let (code, text) = refused(&[wanted("a", 2 * GIB, Coding { chunk: 64, ..DEFAULT })], 1, 1232);
        assert_eq!(code, "geometry");
        assert!(text.contains("component a cannot be cut that way: an image has at most 16777216 chunks"), "{text}");
        let (code, _) = refused(&[wanted("a", 16 * GIB + 1, DEFAULT)], 1, 1232);
        assert_eq!(code, "geometry");
        assert_eq!(refused(&named(&[1]), 0, 1232).0, "plan-signatures");
        assert_eq!(refused(&named(&[1]), 9, 8212).0, "plan-signatures");
        assert_eq!(refused(&named(&[1; 9]), 1, 8212).0, "range");
        assert_eq!(refused(&[], 1, 1232).0, "range");
        let twice = [wanted("a", 1, DEFAULT), wanted("a", 1, DEFAULT)];
        assert_eq!(refused(&twice, 1, 1232).0, "range");
    }
}
