//! What a service manager is told: that the daemon is ready, how it goes, that its loop turns, and that it ends.
//!
//! As in `sd_notify(3)`: datagrams to the Unix socket that `NOTIFY_SOCKET` names. Without that variable nobody is told.

use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use crate::command::warn;

/// How long a service manager that does not read may hold up the daemon.
const PATIENCE: Duration = Duration::from_secs(1);

/// The way to the service manager, if there is one.
#[derive(Debug)]
pub struct Service(Option<UnixDatagram>);

impl Service {
    /// The one that the environment names. It is connected to here: a process that is confined later may not any more.
    #[must_use]
    pub fn of_environment() -> Self {
        let Some(name) = env::var_os("NOTIFY_SOCKET") else { return Self(None) };
        match connect(&name) {
            Ok(socket) => Self(Some(socket)),
            Err(error) => {
                warn(format_args!(
                    "the service manager cannot be told anything: NOTIFY_SOCKET={}: {error}",
                    name.display()
                ));
                Self(None)
            }
        }
    }

    /// The start is over: what waits for this daemon may start.
    pub fn ready(&self) {
        self.tell("READY=1");
    }

    /// The loop turns: to be called from it, well within the time of the unit's `WatchdogSec=`. `status` is one line.
    pub fn turns(&self, status: impl fmt::Display) {
        self.tell(format_args!("WATCHDOG=1\nSTATUS={status}"));
    }

    /// The end has begun.
    pub fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    fn tell(&self, what: impl fmt::Display) {
        if let Some(socket) = &self.0 {
            // A service manager that cannot be told has time limits of its own.
            let _ = socket.send(what.to_string().as_bytes());
        }
    }
}

/// A name that begins with `@` is an abstract one.
fn connect(name: &OsStr) -> io::Result<UnixDatagram> {
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(manager: &UnixDatagram) -> String {
        let mut octets = [0; 256];
        let length = manager.recv(&mut octets).unwrap();
        String::from_utf8(octets[..length].to_vec()).unwrap()
    }

    fn tell_all(service: &Service, manager: &UnixDatagram) {
        service.ready();
        service.turns("1 of 2 chunks");
        service.stopping();
        let told = [(); 3].map(|()| heard(manager));
        assert_eq!(told, ["READY=1", "WATCHDOG=1\nSTATUS=1 of 2 chunks", "STOPPING=1"]);
    }

    #[test]
    fn a_service_manager_is_told_at_a_path_and_at_an_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        tell_all(&Service(Some(connect(path.as_os_str()).unwrap())), &manager);

        let name = format!("fleetcast-cli-service-{}", std::process::id());
        let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        tell_all(&Service(Some(connect(format!("@{name}").as_ref()).unwrap())), &manager);
    }

    #[test]
    fn nobody_is_told_where_nobody_listens() {
        assert!(connect("/nowhere/notify".as_ref()).is_err());
        Service(None).ready();
    }
}
