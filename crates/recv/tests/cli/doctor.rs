//! The doctor, as far as that needs no network.

use super::common::Folder;
use fleetcast_netlab::command_line::shipped;

#[test]
fn findings_are_told_in_plain_words_and_as_json() {
    let folder = Folder::default();
    let done = folder.recv(&["doctor", "--config", "none.toml"]).failed(78, &["none.toml: cannot read it"]);
    assert!(done.stdout.starts_with("wrong    settings ") && done.stdout.contains("\n  "), "{done:?}");
    let done = folder.recv(&["doctor", "--config", "none.toml", "--json"]).failed(78, &[]);
    let report: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((&report["v"], &report["verdict"]), (&1.into(), &"wrong".into()));
    assert_eq!(
        (&report["findings"][0]["code"], &report["findings"][0]["level"]),
        (&"settings".into(), &"wrong".into())
    );

    std::fs::copy(shipped("keys/UNSAFE-test-release.pub.pem"), folder.path("release-key.pub.pem")).unwrap();
    let example = std::fs::read_to_string(shipped("examples/recv.toml")).unwrap();
    folder.write("recv.toml", example.replace("\"eth0\"", "\"nosuch0\""));
    let done = folder.recv(&["doctor", "--config", "recv.toml"]);
    let done = done.failed(1, &["error: no update can arrive: interface-unknown"]);
    let lines: Vec<_> = done.stdout.lines().collect();
    assert!(
        lines[0].starts_with("ok       settings ") && lines[1].starts_with("wrong    interface-unknown "),
        "{done:?}"
    );
    assert!(lines[2].trim_start().starts_with("-> name an interface there is") && lines.len() == 3, "{done:?}");
    folder.recv(&["doctor", "--for", "soon"]).failed(2, &["--for"]);
}
