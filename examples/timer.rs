//! Timers: once, repeatedly, and an inactivity time-out that is pushed back with `again`.

use std::io::{self, Write};
use std::time::Duration;

use evloop::EvLoop;

fn main() -> evloop::Result<()> {
    let ms = Duration::from_millis;
    let mut ev = EvLoop::new()?;
    let started = ev.now();

    ev.after(ms(25), move |ev| {
        say(ev, &format!("{:>3} ms: once", (ev.now() - started).as_millis()))
    });

    let mut ticks = 0;
    let ticker = ev.timer(ms(10), ms(10), move |ev, e| {
        ticks += 1;
        say(ev, &format!("{:>3} ms: tick {ticks}", (ev.now() - started).as_millis()));
        if ticks == 5 {
            e.watcher.stop(ev);
        }
    });
    ticker.start(&mut ev);

    // Due 20 ms after the last sign of life. A sign of life costs a few instructions.
    let inactive = ev.timer(Duration::ZERO, ms(20), move |ev, e| {
        say(ev, &format!("{:>3} ms: nothing happened for 20 ms", (ev.now() - started).as_millis()));
        e.watcher.stop(ev);
    });
    inactive.again(&mut ev);
    for sign_of_life in [5, 15, 30, 45] {
        ev.after(ms(sign_of_life), move |ev| {
            inactive.again(ev);
        });
    }

    ev.run()?;
    Ok(())
}

/// Not `println!`, which panics when nobody reads standard output any more.
fn say(ev: &mut EvLoop, text: &str) {
    writeln!(io::stdout().lock(), "{text}").unwrap_or_else(|error| ev.fail(error));
}
