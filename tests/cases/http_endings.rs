// How requests end: completed once, with the reason; and who is told that a client has left.

use crate::talking::*;

type Told = Slot<Completed>;

/// Routes that keep the reply to `GET /` and note how it was over.
fn keeps_and_notes(slot: &Slot<Reply>) -> (Routes, Reasons) {
    noting(keeps(slot).get("/other", |ev: &mut EvLoop, _, reply: Reply| reply.text(ev, "other")))
}

/// A client whose request is being handled, and what was kept of it.
fn handled(ev: &mut EvLoop, options: ServerOptions) -> (Server, Client, Reply, Reasons) {
    let slot = Slot::new();
    let (routes, reasons) = keeps_and_notes(&slot);
    let (server, mut client) = one_client_with(ev, options, routes);
    client.send(get("/"));
    client.hears_nothing(ev);
    (server, client, slot.take(), reasons)
}

fn is_one(reasons: &Reasons, reason: CompletionReason) {
    assert_eq!(*reasons.borrow(), [reason]);
}

// --- completed ---

#[test]
fn a_request_is_completed_when_its_reply_has_left() {
    let mut ev = ev();
    let told: Told = Slot::new();
    let notes = told.clone();
    let routes = Routes::new()
        .post("/a", |ev: &mut EvLoop, _, reply: Reply| {
            ev.after(secs(2), move |ev| reply.text(ev, "hello").unwrap());
        })
        .on_completed(move |_, completed| notes.put(completed.clone()));
    let (server, mut client) = one_client(&mut ev, routes);
    let asked = post("/a?b", "four");
    client.send(&asked);
    settle(&mut ev);
    assert!(told.is_empty());
    pass(&mut ev, secs(2));
    let answer = client.reply(&mut ev);
    settle(&mut ev);
    let completed = told.take();
    assert_eq!(completed.reason, CompletionReason::Ok);
    assert_eq!(completed.status, Some(Status::OK));
    assert_eq!(completed.bytes_in, asked.len() as u64);
    assert!(completed.bytes_out > answer.body.len() as u64);
    assert_eq!(completed.duration, secs(2));
    assert_eq!(completed.request.method, Method::POST);
    assert_eq!(completed.request.target, "/a?b");
    assert_eq!(server.stats(&ev).completed(CompletionReason::Ok), 1);
}

#[test]
fn a_reply_that_does_not_leave_is_not_completed_yet() {
    let mut ev = ev();
    let (routes, reasons) = noting(Routes::new().get("/", |ev: &mut EvLoop, _, reply: Reply| {
        reply.send(ev, Response::bytes("a/b", vec![b'x'; 4_000_000]))
    }));
    let (server, mut client) = one_client(&mut ev, routes);
    client.send(get("/"));
    settle(&mut ev);
    assert!(reasons.borrow().is_empty());
    assert_eq!(server.stats(&ev).completed(CompletionReason::Ok), 0);
    assert_eq!(client.reply(&mut ev).body.len(), 4_000_000);
    settle(&mut ev);
    is_one(&reasons, CompletionReason::Ok);
}

#[test]
fn a_reply_behind_one_that_has_left_is_not_completed_with_that() {
    let mut ev = ev();
    let slot = Slot::new();
    let kept = slot.clone();
    let (routes, reasons) = noting(
        Routes::new()
            .get("/", move |ev: &mut EvLoop, _, reply: Reply| {
                kept.put(reply.stream(ev, BodyLength::Known(5))?);
                Ok::<(), Error>(())
            })
            .get("/large", |ev: &mut EvLoop, _, reply: Reply| {
                reply.send(ev, Response::bytes("a/b", vec![b'x'; 4_000_000]))
            })
            .get("/other", |ev: &mut EvLoop, _, reply: Reply| reply.text(ev, "other")),
    );
    let (server, mut client) = one_client(&mut ev, routes);
    client.send([get("/"), get("/large"), get("/other")].concat());
    settle(&mut ev);
    let stream = slot.take();
    stream.write(&mut ev, "hello").unwrap();
    settle(&mut ev);
    // All of it has left when it is said to be over.
    stream.end(&mut ev).unwrap();
    assert_eq!(client.reply(&mut ev).text(), "hello");
    settle(&mut ev);
    assert!(!reasons.borrow().contains(&CompletionReason::Ok), "{:?}", reasons.borrow());
    // And who does not take the second is asked nothing more.
    assert_eq!(server.stats(&ev).requests, 2);
    assert_eq!(client.reply(&mut ev).body.len(), 4_000_000);
    assert_eq!(client.reply(&mut ev).text(), "other");
    settle(&mut ev);
    assert_eq!(*reasons.borrow(), [CompletionReason::Ok; 3]);
}

