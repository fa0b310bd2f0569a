// How servers end.

use crate::talking::*;

/// Counts how often a server has stopped.
fn stops(ev: &mut EvLoop, server: Server) -> Count {
    let count = Count::new();
    let of = count.clone();
    assert!(server.on_stopped(ev, move |_| _ = of.up()));
    count
}

fn routes(slot: &Slot<Reply>) -> (Routes, Reasons) {
    noting(keeps(slot).get("/hello", |ev: &mut EvLoop, _, reply: Reply| reply.text(ev, "hello")))
}

fn listening(ev: &mut EvLoop, routes: Routes) -> (Server, u16) {
    let server = ServerOptions::new().listen(ev, "127.0.0.1:0", routes).unwrap();
    let port = server.addresses(ev)[0].port().unwrap();
    (server, port)
}

fn refuses(port: u16) -> bool {
    std::net::TcpStream::connect(("127.0.0.1", port)).is_err()
}

#[test]
fn a_shutdown_closes_what_is_idle_at_once() {
    let mut ev = ev();
    let slot = Slot::new();
    let (server, port) = listening(&mut ev, routes(&slot).0);
    let mut fresh = Client::tcp(&mut ev, server);
    let mut idle = Client::tcp(&mut ev, server);
    idle.ask(&mut ev, get("/hello"));
    let stopped = stops(&mut ev, server);
    server.shutdown(&mut ev, Some(secs(10)));
    assert_eq!(stopped.get(), 0);
    assert_eq!((idle.ends(&mut ev), fresh.ends(&mut ev)), (End::Orderly, End::Orderly));
    until(&mut ev, |_| stopped.get() == 1);
    assert!(refuses(port));
    assert!(!server.exists(&ev));
    settle(&mut ev);
    assert_eq!(stopped.get(), 1);
    // Nothing is left that would keep the loop running.
    assert!(!ev.run().unwrap());
}

#[test]
fn a_shutdown_lets_what_is_handled_finish() {
    let mut ev = ev();
    let slot = Slot::new();
    let (routes, reasons) = routes(&slot);
    let (server, port) = listening(&mut ev, routes);
    let mut client = Client::tcp(&mut ev, server);
    client.send(get("/") + &get("/hello"));
    until(&mut ev, |_| !slot.is_empty());
    let stopped = stops(&mut ev, server);
    server.shutdown(&mut ev, Some(secs(10)));
    assert!(refuses(port));
    pass(&mut ev, secs(9));
    assert_eq!(stopped.get(), 0);
    slot.take().text(&mut ev, "done").unwrap();
    let answer = client.reply(&mut ev);
    assert_eq!((answer.text(), answer.closes()), ("done", true));
    client.finish();
    assert_eq!(client.ends(&mut ev), End::Orderly);
    until(&mut ev, |_| stopped.get() == 1);
    assert_eq!(*reasons.borrow(), [CompletionReason::Ok]);
    pass(&mut ev, secs(5));
}

#[test]
fn a_shutdown_lets_a_request_finish_that_has_begun_to_come() {
    let mut ev = ev();
    let slot = Slot::new();
    let (server, mut client) = one_client(&mut ev, routes(&slot).0.post(
        "/body",
        |ev: &mut EvLoop, request: Request, reply: Reply| reply.text(ev, request.body()),
    ));
    let mut other = Client::new(&mut ev, server);
    client.send("GET /hello HT");
    other.send(request("POST", "/body", "Content-Length: 4\r\n", "fo"));
    settle(&mut ev);
    let stopped = stops(&mut ev, server);
    server.shutdown(&mut ev, Some(secs(10)));
    settle(&mut ev);
    let answer = client.ask(&mut ev, "TP/1.1\r\nHost: here\r\n\r\n");
    assert_eq!((answer.text(), answer.closes()), ("hello", true));
    let answer = other.ask(&mut ev, "ur");
    assert_eq!((answer.text(), answer.closes()), ("four", true));
    until(&mut ev, |_| stopped.get() == 1);
}

