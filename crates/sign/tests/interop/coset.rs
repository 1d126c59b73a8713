//! The crate `coset`: each signature of a statement is a `COSE_Sign1` with a detached payload (RFC 9052 §4.2).

use ::coset::cbor::{into_writer, value::Value};
use ::coset::iana::Algorithm;
use ::coset::{AsCborValue as _, CborSerializable as _, CoseSign1, CoseSign1Builder, HeaderBuilder};
use fleetcast_core::trust::{Envelope, signed_bytes};

use super::{KINDS, assert_taken, key, our_statement};

#[test]
fn coset_takes_what_we_sign_and_signs_the_same_octets() {
    for (kind, text) in KINDS {
        let statement = our_statement(kind);
        let envelope = Envelope::parse(&statement).unwrap();
        let signature = envelope.signatures().next().unwrap();
        // The last 83 octets: array head, protected header with its head of one octet, empty map, null, and the signature with two.
        let theirs = CoseSign1::from_slice(&statement[statement.len() - 83..]).unwrap();
        assert_eq!(theirs.protected.header.alg, Some(::coset::Algorithm::Assigned(Algorithm::Ed25519)));
        assert_eq!(theirs.protected.header.key_id, key().public().key_id().0);
        assert_eq!(theirs.protected.original_data.as_deref(), Some(signature.protected));
        assert_eq!(theirs.payload, None);
        let signed = theirs.tbs_detached_data(envelope.payload(), text.as_bytes());
        assert_eq!(signed, signed_bytes(kind, signature.protected, envelope.payload()));

        let verify = |signature: &[u8], message: &[u8]| key().public().verify(message, signature.try_into().unwrap());
        let is_valid = |payload: &[u8], text: &str| {
            theirs.verify_detached_signature(payload, text.as_bytes(), |s, m| verify(s, m).then_some(()).ok_or(()))
        };
        assert_eq!(is_valid(envelope.payload(), text), Ok(()));
        assert_eq!(is_valid(envelope.payload(), "fleetcast-other-1"), Err(()));
        assert_eq!(is_valid(b"another", text), Err(()));
    }
}

#[test]
fn we_take_what_coset_signs_by_both_names_of_the_algorithm() {
    for algorithms in [&[Algorithm::Ed25519][..], &[Algorithm::EdDSA], &[Algorithm::EdDSA, Algorithm::Ed25519]] {
        assert_taken(&key().public(), |_, text, payload| {
            let sign = |&algorithm| {
                let kid = key().public().key_id().0.to_vec();
                let header = HeaderBuilder::new().algorithm(algorithm).key_id(kid).build();
                let sign1 = CoseSign1Builder::new().protected(header);
                let signed =
                    sign1.create_detached_signature(payload, text.as_bytes(), |octets| key().sign(octets).to_vec());
                signed.build().to_cbor_value().unwrap()
            };
            let signatures = Value::Array(algorithms.iter().map(sign).collect());
            let mut statement = Vec::new();
            into_writer(&Value::Array(vec![Value::Bytes(payload.to_vec()), signatures]), &mut statement).unwrap();
            statement
        });
    }
}
