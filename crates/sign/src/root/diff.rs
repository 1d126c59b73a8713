//! What a root changes.

use std::fmt;

use fleetcast_cli::html::{Markup, html};
use fleetcast_core::manifest::{Token, Uuid};
use fleetcast_core::trust::{Grant, PublicKey, Root, Trust, TrustedKeys};
use serde::Serialize;

use super::RootFile;
use crate::changes::{self, Changes};
use crate::time;

/// What differs between two roots.
#[derive(Clone, Debug, Serialize)]
pub struct Diff {
    /// What does; signatures do not count.
    #[serde(flatten)]
    pub says: changes::Diff,
    /// Whether floors of releases are void after the step; null if it is none from a signed root to the next.
    pub voids_floors: Option<bool>,
}

impl Diff {
    /// Compares two root files, signed or not.
    #[must_use]
    pub fn new(a: &RootFile, b: &RootFile) -> Self {
        let before = a.encode().ok().and_then(|statement| Trust::from_root(&statement).ok());
        let before = before.filter(|before| before.version().checked_add(1) == Some(b.root().version));
        Self {
            says: changes(a.root(), b.root()).into(),
            voids_floors: before.map(|before| before.voids_floors(b.root())),
        }
    }
}

impl Diff {
    /// What differs, for a document.
    #[must_use]
    pub fn section(&self) -> Markup {
        html! { (self.says.section()) @if let Some(floors) = self.floors() { p { (floors) } } }
    }

    fn floors(&self) -> Option<&'static str> {
        const VOID: &str = "no release signed before counts any more: floors of devices become void";
        const STAY: &str = "releases signed before can still count: floors of devices stay";
        self.voids_floors.map(|voids| if voids { VOID } else { STAY })
    }
}

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.says)?;
        self.floors().map_or(Ok(()), |floors| writeln!(f, "{floors}"))
    }
}

fn changes(a: &Root, b: &Root) -> Changes {
    let mut changes = Changes::default();
    changes.value("version", (&a.version, &b.version), ToString::to_string);
    changes.value("vendor", (&a.vendor, &b.vendor), ToString::to_string);
    changes.value("issued", (&a.issued, &b.issued), |&issued| time::text(issued));
    role(&mut changes, "role root", Some(&a.root), Some(&b.root));
    // A grant is known by what it is for; those for the same are compared in their order.
    let scope = |grant: &Grant| (grant.classes.clone(), grant.targets.clone());
    let mut old: Vec<&Grant> = a.grants.iter().collect();
    for (number, new) in (1..).zip(&b.grants) {
        let name = |role: &str| format!("role {role} of grant {number}");
        let before = old.iter().position(|old| scope(old) == scope(new)).map(|place| old.remove(place));
        if before.is_none() {
            changes.push(format_args!("grant {number}"), None, Some(scope_text(new)));
        }
        role(&mut changes, &name("release"), before.map(|grant| &grant.author), Some(&new.author));
        let operator = before.and_then(|grant| grant.operator.as_ref());
        role(&mut changes, &name("operator"), operator, new.operator.as_ref());
    }
    for gone in old {
        changes.push("grant", Some(scope_text(gone)), None);
        role(&mut changes, "role release of that grant", Some(&gone.author), None);
        role(&mut changes, "role operator of that grant", gone.operator.as_ref(), None);
    }
    role(&mut changes, "role beacon", a.beacon.as_ref(), b.beacon.as_ref());
    changes
}

fn role(changes: &mut Changes, name: &str, a: Option<&TrustedKeys>, b: Option<&TrustedKeys>) {
    let keys = |role: Option<&TrustedKeys>| role.map(|role| role.keys().to_vec()).unwrap_or_default();
    changes.list(format_args!("key of {name}"), (&keys(a), &keys(b)), |key: &PublicKey| key.key_id().to_string());
    let threshold = |role: &TrustedKeys| role.threshold().to_string();
    let thresholds = (a.map(threshold), b.map(threshold));
    if thresholds.0 != thresholds.1 {
        changes.push(format_args!("threshold of {name}"), thresholds.0, thresholds.1);
    }
}

/// What a grant is for.
pub(super) fn scope_text(grant: &Grant) -> String {
    let of = |what: &str, list: Option<Vec<String>>| match list {
        None => format!("all {what}"),
        Some(list) => format!("{what} {}", list.join(", ")),
    };
    let classes = grant.classes.as_ref().map(|list| list.iter().map(Uuid::to_string).collect());
    let targets = grant.targets.as_ref().map(|list| list.iter().map(Token::to_string).collect());
    format!("{}, {}", of("classes", classes), of("targets", targets))
}
