//! Prepare and check: the two ends of the wait. What callbacks have gathered is written once, before it.

use std::cell::RefCell;
use std::error::Error;
use std::io::{self, Write};
use std::rc::Rc;
use std::time::Duration;

use evloop::EvLoop;

fn main() -> Result<(), Box<dyn Error>> {
    let mut ev = EvLoop::new()?;
    let gathered = Rc::new(RefCell::new(Vec::new()));

    // Three timers, due at the same moment, twice.
    let moment = ev.now() + Duration::from_millis(20);
    for name in ["one", "two", "three"] {
        let gathered = Rc::clone(&gathered);
        let mut calls = 0;
        ev.timer_at(moment, move |ev, e| {
            gathered.borrow_mut().push(name);
            calls += 1;
            if calls < 2 {
                e.watcher.restart(ev, Duration::from_millis(20));
            }
        })
        .start(&mut ev);
    }

    // After the wait, before everything else.
    ev.check(|ev, _| say(ev, &format!("iteration {}: waited", ev.iteration())))
        .set_priority(&mut ev, 2)
        .set_ref(&mut ev, false)
        .start(&mut ev);

    // Before the next wait: one line for all of them.
    ev.prepare(move |ev, _| {
        let words = gathered.take().join(" ");
        say(ev, &format!("iteration {}: {words:?}, about to wait", ev.iteration()));
    })
    .set_ref(&mut ev, false)
    .start(&mut ev);

    ev.run()?;
    Ok(())
}

/// Not `println!`, which panics when nobody reads standard output any more.
fn say(ev: &mut EvLoop, text: &str) {
    writeln!(io::stdout().lock(), "{text}").unwrap_or_else(|error| ev.fail(error));
}
