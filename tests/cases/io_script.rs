// What reaches the backend, and what happens when it refuses: on the scripted backend.

use crate::sockets::*;
use std::os::fd::AsRawFd;

#[test]
fn a_scripted_event_is_told_once_by_the_next_wait() {
    let (mut ev, _, script) = ev_with_script();
    let told = Told::new();
    let (near, _far) = shared_pair();
    let io = ev.io(Rc::clone(&near), Interest::READ, tells(&told, "r"));
    let other = ev.io(near, Interest::WRITE, tells(&told, "w"));
    io.start(&mut ev).unwrap();
    other.start(&mut ev).unwrap();
    script.ready(io, READ | WRITE);
    pass(&mut ev);
    pass(&mut ev);
    assert_eq!(told.take(), [("r", READ), ("w", WRITE)]);
}

#[test]
fn the_first_registration_of_a_descriptor_is_made_at_once() {
    let (mut ev, _, script) = ev_with_script();
    let (near, _far) = shared_pair();
    let fd = near.as_raw_fd();
    let io = ev.io(near, Interest::READ, quiet);
    assert_eq!(script.changes(), []);
    io.start(&mut ev).unwrap();
    assert_eq!(script.changes(), [(fd, Interest::READ)]);
    pass(&mut ev);
    assert_eq!(script.changes().len(), 1);
}

#[test]
fn stop_makes_no_change_and_start_and_stop_between_two_waits_none_either() {
    let (mut ev, _, script) = ev_with_script();
    let (near, _far) = shared_pair();
    let io = ev.io(near, Interest::READ, quiet);
    io.start(&mut ev).unwrap();
    pass(&mut ev);
    let before = script.changes().len();
    for _ in 0..100 {
        io.stop(&mut ev);
        io.start(&mut ev).unwrap();
    }
    pass(&mut ev);
    assert_eq!(script.changes().len(), before);
    io.stop(&mut ev);
    pass(&mut ev);
    io.start(&mut ev).unwrap();
    pass(&mut ev);
    assert_eq!(script.changes().len(), before, "nor across a wait in which nothing came");
}

#[test]
fn an_unwanted_event_mends_the_registration_once() {
    let (mut ev, _, script) = ev_with_script();
    let count = Count::new();
    let (near, _far) = shared_pair();
    let fd = near.as_raw_fd();
    let io = ev.io(near, Interest::READ, counts(&count));
    io.start(&mut ev).unwrap();
    pass(&mut ev);
    io.stop(&mut ev);
    script.ready(io, READ);
    pass(&mut ev);
    pass(&mut ev);
    assert_eq!(script.changes(), [(fd, Interest::READ), (fd, Interest::NONE)]);
    assert_eq!(count.get(), 0);
    io.start(&mut ev).unwrap();
    pass(&mut ev);
    assert_eq!(script.changes().len(), 3);
    assert_eq!(script.changes()[2], (fd, Interest::READ));
}

#[test]
fn free_deregisters_while_the_source_is_open() {
    let (mut ev, _, script) = ev_with_script();
    let (near, _far) = shared_pair();
    let fd = near.as_raw_fd();
    let io = ev.io(near, Interest::READ, quiet);
    io.start(&mut ev).unwrap();
    pass(&mut ev);
    io.stop(&mut ev);
    io.free(&mut ev);
    assert_eq!(script.changes(), [(fd, Interest::READ), (fd, Interest::NONE)]);
}

