//! Names and the process they are asked in: net-and-http-server.md 2.4, reliability.md section 4. What
//! needs no process of its own is tested beside the code.

#![allow(clippy::unwrap_used)]

#[path = "suite/processes.rs"]
mod processes;
mod suite;

use std::net::SocketAddr;
use std::sync::mpsc;

use evloop::net::{set_work_queue, set_work_threads};
use processes::*;
use suite::*;

fn main() {
    let setting = |name, backend| Setting { name, backend, descriptors: true };
    let settings = [setting("epoll", Backend::Epoll), setting("poll", Backend::Poll)];
    processes::main(
        &settings,
        cases![
            a_pool_that_is_full_refuses_and_what_is_asked_already_can_be_joined,
            names_that_nobody_waits_for_leave_the_loop_alone,
            a_child_that_did_not_take_over_is_refused,
            in_a_child_that_took_over_the_parents_questions_end_in_an_error_and_new_ones_do_not,
        ],
    );
}

type Told = Log<(u16, Option<ErrorKind>)>;

fn notes(log: &Told) -> impl FnOnce(&mut EvLoop, Result<Vec<SocketAddr>>) + use<> + 'static {
    let log = log.clone();
    move |_, answer| match answer {
        Ok(addresses) => log.push((addresses[0].port(), None)),
        Err(error) => log.push((0, Some(error.kind()))),
    }
}

/// Keeps the pool's one thread busy until what is returned is dropped.
fn occupy(ev: &mut EvLoop) -> mpsc::Sender<()> {
    set_work_threads(1);
    let (gate, end) = mpsc::channel::<()>();
    let (begun, begins) = mpsc::channel();
    let job = move || {
        begun.send(()).unwrap();
        let _ = end.recv();
    };
    ev.work(job, |_, _| {}).unwrap();
    begins.recv().unwrap();
    gate
}

fn a_pool_that_is_full_refuses_and_what_is_asked_already_can_be_joined() {
    let mut ev = ev();
    let gate = occupy(&mut ev);
    set_work_queue(1);
    let log = Log::new();
    ev.resolve("localhost", 1, notes(&log)).unwrap();
    ev.resolve("LOCALHOST", 2, notes(&log)).unwrap();
    let refused = ev.resolve("nowhere.invalid", 3, |_, _| unreachable!()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Full);
    let source = std::error::Error::source(&refused).unwrap().to_string();
    assert_eq!(source, "no address for nowhere.invalid");
    drop(gate);
    assert!(!ev.run().unwrap());
    assert_eq!(log.take(), [(1, None), (2, None)]);
    // Known: no room is needed.
    let gate = occupy(&mut ev);
    ev.work(|| (), |_, _| {}).unwrap();
    ev.resolve("localhost", 4, notes(&log)).unwrap();
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(log.take(), [(4, None)]);
    drop(gate);
    ev.run().unwrap();
}

fn names_that_nobody_waits_for_leave_the_loop_alone() {
    let mut ev = ev();
    let gate = occupy(&mut ev);
    let question = ev.resolve("localhost", 1, |_, _| unreachable!()).unwrap();
    let log = Log::new();
    assert!(question.cancel(&mut ev));
    // Joined again it keeps the loop running again.
    ev.resolve("localhost", 2, notes(&log)).unwrap();
    drop(gate);
    assert!(!ev.run().unwrap());
    assert_eq!(log.take(), [(2, None)]);
    ev.forget_names();
    ev.resolve("localhost", 3, |_, _| unreachable!()).unwrap().cancel(&mut ev);
    assert!(!ev.has_refs());
    assert!(!ev.run().unwrap());
}

fn a_child_that_did_not_take_over_is_refused() {
    let mut ev = ev();
    let log = Log::new();
    ev.resolve("localhost", 1, notes(&log)).unwrap();
    ev.run().unwrap();
    ev.resolve("localhost", 2, notes(&log)).unwrap();
    let child = fork(|| {
        // Also for what is known, and for what needs no asking.
        for host in ["localhost", "127.0.0.1", "nowhere.invalid"] {
            let refused = ev.resolve(host, 1, |_, _| unreachable!()).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Forked);
        }
    });
    assert!(child.wait().success());
    ev.run().unwrap();
    assert_eq!(log.take(), [(1, None), (2, None)]);
}

fn in_a_child_that_took_over_the_parents_questions_end_in_an_error_and_new_ones_do_not() {
    let mut ev = ev();
    let gate = occupy(&mut ev);
    let log = Log::new();
    ev.resolve("localhost", 1, notes(&log)).unwrap();
    let child = fork(|| {
        ev.after_fork().unwrap();
        // Before the loop has found out.
        ev.resolve("localhost", 2, notes(&log)).unwrap();
        assert!(!ev.run().unwrap());
        let mut told = log.take();
        told.sort_by_key(|(port, _)| *port);
        assert_eq!(told, [(0, Some(ErrorKind::Forked)), (2, None)]);
        ev.resolve("localhost", 3, notes(&log)).unwrap();
        ev.run().unwrap();
        assert_eq!(log.take(), [(3, None)]);
    });
    assert!(child.wait().success());
    drop(gate);
    ev.run().unwrap();
    assert_eq!(log.take(), [(1, None)]);
}
