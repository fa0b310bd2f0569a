// Bodies of requests: gathered, taken piece by piece, or wanted by nobody.

use std::time::Duration;

use crate::talking::*;

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";

/// Routes that say how long the body was, and count how often.
fn lengths() -> (Routes, Count) {
    let count = Count::new();
    let of = count.clone();
    let routes = Routes::new().post("/", move |ev: &mut EvLoop, request: Request, reply: Reply| {
        of.up();
        reply.text(ev, request.body().len().to_string())
    });
    (routes, count)
}

/// What was told to whoever takes a body: what has come of it, and its end.
#[derive(Clone, Default)]
struct Taker(Rc<RefCell<(Vec<u8>, Vec<String>)>>);

impl Taker {
    fn bytes(&self) -> usize {
        self.0.borrow().0.len()
    }

    fn ends(&self) -> Vec<String> {
        self.0.borrow().1.clone()
    }

    fn note(&self, event: BodyEvent<'_>) {
        let mut of = self.0.borrow_mut();
        match event {
            BodyEvent::Data(data) => {
                let at = of.0.len();
                of.0.resize(at + data.len(), 0);
                data.copy_out(0, &mut of.0[at..]);
                data.drain(usize::MAX);
            }
            BodyEvent::End(trailers) => {
                let names: Vec<_> = trailers.iter().map(|(name, _)| name.to_owned()).collect();
                of.1.push(format!("end {}", names.join(",")));
            }
            other => of.1.push(format!("{other:?}")),
        }
    }
}

/// A route that takes its body, and answers at its end how long it was. What it keeps is in the slots.
fn takes(taker: &Taker, body: &Slot<RequestBody>) -> Routes {
    let (taker, body) = (taker.clone(), body.clone());
    Routes::new().streaming(
        Method::POST,
        "/",
        move |ev: &mut EvLoop, request: Request, reply: Reply| {
            let taker = taker.clone();
            let mut reply = Some(reply);
            let key = request.receive(ev, move |ev, _, event| {
                let ends = matches!(event, BodyEvent::End(_));
                taker.note(event);
                if ends {
                    let reply = reply.take().unwrap();
                    reply.text(ev, taker.bytes().to_string()).unwrap();
                }
            })?;
            body.put(key);
            Ok::<(), Error>(())
        },
    )
}

/// A route that keeps the request and its reply, and takes nothing yet.
fn waits(slot: &Slot<(Request, Reply)>) -> Routes {
    let slot = slot.clone();
    Routes::new()
        .streaming(Method::POST, "/", move |_: &mut EvLoop, request: Request, reply: Reply| {
            slot.put((request, reply));
        })
        .get("/", |ev: &mut EvLoop, _, reply: Reply| reply.text(ev, "got"))
}

// --- gathered ---

#[test]
fn a_body_is_there_when_its_handler_is_called() {
    let mut ev = ev();
    let (routes, _) = lengths();
    let (_, mut client) = one_client(&mut ev, routes);
    assert_eq!(client.ask(&mut ev, post("/", "hello")).text(), "5");
    assert_eq!(client.ask(&mut ev, post("/", "")).text(), "0");
    assert_eq!(client.ask(&mut ev, request("POST", "/", "", "")).text(), "0");
    let body = chunks(&["hello", "you"]) + "0\r\n\r\n";
    assert_eq!(client.ask(&mut ev, request("POST", "/", CHUNKED, &body)).text(), "8");
}

#[test]
fn a_body_that_comes_byte_by_byte_is_the_same() {
    let mut ev = ev();
    let (routes, count) = lengths();
    let (_, mut client) = one_client(&mut ev, routes);
    let body = chunks(&["hello", "you"]) + "0\r\nX: y\r\n\r\n";
    let asked = post("/", "hello") + &request("POST", "/", CHUNKED, &body);
    for byte in asked.bytes() {
        client.send([byte]);
        turn(&mut ev);
    }
    assert_eq!(client.reply(&mut ev).text(), "5");
    assert_eq!(client.reply(&mut ev).text(), "8");
    assert_eq!(count.get(), 2);
}

#[test]
fn a_large_body_is_gathered_up_to_the_cap() {
    let mut ev = ev();
    let (routes, _) = lengths();
    let (_, mut client) = one_client(&mut ev, routes);
    let cap = 8 * 1024 * 1024;
    let body = "x".repeat(cap);
    client.upload(&mut ev, post("/", &body).as_bytes());
    assert_eq!(client.reply(&mut ev).text(), cap.to_string());
    let answer = client.ask(&mut ev, request("POST", "/", &format!("Content-Length: {}\r\n", cap + 1), ""));
    assert_eq!((answer.status, answer.closes()), (413, true));
}

