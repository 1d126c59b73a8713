//! Tells events to people or programs: a bar on a terminal, JSON lines, or plain lines.

use std::cell::OnceCell;
use std::collections::{BTreeMap, VecDeque};
use std::io::IsTerminal as _;
use std::time::Instant;

use fleetcast_cli::{Lines, Service, journal, tell, warn};
use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::events::{Chunks, Event, Line, Progress};
use crate::ledger::Ledger;
use crate::page::Notes;
use crate::repair::Counts;

/// Kinds of events whose count begins at 0; that of others begins with the first.
const COUNTED: [&str; 8] =
    ["alarm", "refused", "given-up", "abandoned", "installed", "readback-mismatch", "stalled", "warning"];

/// Refusals and alarms that are remembered, so that each is told once.
const REMEMBERED: usize = 64;

const BAR: &str = "{bar:28} {percent:>3} %  {pos}/{len} chunks  {msg}";

/// Where events go.
#[derive(Debug)]
pub struct Reporter {
    form: Form,
    /// Octets of a chunk, on average.
    chunk: f64,
    last: Option<(Instant, u64)>,
    /// The newest refusals and alarms. Anyone can make more statements of one genuine payload by adding signatures, and
    /// each comes here anew.
    told: VecDeque<Event>,
    /// How many were told of each kind.
    pub(crate) counts: BTreeMap<&'static str, u64>,
    service: Service,
    pub(crate) ledger: Ledger,
    pub(crate) notes: Notes,
}

#[derive(Debug)]
enum Form {
    /// A line of JSON each, on stdout. The thread that writes them starts with the first, so that it is confined like the one
    /// that tells them.
    Json(OnceCell<Lines>),
    /// Lines for people, with a bar below while a release is received.
    Bar(ProgressBar),
    /// Lines for people, on stderr or in the journal, without progress.
    Plain,
}

impl Reporter {
    /// JSON if asked for, else a bar if stderr is a terminal, else plain lines.
    #[must_use]
    pub fn new(json: bool) -> Self {
        let form = if json {
            Form::Json(OnceCell::new())
        } else if std::io::stderr().is_terminal() && !journal::is_open() {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
            // The template is a constant; without it the bar has its default form.
            if let Ok(style) = ProgressStyle::with_template(BAR) {
                bar.set_style(style.progress_chars("=> "));
            }
            Form::Bar(bar)
        } else {
            Form::Plain
        };
        Self::with(form)
    }

    fn with(form: Form) -> Self {
        let (told, counts) = (VecDeque::new(), COUNTED.map(|kind| (kind, 0)).into());
        let (service, ledger, notes) = (Service::of_environment(), Ledger::default(), Notes::default());
        Self { form, chunk: 0.0, last: None, told, counts, service, ledger, notes }
    }

    /// Tells an event. As JSON it never waits long for its reader: progress is dropped if too much waits already.
    #[expect(clippy::cast_precision_loss, reason = "for show")]
    pub fn tell(&mut self, event: &Event) {
        if self.is_repeated(event) {
            return;
        }
        self.ledger.note(event);
        self.notes.note(event);
        *self.counts.entry(event.kind()).or_default() += 1;
        match event {
            Event::Ready { .. } => self.service.ready(),
            Event::Stopped { .. } => self.service.stopping(),
            _ => {}
        }
        if let Event::Begin { needed, octets, .. } = event {
            self.chunk = *octets as f64 / (*needed).max(1) as f64;
            self.last = None;
        }
        match &self.form {
            Form::Json(lines) => match serde_json::to_string(&Line::from(event)) {
                Ok(line) if matches!(event, Event::Progress(_)) => lines.get_or_init(Lines::new).offer(line),
                Ok(line) => lines.get_or_init(Lines::new).send(line),
                Err(error) => warn(format_args!("cannot tell an event: {error}")),
            },
            Form::Plain => say(event),
            Form::Bar(bar) => match event {
                Event::Progress(progress) => {
                    let mut message = speed(&mut self.last, Instant::now(), self.chunk, progress);
                    if let Some(Counts { octets: octets @ 1.., .. }) = progress.traffic.repair {
                        message = format!("{message}  fetched {}", HumanBytes(octets));
                    }
                    bar.set_message(message);
                    bar.set_position(progress.chunks.have);
                }
                _ => bar.suspend(|| say(event)),
            },
        }
        if let Form::Bar(bar) = &self.form {
            match event {
                Event::Begin { needed, .. } => {
                    bar.set_length(*needed);
                    bar.reset();
                    bar.set_draw_target(ProgressDrawTarget::stderr());
                }
                Event::Resumed(chunks) | Event::Complete(chunks) => bar.set_position(chunks.have),
                Event::Installed { .. } | Event::OnTrial { .. } | Event::Abandoned { .. } | Event::Stopped { .. } => {
                    bar.finish_and_clear();
                    bar.set_draw_target(ProgressDrawTarget::hidden());
                }
                _ => {}
            }
        }
    }

