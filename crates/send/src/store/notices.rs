//! Roots and beacons of a channel: files that are created and never changed, under the version or the time that they have \[P-8, P-9\].

use fleetcast_core::beacon::Beacon;
use fleetcast_core::trust::{
    MAX_STATEMENT, Root, Statement, StatementError, Trust, Verified, parse_unverified, verify,
};

use super::pointer::Channel;
use super::{Store, StoreError};
use crate::notices::chain::Chain;

/// Digits of a root's version.
const VERSION_DIGITS: usize = 5;

/// Digits of the time of a beacon.
const TIME_DIGITS: usize = 13;

/// The folder of a channel's roots.
pub(super) const ROOTS: &str = "roots";

/// The folder of a channel's beacons.
pub(super) const BEACONS: &str = "beacons";

/// How many beacons are looked at, the newest first \[P-13\]: so many are never removed.
pub const NEWEST: usize = 16;

/// What is to be added to the roots of a channel, and what comes of it.
#[derive(Clone, Debug)]
pub struct Joined {
    /// All roots of the channel then, verified from the first on.
    pub chain: Chain,
    /// Versions of those that the store lacks, in order.
    pub missing: Vec<u16>,
}

/// Why roots or a beacon do not go to a channel.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoticeError {
    /// The store did not do what it was asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The channel has another root of this version.
    #[error("channel {channel} has another root {version}: devices that have taken that one never take this")]
    Fork {
        /// The channel.
        channel: Channel,
        /// The version.
        version: u16,
    },
    /// A root does not follow the ones that the channel has.
    #[error("root {version} does not follow what channel {channel} has: {reason} ({code})", code = reason.code())]
    Root {
        /// The channel.
        channel: Channel,
        /// Version of the root.
        version: u16,
        /// Why.
        reason: StatementError,
    },
    /// A beacon is not valid by the newest root.
    #[error("the beacon is refused by root {root} of channel {channel}: {reason} ({code})", code = reason.code())]
    Beacon {
        /// The channel.
        channel: Channel,
        /// Version of the root.
        root: u16,
        /// Why.
        reason: StatementError,
    },
    /// The channel has a beacon that was issued no earlier.
    #[error("channel {channel} has a beacon issued at {newest}, and this one was issued at {issued} (beacon-replay)")]
    Replay {
        /// The channel.
        channel: Channel,
        /// When the newest one was issued, in seconds of Unix time.
        newest: u64,
        /// When this one was.
        issued: u64,
    },
    /// A channel has no root.
    #[error("channel {channel} has no root that a beacon could go by: publish one with it")]
    NoRoot {
        /// The channel.
        channel: Channel,
    },
}

