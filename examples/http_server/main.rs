//! The demo server: every way to answer, with every limit an option.
//!
//! `http_server --help` lists the options; the first page, at `/`, shows what the server does and has links to the rest.
//! By default it is at 127.0.0.1:8080; started by systemd with sockets (`LISTEN_FDS`), it serves those. SIGTERM and
//! Ctrl-C end it when everything is answered, a second one at once. SIGHUP has it read its certificate and open its log
//! again.

mod content;
mod events;
mod meter;
mod options;
mod page;
mod routes;
mod running;
mod talk;
mod tls;

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use evloop::http::AccessLog;
use evloop::net::{Address, Place, listen_fds_from_environment};
use evloop::{Break, ErrorKind, EvLoop};
use libc::{SIGHUP, SIGINT, SIGTERM};
use options::{Options, Wanted};
use running::Running;

fn main() -> ExitCode {
    match serve() {
        Ok(code) => code,
        Err(error) => {
            note(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn serve() -> Result<ExitCode, Box<dyn Error>> {
    let given = listen_fds_from_environment()?;
    let options = match options::read(std::env::args_os().skip(1), given.len()) {
        Ok(Wanted::Serve(options)) => options,
        Ok(Wanted::Help) => {
            write!(io::stdout(), "{}", options::USAGE)?;
            return Ok(ExitCode::SUCCESS);
        }
        Err(wrong) => {
            note(&format!("{wrong} (http_server --help lists the options)"));
            return Ok(ExitCode::from(2));
        }
    };
    let mut ev = match options.backend {
        Some(backend) => EvLoop::builder().backend(backend).build()?,
        None => EvLoop::new()?,
    };
    let running = match running::start(&mut ev, &options, given) {
        Ok(running) => running,
        Err(error) => {
            note(&format!("{error:#}"));
            // What cannot be listened on at all, or not now.
            let is_wrong = error.kind() == ErrorKind::InvalidInput;
            return Ok(ExitCode::from(if is_wrong { 2 } else { 1 }));
        }
    };
    for address in running.addresses(&ev) {
        // Not `println!`, which panics when nobody reads standard output any more.
        writeln!(io::stdout(), "listening on {}", url(&address, options.tls.is_some()))?;
    }
    if !options.quiet {
        let _ = writeln!(io::stderr(), "serves HTTP; Ctrl-C ends it when everything is answered");
    }

    let on_threads = matches!(running, Running::Threads(_));
    let running = Rc::new(RefCell::new(Some(running)));
    let limit = options.drain_timeout;
    let asked = Rc::new(Cell::new(false));
    for signum in [SIGINT, SIGTERM] {
        let (running, asked) = (Rc::clone(&running), Rc::clone(&asked));
        let signal = ev.signal(signum, move |ev, _| {
            let again = asked.replace(true);
            if let Some(running) = &*running.borrow() {
                running.stop(ev, limit, again);
            }
            let waiting = Rc::clone(&running);
            if on_threads && !again {
                // Looked at until they have: this loop has nothing else to do.
                let now_and_then = Duration::from_millis(20);
                ev.timer(now_and_then, now_and_then, move |ev, _| {
                    if waiting.borrow().as_ref().is_none_or(Running::has_ended) {
                        ev.break_loop(Break::All);
                    }
                })
                .start(ev);
            }
        });
        // Here it keeps nothing running: when the server has stopped, so does the program.
        signal.start(&mut ev)?.set_ref(&mut ev, on_threads);
    }
    // Also where there is nothing to do: by itself, it would end the program.
    let hang_up = ev.signal(SIGHUP, move |_, _| begin_again(&options));
    hang_up.start(&mut ev)?.set_ref(&mut ev, false);
    ev.run()?;
    let finished = running.borrow_mut().take();
    if let Some(Running::Threads(servers)) = finished {
        servers.join()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The files of others may be new ones: a certificate that was renewed, a log that was moved away.
fn begin_again(options: &Options) {
    if let Some(tls) = &options.tls {
        match tls.read_again() {
            Ok(()) if options.quiet => {}
            Ok(()) => note("the certificate was read again"),
            Err(wrong) => note(&format!("the certificate stays as it is: {wrong}")),
        }
    }
    if let Some(Err(wrong)) = options.log.as_ref().map(AccessLog::reopen) {
        note(&format!("the access log stays where it is: {wrong:#}"));
    }
}

/// Not `eprintln!`, which panics where nothing can be written.
fn note(text: &str) {
    let _ = writeln!(io::stderr(), "http_server: {text}");
}

fn url(address: &Address, has_tls: bool) -> String {
    let scheme = if has_tls { "https" } else { "http" };
    match address.place() {
        Place::Any(port) => format!("{scheme}://0.0.0.0:{port}"),
        Place::Socket(socket) => format!("{scheme}://{socket}"),
        _ => address.to_string(),
    }
}
