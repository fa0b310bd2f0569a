//! Replies that take a while: the handler returns, and somebody answers later.
//!
//! A handler that waits makes everybody wait. So it does not: it keeps the [`Reply`](crate::http::Reply), and
//! returns. Other connections, and other watchers of the loop, go on. In libmicrohttpd this is to suspend a
//! connection and to resume it; here there is nothing to resume, the reply is what is waited for.
//!
//! # From a watcher
//!
//! ```
//! use evloop::http::Routes;
//! use std::time::Duration;
//!
//! let routes = Routes::new().get("/slow", |ev, _, reply| {
//!     ev.after(Duration::from_millis(5), move |ev| {
//!         reply.text(ev, "at last").ok(); // an error: the client has gone
//!     });
//! });
//! # let mut ev = evloop::EvLoop::new()?;
//! # let server = ev.http_server("127.0.0.1:0", routes)?;
//! # let (remote, address) = (ev.remote(), server.addresses(&ev).remove(0).to_string());
//! # let client = std::thread::spawn(move || {
//! #     use std::io::{Read, Write};
//! #     let mut client = std::net::TcpStream::connect(address).unwrap();
//! #     client.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
//! #     let mut reply = String::new();
//! #     client.read_to_string(&mut reply).unwrap();
//! #     remote.post(move |ev| server.stop_now(ev));
//! #     reply
//! # });
//! # ev.run()?;
//! # assert!(client.join().unwrap().ends_with("at last"));
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! The same with the end of a child process, a message of a channel, a file that has changed, another connection that
//! has answered.
//!
//! # From another thread
//!
//! [`into_remote`](crate::http::Reply::into_remote) makes something of it that may be sent. A
//! [`Response`](crate::http::Response) is made over there, and sent by the loop:
//!
//! ```
//! use evloop::http::{RemoteReply, Response, Routes, Status};
//! use std::sync::mpsc;
//!
//! let (jobs, to_do) = mpsc::sync_channel::<(String, RemoteReply)>(100);
//! let worker = std::thread::spawn(move || {
//!     for (what, reply) in to_do {
//!         // Something that takes long and is no business of the loop.
//!         reply.send(Response::text(what.to_uppercase()));
//!     }
//! });
//! let routes = Routes::new().post("/shout", move |_, request, reply| {
//!     let text = String::from_utf8_lossy(request.body()).into_owned();
//!     let Some(reply) = reply.into_remote() else { return };
//!     if let Err(mpsc::TrySendError::Full((_, reply))) = jobs.try_send((text, reply)) {
//!         reply.send(Response::new().status(Status::SERVICE_UNAVAILABLE).header("Retry-After", "1"));
//!     }
//! });
//! # let mut ev = evloop::EvLoop::new()?;
//! # let server = ev.http_server("127.0.0.1:0", routes)?;
//! # let (remote, address) = (ev.remote(), server.addresses(&ev).remove(0).to_string());
//! # let client = std::thread::spawn(move || {
//! #     use std::io::{Read, Write};
//! #     let mut client = std::net::TcpStream::connect(address).unwrap();
//! #     client.write_all(b"POST /shout HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nhey").unwrap();
//! #     let mut reply = String::new();
//! #     client.read_to_string(&mut reply).unwrap();
//! #     remote.post(move |ev| server.stop_now(ev));
//! #     reply
//! # });
//! # ev.run()?;
//! # assert!(client.join().unwrap().ends_with("HEY"));
//! # drop(ev);
//! # worker.join().unwrap();
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! **Bound the queue.** Requests arrive as fast as clients like; a queue without an end turns a slow database into no
//! memory. 503 at once is worth more to a client than an answer after it has given up.
//!
//! # From the work pool
//!
//! A thread for oneself is seldom needed: [`EvLoop::work`](crate::EvLoop::work) has a pool, a queue with an end, and
//! brings the result back to the loop. The reply stays here, with whatever else is not to be sent:
//!
//! ```
//! use evloop::http::{Reply, Routes, Status};
//! use std::{cell::Cell, rc::Rc};
//!
//! let routes = Routes::new().get("/name", |ev, _, reply| {
//!     let reply = Rc::new(Cell::new(Some(reply)));
//!     let waiting = Rc::clone(&reply);
//!     let started = ev.work(
//!         || std::fs::read_to_string("/proc/self/comm"), // on a thread of the pool
//!         move |ev, outcome| {
//!             let Some(reply) = waiting.take() else { return };
//!             match outcome {
//!                 Ok(Ok(name)) => reply.text(ev, name),
//!                 _ => reply.error(ev, Status::INTERNAL_SERVER_ERROR), // unreadable, or it has panicked
//!             }
//!             .ok();
//!         },
//!     );
//!     match reply.take() {
//!         // The queue is full.
//!         Some(reply) if started.is_err() => {
//!             reply.header("Retry-After", "1").error(ev, Status::SERVICE_UNAVAILABLE)
//!         }
//!         kept => {
//!             reply.set(kept);
//!             Ok(())
//!         }
//!     }
//! });
//! # let mut ev = evloop::EvLoop::new()?;
//! # let server = ev.http_server("127.0.0.1:0", routes)?;
//! # let (remote, address) = (ev.remote(), server.addresses(&ev).remove(0).to_string());
//! # let client = std::thread::spawn(move || {
//! #     use std::io::{Read, Write};
//! #     let mut client = std::net::TcpStream::connect(address).unwrap();
//! #     client.write_all(b"GET /name HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
//! #     let mut reply = String::new();
//! #     client.read_to_string(&mut reply).unwrap();
//! #     remote.post(move |ev| server.stop_now(ev));
//! #     reply
//! # });
//! # ev.run()?;
//! # let reply = client.join().unwrap();
//! # assert!(reply.starts_with("HTTP/1.1 200") && reply.ends_with("\n"), "{reply}");
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! (Without the two lines about a full queue a plain `move |ev, outcome| …` that owns the reply does: refused work
//! drops it, and that is 500.)
//!
//! # When the client leaves
//!
//! People close tabs. Whoever makes something costly for a client wants to hear of it, while it is made, not when it
//! is sent. evhttp reads nothing while a handler works, and notices nothing; here the connection is watched all the
//! time:
//!
//! ```
//! use evloop::http::{Disconnected, Reply, Routes};
//! use std::{cell::Cell, rc::Rc, time::Duration};
//! # let left = Rc::new(Cell::new(false));
//! # let note = Rc::clone(&left);
//!
//! let routes = Routes::new().get("/costly", move |ev, _, reply| {
//!     # let note = Rc::clone(&note);
//!     let waiting = Rc::new(Cell::new(None::<Reply>));
//!     let answered = Rc::clone(&waiting);
//!     let timer = ev.after(Duration::from_secs(3600), move |ev| {
//!         answered.take().map(|reply| reply.text(ev, "42"));
//!     });
//!     let dropped = Rc::clone(&waiting);
//!     reply.on_disconnect(move |ev, how| {
//!         if how == Disconnected::Gone {
//!             timer.free(ev); // nobody wants it any more
//!             drop(dropped.take());
//!             # note.set(true);
//!         }
//!     });
//!     waiting.set(Some(reply));
//! });
//! # let mut ev = evloop::EvLoop::new()?;
//! # let server = ev.http_server("127.0.0.1:0", routes)?;
//! # let (remote, address) = (ev.remote(), server.addresses(&ev).remove(0).to_string());
//! # let (seen, sent) = std::sync::mpsc::channel();
//! # let client = std::thread::spawn(move || {
//! #     use std::io::Write;
//! #     let mut client = std::net::TcpStream::connect(address).unwrap();
//! #     client.write_all(b"GET /costly HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
//! #     let wait = std::time::Duration::from_millis(20);
//! #     loop {
//! #         std::thread::sleep(wait);
//! #         let seen = seen.clone();
//! #         remote.post(move |ev| drop(seen.send(server.stats(ev).requests)));
//! #         if sent.recv().unwrap() == 1 { break; }
//! #     }
//! #     // A reset: what has not been read makes one of the end.
//! #     rustix::net::sockopt::set_socket_linger(&client, Some(std::time::Duration::ZERO)).unwrap();
//! #     drop(client);
//! #     loop {
//! #         std::thread::sleep(wait);
//! #         let seen = seen.clone();
//! #         remote.post(move |ev| drop(seen.send(server.stats(ev).connections as u64)));
//! #         if sent.recv().unwrap() == 0 { break; }
//! #     }
//! #     remote.post(move |ev| server.stop_now(ev));
//! # });
//! # ev.run()?;
//! # client.join().unwrap();
//! # assert!(left.get());
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! There are two ways to leave, and only one is certain:
//!
//! * **`Gone`**: the connection was reset, or could not be written to. The request is over.
//! * **`HalfClosed`**: the client has ended its *sending* side. It may be a script that has said all it wanted to say
//!   and waits, or a browser whose tab was closed: the same packet. By default it is advice, and the reply is sent.
//!   Where all clients are browsers, [`HalfClose::Abort`](crate::http::HalfClose) takes it as the end.
//!
//! [`is_connected`](crate::http::Reply::is_connected) asks instead. To answer somebody who is gone is no harm.
//!
//! # How late is too late
//!
//! Nothing limits a handler unless [`handler_timeout`](crate::http::ServerOptions::handler_timeout) does: then the
//! client is answered 503 in its place, and the reply that comes later is an error to whoever sends it. A reply that
//! is kept and forgotten keeps its connection open; set a time-out where handlers depend on others.
//!
//! A [`shutdown`](crate::http::Server::shutdown) waits for late replies until its limit, and then ends them.
