//! Defects of the HTTP server that were found by reading, each as it showed itself.

#![allow(clippy::unwrap_used)]

use std::cell::{Cell, RefCell};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use evloop::http::{
    BodyEvent, BodyLength, CompletionReason, Method, PanicPolicy, Pull, Reply, ReplyStream,
    Request, Response, Routes, Server, ServerOptions,
};
use evloop::testing::MockClock;
use evloop::{Backend, EvLoop, Run};

/// A server that listens nowhere, on a clock that stands still, with one client at a time.
struct Site {
    ev: EvLoop,
    clock: MockClock,
    server: Server,
}

impl Site {
    fn new(routes: Routes) -> Self {
        Self::with(&ServerOptions::new().date(false), routes)
    }

    fn with(options: &ServerOptions, routes: Routes) -> Self {
        let clock = MockClock::new();
        let mut ev = EvLoop::builder().mock_clock(&clock).build().unwrap();
        let server = options.unbound(&mut ev, routes).unwrap();
        Self { ev, clock, server }
    }

    fn client(&mut self) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        self.server.serve_fd(&mut self.ev, theirs).unwrap();
        ours
    }

    fn turn(&mut self) {
        for _ in 0..20 {
            self.ev.run_mode(Run::NoWait).unwrap();
        }
    }

    fn wait(&mut self, seconds: u64) {
        self.turn();
        self.clock.advance(Duration::from_secs(seconds));
        self.turn();
    }

    /// What the server answers to this, as far as it does without time passing; and whether it has closed then.
    fn says(&mut self, client: &mut UnixStream, bytes: impl AsRef<[u8]>) -> (String, bool) {
        let mut bytes = bytes.as_ref();
        let mut all = Vec::new();
        let mut ended = false;
        for _ in 0..2000 {
            if !bytes.is_empty() {
                match client.write(bytes) {
                    Ok(n) => bytes = &bytes[n..],
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(_) => bytes = &[],
                }
            }
            self.turn();
            let before = all.len();
            let mut chunk = [0; 65536];
            loop {
                match client.read(&mut chunk) {
                    Ok(0) => {
                        ended = true;
                        break;
                    }
                    Ok(n) => all.extend_from_slice(&chunk[..n]),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(_) => {
                        ended = true;
                        break;
                    }
                }
            }
            if ended || bytes.is_empty() && all.len() == before {
                break;
            }
        }
        (String::from_utf8_lossy(&all).into_owned(), ended)
    }
}

