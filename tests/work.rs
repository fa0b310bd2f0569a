//! The work pool: design.md D21, reliability.md section 4 (helper threads). The pool belongs to the
//! process, so each case has one of its own.

#![allow(clippy::unwrap_used)]

#[path = "suite/processes.rs"]
mod processes;
mod suite;

use std::error::Error as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;

use evloop::net::{Work, set_work_queue, set_work_threads};
use processes::*;
use suite::*;

fn main() {
    let setting = |name, backend| Setting { name, backend, descriptors: true };
    let settings = [setting("epoll", Backend::Epoll), setting("poll", Backend::Poll)];
    processes::main(
        &settings,
        cases![
            a_result_is_brought_to_the_loops_thread,
            outstanding_work_keeps_the_loop_running_and_done_work_does_not,
            work_without_a_reference_lets_the_loop_end,
            a_loop_at_rest_has_no_watchers_of_works,
            jobs_are_begun_in_the_order_they_were_started,
            there_are_four_threads_at_most_and_they_have_names,
            the_number_of_threads_can_be_set,
            one_thread_is_enough_for_jobs_one_at_a_time,
            a_job_that_panics_ends_in_an_error_and_its_thread_goes_on,
            a_panic_that_panics_when_it_is_dropped_harms_nobody,
            a_cancelled_job_that_waits_is_not_run_and_dropped_at_once,
            a_cancelled_job_that_runs_ends_and_its_result_is_dropped,
            work_is_cancelled_once_and_by_its_own_loop_only,
            cancelling_the_last_work_lets_the_loop_end,
            a_full_queue_refuses_and_has_room_again_later,
            ten_thousand_jobs_are_all_done,
            done_may_start_work_and_run_the_loop,
            a_panic_of_done_leaves_the_other_results_to_the_next_run,
            two_loops_on_two_threads_share_the_threads,
            a_loop_that_goes_takes_its_jobs_and_leaves_those_of_others,
            dropping_the_loop_drops_what_is_outstanding_on_its_thread,
            dropping_the_last_loop_waits_for_what_runs,
            what_done_holds_is_dropped_before_running_jobs_are_waited_for,
            threads_are_joined_when_the_last_loop_goes_and_started_anew_for_the_next,
            a_loop_that_never_had_work_keeps_no_thread,
            a_job_may_have_a_loop_with_work_of_its_own,
            a_job_dropped_unrun_may_panic_and_the_threads_are_joined_all_the_same,
            without_a_first_thread_work_is_refused,
            without_further_threads_the_first_does_it_all,
            a_child_that_did_not_take_over_is_refused_and_may_drop_the_loop,
            in_a_child_that_took_over_the_parents_work_ends_in_an_error,
            a_child_has_threads_of_its_own,
        ],
    );
}

// --- words -------------------------------------------------------------------------------------

/// The names of the pool's threads that there are.
fn threads() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir("/proc/self/task")
        .unwrap()
        // One may end meanwhile.
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .map(|name| name.trim_end().to_owned())
        .filter(|name| name.starts_with("evloop work"))
        .collect();
    names.sort();
    names
}

/// The kernel lists a thread for a moment after it was joined.
#[track_caller]
fn no_threads() {
    let begun = Instant::now();
    while !threads().is_empty() {
        assert!(begun.elapsed() < secs(5), "{:?}", threads());
        thread::yield_now();
    }
}

/// Waits until all of the pool's threads sleep.
#[track_caller]
fn threads_sleep() {
    let begun = Instant::now();
    // `NUMBER (NAME) STATE …`
    let sleeps = |stat: String| !stat.contains("(evloop work") || stat.contains(") S ");
    let all_sleep = || {
        let mut tasks = std::fs::read_dir("/proc/self/task").unwrap();
        tasks.all(|task| {
            std::fs::read_to_string(task.unwrap().path().join("stat")).is_ok_and(sleeps)
        })
    };
    while !all_sleep() {
        assert!(begun.elapsed() < secs(10), "a thread does not rest");
        thread::yield_now();
    }
}

/// A job that says that it runs and ends when its gate is dropped.
struct Held {
    work: Work,
    gate: mpsc::Sender<()>,
}

