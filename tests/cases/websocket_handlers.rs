// What handlers may do.

use std::panic::{AssertUnwindSafe, catch_unwind};


use crate::sockets::*;

#[test]
fn a_handler_may_close_cut_and_pause_for_every_message() {
    for how in ["close", "cut", "stream", "pause"] {
        let mut ev = ev();
        let log = Told::default();
        let notes = Rc::clone(&log);
        let server = server(&mut ev, WebSocketOptions::new(), move |ev, ws, event| {
            note(&notes, &event);
            if let WebSocketEvent::Text("now") = event {
                match how {
                    "close" => ws.close(ev, CloseCode::NORMAL, "").unwrap(),
                    "cut" => ws.close_now(ev),
                    "stream" => ws.stream().close_now(ev),
                    _ => assert!(ws.pause(ev)),
                }
            }
        });
        let mut raw = Raw::open(&mut ev, server);
        raw.send([frame(0x81, b"now", true), frame(0x81, b"behind", true)].concat());
        settle(&mut ev);
        match how {
            "close" => {
                raw.hears_close(&mut ev, 1000);
                raw.close(1000, "");
                raw.ends(&mut ev);
                raw.finish();
                settle(&mut ev);
                assert_eq!(said(&log), ["opened", "text now", "closed 1000 \"\" clean"]);
            }
            "pause" => {
                assert_eq!(said(&log), ["opened", "text now"]);
                let ws = ev.websockets()[0];
                assert!(ws.resume(&mut ev));
                settle(&mut ev);
                assert_eq!(said(&log), ["text behind"]);
            }
            _ => {
                let told = said(&log);
                assert_eq!(told.first().unwrap(), "opened");
                assert_eq!(told.last().unwrap(), "closed 1006 \"\" unclean");
            }
        }
    }
}

#[test]
fn a_pause_holds_the_peer_up_and_a_resume_goes_on_where_it_was() {
    let mut ev = ev();
    let (server, log) = echo(&mut ev, WebSocketOptions::new());
    let mut raw = Raw::open(&mut ev, server);
    settle(&mut ev);
    let ws = ev.websockets()[0];
    assert!(ws.pause(&mut ev) && ws.pause(&mut ev));
    let message = frame(0x82, &[1; 10_000], true);
    let mut sent = 0;
    while raw.push(&message) == message.len() {
        sent += 1;
        settle(&mut ev);
        assert!(sent < 1000, "nobody holds it up");
    }
    assert_eq!(said(&log), ["opened"]);
    assert!(ws.resume(&mut ev));
    until(&mut ev, |_| {
        raw.take();
        log.borrow().len() >= sent
    });
}

#[test]
fn who_has_ended_its_side_is_still_read_after_a_pause() {
    for goodbye in [false, true] {
        let mut ev = ev();
        let log = Told::default();
        let notes = Rc::clone(&log);
        let server = server(&mut ev, WebSocketOptions::new(), move |ev, ws, event| {
            note(&notes, &event);
            if let WebSocketEvent::Text(_) = event {
                assert!(ws.pause(ev));
            }
        });
        let mut raw = Raw::open(&mut ev, server);
        let end = if goodbye { frame(0x88, &1000_u16.to_be_bytes(), true) } else { Vec::new() };
        raw.send([frame(0x81, b"one", true), frame(0x81, b"two", true), end].concat());
        raw.finish();
        settle(&mut ev);
        assert_eq!(said(&log), ["opened", "text one"]);
        assert!(ev.websockets()[0].resume(&mut ev));
        settle(&mut ev);
        assert_eq!(said(&log), ["text two"]);
        assert!(ev.websockets()[0].resume(&mut ev));
        settle(&mut ev);
        let closed = if goodbye { "closed 1000 \"\" clean" } else { "closed 1006 \"\" unclean" };
        assert_eq!(said(&log), [closed]);
    }
}

