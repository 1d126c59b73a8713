//! What the receiver cannot do once it has started.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use fleetcast_netlab::command_line::{self, Done, shipped};
use fleetcast_recv::config::Settings;
use fleetcast_recv::confine::{Level, Rules, confine};
use rustix::process::{Pid, Signal, test_kill_process};
use serde_json::Value;

use super::common::Folder;
use super::sockets::{OnAir, receive, signal, wait_for};

/// Runs a test in a thread of its own: what is confined stays so.
///
/// A kernel that cannot confine fully fails it in CI, and skips it elsewhere.
fn confined(rules: Rules, test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(move || {
        let confined = confine(&rules);
        assert!(confined.missing.is_empty(), "{confined:?}");
        if confined.level == Level::Full {
            test();
        } else {
            skip(&format!("{confined:?}"));
        }
    });
    thread.join().unwrap();
}

fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "CI needs a kernel that confines fully: {why}");
    eprintln!("SKIPPED: this kernel does not confine fully: {why}");
}

/// A folder with folders `own`, `seeds` and `other`, the last two with a file in each.
fn folder() -> Folder {
    let folder = Folder::default();
    for name in ["own", "seeds", "other"] {
        fs::create_dir(folder.path(name)).unwrap();
    }
    folder.write("seeds/file", "seed");
    folder.write("other/file", "other");
    folder
}

#[track_caller]
fn denied<T>(result: std::io::Result<T>) {
    assert_eq!(result.map(drop).unwrap_err().kind(), ErrorKind::PermissionDenied);
}

#[test]
fn without_programs_only_what_is_named_can_be_opened_and_nothing_executed() {
    let folder = folder();
    // Opened before, it stays open.
    let mut kept = File::open(folder.path("other/file")).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = port.local_addr().unwrap();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let allowed = other.local_addr().unwrap();
    let rules = Rules {
        write: vec![folder.path("own")],
        read: vec![folder.path("seeds")],
        connect: vec![allowed.port()],
        programs: false,
    };
    confined(rules, move || {
        let path = |name| folder.path(name);
        drop(folder.write("own/new", "new"));
        fs::create_dir(path("own/deep")).unwrap();
        fs::remove_dir(path("own/deep")).unwrap();
        fs::hard_link(path("own/new"), path("own/twin")).unwrap();
        assert_eq!(fs::read_dir(path("own")).unwrap().count(), 2);
        assert_eq!(fs::read(path("seeds/file")).unwrap(), b"seed");
        assert_eq!(std::io::read_to_string(&mut kept).unwrap(), "other");

        denied(File::create(path("seeds/new")));
        denied(File::options().write(true).open(path("seeds/file")));
        denied(fs::remove_file(path("seeds/file")));
        denied(File::open(path("other/file")));
        denied(File::create(path("other/new")));
        denied(fs::create_dir(path("other/new")));
        denied(fs::read_dir(path("other")));
        denied(File::open("/etc/passwd"));
        denied(File::open("/proc/self/mem"));
        symlink(path("other/file"), path("own/way-out")).unwrap_err();
        fs::hard_link(path("other/file"), path("own/way-out")).unwrap_err();
        denied(Command::new("/bin/true").status());
        denied(TcpListener::bind("127.0.0.1:0"));
        denied(TcpStream::connect(to));
        TcpStream::connect(allowed).unwrap();
        denied(TcpListener::bind(allowed));
        UdpSocket::bind("127.0.0.1:0").unwrap();
        test_kill_process(Pid::INIT).unwrap_err();
    });
}

