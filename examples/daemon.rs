//! A small daemon: keeps a child running, reloads when a file changes, ticks on the hour, stops cleanly.
//!
//! ```text
//! daemon [CONFIG [COMMAND [ARGUMENT]...]]
//! ```

use std::cell::Cell;
use std::io::{Write, stdout};
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use evloop::{Child, EvLoop, Schedule};
use libc::{SIGHUP, SIGINT, SIGTERM};

fn main() -> evloop::Result<()> {
    let mut args = std::env::args_os().skip(1);
    let config = args.next().unwrap_or("daemon.conf".into());
    let mut command: Vec<_> = args.collect();
    if command.is_empty() {
        command = ["sh", "-c", "sleep 2; exit 1"].map(Into::into).into();
    }
    let mut ev = EvLoop::new()?;
    let child = Rc::new(Cell::new(None::<Child>));

    // Starts the child, whose end starts this again: later each time, unless it was well for long.
    let (shortest, longest) = (Duration::from_millis(100), Duration::from_secs(10));
    let (current, mut pause, mut last) = (Rc::clone(&child), shortest, ev.now());
    let starter = ev.timer(Duration::ZERO, Duration::ZERO, move |ev, e| {
        let process = match Command::new(&command[0]).args(&command[1..]).spawn() {
            Ok(process) => process,
            Err(error) => return ev.fail(error),
        };
        say(ev, "child: started");
        let was_well = ev.now() - last > 3 * longest;
        pause = if was_well { shortest } else { longest.min(pause * 2) };
        last = ev.now();
        let starter = e.watcher;
        let watcher = ev.child(process, move |ev, e| {
            say(ev, &e.status.map_or("child: lost".into(), |status| format!("child: {status}")));
            e.watcher.free(ev);
            starter.restart(ev, pause); // nothing, if it was freed
        });
        match watcher.start_or_free(ev) {
            Ok(child) => current.set(Some(child)),
            Err(error) => ev.fail(error),
        }
    });
    starter.start(&mut ev);

    // All others keep no loop running: without the child and its starter the daemon has ended.
    for signum in [SIGTERM, SIGINT] {
        let child = Rc::clone(&child);
        let stop = ev.signal(signum, move |ev, _| {
            starter.free(ev);
            child.get().map(|child| child.signal(ev, SIGTERM));
        });
        stop.set_ref(&mut ev, false).start(&mut ev)?;
    }
    let reload = ev.stat(config, Duration::ZERO, move |ev, _| {
        say(ev, "configuration: changed");
        child.get().map(|child| child.signal(ev, SIGHUP));
    });
    reload.set_ref(&mut ev, false).start(&mut ev)?;
    let hourly = Schedule::every(Duration::from_secs(3600));
    ev.periodic(hourly, |ev, _| say(ev, "a new hour")).set_ref(&mut ev, false).start(&mut ev);

    ev.run().map(drop)
}

fn say(ev: &mut EvLoop, text: &str) {
    writeln!(stdout(), "{text}").unwrap_or_else(|error| ev.fail(error));
}
