// Requests that come through TLS, handshakes that come to nothing, and clients that speak in the clear.

use std::sync::OnceLock;

use evloop::net::{ClientCertificates, TlsClient, TlsServer, TlsVersion};

use crate::talking::*;
use crate::tls::{self, Authority};

fn authority() -> &'static Authority {
    static MADE: OnceLock<Authority> = OnceLock::new();
    MADE.get_or_init(Authority::new)
}

fn server_of(names: &[&str]) -> TlsServer {
    TlsServer::builder(authority().identity(names)).build().unwrap()
}

fn trusting() -> TlsClient {
    authority().client().build().unwrap()
}

fn options() -> ServerOptions {
    ServerOptions::new().tls(server_of(&["localhost"]))
}

/// A client with TLS.
struct Secure {
    wire: Client,
    end: tls::End,
    input: Vec<u8>,
    closed: Option<End>,
    /// How many bytes are sent at a time.
    step: usize,
}

impl Secure {
    fn new(ev: &mut EvLoop, server: Server, tls: &TlsClient) -> Self {
        Self::named(ev, server, tls, "localhost")
    }

    fn named(ev: &mut EvLoop, server: Server, tls: &TlsClient, name: &str) -> Self {
        let end = tls::End::new(tls.filter(name).unwrap());
        let wire = Client::new(ev, server);
        Self { wire, end, input: Vec::new(), closed: None, step: usize::MAX }
    }

    /// Has what is made sent, and what comes taken, once.
    fn pump(&mut self, ev: &mut EvLoop) {
        let out = tls::take(&mut self.end.wire_out, self.step);
        if !out.is_empty() && self.closed.is_none() {
            let sent = self.wire.push(&out);
            let mut rest = out[sent..].to_vec();
            rest.extend(tls::all(&mut self.end.wire_out));
            self.end.wire_out.append(&rest);
        }
        turn(ev);
        let (came, closed) = self.wire.taken();
        self.closed = closed;
        if !came.is_empty() {
            self.end.receive(&came, net::Mode::Normal);
        }
        self.input.extend(tls::all(&mut self.end.input));
    }

    #[track_caller]
    fn until(&mut self, ev: &mut EvLoop, mut is_so: impl FnMut(&mut Self) -> bool) {
        let begun = Instant::now();
        while !is_so(self) {
            assert!(begun.elapsed() < Duration::from_secs(20), "nothing happens: {:?}", self.end.error);
            self.pump(ev);
        }
    }

    #[track_caller]
    fn ask(&mut self, ev: &mut EvLoop, request: impl AsRef<[u8]>) -> Answer {
        self.end.write(request.as_ref());
        self.reply(ev)
    }

    #[track_caller]
    fn reply(&mut self, ev: &mut EvLoop) -> Answer {
        let mut answer = None;
        self.until(ev, |client| {
            assert_eq!(client.end.error.as_ref().map(|error| format!("{error:#}")), None);
            let found = parse(&client.input, "GET", client.closed.is_some());
            if let Some((found, used)) = found {
                client.input.drain(..used);
                answer = Some(found);
            }
            assert!(answer.is_some() || client.closed.is_none(), "closed: {:?}", client.closed);
            answer.is_some()
        });
        answer.unwrap()
    }
}

fn hello() -> Routes {
    Routes::new().get("/", |ev, _, reply| reply.text(ev, "secret"))
}

#[test]
fn a_request_through_tls_is_answered_and_knows_what_was_agreed_on() {
    let mut ev = ev();
    let seen: Rc<RefCell<Vec<_>>> = Rc::default();
    let sees = Rc::clone(&seen);
    let routes = Routes::new().get("/", move |ev: &mut EvLoop, request: Request, reply: Reply| {
        let tls = request.tls(ev).unwrap();
        sees.borrow_mut().push((tls.version, tls.alpn.clone(), tls.server_name.clone()));
        reply.text(ev, "secret")
    });
    let server = serve_with(&mut ev, options(), routes);
    let tls = authority().client().alpn(["h2", "http/1.1"]).build().unwrap();
    let mut client = Secure::new(&mut ev, server, &tls);
    for _ in 0..3 {
        assert_eq!(client.ask(&mut ev, get("/")).text(), "secret");
    }
    let agreed = (TlsVersion::Tls13, Some(b"http/1.1".to_vec()), Some("localhost".to_owned()));
    assert_eq!(*seen.borrow(), vec![agreed; 3]);
}

