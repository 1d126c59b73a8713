//! Captures, and what tshark says of them.

pub(crate) mod expected;

use std::collections::BTreeMap;
use std::env;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use fleetcast_netlab::capture::{ETHERNET, RAW_IP, ip, pcap};
use fleetcast_netlab::command_line::shipped;

/// A UDP datagram of a capture.
#[derive(Debug)]
pub(crate) struct Datagram {
    /// Its frame, counted from 1 as Wireshark does.
    pub(crate) frame: usize,
    /// Whether it came by IPv6.
    pub(crate) is_v6: bool,
    /// What it carries.
    pub(crate) payload: Vec<u8>,
}

/// Fields of a frame by name, those that it has; several values are joined by commas.
pub(crate) type Fields = BTreeMap<&'static str, String>;

const MAGIC: u32 = 0xA1B2_C3D4;
const UDP: u8 = 17;

/// Whether Wireshark's programs are here; a test that needs them returns if not.
///
/// # Panics
///
/// If they are missing in CI: there no test may be skipped.
pub(crate) fn require_tshark() -> bool {
    if ["tshark", "dumpcap"].iter().all(|tool| Command::new(tool).arg("--version").output().is_ok()) {
        return true;
    }
    assert!(env::var_os("CI").is_none(), "tshark and dumpcap are needed (package tshark): run .ci/test");
    eprintln!("SKIPPED: a test with Wireshark; missing: tshark and dumpcap (package tshark)");
    false
}

/// The fields that tshark reads in every frame, by our dissector.
pub(crate) fn dissect(capture: &Path, options: &[&str], fields: &[&'static str]) -> Vec<Fields> {
    let script = script();
    tshark(capture, &[&["-X", &script], options].concat(), fields)
}

/// All that our dissector tells of the frames of a filter, one field a line.
pub(crate) fn details(capture: &Path, filter: &str) -> String {
    run(capture, &["-X", &script(), "-O", "fleetcast", "-Y", filter])
}

/// The fields that tshark reads in every frame.
pub(crate) fn tshark(capture: &Path, options: &[&str], fields: &[&'static str]) -> Vec<Fields> {
    let wanted = fields.iter().flat_map(|field| ["-e", field]);
    let options: Vec<_> = options.iter().copied().chain(["-T", "fields", "-E", "separator=/t"]).chain(wanted).collect();
    let row = |line: &str| {
        let values = fields.iter().zip(line.split('\t'));
        values.filter(|(_, value)| !value.is_empty()).map(|(field, value)| (*field, value.to_owned())).collect()
    };
    // Later releases write booleans as words.
    run(capture, &options).replace("True", "1").replace("False", "0").lines().map(row).collect()
}

fn script() -> String {
    format!("lua_script:{}", shipped("examples/wireshark/fleetcast.lua").display())
}

fn run(capture: &Path, options: &[&str]) -> String {
    let mut command = Command::new("tshark");
    // Nobody's own settings and plugins.
    command
        .env("WIRESHARK_CONFIG_DIR", capture.with_extension("config"))
        .arg("-n")
        .arg("-r")
        .arg(capture)
        .args(options);
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !told.contains("Lua"), "{command:?}: {told}");
    String::from_utf8(output.stdout).unwrap()
}

/// The UDP datagrams of a capture in the form of libpcap.
pub(crate) fn read(capture: &Path) -> Vec<Datagram> {
    let octets = std::fs::read(capture).unwrap();
    let word = |at: usize| u32::from_le_bytes(octets[at..at + 4].try_into().unwrap());
    assert_eq!(word(0), MAGIC, "{} is no capture of this machine", capture.display());
    let link = if word(20) == ETHERNET { 14 } else { 0 };
    let (mut datagrams, mut at, mut frame) = (Vec::new(), 24, 0);
    while at < octets.len() {
        let (captured, original) = (word(at + 8), word(at + 12));
        assert_eq!(captured, original, "frame {frame} is cut");
        let end = at + 16 + captured as usize;
        frame += 1;
        datagrams.extend(datagram(frame, &octets[at + 16 + link..end]));
        at = end;
    }
    datagrams
}

fn datagram(frame: usize, ip: &[u8]) -> Option<Datagram> {
    let is_v6 = ip[0] >> 4 == 6;
    let (protocol, head) = if is_v6 { (ip[6], 40) } else { (ip[9], usize::from(ip[0] & 0x0F) * 4) };
    let udp = &ip[head..];
    let end = usize::from(u16::from_be_bytes([udp[4], udp[5]]));
    (protocol == UDP).then(|| Datagram { frame, is_v6, payload: udp[8..end].to_vec() })
}

/// Writes a capture of these datagrams to a port, one after the other by IPv4 and by IPv6.
pub(crate) fn write(capture: &Path, port: u16, payloads: &[&[u8]]) {
    let place = |text: &str, port| SocketAddr::new(text.parse().unwrap(), port);
    let ends = [("192.0.2.1", "239.77.1.1"), ("fe80::1", "ff15::77")];
    let one = |(number, payload): (u64, &&[u8])| {
        let (source, group) = ends[usize::from(number % 2 != 0)];
        (number * 1_000_000, ip(place(source, 50_000), place(group, port), payload))
    };
    let frames: Vec<_> = (0..).zip(payloads).map(one).collect();
    fleetcast_netlab::fleet::write(capture, &pcap(RAW_IP, &frames));
}
