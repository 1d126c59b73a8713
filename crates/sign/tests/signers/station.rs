//! A folder with keys and an image, and programs that hold the same keys.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use fleetcast_netlab::command_line::Done;

use super::common::Folder;

/// The PKCS#11 module of SoftHSM.
pub(crate) const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
pub(crate) const PIN: &str = "1234";

const FACTS: [&str; 10] = [
    "--vendor",
    "acme.example",
    "--class",
    "board-a",
    "--version",
    "1.2.3",
    "--sequence",
    "17",
    "--image",
    "rootfs=rootfs.img",
];

/// Keys `a` and `b` made by OpenSSL, with their public halves, and an image.
pub(crate) struct Station {
    pub(crate) folder: Folder,
    environment: Vec<(&'static str, OsString)>,
    agent: Option<Child>,
}

impl Station {
    pub(crate) fn new() -> Self {
        let station = Self { folder: Folder::default(), environment: Vec::new(), agent: None };
        station.make_key("a");
        station.make_key("b");
        let image: Vec<_> = (0..75_000_u32).flat_map(|i| (i / 7 * 31).to_le_bytes()).collect();
        station.folder.write("rootfs.img", image);
        station
    }

    /// `NAME.pem` and `NAME.pub.pem`.
    pub(crate) fn make_key(&self, name: &str) {
        let [key, public] = [format!("{name}.pem"), format!("{name}.pub.pem")];
        self.folder.openssl(&["genpkey", "-algorithm", "ed25519", "-out", &key]);
        self.folder.openssl(&["pkey", "-in", &key, "-pubout", "-out", &public]);
        fs::set_permissions(self.folder.path(&key), fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Sets a variable of the environment of all programs from here on.
    pub(crate) fn set(&mut self, name: &'static str, value: impl Into<OsString>) {
        self.environment.push((name, value.into()));
    }

    /// Runs another program, which must succeed.
    #[track_caller]
    pub(crate) fn run(&self, program: &str, args: &[&str]) -> Done {
        Done::run((*self.folder).command(program, args).envs(self.environment.clone())).ok()
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.folder.command(args);
        command.envs(self.environment.clone());
        command
    }

    pub(crate) fn sign(&self, args: &[&str]) -> Done {
        Done::run(&mut self.command(args))
    }

    /// Makes the release `out`, always of the same facts and image.
    pub(crate) fn create(&self, out: &str, more: &[&str]) -> Done {
        self.sign(&[&["create", "--out", out][..], &FACTS, more].concat())
    }

    #[track_caller]
    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.folder.path(name)).unwrap()
    }

    pub(crate) fn key_id(&self, key: &str) -> String {
        let shown = self.sign(&["pubkey", "--json", key]).ok().stdout;
        let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
        shown["key_id"].as_str().unwrap().into()
    }

    /// SoftHSM with an empty token of this label.
    pub(crate) fn token(&mut self, label: &str) {
        let tokens = self.folder.path("tokens");
        if !tokens.exists() {
            fs::create_dir(&tokens).unwrap();
            let settings = format!("directories.tokendir = {}\nobjectstore.backend = file\n", tokens.display());
            let settings = self.folder.write("softhsm2.conf", settings);
            self.set("SOFTHSM2_CONF", settings);
        }
        self.run("softhsm2-util", &["--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "567890"]);
    }

    /// Puts `NAME.pem` into a token, with its name as label.
    pub(crate) fn import(&self, token: &str, name: &str, id: &str) {
        let file = format!("{name}.pem");
        let to = ["--token", token, "--label", name, "--id", id, "--pin", PIN, "--force"];
        self.run("softhsm2-util", &[&["--import", &file], &to[..]].concat());
    }

    /// An ssh-agent of its own, with `a.pem` and `b.pem`.
    pub(crate) fn agent(&mut self) {
        let socket = self.folder.path("agent");
        let mut command = (*self.folder).command("ssh-agent", &["-D", "-a", socket.to_str().unwrap()]);
        self.agent = Some(command.stdout(Stdio::null()).spawn().unwrap());
        while !socket.exists() {
            std::thread::yield_now();
        }
        self.set("SSH_AUTH_SOCK", socket);
        for name in ["a", "b"] {
            self.folder.write(&format!("{name}.ssh"), self.openssh(name));
            self.run("ssh-add", &["-q", &format!("{name}.ssh")]);
        }
    }

    /// The private key as OpenSSH writes it: those before 9.6 read no other form of Ed25519.
    pub(crate) fn openssh(&self, name: &str) -> String {
        let pem = String::from_utf8(self.read(&format!("{name}.pem"))).unwrap();
        let seed = fleetcast_sign::keys::load_secret(&self.folder.path(&format!("{name}.pem")), || panic!("{pem}"));
        let public = seed.unwrap().key.public().to_bytes();
        self.folder.openssl(&["pkey", "-in", &format!("{name}.pem"), "-outform", "DER", "-out", "der"]);
        let der = self.read("der");
        let seed = &der[der.len() - 32..];
        let string = |bytes: &[u8]| [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat();
        let kind = string(b"ssh-ed25519");
        let blob = [&kind[..], &string(&public)].concat();
        let mut private = [&[7; 8][..], &blob, &string(&[seed, &public].concat()), &string(name.as_bytes())].concat();
        private.extend((1..).take(private.len().wrapping_neg() % 8));
        let none = string(b"none");
        let file =
            [b"openssh-key-v1\0", &none[..], &none, &string(b""), &[0, 0, 0, 1], &string(&blob), &string(&private)];
        self.folder.write("openssh", file.concat());
        let base64 = self.folder.openssl(&["base64", "-in", "openssh"]).stdout;
        format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{base64}-----END OPENSSH PRIVATE KEY-----\n")
    }
}

impl Drop for Station {
    fn drop(&mut self) {
        if let Some(agent) = &mut self.agent {
            agent.kill().unwrap();
            agent.wait().unwrap();
        }
    }
}
