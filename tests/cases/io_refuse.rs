// Descriptors that cannot be watched, and descriptors closed under the loop (loop.md 3.1,
// reliability.md 4). Numbers are borrowed, because std aborts on a double close.

use crate::sockets::*;
use std::os::fd::{AsRawFd, BorrowedFd, IntoRawFd, RawFd};
use std::os::unix::net::UnixStream;

fn borrowed(number: RawFd) -> BorrowedFd<'static> {
    // SAFETY: not sound in general, which is the point: what a careless program does. Nothing
    // here reads or writes through it.
    unsafe { BorrowedFd::borrow_raw(number) }
}

/// A pass that does not verify: a closed descriptor is what `verify` complains about.
fn look(ev: &mut EvLoop) {
    ev.run_mode(Run::NoWait).expect("a pass");
}

fn close(number: RawFd) {
    // SAFETY: the number belongs to the calling test alone, and nobody else closes it.
    assert_eq!(unsafe { libc::close(number) }, 0);
}

#[test]
fn numbers_near_int_max_and_closed_ones_fail_cleanly_at_start() {
    let mut ev = ev();
    let log = Log::new();
    let (_io, _near, far) = reader(&mut ev, &log, "served");
    let closed = number();
    for n in [i32::MAX, i32::MAX - 1, i32::MAX / 2, 1 << 24, closed] {
        let io = ev.io(borrowed(n), Interest::READ, |_, _| panic!("told of nothing"));
        let error = io.start(&mut ev).expect_err("a number that names nothing");
        assert_eq!(error.kind(), ErrorKind::Register, "{n}");
        assert_eq!(error.raw_os_error(), Some(libc::EBADF), "{n}");
        assert!(io.exists(&ev) && !io.is_active(&ev) && !io.is_pending(&ev));
        ev.verify();
        assert_eq!(io.into_source::<BorrowedFd<'static>>(&mut ev).unwrap().as_raw_fd(), n);
        let io = ev.io(borrowed(n), Interest::READ, |_, _| panic!("told of nothing"));
        assert!(io.start_or_free(&mut ev).is_err());
        assert!(!io.exists(&ev), "start_or_free leaves nothing behind");
        put(&far);
        pass(&mut ev);
        assert_eq!(log.take(), ["served"]);
    }
}

#[test]
fn once_on_a_number_that_names_nothing_is_an_error_and_never_calls() {
    let mut ev = ev();
    let once = ev.once(borrowed(i32::MAX), Interest::READ, Some(ZERO), |_, _, _| panic!("called"));
    assert_eq!(once.unwrap_err().kind(), ErrorKind::Register);
    assert!(!ev.run().unwrap(), "its time-out is gone too");
    assert!(ev.watchers().is_empty());
    ev.verify();
}

#[test]
fn a_borrowed_descriptor_is_watched_like_an_owned_one() {
    let mut ev = ev();
    let told = Told::new();
    let n = number();
    let (near, far) = pair();
    let near = moved(near, n);
    let io = ev.io(borrowed(n), Interest::READ, tells(&told, "x"));
    io.start(&mut ev).unwrap();
    put(&far);
    pass(&mut ev);
    assert_eq!(told.take(), [("x", READ)]);
    io.free(&mut ev);
    put(&far);
    assert_eq!(drain(&UnixStream::from(near)), 2, "free does not close what it borrowed");
}

#[test]
fn a_descriptor_closed_under_the_loop_disturbs_nobody_else() {
    if !in_child(module_path!(), "a_descriptor_closed_under_the_loop_disturbs_nobody_else") {
        return;
    }
    for stopped_first in [false, true] {
        let (mut ev, clock) = ev_with_clock();
        let (log, told) = (Log::new(), Told::new());
        let (_io, _near, far) = reader(&mut ev, &log, "served");
        let (near, far_of_closed) = pair();
        let n = near.into_raw_fd();
        let io = ev.io(borrowed(n), Interest::READ, {
            let told = told.clone();
            move |ev, e: IoEvent<'_, BorrowedFd<'static>>| {
                assert!(!e.watcher.is_active(ev), "stopped before it is told");
                told.push(("closed", e.ready));
            }
        });
        io.start(&mut ev).unwrap();
        look(&mut ev);
        if stopped_first {
            io.stop(&mut ev);
        }
        close(n);
        drop(far_of_closed);
        let waits = waits(&mut ev);
        ev.after(secs(1), |ev| ev.break_loop(Break::One));
        ev.run().unwrap();
        assert_eq!(clock.elapsed(), secs(1));
        assert!(waits.get() <= 3, "{} waits", waits.get());
        let error = Events::ERROR | READ | WRITE;
        match (stopped_first, NAME) {
            (false, "poll") => assert_eq!(told.take(), [("closed", error)]),
            // epoll says nothing at all; the next change of that descriptor finds out.
            (false, _) => {
                assert_eq!(told.take(), []);
                let changed = io.set_interest(&mut ev, Interest::WRITE);
                look(&mut ev);
                let told = told.take();
                assert!(
                    changed.is_err() || told == [("closed", error)],
                    "{changed:?} and {told:?}",
                );
                assert!(!io.is_active(&ev));
            }
            (true, _) => {
                assert_eq!(told.take(), []);
                let started = io.start(&mut ev);
                look(&mut ev);
                let told = told.take();
                assert!(
                    // A restart of a known descriptor asks epoll nothing.
                    started.is_err() || NAME == "epoll" || told == [("closed", error)],
                    "{started:?} and {told:?}",
                );
                assert!(NAME == "epoll" || !io.is_active(&ev));
            }
        }
        put(&far);
        look(&mut ev);
        assert_eq!(log.take(), ["served"]);
        io.free(&mut ev);
        put(&far);
        look(&mut ev);
        assert_eq!(log.take(), ["served"]);
    }
}

#[test]
fn verify_names_a_descriptor_that_was_closed_under_the_loop() {
    if !in_child(module_path!(), "verify_names_a_descriptor_that_was_closed_under_the_loop") {
        return;
    }
    let mut ev = ev();
    let (near, _far) = pair();
    let n = near.into_raw_fd();
    let io = ev.io(borrowed(n), Interest::READ, quiet);
    io.start(&mut ev).unwrap();
    look(&mut ev);
    ev.verify();
    close(n);
    let complaint = panic_of(|| ev.verify()).expect("a complaint");
    assert!(complaint.contains(&format!("descriptor {n} was closed")), "{complaint}");
    io.free(&mut ev);
    ev.verify();
}

#[test]
fn all_watchers_of_a_closed_descriptor_are_stopped_and_told_each_once() {
    if !in_child(
        module_path!(),
        "all_watchers_of_a_closed_descriptor_are_stopped_and_told_each_once",
    ) {
        return;
    }
    both_ways(ev, |ev| {
        let told = Told::new();
        let (near, _far) = pair();
        let n = near.into_raw_fd();
        let ios = ["a", "b", "c"].map(|name| {
            let interest = if name == "b" { Interest::WRITE } else { Interest::READ };
            ev.io(borrowed(n), interest, tells(&told, name))
        });
        for io in ios {
            io.start(ev).unwrap();
        }
        look(ev);
        told.take();
        close(n);
        // A change of the descriptor: the wait (poll) or the change (epoll) meets EBADF.
        let refused = ios[0].set_interest(ev, Interest::PRIORITY).is_err();
        look(ev);
        look(ev);
        let error = Events::ERROR | READ | WRITE;
        let told = told.take();
        let expected = [("a", error), ("b", error), ("c", error)];
        assert!(told == expected || refused && told == expected[1..], "{told:?}");
        assert!(ios.iter().all(|io| !io.is_active(ev) && io.exists(ev)));
        for io in ios {
            io.free(ev);
        }
        ev.verify();
    });
}

#[test]
fn a_number_closed_under_the_loop_and_used_again_belongs_to_the_new_watcher() {
    if !in_child(
        module_path!(),
        "a_number_closed_under_the_loop_and_used_again_belongs_to_the_new_watcher",
    ) {
        return;
    }
    let mut ev = ev();
    let told = Told::new();
    let n = number();
    let (near, far) = pair();
    place(&near, n);
    // `near` lives on: under epoll its registration under `n` becomes a ghost.
    let old = ev.io(borrowed(n), Interest::READ, tells(&told, "old"));
    old.start(&mut ev).unwrap();
    look(&mut ev);
    close(n);
    old.free(&mut ev);
    let (fresh, fresh_far) = pair();
    place(fresh, n);
    ev.io(borrowed(n), Interest::READ, tells(&told, "new")).start(&mut ev).unwrap();
    put(&far);
    for _ in 0..4 {
        look(&mut ev);
    }
    assert_eq!(told.take(), [], "the ghost is not heard");
    put(&fresh_far);
    look(&mut ev);
    assert_eq!(told.take(), [("new", READ)]);
}

#[test]
fn a_ghost_is_exorcised_and_does_not_spin() {
    if !in_child(module_path!(), "a_ghost_is_exorcised_and_does_not_spin") {
        return;
    }
    // Closed without a stop while a duplicate lives: epoll keeps reporting the old number, and it
    // cannot be removed by number. Freed then: the registration is nobody's.
    let (mut ev, clock) = ev_with_clock();
    let (log, told) = (Log::new(), Told::new());
    let (_io, _near, served) = reader(&mut ev, &log, "served");
    let (near, far) = pair();
    let n = number();
    place(&near, n);
    let io = ev.io(borrowed(n), Interest::READ, tells(&told, "ghost"));
    io.start(&mut ev).unwrap();
    look(&mut ev);
    close(n);
    io.free(&mut ev);
    put(&far);
    let waits = waits(&mut ev);
    ev.after(secs(1), |ev| ev.break_loop(Break::One));
    ev.run().unwrap();
    assert_eq!((clock.elapsed(), told.take()), (secs(1), vec![]));
    assert!(waits.get() <= 3, "{} waits", waits.get());
    put(&served);
    look(&mut ev);
    assert_eq!(log.take(), ["served"], "a rebuild keeps the others");
    drop(near);
}

#[test]
fn freeing_and_stopping_watchers_of_closed_descriptors_is_harmless() {
    if !in_child(module_path!(), "freeing_and_stopping_watchers_of_closed_descriptors_is_harmless")
    {
        return;
    }
    let mut ev = ev();
    for verb in ["stop", "free", "into_source", "none", "drop"] {
        let (near, _far) = pair();
        let n = near.into_raw_fd();
        let io = ev.io(borrowed(n), Interest::READ, quiet);
        io.start(&mut ev).unwrap();
        look(&mut ev);
        close(n);
        match verb {
            "stop" => assert!(io.stop(&mut ev)),
            "free" => assert!(io.free(&mut ev)),
            "into_source" => assert!(io.into_source::<BorrowedFd<'static>>(&mut ev).is_some()),
            "none" => drop(io.set_interest(&mut ev, Interest::NONE)),
            _ => {}
        }
        for _ in 0..3 {
            look(&mut ev);
        }
    }
}
