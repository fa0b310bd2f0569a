// Replies that are packed.

use std::io::Read;

use evloop::net::Shared;

use crate::talking::*;

const GZIP: &str = "Accept-Encoding: gzip\r\n";

fn asks(path: &str, fields: &str) -> String {
    request("GET", path, fields, "")
}

/// A page of this length.
fn page(len: usize) -> String {
    let mut seed = 7_u32;
    let mut page = String::new();
    while page.len() < len {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        page += &format!("<li>{:x} ", seed >> 20);
    }
    page.truncate(len);
    page
}

/// What cannot be made smaller.
fn noise(len: usize) -> Vec<u8> {
    let mut seed = 7_u64;
    let mut next = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 32) as u8
    };
    (0..len).map(|_| next()).collect()
}

fn unpacked(answer: &Answer) -> Vec<u8> {
    let mut out = Vec::new();
    match answer.field("content-encoding") {
        Some("gzip") => flate2::read::GzDecoder::new(&answer.body[..]).read_to_end(&mut out).unwrap(),
        Some("deflate") => {
            flate2::read::ZlibDecoder::new(&answer.body[..]).read_to_end(&mut out).unwrap()
        }
        other => panic!("{other:?}"),
    };
    out
}

/// A server that answers at `/` what this makes, packed.
fn answering(
    ev: &mut EvLoop,
    compression: Compression,
    mut response: impl FnMut() -> Response + 'static,
) -> Client {
    let routes = Routes::new()
        .get("/", move |ev: &mut EvLoop, _, reply: Reply| reply.send(ev, response()))
        .compress(compression);
    one_client(ev, routes).1
}

#[test]
fn a_page_is_packed_for_who_can_read_it() {
    let mut ev = ev();
    let mut client = answering(&mut ev, Compression::new(), || Response::html(page(5000)));
    for (accepts, coding) in [
        ("gzip", "gzip"),
        ("deflate", "deflate"),
        ("deflate, gzip", "gzip"),
        ("gzip;q=0.5, deflate", "deflate"),
        ("br, *;q=0.1", "gzip"),
        ("x-gzip", "gzip"),
        ("identity;q=0.5, gzip;q=0.6", "gzip"),
    ] {
        let answer = client.ask(&mut ev, asks("/", &format!("Accept-Encoding: {accepts}\r\n")));
        assert_eq!(answer.field("content-encoding"), Some(coding), "{accepts}");
        assert_eq!(answer.field("vary"), Some("Accept-Encoding"));
        assert_eq!(answer.field("content-type"), Some("text/html; charset=utf-8"));
        let length: usize = answer.field("content-length").unwrap().parse().unwrap();
        assert!(length == answer.body.len() && length < 3000);
        assert_eq!(unpacked(&answer), page(5000).as_bytes());
    }
}

#[test]
fn who_cannot_read_it_gets_it_as_it_is_and_is_told_that_others_do_not() {
    let mut ev = ev();
    let mut client = answering(&mut ev, Compression::new(), || Response::html(page(5000)));
    for fields in [
        "",
        "Accept-Encoding: \r\n",
        "Accept-Encoding: br\r\n",
        "Accept-Encoding: gzip;q=0\r\n",
        "Accept-Encoding: gzip;q=0, *\r\nX: deflate\r\nAccept-Encoding: deflate;q=0\r\n",
        "Accept-Encoding: identity, gzip;q=0.5\r\n",
    ] {
        let answer = client.ask(&mut ev, asks("/", fields));
        assert_eq!(answer.field("content-encoding"), None, "{fields}");
        assert_eq!(answer.field("vary"), Some("Accept-Encoding"));
        assert_eq!(answer.text(), page(5000));
    }
}

