//! Periodic: by the clock on the wall. Three schedules: every fifth of a second, a moment, a rule.

use std::error::Error;
use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use evloop::{EvLoop, Schedule};

fn main() -> Result<(), Box<dyn Error>> {
    let ms = Duration::from_millis;
    let mut ev = EvLoop::new()?;

    // When the clock shows a multiple of 200 ms, whenever the program was started.
    let mut calls = 0;
    let fifths = ev.periodic(Schedule::every(ms(200)), move |ev, e| {
        calls += 1;
        let next = e.watcher.due(ev).map_or(0, milliseconds);
        say(ev, &format!("fifth {calls}, the next one at .{next:03}"));
        if calls == 3 {
            e.watcher.stop(ev);
        }
    });
    fifths.start(&mut ev);

    // Once, at a moment. Had it passed already, it would come at once.
    let moment = SystemTime::now() + ms(700);
    ev.periodic(Schedule::at(moment), |ev, _| say(ev, "the moment has come")).start(&mut ev);

    // By a rule that is asked for the next time, until it has none: at the next two full tenths.
    let mut left = 2;
    let rule = Schedule::by(move |now| {
        let time = now.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_millis() as u64;
        left -= 1;
        (left >= 0).then(|| SystemTime::UNIX_EPOCH + ms(time / 100 * 100 + 100))
    });
    // Without a next time it stays started, for `again`; so it must not keep the loop running.
    ev.periodic(rule, |ev, _| say(ev, "by the rule")).set_ref(&mut ev, false).start(&mut ev);

    ev.run()?;
    Ok(())
}

fn milliseconds(time: SystemTime) -> u32 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.subsec_millis())
}

/// Not `println!`, which panics when nobody reads standard output any more.
fn say(ev: &mut EvLoop, text: &str) {
    writeln!(io::stdout().lock(), "{text}").unwrap_or_else(|error| ev.fail(error));
}
