//! The system's journal: what a daemon tells people goes there as entries that have an id by kind, and fields.
//!
//! The fields are those of the event's line of JSON, so there is no second list of them. An entry is a datagram to a Unix
//! socket, in the [native protocol](https://systemd.io/JOURNAL_NATIVE_PROTOCOL/) of systemd's journal.
//!
//! Ids, fields and priorities are listed in `packaging/systemd/README.md`, and a catalog beside it explains each id.

use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;
use uuid::{Uuid, uuid};

use crate::command::warn;

/// Where the journal listens.
const SOCKET: &str = "/run/systemd/journal/socket";
/// Ids are the version 5 UUIDs of names in this namespace.
const NAMESPACE: Uuid = uuid!("d22871da-bde1-40ac-b0e1-2d15ddb177cf");
/// Octets of a field's value, at most.
const LONGEST: usize = 4096;
/// How long a journal that does not read may hold up the daemon, once until it reads again.
const PATIENCE: Duration = Duration::from_millis(100);

/// The journal of this process, if it is told.
static OPEN: OnceLock<Journal> = OnceLock::new();

/// What tells: a daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its word in the names that ids are made of.
    pub word: &'static str,
    /// Its name in the journal.
    pub identifier: &'static str,
}

/// The receiver.
pub const RECV: Program = Program { word: "recv", identifier: "fleetcast-recv" };
/// The sender.
pub const SEND: Program = Program { word: "send", identifier: "fleetcast-send" };
/// The relay.
pub const RELAY: Program = Program { word: "relay", identifier: "fleetcast-send" };

/// Kinds of entries that are no events, the same of all programs, and what they have.
pub const OTHERS: [(&str, Priority, &[&str]); 4] = [NOTE, CAUTION, ERROR, LOST];
type Other = (&'static str, Priority, &'static [&'static str]);
/// What is said beside events.
pub(crate) const NOTE: Other = ("note", Priority::Info, &[]);
/// What is warned of beside events.
pub(crate) const CAUTION: Other = ("caution", Priority::Warning, &[]);
/// The program ends with an error.
pub(crate) const ERROR: Other = ("error", Priority::Error, &["FLEETCAST_HINT"]);
/// The journal did not take entries.
const LOST: Other = ("lost", Priority::Warning, &["FLEETCAST_ENTRIES"]);

/// How much something matters, as in `syslog(3)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Somebody must act at once.
    Alert = 1,
    /// The program ends.
    Error = 3,
    /// Something is wrong.
    Warning = 4,
    /// It is good to know.
    Notice = 5,
    /// For who looks closely.
    Info = 6,
}

/// Where lines for people go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Log {
    /// To the journal if standard error is the journal, else to standard error
    #[default]
    Auto,
    /// To the journal, with fields
    Journal,
    /// To standard error
    Text,
}

/// The flag of daemons.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct LogArgs {
    /// Where lines for people go: `journal` is that of systemd, with an id and fields for each; `text` is standard error. `auto` is
    /// the journal if standard error is connected to it, as in a unit
    #[arg(long, value_name = "WHERE", value_enum, default_value = "auto", hide_possible_values = true)]
    log: Log,
}

impl LogArgs {
    /// Has all lines of this process for people go where the flag says. Before a process confines itself, for it connects here.
    ///
    /// A journal that cannot be told is warned of, if it was asked for.
    pub fn open(self, program: Program) {
        let is_wanted = match self.log {
            Log::Auto => is_journal(env::var_os("JOURNAL_STREAM").as_deref(), io::stderr()),
            Log::Journal => true,
            Log::Text => false,
        };
        if !is_wanted {
            return;
        }
        match Journal::connect(Path::new(SOCKET), program) {
            // The first is kept: a process is one program.
            Ok(journal) => drop(OPEN.set(journal)),
            Err(_) if self.log == Log::Auto => {}
            Err(error) => warn(format_args!("the journal cannot be told anything: {SOCKET}: {error}")),
        }
    }
}

