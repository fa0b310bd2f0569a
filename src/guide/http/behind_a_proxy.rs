//! Behind a proxy: what to write there, whom it speaks for, and time-outs along the way.
//!
//! This server may stand in the open: it refuses what is ambiguous, limits what strangers can take, and speaks
//! [TLS](crate::guide::http). A proxy in front is for HTTP/2, for several machines or programs under one name, and
//! where one is there anyway. What follows was tried with nginx 1.22 and haproxy 2.6 as Debian has them.
//! (`tests/peers/run.sh` in the repository runs the demo server behind both.)
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
//!     location /ws {
//!         proxy_pass http://app;
//!         proxy_set_header Upgrade $http_upgrade;
//!         proxy_set_header Connection upgrade;
//!         proxy_set_header Host $host;    # with one of these here, those above do not count
//!         proxy_set_header X-Forwarded-For $remote_addr;
//!         proxy_set_header X-Forwarded-Proto $scheme;
//!         proxy_read_timeout 90s;         # more than the interval of pings
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
//! * **WebSockets need their two fields**, which a proxy does not pass on by itself, and a connection each: an upgraded
//!   one does not go back to the `keepalive` ones.
//! * **`$host` has no port.** Where nginx listens on another than 80 or 443, as one does for a trial, write `$http_host`
//!   in its place, or `same_origin` refuses the WebSockets of its own pages with 403.
//! * **Events need nothing**: [`Reply::events`](crate::http::Reply::events) says `X-Accel-Buffering: no`, which nginx
//!   does, and its heartbeat of 15 s is less than any time-out here. Other streams need `proxy_buffering off`, or the
//!   same field.
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
//!     timeout tunnel 90s                  # WebSockets: more than the interval of pings
//! frontend www
//!     bind :80
//!     http-request del-header X-Forwarded-For     # what clients say; forwardfor adds its own
//!     http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]
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
//! haproxy passes upgrades on by itself, and buffers no replies.
//!
//! # Who is there
//!
//! To the server, everybody is the proxy, and whom that speaks for is in a field, which anybody else could write as
//! well. So it is said whom to believe:
//!
//! ```
//! use evloop::EvLoop;
//! use evloop::http::{Routes, ServerOptions};
//! use evloop::wire::forwarded::ForwardedFields;
//!
//! let mut ev = EvLoop::new()?;
//! let routes = Routes::new().get("/", |ev, request, reply| {
//!     let client = request.client(ev);
//!     let address = client.ip.map_or("somebody".to_owned(), |ip| ip.to_string());
//!     reply.text(ev, format!("{address} over {}\n", request.scheme(ev)))
//! });
//! let server = ServerOptions::new()
//!     .trusted_proxies(["127.0.0.1".parse()?, "10.0.0.7".parse()?], ForwardedFields::XForwarded)
//!     .listen(&mut ev, "127.0.0.1:0", routes)?;
//! # let (remote, address) = (ev.remote(), server.addresses(&ev).remove(0).to_string());
//! # let client = std::thread::spawn(move || {
//! #     use std::io::{Read, Write};
//! #     let mut client = std::net::TcpStream::connect(&address).unwrap();
//! #     client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 6.6.6.6, 203.0.113.7\r\n\
//! #         X-Forwarded-Proto: https\r\nConnection: close\r\n\r\n").unwrap();
//! #     let mut reply = String::new();
//! #     client.read_to_string(&mut reply).unwrap();
//! #     assert!(reply.ends_with("203.0.113.7 over https\n"), "{reply}");
//! #     remote.post(move |ev| server.stop_now(ev));
//! # });
//! # ev.run()?;
//! # client.join().unwrap();
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! Lists are read from the right, through all that are believed; the first that is not is the client, and what stands
//! left of it was written by the client. [`ip_rules`](crate::http::Routes::ip_rules),
//! [`limit_rate`](crate::http::Routes::limit_rate) and [access logs](crate::http::AccessLog) go by the same address. A
//! Unix socket counts as 127.0.0.1: believe that where the socket's mode lets in nobody but the proxy.
//!
//! * **Choose the kind of field that your proxy writes**, `X-Forwarded-*` or `Forwarded`, one: what it does not write
//!   it passes on from whoever has. So does `X-Forwarded-Host`, which neither configuration writes: have it deleted, as
//!   `X-Forwarded-For` is above, if a handler looks at [`host`](crate::wire::forwarded::ForwardedClient::host).
//! * **The proxy must replace the field or add to it**; both configurations above replace it.
//! * **Name the proxies, not the network they are in**: whoever is in it is believed too, as the last but one of a list
//!   as well. A client within it, behind a proxy that adds, can say that it is anybody.
//! * **`max_per_ip`** counts connections, which are all the proxy's here: leave it off, and limit requests.
//!
//! ## The PROXY protocol
//!
//! A proxy that does not look into HTTP, because the server itself speaks TLS, says in front of each connection whose
//! it is: `server one 127.0.0.1:8443 send-proxy-v2` in haproxy, `proxy_protocol on` in nginx's `stream`, a switch in
//! load balancers.
//!
//! ```
//! # use evloop::EvLoop;
//! # use evloop::http::{Routes, ServerOptions};
//! # let mut ev = EvLoop::new()?;
//! # let routes = Routes::new();
//! # let options =
//! ServerOptions::new()
//!     .proxy_protocol(["10.0.0.0/8".parse()?]) // must come from there, and must have the header
//!     .max_per_ip(50) // of the clients it names
//! #   ;
//! # let server = options.listen(&mut ev, "127.0.0.1:0", routes)?;
//! # /*
//!     .listen(&mut ev, "[::]:8443", routes)?;
//! # */
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! From then on [`peer`](crate::http::Request::peer) is the client, also that of the
//! [connection](crate::http::Connection::peer) and of a WebSocket that it becomes. It is all or nothing: connections from elsewhere
//! are closed, and one without a header, or whose header is not there within 3 s, is not served. Whoever must be
//! reached directly as well gets another server, at another address.
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
//!
//! What stands behind the proxy, how many of it and how it is exchanged for a new version, is the [next
//! chapter](super::deployment).
