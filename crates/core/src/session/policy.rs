//! Which releases a device takes, decided by the manifest alone (spec §4 \[M-4, M-5, M-7\]).

use alloc::vec::Vec;
use core::fmt;

use crate::beacon::{Beacon, Current};
use crate::manifest::{Manifest, Token, Uuid, wave_number};
use crate::trust::Verified;

/// Most a sequence may be ahead of the running one \[M-4\]: a stolen key cannot use up the numbers.
const FAR_JUMP: u64 = 1 << 32;

/// A place that images may be installed to, from the device's own configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The name manifests know it by.
    pub name: Token,
    /// Largest image it takes, in octets.
    pub max_size: u64,
}

/// A release that is or was on the device: its number and the SHA-256 of its manifest payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Sequence number.
    pub sequence: u64,
    /// SHA-256 of the manifest payload.
    pub digest: [u8; 32],
}

/// What a device is and has.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Its vendor.
    pub vendor: Uuid,
    /// The classes it belongs to; one must be named.
    pub classes: Vec<Uuid>,
    /// Its install targets.
    pub targets: Vec<Target>,
    /// The committed release and its security version: the floors. `None` on a new device.
    pub installed: Option<(Mark, u32)>,
    /// Whether they are floors: not from a root on that makes all earlier signatures void, until the next commit \[K-9\].
    pub has_floors: bool,
    /// The highest release ever followed \[M-7\].
    pub seen: Option<Mark>,
    /// A release that is installed and not committed.
    pub trial: Option<Mark>,
    /// The release last given up.
    pub failed: Option<Mark>,
    /// The revision of its hardware, if it is known.
    pub hardware: Option<u64>,
    /// Its place in waves.
    pub wave: Wave,
    /// Octets of the largest datagram it can receive.
    pub max_packet: usize,
    /// A time that is past for sure, in seconds of Unix time: the device was made, or built, then.
    pub built: u64,
}

/// A device's place in the waves of a release \[M-10\].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wave {
    /// Another one in each release, by these random octets of the device's own.
    Seed([u8; 16]),
    /// Always this number, 0 to 999, by its operator's choice.
    Fixed(u16),
}

impl Wave {
    /// Its number in the release with this sequence, 0 to 999.
    #[must_use]
    pub fn number(self, sequence: u64) -> u16 {
        match self {
            Self::Fixed(number) => number,
            Self::Seed(seed) => wave_number(&seed, sequence),
        }
    }
}

/// Why a genuine manifest is not for this device, or not now. No state changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefuseReason {
    /// Another vendor's (RFC 9124 §3.3).
    Vendor,
    /// For other device classes (RFC 9124 §3.4).
    Class,
    /// Its security version is below the installed one.
    SecurityVersion {
        /// The manifest's.
        offered: u32,
        /// The device's.
        floor: u32,
    },
    /// Below what this device already accepted: rollback or replay.
    Rollback {
        /// The manifest's sequence.
        offered: u64,
        /// The least acceptable one.
        floor: u64,
    },
    /// Below the current releases, and none of them \[B-4\].
    Superseded {
        /// The manifest's sequence.
        offered: u64,
        /// The highest current one.
        current: u64,
    },
    /// The number of a known release on another manifest: an alarm \[M-5\].
    Equivocation {
        /// The number.
        sequence: u64,
    },
    /// Already installed.
    Installed {
        /// Its number.
        sequence: u64,
    },
    /// The sequence jumps too far.
    FarJump {
        /// The manifest's sequence.
        offered: u64,
        /// The largest acceptable one.
        most: u64,
    },
    /// The device runs a release it cannot be installed from (RFC 9124 §3.6).
    From {
        /// The sequence the device runs, 0 if none.
        runs: u64,
        /// Least it must run.
        min: u64,
        /// Most it may run.
        max: u64,
    },
    /// It is for other hardware revisions.
    Hardware {
        /// The device's, if it is known.
        has: Option<u64>,
        /// Least it must be.
        min: u64,
        /// Most it may be.
        max: u64,
    },
    /// The release is for fewer devices, and this is none of them.
    Wave {
        /// The device's number.
        number: u16,
        /// Numbers below this one take it.
        share: u16,
    },
    /// Another release is on trial here.
    Trial {
        /// Its number.
        sequence: u64,
    },
    /// This release was given up here.
    RolledBack {
        /// Its number.
        sequence: u64,
    },
    /// A component's target is not configured here.
    Target {
        /// Component number.
        component: usize,
    },
    /// An image is larger than its target.
    Size {
        /// Component number.
        component: usize,
        /// Octets of the image.
        size: u64,
        /// Octets the target takes.
        max: u64,
    },
    /// Its packets are larger than this device receives.
    PacketSize {
        /// Octets of the largest packet.
        size: usize,
        /// Octets the device receives.
        max: usize,
    },
}

