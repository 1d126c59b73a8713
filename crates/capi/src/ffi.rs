//! The functions of `fleetcast.h`, which documents them.
//!
//! Each checks what it is given as far as that can be checked, and then calls safe code. Panics do not leave them: where they unwind they become
//! [`Status::Internal`], and release builds abort.
#![expect(unsafe_code, reason = "callers hand in pointers")]
#![expect(
    clippy::missing_safety_doc,
    reason = "the header says what each pointer must be; it is the contract of every function here"
)]

mod arguments;
mod handle;

use std::ffi::{CStr, c_char};

use crate::abi::{self, Component, Config, Counter, Info, NAME, Status};
use crate::device::{Device, Error};
use crate::host::Host;
use crate::record::Known;
use arguments::{bytes, fill, settings};
pub use handle::Handle;
use handle::{with, with_time};

/// Version of the interface that the library has.
#[unsafe(no_mangle)]
pub const extern "C" fn fc_abi_version() -> u32 {
    abi::ABI
}

/// Version of the library, such as `0.1.0`.
#[unsafe(no_mangle)]
pub const extern "C" fn fc_version() -> *const c_char {
    const VERSION: &[u8] = concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes();
    VERSION.as_ptr().cast()
}

/// What a status means, for people.
#[unsafe(no_mangle)]
pub extern "C" fn fc_status_text(status: i32) -> *const c_char {
    let known = Status::ALL.into_iter().find(|known| *known as i32 == status);
    known.map_or(c"not a status of this library" as &CStr, Status::text).as_ptr()
}

/// Makes a receiver.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fc_receiver_create(config: *const Config, now_ms: u64, receiver: *mut *mut Handle) -> i32 {
    if receiver.is_null() || !receiver.is_aligned() {
        return Status::Argument as i32;
    }
    // SAFETY: not null, aligned, and by the header a place for a pointer.
    unsafe { receiver.write(std::ptr::null_mut()) };
    let made = handle::guarded(|| {
        // SAFETY: by the header `config` and all it points at is as its fields say.
        let (settings, host): (_, Host) = unsafe { settings(config) }?;
        Ok(Box::into_raw(Box::new(Handle::new(Device::open(settings, host).map_err(status)?, now_ms))))
    });
    match made {
        Err(status) => status as i32,
        Ok(made) => {
            // SAFETY: as above.
            unsafe { receiver.write(made) };
            Status::Ok as i32
        }
    }
}

/// Ends a receiver.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fc_receiver_destroy(receiver: *mut Handle) -> i32 {
    // SAFETY: by the header it is a receiver that has not been destroyed, or null.
    unsafe { handle::destroy(receiver) as i32 }
}

/// Takes a datagram.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fc_receiver_datagram(
    receiver: *mut Handle,
    now_ms: u64,
    address: *const u8,
    address_len: usize,
    datagram: *const u8,
    datagram_len: usize,
) -> i32 {
    // SAFETY: by the header both are as long as is said, and `receiver` is one.
    unsafe {
        with_time(receiver, now_ms, |device, now| {
            let source = source(bytes(address, address_len)?)?;
            let datagram = bytes(datagram, datagram_len)?;
            device.handle_datagram(now, source, datagram).map_err(status)
        })
    }
}

/// Does what time asks for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fc_receiver_tick(receiver: *mut Handle, now_ms: u64, unix_s: u64) -> i32 {
    // SAFETY: by the header.
    unsafe { with_time(receiver, now_ms, |device, now| device.tick(now, clock(unix_s)).map_err(status)) }
}

/// Proves a complete release.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fc_receiver_prove(receiver: *mut Handle, now_ms: u64, unix_s: u64, wait_s: *mut u64) -> i32 {
    // SAFETY: by the header.
    unsafe {
        with_time(receiver, now_ms, |device, now| {
            let proven = device.prove(now, clock(unix_s));
            if !wait_s.is_null() && wait_s.is_aligned() {
                wait_s.write(if let Err(Error::Wait(seconds)) = proven { seconds } else { 0 });
            }
            proven.map_err(status)
        })
    }
}