#[test]
fn web_servers_of_the_settings_can_be_looked_up_and_connected_to_and_no_others() {
    let folder = folder();
    folder.write("key.pem", fs::read(shipped("keys/UNSAFE-test-release.pub.pem")).unwrap());
    let [named, other] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [port, other] = [named, other].map(|listener| {
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || listener.incoming().for_each(drop));
        address
    });
    let own = folder.path("own").display().to_string();
    let text = format!(
        "trust = [\"key.pem\"]\nvendor = \"acme.example\"\nclasses = [\"board-a\"]\ninterface = \"lo\"\n\
         groups = [\"239.255.77.26:15077\"]\nstate = \"{own}\"\n[[target]]\nname = \"app\"\npath = \"{own}/app.img\"\n\
         [repair]\nservers = [\"http://localhost:{}/x\"]\n",
        port.port()
    );
    folder.write("named.toml", &text);
    let rules = Rules::of(&Settings::of_file(folder.path("named.toml")).load().unwrap());
    folder.write("number.toml", text.replace("localhost", "127.0.0.1"));
    let by_number = Rules::of(&Settings::of_file(folder.path("number.toml")).load().unwrap());
    assert!(by_number.read.is_empty() && by_number.connect == [port.port()], "{by_number:?}");
    confined(rules, move || {
        let found: Vec<_> = ("localhost", port.port()).to_socket_addrs().unwrap().collect();
        assert!(found.contains(&port), "{found:?}");
        TcpStream::connect(port).unwrap();
        denied(TcpStream::connect(other));
        if Path::new("/etc/resolv.conf").exists() {
            File::open("/etc/resolv.conf").unwrap();
        }
        denied(File::open("/etc/passwd"));
    });
}

#[test]
fn programs_read_everything_and_write_only_what_is_named() {
    let folder = folder();
    confined(Rules { write: vec![folder.path("own")], programs: true, ..Rules::default() }, move || {
        let sh = |script: &str| Done::run(&mut command_line::Folder::command(&folder, "/bin/sh", &["-ec", script]));
        sh("cat other/file >own/new 2>/dev/null; mv own/new own/moved; ln -s moved own/new; rm own/moved").ok();
        for script in [
            "echo >other/new",
            "echo >>other/file",
            "rm other/file",
            "mv other/file own/file",
            "ln -s ../other own/way-out; echo >own/way-out/new",
            "mknod own/device c 1 3",
        ] {
            assert_ne!(sh(script).code, Some(0), "{script}");
        }
        assert_eq!(fs::read(folder.path("other/file")).unwrap(), b"other");
        assert_eq!(fs::read_dir(folder.path("other")).unwrap().count(), 1);
    });
}

#[test]
fn a_named_file_can_be_written_but_not_its_neighbours() {
    let folder = folder();
    let rules = Rules { write: vec![folder.path("other/file"), "/dev/null".into()], ..Rules::default() };
    confined(rules, move || {
        File::options().read(true).write(true).open(folder.path("other/file")).unwrap().set_len(0).unwrap();
        File::options().write(true).open("/dev/null").unwrap();
        denied(File::open(folder.path("seeds/file")));
        denied(File::create(folder.path("other/new")));
        denied(fs::remove_file(folder.path("other/file")));
    });
}

/// As [`receive`], with another place for target `rootfs`.
fn receive_into(path: &str, folder: &Folder, group: SocketAddr, more: &[&str]) -> Command {
    let target = format!("rootfs={path}");
    let usual = receive(folder, group, more);
    let usual = usual.get_args().map(|arg| arg.to_str().unwrap());
    folder.command(&usual.map(|arg| if arg == "rootfs=rootfs.img" { &target } else { arg }).collect::<Vec<_>>())
}

/// Receives a release into `live`, a link to `own`; then that points elsewhere, and a later release comes. Gives what became of it,
/// or nothing if the kernel cannot confine.
fn receive_and_swap(folder: &Folder, elsewhere: &Folder, group: SocketAddr, more: &[&str]) -> Option<Value> {
    symlink("own", folder.path("live")).unwrap();
    let mut child = receive_into("live/rootfs.img", folder, group, &[&["--json", "--timeout", "30s"], more].concat())
        .spawn()
        .unwrap();
    let ready = wait_for(&mut child, "ready", |_| true).pop().unwrap();
    let is_confined = match ready["confined"].as_str().unwrap() {
        "full" => true,
        "off" => false,
        level => {
            child.kill().unwrap();
            child.wait().unwrap();
            skip(level);
            return None;
        }
    };
    let on_air = OnAir::start("ok-small", group, Duration::from_millis(1));
    wait_for(&mut child, "installed", |_| true);
    drop(on_air);
    assert!(folder.path("own/rootfs.img").exists());
    // The thread that writes events too.
    let threads: Vec<_> = fs::read_dir(format!("/proc/{}/task", child.id())).unwrap().collect();
    assert_eq!(threads.len(), 2);
    for thread in threads {
        let status = fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        assert_eq!(status.contains("NoNewPrivs:\t1"), is_confined, "{status}");
    }

    symlink(elsewhere.path(""), folder.path("swapped")).unwrap();
    rustix::fs::rename(folder.path("swapped"), folder.path("live")).unwrap();
    let _on_air = OnAir::start("ok-two-blocks", group, Duration::from_millis(1));
    let outcome = wait_for(&mut child, if is_confined { "stopped" } else { "installed" }, |_| true).pop();
    signal(&child, Signal::TERM);
    child.wait_with_output().unwrap();
    outcome
}

