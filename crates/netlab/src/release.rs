//! Releases ready to be sent and received in memory: those of the vectors, and generated ones of any size.

use std::io::Write as _;

use fleetcast_core::fec::{ChunkIo, Decoder};
use fleetcast_core::manifest::{Component, Manifest, Token, Uuid};
use fleetcast_core::session::{Config, Policy, Receiver, Target, Wave};
use fleetcast_core::tree::{Geometry, Parameters};
use fleetcast_core::trust::{PublicKey, Trust, TrustedKeys, Unverified, parse_unverified};

use fleetcast_sign::release::{Coding, Draft, Wanted, plan};
pub use fleetcast_sign::release::{Facts, Image, Input};

use crate::authority;
use crate::sim::{Carousel, Store};
use crate::vectors::{image, one, unhex};

/// Vendor of all releases here.
pub const VENDOR: Uuid = Uuid(*b"\xbc\xc1\x69\x65\x6f\x3a\x53\x38\x9d\x83\xd8\xb5\x65\xc6\x3b\xc7");

/// Class of all releases here.
pub const CLASS: Uuid = Uuid(*b"\xbe\xeb\x81\x2d\xff\x36\x5b\x67\x83\x7e\xf9\x54\xc8\x59\xed\x52");

/// The key that signs all releases here; everyone has its private half.
///
/// # Panics
///
/// If the vectors are damaged.
#[must_use]
pub fn trust() -> Trust {
    let key = unhex(one("statement/ok-minimal").get("trust"));
    TrustedKeys::new(vec![PublicKey::from_bytes(key.try_into().unwrap()).unwrap()], 1).unwrap().into()
}

/// A release with its images.
#[derive(Debug)]
pub struct Release {
    /// The release file.
    pub file: Vec<u8>,
    /// Its packets.
    pub carousel: Carousel,
    /// Its images.
    pub images: Vec<Vec<u8>>,
}

impl Release {
    /// The release of the vector `release/NAME`.
    ///
    /// # Panics
    ///
    /// If there is none.
    #[must_use]
    pub fn of_vector(name: &str) -> Self {
        let vector = one(&format!("release/{name}"));
        let seeds = vector.all("component").map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
        let images: Vec<_> = seeds.map(|fields| image(&fields[3], fields[2].parse().unwrap())).collect();
        let carousel = Carousel::new(&vector.body, &images, &trust());
        Self { file: vector.body, carousel, images }
    }

    /// A release number 1 of one component with an image of `size` octets that no two chunks of are alike, made as `fleetcast-sign create`
    /// makes it with its default settings.
    ///
    /// # Panics
    ///
    /// If the temporary folder has no room for the image.
    #[must_use]
    pub fn generated(size: usize) -> Self {
        let mut image = vec![0; size];
        fastrand::Rng::with_seed(size as u64).fill(&mut image);
        let name = Token::new("rootfs").unwrap();
        let coding = Coding { chunk: 1024, repair: 100, digest: 16 };
        let wanted = Wanted { name: name.clone(), target: name, size: size as u64, coding };
        let geometry = *plan(&facts(1), &[wanted], 1, 1232).unwrap().first().unwrap();
        Self::made(1, vec![("rootfs", image, geometry)])
    }

    /// A release of images for targets, each cut as its geometry says, for devices that take the releases of the vectors.
    ///
    /// # Panics
    ///
    /// If a geometry is not for its image, or the temporary folder has no room for the images.
    #[must_use]
    pub fn made(sequence: u64, images: Vec<(&str, Vec<u8>, Geometry)>) -> Self {
        Self::with_facts(&facts(sequence), images)
    }

    /// As [`Release::made`], with all that a manifest may say.
    ///
    /// # Panics
    ///
    /// As [`Release::made`].
    #[must_use]
    pub fn with_facts(facts: &Facts, images: Vec<(&str, Vec<u8>, Geometry)>) -> Self {
        Self::signed_by(&["release"], facts, images)
    }

    /// The same, signed by the test keys of these names.
    ///
    /// # Panics
    ///
    /// As [`Release::made`].
    #[must_use]
    pub fn signed_by(names: &[&str], facts: &Facts, images: Vec<(&str, Vec<u8>, Geometry)>) -> Self {
        let input = |(target, image, geometry): &(&str, Vec<u8>, Geometry)| {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(image).unwrap();
            let name = Token::new(target).unwrap();
            let image = Image::open(file.path()).unwrap();
            Input { name: name.clone(), target: name, image, geometry: *geometry }
        };
        let inputs: Vec<_> = images.iter().map(input).collect();
        let file = signed_by(names, facts, &inputs);
        let images: Vec<_> = images.into_iter().map(|(_, image, _)| image).collect();
        let threshold = u8::try_from(names.len()).unwrap();
        let carousel = Carousel::new(&file, &images, &authority::role(threshold, names).into());
        Self { file, carousel, images }
    }

