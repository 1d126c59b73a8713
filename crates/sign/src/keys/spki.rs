//! Public keys as SPKI files (RFC 8410 §4).

use fleetcast_cli::keys::pem::Label;
use fleetcast_cli::keys::spki::ED25519;
use pkcs8::der::{asn1::BitStringRef, pem::LineEnding};
use pkcs8::{Document, SubjectPublicKeyInfoRef};

use super::{EncodeError, PublicKey};

/// A public key as a PEM file that OpenSSL reads too.
///
/// # Errors
///
/// [`EncodeError`] if the encoder fails, which no key is known to cause.
pub fn public_to_pem(key: &PublicKey) -> Result<String, EncodeError> {
    let raw = key.to_bytes();
    let spki = SubjectPublicKeyInfoRef { algorithm: ED25519, subject_public_key: BitStringRef::new(0, &raw)? };
    Ok(Document::encode_msg(&spki)?.to_pem(Label::Public.text(), LineEnding::LF)?)
}
