//! HTML documents that stand alone: one file without scripts that fetches nothing, with one look for all programs.

use std::time::Duration;

use maud::{DOCTYPE, PreEscaped};
pub use maud::{Markup, html};

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
