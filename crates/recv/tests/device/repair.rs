//! What is missing is fetched, from servers that need not be trusted.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use fleetcast_cli::hex;
use fleetcast_core::manifest::Manifest;
use fleetcast_core::time::Instant;
use fleetcast_core::trust::{Verified, verify};
use fleetcast_install::sim::SimDisk;
use fleetcast_netlab::release::trust;
use fleetcast_recv::config::{Config, Repair, Server};
use fleetcast_recv::device::Outcome;
use fleetcast_recv::events::Event;
use fleetcast_recv::repair::{FetchError, Reply, Request};
use sha2::{Digest as _, Sha256};

use super::bench::{Job, Running, config, disk, files, image, mix, seed};

const T: usize = 64;

/// Files that servers have, by name.
struct Web(BTreeMap<String, Vec<u8>>);

impl Web {
    /// The release file and the images, under the names of the specification.
    fn of(job: &Job) -> Self {
        let manifest: Verified<Manifest> = verify(job.carousel.statement(), &trust()).unwrap();
        let mut files = BTreeMap::from([(format!("{}.fleetcast", hex(manifest.payload_digest())), job.file.clone())]);
        files.extend(job.images.values().map(|image| (hex(&Sha256::digest(image)), image.clone())));
        Self(files)
    }

    fn get(&self, request: &Request) -> Reply {
        let file = &self.0[&request.name];
        assert_eq!(request.total, file.len() as u64);
        let range = usize::try_from(request.offset).unwrap()..usize::try_from(request.end()).unwrap();
        Reply { octets: request.length.into(), result: Ok(file[range].to_vec()) }
    }
}

fn config_with(servers: &[&str]) -> Config {
    let server = |name: &&str| Server::parse(&format!("http://{name}/")).unwrap();
    let repair = Repair {
        servers: servers.iter().map(server).collect(),
        after: Duration::from_mins(1),
        missing_below: 20,
        window: Duration::from_secs(10),
        max_octets: 1 << 30,
        rate: 1_000_000,
        timeout: Duration::from_secs(30),
        ca: "/".into(),
    };
    Config { repair: Some(repair), ..config() }
}

fn start(disk: &SimDisk, servers: &[&str]) -> Running<SimDisk> {
    Running::start_as(disk, &config_with(servers)).unwrap()
}

/// The packets of the source chunks with their pages, but for those that `is_lost`, by their number.
fn source(job: &Job, is_lost: impl Fn(usize, &[u8]) -> bool) -> Vec<Vec<u8>> {
    let packets = job.cycle(0).into_iter().enumerate();
    let half = job.carousel.schedule().cycle() / 2;
    let packets = packets.take(usize::try_from(half).unwrap());
    packets.filter(|(nth, packet)| !is_lost(*nth, packet)).map(|(_, packet)| packet).collect()
}

fn is_chunk(packet: &[u8]) -> bool {
    packet[3] == 3
}

/// The next request within so many seconds, each of which goes by.
fn next(running: &mut Running<SimDisk>, seconds: u64) -> Option<Request> {
    for _ in 0..seconds {
        running.now += 1_000_000;
        loop {
            search(running);
            match ask(running) {
                None if running.device.seeks_request() => {}
                None => break,
                request => return request,
            }
        }
    }
    None
}

/// Looks through old images to the end.
fn search(running: &mut Running<SimDisk>) {
    let Running { device, events, outcome, now } = running;
    while *outcome == Outcome::Going && device.can_reuse() {
        *outcome = device.reuse(Instant::from_micros(*now), &mut |event| events.push(event)).unwrap();
    }
}

fn ask(running: &mut Running<SimDisk>) -> Option<Request> {
    let Running { device, events, now, .. } = running;
    device.next_request(Instant::from_micros(*now), &mut |event| events.push(event)).unwrap()
}

fn reply(running: &mut Running<SimDisk>, reply: Reply) {
    let Running { device, events, outcome, now } = running;
    *outcome = device.handle_reply(Instant::from_micros(*now), reply, &mut |event| events.push(event)).unwrap();
}

/// Lets a server answer until nothing more is asked for within two minutes. Gives the requests.
fn fetch(running: &mut Running<SimDisk>, mut server: impl FnMut(&Request) -> Reply) -> Vec<Request> {
    let mut requests = Vec::new();
    while let Some(request) = next(running, 120) {
        let answer = server(&request);
        requests.push(request);
        reply(running, answer);
    }
    requests
}

