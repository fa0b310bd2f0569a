//! Priorities: the order of callbacks within one iteration, and what idle means.

use std::io::{self, Write};
use std::time::Duration;

use evloop::EvLoop;

fn main() -> evloop::Result<()> {
    let mut ev = EvLoop::new()?;

    // All three are due in one iteration, so the priority decides, and then the order of starting.
    for (name, priority) in [("low", -1), ("first of two", 0), ("second of two", 0), ("high", 2)] {
        let timer = ev.timer(Duration::ZERO, Duration::ZERO, move |ev, e| {
            say(ev, &format!("iteration {}: {name}", ev.iteration()));
            e.watcher.free(ev);
        });
        timer.set_priority(&mut ev, priority).start(&mut ev);
    }

    // Idle watchers come when nothing else is pending at their priority or above. A timer that is due
    // in every iteration keeps this one waiting while it lasts.
    let mut left = 3;
    ev.timer(Duration::from_nanos(1), Duration::from_nanos(1), move |ev, e| {
        say(ev, &format!("iteration {}: busy", ev.iteration()));
        left -= 1;
        if left == 0 {
            e.watcher.free(ev);
        }
    })
    .start(&mut ev);
    ev.idle(|ev, e| {
        say(ev, &format!("iteration {}: idle at last", ev.iteration()));
        e.watcher.free(ev);
    })
    .start(&mut ev);

    ev.run()?;
    Ok(())
}

/// Not `println!`, which panics when nobody reads standard output any more.
fn say(ev: &mut EvLoop, text: &str) {
    writeln!(io::stdout().lock(), "{text}").unwrap_or_else(|error| ev.fail(error));
}
