//! Sockets, signals and timers around a [`Device`]. One thread; the storage is worked on between two batches.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use fleetcast_cli::CommandError;
use fleetcast_core::time::Instant;
use fleetcast_install::{FileBackend, RealFs};
use fleetcast_net::{Interface, JoinError, Membership, ReceiveOptions, Receiver};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::MissedTickBehavior;

use crate::config::Config;
use crate::device::{Device, DeviceError, Outcome};
use crate::events::{Event, Progress, Traffic};
use crate::progress::Reporter;
use crate::stall::Watch;

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

/// What ended a run that is not over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Installed,
    AlreadyInstalled,
    Interrupt,
    Terminate,
    Timeout,
}

/// Receives until it is over or interrupted.
///
/// # Errors
///
/// [`CommandError`] of kind `Failed`: storage, network, an interrupt or the timeout. What was received is kept.
///
/// # Panics
///
/// Outside a tokio runtime with I/O and time enabled.
pub async fn run(config: &Config, options: Options, reporter: &mut Reporter) -> Result<(), CommandError> {
    // First, so that a signal while a resumed image is hashed is not lost.
    let signals = Signals::new().map_err(|e| CommandError::failed(format!("cannot wait for signals: {e}")))?;
    let clock = Clock(std::time::Instant::now());
    let opened =
        Device::open(&RealFs, FileBackend::new(RealFs), config, random_seed()?, &mut |event| reporter.tell(&event));
    let (device, outcome) = opened.map_err(device_error)?;
    if outcome == Outcome::Installed && options.once {
        return Ok(());
    }
    let (net, interface) = join(config)?;
    let mut run = Run { device, net, interface, clock, watch: Watch::new(clock.now()), heard_installed: false };
    run.tell_ready(config, reporter);
    match run.receive(config, options, signals, reporter).await {
        Ok(end) => run.finish(end, options, reporter),
        Err(error) => Err(run.fail(error, reporter)),
    }
}

/// Time since the start of the program.
#[derive(Clone, Copy, Debug)]
struct Clock(std::time::Instant);

impl Clock {
    fn now(self) -> Instant {
        Instant::from_micros(u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX))
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
    device: Device<RealFs, FileBackend<RealFs>>,
    net: Receiver,
    interface: Interface,
    clock: Clock,
    watch: Watch,
    /// The installed release is on the air: silence after it is nothing to tell.
    heard_installed: bool,
}

