//! Descriptors of the loop itself (R9): closed on exec, and given back. One test, so that nobody
//! else in this process opens or closes anything meanwhile.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::os::unix::net::UnixStream;

use evloop::{Backend, EvLoop, Interest, Run};

/// The numbers open in this process, without that of the listing itself.
fn open() -> BTreeSet<i32> {
    let listed = std::fs::read_dir("/proc/self/fd").unwrap();
    let numbers: Vec<i32> =
        listed.map(|e| e.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect();
    // SAFETY: a query of a flag.
    numbers.into_iter().filter(|n| unsafe { libc::fcntl(*n, libc::F_GETFD) } >= 0).collect()
}

#[test]
fn a_loop_opens_only_close_on_exec_descriptors_and_gives_all_of_them_back() {
    for backend in [Backend::Epoll, Backend::Poll] {
        let before = open();
        for round in 0..50 {
            let mut ev = EvLoop::builder().env(false).backend(backend).build().unwrap();
            for number in open().difference(&before) {
                // SAFETY: a query of a flag.
                let flags = unsafe { libc::fcntl(*number, libc::F_GETFD) };
                assert!(flags & libc::FD_CLOEXEC != 0, "{backend}: number {number}");
            }
            let most = if backend == Backend::Epoll { 2 } else { 1 };
            assert!(open().len() - before.len() <= most, "{backend}: at most {most} of its own");
            let (near, far) = UnixStream::pair().unwrap();
            let io = ev.io(near, Interest::WRITE, |_, _| {});
            io.start(&mut ev).unwrap();
            ev.run_mode(Run::NoWait).unwrap();
            let (_inbox, notifier) = ev.notifier(|_, _| {});
            let remote = ev.remote();
            if round % 2 == 0 {
                io.free(&mut ev);
            }
            drop(ev);
            // What survives the loop is inert and touches no descriptor that was its.
            assert!(!notifier.notify() && !remote.wake());
            drop((far, notifier, remote));
            assert_eq!(open(), before, "{backend}, round {round}");
        }
    }
}
