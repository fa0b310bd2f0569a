//! A connection of the server: the bytes it answers do not depend on how those it gets arrive, as many requests are
//! answered as the rules see, each with what was its own, and nothing behind one that is refused.

#![no_main]

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use evloop::http::{BodyEvent, Method, Reply, Request, Routes, Server, ServerOptions};
use evloop::wire::{ChunkLimits, HeadLimits, ResponseFraming, ResponseParser};
use evloop::{EvLoop, Run};
use evloop_fuzz::body::naively;
use evloop_fuzz::request::check;
use evloop_fuzz::{cuts, naive};
use libfuzzer_sys::fuzz_target;

/// The largest body that is gathered.
const BODY: u64 = 2000;

thread_local! {
    static SITE: RefCell<(EvLoop, Server)> = RefCell::new(site().expect("a loop and a server"));
}

fn site() -> evloop::Result<(EvLoop, Server)> {
    let routes = Routes::new()
        .fallback(|ev: &mut EvLoop, request: Request, reply: Reply| {
            let text = summary(request.method().as_str(), request.target(), request.body());
            reply.text(ev, text)
        })
        .streaming(Method::POST, "/s", |ev: &mut EvLoop, request: Request, reply: Reply| {
            let target = request.target().to_owned();
            let (mut body, mut reply) = (Vec::new(), Some(reply));
            request
                .receive(ev, move |ev, key, event| match event {
                    BodyEvent::Data(data) => {
                        // In portions, now and then with a pause.
                        let n = data.len().min(100);
                        let mut portion = vec![0; n];
                        data.copy_out(0, &mut portion);
                        data.drain(n);
                        body.extend(portion);
                        key.pause(ev);
                        ev.defer(move |ev| {
                            key.resume(ev);
                        });
                    }
                    BodyEvent::End(_) => {
                        if let Some(reply) = reply.take() {
                            reply.text(ev, summary("POST", &target, &body)).ok();
                        }
                    }
                    _ => {}
                })
                .map(|_| ())
        });
    let mut ev = EvLoop::new()?;
    let options = ServerOptions::new().date(false).max_body(BODY);
    let server = options.unbound(&mut ev, routes)?;
    Ok((ev, server))
}

fn summary(method: &str, target: &str, body: &[u8]) -> String {
    let sum = body.iter().fold(7_u64, |sum, byte| sum.wrapping_mul(31) ^ u64::from(*byte));
    format!("{method} {target} {} {sum:x}", body.len())
}

/// What the server answers.
fn answers(pieces: &mut dyn Iterator<Item = &[u8]>) -> Vec<u8> {
    SITE.with_borrow_mut(|(ev, server)| {
        let (mut client, theirs) = UnixStream::pair().expect("a pair");
        client.set_nonblocking(true).expect("a socket");
        server.serve_fd(ev, theirs).expect("it serves");
        let mut said = Vec::new();
        let mut turn = |ev: &mut EvLoop, client: &mut UnixStream, times| {
            for _ in 0..times {
                ev.run_mode(Run::NoWait).expect("it runs");
            }
            for connection in server.connections(ev) {
                assert!(connection.stream().input_len(ev) <= 128 * 1024);
            }
            let _ = client.read_to_end(&mut said);
        };
        for piece in pieces {
            if client.write_all(piece).is_err() {
                break;
            }
            turn(ev, &mut client, 2);
        }
        let _ = client.shutdown(Shutdown::Write);
        let mut rounds = 0;
        while !server.connections(ev).is_empty() {
            turn(ev, &mut client, 3);
            rounds += 1;
            assert!(rounds < 1000, "it does not end");
        }
        turn(ev, &mut client, 1);
        // That a client is told to go on depends on whether it waits.
        let interim = b"HTTP/1.1 100 Continue\r\n\r\n";
        naive::split(&said, interim).concat()
    })
}

/// What the rules say of an input.
struct Expected {
    /// The bodies of the replies, `None` where there is none to be seen.
    replies: Vec<Option<String>>,
    /// Then one refusal: surely, perhaps, or not; `None` if nothing is said of what follows.
    refusal: Option<(bool, bool)>,
}

