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
    static REQUESTED: Flag<u64> = const { Flag::new(0) };
    static HELD: Flag<i64> = const { Flag::new(0) };
}

struct Counting;

/// A block of so many bytes is taken, in place of one of so many.
fn count(new: usize, old: usize) {
    // Blocks of 2^63 bytes are none that an allocator is asked for.
    let _ = REQUESTED.try_with(|n| n.set(n.get() + new as u64));
    let _ = HELD.try_with(|n| n.set(n.get() + new as i64 - old as i64));
}

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = TAKEN.try_with(|n| n.set(n.get() + 1));
        count(layout.size(), 0);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let _ = TAKEN.try_with(|n| n.set(n.get() + 1));
        count(size, layout.size());
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

/// How many bytes this thread asks for in `f`; a block that grows counts anew.
pub fn requested(f: impl FnOnce()) -> u64 {
    let before = REQUESTED.get();
    f();
    REQUESTED.get() - before
}

/// How many bytes this thread has asked for and not given back.
pub fn held() -> i64 {
    HELD.get()
}

suite::on!(epoll: allocations, allocations_in_process);
suite::on!(poll: allocations, allocations_in_process);

#[cfg(feature = "net")]
mod net {
    use crate::suite;

    suite::on!(epoll: allocations_stream);
    suite::on!(poll: allocations_stream);
}

#[cfg(feature = "http-server")]
mod http {
    use crate::suite;

    suite::on!(epoll: allocations_http);
    suite::on!(poll: allocations_http);
}

#[cfg(feature = "websocket")]
mod websocket {
    use crate::suite;

    suite::on!(epoll: allocations_websocket);
    suite::on!(poll: allocations_websocket);
}
