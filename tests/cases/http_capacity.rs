// Too much at a time: 503 for some, so that the others are served.

use crate::talking::*;

/// Replies that are kept until the case ends.
type Kept = Rc<RefCell<Vec<Reply>>>;

fn keeping() -> (Kept, Routes) {
    let kept = Kept::default();
    let keeps = Rc::clone(&kept);
    let routes = Routes::new()
        .get("/keep", move |_: &mut EvLoop, _, reply| keeps.borrow_mut().push(reply))
        .get("/", |ev, _, reply| reply.text(ev, "served"));
    (kept, routes)
}

#[track_caller]
fn is_refused(answer: &Answer) {
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
    assert!(answer.closes());
}

#[test]
fn a_request_too_many_is_503_and_the_next_one_is_served() {
    let mut ev = ev();
    let (kept, routes) = keeping();
    let options = ServerOptions::new().max_requests_at_once(2);
    let server = serve_with(&mut ev, options, routes);
    let mut first = Client::new(&mut ev, server);
    let mut second = Client::new(&mut ev, server);
    first.send(get("/keep"));
    until(&mut ev, |_| kept.borrow().len() == 1);
    second.send(get("/keep"));
    until(&mut ev, |_| kept.borrow().len() == 2);
    let mut third = Client::new(&mut ev, server);
    is_refused(&third.ask(&mut ev, get("/")));
    assert_eq!(third.ends(&mut ev), End::Orderly);
    let reply = kept.borrow_mut().remove(0);
    reply.text(&mut ev, "at last").unwrap();
    assert_eq!(first.reply(&mut ev).text(), "at last");
    let mut fourth = Client::new(&mut ev, server);
    for _ in 0..20 {
        assert_eq!(fourth.ask(&mut ev, get("/")).text(), "served");
    }
    // Whoever is cut in the middle makes room too.
    first.send(get("/keep"));
    until(&mut ev, |_| kept.borrow().len() == 2);
    is_refused(&fourth.ask(&mut ev, get("/")));
    let cut = kept.borrow_mut().remove(0);
    cut.connection().stream().close_now(&mut ev);
    assert_eq!(second.ends(&mut ev), End::Orderly);
    let mut fifth = Client::new(&mut ev, server);
    assert_eq!(fifth.ask(&mut ev, get("/")).text(), "served");
}

#[test]
fn a_connection_too_many_is_answered_and_closed() {
    let mut ev = ev();
    let (_, routes) = keeping();
    let options = ServerOptions::new().refuse_connections_above(1);
    let server = serve_with(&mut ev, options, routes);
    let mut first = Client::new(&mut ev, server);
    let mut second = Client::new(&mut ev, server);
    is_refused(&second.reply(&mut ev));
    second.finish();
    assert_eq!(second.ends(&mut ev), End::Orderly);
    assert_eq!(first.ask(&mut ev, get("/")).text(), "served");
    drop(first);
    until(&mut ev, |ev| server.connections(ev).is_empty());
    let mut third = Client::new(&mut ev, server);
    assert_eq!(third.ask(&mut ev, get("/")).text(), "served");
}

#[test]
fn while_buffers_take_more_than_the_budget_requests_are_503() {
    let mut ev = ev();
    let routes = Routes::new()
        .get("/", |ev, _, reply| reply.text(ev, "served"))
        .post("/", |ev, request, reply| reply.text(ev, request.body().len().to_string()));
    let options = ServerOptions::new().memory_budget(64 * 1024);
    let server = serve_with(&mut ev, options, routes);
    let mut large = Client::new(&mut ev, server);
    large.send(request("POST", "/", "Content-Length: 200000\r\n", ""));
    large.upload(&mut ev, &[b'x'; 150_000]);
    pass(&mut ev, Duration::from_millis(50));
    let mut other = Client::new(&mut ev, server);
    is_refused(&other.ask(&mut ev, get("/")));
    // It comes to its end, and there is room again.
    large.upload(&mut ev, &[b'x'; 50_000]);
    assert_eq!(large.reply(&mut ev).text(), "200000");
    pass(&mut ev, Duration::from_millis(50));
    let mut other = Client::new(&mut ev, server);
    assert_eq!(other.ask(&mut ev, get("/")).text(), "served");
}