#[test]
fn a_shutdown_lets_a_reply_finish_that_has_begun() {
    let mut ev = ev();
    let slot = Slot::new();
    let kept = slot.clone();
    let (routes, reasons) = noting(Routes::new().get("/", move |ev: &mut EvLoop, _, reply: Reply| {
        kept.put(reply.stream(ev, BodyLength::Unknown)?);
        Ok::<(), Error>(())
    }));
    let (server, mut client) = one_client(&mut ev, routes);
    client.send(get("/"));
    settle(&mut ev);
    server.shutdown(&mut ev, None);
    pass(&mut ev, secs(100));
    let stream: ReplyStream = slot.take();
    stream.write(&mut ev, "slow").unwrap();
    stream.end(&mut ev).unwrap();
    let answer = client.reply(&mut ev);
    assert_eq!((answer.text(), answer.is_whole), ("slow", true));
    assert_eq!(client.ends(&mut ev), End::Orderly);
    settle(&mut ev);
    assert_eq!(*reasons.borrow(), [CompletionReason::Ok]);
    assert!(!server.exists(&ev));
}

#[test]
fn a_shutdown_lets_what_was_written_leave() {
    let mut ev = ev();
    let (routes, reasons) = noting(Routes::new().get("/", |ev: &mut EvLoop, _, reply: Reply| {
        reply.send(ev, Response::bytes("a/b", vec![b'x'; 5_000_000]))
    }));
    let (server, mut client) = one_client(&mut ev, routes);
    client.send(get("/"));
    settle(&mut ev);
    server.shutdown(&mut ev, Some(secs(10)));
    let answer = client.reply(&mut ev);
    assert_eq!((answer.body.len(), answer.is_whole), (5_000_000, true));
    assert_eq!(client.ends(&mut ev), End::Orderly);
    settle(&mut ev);
    assert_eq!(*reasons.borrow(), [CompletionReason::Ok]);
}

#[test]
fn what_is_not_done_in_time_is_cut() {
    let mut ev = ev();
    let slot = Slot::new();
    let (routes, reasons) = routes(&slot);
    let (server, mut client) = one_client(&mut ev, routes);
    client.send(get("/"));
    settle(&mut ev);
    let reply = slot.take();
    let stopped = stops(&mut ev, server);
    server.shutdown(&mut ev, Some(secs(10)));
    pass(&mut ev, ms(9_900));
    assert_eq!(stopped.get(), 0);
    client.hears_nothing(&mut ev);
    pass(&mut ev, ms(100));
    client.ends(&mut ev);
    assert_eq!(stopped.get(), 1);
    assert_eq!(*reasons.borrow(), [CompletionReason::ServerShutdown]);
    assert!(reply.text(&mut ev, "x").is_err());
}

#[test]
fn a_second_shutdown_can_be_more_impatient() {
    let mut ev = ev();
    let slot = Slot::new();
    let (server, mut client) = one_client(&mut ev, routes(&slot).0);
    client.send(get("/"));
    settle(&mut ev);
    server.shutdown(&mut ev, None);
    pass(&mut ev, secs(100));
    client.hears_nothing(&mut ev);
    server.shutdown(&mut ev, Some(secs(1)));
    pass(&mut ev, secs(1));
    client.ends(&mut ev);
    assert!(!server.exists(&ev));
}

#[test]
fn stop_now_stops_now() {
    let mut ev = ev();
    let slot = Slot::new();
    let (routes, reasons) = routes(&slot);
    let (server, port) = listening(&mut ev, routes);
    let mut handled = Client::tcp(&mut ev, server);
    let mut idle = Client::tcp(&mut ev, server);
    handled.send(get("/"));
    until(&mut ev, |_| !slot.is_empty());
    let stopped = stops(&mut ev, server);
    server.stop_now(&mut ev);
    handled.ends(&mut ev);
    idle.ends(&mut ev);
    assert!(refuses(port));
    until(&mut ev, |_| stopped.get() == 1);
    assert_eq!(*reasons.borrow(), [CompletionReason::ServerShutdown]);
    assert!(!server.on_stopped(&mut ev, |_| panic!("it has stopped before")));
    server.stop_now(&mut ev);
    server.shutdown(&mut ev, None);
    assert!(server.quiesce(&mut ev).is_empty());
    assert!(server.addresses(&ev).is_empty() && server.connections(&ev).is_empty());
}

