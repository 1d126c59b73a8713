//! `spec/example.md`: what the page says becomes of its packets, becomes of them.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use fleetcast_core::session::Receiver;
use fleetcast_core::time::Instant;
use fleetcast_netlab::release::{self, restore};
use fleetcast_netlab::sim::Store;
use fleetcast_netlab::vectors::{folder, image, one, unhex};
use sha2::{Digest as _, Sha256};

fn page() -> String {
    fs::read_to_string(folder().join("../example.md")).unwrap()
}

/// The packets at the end of the page, by number.
fn packets(page: &str) -> BTreeMap<usize, Vec<u8>> {
    let (_, section) = page.split_once("\n## 11. The packets\n").unwrap();
    let listing = section.split("```").nth(1).unwrap().trim_start_matches("text");
    let packet = |text: &str| {
        let (number, octets) = text.split_once('\n').unwrap();
        (number.parse().unwrap(), unhex(&octets.split_whitespace().collect::<String>()))
    };
    listing.split("packet ").skip(1).map(packet).collect()
}

/// What the table of section 2 says becomes of each packet.
fn table(page: &str) -> BTreeMap<usize, String> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let row = |row: &str| {
        let (number, rest) = row.split_once(" | ")?;
        let (what, done) = rest.split_once(" | ")?;
        let is_packet = ["manifest", "page", "parity page", "chunk"].iter().any(|kind| what.starts_with(kind));
        is_packet.then(|| Some((number.parse().ok()?, done.to_owned()))).flatten()
    };
    rows.filter_map(row).collect()
}

fn feed(receiver: &mut Receiver, store: &mut Store, datagram: &[u8]) {
    store.carry_out(receiver.handle_datagram(Instant::from_micros(0), 1, datagram));
    assert_eq!(store.wanted, [], "all pages are at hand");
}

#[test]
fn the_packets_of_the_page_become_the_image_at_the_one_it_says() {
    let page = page();
    let (packets, told) = (packets(&page), table(&page));
    let heard: BTreeSet<_> = told.iter().filter(|(_, done)| *done != "lost").map(|(number, _)| *number).collect();
    assert_eq!(packets.keys().copied().collect::<BTreeSet<_>>(), heard);
    let (mut receiver, mut store) = (release::receiver(), Store::default());
    for (number, datagram) in &packets {
        let before = receiver.counters().chunks;
        feed(&mut receiver, &mut store, datagram);
        assert_eq!(receiver.is_complete(), told[number].contains("**complete"), "packet {number}");
        let verified = receiver.counters().chunks - before;
        let expected = match &told[number] {
            done if done.contains("waits") => 0,
            done if done.contains("chunks 8 to 15") => 8,
            done => u64::from(done.starts_with("verified (T-9)")),
        };
        assert_eq!(verified, expected, "packet {number}");
    }
    restore(&receiver, &mut store);
    assert_eq!(store.images, [image("image example", 1060)]);
    let (_, installing) = page.split_once("\n## 10. Installing\n").unwrap();
    assert_eq!(Sha256::digest(&store.images[0])[..], unhex(installing.split('`').nth(1).unwrap()));
}

#[test]
fn the_vector_has_the_packets_of_the_page() {
    let (page, vector) = (page(), one("session/ok-example"));
    let lost: BTreeSet<usize> = vector.get("lost").split(',').map(|number| number.parse().unwrap()).collect();
    let complete = usize::try_from(vector.number("complete")).unwrap();
    let parts = vector.parts();
    assert_eq!(parts.len() as u64, vector.number("packets"));
    let heard = parts.iter().enumerate().take(complete + 1).filter(|(number, _)| !lost.contains(number));
    assert_eq!(packets(&page), heard.map(|(number, datagram)| (number, datagram.to_vec())).collect());

    let (mut receiver, mut store) = (release::receiver(), Store::default());
    for datagram in &parts {
        feed(&mut receiver, &mut store, datagram);
    }
    assert!(receiver.is_complete());
    assert_eq!(store.images, [image("image example", 1060)]);
}
