//! Tells events to people or programs: a bar on a terminal, JSON lines, or plain lines.

use std::io::IsTerminal as _;
use std::time::Instant;

use fleetcast_cli::{note, out_json, warn};
use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::events::{Event, Line, Progress};

const BAR: &str = "{bar:28} {percent:>3} %  {pos}/{len} chunks  {msg}";

/// Where events go.
#[derive(Debug)]
pub struct Reporter {
    form: Form,
    /// Octets of a chunk, on average.
    chunk: f64,
    last: Option<(Instant, u64)>,
    is_broken: bool,
}

#[derive(Debug)]
enum Form {
    /// A line of JSON each, on stdout.
    Json,
    /// Lines on stderr, with a bar below while a release is received.
    Bar(ProgressBar),
    /// Lines on stderr, without progress.
    Plain,
}

impl Reporter {
    /// JSON if asked for, else a bar if stderr is a terminal, else plain lines.
    #[must_use]
    pub fn new(json: bool) -> Self {
        let form = if json {
            Form::Json
        } else if std::io::stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
            // The template is a constant; without it the bar has its default form.
            if let Ok(style) = ProgressStyle::with_template(BAR) {
                bar.set_style(style.progress_chars("=> "));
            }
            Form::Bar(bar)
        } else {
            Form::Plain
        };
        Self { form, chunk: 0.0, last: None, is_broken: false }
    }

    /// Tells an event.
    #[expect(clippy::cast_precision_loss, reason = "for show")]
    pub fn tell(&mut self, event: &Event) {
        if let Event::Begin { needed, octets, .. } = event {
            self.chunk = *octets as f64 / (*needed).max(1) as f64;
            self.last = None;
        }
        match &self.form {
            Form::Json => {
                if let Err(error) = out_json(&Line::from(event))
                    && !std::mem::replace(&mut self.is_broken, true)
                {
                    warn(format_args!("{error}; the update goes on"));
                }
            }
            Form::Plain => {
                if !matches!(event, Event::Progress(_)) {
                    say(event);
                }
            }
            Form::Bar(bar) => match event {
                Event::Progress(progress) => {
                    let message = speed(&mut self.last, Instant::now(), self.chunk, progress);
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
                Event::Installed { .. } | Event::Stopped { .. } => {
                    bar.finish_and_clear();
                    bar.set_draw_target(ProgressDrawTarget::hidden());
                }
                _ => {}
            }
        }
    }
}

fn say(event: &Event) {
    match event {
        Event::Alarm { .. }
        | Event::Warning { .. }
        | Event::Stalled { .. }
        | Event::Refused { .. }
        | Event::ReadbackMismatch { .. } => warn(event),
        _ => note(event),
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
    use crate::events::{Chunks, Traffic};

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
