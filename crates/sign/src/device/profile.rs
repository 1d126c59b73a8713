//! A device on paper: those of its settings that matter, under the names they have in `recv.toml`, and its state.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use fleetcast_cli::keys::{KeyFileError, load_public, read_bounded};
use fleetcast_cli::{CommandError, ErrorKind, identity, quantity};
use fleetcast_core::freshness::Watch;
use fleetcast_core::manifest::Token;
use fleetcast_core::session::{Mark, Policy, Target as Place, Wave};
use fleetcast_core::time::Instant;
use fleetcast_core::trust::{MAX_STATEMENT, StatementError, Trust, TrustedKeys};
use serde::Deserialize;

use super::{Device, is_of};
use crate::time;

/// Most octets of a profile or of what `status` prints.
const MAX_FILE: u64 = 1 << 20;
/// Highest number of a device in waves.
const MAX_WAVE: u16 = 999;

/// What is wrong with a profile.
#[derive(Debug, thiserror::Error)]
#[error("profile {}: {problem}", path.display())]
pub struct ProfileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong there.
    pub problem: String,
}

impl From<ProfileError> for CommandError {
    fn from(error: ProfileError) -> Self {
        Self::new(ErrorKind::Config, error).hint("examples/device.toml shows all that can stand there")
    }
}

/// A profile as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Profile {
    trust: Option<Vec<PathBuf>>,
    threshold: Option<u8>,
    root: Option<PathBuf>,
    vendor: String,
    classes: Vec<String>,
    hardware: Option<u64>,
    wave: Option<u16>,
    #[serde(default)]
    ignore_waves: bool,
    max_packet: Option<u16>,
    built: Option<Moment>,
    #[serde(default)]
    freshness: Freshness,
    #[serde(default)]
    target: Vec<Target>,
    #[serde(default)]
    device: State,
}

/// A time, or the number of its second.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Moment {
    Seconds(u64),
    Text(String),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Freshness {
    // Of the time there is but one here, and it is known.
    #[serde(rename = "trust-clock")]
    _trust_clock: bool,
    install_when_stale: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Target {
    name: String,
    max_size: Option<String>,
    // Where images go is for the device to know.
    #[serde(rename = "path")]
    _path: Option<String>,
    #[serde(rename = "slots")]
    _slots: Option<[String; 2]>,
}

/// What a device has, and knows.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct State {
    /// What `fleetcast-recv status --json` has printed; all below it can be written by hand.
    status: Option<PathBuf>,
    installed: Option<Known>,
    trial: Option<Known>,
    failed: Option<Known>,
    seen: Option<u64>,
    floors_void: Option<bool>,
    /// Roots that it has taken after the one it was made with.
    roots: Vec<PathBuf>,
    /// The newest beacon that it has heard.
    beacon: Option<PathBuf>,
    time: Option<Moment>,
}

/// A release that a device knows.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Known {
    sequence: u64,
    #[serde(default)]
    security_version: u32,
    /// SHA-256 of its manifest.
    manifest: String,
}

/// The part of what `status` prints that matters here. It may have more.
#[derive(Debug, Deserialize)]
struct Status {
    v: u8,
    installed: Option<StatusKnown>,
    trial: Option<StatusKnown>,
    failed: Option<StatusKnown>,
    seen: Option<u64>,
    #[serde(default)]
    are_floors_void: bool,
}

#[derive(Debug, Deserialize)]
struct StatusKnown {
    sequence: u64,
    security_version: u32,
    manifest: String,
}

impl From<StatusKnown> for Known {
    fn from(known: StatusKnown) -> Self {
        let StatusKnown { sequence, security_version, manifest } = known;
        Self { sequence, security_version, manifest }
    }
}

impl Profile {
    /// Reads a profile; `at` is the time to ask for, if it is not that of the profile, or else now.
    ///
    /// # Errors
    ///
    /// [`ProfileError`].
    pub fn load(path: &Path, at: Option<u64>) -> Result<Device, ProfileError> {
        let device = || {
            let mut text = String::new();
            let read = File::open(path).and_then(|file| file.take(MAX_FILE).read_to_string(&mut text));
            read.map_err(|error| format!("cannot read it: {error}"))?;
            let profile: Self = toml::from_str(&text).map_err(|error| error.to_string().trim_end().to_owned())?;
            profile.device(&Folder(path.parent().unwrap_or(Path::new("")).into()), at)
        };
        device().map_err(|problem| ProfileError { path: path.into(), problem })
    }

