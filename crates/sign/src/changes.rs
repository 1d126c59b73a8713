//! What differs between two documents, for people who review the later one.

use std::fmt;

use fleetcast_cli::html::{Markup, html};
use serde::Serialize;

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Of what.
    pub what: String,
    /// What it was; null if it was not there.
    pub before: Option<String>,
    /// What it is; null if it is not there.
    pub after: Option<String>,
}

/// All differences, in the order of the document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Changes(Vec<Change>);

impl Changes {
    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Notes a value, if it has changed.
    pub fn value<T: PartialEq>(&mut self, what: impl fmt::Display, (a, b): (&T, &T), show: impl Fn(&T) -> String) {
        if a != b {
            self.push(what, Some(show(a)), Some(show(b)));
        }
    }

    /// Notes what has come to a list and what has gone from it.
    pub fn list<T: PartialEq>(&mut self, what: impl fmt::Display, (a, b): (&[T], &[T]), show: impl Fn(&T) -> String) {
        for gone in a.iter().filter(|one| !b.contains(one)) {
            self.push(&what, Some(show(gone)), None);
        }
        for new in b.iter().filter(|one| !a.contains(one)) {
            self.push(&what, None, Some(show(new)));
        }
    }

    /// For a document: what, and below it what it was and is.
    fn list_of_all(&self) -> Markup {
        html! {
            dl class="changes" {
                @for Change { what, before, after } in &self.0 {
                    dt { (what) }
                    @if let Some(before) = before { dd { del { (before) } } }
                    @if let Some(after) = after { dd { ins { (after) } } }
                }
            }
        }
    }

    /// Notes a difference.
    pub fn push(&mut self, what: impl fmt::Display, before: Option<String>, after: Option<String>) {
        self.0.push(Change { what: what.to_string(), before, after });
    }
}

impl fmt::Display for Changes {
    /// One line each: `~ what: before -> after`, `- what: before`, `+ what: after`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|Change { what, before, after }| match (before, after) {
            (Some(before), Some(after)) => writeln!(f, "~ {what}: {before} -> {after}"),
            (Some(before), None) => writeln!(f, "- {what}: {before}"),
            (None, Some(after)) => writeln!(f, "+ {what}: {after}"),
            (None, None) => Ok(()),
        })
    }
}

/// What differs between two documents.
#[derive(Clone, Debug, Serialize)]
pub struct Diff {
    /// Nothing does.
    pub same: bool,
    /// What does.
    pub changes: Changes,
}

impl From<Changes> for Diff {
    fn from(changes: Changes) -> Self {
        Self { same: changes.is_empty(), changes }
    }
}

impl Diff {
    /// What differs, for a document.
    #[must_use]
    pub fn section(&self) -> Markup {
        html! {
            h2 { "Changes" }
            @if self.same { p { "Both say the same." } } @else { (self.changes.list_of_all()) }
        }
    }
}

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.same { writeln!(f, "both say the same") } else { write!(f, "{}", self.changes) }
    }
}