#[test]
fn the_fields_of_forms_that_are_coming_take_of_the_budget() {
    let mut ev = ev();
    let routes = Routes::new().get("/", |ev, _, reply| reply.text(ev, "served")).streaming(
        Method::POST,
        "/form",
        |ev: &mut EvLoop, request: Request, reply: Reply| {
            let mut reply = Some(reply);
            request.receive_form(ev, FormOptions::new(), move |ev, _, event| {
                if let (FormEvent::Complete(form), Some(reply)) = (event, reply.take()) {
                    reply.text(ev, form.fields().len().to_string()).unwrap();
                }
            })?;
            Ok::<(), Error>(())
        },
    );
    let server = serve_with(&mut ev, ServerOptions::new().memory_budget(64 * 1024), routes);
    let kinds = [
        ("application/x-www-form-urlencoded", format!("a={}&", "x".repeat(40_000))),
        (
            "multipart/form-data; boundary=cut",
            format!(
                "--cut\r\nContent-Disposition: form-data; name=a\r\n\r\n{}\r\n",
                "x".repeat(40_000)
            ),
        ),
    ];
    for (kind, field) in kinds {
        let mut slow = Client::new(&mut ev, server);
        let fields = format!("Content-Type: {kind}\r\nContent-Length: 200000\r\n");
        slow.send(request("POST", "/form", &fields, ""));
        slow.upload(&mut ev, field.as_bytes());
        pass(&mut ev, Duration::from_millis(50));
        assert_eq!(Client::new(&mut ev, server).ask(&mut ev, get("/")).text(), "served", "{kind}");
        slow.upload(&mut ev, field.as_bytes());
        pass(&mut ev, Duration::from_millis(50));
        is_refused(&Client::new(&mut ev, server).ask(&mut ev, get("/")));
        // It is broken off, and there is room again.
        slow.reset();
        pass(&mut ev, Duration::from_millis(50));
        assert_eq!(Client::new(&mut ev, server).ask(&mut ev, get("/")).text(), "served", "{kind}");
    }
}

#[cfg(feature = "compress")]
#[test]
fn what_packs_and_unpacks_takes_of_the_budget() {
    use evloop::wire::coding::DecodeLimits;
    let mut ev = ev();
    let streams = Rc::new(RefCell::new(Vec::new()));
    let list = Rc::clone(&streams);
    let routes = Routes::new()
        .get("/", |ev, _, reply| reply.text(ev, "served"))
        .get("/stream", move |ev: &mut EvLoop, _, reply: Reply| {
            let reply = reply.header("Content-Type", "text/plain");
            list.borrow_mut().push(reply.stream(ev, BodyLength::Unknown)?);
            Ok::<(), Error>(())
        })
        .post("/", |ev, request, reply| reply.text(ev, request.body().len().to_string()))
        .compress(Compression::new())
        .decompress(DecodeLimits::default());
    let server = serve_with(&mut ev, ServerOptions::new().memory_budget(100_000), routes);
    let gzip = "Content-Encoding: gzip\r\nContent-Length: 1000\r\n";
    let asked =
        [request("GET", "/stream", "Accept-Encoding: gzip\r\n", ""), request("POST", "/", gzip, "")];
    for (asked, count) in asked.iter().zip([1, 3]) {
        let mut busy: Vec<_> = (0..count).map(|_| Client::new(&mut ev, server)).collect();
        for client in &mut busy {
            assert_eq!(Client::new(&mut ev, server).ask(&mut ev, get("/")).text(), "served");
            client.send(asked);
            pass(&mut ev, Duration::from_millis(50));
        }
        is_refused(&Client::new(&mut ev, server).ask(&mut ev, get("/")));
        streams.borrow_mut().clear();
        drop(busy);
        pass(&mut ev, Duration::from_millis(50));
        assert_eq!(Client::new(&mut ev, server).ask(&mut ev, get("/")).text(), "served");
    }
}

#[test]
fn those_who_are_turned_away_take_nobodys_place() {
    let mut ev = ev();
    let (_, routes) = keeping();
    let options = ServerOptions::new().refuse_connections_above(1);
    let server = serve_with(&mut ev, options, routes);
    let mut first = Client::new(&mut ev, server);
    assert_eq!(first.ask(&mut ev, get("/")).text(), "served");
    // It was answered, and does not leave.
    let mut stays = Client::new(&mut ev, server);
    is_refused(&stays.reply(&mut ev));
    drop(first);
    until(&mut ev, |ev| server.connections(ev).len() <= 1);
    let mut next = Client::new(&mut ev, server);
    assert_eq!(next.ask(&mut ev, get("/")).text(), "served");
    is_refused(&Client::new(&mut ev, server).reply(&mut ev));
    drop(stays);
    is_refused(&Client::new(&mut ev, server).reply(&mut ev));
}

