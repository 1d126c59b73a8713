//! A value over time: a bounded memory of it, and its picture.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::time::Duration;

use super::{Markup, html};

/// Samples that are kept at most.
const CAPACITY: usize = 360;
/// Time that a sample stands for at first; each time that all are there it is doubled.
const FIRST: Duration = Duration::from_secs(1);
/// What is remembered: an hour.
const SPAN: Duration = Duration::from_hours(1);
/// Times that a chart can show.
const SPANS: [Duration; 6] = [
    Duration::from_mins(1),
    Duration::from_mins(2),
    Duration::from_mins(5),
    Duration::from_mins(10),
    Duration::from_mins(30),
    SPAN,
];
/// Size of the picture, in units of its own: it is stretched to its place.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 100.0;

/// What a value was in the last hour, more and more roughly: its memory does not grow.
#[derive(Clone, Debug)]
pub struct History {
    samples: VecDeque<Sample>,
    /// Time that a sample stands for.
    step: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    /// On any clock that only grows.
    at: Duration,
    sum: f64,
    /// Values that it is the sum of; 0 if there was none.
    count: u32,
}

/// How a history is shown.
#[derive(Clone, Copy, Debug)]
pub struct Chart<'a> {
    /// A word of its own in the document.
    pub id: &'a str,
    /// What it is.
    pub title: &'a str,
    /// Of which.
    pub history: &'a History,
    /// The least that the vertical axis reaches to.
    pub least: f64,
    /// Writes a value with its unit.
    pub show: fn(f64) -> String,
}

impl Default for History {
    fn default() -> Self {
        Self { samples: VecDeque::with_capacity(CAPACITY), step: FIRST }
    }
}

impl Sample {
    fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / f64::from(self.count))
    }

    fn add(&mut self, sum: f64, count: u32) {
        self.sum += sum;
        self.count += count;
    }
}

impl History {
    /// Takes the value of a moment, which is later than all before; `None` leaves a gap.
    pub fn note(&mut self, at: Duration, value: Option<f64>) {
        let value = value.filter(|value| value.is_finite());
        let (sum, count) = (value.unwrap_or_default(), u32::from(value.is_some()));
        if let Some(last) = self.samples.back_mut().filter(|last| at.saturating_sub(last.at) < self.step) {
            last.add(sum, count);
            return;
        }
        while self.samples.front().is_some_and(|first| at.saturating_sub(first.at) > SPAN) {
            self.samples.pop_front();
        }
        if self.samples.len() >= CAPACITY {
            self.halve();
        }
        self.samples.push_back(Sample { at, sum, count });
    }

    /// The newest value; `None` if there is none, or a gap.
    #[must_use]
    pub fn last(&self) -> Option<f64> {
        self.samples.back().and_then(Sample::mean)
    }

    fn halve(&mut self) {
        self.step *= 2;
        let old = std::mem::replace(&mut self.samples, VecDeque::with_capacity(CAPACITY));
        for (number, sample) in old.into_iter().enumerate() {
            match self.samples.back_mut() {
                Some(last) if number % 2 == 1 => last.add(sample.sum, sample.count),
                _ => self.samples.push_back(sample),
            }
        }
    }

    /// Values with their moments.
    fn values(&self) -> impl Iterator<Item = (Duration, Option<f64>)> {
        self.samples.iter().map(|sample| (sample.at, sample.mean()))
    }
}

