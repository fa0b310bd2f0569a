//! WebSockets, which send back what they are sent.

/// Whether there are any.
pub const IS_BUILT_IN: bool = cfg!(feature = "websocket");

#[cfg(feature = "websocket")]
pub use with_websocket::all;

#[cfg(feature = "websocket")]
mod with_websocket {
    use std::rc::Rc;
    use std::time::Duration;

    use evloop::EvLoop;
    use evloop::http::{Reply, Request, Routes};
    use evloop::net::Written;
    use evloop::websocket::{WebSocket, WebSocketEvent, WebSocketOptions};

    use crate::meter::Desk;

    /// The longest message, however it is cut into frames.
    const LONGEST: usize = 4 * 1024 * 1024;

    pub fn all(routes: Routes, desk: &Rc<Desk>) -> Routes {
        let seconds = Duration::from_secs;
        let options = WebSocketOptions::new()
            // What cannot be compressed becomes a little longer by it.
            .max_frame(LONGEST + LONGEST / 256)
            .max_message(LONGEST)
            .ping(seconds(30), seconds(10));
        #[cfg(feature = "compress")]
        let options = options.deflate(evloop::wire::websocket::deflate::DeflateOptions {
            // As well as it can be: the limit of messages is enough here.
            max_ratio: 1100,
            ..Default::default()
        });
        let desk = Rc::clone(desk);
        routes.get("/ws", move |ev: &mut EvLoop, request: Request, reply: Reply| {
            let told = Rc::clone(&desk);
            let accepted = options.accept(ev, &request, reply, move |ev, ws, event| {
                echo(ev, &told, ws, event);
            });
            // What is no such request was answered so.
            if let Ok(ws) = accepted {
                desk.opened(ws.stream());
            }
        })
    }

    fn echo(ev: &mut EvLoop, desk: &Desk, ws: WebSocket, event: WebSocketEvent<'_>) {
        let sent = match event {
            WebSocketEvent::Text(text) => ws.send_text(ev, text),
            WebSocketEvent::Binary(bytes) => ws.send_binary(ev, bytes),
            WebSocketEvent::Drained => {
                ws.resume(ev);
                return;
            }
            WebSocketEvent::Closed(_) => return desk.closed(ws.stream()),
            _ => return,
        };
        // Whoever does not read is not read from.
        if let Ok(Written::Full) = sent {
            ws.pause(ev);
        }
    }
}

#[cfg(not(feature = "websocket"))]
pub fn all(
    routes: evloop::http::Routes,
    _: &std::rc::Rc<crate::meter::Desk>,
) -> evloop::http::Routes {
    routes
}
