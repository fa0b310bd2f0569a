//! One server over several loops, each on a thread of its own.

// Every thread has a whole server: its own routes, connections and counters. What is common is the address, and what
// is said to all of them through their remotes.

use std::cell::RefCell;
use std::fmt;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use super::{Routes, Server, ServerOptions, ServerStats};
use crate::net::{Address, ListenAddresses, LoopThread};
use crate::{Backend, EvLoop, Remote, Result};

/// How connections come to the threads.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum Sharing {
    /// Each thread listens, and the system chooses (`SO_REUSEPORT`). For TCP.
    #[default]
    ReusePort,
    /// One more thread accepts, and gives to each in turn. Also for Unix sockets.
    HandOff,
}

/// How a server is spread over threads; then [`listen`](Self::listen).
///
/// ```
/// use evloop::http::{Routes, ServerOptions, ThreadOptions};
///
/// let servers = ThreadOptions::new(2).listen(ServerOptions::new(), "127.0.0.1:0", |thread| {
///     Routes::new().get("/", move |ev, _, reply| reply.text(ev, format!("this is thread {thread}")))
/// })?;
/// assert_eq!(servers.addresses().len(), 1);
/// servers.shutdown(None);
/// servers.join()?;
/// # Ok::<(), evloop::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "options do nothing until `listen`"]
pub struct ThreadOptions {
    threads: usize,
    sharing: Sharing,
    backend: Option<Backend>,
    name: String,
}

impl ThreadOptions {
    /// So many threads, one at least.
    pub fn new(threads: usize) -> Self {
        let name = "http".to_owned();
        Self { threads: threads.max(1), sharing: Sharing::ReusePort, backend: None, name }
    }

    /// How connections come to the threads: [`Sharing::ReusePort`].
    pub fn sharing(mut self, sharing: Sharing) -> Self {
        self.sharing = sharing;
        self
    }

    /// Which backend their loops have: that which a loop has by itself.
    pub fn backend(mut self, backend: Backend) -> Self {
        self.backend = Some(backend);
        self
    }

    /// What the threads are called, with their numbers behind it: `http-0`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Starts the threads, each of which makes its own routes; it is told which it is.
    ///
    /// Limits are those of each thread, so that a [number of connections](ServerOptions::max_connections) is one for each; with
    /// [`HandOff`](Sharing::HandOff) there is one listener, and its limits are for all together.
    ///
    /// # Errors
    ///
    /// Those of [`ServerOptions::listen`] and [`LoopThread::spawn`]; then no thread is left.
    pub fn listen(
        &self,
        options: ServerOptions,
        addresses: impl ListenAddresses,
        routes: impl Fn(usize) -> Routes + Send + Sync + 'static,
    ) -> Result<ServerThreads> {
        self.start(options, Sockets::New(addresses.addresses()?), routes)
    }

    /// As [`listen`](Self::listen), for sockets that listen already, such as those that systemd [passes to a
    /// process](crate::net::listen_fds_from_environment). One thread more accepts for all, as with
    /// [`HandOff`](Sharing::HandOff).
    ///
    /// # Errors
    ///
    /// Those of [`ServerOptions::adopt_all`] and [`LoopThread::spawn`]; then no thread is left.
    pub fn adopt(
        &self,
        options: ServerOptions,
        sockets: Vec<OwnedFd>,
        routes: impl Fn(usize) -> Routes + Send + Sync + 'static,
    ) -> Result<ServerThreads> {
        let hands_off = self.clone().sharing(Sharing::HandOff);
        hands_off.start(options, Sockets::Given(sockets), routes)
    }