#[test]
fn a_panic_goes_to_who_runs_the_loop_and_the_rest_is_told() {
    let mut ev = ev();
    let log = Told::default();
    let notes = Rc::clone(&log);
    let server = server(&mut ev, WebSocketOptions::new(), move |_, _, event| {
        note(&notes, &event);
        if let WebSocketEvent::Text("panic") = event {
            panic!("as it was told");
        }
    });
    let mut raw = Raw::open(&mut ev, server);
    settle(&mut ev);
    raw.send([frame(0x81, b"panic", true), frame(0x81, b"behind", true)].concat());
    let mut panicked = 0;
    for _ in 0..50 {
        let result = catch_unwind(AssertUnwindSafe(|| turn(&mut ev)));
        panicked += usize::from(result.is_err());
    }
    assert_eq!(panicked, 1);
    assert_eq!(said(&log), ["opened", "text panic", "text behind"]);
    raw.close(1000, "");
    raw.hears_close(&mut ev, 1000);
    raw.ends(&mut ev);
    raw.finish();
    settle(&mut ev);
    assert_eq!(said(&log), ["closed 1000 \"\" clean"]);
}

#[test]
fn panics_when_it_opens_and_when_it_closes_leave_nothing_behind() {
    let mut ev = ev();
    let server = server(&mut ev, WebSocketOptions::new(), move |_, _, event| {
        if matches!(event, WebSocketEvent::Opened | WebSocketEvent::Closed(_)) {
            panic!("as it was told");
        }
    });
    let stopped = Rc::new(Cell::new(false));
    let told = Rc::clone(&stopped);
    server.on_stopped(&mut ev, move |_| told.set(true));
    let mut raw = Raw::connected(&mut ev, server);
    raw.send(format!("{OPENING}\r\n"));
    raw.close(1000, "");
    let mut panicked = 0;
    for n in 0..60 {
        if n == 30 {
            raw.input.clear();
            raw.finish();
        }
        let result = catch_unwind(AssertUnwindSafe(|| turn(&mut ev)));
        panicked += usize::from(result.is_err());
    }
    assert_eq!(panicked, 2);
    assert_eq!((ev.websockets().len(), ev.stream_count()), (0, 0));
    server.shutdown(&mut ev, None);
    until(&mut ev, |_| stopped.get());
}

#[test]
fn a_handler_may_run_the_loop_and_gets_its_own_messages_afterwards() {
    let mut ev = ev();
    let log = Told::default();
    let notes = Rc::clone(&log);
    let server = server(&mut ev, WebSocketOptions::new(), move |ev, ws, event| {
        note(&notes, &event);
        if let WebSocketEvent::Text("nest") = event {
            for _ in 0..20 {
                turn(ev);
            }
            notes.borrow_mut().push("nested".to_owned());
        }
        if let WebSocketEvent::Text("echo") = event {
            ws.send_text(ev, "echoed").unwrap();
        }
    });
    let mut one = Raw::open(&mut ev, server);
    let mut other = Raw::open(&mut ev, server);
    settle(&mut ev);
    said(&log);
    one.send([frame(0x81, b"nest", true), frame(0x81, b"echo", true)].concat());
    other.text("echo");
    other.hears(&mut ev, 0x81, "echoed");
    one.hears(&mut ev, 0x81, "echoed");
    let told = said(&log);
    let at = |what: &str| told.iter().position(|each| each == what).unwrap();
    assert_eq!(told.len(), 4);
    assert!(told.last().unwrap() == "text echo" && at("nested") == 2, "{told:?}");
}

#[test]
fn data_and_posted_messages_belong_to_one() {
    let mut ev = live_ev();
    let log = Told::default();
    let notes = Rc::clone(&log);
    let server = server(&mut ev, WebSocketOptions::new(), move |ev, ws, event| match event {
        WebSocketEvent::Opened => drop(ws.set_data(ev, 7_u32)),
        WebSocketEvent::Wakeup(message) => {
            let text = message.downcast_ref::<String>().unwrap();
            notes.borrow_mut().push(format!("{text} {}", ws.data::<u32>(ev).unwrap()));
        }
        _ => {}
    });
    let _raw = Raw::open(&mut ev, server);
    settle(&mut ev);
    let ws = ev.websockets()[0];
    let remote = ev.stream_remote();
    std::thread::spawn(move || remote.post(ws.stream(), "posted".to_owned())).join().unwrap();
    until(&mut ev, |_| !log.borrow().is_empty());
    assert_eq!(said(&log), ["posted 7"]);
}

