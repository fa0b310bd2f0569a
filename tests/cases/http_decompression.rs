// Requests that are unpacked.

use std::io::Write;

use evloop::wire::Fault;
use evloop::wire::coding::DecodeLimits;

use crate::talking::*;

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

/// A request with a body that is said to be packed so.
fn packed(path: &str, coding: &str, body: &[u8]) -> Vec<u8> {
    let fields = format!("Content-Encoding: {coding}\r\nContent-Length: {}\r\n", body.len());
    [request("POST", path, &fields, "").as_bytes(), body].concat()
}

/// The same in chunks.
fn chunked(path: &str, coding: &str, body: &[u8], size: usize) -> Vec<u8> {
    let fields = format!("Content-Encoding: {coding}\r\nTransfer-Encoding: chunked\r\n");
    let mut all = request("POST", path, &fields, "").into_bytes();
    for piece in body.chunks(size) {
        all.extend(format!("{:x}\r\n", piece.len()).bytes());
        all.extend(piece);
        all.extend(b"\r\n");
    }
    all.extend(b"0\r\n\r\n");
    all
}

/// Answers with how long the body was, and its sum.
fn told(body: &[u8]) -> String {
    format!("{} {}", body.len(), body.iter().map(|&byte| u64::from(byte)).sum::<u64>())
}

/// `/` gathers, `/stream` takes it as it comes.
fn routes() -> Routes {
    Routes::new()
        .post("/", |ev: &mut EvLoop, request: Request, reply: Reply| {
            assert_eq!(request.header("content-encoding"), None);
            assert_eq!((request.header("content-length"), request.content_length()), (None, None));
            reply.text(ev, told(request.body()))
        })
        .streaming(Method::POST, "/stream", |ev: &mut EvLoop, request: Request, reply: Reply| {
            let (mut all, mut reply) = (Vec::new(), Some(reply));
            request.receive(ev, move |ev, body, event| match event {
                BodyEvent::Data(data) => {
                    assert!(data.len() <= 128 * 1024);
                    let len = all.len();
                    all.resize(len + data.len(), 0);
                    data.copy_out(0, &mut all[len..]);
                    data.clear();
                    if all.len() % 3 == 0 {
                        body.pause(ev);
                        ev.defer(move |ev| _ = body.resume(ev));
                    }
                }
                BodyEvent::End(_) => reply.take().unwrap().text(ev, told(&all)).unwrap(),
                BodyEvent::Failed(_) => drop(reply.take()),
                _ => {}
            })?;
            Ok::<(), Error>(())
        })
}

fn unpacking() -> Routes {
    routes().decompress(DecodeLimits::default())
}

fn text(len: usize) -> Vec<u8> {
    (0..len).map(|n| b"some words that come again, "[n * n % 28]).collect()
}

#[test]
fn bodies_are_unpacked_gathered_or_streamed_in_any_pieces() {
    let mut ev = ev();
    let (_, mut client) = one_client(&mut ev, unpacking());
    for len in [0, 1, 1000, 300_000] {
        let data = text(len);
        for path in ["/", "/stream"] {
            for (coding, body) in
                [("gzip", gzip(&data)), ("X-GZIP", gzip(&data)), ("deflate", zlib(&data)), ("identity, gzip", gzip(&data))]
            {
                client.upload(&mut ev, &packed(path, coding, &body));
                assert_eq!(client.reply(&mut ev).text(), told(&data), "{path} {coding} {len}");
                client.upload(&mut ev, &chunked(path, coding, &body, 100));
                assert_eq!(client.reply(&mut ev).text(), told(&data), "{path} {coding} {len}");
            }
        }
    }
}

#[test]
fn bodies_that_are_not_packed_are_as_ever() {
    let mut ev = ev();
    let routes = Routes::new()
        .post("/", |ev: &mut EvLoop, request: Request, reply: Reply| {
            assert_eq!(request.content_length(), Some(4));
            reply.text(ev, request.body())
        })
        .decompress(DecodeLimits::default());
    let (_, mut client) = one_client(&mut ev, routes);
    assert_eq!(client.ask(&mut ev, post("/", "body")).text(), "body");
    assert_eq!(client.ask(&mut ev, packed("/", "identity", b"body")).text(), "body");
}

#[test]
fn unless_it_is_said_nothing_is_unpacked() {
    let mut ev = ev();
    let routes = Routes::new().post("/", |ev: &mut EvLoop, request: Request, reply: Reply| {
        let coding = request.header("content-encoding").unwrap_or_default().to_owned();
        reply.text(ev, format!("{coding} {}", request.body().len()))
    });
    let (_, mut client) = one_client(&mut ev, routes);
    let body = gzip(b"text");
    let answer = client.ask(&mut ev, packed("/", "gzip", &body));
    assert_eq!(answer.text(), format!("gzip {}", body.len()));
    assert_eq!(client.ask(&mut ev, packed("/", "br", b"x")).text(), "br 1");
}

