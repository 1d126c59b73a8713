//! How much memory the program takes: a heap that counts, and a stack that is painted.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::RefCell;
use core::fmt::{self, Write};
use core::mem::MaybeUninit;
use core::ptr::{self, NonNull, addr_of};

use linked_list_allocator::Heap;

/// Octets that the heap may grow to. The stack has what is left of the memory.
const HEAP: usize = 16 << 10;
/// What the stack has not reached yet.
const PAINT: u32 = 0xA5C3_5A3C;

static mut SPACE: [MaybeUninit<u8>; HEAP] = [MaybeUninit::uninit(); HEAP];

#[global_allocator]
static ALLOCATOR: Counting = Counting(RefCell::new(Used { heap: Heap::empty(), peak: 0 }));

struct Counting(RefCell<Used>);

struct Used {
    heap: Heap,
    peak: usize,
}

// SAFETY: the program has one thread, and no interrupt handler that allocates.
unsafe impl Sync for Counting {}

// SAFETY: memory comes from `Heap`, which keeps what `GlobalAlloc` asks for.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let used = &mut *self.0.borrow_mut();
        let place = used.heap.allocate_first_fit(layout).map_or(ptr::null_mut(), NonNull::as_ptr);
        used.peak = used.peak.max(used.heap.used());
        place
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        if let Some(place) = NonNull::new(place) {
            // SAFETY: it is from `alloc`, with this layout.
            unsafe { self.0.borrow_mut().heap.deallocate(place, layout) };
        }
    }
}

unsafe extern "C" {
    static __sdata: u32;
    static __edata: u32;
    static __sidata: u32;
    static __ebss: u32;
    static __sheap: u32;
    static _stack_start: u32;
}

fn end_of_statics() -> usize {
    addr_of!(__sheap) as usize
}

/// Paints the stack and gives the heap its space. Must come first.
pub(crate) fn start() {
    let here = 0_u32;
    // Below this frame, and that of the calls made here.
    let end = addr_of!(here) as usize - 256;
    for at in (end_of_statics()..end).step_by(4) {
        // SAFETY: between the statics and this frame there is memory that nothing uses.
        unsafe { ptr::write_volatile(at as *mut u32, PAINT) };
    }
    // SAFETY: nothing else refers to `SPACE`, and this function is called once.
    unsafe { ALLOCATOR.0.borrow_mut().heap.init(ptr::addr_of_mut!(SPACE).cast(), HEAP) };
}

/// Octets of the stack that were used, at most.
fn stack_peak() -> usize {
    let top = addr_of!(_stack_start) as usize;
    // SAFETY: as in `start`; the stack is read as plain words.
    let is_painted = |at: &usize| unsafe { ptr::read_volatile(*at as *const u32) } == PAINT;
    let untouched = (end_of_statics()..top).step_by(4).take_while(is_painted).count();
    top - end_of_statics() - 4 * untouched
}

/// Prints what was used, in octets.
pub(crate) fn report(out: &mut impl Write) -> fmt::Result {
    let data = addr_of!(__edata) as usize - addr_of!(__sdata) as usize;
    let statics = addr_of!(__ebss) as usize - addr_of!(__sdata) as usize - HEAP;
    let (heap, stack) = (ALLOCATOR.0.borrow().peak, stack_peak());
    writeln!(out, "flash {}", addr_of!(__sidata) as usize + data)?;
    writeln!(out, "statics {statics}\nheap {heap}\nstack {stack}\nram {}", statics + heap + stack)
}
