//! A first server: twenty lines that are of use, and what is in them.
//!
//! It keeps notes. `PUT /notes/milk` with a body stores one, `GET /notes/milk` has it back, `GET /notes` lists them:
//!
//! ```
//! use evloop::EvLoop;
//! use evloop::http::{Routes, Status};
//! use std::{cell::RefCell, collections::BTreeMap, rc::Rc};
//!
//! let mut ev = EvLoop::new()?;
//! let notes: Rc<RefCell<BTreeMap<String, Vec<u8>>>> = Rc::default();
//! let (stored, listed, shown) = (Rc::clone(&notes), Rc::clone(&notes), notes);
//! let routes = Routes::new()
//!     .put("/notes/{name}", move |ev, mut request, reply| {
//!         let name = request.param("name").unwrap_or_default().to_owned();
//!         stored.borrow_mut().insert(name, request.take_body());
//!         reply.status(Status::NO_CONTENT).empty(ev)
//!     })
//!     .get("/notes/{name}", move |ev, request, reply| {
//!         match shown.borrow().get(request.param("name").unwrap_or_default()) {
//!             Some(note) => reply.bytes(ev, "text/plain; charset=utf-8", note),
//!             None => reply.error(ev, Status::NOT_FOUND),
//!         }
//!     })
//!     .get("/notes", move |ev, _, reply| {
//!         let names: String = listed.borrow().keys().map(|name| format!("{name}\n")).collect();
//!         reply.text(ev, names)
//!     });
//! # let address = "127.0.0.1:0";
//! # /*
//! let server = ev.http_server("127.0.0.1:8080", routes)?;
//! # */ let server = ev.http_server(address, routes)?;
//! # let (remote, address) = (ev.remote(), server.addresses(&ev).remove(0).to_string());
//! # let client = std::thread::spawn(move || {
//! #     use std::io::{Read, Write};
//! #     let mut client = std::net::TcpStream::connect(address).unwrap();
//! #     client.write_all(b"PUT /notes/milk HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\ntwo").unwrap();
//! #     client.write_all(b"GET /notes HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
//! #     client.write_all(b"GET /notes/beer HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
//! #     client.write_all(b"GET /notes/milk HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
//! #     let mut reply = String::new();
//! #     client.read_to_string(&mut reply).unwrap();
//! #     remote.post(move |ev| server.stop_now(ev));
//! #     reply
//! # });
//! ev.run()?;
//! # let reply = client.join().unwrap();
//! # assert!(reply.contains("204 No Content") && reply.contains("404 Not Found"), "{reply}");
//! # assert!(reply.contains("\r\n\r\nmilk\n") && reply.ends_with("\r\n\r\ntwo"), "{reply}");
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! ```sh
//! curl -T - localhost:8080/notes/milk <<<'two litres'
//! curl localhost:8080/notes/milk
//! ```
//!
//! What these lines have, without saying so:
//!
//! * **Connections that are kept**, several requests on each, and several at once. Nothing waits for a slow client.
//! * **`HEAD`**, answered by what answers `GET`; **`OPTIONS`**, and 405 with `Allow` for `DELETE /notes/milk`; 404
//!   for the rest.
//! * **`{name}`, decoded**: `/notes/a%20b` is the note `a b`. Paths that climb out of the root never come to a route,
//!   and `%2F` separates nothing.
//! * **Bodies whole, of 8 MiB at most**, whether they come with a length or in chunks. `curl` asks before it sends a
//!   large one (`Expect: 100-continue`), and is answered.
//! * **A deadline for everything** that a client could hold up: [limits and time-outs](super::limits).
//! * **Refusal of what is ambiguous.** A request that two servers could read differently is an attack on one of them:
//!   [`wire`](crate::wire) says what that means.
//!
//! # Handlers
//!
//! A handler gets the loop, a [`Request`](crate::http::Request) and a [`Reply`](crate::http::Reply), all of which it
//! may keep, but for the loop. It runs on the loop's thread, and while it runs nothing else does: what takes long
//! belongs [somewhere else](super::late_replies). State is shared as everywhere in this crate: captured, and in an
//! `Rc` with cells if several handlers have it.
//!
//! The `Reply` is the right to answer, and the duty: each method that answers consumes it, so there is no answering
//! twice; dropped, it answers 500.
//!
//! What a handler returns is nothing, or a `Result`. All that answer return one, whose error says that the client is
//! gone, which is nobody's fault. So `?` may be used throughout:
//!
//! ```
//! use evloop::http::Routes;
//!
//! let routes = Routes::new()
//!     .get("/load", |ev, _, reply| {
//!         // Should the file not be there: 500, and `on_failure` is told why.
//!         let text = std::fs::read_to_string("/proc/loadavg")?;
//!         reply.text(ev, text)?;
//!         Ok::<(), Box<dyn std::error::Error>>(())
//!     })
//!     .on_failure(|_, failure| eprintln!("{failure:#}"));
//! ```
//!
//! A panic is treated in the same way: its request ends with 500, or is cut if its reply had begun, and all others
//! are served on. [`PanicPolicy::Propagate`](crate::http::PanicPolicy) lets it through to the caller of `run`. The
//! client never sees what went wrong.
//!
//! # Around the handlers
//!
//! ```
//! use evloop::http::{Response, Routes, Status};
//! # use evloop::EvLoop;
//!
//! let routes = Routes::new()
//!     // Before the body is read: whoever is refused here sends none.
//!     .before(|ev, request, reply| {
//!         if request.path().starts_with("/private/") && request.header("authorization").is_none() {
//!             reply.status(Status::UNAUTHORIZED).header("WWW-Authenticate", "Basic realm=\"x\"").empty(ev).ok();
//!             return None; // it was answered
//!         }
//!         Some(reply.header("X-Frame-Options", "DENY")) // it goes on, with one more field
//!     })
//!     .error_page(|_, status, _| {
//!         Some(Response::html(format!("<h1>{}</h1>", status.code())).status(status))
//!     })
//!     .on_completed(|_, done| {
//!         println!("{} {} {:?} {}", done.request.method, done.request.target, done.status, done.reason);
//!     });
//! # let mut ev = EvLoop::new()?;
//! # ev.http_server("127.0.0.1:0", routes)?;
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! `on_completed` comes once for each request, when its reply has left or cannot, with the
//! [reason](crate::http::CompletionReason), bytes and times: for counters, and for logs of a kind that
//! [`AccessLog`](crate::http::AccessLog) does not write. All requests are remembered for it, which costs about as
//! much as answering a short one: who looks only now and then has the hook behind a
//! [`HookSwitch`](crate::http::HookSwitch), and takes totals from [`Server::stats`](crate::http::Server::stats). The first hook asks for a password without looking at it;
//! those that look are [further on](super::forms_and_uploads#who-is-it).
//!
//! # Stopping
//!
//! ```no_run
//! # use std::time::Duration;
//! # let mut ev = evloop::EvLoop::new()?;
//! # let routes = evloop::http::Routes::new();
//! let server = ev.http_server("127.0.0.1:8080", routes)?;
//! ev.signal(libc::SIGTERM, move |ev, _| server.shutdown(ev, Some(Duration::from_secs(10))))
//!     .start(&mut ev)?
//!     .set_ref(&mut ev, false);
//! ev.run()?; // returns when the last reply has left
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! [`shutdown`](crate::http::Server::shutdown) accepts no more, closes the connections that wait for a request, lets
//! the others have their replies, which say `Connection: close`, and cuts what is left after ten seconds. A server
//! keeps the loop running; one that has stopped does not, and as the signal was told not to either, `run` returns.
