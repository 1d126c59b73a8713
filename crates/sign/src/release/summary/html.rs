//! The facts of a release as a document.

use fleetcast_cli::html::{Markup, facts, html};
use indicatif::HumanCount;
use jiff::SignedDuration;

use super::{ComponentSummary, Summary};
use crate::html::{Sections, Signer, codes, octets, signatures, wide};

/// Rates of the table of times, in bits per second of UDP payload.
const RATES: [(u64, &str); 4] =
    [(250_000, "250 kbit/s"), (1_000_000, "1 Mbit/s"), (10_000_000, "10 Mbit/s"), (100_000_000, "100 Mbit/s")];

impl Sections for Summary {
    fn title(&self) -> String {
        format!("Release {}", self.version)
    }

    fn sections(&self, signers: Option<&[Signer]>) -> Markup {
        let range = |range: Option<(u64, u64)>| range.map(|(min, max)| html! { (min) " to " (max) });
        let image = |total: u64, component: &ComponentSummary| total + component.size;
        html! {
            h2 { "Release" }
            (facts(&[
                ("Version", html! { (self.version) }),
                ("Sequence number", html! { (self.sequence) }),
                ("Security version", html! { (self.security_version) }),
                ("Vendor", html! { code { (self.vendor) } }),
                ("Device classes", codes(&self.classes)),
                ("Hardware revisions", range(self.hardware).unwrap_or_else(|| html! { "all" })),
                ("Installs over", html! {
                    @if let Some(range) = range(self.from) { "sequence number " (range) } @else { "any release before it" }
                }),
                ("When", html! {
                    @for wave in &self.waves { div { (wave) } }
                    @if self.waves.is_empty() { "at once, on all devices" }
                }),
                ("Manifest, SHA-256", html! { code { (self.manifest_digest) } }),
                ("Session (TSI)", html! { code { (self.tsi) } }),
            ]))
            (signatures(&self.signatures, signers))
            h2 { "Components" }
            (self.components())
            h2 { "On the air" }
            (facts(&[
                ("Images", octets(self.components.iter().fold(0, image))),
                ("One cycle", html! { (HumanCount(self.cycle_packets)) " packets, " (octets(self.cycle_octets)) }),
                ("Largest packet", html! { (self.packet_octets) " octets of UDP payload" }),
                ("Signed manifest", octets(self.statement_octets as u64)),
                ("Release file", octets(self.file_octets)),
            ]))
            p { "One cycle takes " @for (number, (rate, name)) in (0..).zip(RATES) {
                @if number > 0 { ", " } strong { (time_of(self.cycle_octets, rate)) } " at " (name)
            } "." }
            p class="quiet" {
                "Rates are those of fleetcast-send: bits per second of UDP payload. A cycle has every chunk, repair chunk and page once; \
                 manifests, roots and beacons, and the headers of UDP and IP, come on top."
            }
            (wide("How images are cut", &self.geometry()))
        }
    }
}

impl Summary {
    fn components(&self) -> Markup {
        html! {
            table {
                thead { tr { th scope="col" { "Name" } th scope="col" { "Install target" } th scope="col" class="number" { "Image" } } }
                @for component in &self.components {
                    tbody {
                        tr class="joined" {
                            th scope="row" { (component.name) }
                            td { (component.target) }
                            td class="number" { (octets(component.size)) }
                        }
                        tr { td colspan="3" { span class="quiet" { "SHA-256 " } code { (component.sha256) } } }
                    }
                }
            }
        }
    }

    fn geometry(&self) -> Markup {
        let columns = ["Chunk", "Source chunks", "Repair chunks", "Blocks", "Cells", "Cap nodes", "Overhead"];
        html! {
            table {
                thead {
                    tr {
                        th scope="col" { "Component" }
                        @for column in columns { th scope="col" class="number" { (column) } }
                    }
                }
                tbody {
                    @for component in &self.components {
                        tr {
                            th scope="row" { (component.name) }
                            td class="number" { (component.chunk) " octets" }
                            td class="number" { (HumanCount(component.source_chunks.into())) }
                            (more(component.repair_chunks.into(), &format_args!("{} %", component.repair)))
                            td class="number" { (component.blocks) }
                            (more(component.cells.into(), &format_args!("of {} chunks", component.cell)))
                            (more(component.cap_nodes() as u64, &format_args!("of {} octets", component.digest)))
                            td class="number" { (format_args!("{:.2} %", component.overhead_percent)) }
                        }
                    }
                }
            }
        }
    }
}

/// A count, and more about it below.
fn more(count: u64, about: &dyn std::fmt::Display) -> Markup {
    html! { td class="number" { (HumanCount(count)) br; span class="quiet" { (about) } } }
}

/// How long so many octets take: exact to the millisecond, or to the second from a minute on.
fn time_of(octets: u64, rate: u64) -> String {
    let millis = (u128::from(octets) * 8000).div_ceil(rate.into());
    let seconds = SignedDuration::from_secs(i64::try_from(millis.div_ceil(1000)).unwrap_or(i64::MAX));
    let exact = if millis < 60_000 { i64::try_from(millis).ok().map(SignedDuration::from_millis) } else { None };
    format!("{:#}", exact.unwrap_or(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rounded_up() {
        assert_eq!(time_of(125_001, 1_000_000), "1s 1ms");
        assert_eq!(time_of(7_500_001, 1_000_000), "1m 1s");
        assert_eq!(time_of(0, 250_000), "0s");
        assert_eq!(time_of(u64::MAX, 250_000), format!("{:#}", SignedDuration::from_secs(590_295_810_358_706)));
    }
}