#[test]
fn a_reply_that_was_not_even_offered_is_not_answered() {
    for stops in [true, false] {
        let mut ev = ev();
        let (routes, reasons) = noting(hello().get("/cut", move |ev: &mut EvLoop, _, reply: Reply| {
            if stops {
                reply.server().stop_now(ev);
            } else {
                reply.stream(ev, BodyLength::Known(1000))?.abort(ev);
            }
            Ok::<(), Error>(())
        }));
        let (_, mut client) = one_client(&mut ev, routes);
        client.send([get("/"), get("/cut")].concat());
        let (seen, _) = client.rest(&mut ev);
        settle(&mut ev);
        let answered = reasons.borrow().contains(&CompletionReason::Ok);
        let came = String::from_utf8_lossy(&seen).contains("hello");
        assert_eq!((answered, came), (!stops, !stops), "{:?}", reasons.borrow());
        assert_eq!(reasons.borrow().len(), 2);
    }
}

#[test]
fn each_of_many_requests_is_completed_once_in_order() {
    let mut ev = ev();
    let targets = Log::new();
    let notes = targets.clone();
    let routes = Routes::new()
        .get("/{n}", |ev: &mut EvLoop, _, reply: Reply| reply.text(ev, "x"))
        .on_completed(move |_, completed| notes.push(completed.request.target.clone()));
    let (_, mut client) = one_client(&mut ev, routes);
    let all: Vec<String> = (0..50).map(|n| format!("/{n}")).collect();
    client.send(all.iter().map(|path| get(path)).collect::<String>());
    for _ in 0..50 {
        client.reply(&mut ev);
    }
    settle(&mut ev);
    assert_eq!(targets.take(), all);
}

#[test]
fn a_request_has_a_hook_of_its_own() {
    for with_common in [false, true] {
        let mut ev = ev();
        let told = Log::new();
        let (own, common) = (told.clone(), told.clone());
        let mut routes = Routes::new().get("/", move |ev: &mut EvLoop, _, reply: Reply| {
            for name in ["first", "second"] {
                let own = own.clone();
                reply.on_completed(move |_, completed| {
                    assert_eq!(completed.reason, CompletionReason::Ok);
                    assert_eq!(completed.request.target, "/");
                    own.push(name);
                });
            }
            reply.text(ev, "x")
        });
        if with_common {
            routes = routes.on_completed(move |_, _| common.push("common"));
        }
        let (_, mut client) = one_client(&mut ev, routes);
        for _ in 0..2 {
            client.ask(&mut ev, get("/"));
            settle(&mut ev);
            let expected: &[_] =
                if with_common { &["first", "second", "common"] } else { &["first", "second"] };
            assert_eq!(told.take(), expected);
        }
    }
}

#[test]
fn a_hook_that_is_set_later_is_called_too() {
    let mut ev = ev();
    let slot = Slot::new();
    let (_, mut client) = one_client(&mut ev, keeps(&slot));
    client.send(get("/"));
    client.hears_nothing(&mut ev);
    let (told, reply) = (Slot::new(), slot.take());
    let notes = told.clone();
    reply.on_completed(move |_, completed: &Completed| notes.put(completed.clone()));
    reply.status(Status::CREATED).empty(&mut ev).unwrap();
    client.reply(&mut ev);
    settle(&mut ev);
    let completed: Completed = told.take();
    assert_eq!((completed.status, completed.request.target.as_str()), (Some(Status::CREATED), "/"));
}

#[test]
fn a_client_that_resets_has_aborted() {
    let mut ev = ev();
    let slot = Slot::new();
    let (routes, reasons) = keeps_and_notes(&slot);
    let server = ServerOptions::new().listen(&mut ev, "127.0.0.1:0", routes).unwrap();
    let mut client = Client::tcp(&mut ev, server);
    client.send(get("/"));
    until(&mut ev, |_| !slot.is_empty());
    let reply = slot.take();
    let told = Log::new();
    let notes = told.clone();
    reply.on_disconnect(move |_, how| notes.push(how));
    client.reset();
    until(&mut ev, |_| told.len() > 0);
    assert_eq!(told.take(), [Disconnected::Gone]);
    assert!(!reply.is_connected(&ev));
    assert_eq!(reply.text(&mut ev, "x").unwrap_err().kind(), ErrorKind::Closed);
    settle(&mut ev);
    is_one(&reasons, CompletionReason::ClientAborted);
    assert_eq!(server.stats(&ev).completed(CompletionReason::ClientAborted), 1);
    assert_eq!(server.stats(&ev).connections, 0);
}

