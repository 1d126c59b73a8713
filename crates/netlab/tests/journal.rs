//! Entries in the journal: each kind is explained by a catalog, and listed with its fields.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;

use fleetcast_cli::journal::{OTHERS, Priority, Program, RECV, RELAY, SEND, fields, message_id};
use fleetcast_netlab::command_line::shipped;
use fleetcast_recv::events::{Chunks, Event, Line, Progress, Release, Traffic};
use fleetcast_recv::trusted::{Roles, RootFacts};
use fleetcast_send::relay::report as relay;
use fleetcast_send::report as send;
use serde::Serialize;
use strum::VariantNames as _;

/// What the list says of a kind.
#[derive(Debug, Default)]
struct Kind {
    priorities: BTreeSet<Priority>,
    /// Fields that each entry of it has, and those that one may have.
    always: BTreeSet<String>,
    sometimes: BTreeSet<String>,
}

impl Kind {
    fn add(&mut self, priority: Priority, found: &BTreeSet<String>) {
        let always = if self.priorities.is_empty() { found.clone() } else { &self.always & found };
        self.sometimes = &(&(&self.sometimes | &self.always) | found) - &always;
        self.always = always;
        self.priorities.insert(priority);
    }
}

type Kinds = BTreeMap<String, Kind>;

/// The kinds of these events that are told, by their form for JSON and their priority; each kind of `names` is to be there.
fn kinds<E: Serialize>(names: &[&str], events: impl Iterator<Item = (E, Option<Priority>)>) -> Kinds {
    let (mut kinds, mut seen) = (Kinds::new(), BTreeSet::new());
    for (event, priority) in events {
        let fields = fields(&serde_json::to_string(&event).unwrap());
        let name = fields.iter().find(|(name, _)| name == "FLEETCAST_EVENT").unwrap().1.clone();
        if let Some(priority) = priority {
            kinds.entry(name.clone()).or_default().add(priority, &fields.into_iter().map(|(name, _)| name).collect());
        }
        seen.insert(name);
    }
    assert_eq!(seen, names.iter().map(|name| (*name).to_owned()).collect(), "an event of each kind is to be here");
    for (name, priority, own) in OTHERS {
        assert!(!kinds.contains_key(name), "{name} is an event too");
        let own = own.iter().chain(&["FLEETCAST_EVENT"]).map(|name| (*name).to_owned());
        let kind = kinds.entry(name.into()).or_default();
        kind.add(priority, &own.collect());
        if name == "error" {
            // Of some errors it is not known what to do about them.
            kind.add(priority, &["FLEETCAST_EVENT".to_owned()].into());
        }
    }
    kinds
}

/// Events of a receiver: of each kind, and with what they may lack.
fn of_receiver() -> Kinds {
    let release = || Release { sequence: 7, version: "1.4".into() };
    let (text, chunks) = (|| String::from("x"), Chunks { have: 1, needed: 2 });
    let layered = Traffic {
        layers: Some(vec![0.0]),
        nack: Some(fleetcast_recv::nack::Counts::default()),
        repair: Some(fleetcast_recv::repair::Counts::default()),
        ..Traffic::default()
    };
    let ready = |installed| Event::Ready {
        groups: vec![text()],
        interface: text(),
        receive_buffer: 1,
        confined: "full",
        installed,
    };
    let stopped = |chunks, traffic| Event::Stopped { ok: true, code: "x", reason: text(), chunks, traffic };
    let freshness = |state, until| Event::Freshness { state, until, root: 1, newest_root: 1 };
    let events = [
        ready(None),
        ready(Some(release())),
        Event::Begin { release: release(), tsi: text(), needed: 2, octets: 3 },
        Event::Resumed(chunks),
        Event::Reused { chunks: 1, octets: 2 },
        Event::RepairStarted { server: text(), missing: 1 },
        Event::Repaired { chunks: 1, pages: 1, octets: 1 },
        Event::RepairFailed { server: text(), code: "x", reason: text(), left_alone: true },
        Event::Progress(Progress { chunks, traffic: Traffic::default() }),
        Event::Stalled { seconds: 60, reason: text() },
        Event::Rejoined { interface: text() },
        Event::Layers { joined: 2, code: "kept", losses: vec![0.1] },
        Event::Discovered { domain: text(), origin: "dns", feeds: vec![] },
        Event::Complete(chunks),
        Event::Restored { chunks: 1 },
        Event::ReadbackMismatch { components: vec![0], times: 1 },
        Event::Installed { release: release(), recovered: false },
        Event::OnTrial { release: release(), runs: true },
        Event::Committed { release: release() },
        Event::GivenUp { release: release(), code: "health", reason: text() },
        Event::Waiting { seconds: 600, code: "wave" },
        Event::Abandoned { sequence: 7, code: "x", reason: text() },
        Event::Root { root: RootFacts { version: 2, keys: Roles::default() }, voids_floors: false },
        Event::Beacon { issued: 1, until: 2 },
        freshness("fresh", Some(2)),
        freshness("stale", None),
        Event::Restarting,
        Event::Refused { sequence: 7, code: "class", reason: text() },
        Event::Alarm { sequence: 7, code: "equivocation", reason: text() },
        Event::Warning { code: "x", reason: text() },
        stopped(None, Traffic::default()),
        stopped(Some(chunks), layered),
    ];
    kinds(Event::VARIANTS, events.iter().map(|event| (Line::from(event), event.priority())))
}

