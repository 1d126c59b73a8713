//! One question to the name servers, over UDP only: an answer that does not fit a datagram is none \[D-4\].
//!
//! A resolver with caches, TCP and names of all scripts would not fit into the receiver: that of `hickory-resolver` 0.26 has
//! 1.4 MiB. So messages are read and written by a crate, and the little that is left to do is here.

use std::fs::File;
use std::io::{self, Read as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use domain::base::iana::Rcode;
use domain::base::message::ShortMessage;
use domain::base::rdata::ParseRecordData;
use domain::base::wire::ParseError;
use domain::base::{Message, MessageBuilder, Name, Rtype, ToName as _};
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// Most octets of an answer: what passes everywhere without being cut up.
const MAX_MESSAGE: u16 = 1232;
/// Time for an answer, and how often all servers are asked.
const TIMEOUT: Duration = Duration::from_secs(3);
const ROUNDS: usize = 2;
/// Most name servers that are asked, as by the C library.
pub(crate) const MAX_SERVERS: usize = 3;
/// Where the system keeps its list of them, and most octets of it.
pub(crate) const SERVERS: &str = "/etc/resolv.conf";
const MAX_LIST: u64 = 64 << 10;

/// A name to ask for.
pub(super) type Question = Name<Vec<u8>>;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DnsError {
    /// No name server is known.
    #[error("no name server is known ({SERVERS}: {0})")]
    Servers(#[source] io::Error),
    /// It cannot be asked.
    #[error("no name server can be reached: {0}")]
    Network(#[source] io::Error),
    /// Nothing came back in time.
    #[error("no name server answers")]
    Silence,
    /// It answers that it cannot answer.
    #[error("the name server answers {0}")]
    Failure(Rcode),
    /// The answer is too long.
    #[error("the answer has more than {MAX_MESSAGE} octets")]
    Truncated,
    /// The answer cannot be read.
    #[error("the answer is damaged")]
    Malformed,
    /// There is no such record.
    #[error("there is no such record")]
    NoRecord,
}

impl DnsError {
    /// Stable word for this error.
    pub(super) const fn code(&self) -> &'static str {
        match self {
            Self::Servers(_) => "dns-servers",
            Self::Network(_) => "dns-unreachable",
            Self::Silence => "dns-timeout",
            Self::Failure(_) => "dns-failure",
            Self::Truncated => "dns-truncated",
            Self::Malformed => "dns-malformed",
            Self::NoRecord => "dns-no-record",
        }
    }
}

impl From<ParseError> for DnsError {
    fn from(_: ParseError) -> Self {
        Self::Malformed
    }
}

impl From<ShortMessage> for DnsError {
    fn from(_: ShortMessage) -> Self {
        Self::Malformed
    }
}

/// The name servers of the system. They are read each time: they change when a device comes into another network.
pub(super) fn of_system() -> Result<Vec<SocketAddr>, DnsError> {
    let mut list = Vec::new();
    let read = File::open(SERVERS).and_then(|file| file.take(MAX_LIST).read_to_end(&mut list));
    read.map_err(DnsError::Servers)?;
    let servers = listed(&String::from_utf8_lossy(&list));
    if servers.is_empty() {
        return Err(DnsError::Servers(io::Error::new(io::ErrorKind::NotFound, "it names none")));
    }
    Ok(servers)
}

/// The name servers of a list, see resolv.conf(5). One of link-local scope is passed over, for its interface is not looked up.
fn listed(text: &str) -> Vec<SocketAddr> {
    let server = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let address = words.next().filter(|word| *word == "nameserver").and_then(|_| words.next())?;
        address.parse::<IpAddr>().ok().map(|address| SocketAddr::new(address, 53))
    };
    text.lines().filter_map(server).take(MAX_SERVERS).collect()
}

/// Asks the servers in turn until one answers.
pub(super) async fn ask(servers: &[SocketAddr], name: &Question, kind: Rtype) -> Result<Message<Vec<u8>>, DnsError> {
    let mut error = DnsError::Silence;
    for server in servers.iter().cycle().take(ROUNDS * servers.len()) {
        match timeout(TIMEOUT, exchange(*server, name, kind)).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(failed)) => error = failed,
            Err(_) => error = DnsError::Silence,
        }
    }
    Err(error)
}

