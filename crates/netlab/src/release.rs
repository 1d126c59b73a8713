//! Releases ready to be sent and received in memory: those of the vectors, and generated ones of any size.

use std::io::Write as _;

use fleetcast_core::fec::{ChunkIo, Decoder};
use fleetcast_core::manifest::{Token, Uuid};
use fleetcast_core::session::{Config, Policy, Receiver, Target};
use fleetcast_core::tree::Geometry;
use fleetcast_core::trust::{PublicKey, TrustedKeys};

use fleetcast_sign::keys::SecretKey;
use fleetcast_sign::release::{Coding, Draft, Facts, Image, Input, Wanted, plan};

use crate::sim::{Carousel, Store};
use crate::vectors::{image, one, unhex};

/// The key that signed the vectors.
///
/// # Panics
///
/// If the vectors are damaged.
#[must_use]
pub fn trust() -> TrustedKeys {
    let key = unhex(one("statement/ok-minimal").get("trust"));
    TrustedKeys::new(vec![PublicKey::from_bytes(key.try_into().unwrap()).unwrap()], 1).unwrap()
}

/// A release with its images.
#[derive(Debug)]
pub struct Release {
    /// Its packets.
    pub carousel: Carousel,
    /// Its images.
    pub images: Vec<Vec<u8>>,
    trust: TrustedKeys,
    vendor: Uuid,
    class: Uuid,
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
        let uuid = |key| Uuid(unhex(vector.get(key)).try_into().unwrap());
        let carousel = Carousel::new(&vector.body, &images, &trust());
        Self { carousel, images, trust: trust(), vendor: uuid("vendor"), class: uuid("class") }
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
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&image).unwrap();
        let rootfs = Token::new("rootfs").unwrap();
        let coding = Coding { chunk: 1024, repair: 100, digest: 16 };
        let (vendor, class) = (Uuid([1; 16]), Uuid([2; 16]));
        let facts = Facts {
            sequence: 1,
            security_version: 0,
            version: Token::new("1.0").unwrap(),
            vendor,
            classes: vec![class],
            from: None,
        };
        let wanted = Wanted { name: rootfs.clone(), target: rootfs.clone(), size: size as u64, coding };
        let geometry = *plan(&facts, &[wanted], 1, 1232).unwrap().first().unwrap();
        let image_file = Image::open(file.path()).unwrap();
        let input = Input { name: rootfs.clone(), target: rootfs, image: image_file, geometry };
        let key = SecretKey::from_seed(&[3; 32]).unwrap();
        let trust = TrustedKeys::new(vec![key.public()], 1).unwrap();
        let mut release = Vec::new();
        Draft::new(&facts, &[input], &[key], &|_| {}).unwrap().write_to(&mut release).unwrap();
        let images = vec![image];
        Self { carousel: Carousel::new(&release, &images, &trust), images, trust, vendor, class }
    }

    /// Who must have signed it.
    #[must_use]
    pub const fn trust(&self) -> &TrustedKeys {
        &self.trust
    }

    /// What a device needs to take this release; it has never installed one.
    ///
    /// # Panics
    ///
    /// Never: the names of its targets are tokens.
    #[must_use]
    pub fn policy(&self) -> Policy {
        let targets = ["boot", "kernel", "rootfs", "slot"];
        let target = |name: &str| Target { name: Token::new(name).unwrap(), max_size: 1 << 34 };
        Policy {
            vendor: self.vendor,
            classes: vec![self.class],
            targets: targets.map(target).to_vec(),
            installed: None,
            seen: None,
            max_packet: 1500,
        }
    }

    /// A receiver on such a device.
    #[must_use]
    pub fn receiver(&self) -> Receiver {
        Receiver::new(Config { trust: self.trust.clone(), policy: self.policy(), staging: 1024, seed: 7 })
    }
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
