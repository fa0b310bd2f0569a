// How long anything may take. Time is the case's own: none of these waits.

use evloop::net::Written;

use crate::talking::*;

fn options() -> ServerOptions {
    ServerOptions::new()
}

/// Routes with a gathered body, a streamed one that is taken, and one that nobody asks for.
fn bodies() -> (Routes, Slot<(Request, Reply)>) {
    let slot = Slot::new();
    let kept = slot.clone();
    let routes = hello()
        .post("/", |ev: &mut EvLoop, request: Request, reply: Reply| {
            reply.text(ev, request.body().len().to_string())
        })
        .streaming(Method::POST, "/kept", move |_: &mut EvLoop, request: Request, reply: Reply| {
            kept.put((request, reply));
        });
    (routes, slot)
}

fn announced(path: &str, length: usize, body: &str) -> String {
    request("POST", path, &format!("Content-Length: {length}\r\n"), body)
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let mut ev = ev();
    let (server, mut client) = one_client(&mut ev, hello());
    client.ask(&mut ev, get("/"));
    pass(&mut ev, secs(59));
    client.hears_nothing(&mut ev);
    client.ask(&mut ev, get("/"));
    pass(&mut ev, secs(59));
    client.hears_nothing(&mut ev);
    pass(&mut ev, secs(1));
    assert_eq!(client.ends(&mut ev), End::Orderly);
    settle(&mut ev);
    assert_eq!(server.stats(&ev).connections, 0);
}

#[test]
fn an_idle_connection_can_be_kept_for_ever() {
    let mut ev = ev();
    let options = options().idle_timeout(None);
    let (_, mut client) = one_client_with(&mut ev, options, hello());
    client.ask(&mut ev, get("/"));
    pass(&mut ev, secs(100_000));
    assert_eq!(client.ask(&mut ev, get("/")).text(), "hello");
}

#[test]
fn who_says_nothing_at_first_is_not_told_either() {
    let mut ev = ev();
    let (_, mut client) = one_client(&mut ev, hello());
    pass(&mut ev, ms(9_900));
    client.hears_nothing(&mut ev);
    pass(&mut ev, ms(100));
    assert_eq!(client.ends(&mut ev), End::Orderly);
}

#[test]
fn a_head_has_so_long_however_many_bytes_come() {
    let mut ev = ev();
    let (_, mut client) = one_client(&mut ev, hello());
    pass(&mut ev, secs(5));
    for byte in "GET /".bytes() {
        client.send([byte]);
        pass(&mut ev, ms(990));
    }
    client.hears_nothing(&mut ev);
    client.send("x");
    pass(&mut ev, ms(60));
    // From when the connection was opened.
    let answer = client.reply(&mut ev);
    assert_eq!((answer.status, answer.closes()), (408, true));
    client.finish();
    client.ends(&mut ev);
}

#[test]
fn a_later_head_has_its_time_from_its_first_byte() {
    let mut ev = ev();
    let (_, mut client) = one_client(&mut ev, hello());
    client.ask(&mut ev, get("/"));
    pass(&mut ev, secs(30));
    client.send("GET ");
    for _ in 0..9 {
        pass(&mut ev, secs(1));
        client.send("x");
    }
    client.hears_nothing(&mut ev);
    pass(&mut ev, secs(1));
    assert_eq!(client.reply(&mut ev).status, 408);
}

#[test]
fn a_head_in_time_is_served_and_its_time_is_over() {
    let mut ev = ev();
    let slot = Slot::new();
    let (_, mut client) = one_client(&mut ev, keeps(&slot));
    client.send("GET / HTTP/1.1\r\n");
    pass(&mut ev, secs(9));
    client.send("Host: here\r\n\r\n");
    pass(&mut ev, secs(500));
    slot.take().text(&mut ev, "at last").unwrap();
    assert_eq!(client.reply(&mut ev).text(), "at last");
}

#[test]
fn a_request_that_follows_slowly_is_not_cut_by_the_first_ones_time() {
    let mut ev = ev();
    let options = options().header_timeout(Some(secs(100)));
    let (_, mut client) = one_client_with(&mut ev, options, hello());
    client.ask(&mut ev, get("/"));
    client.send("GET / ");
    pass(&mut ev, secs(90));
    client.hears_nothing(&mut ev);
    client.send("HTTP/1.1\r\nHost: here\r\n\r\n");
    assert_eq!(client.reply(&mut ev).text(), "hello");
}

#[test]
fn a_body_that_stops_is_408() {
    let mut ev = ev();
    let (routes, _) = bodies();
    let (routes, reasons) = noting(routes);
    let (_, mut client) = one_client_with(&mut ev, options().min_body_rate(0, ZERO), routes);
    client.send(announced("/", 10, "1"));
    pass(&mut ev, secs(29));
    client.send("2");
    pass(&mut ev, secs(29));
    client.hears_nothing(&mut ev);
    pass(&mut ev, secs(1));
    let answer = client.reply(&mut ev);
    assert_eq!((answer.status, answer.closes()), (408, true));
    assert_eq!(*reasons.borrow(), [CompletionReason::Timeout]);
}