    fn device(self, folder: &Folder, at: Option<u64>) -> Result<Device, String> {
        let vendor = identity::vendor(&self.vendor)?;
        let classes = self.classes.iter().map(|class| identity::class(vendor, class)).collect::<Result<_, _>>()?;
        if self.wave.is_some_and(|wave| wave > MAX_WAVE) {
            return Err(format!("wave is 0 to {MAX_WAVE}"));
        }
        let mut trust = self.trust(folder)?;
        for path in &self.device.roots {
            let refused = |error| refused(path, error);
            trust.step(&folder.statement(path)?).map_err(refused)?;
        }
        if !is_of(&trust, vendor) {
            return Err("the root is another vendor's".into());
        }
        let built = self.built.as_ref().map_or(Ok(0), Moment::seconds)?;
        let start = Instant::default();
        let mut watch = Watch::new(start, built, &trust);
        if let Some(path) = &self.device.beacon {
            let beacon = fleetcast_core::trust::verify(&folder.statement(path)?, &trust);
            let _first = watch.hear(start, beacon.map_err(|error| refused(path, error))?);
        }
        let time =
            at.map_or_else(|| self.device.time.as_ref().map_or(Ok(fleetcast_cli::clock::unix()), Moment::seconds), Ok)?;
        let targets = self.target.iter().map(Target::place).collect::<Result<_, _>>()?;
        let state = self.device.state(folder)?;
        let mark = |known: &Option<Known>| known.as_ref().map(Known::mark).transpose();
        let installed = state.installed.as_ref().map(|known| Ok::<_, String>((known.mark()?, known.security_version)));
        Ok(Device {
            policy: Policy {
                vendor,
                classes,
                targets,
                installed: installed.transpose()?,
                has_floors: !state.floors_void.unwrap_or_default(),
                seen: None,
                trial: mark(&state.trial)?,
                failed: mark(&state.failed)?,
                hardware: self.hardware,
                wave: Wave::Fixed(self.wave.unwrap_or_default()),
                max_packet: self.max_packet.unwrap_or(1500).into(),
                built,
            },
            trust,
            watch,
            has_wave: self.wave.is_some(),
            ignore_waves: self.ignore_waves,
            install_when_stale: self.freshness.install_when_stale,
            seen: state.seen,
            time,
        })
    }

    fn trust(&self, folder: &Folder) -> Result<Trust, String> {
        match (&self.root, &self.trust) {
            (Some(_), Some(_)) => Err("root and trust are both there; a device has one of them".into()),
            (None, None) => Err("neither root nor trust is there".into()),
            (Some(_), None) if self.threshold.is_some() => {
                Err("a root says itself how many must have signed; threshold is for trust only".into())
            }
            (Some(path), None) => Trust::from_root(&folder.statement(path)?).map_err(|error| refused(path, error)),
            (None, Some(paths)) => {
                let load = |path: &PathBuf| load_public(&folder.0.join(path)).map(fleetcast_cli::keys::Loaded::tell);
                let wrong = |error: KeyFileError| format!("{error}: {}", error.reason);
                let keys = paths.iter().map(load).collect::<Result<_, _>>().map_err(wrong)?;
                let keys = TrustedKeys::new(keys, self.threshold.unwrap_or(1)).map_err(|error| error.to_string())?;
                Ok(keys.into())
            }
        }
    }
}

impl Target {
    fn place(&self) -> Result<Place, String> {
        let name = Token::new(&self.name).ok_or_else(|| format!("target {:?} is no name", self.name))?;
        let max_size = self.max_size.as_deref().map_or(Ok(u64::MAX), quantity::size)?;
        Ok(Place { name, max_size })
    }
}

impl State {
    /// With what `status` has printed; what is written by hand goes before it.
    fn state(self, folder: &Folder) -> Result<Self, String> {
        let Some(path) = &self.status else { return Ok(self) };
        let wrong = |problem: String| format!("status {}: {problem}", path.display());
        let status: Status = serde_json::from_slice(&folder.read(path, MAX_FILE)?)
            .map_err(|error| wrong(format!("not what `fleetcast-recv status --json` prints: {error}")))?;
        if status.v != 1 {
            return Err(wrong(format!("version {}; only 1 is known", status.v)));
        }
        Ok(Self {
            installed: self.installed.or(status.installed.map(Known::from)),
            trial: self.trial.or(status.trial.map(Known::from)),
            failed: self.failed.or(status.failed.map(Known::from)),
            seen: self.seen.or(status.seen),
            floors_void: self.floors_void.or(Some(status.are_floors_void)),
            ..self
        })
    }
}

impl Known {
    fn mark(&self) -> Result<Mark, String> {
        let wrong = || format!("manifest {:?} is no SHA-256: write its 64 hexadecimal digits", self.manifest);
        let (pairs, []) = self.manifest.as_bytes().as_chunks::<2>() else { return Err(wrong()) };
        let octet = |pair: &[u8; 2]| {
            let text = str::from_utf8(pair).ok().filter(|_| pair.iter().all(u8::is_ascii_hexdigit))?;
            u8::from_str_radix(text, 16).ok()
        };
        let octets: Option<Vec<u8>> = pairs.iter().map(octet).collect();
        let digest = octets.and_then(|octets| octets.try_into().ok()).ok_or_else(wrong)?;
        Ok(Mark { sequence: self.sequence, digest })
    }
}

impl Moment {
    fn seconds(&self) -> Result<u64, String> {
        match self {
            Self::Seconds(seconds) => time::parse(&seconds.to_string()),
            Self::Text(text) => time::parse(text),
        }
    }
}

fn refused(path: &Path, error: StatementError) -> String {
    format!("{} is refused ({}): {error}", path.display(), error.code())
}

/// Where the profile is: other files are looked for beside it.
struct Folder(PathBuf);

impl Folder {
    fn statement(&self, path: &Path) -> Result<Vec<u8>, String> {
        self.read(path, MAX_STATEMENT as u64)
    }

    fn read(&self, path: &Path, most: u64) -> Result<Vec<u8>, String> {
        let read = File::open(self.0.join(path)).and_then(|file| read_bounded(file, most));
        match read {
            Ok(Some(octets)) => Ok(octets.to_vec()),
            Ok(None) => Err(format!("{} has more than {most} octets", path.display())),
            Err(error) => Err(format!("cannot read {}: {error}", path.display())),
        }
    }
}