#[test]
fn a_length_above_the_cap_is_refused_before_the_body() {
    let mut ev = ev();
    let (routes, count) = lengths();
    let (_, mut client) = one_client_with(&mut ev, ServerOptions::new().max_body(4), routes);
    assert_eq!(client.ask(&mut ev, post("/", "four")).text(), "4");
    let answer = client.ask(&mut ev, request("POST", "/", "Content-Length: 5\r\n", ""));
    assert_eq!((answer.status, answer.closes()), (413, true));
    // What comes now is no request.
    client.send(get("/"));
    client.finish();
    assert_eq!(client.ends(&mut ev), End::Orderly);
    assert_eq!(count.get(), 1);
}

#[test]
fn chunks_above_the_cap_are_refused_as_they_come() {
    let mut ev = ev();
    let (routes, count) = lengths();
    let (_, mut client) = one_client_with(&mut ev, ServerOptions::new().max_body(4), routes);
    client.send(request("POST", "/", CHUNKED, &chunks(&["four"])));
    client.hears_nothing(&mut ev);
    // What cannot be kept is refused when it is announced.
    client.send("1\r\n");
    let answer = client.reply(&mut ev);
    assert_eq!((answer.status, answer.closes()), (413, true));
    assert_eq!(count.get(), 0);
}

#[test]
fn a_body_is_no_request_whoever_gets_it() {
    let mut ev = ev();
    let inside = get("/");
    for (method, path) in
        [("GET", "/"), ("HEAD", "/"), ("DELETE", "/"), ("POST", "/none"), ("POST", "/"), ("OPTIONS", "/")]
    {
        let (_, mut client) = one_client(&mut ev, hello());
        let fields = format!("Content-Length: {}\r\n", inside.len());
        client.send(request(method, path, &fields, &inside));
        client.reply_to(&mut ev, method);
        client.hears_nothing(&mut ev);
        assert_eq!(client.ask(&mut ev, get("/")).text(), "hello", "{method} {path}");
    }
}

#[test]
fn trailers_are_told_apart_from_fields() {
    let mut ev = ev();
    let routes = Routes::new().post("/", |ev: &mut EvLoop, request: Request, reply: Reply| {
        assert_eq!(request.header("x-sum"), None);
        let trailers = request.trailers().unwrap();
        assert_eq!(trailers.get("x-sum"), Some(&b"42"[..]));
        assert_eq!(trailers.get("content-length"), None);
        reply.text(ev, request.body())
    });
    let (_, mut client) = one_client(&mut ev, routes);
    let body = chunks(&["hello"]) + "0\r\nX-Sum: 42\r\nContent-Length: 3\r\n\r\n";
    assert_eq!(client.ask(&mut ev, request("POST", "/", CHUNKED, &body)).text(), "hello");
}

#[test]
fn a_length_can_be_required() {
    let mut ev = ev();
    let (routes, _) = lengths();
    let (_, mut client) = one_client_with(&mut ev, ServerOptions::new().require_length(true), routes);
    assert_eq!(client.ask(&mut ev, post("/", "")).text(), "0");
    let body = chunks(&["hello"]) + "0\r\n\r\n";
    assert_eq!(client.ask(&mut ev, request("POST", "/", CHUNKED, &body)).text(), "5");
    assert_eq!(client.ask(&mut ev, request("POST", "/", "", "")).status, 411);
}

// --- 100 Continue ---

const EXPECTS: &str = "Expect: 100-continue\r\nContent-Length: 5\r\n";

#[test]
fn a_client_that_waits_is_told_to_go_on() {
    let mut ev = ev();
    let (routes, _) = lengths();
    let (_, mut client) = one_client(&mut ev, routes);
    for _ in 0..2 {
        assert_eq!(client.ask(&mut ev, request("POST", "/", EXPECTS, "")).status, 100);
        client.hears_nothing(&mut ev);
        assert_eq!(client.ask(&mut ev, "hello").text(), "5");
    }
}

#[test]
fn a_client_that_does_not_wait_is_not_told() {
    let mut ev = ev();
    let (routes, _) = lengths();
    let (_, mut client) = one_client(&mut ev, routes);
    assert_eq!(client.ask(&mut ev, request("POST", "/", EXPECTS, "hello")).text(), "5");
    // A part of it is on its way too.
    client.send(request("POST", "/", EXPECTS, "h"));
    client.hears_nothing(&mut ev);
    assert_eq!(client.ask(&mut ev, "ello").text(), "5");
}

