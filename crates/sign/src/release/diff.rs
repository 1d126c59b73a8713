//! What differs between two releases.

use fleetcast_cli::hex;
use fleetcast_core::manifest::{Component, Manifest, Uuid};
use fleetcast_core::trust::Unverified;

use super::summary::WaveSummary;
use crate::changes::{Changes, Diff};
use crate::statement::Signable;

/// Compares what two manifests say, and whose signatures they name.
#[must_use]
pub fn diff(a: (&Unverified<Manifest>, &Signable), b: (&Unverified<Manifest>, &Signable)) -> Diff {
    let mut changes = manifests(a.0, b.0);
    let signers = [a.1, b.1].map(|statement| statement.signers().collect::<Vec<_>>());
    changes.list("signature by", (&signers[0], &signers[1]), ToString::to_string);
    changes.into()
}

fn manifests(a: &Unverified<Manifest>, b: &Unverified<Manifest>) -> Changes {
    let mut changes = Changes::default();
    changes.value("manifest", (a.payload_digest(), b.payload_digest()), |digest| hex(digest));
    changes.value("version", (&a.version, &b.version), ToString::to_string);
    changes.value("sequence", (&a.sequence, &b.sequence), ToString::to_string);
    changes.value("security version", (&a.security_version, &b.security_version), ToString::to_string);
    changes.value("vendor", (&a.vendor, &b.vendor), ToString::to_string);
    changes.list("class", (&a.classes, &b.classes), Uuid::to_string);
    let range = |range: &Option<(u64, u64)>| range.map_or("any".into(), |(min, max)| format!("{min}..{max}"));
    changes.value("from", (&a.from, &b.from), range);
    changes.value("hardware", (&a.hardware, &b.hardware), range);
    changes.list("wave", (&a.waves, &b.waves), |wave| WaveSummary::from(wave).to_string());
    for gone in a.components.iter().filter(|one| b.components.iter().all(|other| other.name != one.name)) {
        changes.push(format_args!("component {}", gone.name), Some(text(gone)), None);
    }
    for new in &b.components {
        match a.components.iter().find(|old| old.name == new.name) {
            None => changes.push(format_args!("component {}", new.name), None, Some(text(new))),
            Some(old) => component(&mut changes, old, new),
        }
    }
    let names = |manifest: &Manifest| manifest.components.iter().map(|c| c.name.to_string()).collect::<Vec<_>>();
    let [mut old, mut new] = [names(a), names(b)];
    let order = (old.join(", "), new.join(", "));
    old.sort_unstable();
    new.sort_unstable();
    if old == new {
        changes.value("order of components", (&order.0, &order.1), String::clone);
    }
    changes
}

fn component(changes: &mut Changes, a: &Component, b: &Component) {
    let (g, h) = (&a.geometry, &b.geometry);
    let what = |value: &str| format!("component {}: {value}", b.name);
    changes.value(what("target"), (&a.target, &b.target), ToString::to_string);
    changes.value(what("size"), (&g.size(), &h.size()), |size| format!("{size} octets"));
    changes.value(what("SHA-256"), (&a.sha256, &b.sha256), |digest| hex(digest));
    changes.value(what("chunk"), (&g.chunk_len(), &h.chunk_len()), |len| format!("{len} octets"));
    changes.value(what("cell"), (&g.cell(), &h.cell()), |cell| format!("{cell} chunks"));
    changes.value(what("repair"), (&g.repair(), &h.repair()), |percent| format!("{percent} %"));
    changes.value(what("digest"), (&g.digest_len(), &h.digest_len()), |len| format!("{len} octets"));
    changes.value(what("cap"), (&a.cap.len(), &b.cap.len()), |len| format!("{len} octets"));
}

fn text(c: &Component) -> String {
    format!("{} octets for target {}, SHA-256 {}", c.geometry.size(), c.target, hex(&c.sha256))
}
