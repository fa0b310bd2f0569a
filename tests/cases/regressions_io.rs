// Io: batches, ghosts, numbers closed under the loop (loop.md 3.1), and what became of the host.

use crate::sockets::*;
use rustix::event::epoll;
use std::io::Write;
use std::os::fd::{BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

fn borrowed(number: RawFd) -> BorrowedFd<'static> {
    // SAFETY: not sound in general, which is the point: what a careless program does. Nothing
    // here reads or writes through it.
    unsafe { BorrowedFd::borrow_raw(number) }
}

fn close(number: RawFd) {
    // SAFETY: the number is one of `number()`, known to its test alone.
    assert_eq!(unsafe { libc::close(number) }, 0);
}

/// From now on more than `limit` waits are a failure. (A loop on a mock clock that spins never
/// sees its next timer.)
fn at_most(ev: &mut EvLoop, limit: usize) {
    let waits = Count::new();
    ev.on_wait(move || assert!(waits.up() <= limit, "more than {limit} waits: it spins"), || {});
}

/// Lets one second of loop time pass in a run of at most three waits.
fn rest(ev: &mut EvLoop) {
    at_most(ev, 3);
    ev.after(secs(1), |ev| ev.break_loop(Break::One));
    ev.run().unwrap();
    ev.on_wait(|| {}, || {});
}

/// A foreign loop that watches the descriptor of `ev`, if it has one.
fn host(ev: &EvLoop) -> Option<OwnedFd> {
    let fd = ev.backend_fd()?;
    let host = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    epoll::add(&host, fd, epoll::EventData::new_u64(1), epoll::EventFlags::IN).unwrap();
    Some(host)
}

/// Whether the host is told, right now, that the loop has something to do.
fn hears(host: &OwnedFd) -> bool {
    let mut events = Vec::with_capacity(4);
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    let room = rustix::buffer::spare_capacity(&mut events);
    epoll::wait(host, room, Some(&now)).unwrap() == 1
}

/// Two readable sockets; the watcher called first does `end` to the other, whose report is
/// outstanding. Then the host of the loop must still hear of a third one.
#[track_caller]
fn host_survives(end: fn(&mut EvLoop, Io)) {
    both_ways(ev, |ev| {
        let host = host(ev);
        let (keys, calls) = (Rc::new(RefCell::new(Vec::<Io>::new())), Count::new());
        let mut keep = Vec::new();
        for _ in 0..2 {
            let (near, far) = ready_pair();
            let (peers, up) = (Rc::clone(&keys), calls.clone());
            let io = ev.io(near, Interest::READ, move |ev, e| {
                up.up();
                drain(e.source);
                let others = peers.take();
                for peer in others.into_iter().filter(|peer| *peer != e.watcher) {
                    end(ev, peer);
                }
            });
            keys.borrow_mut().push(io.start(ev).unwrap());
            keep.push(far);
        }
        assert!(host.as_ref().is_none_or(hears));
        pass(ev);
        pass(ev);
        assert_eq!(calls.get(), 1, "the other was ended");
        let (told, (near, _far)) = (Told::new(), ready_pair());
        ev.io(near, Interest::READ, tells(&told, "third")).start(ev).unwrap();
        assert!(host.as_ref().is_none_or(hears), "the set is the one the host knows");
        pass(ev);
        assert_eq!(told.take(), [("third", READ)]);
    });
}

#[test]
fn freeing_a_peer_with_an_outstanding_report_leaves_the_kernels_set_alone() {
    host_survives(|ev, peer| assert!(peer.free(ev)));
}

#[test]
fn freeing_a_peer_and_watching_its_descriptor_anew_leaves_the_kernels_set_alone() {
    host_survives(|ev, peer| {
        let source = peer.into_source::<Rc<UnixStream>>(ev).unwrap();
        drain(&source);
        let again = Rc::clone(&*source);
        let io = ev.io(again, Interest::READ, |_, _| panic!("nothing new was said"));
        io.start(ev).unwrap();
    });
}

