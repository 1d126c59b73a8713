//! Settings: one TOML file, or flags, or both; parsed once into checked types.
//!
//! A flag overrides the key of the file. What is wrong is told with the file, line and key, or with the flag.

mod discover;
mod feeds;
mod file;
mod install;
mod look;
mod metrics;
mod nack;
mod repair;
mod report;
mod settings;
mod trust;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use fleetcast_cli::settings::Unread;
use fleetcast_cli::{CommandError, ErrorKind};
use fleetcast_core::manifest::{Token, Uuid};
use fleetcast_core::trust::Trust;
use fleetcast_install::{AbBackend, Adapter, Backend, Disk, ExecBackend, FileBackend, Pair, Program};
use fleetcast_net::{Interface, Membership};
use serde::Deserialize;

pub use look::{Look, LookArgs};
pub use settings::{Settings, folders};

/// What a receiver must know. All values are checked, as far as that needs no network.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whose statements count: what the device is made with. Roots may have followed since.
    pub trust: Trust,
    /// A time that is past for sure, in seconds of Unix time: the device was made then, or its software.
    pub built: u64,
    /// When what is known counts as current, and what is done if it is not.
    pub freshness: Freshness,
    /// The device's vendor.
    pub vendor: Uuid,
    /// The classes it belongs to.
    pub classes: Vec<Uuid>,
    /// The revision of its hardware, if it is known.
    pub hardware: Option<u64>,
    /// Its number in waves; `None` for another one in each release.
    pub wave: Option<u16>,
    /// Times in releases are not waited for.
    pub ignore_waves: bool,
    /// Names or addresses of the interfaces to join on; at least one.
    pub interfaces: Vec<String>,
    /// What to hear; it may be empty if there is a domain to ask.
    pub feeds: Vec<Feed>,
    /// Where to ask what else to hear.
    pub discover: Option<Discover>,
    /// Most layers that are joined of each group.
    pub layers: u8,
    /// Where images go.
    pub targets: Vec<TargetPlace>,
    /// How images become those that run.
    pub install: Install,
    /// What is done about a release on trial.
    pub trial: TrialCare,
    /// Programs that are told.
    pub hooks: Hooks,
    /// The state folder.
    pub state: PathBuf,
    /// Images to look for chunks in, beside those that run.
    pub seeds: Vec<PathBuf>,
    /// The folder where the daemon tells how it is doing, if any.
    pub runtime: Option<PathBuf>,
    /// Octets of receive buffer to ask of the kernel.
    pub receive_buffer: usize,
    /// Octets of the largest datagram.
    pub max_packet: usize,
    /// Packets that may wait for a manifest or page.
    pub staging: usize,
    /// Time between two progress reports.
    pub progress: Duration,
    /// Where metrics go.
    pub metrics: crate::metrics::Settings,
    /// The file of the page for browsers, if there is to be one.
    pub page: Option<PathBuf>,
    /// Where to ask for what is missing; nowhere if it is none.
    pub nack: Option<crate::nack::Settings>,
    /// Where what is missing may be fetched; `None` to fetch nothing.
    pub repair: Option<Repair>,
    /// Whom to tell what became of a release; `None` for nobody.
    pub report: Option<crate::report::Settings>,
    /// What the process may open.
    pub confine: Confine,
}

impl Config {
    /// Whether programs are run.
    #[must_use]
    pub fn has_programs(&self) -> bool {
        let Hooks { before_install, after_install, after_commit, after_rollback, on_stale } = &self.hooks;
        let TrialCare { health_check, restart, .. } = &self.trial;
        let all = [before_install, after_install, after_commit, after_rollback, on_stale, health_check, restart];
        self.install != Install::File || all.into_iter().any(Option::is_some)
    }
}

/// A domain whose groups and senders are found out from DNS, see spec §15.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discover {
    /// The domain, in lower case and without the last dot.
    pub domain: String,
    /// Name servers; none for those of the system.
    pub servers: Vec<SocketAddr>,
}

/// HTTP repair, see [`crate::repair`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repair {
    /// Whom to ask, in this order.
    pub servers: Vec<Server>,
    /// How long senders must have been silent.
    pub after: Duration,
    /// Percent of the chunks that may be missing then, at most.
    pub missing_below: u8,
    /// A device draws a moment of this time for its first request.
    pub window: Duration,
    /// Octets fetched for one release, at most.
    pub max_octets: u64,
    /// Bits per second, on average.
    pub rate: u64,
    /// Time that a request may take.
    pub timeout: Duration,
    /// Certificates of who may vouch for servers that are asked by TLS.
    pub ca: PathBuf,
}

/// A folder of a web server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// It is asked by TLS.
    pub tls: bool,
    /// The part of its URL that names the server, as it is written.
    pub authority: String,
    /// The path of the folder, without a slash at its end.
    pub path: String,
    /// The server's address or name.
    pub host: String,
    /// Its TCP port.
    pub port: u16,
}

/// A group, and whom to hear there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    /// Group and port.
    pub group: SocketAddr,
    /// Addresses of the senders to hear, of the group's family; none for all.
    pub sources: Vec<IpAddr>,
    /// Layers that are sent there, 1 to 8: the group is that of the base layer, and the others have the next addresses.
    pub layers: u8,
}

