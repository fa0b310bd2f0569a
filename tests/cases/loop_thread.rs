// Loop threads on one backend.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use evloop::net::LoopThread;

use crate::{PATIENCE, cause, witness};

fn spawn(set_up: impl FnOnce(&mut EvLoop) -> Result<()> + Send + 'static) -> Result<LoopThread> {
    LoopThread::spawn_with("worker", || builder().build(), set_up)
}

fn idle() -> LoopThread {
    spawn(|_| Ok(())).unwrap()
}

/// Has the thread do it, and waits for what comes of it.
fn ask<T: Send + 'static>(
    worker: &LoopThread,
    f: impl FnOnce(&mut EvLoop) -> T + Send + 'static,
) -> T {
    let (tell, told) = mpsc::channel();
    assert!(worker.post(move |ev| tell.send(f(ev)).unwrap()));
    told.recv_timeout(PATIENCE).unwrap()
}

#[test]
fn what_is_set_up_is_active_when_spawn_returns_and_runs_on_the_named_thread() {
    let (tell, told) = mpsc::channel();
    let worker = spawn(move |ev| {
        ev.after(ZERO, move |_| {
            let current = thread::current();
            tell.send((current.name().map(String::from), current.id())).unwrap();
        });
        Ok(())
    });
    let (name, id) = told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(name.as_deref(), Some("worker"));
    assert_ne!(id, thread::current().id());
    assert_eq!(ask(&worker.unwrap(), |_| thread::current().id()), id);
}

#[test]
fn it_runs_on_with_nothing_active_until_it_is_told_to_stop() {
    let worker = idle();
    for n in 0..3 {
        assert_eq!(ask(&worker, move |_| n), n);
    }
    let remote = worker.remote();
    assert!(worker.stop());
    worker.join().unwrap();
    assert!(!remote.post(|_| unreachable!()));
}

#[test]
fn freeing_all_watchers_does_not_end_it() {
    let worker = idle();
    let freed = ask(&worker, |ev| {
        let all = ev.watchers();
        all.iter().for_each(|watcher| _ = watcher.free(ev));
        all.len()
    });
    assert!(freed > 0);
    // Two questions: the run that took the first may be over.
    assert_eq!(ask(&worker, |_| 1), 1);
    assert_eq!(ask(&worker, |_| 2), 2);
    worker.stop();
    worker.join().unwrap();
}

#[test]
fn dropping_it_ends_the_thread_and_drops_what_its_loop_holds_there() {
    let (witness, told) = witness();
    let worker = spawn(move |ev| {
        ev.timer(secs(1000), ZERO, move |_, _| _ = &witness).start(ev);
        Ok(())
    })
    .unwrap();
    let id = ask(&worker, |_| thread::current().id());
    drop(worker);
    // It was joined: there is nothing to wait for.
    assert_eq!(told.try_recv().unwrap(), id);
}

#[test]
fn an_error_of_the_set_up_is_the_spawners_and_nothing_is_left() {
    let (witness, told) = witness();
    let error = spawn(move |ev| {
        ev.timer(ZERO, ZERO, move |_, _| _ = &witness).start(ev);
        let input = ev.io(std::io::stdin(), Interest::READ, |_, _| {});
        input.free(ev);
        input.start(ev)?;
        Ok(())
    })
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stale);
    assert!(told.try_recv().is_ok());
}

#[test]
fn a_set_up_may_report_any_error_with_fail() {
    let error = spawn(|ev| {
        ev.fail("no configuration");
        Ok(())
    })
    .unwrap_err();
    assert_eq!((error.kind(), cause(&error)), (ErrorKind::Callback, "no configuration".into()));
}

#[test]
fn a_panic_of_the_set_up_is_the_spawners_error() {
    let error = spawn(|_| panic!("number {}", 7)).unwrap_err();
    assert_eq!((error.kind(), cause(&error)), (ErrorKind::Panicked, "number 7".into()));
}

#[test]
fn a_callback_that_fails_ends_the_thread_and_join_says_why() {
    let worker = idle();
    worker.post(|ev| ev.fail("enough"));
    let error = worker.join().unwrap_err();
    assert_eq!((error.kind(), cause(&error)), (ErrorKind::Callback, "enough".into()));
}

#[test]
fn a_callback_that_panics_ends_the_thread_and_join_says_why() {
    let (witness, told) = witness();
    let worker = idle();
    worker.post(move |ev| {
        ev.timer(secs(1000), ZERO, move |_, _| _ = &witness).start(ev);
        panic!("the end");
    });
    let remote = worker.remote();
    let error = worker.join().unwrap_err();
    assert_eq!((error.kind(), cause(&error)), (ErrorKind::Panicked, "the end".into()));
    assert!(told.try_recv().is_ok());
    assert!(!remote.wake());
}