#[test]
fn freeing_a_peer_with_an_outstanding_report_before_a_nested_run_leaves_nobody_deaf() {
    both_ways(ev, |ev| {
        let (count, keys) = (Count::new(), Rc::new(RefCell::new(Vec::<Io>::new())));
        let mut keep = Vec::new();
        for _ in 0..2 {
            let (near, far) = ready_pair();
            let (up, peers) = (count.clone(), Rc::clone(&keys));
            let io = ev.io(near, Interest::READ, move |ev, e| {
                up.up();
                drain(e.source);
                for peer in peers.take() {
                    if peer != e.watcher {
                        peer.free(ev);
                    }
                }
                ev.after(secs(1), |ev| ev.break_loop(Break::One));
                ev.run().unwrap();
                ev.verify();
            });
            keys.borrow_mut().push(io.start(ev).unwrap());
            keep.push(far);
        }
        at_most(ev, 10);
        pass(ev);
        assert_eq!(count.get(), 1);
        for mut far in &keep {
            // Who was freed has closed its end.
            let _ = far.write(b"x");
        }
        pass(ev);
        assert_eq!(count.get(), 2, "the one that ran inside hears again");
    });
}

#[test]
fn a_ghost_met_in_a_nested_run_leaves_the_outer_watcher_hearing() {
    both_ways(ev, |ev| {
        let count = Count::new();
        let n = number();
        let (ghost, ghost_far) = pair();
        let _alive = ghost.try_clone().unwrap();
        let n = moved(ghost, n).into_raw_fd();
        let ghost = ev.io(borrowed(n), Interest::READ, |_, _| panic!("a ghost is not told"));
        ghost.set_ref(ev, false).start(ev).unwrap();
        let (near, far) = ready_pair();
        let up = count.clone();
        let io = ev.io(near, Interest::READ, move |ev, e| {
            drain(e.source);
            if up.up() == 1 {
                // Closed first and freed after: the kernel goes on reporting the duplicate.
                close(n);
                ghost.free(ev);
                put(&ghost_far);
                ev.after(secs(1), |ev| ev.break_loop(Break::One));
                ev.run().unwrap();
            }
        });
        io.start(ev).unwrap();
        at_most(ev, 10);
        pass(ev);
        assert_eq!(count.get(), 1);
        put(&far);
        pass(ev);
        assert_eq!(count.get(), 2);
    });
}

#[test]
fn a_registration_that_outlives_the_watchers_of_its_number_does_not_make_the_loop_spin() {
    for alive in [true, false] {
        let (mut ev, clock) = ev_with_clock();
        let (near, _far) = ready_pair();
        let duplicate = alive.then(|| near.try_clone().unwrap());
        let a = ev.io(Rc::clone(&near), Interest::READ, quiet).start(&mut ev).unwrap();
        pass(&mut ev);
        a.stop(&mut ev);
        let b = ev.io(Rc::clone(&near), Interest::NONE, quiet).start(&mut ev).unwrap();
        a.free(&mut ev);
        b.free(&mut ev);
        drop(near);
        ev.verify();
        rest(&mut ev);
        assert_eq!(clock.elapsed(), secs(1));
        drop(duplicate);
    }
}

#[test]
fn a_stopped_number_that_was_closed_while_its_file_lives_on_does_not_make_the_loop_spin() {
    let (mut ev, clock) = ev_with_clock();
    let (near, far) = pair();
    let alive = near.try_clone().unwrap();
    let n = moved(near, number()).into_raw_fd();
    let io = ev.io(borrowed(n), Interest::READ, |_, _| panic!("it is stopped"));
    io.start(&mut ev).unwrap();
    pass(&mut ev);
    io.stop(&mut ev);
    close(n);
    put(&far);
    rest(&mut ev);
    assert_eq!(clock.elapsed(), secs(1));
    drop(alive);
}

