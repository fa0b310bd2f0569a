// Replies: at once, later, from other threads, never; and what they look like.

use std::sync::Arc;
use std::thread;

use evloop::net::{Shared, Written};

use crate::talking::*;

/// Routes with one handler, at `GET /`.
fn at_root<R: Outcome + 'static>(
    handler: impl FnMut(&mut EvLoop, Request, Reply) -> R + 'static,
) -> Routes {
    Routes::new().get("/", handler)
}

/// What one request is answered by this handler.
fn answer_of<R: Outcome + 'static>(
    handler: impl FnMut(&mut EvLoop, Request, Reply) -> R + 'static,
) -> Answer {
    let mut ev = ev();
    let (_, mut client) = one_client(&mut ev, at_root(handler));
    let answer = client.ask(&mut ev, get("/"));
    // What follows is not mistaken for something else.
    if !answer.closes() {
        client.hears_nothing(&mut ev);
    }
    answer
}

// --- when ---

#[test]
fn a_reply_can_come_from_a_timer() {
    let mut ev = ev();
    let routes = at_root(|ev: &mut EvLoop, _, reply: Reply| {
        ev.after(secs(5), move |ev| reply.text(ev, "late").unwrap());
    });
    let (_, mut client) = one_client(&mut ev, routes);
    client.send(get("/"));
    pass(&mut ev, ms(4999));
    client.hears_nothing(&mut ev);
    pass(&mut ev, ms(1));
    assert_eq!(client.reply(&mut ev).text(), "late");
}

#[test]
fn a_late_reply_holds_up_its_own_connection_and_no_other() {
    let mut ev = ev();
    let slot = Slot::new();
    let routes = keeps(&slot).get("/other", |ev: &mut EvLoop, _, reply: Reply| {
        reply.text(ev, "other")
    });
    let (server, mut client) = one_client(&mut ev, routes);
    client.send(get("/") + &get("/other"));
    client.hears_nothing(&mut ev);
    let mut second = Client::new(&mut ev, server);
    assert_eq!(second.ask(&mut ev, get("/other")).text(), "other");
    slot.take().text(&mut ev, "first").unwrap();
    assert_eq!(client.reply(&mut ev).text(), "first");
    assert_eq!(client.reply(&mut ev).text(), "other");
}

#[test]
fn a_reply_can_come_from_another_thread() {
    let mut ev = live_ev();
    let _watch = Watchdog::new(secs(60));
    let routes = at_root(|_: &mut EvLoop, _, reply: Reply| {
        let reply = reply.header("X-Here", "loop").into_remote().unwrap();
        thread::spawn(move || {
            reply.send(Response::text("from afar").status(Status::ACCEPTED).header("X-There", "1"))
        });
    });
    let (_, mut client) = one_client(&mut ev, routes);
    for _ in 0..3 {
        let answer = client.ask(&mut ev, get("/"));
        assert_eq!((answer.status, answer.text()), (202, "from afar"));
        assert_eq!((answer.field("x-here"), answer.field("x-there")), (Some("loop"), Some("1")));
    }
}

#[test]
fn a_reply_that_another_thread_drops_is_500() {
    let mut ev = live_ev();
    let _watch = Watchdog::new(secs(60));
    let routes = at_root(|_: &mut EvLoop, _, reply: Reply| {
        let reply = reply.into_remote();
        thread::spawn(move || drop(reply));
    });
    let (_, mut client) = one_client(&mut ev, routes);
    assert_eq!(client.ask(&mut ev, get("/")).status, 500);
    assert_eq!(client.ask(&mut ev, get("/")).status, 500);
}

#[test]
fn a_remote_reply_outlives_its_loop() {
    let mut ev = live_ev();
    let (slot, dropped) = (Slot::new(), Slot::new());
    let (one, other) = (slot.clone(), dropped.clone());
    let routes = at_root(move |_: &mut EvLoop, _, reply: Reply| one.put(reply.into_remote().unwrap()))
        .get("/b", move |_: &mut EvLoop, _, reply: Reply| other.put(reply.into_remote().unwrap()));
    let (server, mut client) = one_client(&mut ev, routes);
    let mut second = Client::new(&mut ev, server);
    client.send(get("/"));
    second.send(get("/b"));
    until(&mut ev, |_| !slot.is_empty() && !dropped.is_empty());
    drop(ev);
    assert!(!slot.take().send(Response::text("too late")));
    drop(dropped.take());
}

