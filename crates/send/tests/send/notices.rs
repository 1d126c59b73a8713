//! Roots and a beacon beside a release, as a user sends them.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::time::{Duration, SystemTime};

use fleetcast_core::manifest::Uuid;
use fleetcast_core::trust::{Grant, Root};
use fleetcast_core::wire::{Object, Packet, StatementKind};
use fleetcast_netlab::authority::{beacon, role, root, signed_root};
use fleetcast_netlab::command_line::Done;
use rustix::process::Signal;
use serde_json::Value;

use super::fixture::Release;
use super::run::{args, block_on, drain, end, events, interrupt, join, spawn, to};

/// Of root 1 the key is `a`, from root 3 on `b`. The release key is that of the vectors.
pub(crate) fn release() -> Release {
    let release = Release::of("ok-small");
    for (root, names) in [
        (root(1, &["a"], &["thief"], &[]), &["a"][..]),
        (root(2, &["a"], &["release"], &["beacon"]), &["a"]),
        (root(3, &["b"], &["release"], &["beacon"]), &["a", "b"]),
        (root(4, &["b"], &["other"], &["other"]), &["b"]),
    ] {
        release.folder.write(&format!("{}.root", root.version), signed_root(&root, names));
    }
    release
}

const ROOTS: [&str; 6] = ["--root", "1.root", "--root", "2.root", "--root", "3.root"];

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// Sequence and payload digest of the release.
pub(crate) fn named(release: &Release) -> (u64, [u8; 32]) {
    let source = release.open().unwrap();
    let manifest = source.release().manifest();
    (manifest.sequence, *manifest.payload_digest())
}

fn check(release: &Release, args: &[&str]) -> Done {
    Done::run(&mut release.send("check", args))
}

#[test]
fn a_chain_and_a_beacon_are_checked_and_described() {
    let release = release();
    let issued = now() - 5;
    release.folder.write("current.beacon", beacon(3, issued, named(&release), &["beacon"]));
    let all = [&ROOTS[..], &["--beacon", "current.beacon"]].concat();
    let shown = check(&release, &all).ok();
    for part in ["roots        1 2 3, each signed by the one before it", "beacon issued at", "signatures   verified"] {
        assert!(shown.stdout.contains(part), "no {part:?} in {shown:?}");
    }
    assert!(!shown.stderr.contains("beacon"), "{shown:?}");
    let json = check(&release, &[&all[..], &["--json"]].concat()).ok().stdout;
    let facts: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&facts["verified"], &facts["beacon"]["issued"]), (&true.into(), &issued.into()));
    assert_eq!((&facts["roots"], &facts["beacon"]["root"]), (&serde_json::json!([1, 2, 3]), &3.into()));
    // A chain may begin later, where all devices are made with a later root.
    check(&release, &["--root", "3.root", "--beacon", "current.beacon"]).ok();
}