#[test]
fn opened_comes_before_messages_that_were_posted() {
    let mut ev = live_ev();
    let log = Told::default();
    let notes = Rc::clone(&log);
    let remote = ev.stream_remote();
    let options = WebSocketOptions::new();
    let routes = Routes::new().get("/ws", move |ev: &mut EvLoop, request: Request, reply: Reply| {
        let notes = Rc::clone(&notes);
        let ws = options.accept(ev, &request, reply, move |_, _, event| match event {
            WebSocketEvent::Opened => notes.borrow_mut().push("opened".to_owned()),
            WebSocketEvent::Wakeup(_) => notes.borrow_mut().push("posted".to_owned()),
            _ => {}
        });
        assert!(remote.post(ws.unwrap().stream(), ()));
    });
    let server = ServerOptions::new().unbound(&mut ev, routes).unwrap();
    let _raw = Raw::open(&mut ev, server);
    until(&mut ev, |_| log.borrow().len() == 2);
    assert_eq!(said(&log), ["opened", "posted"]);
}

#[test]
fn messages_that_are_posted_to_one_that_is_being_opened_wait_for_that() {
    let mut ev = live_ev();
    let far = Far::new();
    let log = Told::default();
    let notes = Rc::clone(&log);
    let ws = WebSocketClient::new().connect(&mut ev, &far.url(), move |_, _, event| match event {
        WebSocketEvent::Wakeup(n) => {
            notes.borrow_mut().push(format!("posted {}", n.downcast_ref::<u32>().unwrap()));
        }
        event => note(&notes, &event),
    });
    let remote = ev.stream_remote();
    for n in 1..=2_u32 {
        assert!(remote.post(ws.as_ref().unwrap().stream(), n));
    }
    let mut raw = far.accept(&mut ev);
    settle(&mut ev);
    assert_eq!(said(&log), [""; 0]);
    raw.shake_hands(&mut ev, "");
    until(&mut ev, |_| log.borrow().len() == 3);
    assert_eq!(said(&log), ["opened", "posted 1", "posted 2"]);
}

/// What a case of random deeds knows.
struct Chaos {
    random: Cell<u64>,
    /// Of each socket by its number, what it was told: `o`pened, `c`losed, anything else.
    told: RefCell<Vec<String>>,
    open: RefCell<Vec<WebSocket>>,
    server: Cell<Option<Server>>,
    depth: Cell<u32>,
}

impl Chaos {
    fn pick(&self, of: u64) -> u64 {
        let random = self.random.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.random.set(random);
        (random >> 33) % of
    }

    /// A new one; what its handler does.
    fn handler(self: &Rc<Self>) -> impl FnMut(&mut EvLoop, WebSocket, WebSocketEvent<'_>) + use<> {
        let number = self.told.borrow().len();
        self.told.borrow_mut().push(String::new());
        let this = Rc::clone(self);
        move |ev, ws, event| {
            let letter = match event {
                WebSocketEvent::Opened => 'o',
                WebSocketEvent::Closed(_) => 'c',
                _ => 'x',
            };
            this.told.borrow_mut()[number].push(letter);
            this.open.borrow_mut().push(ws);
            for _ in 0..this.pick(3) {
                this.deed(ev);
            }
        }
    }

    fn deed(self: &Rc<Self>, ev: &mut EvLoop) {
        let ws = {
            let open = self.open.borrow();
            let Some(ws) = open.get(self.pick(open.len().max(1) as u64) as usize) else { return };
            *ws
        };
        match self.pick(24) {
            0..6 => drop(ws.send_text(ev, "x".repeat(self.pick(300) as usize))),
            6 => drop(ws.send_binary(ev, vec![7; 100_000])),
            7 => drop(ws.ping(ev, "p")),
            8 => drop(ws.send_text_fragment(ev, "f", self.pick(2) == 0)),
            9 | 10 => drop(ws.pause(ev)),
            11..14 => drop(ws.resume(ev)),
            14 => drop(ws.close(ev, CloseCode::NORMAL, "enough")),
            15 => ws.close_now(ev),
            16 => ws.stream().close_now(ev),
            17 => drop(broadcast(ev, |_, _| true, &PreparedMessage::text("to all"))),
            18 | 19 if self.depth.get() < 2 => {
                self.depth.set(self.depth.get() + 1);
                turn(ev);
                self.depth.set(self.depth.get() - 1);
            }
            20 => drop(ev.stream_remote().post(ws.stream(), ())),
            21 if self.depth.get() == 0 && self.pick(4) == 0 => panic!("as it was drawn"),
            22 if self.pick(40) == 0 => {
                if let Some(server) = self.server.get() {
                    server.shutdown(ev, Some(Duration::from_secs(5)));
                }
            }
            23 if self.pick(40) == 0 => {
                if let Some(server) = self.server.get() {
                    server.stop_now(ev);
                }
            }
            _ => {}
        }
    }
}

