//! Bodies in pieces: what is too large to be held, or not there yet.
//!
//! Handlers have whole bodies as long as nothing else is said. That is simple and safe up to some megabytes. Beyond,
//! or when the first bytes are of use before the last ones are there, a body is streamed, in either direction. The
//! rule is the same in both: **nobody is faster than the slower side for long**, or memory pays for the difference.
//!
//! # To the client: push
//!
//! [`Reply::stream`](crate::http::Reply::stream) sends the head and gives a
//! [`ReplyStream`](crate::http::ReplyStream). It may be kept, in a timer here, and is written to whenever there is
//! something. A client that does not read is noticed: [`write`](crate::http::ReplyStream::write) says
//! [`Full`](crate::net::Written::Full) at 256 KiB and takes nothing any more at 1 MiB.
//!
//! ```
//! use evloop::EvLoop;
//! use evloop::http::{BodyLength, Routes};
//! use std::time::Duration;
//!
//! let routes = Routes::new().get("/ticks", |ev, _, reply| {
//!     let out = reply.header("Content-Type", "text/plain").stream(ev, BodyLength::Unknown)?;
//!     let (mut out, mut n) = (Some(out), 0);
//!     let every = Duration::from_millis(5);
//!     let timer = ev.timer(every, every, move |ev, e| {
//!         let Some(to) = &out else { return };
//!         if to.is_full(ev) {
//!             return; // a slow client misses some; the next tick may find room
//!         }
//!         n += 1;
//!         if to.write(ev, format!("tick {n}\n")).is_err() || n == 3 {
//!             e.watcher.free(ev);
//!             out.take().map(|out| out.end(ev));
//!         }
//!     });
//!     timer.start(ev);
//!     Ok::<(), evloop::Error>(())
//! });
//! # let mut ev = EvLoop::new()?;
//! # let server = ev.http_server("127.0.0.1:0", routes)?;
//! # let (remote, address) = (ev.remote(), server.addresses(&ev).remove(0).to_string());
//! # let client = std::thread::spawn(move || {
//! #     use std::io::{Read, Write};
//! #     let mut client = std::net::TcpStream::connect(address).unwrap();
//! #     client.write_all(b"GET /ticks HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
//! #     let mut reply = String::new();
//! #     client.read_to_string(&mut reply).unwrap();
//! #     remote.post(move |ev| server.stop_now(ev));
//! #     reply
//! # });
//! # ev.run()?;
//! # let reply = client.join().unwrap();
//! # assert!(reply.contains("7\r\ntick 3\n\r\n0\r\n\r\n"), "{reply}");
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! Each `write` is one chunk. To HTTP/1.0, which has no chunks, the body goes as it is, and the end of the connection
//! is its end. If the length is known, say [`BodyLength::Known`](crate::http::BodyLength): then it must be exactly
//! that many bytes.
//!
//! **[`end`](crate::http::ReplyStream::end) is what makes a body complete.** A stream that is dropped without it cuts
//! the connection, as does a panic: a client must not take half of a body for the whole.
//!
//! # To the client: pull
//!
//! Where all of the body could be made at once, it is simpler to be asked. [`Reply::pull`](crate::http::Reply::pull)
//! calls whenever there is room, so back-pressure is not the handler's concern:
//!
//! ```
//! use evloop::http::{BodyLength, Pull, Routes};
//!
//! let routes = Routes::new().get("/numbers", |ev, _, reply| {
//!     let mut numbers = 0..1_000_000;
//!     reply.header("Content-Type", "text/plain").pull(ev, BodyLength::Unknown, move |_| {
//!         let piece: String = numbers.by_ref().take(1000).map(|n| format!("{n}\n")).collect();
//!         if piece.is_empty() { Pull::End } else { Pull::Data(piece.into_bytes()) }
//!     })?;
//!     Ok::<(), evloop::Error>(())
//! });
//! # let mut ev = evloop::EvLoop::new()?;
//! # let server = ev.http_server("127.0.0.1:0", routes)?;
//! # let (remote, address) = (ev.remote(), server.addresses(&ev).remove(0).to_string());
//! # let client = std::thread::spawn(move || {
//! #     use std::io::{Read, Write};
//! #     let mut client = std::net::TcpStream::connect(address).unwrap();
//! #     client.write_all(b"GET /numbers HTTP/1.0\r\n\r\n").unwrap();
//! #     let mut reply = String::new();
//! #     client.read_to_string(&mut reply).unwrap();
//! #     remote.post(move |ev| server.stop_now(ev));
//! #     reply
//! # });
//! # ev.run()?;
//! # assert!(client.join().unwrap().ends_with("\n999998\n999999\n"));
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! Who has nothing for the moment says [`Pull::Later`](crate::http::Pull::Later), keeps the
//! [`PullWaker`](crate::http::PullWaker) and wakes it when there is more. Files need none of this:
//! [`Reply::file`](crate::http::Reply::file) has the system send them (`sendfile`).
//!
//! # From the client
//!
//! A [`streaming`](crate::http::Routes::streaming) handler is called at the end of the head. No byte of the body is
//! read, and a client that asked whether to send it waits, until [`receive`](crate::http::Request::receive) says who
//! takes it:
//!
//! ```
//! use evloop::http::{BodyEvent, Method, Routes, Status};
//! use std::io::Read;
//!
//! let routes = Routes::new().streaming(Method::POST, "/sum", |ev, request, reply| {
//!     if request.content_length().is_some_and(|length| length > 1 << 40) {
//!         return reply.error(ev, Status::CONTENT_TOO_LARGE); // before a byte of it was sent
//!     }
//!     let (mut reply, mut sum) = (Some(reply), 0_u64);
//!     let body = request.receive(ev, move |ev, _, event| match event {
//!         BodyEvent::Data(data) => {
//!             // Any part may be taken; what is left is there the next time.
//!             sum += data.bytes().map_while(Result::ok).map(u64::from).sum::<u64>();
//!         }
//!         BodyEvent::End(_trailers) => {
//!             reply.take().map(|reply| reply.text(ev, sum.to_string()));
//!         }
//!         // The client is gone, or was refused: whatever was made of the body so far is to be undone.
//!         _ => drop(reply.take()),
//!     })?;
//!     body.set_limit(ev, 1 << 40); // also of those that do not say how long they are
//!     Ok(())
//! });
//! # let mut ev = evloop::EvLoop::new()?;
//! # let server = ev.http_server("127.0.0.1:0", routes)?;
//! # let (remote, address) = (ev.remote(), server.addresses(&ev).remove(0).to_string());
//! # let client = std::thread::spawn(move || {
//! #     use std::io::{Read, Write};
//! #     let mut client = std::net::TcpStream::connect(address).unwrap();
//! #     client.write_all(b"POST /sum HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\nConnection: close\r\n\r\n").unwrap();
//! #     client.write_all(&[2; 200_000]).unwrap();
//! #     let mut reply = String::new();
//! #     client.read_to_string(&mut reply).unwrap();
//! #     remote.post(move |ev| server.stop_now(ev));
//! #     reply
//! # });
//! # ev.run()?;
//! # let reply = client.join().unwrap();
//! # assert!(reply.ends_with("\r\n\r\n400000"), "{reply}");
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! * **What is not taken is kept**, up to 64 KiB. Then nothing more is read, the system's buffers fill, and the
//!   client is held up by TCP itself.
//! * **[`pause`](crate::http::RequestBody::pause)** holds it up at once: while a disk writes what came before, say.
//!   No time-out of the body runs while it was we who did not want it. [`resume`](crate::http::RequestBody::resume)
//!   goes on.
//! * **`Failed` is the last event** in place of `End`. A body that was not complete was not received, and its reply
//!   is not a success.
//! * **To answer early is allowed.** Whoever takes the body goes on. If nobody does, what is left of it is read, up to
//!   64 KiB, so that the connection can be kept; beyond that it is closed, with the reply delivered first.
//!
//! # Through
//!
//! Both directions together are an echo, a filter, a relay. What comes is handed on without a copy, and the side that
//! is full holds up the other:
//!
//! ```
//! use evloop::http::{BodyEvent, BodyLength, Method, Routes};
//! use evloop::net::Written;
//!
//! let routes = Routes::new().streaming(Method::POST, "/echo", |ev, request, reply| {
//!     let out = reply.stream(ev, request.content_length().map_or(BodyLength::Unknown, BodyLength::Known))?;
//!     let mut out = Some(out);
//!     request.receive(ev, move |ev, body, event| match (event, &out) {
//!         (BodyEvent::Data(data), Some(to)) => match to.write_buffer(ev, data) {
//!             Ok(Written::Room) => {}
//!             Ok(_) => {
//!                 body.pause(ev);
//!                 to.on_drained(move |ev| drop(body.resume(ev)));
//!             }
//!             Err(_) => drop(out.take()),
//!         },
//!         (BodyEvent::End(_), Some(_)) => drop(out.take().map(|out| out.end(ev))),
//!         _ => drop(out.take()), // cut: the client sees that it is not the whole
//!     })?;
//!     Ok::<(), evloop::Error>(())
//! });
//! # let mut ev = evloop::EvLoop::new()?;
//! # let server = ev.http_server("127.0.0.1:0", routes)?;
//! # let (remote, address) = (ev.remote(), server.addresses(&ev).remove(0).to_string());
//! # let client = std::thread::spawn(move || {
//! #     use std::io::{Read, Write};
//! #     let mut client = std::net::TcpStream::connect(address).unwrap();
//! #     client.write_all(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\nConnection: close\r\n\r\n").unwrap();
//! #     let mut writer = client.try_clone().unwrap();
//! #     let writing = std::thread::spawn(move || writer.write_all(&[b'x'; 3_000_000]).unwrap());
//! #     std::thread::sleep(std::time::Duration::from_millis(50));
//! #     let mut reply = String::new();
//! #     client.read_to_string(&mut reply).unwrap();
//! #     writing.join().unwrap();
//! #     remote.post(move |ev| server.stop_now(ev));
//! #     reply
//! # });
//! # ev.run()?;
//! # let reply = client.join().unwrap();
//! # assert_eq!(reply.split_once("\r\n\r\n").unwrap().1.len(), 3_000_000);
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! Of a gigabyte that goes this way some hundred kilobytes are here at a time, whatever the client does.
