//! Signals and timers around a [`Device`]. One thread, beside those that write events and ask web servers: the storage is
//! worked on between two batches.

mod care;
mod end;
mod layering;

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use fleetcast_cli::CommandError;
use fleetcast_core::time::Instant;
use fleetcast_install::{RealFs, durable};
use fleetcast_net::source_number;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::MissedTickBehavior;

use crate::config::Config;
use crate::confine::{self, Level};
use crate::device::{self, Device, DeviceError, Outcome};
use crate::discovery::Discovery;
use crate::events::{Event, Progress, Traffic};
use crate::ledger::{self, Ledger, Running};
use crate::listener::Listener;
use crate::metrics::{Facts, Opened, Shown};
use crate::nack::Nack;
use crate::page::{Page, Seen};
use crate::progress::Reporter;
use crate::repair::{Client, Reply};
use crate::report::Reports;
use crate::stall::{Watch, verified};
use care::Care;
use end::{End, Failure, Left};
use layering::Layering;

/// Steps of the search in old images that are done each second however much comes: some 20 ms on a small device.
const LEAST_REUSE: u32 = 4;

/// When a run is over.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Once a release is installed.
    pub once: bool,
    /// After this time in any case.
    pub timeout: Option<Duration>,
    /// Percent of the datagrams that are thrown away at random.
    pub simulated_loss: u8,
}

/// Receives until it is over or interrupted. [`Event::Stopped`] is the last thing told, whatever ends it.
///
/// # Errors
///
/// [`CommandError`] of kind `Failed`: storage, network, an interrupt or the timeout. What was received is kept.
///
/// # Panics
///
/// Outside a tokio runtime with I/O and time enabled.
pub async fn run(config: &Config, options: Options, reporter: &mut Reporter) -> Result<(), CommandError> {
    let (ended, left) = match Run::start(config, options, reporter) {
        Ok(Some((mut run, signals))) => run.until_end(config, options, signals, reporter).await,
        Ok(None) => (Ok(End::Installed), Left::default()),
        Err(failure) => (Err(failure), Left::default()),
    };
    end::conclude(ended, left, options, reporter)
}

/// Time since the start of the program. What sleeps meanwhile grows older too: hence not the clock of `std`, which stands still
/// while a device is suspended.
#[derive(Clone, Copy, Debug)]
struct Clock(Duration);

impl Clock {
    fn start() -> Self {
        Self(ledger::since_boot())
    }

    fn now(self) -> Instant {
        let elapsed = ledger::since_boot().saturating_sub(self.0);
        Instant::from_micros(u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX))
    }
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }
}

struct Run {
    device: Device<RealFs>,
    net: Listener,
    discovery: Option<Discovery>,
    clock: Clock,
    watch: Watch,
    care: Care,
    /// Others may be asked for what is missing.
    nack: Option<Nack>,
    /// Web servers may be asked.
    repair: Option<Client>,
    layering: Layering,
    metrics: Shown,
    /// A page for browsers is written.
    page: Option<Page>,
    /// A web server is told what became of releases.
    reports: Option<Reports>,
    /// The installed release is on the air: silence after it is nothing to tell.
    heard_installed: bool,
    /// How the daemon is doing could not be written when it was last tried.
    is_untold: bool,
}

