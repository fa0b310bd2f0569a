// Many streams, many threads: net-and-http-server.md 2.9, 2.10.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::io::Read;
use std::rc::Rc;
use std::sync::mpsc::channel;
use std::thread;

use evloop::net::{LoopThread, Stream, StreamEvent};
use evloop::{ErrorKind, EvLoop};

use crate::streaming::{Bytes, Link, Tape, World, calm, cases, noise, quiet, until};

cases!(every [
    no_two_streams_have_the_same_id,
    streams_are_found_and_counted_while_they_close,
    data_of_any_type_is_attached_and_dropped_with_the_stream,
    messages_of_a_thread_arrive_in_order,
    a_broadcast_reaches_whom_it_is_for,
    messages_for_nobody_do_nothing,
    everything_that_passes_is_traced,
]);
cases!(plain[messages_that_wait_are_dropped_with_the_stream]);
cases!(wires [
    a_connection_moves_to_another_loop_with_what_waits,
    a_connection_moves_from_inside_its_handler,
    addresses_are_those_of_the_socket,
]);
cases!(unix [descriptors_travel_with_their_bytes, descriptors_of_one_turn_each_go_with_their_own_bytes, the_peer_is_known_by_its_credentials]);
cases!(pair[a_pair_is_not_taken_apart]);
cases!(tcp[a_listener_counts_its_streams_until_they_are_gone]);

fn no_two_streams_have_the_same_id(w: &World) {
    let mut seen = HashSet::new();
    for _ in 0..3 {
        let mut ev = w.ev();
        for _ in 0..10 {
            let Link { client, server } = w.open(&mut ev, quiet, quiet);
            assert!(seen.insert(client.id()) && seen.insert(server.id()));
            client.close_now(&mut ev);
            server.close_now(&mut ev);
            until(&mut ev, |ev| ev.stream_count() == 0);
        }
    }
    let before = seen.len();
    let ids = thread::spawn(|| {
        let mut ev = EvLoop::new().unwrap();
        let (one, other) = ev.stream_pair(quiet, quiet).unwrap();
        [one.id(), other.id()]
    });
    seen.extend(ids.join().unwrap());
    assert_eq!(seen.len(), before + 2);
}

fn streams_are_found_and_counted_while_they_close(w: &World) {
    let mut ev = w.ev();
    let links: Vec<Link> = (0..5).map(|_| w.open(&mut ev, quiet, quiet)).collect();
    assert_eq!((ev.streams().len(), ev.stream_count()), (10, 10));
    for link in &links {
        assert_eq!(ev.stream_by_id(link.client.id()), Some(link.client));
    }
    let mut left = 10;
    for stream in ev.streams() {
        stream.close_now(&mut ev);
        calm(&mut ev);
        left -= 1;
        assert_eq!(ev.stream_by_id(stream.id()), None);
        assert!(!ev.streams().contains(&stream));
        assert_eq!(ev.stream_count(), left);
    }
}

fn data_of_any_type_is_attached_and_dropped_with_the_stream(w: &World) {
    let mut ev = w.ev();
    let Link { client, server } = w.open(&mut ev, quiet, quiet);
    let alive = Rc::new(());
    assert!(client.set_data(&mut ev, Rc::clone(&alive)).is_none());
    assert!(client.set_data(&mut ev, 7_u32).is_none());
    assert_eq!(*client.set_data(&mut ev, 8_u32).unwrap(), 7);
    assert_eq!(*client.data::<u32>(&ev).unwrap(), 8);
    assert!(client.data::<u64>(&ev).is_none() && server.data::<u32>(&ev).is_none());
    assert!(client.set_data(&mut ev, RefCell::new(String::from("so far"))).is_none());
    client.data::<RefCell<String>>(&ev).unwrap().borrow_mut().push_str(" and more");
    assert_eq!(*client.data::<RefCell<String>>(&ev).unwrap().borrow(), "so far and more");
    assert_eq!(Rc::strong_count(&alive), 2);
    client.close_now(&mut ev);
    until(&mut ev, |ev| !client.exists(ev));
    calm(&mut ev);
    assert_eq!(Rc::strong_count(&alive), 1);
}

