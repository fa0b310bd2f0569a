//! evloop's WebSockets as they come, on its HTTP server, with all limits and time-outs.

#[cfg(not(all(feature = "http", feature = "websocket")))]
pub fn serve(_mode: crate::Mode) -> std::io::Result<()> {
    crate::serving::unsupported("features `http` and `websocket` of this package are not both on");
    Ok(())
}

#[cfg(all(feature = "http", feature = "websocket"))]
pub use server::serve;

#[cfg(all(feature = "http", feature = "websocket"))]
mod server {
    use std::io;

    use evloop::EvLoop;
    use evloop::http::{Reply, Request, Routes};
    use evloop::websocket::{PreparedMessage, WebSocket, WebSocketEvent, broadcast};

    use crate::{BROADCAST, Mode};

    pub fn serve(mode: Mode) -> io::Result<()> {
        let mut ev = EvLoop::new()?;
        let handler = match mode {
            Mode::Echo => echo,
            Mode::Broadcast => share,
        };
        let accept = move |ev: &mut EvLoop, request: Request, reply: Reply| {
            // Who asks for no WebSocket was answered so.
            let _ = WebSocket::accept(ev, &request, reply, handler);
        };
        let server = ev.http_server("127.0.0.1:0", Routes::new().get("/ws", accept))?;
        let port = server.addresses(&ev).first().and_then(|address| address.port());
        crate::serving::announce(port.unwrap_or_default())?;
        ev.run()?;
        Ok(())
    }

    fn echo(ev: &mut EvLoop, socket: WebSocket, event: WebSocketEvent<'_>) {
        // One that is gone is told so.
        let _ = match event {
            WebSocketEvent::Text(text) => socket.send_text(ev, text),
            WebSocketEvent::Binary(bytes) => socket.send_binary(ev, bytes),
            _ => return,
        };
    }

    fn share(ev: &mut EvLoop, _socket: WebSocket, event: WebSocketEvent<'_>) {
        if let WebSocketEvent::Text(_) = event {
            let message = PreparedMessage::text(String::from_utf8_lossy(&BROADCAST));
            broadcast(ev, |_, _| true, &message);
        }
    }
}