#[test]
fn nobody_is_told_who_has_not_asked() {
    let mut ev = ev();
    let (routes, _) = lengths();
    let (_, mut client) = one_client(&mut ev, routes);
    client.send(request("POST", "/", "Content-Length: 5\r\n", ""));
    client.hears_nothing(&mut ev);
    client.send("hello");
    assert_eq!(client.reply(&mut ev).text(), "5");
    // Without a body there is nothing to go on with; and HTTP/1.0 knows nothing of it.
    assert_eq!(client.ask(&mut ev, request("POST", "/", "Expect: 100-continue\r\n", "")).text(), "0");
    client.send(format!("POST / HTTP/1.0\r\n{EXPECTS}\r\n"));
    client.hears_nothing(&mut ev);
    client.send("hello");
    assert_eq!(client.reply(&mut ev).text(), "5");
}

#[test]
fn another_expectation_is_417() {
    let mut ev = ev();
    let (routes, _) = lengths();
    let (_, mut client) = one_client(&mut ev, routes);
    let answer = client.ask(&mut ev, request("POST", "/", "Expect: magic\r\nContent-Length: 5\r\n", ""));
    assert_eq!((answer.status, answer.closes()), (417, true));
}

#[test]
fn a_length_above_the_cap_is_refused_before_going_on() {
    let mut ev = ev();
    let (routes, _) = lengths();
    let (_, mut client) = one_client_with(&mut ev, ServerOptions::new().max_body(4), routes);
    assert_eq!(client.ask(&mut ev, request("POST", "/", EXPECTS, "")).status, 413);
}

#[test]
fn what_has_no_handler_is_refused_before_going_on() {
    let mut ev = ev();
    let (routes, _) = lengths();
    let (server, _) = one_client(&mut ev, routes);
    for (method, path, status) in [("POST", "/none", 404), ("PUT", "/", 405)] {
        let mut client = Client::new(&mut ev, server);
        let answer = client.ask(&mut ev, request(method, path, EXPECTS, ""));
        assert_eq!((answer.status, answer.closes()), (status, true));
        client.finish();
        client.ends(&mut ev);
    }
}

#[test]
fn a_streamed_body_goes_on_when_it_is_asked_for() {
    let mut ev = ev();
    let slot = Slot::new();
    let (_, mut client) = one_client(&mut ev, waits(&slot));
    client.send(request("POST", "/", EXPECTS, ""));
    client.hears_nothing(&mut ev);
    let (request, reply) = slot.take();
    let taker = Taker::default();
    let notes = taker.clone();
    request.receive(&mut ev, move |_, _, event| notes.note(event)).unwrap();
    assert_eq!(client.reply(&mut ev).status, 100);
    client.send("hello");
    settle(&mut ev);
    assert_eq!((taker.bytes(), taker.ends()), (5, vec!["end ".to_owned()]));
    reply.text(&mut ev, "done").unwrap();
    let answer = client.reply(&mut ev);
    assert_eq!((answer.text(), answer.closes()), ("done", false));
}

#[test]
fn a_reply_without_the_body_ends_the_connection_of_who_waits() {
    let mut ev = ev();
    let slot = Slot::new();
    let (_, mut client) = one_client(&mut ev, waits(&slot));
    client.send(request("POST", "/", EXPECTS, ""));
    client.hears_nothing(&mut ev);
    let (_request, reply) = slot.take();
    reply.status(Status::FORBIDDEN).text(&mut ev, "no").unwrap();
    let answer = client.reply(&mut ev);
    assert_eq!((answer.status, answer.closes()), (403, true));
    client.finish();
    client.ends(&mut ev);
}

#[test]
fn no_100_follows_a_reply() {
    let mut ev = ev();
    let slot = Slot::new();
    let (_, mut client) = one_client(&mut ev, waits(&slot));
    client.send(request("POST", "/", EXPECTS, ""));
    client.hears_nothing(&mut ev);
    let (request, reply) = slot.take();
    let stream = reply.stream(&mut ev, BodyLength::Known(2)).unwrap();
    let _ = request.receive(&mut ev, |_, _, event| if let BodyEvent::Data(data) = event { data.clear(); });
    stream.write(&mut ev, "ok").unwrap();
    stream.end(&mut ev).unwrap();
    let answer = client.reply(&mut ev);
    assert_eq!((answer.status, answer.text()), (200, "ok"));
    assert_eq!(client.seen(&mut ev), "");
}

// --- taken piece by piece ---

#[test]
fn a_streamed_body_is_told_as_it_comes() {
    let mut ev = ev();
    let (taker, body) = (Taker::default(), Slot::new());
    let (_, mut client) = one_client(&mut ev, takes(&taker, &body));
    client.send(request("POST", "/", CHUNKED, &chunks(&["hello"])));
    settle(&mut ev);
    assert_eq!((taker.bytes(), taker.ends().len()), (5, 0));
    client.send(chunks(&["you", "there"]));
    settle(&mut ev);
    assert_eq!((taker.bytes(), taker.ends().len()), (13, 0));
    client.send("0\r\nX-Sum: 1\r\n\r\n");
    assert_eq!(client.reply(&mut ev).text(), "13");
    assert_eq!(taker.ends(), ["end X-Sum"]);
    assert_eq!(client.ask(&mut ev, post("/", "more")).text(), "17");
}

