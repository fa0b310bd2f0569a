//! Child: how processes end, and one that is told to.

use std::error::Error;
use std::io::{self, Write};
use std::process::Command;

use evloop::{ChildEvent, EvLoop};

fn main() -> Result<(), Box<dyn Error>> {
    let mut ev = EvLoop::new()?;

    // A watcher is stopped when its process has ended, so it keeps the loop running no longer than that.
    let sleeper = Command::new("sleep").arg("60").spawn()?;
    let sleeper = ev.child(sleeper, |ev, e| tell(ev, "sleep", &e)).start(&mut ev)?;

    let quick = Command::new("sh").args(["-c", "exit 7"]).spawn()?;
    let quick = ev.child(quick, move |ev, e| {
        tell(ev, "sh", &e);
        // To that process and no other, even if its number has been given away meanwhile.
        if let Err(error) = sleeper.signal(ev, libc::SIGTERM) {
            ev.fail(error);
        }
    });
    quick.start(&mut ev)?;

    ev.run()?;
    Ok(())
}

fn tell(ev: &mut EvLoop, name: &str, e: &ChildEvent<'_>) {
    match e.status {
        Some(status) => say(ev, &format!("{name} ended: {status}")),
        None => say(ev, &format!("{name} ended, and somebody else knows how")),
    }
}

/// Not `println!`, which panics when nobody reads standard output any more.
fn say(ev: &mut EvLoop, text: &str) {
    writeln!(io::stdout().lock(), "{text}").unwrap_or_else(|error| ev.fail(error));
}
