//! The shipped boot adapters with the real `fw_setenv` and `grub-editenv`. What a boot loader does is done here with the same
//! tools.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::fs;

use fleetcast_netlab::command_line::{Done, Folder, shipped};

/// An adapter in a folder of its own.
struct Adapter {
    name: &'static str,
    folder: Folder,
}

const NAMES: [&str; 4] = ["uboot", "grub", "systemd-boot", "pointer"];

impl Adapter {
    /// A device whose slot a runs and is confirmed, and whose slot b is empty.
    fn new(name: &'static str) -> Self {
        let adapter = Self { name, folder: Folder::default() };
        let path = |name: &str| adapter.folder.path(name).display().to_string();
        adapter.folder.write("cmdline", "quiet root=/dev/x fleetcast.slot=a panic=10\n");
        let setting = match name {
            "uboot" => {
                let size = vec![0xFF_u8; 2 * 8192];
                adapter.folder.write("env", size);
                adapter.folder.write("fw_env.config", format!("{0} 0x0 0x2000\n{0} 0x2000 0x2000\n", path("env")));
                adapter.folder.write("default", "BOOT_ORDER=a b\nBOOT_a_LEFT=ok\nBOOT_b_LEFT=0\nfdtfile=board.dtb\n");
                adapter.tool("fw_setenv", &["-c", "fw_env.config", "-f", "default", "-s", "default"]);
                format!("env={}", path("fw_env.config"))
            }
            "grub" => {
                adapter.tool("grub-editenv", &["env", "create"]);
                adapter.tool("grub-editenv", &["env", "set", "order=a", "a=ok", "b=0", "saved_entry=0"]);
                format!("env={}", path("env"))
            }
            "systemd-boot" => {
                let entry = |slot: &str, version: u8| {
                    format!("title Board\nsort-key fleetcast\nversion {version}\noptions fleetcast.slot={slot}\n")
                };
                fs::create_dir(adapter.folder.path("entries")).unwrap();
                adapter.folder.write("entries/fleetcast-a.conf", entry("a", 2));
                adapter.folder.write("entries/fleetcast-b.conf.bad", entry("b", 1));
                format!("entries={}", path("entries"))
            }
            _ => {
                adapter.folder.write("slots", "a ok 0 a\n");
                format!("folder={}", path("."))
            }
        };
        adapter.folder.write("boot.conf", format!("{setting}\ncmdline={}\n", path("cmdline")));
        adapter
    }

    fn tool(&self, program: &str, args: &[&str]) -> String {
        Done::run(&mut self.folder.command(program, args)).ok().stdout
    }

    fn run(&self, args: &[&str]) -> Done {
        let program = shipped("packaging/boot").join(self.name).display().to_string();
        let config = self.folder.path("boot.conf").display().to_string();
        Done::run(&mut self.folder.command(&program, &[&["-c", config.as_str()], args].concat()))
    }

    #[track_caller]
    fn ask(&self, args: &[&str]) -> String {
        self.run(args).ok().stdout.trim().into()
    }

    /// Slot that would be started next, and the states of both.
    #[track_caller]
    fn state(&self) -> [String; 3] {
        [self.ask(&["get-primary"]), self.ask(&["get-state", "a"]), self.ask(&["get-state", "b"])]
    }

    /// What the boot loader does at a start: chooses, counts, and tells the kernel.
    #[track_caller]
    fn boot(&self) -> String {
        let slot = self.ask(&["get-primary"]);
        match self.name {
            "uboot" => {
                let (config, variable) = (["-c", "fw_env.config"], format!("BOOT_{slot}_LEFT"));
                let left = self.tool("fw_printenv", &[&config[..], &["-n", &variable]].concat());
                if let Ok(left) = left.trim().parse::<u8>() {
                    self.tool("fw_setenv", &[&config[..], &[&variable, &(left - 1).to_string()]].concat());
                }
            }
            "grub" => {
                let list = self.tool("grub-editenv", &["env", "list"]);
                let left = list.lines().find_map(|line| line.strip_prefix(&format!("{slot}="))).unwrap();
                if let Ok(left) = left.parse::<u8>() {
                    self.tool("grub-editenv", &["env", "set", &format!("{slot}={}", left - 1)]);
                }
            }
            "systemd-boot" => {
                let names = fs::read_dir(self.folder.path("entries")).unwrap();
                let names: Vec<_> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
                let start = format!("fleetcast-{slot}+");
                if let Some(name) = names.iter().find(|name| name.starts_with(&start)) {
                    let counts = name.strip_prefix(&start).unwrap().strip_suffix(".conf").unwrap();
                    let (left, done) = counts.split_once('-').unwrap_or((counts, "0"));
                    let (left, done) = (left.parse::<u8>().unwrap() - 1, done.parse::<u8>().unwrap() + 1);
                    let to = format!("entries/{start}{left}-{done}.conf");
                    self.tool("mv", &[&format!("entries/{name}"), &to]);
                }
            }
            _ => assert_eq!(self.ask(&["boot"]), slot),
        }
        self.folder.write("cmdline", format!("quiet fleetcast.slot={slot}\n"));
        assert_eq!(self.ask(&["get-current"]), slot, "{}", self.name);
        slot
    }
}

