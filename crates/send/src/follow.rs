//! Following a channel: what it names is fetched, checked, and handed to who sends.
//!
//! It runs in a thread of its own and may take its time. Whatever goes wrong is told, and the release that is sent is sent on.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`cache`] | what was fetched, bounded, here across restarts |
//! | [`fetch`] | one release out of a store: verified, then fetched, then checked as a whole |
//! | [`mod@notices`] | roots and beacons of a channel, walked and kept |

pub mod cache;
pub mod fetch;
pub mod notices;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use fleetcast_cli::CommandError;
use fleetcast_core::trust::Trust;
use tokio::sync::watch;

use crate::report::{Event, StreamReporter};
use crate::source::Source;
use crate::store::place::Place;
use crate::store::pointer::{Channel, Pointer};
use cache::Cache;
use fetch::{FetchError, Fetcher};
use notices::Keeper;

/// Most time between two attempts while the store fails, if the settings do not have more.
const MAX_BACKOFF: Duration = Duration::from_mins(5);

/// A channel of a store, for one stream.
#[derive(Debug)]
pub struct Follower {
    /// Name of the stream.
    pub stream: String,
    /// The store.
    pub store: Place,
    /// The channel.
    pub channel: Channel,
    /// Whose releases are sent, by the newest root of the channel.
    pub keeper: Arc<Keeper>,
    /// Where what was fetched is kept.
    pub cache: Arc<Cache>,
    /// Folder for repair chunks.
    pub temp_dir: PathBuf,
    /// Time between two looks at the store, give or take a tenth.
    pub poll: Duration,
    /// Where events go.
    pub reporter: StreamReporter,
}

impl Follower {
    /// Follows until told to stop, or nobody takes what is found.
    pub fn run(self, to: &Sender<Source>, stop: &watch::Receiver<bool>) {
        let is_over = || *stop.borrow();
        let mut sent = None;
        if let Some((pointer, result)) = self.remembered(&is_over) {
            match result {
                Ok(source) => {
                    if to.send(source).is_err() {
                        return;
                    }
                    sent = Some(pointer);
                }
                Err(error) => self.tell(error, sent.as_ref()),
            }
        }
        let mut failed = 0;
        while !*stop.borrow() {
            match self.look(sent.as_ref(), &is_over) {
                Ok(found) => {
                    self.reporter.looked(0, None);
                    if failed > 0 {
                        self.reporter.tell(&Event::Reached { failed });
                    }
                    failed = 0;
                    if let Some((pointer, source)) = found {
                        if to.send(source).is_err() {
                            return;
                        }
                        sent = Some(pointer);
                    }
                }
                Err(_) if *stop.borrow() => return,
                Err(error) => {
                    failed += 1;
                    self.reporter.looked(failed, Some(error.code()));
                    self.tell(error, sent.as_ref());
                }
            }
            wait(self.poll, failed, stop);
        }
    }

    /// The release that was sent last, out of the cache.
    fn remembered(&self, stop: &dyn Fn() -> bool) -> Option<(Pointer, Result<Source, FetchError>)> {
        let trusts = self.keeper.trusts();
        let (trust, before) = trusts.split_first()?;
        self.fetcher(trust, before, stop).remembered()
    }

    fn fetcher<'a>(&'a self, trust: &'a Trust, before: &'a [Trust], stop: &'a dyn Fn() -> bool) -> Fetcher<'a> {
        let Self { stream, cache, temp_dir, .. } = self;
        Fetcher { stream, trust, before, cache, temp_dir, stop }
    }

    /// What the channel names, if it is not what is sent; its roots and its beacon first.
    fn look(&self, sent: Option<&Pointer>, stop: &dyn Fn() -> bool) -> Result<Option<(Pointer, Source)>, FetchError> {
        // Opened anew each time: a disk may have been mounted since, and credentials may be others.
        let store = self.store.open()?;
        let trust = self.keeper.look(&store)?;
        let Some((number, pointer)) = store.newest(&self.channel)? else {
            return Err(FetchError::Empty { channel: self.channel.clone() });
        };
        if sent.is_some_and(|sent| sent.release() == pointer.release()) {
            return Ok(None);
        }
        let source = self.fetcher(&trust, &[], stop).fetch(&store, &pointer, &mut |octets| {
            self.reporter.tell(&Event::Fetching {
                channel: self.channel.to_string(),
                number,
                version: pointer.version.clone(),
                sequence: pointer.sequence,
                octets,
            });
        })?;
        Ok(Some((pointer, source)))
    }

    fn tell(&self, error: FetchError, sent: Option<&Pointer>) {
        let code = error.code();
        let then = sent.map_or_else(
            || "nothing is sent yet".to_owned(),
            |sent| format!("release {} (sequence {}) is sent on", sent.version, sent.sequence),
        );
        self.reporter.tell(&Event::Warning { code, reason: format!("{}; {then}", CommandError::failed(error)) });
    }
}

/// Waits until it is time to look again, or to stop.
fn wait(poll: Duration, failed: u32, stop: &watch::Receiver<bool>) {
    let jitter = getrandom::u32().unwrap_or_default();
    let mut left = delay(poll, failed, jitter);
    while left > Duration::ZERO && !*stop.borrow() {
        let nap = left.min(Duration::from_millis(100));
        std::thread::sleep(nap);
        left -= nap;
    }
}

/// Time to the next look, after so many failures in a row: the interval give or take a tenth, so that head-ends do not all come at
/// once, and twice as long after each failure.
fn delay(poll: Duration, failed: u32, jitter: u32) -> Duration {
    let doubled = poll.saturating_mul(1 << failed.min(16)).min(MAX_BACKOFF.max(poll));
    doubled.mul_f64(0.9 + 0.2 * f64::from(jitter) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_make_it_look_more_rarely_but_never_give_up() {
        let second = Duration::from_secs(1);
        let middle = |poll, failed| (delay(poll, failed, u32::MAX / 2) + second / 2).as_secs();
        assert_eq!([0, 1, 2, 3].map(|failed| middle(second * 30, failed)), [30, 60, 120, 240]);
        assert_eq!(middle(second * 30, u32::MAX), 300);
        assert_eq!(middle(second * 3600, 9), 3600);
        assert!(delay(second, 0, 0) >= second * 9 / 10 && delay(second, 0, u32::MAX) <= second * 11 / 10);
    }
}
