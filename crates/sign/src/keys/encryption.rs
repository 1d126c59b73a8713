//! Keys locked by a passphrase (PBES2, RFC 8018 §6.2).

use pkcs8::der::{self, Decode};
use pkcs8::pkcs5::{self, EncryptionScheme, pbes2, scrypt};
use pkcs8::{EncryptedPrivateKeyInfoRef, Error};
use zeroize::Zeroizing;

use super::{EncodeError, LoadError, SecretError};
use crate::passphrase::{Passphrase, PassphraseError};

/// scrypt's N = 2^14, r and p of the keys written here.
const SCRYPT: (u8, u32, u32) = (14, 8, 5);

/// Most PBKDF2 rounds a file may ask for: about ten seconds.
const MAX_ROUNDS: u32 = 20_000_000;
/// Most memory scrypt may ask for, in bytes.
const MAX_MEMORY: u64 = 1 << 30;
/// Most work scrypt may ask for, in bytes mixed: memory times p.
const MAX_WORK: u64 = 1 << 34;

/// Parameters for one encryption, with a new salt and IV.
pub(super) fn parameters() -> Result<pbes2::Parameters, EncodeError> {
    let mut salt = [0; 16];
    let mut iv = [0; 16];
    getrandom::fill(&mut salt)?;
    getrandom::fill(&mut iv)?;
    let (log_n, r, p) = SCRYPT;
    let scrypt = scrypt::Params::new(log_n, r, p)
        .map_err(|_| pkcs5::Error::AlgorithmParametersInvalid { oid: pbes2::SCRYPT_OID });
    let parameters = scrypt.and_then(|scrypt| pbes2::Parameters::generate_scrypt_aes256cbc(scrypt, &salt, iv));
    parameters.map_err(|error| EncodeError::Encrypt(Error::EncryptedPrivateKey(error)))
}

/// Opens an `EncryptedPrivateKeyInfo`; the passphrase is asked for only once all else is
/// known to be in order.
pub(super) fn decrypt(
    der: &[u8],
    ask: impl FnOnce() -> Result<Passphrase, PassphraseError>,
) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let info = EncryptedPrivateKeyInfoRef::from_der(der).map_err(|error| match error.kind() {
        // How the decoder says that it does not know an algorithm.
        der::ErrorKind::OidUnknown { .. } | der::ErrorKind::Value { tag: der::Tag::ObjectIdentifier } => {
            SecretError::Encryption(error.into())
        }
        _ => LoadError::Asn1(error).into(),
    })?;
    check_work(&info.encryption_algorithm)?;
    let passphrase = ask()?;
    match info.decrypt(passphrase.as_bytes()) {
        Ok(document) => Ok(document.to_bytes()),
        // A wrong key now and then yields padding that looks right and a document that does not.
        Err(Error::EncryptedPrivateKey(pkcs5::Error::DecryptFailed) | Error::Asn1(_)) => {
            Err(SecretError::WrongPassphrase)
        }
        Err(error) => Err(SecretError::Encryption(error)),
    }
}

