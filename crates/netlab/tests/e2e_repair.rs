//! What is missing near the end is fetched from web servers: a real nginx, and some that are no help.
#![expect(clippy::unwrap_used, reason = "test code")]
#![expect(clippy::cast_precision_loss, reason = "counts of octets are small")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use fleetcast_netlab::fleet::{Device, Fleet, PATIENCE, Release, Run, count, noise, program, run, write};
use fleetcast_netlab::netns::{Host, Process};

const PORT: u16 = 8080;

/// A folder with the files of a release under the names that devices ask for, as it is published.
fn publish(fleet: &Fleet, release: &Release) -> PathBuf {
    let store = fleet.path("web");
    fs::create_dir(&store).unwrap();
    let mut command = Command::new(program("send"));
    command.arg("publish").arg(&release.file).args(["--channel", "stable"]).arg("--store").arg(&store);
    command.arg("--trust").arg(fleet.key("release").1);
    for (name, image) in &release.images {
        command.arg("--image").arg(format!("{name}={}", image.display()));
    }
    run(&mut command);
    store.join("files")
}

/// nginx on a host: the folder as it is, and at `/whole` without ranges. Its log has for each answer the number of the
/// connection, the status, and the octets of the body.
struct Nginx {
    _process: Process,
    log: PathBuf,
}

impl Nginx {
    fn start(fleet: &Fleet, host: &Host, folder: &Path) -> Self {
        Self::start_with(fleet, host, folder, "")
    }

    /// With TLS on the port above too, by `tls.pem` and `tls.key`.
    #[cfg(feature = "https")]
    fn start_with_tls(fleet: &Fleet, host: &Host, folder: &Path) -> Self {
        let place = fleet.lab.directory().display();
        let tls = format!(
            "server {{ listen {}:{} ssl; ssl_certificate {place}/tls.pem; ssl_certificate_key {place}/tls.key; root {}; }}",
            host.v4(),
            PORT + 1,
            folder.display()
        );
        Self::start_with(fleet, host, folder, &tls)
    }

    fn start_with(fleet: &Fleet, host: &Host, folder: &Path, tls: &str) -> Self {
        let [config, log] = ["nginx.conf", "access.log"].map(|name| fleet.path(name));
        let (place, folder, address) = (fleet.lab.directory().display(), folder.display(), host.v4());
        let text = format!(
            "daemon off; master_process off; user root; pid {place}/nginx.pid; error_log {place}/error.log;
            events {{}}
            http {{
                log_format numbers '$connection $status $body_bytes_sent';
                access_log {place}/access.log numbers;
                client_body_temp_path {place}/nginx-body; proxy_temp_path {place}/nginx-proxy;
                fastcgi_temp_path {place}/nginx-fastcgi; uwsgi_temp_path {place}/nginx-uwsgi; scgi_temp_path {place}/nginx-scgi;
                {tls}
                server {{
                    listen {address}:{PORT};
                    location / {{ root {folder}; }}
                    location /whole/ {{ alias {folder}/; max_ranges 0; }}
                    location /elsewhere/ {{ return 302 /; }}
                }}
            }}\n"
        );
        write(&config, text.as_bytes());
        let process = host.spawn(Command::new("nginx").arg("-c").arg(&config)).unwrap();
        let deadline = Instant::now() + PATIENCE;
        while host.enter(|| TcpStream::connect((address, PORT))).unwrap().is_err() {
            assert!(Instant::now() < deadline, "{}", process.stderr().unwrap());
            thread::sleep(Duration::from_millis(10));
        }
        Self { _process: process, log }
    }

    fn answers(&self) -> Vec<[u64; 3]> {
        let text = fs::read_to_string(&self.log).unwrap();
        let number = |line: &str| line.split(' ').map(|word| word.parse().unwrap()).collect::<Vec<_>>();
        text.lines().map(|line| number(line).try_into().unwrap()).collect()
    }
}

/// A server that gives each connection to `serve`; its URL.
fn server(host: &Host, serve: fn(TcpStream)) -> String {
    let listener = host.enter(|| TcpListener::bind((host.v4(), 0))).unwrap().unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || listener.incoming().for_each(|stream| serve(stream.unwrap())));
    url
}