#[test]
fn a_server_that_is_quiesced_serves_on_and_its_sockets_live() {
    let mut ev = ev();
    let (server, port) = listening(&mut ev, hello());
    let mut client = Client::tcp(&mut ev, server);
    client.ask(&mut ev, get("/"));
    let sockets = server.quiesce(&mut ev);
    assert_eq!(sockets.len(), 1);
    assert_eq!(client.ask(&mut ev, get("/")).text(), "hello");
    // It is in the queue, for whoever comes next.
    let mut waiting = Client::connect(port);
    waiting.send(get("/"));
    waiting.hears_nothing(&mut ev);
    let next = hello().get("/next", |ev: &mut EvLoop, _, reply: Reply| reply.text(ev, "next"));
    let socket = sockets.into_iter().next().unwrap();
    let second = ServerOptions::new().adopt(&mut ev, socket, next).unwrap();
    assert_eq!(waiting.reply(&mut ev).text(), "hello");
    assert_eq!(waiting.ask(&mut ev, get("/next")).text(), "next");
    assert_eq!(client.ask(&mut ev, get("/next")).status, 404);
    server.shutdown(&mut ev, None);
    client.ends(&mut ev);
    assert_eq!(waiting.ask(&mut ev, get("/next")).text(), "next");
    assert!(second.exists(&ev));
}

#[test]
fn a_server_without_connections_stops_in_the_next_iteration() {
    let mut ev = ev();
    let (server, _) = listening(&mut ev, hello());
    let stopped = stops(&mut ev, server);
    server.shutdown(&mut ev, Some(secs(100)));
    assert_eq!(stopped.get(), 0);
    assert!(!ev.run().unwrap());
    assert_eq!(stopped.get(), 1);
}

#[test]
fn a_stopped_server_serves_nobody() {
    let mut ev = ev();
    let slot = Slot::new();
    let (server, mut client) = one_client(&mut ev, routes(&slot).0);
    client.send(get("/"));
    settle(&mut ev);
    server.shutdown(&mut ev, None);
    let (near, _far) = std::os::unix::net::UnixStream::pair().unwrap();
    assert_eq!(server.serve_fd(&mut ev, near).unwrap_err().kind(), ErrorKind::Closed);
    drop(slot.take());
    assert_eq!(client.reply(&mut ev).status, 500);
    settle(&mut ev);
    let (near, _far) = std::os::unix::net::UnixStream::pair().unwrap();
    assert_eq!(server.serve_fd(&mut ev, near).unwrap_err().kind(), ErrorKind::Closed);
}

// --- from inside ---

#[test]
fn a_handler_can_stop_its_server() {
    for answers_first in [false, true] {
        let mut ev = ev();
        let (routes, reasons) = noting(Routes::new().get("/", move |ev: &mut EvLoop, _, reply: Reply| {
            let server = reply.server();
            if answers_first {
                reply.text(ev, "bye").unwrap();
                server.stop_now(ev);
            } else {
                server.stop_now(ev);
                assert_eq!(reply.text(ev, "bye").unwrap_err().kind(), ErrorKind::Closed);
            }
        }));
        let (server, mut client) = one_client(&mut ev, routes);
        let stopped = stops(&mut ev, server);
        client.send(get("/").repeat(3));
        until(&mut ev, |_| stopped.get() == 1);
        client.rest(&mut ev);
        assert_eq!(*reasons.borrow(), [CompletionReason::ServerShutdown]);
    }
}

