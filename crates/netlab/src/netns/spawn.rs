//! Programs in a host.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::leftovers::{GRACE, POLL};
use super::{LabError, Shared, procfs};

/// Most that is printed of a file when the test fails, in bytes from its end.
const PRINT_MAX: usize = 16 * 1024;

/// How the command lines of the wrappers start that put a program into its namespace.
const WRAPPERS: [&[u8]; 2] = [b"ip\0netns\0exec\0", b"setpriv\0--pdeathsig\0"];

/// A program that runs in a [`Host`](super::Host).
///
/// Dropping it ends the program: SIGTERM, then SIGKILL after two seconds. If the drop is by a panic,
/// what it wrote is printed. It is killed, too, when the test process dies in whatever way.
#[derive(Debug)]
#[must_use = "dropping it ends the program"]
pub struct Process {
    child: Child,
    status: Option<ExitStatus>,
    /// Last value of each seen while it ran.
    peak_rss_kib: u64,
    cpu_ticks: u64,
    /// Program and host, for messages.
    title: String,
    stdout: PathBuf,
    stderr: PathBuf,
    /// Keeps the files, and the thread whose end would end the program.
    _shared: Arc<Shared>,
}

impl Process {
    /// Starts `program` for what `command` does with it, on `host`, and returns when it has taken over.
    pub(super) fn start(
        shared: &Arc<Shared>,
        host: &str,
        mut command: Command,
        program: &str,
    ) -> Result<Self, LabError> {
        let file_name = program.rsplit('/').next().unwrap_or(program);
        let base = format!("{host}-{}-{file_name}", shared.next_process());
        let stdout = shared.directory.path().join(format!("{base}.out"));
        let stderr = stdout.with_extension("err");
        let title = format!("{file_name} in {host}");
        command.stdin(Stdio::null()).stdout(create(&stdout)?).stderr(create(&stderr)?);
        let child = shared.spawner.spawn(command);
        let child = child.map_err(|e| LabError::io(format!("cannot start {title}"), e))?;
        let shared = Arc::clone(shared);
        let mut process =
            Self { child, status: None, peak_rss_kib: 0, cpu_ticks: 0, title, stdout, stderr, _shared: shared };
        process.wait_for_program()?;
        Ok(process)
    }

