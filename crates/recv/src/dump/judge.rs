//! Whether packets are genuine, as far as that can be known.

use std::collections::VecDeque;

use fleetcast_core::beacon::Beacon;
use fleetcast_core::manifest::Manifest;
use fleetcast_core::trust::{Envelope, Root, Statement, Trust, Unverified, Verified, parse_unverified, verify};
use fleetcast_core::wire::{Header, Object, Packet, PageKind, StatementKind};
use sha2::{Digest as _, Sha256};

use super::session::{Session, Standing};
use super::{Kind, Verdict};

/// Sessions that are followed of those that verified, and of the others.
const MAX_SESSIONS: usize = 16;
/// Roots and beacons that are told, each of those that verified, and of the others.
const MAX_NOTICES: usize = 32;
/// Roots that are trusted one after the other.
const MAX_CHAIN: usize = 64;
/// Statements whose verdict is remembered.
const MAX_REMEMBERED: usize = 256;

/// A root or beacon that came.
#[derive(Debug)]
pub(super) struct Notice<T> {
    pub(super) value: T,
    payload_digest: [u8; 32],
    /// The whole of it: that which verified, if one did.
    pub(super) statement: Vec<u8>,
    pub(super) standing: Standing,
    pub(super) packets: u64,
}

/// Judges packets by the statements before them.
#[derive(Debug)]
pub(super) struct Judge {
    /// What is trusted, and the roots that have followed, the newest last; none if nobody was named.
    chain: VecDeque<Trust>,
    pub(super) sessions: Vec<Session>,
    pub(super) roots: Vec<Notice<Root>>,
    pub(super) beacons: Vec<Notice<Beacon>>,
    /// Sessions, roots and beacons for which there was no place.
    pub(super) untold: u64,
    /// Kind and statement, by digest, with what came of it.
    remembered: VecDeque<([u8; 32], Verdict)>,
}

impl Judge {
    pub(super) fn new(trust: Option<Trust>) -> Self {
        Self {
            chain: trust.into_iter().collect(),
            sessions: Vec::new(),
            roots: Vec::new(),
            beacons: Vec::new(),
            untold: 0,
            remembered: VecDeque::new(),
        }
    }

    /// What is trusted by the roots that have come.
    pub(super) fn trust(&self) -> Option<&Trust> {
        self.chain.back()
    }

    /// Judges a packet. `afford` is asked before signatures are verified, with how many.
    pub(super) fn judge(
        &mut self,
        packet: Packet<'_>,
        time: u64,
        octets: usize,
        afford: &mut dyn FnMut(usize) -> bool,
    ) -> (Kind, Verdict) {
        let Packet { header, payload } = packet;
        let kind = kind_of(header.object);
        if let Object::Statement { kind: statement, number } = header.object {
            let verdict = self.statement(statement, number, packet, afford);
            if statement == StatementKind::Manifest && !matches!(verdict, Verdict::Dropped(_)) {
                self.session(&header).into_iter().for_each(|session| session.span.note(time, octets));
            }
            return (kind, verdict);
        }
        let Some(session) = self.session(&header) else { return (kind, Verdict::Unjudged("other-session")) };
        let kind = session.kind(header.object).unwrap_or(kind);
        let verdict = match session.check(header.object, payload) {
            Err(error) => return (kind, Verdict::Dropped(error.code())),
            Ok(None) => Verdict::Unjudged("no-page"),
            Ok(Some(())) if session.standing.is_verified() => Verdict::Verified,
            Ok(Some(())) => Verdict::Claimed,
        };
        session.span.note(time, octets);
        (kind, verdict)
    }

    /// What a packet is of which too little was captured to judge it.
    pub(super) fn cut(&mut self, header: &Header) -> (Kind, Verdict) {
        let kind = self.session(header).and_then(|session| session.kind(header.object));
        (kind.unwrap_or(kind_of(header.object)), Verdict::Unjudged("truncated"))
    }

    /// The session of a packet: one that verified, if there is one.
    fn session(&mut self, header: &Header) -> Option<&mut Session> {
        let of = self.sessions.iter_mut().filter(|session| session.tsi == header.tsi);
        of.max_by_key(|session| session.standing.is_verified())
    }