#[test]
fn a_client_that_resets_while_its_reply_leaves_has_aborted() {
    let mut ev = ev();
    let (routes, reasons) = noting(Routes::new().get("/", |ev: &mut EvLoop, _, reply: Reply| {
        reply.send(ev, Response::bytes("a/b", vec![b'x'; 20_000_000]))
    }));
    let server = ServerOptions::new().listen(&mut ev, "127.0.0.1:0", routes).unwrap();
    let mut client = Client::tcp(&mut ev, server);
    client.send(get("/"));
    until(&mut ev, |_| client.skip(1000) > 0);
    client.reset();
    until(&mut ev, |_| !reasons.borrow().is_empty());
    settle(&mut ev);
    is_one(&reasons, CompletionReason::ClientAborted);
}

#[test]
fn a_body_that_does_not_come_is_the_clients_abortion() {
    let mut ev = ev();
    let (routes, reasons) =
        noting(Routes::new().post("/", |ev: &mut EvLoop, _, reply: Reply| reply.text(ev, "x")));
    let (_, mut client) = one_client(&mut ev, routes);
    client.send(request("POST", "/", "Content-Length: 10\r\n", "four"));
    settle(&mut ev);
    drop(client);
    until(&mut ev, |_| !reasons.borrow().is_empty());
    settle(&mut ev);
    is_one(&reasons, CompletionReason::ClientAborted);
}

#[test]
fn a_body_that_is_none_is_an_error_of_protocol() {
    let mut ev = ev();
    let (routes, reasons) =
        noting(Routes::new().post("/", |ev: &mut EvLoop, _, reply: Reply| reply.text(ev, "x")));
    let (server, mut client) = one_client(&mut ev, routes);
    let answer =
        client.ask(&mut ev, request("POST", "/", "Transfer-Encoding: chunked\r\n", "zz\r\n"));
    assert_eq!((answer.status, answer.closes()), (400, true));
    settle(&mut ev);
    is_one(&reasons, CompletionReason::ProtocolError);
    assert_eq!(server.stats(&ev).completed(CompletionReason::ProtocolError), 1);
}

#[test]
fn a_head_that_is_none_is_no_request() {
    let mut ev = ev();
    let (routes, reasons) = noting(hello());
    let (server, mut client) = one_client(&mut ev, routes);
    let answer = client.ask(&mut ev, "GET /\r\n\r\n");
    assert_eq!((answer.status, answer.closes()), (400, true));
    client.finish();
    client.ends(&mut ev);
    settle(&mut ev);
    assert!(reasons.borrow().is_empty());
    assert_eq!(server.stats(&ev).requests, 0);
}