/// Events of `run`, with the name of a stream or without.
fn of_sender() -> Kinds {
    use send::Event;
    #[derive(Clone, Copy, Serialize)]
    struct Named<'a> {
        stream: Option<&'static str>,
        #[serde(flatten)]
        event: &'a Event,
    }
    let text = || String::from("x");
    let beacon = send::BeaconFacts { issued: 1, until: 2, root: 1 };
    let layer = send::Layer { group: text(), pace: text() };
    let ready = |more: bool| {
        Event::Ready(send::Ready {
            version: text(),
            sequence: 7,
            tsi: text(),
            verified: true,
            group: text(),
            layers: more.then(|| layer.clone()).into_iter().collect(),
            interface: text(),
            source: text(),
            pace: text(),
            cycle_packets: 1,
            cycle_octets: 1,
            max_packet: 1,
            roots: more.then_some(1).into_iter().collect(),
            beacon: more.then_some(beacon),
            nack: more.then(text),
        })
    };
    let stopped = |more: bool| Event::Stopped {
        reason: "signal",
        cycles: 1,
        sent: send::Sent::default(),
        layers: more.then(send::LayerSent::default).into_iter().collect(),
        beside: send::Beside {
            statements: more.then(fleetcast_send::statements::Counts::default),
            nack: more.then(fleetcast_send::nack::Counts::default),
        },
    };
    let events = [
        ready(false),
        ready(true),
        Event::Progress(send::Progress {
            cycles: 1,
            part: 0.5,
            rate: 1,
            sent: send::Sent::default(),
            layers: vec![],
            beside: send::Beside::default(),
        }),
        Event::Cycle { cycles: 1, sent: send::Sent::default() },
        Event::Fetching { channel: text(), number: 1, version: text(), sequence: 7, octets: 1 },
        Event::Reached { failed: 1 },
        Event::Switched { version: text(), sequence: 7, tsi: text(), cycle_packets: 1, cycle_octets: 1 },
        Event::Beacon(beacon),
        Event::Roots { roots: vec![1, 2] },
        Event::Warning { code: "x", reason: text() },
        Event::Reopened { interface: text(), source: text() },
        stopped(false),
        stopped(true),
    ];
    let named = events.iter().flat_map(|event| [None, Some("stable")].map(|stream| Named { stream, event }));
    kinds(Event::VARIANTS, named.map(|named| (named, named.event.priority())))
}

fn of_relay() -> Kinds {
    use relay::Event;
    let text = || String::from("x");
    let events = [
        Event::Ready(relay::Ready { upstream: vec![], downstream: vec![], rate: 1, root: 0 }),
        Event::Release { version: text(), sequence: 7, tsi: text() },
        Event::Root { version: 2 },
        Event::Progress(relay::Progress::default()),
        Event::Quiet { seconds: 10, reason: text() },
        Event::Warning { code: "x", reason: text() },
        Event::Rejoined { interface: text() },
        Event::Reopened { interface: text() },
        Event::Stopped { reason: "signal", totals: relay::Totals::default() },
    ];
    kinds(Event::VARIANTS, events.iter().map(|event| (event, event.priority())))
}