    fn statement(
        &mut self,
        kind: StatementKind,
        number: u16,
        packet: Packet<'_>,
        afford: &mut dyn FnMut(usize) -> bool,
    ) -> Verdict {
        let statement = packet.payload;
        let envelope = match Envelope::parse(statement) {
            Ok(envelope) => envelope,
            Err(error) => return Verdict::Dropped(error.code()),
        };
        let payload_digest: [u8; 32] = Sha256::digest(envelope.payload()).into();
        if kind == StatementKind::Manifest && !payload_digest.starts_with(&packet.header.tsi.0) {
            return Verdict::Dropped("tsi");
        }
        let [n0, n1] = number.to_be_bytes();
        let key = Sha256::new().chain_update([kind as u8, n0, n1]).chain_update(statement).finalize().into();
        let known = self.remembered.iter().find(|(known, _)| *known == key).map(|(_, verdict)| *verdict);
        let verdict = known.or_else(|| {
            let cost = self.trust().map_or(0, |trust| match kind {
                // One of before may be verified by those that are not trusted any more.
                StatementKind::Root => envelope.signatures().count(),
                _ => trust.cost(kind, &envelope),
            });
            if cost > 0 && !afford(cost) {
                return None;
            }
            Some(match kind {
                StatementKind::Manifest => self.manifest(statement),
                StatementKind::Root => self.root(number, statement),
                StatementKind::Beacon => self.beacon(statement),
            })
        });
        let Some(verdict) = verdict else { return Verdict::Unjudged("budget") };
        if known.is_none() {
            self.remembered.truncate(MAX_REMEMBERED - 1);
            self.remembered.push_front((key, verdict));
        }
        let count = |of: &[u8; 32], packets: &mut u64| *packets += u64::from(*of == payload_digest);
        self.roots.iter_mut().for_each(|root| count(&root.payload_digest, &mut root.packets));
        self.beacons.iter_mut().for_each(|beacon| count(&beacon.payload_digest, &mut beacon.packets));
        verdict
    }

    fn manifest(&mut self, statement: &[u8]) -> Verdict {
        let (told, verdict) = told::<Manifest>(statement, self.trust());
        let Some((manifest, digest, standing)) = told else { return verdict };
        let is_verified = standing.is_verified();
        match self.sessions.iter_mut().find(|session| session.payload_digest == digest) {
            Some(session) if is_verified && !session.standing.is_verified() => {
                (session.statement, session.standing) = (statement.into(), standing);
            }
            Some(_) => {}
            None => {
                let same = self.sessions.iter().filter(|session| session.standing.is_verified() == is_verified);
                let session =
                    Session::new(manifest, digest, statement, standing).filter(|_| same.count() < MAX_SESSIONS);
                self.untold += u64::from(session.is_none());
                self.sessions.extend(session);
            }
        }
        verdict
    }

    /// A root of the chain, or the one that follows \[K-6, K-7\].
    fn root(&mut self, number: u16, statement: &[u8]) -> Verdict {
        let before = self.chain.iter().find(|trust| trust.version().checked_add(1) == Some(number)).cloned();
        let known = self.chain.iter().filter_map(Trust::root).find(|root| root.version == number);
        let is_known = known.is_some();
        let other = || (unverified(statement, Standing::Refused("root-version")), Verdict::Dropped("root-version"));
        let (told, verdict) = match (&before, known) {
            (None, _) if self.chain.is_empty() => told::<Root>(statement, None),
            // The one that was trusted to begin with.
            (None, Some(known)) if known.statement() == statement => {
                (Some(parts(known, Standing::Verified(known.signers().to_vec()))), Verdict::Verified)
            }
            (None, _) => other(),
            (Some(trust), known) => {
                let told = told::<Root>(statement, Some(trust));
                let is_other =
                    |(_, digest, _): &Told<Root>| known.is_some_and(|known| known.payload_digest() != digest);
                if told.0.as_ref().is_some_and(is_other) { other() } else { told }
            }
        };
        let Some(told) = told else { return verdict };
        put(&mut self.roots, &mut self.untold, statement, told);
        if let Some(mut trust) = before.filter(|_| verdict == Verdict::Verified && !is_known)
            && trust.step(statement).is_ok()
        {
            if self.chain.len() >= MAX_CHAIN {
                self.chain.pop_front();
            }
            self.judge_anew(&trust);
            self.chain.push_back(trust);
        }
        verdict
    }