async fn exchange(server: SocketAddr, name: &Question, kind: Rtype) -> Result<Message<Vec<u8>>, DnsError> {
    let here: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // A port of the kernel's choice, and answers of this server only.
    let socket = UdpSocket::bind((here, 0)).await.map_err(DnsError::Network)?;
    socket.connect(server).await.map_err(DnsError::Network)?;
    let question = question(name, kind)?;
    socket.send(question.as_slice()).await.map_err(DnsError::Network)?;
    loop {
        let mut octets = vec![0; usize::from(MAX_MESSAGE)];
        let length = socket.recv(&mut octets).await.map_err(DnsError::Network)?;
        octets.truncate(length);
        // Whatever else comes is of somebody who guesses.
        let Ok(answer) = Message::from_octets(octets) else { continue };
        if !answer.is_answer(&question) {
            continue;
        }
        return match answer.header().rcode() {
            _ if answer.header().tc() => Err(DnsError::Truncated),
            Rcode::NOERROR | Rcode::NXDOMAIN => Ok(answer),
            other => Err(DnsError::Failure(other)),
        };
    }
}

fn question(name: &Question, kind: Rtype) -> Result<Message<Vec<u8>>, DnsError> {
    let mut id = [0; 2];
    getrandom::fill(&mut id).map_err(|e| DnsError::Network(io::Error::other(e)))?;
    let mut message = MessageBuilder::new_vec();
    message.header_mut().set_id(u16::from_be_bytes(id));
    message.header_mut().set_rd(true);
    let mut message = message.question();
    // A question fits a message.
    message.push((name, kind)).map_err(|_| DnsError::Malformed)?;
    let mut message = message.additional();
    let opt = message.opt(|opt| {
        opt.set_udp_payload_size(MAX_MESSAGE);
        Ok(())
    });
    opt.map_err(|_| DnsError::Malformed)?;
    Ok(message.into_message())
}

/// The records of a kind for the name that was asked for, each taken by `take`, and the seconds that they hold.
pub(super) fn records<'a, D: ParseRecordData<'a, Vec<u8>>, T>(
    answer: &'a Message<Vec<u8>>,
    mut take: impl FnMut(&D) -> T,
) -> Result<(Vec<T>, u32), DnsError> {
    // Where aliases lead to.
    let owner = answer.canonical_name().ok_or(DnsError::Malformed)?;
    let (mut found, mut ttl) = (Vec::new(), u32::MAX);
    for record in answer.answer()? {
        let record = record?;
        ttl = ttl.min(record.ttl().as_secs());
        if let Some(record) = record.into_record::<D>()?
            && record.owner().name_eq(&owner)
        {
            found.push(take(record.data()));
        }
    }
    if found.is_empty() { Err(DnsError::NoRecord) } else { Ok((found, ttl)) }
}

#[cfg(test)]
mod tests {
    use domain::rdata::A;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn name_servers_are_read_from_the_list_of_the_system() {
        let text = "# nameserver 192.0.2.9\nsearch acme.example\nnameserver 192.0.2.1 # first\nnameserver fe80::1%eth0\n\
                    nameserver x\n\tnameserver 2001:db8::1\nnameserver 192.0.2.2\nnameserver 192.0.2.3\n";
        let expect = ["192.0.2.1:53", "[2001:db8::1]:53", "192.0.2.2:53"].map(|server| server.parse().unwrap());
        assert_eq!(listed(text), expect);
    }

    #[test]
    fn aliases_are_followed_and_records_of_other_names_left_out() {
        let name = |text: &str| Name::vec_from_str(text).unwrap();
        let mut message = MessageBuilder::new_vec().question();
        message.push((name("a.example"), Rtype::A)).unwrap();
        let mut message = message.answer();
        message.push((name("a.example"), 5, domain::rdata::Cname::new(name("b.example")))).unwrap();
        message.push((name("B.example"), 60, A::from_octets(192, 0, 2, 1))).unwrap();
        message.push((name("c.example"), 60, A::from_octets(192, 0, 2, 2))).unwrap();
        let found = records(&message.into_message(), |a: &A| a.addr().to_string()).unwrap();
        assert_eq!(found, (vec!["192.0.2.1".to_owned()], 5));
    }

    proptest! {
        #[test]
        fn nothing_that_comes_makes_reading_panic(octets in prop::collection::vec(any::<u8>(), 12..200), counts in 0_u8..4) {
            let mut octets = octets;
            octets[4..12].copy_from_slice(&[0, 1, 0, counts, 0, 0, 0, 0]);
            let message = Message::from_octets(octets).unwrap();
            let _ = records(&message, |a: &A| a.addr());
            let _ = records(&message, |txt: &domain::rdata::Txt<&[u8]>| txt.iter().count());
        }
    }
}
