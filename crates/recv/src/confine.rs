//! Least privilege: from its start on the process can open only what it needs (Landlock, see landlock(7)).
//!
//! | | without programs | with programs |
//! | --- | --- | --- |
//! | write, create, remove | [`Rules::write`] | the same and `/dev/null` |
//! | read | [`Rules::write`], [`Rules::read`] | everything |
//! | execute | nothing | everything |
//! | TCP: listen (Linux 6.7) | nothing but what the settings name for metrics, from the start on | everything |
//! | TCP: connect (6.7) | to ports of [`Rules::connect`], whatever the address | everything |
//! | ioctl on devices (6.10) | devices of [`Rules::write`] | [`Rules::write`] |
//! | signals and abstract Unix sockets of others (6.12) | nothing | everything |
//!
//! Programs inherit it, and none can get more by being set-user-ID (`no_new_privs`).
//!
//! It holds for the calling thread and those it starts. So it comes before any other thread: the daemon has one, until
//! [`crate::progress::Reporter`] tells its first event as JSON.
//!
//! Not covered: what is open already (output, sockets of the service manager and the journal); UDP; Unix sockets with a path, by
//! which another process may be asked to do what this one cannot; looking at files (stat), and their modes, owners and times; the
//! record, which names the files an interrupted install replaces at the next start. A folder is what its path was at the
//! start: what is mounted on it, or is put in its place later, is not allowed.

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use fleetcast_install::disk::Kind;
use fleetcast_install::{Disk as _, Fault, Loaded, RealFs, durable, load};
use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, NetPort, PathBeneath, PathFd, PathFdError, Ruleset,
    RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope, make_bitflags,
};

use crate::config::{Config, ConfineMode, TargetPlace};
use crate::discovery::SERVERS;
use crate::events::Event;

/// What [`Level::Full`] has all of: Linux 6.12. Fixed, so that a newer kernel denies nothing that was not tried out.
const FULL: ABI = ABI::V6;

/// Without programs in a folder that may be written.
const FOLDER: BitFlags<AccessFs> = make_bitflags!(AccessFs::{
    ReadFile | ReadDir | WriteFile | Truncate | MakeReg | MakeDir | RemoveFile | RemoveDir
});
/// What programs may need there too; device nodes may be used, but never made.
const FOLDER_OF_PROGRAMS: BitFlags<AccessFs> =
    make_bitflags!(AccessFs::{ IoctlDev | MakeSym | MakeFifo | MakeSock | Refer });
/// On a file or device that may be written.
const FILE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ ReadFile | WriteFile | Truncate | IoctlDev });

/// What the C libraries read to look names up. What is not there is done without.
const RESOLVER: [&str; 5] = ["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf"];
/// The port of name servers, where an answer is too long for UDP.
const DNS: u16 = 53;

/// What may be opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Folders with all in them, files and devices that may be read and written. A file that is yet to be made needs its
    /// folder here.
    pub write: Vec<PathBuf>,
    /// Folders with all in them, and files that may be read.
    pub read: Vec<PathBuf>,
    /// TCP ports of others that may be connected to.
    pub connect: Vec<u16>,
    /// Programs are started: everything may be read and executed, see the table above.
    pub programs: bool,
}

/// How much of it the kernel enforces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Not asked for.
    Off,
    /// Nothing.
    None,
    /// What files may be opened, but not all of the table above.
    Partial,
    /// All.
    Full,
}

/// What came of [`confine`].
#[derive(Debug)]
pub struct Confined {
    /// How much is enforced.
    pub level: Level,
    /// Paths that could not be opened at the start, and so cannot be used later, even if they are there by then.
    pub missing: Vec<(PathBuf, io::Error)>,
    /// What the kernel refused, if it has Landlock but nothing is enforced.
    pub refused: Option<RulesetError>,
}

/// Why the daemon does not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfineError {
    /// The state folder cannot be made.
    #[error(transparent)]
    State(#[from] Fault),
    /// The settings require more than the kernel enforces.
    #[error("[confine] mode is \"required\", but {0}")]
    Required(String),
}

