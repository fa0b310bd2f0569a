// Connections: one request after the other, many at once, and for how long.

use evloop::net::{Stream, StreamEvent};
use evloop::wire::Method;

use crate::talking::*;

fn counts() -> (Routes, Count) {
    let count = Count::new();
    let of = count.clone();
    let routes = Routes::new()
        .get("/", move |ev: &mut EvLoop, _, reply: Reply| reply.text(ev, of.up().to_string()))
        .get("/other", |ev: &mut EvLoop, _, reply: Reply| reply.text(ev, "other"))
        .get("/large", |ev: &mut EvLoop, _, reply: Reply| {
            reply.send(ev, Response::bytes("a/b", vec![b'x'; 300_000]))
        });
    (routes, count)
}

fn with(version: &str, connection: &str) -> String {
    let field = if connection.is_empty() { String::new() } else { format!("{connection}\r\n") };
    format!("GET / HTTP/{version}\r\nHost: here\r\n{field}\r\n")
}

// --- beginning ---

/// A server that listens, and clients that have connected and asked before it had a turn.
fn asked_already<const N: usize>(
    ev: &mut EvLoop,
    options: ServerOptions,
    routes: Routes,
    asked: [String; N],
) -> (Server, [Client; N]) {
    let path = temporary("asked");
    let server = options.listen(ev, format!("unix:{}", path.display()), routes).unwrap();
    let clients = asked.map(|asked| {
        let mut client = Client::of(std::os::unix::net::UnixStream::connect(&path).unwrap());
        client.send(asked);
        client
    });
    (server, clients)
}

#[test]
fn who_has_asked_already_is_answered_in_the_iteration_that_accepts_it() {
    let mut ev = ev();
    let (routes, _) = counts();
    let asked = [with("1.1", "Connection: close")];
    let (server, [mut client]) = asked_already(&mut ev, ServerOptions::new(), routes, asked);
    until(&mut ev, |ev| server.stats(ev).accepted == 1);
    assert!(client.waiting() > 0, "it takes a second look");
    assert_eq!(client.reply(&mut ev).text(), "1");
    assert_eq!(client.ends(&mut ev), End::Orderly);
}

#[test]
fn a_handler_that_runs_the_loop_holds_up_none_of_those_who_came_with_its_client() {
    let mut ev = ev();
    let done = Count::new();
    let (first, other) = (done.clone(), done.clone());
    let routes = Routes::new()
        .get("/first", move |ev: &mut EvLoop, _, reply: Reply| {
            until(ev, |_| first.get() == 1);
            reply.text(ev, "first")
        })
        .get("/other", move |ev: &mut EvLoop, _, reply: Reply| {
            other.up();
            reply.text(ev, "other")
        });
    let asked = [get("/first"), get("/other")];
    let (_, [mut one, mut two]) = asked_already(&mut ev, ServerOptions::new(), routes, asked);
    assert_eq!((one.reply(&mut ev).text(), two.reply(&mut ev).text()), ("first", "other"));
}

#[test]
fn who_says_nothing_at_first_is_waited_for() {
    let mut ev = ev();
    let (routes, _) = counts();
    let options = ServerOptions::new().header_timeout(None).idle_timeout(None);
    let (server, [mut client]) = asked_already(&mut ev, options, routes, [String::new()]);
    until(&mut ev, |ev| server.stats(ev).accepted == 1);
    server.listener(&ev).unwrap().close(&mut ev);
    let asks = Count::new();
    let asked = asks.clone();
    // Nothing but the connection keeps the loop running.
    ev.timer(ms(20), ZERO, move |_, _| {
        if asked.up() == 1 {
            client.send(with("1.1", "Connection: close"));
        }
    })
    .start(&mut ev)
    .set_ref(&mut ev, false);
    ev.run().unwrap();
    assert_eq!(asks.get(), 1);
}

