//! The little of HTTP/1.1 that ranges and reports need, on one connection (RFC 9110, RFC 9112).

use std::io::{self, Read, Write};
use std::time::Instant;

use super::reply::{Body, Head, check, refusal};
use super::{FetchError, Request};
use crate::config::Server;
use crate::socket::Socket;

/// Octets of the largest head of an answer, and its headers.
pub(super) const MAX_HEAD: usize = 16 << 10;
const MAX_HEADERS: usize = 64;
/// Octets that are read at once while the head has not ended.
const STEP: usize = 2048;

/// A connection to a server.
pub(crate) enum Connection {
    Plain(Socket),
    #[cfg(feature = "https")]
    Tls(Box<rustls::StreamOwned<rustls::ClientConnection, Socket>>),
}

/// The head of an answer, which is one to the request.
struct Answer {
    body: Body,
    /// Octets of the whole body.
    length: u64,
    /// The server will take further requests.
    is_kept: bool,
}

/// How an exchange has failed.
pub(super) enum Failed {
    /// Nothing of an answer had come.
    Before(FetchError),
    /// An answer has begun.
    After(FetchError),
}

impl Failed {
    pub(super) fn into_inner(self) -> FetchError {
        match self {
            Self::Before(error) | Self::After(error) => error,
        }
    }
}

impl From<FetchError> for Failed {
    fn from(error: FetchError) -> Self {
        Self::After(error)
    }
}

fn head_for(request: &Request) -> String {
    let Request { server, name, offset, .. } = request;
    let last = request.end().saturating_sub(1);
    format!(
        "GET {}/{name} HTTP/1.1\r\nHost: {}\r\nRange: bytes={offset}-{last}\r\nAccept-Encoding: identity\r\n\
         User-Agent: fleetcast-recv/{}\r\n\r\n",
        server.path,
        server.authority,
        env!("CARGO_PKG_VERSION")
    )
}

fn head_of<'a>(answer: &httparse::Response<'_, 'a>) -> Head<'a> {
    let text = |name: &str| {
        let header = answer.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(header.value).ok()
    };
    // In pieces nobody sends what has a length.
    let length = if text("transfer-encoding").is_some() { None } else { text("content-length") };
    Head {
        status: answer.code.unwrap_or_default(),
        content_range: text("content-range"),
        content_length: length.and_then(|length| length.trim().parse().ok()),
        retry_after: text("retry-after"),
    }
}

fn says_close(answer: &httparse::Response<'_, '_>) -> bool {
    let is_it = |header: &&httparse::Header<'_>| header.name.eq_ignore_ascii_case("connection");
    answer.headers.iter().find(is_it).is_some_and(|header| !header.value.eq_ignore_ascii_case(b"keep-alive"))
}

impl From<io::Error> for FetchError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // The first is what a socket says.
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::Timeout,
            io::ErrorKind::UnexpectedEof => Self::Unreachable("the server closed the connection".into()),
            _ => Self::Unreachable(error.to_string()),
        }
    }
}

impl Connection {
    /// Sets the moment.
    pub(super) fn wait_until(&mut self, until: Instant) {
        match self {
            Self::Plain(socket) => socket.until = until,
            #[cfg(feature = "https")]
            Self::Tls(stream) => stream.sock.until = until,
        }
    }

    /// Asks, and gives the octets asked for; and the connection, if it can be used again.
    pub(super) fn exchange(mut self, request: &Request, octets: &mut u64) -> Result<(Vec<u8>, Option<Self>), Failed> {
        self.write_all(head_for(request).as_bytes()).map_err(|e| Failed::Before(e.into()))?;
        let (Answer { body, length, is_kept }, early) = self.read_head(|answer| {
            let head = head_of(answer);
            let (body, length) = (check(request, head)?, head.content_length.unwrap_or(u64::MAX));
            Ok(Answer { body, length, is_kept: answer.version == Some(1) && !says_close(answer) })
        })?;
        let mut bytes = vec![0; request.length as usize];
        let mut stream = Counted { inner: early.as_slice().chain(&mut self), octets };
        let skip = u64::from(body.skip);
        let skipped = io::copy(&mut (&mut stream).take(skip), &mut io::sink());
        skipped.and_then(|_| stream.read_exact(&mut bytes)).map_err(FetchError::from)?;
        let is_all = length == skip + u64::from(request.length) && early.len() as u64 <= length;
        Ok((bytes, (is_kept && is_all).then_some(self)))
    }

    /// Sends a document to a path of the server, with a header of its own if there is one; what is answered to it is not read.
    pub(crate) fn post(mut self, server: &Server, path: &str, header: &str, json: &str) -> Result<(), FetchError> {
        let head = format!(
            "POST {}{path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Accept: application/json\r\nUser-Agent: fleetcast-recv/{}\r\nConnection: close\r\n{header}\r\n",
            server.path,
            server.authority,
            json.len(),
            env!("CARGO_PKG_VERSION")
        );
        self.write_all(&[head.as_bytes(), json.as_bytes()].concat())?;
        let taken = self.read_head(|answer| match head_of(answer) {
            Head { status: 200..300, .. } => Ok(()),
            head => Err(refusal(head)),
        });
        taken.map(|((), _)| ()).map_err(Failed::into_inner)
    }

    /// Reads the head of an answer, looks at it, and gives what came of the body too.
    fn read_head<T>(
        &mut self,
        look: impl Fn(&httparse::Response<'_, '_>) -> Result<T, FetchError>,
    ) -> Result<(T, Vec<u8>), Failed> {
        let mut read = Vec::new();
        loop {
            let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
            let mut answer = httparse::Response::new(&mut headers);
            let parsed = answer.parse(&read).map_err(|e| FetchError::Unreachable(format!("no answer of HTTP: {e}")))?;
            if let httparse::Status::Complete(length) = parsed {
                let early = read.get(length..).unwrap_or_default().to_vec();
                return Ok((look(&answer)?, early));
            }
            let start = read.len();
            if start >= MAX_HEAD {
                let reason = format!("the head of the answer has more than {MAX_HEAD} octets");
                return Err(FetchError::Unreachable(reason).into());
            }
            read.resize(MAX_HEAD.min(start + STEP), 0);
            let count = match self.read(read.get_mut(start..).unwrap_or_default()) {
                Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
                count => count,
            };
            let failed = if start == 0 { Failed::Before } else { Failed::After };
            read.truncate(start + count.map_err(|e: io::Error| failed(e.into()))?);
        }
    }
}

impl Read for Connection {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(into),
            #[cfg(feature = "https")]
            Self::Tls(stream) => stream.read(into),
        }
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            #[cfg(feature = "https")]
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            #[cfg(feature = "https")]
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// Counts what is read, also of a body that breaks off.
struct Counted<'a, R> {
    inner: R,
    octets: &'a mut u64,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(into)?;
        *self.octets += count as u64;
        Ok(count)
    }
}
