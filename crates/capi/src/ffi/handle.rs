//! A receiver as C holds it: safe against calls from two threads at once, and from its own callbacks.

use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use fleetcast_core::time::Instant;

use crate::abi::Status;
use crate::device::Device;
use crate::host::Host;

/// It.
#[derive(Debug)]
pub struct Handle {
    is_busy: AtomicBool,
    inner: UnsafeCell<Inner>,
}

#[derive(Debug)]
struct Inner {
    device: Device<Host>,
    /// Of the caller's clock, when it was made.
    origin_ms: u64,
    /// Why it can no longer be used.
    dead: Option<Status>,
}

impl Handle {
    pub(super) const fn new(device: Device<Host>, origin_ms: u64) -> Self {
        Self { is_busy: AtomicBool::new(false), inner: UnsafeCell::new(Inner { device, origin_ms, dead: None }) }
    }
}

/// Has `work` done with the device, unless it is in use or of no more use.
///
/// # Safety
///
/// `handle` is null, or was made by `fc_receiver_create` and not destroyed.
pub(super) unsafe fn with(handle: *mut Handle, work: impl FnOnce(&mut Device<Host>) -> Result<(), Status>) -> i32 {
    // SAFETY: by the contract above.
    unsafe { with_time(handle, 0, |device, _| work(device)) }
}

/// The same, with what `now_ms` of the caller's clock is for the device.
///
/// # Safety
///
/// As [`with`].
pub(super) unsafe fn with_time(
    handle: *mut Handle,
    now_ms: u64,
    work: impl FnOnce(&mut Device<Host>, Instant) -> Result<(), Status>,
) -> i32 {
    // SAFETY: by the contract above. The reference is shared: a callback may make another.
    let Some(handle) = (unsafe { handle.as_ref() }) else { return Status::Argument as i32 };
    if handle.is_busy.swap(true, Ordering::Acquire) {
        return Status::Busy as i32;
    }
    // SAFETY: `is_busy` was false and is true until the end, so this is the only reference to what is inside.
    let inner = unsafe { &mut *handle.inner.get() };
    let done = match inner.dead {
        Some(status) => Err(status),
        None => guarded(|| work(&mut inner.device, since(inner.origin_ms, now_ms))),
    };
    if let Err(status @ (Status::Storage | Status::Internal)) = done {
        inner.dead = Some(status);
    }
    handle.is_busy.store(false, Ordering::Release);
    done.map_or_else(|status| status as i32, |()| Status::Ok as i32)
}

/// Ends a receiver that is not in use.
///
/// # Safety
///
/// As [`with`].
pub(super) unsafe fn destroy(handle: *mut Handle) -> Status {
    // SAFETY: by the contract above.
    let Some(shared) = (unsafe { handle.as_ref() }) else { return Status::Ok };
    if shared.is_busy.swap(true, Ordering::Acquire) {
        return Status::Busy;
    }
    // SAFETY: it came from `Box::into_raw`, and nobody uses it.
    drop(unsafe { Box::from_raw(handle) });
    Status::Ok
}

/// A device's time begins when it is made.
const fn since(origin_ms: u64, now_ms: u64) -> Instant {
    Instant::from_micros(now_ms.saturating_sub(origin_ms).saturating_mul(1000))
}

/// Does `work`; a panic becomes a status.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, Status>) -> Result<T, Status> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(Status::Internal))
}
