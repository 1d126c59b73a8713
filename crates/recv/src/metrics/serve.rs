//! Answers `GET /metrics`, and nothing else, from a thread of its own: whoever asks cannot hold up what is received.
//!
//! One connection at a time, for a few seconds at most; further ones wait in the kernel's queue. So who opens many and says
//! nothing keeps others from the metrics, and from nothing else.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use fleetcast_cli::metrics::CONTENT_TYPE;

use crate::socket::Socket;

/// Octets of the largest head of a request, and its headers.
const MAX_HEAD: usize = 8 << 10;
const MAX_HEADERS: usize = 64;
/// How long a connection may last.
const PATIENCE: Duration = Duration::from_secs(3);
/// Wait after the system gave no connection.
const PAUSE: Duration = Duration::from_secs(1);

/// What is answered.
#[derive(Clone, Debug, Default)]
pub(super) struct Board(Arc<Mutex<String>>);

impl Board {
    /// Puts up a newer text.
    pub(super) fn set(&self, text: &str) {
        // Replaced whole, whatever became of a thread that held the lock.
        text.clone_into(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// An address that nothing is answered at yet.
#[derive(Debug)]
pub(super) struct Server(TcpListener);

impl Server {
    pub(super) fn bind(address: SocketAddr) -> io::Result<Self> {
        TcpListener::bind(address).map(Self)
    }

    /// Answers from a thread of its own, as long as the program runs.
    pub(super) fn start(self) -> io::Result<Board> {
        let board = Board::default();
        let shown = board.clone();
        thread::Builder::new().name("metrics".into()).spawn(move || {
            for stream in self.0.incoming() {
                match stream {
                    // Whoever asks and goes away, or takes too long, is not worth a word.
                    Ok(stream) => drop(answer(stream, &shown, PATIENCE)),
                    Err(_) => thread::sleep(PAUSE),
                }
            }
        })?;
        Ok(board)
    }
}

fn answer(stream: TcpStream, board: &Board, patience: Duration) -> io::Result<()> {
    let mut socket = Socket { stream, until: Instant::now() + patience };
    let mut head = Vec::new();
    let (status, body) = loop {
        match reply(&head) {
            Some("200 OK") => break ("200 OK", board.text()),
            Some(status) => break (status, String::new()),
            None => {}
        }
        let start = head.len();
        head.resize(MAX_HEAD.min(start + 1024), 0);
        let count = socket.read(head.get_mut(start..).unwrap_or_default())?;
        if count == 0 {
            return Ok(());
        }
        head.truncate(start + count);
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    socket.write_all(head.as_bytes())?;
    socket.write_all(body.as_bytes())
}

/// The status for what has come of a request; `None` if more must come.
fn reply(head: &[u8]) -> Option<&'static str> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) if head.len() < MAX_HEAD => return None,
        Ok(httparse::Status::Partial) | Err(_) => return Some("400 Bad Request"),
    }
    Some(match (request.method, request.path) {
        (Some("GET"), Some("/metrics")) => "200 OK",
        (Some("GET"), _) => "404 Not Found",
        _ => "405 Method Not Allowed",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> (SocketAddr, Board) {
        let server = Server::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        (server.0.local_addr().unwrap(), server.start().unwrap())
    }

    fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn the_newest_text_is_answered_to_get_metrics_and_nothing_to_anything_else() {
        let (address, board) = start();
        board.set("old 1\n");
        board.set("new 2\n");
        let answer = ask(address, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4;"), "{answer}");
        assert!(answer.ends_with("Content-Length: 6\r\nConnection: close\r\n\r\nnew 2\n"), "{answer}");
        for (request, status) in [
            ("GET /metrics/../etc HTTP/1.1\r\n\r\n", "404"),
            ("GET / HTTP/1.0\r\n\r\n", "404"),
            ("POST /metrics HTTP/1.1\r\nContent-Length: 0\r\n\r\n", "405"),
            ("\u{1}\u{2}\r\n\r\n", "400"),
        ] {
            let answer = ask(address, request);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains("Length: 0\r\n"), "{answer}");
        }
    }

    #[test]
    fn an_endless_head_is_cut_off() {
        let head = format!("GET /metrics HTTP/1.1\r\nX: {}", "x".repeat(MAX_HEAD));
        assert_eq!(reply(&head.as_bytes()[..MAX_HEAD - 1]), None);
        assert_eq!(reply(&head.as_bytes()[..MAX_HEAD]), Some("400 Bad Request"));
    }

    #[test]
    fn who_drips_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut slow = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        slow.write_all(b"GET /metrics").unwrap();
        let stream = listener.accept().unwrap().0;
        let error = answer(stream, &Board::default(), Duration::from_millis(50)).unwrap_err();
        assert!(matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut), "{error}");
    }
}