impl Run {
    async fn receive(
        &mut self,
        config: &Config,
        options: Options,
        mut signals: Signals,
        reporter: &mut Reporter,
    ) -> Result<End, CommandError> {
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
                    self.device.write_out().map_err(device_error)?;
                    self.look_for_stall(reporter)?;
                }
                _ = report.tick() => self.tell_progress(reporter),
                outcome = batch(&mut self.net, &mut self.device, self.clock, options.simulated_loss, reporter) => {
                    match outcome.map_err(|e| self.broken(&e))?.map_err(device_error)? {
                        Outcome::Going => {}
                        Outcome::Installed if options.once => return Ok(End::Installed),
                        Outcome::AlreadyInstalled if options.once => return Ok(End::AlreadyInstalled),
                        Outcome::Installed | Outcome::AlreadyInstalled => self.heard_installed = true,
                    }
                }
            }
        }
    }

    /// Keeps what was received, and says how it ended.
    fn finish(mut self, end: End, options: Options, reporter: &mut Reporter) -> Result<(), CommandError> {
        let chunks = self.device.chunks();
        self.device.flush().map_err(device_error)?;
        let goes_on = "the next start goes on from here";
        let (reason, is_done) = match end {
            End::Installed => ("done", true),
            End::AlreadyInstalled => ("already installed: the release on the air is the installed one", true),
            End::Interrupt => ("interrupted", false),
            End::Terminate => ("terminated", !options.once && chunks.is_none()),
            End::Timeout => ("not done within the timeout", false),
        };
        reporter.tell(&Event::Stopped { reason: reason.into(), chunks, traffic: self.traffic() });
        if is_done {
            return Ok(());
        }
        Err(match chunks {
            Some(chunks) => CommandError::failed(format!("{reason} with {chunks} received; {goes_on}")),
            None => CommandError::failed(format!("{reason} before a release could be installed")),
        })
    }

    /// Keeps what can still be kept.
    fn fail(mut self, error: CommandError, reporter: &mut Reporter) -> CommandError {
        // If the storage is what failed, the error says so already.
        let _ = self.device.flush();
        let chunks = self.device.chunks();
        reporter.tell(&Event::Stopped { reason: error.to_string(), chunks, traffic: self.traffic() });
        error
    }

    fn tell_ready(&self, config: &Config, reporter: &mut Reporter) {
        let receive_buffer = self.net.granted_buffer().unwrap_or_default();
        reporter.tell(&Event::Ready {
            groups: config.groups.iter().map(ToString::to_string).collect(),
            interface: self.interface.name().to_owned(),
            receive_buffer,
            installed: self.device.record().installed.as_ref().map(Into::into),
        });
        if receive_buffer < config.receive_buffer {
            let reason = format!(
                "the kernel grants a receive buffer of {receive_buffer} octets of {}; at high rates packets will be lost: \
                 raise net.core.rmem_max, or set receive-buffer lower to be told no more",
                config.receive_buffer
            );
            reporter.tell(&Event::Warning { code: "receive-buffer", reason });
        }
    }

    fn tell_progress(&self, reporter: &mut Reporter) {
        let Some(chunks) = self.device.chunks() else { return };
        reporter.tell(&Event::Progress(Progress { chunks, traffic: self.traffic() }));
    }

    fn traffic(&self) -> Traffic {
        let counters = self.device.counters();
        Traffic {
            loss: self.device.loss(),
            datagrams: counters.datagrams,
            verified_chunks: counters.chunks,
            verified_pages: counters.pages,
            duplicates: counters.duplicates,
            staged: counters.staged,
            dropped: counters.dropped().collect(),
            kernel_drops: self.net.dropped().unwrap_or_default(),
            overlong: self.net.overlong(),
        }
    }

    fn look_for_stall(&mut self, reporter: &mut Reporter) -> Result<(), CommandError> {
        let is_waiting = self.device.chunks().is_some() || !self.heard_installed;
        let Some((seconds, reason)) = self.watch.look(self.clock.now(), self.device.counters(), is_waiting) else {
            return Ok(());
        };
        // A socket does not say that its interface is gone; it hears nothing any more, even if one of that name returns.
        if !Interface::find(self.interface.name()).is_ok_and(|found| found.index() == self.interface.index()) {
            return Err(self.broken(&io::Error::other("the interface is gone")));
        }
        reporter.tell(&Event::Stalled { seconds, reason });
        Ok(())
    }

    fn broken(&self, error: &io::Error) -> CommandError {
        CommandError::failed(format!("cannot receive on interface {}: {error}", self.interface.name()))
            .hint("bring the interface up and start again; what was received is kept")
    }
}

/// Takes one batch from a socket and feeds it to the device.
async fn batch(
    net: &mut Receiver,
    device: &mut Device<RealFs, FileBackend<RealFs>>,
    clock: Clock,
    simulated_loss: u8,
    reporter: &mut Reporter,
) -> io::Result<Result<Outcome, DeviceError>> {
    let mut result = Ok(Outcome::Going);
    let now = clock.now();
    net.receive(|from, datagram| {
        // What ends a run leaves the rest of the batch behind.
        let is_kept = simulated_loss == 0 || fastrand::u8(..100) >= simulated_loss;
        if is_kept && matches!(result, Ok(Outcome::Going)) {
            result = device.handle(now, source_number(from), datagram, &mut |event| reporter.tell(&event));
        }
    })
    .await?;
    Ok(result)
}

/// A sender's number: of its address without the port, so that more ports do not get it a larger share of the buffer of
/// waiting packets \[T-11\].
fn source_number(from: SocketAddr) -> u64 {
    match from.ip() {
        IpAddr::V4(v4) => u32::from(v4).into(),
        IpAddr::V6(v6) => {
            let mut hasher = DefaultHasher::new();
            v6.hash(&mut hasher);
            hasher.finish()
        }
    }
}

fn random_seed() -> Result<u64, CommandError> {
    getrandom::u64().map_err(|e| CommandError::failed(format!("the system gives no random numbers: {e}")))
}

fn join(config: &Config) -> Result<(Receiver, Interface), CommandError> {
    let interface = Interface::find(&config.interface).map_err(CommandError::failed)?;
    let membership = |group: &SocketAddr| Membership {
        group: group.ip(),
        port: group.port(),
        source: config.source,
        interface: interface.clone(),
    };
    let memberships: Vec<_> = config.groups.iter().map(membership).collect();
    let options =
        ReceiveOptions { buffer: config.receive_buffer, max_datagram: config.max_packet, ..ReceiveOptions::default() };
    let net = Receiver::join(&memberships, &options).map_err(|error| {
        let is_down = matches!(&error, JoinError::Socket { source, .. } if source.kind() == io::ErrorKind::NotFound);
        CommandError::failed(error)
            .hint_if(is_down.then_some("the interface is gone or has no multicast; see `ip link`"))
    })?;
    Ok((net, interface))
}

fn device_error(error: DeviceError) -> CommandError {
    CommandError::failed(error)
}