#[test]
fn a_watcher_started_in_a_batch_that_panics_is_heard_and_does_not_make_the_loop_spin() {
    let (mut ev, clock) = ev_with_clock();
    let told = Told::new();
    let (near, _far) = ready_pair();
    let fresh = ev.io(near, Interest::READ, tells(&told, "fresh"));
    let (near, _far_first) = ready_pair();
    let first = ev.io(near, Interest::READ, move |ev, e| {
        fresh.start(ev).unwrap();
        e.watcher.free(ev);
    });
    first.start(&mut ev).unwrap();
    let (near, _far_last) = ready_pair();
    let high = ev.timer(ZERO, ZERO, nothing).set_priority(&mut ev, 1);
    let last = ev.io(near, Interest::READ, move |ev, e| {
        // Something of a higher priority is to be called before the batch is looked at again.
        high.feed(ev, Events::CUSTOM);
        e.watcher.free(ev);
        panic!("on purpose");
    });
    last.start(&mut ev).unwrap();
    assert_eq!(panic_of(|| ev.run_mode(Run::NoWait)).as_deref(), Some("on purpose"));
    at_most(&mut ev, 3);
    assert!(ev.run_mode(Run::Once).unwrap());
    ev.verify();
    assert_eq!((told.take(), clock.elapsed()), (vec![("fresh", READ)], ZERO));
}

#[test]
fn an_event_fed_without_bits_survives_a_change_of_interest() {
    both_ways(ev, |ev| {
        let (told, (near, _far)) = (Told::new(), pair());
        let io = ev.io(near, Interest::READ, tells(&told, "io")).start(ev).unwrap();
        io.feed(ev, Events::NONE);
        io.set_interest(ev, Interest::NONE).unwrap();
        assert!(io.is_pending(ev));
        pass(ev);
        assert_eq!(told.take(), [("io", Events::NONE)]);
    });
}

#[test]
fn an_interest_withdrawn_in_an_invoked_callback_takes_back_what_was_queued() {
    both_ways(ev, |ev| {
        let (told, (near, _far)) = (Told::new(), ready_pair());
        let log = told.clone();
        let io = ev.io(near, Interest::READ, move |ev, e| {
            log.push(("io", e.ready));
            e.watcher.set_interest(ev, Interest::NONE).unwrap();
        });
        io.start(ev).unwrap();
        ev.after(ZERO, move |ev| {
            // The timer is called first, and counting has the report queued.
            assert!(io.is_pending(ev) && ev.pending_count() == 1);
            assert!(io.invoke(ev, Events::CUSTOM));
            ev.verify();
        });
        pass(ev);
        assert_eq!(told.take(), [("io", Events::CUSTOM)], "not READ, which it no longer wants");
        assert!(!io.is_pending(ev));
        pass(ev);
        assert_eq!(told.take(), []);
    });
}

#[test]
fn a_waiting_watcher_that_is_invoked_may_feed_io_of_the_batch() {
    both_ways(ev, |ev| {
        let (log, (near, _far)) = (Log::new(), ready_pair());
        let says = log.clone();
        let io = ev.io(near, Interest::READ, move |ev, e| {
            says.push(if e.ready.contains(Events::CUSTOM) { "io, fed" } else { "io" });
            e.watcher.stop(ev);
        });
        io.start(ev).unwrap();
        let (says, calls) = (log.clone(), Count::new());
        let waiting = ev.timer(ZERO, ZERO, move |ev, _| {
            says.push("waiting");
            if calls.up() == 1 {
                // Its own event, queued before the batch, steps aside for the reports.
                io.feed(ev, Events::CUSTOM);
                ev.verify();
            }
        });
        let says = log.clone();
        let invoker = move |ev: &mut EvLoop, _: TimerEvent| {
            says.push("invoker");
            assert!(waiting.invoke(ev, Events::CUSTOM));
            ev.verify();
            assert_eq!(ev.pending_count(), 2);
        };
        ev.timer(ZERO, ZERO, invoker).start(ev);
        waiting.start(ev);
        pass(ev);
        assert_eq!(log.take(), ["invoker", "waiting", "waiting", "io, fed"]);
    });
}
