//! The shipped scripts for U-Boot and GRUB in U-Boot and GRUB, on emulated machines, with the shipped adapters beside them.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::fs::{self, File};
use std::process::Command;

use fleetcast_netlab::command_line::{Done, Folder, shipped};

/// Most seconds of a start.
const LIMIT: &str = "120";
/// Octets of U-Boot's environment.
const ENV: usize = 0x4000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loader {
    UBoot,
    Grub,
}

/// A machine with a disk that has the boot loader's script and its environment.
struct Machine {
    loader: Loader,
    folder: Folder,
}

impl Machine {
    /// Slot a is confirmed, slot b forbidden.
    fn new(loader: Loader) -> Self {
        let machine = Self { loader, folder: Folder::default() };
        let path = |name: &str| machine.folder.path(name).display().to_string();
        machine.folder.write("cmdline", "fleetcast.slot=a\n");
        machine.folder.write("disk", vec![0; 4 << 20]);
        machine.tool("mkfs.vfat", &["disk"]);
        let env = match loader {
            Loader::UBoot => {
                // The environment is a file on the disk, in the form of U-Boot's own.
                machine.u_boot_script(
                    "slots",
                    &script("uboot.cmd", &[("saveenv", "run save")], "echo \"starts <${slot}>\"\n"),
                );
                machine.folder.write("env", vec![0; ENV]);
                machine.folder.write("fw_env.config", format!("{} 0x0 {ENV:#x}\n", path("env")));
                machine.folder.write("default", "BOOT_ORDER=a b\nBOOT_a_LEFT=ok\nBOOT_b_LEFT=0\n");
                machine.tool("fw_setenv", &["-c", "fw_env.config", "-f", "default", "-s", "default"]);
                path("fw_env.config")
            }
            Loader::Grub => {
                machine
                    .folder
                    .write("slots", script("grub.cfg", &[("($root)/boot/grub/fleetcast.env", "(hd0)/env")], ""));
                machine.folder.write(
                    "start",
                    "serial\nterminal_output serial\nsource (hd0)/slots\necho \"starts <$slot>\"\nhalt\n",
                );
                let modules = [
                    "biosdisk",
                    "fat",
                    "test",
                    "true",
                    "echo",
                    "loadenv",
                    "halt",
                    "configfile",
                    "normal",
                    "serial",
                    "terminal",
                ];
                let image = ["-O", "i386-pc", "-o", "core", "-p", "(hd0)", "-c", "start"];
                machine.tool("grub-mkimage", &[&image[..], &modules].concat());
                let mut kernel = fs::read("/usr/lib/grub/i386-pc/lnxboot.img").unwrap();
                kernel.extend(fs::read(machine.folder.path("core")).unwrap());
                machine.folder.write("kernel", kernel);
                machine.tool("mcopy", &["-i", "disk", "slots", "::"]);
                machine.tool("grub-editenv", &["env", "create"]);
                machine.tool("grub-editenv", &["env", "set", "order=a", "a=ok", "b=0"]);
                path("env")
            }
        };
        machine.folder.write("boot.conf", format!("env={env}\ncmdline={}\n", path("cmdline")));
        machine
    }

    #[track_caller]
    fn tool(&self, program: &str, args: &[&str]) {
        Done::run(&mut self.folder.command(program, args)).ok();
    }

    fn u_boot_script(&self, name: &str, text: &str) {
        self.folder.write("text", text);
        self.tool("mkimage", &["-A", "arm", "-T", "script", "-C", "none", "-d", "text", name]);
        self.tool("mcopy", &["-o", "-i", "disk", name, "::"]);
    }

    #[track_caller]
    fn adapter(&self, args: &[&str]) -> String {
        let name = if self.loader == Loader::UBoot { "uboot" } else { "grub" };
        let mut command = Command::new(shipped("packaging/boot").join(name));
        Done::run(command.arg("-c").arg(self.folder.path("boot.conf")).args(args)).ok().stdout.trim().into()
    }

    /// Starts the machine. Gives the slot that would be started, empty if there is none.
    #[track_caller]
    fn start(&self, can_save: bool) -> String {
        self.tool("mcopy", &["-o", "-i", "disk", "env", "::"]);
        let mut command = match self.loader {
            Loader::UBoot => self.start_u_boot(can_save),
            Loader::Grub => self.start_grub(can_save),
        };
        let told = Done::run(&mut command).ok().stdout;
        self.tool("mcopy", &["-o", "-i", "disk", "::env", "."]);
        if told.contains("no slot may be started") {
            return String::new();
        }
        let after = told.rsplit_once("starts <").map(|(_, after)| after).ok_or(&told).unwrap();
        after.chars().take_while(|c| matches!(c, 'a' | 'b')).collect()
    }

