//! The server that runs: on the loop of the main thread, or on others.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use evloop::http::{Server, ServerStats, ServerThreads, ServersRemote, Sharing, ThreadOptions};
use evloop::net::{Address, InheritedFd, Place};
use evloop::{Break, EvLoop};

use crate::meter::{Desk, Meter};
use crate::options::Options;
use crate::routes;

pub enum Running {
    Here(Server),
    Threads(ServerThreads),
}

/// How a handler finds all servers of the program.
#[derive(Clone, Default)]
pub struct Everybody {
    /// Those of the threads, once they are all there.
    threads: Arc<OnceLock<ServersRemote>>,
}

impl Everybody {
    /// The same as `stats`, for who looks at the dashboard: its rows and samples are up to date then.
    pub fn look(
        &self,
        ev: &mut EvLoop,
        meter: &Arc<Meter>,
        own: Server,
        done: impl FnOnce(&mut EvLoop, ServerStats) + 'static,
    ) {
        let meter = Arc::clone(meter);
        match self.threads.get() {
            Some(threads) => {
                let list = Arc::clone(&meter);
                threads.each(move |ev, server| list.list(ev, server));
            }
            None => meter.list(ev, own),
        }
        // What was asked for first is answered first.
        self.stats(ev, own, move |ev, stats| {
            meter.count(stats.requests);
            done(ev, stats);
        });
    }

    /// Asks all what they have done, and goes on then. `own` is that of who asks.
    pub fn stats(
        &self,
        ev: &mut EvLoop,
        own: Server,
        done: impl FnOnce(&mut EvLoop, ServerStats) + 'static,
    ) {
        match self.threads.get() {
            Some(threads) => threads.stats(ev, done),
            None => {
                let stats = own.stats(ev);
                done(ev, stats);
            }
        }
    }
}

/// Serves on the sockets that the program was given, or else on the addresses of its options.
pub fn start(
    ev: &mut EvLoop,
    options: &Options,
    given: Vec<InheritedFd>,
) -> evloop::Result<Running> {
    let server_options = options.server();
    let setup = options.setup();
    let meter = Arc::new(Meter::new());
    let everybody = Everybody::default();
    let all = Arc::clone(&everybody.threads);
    let given: Vec<_> = given.into_iter().map(|inherited| inherited.fd).collect();
    let routes = move || routes::all(&setup, &Desk::new(Arc::clone(&meter)), &everybody);
    if options.threads == 1 {
        let server = if given.is_empty() {
            server_options.listen(ev, &options.listen, routes())?
        } else {
            server_options.adopt_all(ev, given, routes())?
        };
        return Ok(Running::Here(server));
    }
    // `SO_REUSEPORT` is for TCP; a Unix socket has one who accepts.
    let is_unix = |address: &Address| !matches!(address.place(), Place::Any(_) | Place::Socket(_));
    let sharing =
        if options.listen.iter().any(is_unix) { Sharing::HandOff } else { Sharing::ReusePort };
    let mut threads = ThreadOptions::new(options.threads).sharing(sharing);
    if let Some(backend) = options.backend {
        threads = threads.backend(backend);
    }
    let routes = move |_| routes();
    let servers = if given.is_empty() {
        threads.listen(server_options, &options.listen, routes)?
    } else {
        threads.adopt(server_options, given, routes)?
    };
    let _ = all.set(servers.remote());
    Ok(Running::Threads(servers))
}

impl Running {
    pub fn addresses(&self, ev: &EvLoop) -> Vec<Address> {
        match self {
            Self::Here(server) => server.addresses(ev),
            Self::Threads(servers) => servers.addresses().to_vec(),
        }
    }

    pub fn stop(&self, ev: &mut EvLoop, limit: Duration, at_once: bool) {
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
    pub fn has_ended(&self) -> bool {
        matches!(self, Self::Threads(servers) if servers.is_finished())
    }
}