#[test]
fn a_body_that_is_slow_is_408() {
    let mut ev = ev();
    let (routes, _) = bodies();
    let (server, mut client) = one_client(&mut ev, routes);
    // Fast enough: 240 bytes a second.
    client.send(announced("/", 100_000, ""));
    for _ in 0..30 {
        client.send("x".repeat(300));
        pass(&mut ev, secs(1));
    }
    client.hears_nothing(&mut ev);
    // Not so: but for ten seconds nobody looks.
    let mut slow = Client::new(&mut ev, server);
    slow.send(announced("/", 100_000, ""));
    for _ in 0..9 {
        slow.send("x".repeat(200));
        pass(&mut ev, secs(1));
    }
    slow.hears_nothing(&mut ev);
    slow.send("x".repeat(200));
    pass(&mut ev, secs(1));
    let answer = slow.reply(&mut ev);
    assert_eq!((answer.status, answer.closes()), (408, true));
}

#[test]
fn a_body_can_have_a_time_in_all() {
    let mut ev = ev();
    let (routes, _) = bodies();
    let options = options().body_total_timeout(Some(secs(20)));
    let (_, mut client) = one_client_with(&mut ev, options, routes);
    client.send(announced("/", 1_000_000, ""));
    for _ in 0..19 {
        client.send("x".repeat(1000));
        pass(&mut ev, secs(1));
    }
    client.hears_nothing(&mut ev);
    client.send("x".repeat(1000));
    pass(&mut ev, secs(1));
    assert_eq!(client.reply(&mut ev).status, 408);
}

#[test]
fn a_streamed_body_that_stops_is_408_and_its_taker_is_told() {
    let mut ev = ev();
    let (routes, slot) = bodies();
    let (_, mut client) = one_client(&mut ev, routes);
    client.send(announced("/kept", 10, "12345"));
    settle(&mut ev);
    let (request, reply) = slot.take();
    // As long as nobody asks for it, no time passes.
    pass(&mut ev, secs(300));
    let told = Log::new();
    let notes = told.clone();
    request
        .receive(&mut ev, move |_, _, event| match event {
            BodyEvent::Data(data) => notes.push(data.drain(usize::MAX).to_string()),
            other => notes.push(format!("{other:?}")),
        })
        .unwrap();
    pass(&mut ev, secs(9));
    client.hears_nothing(&mut ev);
    pass(&mut ev, secs(21));
    let answer = client.reply(&mut ev);
    assert_eq!((answer.status, answer.closes()), (408, true));
    let told = told.take();
    assert_eq!((told.len(), told[0].as_str()), (2, "5"));
    assert!(told[1].starts_with("Failed"), "{told:?}");
    assert!(reply.text(&mut ev, "x").is_err());
}

#[test]
fn while_a_body_is_paused_no_time_passes() {
    let mut ev = ev();
    let (routes, slot) = bodies();
    let (_, mut client) = one_client(&mut ev, routes);
    client.send(announced("/kept", 10, "12345"));
    settle(&mut ev);
    let (request, reply) = slot.take();
    let body = request
        .receive(&mut ev, |_, _, event| {
            if let BodyEvent::Data(data) = event {
                data.clear();
            }
        })
        .unwrap();
    settle(&mut ev);
    body.pause(&mut ev);
    pass(&mut ev, secs(1000));
    body.resume(&mut ev);
    settle(&mut ev);
    client.hears_nothing(&mut ev);
    client.send("67890");
    settle(&mut ev);
    reply.text(&mut ev, "all").unwrap();
    assert_eq!(client.reply(&mut ev).text(), "all");
}

#[test]
fn a_hook_that_answers_later_has_the_time_of_a_handler() {
    let mut ev = ev();
    let slot = Slot::new();
    let kept = slot.clone();
    let (routes, reasons) = noting(hello().before(move |_, _, reply| {
        kept.put(reply);
        None
    }));
    let (_, mut client) = one_client_with(&mut ev, options().handler_timeout(Some(secs(5))), routes);
    client.send(get("/"));
    pass(&mut ev, ms(4900));
    slot.take().text(&mut ev, "in time").unwrap();
    assert_eq!(client.reply(&mut ev).text(), "in time");
    client.send(get("/"));
    pass(&mut ev, ms(4900));
    client.hears_nothing(&mut ev);
    pass(&mut ev, ms(200));
    let answer = client.reply(&mut ev);
    assert_eq!((answer.status, answer.closes()), (503, true));
    settle(&mut ev);
    assert_eq!(*reasons.borrow(), [CompletionReason::Ok, CompletionReason::Timeout]);
}