#[test]
fn roots_that_do_not_follow_each_other_are_refused_with_the_file_and_why() {
    let release = release();
    let forged = root(2, &["a"], &["release"], &["beacon"]);
    release.folder.write("forged.root", signed_root(&forged, &["thief"]));
    let alone = Root { root: role(2, &["a", "b"]), ..forged };
    release.folder.write("alone.root", signed_root(&alone, &["a"]));
    release.folder.write("cut.root", &fs::read(release.path("2.root")).unwrap()[1..]);
    let mut unsigned = fs::read(release.path("2.root")).unwrap();
    let signatures = unsigned.len() - 84;
    unsigned.truncate(signatures);
    unsigned[signatures - 1] = 0x80;
    release.folder.write("unsigned.root", unsigned);
    for (roots, texts) in [
        (&["1.root", "3.root"][..], &["cannot use root 3.root: root 3; the one that follows is 2 (root-version)"][..]),
        (
            &["2.root", "1.root"],
            &["cannot use root 1.root: root 1; the one that follows is 3 (root-version)", "in order"],
        ),
        (&["2.root", "2.root"], &["cannot use root 2.root: root 2; the one that follows is 3"]),
        (&["1.root", "forged.root"], &["cannot use root forged.root: 0 valid signatures", "(threshold)", "root keys"]),
        (&["alone.root"], &["cannot use root alone.root: 1 valid signatures by trusted keys, 2 required (threshold)"]),
        (&["1.root", "cut.root"], &["cannot use root cut.root: not a signed statement", "(template)"]),
        (&["1.root", "unsigned.root"], &["cannot use root unsigned.root: not a signed", "with all signatures"]),
        (&["release"], &["cannot use root release", "(template)"]),
    ] {
        let args: Vec<_> = roots.iter().flat_map(|root| ["--root", root]).collect();
        check(&release, &args).failed(3, texts);
    }
    check(&release, &["--root", "missing.root"]).failed(1, &["cannot use root missing.root"]);
    check(&release, &["--root", "1.root", "--trust", "key.pem"]).failed(2, &["cannot be used with"]);
    check(&release, &["--root", "1.root", "--threshold", "1"]).failed(2, &["cannot be used with"]);
    check(&release, &["--beacon", "current.beacon"]).failed(2, &["--root"]);
}

#[test]
fn a_release_that_devices_refuse_by_the_last_root_is_not_sent() {
    block_on(async {
        let release = release();
        let grants = vec![Grant { classes: Some(vec![Uuid([1; 16])]), ..Grant::everything(role(1, &["release"])) }];
        let scoped = Root { grants, ..root(3, &["a"], &["release"], &[]) };
        release.folder.write("scoped.root", signed_root(&scoped, &["a"]));
        let mut receiver = join(47_400);
        let to = to(47_400);
        for (roots, code) in [
            (&["1.root"][..], "0 valid signatures by trusted keys, 1 required"),
            (&["1.root", "2.root", "3.root", "4.root"], "0 valid signatures by trusted keys, 1 required"),
            (&["2.root", "scoped.root"], "its signers may not sign for this vendor"),
        ] {
            let roots: Vec<_> = roots.iter().flat_map(|root| ["--root", root]).collect();
            let all = args(&to, &[&roots[..], &["--cycles", "1"]].concat());
            Done::run(&mut release.send("run", &all)).failed(3, &["the manifest of release release is refused", code]);
        }
        assert!(drain(&mut receiver).await.is_empty());
    });
}

#[test]
fn a_beacon_that_devices_refuse_is_no_start_and_one_that_is_odd_is_told() {
    let release = release();
    let (sequence, digest) = named(&release);
    let current = [&ROOTS[..], &["--beacon", "current.beacon"]].concat();
    for (statement, text) in [
        (beacon(3, 100, (sequence, digest), &["thief"]), "cannot use beacon current.beacon: 0 valid signatures"),
        (signed_root(&root(3, &["a"], &["a"], &[]), &["beacon"]), "(threshold)"),
        (Vec::new(), "(template)"),
    ] {
        release.folder.write("current.beacon", statement);
        check(&release, &current).failed(3, &[text]);
    }
    check(&release, &[&ROOTS[..], &["--beacon", "missing"]].concat()).failed(1, &["cannot use beacon missing"]);
    for (root, issued, named, text) in [
        (3, now() - 3700, (sequence, digest), "the time of the beacon is over"),
        (3, now() + 900, (sequence, digest), "ahead of this machine's clock"),
        (4, now(), (sequence, digest), "names root 4, and the last root that is sent is 3"),
        (3, now(), (sequence + 1, digest), "devices refuse it (superseded)"),
        (3, now(), (sequence, [7; 32]), "devices refuse it (equivocation)"),
    ] {
        release.folder.write("current.beacon", beacon(root, issued, named, &["beacon"]));
        let done = check(&release, &current).ok();
        assert!(done.stderr.contains(text), "no {text:?} in {done:?}");
        assert_eq!(done.stderr.matches("warning:").count() - test_key_warnings(&done), 1, "{done:?}");
    }
}

