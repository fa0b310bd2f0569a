// Whoever is called may do anything to everybody: each deed in each place, with connections in every state around it.

use crate::talking::*;

/// Where users are called.
const PLACES: [&str; 21] = [
    "opened", "line", "before", "handler", "data", "end", "failed body", "pull", "drained", "after",
    "page", "own completed", "completed", "disconnect", "failure", "refused", "closed", "timer",
    "stopped", "streaming", "posted",
];

/// What is done there.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Deed {
    StopNow,
    Shutdown,
    CloseAll,
    ResetAll,
    Nest,
    StopAndNest,
    CloseAllAndNest,
    ShutdownAndNest,
    FreeAll,
    AnswerAll,
    FailAll,
    TakeOverAll,
    Panic,
    Serve,
    Quiesce,
}

const DEEDS: [Deed; 15] = [
    Deed::StopNow,
    Deed::Shutdown,
    Deed::CloseAll,
    Deed::ResetAll,
    Deed::Nest,
    Deed::StopAndNest,
    Deed::CloseAllAndNest,
    Deed::ShutdownAndNest,
    Deed::FreeAll,
    Deed::AnswerAll,
    Deed::FailAll,
    Deed::TakeOverAll,
    Deed::Panic,
    Deed::Serve,
    Deed::Quiesce,
];

/// What the closures of a case share.
struct World {
    server: Cell<Option<Server>>,
    place: &'static str,
    deed: Deed,
    is_done: Cell<bool>,
    replies: RefCell<Vec<Reply>>,
    streams: RefCell<Vec<ReplyStream>>,
    extra: RefCell<Vec<Client>>,
    begun: Cell<usize>,
    completed: RefCell<Vec<(u64, String, CompletionReason)>>,
    /// Requests that want to know by themselves, and those that were told.
    asked: Cell<usize>,
    told: Cell<usize>,
    opened: RefCell<Vec<u64>>,
    closed: RefCell<Vec<u64>>,
    stopped: Cell<usize>,
}

impl World {
    fn new(place: &'static str, deed: Deed) -> Rc<Self> {
        Rc::new(Self {
            server: Cell::default(),
            place,
            deed,
            is_done: Cell::default(),
            replies: RefCell::default(),
            streams: RefCell::default(),
            extra: RefCell::default(),
            begun: Cell::default(),
            completed: RefCell::default(),
            asked: Cell::default(),
            told: Cell::default(),
            opened: RefCell::default(),
            closed: RefCell::default(),
            stopped: Cell::default(),
        })
    }

    /// The deed, if this is its place.
    fn at(&self, ev: &mut EvLoop, place: &str) {
        if place != self.place || self.is_done.replace(true) {
            return;
        }
        let server = self.server.get().unwrap();
        let nest = |ev: &mut EvLoop| {
            for _ in 0..5 {
                ev.turn(Some(ZERO)).unwrap();
            }
        };
        let close_all = |ev: &mut EvLoop| {
            for connection in server.connections(ev) {
                connection.stream().close_now(ev);
            }
        };
        match self.deed {
            Deed::StopNow => server.stop_now(ev),
            Deed::Shutdown => server.shutdown(ev, Some(secs(1))),
            Deed::CloseAll => close_all(ev),
            Deed::ResetAll => {
                for connection in server.connections(ev) {
                    connection.stream().reset(ev);
                }
            }
            Deed::Nest => nest(ev),
            Deed::StopAndNest => {
                server.stop_now(ev);
                nest(ev);
            }
            Deed::CloseAllAndNest => {
                close_all(ev);
                nest(ev);
            }
            Deed::ShutdownAndNest => {
                server.shutdown(ev, Some(secs(1)));
                nest(ev);
            }
            Deed::FreeAll => {
                drop(self.replies.take());
                drop(self.streams.take());
            }
            Deed::AnswerAll => self.answer_all(ev),
            Deed::FailAll => {
                for reply in self.replies.take() {
                    let _ = reply.error(ev, Status::FORBIDDEN);
                }
                for stream in self.streams.take() {
                    stream.abort(ev);
                }
            }
            Deed::TakeOverAll => {
                for reply in self.replies.take() {
                    if let Ok(stream) = reply.upgrade(ev, "nothing") {
                        stream.set_handler(ev, |_, _, _| {});
                        stream.close_after_flush(ev);
                    }
                }
            }
            Deed::Panic => std::panic::resume_unwind(Box::new("on purpose")),
            Deed::Serve => {
                let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
                if server.serve_fd(ev, near).is_ok() {
                    let mut client = Client::of(far);
                    client.send(get("/plain"));
                    self.extra.borrow_mut().push(client);
                }
            }
            Deed::Quiesce => drop(server.quiesce(ev)),
        }
    }

