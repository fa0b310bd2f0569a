// Bodies of requests and replies, with all that may be done about them in any order.

use std::time::Duration;

use evloop::net::Written;

use crate::talking::*;

/// Numbers that look like chance, the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

/// One body, and what was done with it.
#[derive(Default)]
struct Taking {
    ends: usize,
    discarded: bool,
    reply: Option<Reply>,
    key: Option<RequestBody>,
}

/// Whoever takes a body is told its end once, and each request is over once, in whatever order client, taker and handler do
/// what they may.
#[test]
fn in_any_order_each_body_ends_once_and_each_request_is_over_once() {
    const SIZE: u64 = 200_000;
    for seed in 0..200 {
        let mut ev = ev();
        let mut dice = Dice(seed);
        let all: Rc<RefCell<Vec<Rc<RefCell<Taking>>>>> = Rc::default();
        let kept = Rc::clone(&all);
        let greed = dice.below(4);
        let routes = Routes::new()
            .streaming(Method::POST, "/", move |ev: &mut EvLoop, request: Request, reply: Reply| {
                let taking = Rc::new(RefCell::new(Taking { reply: Some(reply), ..Taking::default() }));
                kept.borrow_mut().push(Rc::clone(&taking));
                let of = Rc::clone(&taking);
                let key = request.receive(ev, move |ev, body, event| match event {
                    BodyEvent::Data(data) => {
                        let taken = match greed {
                            0 => 0,
                            1 => data.len() / 2,
                            _ => data.len(),
                        };
                        data.drain(taken);
                        if greed == 3 {
                            body.pause(ev);
                        }
                    }
                    _ => of.borrow_mut().ends += 1,
                })?;
                taking.borrow_mut().key = Some(key);
                Ok::<(), Error>(())
            })
            .get("/", |ev: &mut EvLoop, _, reply: Reply| reply.text(ev, "got"));
        let (routes, reasons) = noting(routes);
        let (server, client) = one_client(&mut ev, routes);
        let mut client = Some(client);
        let (mut left, mut sent) = (0, 0);
        for _ in 0..40 {
            let last = all.borrow().last().cloned();
            match (dice.below(9), client.as_mut(), last) {
                (0 | 1, Some(client), _) if left == 0 => {
                    let head = request("POST", "/", &format!("Content-Length: {SIZE}\r\n"), "");
                    if client.push(head.as_bytes()) < head.len() {
                        break;
                    }
                    sent += 1;
                    left = SIZE;
                }
                (0 | 1, Some(client), _) => {
                    let n = left.min(1 + dice.below(SIZE));
                    left -= client.push(&vec![b'x'; n as usize]) as u64;
                }
                (2, Some(client), _) if dice.below(10) == 0 => client.finish(),
                (3, Some(_), _) if dice.below(20) == 0 => client.take().map(Client::reset).unwrap_or_default(),
                (4, _, Some(of)) => {
                    let key = of.borrow().key;
                    key.map(|key| key.resume(&mut ev));
                }
                (5, _, Some(of)) if dice.below(3) == 0 => {
                    let key = of.borrow().key;
                    key.map(|key| key.pause(&mut ev));
                }
                (6, _, Some(of)) if dice.below(12) == 0 => {
                    let key = of.borrow().key;
                    let comes = key.is_some_and(|key| key.discard(&mut ev));
                    of.borrow_mut().discarded |= comes;
                }
                (7, _, Some(of)) if dice.below(4) == 0 => {
                    let reply = of.borrow_mut().reply.take();
                    match (reply, dice.below(3)) {
                        (Some(reply), 0) => drop(reply),
                        (Some(reply), 1) => drop(reply.text(&mut ev, "done")),
                        (Some(reply), _) => {
                            if let Ok(stream) = reply.stream(&mut ev, BodyLength::Unknown) {
                                let _ = stream.write(&mut ev, "done");
                                let _ = stream.end(&mut ev);
                            }
                        }
                        _ => {}
                    }
                }
                (8, _, _) => pass(&mut ev, Duration::from_millis(dice.below(20_000))),
                _ => {}
            }
            for _ in 0..dice.below(4) {
                turn(&mut ev);
            }
            if let Some(client) = &mut client {
                client.waiting();
            }
        }
        drop(client);
        settle(&mut ev);
        // Who is gone without a reset is noticed when something is done about it.
        let mut next = 0;
        // Further requests may have waited behind the last.
        while next < all.borrow().len() {
            let of = Rc::clone(&all.borrow()[next]);
            next += 1;
            drop(of.borrow_mut().reply.take());
            let key = of.borrow().key;
            for _ in 0..50 {
                key.map(|key| key.resume(&mut ev));
                turn(&mut ev);
            }
        }
        pass(&mut ev, Duration::from_secs(100));
        assert_eq!(server.stats(&ev).connections, 0, "seed {seed}, greed {greed}, {sent} sent");
        for of in all.borrow().iter() {
            let of = of.borrow();
            assert_eq!(of.ends, usize::from(!of.discarded), "seed {seed}, greed {greed}");
        }
        assert_eq!(reasons.borrow().len(), all.borrow().len(), "seed {seed}, greed {greed}");
    }
}