#[test]
fn without_tls_there_is_nothing_to_know() {
    let mut ev = ev();
    let routes = Routes::new().get("/", |ev: &mut EvLoop, request: Request, reply: Reply| {
        let none = request.tls(ev).is_none();
        reply.text(ev, if none { "none" } else { "some" })
    });
    let (_, mut client) = one_client(&mut ev, routes);
    assert_eq!(client.ask(&mut ev, get("/")).text(), "none");
}

#[test]
fn a_handshake_may_come_one_byte_at_a_time() {
    let mut ev = ev();
    let server = serve_with(&mut ev, options(), hello());
    let mut client = Secure::new(&mut ev, server, &trusting());
    client.step = 1;
    assert_eq!(client.ask(&mut ev, get("/")).text(), "secret");
}

#[test]
fn pipelined_requests_and_large_bodies_come_whole_through_tls() {
    let mut ev = ev();
    let routes = hello()
        .get("/large", |ev, _, reply| reply.bytes(ev, "a/b", vec![b'y'; 3_000_000]))
        .post("/length", |ev, request, reply| reply.text(ev, request.body().len().to_string()));
    let server = serve_with(&mut ev, options(), routes);
    let mut client = Secure::new(&mut ev, server, &trusting());
    client.end.write([get("/"), get("/large"), get("/")].concat().as_bytes());
    assert_eq!(client.reply(&mut ev).text(), "secret");
    let large = client.reply(&mut ev);
    assert!(large.body.len() == 3_000_000 && large.body.iter().all(|&byte| byte == b'y'));
    assert_eq!(client.reply(&mut ev).text(), "secret");
    let body = "z".repeat(1_000_000);
    assert_eq!(client.ask(&mut ev, post("/length", &body)).text(), "1000000");
}

#[test]
fn a_client_that_speaks_only_another_protocol_is_refused_in_the_handshake() {
    let mut ev = ev();
    let server = serve_with(&mut ev, options(), hello());
    let tls = authority().client().alpn(["h2"]).build().unwrap();
    let mut client = Secure::new(&mut ev, server, &tls);
    client.until(&mut ev, |client| client.end.error.is_some());
    pass(&mut ev, Duration::from_secs(2));
    assert!(server.connections(&ev).is_empty());
    let mut other = Secure::new(&mut ev, server, &trusting());
    assert_eq!(other.ask(&mut ev, get("/")).text(), "secret");
}

#[test]
fn certificates_of_clients_reach_the_handler() {
    let mut ev = ev();
    let clients = authority().pem();
    let tls = TlsServer::builder(authority().identity(&["localhost"]))
        .client_certificates(clients, ClientCertificates::Optional)
        .build()
        .unwrap();
    let routes = Routes::new().get("/", |ev: &mut EvLoop, request: Request, reply: Reply| {
        let shown = request.tls(ev).map(|tls| tls.peer_certificates.len());
        reply.text(ev, format!("{shown:?}"))
    });
    let server = serve_with(&mut ev, ServerOptions::new().tls(tls), routes);
    let mut nobody = Secure::new(&mut ev, server, &trusting());
    assert_eq!(nobody.ask(&mut ev, get("/")).text(), "Some(0)");
    let person = authority().client().identity(authority().person()).build().unwrap();
    let mut somebody = Secure::new(&mut ev, server, &person);
    assert_eq!(somebody.ask(&mut ev, get("/")).text(), "Some(1)");
    // One of somebody else's is worse than none.
    let stranger = Authority::new();
    let forged = authority().client().identity(stranger.person()).build().unwrap();
    let mut forger = Secure::new(&mut ev, server, &forged);
    forger.end.write(get("/").as_bytes());
    forger.until(&mut ev, |client| client.end.error.is_some() || client.closed.is_some());
    assert_eq!(String::from_utf8_lossy(&forger.input), "");
    assert_eq!(nobody.ask(&mut ev, get("/")).text(), "Some(0)");
}

