//! The facts of a beacon as a document.

use fleetcast_cli::html::{Markup, facts, html};

use super::Shown;
use crate::html::{Sections, Signer, octets, signatures};
use crate::time;

impl Sections for Shown {
    fn title(&self) -> String {
        format!("Beacon of {}", time::text(self.issued))
    }

    fn sections(&self, signers: Option<&[Signer]>) -> Markup {
        html! {
            h2 { "Beacon" }
            (facts(&[
                ("Issued", html! { (time::text(self.issued)) }),
                ("Holds until", html! { (time::text(self.until)) }),
                ("Newest root", html! { (self.root) }),
                ("Vendor", html! { code { (self.vendor) } }),
                ("Statement", octets(self.statement_octets as u64)),
            ]))
            h2 { "Current releases" }
            @if self.current.is_empty() { p { "None." } }
            @for current in &self.current {
                section class="item" {
                    (facts(&[
                        ("Device class", html! { code { (current.class) } }),
                        ("Sequence number", html! { (current.sequence) }),
                        ("Security version", html! { (current.security_version) }),
                        ("Manifest, SHA-256", html! { code { (current.manifest) } }),
                    ]))
                }
            }
            (signatures(&self.signatures, signers))
        }
    }
}