/// Warnings of test keys in roots.
fn test_key_warnings(done: &Done) -> usize {
    done.stderr.matches("UNSAFE test key").count()
}

/// The statements among the packets heard, the manifest left out.
fn notices(packets: &[Vec<u8>]) -> Vec<(StatementKind, u16, Vec<u8>)> {
    let notice = |packet: &Vec<u8>| {
        let Packet { header, payload } = Packet::decode(packet).unwrap();
        match header.object {
            Object::Statement { kind: StatementKind::Manifest, .. } => None,
            Object::Statement { kind, number } => Some((kind, number, payload.to_vec())),
            _ => None,
        }
    };
    packets.iter().filter_map(notice).collect()
}

#[test]
fn the_chain_goes_out_with_the_beacon_and_one_that_takes_its_place_is_next() {
    block_on(async {
        let release = release();
        let made = |issued| beacon(3, issued, named(&release), &["beacon"]);
        let (first, second, bad) = (made(now() - 50), made(now() - 5), made(now() - 20));
        release.folder.write("current.beacon", &first);
        let mut receiver = join(47_410);
        let to = to(47_410);
        let all = [&ROOTS[..], &["--beacon", "current.beacon", "--json", "--rate", "1M"]].concat();
        let child = spawn(&release, &args(&to, &all));
        let mut heard = Vec::new();
        let replace = |statement: &[u8]| {
            release.folder.write("next", statement);
            rustix::fs::rename(release.path("next"), release.path("current.beacon")).unwrap();
        };
        let mut is_replaced = false;
        while !notices(&heard).iter().any(|(.., statement)| *statement == second) {
            receiver.receive(|_, packet| heard.push(packet.to_vec())).await.unwrap();
            if !is_replaced && notices(&heard).len() >= 4 {
                replace(&second);
                is_replaced = true;
            }
        }
        // An older one does not take its place, and is told once, not each second.
        replace(&bad);
        let count = heard.len();
        while notices(&heard[count..]).iter().filter(|(kind, ..)| *kind == StatementKind::Beacon).count() < 2 {
            receiver.receive(|_, packet| heard.push(packet.to_vec())).await.unwrap();
        }
        interrupt(&child, Signal::TERM);
        let events = events(&end(child).ok().stdout);
        let notices = notices(&heard);
        assert_eq!(notices[0], (StatementKind::Beacon, 0, first));
        for (version, (kind, number, statement)) in (1..=3).zip(&notices[1..]) {
            let file = fs::read(release.path(&format!("{version}.root"))).unwrap();
            assert_eq!((*kind, *number, statement), (StatementKind::Root, version, &file));
        }
        assert!(notices.iter().all(|(.., statement)| *statement != bad));
        let told = |word: &str| events.iter().filter(|event| event["event"] == word).collect::<Vec<_>>();
        assert_eq!(told("beacon").len(), 1);
        let warnings = told("warning");
        assert_eq!((warnings.len(), &warnings[0]["code"]), (1, &"beacon-replay".into()), "{warnings:?}");
        assert_eq!(events[0]["roots"], serde_json::json!([1, 2, 3]));
        let counts = &events.last().unwrap()["statements"];
        assert!(counts["roots"].as_u64() >= Some(3) && counts["beacons"].as_u64() >= Some(4), "{counts}");
    });
}