#[test]
fn a_release_is_tried_committed_and_followed_by_another() {
    for adapter in NAMES.map(Adapter::new) {
        println!("{}", adapter.name);
        assert_eq!(adapter.ask(&["get-current"]), "a");
        assert_eq!(adapter.state(), ["a", "good", "bad"]);
        for (old, new) in [("a", "b"), ("b", "a"), ("a", "b")] {
            for _ in 0..2 {
                assert!(adapter.ask(&["set-state", new, "bad"]).is_empty());
            }
            assert_eq!(adapter.boot(), old, "what is being written is not started");
            adapter.ask(&["set-primary", new, "3"]);
            assert_eq!(adapter.ask(&["get-primary"]), new);
            assert_eq!(adapter.ask(&["get-state", old]), "good");
            assert_eq!(adapter.boot(), new);
            for _ in 0..2 {
                adapter.ask(&["set-state", new, "good"]);
            }
            for _ in 0..5 {
                assert_eq!(adapter.boot(), new, "confirmed, its starts are not counted");
            }
        }
    }
}

#[test]
fn spent_attempts_lead_back_and_so_does_giving_up() {
    for adapter in NAMES.map(Adapter::new) {
        println!("{}", adapter.name);
        for attempts in ["1", "3", "9"] {
            for _ in 0..2 {
                adapter.ask(&["set-primary", "b", attempts]);
            }
            for _ in 0..attempts.parse().unwrap() {
                assert_eq!(adapter.boot(), "b");
            }
            assert_eq!(adapter.boot(), "a");
            assert_eq!(adapter.state(), ["a", "good", "bad"]);
        }
        adapter.ask(&["set-primary", "b", "3"]);
        assert_eq!(adapter.boot(), "b");
        adapter.ask(&["set-state", "b", "bad"]);
        assert_eq!(adapter.state(), ["a", "good", "bad"]);
        assert_eq!(adapter.boot(), "a");
        // Nothing may be started: an answer would be a guess.
        adapter.ask(&["set-state", "a", "bad"]);
        adapter.run(&["get-primary"]).failed(1, &["neither slot may be started"]);
    }
}

#[test]
fn what_makes_no_sense_is_refused_and_changes_nothing() {
    for adapter in NAMES.map(Adapter::new) {
        println!("{}", adapter.name);
        let wrong: [&[&str]; 12] = [
            &[],
            &["get"],
            &["get-primary", "a"],
            &["get-state"],
            &["get-state", "c"],
            &["set-state", "a"],
            &["set-state", "a", "fine"],
            &["set-primary", "b"],
            &["set-primary", "b", "0"],
            &["set-primary", "b", "10"],
            &["set-primary", "x", "1"],
            &["set-primary", "b", "1; reboot"],
        ];
        for args in wrong {
            adapter.run(args).failed(2, &["usage: "]);
        }
        assert_eq!(adapter.state(), ["a", "good", "bad"]);
        adapter.folder.write("cmdline", "quiet\n");
        if adapter.name != "pointer" {
            adapter.run(&["get-current"]).failed(1, &["does not say which slot runs", "fleetcast.slot"]);
            adapter.folder.write("cmdline", "rauc.slot=B\n");
            assert_eq!(adapter.ask(&["get-current"]), "b");
        }
    }
}

#[test]
fn a_damaged_or_missing_state_is_an_error_and_never_a_guess() {
    for (name, file, content) in [
        ("uboot", "fw_env.config", "/nowhere 0x0 0x2000\n"),
        ("grub", "env", "no environment block"),
        ("systemd-boot", "entries/fleetcast-a.conf", "title Board\n"),
        ("pointer", "slots", "a ok 0 a\nb ok 0 b\n"),
        ("pointer", "slots", "a ok\n"),
        ("pointer", "slots", ""),
        ("pointer", "slots", "c ok 0 a\n"),
    ] {
        let adapter = Adapter::new(name);
        adapter.folder.write(file, content);
        let (file, _) = file.split_once('/').unwrap_or((file, ""));
        for args in [&["get-primary"][..], &["get-state", "a"], &["set-primary", "b", "3"], &["set-state", "b", "good"]]
        {
            adapter.run(args).failed(1, &[file]);
        }
    }
}

#[test]
fn other_things_in_the_same_place_are_left_alone() {
    let uboot = Adapter::new("uboot");
    uboot.ask(&["set-primary", "b", "3"]);
    assert_eq!(uboot.tool("fw_printenv", &["-c", "fw_env.config", "-n", "fdtfile"]).trim(), "board.dtb");
    let grub = Adapter::new("grub");
    grub.ask(&["set-primary", "b", "3"]);
    assert!(grub.tool("grub-editenv", &["env", "list"]).contains("saved_entry=0"));
    assert_eq!(fs::metadata(grub.folder.path("env")).unwrap().len(), 1024);
    let entries = Adapter::new("systemd-boot");
    entries.folder.write("entries/other.conf", "title Other\n");
    entries.ask(&["set-primary", "b", "3"]);
    let b = fs::read_to_string(entries.folder.path("entries/fleetcast-b+3.conf")).unwrap();
    assert_eq!(b, "title Board\nsort-key fleetcast\nversion 3\noptions fleetcast.slot=b\n");
    let mut names: Vec<_> =
        fs::read_dir(entries.folder.path("entries")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["fleetcast-a.conf", "fleetcast-b+3.conf", "other.conf"]);
}

#[test]
fn what_a_killed_adapter_has_left_is_removed_and_nothing_else() {
    for (name, left, other) in
        [("grub", "env.new.abc123", "env.backup"), ("pointer", ".slots.new.abc123", "slots.backup")]
    {
        let adapter = Adapter::new(name);
        adapter.folder.write(left, "");
        adapter.folder.write(other, "");
        adapter.ask(&["set-primary", "b", "3"]);
        assert!(!adapter.folder.path(left).exists(), "{name}");
        assert!(adapter.folder.path(other).exists(), "{name}");
    }
}

#[test]
fn the_configuration_of_grub_parses() {
    let path = shipped("packaging/boot/grub.cfg").display().to_string();
    Done::run(&mut Folder::default().command("grub-script-check", &[&path])).ok();
}