#[test]
fn byte_by_byte_it_is_the_same() {
    let mut ev = ev();
    let (_, mut client) = one_client(&mut ev, unpacking());
    let data = text(400);
    for path in ["/", "/stream"] {
        for byte in chunked(path, "gzip", &gzip(&data), 7) {
            client.send([byte]);
            turn(&mut ev);
        }
        assert_eq!(client.reply(&mut ev).text(), told(&data));
    }
}

#[test]
fn other_codings_and_several_are_415_with_what_is_taken() {
    let mut ev = ev();
    for coding in ["br", "gzip, gzip", "gzip\r\nContent-Encoding: deflate", "zstd", "gzip, br"] {
        let (_, mut client) = one_client(&mut ev, unpacking());
        let answer = client.ask(&mut ev, packed("/", coding, b"whatever"));
        assert_eq!(answer.status, 415, "{coding}");
        assert_eq!(answer.field("accept-encoding"), Some("gzip, deflate"));
        assert!(answer.closes());
        client.rest(&mut ev);
    }
}

#[test]
fn what_cannot_be_unpacked_is_400() {
    let mut ev = ev();
    let body = gzip(&text(1000));
    let mut wrong_sum = body.clone();
    let at = wrong_sum.len() - 5;
    wrong_sum[at] ^= 1;
    let mut more = body.clone();
    more.push(b'x');
    for wrong in [&b"no header"[..], &body[..body.len() - 1], &wrong_sum, &more, b""] {
        for path in ["/", "/stream"] {
            let (routes, reasons) = noting(unpacking());
            let (_, mut client) = one_client(&mut ev, routes);
            // Of no length at all it is no body, and nothing that could be wrong.
            let answer = client.ask(&mut ev, chunked(path, "gzip", wrong, 50));
            assert_eq!(answer.status, 400, "{path}");
            assert!(answer.closes());
            client.rest(&mut ev);
            assert_eq!(*reasons.borrow(), [CompletionReason::ProtocolError]);
        }
    }
}

#[test]
fn what_becomes_too_large_is_413() {
    let mut ev = ev();
    let options = ServerOptions::new().max_body(10_000);
    for (len, status) in [(10_000, 200), (10_001, 413), (1_000_000, 413)] {
        let (_, mut client) = one_client_with(&mut ev, options.clone(), unpacking());
        let answer = client.ask(&mut ev, chunked("/", "gzip", &gzip(&vec![0; len]), 100));
        assert_eq!(answer.status, status, "{len}");
    }
    // Neither may it be as it comes.
    let (_, mut client) = one_client_with(&mut ev, options.clone(), unpacking());
    let mut large = gzip(b"");
    large.resize(10_001, 0);
    assert_eq!(client.ask(&mut ev, packed("/", "gzip", &large)).status, 413);
    let (_, mut client) = one_client_with(&mut ev, options, unpacking());
    let empty = gzip(b"").repeat(600);
    assert!([400, 413].contains(&client.ask(&mut ev, chunked("/", "gzip", &empty, 1000)).status));
}

#[test]
fn the_limits_hold_for_streamed_bodies_too() {
    let mut ev = ev();
    let limits = DecodeLimits { size: 100_000, ..DecodeLimits::default() };
    for (len, status) in [(100_000, 200), (100_001, 413)] {
        let (_, mut client) = one_client(&mut ev, routes().decompress(limits));
        let answer = client.ask(&mut ev, packed("/stream", "gzip", &gzip(&vec![0; len])));
        assert_eq!(answer.status, status, "{len}");
    }
}

#[test]
fn a_bomb_is_413_and_takes_little_memory() {
    let mut ev = ev();
    // Three times ten thousand million zeros could be in as little; this is enough.
    let bomb = gzip(&vec![0; 30_000_000]);
    assert!(bomb.len() < 40_000);
    let most = Rc::new(Cell::new(0));
    let seen = Rc::clone(&most);
    let why = Rc::new(Cell::new(None));
    let told = Rc::clone(&why);
    let routes = unpacking().streaming(
        Method::POST,
        "/count",
        move |ev: &mut EvLoop, request: Request, reply: Reply| {
            let (seen, told) = (Rc::clone(&seen), Rc::clone(&told));
            let mut reply = Some(reply);
            request.receive(ev, move |ev, _, event| match event {
                BodyEvent::Data(data) => {
                    seen.set(seen.get() + data.len());
                    data.clear();
                }
                BodyEvent::End(_) => reply.take().unwrap().text(ev, "done").unwrap(),
                BodyEvent::Failed(error) => told.set(Some(error)),
                _ => {}
            })?;
            Ok::<(), Error>(())
        },
    );
    let options = ServerOptions::new().max_body(100_000_000);
    let server = serve_with(&mut ev, options, routes);
    for path in ["/", "/stream", "/count"] {
        let mut client = Client::new(&mut ev, server);
        client.upload(&mut ev, &packed(path, "gzip", &bomb));
        assert_eq!(client.reply(&mut ev).status, 413, "{path}");
        client.rest(&mut ev);
    }
    assert!(most.get() <= 1_200_000, "{}", most.get());
    assert_eq!(why.get(), Some(BodyError::Fault(Fault::BodyTooDense)));
}