impl Feed {
    /// What it is of one layer. `None` if there is no such layer, or no such address.
    pub(crate) fn layer(&self, layer: u8) -> Option<Self> {
        if layer >= self.layers {
            return None;
        }
        let ip = match self.group.ip() {
            IpAddr::V4(ip) => IpAddr::V4(ip.to_bits().checked_add(layer.into())?.into()),
            IpAddr::V6(ip) => IpAddr::V6(ip.to_bits().checked_add(layer.into())?.into()),
        };
        let mut group = self.group;
        group.set_ip(ip);
        Some(Self { group, sources: self.sources.clone(), layers: 1 })
    }

    /// What it is on one interface.
    pub(crate) fn memberships(&self, interface: &Interface) -> Vec<Membership> {
        let one = |source| Membership {
            group: self.group.ip(),
            port: self.group.port(),
            source,
            interface: interface.clone(),
        };
        if self.sources.is_empty() {
            vec![one(None)]
        } else {
            self.sources.iter().copied().map(Some).map(one).collect()
        }
    }
}

/// How the process confines itself, see [`crate::confine`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Confine {
    /// Whether.
    pub mode: ConfineMode,
    /// What may be written beside what other settings name: folders, files, devices.
    pub write: Vec<PathBuf>,
}

/// Whether the process confines itself.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum ConfineMode {
    /// As far as the kernel can.
    #[default]
    Auto,
    /// Fully, or it ends.
    Required,
    /// Not at all.
    Off,
}

/// How images become those that run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Install {
    /// Each replaces a file.
    File,
    /// Each goes into the slot that does not run, and the boot loader tries it.
    Slots {
        /// The boot adapter.
        adapter: Program,
        /// Starts of a new release until the boot loader gives it up.
        attempts: u8,
    },
    /// A program gets them.
    Exec {
        /// The program.
        program: Program,
        /// Releases must be committed.
        has_trial: bool,
    },
}

impl Install {
    /// The backend that does it, for these targets.
    #[must_use]
    pub fn backend<D: Disk + 'static>(&self, disk: &D, targets: &[TargetPlace]) -> Box<dyn Backend<D>> {
        let disk = disk.clone();
        match self {
            Self::File => Box::new(FileBackend::new(disk)),
            Self::Slots { adapter, attempts } => {
                let pair = |target: &TargetPlace| Some(Pair { a: target.path.clone(), b: target.slot_b.clone()? });
                let pairs = targets.iter().filter_map(pair).collect();
                Box::new(AbBackend::new(disk, Adapter(adapter.clone()), pairs, *attempts))
            }
            Self::Exec { program, has_trial } => {
                let names = targets.iter().map(|target| (target.path.clone(), target.name.to_string())).collect();
                Box::new(ExecBackend::new(disk, program.clone(), names, *has_trial))
            }
        }
    }
}

/// What is done about a release on trial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialCare {
    /// Commits the release once it succeeds; without one, somebody else commits it.
    pub health_check: Option<Program>,
    /// Time between two health checks.
    pub interval: Duration,
    /// Time from the start until a release that no check has succeeded for is given up.
    pub deadline: Duration,
    /// Restarts the device: after an install, and after a release that runs was given up.
    pub restart: Option<Program>,
}

/// Programs that are told what happens; the first may object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hooks {
    /// Whether a complete release may be installed now.
    pub before_install: Option<Program>,
    /// A release is installed.
    pub after_install: Option<Program>,
    /// A release is committed.
    pub after_commit: Option<Program>,
    /// A release is given up.
    pub after_rollback: Option<Program>,
    /// The device does not know any longer what is current.
    pub on_stale: Option<Program>,
}

/// What is done about [freshness](fleetcast_core::freshness::Freshness).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freshness {
    /// The clock of the system is right, and beacons expire by it.
    pub trust_clock: bool,
    /// Releases are installed also while the newest beacon has expired.
    pub install_when_stale: bool,
}

/// An install target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetPlace {
    /// The name manifests know it by.
    pub name: Token,
    /// The file that is replaced, or slot a.
    pub path: PathBuf,
    /// Slot b, if there are slots.
    pub slot_b: Option<PathBuf>,
    /// Octets of the largest image it takes.
    pub max_size: u64,
}

impl TargetPlace {
    /// The files or devices that images of it go to.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(&*self.path).chain(self.slot_b.as_deref())
    }
}

/// What is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct ConfigError {
    /// `FILE:LINE: KEY`, or the flag.
    pub place: String,
    /// What is wrong there.
    pub problem: String,
    /// What to do about it, if more is known than the problem says.
    pub hint: Option<String>,
}

impl From<Unread> for ConfigError {
    fn from(Unread { place, problem }: Unread) -> Self {
        Self { place, problem, hint: None }
    }
}

impl From<ConfigError> for CommandError {
    fn from(error: ConfigError) -> Self {
        let hint = error.hint.clone();
        Self::new(ErrorKind::Config, error).hint_if(hint)
    }
}
