//! From flags and file to a checked [`Config`].

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use fleetcast_cli::settings::{self, Lines};
use fleetcast_cli::{identity, quantity};
use fleetcast_core::manifest::{Token, Uuid};
use fleetcast_install::record::check_target;
use toml::Spanned;

use super::file::{self, File, OneOrMore};
use super::{
    Config, ConfigError, Confine, Freshness, TargetPlace, discover, feeds, install, metrics, nack, repair, report,
    trust,
};
use crate::device::OWN_FILES;
use crate::discovery::REMEMBERED;
use crate::ledger::HISTORY;
use crate::report::REPORTED;

/// Smallest and largest `max-packet`: a header with the smallest chunk, and what fits a jumbo frame with the largest.
const MAX_PACKET: std::ops::RangeInclusive<u16> = 84..=8972;
const DEFAULT_MAX_PACKET: u16 = 1500;
/// Packets that may wait: below, one cell's loss of its page costs chunks; above, nothing is gained.
const STAGING: std::ops::RangeInclusive<u16> = 256..=1024;
const DEFAULT_STAGING: u16 = 1024;
/// Old images that are named; each is open once for each component of a release.
const MAX_SEEDS: usize = 8;
const DEFAULT_RECEIVE_BUFFER: u64 = 4 << 20;
const DEFAULT_PROGRESS: Duration = Duration::from_secs(1);

/// Every setting as a flag, and the file for those that are not given.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Settings (each overrides the key of the file)")]
pub struct Settings {
    /// Settings file; see examples/recv.toml
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Trust root that the device is made with, which says who signs what; or else --trust
    #[arg(long, value_name = "FILE", conflicts_with_all = ["trust", "threshold"])]
    root: Option<String>,

    /// Public key that releases must be signed with (PEM); repeat for several
    #[arg(long, value_name = "FILE")]
    trust: Vec<String>,

    /// How many of the trusted keys must have signed [default: 1]
    #[arg(long, value_name = "N")]
    threshold: Option<u8>,

    /// When the device or its software was made: it is later than that, whatever its clock says
    #[arg(long, value_name = "TIME")]
    built: Option<String>,

    /// The device's vendor: domain name or UUID
    #[arg(long, value_name = "NAME")]
    vendor: Option<String>,

    /// Device class: name or UUID; repeat for several
    #[arg(long, value_name = "NAME")]
    class: Vec<String>,

    /// The device's hardware revision, for releases that ask for one
    #[arg(long, value_name = "N")]
    hardware: Option<u64>,

    /// Network interface to join on: name or address; repeat for several
    #[arg(long, value_name = "NAME")]
    interface: Vec<String>,

    /// Multicast group and port, such as 239.255.70.67:4701; repeat for several
    #[arg(long, value_name = "ADDR:PORT")]
    group: Vec<String>,

    /// Domain to ask DNS for groups and senders, with or without --group
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<String>,

    /// Name server to ask, ADDR or ADDR:PORT; repeat for several [default: those of the system]
    #[arg(long, value_name = "ADDR")]
    dns: Vec<String>,

    /// Hear this sender only (source-specific multicast); repeat for several
    #[arg(long, value_name = "ADDR")]
    source: Vec<String>,

    /// Join up to N layers, 1 to 8, as the link carries them: the groups are those of the base layer, and the others have the
    /// next addresses [default: 1, and what DNS says of a domain]
    #[arg(long, value_name = "N")]
    layers: Option<u8>,

    /// The file that images for target NAME replace; repeat for several
    #[arg(long, value_name = "NAME=PATH")]
    target: Vec<String>,

    /// Largest image that target NAME takes [default: no limit]
    #[arg(long, value_name = "NAME=SIZE")]
    max_size: Vec<String>,

    /// Folder for what must survive a restart
    #[arg(long, value_name = "FOLDER")]
    state: Option<String>,

    /// Image or device to look for chunks of new images in, beside what is installed; repeat for several
    #[arg(long, value_name = "PATH")]
    seed: Vec<String>,

    /// Folder in memory where the daemon tells how it is doing, for `status`
    #[arg(long, value_name = "FOLDER")]
    runtime: Option<String>,

    /// Write a page for browsers to this file, whose name must end in .html, every other second
    #[arg(long, value_name = "FILE")]
    page: Option<String>,