fn check_work(scheme: &EncryptionScheme) -> Result<(), SecretError> {
    let EncryptionScheme::Pbes2(parameters) = scheme else {
        let unsupported = pkcs5::Error::NoPbes1CryptSupport;
        return Err(SecretError::Encryption(Error::EncryptedPrivateKey(unsupported)));
    };
    let bearable = match &parameters.kdf {
        pbes2::Kdf::Pbkdf2(pbkdf2) => (1..=MAX_ROUNDS).contains(&pbkdf2.iteration_count),
        pbes2::Kdf::Scrypt(scrypt) => {
            // N must be a power of two (RFC 7914 §2); the decoder panics on 0.
            let (n, r, p) = (scrypt.cost_parameter, scrypt.block_size, scrypt.parallelization);
            let memory = n.checked_mul(128 * u64::from(r));
            n > 1
                && n.is_power_of_two()
                && memory.is_some_and(|memory| {
                    (1..=MAX_MEMORY).contains(&memory) && (1..=MAX_WORK).contains(&(memory * u64::from(p)))
                })
        }
        _ => false,
    };
    if bearable { Ok(()) } else { Err(SecretError::Work) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::SecretKey;
    use crate::passphrase::{Place, Sort};
    use fleetcast_cli::keys::pem;
    use proptest::prelude::*;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(text.as_bytes().to_vec(), Place::Terminal).unwrap()
    }

    fn locked() -> Zeroizing<Vec<u8>> {
        let text = SecretKey::from_seed(&[7; 32]).unwrap().to_encrypted_pem(&passphrase("open")).unwrap();
        pem::decode(text.as_bytes()).unwrap().der
    }

    fn open(der: &[u8], with: &str) -> Result<Zeroizing<Vec<u8>>, &'static str> {
        decrypt(der, || Ok(passphrase(with))).map_err(|error| error.code())
    }

    /// The encoding of scrypt's N, r and p, which directly follow the salt.
    fn costs() -> Vec<u8> {
        vec![0x02, 0x02, 0x40, 0x00, 0x02, 0x01, 0x08, 0x02, 0x01, 0x05]
    }

    fn with_costs(new: &[u8]) -> Vec<u8> {
        let der = locked();
        let at = der.windows(10).position(|window| window == costs()).unwrap();
        [&der[..at], new, &der[at + 10..]].concat()
    }

    #[test]
    fn only_the_right_passphrase_opens_it() {
        let der = locked();
        assert!(open(&der, "open").is_ok());
        for wrong in ["Open", "open ", "opem", "o"] {
            assert_eq!(open(&der, wrong), Err("passphrase-wrong"), "{wrong}");
        }
    }

    #[test]
    fn salt_and_iv_are_new_each_time() {
        assert_ne!(locked(), locked());
    }

    #[test]
    fn hostile_costs_are_refused_before_any_work() {
        let never =
            |der: &[u8]| decrypt(der, || unreachable!("the passphrase must not be asked for")).err().unwrap().code();
        assert_eq!(never(&with_costs(&[2, 2, 0, 0, 2, 1, 8, 2, 1, 5])), "key-asn1", "not minimal");
        // 10 bytes each, so that the lengths around them stay right.
        assert_eq!(never(&with_costs(&[2, 2, 0x40, 1, 2, 1, 8, 2, 1, 5])), "key-work");
        assert_eq!(never(&with_costs(&[2, 2, 0x40, 0, 2, 1, 0, 2, 1, 5])), "key-work");
        assert_eq!(never(&with_costs(&[2, 2, 0x40, 0, 2, 1, 8, 2, 1, 0])), "key-work");
        assert_eq!(never(&with_costs(&[2, 1, 0, 2, 2, 0x40, 0, 2, 1, 5])), "key-work");
        assert_eq!(never(&with_costs(&[2, 1, 1, 2, 2, 0x40, 0, 2, 1, 5])), "key-work");
        assert_eq!(never(&with_costs(&[2, 2, 0x40, 0, 2, 2, 0x7f, 0xff, 2, 0])), "key-asn1");
    }

    fn scrypt_costs(n: u64, r: u16, p: u16) -> bool {
        let mut parameters = parameters().unwrap();
        if let pbes2::Kdf::Scrypt(scrypt) = &mut parameters.kdf {
            scrypt.cost_parameter = n;
            scrypt.block_size = r;
            scrypt.parallelization = p;
        }
        check_work(&EncryptionScheme::Pbes2(parameters)).is_ok()
    }

    #[test]
    fn the_work_limits_leave_room_for_honest_files() {
        assert!(scrypt_costs(1 << 14, 8, 5));
        assert!(scrypt_costs(1 << 20, 8, 1));
        assert!(!scrypt_costs(1 << 21, 8, 1));
        assert!(!scrypt_costs(1 << 20, 8, 17));
        assert!(!scrypt_costs(1 << 63, 8, 1));
        assert!(!scrypt_costs(u64::MAX, u16::MAX, u16::MAX));
        let rounds = |count| {
            let parameters = pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(count, b"salt", [0; 16]);
            check_work(&EncryptionScheme::Pbes2(parameters.unwrap())).is_ok()
        };
        assert!(rounds(2048) && rounds(MAX_ROUNDS));
        assert!(!rounds(MAX_ROUNDS + 1) && !rounds(0));
    }

    proptest! {
        #[test]
        fn no_mutation_makes_the_decoder_panic(
            at in any::<prop::sample::Index>(), byte: u8, cut in any::<prop::sample::Index>(),
        ) {
            let mut der = locked_once().clone();
            let at = at.index(der.len());
            der[at] = byte;
            der.truncate(cut.index(der.len() + 1).max(at));
            // The passphrase is refused, so that each case costs nothing.
            let _ = decrypt(&der, || Err(PassphraseError::Missing { sort: Sort::Passphrase }));
            let _ = SecretKey::from_der(&der);
        }
    }

    fn locked_once() -> &'static Vec<u8> {
        static LOCKED: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
        LOCKED.get_or_init(|| locked().to_vec())
    }
}
