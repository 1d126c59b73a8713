//! Help, exit codes, closed pipes and the terminal.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::common::{Folder, PROGRAM};
use fleetcast_netlab::command_line::{Done, assert_help};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};

#[test]
fn help_is_as_reviewed() {
    let commands = ["attach", "create", "inspect", "keygen", "prepare", "pubkey", "sign", "verify"];
    assert_help(PROGRAM, env!("CARGO_MANIFEST_DIR"), &commands);
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let folder = Folder::default();
    let version = folder.sign(&["--version"]).ok().stdout;
    assert_eq!(version, format!("fleetcast-sign {}\n", env!("CARGO_PKG_VERSION")));
    for args in [&[][..], &["nonsense"], &["keygen"], &["pubkey"], &["pubkey", "k", "--nonsense"]] {
        let wrong = folder.sign(args).failed(2, &["Usage: fleetcast-sign"]);
        assert!(wrong.stdout.is_empty(), "{wrong:?}");
    }
    let both = ["keygen", "--out", "k", "--passphrase", "--passphrase-file", "f"];
    folder.sign(&both).failed(2, &["cannot be used with"]);
}

#[test]
fn a_reader_that_has_gone_is_no_error_and_a_full_disk_is() {
    let folder = Folder::default();
    folder.sign(&["keygen", "--out", "key.pem"]).ok();
    for args in [&["pubkey", "key.pem"][..], &["pubkey", "key.pem", "--json"], &["--help"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let child = folder.command(args).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{args:?} {output:?}");
    }
    let full = File::options().write(true).open("/dev/full").unwrap();
    let child = folder.command(&["pubkey", "key.pem"]).stdout(full).stderr(Stdio::piped()).spawn().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write to standard output: No space left"));
}

/// The program with a terminal of its own.
struct Terminal {
    screen: File,
    child: Child,
    /// All that was shown.
    shown: String,
    /// How much of it the waits are through with.
    past: usize,
}

impl Terminal {
    fn run(folder: &Folder, args: &[&str], no_color: bool) -> Self {
        let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&screen).unwrap();
        unlockpt(&screen).unwrap();
        let name = ptsname(&screen, Vec::new()).unwrap().into_string().unwrap();
        let side = || File::options().read(true).write(true).open(&name).unwrap();
        let mut command = Command::new("setsid");
        command.args(["--ctty", "--wait", PROGRAM]).args(args).current_dir(folder.path("")).env("TERM", "xterm");
        command.env_remove("NO_COLOR").env_remove("FLEETCAST_KEY_PASSPHRASE");
        if no_color {
            command.env("NO_COLOR", "1");
        }
        let child = command.stdin(side()).stdout(side()).stderr(side()).spawn().unwrap();
        Self { screen: screen.into(), child, shown: String::new(), past: 0 }
    }

    /// Reads until `text` appears behind what was waited for before; the test runner's time limit ends a wait in vain.
    fn wait_for(&mut self, text: &str) {
        let at = loop {
            match self.shown[self.past..].find(text) {
                Some(at) => break at,
                None => self.read().unwrap_or_else(|| panic!("no {text:?} in {:?}", self.shown)),
            }
        };
        self.past += at + text.len();
    }

    fn read(&mut self) -> Option<()> {
        let mut bytes = [0; 1024];
        let count = self.screen.read(&mut bytes).ok().filter(|count| *count > 0)?;
        self.shown.push_str(str::from_utf8(&bytes[..count]).unwrap());
        Some(())
    }

    fn is_echoing(&self) -> bool {
        tcgetattr(&self.screen).unwrap().local_modes.contains(LocalModes::ECHO)
    }

    fn answer(&mut self, text: &str) {
        // The question is shown a moment before the terminal goes mute.
        while self.is_echoing() {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.screen.write_all(text.as_bytes()).unwrap();
    }

    /// Exit code, and all that was shown.
    fn end(mut self) -> (Option<i32>, String) {
        while self.read().is_some() {}
        (self.child.wait().unwrap().code(), self.shown)
    }
}

#[test]
fn a_passphrase_is_asked_for_twice_and_never_shown() {
    let folder = Folder::default();
    let keygen = ["keygen", "--out", "key.pem", "--passphrase"];
    let mut terminal = Terminal::run(&folder, &keygen, true);
    terminal.wait_for("New passphrase of key.pem: ");
    terminal.answer("s3cret\n");
    terminal.wait_for("The same again: ");
    terminal.answer("s3cret\n");
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(!shown.contains("s3cret"), "{shown}");

    folder.write("pass", "s3cret");
    folder.sign(&["pubkey", "key.pem", "--passphrase-file", "pass"]).ok();
    let mut terminal = Terminal::run(&folder, &["pubkey", "key.pem"], true);
    terminal.wait_for("Passphrase of key.pem: ");
    terminal.answer("s3cret\n");
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("BEGIN PUBLIC KEY") && !shown.contains("s3cret"), "{shown}");
}