    /// Write metrics for Prometheus to this file, whose name must end in .prom
    #[arg(long, value_name = "FILE")]
    metrics: Option<String>,

    /// Answer GET /metrics at this address of the device [default: nowhere]
    #[arg(long, value_name = "ADDR:PORT")]
    metrics_listen: Option<String>,

    /// Receive buffer to ask of the kernel [default: 4M]
    #[arg(long, value_name = "SIZE")]
    receive_buffer: Option<String>,

    /// Octets of the largest datagram [default: 1500]
    #[arg(long, value_name = "OCTETS")]
    max_packet: Option<u16>,

    /// Packets that may wait for a page: 256 to 1024 [default: 1024]
    #[arg(long, value_name = "PACKETS")]
    staging: Option<u16>,

    /// Time between two progress reports [default: 1s]
    #[arg(long, value_name = "TIME")]
    progress_interval: Option<String>,
}

/// Where a value stands, to be told when it is wrong.
#[derive(Clone, Debug)]
pub(super) struct Place(pub(super) String);

impl Place {
    pub(super) fn wrong(&self, problem: impl std::fmt::Display) -> ConfigError {
        ConfigError { place: self.0.clone(), problem: format!("{problem}"), hint: None }
    }
}

/// A file that was read, or none.
#[derive(Debug, Default)]
pub(super) struct Source {
    path: PathBuf,
    lines: Lines,
}

impl Source {
    /// A path that a value names: one of a file is looked for beside that file.
    pub(super) fn beside(&self, text: &str, at: &Place) -> PathBuf {
        let folder = if at.0.starts_with("--") { None } else { self.path.parent() };
        folder.map_or_else(|| text.into(), |folder| folder.join(text))
    }

    pub(super) fn place<T>(&self, key: &str, value: &Spanned<T>) -> Place {
        Place(format!("{}:{}: {key}", self.path.display(), self.lines.line(value.span().start)))
    }

    /// The flag's value if it is given, else the file's, with its place.
    pub(super) fn pick<T>(&self, key: &str, flag: Option<T>, file: Option<Spanned<T>>) -> Option<(T, Place)> {
        match (flag, file) {
            (Some(value), _) => Some((value, Place(format!("--{key}")))),
            (None, Some(value)) => Some((self.place(key, &value), value)).map(|(place, v)| (v.into_inner(), place)),
            (None, None) => None,
        }
    }

    /// As [`Source::pick`], for a key that must be set; `flag` is the flag's name.
    pub(super) fn need<T>(
        &self,
        key: &str,
        flag: &str,
        given: Option<T>,
        file: Option<Spanned<T>>,
    ) -> Result<(T, Place), ConfigError> {
        let missing = || {
            let (place, also) = if self.path.as_os_str().is_empty() {
                (format!("--{flag}"), ", or name a settings file by --config")
            } else {
                (self.path.display().to_string(), "")
            };
            ConfigError { place, problem: format!("{key} is not set; give --{flag}{also}"), hint: None }
        };
        self.pick(if given.is_some() { flag } else { key }, given, file).ok_or_else(missing)
    }
}

impl Settings {
    /// The settings of a file, without any flag.
    #[must_use]
    pub fn of_file(path: PathBuf) -> Self {
        Self { config: Some(path), ..Self::default() }
    }