fn missing(running: &Running<SimDisk>) -> u64 {
    let chunks = running.device.chunks().unwrap();
    chunks.needed - chunks.have
}

fn octets(requests: &[Request]) -> u64 {
    requests.iter().map(|request| u64::from(request.length)).sum()
}

/// Each octet of a partial image is right, or was never written.
fn check_partial(disk: &SimDisk, image: &[u8]) {
    let partial = files(disk, ".part");
    assert_eq!(partial.len(), 1);
    let wrong = partial[0].1.iter().zip(image).position(|(is, should)| is != should && *is != 0);
    assert_eq!(wrong, None, "first wrong octet");
}

#[test]
fn the_last_chunks_are_fetched_in_silence_and_nothing_else() {
    let seed = seed();
    // The last chunk is short.
    let job = Job::made(1, &[("rootfs", image(1, T * 900 + 13)), ("kernel", image(2, T * 100)), ("boot", image(3, T))]);
    let (disk, web) = (disk(), Web::of(&job));
    let mut running = start(&disk, &["web"]);
    running.feed(source(&job, |nth, packet| is_chunk(packet) && mix(seed ^ nth as u64).is_multiple_of(20))).unwrap();
    let missing = missing(&running);
    assert!((20..90).contains(&missing), "{missing} chunks are missing");
    assert_eq!(next(&mut running, 59), None, "not before a minute of silence");
    let requests = fetch(&mut running, |request| web.get(request));
    assert_eq!(running.outcome, Outcome::Installed);
    job.check_installed(&disk);
    let counts = running.device.repair_counts().unwrap();
    assert_eq!((counts.chunks, counts.pages, counts.failed), (missing, 0, 0));
    assert_eq!((counts.octets, counts.requests), (octets(&requests), requests.len() as u64));
    assert!(missing * T as u64 - counts.octets < 2 * T as u64, "two last chunks may be short");
    let told: Vec<_> = running.events.iter().filter(|e| matches!(e, Event::RepairStarted { .. })).collect();
    assert_eq!(told, [&Event::RepairStarted { server: "http://web".into(), missing }]);
    let (chunks, octets) = (counts.chunks, counts.octets);
    assert!(running.events.contains(&Event::Repaired { chunks, pages: 0, octets }), "{:?}", running.events);
}

#[test]
fn neighbours_come_in_one_request_and_a_missing_page_before_its_chunks() {
    let job = Job::made(1, &[("rootfs", image(1, T * 400))]);
    let (disk, web) = (disk(), Web::of(&job));
    let mut running = start(&disk, &["web"]);
    // Cells have 8 chunks: of ten packets the first is the page and the last the parity page. Cells 20, 21 and 22 are lost
    // whole, and so are the parity pages from which they follow.
    let is_lost = |nth: usize, packet: &[u8]| {
        let cell = nth / 10;
        (20..23).contains(&cell)
            || (23..26).contains(&cell) && packet[3] == 2
            || cell == 30 && [3, 4, 5].contains(&(nth % 10))
    };
    // The statement is not among them.
    let packets: Vec<_> = job.cycle(0).into_iter().filter(|packet| packet[3] != 0).take(500).collect();
    let heard =
        packets.iter().enumerate().filter(|(nth, packet)| !is_lost(*nth, packet)).map(|(_, packet)| packet.clone());
    running.feed(job.cycle(0).into_iter().filter(|packet| packet[3] == 0).take(1)).unwrap();
    running.feed(heard).unwrap();
    assert_eq!(missing(&running), 27);
    let requests = fetch(&mut running, |request| web.get(request));
    assert_eq!(running.outcome, Outcome::Installed);
    job.check_installed(&disk);
    // First what needs no page.
    let kinds: Vec<_> =
        requests.iter().map(|r| (r.name.ends_with(".fleetcast"), u64::from(r.length) / T as u64)).collect();
    assert_eq!(kinds[0], (false, 3));
    assert!(kinds[1].0, "{requests:?}");
    assert_eq!(kinds[2..], [(false, 8); 3]);
    let counts = running.device.repair_counts().unwrap();
    assert_eq!((counts.chunks, counts.pages), (27, 3));
}

