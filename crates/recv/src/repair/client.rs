//! The thread that asks web servers, one request at a time.

use std::io::{self, Read};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use ureq::config::Config;
use ureq::http::{HeaderMap, Response, header};
use ureq::{Agent, Body};

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
    let is_all = answer.body().content_length() == Some(u64::from(body.skip) + u64::from(request.length));
    let mut reader = Counted { inner: answer.into_body().into_reader(), octets };
    let skip = u64::from(body.skip);
    let skipped = io::copy(&mut (&mut reader).take(skip), &mut io::sink()).map_err(|e| failed(e.into()))?;
    let mut bytes = vec![0; request.length as usize];
    if skipped < skip {
        return Err(failed(io::Error::from(io::ErrorKind::UnexpectedEof).into()));
    }
    reader.read_exact(&mut bytes).map_err(|e| failed(e.into()))?;
    if is_all {
        // There is nothing more; only who has seen that may use the connection again.
        let _ = reader.read(&mut [0]);
    }
    Ok(bytes)
}

fn head(answer: &Response<Body>) -> Head<'_> {
    fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
        headers.get(name)?.to_str().ok()
    }
    let headers = answer.headers();
    Head {
        status: answer.status().as_u16(),
        content_range: text(headers, header::CONTENT_RANGE),
        content_length: answer.body().content_length(),
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

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};
    use std::thread;

    use super::*;

    const FILE: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    /// Longer than any test takes.
    const LONG: Duration = Duration::from_mins(1);

    /// A server that gives each connection, numbered from 0, to `serve`; its URL.
    fn server(serve: impl Fn(usize, TcpStream) + Send + Sync + 'static) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/file", listener.local_addr().unwrap());
        thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                serve(number, stream.unwrap());
            }
        });
        url
    }

    /// The head of a request, read to its end; empty if there is no further one.
    fn read_head(stream: &mut TcpStream) -> String {
        let mut head = Vec::new();
        let mut octet = [0];
        while !head.ends_with(b"\r\n\r\n") && stream.read(&mut octet).unwrap_or(0) == 1 {
            head.push(octet[0]);
        }
        String::from_utf8(head).unwrap()
    }

    /// A server that answers every request with this.
    fn answering(answer: impl Into<Vec<u8>>) -> String {
        let answer = answer.into();
        server(move |_, mut stream| {
            read_head(&mut stream);
            // The client may have gone.
            let _ = stream.write_all(&answer);
        })
    }

    fn part(headers: &str, body: &str) -> String {
        format!("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 10-13/36\r\n{headers}\r\n{body}")
    }

    fn get(url: &str, timeout: Duration) -> Reply {
        let request = Request { url: url.into(), offset: 10, length: 4, total: FILE.len() as u64 };
        fetch(&agent(timeout), &request)
    }

    #[track_caller]
    fn failed_with(reply: Reply) -> &'static str {
        reply.result.unwrap_err().code()
    }

    #[test]
    fn requests_of_one_server_share_a_connection_and_ask_for_their_range() {
        let url = server(|number, mut stream| {
            assert_eq!(number, 0, "one connection");
            thread::spawn(move || {
                loop {
                    let head = read_head(&mut stream).to_ascii_lowercase();
                    if head.is_empty() {
                        return;
                    }
                    let expected = ["get /file http/1.1", "range: bytes=10-13", "accept-encoding: identity"];
                    assert!(expected.iter().all(|part| head.contains(part)), "{head}");
                    stream.write_all(part("Content-Length: 4\r\n", "abcd").as_bytes()).unwrap();
                }
            });
        });
        let agent = agent(LONG);
        let request = Request { url, offset: 10, length: 4, total: FILE.len() as u64 };
        for _ in 0..3 {
            let reply = fetch(&agent, &request);
            assert_eq!((reply.result.unwrap(), reply.octets), (b"abcd".to_vec(), 4));
        }
    }

    #[test]
    fn a_small_file_may_come_whole_and_in_pieces() {
        let length = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", FILE.len());
        let reply = get(&answering([length.as_bytes(), FILE].concat()), LONG);
        assert_eq!((reply.result.unwrap(), reply.octets), (b"abcd".to_vec(), 14));
        let pieces = part("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n");
        assert_eq!(get(&answering(pieces), LONG).result.unwrap(), b"abcd");
    }

    #[test]
    fn no_more_is_read_than_was_asked_for() {
        // Without a length, it goes on for ever.
        let url = server(|_, mut stream| {
            read_head(&mut stream);
            let mut text = part("", "abcd").into_bytes();
            while stream.write_all(&text).is_ok() {
                text = vec![b'x'; 1 << 16];
            }
        });
        let reply = get(&url, LONG);
        assert_eq!((reply.result.unwrap(), reply.octets), (b"abcd".to_vec(), 4));
    }

    #[test]
    fn who_drips_or_says_nothing_is_given_up_in_time() {
        let drips = server(|_, mut stream| {
            read_head(&mut stream);
            let text = part("Content-Length: 4\r\n", "");
            for octet in text.bytes().chain(std::iter::repeat(b'a')) {
                if stream.write_all(&[octet]).is_err() {
                    return;
                }
                thread::sleep(Duration::from_millis(20));
            }
        });
        let kept = std::sync::Mutex::new(Vec::new());
        let silent = server(move |_, stream| kept.lock().unwrap().push(stream));
        for url in [drips, silent] {
            assert_eq!(failed_with(get(&url, Duration::from_millis(300))), "repair-timeout");
        }
    }

    #[test]
    fn what_is_no_answer_is_a_failure_with_a_word() {
        let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let elsewhere = answering(part("Content-Length: 4\r\n", "abcd"));
        let redirect = format!("HTTP/1.1 302 Found\r\nLocation: {elsewhere}\r\nContent-Length: 0\r\n\r\n");
        let endless = format!("HTTP/1.1 206 Partial Content\r\nX: {}", "x".repeat(2 * MAX_HEAD));
        for (url, code) in [
            (format!("http://{gone}/file"), "repair-unreachable"),
            ("http://name.invalid/file".into(), "repair-unreachable"),
            (answering(""), "repair-unreachable"),
            (answering("SSH-2.0-OpenSSH\r\n"), "repair-unreachable"),
            (answering(endless), "repair-unreachable"),
            (answering(part("Content-Length: 4\r\n", "ab")), "repair-unreachable"),
            (answering(redirect), "repair-redirect"),
            (answering("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"), "repair-status"),
            (answering("HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n"), "repair-busy"),
            (answering("HTTP/1.1 200 OK\r\n\r\nall of it"), "repair-no-ranges"),
        ] {
            assert_eq!(failed_with(get(&url, LONG)), code, "{url}");
        }
    }

    #[test]
    fn the_rate_is_that_of_what_is_asked_for() {
        assert_eq!(time_of(1 << 16, 1_000_000), Duration::from_micros(524_288));
        assert_eq!(time_of(u32::MAX, 1), Duration::from_secs(8 * u64::from(u32::MAX)));
    }
}