impl Chart<'_> {
    /// The chart, with its newest value beside its title. It has no colours but those of the style, and tells in words what it shows.
    #[must_use]
    pub fn draw(&self) -> Markup {
        let Self { id, title, history, show, .. } = *self;
        let values: Vec<f64> = history.values().filter_map(|(_, value)| value).collect();
        let (low, high) =
            values.iter().fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(*value), high.max(*value)));
        let top = round_up(high.max(self.least));
        let (span, unit) = self.span();
        let [title_id, about_id] = ["title", "about"].map(|what| format!("{id}-{what}"));
        let (line, area) = self.paths(top, span);
        let last = history.last();
        html! {
            figure.chart {
                figcaption {
                    span { (title) }
                    strong { @match last { Some(last) => (show(last)), None => "–" } }
                }
                div.plot {
                    div.scale aria-hidden="true" {
                        @for part in [1.0, 0.5, 0.0] { span { (show(top * part)) } }
                    }
                    svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img"
                        aria-labelledby={ (title_id) " " (about_id) } {
                        title id=(title_id) { (title) " in the last " (unit) }
                        desc id=(about_id) {
                            @if values.is_empty() { "Nothing has been measured yet." }
                            @else {
                                "Between " (show(low)) " and " (show(high)) " in " (values.len()) " samples; "
                                @match last { Some(last) => { "the last is " (show(last)) "." }, None => "none at last." }
                            }
                        }
                        path.grid d={ "M0 0H" (WIDTH) "M0 " (HEIGHT / 2.0) "H" (WIDTH) "M0 " (HEIGHT) "H" (WIDTH) } {}
                        path.area d=(area) {}
                        path.line d=(line) data-points=(values.len()) {}
                    }
                    div.times aria-hidden="true" { span { (unit) " ago" } span { "now" } }
                }
            }
        }
    }

    /// The time shown, with words for it: the least that has all samples.
    fn span(&self) -> (Duration, String) {
        let samples = &self.history.samples;
        let age = samples
            .front()
            .zip(samples.back())
            .map_or(Duration::ZERO, |(first, last)| last.at.saturating_sub(first.at));
        let span = SPANS.into_iter().find(|span| *span >= age).unwrap_or(SPAN);
        (span, format!("{} min", span.as_secs() / 60))
    }

    /// The line, and what is below it. Where there is no value it is broken.
    fn paths(&self, top: f64, span: Duration) -> (String, String) {
        let (mut line, mut area) = (String::new(), String::new());
        let Some(now) = self.history.samples.back().map(|last| last.at) else { return (line, area) };
        let (mut is_begun, mut last_x) = (false, 0.0);
        for (at, value) in self.history.values() {
            let x = (1.0 - now.saturating_sub(at).as_secs_f64() / span.as_secs_f64()) * WIDTH;
            // Writing to a string does not fail.
            if let Some(value) = value {
                let y = (1.0 - value / top) * HEIGHT;
                if is_begun {
                    let _ = write!(line, "L{x:.1} {y:.1}");
                } else {
                    // A value alone is a dot.
                    let _ = write!(line, "M{x:.1} {y:.1}h0");
                    let _ = write!(area, "M{x:.1} {HEIGHT}");
                }
                let _ = write!(area, "L{x:.1} {y:.1}");
                last_x = x;
            } else if is_begun {
                let _ = write!(area, "L{last_x:.1} {HEIGHT}Z");
            }
            is_begun = value.is_some();
        }
        if is_begun {
            let _ = write!(area, "L{last_x:.1} {HEIGHT}Z");
        }
        (line, area)
    }
}

/// The next of 1, 2, 5, 10, 20, ... and their parts that is not less.
fn round_up(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(f64::MIN_POSITIVE).log10().floor());
    [1.0, 2.0, 5.0].map(|step| step * power).into_iter().find(|step| *step >= value).unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn percent(value: f64) -> String {
        format!("{value:.0} %")
    }

    #[test]
    fn an_hour_is_remembered_in_few_samples_whatever_comes() {
        let mut history = History::default();
        for second in 0..20_000_u32 {
            history.note(Duration::from_secs(second.into()), Some(f64::from(second)));
            assert!(history.samples.len() <= CAPACITY);
        }
        let age = Duration::from_secs(19_999).saturating_sub(history.samples[0].at);
        assert!(age > SPAN * 9 / 10 && age <= SPAN + history.step, "{age:?}");
        assert!(history.last().unwrap() > 19_980.0);
        // Each value counts once, and times grow.
        let times: Vec<_> = history.values().map(|(at, _)| at).collect();
        assert!(times.is_sorted() && times.len() > CAPACITY / 4, "{}", times.len());
        // A device that slept for a day has forgotten.
        history.note(Duration::from_secs(200_000), Some(1.0));
        assert_eq!(history.samples.len(), 1);
    }

    #[test]
    fn a_chart_tells_in_words_what_it_shows_and_breaks_its_line_where_nothing_is_known() {
        let mut history = History::default();
        let draw = |history: &History| {
            Chart { id: "loss", title: "Loss", history, least: 1.0, show: percent }.draw().into_string()
        };
        assert!(draw(&history).contains("Nothing has been measured yet."));
        for (second, value) in [(0, Some(10.0)), (1, Some(30.0)), (2, None), (3, Some(f64::NAN)), (4, Some(20.0))] {
            history.note(Duration::from_secs(second), value);
        }
        let text = draw(&history);
        assert!(text.contains("Between 10 % and 30 % in 3 samples; the last is 20 %."), "{text}");
        assert!(text.contains("<span>50 %</span><span>25 %</span><span>0 %</span>"), "{text}");
        let line = text.split("class=\"line\" d=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        assert_eq!(line, "M933.3 80.0h0L950.0 40.0M1000.0 60.0h0");
    }

    #[test]
    fn axes_end_at_round_numbers() {
        for (value, end) in [(0.3, 0.5), (1.0, 1.0), (1.1, 2.0), (30.0, 50.0), (7e6, 1e7), (2e6, 2e6)] {
            assert!((round_up(value) - end).abs() < end * 1e-9, "{value}");
        }
        assert!(round_up(0.0) >= 0.0);
    }
}
