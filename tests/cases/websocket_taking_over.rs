// Those whose stream is given another handler: they are WebSockets no more.

use std::cell::Cell;

use crate::sockets::*;

#[test]
fn one_whose_stream_was_taken_over_keeps_no_server_from_stopping() {
    for late in [false, true] {
        let mut ev = ev();
        let (server, log) = echo(&mut ev, WebSocketOptions::new());
        let mut raw = Raw::open(&mut ev, server);
        settle(&mut ev);
        let ws = ev.websockets()[0];
        let stopped = Rc::new(Cell::new(false));
        let tells = Rc::clone(&stopped);
        server.on_stopped(&mut ev, move |_| tells.set(true));
        if late {
            server.shutdown(&mut ev, Some(Duration::from_secs(10)));
        }
        assert!(ws.stream().set_handler(&mut ev, |ev, stream, event| {
            if let net::StreamEvent::Received(_) = event {
                let mut input = stream.input(ev);
                let len = input.len();
                input.drain(len);
                drop(input);
                stream.write(ev, "taken over").unwrap();
            }
        }));
        assert!(!ws.is_open(&ev) && ev.websockets().is_empty());
        if !late {
            server.shutdown(&mut ev, None);
            until(&mut ev, |_| stopped.get());
            raw.send("anything");
            until(&mut ev, |_| {
                raw.take();
                raw.input == b"taken over"
            });
        } else {
            pass(&mut ev, Duration::from_secs(11));
            assert!(stopped.get());
        }
        assert_eq!(said(&log), ["opened"]);
    }
}

#[test]
fn one_that_is_taken_over_by_its_handler_is_told_nothing_further() {
    for when in ["opened", "text one", "ping two"] {
        let mut ev = ev();
        let log = Told::default();
        let notes = Rc::clone(&log);
        let rest = Rc::new(RefCell::new(Vec::new()));
        let keeps = Rc::clone(&rest);
        let server = server(&mut ev, WebSocketOptions::new(), move |ev, ws, event| {
            note(&notes, &event);
            if notes.borrow().last().unwrap() != when {
                return;
            }
            let keeps = Rc::clone(&keeps);
            assert!(ws.stream().set_handler(ev, move |ev, stream, event| {
                if let net::StreamEvent::Received(_) = event {
                    keeps.borrow_mut().extend(stream.take_all(ev));
                }
            }));
            // For what has come already.
            ws.stream().trigger_received(ev, true);
        });
        let mut raw = Raw::open(&mut ev, server);
        let frames = [(0x81, "one"), (0x89, "two"), (0x81, "three")];
        let frames = frames.map(|(first, text)| frame(first, text.as_bytes(), true));
        raw.send(frames.concat());
        let all = ["opened", "text one", "ping two"];
        let told = all.iter().position(|&it| it == when).unwrap();
        let left = frames[told..].concat();
        until(&mut ev, |_| rest.borrow().len() >= left.len());
        settle(&mut ev);
        assert_eq!(*rest.borrow(), left, "{when}");
        assert_eq!(said(&log), all[..=told]);
        raw.hears_nothing(&mut ev);
        assert!(ev.websockets().is_empty());
    }
}