#[test]
fn what_comes_out_of_little_is_handed_over_in_turns() {
    let mut ev = ev();
    let server = serve(&mut ev, unpacking().get("/", |ev, _, reply: Reply| reply.text(ev, "hello")));
    let mut one = Client::new(&mut ev, server);
    let mut other = Client::new(&mut ev, server);
    let data = vec![b'x'; 1_000_000];
    one.send(packed("/stream", "gzip", &gzip(&data)));
    turn(&mut ev);
    turn(&mut ev);
    assert_eq!(one.waiting(), 0);
    assert_eq!(other.ask(&mut ev, get("/")).text(), "hello");
    assert_eq!(one.reply(&mut ev).text(), told(&data));
    assert_eq!(one.ask(&mut ev, post("/", "").replace("Content-Length: 0\r\n", "Transfer-Encoding: chunked\r\n") + "0\r\n\r\n").text(), "0 0");
}

#[test]
fn a_limit_that_a_hook_sets_counts_unpacked() {
    let mut ev = ev();
    let routes = unpacking().before(|_, request, reply| {
        assert_eq!(request.header("content-encoding"), None);
        request.set_max_body(500);
        Some(reply)
    });
    let (_, mut client) = one_client(&mut ev, routes);
    assert_eq!(client.ask(&mut ev, packed("/", "gzip", &gzip(&[0; 500]))).status, 200);
    assert_eq!(client.ask(&mut ev, packed("/", "gzip", &gzip(&[0; 501]))).status, 413);
}

#[test]
fn a_body_that_nobody_wants_is_not_unpacked() {
    let mut ev = ev();
    let routes = Routes::new()
        .streaming(Method::POST, "/", |ev: &mut EvLoop, _, reply: Reply| reply.text(ev, "no"))
        .decompress(DecodeLimits::default());
    let (_, mut client) = one_client(&mut ev, routes);
    // It is no gzip at all.
    client.send(packed("/", "gzip", &[b'x'; 1000]));
    assert_eq!(client.reply(&mut ev).text(), "no");
    client.send(packed("/", "gzip", &gzip(b"data")));
    assert_eq!(client.reply(&mut ev).text(), "no");
}

#[test]
fn a_client_that_stops_in_the_middle_is_told_of() {
    let mut ev = ev();
    let (routes, reasons) = noting(unpacking());
    let server = serve(&mut ev, routes);
    for path in ["/", "/stream"] {
        let mut client = Client::new(&mut ev, server);
        let whole = packed(path, "gzip", &gzip(&text(1000)));
        client.send(&whole[..whole.len() - 20]);
        settle(&mut ev);
        client.finish();
        client.rest(&mut ev);
    }
    assert_eq!(reasons.borrow().len(), 2);
    assert!(!reasons.borrow().contains(&CompletionReason::Ok));
}

#[test]
fn who_waits_with_a_packed_body_is_told_to_go_on_unless_it_is_too_large_packed_already() {
    let mut ev = ev();
    let server = serve_with(&mut ev, ServerOptions::new().max_body(1000), unpacking());
    let body = gzip(&text(900));
    for path in ["/", "/stream"] {
        let mut client = Client::new(&mut ev, server);
        let fields = format!(
            "Content-Encoding: gzip\r\nContent-Length: {}\r\nExpect: 100-continue\r\n",
            body.len()
        );
        client.send(request("POST", path, &fields, ""));
        assert_eq!(client.reply(&mut ev).status, 100, "{path}");
        client.send(&body);
        assert_eq!(client.reply(&mut ev).text(), told(&text(900)), "{path}");
    }
    for fields in
        ["Content-Encoding: gzip\r\nContent-Length: 1001\r\n", "Content-Encoding: br\r\nContent-Length: 9\r\n"]
    {
        let mut client = Client::new(&mut ev, server);
        client.send(request("POST", "/", &format!("{fields}Expect: 100-continue\r\n"), ""));
        let status = client.reply(&mut ev).status;
        assert_eq!(status, if fields.contains("br") { 415 } else { 413 });
    }
}