fn hold(ev: &mut EvLoop, done: impl FnOnce(&mut EvLoop, Result<()>) + 'static) -> Held {
    let (gate, end) = mpsc::channel::<()>();
    let (begun, begins) = mpsc::channel();
    let job = move || {
        begun.send(()).unwrap();
        let _ = end.recv();
    };
    let work = ev.work(job, done).unwrap();
    begins.recv().unwrap();
    Held { work, gate }
}

fn well<T>(_: &mut EvLoop, result: Result<T>) {
    assert!(result.is_ok());
}

fn silence() {
    std::panic::set_hook(Box::new(|_| {}));
}

/// Says where it was dropped.
struct Dropped(mpsc::Sender<thread::ThreadId>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.send(thread::current().id());
    }
}

// --- results -----------------------------------------------------------------------------------

fn a_result_is_brought_to_the_loops_thread() {
    let mut ev = ev();
    let home = thread::current().id();
    let log = Log::new();
    let says = log.clone();
    let done = move |_: &mut EvLoop, result: Result<(thread::ThreadId, String)>| {
        let (away, text) = result.unwrap();
        assert_ne!(away, home);
        assert_eq!(thread::current().id(), home);
        says.push(text);
    };
    let work = ev.work(|| (thread::current().id(), "done".to_owned()), done).unwrap();
    assert!(work.is_active(&ev));
    assert!(!ev.run().unwrap());
    assert!(!work.is_active(&ev));
    assert_eq!(log.take(), ["done"]);
}

fn outstanding_work_keeps_the_loop_running_and_done_work_does_not() {
    let mut ev = ev();
    assert!(!ev.has_refs());
    let held = hold(&mut ev, |ev, _| assert!(!ev.has_refs()));
    assert!(ev.has_refs());
    assert!(ev.run_mode(Run::NoWait).unwrap());
    drop(held.gate);
    assert!(!ev.run().unwrap());
    assert!(!ev.has_refs());
}

fn work_without_a_reference_lets_the_loop_end() {
    let mut ev = ev();
    let count = Count::new();
    let counts = count.clone();
    let held = hold(&mut ev, move |_, _| _ = counts.up());
    held.work.set_ref(&mut ev, false).set_ref(&mut ev, false);
    assert!(!ev.has_refs());
    assert!(!ev.run().unwrap());
    held.work.set_ref(&mut ev, true);
    assert!(ev.has_refs());
    held.work.set_ref(&mut ev, false);
    drop(held.gate);
    // It is delivered while something else keeps the loop.
    let tick = ev.timer(ms(1), ms(1), nothing).start(&mut ev);
    let seen = count.clone();
    ev.check(move |ev, e| {
        if seen.get() > 0 {
            tick.stop(ev);
            e.watcher.stop(ev);
        }
    })
    .start(&mut ev);
    assert!(!ev.run().unwrap());
    assert_eq!(count.get(), 1);
    // What is done has no reference to change.
    held.work.set_ref(&mut ev, true);
    assert!(!ev.has_refs());
}

fn a_loop_at_rest_has_no_watchers_of_works() {
    let mut ev = ev();
    for _ in 0..3 {
        ev.work(|| (), well).unwrap();
        assert!(!ev.run().unwrap());
        assert_eq!(ev.watchers().len(), 0);
    }
    // Freeing what is not one's own costs nobody a result.
    let held = hold(&mut ev, well);
    let internal = ev.watchers();
    for watcher in internal {
        watcher.free(&mut ev);
    }
    held.work.set_ref(&mut ev, true);
    drop(held.gate);
    assert!(!ev.run().unwrap());
    assert!(!held.work.is_active(&ev));
}

// --- threads -----------------------------------------------------------------------------------

fn jobs_are_begun_in_the_order_they_were_started() {
    set_work_threads(1);
    let mut ev = ev();
    let begun = Arc::new(Mutex::new(Vec::new()));
    let log = Log::new();
    for n in 0..100 {
        let (begun, log) = (Arc::clone(&begun), log.clone());
        ev.work(move || begun.lock().unwrap().push(n), move |_, _| log.push(n)).unwrap();
    }
    ev.run().unwrap();
    let expected: Vec<i32> = (0..100).collect();
    assert_eq!(*begun.lock().unwrap(), expected);
    assert_eq!(log.take(), expected);
}