#[test]
fn what_panics_when_it_is_dropped_harms_nobody() {
    struct Grenade(mpsc::Sender<()>);
    impl Drop for Grenade {
        fn drop(&mut self) {
            let _ = self.0.send(());
            if !thread::panicking() {
                panic!("dropped");
            }
        }
    }
    // With the loop, in a callback that was never called.
    let (tell, told) = mpsc::channel();
    let grenade = Grenade(tell.clone());
    let worker = spawn(move |ev| {
        ev.timer(secs(1000), ZERO, move |_, _| _ = &grenade).start(ev);
        Ok(())
    })
    .unwrap();
    worker.stop();
    let error = worker.join().unwrap_err();
    assert_eq!((error.kind(), cause(&error)), (ErrorKind::Panicked, "dropped".into()));
    told.try_recv().unwrap();
    // After a panic: that one is told.
    let grenade = Grenade(tell.clone());
    let worker = idle();
    worker.post(move |ev| {
        ev.timer(secs(1000), ZERO, move |_, _| _ = &grenade).start(ev);
        panic!("first");
    });
    assert_eq!(cause(&worker.join().unwrap_err()), "first");
    told.try_recv().unwrap();
    // In a set-up that is not called.
    let grenade = Grenade(tell);
    let no_loop = || Err(spawn(|_| panic!("none")).unwrap_err());
    let error = LoopThread::spawn_with("worker", no_loop, move |_| {
        drop(grenade);
        Ok(())
    })
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Panicked);
    told.try_recv().unwrap();
}

#[test]
fn a_break_from_inside_ends_it_like_any_run() {
    let worker = idle();
    worker.post(|ev| ev.break_loop(Break::One));
    worker.join().unwrap();
    // In the set-up there is no run yet to break.
    let worker = spawn(|ev| {
        ev.break_loop(Break::All);
        Ok(())
    })
    .unwrap();
    assert_eq!(ask(&worker, |_| 1), 1);
    // The very first iteration: the handle is one of a thread that has ended.
    let worker = spawn(|ev| {
        ev.prepare(|ev, _| ev.break_loop(Break::All)).start(ev);
        Ok(())
    })
    .unwrap();
    assert!(worker.is_finished());
    assert!(!worker.post(|_| unreachable!()));
    worker.join().unwrap();
}

#[test]
fn no_callback_can_take_back_a_stop() {
    let worker = spawn(|ev| {
        ev.check(|ev, _| ev.break_loop(Break::Cancel)).start(ev);
        // In nested runs, too.
        ev.idle(|ev, _| {
            if ev.depth() < 3 {
                let _ = ev.run();
            }
            ev.break_loop(Break::Cancel);
        })
        .start(ev);
        Ok(())
    })
    .unwrap();
    assert_eq!(ask(&worker, |_| 1), 1);
    worker.stop();
    worker.join().unwrap();
}

#[test]
fn stopping_twice_and_dropping_after_the_end_are_nothing_special() {
    let worker = idle();
    worker.stop();
    worker.stop();
    let begun = Instant::now();
    while !worker.is_finished() {
        assert!(begun.elapsed() < PATIENCE);
        thread::yield_now();
    }
    assert!(!worker.stop());
    drop(worker);
}

#[test]
fn it_may_be_dropped_on_its_own_thread() {
    let worker = idle();
    let remote = worker.remote();
    let (witness, told) = witness();
    // By a callback.
    remote.post(move |ev| {
        ev.timer(secs(1000), ZERO, move |_, _| _ = &witness).start(ev);
        drop(worker);
    });
    assert!(told.recv_timeout(PATIENCE).is_ok());
    // With its own loop.
    let worker = idle();
    let remote = worker.remote();
    let (witness, told) = crate::witness();
    remote.post(move |ev| {
        let held = (worker, witness);
        ev.timer(secs(1000), ZERO, move |_, _| _ = &held).start(ev);
        ev.break_loop(Break::All);
    });
    assert!(told.recv_timeout(PATIENCE).is_ok());
}

#[test]
fn joined_on_its_own_thread_it_is_an_error_and_stops() {
    let worker = idle();
    let remote = worker.remote();
    let (tell, told) = mpsc::channel();
    let (witness, gone) = witness();
    remote.post(move |ev| {
        ev.timer(secs(1000), ZERO, move |_, _| _ = &witness).start(ev);
        tell.send(worker.join().unwrap_err().kind()).unwrap();
    });
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), ErrorKind::InvalidInput);
    assert!(gone.recv_timeout(PATIENCE).is_ok());
}

#[test]
fn a_loop_thread_may_have_loop_threads() {
    let (witness, told) = witness();
    let outer = spawn(move |ev| {
        let inner = spawn(move |ev| {
            ev.timer(secs(1000), ZERO, move |_, _| _ = &witness).start(ev);
            Ok(())
        })?;
        ev.timer(secs(1000), ZERO, move |_, _| _ = &inner).start(ev);
        Ok(())
    })
    .unwrap();
    drop(outer);
    told.try_recv().unwrap();
}

#[test]
fn an_accepted_connection_is_served_by_another_loop() {
    let worker = idle();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    accepted.set_nonblocking(true).unwrap();
    worker.post(move |ev| {
        let echo = ev.io(accepted, Interest::READ, |ev, e| {
            let mut bytes = [0; 64];
            let mut socket = e.source;
            match socket.read(&mut bytes) {
                Ok(n) if n > 0 => socket.write_all(&bytes[..n]).unwrap(),
                _ => e.watcher.free(ev).then_some(()).unwrap(),
            }
        });
        echo.start(ev).unwrap();
    });
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    peer.write_all(b"hello").unwrap();
    let mut bytes = [0; 5];
    peer.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"hello");
}

#[test]
fn dropping_it_waits_for_the_callback_that_runs() {
    let worker = idle();
    let done = Arc::new(AtomicBool::new(false));
    let (tell, told) = mpsc::channel();
    let flag = Arc::clone(&done);
    worker.post(move |_| {
        tell.send(()).unwrap();
        thread::sleep(Duration::from_millis(50));
        flag.store(true, Ordering::Relaxed);
    });
    told.recv_timeout(PATIENCE).unwrap();
    drop(worker);
    assert!(done.load(Ordering::Relaxed));
}