    /// What its manifest says.
    ///
    /// # Panics
    ///
    /// Never: it has been made from one.
    #[must_use]
    pub fn manifest(&self) -> Unverified<Manifest> {
        parse_unverified(self.carousel.statement()).unwrap()
    }
}

/// What a device needs to take these releases; it has never installed one.
///
/// # Panics
///
/// Never: the names of its targets are tokens.
#[must_use]
pub fn policy() -> Policy {
    let targets = ["boot", "kernel", "rootfs", "slot"];
    let target = |name: &str| Target { name: Token::new(name).unwrap(), max_size: 1 << 34 };
    Policy {
        vendor: VENDOR,
        classes: vec![CLASS],
        targets: targets.map(target).to_vec(),
        installed: None,
        seen: None,
        trial: None,
        failed: None,
        hardware: None,
        wave: Wave::Fixed(0),
        max_packet: 1500,
        has_floors: true,
        built: 0,
    }
}

/// A receiver on such a device.
#[must_use]
pub fn receiver() -> Receiver {
    Receiver::new(Config { trust: trust(), policy: policy(), staging: 1024, seed: 7 })
}

/// The release file of these images, signed by the key of [`trust`].
///
/// # Panics
///
/// If an image cannot be read, or is not as its geometry says.
#[must_use]
pub fn signed(facts: &Facts, inputs: &[Input]) -> Vec<u8> {
    signed_by(&["release"], facts, inputs)
}

/// The same, signed by the test keys of these names.
///
/// # Panics
///
/// As [`signed`].
#[must_use]
pub fn signed_by(names: &[&str], facts: &Facts, inputs: &[Input]) -> Vec<u8> {
    let keys: Vec<_> = names.iter().map(|name| authority::key(name)).collect();
    let mut file = Vec::new();
    Draft::new(facts, inputs, &keys, &|_| {}).unwrap().write_to(&mut file).unwrap();
    file
}

/// What the manifests of releases made here say.
///
/// # Panics
///
/// Never: the version is a token.
#[must_use]
pub fn facts(sequence: u64) -> Facts {
    let version = Token::new(&format!("{sequence}.0")).unwrap();
    Facts {
        sequence,
        security_version: 1,
        version,
        vendor: VENDOR,
        classes: vec![CLASS],
        from: None,
        hardware: None,
        waves: vec![],
    }
}

/// A release of one image of 5,000 octets that does not exist.
///
/// # Panics
///
/// Never: its geometry is right.
#[must_use]
pub fn minimal(facts: &Facts) -> Manifest {
    let parameters = Parameters { size: 5000, chunk: 1024, cell: 64, repair: 100, digest: 16, cap_len: 16 };
    let rootfs = Token::new("rootfs").unwrap();
    let geometry = Geometry::new(&parameters).unwrap();
    let component = Component { name: rootfs.clone(), target: rootfs, sha256: [9; 32], geometry, cap: vec![4; 16] };
    facts.manifest(vec![component])
}

/// Restores what `receiver` lacks of the images in `store`.
///
/// # Panics
///
/// If a block cannot be restored.
pub fn restore(receiver: &Receiver, store: &mut Store) {
    for component in 0..store.images.len() {
        let number = u8::try_from(component).unwrap();
        let g = *receiver.geometry(number).unwrap();
        let mut io = Chunks { g, image: &mut store.images[component], repair: &store.repair[component] };
        let mut decoder = Decoder::new(512);
        for block in 0..g.blocks() {
            decoder.restore(&g, block, |position| receiver.has(number, position), &mut io).unwrap();
        }
    }
}

struct Chunks<'a> {
    g: Geometry,
    image: &'a mut Vec<u8>,
    repair: &'a [u8],
}

impl ChunkIo for Chunks<'_> {
    type Error = std::convert::Infallible;

    fn read(&mut self, position: u32, column: usize, buf: &mut [u8]) -> Result<(), Self::Error> {
        buf.fill(0);
        let t = self.g.chunk_len();
        let number = position.checked_sub(self.g.source_chunks());
        let (from, start) = number.map_or((&self.image[..], position), |number| (self.repair, number));
        let start = start as usize * t + column;
        let end = from.len().min(start + buf.len());
        if start < end {
            buf[..end - start].copy_from_slice(&from[start..end]);
        }
        Ok(())
    }

    fn write(&mut self, position: u32, column: usize, bytes: &[u8]) -> Result<(), Self::Error> {
        let start = position as usize * self.g.chunk_len() + column;
        let end = self.image.len().min(start + bytes.len());
        if start < end {
            self.image[start..end].copy_from_slice(&bytes[..end - start]);
        }
        Ok(())
    }
}