#[test]
fn what_is_done_with_a_connection_before_it_was_looked_at_is_as_ever() {
    type Done = fn(&mut EvLoop, Stream);
    let answered: [Done; 6] = [
        |ev, stream| assert!(stream.set_priority(ev, 2)),
        |ev, stream| assert!(stream.set_priority(ev, -2)),
        |ev, stream| assert!(stream.set_ref(ev, false)),
        |ev, _| settle(ev),
        |ev, stream| {
            stream.disable_read(ev);
            settle(ev);
            assert_eq!(stream.input_len(ev), 0);
            ev.defer(move |ev| assert!(stream.enable_read(ev)));
        },
        |ev, stream| {
            let parts = stream.into_parts(ev).unwrap();
            let adopted = parts.adopt(ev, |ev, stream, event| {
                if let StreamEvent::Received(_) = event {
                    assert!(stream.take_all(ev).starts_with(b"GET"));
                    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1";
                    stream.write(ev, answer).unwrap();
                    stream.close_lingering(ev);
                }
            });
            adopted.unwrap();
        },
    ];
    let ended: [Done; 4] = [
        |ev, stream| stream.close_now(ev),
        |ev, stream| stream.reset(ev),
        |ev, stream| stream.close_after_flush(ev),
        |ev, stream| stream.close_lingering(ev),
    ];
    for (at, done) in answered.into_iter().chain(ended).enumerate() {
        let mut ev = ev();
        let (routes, _) = counts();
        let routes = routes.on_connection(move |ev, connection, event| {
            if event == ConnectionEvent::Opened {
                done(ev, connection.stream());
            }
        });
        let asked = [with("1.1", "Connection: close")];
        let (server, [mut client]) = asked_already(&mut ev, ServerOptions::new(), routes, asked);
        if at < answered.len() {
            assert_eq!(client.reply(&mut ev).text(), "1", "{at}");
        }
        let (rest, _) = client.rest(&mut ev);
        assert!(rest.is_empty(), "{at}");
        drop(client);
        until(&mut ev, |ev| ev.stream_count() == 0);
        assert_eq!(server.stats(&ev).connections, 0, "{at}");
        server.shutdown(&mut ev, None);
        let before = ev.iteration();
        assert!(!ev.run().unwrap(), "{at}");
        assert!(ev.iteration() - before < 20, "{at}: it spins");
    }
}

// --- keeping ---

#[test]
fn a_connection_is_kept_as_its_version_says() {
    let cases = [
        ("1.1", "", None),
        ("1.1", "Connection: keep-alive", None),
        ("1.1", "Connection: closed, x-close", None),
        ("1.1", "Connection: close", Some("close")),
        ("1.1", "Connection: x, CLOSE ,y", Some("close")),
        ("1.1", "Connection: keep-alive\r\nConnection: close", Some("close")),
        ("1.0", "", Some("close")),
        ("1.0", "Connection: keep-alive", Some("keep-alive")),
        ("1.0", "Connection: x\r\nConnection: Keep-Alive", Some("keep-alive")),
        ("1.0", "Connection: keep-alive, close", Some("close")),
        ("1.9", "", None),
    ];
    for (version, field, expected) in cases {
        let mut ev = ev();
        let (routes, _) = counts();
        let (_, mut client) = one_client(&mut ev, routes);
        let answer = client.ask(&mut ev, with(version, field));
        assert_eq!((answer.text(), answer.field("connection")), ("1", expected), "{version} {field}");
        if expected == Some("close") {
            assert_eq!(client.ends(&mut ev), End::Orderly);
        } else {
            assert_eq!(client.ask(&mut ev, get("/")).text(), "2");
        }
    }
}

#[test]
fn nothing_is_looked_at_after_the_last_request() {
    let mut ev = ev();
    let (routes, count) = counts();
    let (_, mut client) = one_client(&mut ev, routes);
    client.send(with("1.1", "Connection: close") + &get("/"));
    client.finish();
    assert_eq!(client.reply(&mut ev).text(), "1");
    assert_eq!(client.ends(&mut ev), End::Orderly);
    assert_eq!(count.get(), 1);
}

#[test]
fn nothing_is_looked_at_after_a_fault() {
    let mut ev = ev();
    let (routes, count) = counts();
    let (_, mut client) = one_client(&mut ev, routes);
    client.send(get("/") + "GET / HTTP/1.1\r\nHost : x\r\n\r\n" + &get("/"));
    client.finish();
    assert_eq!(client.reply(&mut ev).text(), "1");
    let answer = client.reply(&mut ev);
    assert_eq!((answer.status, answer.closes()), (400, true));
    assert_eq!(client.ends(&mut ev), End::Orderly);
    assert_eq!(count.get(), 1);
}