fn all() -> [(Program, &'static str, &'static str, Kinds); 3] {
    [
        (RECV, "`fleetcast-recv receive`", "fleetcast-recv.catalog", of_receiver()),
        (SEND, "`fleetcast-send run`", "fleetcast-send.catalog", of_sender()),
        (RELAY, "`fleetcast-send relay`", "fleetcast-send.catalog", of_relay()),
    ]
}

#[derive(Debug)]
struct Entry {
    id: String,
    subject: String,
    text: String,
}

/// Entries of a catalog by the name above their id.
fn catalog(file: &str) -> BTreeMap<String, Entry> {
    let text = fs::read_to_string(shipped(&format!("packaging/systemd/{file}"))).unwrap();
    let mut entries = BTreeMap::new();
    for part in text.split("\n# ").skip(1) {
        let (name, rest) = part.split_once("\n-- ").unwrap();
        let (id, rest) = rest.split_once("\nSubject: ").unwrap();
        let (subject, text) = rest.split_once('\n').unwrap();
        assert!(text.starts_with("Defined-By: fleetcast-") && text.contains("\nDocumentation: man:"), "{name}");
        let entry = Entry { id: id.into(), subject: subject.into(), text: text.split_once("\n\n").unwrap().1.into() };
        assert!(entries.insert(name.to_owned(), entry).is_none(), "{name} is there twice");
    }
    entries
}

#[test]
fn each_kind_has_an_entry_in_its_catalog_that_names_fields_it_has() {
    for file in ["fleetcast-recv.catalog", "fleetcast-send.catalog"] {
        let entries = catalog(file);
        let mut names = BTreeSet::new();
        for (program, _, _, kinds) in all().iter().filter(|of| of.2 == file) {
            for (kind, Kind { always, .. }) in kinds {
                let name = format!("{}/{kind}", program.word);
                let entry = entries.get(&name).unwrap_or_else(|| panic!("{file} does not explain {name}"));
                assert_eq!(entry.id, message_id(*program, kind), "{name}");
                let all = format!("{}\n{}", entry.subject, entry.text);
                for field in all.split('@').skip(1).step_by(2) {
                    assert!(always.contains(field), "{name} has no {field} at all times");
                }
                assert!(entry.text.trim().len() > 10 && !entry.text.lines().any(|line| line.len() > 100), "{name}");
                names.insert(name);
            }
        }
        assert_eq!(names, entries.into_keys().collect(), "{file}");
    }
}

#[test]
fn fields_are_those_that_the_journal_takes() {
    for (program, _, _, kinds) in all() {
        for (kind, Kind { always, sometimes, .. }) in kinds {
            for field in &always | &sometimes {
                let is_right = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
                assert!(field.len() <= 64 && field.chars().all(is_right), "{} {kind}: {field}", program.word);
            }
        }
    }
}

/// With `UPDATE_SNAPSHOTS=1` it writes them.
#[test]
fn every_kind_is_in_the_list_and_no_other() {
    let path = shipped("packaging/systemd/README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let mut list = String::new();
    for (program, title, _, kinds) in all() {
        let names = |fields: &BTreeSet<String>| {
            let names = fields.iter().filter(|name| *name != "FLEETCAST_EVENT");
            names.map(|name| format!("`{}`", name.trim_start_matches("FLEETCAST_"))).collect::<Vec<_>>().join(", ")
        };
        writeln!(
            list,
            "### {title}\n\n| Event | Priority | `MESSAGE_ID` | Fields, each after `FLEETCAST_` | That may be missing |"
        )
        .unwrap();
        writeln!(list, "| --- | --- | --- | --- | --- |").unwrap();
        for (kind, Kind { priorities, always, sometimes }) in &kinds {
            let id = message_id(program, kind);
            let priorities = priorities.iter().map(|&p| (p as u8).to_string()).collect::<Vec<_>>().join(" or ");
            writeln!(list, "| `{kind}` | {priorities} | `{id}` | {} | {} |", names(always), names(sometimes)).unwrap();
        }
        list.push('\n');
    }
    let list = list.trim_end().to_owned() + "\n";
    let start = readme.find("### ").unwrap_or(readme.len());
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fleetcast_netlab::fleet::write(&path, format!("{}{list}", &readme[..start]).as_bytes());
        return;
    }
    assert_eq!(&readme[start..], list, "run it with UPDATE_SNAPSHOTS=1");
}
