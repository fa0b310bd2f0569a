//! HTTPS: certificates and how they are renewed, several names, certificates of clients, and those who come without
//! TLS. Feature `tls`.
//!
//! ```
//! use evloop::EvLoop;
//! use evloop::http::{Routes, ServerOptions};
//! use evloop::net::TlsServer;
//!
//! # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
//! # let directory = std::env::temp_dir().join(format!("evloop-guide-https-{}", std::process::id()));
//! # std::fs::create_dir_all(&directory)?;
//! # let (chain, key) = (directory.join("chain.pem"), directory.join("key.pem"));
//! # std::fs::write(&chain, made.cert.pem())?;
//! # std::fs::write(&key, made.signing_key.serialize_pem())?;
//! # let roots = made.cert.pem();
//! let mut ev = EvLoop::new()?;
//! # /*
//! let (chain, key) = ("/etc/ssl/example.org/fullchain.pem", "/etc/ssl/example.org/privkey.pem");
//! # */
//! let tls = TlsServer::new(std::fs::read(&chain)?, std::fs::read(&key)?)?;
//! let routes = Routes::new().get("/", |ev, _, reply| reply.text(ev, "hello"));
//! # let address = "127.0.0.1:0";
//! # /*
//! let address = "[::]:443";
//! # */
//! let server = ServerOptions::new().tls(tls.clone()).listen(&mut ev, address, routes)?;
//!
//! // The certificate was renewed: `kill -HUP`, or `systemctl reload`.
//! let renew = ev.signal(libc::SIGHUP, move |_, _| {
//!     let read = || -> Result<(), Box<dyn std::error::Error>> {
//!         Ok(tls.reload(std::fs::read(&chain)?, std::fs::read(&key)?)?)
//!     };
//!     if let Err(error) = read() {
//!         eprintln!("the certificate stays as it is: {error:#}");
//!     }
//! });
//! renew.start(&mut ev)?.set_ref(&mut ev, false);
//! # let address = server.addresses(&ev).remove(0);
//! # let client = evloop::net::TlsClient::builder().roots_pem(roots).build()?;
//! # let mut asked = false;
//! # let options = evloop::net::ConnectOptions::new();
//! # options.connect(&mut ev, address, move |ev, stream, event| match event {
//! #     evloop::net::StreamEvent::Connected if !asked => {
//! #         asked = true;
//! #         stream.push_filter(ev, client.filter("localhost").unwrap()).unwrap();
//! #         ev.feed_signal(libc::SIGHUP);
//! #         stream.write(ev, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
//! #     }
//! #     evloop::net::StreamEvent::Received(_) => {
//! #         let mut all = [0; 4096];
//! #         let n = stream.input(ev).copy_out(0, &mut all);
//! #         if all[..n].ends_with(b"hello") {
//! #             stream.close_now(ev);
//! #             server.stop_now(ev);
//! #         }
//! #     }
//! #     _ => {}
//! # })?;
//! ev.run()?;
//! # std::fs::remove_dir_all(&directory)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! That is all of it: everything else in this guide is the same with TLS. What is spoken is TLS 1.3 and 1.2, by rustls,
//! and `http/1.1` where a client negotiates (ALPN); there are no settings for ciphers, and none that would have to be
//! changed.
//!
//! # Certificates
//!
//! **The chain goes with the certificate**: the own one first, then those between it and a root (Let's Encrypt's
//! `fullchain.pem`). The key belongs to it, which is looked at when it is read, and may be PKCS #8, PKCS #1 or SEC 1,
//! without a password. For trying things out, on one's own machine:
//!
//! ```sh
//! openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
//!     -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
//!     -keyout key.pem -out cert.pem
//! cargo run --release --features tls --example http_server -- \
//!     --tls-cert cert.pem --tls-key key.pem
//! curl --cacert cert.pem https://localhost:8080/plaintext
//! ```
//!
//! **Renewal** is [`reload`](crate::net::TlsServer::reload), on any clone and any thread: connections that are there go
//! on as they are, new ones are shown the new certificate, and a file that is no good leaves the old one in use. Where
//! nobody can send a signal, a `Stat` watcher on the file does it ([watching files](crate::guide)); certbot does with
//! `--deploy-hook 'systemctl reload app'`.
//!
//! **Getting one** (ACME) is for certbot, lego and the like. What they want to have served over HTTP, at
//! `/.well-known/acme-challenge/`, is a [directory](super::files) in which
//! [hidden names](crate::http::Files::hidden) need not be allowed, since the prefix is the route's:
//!
//! ```
//! use evloop::http::{Files, Routes};
//!
//! # let directory = std::env::temp_dir();
//! # let challenges = Files::new(&directory)?;
//! # /*
//! // certbot certonly --webroot -w /var/lib/app/acme …
//! let challenges = Files::new("/var/lib/app/acme/.well-known/acme-challenge")?;
//! # */
//! let plain = Routes::new()
//!     .files("/.well-known/acme-challenge", challenges)
//!     .fallback(|ev, request, reply| {
//!         // Where everything is. The name is ours, not what the client says in `Host`.
//!         reply.status(evloop::http::Status::PERMANENT_REDIRECT)
//!             .redirect(ev, &format!("https://example.org{}", request.target()))
//!     });
//! # let mut ev = evloop::EvLoop::new()?;
//! # let server = ev.http_server("127.0.0.1:0", plain)?;
//! # let (remote, address) = (ev.remote(), server.addresses(&ev).remove(0).to_string());
//! # let client = std::thread::spawn(move || {
//! #     use std::io::{Read, Write};
//! #     let mut client = std::net::TcpStream::connect(&address).unwrap();
//! #     client.write_all(b"GET /a?b HTTP/1.1\r\nHost: evil\r\nConnection: close\r\n\r\n").unwrap();
//! #     let mut reply = String::new();
//! #     client.read_to_string(&mut reply).unwrap();
//! #     assert!(reply.starts_with("HTTP/1.1 308"), "{reply}");
//! #     assert!(reply.contains("\r\nLocation: https://example.org/a?b\r\n"), "{reply}");
//! #     remote.post(move |ev| server.stop_now(ev));
//! # });
//! # ev.run()?;
//! # client.join().unwrap();
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! # Without TLS
//!
//! That was the first of two cases: **port 80** is a server of its own, with routes of its own, on the same loop. Once
//! people have come by HTTPS, `Strict-Transport-Security: max-age=31536000` in a
//! [`before`](crate::http::Routes::before) hook of the HTTPS server has their browsers never ask port 80 again.
//!
//! The second is **HTTP spoken on the TLS port**, `http://example.org:8443/` typed by somebody. The first byte tells,
//! and it is answered in the clear: with 400 and a word about it, or with
//! [`PlainHttp::Redirect`](crate::http::PlainHttp::Redirect) by 308 to `https` at the same port. No handler is called.
//! What somebody sent in the clear, cookies too, was read by whoever wanted to; so it is for people who type, not for
//! programs.
//!
//! # Several names
//!
//! Which certificate is shown is for the name to say that the client asks for in its first message (SNI); which routes
//! answer is for [`Routes::host`](crate::http::Routes::host) to say, by the `Host` of each request:
//!
//! ```
//! use evloop::EvLoop;
//! use evloop::http::{Routes, ServerOptions};
//! use evloop::net::{TlsIdentity, TlsServer};
//!
//! # let pem = |name: &str| {
//! #     let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
//! #     (made.cert.pem(), made.signing_key.serialize_pem())
//! # };
//! # let ((chain, key), (blog_chain, blog_key)) = (pem("example.org"), pem("blog.example.org"));
//! let mut ev = EvLoop::new()?;
//! // The first is for all who ask for no other.
//! let tls = TlsServer::builder(TlsIdentity::from_pem(chain, key)?)
//!     .name("blog.example.org", TlsIdentity::from_pem(blog_chain, blog_key)?)
//!     .build()?;
//! let blog = Routes::new().get("/", |ev, _, reply| reply.text(ev, "a blog"));
//! let routes = Routes::new()
//!     .host(["blog.example.org"], blog)
//!     .get("/", |ev, _, reply| reply.text(ev, "everybody else"));
//! ServerOptions::new().tls(tls).match_server_name(true).listen(&mut ev, "127.0.0.1:0", routes)?;
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! The two names need not be the same: browsers send requests for all names of a certificate on one connection. With
//! [`match_server_name`](crate::http::ServerOptions::match_server_name) a request for another host than that of the
//! handshake is 421, and the browser comes again on a connection of its own. It is needed where hosts differ in whom
//! they let in, which is the next section. [`set_name`](crate::net::TlsServer::set_name) adds and renews names while it
//! runs, and with a [`resolver`](crate::net::TlsServerBuilder::resolver) a closure chooses.
//!
//! # Certificates of clients
//!
//! Machines that know each other need no passwords: each has a certificate of one's own authority.
//!
//! ```
//! use evloop::http::{Routes, ServerOptions, Status};
//! use evloop::net::{ClientCertificates, TlsIdentity, TlsServer};
//! # let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
//! # let (chain, key, authority) = (made.cert.pem(), made.signing_key.serialize_pem(), made.cert.pem());
//!
//! let tls = TlsServer::builder(TlsIdentity::from_pem(chain, key)?)
//!     .client_certificates(authority, ClientCertificates::Optional)
//!     .build()?;
//! let routes = Routes::new()
//!     .before_at("/machines/#", |ev, request, reply| {
//!         let shown = request.tls(ev).is_some_and(|tls| !tls.peer_certificates.is_empty());
//!         if !shown {
//!             reply.error(ev, Status::FORBIDDEN).ok();
//!             return None;
//!         }
//!         Some(reply)
//!     })
//!     .get("/machines/config", |ev, _, reply| reply.json(ev, "{}"))
//!     .get("/", |ev, _, reply| reply.text(ev, "for everybody"));
//! # let mut ev = evloop::EvLoop::new()?;
//! # let options = ServerOptions::new().tls(tls);
//! # /*
//! ServerOptions::new().tls(tls).listen(&mut ev, "[::]:443", routes)?;
//! # */ options.listen(&mut ev, "127.0.0.1:0", routes)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! One that is shown has been verified: it is of that authority, and was valid when the session began. *Whose* it is
//! stands in it, as DER, the own one first; the crate does not read it for you: compare a hash of it with a list, or
//! have a crate for X.509 read names. With [`Required`](crate::net::ClientCertificates::Required) nobody gets further
//! than the handshake without one; with `Optional`, handlers decide, and can say why not. There is no list of
//! revocations: keep such certificates short, or the list of hashes.
//!
//! # Limits
//!
//! * **A handshake has ten seconds**, from the connection's beginning
//!   ([`handshake_timeout`](crate::net::TlsServerBuilder::handshake_timeout)); those of [requests](super::limits) begin
//!   after that.
//! * **An idle connection costs some 8 KiB more**, and a handshake more of the processor than anything else that
//!   strangers can ask for. So [`max_per_ip`](crate::http::ServerOptions::max_per_ip) means more here, and clients that
//!   keep their connection cost least.
//! * **Sessions are resumed** within one process; threads of one [`TlsServer`](crate::net::TlsServer) share them. There
//!   is no early data (0-RTT), which could be replayed.
//! * **Files** go through the program to be encrypted, without `sendfile`.
//! * **Behind a proxy that ends TLS** the feature is not needed: [behind a proxy](super::behind_a_proxy).
