//! Joins, and hears for a while.

use std::cell::RefCell;
use std::future::{Future as _, poll_fn};
use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::task::Poll;
use std::time::{Duration, Instant};

use fleetcast_cli::CommandError;
use fleetcast_net::{Interface, JoinError, Membership, ReceiveOptions, Receiver};
use indicatif::ProgressBar;
use tokio::signal::unix::{SignalKind, signal};

use super::frame::Datagram;
use super::{Dump, PacketLine, Report};
use crate::config::Look;
use crate::{discovery, ledger};

/// Octets of the longest datagram that is taken: what fits a jumbo frame.
const MAX_PACKET: usize = 8972;
/// Time between two looks at how it goes.
const PROGRESS: Duration = Duration::from_millis(500);

/// Joins the groups, hears for `time` or until it is interrupted, and reports. Once it has joined, the process can open
/// nothing any more.
///
/// # Errors
///
/// [`CommandError`] if a group cannot be joined or heard, and what `tell` says.
///
/// # Panics
///
/// Outside a tokio runtime with I/O and time enabled.
pub(crate) async fn listen(
    look: Look,
    time: Duration,
    tell: &mut dyn FnMut(&PacketLine) -> Result<(), CommandError>,
) -> Result<Report, CommandError> {
    let mut feeds = look.feeds;
    if let Some(discover) = &look.discover {
        let (mut priorities, _) = discovery::ask(discover).await.map_err(CommandError::failed)?;
        if !priorities.is_empty() {
            feeds = discovery::beside(&feeds, priorities.swap_remove(0));
        }
    }
    let interfaces = look.interfaces.iter().map(|name| Interface::find(name)).collect::<Result<Vec<_>, _>>();
    let interfaces = interfaces.map_err(CommandError::failed)?;
    let layers = feeds.iter().flat_map(|feed| (0..feed.layers).filter_map(|layer| feed.layer(layer)));
    let mut groups: Vec<(SocketAddr, Vec<Membership>)> = Vec::new();
    for feed in layers {
        let memberships = interfaces.iter().flat_map(|interface| feed.memberships(interface));
        match groups.iter_mut().find(|(group, _)| *group == feed.group) {
            Some((_, known)) => known.extend(memberships),
            None => groups.push((feed.group, memberships.collect())),
        }
    }
    if groups.is_empty() {
        return Err(CommandError::failed("there is nothing to join: the domain has no sender"));
    }
    // One receiver for each group, as it does not say to which a datagram came.
    let options = ReceiveOptions { buffer: look.receive_buffer, max_datagram: MAX_PACKET, gro: false };
    let join =
        |(group, memberships): &(SocketAddr, Vec<Membership>)| Ok((*group, Receiver::join(memberships, &options)?));
    let receivers = groups.iter().map(join).collect::<Result<Vec<_>, JoinError>>();
    let mut receivers = receivers.map_err(CommandError::failed)?;
    let failed = |e| CommandError::failed(format!("cannot wait for signals: {e}"));
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    super::confine();

    let state = RefCell::new(State {
        dump: Dump::new(look.trust, groups.into_iter().map(|(group, _)| group).collect()),
        tell,
        began: (ledger::unix() * 1_000_000, Instant::now()),
    });
    let bar = if std::io::stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    let mut progress = tokio::time::interval(PROGRESS);
    let end = tokio::time::sleep(time);
    tokio::pin!(end);
    {
        let each = receivers.iter_mut().map(|(group, receiver)| Box::pin(hear(&state, *group, receiver)));
        let mut each: Vec<_> = each.collect();
        let mut all = std::pin::pin!(poll_fn(|cx| {
            // Each is the first in turn: a group that is flooded keeps the others from nothing.
            each.rotate_left(1);
            let ended = each.iter_mut().find_map(|one| match one.as_mut().poll(cx) {
                Poll::Ready(error) => Some(error),
                Poll::Pending => None,
            });
            ended.map_or(Poll::Pending, Poll::Ready)
        }));
        loop {
            tokio::select! {
                biased;
                () = &mut end => break,
                _ = interrupt.recv() => break,
                _ = terminate.recv() => break,
                error = &mut all => return Err(error),
                _ = progress.tick() => {
                    let dump = &state.borrow().dump;
                    let packets: u64 = dump.flows.iter().map(|flow| flow.span.packets).sum();
                    let (senders, sessions) = (dump.flows.len(), dump.judge.sessions.len());
                    bar.set_message(format!("{packets} packets, {senders} senders, {sessions} sessions"));
                    bar.tick();
                }
            }
        }
    }
    bar.finish_and_clear();
    let dropped = receivers.iter().map(|(_, receiver)| receiver.dropped().unwrap_or_default()).sum();
    let overlong: u64 = receivers.iter().map(|(_, receiver)| receiver.overlong()).sum();
    let mut dump = state.into_inner().dump;
    dump.others.datagrams += overlong;
    dump.others.kernel_drops = dropped;
    Ok(dump.report())
}

/// What the receivers share.
struct State<'a> {
    dump: Dump,
    tell: &'a mut dyn FnMut(&PacketLine) -> Result<(), CommandError>,
    /// Microseconds of Unix time, and when that was.
    began: (u64, Instant),
}

/// Hears a group for as long as it goes well.
async fn hear(state: &RefCell<State<'_>>, group: SocketAddr, receiver: &mut Receiver) -> CommandError {
    loop {
        let mut told = Ok(());
        let heard = receiver.receive(|source, payload| {
            let State { dump, tell, began: (unix, began) } = &mut *state.borrow_mut();
            dump.now = unix.saturating_add(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX));
            let line = dump.take(Datagram { source, group, octets: payload.len(), payload });
            if let (Some(line), Ok(())) = (line, &told) {
                told = tell(&line);
            }
        });
        if let Err(error) = heard.await {
            return CommandError::failed(format!("cannot receive from {group}: {error}"));
        }
        if let Err(error) = told {
            return error;
        }
    }
}
