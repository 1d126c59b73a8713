//! Documents for those who review a file: what was checked, then what the file says.

use std::path::Path;

pub use fleetcast_cli::html::Tone;
use fleetcast_cli::html::{Markup, document, html};
use fleetcast_core::trust::Root;
use indicatif::{BinaryBytes, HumanCount};

use crate::root::roles;

/// What can be shown as a document.
pub trait Sections {
    /// What it is, such as `Release 1.2.3`.
    fn title(&self) -> String;

    /// All there is to say of it. `signers` are those whose signatures were verified; `None` if nobody looked.
    fn sections(&self, signers: Option<&[Signer]>) -> Markup;
}

/// What stands above all else: the verdict, and what it rests on.
#[derive(Clone, Debug)]
pub struct Notice {
    tone: Tone,
    verdict: String,
    lines: Vec<(Tone, String)>,
    signers: Option<Vec<Signer>>,
    changes: Option<Markup>,
}

/// A key whose signature was verified.
#[derive(Clone, Debug)]
pub struct Signer {
    /// Its id, lower-case hexadecimal.
    key: String,
    /// What it may sign by the root that decided; nothing for keys alone.
    roles: Vec<String>,
}

impl Signer {
    fn new(key: &str, root: Option<&Root>) -> Self {
        let held = root.map(roles).unwrap_or_default().into_iter();
        let held = held.filter(|(_, keys)| keys.keys().iter().any(|held| held.key_id().to_string() == key));
        Self { key: key.into(), roles: held.map(|(role, _)| role.to_string()).collect() }
    }
}

impl Notice {
    /// A verdict, and the lines below it.
    #[must_use]
    pub fn new(tone: Tone, verdict: impl Into<String>, lines: Vec<(Tone, String)>) -> Self {
        Self { tone, verdict: verdict.into(), lines, signers: None, changes: None }
    }

    /// Nothing was checked.
    #[must_use]
    pub fn not_verified() -> Self {
        let why = "Anyone can make a file that says this: no signature, no page and no image was checked.";
        let then = "“fleetcast-sign verify --html” checks them, and makes this document with what it found.";
        Self::new(Tone::Bad, "NOT VERIFIED", vec![(Tone::Bad, why.into()), (Tone::Good, then.into())])
    }

    /// Names those whose signatures were verified.
    #[must_use]
    pub fn signed_by(self, keys: &[String], root: Option<&Root>) -> Self {
        Self { signers: Some(keys.iter().map(|key| Signer::new(key, root)).collect()), ..self }
    }

    /// Has what has changed shown before all else.
    #[must_use]
    pub fn changes(self, changes: Option<Markup>) -> Self {
        Self { changes, ..self }
    }

    fn show(&self) -> Markup {
        html! {
            section class={ "notice " (self.tone.class()) } aria-label="Verdict" {
                p class={ "verdict " (self.tone.class()) } { (self.verdict) }
                @for (tone, line) in &self.lines {
                    p class=[(*tone > Tone::Good).then_some(tone.class())] { (line) }
                }
            }
            @if let Some(changes) = &self.changes { (changes) }
        }
    }

    /// The whole document of what is in `file`.
    #[must_use]
    pub fn document(&self, file: &Path, shown: &impl Sections) -> String {
        whole(&shown.title(), &[file], &html! { (self.show()) (shown.sections(self.signers.as_deref())) })
    }

    /// A document of a file of which nothing is to be shown.
    #[must_use]
    pub fn alone(&self, title: &str, file: &Path) -> String {
        whole(title, &[file], &self.show())
    }
}

/// What differs between what two files say.
#[must_use]
pub fn changes_document(a: &Path, b: &Path, changes: &Markup) -> String {
    let title = format!("Changes from {} to {}", a.display(), b.display());
    whole(&title, &[a, b], &html! { (Notice::not_verified().show()) (changes) })
}

fn whole(title: &str, files: &[&Path], body: &Markup) -> String {
    let body = html! {
        (body)
        footer class="quiet" {
            "Made by fleetcast-sign " (env!("CARGO_PKG_VERSION")) " from "
            @for (number, file) in files.iter().enumerate() {
                @if number > 0 { " and " }
                code { (file.display()) }
            }
            ". Times are UTC."
        }
    };
    document(title, None, &body)
}

/// Octets, for people and exactly.
pub(crate) fn octets(count: u64) -> Markup {
    html! {
        @if count < 1024 { (count) " octets" } @else { (BinaryBytes(count)) span class="quiet" { " (" (HumanCount(count)) " octets)" } }
    }
}

/// Key ids, digests and the like, one below the other.
pub(crate) fn codes(texts: &[String]) -> Markup {
    html! { @for text in texts { div { code { (text) } } } }
}

/// A table that scrolls sideways where there is too little room.
pub(crate) fn wide(label: &str, table: &Markup) -> Markup {
    html! { div class="wide" role="region" aria-label=(label) tabindex="0" { (table) } }
}

/// Who has signed, as the signatures say and as was verified.
pub(crate) fn signatures(named: &[String], signers: Option<&[Signer]>) -> Markup {
    html! {
        h2 { "Signatures" }
        @if named.is_empty() {
            p { "Nobody has signed it." }
        } @else {
            table {
                thead { tr { th scope="col" { "Key" } th scope="col" { "Verified" } } }
                tbody {
                    @for key in named {
                        tr { td class="keys" { code { (key) } span class="quiet" { " Ed25519" } } (standing(key, signers)) }
                    }
                }
            }
        }
    }
}

fn standing(key: &str, signers: Option<&[Signer]>) -> Markup {
    let Some(signers) = signers else { return html! { td class="bad" { "no" } } };
    match signers.iter().find(|signer| signer.key == key) {
        Some(signer) if signer.roles.is_empty() => html! { td class="good" { "by a trusted key" } },
        Some(signer) => html! { td class="good" { "by " (signer.roles.join(", ")) } },
        None => html! { td class="warn" { "no: not a key that counts here" } },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Hostile(&'static str);

    impl Sections for Hostile {
        fn title(&self) -> String {
            format!("Release {}", self.0)
        }

        fn sections(&self, signers: Option<&[Signer]>) -> Markup {
            signatures(&[self.0.into()], signers)
        }
    }

    #[test]
    fn whatever_a_file_says_stays_text() {
        let hostile = "<script>alert(1)</script>";
        let notice =
            Notice::new(Tone::Bad, hostile, vec![(Tone::Bad, hostile.into())]).signed_by(&[hostile.into()], None);
        let document = notice.document(Path::new(hostile), &Hostile(hostile));
        assert_eq!(document.matches("&lt;script&gt;").count(), 6, "{document}");
        assert!(!document.contains("<script"), "{document}");
    }

    #[test]
    fn only_a_key_that_was_verified_is_said_to_be() {
        let named = ["aa".to_owned(), "bb".to_owned()];
        let notice = Notice::new(Tone::Good, "VERIFIED", Vec::new()).signed_by(&named[1..], None);
        let table = signatures(&named, notice.signers.as_deref()).into_string();
        assert!(table.contains("aa</code><span class=\"quiet\"> Ed25519</span></td><td class=\"warn\">no"), "{table}");
        assert!(table.contains("bb</code><span class=\"quiet\"> Ed25519</span></td><td class=\"good\">by"), "{table}");
        assert!(!signatures(&named, None).into_string().contains("good"));
    }
}
