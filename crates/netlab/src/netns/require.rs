//! Whether this machine can run the bench.

use std::env;
use std::ffi::OsStr;

use super::procfs;
use super::tools::TOOLS;

/// Bits of capabilities(7) that namespaces take.
const CAPABILITIES: [(u32, &str); 2] = [(12, "CAP_NET_ADMIN"), (21, "CAP_SYS_ADMIN")];

/// Whether namespaces can be made here; a test that needs them returns if not.
///
/// Says on standard error what is missing and where to get it.
///
/// # Panics
///
/// If something is missing and the environment variable `CI` is set: there no test may be skipped.
#[must_use = "a test that goes on without namespaces fails"]
#[track_caller]
pub fn require_netns() -> bool {
    let missing = missing(&env::var_os("PATH").unwrap_or_default(), procfs::effective_capabilities());
    if missing.is_empty() {
        return true;
    }
    let missing = missing.join(", ");
    assert!(env::var_os("CI").is_none(), "network namespaces are needed, but missing: {missing}");
    eprintln!("SKIPPED: a test in network namespaces; missing: {missing}");
    false
}

fn missing(path: &OsStr, capabilities: Option<u64>) -> Vec<String> {
    let held = capabilities.unwrap_or(0);
    let rights = CAPABILITIES.iter().filter(|(bit, _)| held & (1 << bit) == 0);
    let tools = TOOLS.iter().filter(|(tool, _)| !env::split_paths(path).any(|dir| dir.join(tool).is_file()));
    let rights = rights.map(|(_, name)| format!("{name} (be root)"));
    rights.chain(tools.map(|(tool, package)| format!("`{tool}` (package {package})"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_missing_tool_and_right_is_named() {
        let dir = tempfile::tempdir().unwrap();
        for tool in ["ip", "tc", "ethtool", "setpriv"] {
            std::fs::File::create(dir.path().join(tool)).unwrap();
        }
        let path = env::join_paths([dir.path()]).unwrap();
        assert_eq!(missing(&path, Some(u64::MAX)), ["`nft` (package nftables)"]);
        assert_eq!(missing(&path, Some(1 << 12))[0], "CAP_SYS_ADMIN (be root)");
        assert_eq!(missing(OsStr::new(""), None).len(), 7);
    }
}