#[test]
fn a_handler_can_shut_its_server_down() {
    let mut ev = ev();
    let (routes, reasons) = noting(Routes::new().get("/", |ev: &mut EvLoop, _, reply: Reply| {
        reply.server().shutdown(ev, Some(secs(1)));
        reply.text(ev, "bye")
    }));
    let (server, mut client) = one_client(&mut ev, routes);
    let mut idle = Client::new(&mut ev, server);
    settle(&mut ev);
    let answer = client.ask(&mut ev, get("/"));
    assert_eq!((answer.text(), answer.closes()), ("bye", true));
    assert_eq!((client.ends(&mut ev), idle.ends(&mut ev)), (End::Orderly, End::Orderly));
    settle(&mut ev);
    assert_eq!(*reasons.borrow(), [CompletionReason::Ok]);
    assert!(!server.exists(&ev));
}

#[test]
fn a_handler_can_close_its_own_connection() {
    let mut ev = ev();
    let (routes, reasons) = noting(hello().get("/cut", |ev: &mut EvLoop, _, reply: Reply| {
        reply.connection().stream().close_now(ev);
        assert!(reply.text(ev, "x").is_err());
    }));
    let (server, mut client) = one_client(&mut ev, routes);
    let mut other = Client::new(&mut ev, server);
    client.send(get("/cut") + &get("/cut"));
    client.ends(&mut ev);
    settle(&mut ev);
    assert_eq!(*reasons.borrow(), [CompletionReason::HandlerError]);
    assert_eq!(other.ask(&mut ev, get("/")).text(), "hello");
}

#[test]
fn a_hook_can_start_another_server() {
    let mut ev = ev();
    let slot = Slot::new();
    let (server, mut client) = one_client(&mut ev, hello());
    client.ask(&mut ev, get("/"));
    let kept = slot.clone();
    server.on_stopped(&mut ev, move |ev| {
        kept.put(ServerOptions::new().unbound(ev, hello()).unwrap());
    });
    server.shutdown(&mut ev, None);
    client.ends(&mut ev);
    until(&mut ev, |_| !slot.is_empty());
    let mut client = Client::new(&mut ev, slot.take());
    assert_eq!(client.ask(&mut ev, get("/")).text(), "hello");
}

#[test]
fn a_dropped_loop_lets_go_of_everything() {
    struct Owned(Count);
    impl Drop for Owned {
        fn drop(&mut self) {
            self.0.up();
        }
    }
    let mut ev = ev();
    let (slot, dropped) = (Slot::new(), Count::new());
    let [a, b, c] = [(); 3].map(|()| Owned(dropped.clone()));
    let routes = keeps(&slot)
        .get("/x", move |_: &mut EvLoop, _, _reply: Reply| drop(a.0.clone()))
        .before(move |_, _, reply| {
            let _ = &b;
            Some(reply)
        })
        .on_completed(move |_, _| _ = c.0.get());
    let (_, mut client) = one_client(&mut ev, routes);
    client.send(get("/"));
    settle(&mut ev);
    let reply = slot.take();
    reply.on_completed(|_, completed| assert_eq!(completed.reason, CompletionReason::ServerShutdown));
    drop(ev);
    drop(reply);
    drop(slot);
    assert!(!client.is_open());
    assert_eq!(dropped.get(), 3);
}

#[test]
fn a_server_that_is_gone_lets_go_of_handlers_that_keep_its_replies() {
    for stops in [true, false] {
        let mut ev = ev();
        let (kept, handler) = (RefCell::new(Vec::new()), Rc::new(()));
        let held = Rc::downgrade(&handler);
        let routes = Routes::new().get("/", move |_: &mut EvLoop, _, reply: Reply| {
            let _ = &handler;
            kept.borrow_mut().push(reply);
        });
        let (server, mut client) = one_client(&mut ev, routes);
        client.send(get("/"));
        settle(&mut ev);
        if stops {
            server.stop_now(&mut ev);
            settle(&mut ev);
        } else {
            drop(ev);
        }
        assert_eq!(held.strong_count(), 0, "stops: {stops}");
    }
}