fn there_are_four_threads_at_most_and_they_have_names() {
    let mut ev = ev();
    let running = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let barrier = Arc::new(Barrier::new(5));
    let count = Count::new();
    for _ in 0..8 {
        let (running, barrier, count) = (Arc::clone(&running), Arc::clone(&barrier), count.clone());
        let job = move || {
            let now = running.0.fetch_add(1, Ordering::SeqCst) + 1;
            running.1.fetch_max(now, Ordering::SeqCst);
            barrier.wait();
            running.0.fetch_sub(1, Ordering::SeqCst);
            // Nobody of the second four before all of the first.
            barrier.wait();
        };
        ev.work(job, move |_, _| _ = count.up()).unwrap();
    }
    for _ in 0..4 {
        barrier.wait();
    }
    assert_eq!(threads(), ["evloop work 1", "evloop work 2", "evloop work 3", "evloop work 4"]);
    ev.run().unwrap();
    assert_eq!(count.get(), 8);
    assert_eq!(running.1.load(Ordering::SeqCst), 4);
}

fn the_number_of_threads_can_be_set() {
    set_work_threads(0);
    let mut ev = ev();
    let first = hold(&mut ev, well);
    assert_eq!(threads().len(), 1);
    set_work_threads(6);
    let more: Vec<_> = (0..5).map(|_| hold(&mut ev, well)).collect();
    assert_eq!(threads().len(), 6);
    drop((first, more));
    ev.run().unwrap();
}

fn one_thread_is_enough_for_jobs_one_at_a_time() {
    let mut ev = ev();
    for _ in 0..50 {
        ev.work(|| (), well).unwrap();
        ev.run().unwrap();
        // It may be on its way from posting to being idle.
        threads_sleep();
    }
    assert!(threads().len() <= 2, "{:?}", threads());
}

// --- panics ------------------------------------------------------------------------------------

fn a_job_that_panics_ends_in_an_error_and_its_thread_goes_on() {
    silence();
    set_work_threads(1);
    let mut ev = ev();
    let log = Log::new();
    let says = |log: &Log<String>| {
        let log = log.clone();
        move |_: &mut EvLoop, result: Result<thread::ThreadId>| {
            let error = result.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Panicked);
            assert_eq!(error.to_string(), "doing work: it panicked");
            log.push(error.source().unwrap().to_string());
        }
    };
    ev.work(|| panic!("a text"), says(&log)).unwrap();
    ev.work(|| panic!("number {}", 7), says(&log)).unwrap();
    ev.work(|| std::panic::panic_any(7), says(&log)).unwrap();
    let count = Count::new();
    let counts = count.clone();
    ev.work(
        || (),
        move |_, result| {
            result.unwrap();
            counts.up();
        },
    )
    .unwrap();
    ev.run().unwrap();
    assert_eq!(log.take(), ["a text", "number 7", "with something that is no text"]);
    assert_eq!((count.get(), threads().len()), (1, 1));
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !thread::panicking() {
            std::panic::panic_any(Bomb);
        }
    }
}

fn a_panic_that_panics_when_it_is_dropped_harms_nobody() {
    silence();
    set_work_threads(1);
    let mut ev = ev();
    let fails = |_: &mut EvLoop, result: Result<()>| {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Panicked);
    };
    ev.work(|| std::panic::panic_any(Bomb), fails).unwrap();
    // What the job owned counts as the job.
    let bomb = Bomb;
    ev.work(move || _ = &bomb, fails).unwrap();
    // A result that nobody waits for.
    let held = {
        let (gate, end) = mpsc::channel::<()>();
        let work =
            ev.work(move || (end.recv().is_err(), Bomb).1, |_, _| panic!("cancelled")).unwrap();
        (work, gate)
    };
    assert!(held.0.cancel(&mut ev));
    drop(held.1);
    ev.work(|| (), well).unwrap();
    ev.run().unwrap();
    assert_eq!(threads().len(), 1);
}

// --- cancelling --------------------------------------------------------------------------------