#[test]
fn an_empty_streamed_body_is_told_its_end() {
    let mut ev = ev();
    let (taker, body) = (Taker::default(), Slot::new());
    let (_, mut client) = one_client(&mut ev, takes(&taker, &body));
    assert_eq!(client.ask(&mut ev, request("POST", "/", "", "")).text(), "0");
    assert_eq!(client.ask(&mut ev, post("/", "")).text(), "0");
    assert_eq!(client.ask(&mut ev, request("POST", "/", CHUNKED, "0\r\n\r\n")).text(), "0");
    assert_eq!(taker.ends(), ["end ", "end ", "end "]);
}

#[test]
fn a_receiver_is_never_called_from_inside_of_receive() {
    let mut ev = ev();
    let told = Log::new();
    let notes = told.clone();
    let routes = Routes::new().streaming(
        Method::POST,
        "/",
        move |ev: &mut EvLoop, request: Request, reply: Reply| {
            let (notes, mut reply) = (notes.clone(), Some(reply));
            let inner = notes.clone();
            request
                .receive(ev, move |ev, _, event| {
                    inner.push("called");
                    if let BodyEvent::End(_) = event {
                        reply.take().unwrap().empty(ev).unwrap();
                    } else if let BodyEvent::Data(data) = event {
                        data.clear();
                    }
                })
                .unwrap();
            notes.push("returned");
        },
    );
    let (_, mut client) = one_client(&mut ev, routes);
    client.ask(&mut ev, post("/", "hello"));
    assert_eq!(told.take(), ["returned", "called", "called"]);
}

#[test]
fn what_is_not_taken_is_there_the_next_time() {
    let mut ev = ev();
    let told = Log::new();
    let notes = told.clone();
    // Takes lines.
    let routes = Routes::new().streaming(
        Method::POST,
        "/",
        move |ev: &mut EvLoop, request: Request, reply: Reply| {
            let (notes, mut reply) = (notes.clone(), Some(reply));
            request
                .receive(ev, move |ev, _, event| match event {
                    BodyEvent::Data(data) => {
                        let mut bytes = vec![0; data.len()];
                        data.copy_out(0, &mut bytes);
                        let text = String::from_utf8(bytes).unwrap();
                        let end = text.rfind('\n').map_or(0, |at| at + 1);
                        data.drain(end);
                        notes.push(text);
                    }
                    _ => reply.take().unwrap().empty(ev).unwrap(),
                })
                .unwrap();
        },
    );
    let (_, mut client) = one_client(&mut ev, routes);
    client.send(request("POST", "/", "Content-Length: 9\r\n", "ab"));
    settle(&mut ev);
    client.send("c\nd");
    settle(&mut ev);
    client.send("ef\n");
    settle(&mut ev);
    client.send("\n");
    assert_eq!(client.reply(&mut ev).status, 200);
    assert_eq!(told.take(), ["ab", "abc\nd", "def\n", "\n"]);
}

#[test]
fn a_client_is_held_up_while_its_body_is_not_taken() {
    let mut ev = ev();
    let slot = Slot::new();
    let (_, mut client) = one_client(&mut ev, waits(&slot));
    let size = 20_000_000;
    client.send(request("POST", "/", &format!("Content-Length: {size}\r\n"), ""));
    settle(&mut ev);
    let (request, reply) = slot.take();
    let bytes = vec![b'x'; size];
    let mut sent = 0;
    let mut push = |ev: &mut EvLoop, client: &mut Client| {
        for _ in 0..50 {
            sent += client.push(&bytes[sent..]);
            turn(ev);
        }
        sent
    };
    // Nobody has asked for it.
    let first = push(&mut ev, &mut client);
    assert!(first < 2_000_000, "{first}");
    let taker = Taker::default();
    let notes = taker.clone();
    let body = request.receive(&mut ev, move |_, _, event| notes.note(event)).unwrap();
    body.pause(&mut ev);
    let second = push(&mut ev, &mut client);
    assert!(second < first + 200_000, "{first} {second}");
    assert!(taker.bytes() <= 64 * 1024);
    assert!(body.resume(&mut ev));
    let third = push(&mut ev, &mut client);
    assert!(third > second);
    assert!(body.pause(&mut ev));
    settle(&mut ev);
    let had = taker.bytes();
    let fourth = push(&mut ev, &mut client);
    assert!(fourth < third + 2_000_000);
    assert_eq!(taker.bytes(), had);
    assert!(body.resume(&mut ev));
    until(&mut ev, |_| {
        sent += client.push(&bytes[sent..]);
        sent == size
    });
    until(&mut ev, |_| taker.bytes() == size);
    settle(&mut ev);
    assert_eq!(taker.ends(), ["end "]);
    assert!(!body.pause(&mut ev) && !body.resume(&mut ev));
    reply.text(&mut ev, "done").unwrap();
    assert_eq!(client.reply(&mut ev).text(), "done");
    assert_eq!(client.ask(&mut ev, get("/")).text(), "got");
}

