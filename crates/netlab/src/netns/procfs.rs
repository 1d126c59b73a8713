//! What `/proc` tells about a process: proc(5).

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Identity of a network namespace, whatever it is called: device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NamespaceId(u64, u64);

impl NamespaceId {
    /// Of the namespace behind a file of `/run/netns` or `/proc/<pid>/ns`; `None` if there is none.
    pub(super) fn of(path: impl AsRef<Path>) -> Option<Self> {
        fs::metadata(path).ok().map(|m| Self(m.dev(), m.ino()))
    }

    /// Of a process' first thread; `None` if it has ended.
    pub(super) fn of_process(pid: u32) -> Option<Self> {
        Self::of(format!("/proc/{pid}/ns/net"))
    }
}

/// Ids of all processes.
pub(super) fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|e| e.file_name().to_str()?.parse().ok())
}

/// When a process started, in clock ticks since boot; with the id it names a process for good, while
/// an id alone is used again. `None` if there is no such process.
pub(super) fn start_ticks(pid: u32) -> Option<u64> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?, 22)
}

/// Processor time of a process and its threads, in clock ticks. Still there between its end and the wait.
pub(super) fn cpu_ticks(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse_stat(&stat, 14)?.checked_add(parse_stat(&stat, 15)?)
}

/// Most physical memory a process had at once (`VmHWM`), in KiB; `None` if it has ended.
pub(super) fn peak_rss_kib(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    field(&status, "VmHWM:")?.strip_suffix(" kB")?.parse().ok()
}

/// The effective capabilities of this thread, one bit each: capabilities(7).
pub(super) fn effective_capabilities() -> Option<u64> {
    let status = fs::read_to_string("/proc/thread-self/status").ok()?;
    u64::from_str_radix(field(&status, "CapEff:")?, 16).ok()
}

/// The arguments of a process, each ended by a zero byte; `None` or empty if it has ended.
pub(super) fn arguments(pid: u32) -> Option<Vec<u8>> {
    fs::read(format!("/proc/{pid}/cmdline")).ok()
}

/// Field `number` of a `/proc/<pid>/stat`, counted from 1 as in the manual, from 3 up.
fn parse_stat(stat: &str, number: usize) -> Option<u64> {
    // Field 2 is the program's name in brackets; it may hold blanks and brackets itself.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

fn field<'a>(status: &'a str, key: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(key)).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_fields_are_counted_after_a_name_with_brackets() {
        let stat = "7 (a) (b c) S 1 7 7 0 -1 4194560 1 0 0 0 31 9 0 0 20 0 1 0 88412 10";
        assert_eq!(parse_stat(stat, 14), Some(31));
        assert_eq!(parse_stat(stat, 15), Some(9));
        assert_eq!(parse_stat(stat, 22), Some(88_412));
        assert_eq!(parse_stat(stat, 24), None);
    }

    #[test]
    fn this_process_has_memory_a_start_and_a_namespace() {
        let pid = std::process::id();
        assert!(peak_rss_kib(pid).unwrap() > 100);
        assert!(start_ticks(pid).unwrap() > 0);
        assert_eq!(NamespaceId::of_process(pid), NamespaceId::of("/proc/self/ns/net"));
        assert!(processes().any(|p| p == pid));
    }
}
