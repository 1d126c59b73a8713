//! `run` with a file: several streams, each with a thread that sends and, if it follows a channel, one that follows.
//!
//! The threads share the cache, and where they tell how it goes. If one stream breaks off all end, and with them the process: whoever started it starts it
//! again.

use std::path::Path;
use std::pin::pin;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use fleetcast_cli::{CommandError, Lines, Service};
use fleetcast_net::{Interface, SendOptions, Sender};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch as signal};

use super::course::{Course, ready};
use super::{broken_off, not_opened, stop_signal};
use crate::carousel::Phase;
use crate::commands::release::told;
use crate::config::{Config, Stream, What};
use crate::driver::{self, Desk, Next, Plan};
use crate::follow::Follower;
use crate::follow::cache::Cache;
use crate::follow::notices::{Keeper, Origin};
use crate::notices::Notices;
use crate::notices::chain::Chain;
use crate::release::ReleaseFile;
use crate::report::{Event, StreamReporter};
use crate::source::Source;
use crate::watch::{Streams, Watch, WatchArgs};

/// How often a stream that has nothing to send looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(100);

/// Sends the streams of a file until a signal comes or one of them breaks off.
pub(super) fn run(config: &Path, json: bool, watch: &WatchArgs) -> Result<(), CommandError> {
    let Config { follow, temp_dir, streams } = Config::load(config)?;
    let place = |stream: &Stream| [stream.groups.base.to_string(), stream.interface.clone()];
    let seen = Watch::new(watch, Streams::of(streams.iter().map(|stream| (stream.name.clone(), place(stream)))))?;
    let seen = Arc::new(Mutex::new(seen));
    let json = json.then(|| Arc::new(Lines::new()));
    let following = streams.iter().filter(|stream| matches!(stream.what, What::Channel(_)));
    let following = following.map(|stream| stream.name.clone()).collect();
    let cache = follow.as_ref().map(|follow| Cache::open(&follow.cache, follow.cache_size, following));
    let cache = cache.transpose().map_err(CommandError::failed)?.map(Arc::new);
    let runtime = runtime()?;
    let stop = runtime.block_on(async { stop_signal() });
    let stop = stop.map_err(|e| CommandError::failed(format!("cannot watch for signals: {e}")))?;
    let (stopping, is_stopped) = signal::channel(false);
    let (ended, mut ends) = mpsc::unbounded_channel();
    let mut senders = Vec::new();
    for (number, mut stream) in streams.into_iter().enumerate() {
        let reporter = StreamReporter::new(stream.name.clone(), json.clone(), Arc::clone(&seen), number);
        let (to, sources) = channel();
        match (&stream.what, &follow, &cache) {
            (What::Channel(name), Some(follow), Some(cache)) => {
                let mut notices = stream.notices.take().unwrap_or_else(|| Notices::of(Chain::of(stream.trust.clone())));
                let origin = Origin {
                    stream: stream.name.clone(),
                    store: follow.store.clone(),
                    channel: name.clone(),
                    poll: follow.poll,
                    has_beacons: !notices.has_beacon_file(),
                    cache: Arc::clone(cache),
                    reporter: reporter.clone(),
                };
                let (to_notices, held) = channel();
                let keeper = Arc::new(Keeper::new(origin, notices.chain().clone(), to_notices));
                notices.follow(held);
                stream.notices = Some(notices);
                let follower = Follower {
                    stream: stream.name.clone(),
                    store: follow.store.clone(),
                    channel: name.clone(),
                    keeper: Arc::clone(&keeper),
                    cache: Arc::clone(cache),
                    temp_dir: temp_dir.clone(),
                    poll: follow.poll,
                    reporter: reporter.clone(),
                };
                let stop = is_stopped.clone();
                // They may be in the middle of something long at the end, and are not waited for.
                thread::spawn(move || follower.run(&to, &stop));
                let stop = is_stopped.clone();
                thread::spawn(move || keeper.run(&stop));
            }
            (What::Release(path, images), ..) => {
                let release = ReleaseFile::open(path, Some(&stream.trust)).map_err(|error| told(error.into()))?;
                let source = Source::open(release, images, &temp_dir, &mut |_| {}).map_err(told)?;
                // It is received below, so nobody has gone.
                let _ = to.send(source);
            }
            // The settings have both, or no stream with a channel.
            (What::Channel(_), ..) => {}
        }
        let (stop, ended) = (is_stopped.clone(), ended.clone());
        senders.push(thread::spawn(move || {
            // Nobody waits for it once another stream has broken off.
            let _ = ended.send(send(stream, sources, &reporter, stop));
        }));
    }
    drop(ended);
    let service = Service::of_environment();
    service.ready();
    let result = runtime.block_on(async {
        let mut second = tokio::time::interval(Duration::from_secs(1));
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return Ok(()),
                ended = ends.recv() => return ended.unwrap_or(Ok(())),
                _ = second.tick() => {
                    // Not while the lock is held, which streams wait for: a service manager may be slow.
                    if let Some(status) = beat(&seen) {
                        service.turns(status);
                    }
                }
            }
        }
    });
    service.stopping();
    // They have receivers, which are here.
    let _ = stopping.send(true);
    for sender in senders {
        // A thread that panicked has said so.
        let _ = sender.join();
    }
    result
}

