//! Whether an answer is one to what was asked: pure.

use std::time::Duration;

use super::Request;
use super::servers::Failing;

/// Octets of the largest file that is taken whole from a server that does not serve ranges.
const MAX_WHOLE: u64 = 64 << 10;

/// Why a request got no answer that is of use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// No connection, or none that lasts.
    #[error("{0}")]
    Unreachable(String),
    /// It took longer than `timeout`.
    #[error("no whole answer in time")]
    Timeout,
    /// It will not or cannot now.
    #[error("the server is busy")]
    Busy {
        /// How long it asks to wait; zero if it does not say.
        retry_after: Duration,
    },
    /// Another HTTP status than one to go on with.
    #[error("HTTP status {0}")]
    Status(u16),
    /// It points elsewhere; only the settings say where to ask.
    #[error("HTTP status {0} leads elsewhere, where this device does not go: name the right place in the settings")]
    Redirect(u16),
    /// It would send the whole file.
    #[error("the server does not serve byte ranges")]
    NoRanges,
    /// The file has another length than that of the release.
    #[error("the file has {got} octets, that of the release {expected}")]
    OtherFile {
        /// Octets it has.
        got: u64,
        /// Octets it should have.
        expected: u64,
    },
    /// It sends other octets than those asked for.
    #[error("the answer is not the range asked for")]
    BadRange,
}

impl FetchError {
    /// A stable word for it.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "repair-unreachable",
            Self::Timeout => "repair-timeout",
            Self::Busy { .. } => "repair-busy",
            Self::Status(_) => "repair-status",
            Self::Redirect(_) => "repair-redirect",
            Self::NoRanges => "repair-no-ranges",
            Self::OtherFile { .. } => "repair-other-file",
            Self::BadRange => "repair-bad-range",
        }
    }

    /// What it says about the server.
    pub(crate) const fn failing(&self) -> Failing {
        match self {
            Self::NoRanges | Self::Redirect(_) => Failing::Lasting,
            Self::Busy { retry_after } => Failing::Passing(*retry_after),
            _ => Failing::Passing(Duration::ZERO),
        }
    }
}

/// What is looked at of an answer before its body.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Head<'a> {
    pub(super) status: u16,
    pub(super) content_range: Option<&'a str>,
    pub(super) content_length: Option<u64>,
    pub(super) retry_after: Option<&'a str>,
}

/// The octets of a body to be read: those asked for, behind `skip` others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Body {
    pub(super) skip: u32,
}

/// Checks the head of an answer \[H-4\].
pub(super) fn check(request: &Request, head: Head<'_>) -> Result<Body, FetchError> {
    let other_file = |got| Err(FetchError::OtherFile { got, expected: request.total });
    match head.status {
        206 => {
            let range = head.content_range.and_then(content_range).ok_or(FetchError::BadRange)?;
            let is_it = (range.first, range.last.checked_add(1)) == (request.offset, Some(request.end()));
            match range.total {
                Some(total) if total != request.total => other_file(total),
                _ if !is_it => Err(FetchError::BadRange),
                _ if head.content_length != Some(u64::from(request.length)) => Err(FetchError::BadRange),
                _ => Ok(Body { skip: 0 }),
            }
        }
        200 => match head.content_length {
            Some(length) if length != request.total => other_file(length),
            Some(length) if length <= MAX_WHOLE => {
                Ok(Body { skip: u32::try_from(request.offset).map_err(|_| FetchError::BadRange)? })
            }
            _ => Err(FetchError::NoRanges),
        },
        _ => Err(refusal(head)),
    }
}

/// What a status says that is no success.
pub(super) fn refusal(head: Head<'_>) -> FetchError {
    match head.status {
        429 | 503 => {
            let seconds = head.retry_after.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
            FetchError::Busy { retry_after: Duration::from_secs(seconds) }
        }
        status @ 300..400 => FetchError::Redirect(status),
        status => FetchError::Status(status),
    }
}

struct ContentRange {
    first: u64,
    last: u64,
    total: Option<u64>,
}

/// Parses `bytes 0-99/1234`, or with `*` for a length that is not told (RFC 9110 section 14.4).
fn content_range(text: &str) -> Option<ContentRange> {
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    Some(ContentRange { first: first.parse().ok()?, last: last.parse().ok()?, total })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Server;

    fn request(total: u64) -> Request {
        let server = Server::parse("http://192.0.2.20").unwrap();
        Request { server, name: String::new(), offset: 100, length: 50, total }
    }

    fn answer(total: u64, head: Head<'_>) -> Result<Body, &'static str> {
        check(&request(total), head).map_err(|e| e.code())
    }

    #[test]
    fn a_part_must_be_the_one_asked_for_of_a_file_of_the_right_length() {
        let part = |range| {
            let head = Head { status: 206, content_range: Some(range), content_length: Some(50), ..Head::default() };
            answer(1 << 30, head)
        };
        assert_eq!(part("bytes 100-149/1073741824"), Ok(Body { skip: 0 }));
        assert_eq!(part("bytes 100-149/*"), Ok(Body { skip: 0 }));
        assert_eq!(part("bytes 100-149/1073741823"), Err("repair-other-file"));
        for wrong in [
            "bytes 100-150/1073741824",
            "bytes 99-149/1073741824",
            "bytes 100-18446744073709551615/1073741824",
            "bytes */1073741824",
            "octets 100-149/1073741824",
            "bytes 100-149",
            "bytes -149/1073741824",
            "",
        ] {
            assert_eq!(part(wrong), Err("repair-bad-range"), "{wrong:?}");
        }
        let multipart = Head { status: 206, content_length: Some(50), ..Head::default() };
        assert_eq!(answer(1 << 30, multipart), Err("repair-bad-range"));
        let longer = Head {
            status: 206,
            content_range: Some("bytes 100-149/1073741824"),
            content_length: Some(51),
            ..Head::default()
        };
        assert_eq!(answer(1 << 30, longer), Err("repair-bad-range"));
    }

    #[test]
    fn a_whole_file_is_taken_only_if_it_is_small() {
        let whole = |total, length| answer(total, Head { status: 200, content_length: length, ..Head::default() });
        assert_eq!(whole(MAX_WHOLE, Some(MAX_WHOLE)), Ok(Body { skip: 100 }));
        assert_eq!(whole(MAX_WHOLE + 1, Some(MAX_WHOLE + 1)), Err("repair-no-ranges"));
        assert_eq!(whole(1000, None), Err("repair-no-ranges"));
        assert_eq!(whole(1000, Some(999)), Err("repair-other-file"));
    }

    #[test]
    fn no_redirect_is_followed_and_a_busy_server_may_say_how_long() {
        let status = |status| answer(1000, Head { status, ..Head::default() });
        assert_eq!(status(302), Err("repair-redirect"));
        assert_eq!(status(404), Err("repair-status"));
        assert_eq!(status(204), Err("repair-status"));
        let busy = |retry_after| {
            let head = Head { status: 503, retry_after, ..Head::default() };
            check(&request(1000), head).unwrap_err().failing()
        };
        assert_eq!(busy(Some("120")), Failing::Passing(Duration::from_mins(2)));
        assert_eq!(busy(Some("Fri, 31 Dec 1999 23:59:59 GMT")), Failing::Passing(Duration::ZERO));
        assert_eq!(busy(None), Failing::Passing(Duration::ZERO));
    }
}
