// Streams of server-sent events.

use evloop::wire::events::{EventDecoder, EventLimits};

use crate::talking::*;

type Streams = Rc<RefCell<Vec<EventStream>>>;

/// A server whose `GET /` begins a stream, which is put on the list.
fn streaming(options: EventOptions) -> (Routes, Streams) {
    let streams = Streams::default();
    let list = Rc::clone(&streams);
    let routes = Routes::new()
        .get("/", move |ev: &mut EvLoop, request: Request, reply: Reply| {
            let stream = reply.events(ev, options.clone())?;
            if let Some(last) = request.last_event_id() {
                stream.send(ev, &Event::new(format!("since {last}")))?;
            }
            list.borrow_mut().push(stream);
            Ok::<(), Error>(())
        })
        .get("/other", |ev: &mut EvLoop, _, reply: Reply| reply.text(ev, "other"));
    (routes, streams)
}

fn without_heartbeat() -> EventOptions {
    EventOptions::new().heartbeat(None)
}

/// A client that listens, after the head of its reply, which is returned.
fn listening(ev: &mut EvLoop, options: EventOptions) -> (Client, EventStream, String) {
    let (routes, streams) = streaming(options);
    let (_, mut client) = one_client(ev, routes);
    client.send(get("/"));
    let head = client.seen(ev);
    let stream = streams.borrow_mut().remove(0);
    (client, stream, head)
}

/// The bodies of the chunks that have come behind a head.
fn body(seen: &str) -> String {
    let mut rest = seen.split_once("\r\n\r\n").unwrap().1;
    let mut body = String::new();
    while let Some((size, behind)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        body += &behind[..size];
        rest = &behind[size + 2..];
    }
    body
}

/// The data of the events in it.
fn events(body: &[u8]) -> Vec<String> {
    let mut decoder = EventDecoder::new(EventLimits::default());
    let mut all = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let (used, received) = decoder.next(rest).unwrap();
        all.extend(received.map(|event| event.data));
        rest = &rest[used..];
    }
    all
}

#[test]
fn the_head_says_what_it_is_and_leaves_at_once() {
    let mut ev = ev();
    let (_client, _stream, head) = listening(&mut ev, without_heartbeat());
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    for line in [
        "Content-Type: text/event-stream",
        "Cache-Control: no-store",
        "X-Accel-Buffering: no",
        "Transfer-Encoding: chunked",
    ] {
        assert_eq!(head.matches(&format!("\r\n{line}\r\n")).count(), 1, "{line} in {head}");
    }
}

#[test]
fn fields_that_the_reply_was_given_are_kept() {
    let mut ev = ev();
    let routes = Routes::new().get("/", |ev: &mut EvLoop, _, reply: Reply| {
        let reply = reply.header("cache-control", "no-cache").header("X-Mine", "1");
        let stream = reply.events(ev, EventOptions::new())?;
        stream.close(ev);
        Ok::<(), Error>(())
    });
    let (_, mut client) = one_client(&mut ev, routes);
    let answer = client.ask(&mut ev, get("/"));
    assert_eq!(answer.field("cache-control"), Some("no-cache"));
    assert_eq!(answer.field("x-mine"), Some("1"));
    assert_eq!(answer.field("content-type"), Some("text/event-stream"));
}

#[test]
fn events_leave_as_they_are_sent_and_the_end_is_in_order() {
    let mut ev = ev();
    let (mut client, stream, _) = listening(&mut ev, without_heartbeat());
    stream.send(&mut ev, &Event::new("one\ntwo").name("n").id("1")).unwrap();
    assert_eq!(body(&client.seen(&mut ev)), "event: n\nid: 1\ndata: one\ndata: two\n\n");
    stream.comment(&mut ev, "hm").unwrap();
    stream.retry(&mut ev, secs(3)).unwrap();
    let prepared = PreparedEvent::new(&Event::new("again")).unwrap();
    assert_eq!(stream.send_prepared(&mut ev, &prepared).unwrap(), Delivery::Queued);
    assert!(stream.is_connected(&ev));
    stream.close(&mut ev);
    assert!(!stream.is_connected(&ev));
    let answer = client.reply(&mut ev);
    assert!(answer.is_whole && !answer.closes());
    assert!(answer.text().ends_with("\n\n: hm\n\nretry: 3000\n\ndata: again\n\n"));
    assert_eq!(stream.send(&mut ev, &Event::new("late")).unwrap_err().kind(), ErrorKind::Closed);
    stream.close(&mut ev);
    assert_eq!(client.ask(&mut ev, get("/other")).text(), "other");
}

