//! Names of namespaces, and their removal: of a lab that ends, and of labs whose process died.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::procfs::{self, NamespaceId};
use super::{LabError, tools};

/// Where `ip netns` keeps its namespaces.
const DIRECTORY: &str = "/run/netns";

/// First part of all names.
const FAMILY: &str = "fleetlab";

/// Time a process has to end after SIGTERM, before SIGKILL.
pub(super) const GRACE: Duration = Duration::from_secs(2);

/// How often a process is looked at while waiting for its end.
pub(super) const POLL: Duration = Duration::from_millis(5);

/// Start of the names of a new lab: family, id and start of this process, number, name of the lab.
pub(super) fn prefix(lab: &str) -> Result<String, LabError> {
    static LABS: AtomicUsize = AtomicUsize::new(0);
    let pid = std::process::id();
    let start = procfs::start_ticks(pid);
    let start = start.ok_or_else(|| LabError::Format { what: "/proc/<pid>/stat", text: pid.to_string() })?;
    let number = LABS.fetch_add(1, Ordering::Relaxed);
    Ok(format!("{FAMILY}-{pid}-{start}-{number}-{lab}"))
}

/// File that stands for a namespace.
pub(super) fn path(namespace: &str) -> PathBuf {
    Path::new(DIRECTORY).join(namespace)
}

/// Removes the namespaces and temporary directories of labs whose process is gone.
pub(super) fn remove_dead() -> Result<(), LabError> {
    remove(&dead_names(Path::new(DIRECTORY)))?;
    let temporary = std::env::temp_dir();
    for name in dead_names(&temporary) {
        // It may have gone by itself: tests that start at once all clear up.
        let _ = fs::remove_dir_all(temporary.join(name));
    }
    Ok(())
}

/// Ends all processes in the namespaces and removes them, with the interfaces and rules inside.
///
/// Goes on after a failure and returns the first; a namespace that is already gone is none.
pub(super) fn remove(namespaces: &[String]) -> Result<(), LabError> {
    let ids: Vec<_> = namespaces.iter().filter_map(|name| NamespaceId::of(path(name))).collect();
    terminate(&ids);
    let mut result = Ok(());
    for name in namespaces {
        if let Err(e) = tools::run("ip", &["netns", "delete", name], "")
            && path(name).exists()
        {
            result = result.and(Err(e));
        }
    }
    result
}

fn dead_names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|e| e.file_name().into_string().ok()).filter(|name| is_dead(name)).collect()
}

/// Whether this is a name of ours, of a process that no longer runs.
fn is_dead(name: &str) -> bool {
    let mut parts = name.split('-');
    let ours = parts.next() == Some(FAMILY);
    let pid = parts.next().and_then(|part| part.parse().ok());
    let start = parts.next().and_then(|part| part.parse().ok());
    matches!((ours, pid, start), (true, Some(pid), Some(start)) if procfs::start_ticks(pid) != Some(start))
}

/// Sends SIGTERM, then after [`GRACE`] SIGKILL, to all processes in the namespaces and waits for their end.
fn terminate(namespaces: &[NamespaceId]) {
    for signal in [Signal::TERM, Signal::KILL] {
        for process in inside(namespaces) {
            // It may end at any moment; that is what is wanted.
            let _ = pidfd_send_signal(process, signal);
        }
        let deadline = Instant::now() + GRACE;
        while Instant::now() < deadline {
            if inside(namespaces).is_empty() {
                return;
            }
            thread::sleep(POLL);
        }
    }
}

/// The processes in the namespaces, other than this one, held so that no other can take their id.
fn inside(namespaces: &[NamespaceId]) -> Vec<OwnedFd> {
    let others = procfs::processes().filter(|&pid| pid != std::process::id());
    let held = others.filter_map(|pid| {
        let is_inside = || NamespaceId::of_process(pid).is_some_and(|id| namespaces.contains(&id));
        if !is_inside() {
            return None;
        }
        let process = pidfd_open(Pid::from_raw(i32::try_from(pid).ok()?)?, PidfdFlags::empty()).ok()?;
        // Again, because the id may have passed to another before it was held.
        is_inside().then_some(process)
    });
    held.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lab_lives_as_long_as_its_process_and_not_a_later_one_with_the_same_id() {
        let mine = prefix("x").unwrap();
        assert!(!is_dead(&mine));
        let pid = std::process::id();
        assert!(is_dead(&format!("{FAMILY}-{pid}-0-0-x-bridge")));
        assert!(is_dead(&format!("{FAMILY}-{}-1-0-x-bridge", i32::MAX)));
    }

    #[test]
    fn names_of_others_are_never_dead() {
        for name in ["", "blue", "fleetlab", "fleetlab-7", "fleetlab-x-1-0-y", "other-4194999-1-0-x"] {
            assert!(!is_dead(name), "{name}");
        }
    }
}