#[test]
fn a_new_certificate_is_shown_to_new_connections_and_old_ones_go_on() {
    let mut ev = ev();
    let tls = server_of(&["localhost"]);
    let server = serve_with(&mut ev, ServerOptions::new().tls(tls.clone()), hello());
    let mut old = Secure::new(&mut ev, server, &trusting());
    assert_eq!(old.ask(&mut ev, get("/")).text(), "secret");
    let before = old.end.info().peer_certificates.clone();
    let (chain, key) = authority().issue(&["localhost"], |_| {});
    assert!(tls.reload("no certificate", &key).is_err());
    tls.reload(&chain, &key).unwrap();
    let mut new = Secure::new(&mut ev, server, &trusting());
    assert_eq!(new.ask(&mut ev, get("/")).text(), "secret");
    assert_ne!(before, new.end.info().peer_certificates);
    assert_eq!(new.end.info().alpn, old.end.info().alpn);
    assert_eq!(old.ask(&mut ev, get("/")).text(), "secret");
}

#[test]
fn http_in_the_clear_is_answered_in_the_clear() {
    let mut ev = ev();
    let server = serve_with(&mut ev, options(), hello());
    for step in [1, 1000] {
        let mut client = Client::new(&mut ev, server);
        for piece in get("/").as_bytes().chunks(step) {
            client.send(piece);
            settle(&mut ev);
        }
        let answer = client.reply(&mut ev);
        assert_eq!(answer.status, 400, "{answer:?}");
        assert!(answer.text().contains("https") && answer.closes(), "{answer:?}");
        client.finish();
        assert_eq!(client.ends(&mut ev), End::Orderly);
    }
}

#[test]
fn http_in_the_clear_can_be_sent_elsewhere() {
    let mut ev = ev();
    let options = options().plain_http(PlainHttp::Redirect);
    let server = serve_with(&mut ev, options, hello());
    let mut client = Client::new(&mut ev, server);
    let answer = client.ask(&mut ev, "GET /a%20b?c=d HTTP/1.1\r\nHost: here:8443\r\n\r\n");
    assert_eq!(answer.status, 308);
    assert_eq!(answer.field("location"), Some("https://here:8443/a%20b?c=d"));
    assert!(answer.closes());
    // Who does not say where it is cannot be told where to go.
    let mut client = Client::new(&mut ev, server);
    assert_eq!(client.ask(&mut ev, "GET / HTTP/1.0\r\n\r\n").status, 400);
}

#[test]
fn what_is_neither_tls_nor_http_is_closed() {
    let mut ev = ev();
    let server = serve_with(&mut ev, options(), hello());
    for garbage in [&b"\0\0\0\0"[..], b"\xff\xff\xff\xff\xff\xff", b"\x16\x03\x01\xff\xff\0", b"get / \r\n"] {
        let mut client = Client::new(&mut ev, server);
        client.send(garbage);
        client.finish();
        client.rest(&mut ev);
        until(&mut ev, |ev| server.connections(ev).is_empty());
    }
}

#[test]
fn who_is_silent_in_the_handshake_is_let_go_in_time() {
    let mut ev = ev();
    let tls = TlsServer::builder(authority().identity(&["localhost"]));
    let tls = tls.handshake_timeout(Duration::from_secs(5)).build().unwrap();
    let server = serve_with(&mut ev, ServerOptions::new().tls(tls), hello());
    // With nothing, with a first byte late in the time, and in the middle of a hello.
    let mut client = Client::new(&mut ev, server);
    let mut late = Client::new(&mut ev, server);
    pass(&mut ev, Duration::from_secs(4));
    late.send(b"\x16\x03\x01");
    pass(&mut ev, Duration::from_millis(900));
    assert!(client.is_open() && late.is_open());
    pass(&mut ev, Duration::from_millis(200));
    assert_eq!(client.ends(&mut ev), End::Orderly);
    late.rest(&mut ev);
    until(&mut ev, |ev| server.connections(ev).is_empty());
}