fn messages_of_a_thread_arrive_in_order(w: &World) {
    let mut ev = w.ev();
    let came: Rc<RefCell<Vec<(usize, usize)>>> = Rc::default();
    let seen = Rc::clone(&came);
    let hears = move |_: &mut EvLoop, _: Stream, event: StreamEvent| {
        if let StreamEvent::Wakeup(message) = event {
            assert!(message.downcast_ref::<String>().is_none());
            let message = message.downcast::<u8>().unwrap_err();
            seen.borrow_mut().push(message.downcast::<(usize, usize)>().unwrap());
        }
    };
    let Link { client, .. } = w.open(&mut ev, hears, quiet);
    let threads: Vec<_> = (0..4_usize)
        .map(|thread| {
            let streams = ev.stream_remote();
            thread::spawn(move || {
                for n in 0..500_usize {
                    assert!(streams.post(client, (thread, n)));
                }
            })
        })
        .collect();
    until(&mut ev, |_| came.borrow().len() == 2000);
    for thread in threads {
        thread.join().unwrap();
    }
    for thread in 0..4 {
        let of: Vec<_> = came.borrow().iter().filter(|it| it.0 == thread).map(|it| it.1).collect();
        assert!(of == (0..500).collect::<Vec<_>>());
    }
}

fn a_broadcast_reaches_whom_it_is_for(w: &World) {
    let mut ev = w.ev();
    let heard: Rc<RefCell<Vec<Stream>>> = Rc::default();
    let links: Vec<Link> = (0..5)
        .map(|_| {
            let seen = Rc::clone(&heard);
            let hears = move |_: &mut EvLoop, stream: Stream, event: StreamEvent| {
                if let StreamEvent::Wakeup(message) = event {
                    assert_eq!(message.downcast_ref::<&str>(), Some(&"to all"));
                    assert!(message.downcast::<&str>().is_err(), "it is shared");
                    seen.borrow_mut().push(stream);
                }
            };
            w.open(&mut ev, hears, quiet)
        })
        .collect();
    links[0].client.set_data(&mut ev, true);
    links[3].client.set_data(&mut ev, true);
    let streams = ev.stream_remote();
    let sender = thread::spawn(move || {
        streams.broadcast(|ev, stream| stream.data::<bool>(ev).is_some(), "to all")
    });
    until(&mut ev, |_| heard.borrow().len() == 2);
    assert!(sender.join().unwrap());
    calm(&mut ev);
    let mut expected = [links[0].client, links[3].client];
    expected.sort();
    heard.borrow_mut().sort();
    assert_eq!(*heard.borrow(), expected);
}

fn messages_for_nobody_do_nothing(w: &World) {
    let mut ev = w.ev();
    let tape = Tape::new();
    let Link { client, server } = w.open(&mut ev, tape.tells(), quiet);
    let streams = ev.stream_remote();
    server.close_now(&mut ev);
    until(&mut ev, |ev| !server.exists(ev));
    assert!(streams.post(server, "too late"));
    // One that is on its way out hears nothing any more.
    client.close_now(&mut ev);
    assert!(streams.post(client, "too late"));
    until(&mut ev, |ev| !client.exists(ev));
    calm(&mut ev);
    assert!(!tape.has("wakeup"));
    let mut other = w.ev();
    let far = w.open(&mut other, tape.tells(), quiet);
    assert!(streams.post(far.client, "to another loop's"));
    calm(&mut ev);
    calm(&mut other);
    assert!(!tape.has("wakeup"));
    drop(ev);
    assert!(!streams.post(client, "the loop is gone"));
}

fn everything_that_passes_is_traced(w: &World) {
    let mut ev = w.ev();
    let Link { client, server } = w.open(&mut ev, quiet, quiet);
    let seen: Rc<RefCell<[Vec<u8>; 2]>> = Rc::default();
    let trace = Rc::clone(&seen);
    client.set_trace(&mut ev, move |direction, bytes| {
        let index = usize::from(direction == evloop::net::Direction::Write);
        trace.borrow_mut()[index].extend(bytes);
    });
    client.write(&mut ev, noise(100_000)).unwrap();
    server.write(&mut ev, noise(50_000)).unwrap();
    until(&mut ev, |ev| server.input_len(ev) == 100_000 && client.input_len(ev) == 50_000);
    let seen = seen.borrow();
    if w.is_tls() {
        assert!(seen[0].len() > 50_000 && seen[1].len() > 100_000);
    } else {
        assert!(seen[0] == noise(50_000) && seen[1] == noise(100_000));
    }
}