fn a_cancelled_job_that_waits_is_not_run_and_dropped_at_once() {
    set_work_threads(1);
    let mut ev = ev();
    let held = hold(&mut ev, well);
    let (where_job, job_dropped) = mpsc::channel();
    let (where_done, done_dropped) = mpsc::channel();
    let (job, done) = (Dropped(where_job), Dropped(where_done));
    let work = ev
        .work(
            move || {
                let _job = &job;
                unreachable!("run although cancelled")
            },
            move |_, _: Result<()>| {
                let _done = &done;
                unreachable!("called although cancelled")
            },
        )
        .unwrap();
    assert!(work.cancel(&mut ev));
    let home = thread::current().id();
    assert_eq!(job_dropped.try_recv().unwrap(), home);
    assert_eq!(done_dropped.try_recv().unwrap(), home);
    drop(held.gate);
    ev.run().unwrap();
}

fn a_cancelled_job_that_runs_ends_and_its_result_is_dropped() {
    let mut ev = ev();
    let (gate, end) = mpsc::channel::<()>();
    let (begun, begins) = mpsc::channel();
    let (where_result, result_dropped) = mpsc::channel();
    let (where_done, done_dropped) = mpsc::channel();
    let done = Dropped(where_done);
    let job = move || {
        begun.send(()).unwrap();
        let _ = end.recv();
        Dropped(where_result)
    };
    let work = ev
        .work(job, move |_, _| {
            let _done = &done;
            unreachable!("called although cancelled")
        })
        .unwrap();
    begins.recv().unwrap();
    assert!(work.cancel(&mut ev));
    assert_eq!(done_dropped.try_recv().unwrap(), thread::current().id());
    assert!(!ev.run().unwrap());
    assert!(result_dropped.try_recv().is_err());
    drop(gate);
    assert_ne!(result_dropped.recv().unwrap(), thread::current().id());
}

fn work_is_cancelled_once_and_by_its_own_loop_only() {
    let (mut ours, mut theirs) = (ev(), ev());
    let held = hold(&mut ours, well);
    let other = hold(&mut theirs, well);
    assert!(!held.work.cancel(&mut theirs));
    assert!(held.work.is_active(&ours));
    assert!(held.work.cancel(&mut ours));
    assert!(!held.work.cancel(&mut ours));
    drop((held.gate, other.gate));
    theirs.run().unwrap();
    assert!(!other.work.cancel(&mut theirs));
    // Nor after it was delivered, nor from within.
    let key = Rc::new(Cell::new(None::<Work>));
    let own = Rc::clone(&key);
    let work = ours.work(|| (), move |ev, _| assert!(!own.get().unwrap().cancel(ev))).unwrap();
    key.set(Some(work));
    ours.run().unwrap();
}

fn cancelling_the_last_work_lets_the_loop_end() {
    let mut ev = ev();
    let held = hold(&mut ev, well);
    let work = held.work;
    ev.after(ms(5), move |ev| assert!(work.cancel(ev)));
    assert!(!ev.run().unwrap());
    drop(held.gate);
}

// --- limits ------------------------------------------------------------------------------------

fn a_full_queue_refuses_and_has_room_again_later() {
    set_work_threads(1);
    set_work_queue(3);
    let mut ev = ev();
    let count = Count::new();
    let counts = |count: &Count| {
        let count = count.clone();
        move |_: &mut EvLoop, result: Result<()>| {
            result.unwrap();
            count.up();
        }
    };
    let held = hold(&mut ev, counts(&count));
    let works: Vec<_> = (0..3).map(|_| ev.work(|| (), counts(&count)).unwrap()).collect();
    let (says, dropped) = mpsc::channel();
    let (job, done) = (Dropped(says.clone()), Dropped(says));
    let refused = ev.work(move || drop(job), move |_, _| drop(done)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Full);
    assert_eq!(refused.to_string(), "starting work: too much waits already");
    let home = thread::current().id();
    assert_eq!(dropped.iter().collect::<Vec<_>>(), [home, home]);
    // Cancelling makes room.
    assert!(works[1].cancel(&mut ev));
    ev.work(|| (), counts(&count)).unwrap();
    assert_eq!(ev.work(|| (), well).unwrap_err().kind(), ErrorKind::Full);
    drop(held.gate);
    ev.run().unwrap();
    assert_eq!(count.get(), 4);
    // So does doing; and the limit is never 0.
    set_work_queue(0);
    ev.work(|| (), counts(&count)).unwrap();
    ev.run().unwrap();
    assert_eq!(count.get(), 5);
}