#[test]
fn a_remote_reply_to_a_client_that_is_gone_harms_nobody() {
    let mut ev = live_ev();
    let slot = Slot::new();
    let kept = slot.clone();
    let routes = at_root(move |_: &mut EvLoop, _, reply: Reply| kept.put(reply.into_remote().unwrap()))
        .get("/b", |ev: &mut EvLoop, _, reply: Reply| reply.text(ev, "b"));
    let (server, mut client) = one_client(&mut ev, routes);
    client.send(get("/"));
    until(&mut ev, |_| !slot.is_empty());
    drop(client);
    settle(&mut ev);
    assert!(slot.take().send(Response::text("x")));
    let mut second = Client::new(&mut ev, server);
    assert_eq!(second.ask(&mut ev, get("/b")).text(), "b");
}

// --- never, or twice ---

#[test]
fn a_reply_that_is_dropped_at_once_is_500() {
    let answer = answer_of(|_: &mut EvLoop, _, reply| drop(reply));
    assert_eq!((answer.status, answer.closes()), (500, false));
}

#[test]
fn a_reply_that_is_dropped_later_is_500() {
    let mut ev = ev();
    let slot = Slot::new();
    let (_, mut client) = one_client(&mut ev, keeps(&slot));
    for _ in 0..3 {
        client.send(get("/"));
        client.hears_nothing(&mut ev);
        drop(slot.take());
        assert_eq!(client.reply(&mut ev).status, 500);
    }
}

#[test]
fn an_error_is_500_and_is_reported() {
    let mut ev = ev();
    let told = Log::new();
    let notes = told.clone();
    let routes = at_root(|_: &mut EvLoop, _, _: Reply| Err::<(), _>("no such luck"))
        .on_failure(move |_, failure| notes.push(failure.cause.to_string()));
    let (_, mut client) = one_client(&mut ev, routes);
    let answer = client.ask(&mut ev, get("/"));
    assert_eq!((answer.status, answer.closes()), (500, false));
    assert_eq!(told.take(), ["a handler has failed: no such luck"]);
    assert_eq!(client.ask(&mut ev, get("/")).status, 500);
}

#[test]
fn a_failure_says_what_caused_the_error_if_it_is_asked_to() {
    let mut ev = ev();
    let told = Log::new();
    let notes = told.clone();
    let routes = at_root(|_: &mut EvLoop, _, _: Reply| Files::new("/no/such/place").map(drop))
        .on_failure(move |_, failure| {
            notes.push(failure.to_string());
            notes.push(format!("{failure:#}"));
        });
    let (_, mut client) = one_client(&mut ev, routes);
    assert_eq!(client.ask(&mut ev, get("/")).status, 500);
    let text = "a handler has failed: opening a directory: reading or writing failed";
    let cause = "/no/such/place: No such file or directory (os error 2)";
    assert_eq!(told.take(), [text.to_owned(), format!("{text}: {cause}")]);
}

#[test]
fn an_error_after_the_reply_changes_nothing_of_it() {
    let mut ev = ev();
    let told = Count::new();
    let count = told.clone();
    let routes = at_root(|ev: &mut EvLoop, _, reply: Reply| {
        reply.text(ev, "done").unwrap();
        Err::<(), _>("afterwards")
    })
    .on_failure(move |_, _| _ = count.up());
    let (_, mut client) = one_client(&mut ev, routes);
    assert_eq!(client.ask(&mut ev, get("/")).text(), "done");
    assert_eq!(client.ask(&mut ev, get("/")).text(), "done");
    assert_eq!(told.get(), 2);
}

#[test]
fn an_error_inside_of_a_body_cuts_the_connection() {
    let mut ev = ev();
    let kept = Slot::new();
    let slot = kept.clone();
    let routes = at_root(move |ev: &mut EvLoop, _, reply: Reply| {
        let stream = reply.stream(ev, BodyLength::Unknown).unwrap();
        stream.write(ev, "begun").unwrap();
        slot.put(stream);
        Err::<(), _>("half way")
    });
    let (_, mut client) = one_client(&mut ev, routes);
    let answer = client.ask(&mut ev, get("/"));
    assert_eq!((answer.text(), answer.is_whole), ("begun", false));
    assert!(kept.take().write(&mut ev, "more").is_err());
}

