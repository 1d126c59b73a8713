//! Keys with a real ssh-agent.

use std::process::Command;

use super::station::Station;

#[test]
fn a_key_that_the_agent_has_not_is_named_with_those_it_has() {
    let mut station = Station::new();
    station.agent();
    let [a, b] = ["a.pem", "b.pem"].map(|key| station.key_id(key));
    let create = |key: &str| station.create("r", &["--force", "--key", key]);
    let has = format!("hint: it has {a} (a), {b} (b)");
    create("ssh-agent:0123456789abcdef").failed(1, &["ssh-agent has no such Ed25519 key", &has]);
    create("ssh-agent:").failed(2, &["write ssh-agent: and a key id"]);
    create("ssh-agent:missing.pub").failed(1, &["cannot read missing.pub", "No such file"]);
    create("ssh-agent:a.pub.pem").failed(1, &["a.pub.pem is not one Ed25519 public key as OpenSSH writes it"]);

    let public = station.run("ssh-keygen", &["-y", "-f", "a.ssh"]).stdout;
    station.folder.write("a.pub", public);
    create("ssh-agent:a.pub").ok();
    // The agent forgets one.
    station.run("ssh-add", &["-q", "-d", "a.pub"]);
    create("ssh-agent:a.pub").failed(1, &["no such Ed25519 key", &format!("hint: it has {b} (b)")]);
    station.run("ssh-add", &["-q", "-D"]);
    create("ssh-agent:a.pub").failed(1, &["hint: it has no Ed25519 key at all: ssh-add FILE"]);
}

#[test]
fn an_agent_that_is_not_there_is_an_error() {
    let mut station = Station::new();
    let create = |station: &Station| station.create("r", &["--key", "ssh-agent:0123456789abcdef"]);
    create(&station).failed(1, &["SSH_AUTH_SOCK is not set", "ssh-add"]);
    station.set("SSH_AUTH_SOCK", "/nonexistent/agent");
    create(&station).failed(1, &["the ssh-agent at /nonexistent/agent does not answer: No such file"]);
}

#[test]
fn signatures_for_ssh_and_for_devices_are_different_things() {
    let mut station = Station::new();
    station.agent();
    station.create("r", &["--unsigned"]).ok();
    station.sign(&["prepare", "r", "--pub", "a.pub.pem", "--out", "tbs"]).ok();
    let public = station.run("ssh-keygen", &["-y", "-f", "a.ssh"]).stdout;
    station.folder.write("a.pub", public);
    // The agent signs the very octets for another purpose: it wraps them, so that the signature is worth nothing here.
    station.run("ssh-keygen", &["-Y", "sign", "-q", "-n", "file", "-f", "a.pub", "tbs"]);
    let armoured = String::from_utf8(station.read("tbs.sig")).unwrap();
    let base64: String = armoured.lines().filter(|line| !line.starts_with("---")).collect();
    station.folder.write("sshsig.base64", base64 + "\n");
    let mut decode = Command::new("openssl");
    decode.args(["base64", "-d", "-A", "-in", "sshsig.base64"]).current_dir(station.folder.path(""));
    let sshsig = decode.output().unwrap().stdout;
    station.folder.write("sig", &sshsig[sshsig.len() - 64..]);
    let attach = ["attach", "r", "--pub", "a.pub.pem", "--signature", "sig"];
    station.sign(&attach).failed(3, &["not a valid signature by key"]);
}
