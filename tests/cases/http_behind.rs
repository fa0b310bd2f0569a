// What is pipelined behind a request whose handler does more than to answer it.

use evloop::net::{Stream, StreamEvent};

use crate::talking::*;

#[test]
fn behind_a_handler_that_has_stopped_the_server_no_other_is_called() {
    let mut ev = ev();
    let count = Rc::new(Cell::new(0));
    let calls = Rc::clone(&count);
    let routes = Routes::new().get("/", move |ev: &mut EvLoop, _, reply: Reply| {
        calls.set(calls.get() + 1);
        let server = reply.server();
        reply.text(ev, "once").unwrap();
        server.stop_now(ev);
    });
    let (server, mut client) = one_client(&mut ev, routes);
    client.send(get("/").repeat(3));
    client.rest(&mut ev);
    settle(&mut ev);
    assert_eq!((count.get(), server.exists(&ev)), (1, false));
}

#[test]
fn behind_a_handler_that_has_closed_its_connection_no_other_is_called() {
    for closes in [Stream::close_now, Stream::reset] as [fn(Stream, &mut EvLoop); 2] {
        let mut ev = ev();
        let count = Rc::new(Cell::new(0));
        let calls = Rc::clone(&count);
        let routes = Routes::new().get("/", move |ev: &mut EvLoop, _, reply: Reply| {
            calls.set(calls.get() + 1);
            let stream = reply.connection().stream();
            reply.text(ev, "once").unwrap();
            closes(stream, ev);
        });
        let (server, mut client) = one_client(&mut ev, routes);
        client.send(get("/").repeat(3));
        client.rest(&mut ev);
        settle(&mut ev);
        assert_eq!((count.get(), server.connections(&ev).len()), (1, 0));
    }
}

#[test]
fn who_waits_for_a_handler_that_runs_the_loop_is_taken_in_no_more_of_than_others() {
    let mut ev = ev();
    let (waiting, done) = (Slot::<(Server, Client)>::new(), Slot::new());
    let (kept, told) = (waiting.clone(), done.clone());
    let routes = Routes::new().get("/", move |ev: &mut EvLoop, _, reply: Reply| {
        if let Some((server, mut other)) = kept.get() {
            other.send(get("/"));
            settle(ev);
            let mut most = 0;
            for _ in 0..50 {
                other.push(&[b'x'; 100_000]);
                settle(ev);
                let inputs = server.connections(ev).into_iter();
                most = inputs.map(|of| of.stream().input_len(ev)).fold(most, usize::max);
            }
            told.put((other, most));
        }
        reply.text(ev, "hello")
    });
    let (server, mut client) = one_client(&mut ev, routes);
    waiting.put((server, Client::new(&mut ev, server)));
    assert_eq!(client.ask(&mut ev, get("/")).text(), "hello");
    let (mut other, most) = done.take();
    assert!((1..200_000).contains(&most), "{most}");
    // It had its turn when the other was done, and what has come behind it is no request.
    assert_eq!(other.reply(&mut ev).text(), "hello");
    assert_eq!(other.reply(&mut ev).status, 501);
}

#[test]
fn a_handler_that_has_run_the_loop_for_long_leaves_the_whole_time_for_the_next_request() {
    let mut ev = ev();
    let routes = hello().get("/long", move |ev: &mut EvLoop, _, reply: Reply| {
        let end = ev.now() + Duration::from_secs(100);
        ev.after(Duration::from_secs(100), |_| {});
        while ev.now() < end {
            ev.turn(Some(Duration::from_secs(100))).unwrap();
        }
        reply.text(ev, "long")
    });
    let options = ServerOptions::new().idle_timeout(Some(Duration::from_secs(10)));
    let (_, mut client) = one_client_with(&mut ev, options, routes);
    assert_eq!(client.ask(&mut ev, get("/")).text(), "hello");
    assert_eq!(client.ask(&mut ev, get("/long")).text(), "long");
    pass(&mut ev, Duration::from_secs(9));
    assert_eq!(client.ask(&mut ev, get("/")).text(), "hello");
}

#[test]
fn who_takes_a_connection_over_is_told_what_came_before_its_end_first() {
    let mut ev = ev();
    let log = Log::new();
    let told = log.clone();
    let routes = Routes::new().get("/", move |ev: &mut EvLoop, _, reply: Reply| {
        let (stream, told) = (reply.upgrade(ev, "echo")?, told.clone());
        stream.set_handler(ev, move |ev, stream, event| match event {
            StreamEvent::Received(_) => told.push(String::from_utf8(stream.take_all(ev)).unwrap()),
            StreamEvent::Eof { .. } => {
                told.push("the end".to_owned());
                stream.close_now(ev);
            }
            _ => {}
        });
        Ok::<(), Error>(())
    });
    let (_, mut client) = one_client(&mut ev, routes);
    client.send(request("GET", "/", "Connection: upgrade\r\nUpgrade: echo\r\n", "and more"));
    client.finish();
    assert_eq!(client.reply(&mut ev).status, 101);
    until(&mut ev, |ev| ev.stream_count() == 0);
    assert_eq!(log.take(), ["and more", "the end"]);
}

#[test]
fn what_is_pipelined_behind_a_panic_that_goes_on_is_answered() {
    let mut ev = ev();
    let fails = || std::panic::resume_unwind(Box::new("on purpose"));
    let routes = hello().get("/panic", move |_: &mut EvLoop, _, _| -> Result<()> { fails() });
    let options = ServerOptions::new().on_panic(PanicPolicy::Propagate);
    let (_, mut client) = one_client_with(&mut ev, options, routes);
    client.send([get("/"), get("/panic"), get("/panic"), get("/")].concat());
    let turned = |ev: &mut EvLoop| {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| turn(ev))).is_err()
    };
    let panics = (0..30).filter(|_| turned(&mut ev)).count();
    assert!((1..=2).contains(&panics), "{panics}");
    let statuses = [(); 4].map(|()| client.reply(&mut ev).status);
    assert_eq!(statuses, [200, 500, 500, 200]);
    client.hears_nothing(&mut ev);
}
