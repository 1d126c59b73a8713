//! What callers point at, checked and copied.

use std::ffi::c_char;
use std::slice;

use fleetcast_core::manifest::{MAX_TOKEN, Token, Uuid};
use fleetcast_core::session::{self, Mark};
use fleetcast_core::trust::{MAX_STATEMENT, PublicKey, Trust, TrustedKeys};

use crate::abi::{self, Config, Functions, Status};
use crate::device::Settings;
use crate::host::Host;
use crate::record::Known;

/// Most keys, classes or targets.
const MAX_LIST: usize = 64;
/// Octets of the largest datagram, unless said: Ethernet without the headers of IPv4 and UDP.
const MAX_PACKET: u32 = 1472;
/// Packets that may wait, unless said; and the most of both.
const STAGING: u32 = 256;
const MOST_STAGING: u32 = 1024;
const MOST_PACKET: u32 = 65_507;
const FLAGS: u32 = abi::HAS_HARDWARE | abi::HAS_WAVE | abi::IGNORE_WAVES | abi::TRUST_CLOCK | abi::INSTALL_STALE;

/// Structures that begin with their size, as the caller's header has it.
///
/// # Safety
///
/// The first field is a `u32`, and any octets make a value.
pub(super) unsafe trait Measured: Copy {}

// SAFETY: `struct_size` is first; numbers, pointers and optional functions.
unsafe impl Measured for Config {}
// SAFETY: so.
unsafe impl Measured for Functions {}
// SAFETY: so.
unsafe impl Measured for abi::Info {}
// SAFETY: so.
unsafe impl Measured for abi::Component {}
// SAFETY: so.
unsafe impl Measured for abi::Counter {}

/// Checks a structure's size, and returns it.
///
/// # Safety
///
/// `from` is null, or points at as many octets as its first field says, and at least at that.
unsafe fn check_size<T: Measured>(from: *const T) -> Result<u32, Status> {
    if from.is_null() || !from.is_aligned() {
        return Err(Status::Argument);
    }
    // SAFETY: not null, aligned; the first field is a `u32` that the caller has set.
    let size = unsafe { from.cast::<u32>().read() };
    if size as usize == size_of::<T>() { Ok(size) } else { Err(Status::Abi) }
}

/// Fills a structure of the caller.
///
/// # Safety
///
/// As [`check_size`], and it may be written.
pub(super) unsafe fn fill<T: Measured>(into: *mut T, make: impl FnOnce(u32) -> T) -> Result<(), Status> {
    // SAFETY: by the contract above.
    let size = unsafe { check_size(into.cast_const()) }?;
    // SAFETY: it is as large as `T`.
    unsafe { into.write(make(size)) };
    Ok(())
}

/// Octets of the caller.
///
/// # Safety
///
/// `from` points at `len` octets that do not change as long as the result is used, or `len` is 0.
pub(super) unsafe fn bytes<'a>(from: *const u8, len: usize) -> Result<&'a [u8], Status> {
    // SAFETY: by the contract above.
    unsafe { list(from, len, isize::MAX.unsigned_abs()) }
}

/// A list of the caller with at most `most` entries.
///
/// # Safety
///
/// As [`bytes`], of entries.
unsafe fn list<'a, T>(from: *const T, len: usize, most: usize) -> Result<&'a [T], Status> {
    if len == 0 {
        return Ok(&[]);
    }
    if from.is_null() || !from.is_aligned() || len > most {
        return Err(Status::Argument);
    }
    // SAFETY: not null, aligned, no larger than can be, and by the contract above there.
    Ok(unsafe { slice::from_raw_parts(from, len) })
}

/// A text of the caller that is a token.
///
/// # Safety
///
/// `from` is null, or points at octets that end with a zero.
unsafe fn token(from: *const c_char) -> Result<Token, Status> {
    let mut text = String::new();
    for at in 0..=MAX_TOKEN {
        if from.is_null() {
            break;
        }
        // SAFETY: none of those before was the zero at the end.
        let [octet] = unsafe { from.add(at).read() }.to_ne_bytes();
        if octet == 0 {
            return Token::new(&text).ok_or(Status::Argument);
        }
        text.push(char::from(octet));
    }
    Err(Status::Argument)
}

