// Replies in pieces: pushed, pulled, broken off.

use std::collections::VecDeque;

use evloop::net::{Buffer, Written};

use crate::talking::*;

const OLD: &str = "GET / HTTP/1.0\r\n\r\n";

/// A server whose `GET /` begins a reply of this length, and puts it away.
fn begins(length: BodyLength) -> (Routes, Slot<ReplyStream>) {
    let slot = Slot::new();
    let kept = slot.clone();
    let routes = Routes::new()
        .get("/", move |ev: &mut EvLoop, _, reply: Reply| {
            kept.put(reply.header("Content-Type", "a/b").stream(ev, length)?);
            Ok::<(), Error>(())
        })
        .get("/other", |ev: &mut EvLoop, _, reply: Reply| reply.text(ev, "other"));
    (routes, slot)
}

/// A client that has asked, and what its reply is written to.
fn begun(ev: &mut EvLoop, asked: &str, length: BodyLength) -> (Client, ReplyStream) {
    let (routes, slot) = begins(length);
    let (_, mut client) = one_client(ev, routes);
    client.send(asked);
    settle(ev);
    (client, slot.take())
}

// --- pushed ---

#[test]
fn the_head_leaves_before_the_body() {
    let mut ev = ev();
    let (mut client, stream) = begun(&mut ev, &get("/"), BodyLength::Unknown);
    let head = client.seen(&mut ev);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    assert!(head.contains("\r\nTransfer-Encoding: chunked\r\n"));
    stream.end(&mut ev).unwrap();
    assert_eq!(client.reply(&mut ev).text(), "");
}

#[test]
fn each_piece_is_a_chunk_and_leaves_at_once() {
    let mut ev = ev();
    let (mut client, stream) = begun(&mut ev, &get("/"), BodyLength::Unknown);
    let head = client.seen(&mut ev).len();
    stream.write(&mut ev, "hello").unwrap();
    assert_eq!(&client.seen(&mut ev)[head..], "5\r\nhello\r\n");
    // Nothing is no chunk, since that would be the last one.
    stream.write(&mut ev, "").unwrap();
    assert_eq!(&client.seen(&mut ev)[head..], "5\r\nhello\r\n");
    stream.write_owned(&mut ev, "x".repeat(17)).unwrap();
    let mut buffer = Buffer::new();
    buffer.append("from a buffer");
    stream.write_buffer(&mut ev, &mut buffer).unwrap();
    assert!(buffer.is_empty());
    assert!(stream.is_connected(&ev));
    stream.end(&mut ev).unwrap();
    let answer = client.reply(&mut ev);
    assert_eq!(answer.text(), format!("hello{}from a buffer", "x".repeat(17)));
    assert!(answer.is_whole && !answer.closes());
    assert_eq!(client.ask(&mut ev, get("/other")).text(), "other");
}

#[test]
fn a_known_length_is_kept_to() {
    let mut ev = ev();
    let (mut client, stream) = begun(&mut ev, &get("/"), BodyLength::Known(10));
    stream.write(&mut ev, "01234").unwrap();
    let error = stream.write(&mut ev, "567890").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    stream.write(&mut ev, "56789").unwrap();
    assert!(stream.write(&mut ev, "x").is_err());
    stream.end(&mut ev).unwrap();
    let answer = client.reply(&mut ev);
    assert_eq!((answer.text(), answer.field("content-length")), ("0123456789", Some("10")));
    assert_eq!(client.ask(&mut ev, get("/other")).text(), "other");
}

#[test]
fn too_few_bytes_cut_the_connection() {
    let mut ev = ev();
    let (mut client, stream) = begun(&mut ev, &get("/"), BodyLength::Known(10));
    stream.write(&mut ev, "012345678").unwrap();
    assert_eq!(stream.end(&mut ev).unwrap_err().kind(), ErrorKind::InvalidInput);
    let answer = client.reply(&mut ev);
    assert_eq!((answer.text(), answer.is_whole), ("012345678", false));
}