#[test]
fn a_client_is_held_up_by_who_takes_nothing_of_what_he_is_offered() {
    let mut ev = ev();
    let slot = Slot::new();
    let (_, mut client) = one_client(&mut ev, waits(&slot));
    let size = 10_000_000;
    client.send(request("POST", "/", &format!("Content-Length: {size}\r\n"), ""));
    settle(&mut ev);
    let (request, reply) = slot.take();
    let (takes, largest, sum) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let (on, most, all) = (Rc::clone(&takes), Rc::clone(&largest), Rc::clone(&sum));
    let body = request
        .receive(&mut ev, move |_, _, event| {
            if let BodyEvent::Data(data) = event {
                most.set(data.len().max(most.get()));
                if on.get() {
                    all.set(all.get() + data.drain(usize::MAX));
                }
            }
        })
        .unwrap();
    let bytes = vec![b'x'; size];
    let mut sent = 0;
    for _ in 0..100 {
        sent += client.push(&bytes[sent..]);
        turn(&mut ev);
    }
    assert!(sent < 2_000_000, "{sent}");
    assert!(largest.get() <= 128 * 1024, "{}", largest.get());
    takes.set(true);
    body.resume(&mut ev);
    client.upload(&mut ev, &bytes[sent..]);
    until(&mut ev, |_| sum.get() == size);
    reply.text(&mut ev, "done").unwrap();
    assert_eq!(client.reply(&mut ev).text(), "done");
}

#[test]
fn a_body_can_be_paused_from_its_own_receiver() {
    let mut ev = ev();
    let slot = Slot::new();
    let (_, mut client) = one_client(&mut ev, waits(&slot));
    client.send(request("POST", "/", "Content-Length: 6\r\n", "one"));
    settle(&mut ev);
    let (request, reply) = slot.take();
    let taker = Taker::default();
    let notes = taker.clone();
    let body = request
        .receive(&mut ev, move |ev, body, event| {
            notes.note(event);
            body.pause(ev);
        })
        .unwrap();
    settle(&mut ev);
    client.send("two");
    settle(&mut ev);
    assert_eq!(taker.bytes(), 3);
    body.resume(&mut ev);
    settle(&mut ev);
    assert_eq!(taker.bytes(), 6);
    body.resume(&mut ev);
    settle(&mut ev);
    assert_eq!(taker.ends(), ["end "]);
    reply.empty(&mut ev).unwrap();
    client.reply(&mut ev);
}

/// Whoever writes it to a disk, say, replies when that was done.
#[test]
fn the_end_of_a_body_waits_for_who_has_paused_however_it_came() {
    let sent = format!("{}0\r\n\r\n", chunks(&["hello"]));
    let wholes = [
        request("POST", "/", "Content-Length: 5\r\n", "hello"),
        request("POST", "/", "Transfer-Encoding: chunked\r\n", &sent),
    ];
    for whole in wholes {
        for cut in (whole.find("\r\n\r\n").unwrap() + 5)..=whole.len() {
            let mut ev = ev();
            let slot = Slot::new();
            let (_, mut client) = one_client(&mut ev, waits(&slot));
            client.send(&whole[..cut]);
            settle(&mut ev);
            let (request, reply) = slot.take();
            let taker = Taker::default();
            let notes = taker.clone();
            let body = request
                .receive(&mut ev, move |ev, body, event| {
                    notes.note(event);
                    if notes.bytes() == 5 {
                        body.pause(ev);
                    }
                })
                .unwrap();
            settle(&mut ev);
            client.send(&whole[cut..]);
            settle(&mut ev);
            assert_eq!((taker.bytes(), taker.ends()), (5, vec![]), "{cut}");
            assert!(body.resume(&mut ev));
            settle(&mut ev);
            assert_eq!(taker.ends(), ["end "], "{cut}");
            reply.text(&mut ev, "stored").unwrap();
            assert_eq!(client.reply(&mut ev).text(), "stored");
            assert_eq!(client.ask(&mut ev, get("/")).text(), "got");
        }
    }
}