#[test]
fn a_client_that_is_gone_is_an_error_of_the_reply() {
    let mut ev = ev();
    let slot = Slot::new();
    let (_, mut client) = one_client(&mut ev, keeps(&slot));
    client.send(get("/"));
    client.hears_nothing(&mut ev);
    let reply = slot.take();
    assert!(reply.is_connected(&ev));
    drop(client);
    // It has only ended its side, for all that is known, until something is written.
    settle(&mut ev);
    if !reply.is_connected(&ev) {
        assert_eq!(reply.text(&mut ev, "x").unwrap_err().kind(), ErrorKind::Closed);
    }
    settle(&mut ev);
}

// --- what they look like ---

#[test]
fn types_are_as_they_are_named() {
    type Send = fn(&mut EvLoop, Reply) -> Result<()>;
    let cases: [(Send, Option<&str>); 6] = [
        (|ev, reply| reply.text(ev, "x"), Some("text/plain; charset=utf-8")),
        (|ev, reply| reply.html(ev, "x"), Some("text/html; charset=utf-8")),
        (|ev, reply| reply.json(ev, "x"), Some("application/json")),
        (|ev, reply| reply.bytes(ev, "image/png", "x"), Some("image/png")),
        (|ev, reply| reply.header("Content-Type", "a/b").text(ev, "x"), Some("a/b")),
        (|ev, reply| reply.empty(ev), None),
    ];
    for (send, expected) in cases {
        let answer = answer_of(move |ev: &mut EvLoop, _, reply: Reply| send(ev, reply));
        assert_eq!(answer.field("content-type"), expected);
    }
}

#[test]
fn the_last_type_counts_and_a_replys_own_wins_over_its_responses() {
    let answer = answer_of(|ev: &mut EvLoop, _, reply: Reply| {
        let response = Response::text("x").header("content-type", "c/d").header("X", "1");
        reply.header("Content-Type", "a/b").header("Y", "2").send(ev, response)
    });
    assert_eq!(answer.field("content-type"), Some("a/b"));
    assert_eq!((answer.field("x"), answer.field("y")), (Some("1"), Some("2")));
}

#[test]
fn a_status_is_sent_with_its_reason() {
    let answer = answer_of(|ev: &mut EvLoop, _, reply: Reply| {
        reply.status(Status::IM_A_TEAPOT).text(ev, "short")
    });
    assert!(answer.line.starts_with("HTTP/1.1 418 "), "{}", answer.line);
    let answer = answer_of(|ev: &mut EvLoop, _, reply: Reply| {
        reply.status(Status::from_code(799).unwrap()).text(ev, "odd")
    });
    assert_eq!((answer.line.as_str(), answer.text()), ("HTTP/1.1 799 ", "odd"));
}

#[test]
fn a_redirect_is_302_unless_it_is_something_else() {
    let answer = answer_of(|ev: &mut EvLoop, _, reply: Reply| reply.redirect(ev, "/there"));
    assert_eq!((answer.status, answer.field("location")), (302, Some("/there")));
    assert_eq!(answer.field("content-length"), Some("0"));
    let answer = answer_of(|ev: &mut EvLoop, _, reply: Reply| {
        reply.status(Status::SEE_OTHER).redirect(ev, "/there")
    });
    assert_eq!(answer.status, 303);
}

#[test]
fn a_ready_made_error_has_its_page() {
    let answer = answer_of(|ev: &mut EvLoop, _, reply: Reply| {
        reply.header("WWW-Authenticate", "Basic").error(ev, Status::UNAUTHORIZED)
    });
    assert_eq!((answer.status, answer.text()), (401, "401 Unauthorized\n"));
    assert_eq!(answer.field("www-authenticate"), Some("Basic"));
    let answer =
        answer_of(|ev: &mut EvLoop, _, reply: Reply| reply.error(ev, Status::SERVICE_UNAVAILABLE));
    assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
}