fn ten_thousand_jobs_are_all_done() {
    set_work_queue(10_000);
    let mut ev = ev();
    let sum = Rc::new(Cell::new(0));
    for n in 0..10_000_u64 {
        let sum = Rc::clone(&sum);
        ev.work(move || n, move |_, n| sum.set(sum.get() + n.unwrap())).unwrap();
    }
    assert!(!ev.run().unwrap());
    assert_eq!(sum.get(), 9_999 * 10_000 / 2);
    assert!(threads().len() <= 4);
}

// --- callbacks ---------------------------------------------------------------------------------

fn done_may_start_work_and_run_the_loop() {
    let mut ev = ev();
    let log = Log::new();
    let says = log.clone();
    ev.work(
        || (),
        move |ev, _| {
            let inner = says.clone();
            ev.work(|| (), move |_, _| inner.push("inner")).unwrap();
            ev.run().unwrap();
            says.push("outer");
        },
    )
    .unwrap();
    ev.run().unwrap();
    assert_eq!(log.take(), ["inner", "outer"]);
}

fn a_panic_of_done_leaves_the_other_results_to_the_next_run() {
    silence();
    let mut ev = ev();
    let count = Count::new();
    for n in 0..4 {
        let count = count.clone();
        ev.work(
            || (),
            move |_, _| {
                count.up();
                assert!(n != 0, "expected");
            },
        )
        .unwrap();
    }
    assert_eq!(panic_of(|| ev.run()).as_deref(), Some("expected"));
    ev.run().unwrap();
    assert_eq!(count.get(), 4);
}

// --- several loops -----------------------------------------------------------------------------

fn two_loops_on_two_threads_share_the_threads() {
    let barrier = Arc::new(Barrier::new(2));
    let loops: Vec<_> = (0..2)
        .map(|_| {
            let barrier = Arc::clone(&barrier);
            thread::spawn(move || {
                let mut ev = ev();
                let count = Count::new();
                let held = hold(&mut ev, well);
                barrier.wait();
                for _ in 0..500 {
                    let (home, count) = (thread::current().id(), count.clone());
                    let done = move |_: &mut EvLoop, _: Result<()>| {
                        assert_eq!(thread::current().id(), home);
                        count.up();
                    };
                    ev.work(|| (), done).unwrap();
                }
                assert!(threads().len() <= 4);
                drop(held.gate);
                ev.run().unwrap();
                assert_eq!(count.get(), 500);
                barrier.wait();
            })
        })
        .collect();
    for thread in loops {
        thread.join().unwrap();
    }
    no_threads();
}

fn a_loop_that_goes_takes_its_jobs_and_leaves_those_of_others() {
    set_work_threads(1);
    let (mut ours, mut theirs) = (ev(), ev());
    let held = hold(&mut theirs, well);
    let (says, dropped) = mpsc::channel();
    let job = Dropped(says);
    ours.work(
        move || {
            let _job = &job;
            unreachable!("run although its loop is gone")
        },
        |_, _: Result<()>| unreachable!("called although its loop is gone"),
    )
    .unwrap();
    let count = Count::new();
    let counts = count.clone();
    theirs.work(|| (), move |_, _| _ = counts.up()).unwrap();
    // Does not wait for the job of the other loop.
    drop(ours);
    assert_eq!(dropped.try_recv().unwrap(), thread::current().id());
    drop(held.gate);
    theirs.run().unwrap();
    assert_eq!(count.get(), 1);
    assert_eq!(threads().len(), 1);
}

fn dropping_the_loop_drops_what_is_outstanding_on_its_thread() {
    set_work_threads(1);
    let mut ev = ev();
    let (says, dropped) = mpsc::channel();
    let running = hold(&mut ev, {
        let done = Dropped(says.clone());
        move |_, _| drop(done)
    });
    for _ in 0..3 {
        let (job, done) = (Dropped(says.clone()), Dropped(says.clone()));
        ev.work(move || drop(job), move |_, _| drop(done)).unwrap();
    }
    drop(says);
    drop(running.gate);
    drop(ev);
    // The thread may have come to some of the jobs; never to what is called with their results.
    let home = thread::current().id();
    let places: Vec<_> = dropped.iter().collect();
    assert_eq!(places.len(), 7);
    assert!(places.iter().filter(|&&place| place == home).count() >= 4);
    no_threads();
}

