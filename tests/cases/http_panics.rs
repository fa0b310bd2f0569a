// Panics of handlers and hooks: they end with their request, or go on to the caller of `run`.

use crate::talking::*;

/// One place to panic at, chosen by the path.
fn panicking() -> Routes {
    let fails = |what: &str, here: &str| assert!(what != here, "on purpose: {here}");
    Routes::new()
        .get("/{what}", move |ev: &mut EvLoop, request: Request, reply: Reply| {
            let what = request.param("what").unwrap().to_owned();
            match &*what {
                "begun" => {
                    let stream = reply.stream(ev, BodyLength::Unknown).unwrap();
                    stream.write(ev, "half").unwrap();
                    panic!("on purpose: begun");
                }
                "answered" => {
                    reply.text(ev, "answered").unwrap();
                    panic!("on purpose: answered");
                }
                "pulled" => {
                    reply.pull(ev, BodyLength::Unknown, |_| panic!("on purpose: pulled")).unwrap();
                    return;
                }
                _ => {}
            }
            fails(&what, "handler");
            reply.text(ev, "fine").unwrap();
        })
        .streaming(Method::POST, "/{what}", move |ev: &mut EvLoop, request: Request, reply: Reply| {
            let what = request.param("what").unwrap().to_owned();
            let mut reply = Some(reply);
            request
                .receive(ev, move |ev, _, event| match event {
                    BodyEvent::Data(data) => {
                        data.clear();
                        fails(&what, "data");
                    }
                    _ => {
                        fails(&what, "end");
                        reply.take().unwrap().text(ev, "fine").unwrap();
                    }
                })
                .unwrap();
        })
        .before(move |_, request, reply| {
            fails(request.path(), "/before");
            Some(reply)
        })
        .after(move |_, summary, _| fails(&summary.target, "/after"))
        .error_page(move |_, status, _| {
            fails(&status.to_string(), "404 Not Found");
            None
        })
}

/// Where a panic can be, how it is asked for, and what the client sees of it: a status, or 0 for a cut.
fn places() -> [(String, u16); 9] {
    [
        (get("/handler"), 500),
        (get("/begun"), 0),
        (get("/answered"), 200),
        (get("/pulled"), 0),
        (post("/data", "hello"), 500),
        (post("/end", "hello"), 500),
        (get("/before"), 500),
        (get("/after"), 500),
        (get("/not/found"), 404),
    ]
}

fn sees(ev: &mut EvLoop, client: &mut Client, expected: u16, asked: &str) {
    let answer = client.reply(ev);
    if expected == 0 {
        assert!(!answer.is_whole, "{asked}");
    } else {
        assert_eq!((answer.status, answer.is_whole), (expected, true), "{asked}");
    }
}

#[test]
fn a_panic_ends_with_its_request() {
    for (asked, expected) in places() {
        let mut ev = ev();
        let (told, reasons) = (Log::new(), Log::new());
        let (notes, why) = (told.clone(), reasons.clone());
        let routes = panicking()
            .on_failure(move |_, failure| {
                let FailureCause::Panic(_) = failure.cause else { panic!("not an error") };
                notes.push(failure.cause.to_string());
            })
            .on_completed(move |_, completed| why.push(completed.reason));
        let (server, mut client) = one_client(&mut ev, routes);
        let mut other = Client::new(&mut ev, server);
        client.send(&asked);
        sees(&mut ev, &mut client, expected, &asked);
        assert_eq!(other.ask(&mut ev, get("/fine")).text(), "fine");
        drop(client);
        settle(&mut ev);
        let told = told.take();
        assert_eq!(told.len(), 1, "{asked} {told:?}");
        assert!(told[0].starts_with("a handler has panicked: on purpose"), "{told:?}");
        let reasons = reasons.take();
        assert_eq!(reasons.len(), 2, "{asked}");
        let failed = reasons.contains(&CompletionReason::HandlerError);
        assert_eq!(failed, ![200, 404].contains(&expected), "{asked} {reasons:?}");
    }
}

#[test]
fn a_panic_can_go_on_to_the_caller_of_run() {
    for (asked, expected) in places() {
        let mut ev = ev();
        let options = ServerOptions::new().on_panic(PanicPolicy::Propagate);
        let reasons = Log::new();
        let why = reasons.clone();
        let routes = panicking().on_completed(move |_, completed| why.push(completed.reason));
        let (server, mut client) = one_client_with(&mut ev, options, routes);
        let mut other = Client::new(&mut ev, server);
        settle(&mut ev);
        client.send(&asked);
        other.send(get("/fine"));
        let mut panics = 0;
        for _ in 0..30 {
            if let Some(text) = panic_of(|| turn(&mut ev)) {
                assert!(text.starts_with("on purpose"), "{text}");
                panics += 1;
            }
        }
        assert_eq!(panics, 1, "{asked}");
        // The loop runs again, and nothing is lost.
        sees(&mut ev, &mut client, expected, &asked);
        assert_eq!(other.reply(&mut ev).text(), "fine");
        assert_eq!(other.ask(&mut ev, get("/fine")).text(), "fine");
        drop(client);
        settle(&mut ev);
        assert_eq!(reasons.len(), 3, "{asked}");
        ev.verify();
    }
}

