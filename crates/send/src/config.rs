//! Settings of a head-end that sends several streams: one TOML file, parsed once into checked types.
//!
//! What is wrong is told with the file, line and key. Keys and roots that the file names are read too.

mod file;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use fleetcast_cli::settings::{Lines, Unread, read};
use fleetcast_cli::{CommandError, ErrorKind, quantity};
use fleetcast_core::manifest::Token;
use fleetcast_core::trust::Trust;
use toml::Spanned;

use crate::clock::Share;
use crate::commands::{Groups, Nack, delay, rate, trusted_keys, trusted_notices};
use crate::nack::{SHARE, SHARES};
use crate::notices::Notices;
use crate::pacing::Pace;
use crate::source::ImageArg;
use crate::store::place::Place;
use crate::store::pointer::Channel;
use file::OneOrMore;

/// What a head-end sends, and how.
#[derive(Debug)]
pub struct Config {
    /// The store and how it is followed, if a stream does.
    pub follow: Option<Follow>,
    /// Folder for repair chunks.
    pub temp_dir: PathBuf,
    /// At least one.
    pub streams: Vec<Stream>,
}

/// How a store is followed.
#[derive(Clone, Debug)]
pub struct Follow {
    /// The store.
    pub store: Place,
    /// Folder for what was fetched.
    pub cache: PathBuf,
    /// Octets that it may hold.
    pub cache_size: u64,
    /// Time between two looks.
    pub poll: Duration,
}

/// One release after the other, to a group.
#[derive(Debug)]
pub struct Stream {
    /// Its name; no two have the same.
    pub name: String,
    /// What is sent.
    pub what: What,
    /// Whose releases are sent.
    pub trust: Trust,
    /// Roots and beacon that go along, if there are some.
    pub notices: Option<Notices>,
    /// Where to.
    pub groups: Groups,
    /// Name or address of the interface.
    pub interface: String,
    /// How fast.
    pub pace: Pace,
    /// Which of several senders this one is, if it is one of several.
    pub share: Option<Share>,
    /// TTL or hop limit.
    pub hops: u8,
    /// Differentiated services code point.
    pub dscp: u8,
    /// UDP source port; 0 lets the system choose.
    pub source_port: u16,
    /// Requests of receivers that are answered.
    pub nack: Option<Nack>,
}

/// What a stream sends.
#[derive(Debug)]
pub enum What {
    /// Whatever a channel names.
    Channel(Channel),
    /// A release and its images.
    Release(PathBuf, Vec<ImageArg>),
}

/// What is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct ConfigError {
    /// `FILE:LINE: KEY`.
    place: String,
    problem: String,
}

impl From<Unread> for ConfigError {
    fn from(Unread { place, problem }: Unread) -> Self {
        Self { place, problem }
    }
}

impl From<ConfigError> for CommandError {
    fn from(error: ConfigError) -> Self {
        Self::new(ErrorKind::Config, error)
    }
}

impl Config {
    /// Reads a file, and the keys and roots that it names.
    ///
    /// # Errors
    ///
    /// [`ConfigError`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let (file, lines): (file::File, _) = read(path)?;
        let at = Checker { path, lines };
        let streams: Vec<_> = file.stream.into_iter().map(|stream| at.stream(stream)).collect::<Result<_, _>>()?;
        if streams.is_empty() {
            return Err(at.whole("there is no [[stream]]: nothing would be sent"));
        }
        for (place, stream) in streams.iter().enumerate() {
            let mut before = streams.iter().take(place);
            if before.clone().any(|other| other.name == stream.name) {
                return Err(at.whole(&format!("two streams have the name {:?}: give one another `name`", stream.name)));
            }
            let host = |stream: &Stream| stream.nack.and_then(|nack| nack.host());
            if let Some(host) = host(stream).filter(|&own| before.any(|other| host(other) == Some(own))) {
                return Err(at.whole(&format!("two streams have `nack` {host}: give one another port")));
            }
        }
        let store = file.store.map(|store| at.parse("store", &store)).transpose()?;
        let cache = file.cache.map(|cache| at.beside(cache.get_ref()));
        let cache_size = file.cache_size.map_or(Ok(16 << 30), |size| at.check("cache-size", &size, quantity::size))?;
        let poll = file.poll.map_or(Ok(Duration::from_secs(30)), |poll| {
            at.check("poll", &poll, |text| match quantity::duration(text)? {
                Duration::ZERO => Err("a store cannot be asked all the time".into()),
                poll => Ok(poll),
            })
        })?;
        let follow = match (store, cache) {
            (Some(store), Some(cache)) => Some(Follow { store: at.placed(store), cache, cache_size, poll }),
            (Some(_), None) => return Err(at.whole("`cache` is missing: a folder for what is fetched from the store")),
            (None, Some(_)) => return Err(at.whole("`store` is missing, and there is a `cache` for it")),
            (None, None) => None,
        };
        if follow.is_none() && streams.iter().any(|stream| matches!(stream.what, What::Channel(_))) {
            return Err(at.whole("`store` and `cache` are missing, and a stream follows a channel"));
        }
        let temp_dir = file.temp_dir.map_or_else(std::env::temp_dir, |folder| at.beside(folder.get_ref()));
        Ok(Self { follow, temp_dir, streams })
    }
}

/// Turns what is written into what is meant, or tells where it is wrong.
struct Checker<'a> {
    path: &'a Path,
    lines: Lines,
}