/// Whether lines for people go to the journal.
#[must_use]
pub fn is_open() -> bool {
    OPEN.get().is_some()
}

/// The `MESSAGE_ID` of a kind of entries: 32 hexadecimal digits.
#[must_use]
pub fn message_id(program: Program, kind: &str) -> String {
    Uuid::new_v5(&NAMESPACE, format!("{}/{kind}", program.word).as_bytes()).simple().to_string()
}

/// The fields of an event, by its line of JSON. Those of its `release` are its own; what is nested otherwise is text of JSON, and left
/// out if that is too long.
#[must_use]
pub fn fields(line: &str) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    // Of octets: that reader is in the receiver already, and one more makes it larger.
    if let Ok(event) = serde_json::from_slice(line.as_bytes()) {
        collect(event, &mut fields);
    }
    fields
}

fn collect(members: serde_json::Map<String, Value>, fields: &mut Vec<(String, String)>) {
    for (name, value) in members {
        let text = match value {
            Value::Object(release) if name == "release" => {
                collect(release, fields);
                continue;
            }
            Value::String(text) => text,
            Value::Bool(_) | Value::Number(_) if name != "v" => value.to_string(),
            Value::Array(_) | Value::Object(_) => match value.to_string() {
                text if text.len() <= LONGEST => text,
                _ => continue,
            },
            _ => continue,
        };
        fields.push((format!("FLEETCAST_{}", name.replace('-', "_").to_ascii_uppercase()), text));
    }
}

/// Tells the journal an event by its line of JSON, and says whether that is done with: `false` if there is no journal to tell.
pub(crate) fn tell(priority: Priority, line: impl FnOnce() -> String, text: &dyn fmt::Display) -> bool {
    OPEN.get().is_some_and(|journal| journal.tell(priority, &fields(&line()), &text.to_string()))
}

/// The same for what is no event.
pub(crate) fn tell_other(what: Other, value: Option<&str>, text: &dyn fmt::Display) -> bool {
    OPEN.get().is_some_and(|journal| journal.tell(what.1, &other(what, value), &text.to_string()))
}

fn other((kind, _, names): Other, value: Option<&str>) -> Vec<(String, String)> {
    let fields = names.iter().zip(value).map(|(name, value)| ((*name).into(), value.into()));
    [("FLEETCAST_EVENT".into(), kind.into())].into_iter().chain(fields).collect()
}

#[derive(Debug)]
struct Journal {
    socket: UnixDatagram,
    program: Program,
    /// Entries that it did not take, since it took one.
    lost: AtomicU64,
}

impl Journal {
    fn connect(path: &Path, program: Program) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { socket, program, lost: AtomicU64::new(0) })
    }

    /// Whether that is done with: the journal has it, or is full, and then standard error, which it reads too, would wait for it.
    fn tell(&self, priority: Priority, fields: &[(String, String)], text: &str) -> bool {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let fields = other(LOST, Some(&lost.to_string()));
            let text = format!("{lost} entries are lost: the journal did not take them in time");
            match self.socket.send(&self.entry(LOST.1, &fields, &text)) {
                // It reads again, and is waited for again.
                Ok(_) => drop(self.socket.set_nonblocking(false)),
                Err(error) => {
                    let is_full = is_full(&error);
                    self.lost.fetch_add(lost + u64::from(is_full), Ordering::Relaxed);
                    return is_full;
                }
            }
        }
        match self.socket.send(&self.entry(priority, fields, text)) {
            Ok(_) => true,
            Err(error) if is_full(&error) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
                drop(self.socket.set_nonblocking(true));
                true
            }
            Err(_) => false,
        }
    }

    fn entry(&self, priority: Priority, fields: &[(String, String)], text: &str) -> Vec<u8> {
        let mut entry = Vec::new();
        put(&mut entry, "MESSAGE", text);
        put(&mut entry, "PRIORITY", &(priority as u8).to_string());
        put(&mut entry, "SYSLOG_IDENTIFIER", self.program.identifier);
        for (name, value) in fields {
            if name == "FLEETCAST_EVENT" {
                put(&mut entry, "MESSAGE_ID", &message_id(self.program, value));
            }
            put(&mut entry, name, value);
        }
        entry
    }
}