#[test]
fn set_interest_is_at_most_one_change_and_none_if_the_union_is_equal() {
    let (mut ev, _, script) = ev_with_script();
    let both = Interest::READ | Interest::WRITE;
    let (near, _far) = shared_pair();
    let fd = near.as_raw_fd();
    let io = ev.io(Rc::clone(&near), both, quiet);
    let other = ev.io(near, Interest::READ, quiet);
    io.start(&mut ev).unwrap();
    other.start(&mut ev).unwrap();
    pass(&mut ev);
    let before = script.changes().len();
    other.set_interest(&mut ev, both).unwrap();
    pass(&mut ev);
    other.set_interest(&mut ev, Interest::WRITE).unwrap();
    pass(&mut ev);
    io.set_interest(&mut ev, both).unwrap();
    pass(&mut ev);
    assert_eq!(script.changes().len(), before, "the union has not changed");
    other.set_interest(&mut ev, Interest::READ).unwrap();
    io.set_interest(&mut ev, Interest::PRIORITY).unwrap();
    io.set_interest(&mut ev, Interest::WRITE).unwrap();
    io.set_interest(&mut ev, Interest::READ).unwrap();
    pass(&mut ev);
    let changes = script.changes();
    assert!(changes.len() <= before + 1, "one change for all that: {changes:?}");
    io.set_interest(&mut ev, Interest::READ | Interest::PRIORITY).unwrap();
    pass(&mut ev);
    let last = script.changes().last().copied();
    assert_eq!(last, Some((fd, Interest::READ | Interest::PRIORITY)));
}

#[test]
fn set_interest_on_a_stopped_watcher_makes_no_change() {
    let (mut ev, _, script) = ev_with_script();
    let (near, _far) = shared_pair();
    let io = ev.io(near, Interest::READ, quiet);
    io.set_interest(&mut ev, Interest::WRITE).unwrap();
    pass(&mut ev);
    assert_eq!(script.changes(), []);
}

#[test]
fn interest_in_nothing_is_never_registered() {
    let (mut ev, _, script) = ev_with_script();
    let (near, _far) = shared_pair();
    let fd = near.as_raw_fd();
    let io = ev.io(near, Interest::NONE, quiet);
    io.start(&mut ev).unwrap();
    pass(&mut ev);
    assert_eq!(script.changes(), []);
    io.set_interest(&mut ev, Interest::READ).unwrap();
    pass(&mut ev);
    assert_eq!(script.changes(), [(fd, Interest::READ)]);
    io.set_interest(&mut ev, Interest::NONE).unwrap();
    pass(&mut ev);
    assert_eq!(script.changes().last(), Some(&(fd, Interest::NONE)));
}

#[test]
fn the_first_refusal_belongs_to_start_and_the_watcher_keeps_its_source() {
    for errno in [libc::ENOSPC, libc::ENOMEM] {
        let (mut ev, _, script) = ev_with_script();
        let told = Told::new();
        let (near, _far) = shared_pair();
        let io = ev.io(Rc::clone(&near), Interest::READ, tells(&told, "x"));
        script.fail_register(errno);
        let error = io.start(&mut ev).unwrap_err();
        assert_eq!((error.kind(), error.raw_os_error()), (ErrorKind::Register, Some(errno)));
        assert!(std::error::Error::source(&error).is_some());
        let as_io = std::io::Error::from(error);
        assert_eq!(as_io.kind(), std::io::Error::from_raw_os_error(errno).kind());
        assert!(io.exists(&ev) && !io.is_active(&ev) && !ev.has_refs());
        ev.verify();
        assert!(!pass(&mut ev));
        assert_eq!(told.take(), [], "the caller knows already");
        io.start(&mut ev).expect("the second try is allowed");
        script.ready(io, READ);
        pass(&mut ev);
        assert_eq!(told.take(), [("x", READ)]);
        assert!(io.into_source::<Rc<std::os::unix::net::UnixStream>>(&mut ev).is_some());
    }
}

#[test]
fn start_or_free_frees_what_cannot_be_started() {
    let (mut ev, _, script) = ev_with_script();
    let (near, _far) = shared_pair();
    let io = ev.io(Rc::clone(&near), Interest::READ, quiet);
    script.fail_register(libc::ENOSPC);
    assert_eq!(io.start_or_free(&mut ev).unwrap_err().kind(), ErrorKind::Register);
    assert!(!io.exists(&ev));
    assert_eq!(Rc::strong_count(&near), 1);
    ev.verify();
}

