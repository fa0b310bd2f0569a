//! Behind a proxy: who terminates TLS, how connections are kept, several threads, and restarts that lose nobody.
//!
//! This server may stand in the open: it refuses what is ambiguous, and limits what strangers can take. What it has
//! not yet is TLS, compression, files with ranges, and HTTP/2. A proxy in front has, and what follows was tried with
//! nginx 1.22 and haproxy 2.6 as Debian has them. (`tests/peers/run.sh` in the repository runs the demo server behind
//! both.)
//!
//! # A Unix socket
//!
//! On the same machine a Unix socket is the better door: nobody comes past the proxy, no port is taken, and rights
//! are those of files.
//!
//! ```
//! # let directory = std::env::temp_dir().join(format!("evloop-proxy-{}", std::process::id()));
//! # std::fs::create_dir_all(&directory)?;
//! # let address = format!("unix:{}/app.sock", directory.display());
//! # let routes = evloop::http::Routes::new();
//! use evloop::EvLoop;
//! use evloop::http::ServerOptions;
//! use evloop::net::ListenOptions;
//!
//! let mut ev = EvLoop::new()?;
//! let server = ServerOptions::new()
//!     .listening(ListenOptions::new().mode(0o660)) // its group may connect: have the proxy in it
//! #   .listen(&mut ev, address.as_str(), routes)?;
//! # /*
//!     .listen(&mut ev, "unix:/run/app/app.sock", routes)?;
//! # */
//! # server.stop_now(&mut ev);
//! # drop(ev);
//! # std::fs::remove_dir_all(&directory)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The demo server does the same with `--listen unix:/run/app/app.sock`, beside other addresses if there are any.
//!
//! # nginx
//!
//! ```nginx
//! upstream app {
//!     server unix:/run/app/app.sock;
//!     keepalive 64;                       # idle connections that are kept, per worker
//!     keepalive_timeout 50s;              # less than the server's idle time-out, 60 s
//! }
//! server {
//!     listen 80;
//!     client_max_body_size 8m;            # as the server's `max_body`
//!     proxy_http_version 1.1;             # 1.0, the default, keeps nothing and has no chunks
//!     proxy_set_header Connection "";     # the default is `close`
//!     proxy_set_header Host $host;
//!     proxy_set_header X-Forwarded-For $remote_addr;
//!     proxy_set_header X-Forwarded-Proto $scheme;
//!     location / {
//!         proxy_pass http://app;
//!     }
//!     location /stream {
//!         proxy_pass http://app;
//!         proxy_buffering off;            # replies leave as they come
//!     }
//!     location /upload/ {
//!         proxy_pass http://app;
//!         client_max_body_size 0;
//!         proxy_request_buffering off;    # bodies come as they are sent
//!     }
//! }
//! ```
//!
//! * **`keepalive`, the version and the empty `Connection` keep connections.** Without them nginx opens one per
//!   request; in our trial a `keepalive` smaller than the number of requests at a time opened twelve thousand in two
//!   seconds.
//! * **With buffering on**, which is the default, nginx takes slow clients off the server's hands: whole requests
//!   come at once, and replies are taken at once. Turn it off where first bytes matter.
//! * **One way at a time.** Once a reply has begun, nginx sends no more of the request. A route that answers while
//!   its body still comes, such as the demo's `/echo`, stands still behind it beyond what buffers hold, whatever the
//!   server. haproxy has no such limit.
//!
//! # haproxy
//!
//! ```haproxy
//! defaults
//!     mode http
//!     option forwardfor
//!     timeout connect 5s
//!     timeout http-request 10s            # as the server's `header_timeout`
//!     timeout client 30s
//!     timeout server 60s                  # longer than the slowest handler
//!     timeout queue 10s
//! frontend www
//!     bind :80
//!     default_backend app
//! backend app
//!     option httpchk GET /plaintext
//!     option redispatch
//!     retry-on conn-failure empty-response
//!     http-request disable-l7-retry unless METH_GET
//!     http-reuse safe
//!     server one 127.0.0.1:8080 check inter 1s pool-purge-delay 50s
//!     server two 127.0.0.1:8081 check inter 1s pool-purge-delay 50s
//! ```
//!
//! Two processes are for restarts one by one: the one that is told to end goes on answering what it has, says
//! `Connection: close`, and accepts no more, which the check notices. The two lines about retries are for the moment
//! in which it closes its idle connections while the proxy sends a request on one of them. Without them a few clients
//! of ten that never pause saw their connection end at each restart; with them, none. A request that changes
//! something must not be sent twice, so it is `GET` alone. A Unix socket is `server one unix@/run/app/app.sock`.
//!
//! # Who is there
//!
//! To the server, everybody is the proxy. Whom that speaks for is in a field, which anybody else could write as well:
//! believe it on connections that can only be the proxy's, such as those of a Unix socket with rights, and then only
//! the last address of a list, which is the one the proxy itself has seen.
//!
//! ```
//! use evloop::EvLoop;
//! use evloop::http::Request;
//! use evloop::net::Place;
//!
//! fn client(ev: &EvLoop, request: &Request) -> Option<String> {
//!     let local = request.connection().local(ev)?;
//!     if matches!(local.place(), Place::Path(_)) {
//!         return Some(request.header("x-forwarded-for")?.rsplit(',').next()?.trim().to_owned());
//!     }
//!     request.peer(ev).map(|peer| peer.to_string())
//! }
//! # let _ = client;
//! ```
//!
//! (The PROXY protocol is not there yet. Several fields of that name count as one list in their order; `header` has
//! the first, and [`fields`](crate::http::Request::fields) all.)
//!
//! The same goes for limits: [`max_per_ip`](crate::net::ListenOptions::max_per_ip) stays off, that is the proxy's to
//! do.
//!
//! # Time-outs in a row
//!
//! Along the way each has its own, and they should grow outward in this way:
//!
//! * **Idle**: the proxy's for kept connections shorter than the server's. Who closes first may be sent a request at
//!   the same moment, which is then lost; a proxy that closes loses none.
//! * **Handlers**: [`handler_timeout`](crate::http::ServerOptions::handler_timeout) shorter than the proxy's for
//!   replies, so that the client is told 503 by whoever knows why.
//! * **Drain**: that of [`shutdown`](crate::http::Server::shutdown) longer than the slowest reply, and that of
//!   whoever starts the process (`TimeoutStopSec=`) longer still.
//!
//! # Several threads
//!
//! One loop is one processor. [`ThreadOptions`](crate::http::ThreadOptions) has as many whole servers as threads, at
//! one address; handlers are made once per thread, so they need not be `Send`:
//!
//! ```
//! use evloop::http::{Routes, ServerOptions, ThreadOptions};
//! use std::sync::atomic::{AtomicU64, Ordering};
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! let hits = Arc::new(AtomicU64::new(0)); // what threads share is shared as anywhere
//! let servers = ThreadOptions::new(2).listen(ServerOptions::new(), "127.0.0.1:0", move |_thread| {
//!     let hits = Arc::clone(&hits);
//!     Routes::new().get("/", move |ev, _, reply| {
//!         let hits = hits.fetch_add(1, Ordering::Relaxed) + 1;
//!         reply.text(ev, format!("you are number {hits}\n"))
//!     })
//! })?;
//! servers.shutdown(Some(Duration::from_secs(10)));
//! servers.join()?;
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! The system deals TCP connections out (`SO_REUSEPORT`), by a hash: with few connections that is not even. A proxy
//! that keeps few, and Unix sockets, are better served by [`Sharing::HandOff`](crate::http::Sharing), where one more
//! thread accepts and gives to each in turn. All limits are for each thread.
//!
//! # Restarts that lose nobody
//!
//! Where a service manager owns the socket there is nothing to do: it listens on while the process changes
//! (`app.socket` of systemd). The server takes it over:
//!
//! ```
//! use evloop::EvLoop;
//! use evloop::http::{Routes, ServerOptions};
//! use evloop::net::listen_fds_from_environment;
//!
//! let mut ev = EvLoop::new()?;
//! for inherited in listen_fds_from_environment()? {
//!     let routes = Routes::new().get("/", |ev, _, reply| reply.text(ev, "hello"));
//!     ServerOptions::new().adopt(&mut ev, inherited.fd, routes)?;
//! }
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! Without one, the old process gives its sockets to the new one: [`quiesce`](crate::http::Server::quiesce) stops
//! accepting and gives them away *still listening*. Whoever connects in between waits in the system's queue, and is
//! the new one's.
//!
//! ```
//! use evloop::EvLoop;
//! use evloop::http::{Routes, ServerOptions};
//! use std::time::Duration;
//!
//! let mut ev = EvLoop::new()?;
//! let routes = |text| Routes::new().get("/", move |ev, _, reply| reply.text(ev, text));
//! let old = ev.http_server("127.0.0.1:0", routes("old"))?;
//! # let address = old.addresses(&ev).remove(0).to_string();
//!
//! let sockets = old.quiesce(&mut ev);
//! # let early = std::net::TcpStream::connect(address)?;
//! // Here they go to the new process; in this example it is this one.
//! for socket in sockets {
//!     let new = ServerOptions::new().adopt(&mut ev, socket, routes("new"))?;
//! #   let (remote, mut early) = (ev.remote(), early.try_clone()?);
//! #   std::thread::spawn(move || {
//! #       use std::io::{Read, Write};
//! #       early.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
//! #       let mut reply = String::new();
//! #       early.read_to_string(&mut reply).unwrap();
//! #       assert!(reply.ends_with("new"), "{reply}");
//! #       remote.post(move |ev| new.stop_now(ev));
//! #   });
//! }
//! old.shutdown(&mut ev, Some(Duration::from_secs(10))); // what it has begun is answered
//! ev.run()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! There are two ways to another process: as its standard input, `Command::stdin(socket)`, where it does
//! `std::io::stdin().as_fd().try_clone_to_owned()`; or as a message over a Unix socket, to one that runs already
//! ([`send_fds`](crate::net::Stream::send_fds)). Start the new one and have it say that it serves before the old one
//! is shut down; if it fails, the old one still has what it needs to [`adopt`](crate::http::ServerOptions::adopt) its
//! sockets again.
//!
//! * **Not by `SO_REUSEPORT`**: two processes at one port take connections in turn, and those in the queue of the one
//!   that closes are lost.
//! * **A Unix socket's file** stays where it is when its listener was quiesced; one that is closed removes it. Two
//!   processes cannot listen at one path: the second is refused as long as the first answers.