#[test]
fn a_client_of_1_0_reads_to_the_end() {
    let mut ev = ev();
    let asked = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    let (mut client, stream) = begun(&mut ev, asked, BodyLength::Unknown);
    stream.write(&mut ev, "hello").unwrap();
    stream.write(&mut ev, "you").unwrap();
    stream.end(&mut ev).unwrap();
    let answer = client.reply(&mut ev);
    assert_eq!((answer.text(), answer.closes()), ("helloyou", true));
    assert_eq!((answer.field("transfer-encoding"), answer.field("content-length")), (None, None));
    assert_eq!(client.ends(&mut ev), End::Orderly);
}

#[test]
fn a_body_that_is_broken_off_is_visible_to_the_client() {
    for (asked, length) in [
        (get("/"), BodyLength::Unknown),
        (get("/"), BodyLength::Known(100)),
        (OLD.to_owned(), BodyLength::Known(100)),
    ] {
        for drops in [false, true] {
            let mut ev = ev();
            let (mut client, stream) = begun(&mut ev, &asked, length);
            stream.write(&mut ev, "half of").unwrap();
            if drops { drop(stream) } else { stream.abort(&mut ev) }
            let answer = client.reply(&mut ev);
            assert!(!answer.is_whole);
        }
    }
}

#[test]
fn a_body_that_is_broken_off_is_a_reset_for_who_reads_to_the_end() {
    let mut ev = ev();
    let (routes, slot) = begins(BodyLength::Unknown);
    let server = ServerOptions::new().listen(&mut ev, "127.0.0.1:0", routes).unwrap();
    let mut client = Client::tcp(&mut ev, server);
    client.send(OLD);
    until(&mut ev, |_| !slot.is_empty());
    let stream = slot.take();
    stream.write(&mut ev, "half of").unwrap();
    until(&mut ev, |_| client.waiting() > 7);
    stream.abort(&mut ev);
    assert_eq!(client.rest(&mut ev).1, End::Reset);
}

#[test]
fn nothing_of_a_body_is_sent_to_head() {
    for length in [BodyLength::Unknown, BodyLength::Known(5)] {
        let mut ev = ev();
        let (mut client, stream) = begun(&mut ev, &request("HEAD", "/", "", ""), length);
        assert!(stream.write(&mut ev, "hello").is_ok());
        stream.end(&mut ev).unwrap();
        let answer = client.reply_to(&mut ev, "HEAD");
        let expected = (length != BodyLength::Unknown).then_some("5");
        assert_eq!((answer.status, answer.field("content-length")), (200, expected));
        client.hears_nothing(&mut ev);
        assert_eq!(client.ask(&mut ev, get("/other")).text(), "other");
    }
}

#[test]
fn trailers_are_for_who_takes_them() {
    let mut trailers = Fields::default();
    trailers.push("X-Sum", b"42").unwrap();
    for (te, takes) in [("TE: trailers\r\n", true), ("", false), ("TE: gzip\r\n", false)] {
        let mut ev = ev();
        let asked = request("GET", "/", te, "");
        let (mut client, stream) = begun(&mut ev, &asked, BodyLength::Unknown);
        stream.write(&mut ev, "hello").unwrap();
        stream.end_with(&mut ev, &trailers).unwrap();
        let answer = client.reply(&mut ev);
        assert_eq!((answer.text(), answer.is_whole), ("hello", true));
        assert_eq!(answer.trailers.len(), usize::from(takes), "{te}");
        // Of a whole response too.
        let response = Response::text("hello").trailers(trailers.clone());
        let routes = Routes::new()
            .get("/", move |ev: &mut EvLoop, _, reply: Reply| reply.send(ev, response.clone()));
        let (_, mut client) = one_client(&mut ev, routes);
        let answer = client.ask(&mut ev, &asked);
        assert_eq!((answer.text(), answer.trailers.len()), ("hello", usize::from(takes)));
        assert_eq!(answer.field("content-length").is_some(), !takes);
    }
}

#[test]
fn trailers_follow_a_body_of_any_length() {
    let mut trailers = Fields::default();
    trailers.push("X-Sum", b"42").unwrap();
    for len in [0, 10_000, 3_000_000] {
        let mut ev = ev();
        let response = Response::bytes("a/b", vec![b'x'; len]).trailers(trailers.clone());
        let routes = Routes::new()
            .get("/", move |ev: &mut EvLoop, _, reply: Reply| reply.send(ev, response.clone()));
        let (_, mut client) = one_client(&mut ev, routes);
        let answer = client.ask(&mut ev, request("GET", "/", "TE: trailers\r\n", ""));
        assert_eq!((answer.body.len(), answer.is_whole, answer.trailers.len()), (len, true, 1));
    }
}