#[test]
fn a_relay_follows_the_roots_and_passes_them_and_the_beacon_on() {
    block_on(async {
        let release = release();
        let current = beacon(3, now(), named(&release), &["beacon"]);
        release.folder.write("current.beacon", &current);
        let (upstream, downstream) = (to(47_420), to(47_421));
        let mut receiver = join(47_421);
        let relaying =
            ["relay", "--root", "1.root", "--json", "--upstream-interface", "lo", "--upstream", &upstream[1]];
        let mut relay = release.command(&[&relaying[..], &args(&downstream, &[])].concat()).spawn().unwrap();
        let mut told = BufReader::new(relay.stdout.take().unwrap());
        let mut stdout = String::new();
        told.read_line(&mut stdout).unwrap();
        let sending = [&ROOTS[..], &["--beacon", "current.beacon", "--rate", "1M"]].concat();
        let child = spawn(&release, &args(&upstream, &sending));
        let all = (1..=3).map(|version| (StatementKind::Root, version)).chain([(StatementKind::Beacon, 0)]);
        let (mut heard, all) = (HashMap::new(), all.collect::<HashSet<_>>());
        while !all.iter().all(|wanted| heard.contains_key(wanted)) {
            let take = |_, packet: &[u8]| {
                for (kind, number, statement) in notices(&[packet.to_vec()]) {
                    heard.insert((kind, number), statement);
                }
            };
            receiver.receive(take).await.unwrap();
        }
        assert_eq!(heard[&(StatementKind::Beacon, 0)], current);
        // It tells once a second where it has come to.
        while !stdout.contains("\"event\":\"root\",\"version\":3") {
            told.read_line(&mut stdout).unwrap();
        }
        interrupt(&child, Signal::TERM);
        interrupt(&relay, Signal::TERM);
        end(child).ok();
        told.read_to_string(&mut stdout).unwrap();
        end(relay).ok();
        let events = events(&stdout);
        assert_eq!((&events[0]["event"], &events[0]["root"]), (&"ready".into(), &1.into()));
        let last = events.last().unwrap();
        assert!(last["roots"].as_u64() >= Some(3) && last["beacons"].as_u64() >= Some(1), "{last}");
    });
}

#[test]
fn a_beacon_file_is_taken_again_when_it_is_whole_and_gone_files_are_told_once() {
    use fleetcast_send::notices::Notices;
    use fleetcast_send::report::Event;

    let release = release();
    let made = |issued| beacon(3, issued, named(&release), &["beacon"]);
    let path = release.folder.write("current.beacon", made(1000));
    let roots = ["1.root", "2.root", "3.root"].map(|name| release.path(name));
    let source = release.open().unwrap();
    let sent = source.release();
    let mut notices = Notices::open(&roots, Some(&path)).unwrap();
    let in_time = Duration::from_mins(25);
    assert!(notices.concerns(sent, in_time).is_empty());
    let issued = |notices: &Notices| -> u64 { notices.beacon().unwrap().issued };
    let mut look = |unix: u64, room: usize| -> (Vec<&'static str>, u64) {
        let (_, events) = notices.look(sent, Duration::from_secs(unix), room);
        let word = |event: &Event| match event {
            Event::Beacon(_) => "taken",
            Event::Warning { code, .. } => code,
            _ => "other",
        };
        (events.iter().map(word).collect(), issued(&notices))
    };
    assert_eq!(look(1500, 1232), (vec![], 1000));
    // Half of one, as of a program that does not replace it at once.
    let second = made(2000);
    release.folder.write("current.beacon", &second[..100]);
    assert_eq!(look(1500, 1232), (vec!["template"], 1000));
    assert_eq!(look(1500, 1232), (vec![], 1000));
    release.folder.write("current.beacon", &second);
    assert_eq!(look(2500, 1232), (vec!["taken"], 2000));
    fs::remove_file(&path).unwrap();
    assert_eq!(look(2500, 1232), (vec!["read"], 2000));
    assert_eq!(look(2500, 1232), (vec![], 2000));
    // The same again is nothing to tell.
    release.folder.write("current.beacon", &second);
    assert_eq!(look(2500, 1232), (vec![], 2000));
    assert_eq!(look(5601, 1232), (vec!["beacon-past"], 2000));
    assert_eq!(look(5602, 1232), (vec![], 2000));
    release.folder.write("current.beacon", made(6000));
    assert_eq!(look(6000, 100), (vec!["packet-size"], 2000));
    release.folder.write("current.beacon", made(7000));
    assert_eq!(look(7000, 1232), (vec!["taken"], 7000));
    assert_eq!(look(10_601, 1232), (vec!["beacon-past"], 7000));
}
