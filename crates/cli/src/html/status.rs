//! Pages that tell how a program is doing: it renews them while it runs, and a browser loads them anew.

use std::path::PathBuf;
use std::time::Duration;

use super::{Markup, document, html, moment};
use crate::{Renewed, clock};

/// Time between two writes of a page, and between two looks of a browser.
const RENEWAL: Duration = Duration::from_secs(2);

/// A page in this file. Who renews it asks each second, and may be early by a little.
///
/// # Panics
///
/// If the system gives no thread.
#[must_use]
pub fn page(path: PathBuf) -> Renewed {
    Renewed::new(path, RENEWAL.saturating_sub(Duration::from_millis(500)))
}

/// How good something is, the worse the greater. Words say it too: a colour alone says nothing to many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tone {
    /// Of no matter, or over.
    Quiet,
    /// As it should be.
    Good,
    /// Under way.
    Busy,
    /// Somebody should look at it.
    Warn,
    /// Something is wrong.
    Bad,
}

impl Tone {
    /// The class of the style.
    #[must_use]
    pub const fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Busy => "busy",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Quiet => "quiet",
        }
    }
}

/// How something is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// How good that is.
    pub tone: Tone,
    /// A word or two.
    pub word: &'static str,
    /// A sentence about it.
    pub text: String,
}

impl State {
    /// A state of this tone and word, with a sentence about it.
    #[must_use]
    pub fn new(tone: Tone, word: &'static str, text: impl Into<String>) -> Self {
        Self { tone, word, text: text.into() }
    }

    /// The state, to be put first in what it is the state of.
    #[must_use]
    pub fn show(&self) -> Markup {
        html! {
            p.state.(self.tone.class()) { strong { (self.word) } " " span { (self.text) } }
        }
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Unix time in seconds.
    pub time: u64,
    /// How good it is.
    pub tone: Tone,
    /// The word for it.
    pub word: String,
    /// What happened.
    pub text: String,
}

/// What happened, in the order given.
#[must_use]
pub fn notices(list: &[Notice]) -> Markup {
    html! {
        @if list.is_empty() {
            p.quiet { "Nothing so far." }
        } @else {
            ol.notices {
                @for Notice { time, tone, word, text } in list {
                    li.(tone.class()) {
                        strong { (word) } " " (moment(*time))
                        p { (text) }
                    }
                }
            }
        }
    }
}

/// The page of a program, written now. While it runs the page is loaded anew again and again; one that has ended is over.
#[must_use]
pub fn status(title: &str, is_running: bool, started: u64, body: &Markup) -> String {
    let body = html! {
        p.written {
            strong { "As of " (moment(clock::unix())) } " "
            @if is_running {
                "Renewed every " (RENEWAL.as_secs()) " seconds. If this time falls behind, the program was killed or hangs, and nothing below is sure."
            } @else {
                "The program has ended: nothing below changes any more."
            }
            " Version " (env!("CARGO_PKG_VERSION")) ", started " (moment(started)) "."
        }
        (body)
    };
    document(title, is_running.then_some(RENEWAL), &body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_when_it_was_written_and_is_loaded_anew_until_its_program_has_ended() {
        let page = |is_running| status("x", is_running, 0, &html! {});
        assert!(page(true).contains("http-equiv=\"refresh\" content=\"2\"") && !page(true).contains("has ended"));
        assert!(!page(false).contains("refresh") && page(false).contains("has ended"));
        assert!(page(true).contains("As of <time datetime=\"20") && page(true).contains(" UTC</time>"));
    }

    #[test]
    fn what_a_stranger_wrote_into_a_notice_stays_text() {
        let word = "<b>".to_owned();
        let text = notices(&[Notice { time: 0, tone: Tone::Bad, word, text: "<script>".into() }]).into_string();
        assert!(text.contains("&lt;b&gt;") && text.contains("&lt;script&gt;"), "{text}");
        assert!(notices(&[]).into_string().contains("Nothing so far."));
    }
}