#[test]
fn every_kind_of_body_and_every_verb_is_packed() {
    let mut ev = ev();
    static FIXED: [u8; 3000] = [b'f'; 3000];
    let routes = Routes::new()
        .get("/text", |ev, _, reply: Reply| reply.text(ev, page(3000)))
        .get("/json", |ev, _, reply: Reply| reply.json(ev, page(3000)))
        .get("/bytes", |ev, _, reply: Reply| reply.bytes(ev, "image/svg+xml", page(3000)))
        .get("/fixed", |ev, _, reply: Reply| reply.send(ev, Response::fixed("text/css", &FIXED)))
        .get("/shared", |ev, _, reply: Reply| {
            reply.send(ev, Response::shared("text/css", Shared::from(page(3000).into_bytes())))
        })
        .get("/typed", |ev, _, reply: Reply| {
            reply.header("content-type", "application/json").bytes(ev, "image/png", page(3000))
        })
        .compress(Compression::new());
    let (_, mut client) = one_client(&mut ev, routes);
    for path in ["/text", "/json", "/bytes", "/fixed", "/shared", "/typed"] {
        let answer = client.ask(&mut ev, asks(path, GZIP));
        assert_eq!(unpacked(&answer).len(), 3000, "{path}");
        assert!(answer.body.len() < 2000);
    }
    // Those that nobody has a page for too, if they are long; short ones are not.
    let answer = client.ask(&mut ev, asks("/none", GZIP));
    assert_eq!((answer.status, answer.field("content-encoding")), (404, None));
    assert_eq!(answer.field("vary"), None);
}

#[test]
fn what_is_short_of_another_type_or_not_to_be_changed_is_left_alone() {
    type Make = fn() -> Response;
    let mut ev = ev();
    let cases: [(&str, Make); 10] = [
        ("short", || Response::html(page(1023))),
        ("an image", || Response::bytes("image/png", page(5000))),
        ("events", || Response::bytes("text/event-stream", page(5000))),
        ("no type", || Response::bytes("", page(5000))),
        ("packed already", || Response::html(page(5000)).header("Content-Encoding", "br")),
        ("fixed", || Response::html(page(5000)).header("Cache-Control", "public, No-Transform")),
        ("a part", || {
            Response::html(page(5000))
                .status(Status::PARTIAL_CONTENT)
                .header("Content-Range", "bytes 0-4999/10000")
        }),
        ("to be had in parts", || Response::html(page(5000)).header("Accept-Ranges", "bytes")),
        ("with a digest", || Response::html(page(5000)).header("Content-Digest", "sha-256=:x:")),
        ("nothing", || Response::new().status(Status::NO_CONTENT)),
    ];
    for (what, make) in cases {
        let mut client = answering(&mut ev, Compression::new(), make);
        let answer = client.ask(&mut ev, asks("/", GZIP));
        let is_packed = answer.field("content-encoding").is_some_and(|of| of == "gzip");
        assert!(!is_packed, "{what}");
        assert_eq!(answer.field("vary"), None, "{what}");
        assert!(answer.body.is_empty() || answer.body.starts_with(b"<li>"), "{what}");
    }
}

#[test]
fn what_does_not_become_smaller_is_sent_as_it_is() {
    let mut ev = ev();
    let mut client =
        answering(&mut ev, Compression::new(), || Response::bytes("text/plain", noise(5000)));
    let answer = client.ask(&mut ev, asks("/", GZIP));
    assert_eq!(answer.field("content-encoding"), None);
    assert_eq!(answer.field("vary"), Some("Accept-Encoding"));
    assert_eq!(answer.body, noise(5000));
}

#[test]
fn types_threshold_and_level_are_as_they_were_set() {
    let mut ev = ev();
    let only = Compression::new().only(["Application/X-Own", "*+own"]).threshold(10).level(1);
    for (of, is_packed) in [
        ("application/x-own; a=b", true),
        ("APPLICATION/X-OWN", true),
        ("image/x+own", true),
        ("text/html", false),
        ("application/x-owner", false),
    ] {
        let make = move || Response::bytes(of, "x".repeat(100));
        let mut client = answering(&mut ev, only.clone(), make);
        let answer = client.ask(&mut ev, asks("/", GZIP));
        assert_eq!(answer.field("content-encoding").is_some(), is_packed, "{of}");
    }
}

#[test]
fn a_strong_tag_becomes_a_weak_one() {
    let mut ev = ev();
    let mut client = answering(&mut ev, Compression::new(), || {
        Response::html(page(5000)).header("ETag", "\"abc\"")
    });
    let answer = client.ask(&mut ev, asks("/", GZIP));
    assert_eq!(answer.field("etag"), Some("W/\"abc\""));
    let answer = client.ask(&mut ev, asks("/", ""));
    assert_eq!(answer.field("etag"), Some("\"abc\""));
    let mut client = answering(&mut ev, Compression::new(), || {
        Response::html(page(5000)).header("ETag", "W/\"abc\"")
    });
    assert_eq!(client.ask(&mut ev, asks("/", GZIP)).field("etag"), Some("W/\"abc\""));
}

