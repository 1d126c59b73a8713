//! Calls of the system's network tools.

use std::io::Write;
use std::process::{Command, Stdio};

use super::LabError;

/// Programs the bench calls, with the Debian package each comes from.
pub(super) const TOOLS: [(&str, &str); 5] =
    [("ip", "iproute2"), ("tc", "iproute2"), ("nft", "nftables"), ("ethtool", "ethtool"), ("setpriv", "util-linux")];

/// Runs a batch of `ip` commands, one a line, in a namespace. Stops at the first that fails.
pub(super) fn ip(namespace: &str, batch: &str) -> Result<(), LabError> {
    run("ip", &["-netns", namespace, "-batch", "-"], batch).map(drop)
}

/// Runs a tool in a namespace and returns its standard output.
pub(super) fn run_in(namespace: &str, tool: &str, args: &[&str], input: &str) -> Result<String, LabError> {
    run("ip", &[&["netns", "exec", namespace, tool], args].concat(), input)
}

/// Runs a tool to its end, with `input` on its standard input, and returns its standard output.
///
/// The input must be shorter than what fits a pipe, 64 KiB.
pub(super) fn run(tool: &str, args: &[&str], input: &str) -> Result<String, LabError> {
    let shown = || format!("{tool} {} {input}", args.join(" ")).trim_end().to_owned();
    let cannot = |e| LabError::io(format!("cannot run `{}`", shown()), e);
    let mut child = Command::new(tool)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(cannot)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A tool that ends without reading says why itself, better than our broken pipe.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(cannot)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(LabError::Tool {
        command: shown(),
        status: output.status,
        stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}
