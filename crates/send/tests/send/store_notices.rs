//! Roots and beacons that are published under a channel.

use std::fs;

use fleetcast_netlab::authority::{beacon, root, signed_root};
use fleetcast_netlab::command_line::Done;
use serde_json::{Value, json};

use super::check::key;
use super::fixture::Release;
use super::notices::{named, now, release};

fn with_store() -> Release {
    let release = release();
    fs::create_dir(release.path("store")).unwrap();
    release
}

const PLACE: [&str; 4] = ["--store", "store", "--channel", "stable"];

/// `publish` without a release.
fn publish(release: &Release, args: &[&str]) -> Done {
    Done::run(&mut release.command(&[&["publish"], &PLACE[..], args].concat()))
}

/// `publish` with the release.
fn publish_release(release: &Release, args: &[&str]) -> Done {
    Done::run(&mut release.send("publish", &[&PLACE[..], args].concat()))
}

fn json(done: Done) -> Value {
    serde_json::from_str(&done.ok().stdout).unwrap()
}

fn notices(release: &Release) -> Value {
    let told = json(Done::run(&mut release.command(&["channels", "--store", "store", "--json"])));
    told["notices"][0].clone()
}

fn roots<'a>(names: &[&'a str]) -> Vec<&'a str> {
    names.iter().flat_map(|name| ["--root", name]).collect()
}

/// Signs a beacon of root 3 into `NAME.beacon`.
fn sign(release: &Release, name: &str, issued: u64, keys: &[&str]) {
    release.folder.write(&format!("{name}.beacon"), beacon(3, issued, named(release), keys));
}

fn exists(release: &Release, name: &str) -> bool {
    release.path("store/channels/stable").join(name).exists()
}

#[test]
fn a_release_goes_with_its_roots_and_its_beacon_and_the_second_time_nothing_is_done() {
    let release = with_store();
    let issued = now() - 5;
    sign(&release, "current", issued, &["beacon"]);
    let all = [&roots(&["1.root", "2.root", "3.root"])[..], &["--beacon", "current.beacon", "--json"]].concat();
    let first = json(publish_release(&release, &all));
    assert_eq!(
        (&first["number"], &first["roots"], &first["new_roots"]),
        (&1.into(), &json!([1, 2, 3]), &json!([1, 2, 3]))
    );
    assert_eq!((&first["beacon"]["issued"], &first["beacon"]["unchanged"]), (&issued.into(), &false.into()));
    assert!(exists(&release, "roots/00003.root") && exists(&release, &format!("beacons/{issued:013}.beacon")));
    let again = json(publish_release(&release, &all));
    assert_eq!((&again["unchanged"], &again["octets"], &again["new_roots"]), (&true.into(), &0.into(), &json!([])));
    assert_eq!(again["beacon"]["unchanged"], true);
    let shown = notices(&release);
    assert_eq!((&shown["roots"], &shown["beacon"]["issued"]), (&json!([1, 2, 3]), &issued.into()));
    let text = Done::run(&mut release.command(&["channels", "--store", "store"])).ok().stdout;
    assert!(text.contains("roots 1 to 3, beacon of ") && text.contains("for root 3, good until"), "{text}");
}

#[test]
fn roots_are_only_ever_followed() {
    let release = with_store();
    publish(&release, &roots(&["1.root", "2.root"])).ok();
    let fork = root(2, &["a"], &["thief"], &["beacon"]);
    release.folder.write("fork.root", signed_root(&fork, &["a"]));
    publish(&release, &roots(&["1.root", "fork.root"])).failed(3, &["channel stable has another root 2", "hint"]);
    let alien = root(3, &["b"], &["thief"], &[]);
    release.folder.write("alien.root", signed_root(&alien, &["b"]));
    publish(&release, &roots(&["alien.root"]))
        .failed(3, &["root 3 does not follow what channel stable has", "(threshold)"]);
    publish(&release, &roots(&["4.root"])).failed(3, &["channel stable has", "(root-version)"]);
    assert!(!exists(&release, "roots/00003.root") && !exists(&release, "roots/00004.root"));
    // An old root alone changes nothing, and what is published by it is judged by the newest.
    assert_eq!(json(publish(&release, &["--root", "1.root", "--json"]))["roots"], json!([1, 2]));
    assert_eq!(json(publish(&release, &["--root", "3.root", "--json"]))["new_roots"], json!([3]));
    // A chain that begins earlier than what was known is known then.
    fs::remove_file(release.path("store/channels/stable/roots/00001.root")).unwrap();
    assert_eq!(
        json(publish(&release, &[&roots(&["1.root", "2.root"])[..], &["--json"]].concat()))["new_roots"],
        json!([1])
    );
    // What others have put there is told, and left to people.
    release.folder.write("store/channels/stable/roots/00004.root", "junk");
    publish(&release, &roots(&["3.root"])).failed(3, &["00004.root does not follow the root before it", "(template)"]);
}

#[test]
fn a_release_must_be_valid_by_the_newest_root_of_the_channel() {
    let release = with_store();
    publish_release(&release, &roots(&["1.root"])).failed(3, &["0 valid signatures"]);
    publish_release(&release, &roots(&["1.root", "2.root"])).ok();
    // Root 4 lists another release key: what the channel names is told to be refused.
    let told = publish(&release, &roots(&["2.root", "3.root", "4.root"])).ok();
    assert!(told.stderr.contains("root 4 refuses release"), "{}", told.stderr);
    publish_release(&release, &roots(&["2.root"])).failed(3, &["is refused", "0 valid signatures"]);
    let by_key = publish_release(&release, &["--trust", &key("release")]);
    by_key.failed(3, &["root 4 of channel stable refuses this release", "(threshold)", "newest root names"]);
}

