//! Writes cases as files, for who plays them without this program.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use fleetcast_cli::hex;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::device::write;
use super::{Case, Need, pcap};

/// As `case.json`.
#[derive(Serialize)]
struct File<'a> {
    v: u8,
    name: &'a str,
    about: &'a str,
    requirements: &'a [&'a str],
    needs: &'a [Need],
    sessions: Vec<SessionFile>,
}

#[derive(Serialize)]
struct SessionFile {
    capture: String,
    /// SHA-256 of what each target must hold at the end.
    targets: BTreeMap<&'static str, String>,
}

/// Writes each case into a folder of its own below `folder`: `case.json`, the device in `device`, a capture for each session.
///
/// # Errors
///
/// If that cannot be written, as when a folder of that name is there.
pub fn export(folder: &Path, cases: &[Case]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for case in cases {
        let (script, folder) = ((case.script)(), folder.join(case.name));
        fs::create_dir(&folder).map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", folder.display())))?;
        script.device.write(&folder.join("device"))?;
        let mut sessions = Vec::new();
        for (number, (session, wanted)) in (1..).zip(&script.sessions) {
            let capture = format!("{number}.pcap");
            write(&folder.join(&capture), &pcap::capture(session))?;
            let targets = wanted.iter().map(|(&name, image)| (name, hex(&Sha256::digest(image)))).collect();
            sessions.push(SessionFile { capture, targets });
        }
        let Case { name, about, requirements, needs, .. } = case;
        let file = File { v: 1, name, about, requirements, needs, sessions };
        write(&folder.join("case.json"), format!("{}\n", serde_json::to_string_pretty(&file)?).as_bytes())?;
    }
    Ok(())
}
