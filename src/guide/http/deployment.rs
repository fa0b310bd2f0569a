//! Deployment: systemd and its sockets, logs, several hosts and threads, compression, pages of other origins, and
//! restarts that lose nobody.
//!
//! # A service
//!
//! A server that others depend on is told by signals what to do, says what it does in a log, and owns no port: whoever
//! starts it opens the sockets. All of that in one program:
//!
//! ```
//! use evloop::EvLoop;
//! use evloop::http::{AccessLog, LogFormat, RequestIds, RequestRate, Routes, ServerOptions};
//! use evloop::net::listen_fds_from_environment;
//! use std::time::Duration;
//!
//! # let directory = std::env::temp_dir().join(format!("evloop-guide-deployment-{}", std::process::id()));
//! # std::fs::create_dir_all(&directory)?;
//! # let path = directory.join("access.log");
//! # /*
//! let path = "/var/log/app/access.log";
//! # */
//! let mut ev = EvLoop::new()?;
//! let log = AccessLog::file(&path)?.format(LogFormat::Json);
//! let routes = Routes::new()
//!     .request_id(RequestIds::new())
//!     .limit_rate(RequestRate::per_second(20, 100)) // of each client
//!     .access_log(log.clone())
//!     .get("/", |ev, _, reply| reply.text(ev, "hello"));
//!
//! let options = ServerOptions::new().max_requests_at_once(1000).memory_budget(256 << 20);
//! let given = listen_fds_from_environment()?;
//! let sockets: Vec<_> = given.into_iter().map(|inherited| inherited.fd).collect();
//! let server = if sockets.is_empty() {
//!     options.listen(&mut ev, "127.0.0.1:0", routes)? // started by hand
//! } else {
//!     options.adopt_all(&mut ev, sockets, routes)?
//! };
//!
//! let limit = Duration::from_secs(10);
//! let stop = ev.signal(libc::SIGTERM, move |ev, _| server.shutdown(ev, Some(limit)));
//! let again = ev.signal(libc::SIGHUP, move |_, _| {
//!     if let Err(error) = log.reopen() {
//!         eprintln!("the log is written where it was: {error:#}");
//!     }
//! });
//! stop.start(&mut ev)?.set_ref(&mut ev, false); // signals alone keep nothing running
//! again.start(&mut ev)?.set_ref(&mut ev, false);
//! # let (remote, address) = (ev.remote(), server.addresses(&ev).remove(0).to_string());
//! # let moved = directory.join("access.log.1");
//! # let (from, to) = (path.clone(), moved.clone());
//! # let client = std::thread::spawn(move || {
//! #     use std::io::{Read, Write};
//! #     let ask = || {
//! #         let mut client = std::net::TcpStream::connect(&address).unwrap();
//! #         client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
//! #         let mut reply = String::new();
//! #         client.read_to_string(&mut reply).unwrap();
//! #         assert!(reply.contains("\r\nX-Request-Id: "), "{reply}");
//! #     };
//! #     ask();
//! #     std::fs::rename(from, to).unwrap();
//! #     let (sent, seen) = std::sync::mpsc::channel();
//! #     remote.post(move |ev| {
//! #         ev.feed_signal(libc::SIGHUP);
//! #         ev.after(Duration::from_millis(10), move |_| sent.send(()).unwrap());
//! #     });
//! #     seen.recv().unwrap();
//! #     ask();
//! #     remote.post(|ev| ev.feed_signal(libc::SIGTERM));
//! # });
//! ev.run()?; // until the last reply has left
//! # client.join().unwrap();
//! # for file in [path, moved] {
//! #     let lines = std::fs::read_to_string(file)?;
//! #     assert!(lines.lines().count() == 1 && lines.contains("\"reason\":\"ok\""), "{lines}");
//! # }
//! # std::fs::remove_dir_all(&directory)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Two files tell systemd of it. The **socket** is opened before the program is started, and stays while it is
//! exchanged; as systemd opens it, ports below 1024 need no rights:
//!
//! ```ini
//! # /etc/systemd/system/app.socket
//! [Socket]
//! ListenStream=80
//! # For a proxy on this machine rather:
//! # ListenStream=/run/app.sock
//! # SocketMode=0660
//! # SocketGroup=www-data
//!
//! [Install]
//! WantedBy=sockets.target
//! ```
//!
//! ```ini
//! # /etc/systemd/system/app.service
//! [Unit]
//! Requires=app.socket
//! After=app.socket
//!
//! [Service]
//! ExecStart=/usr/local/bin/app
//! ExecReload=/bin/kill -HUP $MAINPID
//! Restart=on-failure
//! # Longer than the ten seconds that `shutdown` was given.
//! TimeoutStopSec=20
//! # `max_connections` has no use for more than there are descriptors.
//! LimitNOFILE=20000
//! DynamicUser=yes
//! LogsDirectory=app
//! ProtectSystem=strict
//! ProtectHome=yes
//! PrivateTmp=yes
//! NoNewPrivileges=yes
//! CapabilityBoundingSet=
//! SystemCallArchitectures=native
//!
//! [Install]
//! WantedBy=multi-user.target
//! ```
//!
//! `systemctl enable --now app.socket app.service`; to try it without, `systemd-socket-activate -l 8080 ./app`, which
//! does the same for a program of any kind. The demo server does all of this, `examples/http_server` in the repository.
//!
//! * **`SIGTERM` ends it in order**: [`shutdown`](crate::http::Server::shutdown) accepts no more, and `run` returns
//!   with the last reply. WebSockets get 1001, streams of events end.
//! * **Sockets have names**: with `FileDescriptorName=` in several `.socket` files, which
//!   [`InheritedFd::name`](crate::net::InheritedFd) tells, one is adopted with TLS and the other without.
//! * **There is no `sd_notify`**: `Type=exec` is what to wait for. As the socket listens before, nobody is refused.
//!
//! # Restarts that lose nobody
//!
//! With the socket systemd's, `systemctl restart app` is all. The old process stops accepting, answers what it has and
//! ends; who connects meanwhile waits in the queue of the socket, and is the new one's. So **newcomers wait for as long
//! as the old one drains**, ten seconds here at the most.
//!
//! Where that is too long, **two processes have the same socket**, each a service of a template `app@.service` with
//! `Sockets=app.socket`, and are restarted one after the other: `systemctl restart app@1`, then `app@2`. They accept in
//! turns; while one drains the other takes all, and nobody waits.
//!
//! Without systemd the old process starts the new one itself, and gives its sockets away *still listening*:
//! [`quiesce`](crate::http::Server::quiesce).
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
//!
//! # The access log
//!
//! [`AccessLog`](crate::http::AccessLog) writes one line for each request when it is over, with the reason it was over
//! for: also of those that were never answered. `Combined` is what Apache and nginx write and every program reads;
//! `Json` has it all, times and ids too; [`timings`](crate::http::AccessLog::timings) adds the most useful to the other
//! two.
//!
//! ```text
//! 192.0.2.1 - ann [21/Nov/2026:20:24:38 +0000] "GET /a HTTP/1.1" 200 4384 "-" "curl/7.88" ok 0.000213 78 -
//! ```
//!
//! Lines of one iteration are one write, from the loop's thread. A full disk stops nobody: what cannot be written
//! waits, up to 256 KiB, then is dropped and counted. What clients say is escaped, so nobody forges lines or colours
//! terminals. All loops and threads may share one log.
//!
//! **logrotate** renames the file and sends `SIGHUP`, at which the program [opens it
//! again](crate::http::AccessLog::reopen); lines until then are in the old one, and none is lost:
//!
//! ```text
//! # /etc/logrotate.d/app
//! /var/log/app/*.log {
//!     daily
//!     rotate 14
//!     missingok
//!     notifempty
//!     nocreate
//!     compress
//!     delaycompress
//!     sharedscripts
//!     postrotate
//!         systemctl reload app.service
//!     endscript
//! }
//! ```
//!
//! `nocreate`, as the program makes its file itself, and `delaycompress`, as for a moment it still writes into the old
//! one. Under systemd, [`AccessLog::stdout`](crate::http::AccessLog::stdout) and the journal need none of it. For what
//! has gone wrong within a handler, there is [`on_failure`](crate::http::Routes::on_failure); the [request's
//! id](crate::http::Routes::request_id) finds both, and the proxy's line too.
//!
//! # Several hosts
//!
//! [`Routes::host`](crate::http::Routes::host) has routes for a name, or for all below one; what they have no handler
//! for, and every other name, those around them answer:
//!
//! ```
//! use evloop::http::{Files, Routes, Status};
//!
//! # let directory = std::env::temp_dir();
//! # let (shop, blog) = (Files::new(&directory)?, Files::new(&directory)?);
//! # /*
//! let (shop, blog) = (Files::new("/srv/shop")?, Files::new("/srv/blog")?);
//! # */
//! let routes = Routes::new()
//!     .host(["shop.example.org", "shop.example.com"], Routes::new().files("/", shop))
//!     .host(["*.blog.example.org"], Routes::new().files("/", blog))
//!     .get("/health", |ev, _, reply| reply.text(ev, "fine"))
//!     .fallback(|ev, _, reply| reply.error(ev, Status::MISDIRECTED_REQUEST)); // other names
//! # evloop::EvLoop::new()?.http_server("127.0.0.1:0", routes)?;
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! A name is what the client says. It chooses, and lets nobody in; with TLS and certificates of clients see
//! `match_server_name` in the chapter on HTTPS.
//!
//! # Compression
//!
//! Files are best [compressed beforehand](super::files#compressed-beforehand). What is made on the way can be packed on
//! the way, with gzip or deflate, for clients that read those; feature `compress`:
//!
#![cfg_attr(feature = "compress", doc = "```")]
#![cfg_attr(not(feature = "compress"), doc = "```ignore (needs the feature compress)")]
//! use evloop::http::{Compression, Routes};
//!
//! let routes = Routes::new()
//!     .get("/report", |ev, _, reply| reply.html(ev, "<p>the same again</p>".repeat(1000)))
//!     .compress(Compression::new());
//! # let mut ev = evloop::EvLoop::new()?;
//! # let server = ev.http_server("127.0.0.1:0", routes)?;
//! # let (remote, address) = (ev.remote(), server.addresses(&ev).remove(0).to_string());
//! # let client = std::thread::spawn(move || {
//! #     use std::io::{Read, Write};
//! #     let mut client = std::net::TcpStream::connect(&address).unwrap();
//! #     client.write_all(b"GET /report HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n").unwrap();
//! #     let mut reply = Vec::new();
//! #     client.read_to_end(&mut reply).unwrap();
//! #     let text = String::from_utf8_lossy(&reply);
//! #     assert!(text.contains("Content-Encoding: gzip") && reply.len() < 1000, "{text}");
//! #     remote.post(move |ev| server.stop_now(ev));
//! # });
//! # ev.run()?;
//! # client.join().unwrap();
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! Texts from 1 KiB on, level 5; streams too, flushed with each write. It costs the processor far more than sending
//! does, so a proxy on another machine, or nobody, may be the better place. **A page with a secret in it and something
//! that strangers can choose** should not be packed: from its size they can guess the secret (*BREACH*);
//! `Cache-Control: no-transform` leaves it alone. Bodies of requests are unpacked only if `Routes::decompress` says so,
//! with limits against those that are a thousand times larger within.
//!
//! # Pages of other origins
//!
//! Browsers keep replies from the pages of other origins unless the server lets them see: [`Cors`](crate::http::Cors).
//!
//! ```
//! use evloop::http::{Cors, Method, Routes};
//!
//! let cors = Cors::origins(["https://app.example.org", "http://localhost:3000"])
//!     .methods([Method::GET, Method::POST])
//!     .headers(["Content-Type", "Authorization"]);
//! let routes = Routes::new()
//!     .cors(cors) // first, so that the page can read also what other hooks answer
//!     .post("/api", |ev, request, reply| reply.bytes(ev, "application/json", request.body()));
//! # evloop::EvLoop::new()?.http_server("127.0.0.1:0", routes)?;
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! It protects people's pages from each other, not the server: whoever is no browser does not ask. WebSockets it does
//! not concern at all, they have an `origin` hook of their own.
//!
//! # Too many
//!
//! How much one client may have, and how much all together: [limits](super::limits#all-together).