#[test]
fn a_connection_ends_after_so_many_requests() {
    let mut ev = ev();
    let (routes, count) = counts();
    let (_, mut client) = one_client_with(&mut ev, ServerOptions::new().max_requests(3), routes);
    client.send(get("/").repeat(5));
    client.finish();
    let closes: Vec<bool> = (0..3).map(|_| client.reply(&mut ev).closes()).collect();
    assert_eq!(closes, [false, false, true]);
    assert_eq!(client.ends(&mut ev), End::Orderly);
    assert_eq!(count.get(), 3);
}

#[test]
fn a_connection_ends_with_the_first_reply_after_its_lifetime() {
    let mut ev = ev();
    let (routes, _) = counts();
    let options = ServerOptions::new().connection_lifetime(Some(secs(5)));
    let (_, mut client) = one_client_with(&mut ev, options, routes);
    assert!(!client.ask(&mut ev, get("/")).closes());
    pass(&mut ev, ms(4900));
    assert!(!client.ask(&mut ev, get("/")).closes());
    pass(&mut ev, ms(100));
    assert!(client.ask(&mut ev, get("/")).closes());
    assert_eq!(client.ends(&mut ev), End::Orderly);
}

// --- many at once ---

#[test]
fn replies_come_in_the_order_of_requests() {
    let mut ev = ev();
    let routes = Routes::new().get("/{n}", |ev: &mut EvLoop, request: Request, reply: Reply| {
        let n = request.param("n").unwrap().to_owned();
        // The later ones would be ready sooner.
        let delay = Duration::from_millis(100 - n.parse::<u64>().unwrap());
        ev.after(delay, move |ev| reply.text(ev, n).unwrap());
    });
    let (_, mut client) = one_client(&mut ev, routes);
    client.send((0..40).map(|n| get(&format!("/{n}"))).collect::<String>());
    pass(&mut ev, secs(10));
    for n in 0..40 {
        assert_eq!(client.reply(&mut ev).text(), n.to_string());
    }
}

#[test]
fn replies_that_are_ready_together_leave_in_one_write() {
    let mut ev = ev();
    let (routes, _) = counts();
    let (_, mut client) = one_client(&mut ev, routes);
    settle(&mut ev);
    client.send(get("/").repeat(10));
    // One turn reads all of them and writes all replies.
    until(&mut ev, |_| client.waiting() > 0);
    let in_one = client.waiting();
    settle(&mut ev);
    assert_eq!(client.waiting(), in_one);
    for n in 1..=10 {
        assert_eq!(client.reply(&mut ev).text(), n.to_string());
    }
}

#[test]
fn sixteen_are_answered_before_others_have_their_turn() {
    let mut ev = ev();
    let order = Log::new();
    let (greedy, modest) = (order.clone(), order.clone());
    let routes = Routes::new()
        .get("/greedy", move |ev: &mut EvLoop, _, reply: Reply| {
            greedy.push("greedy");
            reply.text(ev, "x")
        })
        .get("/modest", move |ev: &mut EvLoop, _, reply: Reply| {
            modest.push("modest");
            reply.text(ev, "x")
        });
    let (server, mut client) = one_client(&mut ev, routes);
    let mut other = Client::new(&mut ev, server);
    settle(&mut ev);
    client.send(get("/greedy").repeat(100));
    other.send(get("/modest"));
    settle(&mut ev);
    let order = order.take();
    assert_eq!(order.len(), 101);
    let at = order.iter().position(|&who| who == "modest").unwrap();
    assert!(at <= 16, "{at}");
    for _ in 0..100 {
        client.reply(&mut ev);
    }
}

#[test]
fn each_turn_answers_so_many_and_no_more() {
    let mut ev = ev();
    let (routes, count) = counts();
    let options = ServerOptions::new().pipelined_per_turn(5);
    let (_, mut client) = one_client_with(&mut ev, options, routes);
    settle(&mut ev);
    client.send(get("/").repeat(23));
    let mut steps = Vec::new();
    until(&mut ev, |_| {
        if steps.last() != Some(&count.get()) {
            steps.push(count.get());
        }
        count.get() == 23
    });
    steps.push(23);
    assert!(steps.windows(2).all(|two| two[1] - two[0] <= 5), "{steps:?}");
    for n in 1..=23 {
        assert_eq!(client.reply(&mut ev).text(), n.to_string());
    }
}