impl Store {
    /// Versions of the roots of a channel, ascending; files that are none are passed over.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn root_versions(&self, channel: &Channel) -> Result<Vec<u16>, StoreError> {
        let entries = self.list(&folder(channel, ROOTS))?;
        let version = |name: &str| u16::try_from(number(name, VERSION_DIGITS, ".root")?).ok();
        let mut versions: Vec<_> = entries.iter().filter_map(|entry| version(&entry.name)).collect();
        versions.sort_unstable();
        Ok(versions)
    }

    /// The file of a root, which is anybody's; `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn root(&self, channel: &Channel, version: u16) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(&root_path(channel, version), MAX_STATEMENT + 1)
    }

    /// The roots of a channel, each verified by the one before it and the first by itself alone: whether that is the right one is known
    /// to who has another copy of it. `None` if there are none.
    ///
    /// # Errors
    ///
    /// [`StoreError`], also if they are no chain.
    pub fn chain(&self, channel: &Channel) -> Result<Option<Chain>, StoreError> {
        let mut chain: Option<Chain> = None;
        for version in self.root_versions(channel)? {
            let path = root_path(channel, version);
            let Some(octets) = self.read(&path, MAX_STATEMENT + 1)? else { return Err(self.content(&path, "is gone")) };
            let result = match &mut chain {
                None => Trust::from_root(&octets).map(|trust| chain = Some(Chain::of(trust))),
                Some(chain) => chain.step(&octets),
            };
            let is_named = |chain: &Chain| chain.trust().version() == version;
            let wrong = match result {
                Ok(()) if chain.as_ref().is_some_and(is_named) => continue,
                Ok(()) => "has another version than its name says".to_owned(),
                Err(error) => format!("does not follow the root before it: {error} ({})", error.code()),
            };
            return Err(self.content(&path, &wrong));
        }
        Ok(chain)
    }

    /// Looks what comes of the roots of a channel and those of `own`, which the publisher has chosen \[P-9\].
    ///
    /// # Errors
    ///
    /// [`NoticeError`] if they are no chain.
    pub fn join(&self, channel: &Channel, own: &Chain) -> Result<Joined, NoticeError> {
        let Some(there) = self.chain(channel)? else {
            let missing = own.roots().iter().map(|root| root.version).collect();
            return Ok(Joined { chain: own.clone(), missing });
        };
        let of = |chain: &Chain, version: u16| chain.roots().iter().find(|root| root.version == version).cloned();
        let ends = |chain: &Chain| Some((chain.roots().first()?.version, chain.roots().last()?.version));
        let (Some((first, last)), Some((own_first, own_last))) = (ends(&there), ends(own)) else {
            return Ok(Joined { chain: there, missing: Vec::new() });
        };
        let (mut chain, mut missing): (Option<Chain>, _) = (None, Vec::new());
        for version in first.min(own_first)..=last.max(own_last) {
            let refused = |reason| NoticeError::Root { channel: channel.clone(), version, reason };
            let next = chain.as_ref().map_or(version, |chain| chain.trust().version().saturating_add(1));
            let (stored, ours) = (of(&there, version), of(own, version));
            let Some(root) = ours.as_ref().or(stored.as_ref()) else {
                // A gap between what is there and what is to come.
                return Err(refused(StatementError::RootVersion { got: version.saturating_add(1), next }));
            };
            match &mut chain {
                None => chain = Some(Chain::of(Trust::from_root(&root.statement).map_err(refused)?)),
                Some(chain) => chain.step(&root.statement).map_err(refused)?,
            }
            match (&stored, &ours) {
                (Some(stored), Some(ours)) if !is_same::<Root>(&stored.statement, &ours.statement) => {
                    return Err(NoticeError::Fork { channel: channel.clone(), version });
                }
                (None, _) => missing.push(version),
                _ => {}
            }
        }
        Ok(Joined { chain: chain.unwrap_or(there), missing })
    }

    /// Creates the roots that a channel lacks, in order of version.
    ///
    /// # Errors
    ///
    /// [`NoticeError`], also if another publisher was first with another root.
    pub fn put_roots(&self, channel: &Channel, joined: &Joined) -> Result<(), NoticeError> {
        for root in joined.chain.roots().iter().filter(|root| joined.missing.contains(&root.version)) {
            let is_there = || -> Result<bool, StoreError> {
                Ok(self.root(channel, root.version)?.is_some_and(|there| is_same::<Root>(&there, &root.statement)))
            };
            if !self.create(&root_path(channel, root.version), root.statement.clone())? && !is_there()? {
                return Err(NoticeError::Fork { channel: channel.clone(), version: root.version });
            }
        }
        Ok(())
    }

    /// Times of the newest beacons of a channel that were issued later than `after`, the newest first, by their names and at most
    /// [`NEWEST`].
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub fn beacon_times(&self, channel: &Channel, after: Option<u64>) -> Result<Vec<u64>, StoreError> {
        let time = |name: &str| number(name, TIME_DIGITS, ".beacon").filter(|time| Some(*time) > after);
        let after = after.map(|after| beacon_path(channel, after));
        self.greatest(&folder(channel, BEACONS), after.as_deref(), NEWEST, &time)
    }

    /// The beacon of a channel that has this time, verified; `None` if it is gone.
    ///
    /// # Errors
    ///
    /// [`StoreError`], also if it is refused.
    pub fn beacon(&self, channel: &Channel, time: u64, trust: &Trust) -> Result<Option<Verified<Beacon>>, StoreError> {
        let path = beacon_path(channel, time);
        let Some(octets) = self.read(&path, MAX_STATEMENT + 1)? else { return Ok(None) };
        let refused = |error: StatementError| {
            let root = trust.version();
            self.content(&path, &format!("is refused by root {root}: {error} ({})", error.code()))
        };
        let beacon: Verified<Beacon> = verify(&octets, trust).map_err(refused)?;
        if beacon.issued == time {
            return Ok(Some(beacon));
        }
        Err(self.content(&path, "has another time than its name says"))
    }

    /// The newest beacon of a channel that is valid by `trust` and later than `after`, and what was wrong with those that are not.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store does not answer.
    pub fn newest_beacon(
        &self,
        channel: &Channel,
        after: Option<u64>,
        trust: &Trust,
    ) -> Result<(Option<Verified<Beacon>>, Vec<StoreError>), StoreError> {
        let mut wrong = Vec::new();
        for time in self.beacon_times(channel, after)? {
            match self.beacon(channel, time, trust) {
                Ok(Some(beacon)) => return Ok((Some(beacon), wrong)),
                Ok(None) => {}
                Err(error @ StoreError::Content { .. }) => wrong.push(error),
                Err(error) => return Err(error),
            }
        }
        Ok((None, wrong))
    }

    /// Verifies a beacon for a channel with this chain; `None` if the channel has it already \[P-10\].
    ///
    /// # Errors
    ///
    /// [`NoticeError`].
    pub fn judge_beacon(
        &self,
        channel: &Channel,
        chain: &Chain,
        statement: &[u8],
    ) -> Result<(Verified<Beacon>, bool), NoticeError> {
        let (channel, root) = (channel.clone(), chain.trust().version());
        let beacon: Verified<Beacon> = match verify(statement, chain.trust()) {
            Ok(beacon) => beacon,
            Err(reason) => return Err(NoticeError::Beacon { channel, root, reason }),
        };
        let (newest, _) = self.newest_beacon(&channel, None, chain.trust())?;
        match newest {
            Some(newest) if newest.payload_digest() == beacon.payload_digest() => Ok((beacon, true)),
            Some(newest) if newest.issued >= beacon.issued => {
                Err(NoticeError::Replay { channel, newest: newest.issued, issued: beacon.issued })
            }
            _ => Ok((beacon, false)),
        }
    }

    /// Creates a beacon that was found to be later than those there are, and removes what nobody looks at any more: a timer publishes
    /// for years.
    ///
    /// # Errors
    ///
    /// [`NoticeError`], also if there is another file of its time.
    pub fn put_beacon(&self, channel: &Channel, beacon: &Verified<Beacon>) -> Result<(), NoticeError> {
        let path = beacon_path(channel, beacon.issued);
        if self.create(&path, beacon.statement().to_vec())? {
            self.old_beacons(channel)?.into_iter().try_for_each(|time| self.remove_beacon(channel, time))?;
            return Ok(());
        }
        let there = self.read(&path, MAX_STATEMENT + 1)?;
        if there.is_some_and(|there| is_same::<Beacon>(&there, beacon.statement())) {
            return Ok(());
        }
        Err(NoticeError::Replay { channel: channel.clone(), newest: beacon.issued, issued: beacon.issued })
    }

    /// Removes the beacon of this time.
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub(super) fn remove_beacon(&self, channel: &Channel, time: u64) -> Result<(), StoreError> {
        self.remove(&beacon_path(channel, time))
    }

    /// The beacons that nobody looks at any more \[P-14\].
    ///
    /// # Errors
    ///
    /// [`StoreError`].
    pub(super) fn old_beacons(&self, channel: &Channel) -> Result<Vec<u64>, StoreError> {
        let entries = self.list(&folder(channel, BEACONS))?;
        let mut times: Vec<_> =
            entries.iter().filter_map(|entry| number(&entry.name, TIME_DIGITS, ".beacon")).collect();
        times.sort_unstable_by(|a, b| b.cmp(a));
        Ok(times.split_off(times.len().min(NEWEST)))
    }
}