/// Adds a field. One with line feeds has its length before it: what is in a value is never a field of its own.
fn put(entry: &mut Vec<u8>, name: &str, value: &str) {
    let (value, end) = if value.len() > LONGEST {
        (value.get(..value.floor_char_boundary(LONGEST)).unwrap_or_default(), "…")
    } else {
        (value, "")
    };
    entry.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        entry.push(b'\n');
        entry.extend_from_slice(&((value.len() + end.len()) as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend_from_slice(value.as_bytes());
    entry.extend_from_slice(end.as_bytes());
    entry.push(b'\n');
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Whether `JOURNAL_STREAM`, which programs hand on to those they start, names this very output.
fn is_journal(stream: Option<&OsStr>, output: impl AsFd) -> bool {
    match (stream, rustix::fs::fstat(output)) {
        (Some(stream), Ok(found)) => stream == OsStr::new(&format!("{}:{}", found.st_dev, found.st_ino)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::fs::File;

    /// A journal that reads when it is asked to.
    struct Fake {
        socket: UnixDatagram,
        folder: tempfile::TempDir,
    }

    impl Fake {
        fn new() -> (Self, Journal) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("socket");
            let socket = UnixDatagram::bind(&path).unwrap();
            socket.set_nonblocking(true).unwrap();
            let journal = Journal::connect(&path, RECV).unwrap();
            (Self { socket, folder }, journal)
        }

        /// The fields of the next entry, read as the protocol says.
        fn next(&self) -> Option<BTreeMap<String, String>> {
            let mut octets = vec![0; 1 << 17];
            let length = self.socket.recv(&mut octets).ok()?;
            let (mut rest, mut fields) = (&octets[..length], BTreeMap::new());
            while !rest.is_empty() {
                let end = rest.iter().position(|&octet| octet == b'\n').unwrap();
                let line = str::from_utf8(&rest[..end]).unwrap();
                rest = &rest[end + 1..];
                let (name, value) = line.split_once('=').unwrap_or_else(|| {
                    let (length, after) = rest.split_first_chunk().unwrap();
                    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap();
                    assert_eq!(after[length], b'\n');
                    rest = &after[length + 1..];
                    (line, str::from_utf8(&after[..length]).unwrap())
                });
                assert!(fields.insert(name.to_owned(), value.to_owned()).is_none(), "{name} is there twice");
            }
            Some(fields)
        }
    }

    const REFUSED: &str = r#"{"v":1,"event":"refused","sequence":7,"code":"class","reason":"not for it"}"#;

    #[test]
    fn an_event_has_its_id_and_the_fields_of_its_json_form() {
        let (fake, journal) = Fake::new();
        let begin = r#"{"v":1,"event":"on-trial","release":{"sequence":7,"version":"1.4"},"runs":true,"none":null,
            "feeds":[{"group":"g"}],"loss":0.5}"#;
        assert!(journal.tell(Priority::Notice, &fields(begin), "1.4 is on trial"));
        let wanted = [
            ("FLEETCAST_EVENT", "on-trial"),
            ("FLEETCAST_FEEDS", r#"[{"group":"g"}]"#),
            ("FLEETCAST_LOSS", "0.5"),
            ("FLEETCAST_RUNS", "true"),
            ("FLEETCAST_SEQUENCE", "7"),
            ("FLEETCAST_VERSION", "1.4"),
            ("MESSAGE", "1.4 is on trial"),
            ("MESSAGE_ID", &message_id(RECV, "on-trial")),
            ("PRIORITY", "5"),
            ("SYSLOG_IDENTIFIER", "fleetcast-recv"),
        ];
        assert_eq!(fake.next().unwrap(), wanted.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }

    #[test]
    fn ids_are_stable_and_differ_by_program() {
        assert_eq!(message_id(RECV, "alarm"), "dfd78067ae7c510ba4ec6e6efae15ad2");
        assert_ne!(message_id(SEND, "ready"), message_id(RELAY, "ready"));
    }

    #[test]
    fn text_of_others_makes_no_field() {
        let (fake, journal) = Fake::new();
        let text = "bad\nPRIORITY=0\nMESSAGE_ID=x";
        let line = serde_json::json!({"event": "refused", "reason": text}).to_string();
        assert!(journal.tell(Priority::Warning, &fields(&line), text));
        let told = fake.next().unwrap();
        assert_eq!((&*told["MESSAGE"], &*told["FLEETCAST_REASON"], &*told["PRIORITY"]), (text, text, "4"));
        assert_eq!(told.len(), 6);
    }

    #[test]
    fn long_values_are_cut_between_characters_and_long_json_is_left_out() {
        let (fake, journal) = Fake::new();
        let (plain, lines) = ("ä".repeat(LONGEST), "x\n".repeat(LONGEST));
        let line = serde_json::json!({"event": "x", "a": plain, "b": lines, "c": [plain]}).to_string();
        assert!(journal.tell(Priority::Info, &fields(&line), &format!("y{plain}")));
        let told = fake.next().unwrap();
        for name in ["MESSAGE", "FLEETCAST_A", "FLEETCAST_B"] {
            assert!(told[name].len() <= LONGEST + "…".len() && told[name].ends_with('…'), "{name}");
        }
        assert!(!told.contains_key("FLEETCAST_C"));
    }

    #[test]
    fn a_full_journal_costs_entries_but_no_time_and_is_told_how_many() {
        let (fake, journal) = Fake::new();
        let start = std::time::Instant::now();
        let mut told = 0;
        while journal.lost.load(Ordering::Relaxed) < 1000 {
            assert!(journal.tell(Priority::Warning, &fields(REFUSED), "refused"));
            told += 1;
        }
        // One wait, and 999 tries.
        assert!(start.elapsed() >= PATIENCE / 2 && start.elapsed() < 50 * PATIENCE, "{:?}", start.elapsed());
        for _ in 0..told - 1000 {
            assert_eq!(fake.next().unwrap()["FLEETCAST_EVENT"], "refused");
        }
        assert!(fake.next().is_none());
        assert!(journal.tell(Priority::Info, &fields(REFUSED), "again"));
        let lost = fake.next().unwrap();
        assert_eq!((&*lost["FLEETCAST_EVENT"], &*lost["FLEETCAST_ENTRIES"]), ("lost", "1000"));
        assert_eq!(fake.next().unwrap()["MESSAGE"], "again");
        assert_eq!(journal.lost.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_a_journal_that_has_gone_does_not_take_is_told_otherwise() {
        let (fake, journal) = Fake::new();
        drop(fake.socket);
        assert!(!journal.tell(Priority::Info, &fields(REFUSED), "refused"));
        assert!(Journal::connect(&fake.folder.path().join("other"), RECV).is_err());
    }

    #[test]
    fn the_journal_is_the_output_that_the_environment_names_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let [output, other] = ["a", "b"].map(|name| File::create(folder.path().join(name)).unwrap());
        let found = rustix::fs::fstat(&output).unwrap();
        let stream = format!("{}:{}", found.st_dev, found.st_ino);
        let stream = Some(OsStr::new(&stream));
        assert!(is_journal(stream, &output));
        assert!(!is_journal(stream, &other) && !is_journal(None, &output) && !is_journal(Some("".as_ref()), &output));
    }
}