#[test]
fn who_writes_too_much_is_told_and_told_again_when_it_has_left() {
    let mut ev = ev();
    let (mut client, stream) = begun(&mut ev, &get("/"), BodyLength::Unknown);
    let drained = Count::new();
    let count = drained.clone();
    stream.on_drained(move |_| _ = count.up());
    let block = vec![b'x'; 50_000];
    let mut sent = 0;
    while stream.write(&mut ev, &block).unwrap() == Written::Room {
        sent += block.len();
        assert!(sent < 100_000_000);
        turn(&mut ev);
    }
    sent += block.len();
    assert!(stream.is_full(&ev) && stream.waiting(&ev) > 0);
    assert!(client.is_open());
    let before = drained.get();
    until(&mut ev, |_| {
        client.waiting();
        drained.get() > before
    });
    assert!(!stream.is_full(&ev));
    assert_eq!(stream.waiting(&ev), 0);
    stream.end(&mut ev).unwrap();
    assert_eq!(client.reply(&mut ev).body.len(), sent);
}

#[test]
fn a_piece_beyond_the_hard_limit_is_refused_whole() {
    let mut ev = ev();
    let (mut client, stream) = begun(&mut ev, &get("/"), BodyLength::Unknown);
    let block = vec![b'x'; 100_000];
    let mut sent = 0;
    let error = loop {
        match stream.write(&mut ev, &block) {
            Ok(_) => sent += block.len(),
            Err(error) => break error,
        }
        assert!(sent < 20_000_000);
    };
    assert_eq!(error.kind(), ErrorKind::Full);
    until(&mut ev, |ev| {
        client.waiting();
        stream.waiting(ev) == 0
    });
    stream.end(&mut ev).unwrap();
    let answer = client.reply(&mut ev);
    assert_eq!((answer.body.len(), answer.is_whole), (sent, true));
}

/// A server keeps its word: what was taken is a body, however much of it waits where it ends.
#[test]
fn a_body_that_was_taken_to_the_last_byte_comes_to_its_end() {
    let mut ev = ev();
    let (mut client, stream) = begun(&mut ev, &get("/"), BodyLength::Unknown);
    let mut sent = 0;
    for piece in [60_000, 600, 1] {
        while stream.write(&mut ev, vec![b'x'; piece]).is_ok() {
            sent += piece;
        }
    }
    stream.end(&mut ev).unwrap();
    let answer = client.reply(&mut ev);
    assert_eq!((answer.body.len(), answer.is_whole), (sent, true));
    assert_eq!(client.ask(&mut ev, get("/other")).text(), "other");
}

