//! The thread that asks web servers, one request at a time.

use std::io;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::path::Path;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::http::{Connection, Failed};
#[cfg(feature = "https")]
use super::tls::Tls;
use super::{FetchError, Reply, Request};
use crate::config::{Repair, Server};
use crate::socket::Socket;

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
    /// The system's, if it gives no thread, or the certificates for TLS cannot be read.
    pub(crate) fn start(settings: &Repair) -> io::Result<Self> {
        let (requests, asked) = sync_channel::<Request>(1);
        let (answers, replies) = mpsc::channel(1);
        let (dialer, rate) = (Dialer::new(settings.timeout, &settings.servers, &settings.ca)?, settings.rate);
        let mut agent = Agent { dialer, kept: None };
        std::thread::Builder::new().name("repair".into()).spawn(move || {
            let mut free = Instant::now();
            for request in asked {
                std::thread::sleep(free.saturating_duration_since(Instant::now()));
                free = Instant::now() + time_of(request.length, rate);
                if answers.blocking_send(agent.fetch(&request)).is_err() {
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

/// Connects to servers.
pub(crate) struct Dialer {
    timeout: Duration,
    #[cfg(feature = "https")]
    tls: Option<Tls>,
}

/// Asks, and keeps the last connection for the next request.
struct Agent {
    dialer: Dialer,
    /// Where it leads to.
    kept: Option<(Server, Connection)>,
}

impl Dialer {
    /// A connection may last `timeout` in all, but for looking a name up: the system has limits of its own for that.
    ///
    /// # Errors
    ///
    /// If one of the servers is to be asked by TLS and the certificates cannot be read.
    #[cfg_attr(not(feature = "https"), expect(clippy::unnecessary_wraps, reason = "with TLS it is otherwise"))]
    pub(crate) fn new(timeout: Duration, servers: &[Server], ca: &Path) -> io::Result<Self> {
        #[cfg(feature = "https")]
        let tls = servers.iter().any(|server| server.tls).then(|| Tls::new(ca)).transpose()?;
        #[cfg(not(feature = "https"))]
        let _ = (servers, ca);
        Ok(Self {
            timeout,
            #[cfg(feature = "https")]
            tls,
        })
    }

    /// Connects to one of the server's addresses.
    pub(crate) fn dial(&self, server: &Server) -> Result<Connection, FetchError> {
        let addresses = (&*server.host, server.port).to_socket_addrs()?;
        let until = Instant::now() + self.timeout;
        let mut error = FetchError::Unreachable("the name has no address".into());
        for address in addresses {
            let left = until.saturating_duration_since(Instant::now());
            match TcpStream::connect_timeout(&address, left.max(Duration::from_millis(1))) {
                Ok(stream) => return self.open(server, Socket { stream, until }),
                Err(e) => error = e.into(),
            }
        }
        Err(error)
    }

    #[cfg(feature = "https")]
    fn open(&self, server: &Server, socket: Socket) -> Result<Connection, FetchError> {
        match &self.tls {
            Some(tls) if server.tls => tls.open(server, socket),
            _ => Ok(Connection::Plain(socket)),
        }
    }

    #[cfg(not(feature = "https"))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "with TLS it is otherwise")]
    fn open(&self, _: &Server, socket: Socket) -> Result<Connection, FetchError> {
        Ok(Connection::Plain(socket))
    }
}

impl Agent {
    fn fetch(&mut self, request: &Request) -> Reply {
        let mut octets = 0;
        let result = self.try_fetch(request, &mut octets);
        Reply { octets, result }
    }

    fn try_fetch(&mut self, request: &Request, octets: &mut u64) -> Result<Vec<u8>, FetchError> {
        let server = &request.server;
        let kept = self.kept.take().filter(|(other, _)| other == server);
        if let Some((_, mut connection)) = kept {
            connection.wait_until(Instant::now() + self.dialer.timeout);
            match self.ask(connection, request, octets) {
                // A server may close what it has kept for a while.
                Err(Failed::Before(FetchError::Unreachable(_))) => {}
                done => return done.map_err(Failed::into_inner),
            }
        }
        let connection = self.dialer.dial(server)?;
        self.ask(connection, request, octets).map_err(Failed::into_inner)
    }

    fn ask(&mut self, connection: Connection, request: &Request, octets: &mut u64) -> Result<Vec<u8>, Failed> {
        let (bytes, connection) = connection.exchange(request, octets)?;
        self.kept = connection.map(|connection| (request.server.clone(), connection));
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread;

    use super::*;
    use crate::repair::http::MAX_HEAD;

    const FILE: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    /// Longer than any test takes.
    const LONG: Duration = Duration::from_mins(1);

    /// A server that gives each connection, numbered from 0, to `serve`; its URL.
    fn server(serve: impl Fn(usize, TcpStream) + Send + Sync + 'static) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
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

    fn request(url: &str) -> Request {
        let server = Server::parse(url).unwrap();
        Request { server, name: "file".into(), offset: 10, length: 4, total: FILE.len() as u64 }
    }

    fn agent(timeout: Duration) -> Agent {
        Agent { dialer: Dialer::new(timeout, &[], Path::new("")).unwrap(), kept: None }
    }

    fn get(url: &str, timeout: Duration) -> Reply {
        agent(timeout).fetch(&request(url))
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
        let (mut agent, request) = (agent(LONG), request(&url));
        for _ in 0..3 {
            let reply = agent.fetch(&request);
            assert_eq!((reply.result.unwrap(), reply.octets), (b"abcd".to_vec(), 4));
        }
    }

    #[test]
    fn a_connection_that_the_server_has_closed_is_made_anew() {
        let url = server(|_, mut stream| {
            read_head(&mut stream);
            stream.write_all(part("Content-Length: 4\r\n", "abcd").as_bytes()).unwrap();
        });
        let (mut agent, request) = (agent(LONG), request(&url));
        for _ in 0..3 {
            assert_eq!(agent.fetch(&request).result.unwrap(), b"abcd");
        }
    }

    #[test]
    fn a_small_file_may_come_whole() {
        let length = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", FILE.len());
        let reply = get(&answering([length.as_bytes(), FILE].concat()), LONG);
        assert_eq!((reply.result.unwrap(), reply.octets), (b"abcd".to_vec(), 14));
    }

    #[test]
    fn no_more_is_read_than_was_asked_for() {
        let url = server(|_, mut stream| {
            read_head(&mut stream);
            let mut text = part("Content-Length: 4\r\n", "abcd").into_bytes();
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
            (format!("http://{gone}"), "repair-unreachable"),
            ("http://name.invalid".into(), "repair-unreachable"),
            (answering(""), "repair-unreachable"),
            (answering("SSH-2.0-OpenSSH\r\n"), "repair-unreachable"),
            (answering(endless), "repair-unreachable"),
            (answering(part("Content-Length: 4\r\n", "ab")), "repair-unreachable"),
            (answering(part("Transfer-Encoding: chunked\r\n", "4\r\nabcd\r\n0\r\n\r\n")), "repair-bad-range"),
            (answering(part("Content-Length: 5\r\n", "abcde")), "repair-bad-range"),
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