#[test]
fn what_repair_chunks_from_the_air_give_is_not_fetched() {
    let job = Job::made(1, &[("rootfs", image(1, T * 400))]);
    let (disk, web) = (disk(), Web::of(&job));
    let mut running = start(&disk, &["web"]);
    let is_lost = |nth: usize, packet: &[u8]| is_chunk(packet) && nth.is_multiple_of(7);
    running.feed(source(&job, is_lost)).unwrap();
    let lost = missing(&running);
    let behind = job.cycle(0).into_iter().skip(usize::try_from(job.carousel.schedule().cycle() / 2).unwrap() + 2);
    running.feed(behind.take(33)).unwrap();
    let lacks = missing(&running);
    assert!(lacks < lost - 15 && lacks > 10, "{lost} were lost, {lacks} are missing");
    let requests = fetch(&mut running, |request| web.get(request));
    assert_eq!((running.outcome, octets(&requests)), (Outcome::Installed, lacks * T as u64));
    job.check_installed(&disk);
}

#[test]
fn a_server_that_lies_is_left_alone_and_nothing_of_it_is_written() {
    let job = Job::made(1, &[("rootfs", image(1, T * 400))]);
    let (disk, web) = (disk(), Web::of(&job));
    let mut running = start(&disk, &["liar"]);
    running.feed(source(&job, |nth, packet| is_chunk(packet) && nth % 40 == 7)).unwrap();
    let lost = missing(&running);
    let mut lies = 0;
    let mut liar = |request: &Request| {
        let mut reply = web.get(request);
        let bytes = reply.result.as_mut().unwrap();
        lies += 1;
        match lies {
            1 => bytes.fill(0x55),
            2 => bytes.truncate(T - 1),
            _ => bytes.push(0),
        }
        reply
    };
    let requests = fetch(&mut running, &mut liar);
    assert_eq!((requests.len(), running.outcome), (3, Outcome::Going));
    let counts = running.device.repair_counts().unwrap();
    assert_eq!((counts.wrong, counts.failed), (3, 3));
    assert_eq!(running.told("repair-over"), 1);
    let told = running.events.iter().filter_map(|event| match event {
        Event::RepairFailed { code, left_alone, .. } => Some((*code, *left_alone)),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), [("repair-wrong-bytes", false), ("repair-wrong-bytes", true)]);
    running.device.flush().unwrap();
    check_partial(&disk, job.images.values().next().unwrap());
    // What was right of the last lie was taken.
    assert_eq!(missing(&running), lost - 1);
    running.feed(job.cycle(0)).unwrap();
    job.check_installed(&disk);
}

#[test]
fn a_lying_release_file_proves_nothing() {
    let job = Job::made(1, &[("rootfs", image(1, T * 400))]);
    let (disk, web) = (disk(), Web::of(&job));
    let other = Job::made(1, &[("rootfs", image(2, T * 400))]);
    let mut running = start(&disk, &["liar", "web"]);
    running.feed(source(&job, |nth, _| (205..255).contains(&nth))).unwrap();
    assert!(missing(&running) > 30);
    // Pages and chunks of another release, which agree with each other.
    let lies = Web::of(&other).0;
    let (release, image) = (
        lies.iter().find(|(name, _)| name.ends_with(".fleetcast")).unwrap().1,
        lies.iter().find(|(name, _)| !name.ends_with(".fleetcast")).unwrap().1,
    );
    let requests = fetch(&mut running, |request| {
        if request.server.host == "web" {
            return web.get(request);
        }
        let file = if request.name.ends_with(".fleetcast") { release } else { image };
        let start = usize::try_from(request.offset).unwrap();
        Reply { octets: 0, result: Ok(file[start..start + request.length as usize].to_vec()) }
    });
    let to_liar = requests.iter().filter(|request| request.server.host == "liar").count();
    assert_eq!((to_liar, running.outcome), (1, Outcome::Installed));
    job.check_installed(&disk);
}

#[test]
fn while_no_server_helps_the_rest_comes_from_senders() {
    let job = Job::made(1, &[("rootfs", image(1, T * 400))]);
    for error in [
        FetchError::Timeout,
        FetchError::NoRanges,
        FetchError::Redirect(302),
        FetchError::Status(404),
        FetchError::BadRange,
        FetchError::Unreachable("connection refused".into()),
        FetchError::Busy { retry_after: Duration::from_secs(5) },
        FetchError::OtherFile { got: 1, expected: 2 },
    ] {
        let disk = disk();
        let mut running = start(&disk, &["one", "two"]);
        running.feed(source(&job, |nth, packet| is_chunk(packet) && nth % 20 == 7)).unwrap();
        let first: Vec<_> = (0..4)
            .map_while(|_| {
                let request = next(&mut running, 200)?;
                reply(&mut running, Reply { octets: 0, result: Err(error.clone()) });
                Some(request.server.host)
            })
            .collect();
        let is_lasting = matches!(error, FetchError::NoRanges | FetchError::Redirect(_));
        assert_eq!(first, if is_lasting { &["one", "two"][..] } else { &["one", "two", "one", "two"] }, "{error}");
        let told = running
            .events
            .iter()
            .filter(|event| matches!(event, Event::RepairFailed { code, .. } if *code == error.code()));
        assert_eq!(told.count(), 2, "once for each server");
        running.feed(job.cycle(0)).unwrap();
        assert_eq!(running.outcome, Outcome::Installed, "{error}");
        job.check_installed(&disk);
    }
}

