//! Roots and beacons of a channel: walked and verified from a root or keys of its own, and kept across restarts \[P-12, P-13\].

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fleetcast_core::beacon::Beacon;
use fleetcast_core::trust::{Trust, Verified, verify};
use tokio::sync::watch;

use super::cache::Cache;
use super::fetch::FetchError;
use super::wait;
use crate::notices::Held;
use crate::notices::chain::Chain;
use crate::report::{Event, StreamReporter};
use crate::store::Store;
use crate::store::place::Place;
use crate::store::pointer::Channel;

/// The newest beacon of a stream, as it is kept.
const BEACON: &str = "beacon";

/// Where roots and beacons of one stream come from.
#[derive(Debug)]
pub struct Origin {
    /// Name of the stream.
    pub stream: String,
    /// The store.
    pub store: Place,
    /// The channel.
    pub channel: Channel,
    /// Time between two looks at the store, give or take a tenth.
    pub poll: Duration,
    /// Whether beacons come from the store too.
    pub has_beacons: bool,
    /// Where roots and beacon are kept.
    pub cache: Arc<Cache>,
    /// Where events go.
    pub reporter: StreamReporter,
}

/// What is trusted of a channel, and the newest beacon. Two threads look: who follows the channel, before each release, and another one
/// that does while a release is fetched, which may take longer than a beacon is good for.
#[derive(Debug)]
pub struct Keeper {
    origin: Origin,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    held: Held,
    /// Who sends it.
    to: Sender<Held>,
    /// What was wrong with the store's the last time, which is told once.
    told: Vec<String>,
    /// Whether somebody looked since this was last asked.
    has_looked: bool,
}

/// What a look has brought.
#[derive(Debug, Default)]
struct Found {
    /// There is something new to send.
    is_new: bool,
    /// What was refused.
    wrong: Vec<String>,
}

impl Keeper {
    /// Walks on from `chain` by the roots that are kept, and hands on what it comes to.
    #[must_use]
    pub fn new(origin: Origin, mut chain: Chain, to: Sender<Held>) -> Self {
        let kept = |name: &str| origin.cache.notice(&origin.stream, name);
        while let Some((name, octets)) = next_root(&chain).and_then(|name| kept(&name).map(|octets| (name, octets))) {
            if let Err(error) = chain.step(&octets) {
                let reason = format!("{name} in the cache is refused and left out: {error} ({})", error.code());
                origin.reporter.tell(&Event::Warning { code: "cache", reason });
                break;
            }
        }
        let beacon = kept(BEACON).filter(|_| origin.has_beacons);
        let beacon = beacon.and_then(|octets| verify(&octets, chain.trust()).ok());
        let state = State { held: Held { chain, beacon }, to, told: Vec::new(), has_looked: false };
        state.hand_on();
        Self { origin, state: Mutex::new(state) }
    }

    /// What is trusted by the last root, and by those before it.
    #[must_use]
    pub fn trusts(&self) -> Vec<Trust> {
        self.state().held.chain.trusts()
    }

    /// Takes the roots that follow and the newest beacon; gives what is trusted then.
    ///
    /// # Errors
    ///
    /// [`FetchError`] if the store does not answer, or a root cannot be kept. What does not verify is told, once, and passed over.
    pub fn look(&self, store: &Store) -> Result<Trust, FetchError> {
        let mut state = self.state();
        state.has_looked = true;
        let mut found = Found::default();
        let walked = self.walk(&mut state.held, store, &mut found);
        let result = walked.and_then(|()| self.take_beacon(&mut state.held, store, &mut found));
        let Found { is_new, wrong } = found;
        if is_new {
            state.hand_on();
        }
        result?;
        for reason in wrong.iter().filter(|reason| !state.told.contains(reason)) {
            self.origin.reporter.tell(&Event::Warning { code: "store-content", reason: reason.clone() });
        }
        state.told = wrong;
        Ok(state.held.chain.trust().clone())
    }

    fn walk(&self, held: &mut Held, store: &Store, found: &mut Found) -> Result<(), FetchError> {
        let Origin { stream, channel, cache, .. } = &self.origin;
        while let Some(name) = next_root(&held.chain) {
            let version = held.chain.trust().version() + 1;
            let Some(octets) = store.root(channel, version)? else { break };
            let mut chain = held.chain.clone();
            if let Err(error) = chain.step(&octets) {
                let code = error.code();
                found
                    .wrong
                    .push(format!("root {version} of channel {channel} is refused and not sent: {error} ({code})"));
                break;
            }
            // Before anything is judged by it.
            cache.keep_notice(stream, &name, &octets)?;
            let verified = |beacon: Verified<Beacon>| verify(beacon.statement(), chain.trust()).ok();
            let beacon = held.beacon.take().and_then(verified);
            (*held, found.is_new) = (Held { chain, beacon }, true);
        }
        Ok(())
    }

    fn take_beacon(&self, held: &mut Held, store: &Store, found: &mut Found) -> Result<(), FetchError> {
        let Origin { stream, channel, cache, .. } = &self.origin;
        let trust = held.chain.trust();
        if !self.origin.has_beacons || trust.beacon_role().is_none() {
            return Ok(());
        }
        let after = held.beacon.as_ref().map(|beacon| beacon.issued);
        let (newest, refused) = store.newest_beacon(channel, after, trust)?;
        found.wrong.extend(refused.iter().map(ToString::to_string));
        let Some(beacon) = newest else { return Ok(()) };
        // It is sent all the same if it cannot be kept: after a restart the store has it.
        let kept = cache.keep_notice(stream, BEACON, beacon.statement());
        (held.beacon, found.is_new) = (Some(beacon), true);
        Ok(kept?)
    }

    /// Looks whenever nobody else has for longer than the time between two looks, until told to stop. Who follows the channel tells what
    /// is wrong with the store.
    pub fn run(&self, stop: &watch::Receiver<bool>) {
        let mut failed = 0;
        while !*stop.borrow() {
            wait(self.origin.poll.saturating_mul(2), failed, stop);
            if std::mem::take(&mut self.state().has_looked) {
                continue;
            }
            let looked = self.origin.store.open().map_err(FetchError::from).and_then(|store| self.look(&store));
            failed = if looked.is_ok() { 0 } else { failed + 1 };
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn hand_on(&self) {
        // Nobody takes it when all is to end.
        let _ = self.to.send(self.held.clone());
    }
}

/// Name of the root that follows, as it is kept; `None` if none can.
fn next_root(chain: &Chain) -> Option<String> {
    chain.trust().version().checked_add(1).map(|version| format!("{version:05}.root"))
}
