//! Keys behind `--sign-cmd`.

use super::station::Station;

fn create(station: &Station, command: &str) -> fleetcast_netlab::command_line::Done {
    station.create("r", &["--sign-cmd", command, "--pub", "a.pub.pem"])
}

#[test]
fn what_a_program_says_is_shown_and_what_it_gives_is_verified() {
    let station = Station::new();
    create(&station, "echo the safe is closed >&2; exit 7")
        .failed(1, &["the safe is closed\n", "no signature by key", "it ended with exit status: 7"]);
    create(&station, "kill -9 $$").failed(1, &["signal: 9"]);
    create(&station, "head -c 64 /dev/zero").failed(1, &["not a valid signature by this key"]);
    create(&station, "echo signed").failed(1, &["has not the 64 octets of a signature but 7", "64 raw octets"]);
    create(&station, "cat /dev/zero").failed(1, &["has not the 64 octets of a signature but more"]);
    // The key of somebody else.
    let other = "cat >tbs && openssl pkeyutl -sign -rawin -inkey b.pem -in tbs";
    create(&station, other).failed(1, &["not a valid signature by this key", "private half"]);
    assert!(!station.folder.path("r").exists());
    // Its stderr is shown also when all is well.
    let good = "echo thinking >&2; cat >tbs && openssl pkeyutl -sign -rawin -inkey a.pem -in tbs";
    assert!(create(&station, good).ok().stderr.contains("thinking\n"));
}

#[test]
fn each_program_has_its_public_half() {
    let station = Station::new();
    let missing = "--sign-cmd is given 1 times and --pub 0 times";
    station.create("r", &["--sign-cmd", "true"]).failed(2, &[missing, "the public half of each"]);
    station.create("r", &["--key", "a.pem", "--pub", "a.pub.pem"]).failed(2, &["--sign-cmd <COMMAND>"]);
    station.create("r", &["--sign-cmd", "true", "--pub", "a.pem"]).failed(1, &["private keys stay"]);
    // Keys first, then programs.
    let command = |key: &str| format!("cat >tbs && openssl pkeyutl -sign -rawin -inkey {key}.pem -in tbs");
    let [a, b] = ["a", "b"].map(command);
    station.create("both", &["--sign-cmd", &a, "--pub", "a.pub.pem", "--sign-cmd", &b, "--pub", "b.pub.pem"]).ok();
    station.create("mixed", &["--sign-cmd", &b, "--pub", "b.pub.pem", "--key", "a.pem"]).ok();
    station.create("keys", &["--key", "a.pem", "--key", "b.pem"]).ok();
    assert!(station.read("both") == station.read("keys") && station.read("mixed") == station.read("keys"));
}
