//! Close: what a module does when its loop ends, without being told so by anybody.

use std::cell::RefCell;
use std::error::Error;
use std::io::{self, Write};
use std::time::Duration;

use evloop::EvLoop;

/// A log that gathers its lines and writes them when the loop is dropped. There is one per loop.
#[derive(Default)]
struct Log(RefCell<Vec<String>>);

fn log(ev: &mut EvLoop, line: impl Into<String>) {
    let log = ev.local::<Log>();
    if log.0.borrow().is_empty() {
        // The first line: see to the end. A cleanup watcher keeps no loop running.
        ev.on_close(|ev, _| {
            let lines = ev.local::<Log>().0.take();
            let mut out = io::stdout().lock();
            // Nobody is left to be told of an error.
            let _ = lines.iter().try_for_each(|line| writeln!(out, "{line}"));
        })
        .start(ev);
    }
    log.0.borrow_mut().push(line.into());
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut ev = EvLoop::new()?;
    log(&mut ev, "started");
    ev.after(Duration::from_millis(10), |ev| log(ev, "a timer"));
    ev.run()?;
    writeln!(io::stdout().lock(), "the run is over")?;
    drop(ev);
    writeln!(io::stdout().lock(), "the loop is gone")?;
    Ok(())
}