    fn answer_all(&self, ev: &mut EvLoop) {
        for reply in self.replies.take() {
            let _ = reply.text(ev, "kept");
        }
        for stream in self.streams.take() {
            let _ = stream.end(ev);
        }
    }
}

fn routes(world: &Rc<World>) -> Routes {
    let w = || Rc::clone(world);
    let (a, b, c, d, e, f, g) = (w(), w(), w(), w(), w(), w(), w());
    let (h, i, j, k, l, m, n) = (w(), w(), w(), w(), w(), w(), w());
    Routes::new()
        .get("/plain", move |ev: &mut EvLoop, _, reply: Reply| {
            a.at(ev, "handler");
            reply.text(ev, "plain")
        })
        .get("/kept", move |_: &mut EvLoop, _, reply: Reply| {
            b.asked.set(b.asked.get() + 1);
            let w = Rc::clone(&b);
            reply.on_completed(move |ev, _| {
                w.told.set(w.told.get() + 1);
                w.at(ev, "own completed");
            });
            let w = Rc::clone(&b);
            reply.on_disconnect(move |ev, _| w.at(ev, "disconnect"));
            b.replies.borrow_mut().push(reply);
        })
        .get("/stream", move |ev: &mut EvLoop, _, reply: Reply| {
            let stream = reply.stream(ev, BodyLength::Unknown)?;
            let w = Rc::clone(&c);
            stream.on_drained(move |ev| w.at(ev, "drained"));
            stream.write(ev, vec![b'x'; 600_000])?;
            c.at(ev, "streaming");
            c.streams.borrow_mut().push(stream);
            Ok::<(), Error>(())
        })
        .get("/pull", move |ev: &mut EvLoop, _, reply: Reply| {
            let (w, mut left) = (Rc::clone(&d), 3);
            reply.pull(ev, BodyLength::Unknown, move |ev| {
                w.at(ev, "pull");
                left -= 1;
                if left == 0 { Pull::End } else { Pull::Data(vec![b'y'; 10]) }
            })?;
            Ok::<(), Error>(())
        })
        .streaming(Method::POST, "/body", move |ev: &mut EvLoop, request: Request, reply: Reply| {
            let (w, mut reply) = (Rc::clone(&e), Some(reply));
            request.receive(ev, move |ev, _, event| match event {
                BodyEvent::Data(data) => {
                    w.at(ev, "data");
                    data.clear();
                }
                BodyEvent::End(_) => {
                    w.at(ev, "end");
                    if let Some(reply) = reply.take() {
                        let _ = reply.text(ev, "body");
                    }
                }
                _ => w.at(ev, "failed body"),
            })?;
            Ok::<(), Error>(())
        })
        .post("/gathered", move |ev: &mut EvLoop, _, reply: Reply| {
            n.at(ev, "posted");
            reply.text(ev, "gathered")
        })
        .get("/fail", |_: &mut EvLoop, _, _reply: Reply| Err::<(), String>("on purpose".into()))
        .before(move |ev, _, reply| {
            f.begun.set(f.begun.get() + 1);
            f.at(ev, "before");
            Some(reply)
        })
        .after(move |ev, _, _| g.at(ev, "after"))
        .error_page(move |ev, _, _| {
            h.at(ev, "page");
            None
        })
        .on_request_line(move |ev, _, _, _| i.at(ev, "line"))
        .on_connection(move |ev, connection, event| {
            if event == ConnectionEvent::Opened {
                j.opened.borrow_mut().push(connection.id());
                j.at(ev, "opened");
            } else {
                j.closed.borrow_mut().push(connection.id());
                j.at(ev, "closed");
            }
        })
        .on_completed(move |ev, completed| {
            let Completed { request, reason, .. } = completed;
            let told = (request.connection.id(), request.target.clone(), *reason);
            k.completed.borrow_mut().push(told);
            k.at(ev, "completed");
        })
        .on_failure(move |ev, _| l.at(ev, "failure"))
        .on_refused(move |ev, _| m.at(ev, "refused"))
}

/// So many turns; panics that go on are those of the deed.
fn turns(ev: &mut EvLoop, count: usize) {
    for _ in 0..count {
        if let Some(text) = panic_of(|| turn(ev)) {
            assert_eq!(text, "on purpose");
        }
    }
    ev.verify();
}

/// So much of the loop's time, with the same panics.
fn passes(ev: &mut EvLoop, time: Duration) {
    let end = ev.now() + time;
    let keeps_running = ev.timer(time, ZERO, |_, _| {}).start(ev);
    while ev.now() < end {
        if let Some(text) = panic_of(|| ev.turn(Some(end - ev.now())).unwrap()) {
            assert_eq!(text, "on purpose");
        }
    }
    keeps_running.free(ev);
}