#[test]
fn what_a_reply_varies_by_already_is_kept() {
    let mut ev = ev();
    for (vary, all) in [
        ("Origin", vec!["Origin", "Accept-Encoding"]),
        ("Origin, accept-encoding", vec!["Origin, accept-encoding"]),
        ("*", vec!["*"]),
    ] {
        let make = move || Response::html(page(5000)).header("Vary", vary);
        let mut client = answering(&mut ev, Compression::new(), make);
        let answer = client.ask(&mut ev, asks("/", GZIP));
        let fields = answer.fields.iter().filter(|(name, _)| name == "Vary");
        assert_eq!(fields.map(|(_, value)| value.as_str()).collect::<Vec<_>>(), all);
    }
}

#[test]
fn the_reply_to_head_has_the_same_fields() {
    let mut ev = ev();
    for len in [5000, 500_000] {
        let make = move || Response::html(page(len)).header("ETag", "\"x\"");
        let mut client = answering(&mut ev, Compression::new(), make);
        let get = client.ask(&mut ev, asks("/", GZIP));
        client.send(request("HEAD", "/", GZIP, ""));
        let head = client.reply_to(&mut ev, "HEAD");
        let without_date = |answer: &Answer| {
            let fields = answer.fields.iter().filter(|(name, _)| name != "Date");
            fields.cloned().collect::<Vec<_>>()
        };
        assert_eq!(without_date(&get), without_date(&head));
        assert_eq!(unpacked(&get).len(), len);
        assert_eq!(client.ask(&mut ev, asks("/", GZIP)).status, 200);
    }
    // Who only says how long it would be.
    let make = || Response::new().header("Content-Type", "text/css").header("Content-Length", "5000");
    let mut client = answering(&mut ev, Compression::new(), make);
    client.send(request("HEAD", "/", GZIP, ""));
    let head = client.reply_to(&mut ev, "HEAD");
    assert_eq!(head.field("content-encoding"), Some("gzip"));
    assert_eq!(head.field("content-length"), None);
    client.send(request("HEAD", "/", "", ""));
    let head = client.reply_to(&mut ev, "HEAD");
    assert_eq!(head.field("content-length"), Some("5000"));
}

#[test]
fn a_large_body_is_packed_in_turns_and_others_are_served_between_them() {
    let mut ev = ev();
    let routes = Routes::new()
        .get("/large", |ev, _, reply: Reply| reply.html(ev, page(3_000_000)))
        .get("/small", |ev, _, reply: Reply| reply.text(ev, "small"))
        .compress(Compression::new());
    let server = serve(&mut ev, routes);
    let (mut one, mut other) = (Client::new(&mut ev, server), Client::new(&mut ev, server));
    one.send(asks("/large", GZIP));
    turn(&mut ev);
    turn(&mut ev);
    // It has begun, and is not at its end by far.
    let begun = one.waiting();
    let answer = other.ask(&mut ev, get("/small"));
    assert_eq!(answer.text(), "small");
    assert!(one.waiting() < 600_000, "{begun}");
    let answer = one.reply(&mut ev);
    assert!(answer.is_whole && !answer.closes());
    assert_eq!(answer.field("transfer-encoding"), Some("chunked"));
    assert_eq!(unpacked(&answer), page(3_000_000).as_bytes());
    assert_eq!(one.ask(&mut ev, get("/small")).text(), "small");
}

#[test]
fn a_body_of_zeros_does_not_hold_the_loop() {
    // Almost nothing comes out, so that nobody would be stopped by a full buffer.
    let mut ev = ev();
    let routes = Routes::new()
        .get("/", |ev, _, reply: Reply| {
            let mut left = 400;
            reply.header("Content-Type", "text/plain").pull(ev, BodyLength::Unknown, move |_| {
                left -= 1;
                if left == 0 { Pull::End } else { Pull::Data(vec![0; 64 * 1024]) }
            })?;
            Ok::<(), Error>(())
        })
        .compress(Compression::new().level(1));
    let (_, mut client) = one_client(&mut ev, routes);
    client.send(asks("/", GZIP));
    for _ in 0..50 {
        turn(&mut ev);
    }
    assert!(!client.seen(&mut ev).ends_with("0\r\n\r\n"));
    let answer = client.reply(&mut ev);
    assert_eq!(unpacked(&answer).len(), 399 * 64 * 1024);
}

