// What epoll refuses to watch is always ready, on every backend (loop.md 3.1).

use crate::sockets::*;
use std::fs::File;

/// A regular file, a directory, and a device that epoll refuses.
fn files() -> [(&'static str, File); 3] {
    [
        ("regular file", File::open(std::env::current_exe().unwrap()).unwrap()),
        ("directory", File::open("/").unwrap()),
        ("device", File::options().read(true).write(true).open("/dev/null").unwrap()),
    ]
}

#[test]
fn files_and_directories_and_dev_null_are_always_ready() {
    for (what, file) in files() {
        let mut ev = ev();
        let told = Told::new();
        let io = ev.io(file, Interest::READ | Interest::WRITE, tells(&told, "f"));
        io.start(&mut ev).unwrap_or_else(|e| panic!("{what}: {e}"));
        for _ in 0..3 {
            pass(&mut ev);
            assert_eq!(told.take(), [("f", READ | WRITE)], "{what}");
        }
        io.set_interest(&mut ev, Interest::READ).unwrap();
        pass(&mut ev);
        assert_eq!(told.take(), [("f", READ)], "{what}");
    }
}

#[test]
fn an_always_ready_file_makes_the_wait_zero() {
    for (what, file) in files() {
        let (mut ev, clock) = ev_with_clock();
        let count = Count::new();
        let io = ev.io(file, Interest::READ, counts(&count));
        io.start(&mut ev).unwrap();
        ev.timer(secs(1), ZERO, |_, _| panic!("time has passed")).start(&mut ev);
        for _ in 0..5 {
            ev.run_mode(Run::Once).unwrap();
        }
        assert_eq!((count.get(), clock.elapsed()), (5, ZERO), "{what}");
    }
}

#[test]
fn a_file_and_a_socket_are_both_served_in_every_iteration() {
    both_ways(ev, |ev| {
        let told = Told::new();
        let (near, far) = shared_pair();
        let [(_, file), ..] = files();
        ev.io(file, Interest::READ, tells(&told, "file")).start(ev).unwrap();
        ev.io(near, Interest::READ, tells(&told, "socket")).start(ev).unwrap();
        pass(ev);
        assert_eq!(told.take(), [("file", READ)]);
        put(&far);
        for _ in 0..3 {
            pass(ev);
            let mut both = told.take();
            both.sort_by_key(|(name, _)| *name);
            assert_eq!(both, [("file", READ), ("socket", READ)]);
        }
    });
}

#[test]
fn timers_fire_beside_an_always_ready_file() {
    let (mut ev, clock) = ev_with_clock();
    let log = Log::new();
    let [(_, file), ..] = files();
    ev.io(file, Interest::READ, quiet).start(&mut ev).unwrap();
    ev.timer(secs(1), ZERO, log.says("timer")).start(&mut ev);
    pass(&mut ev);
    clock.advance(secs(1));
    pass(&mut ev);
    assert_eq!(log.take(), ["timer"]);
}

#[test]
fn a_stopped_file_vanishes_from_the_always_ready_ones() {
    for by in ["stop", "free", "none", "into_source"] {
        let (mut ev, clock) = ev_with_clock();
        let count = Count::new();
        let [(_, file), ..] = files();
        let io = ev.io(file, Interest::READ, counts(&count));
        io.start(&mut ev).unwrap();
        pass(&mut ev);
        assert_eq!(count.get(), 1);
        match by {
            "stop" => assert!(io.stop(&mut ev)),
            "free" => assert!(io.free(&mut ev)),
            "none" => assert!(io.set_interest(&mut ev, Interest::NONE).is_ok()),
            _ => assert!(io.into_source::<File>(&mut ev).is_some()),
        }
        ev.verify();
        let waits = waits(&mut ev);
        ev.after(secs(1), |ev| ev.break_loop(Break::One));
        ev.run().unwrap();
        assert_eq!((count.get(), clock.elapsed()), (1, secs(1)), "{by}");
        // Stop is lazy for files too: one wake-up may come for nobody, and no more.
        assert!(waits.get() <= 2, "{by}: {} waits", waits.get());
        if by == "stop" || by == "none" {
            io.set_interest(&mut ev, Interest::READ).unwrap();
            io.start(&mut ev).unwrap();
            pass(&mut ev);
            assert_eq!(count.get(), 2, "{by}, and back");
        }
    }
}

#[test]
fn a_file_stopped_in_the_batch_is_not_told() {
    both_ways(ev, |ev| {
        let count = Count::new();
        let file = Rc::new(files().into_iter().next().unwrap().1);
        let second = ev.io(Rc::clone(&file), Interest::READ, counts(&count));
        let first = ev.io(file, Interest::READ, move |ev, e| {
            second.stop(ev);
            e.watcher.stop(ev);
        });
        first.start(ev).unwrap();
        second.start(ev).unwrap();
        pass(ev);
        pass(ev);
        assert_eq!(count.get(), 0);
    });
}

#[test]
fn a_number_that_was_a_file_and_is_now_a_socket_is_no_longer_always_ready() {
    for freed in [true, false] {
        let (mut ev, clock) = ev_with_clock();
        let told = Told::new();
        let [(_, file), ..] = files();
        let n = number();
        let old = Rc::new(moved(file, n));
        let io = ev.io(Rc::clone(&old), Interest::READ, tells(&told, "file"));
        io.start(&mut ev).unwrap();
        pass(&mut ev);
        assert_eq!(told.take(), [("file", READ)]);
        let (near, far) = pair();
        // Freed and closed, or only stopped and replaced under its number.
        let new = if freed {
            io.free(&mut ev);
            drop(old);
            Rc::new(moved(near, n))
        } else {
            io.stop(&mut ev);
            place(near, n);
            old
        };
        ev.io(new, Interest::READ, tells(&told, "socket")).start(&mut ev).unwrap();
        ev.verify();
        ev.after(secs(1), |ev| ev.break_loop(Break::One));
        ev.run().unwrap();
        assert_eq!((clock.elapsed(), told.take()), (secs(1), vec![]), "freed: {freed}");
        put(&far);
        pass(&mut ev);
        assert_eq!(told.take(), [("socket", READ)], "freed: {freed}");
    }
}

#[test]
fn a_number_that_was_a_socket_and_is_now_a_file_is_always_ready() {
    let mut ev = ev();
    let told = Told::new();
    let (near, _far) = pair();
    let n = number();
    let io = ev.io(moved(near, n), Interest::READ, tells(&told, "socket"));
    io.start(&mut ev).unwrap();
    pass(&mut ev);
    io.free(&mut ev);
    let [(_, file), ..] = files();
    ev.io(moved(file, n), Interest::READ, tells(&told, "file")).start(&mut ev).unwrap();
    for _ in 0..2 {
        pass(&mut ev);
        assert_eq!(told.take(), [("file", READ)]);
    }
}
