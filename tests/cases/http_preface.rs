// PROXY headers, right and wrong, and who a client is behind proxies.

use std::net::{IpAddr, SocketAddr};

use evloop::wire::forwarded::ForwardedFields;
use evloop::wire::proxy_protocol::{ProxyHeader, ProxyLimits};

use crate::talking::*;

/// Clients are on Unix sockets, which count as the loopback address.
fn options() -> ServerOptions {
    ServerOptions::new().proxy_protocol(["127.0.0.0/8".parse().unwrap()])
}

fn who() -> Routes {
    Routes::new().get("/", |ev: &mut EvLoop, request: Request, reply: Reply| {
        let peer = request.peer(ev).map(|peer| peer.to_string());
        let client = request.client(ev);
        reply.text(ev, format!("{peer:?} {:?} {:?}", client.ip, client.port))
    })
}

fn socket(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn headers() -> Vec<(Vec<u8>, &'static str)> {
    let v4 = ProxyHeader::inet(socket("203.0.113.9:4711"), socket("192.0.2.1:80"));
    let v6 = ProxyHeader::inet(socket("[2001:db8::7]:4712"), socket("[2001:db8::1]:80"));
    let mut list = Vec::new();
    for (header, expected) in [
        (v4, "Some(\"203.0.113.9:4711\") Some(203.0.113.9) Some(4711)"),
        (v6, "Some(\"[2001:db8::7]:4712\") Some(2001:db8::7) Some(4712)"),
        (ProxyHeader::local(), "None None None"),
    ] {
        let mut bytes = Vec::new();
        header.write_v2(&mut bytes).unwrap();
        list.push((bytes, expected));
        let mut bytes = Vec::new();
        if header.write_v1(&mut bytes).is_ok() {
            list.push((bytes, expected));
        }
    }
    list
}

#[test]
fn the_client_is_who_the_header_says() {
    let mut ev = ev();
    let server = serve_with(&mut ev, options(), who());
    for (header, expected) in headers() {
        let mut client = Client::new(&mut ev, server);
        client.send(&header);
        for _ in 0..2 {
            assert_eq!(client.ask(&mut ev, get("/")).text(), expected);
        }
        // All in one piece, and byte by byte.
        let mut client = Client::new(&mut ev, server);
        client.send([&header[..], get("/").as_bytes()].concat());
        assert_eq!(client.reply(&mut ev).text(), expected);
        let mut client = Client::new(&mut ev, server);
        for byte in [&header[..], get("/").as_bytes()].concat() {
            client.send([byte]);
            turn(&mut ev);
        }
        assert_eq!(client.reply(&mut ev).text(), expected);
    }
}

#[test]
fn without_the_header_nothing_is_served() {
    let mut ev = ev();
    let server = serve_with(&mut ev, options(), who());
    for wrong in [&get("/")[..], "PROXY \r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 99999 80\r\n", "\r\n\r\nGET"] {
        let mut client = Client::new(&mut ev, server);
        client.send(wrong);
        let answer = client.reply(&mut ev);
        assert!(answer.status == 400 && answer.closes(), "{wrong:?}: {answer:?}");
        client.finish();
        assert_eq!(client.ends(&mut ev), End::Orderly);
    }
    assert_eq!(server.stats(&ev).requests, 0);
}

#[test]
fn a_header_that_is_cut_short_ends_the_connection() {
    let mut ev = ev();
    let server = serve_with(&mut ev, options(), who());
    for (header, _) in headers() {
        for cut in 0..header.len() {
            let mut client = Client::new(&mut ev, server);
            client.send(&header[..cut]);
            client.finish();
            let (rest, _) = client.rest(&mut ev);
            assert_eq!(String::from_utf8_lossy(&rest), "");
        }
    }
    until(&mut ev, |ev| server.connections(ev).is_empty());
}

#[test]
fn a_header_that_does_not_come_is_not_waited_for_longer_than_it_may_take() {
    let mut ev = ev();
    let server = serve_with(&mut ev, options(), who());
    let mut silent = Client::new(&mut ev, server);
    let mut slow = Client::new(&mut ev, server);
    slow.send("PRO");
    pass(&mut ev, Duration::from_millis(2900));
    slow.send("X");
    assert!(silent.is_open() && slow.is_open());
    pass(&mut ev, Duration::from_millis(200));
    assert_eq!((silent.ends(&mut ev), slow.rest(&mut ev).1), (End::Orderly, End::Orderly));
}

#[test]
fn who_is_no_proxy_is_closed_whatever_it_says() {
    let mut ev = ev();
    let elsewhere = ServerOptions::new().proxy_protocol(["10.0.0.0/8".parse().unwrap()]);
    let server = serve_with(&mut ev, elsewhere, who());
    for (header, _) in headers() {
        let mut client = Client::new(&mut ev, server);
        client.push(&header);
        client.push(get("/").as_bytes());
        let (rest, _) = client.rest(&mut ev);
        assert_eq!(String::from_utf8_lossy(&rest), "");
    }
    assert_eq!(server.stats(&ev).requests, 0);
}

#[test]
fn a_header_that_nobody_asked_for_is_no_request() {
    let mut ev = ev();
    let (_, mut client) = one_client(&mut ev, who());
    client.send(&headers()[1].0);
    assert_eq!(client.reply(&mut ev).status, 400);
}

#[test]
fn connections_are_counted_for_those_they_are_for() {
    let mut ev = ev();
    let server = serve_with(&mut ev, options().max_per_ip(2), who());
    let from = |ip: &str| {
        let mut bytes = Vec::new();
        let ip: IpAddr = ip.parse().unwrap();
        let to = if ip.is_ipv4() { "192.0.2.1:80" } else { "[2001:db8::1]:80" };
        ProxyHeader::inet((ip, 1).into(), socket(to)).write_v1(&mut bytes).unwrap();
        [&bytes[..], get("/").as_bytes()].concat()
    };
    let mut open = Vec::new();
    for (ip, is_served) in [
        ("203.0.113.1", true),
        ("203.0.113.1", true),
        ("203.0.113.1", false),
        ("203.0.113.2", true),
        ("2001:db8:0:1::1", true),
        ("2001:db8:0:1::2", true),
        ("2001:db8:0:1:ffff::3", false),
        ("2001:db8:0:2::1", true),
    ] {
        let mut client = Client::new(&mut ev, server);
        client.push(&from(ip));
        if is_served {
            assert_eq!(client.reply(&mut ev).status, 200, "{ip}");
            open.push(client);
        } else {
            assert_eq!(String::from_utf8_lossy(&client.rest(&mut ev).0), "", "{ip}");
        }
    }
    open.remove(0);
    until(&mut ev, |ev| server.connections(ev).len() == 5);
    let mut client = Client::new(&mut ev, server);
    assert_eq!(client.ask(&mut ev, from("203.0.113.1")).status, 200);
}

#[test]
fn a_connection_that_has_become_something_else_still_counts() {
    let mut ev = ev();
    let routes = who().get("/up", |ev: &mut EvLoop, _, reply: Reply| {
        let stream = reply.upgrade(ev, "echo").unwrap();
        stream.set_handler(ev, |ev, stream, event| {
            if let net::StreamEvent::Eof { .. } = event {
                stream.close_now(ev);
            }
        });
    });
    let server = serve_with(&mut ev, options().max_per_ip(1), routes);
    let header = headers()[1].0.clone();
    let asked = request("GET", "/up", "Connection: upgrade\r\nUpgrade: echo\r\n", "");
    let mut upgraded = Client::new(&mut ev, server);
    upgraded.send([&header[..], asked.as_bytes()].concat());
    until(&mut ev, |ev| upgraded.seen(ev).starts_with("HTTP/1.1 101"));
    let refused = |ev: &mut EvLoop| {
        let mut client = Client::new(ev, server);
        client.push(&[&header[..], get("/").as_bytes()].concat());
        let answered = !client.seen(ev).is_empty();
        !answered && !client.is_open()
    };
    assert!(refused(&mut ev));
    drop(upgraded);
    until(&mut ev, |ev| ev.stream_count() == 0);
    assert!(!refused(&mut ev));
}

#[test]
fn whom_the_rules_do_not_let_in_is_closed() {
    let mut ev = ev();
    let rules = IpRules::allow_all().deny("203.0.113.0/24".parse().unwrap());
    let server = serve_with(&mut ev, options().accept_from(rules), who());
    for (header, expected) in headers() {
        let mut client = Client::new(&mut ev, server);
        client.push(&[&header[..], get("/").as_bytes()].concat());
        if expected.contains("203.0.113") {
            assert_eq!(String::from_utf8_lossy(&client.rest(&mut ev).0), "");
        } else {
            assert_eq!(client.reply(&mut ev).text(), expected);
        }
    }
    let nobody = ServerOptions::new().accept_from(IpRules::deny_all());
    let server = serve_with(&mut ev, nobody, who());
    let mut client = Client::new(&mut ev, server);
    assert_eq!(client.ends(&mut ev), End::Orderly);
}

#[test]
fn forwarded_is_believed_from_those_that_are_trusted_only() {
    let mut ev = ev();
    let routes = || {
        Routes::new().get("/", |ev: &mut EvLoop, request: Request, reply: Reply| {
            let client = request.client(ev);
            let text = format!("{:?} {} {:?}", client.ip, request.scheme(ev), client.host);
            reply.text(ev, text)
        })
    };
    let asked = request(
        "GET",
        "/",
        "X-Forwarded-For: 6.6.6.6, 203.0.113.9, 10.0.0.2\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: site.org\r\n",
        "",
    );
    let (_, mut client) = one_client(&mut ev, routes());
    assert_eq!(client.ask(&mut ev, &asked).text(), "None http None");
    let here = ["127.0.0.0/8".parse().unwrap(), "10.0.0.0/8".parse().unwrap()];
    let options = ServerOptions::new().trusted_proxies(here, ForwardedFields::XForwarded);
    let (_, mut client) = one_client_with(&mut ev, options, routes());
    let text = "Some(203.0.113.9) https Some(\"site.org\")";
    assert_eq!(client.ask(&mut ev, &asked).text(), text);
    let elsewhere = ["192.0.2.0/24".parse().unwrap()];
    let options = ServerOptions::new().trusted_proxies(elsewhere, ForwardedFields::XForwarded);
    let (_, mut client) = one_client_with(&mut ev, options, routes());
    assert_eq!(client.ask(&mut ev, &asked).text(), "None http None");
}

#[cfg(feature = "tls")]
#[test]
fn tls_comes_behind_the_header() {
    use crate::tls::{self, Authority};
    let mut ev = ev();
    let authority = Authority::new();
    let options = options().tls(authority.server().build().unwrap());
    let server = serve_with(&mut ev, options, who());
    for step in [1, 10_000] {
        let mut wire = Client::new(&mut ev, server);
        let mut end = tls::End::new(authority.client().build().unwrap().filter("localhost").unwrap());
        end.write(get("/").as_bytes());
        let mut out = headers()[1].0.clone();
        let mut seen = Vec::new();
        until(&mut ev, |ev| {
            out.extend(tls::all(&mut end.wire_out));
            let next = out.drain(..step.min(out.len())).collect::<Vec<_>>();
            wire.send(next);
            turn(ev);
            let (came, _) = wire.taken();
            if !came.is_empty() {
                end.receive(&came, net::Mode::Normal);
            }
            seen.extend(tls::all(&mut end.input));
            String::from_utf8_lossy(&seen).contains("203.0.113.9:4711")
        });
    }
    // What is wrong is not answered in the clear.
    let mut wire = Client::new(&mut ev, server);
    wire.send(get("/"));
    assert_eq!(String::from_utf8_lossy(&wire.rest(&mut ev).0), "");
}

#[test]
fn a_connection_that_becomes_something_else_counts_until_it_is_gone() {
    let mut ev = ev();
    let taken = Rc::new(RefCell::new(Vec::new()));
    let keeps = Rc::clone(&taken);
    let routes = Routes::new().get("/", move |ev: &mut EvLoop, _: Request, reply: Reply| {
        let stream = reply.upgrade(ev, "else").unwrap();
        stream.set_handler(ev, |_, _, _| {});
        keeps.borrow_mut().push(stream);
    });
    let server = serve_with(&mut ev, options().max_per_ip(2), routes);
    let asked = "PROXY TCP4 203.0.113.1 192.0.2.1 1 80\r\nGET / HTTP/1.1\r\nHost: h\r\n\
        Connection: upgrade\r\nUpgrade: else\r\n\r\n";
    let mut open = Vec::new();
    for is_let_in in [true, true, false] {
        let mut client = Client::new(&mut ev, server);
        client.push(asked.as_bytes());
        if is_let_in {
            until(&mut ev, |_| client.waiting() > 0);
            assert!(client.seen(&mut ev).starts_with("HTTP/1.1 101 "));
            open.push(client);
        } else {
            assert_eq!(String::from_utf8_lossy(&client.rest(&mut ev).0), "");
        }
    }
    taken.borrow()[0].close_now(&mut ev);
    until(&mut ev, |ev| ev.stream_count() == 1);
    let mut client = Client::new(&mut ev, server);
    client.push(asked.as_bytes());
    until(&mut ev, |_| client.waiting() > 0);
    assert!(client.seen(&mut ev).starts_with("HTTP/1.1 101 "));
}

/// Clients that stop anywhere in the header and the handshake, and a server that stops anywhen.
#[cfg(feature = "tls")]
#[test]
fn whatever_comes_before_requests_leaves_nothing_behind() {
    let authority = crate::tls::Authority::new();
    let tls = net::TlsServer::builder(authority.identity(&["localhost"])).build().unwrap();
    let trusting = authority.client().build().unwrap();
    let hello = {
        let mut end = crate::tls::End::new(trusting.filter("localhost").unwrap());
        crate::tls::all(&mut end.wire_out)
    };
    assert!(hello.len() > 100);
    let mut random = 1_u64;
    let mut pick = move |of: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) as usize % of
    };
    for round in 0..60 {
        let mut ev = ev();
        let options = options().tls(tls.clone()).max_per_ip(2).refuse_connections_above(4);
        let server = serve_with(&mut ev, options, who());
        let stopped = Rc::new(Cell::new(false));
        let tells = Rc::clone(&stopped);
        server.on_stopped(&mut ev, move |_| tells.set(true));
        let mut clients = Vec::new();
        for _ in 0..12 {
            let mut client = Client::new(&mut ev, server);
            let header = format!("PROXY TCP4 203.0.113.{} 192.0.2.1 1 80\r\n", pick(3));
            let mut bytes = [header.as_bytes(), &hello].concat();
            match pick(4) {
                0 => bytes.truncate(pick(header.len())),
                1 => bytes.truncate(header.len() + pick(3)),
                2 => bytes[header.len() + pick(hello.len())] ^= 0x55,
                _ => {}
            }
            client.push(&bytes);
            if pick(2) == 0 {
                turn(&mut ev);
            }
            match pick(4) {
                0 => client.reset(),
                1 => drop(client),
                2 => {
                    client.finish();
                    clients.push(client);
                }
                _ => clients.push(client),
            }
        }
        settle(&mut ev);
        if round % 3 == 0 {
            // Nobody has come further than the handshake: all are let go in time.
            pass(&mut ev, Duration::from_secs(20));
            assert_eq!(server.connections(&ev).len(), 0, "{round}");
            let header = b"PROXY TCP4 203.0.113.1 192.0.2.1 1 80\r\n";
            let mut again: Vec<_> = (0..2).map(|_| Client::new(&mut ev, server)).collect();
            for client in &mut again {
                client.push(header);
                settle(&mut ev);
                assert!(client.is_open(), "{round}: nobody of the address is there");
            }
        }
        if pick(2) == 0 {
            server.stop_now(&mut ev);
        } else {
            server.shutdown(&mut ev, Some(Duration::from_secs(5)));
            pass(&mut ev, Duration::from_secs(20));
        }
        until(&mut ev, |_| stopped.get());
        assert_eq!(ev.stream_count(), 0, "{round}");
    }
}

#[test]
fn how_long_a_header_may_be_can_be_said() {
    let header = ProxyHeader::inet(socket("203.0.113.9:4711"), socket("192.0.2.1:80"));
    let mut bytes = Vec::new();
    header.with_tlv(0xE0, [b'x'; 500]).write_v2(&mut bytes).unwrap();
    for (limits, status) in [
        (ProxyLimits::default(), 200),
        (ProxyLimits { length: 400, ..ProxyLimits::default() }, 400),
        (ProxyLimits { tlvs: 0, ..ProxyLimits::default() }, 400),
    ] {
        let mut ev = ev();
        let (_, mut client) = one_client_with(&mut ev, options().proxy_limits(limits), who());
        client.send([bytes.clone(), get("/").into_bytes()].concat());
        assert_eq!(client.reply(&mut ev).status, status, "{limits:?}");
    }
}