/// Of a reply in pieces the client gets what was written, in order and whole or visibly cut, and each request is over once.
#[test]
fn in_any_order_each_reply_is_whole_or_cut_and_over_once() {
    for seed in 0..40 {
        let mut ev = ev();
        let mut dice = Dice(seed);
        let begun: Rc<RefCell<Vec<Option<ReplyStream>>>> = Rc::default();
        let kept = Rc::clone(&begun);
        let gone = Count::new();
        let told = gone.clone();
        let routes = Routes::new().get("/", move |ev: &mut EvLoop, _, reply: Reply| {
            let told = told.clone();
            reply.on_disconnect(move |_, how| {
                if how == Disconnected::Gone {
                    told.up();
                }
            });
            kept.borrow_mut().push(Some(reply.stream(ev, BodyLength::Unknown)?));
            Ok::<(), Error>(())
        });
        let (routes, reasons) = noting(routes);
        let (server, client) = one_client(&mut ev, routes);
        let mut client = Some(client);
        let (mut written, mut got) = (0_u64, Vec::new());
        for _ in 0..60 {
            let of = begun.borrow().len();
            let stream = begun.borrow_mut().last_mut().and_then(Option::take);
            let mut back = None;
            match (dice.below(9), client.as_mut(), stream) {
                (0, Some(client), stream) => {
                    if of < 4 {
                        client.push(get("/").as_bytes());
                    }
                    back = stream;
                }
                (1..=3, _, Some(stream)) => {
                    let piece: Vec<u8> = (0..dice.below(300_000)).map(|n| ((written + n) % 251) as u8).collect();
                    let len = piece.len() as u64;
                    match stream.write_owned(&mut ev, piece) {
                        Ok(Written::Room | Written::Full) => written += len,
                        Err(error) => assert!(matches!(error.kind(), ErrorKind::Closed | ErrorKind::Full)),
                    }
                    back = Some(stream);
                }
                (4, _, Some(stream)) if dice.below(4) == 0 => drop(stream.end(&mut ev)),
                (5, _, Some(stream)) if dice.below(12) == 0 => stream.abort(&mut ev),
                (5, _, Some(stream)) if dice.below(12) == 0 => drop(stream),
                (6, Some(one), stream) => {
                    match dice.below(40) {
                        0 => one.finish(),
                        1 => client.take().map(Client::reset).unwrap_or_default(),
                        _ => {
                            one.waiting();
                        }
                    }
                    back = stream;
                }
                (7, _, stream) => {
                    pass(&mut ev, Duration::from_millis(dice.below(9_000)));
                    back = stream;
                }
                (_, _, stream) => back = stream,
            }
            if let Some(stream) = back {
                begun.borrow_mut()[of - 1] = Some(stream);
            }
            for _ in 0..dice.below(4) {
                turn(&mut ev);
            }
        }
        // Whatever is left ends, and whoever is there reads all of it.
        let mut next = 0;
        while next < begun.borrow().len() {
            let stream = begun.borrow_mut()[next].take();
            stream.map(|stream| stream.end(&mut ev));
            next += 1;
            for _ in 0..50 {
                turn(&mut ev);
                if let Some(client) = &mut client {
                    client.waiting();
                }
            }
        }
        if let Some(client) = &mut client {
            got = client.taken().0;
        }
        drop(client);
        pass(&mut ev, Duration::from_secs(100));
        assert_eq!(server.stats(&ev).connections, 0, "seed {seed}");
        assert_eq!(reasons.borrow().len(), begun.borrow().len(), "seed {seed}");
        let mut expected = 0_u64;
        let mut rest = &got[..];
        while let Some((answer, used)) = parse(rest, "GET", true) {
            for byte in &answer.body {
                assert_eq!(*byte, (expected % 251) as u8, "seed {seed}");
                expected += 1;
            }
            rest = &rest[used..];
            assert!(answer.is_whole || rest.is_empty(), "seed {seed}");
        }
        assert!(expected <= written, "seed {seed}");
    }
}
