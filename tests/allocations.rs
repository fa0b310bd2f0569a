//! In steady state an event costs no heap allocation: proven with an allocator that counts, per
//! thread, so that the tests do not disturb each other.

#![allow(clippy::unwrap_used)]

#[path = "suite/sockets.rs"]
mod sockets;
mod suite;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell as Flag;

thread_local! {
    static TAKEN: Flag<u64> = const { Flag::new(0) };
}

struct Counting;

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = TAKEN.try_with(|n| n.set(n.get() + 1));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let _ = TAKEN.try_with(|n| n.set(n.get() + 1));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Turns until every queue has been as long as it will be: timers of 1 to 10 ms are all due at once
/// every 2520 ms.
pub const WARM_UP: usize = 2600;

/// How many allocations this thread makes in `f`.
pub fn allocations(f: impl FnOnce()) -> u64 {
    let before = TAKEN.get();
    f();
    TAKEN.get() - before
}

suite::on!(epoll: allocations, allocations_in_process);
suite::on!(poll: allocations, allocations_in_process);