#[test]
fn who_does_not_read_is_asked_nothing_more() {
    let mut ev = ev();
    let asked = Count::new();
    let count = asked.clone();
    let routes = Routes::new().get("/", move |ev: &mut EvLoop, _, reply: Reply| {
        count.up();
        reply.send(ev, Response::bytes("a/b", vec![b'x'; 100_000]))
    });
    let (_, mut client) = one_client(&mut ev, routes);
    let all = get("/").repeat(3000);
    let mut sent = 0;
    for _ in 0..200 {
        sent += client.push(&all.as_bytes()[sent..]);
        turn(&mut ev);
    }
    // As many as fit into the output, and no more; and what has come is bounded too.
    assert!(asked.get() < 30, "{}", asked.get());
    let was = asked.get();
    settle(&mut ev);
    assert_eq!(asked.get(), was);
    for _ in 0..3000 {
        sent += client.push(&all.as_bytes()[sent..]);
        assert_eq!(client.reply(&mut ev).body.len(), 100_000);
    }
    assert_eq!(asked.get(), 3000);
}

#[test]
fn requests_behind_one_that_is_handled_wait_up_to_a_cap() {
    let mut ev = ev();
    let slot = Slot::new();
    let routes = keeps(&slot).get("/other", |ev: &mut EvLoop, _, reply: Reply| reply.text(ev, "other"));
    let (_, mut client) = one_client(&mut ev, routes);
    client.send(get("/"));
    settle(&mut ev);
    let all = get("/other").repeat(100_000);
    let mut sent = 0;
    for _ in 0..200 {
        sent += client.push(&all.as_bytes()[sent..]);
        turn(&mut ev);
    }
    assert!(sent < 1_500_000, "{sent}");
    slot.take().text(&mut ev, "first").unwrap();
    assert_eq!(client.reply(&mut ev).text(), "first");
    for _ in 0..1000 {
        sent += client.push(&all.as_bytes()[sent..]);
        assert_eq!(client.reply(&mut ev).text(), "other");
    }
}

#[test]
fn how_much_is_kept_behind_a_request_can_be_said() {
    let mut ev = ev();
    let slot = Slot::new();
    let options = ServerOptions::new().read_ahead(1000);
    let (_, mut client) = one_client_with(&mut ev, options, keeps(&slot));
    client.send(get("/"));
    settle(&mut ev);
    let reply = slot.take();
    let behind = get("/").repeat(40);
    let stream = reply.connection().stream();
    client.send(&behind);
    settle(&mut ev);
    let kept = stream.input_len(&ev);
    assert!((1000..64 * 1024).contains(&kept), "{kept}");
    client.send(&behind);
    settle(&mut ev);
    assert_eq!(stream.input_len(&ev), kept, "nothing more is read");
    reply.text(&mut ev, "1").unwrap();
    for _ in 0..80 {
        until(&mut ev, |_| !slot.is_empty());
        slot.take().text(&mut ev, "x").unwrap();
    }
    let statuses = [(); 81].map(|()| client.reply(&mut ev).status);
    assert_eq!(statuses, [200; 81]);
}

#[test]
fn how_much_of_a_streamed_body_may_be_left_can_be_said() {
    let mut ev = ev();
    let (slot, seen) = (Slot::new(), Rc::new(Cell::new(0)));
    let (kept, sees) = (slot.clone(), Rc::clone(&seen));
    let routes =
        Routes::new().streaming(Method::POST, "/", move |ev: &mut EvLoop, request: Request, reply| {
            let sees = Rc::clone(&sees);
            let body = request.receive(ev, move |_, _, event| {
                if let BodyEvent::Data(data) = event {
                    sees.set(data.len());
                }
            });
            kept.put((body.unwrap(), reply));
        });
    let options = ServerOptions::new().read_ahead(1000);
    let (_, mut client) = one_client_with(&mut ev, options, routes);
    client.send(request("POST", "/", "Content-Length: 10000\r\n", &"x".repeat(1500)));
    settle(&mut ev);
    assert_eq!(seen.get(), 1500);
    client.send("x".repeat(1500));
    settle(&mut ev);
    assert_eq!(seen.get(), 1500, "nothing more is read");
    let (body, reply): (RequestBody, Reply) = slot.take();
    assert!(body.discard(&mut ev));
    client.send("x".repeat(7000));
    reply.text(&mut ev, "fine").unwrap();
    assert_eq!(client.reply(&mut ev).text(), "fine");
}