    /// Reads the file, if one is named, and checks everything that can be checked without a network: key files are opened
    /// and their warnings told on stderr.
    ///
    /// # Errors
    ///
    /// The first [`ConfigError`].
    pub fn load(self) -> Result<Config, ConfigError> {
        let (source, file) = read(self.config)?;
        let flags = trust::Given { root: self.root, trust: some(self.trust), threshold: self.threshold };
        let trust = trust::trust(&source, flags, (file.root, file.trust, file.threshold))?;
        let (vendor, at) = source.need("vendor", "vendor", self.vendor, file.vendor)?;
        let vendor = identity::vendor(&vendor).map_err(|e| at.wrong(e))?;
        if trust.root().is_some_and(|root| root.vendor != vendor) {
            return Err(at.wrong("the root is for devices of another vendor (vendor)"));
        }
        let (classes, at) = source.need("classes", "class", some(self.class), file.classes)?;
        let classes = classes.iter().map(|class| identity::class(vendor, class)).collect::<Result<Vec<Uuid>, _>>();
        let classes = classes.map_err(|e| at.wrong(e))?;
        if classes.is_empty() {
            return Err(at.wrong("the list is empty; name at least one class"));
        }
        let interface = file.interface.map(one_or_more);
        let interfaces = feeds::interfaces(source.need("interface", "interface", some(self.interface), interface)?)?;
        let only = source.pick("source", some(self.source), file.source.map(one_or_more));
        let servers = source.pick("dns", some(self.dns), file.dns.map(one_or_more));
        let discover = discover::discover(source.pick("domain", self.domain, file.domain), servers)?;
        let is_discovered = discover.is_some() && only.is_none() && self.group.is_empty() && file.groups.is_none();
        let mut feeds = if is_discovered {
            vec![]
        } else {
            feeds::feeds(source.need("groups", "group", some(self.group), file.groups)?, only)?
        };
        let (state, at) = source.need("state", "state", self.state, file.state)?;
        let state = place_of(&state, &at)?;
        let targets = match some(self.target) {
            Some(flags) => target_flags(&flags)?,
            None => target_tables(&source, file.target)?,
        };
        let targets = limit_targets(targets, &self.max_size)?;
        check_targets(&source, &targets, &state)?;
        let buffer = source.pick("receive-buffer", self.receive_buffer, file.receive_buffer);
        let progress = source.pick("progress-interval", self.progress_interval, file.progress_interval);
        let max_packet = source.pick("max-packet", self.max_packet, file.max_packet);
        let staging = source.pick("staging", self.staging, file.staging);
        let runtime = source.pick("runtime", self.runtime, file.runtime);
        let page = source.pick("page", self.page, file.page);
        Ok(Config {
            trust,
            built: built(source.pick("built", self.built, file.built.map(moment)))?,
            freshness: Freshness {
                trust_clock: file.freshness.trust_clock,
                install_when_stale: file.freshness.install_when_stale,
            },
            vendor,
            classes,
            hardware: source.pick("hardware", self.hardware, file.hardware).map(|(revision, _)| revision),
            wave: wave(&source, file.wave)?,
            ignore_waves: file.ignore_waves,
            interfaces,
            layers: feeds::layers(source.pick("layers", self.layers, file.layers), &mut feeds)?,
            feeds,
            discover,
            install: install::install(&source, &targets, file.boot, file.exec)?,
            trial: install::trial(&source, file.trial)?,
            hooks: install::hooks(&source, file.hooks)?,
            targets: targets.into_iter().map(|(target, _)| target).collect(),
            state,
            seeds: seeds(source.pick(
                if self.seed.is_empty() { "seeds" } else { "seed" },
                some(self.seed),
                file.seeds,
            ))?,
            runtime: runtime.map(|(text, at)| place_of(&text, &at)).transpose()?,
            receive_buffer: receive_buffer(buffer)?,
            max_packet: within(max_packet, DEFAULT_MAX_PACKET, &MAX_PACKET)?,
            staging: within(staging, DEFAULT_STAGING, &STAGING)?,
            progress: progress_interval(progress)?,
            metrics: metrics::metrics(&source, self.metrics, self.metrics_listen, file.metrics)?,
            page: page.map(|(text, at)| page_of(&text, &at)).transpose()?,
            nack: file.nack.map(|table| nack::nack(&source, &table)).transpose()?,
            repair: repair::repair(&source, file.repair)?,
            report: report::report(&source, file.report)?,
            confine: confine(&source, &file.confine)?,
        })
    }
}

/// The state folder and the runtime folder alone, for commands that only look: those given, else those of the file.
///
/// # Errors
///
/// [`ConfigError`] if there is no state folder, or the file is wrong.
pub fn folders(
    state: Option<String>,
    runtime: Option<String>,
    config: Option<PathBuf>,
) -> Result<(PathBuf, Option<PathBuf>), ConfigError> {
    let (source, file) = read(config)?;
    let (state, at) = source.need("state", "state", state, file.state)?;
    let runtime = source.pick("runtime", runtime, file.runtime);
    Ok((place_of(&state, &at)?, runtime.map(|(text, at)| place_of(&text, &at)).transpose()?))
}

pub(super) fn read(config: Option<PathBuf>) -> Result<(Source, File), ConfigError> {
    let Some(path) = config else { return Ok((Source::default(), File::default())) };
    let (file, lines) = settings::read(&path)?;
    Ok((Source { path, lines }, file))
}

