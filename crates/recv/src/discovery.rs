//! Groups and senders by a domain's name: SRV and TXT records in DNS, and addresses of hosts (spec §15).
//!
//! ```text
//! resolve -> Answer --checked--> Plan -> State (priorities, when to ask again) -> feeds -> Listener
//!               \-- memory: the last good one, for a start without DNS
//! ```
//!
//! DNS is not trusted: whoever answers can have a device listen elsewhere, for nothing. What it installs is decided by
//! signatures alone.

mod answer;
mod dns;
mod memory;
mod plan;
mod resolve;
#[cfg(test)]
mod vectors;

use std::fmt;
use std::net::IpAddr;
use std::sync::mpsc::{self, TryRecvError};

use fleetcast_core::time::Instant;
use serde::Serialize;
use tokio::task::AbortHandle;

use crate::config::{Config, Discover, Feed};
use crate::events::Event;
use memory::Memory;
use plan::State;
use resolve::{Found, resolve, service};

pub(crate) use dns::{MAX_SERVERS, SERVERS};
pub(crate) use memory::REMEMBERED;
pub(crate) use plan::beside;
pub(crate) use resolve::ResolveError;

/// Follows what DNS says of a domain. The questions are asked in a task of their own, so that reception goes on meanwhile.
#[derive(Debug)]
pub(crate) struct Discovery {
    discover: Discover,
    /// The feeds of the settings.
    settings: Vec<Feed>,
    state: State,
    memory: Memory,
    question: Option<Question>,
    /// What is joined of the answer, as told.
    joined: Vec<Feed>,
    /// DNS has been of use in this run: what is joined is not only remembered.
    is_fresh: bool,
    /// The word for why DNS is of no use, once told.
    failed: Option<&'static str>,
}

/// A question that is being asked; it ends with this.
#[derive(Debug)]
struct Question {
    answer: mpsc::Receiver<Result<Found, ResolveError>>,
    task: AbortHandle,
}

impl Drop for Question {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Question {
    fn ask(discover: Discover) -> Self {
        let (sender, answer) = mpsc::channel();
        let task = tokio::spawn(async move {
            // Nobody waits for it any more: then it is of no use.
            let _ = sender.send(resolve(&discover).await);
        });
        Self { answer, task: task.abort_handle() }
    }
}

/// A group and its senders, as it is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Group and port.
    pub group: String,
    /// Addresses of the senders.
    pub sources: Vec<IpAddr>,
    /// Layers that are sent.
    pub layers: u8,
}

impl From<&Feed> for Place {
    fn from(feed: &Feed) -> Self {
        Self { group: feed.group.to_string(), sources: feed.sources.clone(), layers: feed.layers }
    }
}

/// Writes `232.1.2.3:4000 from 192.0.2.1, 192.0.2.2`, or `232.1.2.3:4000 (4 layers) from 192.0.2.1`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sources: Vec<_> = self.sources.iter().map(IpAddr::to_string).collect();
        f.write_str(&self.group)?;
        if self.layers > 1 {
            write!(f, " ({} layers)", self.layers)?;
        }
        write!(f, " from {}", sources.join(", "))
    }
}

impl Discovery {
    /// What the settings say of discovery, with what was known at the last run; `None` if they name no domain.
    pub(crate) fn load(config: &Config, now: Instant) -> Option<Self> {
        let discover = config.discover.clone()?;
        let memory = Memory::load(&config.state, &discover.domain);
        // Checked as if it had come now.
        let plan = memory.answer().and_then(|answer| answer.plan().ok());
        Some(Self {
            discover,
            settings: config.feeds.clone(),
            state: State::new(now, plan.unwrap_or_default()),
            memory,
            question: None,
            joined: vec![],
            is_fresh: false,
            failed: None,
        })
    }

    /// To be called about once a second: asks, takes answers, and gives all feeds to join if they are others than before.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub(crate) fn look(&mut self, now: Instant, tell: &mut dyn FnMut(Event)) -> Option<Vec<Feed>> {
        match self.question.as_ref().map(|question| question.answer.try_recv()) {
            Some(Ok(Ok(found))) => {
                self.question = None;
                self.take(now, found, tell);
            }
            Some(Ok(Err(error))) => {
                self.question = None;
                self.fail(now, error.code(), &error, tell);
            }
            Some(Err(TryRecvError::Disconnected)) => {
                self.question = None;
                self.state.handle_failure(now, fastrand::u16(..));
            }
            None if now >= self.state.next_question() => self.question = Some(Question::ask(self.discover.clone())),
            Some(Err(TryRecvError::Empty)) | None => {}
        }
        self.state.handle_time(now);
        let feeds = self.state.feeds();
        if feeds == self.joined {
            return None;
        }
        let places = feeds.iter().map(Place::from).collect();
        let origin = if self.is_fresh { "dns" } else { "remembered" };
        tell(Event::Discovered { domain: self.discover.domain.clone(), origin, feeds: places });
        self.joined.clone_from(&feeds);
        Some(beside(&self.settings, feeds))
    }

    /// A sender was heard.
    pub(crate) fn handle_heard(&mut self, now: Instant, source: IpAddr) {
        self.state.handle_heard(now, source);
    }

    fn take(&mut self, now: Instant, found: Found, tell: &mut dyn FnMut(Event)) {
        let Found { answer, ttl, is_partial } = found;
        let plan = match answer.plan() {
            Ok(plan) => plan,
            Err(source) => {
                let name = service(&self.discover.domain);
                let error = ResolveError::Answer { name, source };
                return self.fail(now, error.code(), &error, tell);
            }
        };
        if is_partial {
            // What is known may be more.
            if self.state.is_empty() {
                self.is_fresh = true;
                self.state.take(now, plan);
            }
            let reason = format!("addresses of targets of {} cannot be found out", self.discover.domain);
            return self.fail(now, "dns-partial", &reason, tell);
        }
        self.is_fresh = true;
        self.state.handle_answer(now, plan, ttl, fastrand::u16(..));
        self.failed = None;
        self.memory.keep(answer);
        if let Err(fault) = self.memory.write(now, &self.discover.domain) {
            tell(Event::Warning { code: fault.code(), reason: fault.to_string() });
        }
    }

    fn fail(&mut self, now: Instant, code: &'static str, reason: &dyn fmt::Display, tell: &mut dyn FnMut(Event)) {
        self.state.handle_failure(now, fastrand::u16(..));
        if self.failed.replace(code) != Some(code) {
            let what = if self.state.is_empty() { "nothing is discovered yet" } else { "what is known stays" };
            tell(Event::Warning { code, reason: format!("{reason}; {what}, and DNS is asked again") });
        }
    }
}

/// What DNS says of a domain at this moment: feeds by priority, and the seconds that it holds.
///
/// # Errors
///
/// [`ResolveError`].
pub(crate) async fn ask(discover: &Discover) -> Result<(Vec<Vec<Feed>>, u64), ResolveError> {
    let found = resolve(discover).await?;
    let refused = |source| ResolveError::Answer { name: service(&discover.domain), source };
    let plan = found.answer.plan().map_err(refused)?;
    Ok((plan.tiers().to_vec(), found.ttl.as_secs()))
}