/// Settings and storage of a configuration.
///
/// # Safety
///
/// It, and what it points at, is as the header says.
pub(super) unsafe fn settings(config: *const Config) -> Result<(Settings, Host), Status> {
    // SAFETY: by the contract above: each pointer is null, or as its neighbour or its structure says.
    let (c, functions, keys, root, classes, targets, installed) = unsafe {
        check_size(config)?;
        let c = config.read();
        check_size(c.storage)?;
        let installed = if c.installed.is_null() { &[][..] } else { list(c.installed, 1, 1)? };
        let keys: &[[u8; 32]] = list(c.keys.cast(), c.key_count, MAX_LIST)?;
        let classes: &[[u8; 16]] = list(c.classes.cast(), c.class_count, MAX_LIST)?;
        let root = list(c.root, c.root_size, MAX_STATEMENT)?;
        let mut targets = Vec::new();
        for target in list(c.targets, c.target_count, MAX_LIST)? {
            targets.push((token(target.name)?, *target));
        }
        (c, c.storage.read(), keys, root, classes, targets, installed)
    };
    // SAFETY: by the contract above.
    let host = unsafe { Host::new(&functions) }.ok_or(Status::Argument)?;
    let is_twice = |(i, (name, _)): (usize, &(Token, _))| targets.iter().take(i).any(|(other, _)| other == name);
    let is_right = c.flags & !FLAGS == 0
        && !classes.is_empty()
        && !targets.is_empty()
        && !targets.iter().enumerate().any(is_twice)
        && c.random != [0; 32]
        && (c.flags & abi::HAS_WAVE == 0 || c.wave < 1000)
        && in_range(c.max_packet, 64, MOST_PACKET)
        && in_range(c.staging, STAGING, MOST_STAGING);
    if !is_right {
        return Err(Status::Argument);
    }
    let wave = u16::try_from(c.wave).ok().filter(|_| c.flags & abi::HAS_WAVE != 0);
    let vendor = Uuid(c.vendor);
    let settings = Settings {
        trust: trust(keys, c.threshold, root, vendor)?,
        vendor,
        classes: classes.iter().copied().map(Uuid).collect(),
        max_scratch: targets.iter().map(|(_, target)| target.max_scratch).collect(),
        targets: targets.into_iter().map(|(name, t)| session::Target { name, max_size: t.max_image }).collect(),
        hardware: (c.flags & abi::HAS_HARDWARE != 0).then_some(c.hardware),
        wave,
        max_packet: or(c.max_packet, MAX_PACKET),
        staging: or(c.staging, STAGING),
        built: c.built,
        installed: installed.first().map(|mark| Known {
            mark: Mark { sequence: mark.sequence, digest: mark.digest },
            security_version: mark.security_version,
        }),
        random: c.random,
        ignores_waves: c.flags & abi::IGNORE_WAVES != 0,
        trusts_clock: c.flags & abi::TRUST_CLOCK != 0,
        installs_stale: c.flags & abi::INSTALL_STALE != 0,
    };
    Ok((settings, host))
}

/// The trust of bare keys or of a root, of which there must be one.
fn trust(keys: &[[u8; 32]], threshold: u32, root: &[u8], vendor: Uuid) -> Result<Trust, Status> {
    if keys.is_empty() == root.is_empty() {
        return Err(Status::Argument);
    }
    if keys.is_empty() {
        let trust = Trust::from_root(root).or(Err(Status::Trust))?;
        let is_ours = trust.root().is_some_and(|root| root.vendor == vendor);
        return if is_ours { Ok(trust) } else { Err(Status::Trust) };
    }
    let threshold = u8::try_from(threshold).or(Err(Status::Trust))?;
    let keys = keys.iter().map(|&key| PublicKey::from_bytes(key)).collect::<Result<_, _>>().or(Err(Status::Trust))?;
    TrustedKeys::new(keys, threshold).map(Trust::from).or(Err(Status::Trust))
}

/// Whether a number is in a range, or left out.
fn in_range(value: u32, least: u32, most: u32) -> bool {
    value == 0 || (least..=most).contains(&value)
}

/// A number, or another if it is left out.
fn or(value: u32, default: u32) -> usize {
    if value == 0 { default as usize } else { value as usize }
}