fn expected(input: &[u8]) -> Expected {
    let limits = HeadLimits::default();
    let bounds = naive::Limits {
        target: limits.target,
        head: limits.head,
        fields: limits.fields,
        empty_lines: limits.empty_lines,
    };
    let mut replies = Vec::new();
    let mut rest = input;
    loop {
        let end = |refusal| Expected { replies: Vec::new(), refusal };
        let ended = |replies, refusal| Expected { replies, ..end(refusal) };
        // Not complete, or wrong before it is.
        let Some(head) = naive::head(rest, bounds) else {
            return ended(replies, Some((false, true)));
        };
        let Some((method, target, http_10, framing)) = check(&head, bounds) else {
            return ended(replies, Some((true, true)));
        };
        let method = String::from_utf8_lossy(&method).into_owned();
        let target = String::from_utf8_lossy(&target).into_owned();
        if matches!(method.as_str(), "CONNECT" | "TRACE") {
            return ended(replies, Some((true, true)));
        }
        let plain = target.starts_with('/') && !target.contains(['%', '.']);
        let path = target.split('?').next().unwrap_or_default();
        let streams = path == "/s";
        let expects = !naive::values(&head.fields, "expect").is_empty();
        if !plain || expects || streams && method != "POST" {
            return ended(replies, None);
        }
        rest = &rest[head.end..];
        let (body, used) = match framing {
            naive::Framing::None => (Vec::new(), 0),
            naive::Framing::Length(length) => {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                match rest.get(..length) {
                    Some(body) if streams || length as u64 <= BODY => (body.to_vec(), length),
                    _ => return ended(replies, Some((true, true))),
                }
            }
            naive::Framing::Chunked => match naively(rest, ChunkLimits::default()) {
                Some((body, _, used)) if streams || body.len() as u64 <= BODY => (body, used),
                _ => return ended(replies, Some((true, true))),
            },
        };
        rest = &rest[used..];
        let text = summary(&method, &target, &body);
        replies.push((method != "HEAD").then_some(text));
        if !naive::keeps_alive(&head.fields, http_10) {
            return ended(replies, Some((false, false)));
        }
    }
}

/// One reply, and what is behind it. `with_body` if it is not to a `HEAD`.
fn reply(said: &[u8], with_body: bool) -> (u16, bool, Vec<u8>, &[u8]) {
    let mut parser = ResponseParser::new(HeadLimits::default());
    let progress = parser.feed(said).expect("a well-formed reply");
    assert!(progress.done, "half a reply");
    let head = parser.head();
    let method = if with_body { Method::GET } else { Method::HEAD };
    let rest = &said[progress.used..];
    let length = match head.framing(&method) {
        ResponseFraming::None => 0,
        ResponseFraming::Length(length) => length as usize,
        other => panic!("{other:?}"),
    };
    let body = rest.get(..length).expect("all of the body").to_vec();
    (head.status().code(), head.keeps_alive(), body, &rest[length..])
}

fuzz_target!(|input: &[u8]| {
    let said = cuts::in_every_way(input, |pieces| answers(pieces));
    let expected = expected(input);
    let mut rest = said.as_slice();
    for body in &expected.replies {
        let (status, _, got, behind) = reply(rest, body.is_some());
        assert_eq!(status, 200);
        if let Some(body) = body {
            assert_eq!(&String::from_utf8_lossy(&got), body);
        }
        rest = behind;
    }
    let Some((surely, perhaps)) = expected.refusal else { return };
    if rest.is_empty() {
        assert!(!surely, "no refusal");
        return;
    }
    assert!(perhaps, "more than was asked for");
    // To a `HEAD` that is refused there is no body either.
    let is_bare = !rest.ends_with(b"\n") || rest.ends_with(b"\r\n\r\n");
    let (status, stays, _, behind) = reply(rest, !is_bare);
    assert!(status >= 400 && !stays, "{status}");
    assert!(behind.is_empty(), "something behind a refusal");
});
