//! From other threads: a notifier (calls coalesce), a channel (values, bounded), a posted closure.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use evloop::{EvLoop, Run, SendError};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut ev = EvLoop::new()?;

    // A notifier says that something happened, not how often.
    let done = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&done);
    let mut calls = 0;
    let (progress, notifier) = ev.notifier(move |ev, e| {
        calls += 1;
        if seen.load(Ordering::Acquire) == 100_000 {
            say(ev, "100000 steps are done; the loop was called no more often than that");
            assert!(calls <= 100_000);
            e.watcher.stop(ev);
        }
    });
    progress.start(&mut ev);
    let worker = spawn(move || {
        for _ in 0..100_000 {
            done.fetch_add(1, Ordering::Release);
            notifier.notify();
        }
    })?;

    // A channel carries each value. When the last sender is gone its watcher stops.
    let mut sum = 0;
    let (numbers, sender) = ev.channel(64, move |ev, n: u64| {
        sum += n;
        if n == 1000 {
            say(ev, &format!("the numbers up to 1000 add up to {sum}"));
        }
    });
    numbers.start(&mut ev);
    let producer = spawn(move || {
        for n in 1..=1000 {
            let mut value = n;
            // Full: the loop is behind. A real program would drop, or do something else meanwhile.
            while let Err(SendError::Full(back)) = sender.send(value) {
                value = back;
                thread::yield_now();
            }
        }
    })?;

    // A closure runs on the loop's thread.
    let remote = ev.remote();
    let poster = spawn(move || {
        remote.post(|ev| {
            say(ev, &format!("posted from a thread, run by the loop at depth {}", ev.depth()))
        })
    })?;

    ev.run()?;
    for thread in [worker, producer] {
        thread.join().expect("the thread does not panic");
    }
    poster.join().expect("the thread does not panic");
    // The loop may have had nothing left to wait for when the closure was posted.
    ev.run_mode(Run::NoWait)?;
    Ok(())
}

/// Not `thread::spawn`, which panics when the system has no thread to give.
fn spawn<T: Send + 'static>(job: impl FnOnce() -> T + Send + 'static) -> io::Result<JoinHandle<T>> {
    thread::Builder::new().spawn(job)
}

/// Not `println!`, which panics when nobody reads standard output any more.
fn say(ev: &mut EvLoop, text: &str) {
    writeln!(io::stdout().lock(), "{text}").unwrap_or_else(|error| ev.fail(error));
}