/// Gives wrong octets, as many as asked for.
fn lie(mut stream: TcpStream) {
    let mut head = [0; 4096];
    let length = stream.read(&mut head).unwrap();
    let head = String::from_utf8_lossy(&head[..length]).to_ascii_lowercase();
    let range = head.lines().find_map(|line| line.strip_prefix("range: bytes=")).unwrap();
    let (first, last) = range.trim().split_once('-').unwrap();
    let length = last.parse::<usize>().unwrap() + 1 - first.parse::<usize>().unwrap();
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {first}-{last}/*\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(&[head.as_bytes(), &vec![0x55; length]].concat()).unwrap();
}

/// Answers with an octet now and then, for ever.
fn drip(mut stream: TcpStream) {
    thread::spawn(move || {
        let _ = stream.write_all(b"HTTP/1.1 206 Partial Content\r\nX: ");
        while stream.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(100));
        }
    });
}

/// The settings of a device that may ask these servers.
fn settings(fleet: &Fleet, servers: &[String]) -> String {
    let path = fleet.path("repair.toml");
    let text = format!(
        "[repair]\nservers = {servers:?}\nafter = \"2s\"\nwindow = \"500ms\"\ntimeout = \"1s\"\nrate = \"100M\"\n"
    );
    write(&path, text.as_bytes());
    format!("--config {}", path.display())
}

/// Receives a release whose sender sends every source chunk once, and no more: this share of the packets is lost.
fn receive_most(
    fleet: &Fleet,
    sender: &Host,
    device: &Device,
    release: &Release,
    options: &str,
    per_mille: u16,
) -> Run {
    device.host.loss(per_mille).unwrap();
    let mut receiver = device.start(options);
    receiver.wait_for("ready");
    assert_eq!(fleet.send(sender, release, "--rate 20M --start 0 --cycles 1").exit_code(), 0);
    receiver
}

/// What `fleetcast-recv status` says.
fn status(state: &Path, runtime: &Path) -> String {
    let mut command = Command::new(program("recv"));
    let output = run(command.arg("status").arg("--state").arg(state).arg("--runtime").arg(runtime));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_last_three_percent_come_from_a_web_server_and_little_more() {
    let Some(fleet) = Fleet::new("repair") else { return };
    let release = fleet.draft(1).image("app", &noise(1, 8 << 20)).repair(0).sign();
    let (sender, device) = (fleet.host("sender"), fleet.device("device", &["app"]));
    let nginx = Nginx::start(&fleet, &sender, &publish(&fleet, &release));
    let options = settings(&fleet, &[format!("http://{}:{PORT}/", sender.v4())]);
    let mut run = receive_most(&fleet, &sender, &device, &release, &format!("--once {options}"), 30);
    let stopped = run.success();
    device.assert_runs(&release);
    let missing = count(&run.wait_for("repair-started"), "missing");
    let repair = &stopped["repair"];
    let [octets, requests, chunks, pages] = ["octets", "requests", "chunks", "pages"].map(|name| count(repair, name));
    let ratio = octets as f64 / (chunks * 1024) as f64;
    println!(
        "{missing} of {} chunks were missing: {chunks} and {pages} pages in {requests} requests, {octets} octets; fetched / missing = {ratio:.3}",
        release.chunks
    );
    let share = chunks as f64 / release.chunks as f64;
    assert!((0.02..0.045).contains(&share), "{chunks} of {}", release.chunks);
    assert!((0.99..=1.1).contains(&ratio), "{ratio}");
    // Of a page that was lost too, the chunks that wait for it count as missing and need not be fetched.
    assert!(
        (chunks..=chunks + 64 * pages).contains(&missing),
        "{missing} were missing, {chunks} fetched, {pages} pages"
    );
    assert_eq!(count(repair, "failed"), 0);
    let answers = nginx.answers();
    assert!(
        answers.iter().all(|[connection, status, _]| *connection == answers[0][0] && *status == 206),
        "{answers:?}"
    );
    assert_eq!((answers.len() as u64, answers.iter().map(|[.., octets]| octets).sum::<u64>()), (requests, octets));
}

#[test]
fn servers_that_are_no_help_cost_nothing_but_their_octets() {
    let Some(fleet) = Fleet::new("no-help") else { return };
    let image = noise(1, 4 << 20);
    let release = fleet.draft(1).image("app", &image).repair(0).sign();
    let (sender, device) = (fleet.host("sender"), fleet.device("device", &["app"]));
    let _nginx = Nginx::start(&fleet, &sender, &publish(&fleet, &release));
    let nginx = format!("http://{}:{PORT}", sender.v4());
    let expected = [
        (server(&sender, lie), "repair-wrong-bytes"),
        (server(&sender, drip), "repair-timeout"),
        (format!("{nginx}/whole"), "repair-no-ranges"),
        (format!("{nginx}/elsewhere"), "repair-redirect"),
        (format!("{nginx}/nowhere"), "repair-status"),
        (format!("http://{}:1", sender.v4()), "repair-unreachable"),
    ];
    let options = settings(&fleet, &expected.each_ref().map(|(url, _)| url.clone()));
    let runtime = fleet.path("runtime");
    fs::create_dir(&runtime).unwrap();
    let options = format!("--once {options} --runtime {}", runtime.display());
    let mut run = receive_most(&fleet, &sender, &device, &release, &options, 50);
    run.wait_until("repair-failed", |failed| failed["code"] == "repair-wrong-bytes" && failed["left_alone"] == true);
    let failed = run.all("repair-failed");
    for (server, code) in &expected {
        assert!(failed.iter().any(|f| f["server"] == **server && f["code"] == *code), "{server} {code}: {failed:?}");
    }
    let status = status(&fleet.path("device/state"), &runtime);
    assert!(status.contains("\nfetched    0 chunks and 0 pages in "), "{status}");
    let partial = device.partial("app").unwrap();
    let wrong = partial.iter().zip(&image).position(|(is, should)| is != should && *is != 0);
    assert_eq!(wrong, None, "first wrong octet");
    device.host.loss(0).unwrap();
    let _send = fleet.send(&sender, &release, "--rate 20M");
    let stopped = run.success();
    device.assert_runs(&release);
    let repair = &stopped["repair"];
    assert_eq!((count(repair, "chunks"), count(repair, "pages"), count(repair, "wrong")), (0, 0, 3), "{repair}");
    println!("{repair}");
}

#[cfg(feature = "https")]
#[test]
fn a_server_with_tls_is_asked_if_a_named_authority_vouches_for_it() {
    let Some(fleet) = Fleet::new("tls") else { return };
    let release = fleet.draft(1).image("app", &noise(1, 2 << 20)).repair(0).sign();
    let (sender, device) = (fleet.host("sender"), fleet.device("device", &["app"]));
    let [good, other] = ["tls", "other"].map(|name| {
        let [pem, key] = ["pem", "key"].map(|end| fleet.path(&format!("{name}.{end}")));
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
        command.args(["-subj", "/CN=web", "-addext", &format!("subjectAltName=IP:{}", sender.v4())]);
        command.args(["-addext", "basicConstraints=critical,CA:FALSE"]).arg("-out").arg(&pem).arg("-keyout").arg(&key);
        run(&mut command);
        pem
    });
    let _nginx = Nginx::start_with_tls(&fleet, &sender, &publish(&fleet, &release));
    let options = settings(&fleet, &[format!("https://{}:{}", sender.v4(), PORT + 1)]);
    let vouching = |ca: &Path| {
        let path = fleet.path("repair.toml");
        let text = fs::read_to_string(&path).unwrap();
        let text = text.split("ca = ").next().unwrap();
        write(&path, format!("{text}ca = {ca:?}\n").as_bytes());
    };
    vouching(&other);
    let mut receiver = receive_most(&fleet, &sender, &device, &release, &format!("--once {options}"), 50);
    let failed = receiver.wait_for("repair-failed");
    assert!(
        failed["code"] == "repair-unreachable" && failed["reason"].as_str().unwrap().contains("ertificate"),
        "{failed}"
    );
    receiver.process.kill(fleetcast_netlab::netns::Signal::INT).unwrap();
    assert_eq!(receiver.exit_code(), 1);
    vouching(&good);
    let stopped = device.start(&format!("--once {options}")).success();
    device.assert_runs(&release);
    let repair = &stopped["repair"];
    assert!(count(repair, "chunks") > 50 && count(repair, "failed") == 0, "{repair}");
}