impl ConfineError {
    /// Stable word for this error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::State(fault) => fault.code(),
            Self::Required(_) => "not-confined",
        }
    }
}

impl Level {
    /// The word for it in events.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::None => "none",
            Self::Partial => "partial",
            Self::Full => "full",
        }
    }
}

impl Rules {
    /// What a receiver with these settings needs. A path that a setting names is to be here, or it cannot be opened.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let paths = config.targets.iter().flat_map(TargetPlace::paths).map(place_of);
        let own = std::iter::once(config.state.clone()).chain(config.runtime.clone());
        let told = config.metrics.file.iter().chain(&config.page).map(|file| folder_of(file));
        let write = own.chain(paths).chain(told).chain(config.confine.write.iter().cloned());
        let (mut read, mut connect) = (config.seeds.clone(), Vec::new());
        if config.discover.as_ref().is_some_and(|discover| discover.servers.is_empty()) {
            read.push(SERVERS.into());
            read.extend(resolver_folder());
        }
        let repair = config.repair.iter().flat_map(|r| r.servers.iter().map(|server| (server, &r.ca)));
        let report = config.report.iter().map(|report| (&report.server, &report.ca));
        for (server, ca) in repair.chain(report) {
            connect.push(server.port);
            if server.tls {
                read.push(ca.clone());
            }
            if server.has_name() {
                connect.push(DNS);
                read.extend(RESOLVER.map(PathBuf::from).into_iter().filter(|path| path.exists()));
                read.extend(resolver_folder());
            }
        }
        read.extend(config.report.iter().filter_map(|report| report.token.clone()));
        connect.sort_unstable();
        connect.dedup();
        Self { write: write.collect(), read, connect, programs: config.has_programs() }
    }
}

/// The folder with the file that /etc/resolv.conf is a link to: who manages the network puts other files in its place. In
/// some folders there is too much else.
fn resolver_folder() -> Option<PathBuf> {
    let folder = folder_of(&Path::new("/etc/resolv.conf").canonicalize().ok()?);
    let is_own = !["/", "/etc", "/run", "/tmp", "/var"].map(Path::new).contains(&&*folder);
    is_own.then_some(folder)
}

/// What must be allowed to write at a path: a device itself, but the folder of a file, which is received beside its target
/// and renamed, or is yet to be made.
fn place_of(path: &Path) -> PathBuf {
    match RealFs.stat_slot(path) {
        Ok(Some(found)) if found.kind == Kind::Block => path.into(),
        _ if path.starts_with("/dev") => path.into(),
        _ => folder_of(path),
    }
}

impl Confined {
    /// What is not enforced and what to do about it, if anything.
    fn lack(&self) -> Option<String> {
        match (self.level, &self.refused) {
            (Level::Off | Level::Full, _) => None,
            (Level::None, Some(error)) => Some(format!(
                "the kernel refuses to confine this process ({error}): see whether a container or service manager \
                 confines it already"
            )),
            (Level::None, None) => Some(
                "the kernel does not confine this process, as its Landlock is missing or off: use Linux 5.13 or newer \
                 with CONFIG_SECURITY_LANDLOCK=y and landlock in its `lsm=` list"
                    .into(),
            ),
            (Level::Partial, _) => Some(
                "the kernel confines this process in part, as its Landlock is older than Linux 6.12: files are \
                 protected, TCP, devices or signals may not be"
                    .into(),
            ),
        }
    }

    fn tell(&self, tell: &mut dyn FnMut(Event)) {
        if let Some(lack) = self.lack() {
            let code = if self.level == Level::Partial { "partly-confined" } else { "not-confined" };
            let reason = format!("{lack}; or set [confine] mode = \"off\" to be told no more");
            tell(Event::Warning { code, reason });
        }
        for (path, error) in &self.missing {
            let reason = format!(
                "{} cannot be opened ({error}), and will be denied to this process even if it is there later: create or \
                 mount it, and start again",
                path.display()
            );
            tell(Event::Warning { code: "confine-missing", reason });
        }
    }
}