fn hello() -> Routes {
    Routes::new().get("/", |ev, _, reply| reply.text(ev, "hello")).post(
        "/",
        |ev: &mut EvLoop, request: Request, reply: Reply| {
            reply.text(ev, request.body().len().to_string())
        },
    )
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

// --- lengths that contradict the body ------------------------------------------------------------

#[test]
fn a_length_that_is_claimed_for_an_empty_body_is_answered_with_500() {
    let mut site = Site::new(
        Routes::new()
            .get("/send", |ev, _, reply: Reply| {
                assert!(reply.header("Content-Length", "5").send(ev, Response::new()).is_err());
            })
            .get("/text", |ev, _, reply: Reply| {
                assert!(reply.header("Content-Length", "5").text(ev, "").is_err());
            })
            .get("/", |ev, _, reply| reply.text(ev, "hello")),
    );
    for path in ["/send", "/text"] {
        let mut client = site.client();
        let ask = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n{GET}");
        let (said, _) = site.says(&mut client, ask);
        assert!(said.starts_with("HTTP/1.1 500 "), "{path}: {said}");
        assert!(said.ends_with("hello"), "{path}: {said}");
    }
}

#[test]
fn a_head_request_may_be_told_the_length_of_a_body_that_was_not_made() {
    let mut site = Site::new(Routes::new().get("/", |ev, _, reply: Reply| {
        reply.header("Content-Length", "5").send(ev, Response::new()).ok();
    }));
    let mut client = site.client();
    let (said, _) = site.says(&mut client, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(said.contains("\r\nContent-Length: 5\r\n"), "{said}");
}

#[test]
fn a_hook_that_makes_a_reply_contradict_itself_does_not_leave_the_client_without_one() {
    let routes = hello().after(|_, _, response| {
        *response = std::mem::take(response).header("Content-Length", "77");
    });
    let mut site = Site::new(routes);
    let mut client = site.client();
    let (said, _) = site.says(&mut client, [GET, GET].concat());
    assert_eq!(said.matches("HTTP/1.1 500 ").count(), 2, "{said}");
}

// --- what is read and when -----------------------------------------------------------------------

#[test]
fn a_flood_of_pipelined_requests_is_not_taken_in_faster_than_it_is_answered() {
    let mut site = Site::new(hello());
    let mut client = site.client();
    let many = GET.repeat(20_000);
    let mut bytes = many.as_bytes();
    let mut most = 0;
    let mut answers = 0;
    let mut chunk = vec![0; 1 << 20];
    for _ in 0..20_000 {
        while !bytes.is_empty() {
            match client.write(bytes) {
                Ok(n) => bytes = &bytes[n..],
                Err(_) => break,
            }
        }
        site.ev.run_mode(Run::NoWait).unwrap();
        let stream = site.server.connections(&site.ev)[0].stream();
        most = most.max(stream.input_len(&site.ev));
        while let Ok(n) = client.read(&mut chunk) {
            answers += chunk[..n].windows(5).filter(|w| w == b"hello").count();
        }
        if answers >= 19_990 {
            break;
        }
    }
    assert!(most <= 256 * 1024, "{most} bytes wait in memory");
    assert!(answers >= 19_000, "{answers}");
}

#[test]
fn a_body_behind_a_flood_that_was_not_read_is_read() {
    let mut site = Site::new(
        hello()
            .get("/big", |ev, _, reply: Reply| reply.bytes(ev, "text/plain", vec![b'x'; 2 << 20])),
    );
    let mut client = site.client();
    // The reply waits for its client while this comes.
    let body = "b".repeat(300_000);
    let ask = format!(
        "GET /big HTTP/1.1\r\nHost: a\r\n\r\nPOST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut bytes = ask.as_bytes();
    for _ in 0..50 {
        if let Ok(n) = client.write(bytes) {
            bytes = &bytes[n..];
        }
        site.turn();
    }
    let (said, ended) = site.says(&mut client, bytes);
    assert!(said.ends_with("\r\n\r\n300000"), "{}, ended {ended}", &said[said.len() - 100..]);
}

#[test]
fn empty_lines_in_pieces_are_counted_as_those_in_one() {
    let mut site = Site::new(hello());
    let mut client = site.client();
    for _ in 0..4 {
        assert_eq!(site.says(&mut client, "\r\n"), (String::new(), false));
    }
    let (said, ended) = site.says(&mut client, "\r\n");
    assert!(said.starts_with("HTTP/1.1 400 "), "{said}");
    assert!(ended);
}

#[test]
fn half_an_empty_line_of_one_client_is_not_anothers() {
    let mut site = Site::new(hello());
    let mut one = site.client();
    site.says(&mut one, "\r");
    let mut other = site.client();
    let (said, _) = site.says(&mut other, GET);
    assert!(said.ends_with("hello"), "{said}");
    let (said, _) = site.says(&mut one, format!("\n{GET}"));
    assert!(said.ends_with("hello"), "{said}");
}

#[test]
fn empty_lines_do_not_put_off_the_end_of_the_first_head() {
    let mut site = Site::new(hello());
    let mut client = site.client();
    site.says(&mut client, "\r\n");
    site.wait(6);
    site.says(&mut client, "\r\n");
    site.wait(6);
    assert!(site.says(&mut client, "").1, "it is still there after 12 seconds");
}

// --- time ----------------------------------------------------------------------------------------

#[test]
fn a_reply_that_is_read_slowly_is_not_cut_by_the_time_between_requests() {
    let mut site = Site::new(
        Routes::new()
            .get("/", |ev, _, reply: Reply| reply.bytes(ev, "text/plain", vec![b'x'; 8 << 20])),
    );
    let mut client = site.client();
    client.write_all(GET.as_bytes()).unwrap();
    let mut got = 0;
    let mut chunk = vec![0; 1 << 20];
    // Something every ten seconds.
    for _ in 0..400 {
        site.wait(10);
        match client.read(&mut chunk) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
        if got > 8 << 20 {
            break;
        }
    }
    assert!(got > 8 << 20, "{got}");
}

#[test]
fn the_time_between_requests_begins_with_the_reply() {
    let kept: Rc<Cell<Option<Reply>>> = Rc::default();
    let keep = Rc::clone(&kept);
    let mut site = Site::new(Routes::new().get("/", move |_: &mut EvLoop, _, reply: Reply| {
        keep.set(Some(reply));
    }));
    let mut client = site.client();
    site.says(&mut client, GET);
    site.wait(59);
    kept.take().unwrap().text(&mut site.ev, "at last").unwrap();
    site.turn();
    site.wait(30);
    let (said, ended) = site.says(&mut client, "");
    assert!(said.ends_with("at last") && !ended, "{said} {ended}");
    site.wait(40);
    assert!(site.says(&mut client, "").1);
}

#[test]
fn a_reply_that_has_begun_is_not_cut_by_the_time_for_its_beginning() {
    let kept: Rc<Cell<Option<Reply>>> = Rc::default();
    let keep = Rc::clone(&kept);
    let options = ServerOptions::new().handler_timeout(Some(Duration::from_secs(5)));
    let mut site = Site::with(
        &options,
        Routes::new().get("/", move |_: &mut EvLoop, _, reply: Reply| keep.set(Some(reply))),
    );
    let mut client = site.client();
    site.says(&mut client, GET);
    site.wait(3);
    let stream = kept.take().unwrap().stream(&mut site.ev, BodyLength::Unknown).unwrap();
    stream.write(&mut site.ev, "one").unwrap();
    site.wait(3);
    stream.write(&mut site.ev, "two").unwrap();
    stream.end(&mut site.ev).unwrap();
    let (said, _) = site.says(&mut client, "");
    assert!(said.ends_with("3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"), "{said}");
}

#[test]
fn who_has_taken_a_body_has_so_long_to_answer_it() {
    let kept: Rc<Cell<Option<Reply>>> = Rc::default();
    let keep = Rc::clone(&kept);
    let options = ServerOptions::new().handler_timeout(Some(Duration::from_secs(5)));
    let routes = Routes::new().streaming(
        Method::POST,
        "/",
        move |ev: &mut EvLoop, request: Request, reply: Reply| {
            keep.set(Some(reply));
            request
                .receive(ev, |_, _, event| {
                    if let BodyEvent::Data(data) = event {
                        data.clear();
                    }
                })
                .map(|_| ())
        },
    );
    let mut site = Site::with(&options, routes);
    let mut client = site.client();
    site.says(&mut client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na");
    site.says(&mut client, "bc");
    site.wait(6);
    let (said, _) = site.says(&mut client, "");
    assert!(said.starts_with("HTTP/1.1 503 "), "{said}");
}

// --- bodies that are not sent --------------------------------------------------------------------

#[test]
fn a_head_request_asks_nobody_for_an_endless_body() {
    let calls = Rc::new(Cell::new(0));
    let called = Rc::clone(&calls);
    let mut site = Site::new(Routes::new().get("/", move |ev: &mut EvLoop, _, reply: Reply| {
        let called = Rc::clone(&called);
        reply
            .pull(ev, BodyLength::Unknown, move |_| {
                called.set(called.get() + 1);
                assert!(called.get() < 100_000, "for ever");
                Pull::Data(vec![b'x'; 1000])
            })
            .map(|_| ())
    }));
    let mut client = site.client();
    let (said, ended) = site.says(&mut client, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2));
    assert_eq!(said.matches("HTTP/1.1 200 ").count(), 2, "{said}");
    assert!(!ended);
    assert_eq!(calls.get(), 0);
}

#[test]
fn who_writes_while_there_is_room_comes_to_an_end_with_a_head_request() {
    let mut site = Site::new(Routes::new().get("/", |ev: &mut EvLoop, _, reply: Reply| {
        let stream = reply.stream(ev, BodyLength::Unknown)?;
        let mut rounds = 0;
        while stream.write(ev, [0; 1000])? == evloop::net::Written::Room {
            rounds += 1;
            assert!(rounds < 100_000, "for ever");
        }
        stream.end(ev)
    }));
    let mut client = site.client();
    let (said, ended) = site.says(&mut client, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(2));
    assert_eq!(said.matches("HTTP/1.1 200 ").count(), 2, "{said}");
    assert!(!ended);
}

#[test]
fn who_has_nothing_again_and_again_holds_nobody_up() {
    let calls = Rc::new(Cell::new(0));
    let called = Rc::clone(&calls);
    let mut site = Site::new(hello().get("/pull", move |ev: &mut EvLoop, _, reply: Reply| {
        let called = Rc::clone(&called);
        reply
            .pull(ev, BodyLength::Unknown, move |_| {
                called.set(called.get() + 1);
                assert!(called.get() < 100_000, "for ever");
                Pull::Data(Vec::new())
            })
            .map(|_| ())
    }));
    let mut one = site.client();
    one.write_all(b"GET /pull HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    site.turn();
    let mut other = site.client();
    let (said, _) = site.says(&mut other, GET);
    assert!(said.ends_with("hello"), "{said}");
}

#[test]
fn a_large_piece_that_is_handed_over_is_taken_whole() {
    let mut site = Site::new(Routes::new().get("/", |ev: &mut EvLoop, _, reply: Reply| {
        let mut left = 3;
        reply
            .pull(ev, BodyLength::Unknown, move |_| {
                left -= 1;
                if left < 0 { Pull::End } else { Pull::Data(vec![b'x'; 2 << 20]) }
            })
            .map(|_| ())
    }));
    let mut client = site.client();
    let (said, ended) = site.says(&mut client, GET);
    assert!(said.ends_with("\r\n0\r\n\r\n"), "{} bytes, ended {ended}", said.len());
    assert!(said.len() > 6 << 20);
}

// --- panics --------------------------------------------------------------------------------------

fn panics_while_taking(policy: PanicPolicy) -> (Site, UnixStream, String, usize) {
    let routes = hello().streaming(
        Method::POST,
        "/take",
        |ev: &mut EvLoop, request: Request, reply: Reply| {
            let mut reply = Some(reply);
            request
                .receive(ev, move |_, _, event| {
                    let _owned = &mut reply;
                    if let BodyEvent::Data(_) = event {
                        panic!("as the test wants it");
                    }
                })
                .map(|_| ())
        },
    );
    let mut site = Site::with(&ServerOptions::new().on_panic(policy), routes);
    let mut client = site.client();
    client.write_all(b"POST /take HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc").unwrap();
    let mut panics = 0;
    for _ in 0..20 {
        let turned = catch_unwind(AssertUnwindSafe(|| {
            site.ev.run_mode(Run::NoWait).unwrap();
        }));
        panics += usize::from(turned.is_err());
    }
    let (said, _) = site.says(&mut client, "");
    (site, client, said, panics)
}

#[test]
fn who_panics_with_a_body_in_its_hands_has_answered_500() {
    let (mut site, client, said, panics) = panics_while_taking(PanicPolicy::Isolate);
    assert!(said.starts_with("HTTP/1.1 500 "), "{said}");
    assert_eq!(panics, 0);
    drop(client);
    let mut client = site.client();
    let (said, _) = site.says(&mut client, GET);
    assert!(said.ends_with("hello"), "{said}");
}

#[test]
fn a_panic_that_goes_on_leaves_a_request_that_is_answered() {
    let (mut site, client, said, panics) = panics_while_taking(PanicPolicy::Propagate);
    assert!(said.starts_with("HTTP/1.1 500 "), "{said}");
    assert_eq!(panics, 1);
    drop(client);
    let mut client = site.client();
    let (said, _) = site.says(&mut client, GET);
    assert!(said.ends_with("hello"), "{said}");
}

#[test]
fn a_panic_of_a_source_that_goes_on_cuts_its_reply() {
    let routes = Routes::new().get("/", |ev: &mut EvLoop, _, reply: Reply| {
        reply.pull(ev, BodyLength::Unknown, |_| panic!("as the test wants it")).map(|_| ())
    });
    let mut site = Site::with(&ServerOptions::new().on_panic(PanicPolicy::Propagate), routes);
    let mut client = site.client();
    client.write_all(GET.as_bytes()).unwrap();
    let turned = catch_unwind(AssertUnwindSafe(|| site.turn()));
    assert!(turned.is_err());
    let (_, ended) = site.says(&mut client, "");
    assert!(ended);
}

#[test]
fn a_hook_that_panics_when_a_connection_closes_does_not_keep_the_server_from_stopping() {
    for policy in [PanicPolicy::Isolate, PanicPolicy::Propagate] {
        let routes = hello().on_connection(|_, _, event| {
            if matches!(event, evloop::http::ConnectionEvent::Closed(_)) {
                panic!("as the test wants it");
            }
        });
        let mut site = Site::with(&ServerOptions::new().on_panic(policy), routes);
        let _client = site.client();
        site.turn();
        let stopped = Rc::new(Cell::new(false));
        let tell = Rc::clone(&stopped);
        site.server.on_stopped(&mut site.ev, move |_| tell.set(true));
        site.server.stop_now(&mut site.ev);
        let first = catch_unwind(AssertUnwindSafe(|| site.turn()));
        assert_eq!(first.is_err(), policy == PanicPolicy::Propagate);
        site.turn();
        assert!(stopped.get(), "{policy:?}");
    }
}

// --- taking over ---------------------------------------------------------------------------------

#[test]
fn a_connection_that_is_taken_over_tells_all_that_it_sends_and_what_was_before_is_over() {
    let log: Rc<RefCell<Vec<String>>> = Rc::default();
    let (ends, events) = (Rc::clone(&log), Rc::clone(&log));
    let routes = hello()
        .get("/up", move |ev: &mut EvLoop, _, reply: Reply| {
            let stream = reply.upgrade(ev, "echo")?;
            let events = Rc::clone(&events);
            stream.set_handler(ev, move |_, _, event| {
                events.borrow_mut().push(format!("{event:?}"));
            });
            Ok::<(), evloop::Error>(())
        })
        .on_completed(move |_, completed| {
            ends.borrow_mut().push(format!("{} {}", completed.request.target, completed.reason));
        });
    let mut site = Site::new(routes);
    let mut client = site.client();
    let ask =
        format!("{GET}GET /up HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
    let (said, _) = site.says(&mut client, ask);
    assert!(said.contains("HTTP/1.1 101 "), "{said}");
    let log = log.borrow();
    assert!(log.contains(&"/ ok".to_owned()), "{log:?}");
    assert!(log.contains(&"/up upgraded".to_owned()), "{log:?}");
    assert!(log.contains(&"Drained".to_owned()), "{log:?}");
}

// --- exactly once --------------------------------------------------------------------------------

#[test]
fn a_hook_that_runs_the_loop_misses_no_request_that_is_over() {
    let ends = Rc::new(Cell::new(0));
    let (count, deep) = (Rc::clone(&ends), Cell::new(false));
    let routes = hello().on_completed(move |ev, _| {
        count.set(count.get() + 1);
        if !deep.replace(true) {
            for _ in 0..20 {
                ev.run_mode(Run::NoWait).unwrap();
            }
        }
    });
    let mut site = Site::new(routes);
    let mut clients = [site.client(), site.client(), site.client()];
    for client in &mut clients {
        client.write_all(GET.as_bytes()).unwrap();
    }
    site.turn();
    assert_eq!(ends.get(), 3);
    assert_eq!(site.server.stats(&site.ev).completed(CompletionReason::Ok), 3);
}

#[test]
fn a_body_that_ends_early_is_the_clients_doing() {
    let ends: Rc<RefCell<Vec<CompletionReason>>> = Rc::default();
    let note = Rc::clone(&ends);
    let mut site =
        Site::new(hello().on_completed(move |_, done| note.borrow_mut().push(done.reason)));
    let mut client = site.client();
    client.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let (said, ended) = site.says(&mut client, "");
    assert!(said.starts_with("HTTP/1.1 400 ") && ended, "{said}");
    assert_eq!(*ends.borrow(), [CompletionReason::ClientAborted]);
}

#[test]
fn a_fault_behind_a_complete_reply_does_not_take_it_back() {
    let routes = Routes::new().streaming(
        Method::POST,
        "/",
        |ev: &mut EvLoop, request: Request, reply: Reply| {
            request.receive(ev, |_, _, event| {
                if let BodyEvent::Data(data) = event {
                    data.clear();
                }
            })?;
            reply.text(ev, "enough")
        },
    );
    let mut site = Site::new(routes);
    let mut client = site.client();
    let ask = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\nzz\r\n";
    let (said, ended) = site.says(&mut client, ask);
    assert!(said.ends_with("enough") && ended, "{said}");
}

/// Held by a body: when that is dropped, it has something to say to a request.
struct Says(Option<ReplyStream>, Option<Reply>);

impl Drop for Says {
    fn drop(&mut self) {
        if let Some(stream) = &self.0 {
            stream.on_drained(|_| {});
        }
        if let Some(reply) = &self.1 {
            reply.on_completed(|_, _| {});
        }
    }
}

impl AsRef<[u8]> for Says {
    fn as_ref(&self) -> &[u8] {
        b"shared"
    }
}

#[test]
fn what_a_handler_holds_may_use_the_server_when_it_is_dropped() {
    let first: Rc<Cell<Option<Reply>>> = Rc::default();
    let keep = Rc::clone(&first);
    let mut site = Site::new(
        Routes::new()
            .get("/keep", move |_: &mut EvLoop, _, reply: Reply| keep.set(Some(reply)))
            .get("/", |ev: &mut EvLoop, _, reply: Reply| {
                let file = Arc::new(std::fs::File::open("/dev/null").unwrap());
                reply.file(ev, "text/plain", file, 0, 0)
            }),
    );
    let mut one = site.client();
    site.says(&mut one, "GET /keep HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut says = Some(Says(None, first.take()));
    let mut other = site.client();
    site.says(&mut other, "GET /keep HTTP/1.1\r\nHost: a\r\n\r\n");
    let reply = first.take().unwrap();
    // Whatever is dropped with the second request's hooks has the first one's reply.
    reply.on_disconnect(move |_, _| drop(says.take()));
    reply.text(&mut site.ev, "done").unwrap();
    site.turn();
    let (said, _) = site.says(&mut other, "");
    assert!(said.ends_with("done"), "{said}");
    let (said, _) = site.says(&mut one, "");
    assert!(said.starts_with("HTTP/1.1 500 "), "{said}");
}

// --- clients that are gone -----------------------------------------------------------------------

/// Ends a connection the hard way.
fn reset(client: TcpStream) {
    rustix::net::sockopt::set_socket_linger(&client, Some(Duration::ZERO)).unwrap();
    drop(client);
}

/// What was read of a body is paused, and this much is not read; then the client resets, perhaps having ended its side
/// before. Returns how often the loop was woken up in vain.
fn goes_while_paused(backend: Backend, unread: usize, ends_first: bool) {
    let log: Rc<RefCell<Vec<String>>> = Rc::default();
    let (gone, over) = (Rc::clone(&log), Rc::clone(&log));
    let kept: Rc<Cell<Option<Reply>>> = Rc::default();
    let keep = Rc::clone(&kept);
    let routes = Routes::new()
        .streaming(Method::POST, "/", move |ev: &mut EvLoop, request: Request, reply: Reply| {
            let gone = Rc::clone(&gone);
            reply.on_disconnect(move |_, how| gone.borrow_mut().push(format!("{how:?}")));
            keep.set(Some(reply));
            request
                .receive(ev, |ev, body, event| {
                    if let BodyEvent::Data(_) = event {
                        body.pause(ev);
                    }
                })
                .map(|_| ())
        })
        .on_completed(move |_, done| over.borrow_mut().push(done.reason.to_string()));
    let mut ev = EvLoop::builder().backend(backend).build().unwrap();
    let server = ServerOptions::new().listen(&mut ev, "127.0.0.1:0", routes).unwrap();
    let address = server.addresses(&ev)[0].to_string();
    let mut client = TcpStream::connect(address).unwrap();
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\nx", unread + 1);
    client.write_all(head.as_bytes()).unwrap();
    let turn = |ev: &mut EvLoop| ev.turn(Some(Duration::from_millis(20))).unwrap();
    for _ in 0..5 {
        turn(&mut ev);
    }
    client.set_nonblocking(true).unwrap();
    let mut left = unread;
    while left > 0 {
        match client.write(&vec![b'y'; left]) {
            Ok(n) => left -= n,
            Err(_) => break,
        }
        turn(&mut ev);
    }
    if ends_first {
        client.shutdown(std::net::Shutdown::Write).unwrap();
    }
    // Level-triggered as the loop is, what it is told once and does nothing about it would be told for ever.
    let before = ev.iteration();
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(200) {
        turn(&mut ev);
    }
    assert!(ev.iteration() - before < 20, "{} turns", ev.iteration() - before);
    assert!(log.borrow().is_empty(), "{:?}", log.borrow());
    reset(client);
    let start = Instant::now();
    while log.borrow().len() < 2 && start.elapsed() < Duration::from_secs(5) {
        turn(&mut ev);
    }
    assert_eq!(*log.borrow(), ["Gone", "client-aborted"], "{backend:?} {unread} {ends_first}");
    drop(kept.take());
}

#[test]
fn a_reset_is_seen_while_a_body_is_paused() {
    for backend in [Backend::Epoll, Backend::Poll] {
        for unread in [0, 8 * 1024, 1024 * 1024] {
            goes_while_paused(backend, unread, false);
        }
    }
}

#[test]
fn an_end_while_a_body_is_paused_spins_nowhere_and_a_reset_behind_it_is_seen() {
    for backend in [Backend::Epoll, Backend::Poll] {
        for unread in [0, 8 * 1024] {
            goes_while_paused(backend, unread, true);
        }
    }
}

#[test]
fn a_reset_is_seen_while_the_client_waits_for_a_reply_with_its_side_ended() {
    for backend in [Backend::Epoll, Backend::Poll] {
        let over: Rc<Cell<Option<CompletionReason>>> = Rc::default();
        let tell = Rc::clone(&over);
        let kept: Rc<Cell<Option<Reply>>> = Rc::default();
        let keep = Rc::clone(&kept);
        let routes = Routes::new()
            .get("/", move |_: &mut EvLoop, _, reply: Reply| keep.set(Some(reply)))
            .on_completed(move |_, done| tell.set(Some(done.reason)));
        let mut ev = EvLoop::builder().backend(backend).build().unwrap();
        let server = ServerOptions::new().listen(&mut ev, "127.0.0.1:0", routes).unwrap();
        let mut client = TcpStream::connect(server.addresses(&ev)[0].to_string()).unwrap();
        client.write_all(GET.as_bytes()).unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        for _ in 0..10 {
            ev.turn(Some(Duration::from_millis(10))).unwrap();
        }
        assert_eq!(over.get(), None);
        reset(client);
        let start = Instant::now();
        while over.get().is_none() && start.elapsed() < Duration::from_secs(5) {
            ev.turn(Some(Duration::from_millis(10))).unwrap();
        }
        assert_eq!(over.get(), Some(CompletionReason::ClientAborted));
        drop(kept.take());
    }
}