#[test]
fn a_panic_in_the_receiver_whose_reply_is_elsewhere_is_answered_too() {
    for policy in [PanicPolicy::Isolate, PanicPolicy::Propagate] {
        let mut ev = ev();
        let slot = Slot::new();
        let kept = slot.clone();
        let routes = Routes::new().streaming(
            Method::POST,
            "/",
            move |ev: &mut EvLoop, request: Request, reply: Reply| {
                kept.put(reply);
                request.receive(ev, |_, _, _| panic!("on purpose")).map(|_| ())
            },
        );
        let options = ServerOptions::new().on_panic(policy);
        let (_, mut client) = one_client_with(&mut ev, options, routes);
        client.send(request("POST", "/", "Content-Length: 10\r\n", "12345"));
        let mut panics = 0;
        for _ in 0..30 {
            panics += usize::from(panic_of(|| turn(&mut ev)).is_some());
        }
        assert_eq!(panics, usize::from(policy == PanicPolicy::Propagate));
        let answer = client.reply(&mut ev);
        assert_eq!((answer.status, answer.closes()), (500, true));
        assert!(slot.take().text(&mut ev, "x").is_err());
    }
}

#[test]
fn hooks_that_are_only_told_may_panic() {
    let mut ev = ev();
    let routes = Routes::new()
        .get("/", |ev: &mut EvLoop, _, reply: Reply| {
            reply.on_completed(|_, _| panic!("on purpose"));
            reply.text(ev, "fine")
        })
        .on_connection(|_, _, _| panic!("on purpose"))
        .on_completed(|_, _| panic!("on purpose"))
        .on_request_line(|_, _, _, _| panic!("on purpose"));
    let (server, mut client) = one_client(&mut ev, routes);
    assert_eq!(client.ask(&mut ev, get("/")).text(), "fine");
    assert_eq!(client.ask(&mut ev, get("/")).text(), "fine");
    server.on_stopped(&mut ev, |_| panic!("on purpose"));
    server.stop_now(&mut ev);
    client.ends(&mut ev);
    settle(&mut ev);
    assert!(!server.exists(&ev));
}

#[test]
fn a_disconnect_hook_may_panic() {
    let mut ev = ev();
    let slot = Slot::new();
    let (routes, reasons) = noting(keeps(&slot));
    let (_, mut client) = one_client(&mut ev, routes);
    client.send(get("/"));
    settle(&mut ev);
    let reply = slot.take();
    reply.on_disconnect(|_, _| panic!("on purpose"));
    client.finish();
    settle(&mut ev);
    reply.text(&mut ev, "fine").unwrap();
    assert_eq!(client.reply(&mut ev).text(), "fine");
    settle(&mut ev);
    assert_eq!(*reasons.borrow(), [CompletionReason::Ok]);
}

#[test]
fn a_hook_of_connections_that_panics_lets_nobody_in() {
    let mut ev = ev();
    let options =
        ServerOptions::new().on_panic(PanicPolicy::Propagate).accept_from(IpRules::deny_all());
    let routes = hello().on_connection(|_, _, event| {
        if event == ConnectionEvent::Opened {
            std::panic::resume_unwind(Box::new("on purpose"));
        }
    });
    let server = options.listen(&mut ev, "127.0.0.1:0", routes).unwrap();
    let mut client = Client::connect(server.addresses(&ev)[0].port().unwrap());
    client.send(get("/"));
    let begun = Instant::now();
    let mut panics = 0;
    while client.is_open() && begun.elapsed() < secs(20) {
        panics += usize::from(panic_of(|| turn(&mut ev)).is_some());
    }
    assert_eq!((panics, client.is_open(), client.waiting()), (1, false, 0));
}

#[test]
fn what_panics_as_it_is_dropped_with_a_connection_keeps_no_server_from_stopping() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            std::panic::resume_unwind(Box::new("on purpose"));
        }
    }
    let mut ev = ev();
    let slot = Slot::new();
    let (server, mut client) = one_client(&mut ev, keeps(&slot));
    client.send(get("/"));
    settle(&mut ev);
    let reply = slot.take();
    reply.connection().stream().close_now(&mut ev);
    let bomb = Bomb;
    reply.on_disconnect(move |_, _| {
        let _kept = &bomb;
    });
    assert!(panic_of(|| settle(&mut ev)).is_some());
    drop(reply);
    until(&mut ev, |ev| ev.stream_count() == 0);
    let stopped = Count::new();
    let told = stopped.clone();
    assert!(server.on_stopped(&mut ev, move |_| _ = told.up()));
    server.shutdown(&mut ev, None);
    settle(&mut ev);
    assert_eq!(stopped.get(), 1);
}