/// Confines the daemon as its settings say, and tells what is wrong with that. The state folder is made if it is missing:
/// later nobody may.
///
/// # Errors
///
/// [`ConfineError`].
pub fn start(config: &Config, tell: &mut dyn FnMut(Event)) -> Result<Level, ConfineError> {
    if config.confine.mode == ConfineMode::Off {
        return Ok(Level::Off);
    }
    durable::create_dir(&RealFs, &config.state)?;
    let mut rules = Rules::of(config);
    // An install that was interrupted is finished where it began, whatever the settings are by now. A record that cannot
    // be read is dealt with by who needs it.
    if let Ok(Loaded::Ok(record)) = load(&RealFs, &config.state) {
        let components = record.pending().into_iter().flat_map(|plan| &plan.components);
        rules.write.extend(components.map(|component| folder_of(&component.target)));
    }
    rules.write.sort();
    rules.write.dedup();
    rules.read.sort();
    rules.read.dedup();
    let confined = confine(&rules);
    match confined.lack() {
        Some(lack) if config.confine.mode == ConfineMode::Required => Err(ConfineError::Required(lack)),
        _ => {
            confined.tell(tell);
            Ok(confined.level)
        }
    }
}

/// Confines the calling thread and all that it starts, for good, as far as the kernel can.
#[must_use]
pub fn confine(rules: &Rules) -> Confined {
    let mut missing = Vec::new();
    match enforce(rules, &mut missing) {
        Ok(level) => Confined { level, missing, refused: None },
        Err(refused) => Confined { level: Level::None, missing, refused: Some(refused) },
    }
}

fn enforce(rules: &Rules, missing: &mut Vec<(PathBuf, io::Error)>) -> Result<Level, RulesetError> {
    let mut ruleset = Ruleset::default().handle_access(AccessFs::from_all(FULL))?;
    if !rules.programs {
        ruleset = ruleset.handle_access(AccessNet::from_all(FULL))?.scope(Scope::from_all(FULL))?;
    }
    let mut created = ruleset.create()?;
    if !rules.programs {
        for &port in &rules.connect {
            created = created.add_rule(NetPort::new(port, AccessNet::ConnectTcp))?;
        }
    }
    let (mut folder, mut write, mut read) = (FOLDER, rules.write.clone(), rules.read.clone());
    if rules.programs {
        folder |= FOLDER_OF_PROGRAMS;
        write.push("/dev/null".into());
        read.push("/".into());
    }
    let reading = AccessFs::ReadFile | AccessFs::ReadDir;
    let reading = if rules.programs { reading | AccessFs::Execute } else { reading };
    let paths = write.into_iter().map(|path| (path, folder, FILE));
    let paths = paths.chain(read.into_iter().map(|path| (path, reading, reading & !AccessFs::ReadDir)));
    for (path, in_folder, on_file) in paths {
        match open(&path) {
            Ok((fd, true)) => created = created.add_rule(PathBeneath::new(fd, in_folder))?,
            Ok((fd, false)) => created = created.add_rule(PathBeneath::new(fd, on_file))?,
            Err(error) => missing.push((path, error)),
        }
    }
    Ok(match created.restrict_self()?.ruleset {
        RulesetStatus::FullyEnforced => Level::Full,
        RulesetStatus::PartiallyEnforced => Level::Partial,
        RulesetStatus::NotEnforced => Level::None,
    })
}

/// A handle of what is at a path, and whether that is a folder.
fn open(path: &Path) -> io::Result<(PathFd, bool)> {
    let fd = PathFd::new(path).map_err(|e| match e {
        PathFdError::OpenCall { source, .. } => source,
        other => io::Error::other(other),
    })?;
    let is_folder = File::from(fd.as_fd().try_clone_to_owned()?).metadata()?.is_dir();
    Ok((fd, is_folder))
}

/// Paths of settings and of the record are absolute, and none is `/`.
fn folder_of(path: &Path) -> PathBuf {
    path.parent().unwrap_or(path).into()
}
