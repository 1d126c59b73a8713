//! `publish`, `channels` and `gc`, as a user runs them.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use fleetcast_core::trust::{Trust, TrustedKeys};
use fleetcast_netlab::command_line::{Done, Folder};
use fleetcast_send::follow::cache::Cache;
use fleetcast_send::follow::fetch::Fetcher;
use fleetcast_send::store::gc::{Retention, find, remove};
use fleetcast_send::store::place::Place;
use serde_json::Value;

use super::check::key;
use super::fixture::Release;

fn publish(release: &Release, args: &[&str]) -> Done {
    let trust = key("release");
    let all = [&["--store", "store", "--channel", "stable", "--trust", &trust][..], args].concat();
    Done::run(&mut release.send("publish", &all))
}

fn with_store(name: &str) -> Release {
    let release = Release::of(name);
    fs::create_dir(release.path("store")).unwrap();
    release
}

fn json(done: Done) -> Value {
    serde_json::from_str(&done.ok().stdout).unwrap()
}

fn channels(folder: &Folder, args: &[&str]) -> Vec<Value> {
    let all = [&["channels", "--store", "store", "--json"][..], args].concat();
    let told = json(Done::run(&mut folder.command(super::fixture::PROGRAM, &all)));
    told["pointers"].as_array().unwrap().clone()
}