#[test]
fn a_reply_knows_that_its_server_has_stopped() {
    let mut ev = ev();
    let seen = Slot::new();
    let sees = seen.clone();
    let routes = Routes::new().get("/", move |ev: &mut EvLoop, _, reply: Reply| {
        reply.server().stop_now(ev);
        sees.put((reply.is_connected(ev), reply.error(ev, Status::NOT_FOUND).is_ok()));
    });
    let (_, mut client) = one_client(&mut ev, routes);
    client.send(get("/"));
    client.ends(&mut ev);
    assert_eq!(seen.take(), (false, false));
}

// --- runs inside of runs ---

#[test]
fn others_are_served_from_inside_of_a_handler() {
    let mut ev = ev();
    let (inner, done) = (Slot::<()>::new(), Slot::<()>::new());
    let (run, ready) = (inner.clone(), done.clone());
    let routes = hello().get("/nested", move |ev: &mut EvLoop, _, reply: Reply| {
        if run.get().is_some() {
            // The case's own client asks for `/` meanwhile, and for this route again.
            ready.put(());
            for _ in 0..20 {
                ev.turn(Some(ZERO)).unwrap();
            }
            return reply.text(ev, "outer");
        }
        reply.text(ev, "inner")
    });
    let (server, mut client) = one_client(&mut ev, routes);
    let mut other = Client::new(&mut ev, server);
    let mut same = Client::new(&mut ev, server);
    settle(&mut ev);
    inner.put(());
    client.send(get("/nested") + &get("/nested"));
    other.send(get("/"));
    same.send(get("/nested"));
    turn(&mut ev);
    until(&mut ev, |_| !done.is_empty());
    assert_eq!(other.reply(&mut ev).text(), "hello");
    // Whoever was first has had it all the time; the others have waited for it.
    let (first, second) = (client.reply(&mut ev), client.reply(&mut ev));
    let mut all = [first.text(), second.text(), same.reply(&mut ev).text()].map(str::to_owned);
    all.sort_unstable();
    assert_eq!(all, ["inner", "inner", "outer"]);
}

#[test]
fn a_client_that_waits_for_a_handler_in_use_may_leave() {
    let mut ev = ev();
    let slot = Slot::<Client>::new();
    let of = slot.clone();
    let (routes, reasons) = noting(Routes::new().get("/", move |ev: &mut EvLoop, _, reply: Reply| {
        if let Some(other) = of.get() {
            for _ in 0..10 {
                ev.turn(Some(ZERO)).unwrap();
            }
            drop(other);
            for _ in 0..10 {
                ev.turn(Some(ZERO)).unwrap();
            }
        }
        reply.text(ev, "x")
    }));
    let (server, mut client) = one_client(&mut ev, routes);
    let mut other = Client::new(&mut ev, server);
    settle(&mut ev);
    other.send(get("/"));
    slot.put(other);
    client.send(get("/"));
    // Whichever comes first, both end, and the server goes on.
    settle(&mut ev);
    assert_eq!(client.reply(&mut ev).text(), "x");
    assert_eq!(client.ask(&mut ev, get("/")).text(), "x");
    settle(&mut ev);
    assert_eq!(reasons.borrow().len(), 3);
}

#[test]
fn a_server_can_be_stopped_from_inside_of_a_nested_run() {
    let mut ev = ev();
    let seen = Slot::new();
    let sees = seen.clone();
    let (routes, reasons) = noting(Routes::new().get("/", move |ev: &mut EvLoop, _, reply: Reply| {
        let server = reply.server();
        ev.defer(move |ev| server.stop_now(ev));
        for _ in 0..10 {
            ev.turn(Some(ZERO)).unwrap();
        }
        // It has not stopped before the last of its handlers has returned.
        sees.put((server.exists(ev), reply.is_connected(ev), reply.text(ev, "x").is_ok()));
    }));
    let (server, mut client) = one_client(&mut ev, routes);
    client.send(get("/"));
    client.ends(&mut ev);
    settle(&mut ev);
    assert_eq!(seen.take(), (true, false, false));
    assert!(!server.exists(&ev));
    assert_eq!(*reasons.borrow(), [CompletionReason::ServerShutdown]);
}