#[test]
fn those_that_have_become_something_else_count_until_they_end() {
    let mut ev = ev();
    let (_, routes) = keeping();
    let routes = routes.get("/upgrade", |ev: &mut EvLoop, _: Request, reply: Reply| {
        if let Ok(stream) = reply.upgrade(ev, "else") {
            stream.set_handler(ev, |ev, stream, event| {
                if let net::StreamEvent::Eof { .. } = event {
                    stream.close_now(ev);
                }
            });
        }
    });
    let server = serve_with(&mut ev, ServerOptions::new().refuse_connections_above(2), routes);
    let upgrade = request("GET", "/upgrade", "Connection: upgrade\r\nUpgrade: else\r\n", "");
    let mut others: Vec<Client> = (0..2).map(|_| Client::new(&mut ev, server)).collect();
    for other in &mut others {
        other.send(&upgrade);
        until(&mut ev, |_| other.waiting() > 0);
    }
    settle(&mut ev);
    assert!(server.connections(&ev).is_empty());
    is_refused(&Client::new(&mut ev, server).reply(&mut ev));
    drop(others.pop());
    until(&mut ev, |ev| ev.stream_count() == 1);
    let mut next = Client::new(&mut ev, server);
    assert_eq!(next.ask(&mut ev, get("/")).text(), "served");
    is_refused(&Client::new(&mut ev, server).reply(&mut ev));
}

/// Whatever becomes of requests, each gives its place back.
#[test]
fn places_are_given_back_however_a_request_ends() {
    let mut ev = ev();
    let (kept, routes) = keeping();
    let routes = routes
        .get("/panic", |_: &mut EvLoop, _: Request, _: Reply| {
            assert!(reply_is_wanted(), "as it was asked");
        })
        .get("/drop", |_: &mut EvLoop, _: Request, reply: Reply| drop(reply))
        .get("/upgrade", |ev: &mut EvLoop, _: Request, reply: Reply| {
            if let Ok(stream) = reply.upgrade(ev, "else") {
                stream.set_handler(ev, |_, _, _| {});
            }
        })
        .get("/stream", |ev: &mut EvLoop, _: Request, reply: Reply| {
            reply.stream(ev, BodyLength::Unknown)?.write(ev, "x").map(drop)
        })
        .post("/", |ev, request, reply| reply.text(ev, request.body().len().to_string()));
    let options = ServerOptions::new().max_requests_at_once(3).max_body(100);
    let server = serve_with(&mut ev, options, routes);
    let asked = [
        "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /panic HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /drop HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /keep HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /none HTTP/1.0\r\n\r\n",
        "GET /upgrade HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: else\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 300\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\nzz",
        "\r\n\r\nGET / HT",
        "\0",
        "\r\n\r\n\r\n\r\n\r\n\r\n\r\n",
    ];
    let mut state = 7_u32;
    for round in 0..400 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let mut client = Client::new(&mut ev, server);
        for pick in 0..=(state >> 20 & 3) as usize {
            let text = asked[((state >> 8) as usize + pick * 5 + round) % asked.len()];
            let cut = if state >> 30 == 0 { (state >> 4) as usize % text.len() } else { text.len() };
            client.push(&text.as_bytes()[..cut]);
        }
        if state >> 24 & 1 == 0 {
            settle(&mut ev);
        }
        match state >> 26 & 3 {
            0 => client.reset(),
            1 => client.finish(),
            _ => {}
        }
        settle(&mut ev);
        kept.borrow_mut().clear();
    }
    until(&mut ev, |ev| server.connections(ev).is_empty());
    let mut clients: Vec<_> = (0..4).map(|_| Client::new(&mut ev, server)).collect();
    for (n, client) in clients.iter_mut().enumerate().take(3) {
        client.send(get("/keep"));
        until(&mut ev, |_| kept.borrow().len() == n + 1);
    }
    is_refused(&clients[3].ask(&mut ev, get("/")));
}

fn reply_is_wanted() -> bool {
    false
}

#[test]
fn heads_that_do_not_come_to_an_end_take_nobodys_place() {
    let mut ev = ev();
    let (kept, routes) = keeping();
    let options = ServerOptions::new().max_requests_at_once(1);
    let server = serve_with(&mut ev, options, routes);
    let slow: Vec<_> = (0..5)
        .map(|_| {
            let mut client = Client::new(&mut ev, server);
            client.send("GET / HT");
            client
        })
        .collect();
    settle(&mut ev);
    let mut client = Client::new(&mut ev, server);
    assert_eq!(client.ask(&mut ev, get("/")).text(), "served");
    client.send(get("/keep"));
    until(&mut ev, |_| kept.borrow().len() == 1);
    is_refused(&Client::new(&mut ev, server).ask(&mut ev, get("/")));
    drop(slow);
}

