// wss, to a server that is made by hand.

use std::rc::Rc;

use crate::sockets::*;
use crate::suite::epoll::live_ev;
use crate::tls::Authority;
use evloop::net::{StreamEvent, TlsServer};

#[test]
fn a_client_speaks_tls_with_wss() {
    let mut ev = live_ev();
    let authority = Authority::new();
    let identity = authority.identity(&["localhost", "127.0.0.1"]);
    let tls = TlsServer::builder(identity).build().unwrap();
    let listener = ev
        .listen("127.0.0.1:0", move |ev, accepted| {
            let mut is_open = false;
            let stream = accepted.serve(ev, move |ev, stream, event| {
                if !matches!(event, StreamEvent::Received(_)) {
                    return;
                }
                let bytes = stream.take_all(ev);
                if is_open {
                    // Whatever it was, it is answered with a goodbye.
                    let _ = stream.write(ev, b"\x81\x06secret\x88\x02\x03\xe8");
                    return;
                }
                is_open = true;
                let request = String::from_utf8(bytes).unwrap();
                let _ = stream.write(ev, agree(&request, ""));
            });
            stream.start_tls_server(ev, &tls).unwrap();
        })
        .unwrap();
    let port = listener.addresses(&ev)[0].port().unwrap();
    let log = Told::default();
    let mut connect = |client: WebSocketClient| {
        let notes = Rc::clone(&log);
        let url = format!("wss://127.0.0.1:{port}/");
        client
            .connect(&mut ev, &url, move |ev, ws, event| {
                note(&notes, &event);
                if matches!(event, WebSocketEvent::Opened) {
                    ws.send_text(ev, "anybody there?").unwrap();
                }
            })
            .unwrap();
        until(&mut ev, |_| log.borrow().last().is_some_and(|last| last.starts_with("closed")));
        said(&log)
    };
    let trusting = authority.client().build().unwrap();
    let told = connect(WebSocketClient::new().tls(trusting));
    assert_eq!(told, ["opened", "text secret", "closed 1000 \"\" clean"]);
    // Nobody knows this authority.
    assert_eq!(connect(WebSocketClient::new()), ["closed 1006 \"\" unclean"]);
}
