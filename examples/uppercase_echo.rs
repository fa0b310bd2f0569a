//! Lines: every connection gets its own back in upper case.
//!
//! `uppercase_echo [--listen ADDR]`, by default 127.0.0.1:8081; also `[::]:8081`, `:8081` for all addresses of
//! the machine, and `unix:/path`. Try it with `nc 127.0.0.1 8081`.
//!
//! A peer that sends and does not read is held up: its lines are left where they are until it has read the
//! answers to those before. So it costs the limit of the output, and of a line, and is not cut off.

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use evloop::net::{Address, Direction, Eol, Stream, StreamEvent, Written};
use evloop::{Break, ErrorKind, EvLoop};
use libc::{SIGINT, SIGTERM};

/// The longest line that is waited for.
const LONGEST: usize = 1024 * 1024;

/// How long a peer may send nothing, or read nothing of what waits for it.
const IDLE: Duration = Duration::from_secs(300);

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let address = match arguments() {
        Ok(address) => address,
        Err(wrong) => {
            writeln!(
                io::stderr(),
                "uppercase_echo: {wrong}; usage: uppercase_echo [--listen ADDR]"
            )?;
            return Ok(ExitCode::from(2));
        }
    };
    let mut ev = EvLoop::new()?;
    for signum in [SIGINT, SIGTERM] {
        ev.signal(signum, |ev, _| ev.break_loop(Break::All)).start(&mut ev)?;
    }

    let opened = ev.listen(address.clone(), |ev, accepted| {
        accepted.serve(ev, echo);
    });
    let listener = match opened {
        Ok(listener) => listener,
        Err(error) => {
            writeln!(io::stderr(), "uppercase_echo: {address}: {error:#}")?;
            // What cannot be listened on at all, or not now.
            let is_wrong = error.kind() == ErrorKind::InvalidInput;
            return Ok(ExitCode::from(if is_wrong { 2 } else { 1 }));
        }
    };

    // Not `println!`, which panics when nobody reads standard output any more.
    for here in listener.addresses(&ev) {
        writeln!(io::stdout(), "listening on {here}")?;
    }
    let _ = writeln!(io::stderr(), "answers lines in upper case; Ctrl-C ends it");
    ev.run()?;
    Ok(ExitCode::SUCCESS)
}

fn echo(ev: &mut EvLoop, stream: Stream, event: StreamEvent) {
    match event {
        StreamEvent::Opened => {
            stream.set_read_timeout(ev, Some(IDLE));
            stream.set_write_timeout(ev, Some(IDLE));
        }
        StreamEvent::Received(_) => answer(ev, stream),
        // It has read what was there: on with its lines.
        StreamEvent::Drained => {
            stream.enable_read(ev);
            answer(ev, stream);
        }
        StreamEvent::Eof { .. } => {
            // A last line without an end.
            let rest = stream.take_all(ev);
            let _ = stream.write_owned(ev, rest.to_ascii_uppercase());
            stream.close_after_flush(ev);
        }
        StreamEvent::Timeout(Direction::Read) => stream.close_after_flush(ev),
        StreamEvent::Timeout(Direction::Write) => stream.close_now(ev),
        _ => {}
    }
}

/// Answers the lines that are there, as long as there is room for the answers.
fn answer(ev: &mut EvLoop, stream: Stream) {
    loop {
        match stream.take_line(ev, Eol::Lf, LONGEST) {
            Ok(Some(mut line)) => {
                line.make_ascii_uppercase();
                line.push(b'\n');
                match stream.write_owned(ev, line) {
                    Ok(Written::Room) => {}
                    // No more until it is drained: neither lines nor, while reading is disabled, the end.
                    Ok(Written::Full) => {
                        stream.disable_read(ev);
                        return;
                    }
                    Err(_) => return stream.close_now(ev),
                }
            }
            Ok(None) => return,
            Err(_) => {
                let _ = stream.write(ev, "LINE TOO LONG\n");
                return stream.close_lingering(ev);
            }
        }
    }
}

fn arguments() -> Result<Address, String> {
    let mut address = "127.0.0.1:8081".parse().map_err(|error: evloop::Error| error.to_string())?;
    // `env::args` would panic.
    let given: Result<Vec<_>, _> = std::env::args_os().skip(1).map(OsString::into_string).collect();
    let given = given.map_err(|wrong| format!("not UTF-8: {}", wrong.to_string_lossy()))?;
    let mut arguments = given.into_iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--listen" => {
                let text = arguments.next().ok_or("--listen needs an address")?;
                address = text.parse().map_err(|error: evloop::Error| match error.source() {
                    Some(why) => format!("--listen {text}: {why}"),
                    None => format!("--listen {text}: {error}"),
                })?;
            }
            other => return Err(format!("unknown argument {other}")),
        }
    }
    Ok(address)
}