fn messages_that_wait_are_dropped_with_the_stream(w: &World) {
    struct Tells(std::sync::mpsc::Sender<()>);
    impl Drop for Tells {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    let mut ev = w.ev();
    let (sender, receiver) = channel();
    let Link { client, .. } = w.open(&mut ev, quiet, quiet);
    ev.stream_remote().post(client, Tells(sender.clone()));
    client.close_now(&mut ev);
    until(&mut ev, |ev| !client.exists(ev));
    calm(&mut ev);
    assert!(receiver.try_recv().is_ok());
}

fn a_connection_moves_to_another_loop_with_what_waits(w: &World) {
    let mut ev = w.ev();
    let tape = Tape::new();
    let bytes = Bytes::new();
    let Link { client, server } = w.open(&mut ev, bytes.gathers(), tape.tells());
    client.write(&mut ev, "came before").unwrap();
    until(&mut ev, |ev| server.input_len(ev) == 11);
    server.disable_write(&mut ev);
    server.write(&mut ev, "waited, ").unwrap();
    let parts = server.into_parts(&mut ev).unwrap();
    assert_eq!((parts.input.len(), parts.output.len()), (11, 8));
    assert!(server.write(&mut ev, "x").is_err());
    until(&mut ev, |_| tape.is_closed());
    assert_eq!(tape.last(), "closed HandedOff");
    let other = LoopThread::spawn("adopts", |_| Ok(())).unwrap();
    let (sender, told) = channel();
    other.remote().post(move |ev| {
        let adopted = parts.adopt(ev, move |ev, stream, event| {
            let _ = sender.send(crate::streaming::words(&event));
            match event {
                StreamEvent::Received(_) => {
                    let text = stream.take_all(ev);
                    stream.write(ev, text).unwrap();
                }
                StreamEvent::Eof { .. } => stream.close_after_flush(ev),
                _ => {}
            }
        });
        assert!(adopted.is_ok());
    });
    until(&mut ev, |_| bytes.len() == 19);
    client.write(&mut ev, " and after").unwrap();
    client.shutdown_write(&mut ev);
    until(&mut ev, |ev| ev.stream_count() == 0);
    assert_eq!(bytes.get(), b"waited, came before and after");
    drop(other);
    let told: Vec<String> = told.iter().collect();
    assert_eq!(told[..3], ["opened", "connected", "received 11"]);
    assert_eq!(told.last().unwrap(), "closed Flushed");
}

fn a_connection_moves_from_inside_its_handler(w: &World) {
    let mut ev = w.ev();
    let bytes = Bytes::new();
    let tape = Tape::new();
    let moves = tape.and(|ev, stream, event| {
        if let StreamEvent::Received(_) = event {
            stream.write(ev, "one ").unwrap();
            let parts = stream.into_parts(ev).unwrap();
            assert_eq!(stream.into_parts(ev).unwrap_err().kind(), ErrorKind::Closed);
            // The same loop, and the descriptor is watched by nobody else.
            parts
                .adopt(ev, |ev, stream, event| {
                    if let StreamEvent::Received(_) = event {
                        let text = stream.take_all(ev);
                        stream.write(ev, text).unwrap();
                        stream.close_after_flush(ev);
                    }
                })
                .unwrap();
        }
    });
    let Link { client, .. } = w.open(&mut ev, bytes.gathers(), moves);
    client.write(&mut ev, "two").unwrap();
    until(&mut ev, |ev| ev.stream_count() == 0);
    assert_eq!(bytes.get(), b"one two");
    assert_eq!(tape.last(), "closed HandedOff");
}

fn addresses_are_those_of_the_socket(w: &World) {
    let mut ev = w.ev();
    let Link { client, server } = w.open(&mut ev, quiet, quiet);
    assert_eq!(client.peer(&ev), server.local(&ev));
    if w.is_tcp() {
        assert_eq!(client.local(&ev), server.peer(&ev));
        assert!(client.local(&ev).is_some());
    }
    assert_eq!(client.set_nodelay(&mut ev, true).is_ok(), w.is_tcp());
    let result = client.set_cork(&mut ev, true);
    assert_eq!(result.is_ok(), w.is_tcp());
}

fn descriptors_travel_with_their_bytes(w: &World) {
    let mut ev = w.ev();
    let Link { client, server } = w.open(&mut ev, quiet, quiet);
    server.set_accept_fds(&mut ev, true);
    let (reads, writes) = rustix::pipe::pipe().unwrap();
    client.write(&mut ev, "before ").unwrap();
    client.send_fds(&mut ev, vec![writes]).unwrap();
    assert_eq!(server.take_fds(&mut ev).len(), 0);
    client.write(&mut ev, "with").unwrap();
    until(&mut ev, |ev| server.input_len(ev) == 11);
    let came = server.take_fds(&mut ev);
    assert_eq!(came.len(), 1);
    rustix::io::write(&came[0], b"through").unwrap();
    drop(came);
    let mut text = String::new();
    std::fs::File::from(reads).read_to_string(&mut text).unwrap();
    assert_eq!(text, "through");
    // Where nobody wants them, the system closes them.
    let (reads, writes) = rustix::pipe::pipe().unwrap();
    server.send_fds(&mut ev, vec![writes]).unwrap();
    server.write(&mut ev, "x").unwrap();
    until(&mut ev, |ev| client.input_len(ev) == 1);
    assert_eq!(std::fs::File::from(reads).read(&mut [0]).unwrap(), 0);
    client.push_filter(&mut ev, Box::new(crate::streaming::Xor(1))).unwrap();
    let (_, writes) = rustix::pipe::pipe().unwrap();
    let error = client.send_fds(&mut ev, vec![writes]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

/// However the bytes lie in memory, and wherever the system is done with some of them.
fn descriptors_of_one_turn_each_go_with_their_own_bytes(w: &World) {
    for len in [1, 511, 3000, 5000, 20_000, 70_000] {
        let mut ev = w.ev();
        let Link { client, server } = w.open(&mut ev, quiet, quiet);
        server.set_accept_fds(&mut ev, true);
        for _ in 0..5 {
            let passed = std::fs::File::open("/dev/null").unwrap();
            client.send_fds(&mut ev, vec![passed.into()]).unwrap();
            client.write(&mut ev, vec![b'x'; len]).unwrap();
        }
        // Where the next descriptor comes, what was sent before it has come.
        let (mut bytes, mut fds) = (0, 0);
        until(&mut ev, |ev| {
            bytes += server.take_all(ev).len();
            fds += server.take_fds(ev).len();
            assert!(fds >= bytes.div_ceil(len), "{bytes} bytes and {fds} descriptors of {len}");
            assert!(fds == 0 || bytes > (fds - 1) * len, "{bytes} bytes and {fds} descriptors");
            bytes == 5 * len
        });
        assert_eq!(fds, 5, "of {len}");
    }
}

fn the_peer_is_known_by_its_credentials(w: &World) {
    let mut ev = w.ev();
    let Link { client, server } = w.open(&mut ev, quiet, quiet);
    for stream in [client, server] {
        let who = stream.peer_credentials(&ev).unwrap();
        assert_eq!(who.uid, rustix::process::getuid().as_raw());
    }
}

fn a_pair_is_not_taken_apart(w: &World) {
    let mut ev = w.ev();
    let Link { client, .. } = w.open(&mut ev, quiet, quiet);
    assert_eq!(client.into_parts(&mut ev).unwrap_err().kind(), ErrorKind::Unsupported);
    assert!(client.set_nodelay(&mut ev, true).is_err());
    assert!(client.peer_credentials(&ev).is_err());
    assert!(client.exists(&ev));
}

fn a_listener_counts_its_streams_until_they_are_gone(w: &World) {
    let mut ev = w.ev();
    let served = Rc::new(Cell::new(0));
    let count = Rc::clone(&served);
    let listener = evloop::net::ListenOptions::new()
        .max_connections(1)
        .listen(&mut ev, "127.0.0.1:0", move |ev, accepted| {
            count.set(count.get() + 1);
            accepted.serve(ev, |_, _, _| {});
        })
        .unwrap();
    let address = listener.addresses(&ev).remove(0);
    let first = ev.connect(address.clone(), quiet).unwrap();
    ev.connect(address, quiet).unwrap();
    until(&mut ev, |_| served.get() == 1);
    calm(&mut ev);
    assert_eq!(served.get(), 1);
    let server = ev.streams().into_iter().find(|it| it.info(&ev).unwrap().is_accepted).unwrap();
    server.close_now(&mut ev);
    until(&mut ev, |_| served.get() == 2);
    first.close_now(&mut ev);
}
