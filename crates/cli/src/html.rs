//! HTML documents that stand alone: one file without scripts that fetches nothing, with one look for all programs.
//!
//! [`document`] is the frame of all; [`status()`] that of pages which a program renews while it runs. The parts of both are
//! [`facts`], [`figures`], [`progress`], [`notices`], and a [`Chart`] of a [`History`].

mod chart;
mod status;

use std::time::Duration;

pub use chart::{Chart, History};
pub use status::{Notice, State, Tone, notices, page, status};

use maud::{DOCTYPE, PreEscaped};
pub use maud::{Markup, html};

use crate::clock;

/// What a browser may do with a document: nothing but show it in its own style. A text that got in unescaped could not act.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// A whole document, which a browser loads anew after `refresh`, a second at least.
#[must_use]
pub fn document(title: &str, refresh: Option<Duration>, body: &Markup) -> String {
    let style = PreEscaped(include_str!("html/style.css"));
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                @if let Some(time) = refresh { meta http-equiv="refresh" content=(time.as_secs().max(1)); }
                meta name="viewport" content="width=device-width";
                title { (title) }
                style { (style) }
            }
            body {
                main {
                    h1 { (title) }
                    (body)
                }
            }
        }
    };
    document.into_string()
}

/// Names and what they are.
#[must_use]
pub fn facts(rows: &[(&str, Markup)]) -> Markup {
    html! {
        dl {
            @for (name, value) in rows {
                dt { (name) }
                dd { (value) }
            }
        }
    }
}

/// What matters most: names, values, and what is to be said of these.
#[must_use]
pub fn figures(figures: &[(&str, Markup, Markup)]) -> Markup {
    html! {
        dl.figures {
            @for (name, value, about) in figures {
                div {
                    dt { (name) }
                    dd { strong { (value) } span { (about) } }
                }
            }
        }
    }
}

/// How much of something is done, 0.0 to 1.0, as a bar and in words.
#[must_use]
pub fn progress(what: &str, part: f64) -> Markup {
    html! {
        div.progress {
            progress aria-label=(what) value={ (format_args!("{part:.4}")) } max="1" {}
            span { (percent(part)) }
        }
    }
}

/// `3.1 %`, of a part of 1.
#[must_use]
pub fn percent(part: f64) -> String {
    format!("{:.1} %", part * 100.0)
}

/// A moment of Unix time.
#[must_use]
pub fn moment(unix: u64) -> Markup {
    let text = clock::utc(unix);
    html! { time datetime={ (text.replace(' ', "T")) "Z" } { (text) " UTC" } }
}

/// `1:02:03` or `2:03`, of seconds.
#[must_use]
pub fn span(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stranger_wrote_stays_text() {
        let hostile = "<script>alert(1)</script>\"&'";
        let text = document(hostile, None, &facts(&[("Version", html! { (hostile) })]));
        assert_eq!(text.matches("&lt;script&gt;alert(1)&lt;/script&gt;").count(), 3);
        assert!(!text.contains("<script"));
    }

    #[test]
    fn a_document_is_loaded_anew_only_if_it_is_to_be_and_never_without_a_pause() {
        assert!(!document("x", None, &html! {}).contains("refresh"));
        assert!(document("x", Some(Duration::ZERO), &html! {}).contains("http-equiv=\"refresh\" content=\"1\""));
    }
}
