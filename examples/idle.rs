//! Idle: a long computation in slices, while timers stay punctual.

use std::cell::Cell;
use std::error::Error;
use std::io::{self, Write};
use std::rc::Rc;
use std::time::Duration;

use evloop::EvLoop;

const UPPER: u32 = 200_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut ev = EvLoop::new()?;

    // Something that must not be kept waiting. It does not keep the loop running.
    let ticks = Rc::new(Cell::new(0));
    let count = Rc::clone(&ticks);
    ev.timer(Duration::from_millis(1), Duration::from_millis(1), move |_, _| {
        count.set(count.get() + 1);
    })
    .set_ref(&mut ev, false)
    .start(&mut ev);

    // A slice whenever nothing else is pending. Between two slices the loop looks for events.
    let (mut next, mut primes) = (2, 0);
    ev.idle(move |ev, e| {
        let slice = next..UPPER.min(next + 500);
        next = slice.end;
        primes += slice.filter(|n| is_prime(*n)).count();
        if next == UPPER {
            say(ev, &format!("{primes} primes below {UPPER}"));
            e.watcher.free(ev);
        }
    })
    .start(&mut ev);

    ev.run()?;
    writeln!(io::stdout().lock(), "{} ticks meanwhile", ticks.get())?;
    Ok(())
}

fn is_prime(n: u32) -> bool {
    (2..).take_while(|d| d * d <= n).all(|d| n % d != 0)
}

/// Not `println!`, which panics when nobody reads standard output any more.
fn say(ev: &mut EvLoop, text: &str) {
    writeln!(io::stdout().lock(), "{text}").unwrap_or_else(|error| ev.fail(error));
}