fn dropping_the_last_loop_waits_for_what_runs() {
    let mut ev = ev();
    let ended = Arc::new(AtomicUsize::new(0));
    let (begun, begins) = mpsc::channel();
    for _ in 0..4 {
        let (ended, begun) = (Arc::clone(&ended), begun.clone());
        let job = move || {
            begun.send(()).unwrap();
            thread::sleep(ms(30));
            ended.fetch_add(1, Ordering::SeqCst);
        };
        ev.work(job, |_, _| unreachable!("called although its loop is gone")).unwrap();
    }
    begins.iter().take(4).for_each(drop);
    drop(ev);
    assert_eq!(ended.load(Ordering::SeqCst), 4);
    no_threads();
}

fn what_done_holds_is_dropped_before_running_jobs_are_waited_for() {
    let mut ev = ev();
    let (gate, end) = mpsc::channel::<()>();
    let (begun, begins) = mpsc::channel();
    let job = move || {
        begun.send(()).unwrap();
        let _ = end.recv();
    };
    ev.work(job, move |_, _| drop(gate)).unwrap();
    begins.recv().unwrap();
    drop(ev);
    no_threads();
}

fn threads_are_joined_when_the_last_loop_goes_and_started_anew_for_the_next() {
    for _ in 0..20 {
        let (mut first, mut second) = (ev(), ev());
        first.work(|| (), well).unwrap();
        second.work(|| (), well).unwrap();
        first.run().unwrap();
        drop(first);
        assert!(!threads().is_empty());
        second.run().unwrap();
        drop(second);
        no_threads();
    }
}

fn a_loop_that_never_had_work_keeps_no_thread() {
    let _bystander = ev();
    let mut ev = ev();
    assert_eq!(threads().len(), 0);
    ev.work(|| (), well).unwrap();
    ev.run().unwrap();
    drop(ev);
    no_threads();
}

fn a_job_may_have_a_loop_with_work_of_its_own() {
    let mut ev = ev();
    let job = || {
        let mut inner = suite_ev();
        let (says, said) = mpsc::channel();
        inner.work(|| 7, move |_, n| says.send(n.unwrap()).unwrap()).unwrap();
        inner.run().unwrap();
        said.recv().unwrap()
    };
    ev.work(job, |_, n| assert_eq!(n.unwrap(), 7)).unwrap();
    ev.run().unwrap();
    drop(ev);
    no_threads();

    // The outer loop goes first: the last loop is dropped on one of the threads, and ends them.
    let mut ev = suite_ev();
    let (gate, end) = mpsc::channel::<()>();
    let (begun, begins) = mpsc::channel();
    let (over, ends) = mpsc::channel();
    let job = move || {
        let mut inner = suite_ev();
        inner.work(|| (), well).unwrap();
        inner.run().unwrap();
        begun.send(()).unwrap();
        let _ = end.recv();
        drop(inner);
        over.send(()).unwrap();
    };
    ev.work(job, |_, _: Result<()>| ()).unwrap();
    begins.recv().unwrap();
    drop(ev);
    drop(gate);
    ends.recv().unwrap();
    no_threads();
}

/// `ev` where that name is taken by a loop.
fn suite_ev() -> EvLoop {
    ev()
}

struct Fuse;

impl Drop for Fuse {
    fn drop(&mut self) {
        panic!("expected");
    }
}

fn a_job_dropped_unrun_may_panic_and_the_threads_are_joined_all_the_same() {
    silence();
    set_work_threads(1);
    let mut ev = ev();
    let held = hold(&mut ev, well);
    let fuse = Fuse;
    ev.work(move || drop(fuse), well).unwrap();
    let gate = held.gate;
    let opener = thread::spawn(move || {
        thread::sleep(ms(20));
        drop(gate);
    });
    assert_eq!(panic_of(|| drop(ev)).as_deref(), Some("expected"));
    opener.join().unwrap();
    no_threads();
}

// --- what the system refuses -------------------------------------------------------------------

/// Leaves the process no room for another thread's stack.
fn without_room<R>(f: impl FnOnce() -> R) -> R {
    let mut before = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: writes to a local.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_AS, &raw mut before) }, 0);
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').next().unwrap().parse().unwrap();
    let limit = libc::rlimit { rlim_cur: (pages << 12) + (1 << 20), ..before };
    // SAFETY: reads a local.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) }, 0);
    let result = f();
    // SAFETY: reads a local.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const before) }, 0);
    result
}