/// One of the folders of a channel.
pub(super) fn folder(channel: &Channel, what: &str) -> String {
    format!("{}/{what}", super::pointer::folder(channel))
}

fn root_path(channel: &Channel, version: u16) -> String {
    format!("{}/{version:0VERSION_DIGITS$}.root", folder(channel, ROOTS))
}

fn beacon_path(channel: &Channel, time: u64) -> String {
    format!("{}/{time:0TIME_DIGITS$}.beacon", folder(channel, BEACONS))
}

/// The number that a name is made of.
fn number(name: &str, digits: usize, end: &str) -> Option<u64> {
    let number = name.strip_suffix(end)?;
    let is_number = number.len() == digits && number.bytes().all(|b| b.is_ascii_digit());
    if is_number { number.parse().ok() } else { None }
}

/// Whether two statements are the same, whoever has signed them.
fn is_same<T: Statement>(a: &[u8], b: &[u8]) -> bool {
    let digest = |octets| parse_unverified::<T>(octets).ok().map(|statement| *statement.payload_digest());
    digest(a).is_some_and(|of_a| Some(of_a) == digest(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_another_form_are_no_roots_and_no_beacons() {
        assert_eq!(number("00002.root", VERSION_DIGITS, ".root"), Some(2));
        assert_eq!(number("0001790000000.beacon", TIME_DIGITS, ".beacon"), Some(1_790_000_000));
        for name in ["2.root", "000002.root", "0000x.root", "00002.root#1", "+0002.root", "00002", ".root"] {
            assert_eq!(number(name, VERSION_DIGITS, ".root"), None, "{name}");
        }
        let channel: Channel = "stable".parse().unwrap();
        assert_eq!(root_path(&channel, 65_535), "channels/stable/roots/65535.root");
        assert_eq!(beacon_path(&channel, 1 << 40), "channels/stable/beacons/1099511627776.beacon");
    }
}