#[test]
fn what_is_streamed_is_packed_and_nothing_is_held_back() {
    let mut ev = ev();
    let slot = Slot::new();
    let kept = slot.clone();
    let routes = Routes::new()
        .get("/", move |ev: &mut EvLoop, _, reply: Reply| {
            kept.put(reply.header("Content-Type", "text/plain").stream(ev, BodyLength::Unknown)?);
            Ok::<(), Error>(())
        })
        .compress(Compression::new());
    let (_, mut client) = one_client(&mut ev, routes);
    client.send(asks("/", GZIP));
    until(&mut ev, |_| !slot.is_empty());
    let stream = slot.take();
    let mut seen = client.seen(&mut ev).len();
    for n in 0..10 {
        stream.write(&mut ev, format!("line {n}\n")).unwrap();
        let now = client.seen(&mut ev).len();
        assert!(now > seen);
        seen = now;
    }
    stream.write_owned(&mut ev, page(100_000)).unwrap();
    let mut buffer = net::Buffer::new();
    buffer.append("from a buffer");
    stream.write_buffer(&mut ev, &mut buffer).unwrap();
    assert!(buffer.is_empty());
    stream.write(&mut ev, "").unwrap();
    stream.end(&mut ev).unwrap();
    let answer = client.reply(&mut ev);
    assert!(answer.is_whole && !answer.closes());
    let text = String::from_utf8(unpacked(&answer)).unwrap();
    assert!(text.starts_with("line 0\nline 1\n") && text.ends_with("from a buffer"));
    assert_eq!(text.len(), 70 + 100_000 + 13);
}

#[test]
fn files_that_are_written_to_a_stream_are_read_and_packed() {
    let mut ev = ev();
    let path = temporary("packed");
    std::fs::write(&path, page(200_000)).unwrap();
    let file = std::sync::Arc::new(std::fs::File::open(&path).unwrap());
    std::fs::remove_file(&path).unwrap();
    let whole = std::sync::Arc::clone(&file);
    let huge = std::sync::Arc::clone(&file);
    let routes = Routes::new()
        .get("/stream", move |ev: &mut EvLoop, _, reply: Reply| {
            let reply = reply.header("Content-Type", "text/plain");
            let stream = reply.stream(ev, BodyLength::Known(150_000))?;
            stream.write_file(ev, std::sync::Arc::clone(&file), 10, 150_000)?;
            stream.end(ev)
        })
        .get("/huge", move |ev: &mut EvLoop, _, reply: Reply| {
            let reply = reply.header("Content-Type", "text/plain");
            let stream = reply.stream(ev, BodyLength::Unknown)?;
            let file = std::sync::Arc::clone(&huge);
            let error = stream.write_file(ev, file, 0, 1 << 40).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Full);
            stream.write(ev, "full")?;
            stream.end(ev)
        })
        .get("/file", move |ev: &mut EvLoop, _, reply: Reply| {
            reply.file(ev, "text/plain", std::sync::Arc::clone(&whole), 0, 5000)
        })
        .compress(Compression::new());
    let (_, mut client) = one_client(&mut ev, routes);
    let answer = client.ask(&mut ev, asks("/stream", GZIP));
    assert_eq!(unpacked(&answer), &page(200_000).as_bytes()[10..150_010]);
    // So much that it would fill the memory is not.
    assert_eq!(unpacked(&client.ask(&mut ev, asks("/huge", GZIP))), b"full");
    // One that is the whole reply leaves without being read.
    let answer = client.ask(&mut ev, asks("/file", GZIP));
    assert_eq!((answer.field("content-encoding"), answer.field("vary")), (None, None));
    assert_eq!(answer.body.len(), 5000);
}

