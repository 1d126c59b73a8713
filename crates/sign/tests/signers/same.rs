//! Whatever signs, the release file is the same to the octet.

use fleetcast_netlab::command_line::Done;

use super::station::{MODULE, PIN, Station};

#[test]
fn every_way_to_sign_gives_the_same_file() {
    let mut station = Station::new();
    station.token("release");
    station.import("release", "a", "01");
    station.agent();
    station.create("pem", &["--key", "a.pem"]).ok();
    let expected = station.read("pem");
    let id = station.key_id("a.pem");

    // In one go.
    let uri = format!("pkcs11:token=release;object=a?pin-value={PIN}&module-path={MODULE}");
    station.folder.openssl(&[
        "pkcs8",
        "-topk8",
        "-v2",
        "aes256",
        "-passout",
        "pass:open",
        "-in",
        "a.pem",
        "-out",
        "locked",
    ]);
    station.folder.write("pass", "open\n");
    let ssh = station.run("ssh-keygen", &["-y", "-f", "a.ssh"]).stdout;
    station.folder.write("a.ssh.pub", ssh);
    let command = "cat >tbs && openssl pkeyutl -sign -rawin -inkey a.pem -in tbs";
    let agent = format!("ssh-agent:{id}");
    let ways: [(&str, &[&str]); 5] = [
        ("locked", &["--key", "locked", "--passphrase-file", "pass"]),
        ("token", &["--key", &uri]),
        ("agent", &["--key", &agent]),
        ("agent-file", &["--key", "ssh-agent:a.ssh.pub"]),
        ("hook", &["--sign-cmd", command, "--pub", "a.pub.pem"]),
    ];
    for (out, way) in ways {
        station.create(&format!("{out}.r"), way).ok();
        assert!(station.read(&format!("{out}.r")) == expected, "create {way:?}");
        // Made first, signed later.
        let later = format!("{out}.later");
        station.create(&later, &["--unsigned"]).ok();
        assert!(station.read(&later) != expected);
        station.sign(&[&["sign", &later], way].concat()).ok();
        assert!(station.read(&later) == expected, "sign {way:?}");
    }

    // Signed elsewhere, by three programs.
    station.create("r", &["--unsigned"]).ok();
    station.sign(&["prepare", "r", "--pub", "a.pub.pem", "--out", "tbs", "--force"]).ok();
    station.folder.openssl(&["pkeyutl", "-sign", "-rawin", "-inkey", "a.pem", "-in", "tbs", "-out", "sig"]);
    station.folder.openssl(&["base64", "-in", "sig", "-out", "sig.base64"]);
    let hex = station.read("sig").iter().fold(String::new(), |text, octet| text + &format!("{octet:02x}"));
    station.folder.write("sig.hex", hex + "\n");
    for signature in ["sig", "sig.base64", "sig.hex"] {
        let file = format!("attached-{signature}");
        station.create(&file, &["--unsigned"]).ok();
        station.sign(&["attach", &file, "--pub", "a.pub.pem", "--signature", signature]).ok();
        assert!(station.read(&file) == expected, "attach {signature}");
    }
    assert!(station.folder.names().iter().all(|name| !name.contains("tmp")), "{:?}", station.folder.names());
}

#[test]
fn two_signers_give_the_same_file_in_one_go_and_one_after_the_other() {
    let mut station = Station::new();
    station.token("release");
    station.import("release", "b", "02");
    station.set("FLEETCAST_PKCS11_MODULE", MODULE);
    station.set("FLEETCAST_PKCS11_PIN", PIN);
    let token = "pkcs11:object=b";
    station.create("together", &["--key", "a.pem", "--key", "b.pem"]).ok();
    let expected = station.read("together");
    station.create("mixed", &["--key", "a.pem", "--key", token]).ok();
    assert!(station.read("mixed") == expected, "a file and a token");

    // With the room that create leaves by itself for two.
    station.create("apart", &["--key", "a.pem", "--signatures", "2"]).ok();
    station.sign(&["sign", "apart", "--key", token, "--append"]).ok();
    assert!(station.read("apart") == expected, "create, then sign --append");

    station.create("later", &["--unsigned", "--signatures", "2"]).ok();
    station.sign(&["sign", "later", "--key", "a.pem", "--key", "b.pem"]).ok();
    assert!(station.read("later") == expected, "sign by both");

    // Prepared before the other has signed: what a key signs does not depend on others.
    station.create("elsewhere", &["--unsigned", "--signatures", "2"]).ok();
    station.sign(&["prepare", "elsewhere", "--pub", "b.pub.pem", "--out", "b.tbs"]).ok();
    station.folder.openssl(&["pkeyutl", "-sign", "-rawin", "-inkey", "b.pem", "-in", "b.tbs", "-out", "b.sig"]);
    station.sign(&["sign", "elsewhere", "--key", "a.pem"]).ok();
    station.sign(&["attach", "elsewhere", "--pub", "b.pub.pem", "--signature", "b.sig"]).ok();
    assert!(station.read("elsewhere") == expected, "sign, then attach");

    let trust = ["--trust", "a.pub.pem", "--trust", "b.pub.pem", "--threshold", "2"];
    station.sign(&[&["verify", "elsewhere"], &trust[..]].concat()).ok();
    // The order of the signatures is that in which they were made.
    station.create("swapped", &["--key", token, "--key", "a.pem"]).ok();
    assert!(station.read("swapped") != expected);
    station.sign(&[&["verify", "swapped"], &trust[..]].concat()).ok();
}

#[test]
fn pubkey_shows_the_same_key_wherever_it_is() {
    let mut station = Station::new();
    station.token("release");
    station.import("release", "a", "01");
    station.agent();
    let expected = station.sign(&["pubkey", "a.pem"]).ok();
    let show = |key: &str| {
        let Done { stdout, stderr, .. } = station.sign(&["pubkey", key, "--pkcs11-module", MODULE]).ok();
        assert_eq!((&stdout, &stderr), (&expected.stdout, &expected.stderr), "{key}");
    };
    // Without a PIN: the public half is no secret.
    show("pkcs11:object=a");
    show(&format!("ssh-agent:{}", station.key_id("a.pem")));
}