#[test]
fn whatever_handlers_do_each_is_opened_first_and_closed_once_and_last() {
    let mut opened = [0; 4];
    for seed in 0..25 {
        let mut ev = live_ev();
        let chaos = Rc::new(Chaos {
            random: Cell::new(seed * 7919 + 1),
            told: RefCell::default(),
            open: RefCell::default(),
            server: Cell::default(),
            depth: Cell::new(0),
        });
        let options = WebSocketOptions::new().close_timeout(Duration::from_millis(50));
        #[cfg(feature = "compress")]
        let options = if seed % 3 == 0 { options.deflate(Default::default()) } else { options };
        let (accepting, with) = (Rc::clone(&chaos), options.clone());
        let routes = Routes::new().get("/ws", move |ev: &mut EvLoop, request: Request, reply: Reply| {
            let handler = accepting.handler();
            if with.accept(ev, &request, reply, handler).is_err() {
                // It was answered, and is told nothing.
                accepting.told.borrow_mut().last_mut().unwrap().push_str("oc");
            }
        });
        #[allow(unused_mut, reason = "by what speaks TLS")]
        let (mut serving, mut scheme) = (ServerOptions::new(), "ws");
        #[allow(unused_mut, reason = "by what speaks TLS")]
        let mut client = WebSocketClient::new().options(options).timeout(Duration::from_millis(500));
        #[cfg(feature = "tls")]
        if seed % 4 == 1 {
            let authority = crate::tls::Authority::new();
            let identity = authority.identity(&["127.0.0.1"]);
            serving = serving.tls(net::TlsServer::builder(identity).build().unwrap());
            client = client.tls(authority.client().build().unwrap());
            scheme = "wss";
        }
        let server = serving.listen(&mut ev, "127.0.0.1:0", routes).unwrap();
        chaos.server.set(Some(server));
        let url = format!("{scheme}://{}/ws", server.addresses(&ev)[0]);
        let stopped = Rc::new(Cell::new(false));
        let tells = Rc::clone(&stopped);
        server.on_stopped(&mut ev, move |_| tells.set(true));
        let step = |ev: &mut EvLoop| {
            drop(catch_unwind(AssertUnwindSafe(|| ev.turn(Some(Duration::from_millis(1))))));
        };
        for _ in 0..6 {
            let handler = chaos.handler();
            if client.connect(&mut ev, &url, handler).is_err() {
                chaos.told.borrow_mut().last_mut().unwrap().push_str("oc");
            }
        }
        for _ in 0..150 {
            step(&mut ev);
            drop(catch_unwind(AssertUnwindSafe(|| chaos.deed(&mut ev))));
        }
        for ws in chaos.open.borrow_mut().drain(..) {
            ws.resume(&mut ev);
        }
        if !stopped.get() {
            server.shutdown(&mut ev, Some(Duration::from_millis(300)));
        }
        let begun = Instant::now();
        while ev.stream_count() > 0 || !stopped.get() {
            step(&mut ev);
            assert!(begun.elapsed() < Duration::from_secs(10), "{seed}: {:?}", chaos.told);
            for ws in ev.websockets() {
                ws.resume(&mut ev);
            }
        }
        for told in &*chaos.told.borrow() {
            let (first, last) = (told.chars().next(), told.chars().last());
            let is_right = last == Some('c') && told.matches('c').count() == 1;
            let opens = first == Some('o') || told == "c";
            assert!(is_right && opens, "{seed}: {told}");
            opened[seed as usize % 4] += told.matches('o').count();
            assert_eq!(told.matches('o').count(), usize::from(told.len() > 1), "{seed}: {told}");
        }
    }
    assert!(opened.iter().all(|count| *count >= 20), "{opened:?}");
}