/// Notes a trial.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fc_receiver_start_trial(receiver: *mut Handle) -> i32 {
    // SAFETY: by the header.
    unsafe { with(receiver, |device| device.start_trial().map_err(status)) }
}

/// Notes an install.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fc_receiver_commit(receiver: *mut Handle) -> i32 {
    // SAFETY: by the header.
    unsafe { with(receiver, |device| device.commit().map_err(status)) }
}

/// Notes that a release is given up.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fc_receiver_give_up(receiver: *mut Handle) -> i32 {
    // SAFETY: by the header.
    unsafe { with(receiver, |device| device.give_up().map_err(status)) }
}

/// Makes all that was received durable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fc_receiver_flush(receiver: *mut Handle) -> i32 {
    // SAFETY: by the header.
    unsafe { with(receiver, |device| device.flush().map_err(status)) }
}

/// Tells where a receiver is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fc_receiver_info(receiver: *mut Handle, info: *mut Info) -> i32 {
    // SAFETY: by the header.
    unsafe { with(receiver, |device| fill(info, |size| Info { struct_size: size, ..info_of(device) })) }
}

/// Tells of a component.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fc_receiver_component(receiver: *mut Handle, index: u32, component: *mut Component) -> i32 {
    // SAFETY: by the header.
    unsafe {
        with(receiver, |device| {
            let number = u8::try_from(index).or(Err(Status::End))?;
            let target = device.target(number).ok_or(Status::End)?;
            let release = device.release().and_then(|release| release.components.get(usize::from(number)));
            let c = release.ok_or(Status::End)?;
            let (size, name) = (c.geometry.size(), abi::chars(c.name.as_str()));
            fill(component, |struct_size| Component { struct_size, target, size, sha256: c.sha256, name })
        })
    }
}

/// Tells a cause and how many datagrams were dropped for it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn fc_receiver_counter(receiver: *mut Handle, index: u32, counter: *mut Counter) -> i32 {
    // SAFETY: by the header.
    unsafe {
        with(receiver, |device| {
            let (code, count) = device.counters().dropped().nth(index as usize).ok_or(Status::End)?;
            fill(counter, |struct_size| Counter { struct_size, reserved: 0, count, code: abi::chars(code) })
        })
    }
}

fn info_of(device: &Device<Host>) -> Info {
    let progress = device.progress();
    let release = device.release();
    let of_release = || release.map(crate::keeper::known);
    let known: Option<Known> = of_release().or(device.record().trial);
    let version = release.map_or([0; NAME], |release| abi::chars(release.version.as_str()));
    Info {
        struct_size: 0,
        phase: device.phase() as i32,
        sequence: known.map_or(0, |known| known.mark.sequence),
        installed_sequence: device.record().installed.map_or(0, |known| known.mark.sequence),
        chunks_needed: progress.map_or(0, |progress| progress.needed),
        chunks_have: progress.map_or(0, |progress| progress.have),
        datagrams: device.counters().datagrams,
        security_version: known.map_or(0, |known| known.security_version),
        component_count: release.map_or(0, |release| u32::try_from(release.components.len()).unwrap_or_default()),
        root_version: device.root().into(),
        reserved: 0,
        digest: known.map_or([0; 32], |known| known.mark.digest),
        version,
        freshness: abi::chars(device.freshness().code()),
    }
}

/// A clock that shows 0 is none.
fn clock(unix_s: u64) -> Option<u64> {
    (unix_s > 0).then_some(unix_s)
}

/// The number of a sender's address, of IPv4 or IPv6.
fn source(address: &[u8]) -> Result<u64, Status> {
    match *address {
        [a, b, c, d] => Ok(u32::from_be_bytes([a, b, c, d]).into()),
        // Who has one address mostly has all of its network of 64 bits.
        [a, b, c, d, e, f, g, h, ..] if address.len() == 16 => Ok(u64::from_be_bytes([a, b, c, d, e, f, g, h])),
        _ => Err(Status::Argument),
    }
}

const fn status(error: Error) -> Status {
    match error {
        Error::Phase => Status::Phase,
        Error::Storage(_) => Status::Storage,
        Error::Damaged => Status::Damaged,
        Error::Mismatch => Status::Mismatch,
        Error::Wait(_) => Status::Wait,
    }
}