/// A route that discards its body when it has ten bytes of it, and keeps its reply.
fn discards(slot: &Slot<Reply>) -> Routes {
    let slot = slot.clone();
    hello().streaming(Method::POST, "/", move |ev: &mut EvLoop, request: Request, reply: Reply| {
        slot.put(reply);
        let mut came = 0;
        request.receive(ev, move |ev, body, event| {
            if let BodyEvent::Data(data) = event {
                came += data.drain(usize::MAX);
                if came >= 10 {
                    body.discard(ev);
                }
            }
        })?;
        Ok::<(), Error>(())
    })
}

#[test]
fn a_body_that_is_discarded_has_no_time_any_more() {
    for length in [10, 1000] {
        for is_answered in [false, true] {
            let mut ev = ev();
            let slot = Slot::new();
            let (_, mut client) = one_client(&mut ev, discards(&slot));
            client.send(announced("/", length, "01234"));
            settle(&mut ev);
            client.send("56789");
            settle(&mut ev);
            let reply = slot.take();
            if is_answered {
                client.send("x".repeat(length - 10));
                reply.text(&mut ev, "done").unwrap();
                assert_eq!(client.reply(&mut ev).text(), "done");
                // It is idle, which it may be for a minute.
                pass(&mut ev, secs(59));
            } else {
                pass(&mut ev, secs(1000));
                client.hears_nothing(&mut ev);
                client.send("x".repeat(length - 10));
                reply.text(&mut ev, "late").unwrap();
                assert_eq!(client.reply(&mut ev).text(), "late");
            }
            assert_eq!(client.ask(&mut ev, get("/")).text(), "hello");
        }
    }
}

#[test]
fn the_handler_has_its_time_from_when_it_discards_the_body() {
    let mut ev = ev();
    let slot = Slot::new();
    let options = ServerOptions::new().handler_timeout(Some(secs(5)));
    let (_, mut client) = one_client_with(&mut ev, options, discards(&slot));
    client.send(announced("/", 1000, "01234"));
    pass(&mut ev, secs(8));
    client.send("56789");
    pass(&mut ev, ms(4900));
    client.hears_nothing(&mut ev);
    pass(&mut ev, ms(200));
    assert_eq!(client.reply(&mut ev).status, 503);
}