#[test]
fn nobody_is_asked_before_a_chunk_has_come_or_while_chunks_come() {
    let job = Job::made(1, &[("rootfs", image(1, T * 400))]);
    let disk = disk();
    let mut config = config_with(&["web"]);
    config.repair.as_mut().unwrap().missing_below = 100;
    let mut running = Running::start_as(&disk, &config).unwrap();
    running.feed(job.cycle(0).into_iter().filter(|packet| !is_chunk(packet))).unwrap();
    assert_eq!(next(&mut running, 300), None);
    for packet in source(&job, |nth, _| nth % 10 == 7) {
        running.feed([packet]).unwrap();
        assert_eq!(next(&mut running, 10), None);
    }
    assert!(next(&mut running, 120).is_some());
}

#[test]
fn no_more_is_fetched_than_may_be() {
    let job = Job::made(1, &[("rootfs", image(1, T * 400))]);
    let (disk, web) = (disk(), Web::of(&job));
    let mut config = config_with(&["web"]);
    config.repair.as_mut().unwrap().max_octets = 10 * T as u64;
    let mut running = Running::start_as(&disk, &config).unwrap();
    running.feed(source(&job, |nth, packet| is_chunk(packet) && nth % 20 == 7)).unwrap();
    assert!(missing(&running) > 15);
    let requests = fetch(&mut running, |request| web.get(request));
    assert_eq!((octets(&requests), running.told("repair-max-octets")), (10 * T as u64, 1));
    running.feed(job.cycle(0)).unwrap();
    job.check_installed(&disk);
}

#[test]
fn a_reply_that_comes_when_another_release_is_received_does_nothing() {
    let [old, new] = [1, 2].map(|sequence| Job::made(sequence, &[("rootfs", image(sequence, T * 400))]));
    let (disk, web) = (disk(), Web::of(&old));
    let mut running = start(&disk, &["web"]);
    running.feed(source(&old, |nth, packet| is_chunk(packet) && nth % 20 == 7)).unwrap();
    let request = next(&mut running, 120).unwrap();
    running.feed(source(&new, |nth, packet| is_chunk(packet) && nth % 20 == 7)).unwrap();
    assert_eq!(next(&mut running, 120), None, "one request at a time");
    let before = running.device.chunks();
    reply(&mut running, web.get(&request));
    assert_eq!(running.device.chunks(), before);
    let web = Web::of(&new);
    fetch(&mut running, |request| web.get(request));
    assert_eq!(running.outcome, Outcome::Installed);
    new.check_installed(&disk);
}

#[test]
fn what_was_fetched_survives_a_power_cut_like_the_rest() {
    let job = Job::made(1, &[("rootfs", image(1, T * 400))]);
    let (disk, web) = (disk(), Web::of(&job));
    let mut running = start(&disk, &["web"]);
    running.feed(source(&job, |nth, _| (205..255).contains(&nth))).unwrap();
    let before = running.device.chunks().unwrap().have;
    while running.device.repair_counts().unwrap().pages == 0 {
        let request = next(&mut running, 120).unwrap();
        reply(&mut running, web.get(&request));
    }
    running.device.flush().unwrap();
    let had = running.device.chunks().unwrap().have;
    assert!(had > before);
    let after = disk.reboot(|_| false);
    drop(running);
    let mut running = start(&after, &["web"]);
    assert_eq!(running.resumed(), Some(had));
    let requests = fetch(&mut running, |request| web.get(request));
    assert_eq!(running.outcome, Outcome::Installed);
    assert!(requests.iter().all(|request| !request.name.ends_with(".fleetcast")), "pages were kept: {requests:?}");
    job.check_installed(&after);
    assert!(!after.files().contains_key(Path::new("/state/fleetcast/statement")));
}
