//! Trusted public keys (spec §3 \[S-4, S-6\]).

use core::fmt;

use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest as _, Sha256};

/// First 8 octets of SHA-256 of the raw public key \[S-4\]; 16 hex digits wherever it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 8]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

/// An Ed25519 public key fit to be trusted: canonical and not of small order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    key: VerifyingKey,
    id: KeyId,
}

/// Why 32 octets are no trustworthy public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// Not the encoding of a curve point.
    NotAPoint,
    /// Another encoding of the same point exists: two keys would count as one, or one as two.
    NotCanonical,
    /// A point of small order, for which signatures can be made without a secret.
    Weak,
}

impl KeyError {
    /// The word for it in output.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotAPoint => "not-a-point",
            Self::NotCanonical => "not-canonical",
            Self::Weak => "weak-key",
        }
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAPoint => "not an Ed25519 public key: its octets are no curve point",
            Self::NotCanonical => "not an Ed25519 public key in its one canonical form",
            Self::Weak => "a weak Ed25519 public key (small order): anyone can sign for it",
        })
    }
}

impl core::error::Error for KeyError {}

impl PublicKey {
    /// Takes the 32 raw octets of a key.
    ///
    /// # Errors
    ///
    /// Any [`KeyError`].
    ///
    /// Spec §3 \[S-6\].
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| KeyError::NotAPoint)?;
        if key.is_weak() {
            return Err(KeyError::Weak);
        }
        if key.to_edwards().compress().to_bytes() != bytes {
            return Err(KeyError::NotCanonical);
        }
        let digest: [u8; 32] = Sha256::digest(bytes).into();
        let id = KeyId(digest.first_chunk().copied().unwrap_or_default());
        Ok(Self { key, id })
    }

    /// The raw octets.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.key.to_bytes()
    }

    /// Its id.
    #[must_use]
    pub const fn key_id(&self) -> KeyId {
        self.id
    }

    /// Whether `signature` is this key's over `message`, in the strict form of \[S-6\].
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.key.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }
}