#[test]
fn what_cannot_be_sent_is_refused_and_harms_nothing() {
    let mut ev = ev();
    let (mut client, stream, _) = listening(&mut ev, without_heartbeat());
    let error = stream.send(&mut ev, &Event::new("x").name("a\nb")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(PreparedEvent::new(&Event::new("x").id("\0")).is_err());
    stream.send(&mut ev, &Event::new("fine")).unwrap();
    assert_eq!(body(&client.seen(&mut ev)), "data: fine\n\n");
}

#[test]
fn a_retry_time_is_said_first() {
    let mut ev = ev();
    let (_client, _stream, head) = listening(&mut ev, without_heartbeat().retry(secs(7)));
    assert_eq!(body(&head), "retry: 7000\n\n");
}

#[test]
fn a_client_that_comes_back_says_what_it_has_got_last() {
    let mut ev = ev();
    let (routes, _streams) = streaming(without_heartbeat());
    let (_, mut client) = one_client(&mut ev, routes);
    client.send(request("GET", "/", "Last-Event-ID: 41\r\n", ""));
    assert_eq!(body(&client.seen(&mut ev)), "data: since 41\n\n");
}

#[test]
fn silence_is_broken_by_heartbeats_and_events_put_them_off() {
    let mut ev = ev();
    let (mut client, stream, head) = listening(&mut ev, EventOptions::new());
    pass(&mut ev, secs(14));
    assert_eq!(client.seen(&mut ev), head);
    pass(&mut ev, secs(1));
    assert_eq!(body(&client.seen(&mut ev)), ":\n\n");
    pass(&mut ev, secs(10));
    stream.send(&mut ev, &Event::new("x")).unwrap();
    pass(&mut ev, secs(14));
    assert_eq!(body(&client.seen(&mut ev)), ":\n\ndata: x\n\n");
    pass(&mut ev, secs(1));
    assert_eq!(body(&client.seen(&mut ev)), ":\n\ndata: x\n\n:\n\n");
    // However long it takes, no time-out of the server's is about this.
    pass(&mut ev, secs(600));
    assert!(stream.is_connected(&ev));
    assert_eq!(body(&client.seen(&mut ev)).matches(":\n\n").count(), 2 + 40);
}

#[test]
fn without_heartbeats_a_stream_may_be_silent_for_ever() {
    let mut ev = ev();
    let (mut client, stream, head) = listening(&mut ev, without_heartbeat());
    pass(&mut ev, secs(100_000));
    assert!(stream.is_connected(&ev) && client.is_open());
    assert_eq!(client.seen(&mut ev), head);
}

#[test]
fn when_it_ends_its_timer_does() {
    let mut ev = ev();
    // The loop's own stay from one server to the next.
    let server = serve(&mut ev, hello());
    Client::new(&mut ev, server).ask(&mut ev, get("/"));
    server.stop_now(&mut ev);
    settle(&mut ev);
    let before = ev.watchers().len();
    for how in 0..4 {
        let (routes, streams) = streaming(EventOptions::new());
        let (server, mut client) = one_client(&mut ev, routes);
        client.send(get("/"));
        until(&mut ev, |_| !streams.borrow().is_empty());
        let mut stream = Some(streams.borrow_mut().remove(0));
        match how {
            0 => stream.as_ref().unwrap().close(&mut ev),
            1 => drop(stream.take()),
            2 => client = Client::new(&mut ev, server),
            _ => server.stop_now(&mut ev),
        }
        settle(&mut ev);
        if let Some(stream) = &stream {
            assert!(!stream.is_connected(&ev), "{how}");
        }
        drop(client);
        server.stop_now(&mut ev);
        until(&mut ev, |ev| !server.exists(ev));
        settle(&mut ev);
        assert_eq!(ev.watchers().len(), before, "{how}");
    }
}

#[test]
fn dropped_it_is_cut_with_its_last_handle() {
    let mut ev = ev();
    let (mut client, stream, _) = listening(&mut ev, EventOptions::new());
    let other = stream.clone();
    drop(stream);
    other.send(&mut ev, &Event::new("x")).unwrap();
    settle(&mut ev);
    assert!(client.is_open());
    drop(other);
    let (rest, _) = client.rest(&mut ev);
    assert!(!rest.ends_with(b"0\r\n\r\n"));
}

#[test]
fn a_client_that_leaves_is_told_of() {
    let mut ev = ev();
    let (client, stream, _) = listening(&mut ev, EventOptions::new());
    let told = Rc::new(RefCell::new(Vec::new()));
    let notes = Rc::clone(&told);
    let same = stream.clone();
    stream.on_disconnect(move |ev, how| {
        notes.borrow_mut().push(how);
        // Whatever is done here is in order.
        let result = same.send(ev, &Event::new("bye"));
        assert_eq!(how == Disconnected::Gone, result.is_err());
    });
    client.finish();
    settle(&mut ev);
    assert_eq!(*told.borrow(), [Disconnected::HalfClosed]);
    assert!(stream.is_connected(&ev));
    client.reset();
    until(&mut ev, |_| told.borrow().len() == 2);
    assert_eq!(told.borrow()[1], Disconnected::Gone);
    assert!(!stream.is_connected(&ev));
    assert_eq!(stream.send(&mut ev, &Event::new("x")).unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn who_does_not_read_loses_events_which_are_counted() {
    let mut ev = ev();
    let options = without_heartbeat().overflow(Overflow::Drop).max_waiting(40_000);
    let (mut client, stream, _) = listening(&mut ev, options);
    let text = "x".repeat(10_000);
    let mut queued = 0;
    while stream.send(&mut ev, &Event::new(&*text)).unwrap() == Delivery::Queued {
        queued += 1;
        turn(&mut ev);
    }
    for _ in 0..9 {
        assert_eq!(stream.send(&mut ev, &Event::new(&*text)).unwrap(), Delivery::Dropped);
    }
    assert_eq!(stream.dropped(), 10);
    assert!(stream.waiting(&ev) <= 40_000 + 100 && stream.is_connected(&ev));
    // When it reads again it gets what was taken, and then what comes.
    until(&mut ev, |ev| {
        client.waiting();
        stream.waiting(ev) == 0
    });
    stream.send(&mut ev, &Event::new("last")).unwrap();
    stream.close(&mut ev);
    let got = events(&client.reply(&mut ev).body);
    assert_eq!(got.len(), queued + 1);
    assert_eq!(got.last().map(String::as_str), Some("last"));
}

#[test]
fn who_does_not_read_is_cut_off_where_that_is_wanted() {
    let mut ev = ev();
    let (mut client, stream, _) = listening(&mut ev, without_heartbeat().max_waiting(40_000));
    let gone = Count::new();
    let of = gone.clone();
    stream.on_disconnect(move |_, _| _ = of.up());
    let text = "x".repeat(10_000);
    let error = loop {
        match stream.send(&mut ev, &Event::new(&*text)) {
            Ok(_) => turn(&mut ev),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Full);
    assert!(!stream.is_connected(&ev));
    let (rest, _) = client.rest(&mut ev);
    assert!(!rest.ends_with(b"0\r\n\r\n"));
    assert_eq!(gone.get(), 1);
}

#[test]
fn an_event_that_is_larger_than_what_may_wait_is_an_overflow() {
    let mut ev = ev();
    let options = without_heartbeat().overflow(Overflow::Drop).max_waiting(100);
    let (_client, stream, _) = listening(&mut ev, options);
    let large = Event::new("x".repeat(100));
    assert_eq!(stream.send(&mut ev, &large).unwrap(), Delivery::Dropped);
    assert_eq!(stream.send(&mut ev, &Event::new("x")).unwrap(), Delivery::Queued);
}

#[test]
fn who_takes_nothing_for_long_meets_the_write_timeout() {
    let mut ev = ev();
    let (mut client, stream, _) = listening(&mut ev, EventOptions::new());
    let text = "x".repeat(50_000);
    while stream.waiting(&ev) == 0 {
        stream.send(&mut ev, &Event::new(&*text)).unwrap();
        turn(&mut ev);
    }
    pass(&mut ev, secs(29));
    assert!(stream.is_connected(&ev));
    pass(&mut ev, secs(2));
    assert!(!stream.is_connected(&ev));
    client.rest(&mut ev);
}

#[test]
fn a_shutdown_ends_streams_in_order() {
    let mut ev = ev();
    let (routes, streams) = streaming(EventOptions::new());
    let (routes, reasons) = noting(routes);
    let (server, mut client) = one_client(&mut ev, routes);
    client.send(get("/"));
    until(&mut ev, |_| !streams.borrow().is_empty());
    let stream = streams.borrow()[0].clone();
    stream.send(&mut ev, &Event::new("last words")).unwrap();
    server.shutdown(&mut ev, Some(secs(10)));
    assert!(!stream.is_connected(&ev));
    let answer = client.reply(&mut ev);
    assert!(answer.is_whole);
    assert_eq!(events(&answer.body), ["last words"]);
    assert_eq!(client.ends(&mut ev), End::Orderly);
    until(&mut ev, |ev| !server.exists(ev));
    assert_eq!(*reasons.borrow(), [CompletionReason::Ok]);
    drop(streams);
    assert!(!ev.run().unwrap());
}

#[test]
fn who_does_not_read_does_not_keep_a_server_from_stopping() {
    let mut ev = ev();
    let (routes, streams) = streaming(EventOptions::new().overflow(Overflow::Drop));
    let (server, mut client) = one_client(&mut ev, routes);
    client.send(get("/"));
    until(&mut ev, |_| !streams.borrow().is_empty());
    let stream = streams.borrow()[0].clone();
    let text = "x".repeat(50_000);
    while stream.send(&mut ev, &Event::new(&*text)).unwrap() == Delivery::Queued {
        turn(&mut ev);
    }
    server.shutdown(&mut ev, Some(secs(10)));
    pass(&mut ev, secs(9));
    assert!(server.exists(&ev));
    pass(&mut ev, secs(1));
    assert!(!server.exists(&ev));
    client.rest(&mut ev);
}

#[test]
fn stopped_now_it_is_cut() {
    let mut ev = ev();
    let (routes, streams) = streaming(EventOptions::new());
    let (routes, reasons) = noting(routes);
    let (server, mut client) = one_client(&mut ev, routes);
    client.send(get("/"));
    until(&mut ev, |_| !streams.borrow().is_empty());
    server.stop_now(&mut ev);
    let (rest, _) = client.rest(&mut ev);
    assert!(!rest.ends_with(b"0\r\n\r\n"));
    assert!(!streams.borrow()[0].is_connected(&ev));
    until(&mut ev, |ev| !server.exists(ev));
    assert_eq!(*reasons.borrow(), [CompletionReason::ServerShutdown]);
}

#[test]
fn begun_while_the_server_stops_it_is_over_at_once() {
    let mut ev = ev();
    let slot = Slot::new();
    let (server, mut client) = one_client(&mut ev, keeps(&slot));
    client.send(get("/"));
    until(&mut ev, |_| !slot.is_empty());
    server.shutdown(&mut ev, None);
    let stream = slot.take().events(&mut ev, EventOptions::new()).unwrap();
    assert_eq!(stream.send(&mut ev, &Event::new("x")).unwrap(), Delivery::Dropped);
    let answer = client.reply(&mut ev);
    assert!(answer.is_whole && answer.closes());
    assert_eq!((answer.status, answer.text()), (200, ""));
    client.ends(&mut ev);
    assert!(stream.send(&mut ev, &Event::new("x")).is_err());
    until(&mut ev, |ev| !server.exists(ev));
}

#[test]
fn a_client_of_1_0_gets_it_until_the_connection_is_closed() {
    let mut ev = ev();
    let (routes, streams) = streaming(EventOptions::new());
    let (_, mut client) = one_client(&mut ev, routes);
    client.send("GET / HTTP/1.0\r\n\r\n");
    let head = client.seen(&mut ev);
    assert!(!head.contains("chunked") && head.contains("\r\nConnection: close\r\n"), "{head}");
    let stream = streams.borrow_mut().remove(0);
    stream.send(&mut ev, &Event::new("x")).unwrap();
    assert!(client.seen(&mut ev).ends_with("\r\n\r\ndata: x\n\n"));
    stream.close(&mut ev);
    assert_eq!(events(&client.reply(&mut ev).body), ["x"]);
    client.ends(&mut ev);
}

#[test]
fn the_reply_to_head_is_complete_with_its_head() {
    let mut ev = ev();
    let failures = Count::new();
    let of = failures.clone();
    let (routes, streams) = streaming(EventOptions::new());
    let routes = routes.on_failure(move |_, _| _ = of.up());
    let (_, mut client) = one_client(&mut ev, routes);
    client.send(request("HEAD", "/", "Last-Event-ID: 1\r\n", ""));
    let answer = client.reply_to(&mut ev, "HEAD");
    assert_eq!(answer.field("content-type"), Some("text/event-stream"));
    assert_eq!(client.ask(&mut ev, get("/other")).text(), "other");
    let stream = streams.borrow_mut().remove(0);
    assert!(!stream.is_connected(&ev));
    assert!(stream.send(&mut ev, &Event::new("x")).is_err());
    assert_eq!(failures.get(), 0);
    drop(stream);
    assert_eq!(client.ask(&mut ev, get("/other")).text(), "other");
}

#[test]
fn what_is_told_to_many_reaches_those_who_are_there() {
    let mut ev = ev();
    let (routes, streams) = streaming(EventOptions::new());
    let server = serve(&mut ev, routes);
    let mut clients: Vec<_> = (0..20).map(|_| Client::new(&mut ev, server)).collect();
    for client in &mut clients {
        client.send(get("/"));
    }
    until(&mut ev, |_| streams.borrow().len() == 20);
    clients.truncate(15);
    settle(&mut ev);
    let event = PreparedEvent::new(&Event::new("all")).unwrap();
    let list = Rc::clone(&streams);
    list.borrow_mut().retain(|stream| stream.send_prepared(&mut ev, &event).is_ok());
    assert_eq!(streams.borrow().len(), 15);
    for client in &mut clients {
        assert_eq!(body(&client.seen(&mut ev)), "data: all\n\n");
    }
}

#[test]
fn a_client_for_whom_nothing_more_is_taken_is_cut() {
    let mut ev = ev();
    let (client, stream, _) = listening(&mut ev, without_heartbeat());
    let event = Event::new("hello");
    // All of each is taken, or nothing of it.
    while stream.waiting(&ev) == 0 {
        stream.send(&mut ev, &event).unwrap();
        settle(&mut ev);
    }
    assert!(stream.waiting(&ev) < 40);
    pass(&mut ev, secs(29));
    assert!(stream.is_connected(&ev));
    pass(&mut ev, secs(2));
    assert!(!stream.is_connected(&ev));
    drop(client);
}
