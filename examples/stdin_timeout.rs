//! The libev sample: waits until standard input is readable, or for 5.5 seconds.
//!
//! Readable means a line, a byte, or the end of input; it is not read. Works with a terminal, a pipe, a
//! file and `/dev/null`.
//!
//! ```text
//! stdin_timeout [--timeout SECONDS] [--backend epoll|poll]
//! ```

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;
use std::{env, error};

use evloop::{Backend, Break, EvLoop, Interest};

struct Options {
    timeout: Duration,
    backend: Option<Backend>,
}

const USAGE: &str = "usage: stdin_timeout [--timeout SECONDS] [--backend epoll|poll]";

fn options() -> Result<Options, String> {
    let mut options = Options { timeout: Duration::from_millis(5500), backend: None };
    // `env::args` would panic.
    let given: Result<Vec<_>, _> = env::args_os().skip(1).map(OsString::into_string).collect();
    let given = given.map_err(|wrong| format!("not UTF-8: {}", wrong.to_string_lossy()))?;
    let mut args = given.into_iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value; {USAGE}"));
        match arg.as_str() {
            "--timeout" => {
                let text = value()?;
                let seconds = text.parse::<f64>().ok();
                let timeout = seconds.and_then(|s| Duration::try_from_secs_f64(s).ok());
                options.timeout = timeout
                    .ok_or_else(|| format!("--timeout: not a number of seconds: {text:?}"))?;
            }
            "--backend" => {
                let text = value()?;
                let known = Backend::available().iter().find(|backend| backend.name() == text);
                options.backend =
                    Some(*known.ok_or_else(|| format!("--backend: not a backend: {text:?}"))?);
            }
            _ => return Err(format!("unknown argument {arg:?}; {USAGE}")),
        }
    }
    Ok(options)
}

fn run(options: &Options) -> Result<(), Box<dyn error::Error>> {
    let mut builder = EvLoop::builder();
    if let Some(backend) = options.backend {
        builder = builder.backend(backend);
    }
    let mut ev = builder.build()?;

    let timeout = ev.timer(options.timeout, Duration::ZERO, |ev, _| finish(ev, "timeout"));
    let input = ev.io(evloop::stdin()?, Interest::READ, move |ev, _| {
        timeout.stop(ev);
        finish(ev, "stdin ready");
    });
    // If both happen in one iteration, input is called first and stops the timer.
    input.set_priority(&mut ev, 1);

    input.start(&mut ev)?;
    timeout.start(&mut ev);
    // Not `eprintln!`, which panics where nothing can be written.
    let _ = writeln!(
        io::stderr(),
        "type a line, or wait {:?}; Ctrl-C ends this at once",
        options.timeout
    );
    ev.run()?;
    Ok(())
}

/// Prints the outcome and ends the loop.
fn finish(ev: &mut EvLoop, outcome: &str) {
    ev.break_loop(Break::All);
    // Not `println!`, which panics when nobody reads standard output any more.
    if let Err(error) = writeln!(io::stdout(), "{outcome}") {
        ev.fail(error);
    }
}

fn main() -> ExitCode {
    let options = match options() {
        Ok(options) => options,
        Err(message) => {
            let _ = writeln!(io::stderr(), "stdin_timeout: {message}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "stdin_timeout: {error:#}");
            ExitCode::FAILURE
        }
    }
}