#[test]
fn a_once_that_cannot_be_started_is_an_error_and_leaves_nothing() {
    let (mut ev, _, script) = ev_with_script();
    let (near, _far) = shared_pair();
    script.fail_register(libc::ENOMEM);
    let once = ev.once(Rc::clone(&near), Interest::READ, Some(secs(1)), |_, _, _| panic!("called"));
    assert_eq!(once.unwrap_err().kind(), ErrorKind::Register);
    assert_eq!(Rc::strong_count(&near), 1);
    assert!(ev.watchers().is_empty() && ev.next_deadline().is_none());
    assert!(!ev.run().unwrap());
}

#[test]
fn a_later_refusal_stops_the_watchers_of_the_descriptor_and_tells_each_of_them() {
    both_ways_scripted(|ev, script| {
        let told = Told::new();
        let (near, _far) = shared_pair();
        let a = ev.io(Rc::clone(&near), Interest::READ, tells(&told, "a"));
        let b = ev.io(near, Interest::READ, tells(&told, "b"));
        let (other_near, _other_far) = shared_pair();
        let other = ev.io(other_near, Interest::READ, tells(&told, "other"));
        for io in [a, b, other] {
            io.start(ev).unwrap();
        }
        pass(ev);
        b.set_interest(ev, Interest::READ | Interest::WRITE).unwrap();
        script.fail_register(libc::ENOMEM);
        script.ready(other, READ);
        pass(ev);
        pass(ev);
        let error = Events::ERROR | READ | WRITE;
        let mut all = told.take();
        all.sort_by_key(|(name, _)| *name);
        assert_eq!(all, [("a", error), ("b", error), ("other", READ)]);
        assert!(!a.is_active(ev) && !b.is_active(ev) && other.is_active(ev));
        assert!(a.exists(ev) && b.exists(ev));
        a.start(ev).expect("it may be tried again");
        script.ready(a, READ);
        pass(ev);
        assert_eq!(told.take(), [("a", READ)]);
    });
}

fn both_ways_scripted(case: impl Fn(&mut EvLoop, &Script)) {
    for mixed in [false, true] {
        let (mut ev, _, script) = ev_with_script();
        if mixed {
            bystander(&mut ev);
        }
        case(&mut ev, &script);
        ev.verify();
    }
}

#[test]
fn watchers_that_join_a_descriptor_are_at_most_one_change_each() {
    let (mut ev, _, script) = ev_with_script();
    let (near, _far) = shared_pair();
    let fd = near.as_raw_fd();
    for interest in [Interest::READ, Interest::WRITE, Interest::PRIORITY, Interest::READ] {
        ev.io(Rc::clone(&near), interest, quiet).start(&mut ev).unwrap();
    }
    pass(&mut ev);
    let changes = script.changes();
    assert!(changes.len() <= 4, "at most one each: {changes:?}");
    let union = Interest::READ | Interest::WRITE | Interest::PRIORITY;
    assert_eq!(changes.last(), Some(&(fd, union)));
}

#[test]
fn an_io_watcher_that_nobody_can_make_ready_is_stuck() {
    let mut ev = ev();
    let (near, _far) = shared_pair();
    ev.io(near, Interest::READ, quiet).start(&mut ev).unwrap();
    assert_eq!(ev.run().unwrap_err().kind(), ErrorKind::Stuck);
    ev.verify();
}

#[test]
fn a_failed_wait_is_an_error_of_run_and_the_loop_can_run_again() {
    let (mut ev, _, script) = ev_with_script();
    let told = Told::new();
    let (near, _far) = shared_pair();
    let io = ev.io(near, Interest::READ, tells(&told, "x"));
    io.start(&mut ev).unwrap();
    script.fail_wait(libc::EINVAL);
    let error = ev.run().unwrap_err();
    assert_eq!((error.kind(), error.raw_os_error()), (ErrorKind::Wait, Some(libc::EINVAL)));
    assert_eq!(ev.depth(), 0);
    script.ready(io, READ);
    pass(&mut ev);
    assert_eq!(told.take(), [("x", READ)]);
}