#[test]
fn files_below_a_directory_are_left_alone_whatever_their_size_and_who_looks_at_them() {
    let mut ev = ev();
    let dir = temporary("unpacked");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("small.txt"), page(3000)).unwrap();
    std::fs::write(dir.join("large.txt"), page(300_000)).unwrap();
    for is_looked_at in [false, true] {
        let files = Files::new(&dir).unwrap();
        let mut routes = Routes::new().files("/", files).compress(Compression::new());
        if is_looked_at {
            routes = routes.after(|_, _, _| {});
        }
        let (_, mut client) = one_client(&mut ev, routes);
        for (path, len) in [("/small.txt", 3000), ("/large.txt", 300_000)] {
            let answer = client.ask(&mut ev, asks(path, GZIP));
            assert_eq!(answer.body, page(len).as_bytes());
            assert_eq!(answer.field("content-encoding"), None);
            assert!(!answer.field("etag").unwrap().starts_with("W/"));
            let part = client.ask(&mut ev, asks(path, "Accept-Encoding: gzip\r\nRange: bytes=0-1999\r\n"));
            assert_eq!((part.status, part.body.len()), (206, 2000));
            client.send(request("HEAD", path, GZIP, ""));
            let head = client.reply_to(&mut ev, "HEAD");
            assert_eq!(head.field("content-length"), Some(len.to_string().as_str()));
            assert_eq!(head.field("content-encoding"), None);
        }
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_known_length_is_kept_to_although_it_is_not_said() {
    let mut ev = ev();
    let slot = Slot::new();
    let kept = slot.clone();
    let routes = Routes::new()
        .get("/", move |ev: &mut EvLoop, _, reply: Reply| {
            kept.put(reply.header("Content-Type", "text/css").stream(ev, BodyLength::Known(2000))?);
            Ok::<(), Error>(())
        })
        .compress(Compression::new());
    let server = serve(&mut ev, routes);
    let mut client = Client::new(&mut ev, server);
    client.send(asks("/", GZIP));
    until(&mut ev, |_| !slot.is_empty());
    let stream = slot.take();
    stream.write(&mut ev, page(1500)).unwrap();
    let error = stream.write(&mut ev, page(501)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    stream.write(&mut ev, page(500)).unwrap();
    stream.end(&mut ev).unwrap();
    let answer = client.reply(&mut ev);
    assert_eq!(answer.field("content-length"), None);
    assert_eq!(unpacked(&answer).len(), 2000);
    // Fewer are an error, and visibly no end.
    client.send(asks("/", GZIP));
    until(&mut ev, |_| !slot.is_empty());
    let stream = slot.take();
    stream.write(&mut ev, page(1999)).unwrap();
    assert_eq!(stream.end(&mut ev).unwrap_err().kind(), ErrorKind::InvalidInput);
    let (rest, _) = client.rest(&mut ev);
    assert!(!rest.ends_with(b"0\r\n\r\n"));
}

#[test]
fn what_is_pulled_is_flushed_when_there_is_nothing_more_for_now() {
    let mut ev = ev();
    let waker = Slot::new();
    let kept = waker.clone();
    let lines = Rc::new(RefCell::new(vec![Pull::End, Pull::Later]));
    for n in (0..3).rev() {
        lines.borrow_mut().push(Pull::Data(format!("line {n}\n").into_bytes()));
    }
    let source = Rc::clone(&lines);
    let routes = Routes::new()
        .get("/", move |ev: &mut EvLoop, _, reply: Reply| {
            let source = Rc::clone(&source);
            let reply = reply.header("Content-Type", "text/plain");
            let next = move |_: &mut EvLoop| source.borrow_mut().pop().unwrap_or(Pull::Failed);
            kept.put(reply.pull(ev, BodyLength::Unknown, next)?);
            Ok::<(), Error>(())
        })
        .compress(Compression::new());
    let (_, mut client) = one_client(&mut ev, routes);
    client.send(asks("/", GZIP));
    settle(&mut ev);
    assert_eq!(lines.borrow().len(), 1);
    // All that was said is there, and not only the header of gzip.
    let head = client.seen(&mut ev).find("\r\n\r\n").unwrap() + 4;
    assert!(client.waiting() > head + 35);
    assert!(waker.take().wake(&mut ev));
    let answer = client.reply(&mut ev);
    assert_eq!(unpacked(&answer), b"line 0\nline 1\nline 2\n");
}

#[test]
fn a_packed_body_that_was_taken_to_the_last_byte_comes_to_its_end() {
    let mut ev = ev();
    let slot = Slot::new();
    let kept = slot.clone();
    let routes = Routes::new()
        .get("/", move |ev: &mut EvLoop, _, reply: Reply| {
            kept.put(reply.header("Content-Type", "text/plain").stream(ev, BodyLength::Unknown)?);
            Ok::<(), Error>(())
        })
        .compress(Compression::new().level(1));
    let (_, mut client) = one_client(&mut ev, routes);
    client.send(asks("/", GZIP));
    until(&mut ev, |_| !slot.is_empty());
    let stream = slot.take();
    let mut sent = 0;
    for piece in [50_000, 500, 1] {
        while stream.write(&mut ev, noise(piece)).is_ok() {
            sent += piece;
        }
    }
    stream.end(&mut ev).unwrap();
    let answer = client.reply(&mut ev);
    assert!(answer.is_whole);
    assert_eq!(unpacked(&answer).len(), sent);
}

#[test]
fn a_slow_reader_of_a_packed_stream_is_told_of_and_loses_nothing() {
    let mut ev = ev();
    let slot = Slot::new();
    let kept = slot.clone();
    let routes = Routes::new()
        .get("/", move |ev: &mut EvLoop, _, reply: Reply| {
            kept.put(reply.header("Content-Type", "text/plain").stream(ev, BodyLength::Unknown)?);
            Ok::<(), Error>(())
        })
        .compress(Compression::new().level(1));
    let (_, mut client) = one_client(&mut ev, routes);
    client.send(asks("/", GZIP));
    until(&mut ev, |_| !slot.is_empty());
    let stream = slot.take();
    let mut sent = Vec::new();
    // Noise, so that as much comes out as goes in.
    let error = loop {
        let piece = noise(50_000);
        match stream.write(&mut ev, &piece) {
            Ok(_) => sent.extend(piece),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Full);
    assert!(stream.is_full(&ev) && sent.len() > 500_000 && sent.len() < 2_000_000);
    until(&mut ev, |ev| {
        client.waiting();
        stream.waiting(ev) == 0
    });
    stream.write(&mut ev, "more").unwrap();
    sent.extend(b"more");
    stream.end(&mut ev).unwrap();
    assert_eq!(unpacked(&client.reply(&mut ev)), sent);
}

#[test]
fn streams_of_events_are_packed_only_if_that_is_said() {
    let mut ev = ev();
    for is_said in [false, true] {
        let compression = Compression::new();
        let compression =
            if is_said { compression.also("text/event-stream") } else { compression };
        let slot = Slot::new();
        let kept = slot.clone();
        let routes = Routes::new()
            .get("/", move |ev: &mut EvLoop, _, reply: Reply| {
                kept.put(reply.events(ev, EventOptions::new())?);
                Ok::<(), Error>(())
            })
            .compress(compression);
        let (_, mut client) = one_client(&mut ev, routes);
        client.send(asks("/", GZIP));
        until(&mut ev, |_| !slot.is_empty());
        let stream = slot.take();
        let before = client.seen(&mut ev).len();
        stream.send(&mut ev, &Event::new("x")).unwrap();
        assert!(client.seen(&mut ev).len() > before);
        pass(&mut ev, secs(16));
        stream.close(&mut ev);
        let answer = client.reply(&mut ev);
        let body = if is_said { unpacked(&answer) } else { answer.body.clone() };
        assert_eq!(String::from_utf8(body).unwrap(), "data: x\n\n:\n\n");
    }
}

#[test]
fn only_so_many_are_packed_piece_by_piece_at_a_time() {
    let mut ev = ev();
    let streams = Rc::new(RefCell::new(Vec::new()));
    let list = Rc::clone(&streams);
    let routes = Routes::new()
        .get("/", move |ev: &mut EvLoop, _, reply: Reply| {
            let reply = reply.header("Content-Type", "text/plain");
            list.borrow_mut().push(reply.stream(ev, BodyLength::Unknown)?);
            Ok::<(), Error>(())
        })
        .get("/large", |ev, _, reply: Reply| reply.html(ev, page(100_000)))
        .compress(Compression::new().max_streams(2));
    let server = serve(&mut ev, routes);
    let mut clients: Vec<_> = (0..3).map(|_| Client::new(&mut ev, server)).collect();
    for client in &mut clients {
        client.send(asks("/", GZIP));
        settle(&mut ev);
    }
    let mut other = Client::new(&mut ev, server);
    let answer = other.ask(&mut ev, asks("/large", GZIP));
    assert_eq!(answer.field("content-encoding"), None);
    assert_eq!(answer.field("vary"), Some("Accept-Encoding"));
    let all: Vec<_> = streams.borrow_mut().drain(..).collect();
    for (n, stream) in all.into_iter().enumerate() {
        if n == 1 {
            // However it ends, its place is free again.
            stream.abort(&mut ev);
            clients[n].rest(&mut ev);
        } else {
            stream.end(&mut ev).unwrap();
            let answer = clients[n].reply(&mut ev);
            assert_eq!(answer.field("content-encoding").is_some(), n < 2);
        }
    }
    settle(&mut ev);
    assert_eq!(unpacked(&other.ask(&mut ev, asks("/large", GZIP))).len(), 100_000);
}

#[test]
fn a_client_of_1_0_gets_small_pages_packed_and_the_rest_as_it_is() {
    let mut ev = ev();
    let routes = Routes::new()
        .get("/small", |ev, _, reply: Reply| reply.html(ev, page(5000)))
        .get("/large", |ev, _, reply: Reply| reply.html(ev, page(100_000)))
        .compress(Compression::new());
    let server = serve(&mut ev, routes);
    let mut client = Client::new(&mut ev, server);
    let old = |path: &str| {
        format!("GET {path} HTTP/1.0\r\nConnection: keep-alive\r\nAccept-Encoding: gzip\r\n\r\n")
    };
    assert_eq!(unpacked(&client.ask(&mut ev, old("/small"))), page(5000).as_bytes());
    let answer = client.ask(&mut ev, old("/large"));
    assert_eq!(answer.field("content-encoding"), None);
    assert_eq!(answer.text(), page(100_000));
    assert_eq!(client.ask(&mut ev, old("/small")).status, 200);
}

#[test]
fn hooks_behind_see_the_body_as_it_is_and_remote_replies_are_packed_too() {
    let mut ev = live_ev();
    let routes = Routes::new()
        .get("/", |_: &mut EvLoop, _, reply: Reply| {
            let remote = reply.into_remote().unwrap();
            std::thread::spawn(move || remote.send(Response::html(page(5000))));
        })
        .after(|_, _, response| *response = std::mem::take(response).header("X-Seen", "1"))
        .compress(Compression::new());
    let (_, mut client) = one_client(&mut ev, routes);
    let answer = client.ask(&mut ev, asks("/", GZIP));
    assert_eq!(answer.field("x-seen"), Some("1"));
    assert_eq!(unpacked(&answer), page(5000).as_bytes());
}

#[test]
fn pipelined_replies_are_each_packed_as_they_were_asked_for() {
    let mut ev = ev();
    let mut client = answering(&mut ev, Compression::new(), || Response::html(page(70_000)));
    let many = asks("/", GZIP) + &asks("/", "") + &asks("/", "Accept-Encoding: deflate\r\n");
    client.send(many.repeat(3));
    for _ in 0..3 {
        let codings: Vec<_> = (0..3)
            .map(|n| {
                let answer = client.reply(&mut ev);
                if n != 1 {
                    assert_eq!(unpacked(&answer), page(70_000).as_bytes());
                }
                answer.field("content-encoding").map(str::to_owned)
            })
            .collect();
        assert_eq!(codings, [Some("gzip".to_owned()), None, Some("deflate".to_owned())]);
    }
}

#[test]
fn a_client_that_leaves_in_the_middle_is_the_end_of_it() {
    let mut ev = ev();
    let (routes, reasons) = noting(
        Routes::new()
            .get("/", |ev, _, reply: Reply| reply.html(ev, page(20_000_000)))
            .compress(Compression::new().level(1)),
    );
    let (server, mut client) = one_client(&mut ev, routes);
    client.send(asks("/", GZIP));
    turn(&mut ev);
    turn(&mut ev);
    client.reset();
    until(&mut ev, |_| !reasons.borrow().is_empty());
    assert_eq!(*reasons.borrow(), [CompletionReason::ClientAborted]);
    server.stop_now(&mut ev);
    until(&mut ev, |ev| !server.exists(ev));
}

#[test]
fn a_source_that_panics_or_fails_cuts_what_it_has_begun_and_gives_its_place_back() {
    let mut ev = ev();
    for panics in [true, false] {
        let routes = Routes::new()
            .get("/", move |ev: &mut EvLoop, _, reply: Reply| {
                let mut n = 0;
                let reply = reply.header("Content-Type", "text/plain");
                reply.pull(ev, BodyLength::Unknown, move |_| {
                    n += 1;
                    match n {
                        1 => Pull::Data(b"begun".to_vec()),
                        _ if panics => panic!("on purpose"),
                        _ => Pull::Failed,
                    }
                })?;
                Ok::<(), Error>(())
            })
            .get("/large", |ev, _, reply: Reply| reply.html(ev, page(100_000)))
            .compress(Compression::new().max_streams(1));
        let server = serve(&mut ev, routes);
        let mut client = Client::new(&mut ev, server);
        client.send(asks("/", GZIP));
        let (rest, _) = client.rest(&mut ev);
        assert!(!rest.ends_with(b"0\r\n\r\n"));
        let mut other = Client::new(&mut ev, server);
        let answer = other.ask(&mut ev, asks("/large", GZIP));
        assert_eq!(unpacked(&answer).len(), 100_000);
    }
}

#[test]
fn curl_reads_what_is_packed() {
    use std::process::{Command, Stdio};
    let mut ev = live_ev();
    let routes = Routes::new()
        .get("/small", |ev, _, reply: Reply| reply.html(ev, page(5000)))
        .get("/large", |ev, _, reply: Reply| reply.html(ev, page(1_000_000)))
        .compress(Compression::new());
    let server = ServerOptions::new().listen(&mut ev, "127.0.0.1:0", routes).unwrap();
    let port = server.addresses(&ev)[0].port().unwrap();
    for (path, len) in [("/small", 5000), ("/large", 1_000_000)] {
        let child = Command::new("curl")
            .args(["--compressed", "--silent", "--show-error", "--max-time", "20", "--noproxy", "*"])
            .arg(format!("http://127.0.0.1:{port}{path}"))
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else {
            eprintln!("there is no curl");
            return;
        };
        let mut stdout = child.stdout.take().unwrap();
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).map(|_| text)
        });
        until(&mut ev, |_| reader.is_finished());
        assert!(child.wait().unwrap().success());
        assert_eq!(reader.join().unwrap().unwrap(), page(len));
    }
}