#[test]
fn a_folder_put_in_place_of_the_targets_after_the_start_is_denied() {
    let (folder, elsewhere) = (folder(), Folder::default());
    let group = "239.255.77.21:15077".parse().unwrap();
    let Some(stopped) = receive_and_swap(&folder, &elsewhere, group, &[]) else { return };
    let reason = stopped["reason"].as_str().unwrap();
    let expected = ["live", "permission denied", "see that the service's sandbox allows it"];
    assert!(expected.iter().all(|part| reason.contains(part)), "{stopped}");
    assert!(elsewhere.names().is_empty());
}

#[test]
fn with_mode_off_nothing_is_denied() {
    let (folder, elsewhere) = (folder(), Folder::default());
    folder.write("off.toml", "[confine]\nmode = \"off\"\n");
    let group = "239.255.77.22:15077".parse().unwrap();
    receive_and_swap(&folder, &elsewhere, group, &["--config", "off.toml"]).unwrap();
    assert_eq!(elsewhere.names(), ["rootfs.img"]);
}

#[test]
fn a_target_folder_that_is_missing_is_told_at_the_start() {
    let folder = folder();
    let group = "239.255.77.23:15077".parse().unwrap();
    let gone = folder.path("gone");
    let mut command = receive_into("gone/rootfs.img", &folder, group, &[]);
    let told = format!("warning: {} cannot be opened (No such file or directory", gone.display());
    Done::run(&mut command).failed(1, &[&told, "create or mount it, and start again", "the folder does not exist"]);
}

#[test]
fn a_kernel_that_does_not_confine_is_told_and_enough_only_if_it_need_not() {
    let folder = folder();
    folder.write("required.toml", "[confine]\nmode = \"required\"\n");
    let group = "239.255.77.24:15077".parse().unwrap();
    let all = Rules { write: vec![folder.path("own").parent().unwrap().into()], programs: true, ..Rules::default() };
    confined(all.clone(), move || {
        // No more than 16 layers are possible.
        for _ in 1..16 {
            assert_eq!(confine(&all).level, Level::Full);
        }
        let run = |more: &[&str]| {
            let more = [&["--once", "--timeout", "100ms", "--json"], more].concat();
            Done::run(&mut receive(&folder, group, &more))
        };
        let auto = run(&[]).failed(1, &["timed out"]).stdout;
        assert!(auto.contains(r#""confined":"none""#) && auto.contains(r#""code":"not-confined""#), "{auto}");
        let required = run(&["--config", "required.toml"]);
        let required = required.failed(1, &["[confine] mode is \"required\", but the kernel refuses"]).stdout;
        assert!(required.contains(r#""event":"stopped","ok":false,"code":"not-confined""#), "{required}");
    });
}

#[test]
fn wrong_settings_are_told_with_their_line() {
    let folder = folder();
    for (line, expected) in [
        ("mode = \"some\"", "confine.toml:2: unknown variant `some`, expected one of `auto`, `required`, `off`"),
        ("level = 1", "confine.toml:2: unknown field `level`"),
        ("write = [\"/x\", \"run/lock\"]", "confine.toml:2: write: \"run/lock\" must be an absolute path"),
    ] {
        folder.write("confine.toml", format!("[confine]\n{line}\n"));
        let mut command = receive(&folder, "239.255.77.25:15077".parse().unwrap(), &["--config", "confine.toml"]);
        Done::run(&mut command).failed(78, &[expected]);
    }
    assert!(!Path::new(&folder.path("state")).exists());
}
