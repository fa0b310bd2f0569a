//! Metrics: which callback blocks, how far the loop lags, and what it was busy with.

use std::error::Error;
use std::io::{self, Write};
use std::thread;
use std::time::Duration;

use evloop::{EvLoop, Kind};

fn main() -> Result<(), Box<dyn Error>> {
    let ms = Duration::from_millis;
    // From the beginning, so that the places where watchers were made are known in release builds too.
    let mut ev = EvLoop::builder().metrics(true).build()?;
    ev.on_stall(ms(200), |stall| {
        // A real program logs it. It says who, where that was made, and how long it took.
        let _ = writeln!(io::stderr().lock(), "stalled: {stall}");
    });

    let mut calls = 0;
    let ticker = ev.timer(ms(5), ms(5), move |ev, e| {
        calls += 1;
        if calls == 10 {
            e.watcher.stop(ev);
        }
    });
    ticker.start(&mut ev);
    // It does not belong in a callback; somebody has put it there.
    let culprit = ev.after(ms(12), move |_| thread::sleep(ms(300)));
    culprit.set_priority(&mut ev, 1);
    ev.run()?;

    let metrics = ev.metrics().expect("they are on");
    let mut out = io::stdout().lock();
    writeln!(out, "{} timer events", metrics.events(Kind::Timer))?;
    if let Some(longest) = &metrics.longest {
        let (kind, priority) = (longest.kind(), longest.priority);
        writeln!(out, "longest callback: {kind:?} at priority {priority}")?;
    }
    writeln!(out, "lagged 300 ms or more: {}", metrics.longest_lag >= ms(300))?;
    writeln!(out, "busy 300 ms or more: {}", metrics.busy >= ms(300))?;
    Ok(())
}