#[test]
fn enter_alone_is_no_passphrase() {
    let folder = Folder::default();
    let mut terminal = Terminal::run(&folder, &["keygen", "--out", "key.pem", "--passphrase"], true);
    terminal.wait_for("New passphrase of key.pem: ");
    terminal.answer("\n");
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(1), "{shown}");
    assert!(shown.contains("the passphrase is empty") && shown.contains("hint: type the passphrase"), "{shown}");
    assert!(folder.names().is_empty());
}

#[test]
fn two_passphrases_that_differ_make_no_key() {
    let folder = Folder::default();
    let mut terminal = Terminal::run(&folder, &["keygen", "--out", "key.pem", "--passphrase"], true);
    terminal.wait_for("New passphrase");
    terminal.answer("one\n");
    terminal.wait_for("again: ");
    terminal.answer("two\n");
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(1), "{shown}");
    assert!(shown.contains("the two passphrases differ"), "{shown}");
    assert!(folder.names().is_empty());
}

#[test]
fn an_interrupted_prompt_leaves_the_terminal_as_it_was() {
    let folder = Folder::default();
    let mut terminal = Terminal::run(&folder, &["keygen", "--out", "key.pem", "--passphrase"], true);
    terminal.wait_for("New passphrase");
    assert!(terminal.child.try_wait().unwrap().is_none());
    terminal.answer("hal\x03");
    terminal.wait_for("error: no passphrase from the terminal");
    assert!(terminal.is_echoing(), "the shell would be mute");
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(1), "{shown}");
    assert!(folder.names().is_empty());
}

#[test]
fn an_interrupt_after_the_prompt_ends_the_program() {
    let folder = Folder::default();
    folder.openssl(&["genpkey", "-algorithm", "ed25519", "-out", "plain.pem"]);
    // Seconds of work between the passphrase and the end.
    let slow = ["-v2", "aes256", "-iter", "15000000", "-passout", "pass:open"];
    folder.openssl(&[&["pkcs8", "-topk8", "-in", "plain.pem", "-out", "key.pem"][..], &slow].concat());
    let mut terminal = Terminal::run(&folder, &["pubkey", "key.pem"], true);
    terminal.wait_for("Passphrase of key.pem: ");
    terminal.answer("open\n");
    let status = loop {
        if let Some(status) = terminal.child.try_wait().unwrap() {
            break status;
        }
        if terminal.is_echoing() {
            terminal.screen.write_all(b"\x03").unwrap();
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(status.signal(), Some(signal_hook::consts::SIGINT), "{status:?}");
}

#[test]
fn colour_is_for_terminals_that_want_it() {
    let folder = Folder::default();
    for (no_color, coloured) in [(false, true), (true, false)] {
        let (code, shown) = Terminal::run(&folder, &["pubkey", "missing"], no_color).end();
        assert_eq!(code, Some(1), "{shown}");
        assert!(shown.contains("error:") && shown.contains('\x1b') == coloured, "{shown:?}");
    }
    let piped = Done::run(&mut folder.command(&["pubkey", "missing"]));
    assert!(piped.stderr.starts_with("error: ") && !piped.stderr.contains('\x1b'), "{piped:?}");
}