fn names(release: &Release, folder: &str) -> Vec<String> {
    let entries = fs::read_dir(release.path("store").join(folder)).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn what_is_published_is_there_once_and_the_second_time_nothing_is_done() {
    let release = with_store("ok-three-components");
    assert!(channels(&release.folder, &[]).is_empty());
    let first = json(publish(&release, &["--json"]));
    assert_eq!((&first["number"], &first["unchanged"]), (&1.into(), &false.into()));
    let files = names(&release, "files");
    assert_eq!(files.len(), 4, "{files:?}");
    assert!(files.contains(&format!("{}.fleetcast", first["release"].as_str().unwrap())));
    let again = json(publish(&release, &["--json"]));
    assert_eq!((&again["number"], &again["unchanged"], &again["octets"]), (&1.into(), &true.into(), &0.into()));
    publish(&release, &[]).ok();
    let told = channels(&release.folder, &[]);
    assert_eq!((told.len(), &told[0]["channel"], &told[0]["number"]), (1, &"stable".into(), &1.into()));
    assert_eq!(told, channels(&release.folder, &["--channel", "stable"]));
    // What is lost is put again, though the channel names it.
    fs::remove_file(release.path("store/files").join(&files[0])).unwrap();
    assert_ne!(json(publish(&release, &["--json"]))["octets"], 0);
    assert_eq!((names(&release, "files"), names(&release, "channels/stable").len()), (files, 1));
}

#[test]
fn what_one_channel_names_another_may_name_too() {
    let release = with_store("ok-three-components");
    let promote = |to: &str, trust: &str, args: &[&str]| {
        let all = ["publish", "--store", "store", "--from", "stable", "--channel", to, "--trust", trust];
        Done::run(&mut release.command(&[&all[..], args].concat()))
    };
    let trust = key("release");
    promote("all", &trust, &[]).failed(1, &["channel stable names no release"]);
    let first = json(publish(&release, &["--json"]));
    for is_again in [false, true] {
        let told = json(promote("all", &trust, &["--json"]));
        assert_eq!((&told["release"], &told["octets"]), (&first["release"], &0.into()));
        assert_eq!((&told["number"], &told["unchanged"]), (&1.into(), &is_again.into()));
    }
    // As another publisher would have written it.
    let pointer = first["sequence"].as_u64().unwrap() + 5;
    let pointer =
        format!(r#"{{"v":1,"release":"{}","sequence":{pointer},"version":"9","published":1}}"#, "0a".repeat(32));
    release.folder.write("store/channels/all/0000000002.json", pointer);
    promote("all", &trust, &[]).failed(3, &["names sequence", "--rollback"]);
    assert_eq!(json(promote("all", &trust, &["--rollback", "--json"]))["number"], 3);

    promote("other", &key("other"), &[]).failed(3, &["0 valid signatures by trusted keys"]);
    promote("other", &trust, &["release"]).failed(2, &["cannot be used with"]);
    Done::run(&mut release.command(&["publish", "--store", "store", "--from", "stable", "--channel", "other"]))
        .failed(2, &["what is published must be verified", "--trust"]);
    // What the store lacks, or has cut off, goes no further.
    for name in names(&release, "files") {
        let path = release.path("store/files").join(&name);
        let octets = fs::read(&path).unwrap();
        release.folder.write(&path.display().to_string(), &octets[..octets.len() - 1]);
        promote("other", &trust, &[]).failed(3, &[&name, "hint: publish its release file and images"]);
        fs::remove_file(&path).unwrap();
        promote("other", &trust, &[]).failed(3, &[&name]);
        release.folder.write(&path.display().to_string(), octets);
    }
    assert!(!release.path("store/channels/other").exists());
}

#[test]
fn what_does_not_verify_is_not_published() {
    let release = with_store("ok-small");
    let bare = ["--store", "store", "--channel", "stable"];
    Done::run(&mut release.send("publish", &bare)).failed(2, &["what is published must be verified", "--trust"]);
    let stranger = key("other");
    Done::run(&mut release.send("publish", &[&bare[..], &["--trust", &stranger]].concat()))
        .failed(3, &["0 valid signatures by trusted keys"]);
    release.flip("rootfs.img", 100);
    publish(&release, &[]).failed(3, &["rootfs.img is not the one"]);
    assert_eq!(fs::read_dir(release.path("store")).unwrap().count(), 0);
}

#[test]
fn a_store_that_is_none_is_told_and_secrets_are_not() {
    let release = Release::of("ok-small");
    publish(&release, &[]).failed(1, &["store store", "hint: a folder must exist"]);
    let channels = |store: &str| Done::run(&mut release.command(&["channels", "--store", store]));
    for (store, part) in [("s3://key:secret@bucket/x", "environment"), ("ftp://host/x", "file, s3, gs, az")] {
        let done = channels(store).failed(2, &[part]);
        assert!(!done.stderr.contains("secret") || done.stderr.matches("secret").count() == 1, "{}", done.stderr);
    }
    #[cfg(not(feature = "cloud"))]
    channels("s3://bucket/x").failed(2, &["built without buckets"]);
}

#[test]
fn the_sequence_rises_unless_told_otherwise() {
    let release = with_store("ok-small");
    let sequence = json(publish(&release, &["--json"]))["sequence"].as_u64().unwrap();
    // As another publisher would have written it.
    let pointer = |number: u64, digest: &str, sequence: u64| {
        let text =
            format!(r#"{{"v":1,"release":"{}","sequence":{sequence},"version":"9","published":1}}"#, digest.repeat(32));
        release.folder.write(&format!("store/channels/stable/{number:010}.json"), text);
    };
    pointer(2, "0a", sequence + 5);
    publish(&release, &[]).failed(3, &["names sequence", "hint: sign it with a higher sequence number; --rollback"]);
    assert_eq!(json(publish(&release, &["--rollback", "--json"]))["number"], 3);
    pointer(4, "0b", sequence);
    publish(&release, &["--rollback"]).failed(3, &["another release with sequence", "misuse of a key"]);
    pointer(5, "zz", 1);
    publish(&release, &[]).failed(3, &["0000000005.json names no release"]);
    // Its successor would be one that nobody looks at.
    pointer(9_999_999_999, "0c", 1);
    publish(&release, &[]).failed(3, &["9999999999.json has the last number there is", "hint: remove that file"]);
    assert_eq!(names(&release, "channels/stable").len(), 6);
}

#[test]
fn garbage_goes_and_what_a_channel_needs_stays() {
    let release = with_store("ok-three-components");
    publish(&release, &[]).ok();
    let kept = names(&release, "files");
    release.folder.write("store/files/old", "old");
    // An older pointer, whose release is gone.
    let first = release.path("store/channels/stable/0000000001.json");
    let text = fs::read_to_string(&first).unwrap();
    release.folder.write("store/channels/stable/0000000002.json", &text);
    release.folder.write("store/channels/stable/0000000001.json", text.replace(&text[19..30], &"0".repeat(11)));
    let gc =
        |args: &[&str]| Done::run(&mut release.command(&[&["gc", "--store", "store", "--json"][..], args].concat()));
    // It is kept, and so must be what it names.
    gc(&["--keep", "2", "--grace", "0"]).failed(3, &["is missing"]);
    let young = json(gc(&["--keep", "1"]));
    assert_eq!((&young["files"], &young["pointers"][0]), (&Value::Array(vec![]), &"stable/1".into()));
    release.folder.write("store/channels/stable/0000000001.json", &text);
    std::thread::sleep(std::time::Duration::from_millis(20));
    let dry = json(gc(&["--keep", "1", "--grace", "0", "--dry-run"]));
    assert_eq!((&dry["removed"], &dry["files"][0], &dry["octets"]), (&false.into(), &"old".into(), &3.into()));
    assert!(release.path("store/files/old").exists());
    let days = json(gc(&["--keep", "1", "--grace", "0", "--keep-days", "1", "--dry-run"]));
    assert_eq!(days["pointers"], Value::Array(vec![]), "published today");
    assert_eq!(json(gc(&["--keep", "1", "--grace", "0"]))["files"], dry["files"]);
    assert_eq!((names(&release, "files"), names(&release, "channels/stable")), (kept, vec!["0000000002.json".into()]));
}

#[test]
fn what_broken_off_publishers_left_is_garbage_once_it_is_old() {
    let release = with_store("ok-small");
    publish(&release, &[]).ok();
    let kept = (names(&release, "files"), names(&release, "channels/stable"));
    // As they are named while they are written.
    let image = kept.0.iter().find(|name| !name.contains('.')).unwrap();
    release.folder.write(&format!("store/files/{image}#1"), "half");
    release.folder.write("store/channels/stable/0000000002.json#12", "{");
    std::thread::sleep(std::time::Duration::from_millis(20));
    let gc = |args: &[&str]| {
        json(Done::run(&mut release.command(&[&["gc", "--store", "store", "--json"][..], args].concat())))
    };
    assert_eq!(gc(&[])["files"], Value::Array(vec![]), "somebody may be writing them");
    let told = gc(&["--grace", "0"]);
    assert_eq!((told["files"].as_array().unwrap().len(), &told["octets"]), (2, &5.into()));
    assert_eq!((names(&release, "files"), names(&release, "channels/stable")), kept);
}

#[test]
fn what_a_publisher_names_while_garbage_is_collected_stays() {
    let release = with_store("ok-three-components");
    publish(&release, &[]).ok();
    let files = names(&release, "files");
    // As long as nothing names them they are garbage, and whoever publishes finds them there.
    fs::remove_dir_all(release.path("store/channels")).unwrap();
    let store = release.path("store").display().to_string().parse::<Place>().unwrap().open().unwrap();
    let retention = Retention { keep: 1, young: Duration::ZERO, grace: Duration::ZERO };
    let garbage = find(&store, retention, SystemTime::now() + Duration::from_secs(1)).unwrap();
    assert_eq!(garbage.files.len(), files.len());
    assert_eq!(json(publish(&release, &["--json"]))["octets"], 0);
    assert!(remove(&store, garbage).unwrap().files.is_empty());
    assert_eq!(names(&release, "files"), files);
}

#[test]
fn who_looks_while_pointers_are_made_and_removed_is_told_of_no_damage() {
    let release = with_store("ok-small");
    publish(&release, &[]).ok();
    let folder = release.path("store").display().to_string();
    let open = || folder.parse::<Place>().unwrap().open().unwrap();
    let (store, channel) = (open(), "stable".parse().unwrap());
    let (mut number, pointer) = store.newest(&channel).unwrap().unwrap();
    let is_done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_done.load(std::sync::atomic::Ordering::Relaxed) {
                assert!(store.point(&channel, number + 1, &pointer).unwrap());
                store.remove(&format!("channels/stable/{number:010}.json")).unwrap();
                number += 1;
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let reader = open();
        let damaged = (0..2000).find_map(|_| reader.newest(&channel).err());
        is_done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(damaged.is_none(), "{damaged:?}");
    });
}

#[test]
fn a_release_file_that_is_damaged_in_the_store_costs_no_image_that_was_fetched() {
    let release = with_store("ok-small");
    publish(&release, &[]).ok();
    let (damaged, image): (Vec<_>, Vec<_>) = names(&release, "files").into_iter().partition(|name| name.contains('.'));
    let path = release.path("store/files").join(&damaged[0]);
    release.flip(&format!("store/files/{}", damaged[0]), usize::try_from(path.metadata().unwrap().len()).unwrap() - 1);
    let store = release.path("store").display().to_string().parse::<Place>().unwrap().open().unwrap();
    let key = fleetcast_cli::keys::load_public(Path::new(&key("release"))).unwrap().tell();
    let trust = TrustedKeys::new(vec![key], 1).map(Trust::from).unwrap();
    let cache = Cache::open(&release.path("cache"), 1 << 30, ["stable".to_owned()].into()).unwrap();
    let (temp_dir, stop) = (std::env::temp_dir(), || false);
    let (cached, before) = (&cache, &[]);
    let fetcher = Fetcher { stream: "stable", trust: &trust, before, cache: cached, temp_dir: &temp_dir, stop: &stop };
    let (_, pointer) = store.newest(&"stable".parse().unwrap()).unwrap().unwrap();
    let refused = fetcher.fetch(&store, &pointer, &mut |_| {}).unwrap_err();
    assert_eq!(refused.code(), "page-digest");
    assert!(cache.path(&image[0]).exists() && !cache.path(&damaged[0]).exists());
    // The next attempt fetches only what was damaged.
    let mut octets = 0;
    fs::copy(release.path("release"), path).unwrap();
    fetcher.fetch(&store, &pointer, &mut |missing| octets = missing).unwrap();
    assert_eq!(octets, cache.path(&damaged[0]).metadata().unwrap().len());
}
