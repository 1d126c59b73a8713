//! Structures and numbers of `fleetcast.h`, as C has them. The header documents them; `tests/header.rs` compares both.

use std::ffi::{CStr, c_char, c_void};

/// Version of the interface.
pub const ABI: u32 = 1;
/// Octets of a code, with the zero behind it.
pub const CODE: usize = 24;
/// Octets of a name or version, with the zero behind it.
pub const NAME: usize = 40;

/// `fc_config.flags`: `hardware` counts.
pub const HAS_HARDWARE: u32 = 1;
/// `fc_config.flags`: `wave` counts.
pub const HAS_WAVE: u32 = 2;
/// `fc_config.flags`: times of waves are not waited for.
pub const IGNORE_WAVES: u32 = 4;
/// `fc_config.flags`: the clock handed in counts for freshness.
pub const TRUST_CLOCK: u32 = 8;
/// `fc_config.flags`: installs without a fresh beacon.
pub const INSTALL_STALE: u32 = 16;

/// What a function returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
#[expect(missing_docs, reason = "the header and `text` say it")]
pub enum Status {
    Ok = 0,
    End = 1,
    Wait = 2,
    Mismatch = 3,
    Argument = -1,
    Abi = -2,
    Busy = -3,
    Phase = -4,
    Storage = -5,
    Damaged = -6,
    Trust = -7,
    Internal = -8,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Ok,
        Self::End,
        Self::Wait,
        Self::Mismatch,
        Self::Argument,
        Self::Abi,
        Self::Busy,
        Self::Phase,
        Self::Storage,
        Self::Damaged,
        Self::Trust,
        Self::Internal,
    ];

    /// What it means, for people.
    #[must_use]
    pub const fn text(self) -> &'static CStr {
        match self {
            Self::Ok => c"done",
            Self::End => c"there is no such entry",
            Self::Wait => c"the release may not be installed yet",
            Self::Mismatch => c"what is stored did not read back right, and is received again",
            Self::Argument => c"an argument is missing or out of range",
            Self::Abi => c"header and library are of different versions",
            Self::Busy => c"the receiver is in use: by another thread, or by the call that called back",
            Self::Phase => c"the call does not fit the phase of the receiver",
            Self::Storage => c"a storage function failed: destroy the receiver, and create it anew",
            Self::Damaged => c"the kept record is damaged: floors are not known, so nothing is received",
            Self::Trust => c"the keys or the root cannot be used",
            Self::Internal => c"a defect in the library: destroy the receiver, and create it anew",
        }
    }
}

/// `fc_target`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
#[expect(missing_docs, reason = "the header says it")]
pub struct Target {
    pub name: *const c_char,
    pub max_image: u64,
    pub max_scratch: u64,
}

/// `fc_mark`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
#[expect(missing_docs, reason = "the header says it")]
pub struct Mark {
    pub sequence: u64,
    pub security_version: u32,
    pub reserved: u32,
    pub digest: [u8; 32],
}

/// `fc_room`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
#[expect(missing_docs, reason = "the header says it")]
pub struct Room {
    pub target: u32,
    pub reserved: u32,
    pub image_size: u64,
    pub scratch_size: u64,
}

/// `fc_event`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
#[expect(missing_docs, reason = "the header says it")]
pub struct Event {
    pub kind: i32,
    pub reserved: u32,
    pub number: u64,
    pub code: [c_char; CODE],
}

/// `fc_storage`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
#[expect(missing_docs, reason = "the header says it")]
pub struct Functions {
    pub struct_size: u32,
    pub reserved: u32,
    pub context: *mut c_void,
    pub load: Option<unsafe extern "C" fn(*mut c_void, i32, *mut u8, usize, *mut usize) -> i32>,
    pub save: Option<unsafe extern "C" fn(*mut c_void, i32, *const u8, usize) -> i32>,
    pub prepare: Option<unsafe extern "C" fn(*mut c_void, *const Room, usize, i32) -> i32>,
    pub read: Option<unsafe extern "C" fn(*mut c_void, i32, u32, u64, *mut u8, usize) -> i32>,
    pub write: Option<unsafe extern "C" fn(*mut c_void, i32, u32, u64, *const u8, usize) -> i32>,
    pub flush: Option<unsafe extern "C" fn(*mut c_void) -> i32>,
    pub event: Option<unsafe extern "C" fn(*mut c_void, *const Event)>,
}

/// `fc_config`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
#[expect(missing_docs, reason = "the header says it")]
pub struct Config {
    pub struct_size: u32,
    pub flags: u32,
    pub storage: *const Functions,
    pub keys: *const u8,
    pub key_count: usize,
    pub root: *const u8,
    pub root_size: usize,
    pub classes: *const u8,
    pub class_count: usize,
    pub targets: *const Target,
    pub target_count: usize,
    pub installed: *const Mark,
    pub hardware: u64,
    pub built: u64,
    pub threshold: u32,
    pub wave: u32,
    pub max_packet: u32,
    pub staging: u32,
    pub vendor: [u8; 16],
    pub random: [u8; 32],
}

/// `fc_info`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
#[expect(missing_docs, reason = "the header says it")]
pub struct Info {
    pub struct_size: u32,
    pub phase: i32,
    pub sequence: u64,
    pub installed_sequence: u64,
    pub chunks_needed: u64,
    pub chunks_have: u64,
    pub datagrams: u64,
    pub security_version: u32,
    pub component_count: u32,
    pub root_version: u32,
    pub reserved: u32,
    pub digest: [u8; 32],
    pub version: [c_char; NAME],
    pub freshness: [c_char; CODE],
}

/// `fc_component`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
#[expect(missing_docs, reason = "the header says it")]
pub struct Component {
    pub struct_size: u32,
    pub target: u32,
    pub size: u64,
    pub sha256: [u8; 32],
    pub name: [c_char; NAME],
}

/// `fc_counter`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
#[expect(missing_docs, reason = "the header says it")]
pub struct Counter {
    pub struct_size: u32,
    pub reserved: u32,
    pub count: u64,
    pub code: [c_char; CODE],
}

/// A text with zeros behind it, cut off if it is too long.
#[must_use]
pub fn chars<const N: usize>(text: &str) -> [c_char; N] {
    let mut chars = [0; N];
    for (to, from) in chars.iter_mut().take(N.saturating_sub(1)).zip(text.bytes()) {
        *to = c_char::from_ne_bytes([from]);
    }
    chars
}