    fn beacon(&mut self, statement: &[u8]) -> Verdict {
        let (told, verdict) = told::<Beacon>(statement, self.trust());
        if let Some(told) = told {
            put(&mut self.beacons, &mut self.untold, statement, told);
        }
        verdict
    }

    /// After a step to another root nothing counts that it does not sign for, and what was refused may be valid.
    fn judge_anew(&mut self, trust: &Trust) {
        self.remembered.clear();
        for session in self.sessions.iter_mut().filter(|session| session.standing.is_verified()) {
            if let Err(error) = verify::<Manifest>(&session.statement, trust) {
                session.standing = Standing::Refused(error.code());
            }
        }
        for beacon in self.beacons.iter_mut().filter(|beacon| beacon.standing.is_verified()) {
            if let Err(error) = verify::<Beacon>(&beacon.statement, trust) {
                beacon.standing = Standing::Refused(error.code());
            }
        }
    }
}

/// What a statement says, its payload's digest, and who stands behind it.
type Told<T> = (T, [u8; 32], Standing);

/// Verifies a statement, or takes it for what it says.
fn told<T: Statement + Clone>(statement: &[u8], trust: Option<&Trust>) -> (Option<Told<T>>, Verdict) {
    match trust.map(|trust| verify::<T>(statement, trust)) {
        Some(Ok(verified)) => {
            let standing = Standing::Verified(verified.signers().to_vec());
            (Some(parts(&verified, standing)), Verdict::Verified)
        }
        Some(Err(error)) => (unverified(statement, Standing::Refused(error.code())), Verdict::Dropped(error.code())),
        None => match parse_unverified::<T>(statement) {
            Ok(claimed) => (Some(claim(&claimed, Standing::Unverified)), Verdict::Claimed),
            Err(error) => (None, Verdict::Dropped(error.code())),
        },
    }
}

fn unverified<T: Statement + Clone>(statement: &[u8], standing: Standing) -> Option<Told<T>> {
    parse_unverified::<T>(statement).ok().map(|claimed| claim(&claimed, standing))
}

fn claim<T: Clone>(claimed: &Unverified<T>, standing: Standing) -> Told<T> {
    ((**claimed).clone(), *claimed.payload_digest(), standing)
}

fn parts<T: Clone>(verified: &Verified<T>, standing: Standing) -> Told<T> {
    ((**verified).clone(), *verified.payload_digest(), standing)
}

/// Keeps a root or beacon that is new; one that verified stands for the same that did not.
fn put<T>(
    notices: &mut Vec<Notice<T>>,
    untold: &mut u64,
    statement: &[u8],
    (value, payload_digest, standing): Told<T>,
) {
    if let Some(known) = notices.iter_mut().find(|notice| notice.payload_digest == payload_digest) {
        if standing.is_verified() && !known.standing.is_verified() {
            (known.statement, known.standing) = (statement.into(), standing);
        }
        return;
    }
    let is_verified = standing.is_verified();
    if notices.iter().filter(|notice| notice.standing.is_verified() == is_verified).count() >= MAX_NOTICES {
        *untold += 1;
        return;
    }
    notices.push(Notice { value, payload_digest, statement: statement.into(), standing, packets: 0 });
}

const fn kind_of(object: Object) -> Kind {
    match object {
        Object::Statement { kind: StatementKind::Manifest, .. } => Kind::Manifest,
        Object::Statement { kind: StatementKind::Root, .. } => Kind::Root,
        Object::Statement { kind: StatementKind::Beacon, .. } => Kind::Beacon,
        Object::Page { kind: PageKind::Page, .. } => Kind::Page,
        Object::Page { kind: PageKind::Parity, .. } => Kind::ParityPage,
        Object::Chunk { .. } => Kind::Chunk,
    }
}