impl Run {
    /// Joins, finishes an interrupted install and takes up what was received; `None` if that is all there is to do.
    fn start(config: &Config, options: Options, reporter: &mut Reporter) -> Result<Option<(Self, Signals)>, Failure> {
        // First, so that a signal while a resumed image is hashed is not lost.
        let signals = Signals::new().map_err(|e| Failure::new("signals", format!("cannot wait for signals: {e}")))?;
        let mut seed = [0; 16];
        getrandom::fill(&mut seed)
            .map_err(|e| Failure::new("random", format!("the system gives no random numbers: {e}")))?;
        check_above(config)?;
        let clock = Clock::start();
        reporter.ledger = Ledger::load(&config.state);
        let mut tell = |event| reporter.tell(&event);
        let opened = Opened::new(&config.metrics).map_err(|e| no_metrics(config, &e))?;
        if let Some(runtime) = &config.runtime {
            // If it fails, the first write to it tells.
            let _ = durable::create_dir(&RealFs, runtime);
        }
        // Before anything from outside is looked at, and while there is no other thread.
        let confined = confine::start(config, &mut tell)?;
        let backend = config.install.backend(&RealFs, &config.targets);
        // Before the device: what was received can take minutes to hash, for nothing if there is no interface.
        let net = match Listener::join(config) {
            Ok(net) => net,
            Err(error) => {
                let outcome = device::recover(&RealFs, backend, config, seed, &mut tell)?;
                return if outcome == Outcome::Installed && options.once { Ok(None) } else { Err(error.into()) };
            }
        };
        let (device, outcome) = Device::open(&RealFs, backend, config, seed, &mut tell)?;
        if outcome == Outcome::Installed && options.once {
            return Ok(None);
        }
        let repair = config.repair.as_ref().map(Client::start).transpose();
        let repair = repair.map_err(|e| Failure::new("repair", format!("cannot fetch what will be missing: {e}")))?;
        let now = clock.now();
        let discovery = Discovery::load(config, now);
        let (watch, care) = (Watch::new(now), Care::new(now));
        let layering = Layering::new(now, config, seed.first_chunk().map_or(0, |&half| u64::from_be_bytes(half)));
        let nack = config.nack.map(|settings| Nack::new(settings, now, fastrand::u64(..)));
        let metrics = opened.show(&config.metrics).map_err(|e| no_metrics(config, &e))?;
        let reports = config.report.as_ref().map(|settings| Reports::start(settings, &config.state)).transpose();
        let reports = reports.map_err(|e| Failure::new("report", format!("cannot make reports: {e}")))?;
        let page = config.page.clone().map(Page::new);
        let heard_installed = false;
        let mut run = Self {
            device,
            net,
            discovery,
            clock,
            watch,
            care,
            nack,
            repair,
            layering,
            metrics,
            page,
            reports,
            heard_installed,
            is_untold: false,
        };
        run.open_nack(config, reporter);
        run.tell_ready(config, confined, reporter);
        Ok(Some((run, signals)))
    }

    /// Receives until something ends it, and keeps what was received.
    async fn until_end(
        &mut self,
        config: &Config,
        options: Options,
        signals: Signals,
        reporter: &mut Reporter,
    ) -> (Result<End, Failure>, Left) {
        let mut ended = self.receive(config, options, signals, reporter).await;
        let left = Left {
            chunks: self.device.chunks(),
            traffic: self.traffic(),
            installed: self.device.record().installed.as_ref().map(Into::into),
        };
        if let Err(error) = self.device.flush()
            // If the storage is what failed, that says so already.
            && ended.is_ok()
        {
            ended = Err(error.into());
        }
        // Whatever comes of it: the end has its own cause.
        let _ = reporter.ledger.write(&config.state, true);
        self.show(Some(&end::words(&ended).1), reporter);
        (ended, left)
    }

