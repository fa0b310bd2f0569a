//! Stat: a file appears, is replaced by renaming another over it, and goes away.

use std::error::Error;
use std::io::{self, Write};
use std::time::Duration;
use std::{env, fs, process};

use evloop::EvLoop;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = env::temp_dir().join(format!("evloop-example-{}", process::id()));
    fs::create_dir(&dir)?;
    let (path, new) = (dir.join("settings"), dir.join("settings.new"));

    let mut ev = EvLoop::new()?;
    // Looked at every tenth of a second where the system does not tell; it mostly does.
    let next = new.clone();
    let watcher = ev.stat(&path, Duration::from_millis(100), move |ev, e| {
        let step = match (e.prev.exists(), e.attr.exists()) {
            (false, true) => {
                say(ev, &format!("there: {} bytes", e.attr.size));
                // As editors do it. The watch goes on with the new file.
                fs::write(&next, "longer than before").and_then(|()| fs::rename(&next, e.path))
            }
            (true, true) => {
                let other = if e.attr.ino == e.prev.ino { "same" } else { "another" };
                say(ev, &format!("{other} file: {} bytes", e.attr.size));
                fs::remove_file(e.path)
            }
            (_, false) => {
                say(ev, "gone");
                e.watcher.stop(ev);
                Ok(())
            }
        };
        step.unwrap_or_else(|error| ev.fail(error));
    });
    watcher.start(&mut ev)?;

    fs::write(&new, "short")?;
    fs::rename(&new, &path)?;
    let outcome = ev.run();
    fs::remove_dir_all(&dir)?;
    outcome?;
    Ok(())
}

/// Not `println!`, which panics when nobody reads standard output any more.
fn say(ev: &mut EvLoop, text: &str) {
    writeln!(io::stdout().lock(), "{text}").unwrap_or_else(|error| ev.fail(error));
}