#[test]
fn the_end_of_a_body_waits_until_all_of_it_is_taken() {
    let mut ev = ev();
    let slot = Slot::new();
    let (_, mut client) = one_client(&mut ev, waits(&slot));
    client.send(post("/", "hello"));
    settle(&mut ev);
    let (request, reply) = slot.take();
    let told = Log::new();
    let notes = told.clone();
    let body = request
        .receive(&mut ev, move |_, _, event| match event {
            BodyEvent::Data(data) => {
                notes.push(format!("{}", data.len()));
                data.drain(2);
            }
            other => notes.push(format!("{other:?}")),
        })
        .unwrap();
    settle(&mut ev);
    assert_eq!(told.take(), ["5"]);
    body.resume(&mut ev);
    settle(&mut ev);
    body.resume(&mut ev);
    settle(&mut ev);
    let told = told.take();
    assert_eq!((told.len(), &*told[0], &*told[1]), (3, "3", "1"));
    assert!(told[2].starts_with("End"));
    reply.empty(&mut ev).unwrap();
    client.reply(&mut ev);
}

#[test]
fn a_streamed_body_has_no_cap_but_its_own() {
    let mut ev = ev();
    let (taker, slot) = (Taker::default(), Slot::new());
    let options = ServerOptions::new().max_body(4);
    let (server, mut client) = one_client_with(&mut ev, options, takes(&taker, &slot));
    assert_eq!(client.ask(&mut ev, post("/", "more than four")).text(), "14");
    client.send(request("POST", "/", "Content-Length: 10\r\n", "four"));
    settle(&mut ev);
    slot.take().set_limit(&mut ev, 6);
    client.send("56");
    client.hears_nothing(&mut ev);
    client.send("7");
    let answer = client.reply(&mut ev);
    assert_eq!((answer.status, answer.closes()), (413, true));
    assert_eq!(taker.ends().len(), 2);
    assert!(taker.ends()[1].contains("BodyTooLarge"), "{:?}", taker.ends());
    settle(&mut ev);
    assert_eq!(server.stats(&ev).completed(CompletionReason::ProtocolError), 1);
}

#[test]
fn a_fault_inside_of_a_streamed_body_is_told_both() {
    let mut ev = ev();
    let (taker, slot) = (Taker::default(), Slot::new());
    let (_, mut client) = one_client(&mut ev, takes(&taker, &slot));
    client.send(request("POST", "/", CHUNKED, &(chunks(&["hello"]) + "nonsense\r\n")));
    assert_eq!(client.reply(&mut ev).status, 400);
    assert_eq!(taker.bytes(), 5);
    assert_eq!(taker.ends().len(), 1);
    assert!(taker.ends()[0].contains("BadChunkSize"), "{:?}", taker.ends());
}

#[test]
fn a_body_is_asked_for_once() {
    let mut ev = ev();
    let slot = Slot::new();
    let (_, mut client) = one_client(&mut ev, waits(&slot));
    client.send(request("POST", "/", "Content-Length: 5\r\n", ""));
    settle(&mut ev);
    let (request, reply) = slot.take();
    request.receive(&mut ev, |_, _, _| {}).unwrap();
    let again = request.receive(&mut ev, |_, _, _| {}).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::InvalidInput);
    drop((reply, client));
    settle(&mut ev);
    let gone = request.receive(&mut ev, |_, _, _| {}).unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::Closed);
}

#[test]
fn a_body_that_is_thrown_away_cannot_be_asked_for() {
    let mut ev = ev();
    let slot = Slot::new();
    let (_, mut client) = one_client(&mut ev, waits(&slot));
    client.send(request("POST", "/", "Content-Length: 10\r\n", "01234"));
    settle(&mut ev);
    let (request, reply) = slot.take();
    reply.text(&mut ev, "enough").unwrap();
    assert_eq!(client.reply(&mut ev).text(), "enough");
    let late = request.receive(&mut ev, |_, _, _| {}).unwrap_err();
    assert_eq!(late.kind(), ErrorKind::InvalidInput);
    // The rest of it is no request.
    client.send("56789");
    assert_eq!(client.ask(&mut ev, get("/missing")).status, 404);
}

#[test]
fn a_gathered_body_cannot_be_asked_for() {
    let mut ev = ev();
    let routes = Routes::new().post("/", |ev: &mut EvLoop, request: Request, reply: Reply| {
        let error = request.receive(ev, |_, _, _| {}).unwrap_err();
        reply.text(ev, format!("{:?}", error.kind()))
    });
    let (_, mut client) = one_client(&mut ev, routes);
    assert_eq!(client.ask(&mut ev, post("/", "hello")).text(), "InvalidInput");
}

