//! What connections over TLS hold in memory, counted by an allocator, per thread.

#![allow(clippy::unwrap_used)]

mod tls;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use evloop::net::{Mode, TlsVersion};
use tls::{Authority, End, Pair, all, both_versions, ends};

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

fn count(more: usize, less: usize) {
    let _ = HELD.try_with(|n| n.set(n.get() + more as isize - less as isize));
}

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
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
        count(size, layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn an_idle_connection_holds_little_whatever_went_through_it() {
    const PAIRS: usize = 8;
    let authority = Authority::new();
    for version in both_versions() {
        let (client, server) = ends(&authority, version);
        let data = vec![7; 300_000];
        let pairs = || -> Vec<Pair> {
            let mut pairs: Vec<Pair> =
                (0..PAIRS).map(|_| Pair::connected(&client, &server)).collect();
            for pair in &mut pairs {
                pair.client.write(&data);
                pair.server.write(&data);
                pair.carry(64 * 1024);
                for end in [&mut pair.client, &mut pair.server] {
                    assert_eq!(all(&mut end.input).len(), data.len());
                    for buffer in
                        [&mut end.input, &mut end.output, &mut end.wire_in, &mut end.wire_out]
                    {
                        buffer.shrink();
                    }
                }
            }
            pairs
        };
        drop(pairs()); // sessions, and what is made once
        let before = HELD.get();
        let pairs = pairs();
        let each = (HELD.get() - before) / (2 * PAIRS) as isize;
        println!("{version}: {each} bytes for each end");
        assert!(each < 10_000, "{each}");
        drop(pairs);
    }
}

#[test]
fn a_handshake_that_never_ends_holds_no_more_than_its_limit() {
    let authority = Authority::new();
    let (_, server) = ends(&authority, TlsVersion::Tls13);
    // A hello of 60,000 bytes, in records of so many.
    for piece in [16_000, 100, 1] {
        let before = HELD.get();
        let mut end = End::new(server.filter());
        let mut hello = vec![1, 0, 0xea, 0x60];
        hello.resize(60_000, 0);
        let mut most = 0;
        for part in hello.chunks(piece) {
            let mut record = vec![22, 3, 1];
            record.extend((part.len() as u16).to_be_bytes());
            record.extend(part);
            end.receive(&record, Mode::Normal);
            most = most.max(HELD.get() - before);
        }
        println!("in records of {piece}: {most} bytes at most, {:?}", end.error);
        assert!(most < 300_000, "{most}");
    }
}