    /// Its process id: that of the program itself, no wrapper.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    ///
    /// [`LabError::Timeout`] if it still runs after `timeout`; it runs on then. [`LabError::Io`].
    pub fn wait(&mut self, timeout: Duration) -> Result<ExitStatus, LabError> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(status) = self.try_wait()? {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                return Err(LabError::Timeout { program: self.title.clone(), pid: self.id(), waited: timeout });
            }
            thread::sleep(POLL);
        }
    }

    /// How it ended, or `None` while it runs.
    ///
    /// # Errors
    ///
    /// [`LabError::Io`].
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>, LabError> {
        if self.status.is_none() {
            // Memory is gone with the last thread, processor time with the wait.
            self.peak_rss_kib = self.rss_kib();
            self.cpu_ticks = self.cpu_ticks();
            let status = self.child.try_wait();
            self.status = status.map_err(|e| LabError::io(format!("cannot wait for {}", self.title), e))?;
        }
        Ok(self.status)
    }

    /// Sends it a signal; nothing happens if it has been found to have ended.
    ///
    /// # Errors
    ///
    /// [`LabError::Io`] if the system refuses.
    pub fn kill(&self, signal: Signal) -> Result<(), LabError> {
        if self.status.is_some() {
            return Ok(());
        }
        kill_process(Pid::from_child(&self.child), signal)
            .map_err(|e| LabError::io(format!("cannot signal {}", self.title), e))
    }

    /// What it has written to standard output so far; bytes that are no UTF-8 are replaced.
    ///
    /// # Errors
    ///
    /// [`LabError::Io`].
    pub fn stdout(&self) -> Result<String, LabError> {
        read(&self.stdout)
    }

    /// What it has written to standard error so far; bytes that are no UTF-8 are replaced.
    ///
    /// # Errors
    ///
    /// [`LabError::Io`].
    pub fn stderr(&self) -> Result<String, LabError> {
        read(&self.stderr)
    }

    /// Most physical memory it has had at once (`VmHWM`), in KiB. After its end, as last seen by
    /// [`wait`](Self::wait), which looks every 5 ms; 0 if never seen.
    #[must_use]
    pub fn rss_kib(&self) -> u64 {
        let running = self.status.is_none();
        running.then(|| procfs::peak_rss_kib(self.id())).flatten().unwrap_or(self.peak_rss_kib)
    }

    /// Processor time of all its threads, user and system, in seconds, to the clock tick (10 ms).
    /// Still there after its end; without what its own children used.
    #[must_use]
    pub fn cpu_seconds(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "both are far below 2^52")]
        let seconds = self.cpu_ticks() as f64 / rustix::param::clock_ticks_per_second() as f64;
        seconds
    }

    fn cpu_ticks(&self) -> u64 {
        let running = self.status.is_none();
        running.then(|| procfs::cpu_ticks(self.id())).flatten().unwrap_or(self.cpu_ticks)
    }

    /// Waits until the wrappers have become the program, so that signals and figures are the program's.
    fn wait_for_program(&mut self) -> Result<(), LabError> {
        // Between two programs, and after the end, there are no arguments at all.
        let is_program = |arguments: Vec<u8>| {
            let is_wrapper = WRAPPERS.iter().any(|start| arguments.starts_with(start));
            !arguments.is_empty() && !is_wrapper
        };
        while self.try_wait()?.is_none() && !procfs::arguments(self.id()).is_some_and(is_program) {
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), LabError> {
        if self.try_wait()?.is_none() {
            self.kill(Signal::TERM)?;
            if self.wait(GRACE).is_err() {
                self.kill(Signal::KILL)?;
                self.wait(GRACE)?;
            }
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Err(e) = self.end() {
            eprintln!("{e}");
        }
        if thread::panicking() {
            let ended = self.status.map_or_else(|| "runs".to_owned(), |s| s.to_string());
            for (name, text) in [("stdout", self.stdout()), ("stderr", self.stderr())] {
                let text = text.unwrap_or_else(|e| e.to_string());
                eprintln!("--- {name} of {} ({ended})\n{}", self.title, tail(&text));
            }
        }
    }
}

/// A thread that starts processes and lives as long as its lab.
///
/// What `PR_SET_PDEATHSIG` calls the parent is the *thread* that started the process: started from a
/// passing thread of a test, a program would be killed at that thread's end.
#[derive(Debug)]
pub(super) struct Spawner(mpsc::Sender<Job>);

type Job = (Command, mpsc::Sender<io::Result<Child>>);

impl Spawner {
    pub(super) fn new() -> Result<Self, LabError> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let work = move || {
            for (mut command, reply) in queue {
                // The one who asked is waiting for it.
                let _ = reply.send(command.spawn());
            }
        };
        let thread = thread::Builder::new().name("spawner".to_owned()).spawn(work);
        thread.map_err(|e| LabError::io("cannot start the spawner thread", e))?;
        Ok(Self(jobs))
    }

    fn spawn(&self, command: Command) -> io::Result<Child> {
        let gone = || io::Error::other("the spawner thread has ended");
        let (reply, answer) = mpsc::channel();
        self.0.send((command, reply)).map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())?
    }
}

fn create(path: &PathBuf) -> Result<File, LabError> {
    File::create(path).map_err(|e| LabError::io(format!("cannot create {}", path.display()), e))
}

fn read(path: &PathBuf) -> Result<String, LabError> {
    let bytes = fs::read(path).map_err(|e| LabError::io(format!("cannot read {}", path.display()), e))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn tail(text: &str) -> &str {
    let from = text.len().saturating_sub(PRINT_MAX);
    text.get(text.ceil_char_boundary(from)..).unwrap_or(text)
}
