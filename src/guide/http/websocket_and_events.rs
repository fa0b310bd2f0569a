//! WebSocket and events: messages both ways, one message for many, and the simpler thing that is often enough.
//!
//! A page that wants to hear of things as they happen has two ways. **Events** (server-sent events) are a reply that
//! does not end: text from the server to the page, which connects again by itself when the connection is lost, and says
//! what it heard last. **WebSocket** is a connection of its own kind: messages of text or bytes in both directions, and
//! everything else is for the program to do. If the page mostly listens, take events: they are HTTP, so logs, log-ins
//! and proxies work as they do.
//!
//! # Events
//!
//! ```
//! use evloop::EvLoop;
//! use evloop::http::{Event, EventOptions, EventStream, PreparedEvent, Routes};
//! use std::{cell::RefCell, rc::Rc, time::Duration};
//!
//! const PAGE: &str = "<ol id=o></ol><script>new EventSource('/news').onmessage = e => \
//!     o.append(Object.assign(document.createElement('li'), {textContent: e.data}))</script>";
//!
//! let mut ev = EvLoop::new()?;
//! let listeners: Rc<RefCell<Vec<EventStream>>> = Rc::default();
//! let list = Rc::clone(&listeners);
//! let routes = Routes::new()
//!     .get("/", |ev, _, reply| reply.html(ev, PAGE))
//!     .get("/news", move |ev, request, reply| {
//!         let stream = reply.events(ev, EventOptions::new())?;
//!         if let Some(last) = request.last_event_id() {
//!             stream.send(ev, &Event::new(format!("you have missed what came after {last}")))?;
//!         }
//!         list.borrow_mut().push(stream); // kept: dropped, its connection is cut
//!         Ok::<(), evloop::Error>(())
//!     });
//!
//! let (every, mut n) = (Duration::from_millis(10), 0);
//! let ticks = ev.timer(every, every, move |ev, _| {
//!     n += 1;
//!     // Made once, sent to all; who is gone is forgotten.
//!     let event = Event::new(format!("news {n}")).id(n.to_string());
//!     let Ok(event) = PreparedEvent::new(&event) else { return };
//!     listeners.borrow_mut().retain(|stream| stream.send_prepared(ev, &event).is_ok());
//! });
//! ticks.start(&mut ev);
//! # let server = ev.http_server("127.0.0.1:0", routes)?;
//! # let (remote, address) = (ev.remote(), server.addresses(&ev).remove(0).to_string());
//! # let client = std::thread::spawn(move || {
//! #     use std::io::{BufRead, BufReader, Write};
//! #     let mut client = std::net::TcpStream::connect(address).unwrap();
//! #     client.write_all(b"GET /news HTTP/1.1\r\nHost: x\r\nLast-Event-ID: 7\r\n\r\n").unwrap();
//! #     let lines: Vec<String> = BufReader::new(client).lines().map(Result::unwrap)
//! #         .filter(|line| line.starts_with("data:") || line.starts_with("Content-Type:")).take(3).collect();
//! #     assert_eq!(lines[..2], ["Content-Type: text/event-stream", "data: you have missed what came after 7"]);
//! #     assert!(lines[2].starts_with("data: news "), "{lines:?}");
//! #     remote.post(move |ev| { ticks.free(ev); server.stop_now(ev); });
//! # });
//! # ev.run()?;
//! # client.join().unwrap();
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! ```sh
//! curl -N localhost:8080/news
//! ```
//!
//! * **A client that does not read** is cut at 256 KiB, and comes again with
//!   [`last_event_id`](crate::http::Request::last_event_id): so give events an `id`, and keep the last of them, for
//!   those who were away. Where each event makes the earlier ones worthless, a gauge say,
//!   [`Overflow::Drop`](crate::http::Overflow::Drop) leaves out what does not fit.
//! * **One that is gone** is told by its connection; one that has gone without a word by the heartbeat, a comment after
//!   15 s without an event, and the [write time-out](crate::http::ServerOptions::write_timeout).
//! * **A browser has six connections for a host** over HTTP/1.1, in all of its windows together, and each stream is
//!   one.
//! * **To end it for good**, answer 204 to the next request: [`close`](crate::http::EventStream::close) alone has the
//!   browser come again.
//!
//! # WebSocket
//!
//! ```
//! use evloop::EvLoop;
//! use evloop::http::Routes;
//! use evloop::websocket::{WebSocketEvent, WebSocketOptions, same_origin};
//! use std::time::Duration;
//! # use evloop::websocket::WebSocketClient;
//! # use evloop::wire::websocket::CloseCode;
//!
//! let mut ev = EvLoop::new()?;
//! let options = WebSocketOptions::new()
//!     .origin(same_origin) // pages of other hosts get 403
//!     .ping(Duration::from_secs(30), Duration::from_secs(10))
//!     .max_message(64 * 1024);
//! let routes = Routes::new().get("/ws", move |ev, request, reply| {
//!     // Whatever comes of it, the request is answered: with 101, or with what was wrong.
//!     options
//!         .accept(ev, &request, reply, |ev, ws, event| match event {
//!             WebSocketEvent::Text(text) => drop(ws.send_text(ev, text)),
//!             WebSocketEvent::Binary(bytes) => drop(ws.send_binary(ev, bytes)),
//!             WebSocketEvent::Closed(closed) => {
//!                 println!("{} has left: {} {:?}", ws.id(), closed.code, closed.reason);
//!             }
//!             _ => {}
//!         })
//!         .ok();
//! });
//! # let server = ev.http_server("127.0.0.1:0", routes)?;
//! # let url = format!("ws://{}/ws", server.addresses(&ev)[0]);
//! # WebSocketClient::new().connect(&mut ev, &url, move |ev, ws, event| match event {
//! #     WebSocketEvent::Opened => drop(ws.send_text(ev, "hello")),
//! #     WebSocketEvent::Text(text) => {
//! #         assert_eq!(text, "hello");
//! #         ws.close(ev, CloseCode::NORMAL, "").unwrap();
//! #     }
//! #     WebSocketEvent::Closed(closed) => {
//! #         assert!(closed.clean);
//! #         server.stop_now(ev);
//! #     }
//! #     _ => {}
//! # })?;
//! # ev.run()?;
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! A [`WebSocket`](crate::websocket::WebSocket) is a key, as watchers are: it may be copied, kept in a list and sent to
//! another thread, and when it is stale its verbs are errors or do nothing. One closure is told everything, `Opened`
//! first and `Closed` last, exactly once, whatever has ended it; so what belongs to a client is made in the one and
//! given back in the other, or owned by the closure.
//!
//! * **Say who may connect.** Any page on the web can open a WebSocket to any server, and the user's cookies go with
//!   it. [`origin`](crate::websocket::WebSocketOptions::origin) is the place to look; log-ins are looked at as for any
//!   request, by a [`before`](crate::http::Routes::before) hook or in the handler, which has the
//!   [request](crate::http::Request) before it accepts.
//! * **Messages come whole**, up to 4 MiB in 1024 frames of 1 MiB; lower these to what a program expects. More is
//!   closed with 1009 before it is read. With [`fragments`](crate::websocket::WebSocketOptions::fragments) they come
//!   frame by frame, and no message is held whole.
//! * **Pings** are answered by themselves, and sent if one asks for it: then whoever is gone is found out, and proxies
//!   do not take a quiet connection for a dead one.
//!
//! ## To many
//!
//! [`broadcast`](crate::websocket::broadcast()) sends one message, encoded once, to all whom a closure picks. From
//! other threads, [`WebSocketRemote`](crate::websocket::WebSocketRemote) does the same:
//!
//! ```
//! use evloop::EvLoop;
//! use evloop::http::Routes;
//! use evloop::websocket::{PreparedMessage, WebSocket, WebSocketEvent, broadcast};
//! # use evloop::websocket::WebSocketClient;
//!
//! struct Room(String); // attached to each WebSocket, to pick by
//!
//! let mut ev = EvLoop::new()?;
//! let routes = Routes::new().get("/rooms/{name}", |ev, request, reply| {
//!     let name = request.param("name").unwrap_or_default().to_owned();
//!     WebSocket::accept(ev, &request, reply, move |ev, ws, event| match event {
//!         WebSocketEvent::Opened => drop(ws.set_data(ev, Room(name.clone()))),
//!         WebSocketEvent::Text(text) => {
//!             let message = PreparedMessage::text(text);
//!             let is_here = |ev: &EvLoop, other: WebSocket| {
//!                 other != ws && other.data::<Room>(ev).is_some_and(|room| room.0 == name)
//!             };
//!             for slow in broadcast(ev, is_here, &message).refused {
//!                 slow.close_now(ev); // more than 1 MiB waits for it already
//!             }
//!         }
//!         _ => {}
//!     })
//!     .ok();
//! });
//!
//! let remote = ev.websocket_remote();
//! let thread = std::thread::spawn(move || {
//!     remote.broadcast(|_, _| true, PreparedMessage::text("from another thread"));
//! });
//! # thread.join().unwrap();
//! # let server = ev.http_server("127.0.0.1:0", routes)?;
//! # let address = server.addresses(&ev).remove(0).to_string();
//! # let talker = format!("ws://{address}/rooms/a");
//! # let opened = move |ev: &mut EvLoop| {
//! #     WebSocketClient::new().connect(ev, &talker, |ev, ws, event| {
//! #         if let WebSocketEvent::Opened = event { ws.send_text(ev, "hello").unwrap(); }
//! #     }).unwrap();
//! # };
//! # WebSocketClient::new().connect(&mut ev, &format!("ws://{address}/rooms/a"), move |ev, _, event| match event {
//! #     WebSocketEvent::Opened => opened(ev),
//! #     WebSocketEvent::Text("hello") => server.stop_now(ev),
//! #     _ => {}
//! # })?;
//! # ev.run()?;
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! With [several threads](super::deployment#several-threads) each loop has its own WebSockets: have a remote of each.
//!
//! ## Who does not read
//!
//! Sending says how it stands, as [streams](crate::net::Stream) do: [`Written::Full`](crate::net::Written::Full) from
//! 256 KiB on, and at 1 MiB a message is refused with [`ErrorKind::Full`](crate::ErrorKind::Full). What is right then
//! depends on what is sent:
//!
//! * **A feed of states** leaves messages out while [`is_full`](crate::websocket::WebSocket::is_full), and sends the
//!   newest on [`Drained`](crate::websocket::WebSocketEvent::Drained).
//! * **An echo or a relay** [pauses](crate::websocket::WebSocket::pause) whoever it has the data from, and
//!   [resumes](crate::websocket::WebSocket::resume) on `Drained`: the sender is held up by TCP.
//! * **A chat** sends slow ones away, as above: they come again, and read the history.
//!
//! A peer that takes nothing at all for 30 s is cut in any case
//! ([`write_timeout`](crate::websocket::WebSocketOptions::write_timeout)).
//!
//! ## Closing
//!
//! [`close`](crate::websocket::WebSocket::close) with a code says goodbye; the other end says it back, and `Closed` is
//! told, at the latest after 3 s. What the codes are for:
//!
//! | | |
//! |---|---|
//! | 1000 | it is done |
//! | 1001 | going away: sent by itself when the [server is shut down](crate::http::Server::shutdown), and by browsers that leave a page |
//! | 1002, 1007, 1009 | sent by itself: a broken rule, no UTF-8, too large |
//! | 1006, 1005 | never sent: what [`Closed`](crate::websocket::Closed) says if there was no goodbye, or one without a code |
//! | 1008 | not allowed, by the rules of the program |
//! | 1013 | try again later: sent by itself where a [`WebSocketRemote`](crate::websocket::WebSocketRemote) has found no room |
//! | 3000–4999 | the program's own |
//!
//! Nothing connects again by itself. A page that does should wait longer each time, by a random amount: after a restart
//! all of them come at once.
//!
//! ## From here to others
//!
//! [`WebSocketClient`](crate::websocket::WebSocketClient) opens one to a server, with the same events and verbs:
//! `ws://`, and `wss://` with the feature `tls`.
//!
//! # Behind a proxy
//!
//! Events must not be buffered, and both must not be taken for dead: [what to write there](super::behind_a_proxy).