impl Checker<'_> {
    fn stream(&self, stream: Spanned<file::Stream>) -> Result<Stream, ConfigError> {
        let span = stream.span();
        let stream = stream.into_inner();
        let wrong = |problem: String| self.error(span.start, "[[stream]]", problem);
        let what = match (stream.channel, stream.release) {
            (Some(channel), None) if stream.images.is_empty() => What::Channel(self.parse("channel", &channel)?),
            (None, Some(release)) => {
                let images = stream.images.iter().map(|image| {
                    let Ok(ImageArg { name, path }) = image.get_ref().parse();
                    ImageArg { name, path: self.beside(&path.display().to_string()) }
                });
                What::Release(self.beside(release.get_ref()), images.collect())
            }
            _ => return Err(wrong("it needs either a `channel`, or a `release` with its `images`".into())),
        };
        let name = match (stream.name, &what) {
            (Some(name), _) => self.check("name", &name, |text| {
                Token::new(text).map(|name| name.to_string()).ok_or_else(|| format!("{text:?} is no name"))
            })?,
            (None, What::Channel(channel)) => channel.to_string(),
            (None, What::Release(..)) => return Err(wrong("a stream with a `release` needs a `name`".into())),
        };
        let paths = |list: &[Spanned<String>]| list.iter().map(|path| self.beside(path.get_ref())).collect::<Vec<_>>();
        let beacon = stream.beacon.as_ref().map(|path| self.beside(path.get_ref()));
        let told = |error: CommandError| wrong(error.to_string());
        let (trust, notices) = match (&stream.trust[..], &stream.roots[..]) {
            ([_, ..], []) if beacon.is_none() => {
                (trusted_keys(&paths(&stream.trust), stream.threshold.unwrap_or(1)).map_err(told)?, None)
            }
            ([], [_, ..]) if stream.threshold.is_none() => {
                let notices = trusted_notices(&paths(&stream.roots), beacon.as_deref()).map_err(told)?;
                (notices.chain().trust().clone(), Some(notices))
            }
            _ => {
                let ways = "it needs either `trust`, with or without `threshold`, or `roots`, with or without `beacon`";
                return Err(wrong(ways.into()));
            }
        };
        let groups = match stream.group {
            OneOrMore::One(group) => vec![group],
            OneOrMore::More(groups) => groups,
        };
        let groups: Vec<_> = groups.iter().map(|group| socket(group)).collect::<Result<_, _>>().map_err(wrong)?;
        let groups = Groups::new(&groups, stream.layers).map_err(told)?;
        let pace = match (stream.rate, stream.packet_delay) {
            (Some(text), None) => self.check("rate", &text, rate)?,
            (None, Some(text)) => self.check("packet-delay", &text, delay)?,
            _ => return Err(wrong("it needs either a `rate` or a `packet-delay`".into())),
        };
        let share = stream.sender.map(|share| self.parse("sender", &share)).transpose()?;
        if share.is_some() && pace == Pace::Unlimited {
            return Err(wrong("`sender` needs a rate: no clock tells where an unlimited one is".into()));
        }
        if stream.dscp > 63 {
            return Err(wrong("`dscp` is 0 to 63".into()));
        }
        if stream.nack.is_none() && stream.nack_share.is_some() {
            return Err(wrong("`nack-share` is of use only with `nack`".into()));
        }
        let nack_share = stream.nack_share.unwrap_or(SHARE);
        if !SHARES.contains(&nack_share) {
            return Err(wrong(format!("`nack-share` is {} to {}", SHARES.start(), SHARES.end())));
        }
        let address = |text: &str| {
            text.parse().map_err(|_| format!("{text:?} is no address and port, such as 239.255.70.68:4702"))
        };
        let nack = stream.nack.map(|at| self.check("nack", &at, address)).transpose()?;
        let nack = nack.map(|at| Nack::new(at, nack_share, &groups)).transpose().map_err(told)?;
        let (interface, hops, dscp, source_port) = (stream.interface, stream.hops, stream.dscp, stream.source_port);
        Ok(Stream { name, what, trust, notices, groups, interface, pace, share, hops, dscp, source_port, nack })
    }

    fn parse<T: FromStr<Err: ToString>>(&self, key: &str, value: &Spanned<String>) -> Result<T, ConfigError> {
        self.check(key, value, |text| text.parse().map_err(|error: T::Err| error.to_string()))
    }

    fn check<T>(
        &self,
        key: &str,
        value: &Spanned<String>,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        read(value.get_ref()).map_err(|problem| self.error(value.span().start, key, problem))
    }

    /// A path, if it is relative beside the file.
    fn beside(&self, path: &str) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(path)
    }

    /// A store, if it is a relative folder beside the file.
    fn placed(&self, store: Place) -> Place {
        store.beside(self.path.parent().unwrap_or(Path::new("")))
    }

    fn error(&self, at: usize, key: &str, problem: String) -> ConfigError {
        ConfigError { place: format!("{}:{}: {key}", self.path.display(), self.lines.line(at)), problem }
    }

    fn whole(&self, problem: &str) -> ConfigError {
        ConfigError { place: self.path.display().to_string(), problem: problem.into() }
    }
}

fn socket(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("{text:?} is no group and port, such as 239.255.70.67:4701 or [ff15::80]:4701"))
}
