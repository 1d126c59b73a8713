//! The test keys that everyone knows, and that nobody may trust.
//!
//! Their secret halves are published in `keys/`, so a signature by one of them proves
//! nothing. Builds without debug assertions refuse them wherever a key is loaded. This
//! module depends on nothing, so that a receiver can hold the same list.

/// Raw Ed25519 public keys of `keys/UNSAFE-test-*.pem`, in the order release, other.
///
/// The seed of each is the SHA-256 of `fleetcast UNSAFE test ` and its name.
pub const UNSAFE_TEST_KEYS: [[u8; 32]; 2] = [
    [
        0x21, 0xe1, 0xe5, 0x45, 0x9f, 0x29, 0x88, 0xa3, 0x3b, 0xb3, 0x52, 0x6b, 0xeb, 0x95, 0x4a, 0xb0, 0xe5, 0xce,
        0x33, 0xa7, 0xf7, 0xe2, 0xfe, 0x1c, 0x86, 0x97, 0x3f, 0x32, 0xec, 0x42, 0xcd, 0xf5,
    ],
    [
        0xa7, 0x5e, 0x2c, 0xba, 0xc1, 0xc7, 0x02, 0x11, 0x92, 0xb4, 0xab, 0x21, 0x8f, 0x1a, 0x91, 0x9f, 0xeb, 0xd2,
        0x5d, 0xcd, 0xca, 0xa6, 0xb0, 0xd4, 0xbe, 0xfd, 0x3c, 0x88, 0xd3, 0x73, 0xd0, 0x05,
    ],
];

/// Whether this build refuses the test keys: every build without debug assertions does.
pub const REFUSED: bool = cfg!(not(debug_assertions));

/// Whether `key` is the raw public half of a published test key.
#[must_use]
pub fn is_unsafe_test_key(key: &[u8; 32]) -> bool {
    UNSAFE_TEST_KEYS.contains(key)
}