#[test]
fn a_server_that_stops_is_a_reason() {
    let mut ev = ev();
    let (server, mut client, reply, reasons) = handled(&mut ev, ServerOptions::new());
    let told = Log::new();
    let notes = told.clone();
    reply.on_disconnect(move |_, how| notes.push(how));
    server.stop_now(&mut ev);
    client.ends(&mut ev);
    settle(&mut ev);
    is_one(&reasons, CompletionReason::ServerShutdown);
    assert_eq!(told.take(), [Disconnected::Gone]);
    assert_eq!(reply.text(&mut ev, "x").unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn a_loop_that_is_dropped_is_a_servers_stop() {
    let mut ev = ev();
    let (_, mut client, reply, reasons) = handled(&mut ev, ServerOptions::new());
    drop(ev);
    is_one(&reasons, CompletionReason::ServerShutdown);
    drop(reply);
    assert!(!client.is_open());
}

#[test]
fn a_handler_that_fails_is_a_reason() {
    type Handler = fn(&mut EvLoop, Reply) -> std::result::Result<(), String>;
    let cases: [(Handler, bool); 5] = [
        (|_, _reply| Ok(()), true),
        (|_, _reply| Err("no".into()), true),
        (|_, _reply| panic!("on purpose"), true),
        (|ev, reply| reply.stream(ev, BodyLength::Unknown).map(drop).map_err(|_| "no".into()), false),
        (
            |ev, reply| {
                let stream = reply.stream(ev, BodyLength::Known(5)).unwrap();
                stream.write(ev, "four").unwrap();
                stream.end(ev).unwrap_err();
                Ok(())
            },
            false,
        ),
    ];
    for (n, (handler, answers)) in cases.into_iter().enumerate() {
        let mut ev = ev();
        let (routes, reasons) = noting(
            Routes::new().get("/", move |ev: &mut EvLoop, _, reply: Reply| handler(ev, reply)),
        );
        let (server, mut client) = one_client(&mut ev, routes);
        let answer = client.ask(&mut ev, get("/"));
        assert_eq!((answer.status == 500, answer.is_whole), (answers, answers), "{n}");
        settle(&mut ev);
        assert_eq!(*reasons.borrow(), [CompletionReason::HandlerError], "{n}");
        assert_eq!(server.stats(&ev).completed(CompletionReason::HandlerError), 1, "{n}");
    }
}

#[test]
fn a_handler_that_fails_is_counted_also_when_nobody_is_told() {
    let mut ev = ev();
    let routes = Routes::new().get("/", |_: &mut EvLoop, _, reply: Reply| drop(reply));
    let (server, mut client) = one_client(&mut ev, routes);
    client.ask(&mut ev, get("/"));
    settle(&mut ev);
    let stats = server.stats(&ev);
    assert_eq!((stats.completed(CompletionReason::HandlerError), stats.completed(CompletionReason::Ok)), (1, 0));
}

#[test]
fn every_request_is_counted_once() {
    let mut ev = ev();
    let (server, mut client) = one_client(&mut ev, hello());
    for n in 1..=3 {
        client.ask(&mut ev, get("/"));
        settle(&mut ev);
        let stats = server.stats(&ev);
        assert_eq!((stats.requests, stats.completed(CompletionReason::Ok)), (n, n));
    }
    client.send(get("/") + &get("/none") + &get("/"));
    for _ in 0..3 {
        client.reply(&mut ev);
    }
    drop(client);
    settle(&mut ev);
    let stats = server.stats(&ev);
    let sum: u64 = CompletionReason::ALL.iter().map(|&reason| stats.completed(reason)).sum();
    assert_eq!((stats.requests, sum, stats.completed(CompletionReason::Ok)), (6, 6, 6));
    assert_eq!((stats.connections, stats.accepted), (0, 1));
    assert!(stats.bytes_in > 0 && stats.bytes_out > stats.bytes_in);
}

#[test]
fn an_upgrade_is_a_reason() {
    let mut ev = ev();
    let (routes, reasons) = noting(Routes::new().get("/", |ev: &mut EvLoop, _, reply: Reply| {
        reply.upgrade(ev, "echo").map(|stream| stream.close_after_flush(ev))
    }));
    let (_, mut client) = one_client(&mut ev, routes);
    client.send(request("GET", "/", "Connection: upgrade\r\nUpgrade: echo\r\n", ""));
    assert_eq!(client.reply(&mut ev).status, 101);
    is_one(&reasons, CompletionReason::Upgraded);
}

#[test]
fn what_was_counted_before_an_upgrade_stays_counted() {
    let mut ev = ev();
    let routes = hello().get("/echo", |ev: &mut EvLoop, _, reply: Reply| {
        reply.upgrade(ev, "echo").map(drop)
    });
    let (server, mut client) = one_client(&mut ev, routes);
    client.ask(&mut ev, get("/"));
    settle(&mut ev);
    let before = server.stats(&ev);
    let asked = request("GET", "/echo", "Connection: upgrade\r\nUpgrade: echo\r\n", "");
    client.send(&asked);
    assert_eq!(client.reply(&mut ev).status, 101);
    settle(&mut ev);
    let stats = server.stats(&ev);
    assert_eq!((stats.connections, stats.bytes_in), (0, before.bytes_in + asked.len() as u64));
    assert!(stats.bytes_out > before.bytes_out, "{stats:?}");
    // The rest is not the server's.
    client.send("more");
    drop(client);
    settle(&mut ev);
    assert_eq!(server.stats(&ev).bytes_in, stats.bytes_in);
}

// --- a client leaves ---

#[test]
fn a_client_that_ends_its_side_is_answered_all_the_same() {
    let mut ev = ev();
    let (_, mut client, reply, reasons) = handled(&mut ev, ServerOptions::new());
    let told = Log::new();
    let notes = told.clone();
    reply.on_disconnect(move |_, how| notes.push(how));
    client.finish();
    settle(&mut ev);
    assert_eq!(told.take(), [Disconnected::HalfClosed]);
    assert!(reply.is_connected(&ev));
    assert!(reasons.borrow().is_empty());
    reply.text(&mut ev, "still here").unwrap();
    assert_eq!(client.reply(&mut ev).text(), "still here");
    assert_eq!(client.ends(&mut ev), End::Orderly);
    is_one(&reasons, CompletionReason::Ok);
}

#[test]
fn all_that_was_asked_before_the_end_is_answered() {
    let mut ev = ev();
    let (routes, reasons) = noting(hello());
    let (_, mut client) = one_client(&mut ev, routes);
    client.send(get("/").repeat(40) + "GET / HT");
    client.finish();
    for _ in 0..40 {
        assert_eq!(client.reply(&mut ev).text(), "hello");
    }
    assert_eq!(client.ends(&mut ev), End::Orderly);
    assert_eq!(*reasons.borrow(), [CompletionReason::Ok; 40]);
}

#[test]
fn a_half_close_can_be_an_abortion() {
    let mut ev = ev();
    let options = ServerOptions::new().half_close(HalfClose::Abort);
    let (_, mut client, reply, reasons) = handled(&mut ev, options);
    let told = Log::new();
    let notes = told.clone();
    reply.on_disconnect(move |_, how| notes.push(how));
    client.finish();
    client.ends(&mut ev);
    settle(&mut ev);
    assert_eq!(told.take(), [Disconnected::Gone]);
    assert!(!reply.is_connected(&ev));
    is_one(&reasons, CompletionReason::ClientAborted);
    assert!(reply.text(&mut ev, "x").is_err());
}

#[test]
fn a_disconnect_hook_is_not_called_for_a_request_that_was_answered() {
    let mut ev = ev();
    let told = Count::new();
    let count = told.clone();
    let routes = Routes::new().get("/", move |ev: &mut EvLoop, _, reply: Reply| {
        let count = count.clone();
        reply.on_disconnect(move |_, _| _ = count.up());
        reply.text(ev, "x")
    });
    let (_, mut client) = one_client(&mut ev, routes);
    client.ask(&mut ev, get("/"));
    client.ask(&mut ev, get("/"));
    client.finish();
    client.ends(&mut ev);
    settle(&mut ev);
    assert_eq!(told.get(), 0);
}

#[test]
fn a_client_that_leaves_while_its_body_is_taken_fails_the_body() {
    let mut ev = ev();
    let (told, slot) = (Log::new(), Slot::new());
    let (notes, kept) = (told.clone(), slot.clone());
    let (routes, reasons) = noting(Routes::new().streaming(
        Method::POST,
        "/",
        move |ev: &mut EvLoop, request: Request, reply: Reply| {
            let notes = notes.clone();
            kept.put(reply);
            request.receive(ev, move |_, _, event| match event {
                BodyEvent::Data(data) => notes.push(format!("data {}", data.drain(usize::MAX))),
                BodyEvent::End(_) => notes.push("end".into()),
                BodyEvent::Failed(BodyError::Over(why)) => notes.push(why.to_string()),
                other => notes.push(format!("{other:?}")),
            })?;
            Ok::<(), Error>(())
        },
    ));
    let (_, mut client) = one_client(&mut ev, routes);
    client.send(request("POST", "/", "Content-Length: 10\r\n", "four"));
    settle(&mut ev);
    drop(client);
    settle(&mut ev);
    assert_eq!(told.take(), ["data 4", "client-aborted"]);
    is_one(&reasons, CompletionReason::ClientAborted);
    assert!(slot.take().text(&mut ev, "x").is_err());
}

#[test]
fn a_client_that_leaves_inside_of_a_body_is_told_400() {
    let mut ev = ev();
    let (_, mut client) = one_client(
        &mut ev,
        Routes::new().post("/", |ev: &mut EvLoop, _, reply: Reply| reply.text(ev, "x")),
    );
    client.send(request("POST", "/", "Content-Length: 10\r\n", "four"));
    client.finish();
    let answer = client.reply(&mut ev);
    assert_eq!((answer.status, answer.closes()), (400, true));
    client.ends(&mut ev);
}