    fn start(
        &self,
        options: ServerOptions,
        sockets: Sockets,
        routes: impl Fn(usize) -> Routes + Send + Sync + 'static,
    ) -> Result<ServerThreads> {
        let wanted = match &sockets {
            Sockets::New(addresses) => addresses.clone(),
            Sockets::Given(_) => Vec::new(),
        };
        let routes = Arc::new(routes);
        let mut threads = Vec::new();
        let mut servers = Vec::new();
        let mut bound: Vec<Address> = Vec::new();
        let shares = self.sharing == Sharing::ReusePort && self.threads > 1;
        let mut options = options;
        if shares {
            options.listening = options.listening.reuse_port(true);
        }
        for index in 0..self.threads {
            // The first one is told its ports by the system; the others take the same.
            let at = if index == 0 { wanted.clone() } else { bound.clone() };
            let (tell, told) = mpsc::channel();
            let (routes, options) = (Arc::clone(&routes), options.clone());
            let hands_off = self.sharing == Sharing::HandOff;
            let thread = self.spawn(&format!("{}-{index}", self.name), move |ev| {
                let routes = routes(index);
                let server = if hands_off {
                    options.unbound(ev, routes)?
                } else {
                    options.listen(ev, at, routes)?
                };
                // The receiver waits for it.
                let _ = tell.send((server, server.addresses(ev)));
                Ok(())
            })?;
            let Ok((server, addresses)) = told.recv() else { continue };
            if index == 0 {
                bound = addresses;
            }
            servers.push((thread.remote(), server));
            threads.push(thread);
        }
        let remote = ServersRemote { servers: servers.into() };
        let acceptor = if self.sharing == Sharing::HandOff {
            let (tell, told) = mpsc::channel();
            let listening = options.listen_options();
            let servers = Arc::clone(&remote.servers);
            let thread = self.spawn(&format!("{}-accept", self.name), move |ev| {
                let mut next = 0;
                let hand_on = move |_: &mut EvLoop, accepted| {
                    let (remote, server) = &servers[next % servers.len()];
                    next = next.wrapping_add(1);
                    let server = *server;
                    // A loop that is gone drops it, which closes it.
                    remote.post(move |ev| server.serve(ev, accepted));
                };
                let listener = match sockets {
                    Sockets::New(addresses) => listening.listen(ev, addresses, hand_on)?,
                    Sockets::Given(sockets) => listening.adopt_all(ev, sockets, hand_on)?,
                };
                let _ = tell.send((listener, listener.addresses(ev)));
                Ok(())
            })?;
            match told.recv() {
                Ok((listener, addresses)) => {
                    bound = addresses;
                    Some((thread, listener))
                }
                Err(_) => None,
            }
        } else {
            None
        };
        Ok(ServerThreads { acceptor, threads, remote, bound })
    }

    fn spawn(
        &self,
        name: &str,
        set_up: impl FnOnce(&mut EvLoop) -> Result<()> + Send + 'static,
    ) -> Result<LoopThread> {
        let backend = self.backend;
        let make = move || match backend {
            Some(backend) => EvLoop::builder().backend(backend).build(),
            None => EvLoop::new(),
        };
        LoopThread::spawn_with(name, make, set_up)
    }
}

/// A server on several threads, which are stopped and joined when this is dropped.
#[must_use = "dropping it stops the server"]
pub struct ServerThreads {
    /// It is dropped first: nobody hands anything to who is gone.
    acceptor: Option<(LoopThread, crate::net::Listener)>,
    threads: Vec<LoopThread>,
    remote: ServersRemote,
    bound: Vec<Address>,
}

/// A handle to the servers of all threads, for any thread.
#[derive(Clone)]
pub struct ServersRemote {
    servers: Arc<[(Remote, Server)]>,
}

impl ServerThreads {
    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> &[Address] {
        &self.bound
    }

    /// A handle to all of them.
    #[must_use]
    pub fn remote(&self) -> ServersRemote {
        self.remote.clone()
    }

    /// Accepts no more, and gives the listening sockets away: [`Server::quiesce`] of all. Waits for the threads.
    #[must_use = "dropped, the sockets are closed"]
    pub fn quiesce(&self) -> Vec<OwnedFd> {
        let (tell, told) = mpsc::channel();
        if let Some((thread, listener)) = &self.acceptor {
            let (tell, listener) = (tell.clone(), *listener);
            thread.post(move |ev| drop(tell.send(listener.into_fds(ev))));
        }
        for (remote, server) in &*self.remote.servers {
            let (tell, server) = (tell.clone(), *server);
            remote.post(move |ev| drop(tell.send(server.quiesce(ev))));
        }
        drop(tell);
        told.into_iter().flatten().collect()
    }

