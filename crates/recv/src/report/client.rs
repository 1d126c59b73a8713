//! The thread that makes reports, one at a time.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::{Report, Settings};
use crate::repair::{Dialer, FetchError};

/// Octets of the largest token.
const MAX_TOKEN: u64 = 4 << 10;

/// Tells a server in a thread of its own, which ends with this.
pub(crate) struct Client {
    reports: SyncSender<Report>,
    replies: Receiver<(Report, Result<(), FetchError>)>,
}

impl Client {
    pub(super) fn start(settings: &Settings) -> io::Result<Self> {
        let dialer = Dialer::new(settings.timeout, std::slice::from_ref(&settings.server), &settings.ca)?;
        let header = settings.token.as_deref().map(authorization).transpose()?.unwrap_or_default();
        let (server, id) = (settings.server.clone(), settings.id.clone());
        let (reports, asked) = sync_channel::<Report>(1);
        let (answers, replies) = sync_channel(1);
        std::thread::Builder::new().name("report".into()).spawn(move || {
            for report in asked {
                let connection = dialer.dial(&server);
                let result = connection.and_then(|c| c.post(&server, &report.path(&id), &header, &report.json()));
                if answers.send((report, result)).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self { reports, replies })
    }

    /// Makes a report. The next is to wait for the reply.
    pub(super) fn send(&self, report: Report) {
        // Full only if the next did not wait, and closed only with the thread: its panic has been told.
        let _ = self.reports.try_send(report);
    }

    /// The reply, if there is one by now.
    pub(super) fn reply(&self) -> Option<(Report, Result<(), FetchError>)> {
        self.replies.try_recv().ok()
    }
}

/// The header with what is in a file.
fn authorization(path: &Path) -> io::Result<String> {
    let wrong = |why: &str| io::Error::other(format!("token: {}: {why}", path.display()));
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MAX_TOKEN).read_to_string(&mut text));
    read.map_err(|e| wrong(&e.to_string()))?;
    let text = text.trim();
    if text.is_empty() || !text.chars().all(|c| c == ' ' || c.is_ascii_graphic()) {
        return Err(wrong("it is not one line such as `TargetToken 4d2a...`"));
    }
    Ok(format!("Authorization: {text}\r\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    #[test]
    fn a_token_is_one_line_of_ascii() {
        let header = |text: &str| {
            let mut file = tempfile::NamedTempFile::new().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            authorization(file.path()).map_err(|e| e.to_string())
        };
        assert_eq!(header("TargetToken 4d2a\n").unwrap(), "Authorization: TargetToken 4d2a\r\n");
        for wrong in ["", "\n", "a\r\nHost: x", "a\u{e9}"] {
            assert!(header(wrong).unwrap_err().contains("it is not one line"), "{wrong:?}");
        }
        assert!(authorization(Path::new("/nowhere")).unwrap_err().to_string().starts_with("token: /nowhere: "));
    }
}