#[test]
fn every_body_arrives_as_it_is() {
    for size in [0, 1, 1000, 16 * 1024, 16 * 1024 + 1, 100_000, 3_000_000] {
        let bytes: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
        let text: String = bytes.iter().map(|byte| char::from(byte % 26 + b'a')).collect();
        let shared = Shared::from(bytes.clone());
        let fixed: &'static [u8] = Box::leak(bytes.clone().into_boxed_slice());
        let (of, bytes_of) = (text.clone(), bytes.clone());
        let routes = Routes::new()
            .get("/copied", move |ev: &mut EvLoop, _, reply: Reply| reply.text(ev, &of))
            .get("/owned", move |ev: &mut EvLoop, _, reply: Reply| {
                reply.send(ev, Response::bytes("a/b", bytes_of.clone()))
            })
            .get("/fixed", move |ev: &mut EvLoop, _, reply: Reply| {
                reply.send(ev, Response::fixed("a/b", fixed))
            })
            .get("/shared", move |ev: &mut EvLoop, _, reply: Reply| {
                reply.send(ev, Response::shared("a/b", shared.clone()))
            });
        let mut ev = ev();
        let (_, mut client) = one_client(&mut ev, routes);
        for path in ["/copied", "/owned", "/fixed", "/shared"] {
            let answer = client.ask(&mut ev, get(path));
            let expected = if path == "/copied" { text.as_bytes() } else { &bytes };
            assert_eq!(answer.field("content-length"), Some(&*size.to_string()));
            assert!(answer.body == expected, "{path} {size}");
        }
    }
}

#[test]
fn a_shared_body_is_let_go_when_the_last_has_sent_it() {
    let mut ev = ev();
    let body: Arc<[u8]> = vec![b'x'; 500_000].into();
    let shared = Shared::from(Arc::clone(&body));
    let response = Response::shared("a/b", shared);
    let routes = at_root(move |ev: &mut EvLoop, _, reply: Reply| reply.send(ev, response.clone()));
    let server = serve(&mut ev, routes);
    let mut clients: Vec<_> = (0..3).map(|_| Client::new(&mut ev, server)).collect();
    clients.iter_mut().for_each(|client| client.send(get("/")));
    settle(&mut ev);
    assert!(Arc::strong_count(&body) > 1);
    for client in &mut clients {
        assert_eq!(client.reply(&mut ev).body.len(), 500_000);
    }
    server.stop_now(&mut ev);
    settle(&mut ev);
    assert_eq!(Arc::strong_count(&body), 1);
}

#[test]
fn a_part_of_a_file_is_sent() {
    let mut ev = ev();
    let path = temporary("http");
    std::fs::write(&path, "0123456789").unwrap();
    let file = std::fs::File::open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let file = Arc::new(file);
    let of = Arc::clone(&file);
    let routes = at_root(move |ev: &mut EvLoop, _, reply: Reply| {
        reply.file(ev, "a/b", Arc::clone(&of), 2, 5)
    })
    .get("/long", move |ev: &mut EvLoop, _, reply: Reply| {
        // More than there is: the connection is cut where the file ends.
        reply.file(ev, "a/b", Arc::clone(&file), 8, 100)
    });
    let (_, mut client) = one_client(&mut ev, routes);
    client.send(request("HEAD", "/", "", ""));
    assert_eq!(client.reply_to(&mut ev, "HEAD").field("content-length"), Some("5"));
    let answer = client.ask(&mut ev, get("/"));
    assert_eq!((answer.text(), answer.field("content-length")), ("23456", Some("5")));
    let answer = client.ask(&mut ev, get("/long"));
    assert_eq!((answer.text(), answer.is_whole), ("89", false));
}

#[test]
fn what_has_no_body_has_no_length_either() {
    for status in [Status::NO_CONTENT, Status::NOT_MODIFIED] {
        let answer = answer_of(move |ev: &mut EvLoop, _, reply: Reply| {
            reply.status(status).text(ev, "not to be sent")
        });
        assert_eq!((answer.status, answer.field("content-length")), (status.code(), None));
        assert_eq!(answer.field("transfer-encoding"), None);
        let answer = answer_of(move |ev: &mut EvLoop, _, reply: Reply| {
            let stream = reply.status(status).stream(ev, BodyLength::Unknown)?;
            stream.write(ev, "not to be sent")?;
            stream.end(ev)
        });
        assert_eq!((answer.field("content-length"), answer.field("transfer-encoding")), (None, None));
    }
}

