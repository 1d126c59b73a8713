//! Settings: one TOML file, or flags, or both; parsed once into checked types.
//!
//! A flag overrides the key of the file. What is wrong is told with the file, line and key, or with the flag.

mod file;
mod settings;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use fleetcast_cli::{CommandError, ErrorKind};
use fleetcast_core::manifest::{Token, Uuid};
use fleetcast_core::trust::TrustedKeys;
use serde::Deserialize;

pub use settings::{Settings, state_folder};

/// What a receiver must know. All values are checked, as far as that needs no network.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whose releases count.
    pub trust: TrustedKeys,
    /// The device's vendor.
    pub vendor: Uuid,
    /// The classes it belongs to.
    pub classes: Vec<Uuid>,
    /// Name or address of the interface to join on.
    pub interface: String,
    /// Groups and ports.
    pub groups: Vec<SocketAddr>,
    /// The only sender to hear (SSM); `None` hears all.
    pub source: Option<IpAddr>,
    /// Where images go.
    pub targets: Vec<TargetPlace>,
    /// The state folder.
    pub state: PathBuf,
    /// Octets of receive buffer to ask of the kernel.
    pub receive_buffer: usize,
    /// Octets of the largest datagram.
    pub max_packet: usize,
    /// Packets that may wait for a manifest or page.
    pub staging: usize,
    /// Time between two progress reports.
    pub progress: Duration,
    /// What the process may open.
    pub confine: Confine,
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

/// An install target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetPlace {
    /// The name manifests know it by.
    pub name: Token,
    /// The file that is replaced.
    pub path: PathBuf,
    /// Octets of the largest image it takes.
    pub max_size: u64,
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

impl From<ConfigError> for CommandError {
    fn from(error: ConfigError) -> Self {
        let hint = error.hint.clone();
        Self::new(ErrorKind::Config, error).hint_if(hint)
    }
}