#[test]
fn a_body_can_be_discarded_half_way() {
    let mut ev = ev();
    let (taker, slot) = (Taker::default(), Slot::new());
    let (_, mut client) = one_client(&mut ev, takes(&taker, &slot).get("/", |ev: &mut EvLoop, _, reply: Reply| {
        reply.text(ev, "got")
    }));
    let kept = Slot::new();
    let of = kept.clone();
    let mut second = {
        let routes = Routes::new()
            .streaming(Method::POST, "/", move |ev: &mut EvLoop, request: Request, reply: Reply| {
                of.put(reply);
                request
                    .receive(ev, |ev, body, event| {
                        if let BodyEvent::Data(data) = event {
                            data.clear();
                            assert!(body.discard(ev));
                        } else {
                            panic!("nobody wants to know");
                        }
                    })
                    .unwrap();
            })
            .get("/", |ev: &mut EvLoop, _, reply: Reply| reply.text(ev, "got"));
        one_client(&mut ev, routes).1
    };
    second.send(request("POST", "/", "Content-Length: 10\r\n", "12345"));
    settle(&mut ev);
    kept.take().text(&mut ev, "enough").unwrap();
    let answer = second.reply(&mut ev);
    assert_eq!((answer.text(), answer.closes()), ("enough", false));
    second.send("67890");
    second.hears_nothing(&mut ev);
    assert_eq!(second.ask(&mut ev, get("/")).text(), "got");
    assert_eq!(client.ask(&mut ev, get("/")).text(), "got");
}

#[test]
fn a_receiver_goes_on_after_the_reply() {
    let mut ev = ev();
    let slot = Slot::new();
    let (_, mut client) = one_client(&mut ev, waits(&slot));
    client.send(request("POST", "/", "Content-Length: 10\r\n", "12345"));
    settle(&mut ev);
    let (request, reply) = slot.take();
    let taker = Taker::default();
    let notes = taker.clone();
    request.receive(&mut ev, move |_, _, event| notes.note(event)).unwrap();
    reply.text(&mut ev, "early").unwrap();
    let answer = client.reply(&mut ev);
    assert_eq!((answer.text(), answer.closes()), ("early", false));
    client.send(format!("67890{}", get("/")));
    assert_eq!(client.reply(&mut ev).text(), "got");
    assert_eq!((taker.bytes(), taker.ends()), (10, vec!["end ".to_owned()]));
}

/// What comes while it rests is its own too.
#[test]
fn a_receiver_that_pauses_goes_on_after_the_reply_and_loses_nothing() {
    for fields in ["Content-Length: 10\r\n", "Content-Length: 10\r\nConnection: close\r\n"] {
        let mut ev = ev();
        let slot = Slot::new();
        let (_, mut client) = one_client(&mut ev, waits(&slot));
        client.send(request("POST", "/", fields, "12345"));
        settle(&mut ev);
        let (request, reply) = slot.take();
        let taker = Taker::default();
        let notes = taker.clone();
        let body = request
            .receive(&mut ev, move |ev, body, event| {
                notes.note(event);
                body.pause(ev);
            })
            .unwrap();
        reply.text(&mut ev, "early").unwrap();
        let answer = client.reply(&mut ev);
        assert_eq!(answer.text(), "early");
        client.send(format!("67890{}", get("/")));
        pass(&mut ev, Duration::from_secs(3600));
        assert_eq!((taker.bytes(), taker.ends()), (5, vec![]));
        while taker.ends().is_empty() {
            assert!(body.resume(&mut ev));
            settle(&mut ev);
        }
        assert_eq!((taker.bytes(), taker.ends()), (10, vec!["end ".to_owned()]), "{fields}");
        if answer.closes() {
            client.ends(&mut ev);
        } else {
            assert_eq!(client.reply(&mut ev).text(), "got");
        }
    }
}

/// Behind a reply nobody waits for who takes nothing, and says nothing: but he is told.
#[test]
fn a_receiver_that_takes_nothing_after_the_reply_is_told_that_it_is_over() {
    let mut ev = ev();
    let slot = Slot::new();
    let (_, mut client) = one_client(&mut ev, waits(&slot));
    client.send(post("/", "12345"));
    settle(&mut ev);
    let (request, reply) = slot.take();
    let told = Log::new();
    let notes = told.clone();
    request
        .receive(&mut ev, move |_, _, event| match event {
            BodyEvent::Data(data) => notes.push(format!("{}", data.len())),
            other => notes.push(format!("{other:?}")),
        })
        .unwrap();
    reply.text(&mut ev, "early").unwrap();
    assert_eq!(client.reply(&mut ev).text(), "early");
    assert_eq!(client.ask(&mut ev, get("/")).text(), "got");
    assert_eq!(told.take(), ["5", "Failed(Over(Ok))"]);
}