#[test]
fn a_304_may_say_how_long_it_would_have_been() {
    let answer = answer_of(|ev: &mut EvLoop, _, reply: Reply| {
        reply.status(Status::NOT_MODIFIED).header("Content-Length", "42").empty(ev)
    });
    assert_eq!((answer.status, answer.field("content-length")), (304, Some("42")));
}

#[test]
fn the_date_is_sent_and_can_be_left_out() {
    let (mut ev, clock) = ev_with_clock();
    clock.set_wall(std::time::UNIX_EPOCH + Duration::from_secs(784_111_777));
    let (_, mut client) = one_client(&mut ev, hello());
    let date = |answer: Answer| answer.field("date").unwrap().to_owned();
    assert_eq!(date(client.ask(&mut ev, get("/"))), "Sun, 06 Nov 1994 08:49:37 GMT");
    pass(&mut ev, ms(999));
    assert_eq!(date(client.ask(&mut ev, get("/"))), "Sun, 06 Nov 1994 08:49:37 GMT");
    pass(&mut ev, ms(1));
    assert_eq!(date(client.ask(&mut ev, get("/"))), "Sun, 06 Nov 1994 08:49:38 GMT");
    let options = ServerOptions::new().date(false).server_name("tests");
    let (_, mut client) = one_client_with(&mut ev, options, hello());
    let answer = client.ask(&mut ev, get("/"));
    assert_eq!((answer.field("date"), answer.field("server")), (None, Some("tests")));
    // Also where the server answers by itself.
    let answer = client.ask(&mut ev, "GET / HTTP/1.1\r\n\r\n");
    assert_eq!(answer.status, 400);
    assert_eq!((answer.field("date"), answer.field("server")), (None, Some("tests")));
}

#[test]
fn how_much_may_wait_for_a_client_is_the_servers_to_say() {
    let mut ev = ev();
    let slot = Slot::new();
    let kept = slot.clone();
    let routes = at_root(move |ev: &mut EvLoop, _, reply: Reply| {
        let stream = reply.stream(ev, BodyLength::Unknown)?;
        let first = stream.write(ev, [b'x'; 900])?;
        kept.put((stream, first));
        Ok::<(), Error>(())
    });
    let options = ServerOptions::new().write_limits(500, 2000);
    let (_, mut client) = one_client_with(&mut ev, options, routes);
    client.send(get("/"));
    settle(&mut ev);
    let (stream, first) = slot.take();
    assert_eq!(first, Written::Full);
    assert_eq!(stream.write(&mut ev, [b'x'; 3000]).unwrap_err().kind(), ErrorKind::Full);
    stream.end(&mut ev).unwrap();
    assert_eq!(client.reply(&mut ev).body.len(), 900);
}

/// There is one whole reply at a time, and none is begun while much waits.
#[test]
fn a_whole_reply_is_taken_however_little_may_wait() {
    static WHOLE: [u8; 100_000] = [b'x'; 100_000];
    for len in [1000, 10_000, 100_000] {
        let bodies = [
            Response::bytes("a/b", &WHOLE[..len]),
            Response::fixed("a/b", &WHOLE[..len]),
            Response::shared("a/b", Shared::from_static(&WHOLE[..len])),
        ];
        for body in bodies {
            let mut ev = ev();
            let routes = at_root(move |ev: &mut EvLoop, _, reply: Reply| reply.send(ev, body.clone()))
                .get("/text", move |ev: &mut EvLoop, _, reply: Reply| reply.text(ev, &WHOLE[..len]));
            let options = ServerOptions::new().write_limits(600, 600);
            let (_, mut client) = one_client_with(&mut ev, options, routes);
            // Each comes behind one that waits.
            client.send([get("/text"), get("/"), get("/text"), get("/missing")].concat());
            for _ in 0..3 {
                assert_eq!(client.reply(&mut ev).body.len(), len);
            }
            assert_eq!(client.reply(&mut ev).status, 404);
        }
    }
}

#[test]
fn date_and_server_of_the_handler_are_the_only_ones() {
    let mut ev = ev();
    let routes = at_root(|ev: &mut EvLoop, _, reply: Reply| {
        reply.header("Date", "today").header("Server", "mine").text(ev, "x")
    });
    let options = ServerOptions::new().server_name("tests");
    let (_, mut client) = one_client_with(&mut ev, options, routes);
    let answer = client.ask(&mut ev, get("/"));
    assert_eq!((answer.field("date"), answer.field("server")), (Some("today"), Some("mine")));
}