/// A list flag that was given at all.
pub(super) fn some(list: Vec<String>) -> Option<Vec<String>> {
    if list.is_empty() { None } else { Some(list) }
}

pub(super) fn one_or_more(list: Spanned<OneOrMore>) -> Spanned<Vec<String>> {
    Spanned::new(list.span(), list.into_inner().0)
}

fn moment(text: Spanned<file::Moment>) -> Spanned<String> {
    Spanned::new(text.span(), text.into_inner().0)
}

fn built(given: Option<(String, Place)>) -> Result<u64, ConfigError> {
    given.map_or(Ok(0), |(text, at)| quantity::time(&text).map_err(|e| at.wrong(e)))
}

fn seeds(given: Option<(Vec<String>, Place)>) -> Result<Vec<PathBuf>, ConfigError> {
    let Some((texts, at)) = given else { return Ok(Vec::new()) };
    if texts.len() > MAX_SEEDS {
        return Err(at.wrong(format_args!("{} are named, where {MAX_SEEDS} are possible", texts.len())));
    }
    let paths = texts.iter().map(|path| place_of(path, &at)).collect::<Result<Vec<_>, _>>()?;
    match paths.iter().enumerate().find(|(nth, path)| paths[..*nth].contains(path)) {
        Some((_, twice)) => Err(at.wrong(format_args!("{} is named twice", twice.display()))),
        None => Ok(paths),
    }
}

fn wave(source: &Source, given: Option<Spanned<u16>>) -> Result<Option<u16>, ConfigError> {
    match given {
        Some(number) if *number.get_ref() > 999 => Err(source.place("wave", &number).wrong("0 to 999 are possible")),
        number => Ok(number.map(Spanned::into_inner)),
    }
}

/// A path for flags as for files; flags may give it relative to the working folder.
pub(super) fn place_of(text: &str, at: &Place) -> Result<PathBuf, ConfigError> {
    let path = Path::new(text);
    let path = if at.0.starts_with("--") { std::path::absolute(path).map_err(|e| at.wrong(e))? } else { path.into() };
    check_target(&path).map(|()| path.clone()).map_err(|_| {
        at.wrong(format_args!("{text:?} must be an absolute path, without `..` and of at most 1,024 octets"))
    })
}

/// The file of a page: browsers show files by their ending.
fn page_of(text: &str, at: &Place) -> Result<PathBuf, ConfigError> {
    match place_of(text, at)? {
        path if path.extension().is_some_and(|end| end == "html") => Ok(path),
        _ => Err(at.wrong(format_args!("{text:?} must end in .html"))),
    }
}

fn target(name: &str, path: &str, max_size: u64, at: &Place) -> Result<TargetPlace, ConfigError> {
    let token = Token::new(name).ok_or_else(|| {
        at.wrong(format_args!(
            "{name:?} is no target name: 1 to 32 letters, digits or `._+~-`, a letter or digit first"
        ))
    })?;
    Ok(TargetPlace { name: token, path: place_of(path, at)?, slot_b: None, max_size })
}

fn target_flags(flags: &[String]) -> Result<Vec<(TargetPlace, Place)>, ConfigError> {
    let at = Place("--target".into());
    let parse = |flag: &String| {
        let form = || at.wrong(format_args!("{flag:?} is not NAME=PATH"));
        let (name, path) = flag.split_once('=').ok_or_else(form)?;
        Ok((target(name, path, u64::MAX, &at)?, at.clone()))
    };
    flags.iter().map(parse).collect()
}

fn target_tables(source: &Source, tables: Vec<file::Target>) -> Result<Vec<(TargetPlace, Place)>, ConfigError> {
    let parse = |table: file::Target| {
        let max_size = table
            .max_size
            .as_ref()
            .map(|text| quantity::size(text.get_ref()).map_err(|e| source.place("max-size", text).wrong(e)));
        let name_at = source.place("name", &table.name);
        // The name's place first: a table is known by its name.
        target(table.name.get_ref(), "/x", 0, &name_at)?;
        let max_size = max_size.transpose()?.unwrap_or(u64::MAX);
        let target = |path: &str, at: &Place| target(table.name.get_ref(), path, max_size, at);
        let place = match (&table.path, &table.slots) {
            (Some(path), None) => target(path.get_ref(), &source.place("path", path))?,
            (None, Some(slots)) => {
                let ([a, b], at) = (slots.get_ref(), source.place("slots", slots));
                TargetPlace { slot_b: Some(place_of(b, &at)?), ..target(a, &at)? }
            }
            _ => return Err(name_at.wrong("give it either a `path` or two `slots`")),
        };
        Ok((place, name_at))
    };
    tables.into_iter().map(parse).collect()
}