#[test]
fn a_head_that_comes_byte_by_byte_is_the_same() {
    let mut ev = ev();
    let (routes, _) = counts();
    let (_, mut client) = one_client(&mut ev, routes);
    for byte in get("/").repeat(2).bytes() {
        client.send([byte]);
        turn(&mut ev);
    }
    assert_eq!(client.reply(&mut ev).text(), "1");
    assert_eq!(client.reply(&mut ev).text(), "2");
}

#[test]
fn empty_lines_between_requests_are_skipped() {
    let mut ev = ev();
    let (routes, _) = counts();
    let (_, mut client) = one_client(&mut ev, routes);
    client.send(get("/") + "\r\n\r\n" + &get("/"));
    assert_eq!(client.reply(&mut ev).text(), "1");
    assert_eq!(client.reply(&mut ev).text(), "2");
    assert_eq!(client.ask(&mut ev, "\r\n".repeat(5) + &get("/")).status, 400);
}

#[test]
fn an_unknown_upgrade_is_ignored() {
    let mut ev = ev();
    let (routes, _) = counts();
    let (_, mut client) = one_client(&mut ev, routes);
    let fields = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n";
    assert_eq!(client.ask(&mut ev, request("GET", "/", fields, "")).text(), "1");
    let answer = client.ask(&mut ev, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert!([400, 505].contains(&answer.status) && answer.closes());
}

#[test]
fn many_connections_come_and_go() {
    let mut ev = ev();
    let (routes, reasons) = noting(counts().0);
    let server = ServerOptions::new().listen(&mut ev, "127.0.0.1:0", routes).unwrap();
    for round in 1..=5 {
        let mut clients: Vec<_> = (0..20).map(|_| Client::tcp(&mut ev, server)).collect();
        clients.iter_mut().for_each(|client| client.send(get("/")));
        clients.iter_mut().for_each(|client| assert_eq!(client.reply(&mut ev).status, 200));
        assert_eq!(server.stats(&ev).connections, 20);
        drop(clients);
        until(&mut ev, |ev| server.stats(ev).connections == 0);
        assert_eq!(reasons.borrow().len(), 20 * round);
        assert_eq!(server.stats(&ev).accepted, 20 * round as u64);
    }
    assert!(reasons.borrow().iter().all(|&reason| reason == CompletionReason::Ok));
}

// --- other protocols ---

#[test]
fn a_connection_becomes_something_else_with_all_that_has_come() {
    let mut ev = ev();
    let slot = Slot::new();
    let kept = slot.clone();
    let routes = hello().get("/up", move |ev: &mut EvLoop, request: Request, reply: Reply| {
        assert_eq!(request.upgrade(), Some("echo"));
        let stream = reply.header("X-Mine", "1").upgrade(ev, "echo")?;
        stream.set_handler(ev, |ev, stream, event| {
            if let StreamEvent::Received(_) = event {
                stream.forward(ev, stream, usize::MAX);
            }
        });
        kept.put(stream);
        Ok::<(), Error>(())
    });
    let (server, mut client) = one_client(&mut ev, routes);
    assert_eq!(client.ask(&mut ev, get("/")).text(), "hello");
    let fields = "Connection: Upgrade\r\nUpgrade: echo\r\n";
    client.send(request("GET", "/up", fields, "early bytes"));
    let answer = client.reply(&mut ev);
    assert_eq!((answer.status, answer.field("x-mine")), (101, Some("1")));
    assert_eq!((answer.field("upgrade"), answer.field("connection")), (Some("echo"), Some("upgrade")));
    assert_eq!(answer.field("content-length"), None);
    until(&mut ev, |_| client.waiting() == 11);
    client.send(" and more");
    until(&mut ev, |_| client.waiting() == 20);
    assert_eq!(client.seen(&mut ev), "early bytes and more");
    assert_eq!(server.stats(&ev).connections, 0);
    assert_eq!(server.stats(&ev).completed(CompletionReason::Upgraded), 1);
    // The server's end and its time-outs are not this stream's.
    pass(&mut ev, secs(1000));
    server.stop_now(&mut ev);
    settle(&mut ev);
    client.send("!");
    until(&mut ev, |_| client.waiting() == 21);
    assert!(slot.take().exists(&ev));
}

#[test]
fn an_upgrade_later_keeps_what_has_come_meanwhile() {
    let mut ev = ev();
    let slot = Slot::new();
    let (_, mut client) = one_client(&mut ev, keeps(&slot));
    client.send(request("GET", "/", "Connection: Upgrade\r\nUpgrade: echo\r\n", ""));
    settle(&mut ev);
    client.upload(&mut ev, &[b'e'; 50_000]);
    settle(&mut ev);
    let stream = slot.take().upgrade(&mut ev, "echo").unwrap();
    let got = Rc::new(Cell::new(0));
    let sum = Rc::clone(&got);
    stream.set_handler(&mut ev, move |ev, stream, event| {
        if let StreamEvent::Received(_) = event {
            let mut input = stream.input(ev);
            let len = input.len();
            sum.set(sum.get() + input.drain(len));
        }
    });
    assert_eq!(client.reply(&mut ev).status, 101);
    client.upload(&mut ev, &[b'l'; 200_000]);
    until(&mut ev, |_| got.get() == 250_000);
}

/// Some clients say of every request how long its body is.
#[test]
fn a_body_of_no_length_does_not_keep_a_connection_from_being_taken_over() {
    let up = |ev: &mut EvLoop, _: Request, reply: Reply| reply.upgrade(ev, "echo").map(|_| ());
    let ways = [
        Routes::new().get("/", up),
        Routes::new().streaming(Method::GET, "/", up),
        hello().before(|ev, _, reply| {
            let _ = reply.upgrade(ev, "echo");
            None
        }),
    ];
    for routes in ways {
        let mut ev = ev();
        let (_, mut client) = one_client(&mut ev, routes);
        let fields = "Content-Length: 0\r\nConnection: Upgrade\r\nUpgrade: echo\r\n";
        assert_eq!(client.ask(&mut ev, request("GET", "/", fields, "")).status, 101);
    }
}

#[test]
fn who_has_not_asked_cannot_be_taken_over() {
    let mut ev = ev();
    let slot = Slot::new();
    let kept = slot.clone();
    let routes = Routes::new().any("/", move |ev: &mut EvLoop, _, reply: Reply| {
        kept.put(reply.upgrade(ev, "echo").map(|_| ()));
    });
    let (_, mut client) = one_client(&mut ev, routes);
    for asked in [
        get("/"),
        request("GET", "/", "Upgrade: echo\r\n", ""),
        request("GET", "/", "Connection: upgrade\r\n", ""),
    ] {
        assert_eq!(client.ask(&mut ev, asked).status, 500);
        assert_eq!(slot.take().unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}

#[test]
fn a_connection_that_is_taken_over_is_told_of_when_whoever_takes_it_is_done() {
    let mut ev = ev();
    let log = Log::new();
    let [done, over, gone] = [(); 3].map(|()| log.clone());
    let routes = Routes::new()
        .get("/up", move |ev: &mut EvLoop, _, reply: Reply| {
            let stream = reply.upgrade(ev, "nothing")?;
            done.push("taken".to_owned());
            stream.set_handler(ev, |_, _, _| {});
            Ok::<(), Error>(())
        })
        .on_completed(move |_, completed| over.push(completed.reason.to_string()))
        .on_connection(move |_, _, event| gone.push(format!("{event:?}")));
    let (_, mut client) = one_client(&mut ev, routes);
    client.send(request("GET", "/up", "Connection: upgrade\r\nUpgrade: nothing\r\n", ""));
    assert_eq!(client.reply(&mut ev).status, 101);
    drop(client);
    settle(&mut ev);
    assert_eq!(log.take(), ["Opened", "taken", "upgraded", "Closed(HandedOff)"]);
}
