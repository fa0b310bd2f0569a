//! Bytes per started timer and per started io watcher, by what was asked of the allocator and by
//! what became resident. Closures capture nothing; an io watcher's figure holds its source (a
//! socket, 4 bytes) but nothing that the kernel keeps for it.
//!
//! Not a matter of time, so a plain program: `cargo bench --bench memory`.

// Printing is what it is for.
#![allow(clippy::print_stdout)]

#[path = "descriptors/mod.rs"]
mod descriptors;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use evloop::{EvLoop, Interest, Run};

/// Bytes that are allocated and not yet freed.
static LIVE: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LIVE.fetch_add(size, Relaxed);
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes of this process that are in memory now.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc is mounted");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line of it");
    let kilobytes = line.split_whitespace().next().and_then(|number| number.parse::<usize>().ok());
    kilobytes.expect("a number") * 1024
}

/// Prints what `build` adds to a loop, per piece.
fn report(what: &str, pieces: usize, build: impl FnOnce(&mut EvLoop)) {
    let mut ev = EvLoop::new().expect("a loop");
    let (live, pages) = (LIVE.load(Relaxed), resident());
    build(&mut ev);
    // What was put off until the wait, such as a registration, belongs to it.
    ev.run_mode(Run::NoWait).expect("a pass");
    let per_piece =
        |after: usize, before: usize| after.saturating_sub(before) as f64 / pieces as f64;
    let (allocated, resident) = (per_piece(LIVE.load(Relaxed), live), per_piece(resident(), pages));
    println!("{pieces:>9} {what:<12} {allocated:>8.1} {resident:>8.1}");
    // Memory given back would be taken again by the next one and not be seen there.
    std::mem::forget(ev);
}

fn timers(count: usize) {
    report("timers", count, |ev| {
        for n in 0..count {
            let after = Duration::from_secs(3600) + Duration::from_micros(n as u64);
            ev.timer(after, Duration::ZERO, |_, _| {}).start(ev);
        }
    });
}

fn io_watchers(count: usize) {
    let sockets = descriptors::quiet(count);
    report("io watchers", count, |ev| {
        for socket in sockets {
            ev.io(socket, Interest::READ, |_, _| {}).start(ev).expect("a started watcher");
        }
    });
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let given = |flag: &str| args.iter().any(|arg| arg == flag);
    // As the other benches do: a name on the command line chooses, and without `--bench` (that is,
    // in `cargo test`) or with `--test` it is only shown that this works.
    if args.iter().any(|arg| !arg.starts_with('-') && !"memory".contains(arg.as_str())) {
        return;
    }
    let quick = given("--test") || !given("--bench");

    println!("{:>9} {:<12} {:>8} {:>8}", "bytes per", "watcher", "asked", "resident");
    if quick {
        io_watchers(100);
        timers(10_000);
        return;
    }
    // A vector that doubles is full at a power of two, so there `asked` is the size of what a
    // watcher needs; elsewhere it holds the spare room as well, which is not resident.
    let limit = descriptors::raise_limit();
    for count in [8_192, 9_000] {
        if count + 100 <= limit {
            io_watchers(count);
        } else {
            println!("{count:>9} io watchers: the limit of descriptors is {limit}");
        }
    }
    timers(1 << 20);
    timers(1_000_000);
}