/// Puts the `--max-size` flags in.
fn limit_targets(
    mut targets: Vec<(TargetPlace, Place)>,
    flags: &[String],
) -> Result<Vec<(TargetPlace, Place)>, ConfigError> {
    let at = Place("--max-size".into());
    for flag in flags {
        let form = || at.wrong(format_args!("{flag:?} is not NAME=SIZE"));
        let (name, size) = flag.split_once('=').ok_or_else(form)?;
        let target = targets.iter_mut().find(|(target, _)| target.name.as_str() == name);
        let (target, _) = target.ok_or_else(|| at.wrong(format_args!("there is no target {name:?}")))?;
        target.max_size = quantity::size(size).map_err(|e| at.wrong(e))?;
    }
    Ok(targets)
}

fn check_targets(source: &Source, targets: &[(TargetPlace, Place)], state: &Path) -> Result<(), ConfigError> {
    if targets.is_empty() {
        return source.need::<()>("target", "target", None, None).map(drop);
    }
    for (nth, (target, at)) in targets.iter().enumerate() {
        let TargetPlace { name, path, slot_b, .. } = target;
        if slot_b.as_ref() == Some(path) {
            return Err(at.wrong(format_args!("target {name}: both slots are {}", path.display())));
        }
        for (other, _) in targets.iter().take(nth) {
            let mut paths = other.paths();
            let same = match (other.name == *name, paths.any(|theirs| target.paths().any(|ours| ours == theirs))) {
                (true, _) => "name",
                (_, true) => "path",
                _ => continue,
            };
            return Err(at.wrong(format_args!("targets {} and {name} have the same {same}", other.name)));
        }
        if let Some(path) = target.paths().find(|path| state.starts_with(path) || is_own(state, path)) {
            return Err(at.wrong(format_args!("target {name}: {} is the receiver's own, see `state`", path.display())));
        }
    }
    Ok(())
}

/// Whether a path is that of a file that the receiver itself keeps in its state folder, or something in it.
fn is_own(state: &Path, path: &Path) -> bool {
    let name = path.strip_prefix(state).ok().and_then(|inside| inside.iter().next()?.to_str());
    name.is_some_and(|name| {
        OWN_FILES.contains(&name) || [HISTORY, REMEMBERED, REPORTED].contains(&name) || name.starts_with("scratch.")
    })
}

fn confine(source: &Source, table: &file::Confine) -> Result<Confine, ConfigError> {
    let path = |text: &Spanned<String>| place_of(text.get_ref(), &source.place("write", text));
    Ok(Confine { mode: table.mode, write: table.write.iter().map(path).collect::<Result<_, _>>()? })
}

pub(super) fn receive_buffer(given: Option<(String, Place)>) -> Result<usize, ConfigError> {
    let Some((text, at)) = given else { return Ok(usize::try_from(DEFAULT_RECEIVE_BUFFER).unwrap_or(usize::MAX)) };
    let octets = quantity::size(&text).map_err(|e| at.wrong(e))?;
    let most = u64::from(i32::MAX.unsigned_abs() / 2);
    let fits = usize::try_from(octets).ok().filter(|_| (1..=most).contains(&octets));
    fits.ok_or_else(|| at.wrong(format_args!("{octets} octets, where 1 to {most} are possible")))
}

fn progress_interval(given: Option<(String, Place)>) -> Result<Duration, ConfigError> {
    let Some((text, at)) = given else { return Ok(DEFAULT_PROGRESS) };
    let interval = quantity::duration(&text).map_err(|e| at.wrong(e))?;
    let least = Duration::from_millis(10);
    if interval < least { Err(at.wrong("shorter than 10ms")) } else { Ok(interval) }
}

fn within(
    given: Option<(u16, Place)>,
    default: u16,
    range: &std::ops::RangeInclusive<u16>,
) -> Result<usize, ConfigError> {
    match given {
        None => Ok(default.into()),
        Some((value, _)) if range.contains(&value) => Ok(value.into()),
        Some((value, at)) => {
            Err(at.wrong(format_args!("{value}, where {} to {} are possible", range.start(), range.end())))
        }
    }
}
