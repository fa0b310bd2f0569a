//! Signal: counts SIGUSR1, and ends on SIGTERM or SIGINT. It has the signals sent to itself.

use std::error::Error;
use std::io::{self, Write};
use std::process::Command;

use evloop::{Break, EvLoop};
use libc::{SIGINT, SIGTERM, SIGUSR1};

fn main() -> Result<(), Box<dyn Error>> {
    let mut ev = EvLoop::new()?;

    let mut calls = 0;
    ev.signal(SIGUSR1, move |ev, _| {
        calls += 1;
        say(ev, &format!("SIGUSR1: call {calls}"));
    })
    .start(&mut ev)?;

    for (signum, name) in [(SIGTERM, "SIGTERM"), (SIGINT, "SIGINT")] {
        ev.signal(signum, move |ev, _| {
            say(ev, &format!("{name}: the end"));
            ev.break_loop(Break::All);
        })
        .start(&mut ev)?;
    }

    // What comes before the loop runs is not lost. Three of a kind may be one call, as here, and those of
    // one iteration are told in the order of their numbers.
    let script = "kill -TERM $PPID; kill -USR1 $PPID; kill -USR1 $PPID; kill -USR1 $PPID";
    Command::new("sh").args(["-c", script]).status()?;

    ev.run()?;
    Ok(())
}

/// Not `println!`, which panics when nobody reads standard output any more.
fn say(ev: &mut EvLoop, text: &str) {
    writeln!(io::stdout().lock(), "{text}").unwrap_or_else(|error| ev.fail(error));
}
