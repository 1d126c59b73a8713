//! The thread that asks web servers, one request at a time.

use std::io::{self, Read};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use ureq::Agent;
use ureq::config::Config;
use ureq::http::{HeaderMap, Response, header};

use super::reply::{Head, check};
use super::{FetchError, Reply, Request};
use crate::config::Repair;

/// Octets of the largest head of an answer.
const MAX_HEAD: usize = 16 << 10;

/// Asks in a thread of its own, which ends with this.
pub(crate) struct Client {
    requests: SyncSender<Request>,
    replies: mpsc::Receiver<Reply>,
}

impl Client {
    /// Starts the thread: what confines this one confines it.
    ///
    /// # Errors
    ///
    /// The system's, if it gives no thread.
    pub(crate) fn start(settings: &Repair) -> io::Result<Self> {
        let (requests, asked) = sync_channel::<Request>(1);
        let (answers, replies) = mpsc::channel(1);
        let (agent, rate) = (agent(settings.timeout), settings.rate);
        std::thread::Builder::new().name("repair".into()).spawn(move || {
            let mut free = Instant::now();
            for request in asked {
                std::thread::sleep(free.saturating_duration_since(Instant::now()));
                free = Instant::now() + time_of(request.length, rate);
                if answers.blocking_send(fetch(&agent, &request)).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self { requests, replies })
    }

    /// Sends a request. The next is to wait for the reply.
    pub(crate) fn send(&self, request: Request) {
        // Full only if the next did not wait, and closed only with the thread: its panic has been told.
        let _ = self.requests.try_send(request);
    }

    /// The reply to the request; never, if there was none.
    pub(crate) async fn reply(&mut self) -> Reply {
        match self.replies.recv().await {
            Some(reply) => reply,
            None => std::future::pending().await,
        }
    }
}

/// How long so many octets take at a rate in bits per second.
fn time_of(octets: u32, rate: u64) -> Duration {
    Duration::from_micros(u64::from(octets) * 8_000_000 / rate.max(1))
}

/// Goes nowhere but where it is told to: no redirects, no proxy of the environment.
/// A request may take `timeout` in all, names, connection and body included.
fn agent(timeout: Duration) -> Agent {
    Config::builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .user_agent(concat!("fleetcast-recv/", env!("CARGO_PKG_VERSION")))
        .accept_encoding("identity")
        .max_response_header_size(MAX_HEAD)
        .timeout_global(Some(timeout))
        .build()
        .new_agent()
}

fn fetch(agent: &Agent, request: &Request) -> Reply {
    let mut octets = 0;
    let result = try_fetch(agent, request, &mut octets);
    Reply { octets, result }
}

fn try_fetch(agent: &Agent, request: &Request, octets: &mut u64) -> Result<Vec<u8>, FetchError> {
    let last = request.end().saturating_sub(1);
    let asked = agent.get(&request.url).header(header::RANGE, format!("bytes={}-{last}", request.offset));
    let answer = asked.call().map_err(failed)?;
    let body = check(request, head(&answer))?;
    let mut reader = Counted { inner: answer.into_body().into_reader(), octets };
    let skip = u64::from(body.skip);
    let skipped = io::copy(&mut (&mut reader).take(skip), &mut io::sink()).map_err(|e| failed(e.into()))?;
    let mut bytes = vec![0; request.length as usize];
    if skipped < skip {
        return Err(failed(io::Error::from(io::ErrorKind::UnexpectedEof).into()));
    }
    reader.read_exact(&mut bytes).map_err(|e| failed(e.into()))?;
    Ok(bytes)
}

fn head<T>(answer: &Response<T>) -> Head<'_> {
    fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
        headers.get(name)?.to_str().ok()
    }
    let headers = answer.headers();
    Head {
        status: answer.status().as_u16(),
        content_range: text(headers, header::CONTENT_RANGE),
        content_length: text(headers, header::CONTENT_LENGTH).and_then(|length| length.parse().ok()),
        retry_after: text(headers, header::RETRY_AFTER),
    }
}

fn failed(error: ureq::Error) -> FetchError {
    match error {
        ureq::Error::Timeout(_) => FetchError::Timeout,
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => FetchError::Timeout,
        ureq::Error::Io(error) => FetchError::Unreachable(error.to_string()),
        error => FetchError::Unreachable(error.to_string()),
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