impl RefuseReason {
    /// The word for it in counters, vectors and output (spec §12).
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Vendor => "vendor",
            Self::Class => "class",
            Self::SecurityVersion { .. } => "security-version",
            Self::Rollback { .. } => "rollback",
            Self::Superseded { .. } => "superseded",
            Self::Equivocation { .. } => "equivocation",
            Self::Installed { .. } => "installed",
            Self::FarJump { .. } => "far-jump",
            Self::From { .. } => "from",
            Self::Hardware { .. } => "hardware",
            Self::Wave { .. } => "wave",
            Self::Trial { .. } => "trial",
            Self::RolledBack { .. } => "rolled-back",
            Self::Target { .. } => "target",
            Self::Size { .. } => "size",
            Self::PacketSize { .. } => "packet-size",
        }
    }
}

impl fmt::Display for RefuseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vendor => write!(f, "it is another vendor's"),
            Self::Class => write!(f, "it is for other device classes"),
            Self::SecurityVersion { offered, floor } => {
                write!(f, "its security version {offered} is below this device's {floor}")
            }
            Self::Rollback { offered, floor } => write!(f, "its sequence {offered} is below {floor}"),
            Self::Superseded { offered, current } => {
                write!(f, "its sequence {offered} is not current: the newest beacon names {current}")
            }
            Self::Equivocation { sequence } => {
                write!(f, "ALARM: sequence {sequence} was seen with another manifest; a signing key may be misused")
            }
            Self::Installed { sequence } => write!(f, "sequence {sequence} is already installed"),
            Self::FarJump { offered, most } => {
                write!(f, "its sequence {offered} is too far ahead, the most is {most}")
            }
            Self::From { runs, min, max } => {
                write!(f, "it needs a device that runs sequence {min} to {max}, this one runs {runs}")
            }
            Self::Hardware { has: Some(has), min, max } => {
                write!(f, "it is for hardware revision {min} to {max}, this device has {has}")
            }
            Self::Hardware { has: None, min, max } => {
                write!(f, "it is for hardware revision {min} to {max}, that of this device is not configured")
            }
            Self::Wave { number, share } => {
                write!(f, "it is for devices with wave numbers below {share}, this one has {number}")
            }
            Self::Trial { sequence } => {
                write!(f, "sequence {sequence} is on trial here; commit it or roll it back first")
            }
            Self::RolledBack { sequence } => write!(f, "sequence {sequence} was given up on this device before"),
            Self::Target { component } => {
                write!(f, "the target of component {component} is not configured on this device")
            }
            Self::Size { component, size, max } => {
                write!(f, "the image of component {component} has {size} octets, its target takes {max}")
            }
            Self::PacketSize { size, max } => {
                write!(f, "its packets have up to {size} octets, this device receives up to {max}")
            }
        }
    }
}

impl core::error::Error for RefuseReason {}

impl Policy {
    /// Nothing that was signed so far is a floor any longer \[K-9\].
    pub const fn void_floors(&mut self) {
        (self.has_floors, self.seen) = (false, None);
    }