#[test]
fn a_server_name_that_cannot_be_sent_is_not() {
    let mut ev = ev();
    let options = ServerOptions::new().server_name("a\r\nX-Evil: 1");
    let (_, mut client) = one_client_with(&mut ev, options, hello());
    let answer = client.ask(&mut ev, get("/"));
    assert_eq!((answer.field("server"), answer.field("x-evil")), (None, None));
}

#[test]
fn interim_responses_come_before_the_real_one() {
    let mut ev = ev();
    let slot = Slot::new();
    let (_, mut client) = one_client(&mut ev, keeps(&slot));
    client.send(get("/"));
    client.hears_nothing(&mut ev);
    let reply = slot.take();
    let mut fields = Fields::default();
    fields.push("Link", b"</style.css>; rel=preload").unwrap();
    reply.interim(&mut ev, Status::EARLY_HINTS, &fields).unwrap();
    let answer = client.reply(&mut ev);
    assert_eq!((answer.status, answer.field("link").is_some()), (103, true));
    assert_eq!((answer.field("content-length"), answer.field("date")), (None, None));
    reply.interim(&mut ev, Status::PROCESSING, &Fields::default()).unwrap();
    assert_eq!(client.reply(&mut ev).status, 102);
    for status in [Status::CONTINUE, Status::SWITCHING_PROTOCOLS, Status::OK] {
        let error = reply.interim(&mut ev, status, &Fields::default()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    reply.text(&mut ev, "real").unwrap();
    assert_eq!(client.reply(&mut ev).text(), "real");
}

#[test]
fn clients_of_1_0_get_no_interim_responses() {
    let mut ev = ev();
    let routes = at_root(|ev: &mut EvLoop, _, reply: Reply| {
        reply.interim(ev, Status::EARLY_HINTS, &Fields::default())?;
        reply.text(ev, "real")
    });
    let (_, mut client) = one_client(&mut ev, routes);
    assert_eq!(client.ask(&mut ev, "GET / HTTP/1.0\r\n\r\n").text(), "real");
}

// --- what cannot be ---

/// Sends a reply that cannot be, in every way; each is an error, and 500.
fn cannot_be(build: fn(Response) -> Response, on_reply: fn(Reply) -> Reply) {
    type Send = Rc<dyn Fn(&mut EvLoop, Reply) -> Result<()>>;
    let ways: [Send; 3] = [
        Rc::new(move |ev, reply| on_reply(reply).text(ev, "hello")),
        Rc::new(move |ev, reply| reply.send(ev, build(Response::text("hello")))),
        Rc::new(move |ev, reply| on_reply(reply).stream(ev, BodyLength::Known(5)).map(|_| ())),
    ];
    for with_hook in [false, true] {
        for (n, way) in ways.iter().enumerate() {
            let mut ev = ev();
            let seen = Slot::new();
            let (kept, way) = (seen.clone(), Rc::clone(way));
            let mut routes = at_root(move |ev: &mut EvLoop, _, reply: Reply| kept.put(way(ev, reply)));
            if with_hook {
                routes = routes.after(|_, _, _| {});
            }
            let (_, mut client) = one_client(&mut ev, routes);
            let answer = client.ask(&mut ev, get("/"));
            assert_eq!(answer.status, 500, "{n} {with_hook} {answer:?}");
            assert_eq!(answer.field("x-evil"), None);
            if let Err(error) = seen.take() {
                assert_eq!(error.kind(), ErrorKind::InvalidInput, "{n} {with_hook}");
            } else {
                // It is only known when the hooks have had it.
                assert!(with_hook, "{n}");
            }
        }
    }
}

#[test]
fn what_cannot_be_in_a_field_is_an_error_and_500() {
    cannot_be(|r| r.header("X", "a\r\nX-Evil: 1"), |r| r.header("X", "a\r\nX-Evil: 1"));
    cannot_be(|r| r.header("X", "a\nX-Evil: 1"), |r| r.header("X", "a\nX-Evil: 1"));
    cannot_be(|r| r.header("X", "a\0"), |r| r.header("X", "a\0"));
    cannot_be(|r| r.header("X: y\r\nX-Evil", "1"), |r| r.header("X: y\r\nX-Evil", "1"));
    cannot_be(|r| r.header("", "1"), |r| r.header("", "1"));
    cannot_be(|r| r.header("X Y", "1"), |r| r.header("X Y", "1"));
}

#[test]
fn framing_is_the_servers() {
    cannot_be(|r| r.header("Content-Length", "4"), |r| r.header("Content-Length", "4"));
    cannot_be(|r| r.header("Content-Length", "5x"), |r| r.header("Content-Length", "5x"));
    cannot_be(
        |r| r.header("content-length", "5").header("Content-Length", "6"),
        |r| r.header("content-length", "5").header("Content-Length", "6"),
    );
    cannot_be(
        |r| r.header("Transfer-Encoding", "chunked"),
        |r| r.header("Transfer-Encoding", "chunked"),
    );
    cannot_be(|r| r.header("Connection", "upgrade"), |r| r.header("Connection", "upgrade"));
    cannot_be(|r| r.status(Status::CONTINUE), |r| r.status(Status::CONTINUE));
}

#[test]
fn a_length_for_a_body_that_is_not_there_is_an_error_and_500() {
    for with_hook in [false, true] {
        let mut ev = ev();
        let seen = Slot::new();
        let kept = seen.clone();
        let mut routes = at_root(move |ev: &mut EvLoop, _, reply: Reply| {
            kept.put(reply.header("Content-Length", "5").empty(ev));
        });
        if with_hook {
            routes = routes.after(|_, _, _| {});
        }
        let (_, mut client) = one_client(&mut ev, routes);
        assert_eq!(client.ask(&mut ev, get("/")).status, 500);
        assert!(with_hook || seen.take().unwrap_err().kind() == ErrorKind::InvalidInput);
    }
}

#[test]
fn a_length_that_is_right_may_be_said() {
    let answer =
        answer_of(|ev: &mut EvLoop, _, reply: Reply| reply.header("Content-Length", "5").text(ev, "hello"));
    assert_eq!((answer.text(), answer.field("content-length")), ("hello", Some("5")));
}

#[test]
fn a_remote_reply_that_cannot_be_is_500() {
    let mut ev = live_ev();
    for (name, value) in [("X", "a\r\nb"), ("Content-Length", "7")] {
        for with_hook in [false, true] {
            let mut routes = at_root(move |_: &mut EvLoop, _, reply: Reply| {
                reply.into_remote().unwrap().send(Response::text("hello").header(name, value));
            });
            if with_hook {
                routes = routes.after(|_, _, _| {});
            }
            let (_, mut client) = one_client(&mut ev, routes);
            assert_eq!(client.ask(&mut ev, get("/")).status, 500);
        }
    }
}

#[test]
fn connection_close_ends_the_connection_after_the_reply() {
    let mut ev = ev();
    let routes = at_root(|ev: &mut EvLoop, _, reply: Reply| {
        reply.header("Connection", "close").text(ev, "bye")
    });
    let (_, mut client) = one_client(&mut ev, routes);
    let answer = client.ask(&mut ev, get("/"));
    assert_eq!((answer.text(), answer.closes()), ("bye", true));
    assert_eq!(client.ends(&mut ev), End::Orderly);
}

/// The head of one reply is kept for the next, which is mostly the same.
#[test]
fn every_reply_says_its_own_length_and_type() {
    let mut ev = ev();
    let routes = Routes::new().get("/{kind}/{len}", |ev: &mut EvLoop, request: Request, reply: Reply| {
        let len: usize = request.param("len").unwrap().parse().unwrap();
        reply.bytes(ev, request.param("kind").unwrap(), vec![b'x'; len])
    });
    let (_, mut client) = one_client(&mut ev, routes);
    let kinds = ["a", "a", "a", "b", "b", "a"];
    for (kind, len) in kinds.iter().cycle().zip([0, 1, 1, 1, 9, 9, 10, 99, 100, 9, 16_384, 0, 7]) {
        let answer = client.ask(&mut ev, get(&format!("/{kind}/{len}")));
        assert_eq!((answer.status, answer.body.len()), (200, len));
        let fields = (answer.field("content-type"), answer.field("content-length"));
        assert_eq!(fields, (Some(*kind), Some(len.to_string().as_str())));
    }
}