fn case(mut ev: EvLoop, place: &'static str, deed: Deed, policy: PanicPolicy) {
    let what = format!("{deed:?} at {place:?}, {policy:?}");
    let world = World::new(place, deed);
    let options = ServerOptions::new().on_panic(policy).handler_timeout(Some(secs(30)));
    let server = options.listen(&mut ev, "127.0.0.1:0", routes(&world)).unwrap();
    world.server.set(Some(server));
    let w = Rc::clone(&world);
    server.on_stopped(&mut ev, move |ev| {
        w.stopped.set(w.stopped.get() + 1);
        w.at(ev, "stopped");
    });
    let half = "GET /plain HTTP/1.1\r\nHost: he";
    let asks = [
        get("/plain").repeat(2),
        get("/kept") + &get("/plain"),
        get("/stream") + &get("/plain"),
        get("/pull") + &get("/plain"),
        post("/body", "all of it") + &get("/plain"),
        request("POST", "/body", "Content-Length: 10\r\n", "half"),
        request("POST", "/body", "Transfer-Encoding: chunked\r\n", "2\r\nab\r\nnone\r\n"),
        get("/fail") + &get("/nothing"),
        "garbage\r\n\r\n".to_owned(),
        String::new(),
        half.to_owned(),
        get("/kept"),
        request("GET", "/kept", "Connection: upgrade\r\nUpgrade: nothing\r\n", "") + &get("/plain"),
        post("/gathered", "all of it") + &get("/plain"),
        request("POST", "/gathered", "Content-Length: 10\r\n", "half"),
    ];
    let mut clients = Vec::new();
    for _ in &asks {
        let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
        let served = panic_of(|| server.serve_fd(&mut ev, near).is_ok());
        assert!(served.is_none_or(|text| text == "on purpose"));
        clients.push(Client::of(far));
    }
    let w = Rc::clone(&world);
    ev.after(secs(1), move |ev| w.at(ev, "timer"));
    for (client, ask) in clients.iter_mut().zip(&asks) {
        client.push(ask.as_bytes());
    }
    turns(&mut ev, 20);
    drop(clients.remove(11));
    turns(&mut ev, 5);
    clients[5].push(b"is");
    passes(&mut ev, secs(2));
    for _ in 0..20 {
        clients.iter_mut().for_each(|client| _ = client.waiting());
        turns(&mut ev, 3);
    }
    world.answer_all(&mut ev);
    turns(&mut ev, 10);
    let _ = panic_of(|| server.shutdown(&mut ev, Some(secs(3))));
    for _ in 0..30 {
        clients.iter_mut().for_each(|client| _ = client.waiting());
        turns(&mut ev, 3);
    }
    // What is left has its limit, and then there is nothing.
    passes(&mut ev, secs(4));
    assert_eq!((server.exists(&ev), ev.stream_count()), (false, 0), "{what}");
    assert!(world.is_done.get(), "{what}: never called");
    assert_eq!(world.stopped.get(), 1, "{what}");
    assert_eq!(world.asked.get(), world.told.get(), "{what}");
    let (mut opened, mut closed) = (world.opened.take(), world.closed.take());
    opened.sort_unstable();
    closed.sort_unstable();
    assert_eq!(opened, closed, "{what}");
    let completed = world.completed.take();
    let nests = matches!(
        deed,
        Deed::Nest | Deed::StopAndNest | Deed::CloseAllAndNest | Deed::ShutdownAndNest
    );
    if nests && place == "before" {
        assert!(completed.len() >= world.begun.get(), "{what}");
    } else {
        assert_eq!(completed.len(), world.begun.get(), "{what}: {completed:?}");
    }
    // What the clients see is replies, one after the other, and no more of them than were asked for.
    for (client, ask) in clients.iter_mut().zip(&asks) {
        let (bytes, ended) = client.taken();
        let mut rest = &bytes[..];
        let mut count = 0;
        while let Some((answer, used)) = parse(rest, "GET", ended.is_some()) {
            rest = &rest[used..];
            count += usize::from(answer.status >= 200);
        }
        assert!(rest.is_empty(), "{what}: {:?}", String::from_utf8_lossy(rest));
        assert!(count <= 2, "{what}: {count} replies to {ask}");
        assert!(ended.is_some(), "{what}: {ask} is open");
    }
    // Nothing ticks.
    let now = ev.now();
    ev.run().unwrap();
    assert_eq!(ev.now(), now, "{what}");
    drop(ev);
    assert_eq!(Rc::strong_count(&world), 1, "{what}: something is left");
}

fn cases(policy: PanicPolicy, deeds: impl Fn(Deed) -> bool) {
    for place in PLACES {
        for deed in DEEDS {
            if deeds(deed) {
                case(ev(), place, deed, policy);
            }
        }
    }
}

#[test]
fn whoever_is_called_may_do_anything_to_everybody() {
    cases(PanicPolicy::Isolate, |_| true);
}

#[test]
fn whoever_is_called_may_panic_and_the_run_goes_on() {
    cases(PanicPolicy::Propagate, |deed| deed == Deed::Panic);
}
