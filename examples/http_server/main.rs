//! The demo server: every way to answer, with every limit an option.
//!
//! `http_server --help` lists the options; the first page, at `/`, has links to the rest. By default it is at
//! 127.0.0.1:8080. SIGTERM and Ctrl-C end it when everything is answered, a second one at once.

mod options;
mod page;
mod routes;

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use evloop::http::{Server, ServerThreads, ServersRemote, Sharing, ThreadOptions};
use evloop::net::{Address, Place};
use evloop::{Break, ErrorKind, EvLoop};
use libc::{SIGHUP, SIGINT, SIGTERM};
use options::{Options, Wanted};

fn main() -> ExitCode {
    match serve() {
        Ok(code) => code,
        Err(error) => {
            // Not `eprintln!`, which panics where nothing can be written.
            let _ = writeln!(io::stderr(), "http_server: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> Result<ExitCode, Box<dyn Error>> {
    let options = match options::read(std::env::args().skip(1)) {
        Ok(Wanted::Serve(options)) => options,
        Ok(Wanted::Help) => {
            write!(io::stdout(), "{}", options::USAGE)?;
            return Ok(ExitCode::SUCCESS);
        }
        Err(wrong) => {
            let hint = "http_server --help lists the options";
            let _ = writeln!(io::stderr(), "http_server: {wrong} ({hint})");
            return Ok(ExitCode::from(2));
        }
    };
    let mut ev = match options.backend {
        Some(backend) => EvLoop::builder().backend(backend).build()?,
        None => EvLoop::new()?,
    };
    let running = match start(&mut ev, &options) {
        Ok(running) => running,
        Err(error) => {
            let _ = writeln!(io::stderr(), "http_server: {error:#}");
            // What cannot be listened on at all, or not now.
            let is_wrong = error.kind() == ErrorKind::InvalidInput;
            return Ok(ExitCode::from(if is_wrong { 2 } else { 1 }));
        }
    };
    for address in running.addresses(&ev) {
        // Not `println!`, which panics when nobody reads standard output any more.
        writeln!(io::stdout(), "listening on {}", url(&address))?;
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
    // Nothing is to be read again yet; but it must not end the program.
    ev.signal(SIGHUP, |_, _| {}).start(&mut ev)?.set_ref(&mut ev, false);
    ev.run()?;
    let finished = running.borrow_mut().take();
    if let Some(Running::Threads(servers)) = finished {
        servers.join()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// On the loop of the main thread, or on others.
enum Running {
    Here(Server),
    Threads(ServerThreads),
}

fn start(ev: &mut EvLoop, options: &Options) -> evloop::Result<Running> {
    let server_options = options.server();
    let setup = options.setup();
    if options.threads == 1 {
        let routes = routes::all(setup, None);
        let server = server_options.listen(ev, &options.listen, routes)?;
        return Ok(Running::Here(server));
    }
    // `SO_REUSEPORT` is for TCP; a Unix socket has one who accepts.
    let is_unix = |address: &Address| !matches!(address.place(), Place::Any(_) | Place::Socket(_));
    let sharing =
        if options.listen.iter().any(is_unix) { Sharing::HandOff } else { Sharing::ReusePort };
    let all: Arc<OnceLock<ServersRemote>> = Arc::default();
    let known = Arc::clone(&all);
    let mut threads = ThreadOptions::new(options.threads).sharing(sharing);
    if let Some(backend) = options.backend {
        threads = threads.backend(backend);
    }
    let servers = threads.listen(server_options, &options.listen, move |_| {
        routes::all(setup, Some(Arc::clone(&known)))
    })?;
    let _ = all.set(servers.remote());
    Ok(Running::Threads(servers))
}

impl Running {
    fn addresses(&self, ev: &EvLoop) -> Vec<Address> {
        match self {
            Self::Here(server) => server.addresses(ev),
            Self::Threads(servers) => servers.addresses().to_vec(),
        }
    }

    fn stop(&self, ev: &mut EvLoop, limit: Duration, at_once: bool) {
        match self {
            Self::Here(server) if at_once => server.stop_now(ev),
            Self::Here(server) => server.shutdown(ev, Some(limit)),
            Self::Threads(servers) => {
                if at_once {
                    servers.stop_now();
                    ev.break_loop(Break::All);
                } else {
                    servers.shutdown(Some(limit));
                }
            }
        }
    }

    /// Whether the threads have ended. A server on this loop keeps it running by itself.
    fn has_ended(&self) -> bool {
        matches!(self, Self::Threads(servers) if servers.is_finished())
    }
}

fn url(address: &Address) -> String {
    match address.place() {
        Place::Any(port) => format!("http://0.0.0.0:{port}"),
        Place::Socket(socket) => format!("http://{socket}"),
        _ => address.to_string(),
    }
}