/// Shows that all streams go on, and how; `None` if one does not.
fn beat(seen: &Mutex<Watch<Streams>>) -> Option<String> {
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    if !seen.state().all_turn() {
        return None;
    }
    seen.beat();
    Some(seen.state().to_string())
}

fn runtime() -> Result<Runtime, CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|e| CommandError::failed(format!("cannot start: {e}")))
}

/// Sends one stream, as soon as there is something to send, until it is to stop.
fn send(
    mut stream: Stream,
    sources: Receiver<Source>,
    reporter: &StreamReporter,
    mut stop: signal::Receiver<bool>,
) -> Result<(), CommandError> {
    let name = stream.name.clone();
    let named = |error: CommandError| error.within(format_args!("stream {name}"));
    let runtime = runtime()?;
    let (mut sender, desk) = runtime.block_on(async { open(&stream) }).map_err(&named)?;
    let Some(source) = first(&sources, &stop) else { return Ok(()) };
    if let Some(notices) = &mut stream.notices {
        notices.begin();
    }
    let mut event = ready(&source, &sender, &stream.groups, stream.pace, stream.notices.as_ref(), desk.as_ref());
    event.interface.clone_from(&stream.interface);
    reporter.tell(&Event::Ready(event));
    if let Some(notices) = &mut stream.notices {
        for concern in notices.concerns(source.release(), driver::unix_now()) {
            reporter.tell(&concern);
        }
    }
    let course = Course {
        layers: stream.groups.layers,
        pace: stream.pace,
        share: stream.share,
        phase: Phase(getrandom::u32().unwrap_or_default()),
    };
    let no_length = || CommandError::failed("at this rate a cycle has no length for `sender`");
    let mut carousel = course.carousel(source).ok_or_else(no_length).map_err(&named)?;
    let next = Next { sources, carousel: Box::new(move |source| course.carousel(source)) };
    let plan = Plan { pace: stream.pace, cycles: None, desk, notices: stream.notices.take(), next: Some(next) };
    let stopped = async move {
        // It ends with what it receives from: then all is to stop too.
        let _ = stop.wait_for(|&stop| stop).await;
    };
    let mut tell = |event: &_| reporter.tell(event);
    let end = runtime.block_on(driver::run(&mut carousel, &mut sender, plan, stopped, &mut tell));
    end.map(drop).map_err(|error| named(broken_off(error)))
}

/// The first release to be sent; `None` if it is to stop before there is one.
fn first(sources: &Receiver<Source>, stop: &signal::Receiver<bool>) -> Option<Source> {
    while !*stop.borrow() {
        match sources.recv_timeout(LOOK) {
            Ok(source) => return Some(source),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return None,
        }
    }
    None
}

/// What sends, and where requests come to, if they are wanted.
fn open(stream: &Stream) -> Result<(Sender, Option<Desk>), CommandError> {
    let interface = Interface::find(&stream.interface).map_err(CommandError::failed)?;
    let options = SendOptions {
        hops: stream.hops,
        dscp: stream.dscp,
        source_port: stream.source_port,
        upper_groups: stream.groups.upper.clone(),
        ..SendOptions::new(stream.groups.base, interface)
    };
    let sender = Sender::open(&options).map_err(not_opened)?;
    let desk = stream.nack.map(|nack| nack.open(sender.interface())).transpose()?;
    Ok((sender, desk))
}