    /// Tells the service manager that the loop turns, and how far what is being received is; to be called about once a second.
    pub(crate) fn turns(&self, chunks: Option<Chunks>) {
        match chunks {
            Some(chunks) => self.service.turns(format_args!("receiving: {chunks}")),
            None => self.service.turns("waiting for a release"),
        }
    }

    fn is_repeated(&mut self, event: &Event) -> bool {
        if !matches!(event, Event::Refused { .. } | Event::Alarm { .. }) {
            return false;
        }
        let is_repeated = self.told.contains(event);
        if !is_repeated {
            self.told.truncate(REMEMBERED - 1);
            self.told.push_front(event.clone());
        }
        is_repeated
    }
}

/// Tells an event as a line for people, if it is one.
fn say(event: &Event) {
    // On stderr the program's error says it.
    let is_said = matches!(event, Event::Stopped { ok: false, .. }) && !journal::is_open();
    if let Some(priority) = event.priority().filter(|_| !is_said) {
        tell(priority, || serde_json::to_string(&Line::from(event)).unwrap_or_default(), event);
    }
}

/// `1.2 MiB/s  loss 3.1 %  2:05 left`
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "for show")]
fn speed(last: &mut Option<(Instant, u64)>, now: Instant, chunk: f64, progress: &Progress) -> String {
    let have = progress.chunks.have;
    let loss = progress.traffic.loss * 100.0;
    let Some((then, before)) = last.replace((now, have)) else { return format!("loss {loss:.1} %") };
    let seconds = now.duration_since(then).as_secs_f64().max(1e-3);
    let rate = have.saturating_sub(before) as f64 / seconds;
    let octets = HumanBytes((rate * chunk) as u64);
    if rate < 1e-3 {
        return format!("{octets}/s  loss {loss:.1} %");
    }
    let left = (progress.chunks.needed.saturating_sub(have) as f64 / rate) as u64;
    format!("{octets}/s  loss {loss:.1} %  {}:{:02} left", left / 60, left % 60)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::events::Traffic;

    #[test]
    fn each_refusal_is_told_once_and_few_are_remembered() {
        let mut reporter = Reporter::with(Form::Plain);
        let refused = |sequence| Event::Refused { sequence, code: "rollback", reason: "below 7".into() };
        assert!(!reporter.is_repeated(&refused(1)) && reporter.is_repeated(&refused(1)));
        assert!((2..1000).all(|sequence| !reporter.is_repeated(&refused(sequence))));
        assert!(reporter.told.len() == REMEMBERED && reporter.is_repeated(&refused(999)));
        let warning = Event::Warning { code: "x", reason: "y".into() };
        assert!(!reporter.is_repeated(&warning) && !reporter.is_repeated(&warning));
    }

    #[test]
    fn rate_and_time_left_follow_from_the_last_interval() {
        let progress = |have| Progress {
            chunks: Chunks { have, needed: 2000 },
            traffic: Traffic { loss: 0.031, ..Traffic::default() },
        };
        let (mut last, start) = (None, Instant::now());
        assert_eq!(speed(&mut last, start, 1024.0, &progress(500)), "loss 3.1 %");
        let later = start + Duration::from_secs(10);
        let text = speed(&mut last, later, 1024.0, &progress(1000));
        assert_eq!(text, "50.00 KiB/s  loss 3.1 %  0:20 left");
        assert_eq!(speed(&mut last, later, 1024.0, &progress(1000)), "0 B/s  loss 3.1 %");
    }
}