#[test]
fn what_goes_from_channel_to_channel_must_be_valid_by_the_newest_root_of_where_it_goes() {
    let release = with_store();
    publish_release(&release, &roots(&["1.root", "2.root"])).ok();
    let to = |channel: &str, args: &[&str]| {
        Done::run(&mut release.command(&[&["publish", "--store", "store", "--channel", channel], args].concat()))
    };
    let from = |channel: &str, args: &[&str]| to(channel, &[&["--from", "stable"], args].concat());
    let told = json(from("all", &[&roots(&["1.root", "2.root"])[..], &["--json"]].concat()));
    assert_eq!((&told["number"], &told["new_roots"]), (&1.into(), &json!([1, 2])));
    // Root 4 lists another release key.
    to("other", &roots(&["2.root", "3.root", "4.root"])).ok();
    from("other", &roots(&["2.root"])).failed(3, &["that channel stable names is refused", "(threshold)"]);
    from("other", &["--trust", &key("release")]).failed(3, &["root 4 of channel other refuses this release"]);
    assert!(!release.path("store/channels/other/0000000001.json").exists());
}

#[test]
fn a_beacon_must_be_later_than_the_newest_and_valid_by_the_newest_root() {
    let release = with_store();
    let issued = now() - 100;
    sign(&release, "first", issued, &["beacon"]);
    publish(&release, &["--beacon", "first.beacon"]).failed(2, &["has no root"]);
    publish_release(&release, &roots(&["1.root", "2.root", "3.root"])).ok();
    publish(&release, &["--beacon", "first.beacon"]).ok();
    sign(&release, "old", issued - 1, &["beacon"]);
    publish(&release, &["--beacon", "old.beacon"]).failed(3, &["(beacon-replay)", "sign a new one"]);
    sign(&release, "stolen", issued + 50, &["thief"]);
    publish(&release, &["--beacon", "stolen.beacon"]).failed(3, &["root 3 of channel stable", "(threshold)"]);
    // Of the same second, with other content.
    let (sequence, digest) = named(&release);
    release.folder.write("twin.beacon", beacon(3, issued, (sequence + 1, digest), &["beacon"]));
    publish(&release, &["--beacon", "twin.beacon"]).failed(3, &["(beacon-replay)"]);
    // Files that do not verify hide nothing.
    release.folder.write("store/channels/stable/beacons/1099511627775.beacon", "junk");
    release.folder.write("store/channels/stable/beacons/x.beacon", "junk");
    let moved = beacon(3, issued + 9, named(&release), &["beacon"]);
    release.folder.write("store/channels/stable/beacons/1099511627774.beacon", moved);
    sign(&release, "second", issued + 20, &["beacon"]);
    publish(&release, &["--beacon", "second.beacon", "--root", "2.root"]).ok();
    assert_eq!(notices(&release)["beacon"]["issued"], issued + 20);
    // Root 4 has another beacon key: what the old one has signed is forgotten, however late.
    publish(&release, &roots(&["3.root", "4.root"])).ok();
    assert_eq!(notices(&release)["beacon"], Value::Null);
    release.folder.write("third.beacon", beacon(4, issued + 10, named(&release), &["other"]));
    publish(&release, &["--beacon", "third.beacon"]).ok();
    assert_eq!(notices(&release)["beacon"]["issued"], issued + 10);
}

#[test]
fn sixteen_beacons_and_all_roots_are_kept() {
    let release = with_store();
    publish(&release, &roots(&["1.root", "2.root", "3.root"])).ok();
    let issued = now() - 100;
    fs::create_dir(release.path("store/channels/stable/beacons")).unwrap();
    for number in 0..18 {
        let name = format!("store/channels/stable/beacons/{:013}.beacon", issued + number);
        release.folder.write(&name, beacon(3, issued + number, named(&release), &["beacon"]));
    }
    let gc = json(Done::run(&mut release.command(&["gc", "--store", "store", "--keep", "1", "--json"])));
    assert_eq!(gc["beacons"], json!([format!("stable/{}", issued + 1), format!("stable/{issued}")]));
    let count = |folder: &str| fs::read_dir(release.path("store/channels/stable").join(folder)).unwrap().count();
    assert_eq!((count("beacons"), count("roots")), (16, 3));
    assert_eq!(notices(&release)["beacon"]["issued"], issued + 17);
    // Without gc: what is published takes the place of the oldest.
    publish_release(&release, &roots(&["3.root"])).ok();
    sign(&release, "next", issued + 18, &["beacon"]);
    publish(&release, &["--beacon", "next.beacon"]).ok();
    assert_eq!(count("beacons"), 16);
    assert!(exists(&release, &format!("beacons/{:013}.beacon", issued + 18)));
}

#[test]
fn what_makes_no_sense_is_refused_as_usage() {
    let release = with_store();
    publish(&release, &[]).failed(2, &["RELEASE"]);
    publish(&release, &["--root", "1.root", "--rollback"]).failed(2, &["RELEASE"]);
    publish(&release, &["--root", "1.root", "--image", "x=y"]).failed(2, &["RELEASE"]);
    publish(&release, &["release", "--root", "1.root"]).failed(2, &["--image"]);
    publish(&release, &["--root", "missing.root"]).failed(1, &["missing.root"]);
    publish(&release, &["--beacon", "missing.beacon"]).failed(1, &["missing.beacon"]);
}