#[test]
fn the_time_for_the_head_begins_with_the_end_of_the_handshake() {
    let mut ev = ev();
    let options = options().header_timeout(Some(Duration::from_secs(10))).idle_timeout(None);
    let server = serve_with(&mut ev, options, hello());
    let mut client = Secure::new(&mut ev, server, &trusting());
    // Half of the handshake takes most of the time.
    client.step = 100;
    client.pump(&mut ev);
    pass(&mut ev, Duration::from_secs(9));
    client.step = usize::MAX;
    client.until(&mut ev, |client| client.end.filter.is_ready());
    client.end.write(b"GET / HTTP/1.1\r\nHost: a\r\n");
    for _ in 0..10 {
        client.pump(&mut ev);
    }
    pass(&mut ev, Duration::from_secs(9));
    client.pump(&mut ev);
    assert_eq!(client.closed, None);
    pass(&mut ev, Duration::from_secs(2));
    assert_eq!(client.reply(&mut ev).status, 408);
}

#[test]
fn a_first_head_in_records_that_come_byte_by_byte_has_no_more_time() {
    let mut ev = ev();
    let server = serve_with(&mut ev, options(), hello());
    let mut client = Secure::new(&mut ev, server, &trusting());
    client.until(&mut ev, |client| client.end.filter.is_ready());
    client.pump(&mut ev);
    client.end.write(get("/").as_bytes());
    // Nothing can be read before the last of them.
    client.step = 1;
    for _ in 0..9 {
        client.pump(&mut ev);
        pass(&mut ev, Duration::from_secs(1));
        assert_eq!(client.closed, None);
    }
    pass(&mut ev, Duration::from_secs(1));
    client.pump(&mut ev);
    assert!(client.closed.is_some());
}

#[test]
fn a_connection_that_is_cut_behind_any_byte_of_the_handshake_leaves_nothing() {
    let mut ev = ev();
    let server = serve_with(&mut ev, options(), hello());
    // As many bytes as a whole visit sends.
    let mut whole = Secure::new(&mut ev, server, &trusting());
    whole.step = 1;
    whole.end.write(get("/").as_bytes());
    let mut length = 0;
    whole.until(&mut ev, |client| {
        length += usize::from(!client.end.wire_out.is_empty());
        parse(&client.input, "GET", false).is_some()
    });
    drop(whole);
    assert!(length > 300, "{length}");
    for cut in 0..length {
        let mut client = Secure::new(&mut ev, server, &trusting());
        client.end.write(get("/").as_bytes());
        let mut sent = 0;
        while sent < cut && client.closed.is_none() && client.input.is_empty() {
            client.step = (cut - sent).min(client.end.wire_out.len());
            sent += client.step;
            client.pump(&mut ev);
            if client.end.wire_out.is_empty() {
                client.pump(&mut ev);
            }
        }
        match cut % 3 {
            0 => client.wire.reset(),
            1 => {
                client.wire.finish();
                client.until(&mut ev, |client| client.closed.is_some());
            }
            _ => drop(client),
        }
    }
    until(&mut ev, |ev| server.connections(ev).is_empty());
    let mut client = Secure::new(&mut ev, server, &trusting());
    assert_eq!(client.ask(&mut ev, get("/")).text(), "secret");
    ev.verify();
}

#[test]
fn a_request_for_another_host_than_the_handshake_was_about_is_421_if_so_wanted() {
    let mut ev = ev();
    let options = ServerOptions::new().tls(server_of(&["a.org", "b.org"])).match_server_name(true);
    let server = serve_with(&mut ev, options.clone(), hello());
    let of = |host: &str| format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let mut client = Secure::named(&mut ev, server, &trusting(), "a.org");
    assert_eq!(client.ask(&mut ev, of("A.org:8443")).status, 200);
    assert_eq!(client.ask(&mut ev, of("b.org")).status, 421);
    // With hosts it is those that count.
    let both = Routes::new().get("/", |ev, _, reply| reply.text(ev, "ab"));
    let routes = hello().host(["a.org", "b.org"], both);
    let server = serve_with(&mut ev, options, routes);
    let mut client = Secure::named(&mut ev, server, &trusting(), "a.org");
    assert_eq!(client.ask(&mut ev, of("b.org")).text(), "ab");
    assert_eq!(client.ask(&mut ev, of("c.org")).status, 421);
}