/// The reply was sent, so there is nothing more to say to the client; but whoever takes its body waits.
#[test]
fn a_receiver_is_told_of_a_body_that_stops_after_the_reply() {
    let mut ev = ev();
    let slot = Slot::new();
    let (routes, reasons) = noting(waits(&slot));
    let options = ServerOptions::new().min_body_rate(0, Duration::ZERO);
    let (_, mut client) = one_client_with(&mut ev, options, routes);
    client.send(request("POST", "/", "Content-Length: 10\r\n", "12345"));
    settle(&mut ev);
    let (request, reply) = slot.take();
    let taker = Taker::default();
    let notes = taker.clone();
    request.receive(&mut ev, move |_, _, event| notes.note(event)).unwrap();
    reply.text(&mut ev, "early").unwrap();
    assert_eq!(client.reply(&mut ev).text(), "early");
    pass(&mut ev, Duration::from_secs(29));
    assert_eq!(taker.ends(), [""; 0]);
    pass(&mut ev, Duration::from_secs(2));
    assert_eq!((taker.bytes(), taker.ends()), (5, vec!["Failed(Over(Timeout))".to_owned()]));
    assert_eq!(client.ends(&mut ev), End::Orderly);
    assert_eq!(*reasons.borrow(), [CompletionReason::Timeout]);
}

// --- wanted by nobody ---

#[test]
fn a_little_that_nobody_wants_is_read_and_the_connection_kept() {
    let mut ev = ev();
    let slot = Slot::new();
    let (server, _) = one_client(&mut ev, waits(&slot));
    let size = 64 * 1024;
    let body = "x".repeat(size);
    for chunked in [false, true] {
        let mut client = Client::new(&mut ev, server);
        let (fields, rest) = if chunked {
            (CHUNKED.to_owned(), chunks(&[&body[1..]]) + "0\r\n\r\n")
        } else {
            (format!("Content-Length: {size}\r\n"), body.clone())
        };
        client.send(request("POST", "/", &fields, ""));
        settle(&mut ev);
        let (_, reply) = slot.take();
        reply.text(&mut ev, "no need").unwrap();
        let answer = client.reply(&mut ev);
        assert_eq!((answer.text(), answer.closes()), ("no need", false), "{chunked}");
        client.upload(&mut ev, rest.as_bytes());
        assert_eq!(client.ask(&mut ev, get("/")).text(), "got", "{chunked}");
    }
}

#[test]
fn more_that_nobody_wants_ends_the_connection() {
    let mut ev = ev();
    let slot = Slot::new();
    let (_, mut client) = one_client(&mut ev, waits(&slot));
    let size = 64 * 1024 + 1;
    client.send(request("POST", "/", &format!("Content-Length: {size}\r\n"), ""));
    settle(&mut ev);
    slot.take().1.text(&mut ev, "no need").unwrap();
    let answer = client.reply(&mut ev);
    assert_eq!((answer.text(), answer.closes()), ("no need", true));
    client.upload(&mut ev, &vec![b'x'; size]);
    client.push(get("/").as_bytes());
    client.finish();
    assert_eq!(client.ends(&mut ev), End::Orderly);
}

#[test]
fn more_chunks_that_nobody_wants_end_the_connection() {
    let mut ev = ev();
    let slot = Slot::new();
    let (_, mut client) = one_client_with(&mut ev, ServerOptions::new().max_drain(10), waits(&slot));
    client.send(request("POST", "/", CHUNKED, ""));
    settle(&mut ev);
    slot.take().1.text(&mut ev, "no need").unwrap();
    assert_eq!(client.reply(&mut ev).text(), "no need");
    client.send(chunks(&["12345", "67890"]));
    client.hears_nothing(&mut ev);
    client.send(chunks(&["1"]) + "0\r\n\r\n" + &get("/"));
    client.finish();
    assert_eq!(client.ends(&mut ev), End::Orderly);
}

#[test]
fn whoever_takes_a_body_may_answer_with_an_error_before_its_end() {
    for answers in [
        |reply: Reply, ev: &mut EvLoop| reply.error(ev, Status::FORBIDDEN),
        |reply: Reply, ev: &mut EvLoop| reply.status(Status::FORBIDDEN).text(ev, "no"),
    ] {
        let mut ev = ev();
        let routes = Routes::new()
            .streaming(Method::POST, "/", move |ev: &mut EvLoop, request: Request, reply: Reply| {
                let mut reply = Some(reply);
                let taken = request.receive(ev, move |ev, _, event| {
                    if let (BodyEvent::Data(_), Some(reply)) = (event, reply.take()) {
                        answers(reply, ev).unwrap();
                    }
                });
                taken.map(|_| ())
            })
            .after(|_, _, _| {});
        let (_, mut client) = one_client(&mut ev, routes);
        client.send(request("POST", "/", "Content-Length: 10\r\n", "12345"));
        assert_eq!(client.reply(&mut ev).status, 403);
        // The taker goes on with the rest, and so does the connection behind it.
        client.send("67890".to_owned() + &get("/nothing"));
        assert_eq!(client.reply(&mut ev).status, 404);
    }
}