#[test]
fn a_stream_knows_that_its_client_is_gone() {
    let mut ev = ev();
    let (routes, slot) = begins(BodyLength::Unknown);
    let (routes, reasons) = noting(routes);
    let server = ServerOptions::new().listen(&mut ev, "127.0.0.1:0", routes).unwrap();
    let mut client = Client::tcp(&mut ev, server);
    client.send(get("/"));
    until(&mut ev, |_| !slot.is_empty());
    let stream = slot.take();
    let told = Log::new();
    let notes = told.clone();
    stream.on_disconnect(move |_, how| notes.push(how));
    client.reset();
    until(&mut ev, |ev| !stream.is_connected(ev));
    assert_eq!(told.take(), [Disconnected::Gone]);
    assert_eq!(stream.write(&mut ev, "x").unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(stream.end(&mut ev).unwrap_err().kind(), ErrorKind::Closed);
    settle(&mut ev);
    assert_eq!(*reasons.borrow(), [CompletionReason::ClientAborted]);
}

// --- pulled ---

/// A server whose `GET /` is pulled from this list, and the wakers.
fn pulls(
    length: BodyLength,
    list: impl IntoIterator<Item = Pull>,
) -> (Routes, Slot<PullWaker>, Rc<RefCell<VecDeque<Pull>>>) {
    let list = Rc::new(RefCell::new(list.into_iter().collect::<VecDeque<_>>()));
    let (wakers, of) = (Slot::new(), Rc::clone(&list));
    let kept = wakers.clone();
    let routes = Routes::new().get("/", move |ev: &mut EvLoop, _, reply: Reply| {
        let of = Rc::clone(&of);
        let next = move |_: &mut EvLoop| of.borrow_mut().pop_front().unwrap_or(Pull::End);
        kept.put(reply.pull(ev, length, next)?);
        Ok::<(), Error>(())
    });
    (routes, wakers, list)
}

#[test]
fn a_body_is_pulled_to_its_end() {
    let mut ev = ev();
    let data = |text: &str| Pull::Data(text.into());
    let list = [data("one "), data(""), data("two "), data("three")];
    let (routes, _, _) = pulls(BodyLength::Unknown, list);
    let (_, mut client) = one_client(&mut ev, routes);
    let answer = client.ask(&mut ev, get("/"));
    assert_eq!((answer.text(), answer.is_whole), ("one two three", true));
    assert_eq!(client.ask(&mut ev, get("/")).text(), "");
}

#[test]
fn a_body_of_known_length_is_pulled() {
    let mut ev = ev();
    let (routes, _, _) =
        pulls(BodyLength::Known(5), [Pull::Data("he".into()), Pull::Data("llo".into())]);
    let (_, mut client) = one_client(&mut ev, routes);
    let answer = client.ask(&mut ev, get("/"));
    assert_eq!((answer.text(), answer.field("content-length")), ("hello", Some("5")));
}

/// Who is asked because there is room has it taken, however little room that was.
#[test]
fn a_body_is_pulled_to_its_end_behind_whatever_waits() {
    const SIZE: usize = 2_000_000;
    let small = (4_700..5_000).step_by(9).map(|before| (5_000, before));
    for (limit, before) in small.chain([(1 << 20, 1_000_000)]) {
        for length in [BodyLength::Known(SIZE as u64), BodyLength::Unknown] {
            let mut ev = ev();
            let routes = Routes::new()
                .get("/before", move |ev: &mut EvLoop, _, reply: Reply| {
                    reply.text(ev, vec![b'b'; before])
                })
                .get("/", move |ev: &mut EvLoop, _, reply: Reply| {
                    let mut left = SIZE;
                    let source = move |_: &mut EvLoop| match left.min(60_000) {
                        0 => Pull::End,
                        len => {
                            left -= len;
                            Pull::Data(vec![b'x'; len])
                        }
                    };
                    reply.pull(ev, length, source).map(|_| ())
                });
            let options = ServerOptions::new().write_limits(limit, limit);
            let (_, mut client) = one_client_with(&mut ev, options, routes);
            client.send(get("/before") + &get("/"));
            assert_eq!(client.reply(&mut ev).body.len(), before);
            let answer = client.reply(&mut ev);
            assert_eq!((answer.body.len(), answer.is_whole), (SIZE, true), "{limit} {before}");
        }
    }
}

#[test]
fn a_pulled_body_that_is_wrong_cuts_the_connection() {
    for list in [
        vec![Pull::Data("four".into())],
        vec![Pull::Data("sixsix".into())],
        vec![Pull::Data("x".into()), Pull::Failed],
    ] {
        let mut ev = ev();
        let (routes, _, _) = pulls(BodyLength::Known(5), list);
        let (routes, reasons) = noting(routes);
        let (_, mut client) = one_client(&mut ev, routes);
        assert!(!client.ask(&mut ev, get("/")).is_whole);
        settle(&mut ev);
        assert_eq!(*reasons.borrow(), [CompletionReason::HandlerError]);
    }
}

#[test]
fn who_has_nothing_is_asked_again_when_woken() {
    let mut ev = ev();
    let (routes, wakers, list) = pulls(BodyLength::Unknown, [Pull::Data("one".into()), Pull::Later]);
    let (_, mut client) = one_client(&mut ev, routes);
    client.send(get("/"));
    settle(&mut ev);
    pass(&mut ev, secs(100));
    assert!(list.borrow().is_empty());
    assert!(client.seen(&mut ev).ends_with("\r\n\r\n3\r\none\r\n"));
    let waker = wakers.take();
    list.borrow_mut().extend([Pull::Data("two".into()), Pull::Later]);
    assert!(waker.wake(&mut ev));
    assert!(client.seen(&mut ev).ends_with("one\r\n3\r\ntwo\r\n"));
    assert!(waker.wake(&mut ev));
    let answer = client.reply(&mut ev);
    assert_eq!((answer.text(), answer.is_whole), ("onetwo", true));
    assert!(!waker.wake(&mut ev));
}

#[test]
fn a_wake_up_during_the_pull_is_not_lost() {
    let mut ev = ev();
    let waker: Slot<PullWaker> = Slot::new();
    let (kept, count) = (waker.clone(), Count::new());
    let calls = count.clone();
    let routes = Routes::new().get("/", move |ev: &mut EvLoop, _, reply: Reply| {
        let (kept, calls) = (kept.clone(), calls.clone());
        let own = kept.clone();
        let source = move |ev: &mut EvLoop| match calls.up() {
            1 => {
                // The first may be before there is a waker.
                if let Some(waker) = own.get() {
                    assert!(waker.wake(ev));
                }
                Pull::Later
            }
            _ => Pull::End,
        };
        kept.put(reply.pull(ev, BodyLength::Unknown, source)?);
        Ok::<(), Error>(())
    });
    let (_, mut client) = one_client(&mut ev, routes);
    client.send(get("/"));
    assert!(client.reply(&mut ev).is_whole);
    assert_eq!(count.get(), 2);
}

#[test]
fn a_pulled_body_waits_for_a_slow_client() {
    let mut ev = ev();
    let (pulled, size) = (Rc::new(Cell::new(0)), 20_000_000);
    let sum = Rc::clone(&pulled);
    let routes = Routes::new().get("/", move |ev: &mut EvLoop, _, reply: Reply| {
        let sum = Rc::clone(&sum);
        reply.pull(ev, BodyLength::Known(size as u64), move |_| {
            if sum.get() == size {
                return Pull::End;
            }
            sum.set(sum.get() + 10_000);
            Pull::Data(vec![b'x'; 10_000])
        })?;
        Ok::<(), Error>(())
    });
    let (_, mut client) = one_client(&mut ev, routes);
    client.send(get("/"));
    settle(&mut ev);
    assert!(pulled.get() < 3_000_000, "{}", pulled.get());
    let answer = client.reply(&mut ev);
    assert_eq!((answer.body.len(), answer.is_whole), (size, true));
}

#[test]
fn a_pulled_body_does_not_keep_others_waiting() {
    let mut ev = ev();
    let routes = Routes::new()
        .get("/", |ev: &mut EvLoop, _, reply: Reply| {
            reply.pull(ev, BodyLength::Unknown, |_| Pull::Data(vec![b'x'; 1000]))?;
            Ok::<(), Error>(())
        })
        .get("/other", |ev: &mut EvLoop, _, reply: Reply| reply.text(ev, "other"));
    let (server, mut client) = one_client(&mut ev, routes);
    client.send(get("/"));
    settle(&mut ev);
    let mut other = Client::new(&mut ev, server);
    for _ in 0..20 {
        client.waiting();
        assert_eq!(other.ask(&mut ev, get("/other")).text(), "other");
    }
}

#[test]
fn the_end_of_a_body_is_taken_where_nothing_else_would_be() {
    let limit = 64 * 1024;
    let mut most = None;
    // Until the body itself is too large.
    for len in limit - 200.. {
        let mut ev = ev();
        let taken = Slot::new();
        let result = taken.clone();
        let routes = Routes::new().get("/", move |ev: &mut EvLoop, _, reply: Reply| {
            let stream = reply.stream(ev, BodyLength::Unknown)?;
            result.put(stream.write(ev, vec![b'x'; len]).map_err(|error| error.kind()));
            let mut fields = Fields::default();
            fields.push("Sum", b"all of it").unwrap();
            stream.end_with(ev, &fields)
        });
        let options = ServerOptions::new().write_limits(limit, limit);
        let (_, mut client) = one_client_with(&mut ev, options, routes);
        client.send(request("GET", "/", "TE: trailers\r\nConnection: TE\r\n", ""));
        let answer = client.reply(&mut ev);
        assert!(answer.is_whole, "{len}");
        if taken.take() == Err(ErrorKind::Full) {
            break;
        }
        assert_eq!(answer.body.len(), len);
        most = Some(len);
    }
    assert!(most.is_some());
}