    /// Decides whether this device takes a release. `beacon` is the newest, if there is one.
    ///
    /// # Errors
    ///
    /// The first [`RefuseReason`] in the order of \[M-4\].
    ///
    /// Spec §4 \[M-4, M-5, M-7\], §18 \[B-4\].
    pub fn check(&self, manifest: &Verified<Manifest>, beacon: Option<&Beacon>) -> Result<(), RefuseReason> {
        let offered = manifest.sequence;
        if manifest.vendor != self.vendor {
            return Err(RefuseReason::Vendor);
        }
        if !manifest.classes.iter().any(|class| self.classes.contains(class)) {
            return Err(RefuseReason::Class);
        }
        let mut current: Vec<&Current> = beacon.map(|beacon| beacon.of(&self.classes).collect()).unwrap_or_default();
        // One that is named is refused by nothing that others are named for.
        if current.iter().any(|current| current.sequence == offered && current.digest == *manifest.payload_digest()) {
            current.clear();
        }
        let floors = self.installed.filter(|_| self.has_floors);
        let security_versions = current.iter().map(|current| current.security_version);
        let floor = security_versions.chain(floors.map(|(_, version)| version)).max().unwrap_or_default();
        if manifest.security_version < floor {
            return Err(RefuseReason::SecurityVersion { offered: manifest.security_version, floor });
        }
        let installed = self.installed.map(|(mark, _)| mark);
        let is_offered = |mark: &Mark| mark.sequence == offered && mark.digest == *manifest.payload_digest();
        if [installed, self.trial].iter().flatten().any(is_offered) {
            return Err(RefuseReason::Installed { sequence: offered });
        }
        // Its slot and the other one are both needed until it is known what becomes of it.
        if let Some(Mark { sequence, .. }) = self.trial {
            return Err(RefuseReason::Trial { sequence });
        }
        if self.failed.as_ref().is_some_and(is_offered) {
            return Err(RefuseReason::RolledBack { sequence: offered });
        }
        let floor = floors.map(|(mark, _)| mark);
        let mut marks = [self.seen, floor].into_iter().flatten();
        if let Some(highest) = marks.clone().map(|mark| mark.sequence).max()
            && offered < highest
        {
            return Err(RefuseReason::Rollback { offered, floor: highest });
        }
        if marks.any(|mark| mark.sequence == offered && mark.digest != *manifest.payload_digest()) {
            return Err(RefuseReason::Equivocation { sequence: offered });
        }
        check_current(&current, offered)?;
        if let Some(mark) = floor {
            let most = mark.sequence.saturating_add(FAR_JUMP);
            if offered > most {
                return Err(RefuseReason::FarJump { offered, most });
            }
        }
        if let Some((min, max)) = manifest.from {
            let runs = installed.map_or(0, |mark| mark.sequence);
            if !(min..=max).contains(&runs) {
                return Err(RefuseReason::From { runs, min, max });
            }
        }
        if let Some((min, max)) = manifest.hardware
            && !self.hardware.is_some_and(|has| (min..=max).contains(&has))
        {
            return Err(RefuseReason::Hardware { has: self.hardware, min, max });
        }
        let number = self.wave.number(offered);
        if let (None, Some(last)) = (manifest.not_before(number), manifest.waves.last()) {
            return Err(RefuseReason::Wave { number, share: last.share });
        }
        self.check_components(manifest)
    }

    fn check_components(&self, manifest: &Manifest) -> Result<(), RefuseReason> {
        for (component, c) in manifest.components.iter().enumerate() {
            let target = self.targets.iter().find(|target| target.name == c.target);
            let target = target.ok_or(RefuseReason::Target { component })?;
            let (size, max) = (c.geometry.size(), target.max_size);
            if size > max {
                return Err(RefuseReason::Size { component, size, max });
            }
            let size = c.geometry.max_packet_len();
            if size > self.max_packet {
                return Err(RefuseReason::PacketSize { size, max: self.max_packet });
            }
        }
        Ok(())
    }
}

/// Whether a release that is none of the current ones may be above them.
fn check_current(current: &[&Current], offered: u64) -> Result<(), RefuseReason> {
    if current.iter().any(|current| current.sequence == offered) {
        return Err(RefuseReason::Equivocation { sequence: offered });
    }
    match current.iter().map(|current| current.sequence).max() {
        Some(current) if offered < current => Err(RefuseReason::Superseded { offered, current }),
        _ => Ok(()),
    }
}
