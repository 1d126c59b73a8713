//! Which releases a device takes, decided by the manifest alone (spec §4 \[M-4, M-5, M-7\]).

use alloc::vec::Vec;
use core::fmt;

use crate::manifest::{Manifest, Token, Uuid};
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
    /// The highest release ever followed \[M-7\].
    pub seen: Option<Mark>,
    /// Octets of the largest datagram it can receive.
    pub max_packet: usize,
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
            Self::Equivocation { .. } => "equivocation",
            Self::Installed { .. } => "installed",
            Self::FarJump { .. } => "far-jump",
            Self::From { .. } => "from",
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
    /// Decides whether this device takes a release.
    ///
    /// # Errors
    ///
    /// The first [`RefuseReason`] in the order of \[M-4\].
    ///
    /// Spec §4 \[M-4, M-5, M-7\].
    pub fn check(&self, manifest: &Verified<Manifest>) -> Result<(), RefuseReason> {
        let offered = manifest.sequence;
        if manifest.vendor != self.vendor {
            return Err(RefuseReason::Vendor);
        }
        if !manifest.classes.iter().any(|class| self.classes.contains(class)) {
            return Err(RefuseReason::Class);
        }
        if let Some((_, floor)) = self.installed
            && manifest.security_version < floor
        {
            return Err(RefuseReason::SecurityVersion { offered: manifest.security_version, floor });
        }
        let installed = self.installed.map(|(mark, _)| mark);
        if let Some(mark) = installed
            && mark.sequence == offered
            && mark.digest == *manifest.payload_digest()
        {
            return Err(RefuseReason::Installed { sequence: offered });
        }
        for mark in [self.seen, installed].into_iter().flatten() {
            if offered < mark.sequence {
                return Err(RefuseReason::Rollback { offered, floor: mark.sequence });
            }
            if offered == mark.sequence && mark.digest != *manifest.payload_digest() {
                return Err(RefuseReason::Equivocation { sequence: offered });
            }
        }
        if let Some(mark) = installed {
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