    fn start_u_boot(&self, can_save: bool) -> Command {
        let save = format!("env export -c -s {ENV:#x} 0x40300000 && fatwrite virtio 0 0x40300000 env {ENV:#x}");
        let save = if can_save { save.as_str() } else { "false" };
        self.u_boot_script(
            "begin",
            &format!(
                "setenv save '{save}'\nload virtio 0 0x40300000 env && env import -c 0x40300000 {ENV:#x}\n\
                 load virtio 0 0x40400000 slots && source 0x40400000\npoweroff\n"
            ),
        );
        // The first line ends the countdown.
        let typed = "\nvirtio scan; load virtio 0 0x40500000 begin; source 0x40500000\n";
        let typed = File::open(self.folder.write("typed", typed)).unwrap();
        let machine = "qemu-system-arm -M virt -cpu cortex-a15 -m 128 -bios /usr/lib/u-boot/qemu_arm/u-boot.bin \
                       -drive if=none,id=disk,format=raw,file=disk -device virtio-blk-device,drive=disk";
        let mut command = self.emulator(machine);
        command.stdin(typed);
        command
    }

    fn start_grub(&self, can_save: bool) -> Command {
        let access = if can_save { "off" } else { "on" };
        let disk = format!("if=virtio,format=raw,file=disk,readonly={access}");
        self.emulator(&format!("qemu-system-x86_64 -m 64 -kernel kernel -drive {disk}"))
    }

    fn emulator(&self, machine: &str) -> Command {
        let words = machine.split_whitespace().chain(["-nographic", "-no-reboot", "-nic", "none"]);
        let args: Vec<_> = std::iter::once(LIMIT).chain(words).collect();
        self.folder.command("timeout", &args)
    }
}

/// A shipped script up to what is specific to the board, with replacements, and what follows.
fn script(name: &str, replacements: &[(&str, &str)], end: &str) -> String {
    let text = fs::read_to_string(shipped("packaging/boot").join(name)).unwrap();
    let (common, _) = text.split_once("# What is specific to").unwrap();
    let replace = |text: String, (from, to): &(&str, &str)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    };
    replacements.iter().fold(common.to_owned(), replace) + end
}

fn both() -> [Machine; 2] {
    [Loader::UBoot, Loader::Grub].map(Machine::new)
}

#[test]
fn a_release_is_started_as_often_as_it_may_be_and_then_the_one_before_it() {
    for machine in both() {
        println!("{:?}", machine.loader);
        assert_eq!(machine.start(true), "a");
        machine.adapter(&["set-primary", "b", "2"]);
        let starts: Vec<_> = (0..4).map(|_| machine.start(true)).collect();
        assert_eq!(starts, ["b", "b", "a", "a"]);
        assert_eq!(
            (machine.adapter(&["get-primary"]), machine.adapter(&["get-state", "b"])),
            ("a".into(), "bad".into())
        );
    }
}

#[test]
fn a_confirmed_release_is_not_counted_and_one_that_is_forbidden_not_started() {
    for machine in both() {
        println!("{:?}", machine.loader);
        machine.adapter(&["set-primary", "b", "1"]);
        assert_eq!(machine.start(true), "b");
        machine.adapter(&["set-state", "b", "good"]);
        assert_eq!([machine.start(true), machine.start(true)], ["b", "b"]);
        machine.adapter(&["set-state", "a", "bad"]);
        machine.adapter(&["set-primary", "a", "9"]);
        assert_eq!([machine.start(true), machine.adapter(&["get-primary"])], ["a", "a"]);
        machine.adapter(&["set-state", "a", "bad"]);
        assert_eq!(machine.start(true), "b");
        machine.adapter(&["set-state", "b", "bad"]);
        assert_eq!(machine.start(true), "", "nothing may be started, and nothing is");
    }
}

#[test]
fn a_start_that_cannot_be_counted_is_not_made() {
    for machine in both() {
        println!("{:?}", machine.loader);
        machine.adapter(&["set-primary", "b", "2"]);
        assert_eq!([machine.start(false), machine.start(false)], ["a", "a"]);
        assert_eq!(machine.start(true), "b");
    }
}