#[test]
fn routes_of_a_host_cannot_pack_by_themselves() {
    let mut ev = ev();
    let routes = Routes::new().host(["a.org"], Routes::new().compress(Compression::new()));
    assert!(ServerOptions::new().unbound(&mut ev, routes).is_err());
}

#[test]
fn what_has_not_been_modified_varies_as_it_does_when_it_is_sent() {
    let mut ev = ev();
    let routes = Routes::new()
        .compress(Compression::new())
        .get("/page", |ev: &mut EvLoop, request: Request, reply: Reply| {
            let reply = reply.header("ETag", "\"1\"");
            if request.header("if-none-match").is_some() {
                return reply.status(Status::NOT_MODIFIED).empty(ev);
            }
            reply.text(ev, "page ".repeat(1000))
        })
        .get("/fixed", |ev: &mut EvLoop, _: Request, reply: Reply| {
            let reply = reply.header("Cache-Control", "no-transform");
            reply.status(Status::NOT_MODIFIED).empty(ev)
        });
    let (_, mut client) = one_client(&mut ev, routes);
    assert_eq!(client.ask(&mut ev, get("/page")).field("vary"), Some("Accept-Encoding"));
    let answer = client.ask(&mut ev, request("GET", "/page", "If-None-Match: \"1\"\r\n", ""));
    assert_eq!((answer.status, answer.field("vary")), (304, Some("Accept-Encoding")));
    let answer = client.ask(&mut ev, get("/fixed"));
    assert_eq!((answer.status, answer.field("vary")), (304, None));
}
