//! Storage by the caller's functions.
#![expect(unsafe_code, reason = "they are behind pointers, and so is what they are given")]

use std::ffi::c_void;

use crate::abi::{self, Functions};
use crate::storage::{Area, Event, Fault, Item, Room, Storage};

/// What `prepare` and `load` return for what is no failure.
const NONE: i32 = 1;

/// The caller's functions, all of them there.
#[derive(Debug)]
pub struct Host {
    context: *mut c_void,
    load: unsafe extern "C" fn(*mut c_void, i32, *mut u8, usize, *mut usize) -> i32,
    save: unsafe extern "C" fn(*mut c_void, i32, *const u8, usize) -> i32,
    prepare: unsafe extern "C" fn(*mut c_void, *const abi::Room, usize, i32) -> i32,
    read: unsafe extern "C" fn(*mut c_void, i32, u32, u64, *mut u8, usize) -> i32,
    write: unsafe extern "C" fn(*mut c_void, i32, u32, u64, *const u8, usize) -> i32,
    flush: unsafe extern "C" fn(*mut c_void) -> i32,
    event: Option<unsafe extern "C" fn(*mut c_void, *const abi::Event)>,
}

impl Host {
    /// These functions; `None` if one is missing.
    ///
    /// # Safety
    ///
    /// They do what the header says, as long as this lives.
    pub(crate) unsafe fn new(functions: &Functions) -> Option<Self> {
        let Functions { context, load, save, prepare, read, write, flush, event, .. } = *functions;
        Some(Self {
            context,
            load: load?,
            save: save?,
            prepare: prepare?,
            read: read?,
            write: write?,
            flush: flush?,
            event,
        })
    }
}

impl Storage for Host {
    fn load(&mut self, item: Item, most: usize) -> Result<Option<Vec<u8>>, Fault> {
        let (mut bytes, mut len) = (vec![0; most], 0);
        // SAFETY: the function writes at most `most` octets to `bytes` and one length, both of which outlive the call.
        let result = unsafe { (self.load)(self.context, item as i32, bytes.as_mut_ptr(), most, &raw mut len) };
        match result {
            0 if len == 0 => Ok(None),
            0 if len <= most => {
                bytes.truncate(len);
                Ok(Some(bytes))
            }
            NONE => Ok(None),
            other => Err(Fault(other)),
        }
    }

    fn save(&mut self, item: Item, bytes: &[u8]) -> Result<(), Fault> {
        // SAFETY: pointer and length are those of `bytes`, which outlives the call; the function only reads it.
        check(unsafe { (self.save)(self.context, item as i32, bytes.as_ptr(), bytes.len()) })
    }

    fn prepare(&mut self, rooms: &[Room], is_resumed: bool) -> Result<bool, Fault> {
        let room = |room: &Room| abi::Room {
            target: room.target,
            reserved: 0,
            image_size: room.image,
            scratch_size: room.scratch,
        };
        let rooms: Vec<_> = rooms.iter().map(room).collect();
        // SAFETY: pointer and count are those of `rooms`, which outlives the call; the function only reads it.
        match unsafe { (self.prepare)(self.context, rooms.as_ptr(), rooms.len(), is_resumed.into()) } {
            NONE => Ok(false),
            result => check(result).map(|()| true),
        }
    }

    fn read(&mut self, area: Area, target: u32, offset: u64, buf: &mut [u8]) -> Result<(), Fault> {
        // SAFETY: the function writes to `buf`, within its length, and `buf` outlives the call.
        check(unsafe { (self.read)(self.context, area as i32, target, offset, buf.as_mut_ptr(), buf.len()) })
    }

    fn write(&mut self, area: Area, target: u32, offset: u64, bytes: &[u8]) -> Result<(), Fault> {
        // SAFETY: pointer and length are those of `bytes`, which outlives the call; the function only reads it.
        check(unsafe { (self.write)(self.context, area as i32, target, offset, bytes.as_ptr(), bytes.len()) })
    }

    fn flush(&mut self) -> Result<(), Fault> {
        // SAFETY: it is given nothing but its own context.
        check(unsafe { (self.flush)(self.context) })
    }

    fn tell(&mut self, event: Event) {
        let Some(function) = self.event else { return };
        let event =
            abi::Event { kind: event.kind as i32, reserved: 0, number: event.number, code: abi::chars(event.code) };
        // SAFETY: the event outlives the call, and the function only reads it.
        unsafe { function(self.context, &raw const event) };
    }
}

const fn check(result: i32) -> Result<(), Fault> {
    if result == 0 { Ok(()) } else { Err(Fault(result)) }
}