/// A client that asks as long as it is heard, for something with a long name, and reads nothing. Says how many of its requests
/// are kept in memory: they were answered, and their replies wait.
fn stall(ev: &mut EvLoop, options: ServerOptions) -> (Server, Client, impl Fn() -> usize + use<>) {
    let (asked, told) = (Count::new(), Count::new());
    let (asks, tells) = (asked.clone(), told.clone());
    let routes = Routes::new()
        .get("/", |ev, _, reply| reply.text(ev, "served"))
        .get("/*", move |ev: &mut EvLoop, _, reply: Reply| {
            asks.up();
            reply.text(ev, "")
        })
        .on_completed(move |_, completed| {
            if completed.request.target.len() > 1 {
                tells.up();
            }
        });
    let server = serve_with(ev, options, routes);
    let mut client = Client::new(ev, server);
    let long = get(&format!("/{}", "x".repeat(4000)));
    let mut rest = Vec::new();
    loop {
        if rest.is_empty() {
            rest.extend_from_slice(long.as_bytes());
        }
        let mut sent = client.push(&rest);
        if sent == 0 {
            settle(ev);
            sent = client.push(&rest);
        }
        if sent == 0 {
            break;
        }
        rest.drain(..sent);
    }
    // What is there in part is not missed.
    client.finish();
    (server, client, move || asked.get() - told.get())
}

/// Replies may be short where what was asked for is long.
#[test]
fn who_takes_no_replies_has_no_more_requests_remembered_than_replies_may_wait() {
    let mut ev = ev();
    let (_, mut client, kept) = stall(&mut ev, ServerOptions::new());
    let all = kept();
    assert!((20..100).contains(&all), "{all} requests of 4000 bytes are kept");
    // None is forgotten.
    while kept() > 0 {
        assert_eq!(client.reply(&mut ev).status, 200);
    }
}

#[test]
fn what_is_remembered_of_requests_whose_replies_wait_takes_of_the_budget() {
    let mut ev = ev();
    let options = ServerOptions::new().memory_budget(300_000);
    let (server, client, kept) = stall(&mut ev, options);
    assert!(kept() > 0);
    pass(&mut ev, Duration::from_millis(50));
    is_refused(&Client::new(&mut ev, server).ask(&mut ev, get("/")));
    drop(client);
    pass(&mut ev, Duration::from_millis(50));
    assert_eq!(Client::new(&mut ev, server).ask(&mut ev, get("/")).text(), "served");
}

/// Only what falls to the mark is told; what never was above it is not.
#[test]
fn what_waits_below_the_mark_of_its_stream_holds_no_further_request_up() {
    let mut ev = ev();
    let routes = Routes::new()
        .get("/*", |ev, _, reply| reply.text(ev, "served"))
        .on_connection(|ev, connection, event| {
            if matches!(event, ConnectionEvent::Opened) {
                connection.stream().set_write_mark(ev, 4000);
            }
        })
        .on_completed(|_, _| {});
    let server = serve_with(&mut ev, ServerOptions::new().write_limits(5000, 1 << 20), routes);
    let mut client = Client::new(&mut ev, server);
    let long = get(&format!("/{}", "x".repeat(5000)));
    for _ in 0..5 {
        assert_eq!(client.ask(&mut ev, &long).text(), "served");
    }
}

/// What a client sends behind a request waits until that is answered. It comes in memory for 64 KiB at a time.
#[test]
fn memory_that_what_was_read_ahead_does_not_fill_takes_of_the_budget_too() {
    let mut ev = ev();
    let (kept, routes) = keeping();
    let server = serve_with(&mut ev, ServerOptions::new().memory_budget(600_000), routes);
    let ahead = "x".repeat(64 * 1024 / 4 + 1);
    let mut clients = Vec::new();
    for n in 1..=20 {
        let mut client = Client::new(&mut ev, server);
        client.send(get("/keep"));
        until(&mut ev, |_| kept.borrow().len() == n);
        client.upload(&mut ev, ahead.as_bytes());
        clients.push(client);
    }
    assert!(20 * ahead.len() < 400_000);
    pass(&mut ev, Duration::from_millis(50));
    is_refused(&Client::new(&mut ev, server).ask(&mut ev, get("/")));
}