    async fn receive(
        &mut self,
        config: &Config,
        options: Options,
        mut signals: Signals,
        reporter: &mut Reporter,
    ) -> Result<End, Failure> {
        let mut report = tokio::time::interval(config.progress);
        let mut second = tokio::time::interval(Duration::from_secs(1));
        for timer in [&mut report, &mut second] {
            timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        let timeout = tokio::time::sleep(options.timeout.unwrap_or(Duration::MAX));
        tokio::pin!(timeout);
        loop {
            tokio::select! {
                biased;
                _ = signals.interrupt.recv() => return Ok(End::Interrupt),
                _ = signals.terminate.recv() => return Ok(End::Terminate),
                () = &mut timeout, if options.timeout.is_some() => return Ok(End::Timeout),
                _ = second.tick() => {
                    reporter.turns(self.device.chunks());
                    self.device.write_out()?;
                    for _ in 0..LEAST_REUSE {
                        if let Some(end) = self.reuse(config, options, reporter)? {
                            return Ok(end);
                        }
                    }
                    if let Some(end) = self.look(config, options, reporter)? {
                        return Ok(end);
                    }
                    let mut is_back = false;
                    self.net.follow(self.clock.now(), &mut |event| {
                        is_back |= matches!(event, Event::Rejoined { .. });
                        reporter.tell(&event);
                    });
                    if is_back {
                        self.open_nack(config, reporter);
                    }
                    self.discover(config, reporter);
                    self.look_for_stall(reporter);
                    self.ask(reporter)?;
                    self.look_for_layers(reporter);
                    if self.metrics.is_due() || self.page.as_ref().is_some_and(Page::is_due) {
                        self.show(None, reporter);
                    }
                    if let Some(reports) = &mut self.reports {
                        reports.look(self.clock.now(), self.device.record(), &mut |event| reporter.tell(&event));
                    }
                }
                _ = report.tick() => self.tell_progress(config, reporter),
                reply = reply(&mut self.repair) => {
                    let outcome = self.device.handle_reply(self.clock.now(), reply, &mut |event| reporter.tell(&event))?;
                    if let Some(end) = self.take(outcome, config, options, reporter) {
                        return Ok(end);
                    }
                    self.ask(reporter)?;
                }
                outcome = batch(&mut self.net, &mut self.device, &mut self.layering, self.clock, options.simulated_loss, reporter) => {
                    let (outcome, heard) = outcome.map_err(|e| self.broken(&e))??;
                    self.note(heard);
                    self.look_for_layers(reporter);
                    if let Some(end) = self.take(outcome, config, options, reporter) {
                        return Ok(end);
                    }
                }
                () = nack_due(&mut self.nack, self.clock) => self.ask_senders(reporter).await,
                // While no datagram waits: only a yield to the runtime finds that out.
                () = tokio::task::yield_now(), if self.device.can_reuse() || self.device.seeks_request() => {
                    if let Some(end) = self.reuse(config, options, reporter)? {
                        return Ok(end);
                    }
                    if self.device.seeks_request() {
                        self.ask(reporter)?;
                    }
                }
            }
        }
    }

    /// Follows what DNS says.
    fn discover(&mut self, config: &Config, reporter: &mut Reporter) {
        let Some(discovery) = &mut self.discovery else { return };
        let now = self.clock.now();
        let Some(feeds) = discovery.look(now, &mut |event| reporter.tell(&event)) else { return };
        self.layering.set_feeds(now, feeds);
        match self.net.change(&self.layering.wanted()) {
            Ok(()) => self.tell_buffer(config, reporter),
            Err(error) => {
                let code = error.code();
                reporter.tell(&Event::Warning { code, reason: format!("{}; trying again", CommandError::from(error)) });
            }
        }
    }

    /// Lets discovery know who is heard: a packet that verified counts, or any while all that is sent is installed.
    fn note(&mut self, Heard { last, verified }: Heard) {
        let is_idle = self.heard_installed && self.device.chunks().is_none();
        let heard = if is_idle { last } else { verified };
        if let (Some(discovery), Some(source)) = (&mut self.discovery, heard) {
            discovery.handle_heard(self.clock.now(), source);
        }
    }

    /// Opens the sockets for requests. Without them it goes on: the carousel brings everything.
    fn open_nack(&mut self, config: &Config, reporter: &mut Reporter) {
        if let Some(Err(error)) = self.nack.as_mut().map(|nack| nack.open(&config.interfaces)) {
            let (code, error) = (error.code(), CommandError::failed(error));
            reporter.tell(&Event::Warning { code, reason: format!("nobody is asked for what is missing: {error}") });
        }
    }

    /// Asks senders and other devices for what is missing, if it is time.
    async fn ask_senders(&mut self, reporter: &mut Reporter) {
        let Some(nack) = &mut self.nack else { return };
        nack.ask(self.clock.now(), self.device.receiver()).await;
        if nack.fell_silent() {
            let reason = "several requests in a row brought nothing; no more of this release is asked for".into();
            reporter.tell(&Event::Warning { code: "nack-unanswered", reason });
        }
    }

    /// Asks a web server for what is missing, if it is time.
    fn ask(&mut self, reporter: &mut Reporter) -> Result<(), Failure> {
        if let Some(client) = &self.repair
            && let Some(request) = self.device.next_request(self.clock.now(), &mut |event| reporter.tell(&event))?
        {
            client.send(request);
        }
        Ok(())
    }

    /// Looks through a part of the old images.
    fn reuse(&mut self, config: &Config, options: Options, reporter: &mut Reporter) -> Result<Option<End>, Failure> {
        if !self.device.can_reuse() {
            return Ok(None);
        }
        let outcome = self.device.reuse(self.clock.now(), &mut |event| reporter.tell(&event))?;
        Ok(self.take(outcome, config, options, reporter))
    }

    /// Does what is due once a second.
    fn look(&mut self, config: &Config, options: Options, reporter: &mut Reporter) -> Result<Option<End>, Failure> {
        let now = self.clock.now();
        let outcome = self.device.look(now, ledger::unix(), &mut |event| reporter.tell(&event))?;
        if let Some(end) = self.take(outcome, config, options, reporter) {
            return Ok(Some(end));
        }
        self.care.look(now, &mut self.device, config, reporter)?;
        // Nothing is decided by it: what is received goes on.
        if let Err(fault) = reporter.ledger.write(&config.state, false) {
            reporter.tell(&Event::Warning { code: fault.code(), reason: fault.to_string() });
        }
        Ok(None)
    }

    /// What an outcome means for the run; the end of it, or nothing.
    fn take(&mut self, outcome: Outcome, config: &Config, options: Options, reporter: &mut Reporter) -> Option<End> {
        match outcome {
            Outcome::Going => return None,
            Outcome::Installed if options.once => return Some(End::Installed),
            Outcome::OnTrial if options.once => return Some(End::OnTrial),
            Outcome::AlreadyInstalled if options.once => return Some(End::AlreadyInstalled),
            Outcome::OnTrial => care::restart(config, reporter),
            Outcome::Installed | Outcome::AlreadyInstalled => {}
        }
        self.heard_installed = true;
        None
    }

    fn tell_ready(&self, config: &Config, confined: Level, reporter: &mut Reporter) {
        reporter.tell(&Event::Ready {
            groups: config.feeds.iter().map(|feed| feed.group.to_string()).collect(),
            interface: self.net.names(),
            receive_buffer: self.receive_buffer(),
            confined: confined.word(),
            installed: self.device.record().installed.as_ref().map(Into::into),
        });
        self.tell_buffer(config, reporter);
    }

    /// Octets granted to each socket, if there are any.
    fn receive_buffer(&self) -> usize {
        self.net.granted_buffer().ok().filter(|granted| *granted != usize::MAX).unwrap_or_default()
    }

    fn tell_buffer(&self, config: &Config, reporter: &mut Reporter) {
        let receive_buffer = self.receive_buffer();
        if (1..config.receive_buffer).contains(&receive_buffer) {
            let reason = format!(
                "the kernel grants a receive buffer of {receive_buffer} octets of {}; at high rates packets will be lost: \
                 raise net.core.rmem_max, or set receive-buffer lower to be told no more",
                config.receive_buffer
            );
            reporter.tell(&Event::Warning { code: "receive-buffer", reason });
        }
    }

    fn tell_progress(&mut self, config: &Config, reporter: &mut Reporter) {
        let (chunks, traffic) = (self.device.chunks(), self.traffic());
        if let Some(runtime) = &config.runtime {
            let running = Running {
                v: 1,
                pid: std::process::id(),
                time: ledger::unix(),
                since_boot: ledger::since_boot().as_secs(),
                chunks,
                trust: &self.device.trusted(),
                traffic: &traffic,
            };
            match ledger::publish(runtime, &running) {
                Ok(()) => self.is_untold = false,
                // Once: this comes round every second.
                Err(_) if self.is_untold => {}
                Err(fault) => {
                    self.is_untold = true;
                    reporter.tell(&Event::Warning { code: fault.code(), reason: fault.to_string() });
                }
            }
        }
        if let Some(chunks) = chunks {
            reporter.tell(&Event::Progress(Progress { chunks, traffic }));
        }
    }

    /// Shows metrics and the page, for the last time if there is an `end`.
    fn show(&mut self, end: Option<&str>, reporter: &Reporter) {
        let (trusted, traffic) = (self.device.trusted(), self.traffic());
        let facts = Facts {
            is_running: end.is_none(),
            record: self.device.record(),
            last_install: reporter.ledger.last_install(),
            trusted: &trusted,
            chunks: self.device.chunks(),
            traffic: &traffic,
            events: &reporter.counts,
        };
        self.metrics.show(&facts);
        if let Some(page) = self.page.as_mut().filter(|page| page.is_due() || end.is_some()) {
            page.show(&Seen {
                facts: &facts,
                sent_and_came: self.device.sent_and_came(),
                notes: &reporter.notes,
                ledger: &reporter.ledger,
                end,
            });
        }
    }

    fn traffic(&self) -> Traffic {
        let counters = self.device.counters();
        Traffic {
            loss: self.device.loss(),
            layers: self.layering.losses(),
            datagrams: counters.datagrams,
            verified_chunks: counters.chunks,
            verified_pages: counters.pages,
            duplicates: counters.duplicates,
            staged: counters.staged,
            dropped: counters.dropped().collect(),
            kernel_drops: self.net.dropped(),
            overlong: self.net.overlong(),
            nack: self.nack.as_ref().map(|nack| nack.counts().clone()),
            repair: self.device.repair_counts(),
        }
    }

    fn look_for_stall(&mut self, reporter: &mut Reporter) {
        // Why nothing comes without an interface has been told.
        let has_all = self.device.receiver().is_complete();
        let is_waiting = !self.net.is_deaf() && !has_all && (self.device.chunks().is_some() || !self.heard_installed);
        if let Some((seconds, reason)) = self.watch.look(self.clock.now(), self.device.counters(), is_waiting) {
            reporter.tell(&Event::Stalled { seconds, reason });
        }
    }

    fn look_for_layers(&mut self, reporter: &mut Reporter) {
        self.layering.look(self.clock.now(), self.device.is_receiving(), &mut self.net, reporter);
    }

    fn broken(&self, error: &io::Error) -> Failure {
        Failure::new("receive", format!("cannot receive on {}: {error}", self.net.names()))
            .hint("bring the interface up and start again; what was received is kept")
    }
}

fn no_metrics(config: &Config, error: &io::Error) -> Failure {
    let address = config.metrics.listen.map(|address| format!(" at {address}")).unwrap_or_default();
    Failure::new("metrics", format!("cannot show metrics{address}: {error}"))
        .hint("correct the address of the metrics, or leave it out")
}

/// The state folder is made if it is missing, but nothing above it: that would be a mistyped path, or a file system that
/// is not mounted, and a device that seems new and takes any old release.
fn check_above(config: &Config) -> Result<(), Failure> {
    let Some(above) = config.state.parent() else { return Ok(()) };
    std::fs::metadata(above).map(drop).map_err(|e| {
        let state = config.state.display();
        Failure::new("missing-folder", format!("cannot use the state folder {state}: {}: {e}", above.display()))
            .hint("correct the path, or create the folder above it")
    })
}

/// Who sent a batch.
#[derive(Clone, Copy, Debug, Default)]
struct Heard {
    /// The sender of the last datagram.
    last: Option<IpAddr>,
    /// That of the last one that verified.
    verified: Option<IpAddr>,
}

/// When it is time to ask for what is missing.
async fn nack_due(nack: &mut Option<Nack>, clock: Clock) {
    match nack {
        Some(nack) => nack.wait(|| clock.now()).await,
        None => std::future::pending().await,
    }
}

/// The reply of a web server that was asked.
async fn reply(repair: &mut Option<Client>) -> Reply {
    match repair {
        Some(client) => client.reply().await,
        None => std::future::pending().await,
    }
}

/// Takes one batch from a socket and feeds it to the device.
async fn batch(
    net: &mut Listener,
    device: &mut Device<RealFs>,
    layering: &mut Layering,
    clock: Clock,
    simulated_loss: u8,
    reporter: &mut Reporter,
) -> io::Result<Result<(Outcome, Heard), DeviceError>> {
    let mut result = Ok(Outcome::Going);
    let mut heard = Heard::default();
    let mut came = None;
    net.receive(|from, datagram| {
        // What ends a run leaves the rest of the batch behind.
        let is_kept = simulated_loss == 0 || fastrand::u8(..100) >= simulated_loss;
        if is_kept && matches!(result, Ok(Outcome::Going)) {
            // One time for all of a batch, that of its arrival.
            let now = *came.get_or_insert_with(|| clock.now());
            let before = verified(device.counters());
            result = device.handle(now, source_number(from), datagram, &mut |event| reporter.tell(&event));
            layering.note(now, from, device.arrival());
            heard.last = Some(from.ip());
            if verified(device.counters()) != before {
                heard.verified = heard.last;
            }
        }
    })
    .await?;
    Ok(result.map(|outcome| (outcome, heard)))
}
