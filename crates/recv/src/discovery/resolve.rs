//! All questions that the groups and senders of a domain follow from.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use domain::base::{Name, ParsedName, Rtype, ToName as _};
use domain::rdata::{A, Aaaa, Srv, Txt};
use tokio::task::JoinSet;

use super::answer::{Answer, AnswerError, Target};
use super::dns::{self, DnsError, Question, ask, records};
use crate::config::Discover;

/// What came back.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) answer: Answer,
    /// How long it holds: the shortest time of its records.
    pub(super) ttl: Duration,
    /// Addresses of a target could not be found out.
    pub(super) is_partial: bool,
}

/// Why nothing is found.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResolveError {
    /// No answer.
    #[error("cannot find out {kind} of {name}: {source}")]
    Dns { name: String, kind: Rtype, source: DnsError },
    /// What is answered is of no use.
    #[error("what DNS answers for {name} is refused: {source}")]
    Answer { name: String, source: AnswerError },
}

impl ResolveError {
    /// Stable word for this error.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Dns { source, .. } => source.code(),
            Self::Answer { source, .. } => source.code(),
        }
    }
}

/// The name that SRV and TXT records are asked for \[D-1\].
pub(super) fn service(domain: &str) -> String {
    format!("_fleetcast._udp.{domain}")
}

/// Asks for everything that the groups and senders of a domain follow from.
pub(super) async fn resolve(discover: &Discover) -> Result<Found, ResolveError> {
    let name = service(&discover.domain);
    let failed = |kind| {
        let name = name.clone();
        move |source| ResolveError::Dns { name, kind, source }
    };
    let servers = if discover.servers.is_empty() { dns::of_system() } else { Ok(discover.servers.clone()) };
    let servers = servers.map_err(failed(Rtype::SRV))?;
    // Settings are checked: this is a name.
    let question = Name::vec_from_str(&name).map_err(|_| failed(Rtype::SRV)(DnsError::Malformed))?;
    let (srv, txt) = tokio::join!(ask(&servers, &question, Rtype::SRV), ask(&servers, &question, Rtype::TXT));
    let srv = srv.map_err(failed(Rtype::SRV))?;
    let (targets, mut ttl) = records(&srv, target).map_err(failed(Rtype::SRV))?;
    let (targets, names): (Vec<_>, Vec<_>) = targets.into_iter().unzip();
    let mut answer = Answer { targets, texts: vec![] };
    // Before anybody asks for the addresses of too many.
    let has_senders = answer.check_targets().map_err(|source| ResolveError::Answer { name: name.clone(), source })?;
    let mut is_partial = false;
    if has_senders {
        let txt = txt.map_err(failed(Rtype::TXT))?;
        let (texts, txt_ttl) = records(&txt, strings).map_err(failed(Rtype::TXT))?;
        answer.texts = texts;
        ttl = ttl.min(txt_ttl);
        let mut questions = JoinSet::new();
        for (nth, name) in names.into_iter().enumerate() {
            let servers = servers.clone();
            questions.spawn(async move { (nth, addresses(&servers, &name).await) });
        }
        while let Some(answered) = questions.join_next().await {
            let Ok((nth, Ok((addresses, its_ttl)))) = answered else {
                is_partial = true;
                continue;
            };
            ttl = ttl.min(its_ttl);
            if let Some(target) = answer.targets.get_mut(nth) {
                target.addresses = addresses;
            }
        }
    }
    answer.sort();
    Ok(Found { answer, ttl: Duration::from_secs(ttl.into()), is_partial })
}

/// A target, and its name as it is asked for.
fn target(srv: &Srv<ParsedName<&[u8]>>) -> (Target, Question) {
    let name = if srv.target().is_root() { ".".into() } else { srv.target().to_string() };
    let (priority, weight, port) = (srv.priority(), srv.weight(), srv.port());
    (Target { priority, weight, port, name, addresses: vec![] }, srv.target().to_vec())
}

fn strings(txt: &Txt<&[u8]>) -> Vec<String> {
    txt.iter().map(|string| String::from_utf8_lossy(string).into_owned()).collect()
}

/// Both kinds of addresses of a host, and the seconds that they hold; none is an answer too.
async fn addresses(servers: &[SocketAddr], name: &Question) -> Result<(Vec<IpAddr>, u32), DnsError> {
    let (v4, v6) = tokio::join!(ask(servers, name, Rtype::A), ask(servers, name, Rtype::AAAA));
    let v4 = records(&v4?, |a: &A| IpAddr::V4(a.addr()));
    let v6 = records(&v6?, |aaaa: &Aaaa| IpAddr::V6(aaaa.addr()));
    let (mut all, mut ttl) = (Vec::new(), u32::MAX);
    for found in [v4, v6] {
        match found {
            Ok((addresses, its_ttl)) => {
                all.extend(addresses);
                ttl = ttl.min(its_ttl);
            }
            Err(DnsError::NoRecord) => {}
            Err(error) => return Err(error),
        }
    }
    Ok((all, ttl))
}