    /// Stops when everything is answered: [`Server::shutdown`] of all. Does not wait; [`join`](Self::join) does.
    pub fn shutdown(&self, limit: Option<Duration>) {
        if let Some((thread, listener)) = &self.acceptor {
            let listener = *listener;
            thread.post(move |ev| {
                listener.close(ev);
            });
            thread.stop();
        }
        for ((_, server), thread) in self.remote.servers.iter().zip(&self.threads) {
            let server = *server;
            thread.post(move |ev| {
                let stop = |ev: &mut EvLoop| ev.break_loop(crate::Break::All);
                if server.on_stopped(ev, stop) {
                    server.shutdown(ev, limit);
                } else {
                    ev.break_loop(crate::Break::All);
                }
            });
        }
    }

    /// Stops at once.
    pub fn stop_now(&self) {
        if let Some((thread, _)) = &self.acceptor {
            thread.stop();
        }
        for ((_, server), thread) in self.remote.servers.iter().zip(&self.threads) {
            let server = *server;
            thread.post(move |ev| server.stop_now(ev));
            thread.stop();
        }
    }

    /// Whether all threads have ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.threads.iter().all(LoopThread::is_finished)
    }

    /// Waits until all threads have ended. It does not stop them.
    ///
    /// # Errors
    ///
    /// The first error of one of them.
    pub fn join(mut self) -> Result<()> {
        let mut result = Ok(());
        for thread in self.threads.drain(..) {
            result = result.and(thread.join());
        }
        drop(self.acceptor.take());
        result
    }
}

impl ServersRemote {
    /// Has `done` called on this loop with what all of them have done together.
    pub fn stats(&self, ev: &mut EvLoop, done: impl FnOnce(&mut EvLoop, ServerStats) + 'static) {
        let waiting = Rc::new(RefCell::new(Some((
            Box::new(done) as Box<dyn FnOnce(&mut EvLoop, ServerStats)>,
            ServerStats::default(),
            self.servers.len(),
        ))));
        let token = ev.local::<Askers>().add(waiting);
        let here = ev.remote();
        for (remote, server) in &*self.servers {
            let (here, server) = (here.clone(), *server);
            let answer = Answer { here, token, stats: None };
            remote.post(move |ev| {
                let mut answer = answer;
                answer.stats = Some(server.stats(ev));
            });
        }
    }

    /// Has `visit` called on each of the loops with its server, soon. Not where one has ended.
    pub fn each(&self, visit: impl Fn(&mut EvLoop, Server) + Send + Sync + 'static) {
        let visit = Arc::new(visit);
        for (remote, server) in &*self.servers {
            let (visit, server) = (Arc::clone(&visit), *server);
            remote.post(move |ev| visit(ev, server));
        }
    }
}

/// Where connections come from.
enum Sockets {
    New(Vec<Address>),
    Given(Vec<OwnedFd>),
}

type Asker = (Box<dyn FnOnce(&mut EvLoop, ServerStats)>, ServerStats, usize);

/// Who has asked for what all have done, on this loop.
#[derive(Default)]
struct Askers {
    list: RefCell<slab::Slab<Rc<RefCell<Option<Asker>>>>>,
}

impl Askers {
    fn add(&self, asker: Rc<RefCell<Option<Asker>>>) -> usize {
        self.list.borrow_mut().insert(asker)
    }

    fn answered(&self, token: usize, stats: Option<ServerStats>) -> Option<Asker> {
        let asker = self.list.borrow().get(token).map(Rc::clone)?;
        let mut asker = asker.borrow_mut();
        let (_, sum, left) = asker.as_mut()?;
        if let Some(stats) = stats {
            *sum = sum.and(&stats);
        }
        *left -= 1;
        if *left > 0 {
            return None;
        }
        self.list.borrow_mut().try_remove(token);
        asker.take()
    }
}

/// On its way from one loop to another; also where it is dropped on it.
struct Answer {
    here: Remote,
    token: usize,
    stats: Option<ServerStats>,
}

impl Drop for Answer {
    fn drop(&mut self) {
        let (token, stats) = (self.token, self.stats.take());
        self.here.post(move |ev| {
            let asker = ev.local::<Askers>().answered(token, stats);
            if let Some((done, sum, _)) = asker {
                done(ev, sum);
            }
        });
    }
}

impl fmt::Debug for ServerThreads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerThreads")
            .field("threads", &self.threads)
            .field("addresses", &self.bound)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ServersRemote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServersRemote").field("servers", &self.servers.len()).finish()
    }
}
