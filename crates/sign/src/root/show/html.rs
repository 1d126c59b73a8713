//! The facts of a root as a document.

use fleetcast_cli::html::{Markup, facts, html};

use super::{ROOM, Role, Shown, Standing};
use crate::html::{Notice, Sections, Signer, Tone, codes, octets, signatures, wide};
use crate::time;

impl Sections for Shown {
    fn title(&self) -> String {
        format!("Root {}", self.version)
    }

    fn sections(&self, signers: Option<&[Signer]>) -> Markup {
        html! {
            @if !self.warnings.is_empty() {
                section class="notice warn" aria-label="Warnings" { @for warning in &self.warnings { p { (warning) } } }
            }
            h2 { "Root" }
            (facts(&[
                ("Version", html! { (self.version) }),
                ("Vendor", html! { code { (self.vendor) } }),
                ("Issued", html! { (time::text(self.issued)) }),
                ("Statement", html! { (octets(self.statement_octets as u64)) " of " (ROOM) }),
            ]))
            h2 { "Who may sign what" }
            table {
                thead { tr { th scope="col" { "Role" } th scope="col" { "Keys" } } }
                tbody {
                    (role("root", None, &self.root))
                    @for (number, grant) in (1..).zip(&self.grants) {
                        (role(&format!("release, grant {number}"), Some(&grant.scope), &grant.release))
                        @if let Some(operator) = &grant.operator {
                            (role(&format!("operator, grant {number}"), Some(&grant.scope), operator))
                        }
                    }
                    @match &self.beacon {
                        Some(beacon) => (role("beacon", None, beacon)),
                        None => tr { th scope="row" { "beacon" } td { "nobody: devices do not ask whether releases are current" } },
                    }
                }
            }
            @match &self.standing {
                Some(standing) => (signed(standing)),
                None => (signatures(&self.signatures, signers)),
            }
            h2 { "Keys" }
            (wide("Keys", &html! {
                table {
                    thead { tr { th scope="col" { "Key" } th scope="col" { "Public key (Ed25519)" } } }
                    tbody { @for key in &self.keys { tr { td { code { (key.key_id) } } td { code { (key.public_key) } } } } }
                }
            }))
        }
    }
}

fn role(name: &str, scope: Option<&str>, role: &Role) -> Markup {
    html! {
        tr {
            th scope="row" {
                (name)
                div class="quiet" { (role.threshold) " of " (role.keys.len()) @if let Some(scope) = scope { ", for " (scope) } }
            }
            td class="keys" { (codes(&role.keys)) }
        }
    }
}

fn signed(standing: &Standing) -> Markup {
    let before =
        |version: u16| if version == 0 { "Keys before it".into() } else { format!("Root keys of root {version}") };
    let after = standing.after.as_ref().map(|after| (before(after.version), &after.need));
    let needs = [("Its own root keys".to_owned(), &standing.own)].into_iter().chain(after);
    html! {
        h2 { "Signatures" }
        table {
            thead { tr { th scope="col" { "Must sign" } th scope="col" { "Keys" } } }
            tbody {
                @for (by, need) in needs {
                    tr {
                        th scope="row" {
                            (by)
                            div class=(if need.missing() == 0 { "good" } else { "bad" }) { (need.signed.len()) " of " (need.threshold) " have" }
                        }
                        td class="keys" {
                            @for key in &need.signed { div { code { (key) } span class="good" { " has signed" } } }
                            @for key in &need.not_signed { div { code { (key) } span class="quiet" { " has not" } } }
                        }
                    }
                }
            }
        }
        @if !standing.unknown.is_empty() {
            p { "By keys of neither root, and not verified: " (codes(&standing.unknown)) }
        }
        @if !standing.invalid.is_empty() {
            p class="bad" { "INVALID, not signatures by these keys: " (codes(&standing.invalid)) }
        }
    }
}

impl Standing {
    /// What stands above the document of a root that is signed so far.
    #[must_use]
    pub fn notice(&self) -> Notice {
        let Some(after) = &self.after else {
            let compare = "Whether these are the right keys only their holders can say: compare key ids with them.";
            let (tone, verdict) = if self.is_complete {
                (Tone::Warn, "SIGNED BY ENOUGH OF ITS OWN KEYS")
            } else {
                (Tone::Bad, "NOT SIGNED BY ENOUGH OF ITS OWN KEYS")
            };
            return Notice::new(tone, verdict, vec![(Tone::Warn, compare.into())]);
        };
        let before = match after.version {
            0 => "those keys".to_owned(),
            version => format!("root {version}"),
        };
        let floors = if after.voids_floors {
            (Tone::Bad, "Rollback floors become void: no release signed before counts any more.")
        } else {
            (Tone::Good, "Rollback floors stay: releases signed before can still count.")
        };
        let (tone, does) = if after.is_complete { (Tone::Good, "TAKE") } else { (Tone::Bad, "REFUSE") };
        let verdict = format!("DEVICES WITH {} {does} IT", before.to_uppercase());
        let reason = after.code.zip(after.reason.as_deref());
        let mut lines: Vec<_> =
            reason.map(|(code, reason)| (Tone::Bad, format!("{code}: {reason}"))).into_iter().collect();
        lines.push((floors.0, floors.1.into()));
        Notice::new(tone, verdict, lines)
    }
}
