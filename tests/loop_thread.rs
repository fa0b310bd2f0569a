//! Loop threads: net-and-http-server.md 2.9 (a named thread with its own loop, joined on drop).

#![allow(clippy::unwrap_used)]

mod suite;

use std::error::Error as _;
use std::sync::mpsc;
use std::thread;

use evloop::net::LoopThread;
use suite::*;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

suite::on!(epoll: loop_thread);
suite::on!(poll: loop_thread);

/// Says when it is dropped, and on which thread.
struct Witness(mpsc::Sender<thread::ThreadId>);

impl Drop for Witness {
    fn drop(&mut self) {
        let _ = self.0.send(thread::current().id());
    }
}

fn witness() -> (Witness, mpsc::Receiver<thread::ThreadId>) {
    let (tell, told) = mpsc::channel();
    (Witness(tell), told)
}

/// The message of an error's cause.
fn cause(error: &Error) -> String {
    error.source().map(ToString::to_string).unwrap_or_default()
}

#[test]
fn it_is_send_and_sync_and_says_what_it_is() {
    fn check<T: Send + Sync>(_: &T) {}
    let worker = LoopThread::spawn("worker", |_| Ok(())).unwrap();
    check(&worker);
    assert_eq!(worker.name(), "worker");
    assert!(!worker.is_finished());
    assert_eq!(format!("{worker:?}"), r#"LoopThread { name: "worker", finished: false, .. }"#);
}

#[test]
fn a_name_may_be_long_or_empty_and_one_with_a_nul_byte_is_refused() {
    for name in ["", "a name of more than fifteen bytes", "Fäden"] {
        let (tell, told) = mpsc::channel();
        let worker = LoopThread::spawn(name, move |_| {
            tell.send(thread::current().name().map(String::from)).unwrap();
            Ok(())
        });
        assert_eq!(worker.unwrap().name(), name);
        assert_eq!(told.recv_timeout(PATIENCE).unwrap().as_deref(), Some(name));
    }
    let error = LoopThread::spawn("a\0b", |_| unreachable!()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_loop_that_cannot_be_made_is_the_spawners_error() {
    let make = || Err(LoopThread::spawn("\0", |_| Ok(())).unwrap_err());
    let error = LoopThread::spawn_with("worker", make, |_| unreachable!()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let make = || panic!("no loop today");
    let error = LoopThread::spawn_with("worker", make, |_| unreachable!()).unwrap_err();
    assert_eq!((error.kind(), cause(&error)), (ErrorKind::Panicked, "no loop today".into()));
}

#[test]
fn in_a_forked_child_the_handle_does_nothing() {
    let (joined, dropped) =
        (LoopThread::spawn("a", |_| Ok(())), LoopThread::spawn("b", |_| Ok(())));
    let (joined, dropped) = (joined.unwrap(), dropped.unwrap());
    // SAFETY: the child has no other thread and does nothing that needs one; glibc's allocator works in
    // it. What would hang ends by the alarm.
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        // SAFETY: neither has preconditions; `_exit` ends the process, so nothing of the parent's is touched.
        unsafe {
            libc::alarm(20);
            let refused = !dropped.post(|_| ()) && !dropped.stop();
            drop(dropped);
            let forked = joined.join().is_err_and(|error| error.kind() == ErrorKind::Forked);
            libc::_exit(i32::from(!(refused && forked)));
        }
    }
    let mut status = -1;
    // SAFETY: the pointer is to a local that outlives the call; the child is this test's own.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0);
    // The parent's are as they were.
    let (tell, told) = mpsc::channel();
    assert!(dropped.post(move |_| tell.send(()).unwrap()));
    told.recv_timeout(PATIENCE).unwrap();
    joined.stop();
    joined.join().unwrap();
}

#[test]
fn a_set_up_may_replace_the_loop() {
    let worker = LoopThread::spawn("worker", |ev| {
        *ev = EvLoop::new()?;
        Ok(())
    });
    let worker = worker.unwrap();
    let (tell, told) = mpsc::channel();
    assert!(worker.post(move |_| tell.send(()).unwrap()));
    told.recv_timeout(PATIENCE).unwrap();
    worker.stop();
    worker.join().unwrap();
}
