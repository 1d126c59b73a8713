//! Device reports: what a web server is told after an install, also if it was away, and what that must not hold up.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use fleetcast_netlab::fleet::{Fleet, PATIENCE, noise, write};
use fleetcast_netlab::netns::{Host, Signal};
use serde_json::{Value, json};

const PORT: u16 = 8080;

/// A request as it came: its head in lower case, and the document.
type Request = (String, Value);

/// Reads a request whole.
fn read(stream: &mut TcpStream) -> Request {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut head = Vec::new();
    let mut octet = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut octet).unwrap();
        head.push(octet[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    (head, serde_json::from_slice(&body).unwrap())
}

/// A server on a host that answers with these statuses, one after the other, and then takes all; and what it was told.
fn server(host: &Host, statuses: &'static [&'static str]) -> Receiver<Request> {
    let listener = host.enter(|| TcpListener::bind((host.v4(), PORT))).unwrap().unwrap();
    let (told, requests) = channel();
    thread::spawn(move || {
        for (nth, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let request = read(&mut stream);
            let status = statuses.get(nth).unwrap_or(&"200 OK");
            let _ = stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes());
            if told.send(request).is_err() {
                return;
            }
        }
    });
    requests
}

/// Settings with a table for reports to a host, with a token.
fn settings(fleet: &Fleet, host: &Host) -> PathBuf {
    let (path, token) = (fleet.path("report.toml"), fleet.path("token"));
    write(&token, b"TargetToken 4d2a\n");
    let text = format!(
        "[report]\nurl = \"http://{}:{PORT}/DEFAULT/\"\nid = \"device-17\"\ntoken = \"{}\"\ndelay = \"0s\"\ntimeout = \"1s\"\n",
        host.v4(),
        token.display()
    );
    write(&path, text.as_bytes());
    path
}

#[test]
fn a_report_is_made_once_after_an_install_and_another_after_the_next() {
    let Some(fleet) = Fleet::new("report") else { return };
    let (head, web, device) = (fleet.host("head"), fleet.host("web"), fleet.device("device", &["app"]));
    let requests = server(&web, &[]);
    let options = format!("--config {}", settings(&fleet, &web).display());
    let (first, second) = (fleet.release(1, &noise(1, 1 << 18)), fleet.release(2, &noise(2, 1 << 18)));
    let send = fleet.send(&head, &first, "--rate 20M");
    let mut run = device.start(&options);
    let (request, body) = requests.recv_timeout(PATIENCE).unwrap();
    let lines: Vec<_> = request.lines().collect();
    assert_eq!(lines[0], "POST /DEFAULT/controller/v1/device-17/deploymentBase/1/feedback HTTP/1.1");
    for header in
        ["Content-Type: application/json", "Authorization: TargetToken 4d2a", &format!("Host: {}:{PORT}", web.v4())]
    {
        assert!(lines.contains(&header), "{request}");
    }
    assert_eq!(body["status"]["execution"], "closed");
    assert_eq!(body["status"]["result"], json!({"finished": "success"}));
    assert_eq!(body["status"]["details"].as_array().unwrap().len(), 3);
    assert_eq!(body["status"]["details"][0], "fleetcast sequence 1");
    assert_eq!(body.as_object().unwrap().len() + body["status"].as_object().unwrap().len(), 4, "and no more: {body}");

    // The file that says so is there before the daemon ends.
    let kept = device.state().join("reported");
    while !kept.exists() {
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(run.end(Signal::TERM), 0);
    drop(send);

    // Not again after a restart, but for the next release.
    let mut run = device.start(&options);
    run.wait_for("ready");
    let _send = fleet.send(&head, &second, "--rate 20M");
    let (request, _) = requests.recv_timeout(PATIENCE).unwrap();
    assert!(request.contains("/deploymentBase/2/feedback"), "{request}");
    assert_eq!(run.all("installed").len(), 1);
}

#[test]
fn a_server_that_says_nothing_or_is_away_holds_up_no_install_and_is_told_after_a_restart() {
    let Some(fleet) = Fleet::new("deaf") else { return };
    let (head, web, device) = (fleet.host("head"), fleet.host("web"), fleet.device("device", &["app"]));
    // Connections wait in its queue for ever.
    let listener = web.enter(|| TcpListener::bind((web.v4(), PORT))).unwrap().unwrap();
    let options = format!("--config {}", settings(&fleet, &web).display());
    let (first, second) = (fleet.release(1, &noise(1, 1 << 18)), fleet.release(2, &noise(2, 1 << 20)));
    let send = fleet.send(&head, &first, "--rate 20M");
    let mut run = device.start(&options);
    run.wait_until("warning", |event| event["code"] == "report-failed");
    drop(send);
    let _send = fleet.send(&head, &second, "--rate 20M");
    run.wait_until("installed", |event| event["release"]["sequence"] == 2);
    device.assert_runs(&second);
    assert_eq!(run.end(Signal::TERM), 0);
    drop(listener);

    let requests = server(&web, &[]);
    let _run = device.start(&options);
    let (request, _) = requests.recv_timeout(PATIENCE).unwrap();
    assert!(request.contains("/deploymentBase/2/feedback"), "of the newest alone: {request}");
}

#[test]
fn a_server_that_refuses_is_told_of_once_and_asked_no_more() {
    let Some(fleet) = Fleet::new("refuses") else { return };
    let (head, web, device) = (fleet.host("head"), fleet.host("web"), fleet.device("device", &["app"]));
    let requests = server(&web, &["404 Not Found"]);
    let _send = fleet.send(&head, &fleet.release(1, &noise(1, 1 << 18)), "--rate 20M");
    let mut run = device.start(&format!("--config {}", settings(&fleet, &web).display()));
    let warning = run.wait_until("warning", |event| event["code"] == "report-given-up");
    assert!(warning["reason"].as_str().unwrap().ends_with("HTTP status 404"), "{warning}");
    assert!(requests.try_recv().is_ok() && requests.recv_timeout(Duration::from_secs(3)).is_err());
}