#[test]
fn a_handler_may_take_for_ever_or_so_long() {
    let mut ev = ev();
    let slot = Slot::new();
    let (_, mut client) = one_client(&mut ev, keeps(&slot));
    client.send(get("/"));
    pass(&mut ev, secs(10_000));
    client.hears_nothing(&mut ev);
    slot.take().text(&mut ev, "late").unwrap();
    assert_eq!(client.reply(&mut ev).text(), "late");

    let (routes, reasons) = noting(keeps(&slot));
    let (_, mut client) = one_client_with(&mut ev, options().handler_timeout(Some(secs(5))), routes);
    client.send(get("/"));
    pass(&mut ev, ms(4900));
    slot.take().text(&mut ev, "in time").unwrap();
    assert_eq!(client.reply(&mut ev).text(), "in time");
    pass(&mut ev, secs(1));
    client.send(get("/"));
    pass(&mut ev, ms(4900));
    client.hears_nothing(&mut ev);
    pass(&mut ev, ms(100));
    let answer = client.reply(&mut ev);
    assert_eq!((answer.status, answer.closes()), (503, true));
    settle(&mut ev);
    assert_eq!(*reasons.borrow(), [CompletionReason::Ok, CompletionReason::Timeout]);
    assert_eq!(slot.take().text(&mut ev, "x").unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn a_handler_that_has_begun_its_reply_is_not_timed() {
    let mut ev = ev();
    let slot = Slot::new();
    let kept = slot.clone();
    let routes = Routes::new().get("/", move |ev: &mut EvLoop, _, reply: Reply| {
        kept.put(reply.stream(ev, BodyLength::Unknown)?);
        Ok::<(), Error>(())
    });
    let (_, mut client) = one_client_with(&mut ev, options().handler_timeout(Some(secs(5))), routes);
    client.send(get("/"));
    pass(&mut ev, secs(100));
    let stream = slot.take();
    stream.write(&mut ev, "slow").unwrap();
    stream.end(&mut ev).unwrap();
    assert_eq!(client.reply(&mut ev).text(), "slow");
}

#[test]
fn the_handler_of_a_streamed_body_has_its_time_after_the_body() {
    let mut ev = ev();
    let (routes, slot) = bodies();
    let options = options().handler_timeout(Some(secs(5)));
    let (_, mut client) = one_client_with(&mut ev, options, routes);
    client.send(announced("/kept", 10, "12345"));
    settle(&mut ev);
    let (request, _reply) = slot.take();
    request
        .receive(&mut ev, |_, _, event| {
            if let BodyEvent::Data(data) = event {
                data.clear();
            }
        })
        .unwrap();
    pass(&mut ev, secs(8));
    client.hears_nothing(&mut ev);
    client.send("67890");
    pass(&mut ev, ms(4900));
    client.hears_nothing(&mut ev);
    pass(&mut ev, ms(100));
    assert_eq!(client.reply(&mut ev).status, 503);
}

/// A server that sends a large reply, and a client that has asked for it and read a little.
fn large(ev: &mut EvLoop, options: ServerOptions) -> (Server, Client, Reasons) {
    let (routes, reasons) = noting(Routes::new().get("/", |ev: &mut EvLoop, _, reply: Reply| {
        reply.send(ev, Response::bytes("a/b", vec![b'x'; 10_000_000]))
    }));
    let (server, mut client) = one_client_with(ev, options, routes);
    client.send(get("/"));
    settle(ev);
    (server, client, reasons)
}

#[test]
fn a_client_that_does_not_read_is_cut() {
    let mut ev = ev();
    let (_, mut client, reasons) = large(&mut ev, options());
    pass(&mut ev, secs(29));
    assert!(reasons.borrow().is_empty());
    pass(&mut ev, secs(1));
    assert_eq!(*reasons.borrow(), [CompletionReason::Timeout]);
    let (rest, _) = client.rest(&mut ev);
    assert!(rest.len() < 10_000_000);
}

#[test]
fn a_client_that_reads_slowly_is_not_cut() {
    let mut ev = ev();
    let (_, mut client, reasons) = large(&mut ev, options());
    // It takes something every 20 s, for far longer than a connection may be idle.
    for _ in 0..20 {
        pass(&mut ev, secs(20));
        assert!(client.skip(100_000) > 0);
        settle(&mut ev);
        assert!(reasons.borrow().is_empty(), "{:?}", reasons.borrow());
    }
    pass(&mut ev, secs(20));
    until(&mut ev, |_| {
        client.skip(1_000_000);
        !reasons.borrow().is_empty()
    });
    assert_eq!(*reasons.borrow(), [CompletionReason::Ok]);
}

#[test]
fn a_streamed_reply_to_a_client_that_does_not_read_is_cut() {
    let mut ev = ev();
    let slot = Slot::new();
    let kept = slot.clone();
    let (routes, reasons) = noting(Routes::new().get("/", move |ev: &mut EvLoop, _, reply: Reply| {
        kept.put(reply.stream(ev, BodyLength::Unknown)?);
        Ok::<(), Error>(())
    }));
    let (_, mut client) = one_client(&mut ev, routes);
    client.send(get("/"));
    settle(&mut ev);
    let stream = slot.take();
    // Nothing waits to leave: as long as it likes.
    pass(&mut ev, secs(1000));
    assert!(stream.is_connected(&ev));
    while stream.write(&mut ev, [b'x'; 50_000]).unwrap() == Written::Room {
        turn(&mut ev);
    }
    pass(&mut ev, secs(29));
    assert!(stream.is_connected(&ev));
    pass(&mut ev, secs(1));
    assert!(!stream.is_connected(&ev));
    assert_eq!(*reasons.borrow(), [CompletionReason::Timeout]);
    assert!(!client.rest(&mut ev).0.is_empty());
}

#[test]
fn a_body_that_nobody_wants_is_waited_for_only_so_long() {
    let mut ev = ev();
    let (routes, slot) = bodies();
    let (server, mut client) = one_client(&mut ev, routes);
    client.send(announced("/kept", 1000, "12345"));
    settle(&mut ev);
    slot.take().1.text(&mut ev, "enough").unwrap();
    let answer = client.reply(&mut ev);
    assert_eq!((answer.text(), answer.closes()), ("enough", false));
    pass(&mut ev, secs(31));
    client.finish();
    assert_eq!(client.ends(&mut ev), End::Orderly);
    settle(&mut ev);
    assert_eq!(server.stats(&ev).completed(CompletionReason::Ok), 1);
}

#[test]
fn who_does_not_close_after_a_fault_is_closed() {
    let mut ev = ev();
    let (server, mut client) = one_client(&mut ev, hello());
    assert_eq!(client.ask(&mut ev, "nonsense\r\n\r\n").status, 400);
    for _ in 0..3 {
        client.push(b"and more of it");
        pass(&mut ev, ms(500));
    }
    settle(&mut ev);
    assert_eq!(server.stats(&ev).connections, 0);
    client.rest(&mut ev);
}

#[test]
fn all_limits_can_be_off() {
    let mut ev = ev();
    let options = options()
        .header_timeout(None)
        .idle_timeout(None)
        .body_timeout(None)
        .min_body_rate(0, ZERO)
        .write_timeout(None);
    let (routes, _) = bodies();
    let (_, mut client) = one_client_with(&mut ev, options, routes);
    pass(&mut ev, secs(1000));
    client.send("GET / HTTP/1.1\r\n");
    pass(&mut ev, secs(1000));
    client.send("Host: here\r\n\r\n");
    assert_eq!(client.reply(&mut ev).text(), "hello");
    client.send(announced("/", 5, "1"));
    pass(&mut ev, secs(1000));
    client.send("2345");
    assert_eq!(client.reply(&mut ev).text(), "5");
}

#[test]
fn a_request_may_have_times_of_its_own() {
    let mut ev = ev();
    let slot = Slot::new();
    let kept = slot.clone();
    let routes = keeps(&slot)
        .post("/slow", move |_: &mut EvLoop, _, reply: Reply| kept.put(reply))
        .before(|_, request, reply| {
            if request.path() == "/slow" {
                request.set_body_timeout(Some(secs(100)));
                request.set_body_total_timeout(Some(secs(150)));
                request.set_handler_timeout(None);
            }
            Some(reply)
        });
    let options = options().min_body_rate(0, ZERO).handler_timeout(Some(secs(5)));
    let (server, mut client) = one_client_with(&mut ev, options, routes);
    client.send(announced("/slow", 2, "1"));
    pass(&mut ev, secs(99));
    client.hears_nothing(&mut ev);
    client.send("2");
    pass(&mut ev, secs(99));
    client.hears_nothing(&mut ev);
    slot.take().text(&mut ev, "at last").unwrap();
    assert_eq!(client.reply(&mut ev).text(), "at last");
    client.send(announced("/slow", 3, "1"));
    pass(&mut ev, secs(80));
    client.send("2");
    pass(&mut ev, secs(71));
    assert_eq!(client.reply(&mut ev).status, 408);
    let mut client = Client::new(&mut ev, server);
    // Those of the request were the request's alone.
    client.send(get("/"));
    pass(&mut ev, secs(5));
    assert_eq!(client.reply(&mut ev).status, 503);
}

#[test]
fn a_request_may_have_a_least_rate_of_its_own() {
    let mut ev = ev();
    let (routes, _) = bodies();
    let routes = routes.before(|_, request, reply| {
        if request.query() == Some("fast") {
            request.set_min_body_rate(2000, secs(2));
        }
        Some(reply)
    });
    let (server, mut client) = one_client_with(&mut ev, options(), routes);
    let mut other = Client::new(&mut ev, server);
    client.send(announced("/?fast", 100_000, ""));
    other.send(announced("/", 100_000, ""));
    for _ in 0..2 {
        client.hears_nothing(&mut ev);
        client.send("x".repeat(1000));
        other.send("x".repeat(1000));
        pass(&mut ev, secs(1));
    }
    assert_eq!(client.reply(&mut ev).status, 408);
    other.hears_nothing(&mut ev);
}

#[test]
fn a_connection_may_have_an_idle_time_of_its_own() {
    let mut ev = ev();
    let routes = hello().before(|ev, request, reply| {
        request.connection().set_idle_timeout(ev, Some(secs(7)));
        Some(reply)
    });
    let (_, mut client) = one_client(&mut ev, routes);
    client.send(get("/"));
    assert_eq!(client.reply(&mut ev).text(), "hello");
    pass(&mut ev, ms(6900));
    client.hears_nothing(&mut ev);
    pass(&mut ev, ms(200));
    assert_eq!(client.ends(&mut ev), End::Orderly);
}

/// The system takes more only when much of what it holds has gone, which over TCP may be a megabyte.
#[test]
fn a_client_that_takes_less_than_the_system_waits_for_is_not_cut() {
    for fields in ["", "Connection: close\r\n"] {
        let mut ev = ev();
        let (routes, reasons) = noting(Routes::new().get("/", |ev: &mut EvLoop, _, reply: Reply| {
            reply.send(ev, Response::bytes("a/b", vec![b'x'; 10_000_000]))
        }));
        let (_, mut client) = one_client_with(&mut ev, options(), routes);
        client.send(request("GET", "/", fields, ""));
        settle(&mut ev);
        for _ in 0..20 {
            pass(&mut ev, secs(14));
            assert!(client.skip(34_000) > 0);
            settle(&mut ev);
            assert!(reasons.borrow().is_empty(), "{:?}", reasons.borrow());
        }
        pass(&mut ev, secs(40));
        assert_eq!(*reasons.borrow(), [CompletionReason::Timeout]);
    }
}

#[test]
fn a_client_that_takes_less_than_the_least_rate_is_cut() {
    for fields in ["", "Connection: close\r\n"] {
        // Some 40 KB in 5 s.
        for (rate, is_cut) in [(1_000, false), (20_000, true)] {
            let mut ev = ev();
            let (routes, reasons) = noting(Routes::new().get("/", |ev: &mut EvLoop, _, reply: Reply| {
                reply.send(ev, Response::bytes("a/b", vec![b'x'; 10_000_000]))
            }));
            let options = options().min_write_rate(rate, secs(10));
            let (server, mut client) = one_client_with(&mut ev, options, routes);
            client.send(request("GET", "/", fields, ""));
            settle(&mut ev);
            for round in 0..10 {
                assert!(reasons.borrow().is_empty() || is_cut && round > 1);
                pass(&mut ev, secs(5));
                client.skip(40_000);
                settle(&mut ev);
            }
            let expected: &[_] = if is_cut { &[CompletionReason::Timeout] } else { &[] };
            assert_eq!(*reasons.borrow(), *expected, "{fields}{rate}");
            if !is_cut {
                // Whoever takes all of it is asked nothing more, and its server does not look again.
                until(&mut ev, |ev| {
                    client.waiting();
                    server.connections(ev)[..].iter().all(|of| of.stream().output_len(ev) == 0)
                });
                pass(&mut ev, secs(30));
                assert_eq!(*reasons.borrow(), [CompletionReason::Ok]);
            }
        }
    }
}

#[test]
fn a_last_reply_has_the_time_that_was_said_to_be_taken() {
    for (limit, passes, is_cut) in
        [(Some(secs(5)), ms(4900), false), (Some(secs(5)), ms(5100), true), (None, secs(300), false)]
    {
        let mut ev = ev();
        let (routes, reasons) = noting(Routes::new().get("/", |ev: &mut EvLoop, _, reply: Reply| {
            reply.send(ev, Response::bytes("a/b", vec![b'x'; 10_000_000]))
        }));
        let options = options().write_timeout(limit);
        let (_, mut client) = one_client_with(&mut ev, options, routes);
        client.send(request("GET", "/", "Connection: close\r\n", ""));
        settle(&mut ev);
        pass(&mut ev, passes);
        let expected: &[_] = if is_cut { &[CompletionReason::Timeout] } else { &[] };
        assert_eq!(*reasons.borrow(), *expected, "{limit:?} {passes:?}");
    }
}

#[test]
fn a_connection_may_have_other_times_for_heads_and_for_taking_replies() {
    let mut ev = ev();
    let (routes, reasons) = noting(hello().get("/large", |ev: &mut EvLoop, _, reply: Reply| {
        reply.send(ev, Response::bytes("a/b", vec![b'x'; 10_000_000]))
    }));
    let routes = routes.before(|ev, request, reply| {
        let connection = request.connection();
        assert!(connection.set_header_timeout(ev, Some(secs(25))));
        assert!(connection.set_write_timeout(ev, Some(secs(5))));
        Some(reply)
    });
    let (_, mut client) = one_client_with(&mut ev, options(), routes);
    assert_eq!(client.ask(&mut ev, get("/")).text(), "hello");
    client.send("GET / HTTP/1.1\r\n");
    pass(&mut ev, secs(24));
    client.hears_nothing(&mut ev);
    client.send("Host: here\r\n\r\n");
    assert_eq!(client.reply(&mut ev).text(), "hello");
    reasons.borrow_mut().clear();
    client.send(get("/large"));
    settle(&mut ev);
    pass(&mut ev, ms(4900));
    assert!(reasons.borrow().is_empty());
    pass(&mut ev, ms(200));
    assert_eq!(*reasons.borrow(), [CompletionReason::Timeout]);
}

#[test]
fn a_connection_may_have_a_time_for_its_first_head() {
    let mut ev = ev();
    let routes = hello().on_connection(|ev, connection, event| {
        let is_there = connection.set_header_timeout(ev, Some(secs(2)));
        assert_eq!(is_there, event == ConnectionEvent::Opened);
    });
    let (_, mut client) = one_client(&mut ev, routes);
    client.send("GET / HTTP/1.1\r\n");
    pass(&mut ev, ms(1900));
    client.hears_nothing(&mut ev);
    pass(&mut ev, ms(200));
    assert_eq!(client.reply(&mut ev).status, 408);
}

#[test]
fn who_has_got_a_last_reply_is_read_from_for_as_long_as_is_said() {
    for (time, bytes, (sent, passes), is_read) in [
        (secs(10), 1000, (999, secs(9)), true),
        (secs(10), 1000, (1000, secs(0)), false),
        (secs(10), 1000, (999, ms(10_100)), false),
        (secs(0), 1000, (0, secs(0)), false),
        (secs(10), 0, (0, secs(0)), false),
    ] {
        let mut ev = ev();
        let options = options().linger(time, bytes);
        let (server, mut client) = one_client_with(&mut ev, options, hello());
        assert_eq!(client.ask(&mut ev, "nonsense\r\n\r\n").status, 400);
        client.push(&vec![b'x'; sent]);
        pass(&mut ev, passes);
        assert_eq!(server.stats(&ev).connections == 1, is_read, "{time:?} {bytes} {sent} {passes:?}");
    }
}

#[test]
fn a_body_that_its_taker_leaves_is_the_handlers_time() {
    let mut ev = ev();
    let (routes, slot) = bodies();
    let options = options().handler_timeout(Some(secs(5)));
    let (_, mut client) = one_client_with(&mut ev, options, routes);
    client.send(announced("/kept", 5, "12345"));
    settle(&mut ev);
    let (request, _reply) = slot.take();
    // It takes nothing of what it is offered, and asks for nothing more.
    request.receive(&mut ev, |_, _, _| {}).unwrap();
    settle(&mut ev);
    pass(&mut ev, ms(4900));
    client.hears_nothing(&mut ev);
    pass(&mut ev, ms(200));
    assert_eq!(client.reply(&mut ev).status, 503);
}

#[test]
fn a_body_that_is_paused_from_elsewhere_is_the_handlers_time() {
    let mut ev = ev();
    let slot = Slot::new();
    let kept = slot.clone();
    let routes =
        Routes::new().streaming(Method::POST, "/", move |ev: &mut EvLoop, request: Request, reply| {
            let body = request.receive(ev, |_, _, _| {}).unwrap();
            kept.put((body, reply));
        });
    let options = ServerOptions::new().handler_timeout(Some(secs(5)));
    let (_, mut client) = one_client_with(&mut ev, options, routes);
    client.send(announced("/", 10, "12345"));
    pass(&mut ev, secs(9));
    let (body, _reply): (RequestBody, Reply) = slot.take();
    assert!(body.pause(&mut ev));
    pass(&mut ev, secs(4));
    client.hears_nothing(&mut ev);
    pass(&mut ev, secs(1));
    assert_eq!(client.reply(&mut ev).status, 503);
}

#[test]
fn while_the_loop_is_suspended_no_time_passes_for_bodies() {
    let (mut ev, clock) = ev_with_clock();
    let (routes, _) = bodies();
    let options = options().body_total_timeout(Some(secs(60)));
    let (_, mut client) = one_client_with(&mut ev, options, routes);
    client.send(announced("/", 100_000, "x"));
    for second in 0..60 {
        if second == 5 {
            ev.suspend();
            clock.advance(secs(600));
            ev.resume();
        }
        client.hears_nothing(&mut ev);
        client.send("x".repeat(1000));
        pass(&mut ev, secs(1));
    }
    assert_eq!(client.reply(&mut ev).status, 408);
}

#[test]
fn what_takes_too_long_cannot_be_taken_over_any_more() {
    let mut ev = ev();
    let (slot, taken) = (Slot::<Reply>::new(), Slot::new());
    let (kept, result) = (slot.clone(), taken.clone());
    let routes = keeps(&slot).error_page(move |ev, _, _| {
        if let Some(reply) = kept.get() {
            assert!(!reply.is_connected(ev));
            result.put(reply.upgrade(ev, "echo").map_err(|error| error.kind()));
        }
        None
    });
    let options = options().handler_timeout(Some(secs(1)));
    let (_, mut client) = one_client_with(&mut ev, options, routes);
    client.send(request("GET", "/", "Connection: upgrade\r\nUpgrade: echo\r\n", ""));
    pass(&mut ev, secs(1));
    assert_eq!(client.reply(&mut ev).status, 503);
    assert_eq!(taken.take(), Err(ErrorKind::Closed));
}

#[test]
fn no_time_at_all_to_be_idle_leaves_the_loop_time_for_others() {
    let mut ev = ev();
    let slot = Slot::<Reply>::new();
    let options = options().idle_timeout(Some(ZERO)).header_timeout(Some(ZERO));
    let (_, mut client) = one_client_with(&mut ev, options, keeps(&slot));
    client.send(get("/"));
    settle(&mut ev);
    let reply = slot.take();
    let end = ev.now() + ms(50);
    for _ in 0..60 {
        let left = end.saturating_duration_since(ev.now());
        ev.turn(Some(left)).unwrap();
    }
    assert!(ev.now() >= end, "it goes round and round");
    reply.text(&mut ev, "late").unwrap();
    assert_eq!(client.reply(&mut ev).text(), "late");
}

// --- clients of whom the system takes all that fits, and then nothing at all ---

/// A client that has filled what the system holds for it with small replies, each of which was told to have left; the
/// last was not taken at all.
fn stuffed(ev: &mut EvLoop, options: ServerOptions) -> (Server, Client, Reasons) {
    let (routes, reasons) = noting(hello());
    let (server, mut client) = one_client_with(ev, options, routes);
    for asked in 0.. {
        assert!(asked < 100_000, "there is room for anything");
        assert_eq!(*reasons.borrow(), vec![CompletionReason::Ok; asked]);
        client.send(get("/"));
        settle(ev);
        if reasons.borrow().len() == asked {
            break;
        }
    }
    let stream = server.connections(ev)[0].stream();
    assert!(stream.output_len(ev) > 0);
    reasons.borrow_mut().clear();
    (server, client, reasons)
}

#[test]
fn a_client_for_whom_nothing_more_is_taken_is_cut() {
    let mut ev = ev();
    let (server, mut client, reasons) = stuffed(&mut ev, options());
    // Whoever is behind may ask for more.
    client.send(get("/"));
    settle(&mut ev);
    pass(&mut ev, secs(29));
    assert_eq!((reasons.borrow().len(), server.connections(&ev).len()), (0, 1));
    pass(&mut ev, secs(2));
    assert_eq!(*reasons.borrow(), [CompletionReason::Timeout; 2]);
    assert!(server.connections(&ev).is_empty());
}

#[test]
fn a_client_for_whom_nothing_more_is_taken_is_cut_by_the_least_rate_too() {
    let mut ev = ev();
    let options = options().min_write_rate(100, secs(10)).write_timeout(None);
    let (_, _client, reasons) = stuffed(&mut ev, options);
    pass(&mut ev, secs(9));
    assert!(reasons.borrow().is_empty());
    pass(&mut ev, secs(3));
    assert_eq!(*reasons.borrow(), [CompletionReason::Timeout]);
}

#[test]
fn a_reply_of_which_nothing_was_taken_is_not_answered_when_the_server_stops() {
    let mut ev = ev();
    let (server, _client, reasons) = stuffed(&mut ev, options());
    server.stop_now(&mut ev);
    settle(&mut ev);
    assert_eq!(*reasons.borrow(), [CompletionReason::ServerShutdown]);
}

/// What a client may have sent when it does nothing more, nor reads anything.
fn ways_to_stop() -> Vec<(&'static str, String)> {
    let large = get("/large");
    let closes = |path| request("GET", path, "Connection: close\r\n", "");
    let expects = request("POST", "/", "Content-Length: 5\r\nExpect: 100-continue\r\n", "");
    vec![
        ("nothing", String::new()),
        ("an empty line", "\r\n".into()),
        ("half a head", "GET / HT".into()),
        ("one request", get("/")),
        ("one request and a half", get("/") + "GET / HTTP/1.1\r\nHo"),
        ("an empty line behind a request", get("/") + "\r\n"),
        ("half a body", announced("/", 10, "12345")),
        ("half a chunked body", request("POST", "/", "Transfer-Encoding: chunked\r\n", "5\r\n123")),
        ("half a body that is taken", announced("/taken", 10, "12345")),
        ("half a body that nobody wants", announced("/early", 1000, "12345")),
        ("a body that it is asked for", expects),
        ("no request", "\0".into()),
        ("the last request", closes("/")),
        ("a large reply", large.clone()),
        ("a large last reply", closes("/large")),
        ("large replies", large.repeat(20)),
        ("half a head behind a large reply", large.clone() + "GET / HT"),
        ("half a body behind a large reply", large.clone() + &announced("/", 10, "12345")),
        ("no request behind a large reply", large.clone() + "\0"),
        ("half a body whose reply is large", announced("/early/large", 1000, "12345")),
        ("a large reply in pieces", get("/pieces")),
        ("a large reply that is pulled", get("/pulled")),
        ("all of that", large + &get("/pieces") + &get("/pulled") + &announced("/", 10, "12345")),
    ]
}

/// Routes of which none waits for anything but the client.
fn nobody_waits() -> Routes {
    let much = || vec![b'x'; 10_000_000];
    hello()
        .get("/large", move |ev: &mut EvLoop, _, reply: Reply| reply.send(ev, Response::bytes("a/b", much())))
        .get("/pieces", move |ev: &mut EvLoop, _, reply: Reply| {
            let stream = reply.stream(ev, BodyLength::Unknown)?;
            stream.write_owned(ev, much())?;
            stream.end(ev)
        })
        .get("/pulled", |ev: &mut EvLoop, _, reply: Reply| {
            reply.pull(ev, BodyLength::Unknown, |_| Pull::Data(vec![b'x'; 100_000])).map(drop)
        })
        .post("/", |ev: &mut EvLoop, _, reply: Reply| reply.text(ev, "hello"))
        .streaming(Method::POST, "/taken", |ev: &mut EvLoop, request: Request, reply: Reply| {
            let mut reply = Some(reply);
            request.receive(ev, move |ev, _, event| match event {
                BodyEvent::Data(data) => drop(data.drain(usize::MAX)),
                _ => reply.take().into_iter().for_each(|reply| drop(reply.text(ev, "taken"))),
            })
            .map(drop)
        })
        .streaming(Method::POST, "/early", |ev: &mut EvLoop, _, reply: Reply| reply.text(ev, "early"))
        .streaming(Method::POST, "/early/large", move |ev: &mut EvLoop, _, reply: Reply| {
            reply.send(ev, Response::bytes("a/b", much()))
        })
}

#[test]
fn wherever_a_client_stops_its_connection_has_an_end() {
    for (name, sent) in ways_to_stop() {
        for is_noted in [true, false] {
            for is_tcp in [true, false] {
                let mut ev = ev();
                let (mut routes, mut reasons) = (nobody_waits(), Reasons::default());
                if is_noted {
                    (routes, reasons) = noting(routes);
                }
                let server = options().listen(&mut ev, "127.0.0.1:0", routes).unwrap();
                let mut client =
                    if is_tcp { Client::tcp(&mut ev, server) } else { Client::new(&mut ev, server) };
                client.send(&sent);
                pass(&mut ev, secs(150));
                let how = format!("{name}, noted {is_noted}, tcp {is_tcp}: {:?}", reasons.borrow());
                assert!(server.connections(&ev).is_empty(), "{how}");
                let stats = server.stats(&ev);
                let over: u64 = CompletionReason::ALL.iter().map(|&why| stats.completed(why)).sum();
                assert_eq!(over, stats.requests, "{how}");
                if is_noted {
                    assert_eq!(reasons.borrow().len() as u64, over, "{how}");
                }
            }
        }
    }
}
