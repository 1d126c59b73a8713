//! Messages of the agent protocol, as far as they are used, and the keys in them (RFC 8709).

use std::fmt;

use base64ct::{Base64, Encoding};
use fleetcast_core::reader::Reader;

use crate::keys::PublicKey;

/// `SSH_AGENTC_REQUEST_IDENTITIES`, with its length.
pub(super) const IDENTITIES_REQUEST: [u8; 5] = [0, 0, 0, 1, 11];
const SIGN_REQUEST: u8 = 13;
const FAILURE: u8 = 5;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_RESPONSE: u8 = 14;

const ED25519: &[u8] = b"ssh-ed25519";

/// An Ed25519 key of the agent.
pub(super) struct Identity {
    pub(super) public: PublicKey,
    comment: String,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The terminal must not obey a comment.
        write!(f, "{} ({})", self.public.key_id(), self.comment.escape_debug())
    }
}

/// What the agent says.
pub(super) enum Answer {
    Failure,
    /// Its Ed25519 keys; there may be others.
    Identities(Vec<Identity>),
    Signature(Box<[u8; 64]>),
}

impl Answer {
    /// `None` for anything else, and for octets too many or too few.
    pub(super) fn decode(answer: &[u8]) -> Option<Self> {
        let mut r = Reader::new(answer);
        let [kind] = r.array().ok()?;
        let answer = match kind {
            FAILURE => Self::Failure,
            IDENTITIES_ANSWER => {
                let mut identities = Vec::new();
                for _ in 0..u32::from_be_bytes(r.array().ok()?) {
                    let (key, comment) = (string(&mut r)?, string(&mut r)?);
                    let comment = String::from_utf8_lossy(comment).into_owned();
                    identities.extend(public_key(key).map(|public| Identity { public, comment }));
                }
                Self::Identities(identities)
            }
            SIGN_RESPONSE => {
                let mut signature = Reader::new(string(&mut r)?);
                let (kind, octets) = (string(&mut signature)?, string(&mut signature)?);
                if kind != ED25519 || !signature.is_empty() {
                    return None;
                }
                Self::Signature(Box::new(octets.try_into().ok()?))
            }
            _ => return None,
        };
        r.is_empty().then_some(answer)
    }
}

/// `SSH_AGENTC_SIGN_REQUEST`, with its length and no flags.
pub(super) fn sign_request(key: &PublicKey, message: &[u8]) -> Vec<u8> {
    let mut blob = Vec::new();
    push(&mut blob, ED25519);
    push(&mut blob, &key.to_bytes());
    let mut request = vec![SIGN_REQUEST];
    push(&mut request, &blob);
    push(&mut request, message);
    request.extend_from_slice(&[0; 4]);
    let mut framed = Vec::new();
    push(&mut framed, &request);
    framed
}

/// The key in `ssh-ed25519 BASE64 COMMENT`.
pub(super) fn public_key_line(line: &str) -> Option<PublicKey> {
    let mut words = line.split_ascii_whitespace();
    let (kind, blob) = (words.next()?, words.next()?);
    let one_line = !line.contains(['\n', '\r']);
    let blob = Base64::decode_vec(blob).ok()?;
    (one_line && kind.as_bytes() == ED25519).then(|| public_key(&blob)).flatten()
}

/// `None` for keys of other algorithms, and for those that must not be trusted.
fn public_key(blob: &[u8]) -> Option<PublicKey> {
    let mut r = Reader::new(blob);
    let (kind, key) = (string(&mut r)?, string(&mut r)?);
    let raw = key.try_into().ok().filter(|_| kind == ED25519 && r.is_empty())?;
    PublicKey::from_bytes(raw).ok()
}

fn string<'a>(r: &mut Reader<'a>) -> Option<&'a [u8]> {
    let len = u32::from_be_bytes(r.array().ok()?);
    r.take(usize::try_from(len).ok()?).ok()
}

/// A length and as many octets; messages here are below 2^32.
fn push(bytes: &mut Vec<u8>, string: &[u8]) {
    bytes.extend_from_slice(&u32::try_from(string.len()).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend_from_slice(string);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::SecretKey;

    fn key() -> PublicKey {
        SecretKey::from_seed(&[7; 32]).unwrap().public()
    }

    fn strings(parts: &[&[u8]]) -> Vec<u8> {
        parts.iter().fold(Vec::new(), |mut bytes, part| {
            push(&mut bytes, part);
            bytes
        })
    }

    #[test]
    fn keys_of_other_algorithms_are_passed_over() {
        let ours = strings(&[ED25519, &key().to_bytes()]);
        let weak = strings(&[ED25519, &[0; 32]]);
        let hardware = strings(&[b"sk-ssh-ed25519@openssh.com", &key().to_bytes(), b"ssh:"]);
        let all = strings(&[b"ssh-rsa junk", b"rsa", &hardware, b"sk", &weak, b"weak", &ours, b"me\x1b[2J"]);
        let answer = [&[12, 0, 0, 0, 4], &all[..]].concat();
        let Some(Answer::Identities(found)) = Answer::decode(&answer) else { panic!("no identities") };
        let shown: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(shown, [format!("{} (me\\u{{1b}}[2J)", key().key_id())]);
    }

    #[test]
    fn a_signature_has_64_octets_and_is_of_ed25519() {
        let is_signature = |kind: &[u8], octets: &[u8]| {
            let answer = [&[14], &strings(&[&strings(&[kind, octets])])[..]].concat();
            matches!(Answer::decode(&answer), Some(Answer::Signature(_)))
        };
        assert!(is_signature(ED25519, &[1; 64]));
        assert!(!is_signature(ED25519, &[1; 63]));
        assert!(!is_signature(ED25519, &[1; 65]));
        assert!(!is_signature(b"ssh-ed448", &[1; 64]));
    }

    #[test]
    fn a_public_key_file_is_one_line() {
        let blob = Base64::encode_string(&strings(&[ED25519, &key().to_bytes()]));
        assert_eq!(public_key_line(&format!("ssh-ed25519 {blob}")), Some(key()));
        assert_eq!(public_key_line(&format!("ssh-ed25519 {blob} me@here and more")), Some(key()));
        for line in [
            String::new(),
            "ssh-ed25519".into(),
            format!("ssh-rsa {blob}"),
            format!("ssh-ed25519 {blob}\nssh-ed25519 {blob}"),
            format!("ssh-ed25519 {}", &blob[..40]),
            format!("ssh-ed25519 {}", Base64::encode_string(&strings(&[b"ssh-ed448", &key().to_bytes()]))),
        ] {
            assert_eq!(public_key_line(&line), None, "{line}");
        }
    }
}