#[test]
fn who_names_no_server_in_the_handshake_gets_no_host_that_has_a_name() {
    let mut ev = ev();
    let options = ServerOptions::new().tls(server_of(&["a.org"])).match_server_name(true);
    let of = |host: &str| format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let nameless = authority().client().without_server_name().build().unwrap();
    let named = Routes::new().get("/", |ev, _, reply| reply.text(ev, "a"));
    for (routes, other) in [(hello().host(["a.org"], named), 200), (hello(), 421)] {
        let server = serve_with(&mut ev, options.clone(), routes);
        for (host, status) in [("127.0.0.1:8443", 200), ("[::1]", 200), ("a.org", 421), ("c.org", other)] {
            let mut client = Secure::named(&mut ev, server, &nameless, "a.org");
            assert_eq!(client.ask(&mut ev, of(host)).status, status, "{host}");
        }
    }
}

#[test]
fn a_server_that_stops_closes_those_that_shake_hands() {
    let mut ev = ev();
    let server = serve_with(&mut ev, options(), hello());
    let mut client = Client::new(&mut ev, server);
    let mut half = Client::new(&mut ev, server);
    half.send(b"\x16\x03\x01");
    settle(&mut ev);
    let stopped = Rc::new(Cell::new(false));
    let stops = Rc::clone(&stopped);
    server.on_stopped(&mut ev, move |_| stops.set(true));
    server.shutdown(&mut ev, Some(Duration::from_secs(10)));
    client.rest(&mut ev);
    half.rest(&mut ev);
    until(&mut ev, |_| stopped.get());
}

#[test]
fn a_certificate_that_changes_in_the_middle_of_a_handshake_breaks_none() {
    let mut ev = ev();
    let tls = server_of(&["localhost"]);
    let server = serve_with(&mut ev, ServerOptions::new().tls(tls.clone()), hello());
    let identities = [authority().identity(&["localhost"]), authority().identity(&["localhost"])];
    for version in tls::both_versions() {
        // Between any two pieces of it, for the piece may be the one in which the certificate is chosen.
        for at in 0..12 {
            let client = authority().client().max_version(version).build().unwrap();
            let mut client = Secure::new(&mut ev, server, &client);
            client.step = 60;
            for n in 0..12 {
                if n == at {
                    tls.set_identity(identities[at % 2].clone());
                }
                client.pump(&mut ev);
            }
            assert_eq!(client.ask(&mut ev, get("/")).text(), "secret", "{at}");
            assert_eq!(client.end.info().version, version);
        }
    }
}

#[test]
fn what_breaks_the_rules_of_tls_behind_the_handshake_ends_that_connection_alone() {
    let mut ev = ev();
    let server = serve_with(&mut ev, options(), hello());
    let mut other = Secure::new(&mut ev, server, &trusting());
    assert_eq!(other.ask(&mut ev, get("/")).text(), "secret");
    let hello_again = {
        let mut end = tls::End::new(trusting().filter("localhost").unwrap());
        tls::all(&mut end.wire_out)
    };
    let wrong: [&[u8]; 8] = [
        // Another hello in the clear, the request for one, a change of ciphers without end, a record of no kind, one
        // that is too long, a forged one, an alert, and HTTP.
        &hello_again,
        b"\x16\x03\x03\0\x04\0\0\0\0",
        &b"\x14\x03\x03\0\x01\x01".repeat(1000),
        b"\x63\x03\x03\0\x01x",
        b"\x17\x03\x03\xff\xff",
        b"\x17\x03\x03\0\x20cannot be what it pretends to be!",
        b"\x15\x03\x03\0\x02\x02\x28",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ];
    for version in tls::both_versions() {
        for wrong in wrong {
            for step in [1, usize::MAX] {
                let client = authority().client().max_version(version).build().unwrap();
                let mut client = Secure::new(&mut ev, server, &client);
                assert_eq!(client.ask(&mut ev, get("/")).text(), "secret");
                for piece in wrong.chunks(step.min(wrong.len())) {
                    client.wire.push(piece);
                    turn(&mut ev);
                }
                client.wire.finish();
                client.wire.rest(&mut ev);
                until(&mut ev, |ev| server.connections(ev).len() == 1);
            }
        }
    }
    assert_eq!(other.ask(&mut ev, get("/")).text(), "secret");
}