fn without_a_first_thread_work_is_refused() {
    let mut ev = ev();
    let (says, dropped) = mpsc::channel();
    let (job, done) = (Dropped(says.clone()), Dropped(says));
    let refused = without_room(|| ev.work(move || drop(job), move |_, _| drop(done))).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Thread);
    assert_eq!(refused.raw_os_error(), Some(libc::EAGAIN));
    assert_eq!(dropped.iter().count(), 2);
    assert!(!ev.run().unwrap());
    ev.work(|| (), well).unwrap();
    ev.run().unwrap();
}

fn without_further_threads_the_first_does_it_all() {
    let mut ev = ev();
    let count = Count::new();
    let held = hold(&mut ev, well);
    without_room(|| {
        for _ in 0..20 {
            let count = count.clone();
            ev.work(|| (), move |_, _| _ = count.up()).unwrap();
        }
    });
    assert_eq!(threads().len(), 1);
    drop(held.gate);
    ev.run().unwrap();
    assert_eq!(count.get(), 20);
}

// --- forks -------------------------------------------------------------------------------------

// These processes have other threads when they fork. The C library keeps its allocator usable in the
// child, and what else they do there is the subject.

fn a_child_that_did_not_take_over_is_refused_and_may_drop_the_loop() {
    set_work_threads(1);
    let mut ev = ev();
    let count = Count::new();
    let counts = count.clone();
    let held = hold(&mut ev, move |_, _| _ = counts.up());
    let waiting = ev.work(|| (), well).unwrap();
    let mut ev = Some(ev);
    let child = fork(|| {
        let mut ev = ev.take().unwrap();
        assert_eq!(ev.work(|| (), well).unwrap_err().kind(), ErrorKind::Forked);
        assert!(waiting.cancel(&mut ev));
        drop(ev);
        // A loop of the child's own has threads of the child's own.
        let mut ev = suite_ev();
        ev.work(|| (), well).unwrap();
        ev.run().unwrap();
        assert_eq!(threads().len(), 1);
        drop(ev);
        no_threads();
    });
    assert!(child.wait().success());
    let mut ev = ev.unwrap();
    assert!(waiting.is_active(&ev));
    drop(held.gate);
    ev.run().unwrap();
    assert_eq!(count.get(), 1);
    drop(ev);
    no_threads();
}

fn in_a_child_that_took_over_the_parents_work_ends_in_an_error() {
    set_work_threads(1);
    let mut ev = ev();
    let log = Log::new();
    let says = |log: &Log<_>, name: &'static str| {
        let log = log.clone();
        move |_: &mut EvLoop, result: Result<()>| log.push((name, result.err().map(|e| e.kind())))
    };
    let held = hold(&mut ev, says(&log, "running"));
    ev.work(|| (), says(&log, "waiting")).unwrap();
    ev.work(|| (), says(&log, "cancelled")).unwrap().cancel(&mut ev);
    let child = fork(|| {
        ev.after_fork().unwrap();
        // Before and after the loop has found out.
        ev.work(|| (), says(&log, "child's")).unwrap();
        ev.run().unwrap();
        ev.work(|| (), says(&log, "child's second")).unwrap();
        assert!(!ev.run().unwrap());
        let mut told = log.take();
        told.sort_by_key(|(name, _)| *name);
        let forked = Some(ErrorKind::Forked);
        assert_eq!(
            told,
            [("child's", None), ("child's second", None), ("running", forked), ("waiting", forked)]
        );
    });
    assert!(child.wait().success());
    drop(held.gate);
    ev.run().unwrap();
    assert_eq!(log.take(), [("running", None), ("waiting", None)]);
}

fn a_child_has_threads_of_its_own() {
    let mut ev = ev();
    ev.work(|| (), well).unwrap();
    ev.run().unwrap();
    for _ in 0..10 {
        let child = fork(|| {
            ev.after_fork().unwrap();
            let count = Count::new();
            for _ in 0..20 {
                let count = count.clone();
                ev.work(|| (), move |_, _| _ = count.up()).unwrap();
            }
            ev.run().unwrap();
            assert_eq!(count.get(), 20);
            assert!(!threads().is_empty());
        });
        assert!(child.wait().success());
    }
}
