//! Plays cases at a receiver.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::device::write;
use super::live::{self, Air};
use super::receiver::Receiver;
use super::{Case, Need, Script, pcap};

/// How often a program that runs is looked at.
const POLL: Duration = Duration::from_millis(20);

/// How long a live session is listened to after its end.
const SETTLED: Duration = Duration::from_millis(700);

/// How a case went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was installed that had to be, and nothing else.
    Passed,
    /// Why not.
    Failed(String),
    /// It was not played: the receiver says that it cannot do this.
    NotClaimed(Vec<Need>),
}

/// A case, and how it went.
#[derive(Clone, Debug)]
pub struct Played {
    /// The case.
    pub case: Case,
    /// How it went.
    pub outcome: Outcome,
}

/// Plays cases, `jobs` at a time, each with a device of its own. `tell` hears of each that is over; the result is in the order of `cases`.
///
/// # Panics
///
/// If a thread cannot be started.
pub fn run(receiver: &Receiver, cases: &[Case], jobs: usize, mut tell: impl FnMut(&Played)) -> Vec<Played> {
    let next = AtomicUsize::new(0);
    let (sender, played) = mpsc::channel();
    let mut all = BTreeMap::new();
    thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(number) else { break };
                    let played = Played { case: *case, outcome: play(receiver, case, number) };
                    let _ = sender.send((number, played));
                }
            });
        }
        drop(sender);
        for (number, one) in played {
            tell(&one);
            all.insert(number, one);
        }
    });
    all.into_values().collect()
}

/// Plays one case; `number` tells apart those that are live at the same time.
fn play(receiver: &Receiver, case: &Case, number: usize) -> Outcome {
    let lacks: Vec<_> = case.needs.iter().copied().filter(|need| receiver.lacks.contains(need)).collect();
    if !lacks.is_empty() {
        return Outcome::NotClaimed(lacks);
    }
    let result = tempfile::Builder::new().prefix("conformance-").tempdir().map_err(|error| error.to_string());
    match result.and_then(|folder| play_in(folder.path(), receiver, &(case.script)(), number)) {
        Ok(()) => Outcome::Passed,
        Err(why) => Outcome::Failed(why),
    }
}

fn play_in(folder: &Path, receiver: &Receiver, script: &Script, number: usize) -> Result<(), String> {
    let device = folder.join("device");
    script.device.write(&device).map_err(|error| format!("cannot make the device: {error}"))?;
    let place = |path: &Path| path.display().to_string();
    let mut words = vec![("{device}", place(&device))];
    if let Some(prepare) = &receiver.prepare {
        Running::start(receiver, prepare, &words, folder, "prepare")?.end_by_itself()?;
    }
    let air = Air::new(number);
    words.extend([("{group}", air.group.to_string()), ("{interface}", live::INTERFACE.to_owned())]);
    let mut before = script.device.factory();
    for (session, (heard, wanted)) in (1..).zip(&script.sessions) {
        let name = format!("session {session} of {}", script.sessions.len());
        let context = |why: String| format!("{name}: {why}");
        let capture = folder.join(format!("{session}.pcap"));
        let mut words = words.clone();
        words.push(("{capture}", place(&capture)));
        let log = format!("receive-{session}");
        if receiver.is_live() {
            let mut running = Running::start(receiver, &receiver.receive, &words, folder, &log).map_err(context)?;
            let patience = running.patience;
            air.play(heard, || running.is_over(), patience).map_err(|e| context(running.failed(&e)))?;
            running.settle(before != *wanted, || differences(&device, wanted).is_empty());
        } else {
            write(&capture, &pcap::capture(heard)).map_err(|error| context(error.to_string()))?;
            let running = Running::start(receiver, &receiver.receive, &words, folder, &log).map_err(context)?;
            running.end_by_itself().map_err(context)?;
        }
        if let Some(difference) = differences(&device, wanted).first() {
            return Err(context(format!("{difference}{}", tail(&folder.join(log)))));
        }
        before.clone_from(wanted);
    }
    Ok(())
}

/// What differs at the targets of a device from what must be there.
fn differences(device: &Path, wanted: &BTreeMap<&'static str, Vec<u8>>) -> Vec<String> {
    let difference = |(target, wanted): (&&str, &Vec<u8>)| match fs::read(device.join("targets").join(target)) {
        Ok(content) if content == *wanted => None,
        Ok(content) => {
            let (is, must) = (content.len(), wanted.len());
            Some(format!("target {target} holds another image ({is} octets) than it must ({must} octets)"))
        }
        Err(error) => Some(format!("target {target} cannot be read: {error}")),
    };
    wanted.iter().filter_map(difference).collect()
}

/// The last lines of what a command told.
fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(3)..];
    last.iter().flat_map(|line| "\n    | ".chars().chain(line.chars().take(300))).collect()
}

/// A command of the receiver that runs. Dropping it ends it.
struct Running {
    child: Child,
    name: String,
    log: std::path::PathBuf,
    patience: Duration,
}

impl Running {
    fn start(
        receiver: &Receiver,
        command: &[String],
        words: &[(&str, String)],
        folder: &Path,
        name: &str,
    ) -> Result<Self, String> {
        let fill = |word: &String| words.iter().fold(word.clone(), |word, (from, to)| word.replace(from, to));
        let mut filled = command.iter().map(fill);
        let program = filled.next().unwrap_or_default();
        // A path is one from the folder of the receiver file; a bare name is looked for as in a shell.
        let path = if program.contains('/') { receiver.folder.join(&program) } else { program.clone().into() };
        let log = folder.join(name);
        let start = || -> io::Result<Child> {
            let out = File::create(&log)?;
            let mut command = Command::new(path);
            command.args(filled).current_dir(&receiver.folder).stdin(Stdio::null());
            command.stdout(out.try_clone()?).stderr(out).spawn()
        };
        let child = start().map_err(|error| format!("cannot run {program}: {error}"))?;
        Ok(Self { child, name: name.into(), log, patience: Duration::from_secs(receiver.patience) })
    }

    fn is_over(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    fn failed(&self, why: &str) -> String {
        format!("{}: {why}{}", self.name, tail(&self.log))
    }

    /// Waits until it ends, however it does: what is installed tells.
    fn end_by_itself(mut self) -> Result<(), String> {
        let deadline = Instant::now() + self.patience;
        while !self.is_over() {
            if Instant::now() > deadline {
                return Err(self.failed("it has not ended in time"));
            }
            thread::sleep(POLL);
        }
        let is_prepared = self.name != "prepare" || self.child.wait().is_ok_and(|status| status.success());
        if is_prepared { Ok(()) } else { Err(self.failed("it failed")) }
    }

    /// Everything has been sent. If that changes something it is waited until all `is_right`; then, or if not, for as long as a receiver may take
    /// that installs what it must not. Then it is ended.
    fn settle(mut self, changes: bool, is_right: impl Fn() -> bool) {
        let deadline = Instant::now() + self.patience;
        while changes && !is_right() && !self.is_over() && Instant::now() < deadline {
            thread::sleep(POLL);
        }
        thread::sleep(SETTLED);
        self.terminate();
    }

    /// Asks it to end, and has it end if it does not.
    fn terminate(&mut self) {
        let id = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(id) = id.filter(|_| !self.is_over()) {
            let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        }
        let deadline = Instant::now() + Duration::from_secs(5);
        while !self.is_over() && Instant::now() < deadline {
            thread::sleep(POLL);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
