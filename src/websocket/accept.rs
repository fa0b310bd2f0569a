//! How a server accepts a WebSocket.

use std::rc::Rc;

use super::WebSocket;
use super::driving::{Conn, Handler};
use super::event::WebSocketEvent;
use super::hub::Hub;
use super::options::WebSocketOptions;
use super::socket::Peer;
use crate::http::{Reply, Request, guests};
use crate::wire::Status;
use crate::wire::websocket::{HandshakeFault, Role, check_request};
use crate::{Error, ErrorKind, EvLoop, Result};

const ACCEPTING: &str = "accepting a WebSocket";

impl WebSocketOptions {
    /// Answers a request with 101, and makes a WebSocket of its connection (mongoose's `mg_ws_upgrade`). What the reply
    /// was given by [`header`](Reply::header) goes with it.
    ///
    /// From here on the connection is not the server's any more; but a server that [is
    /// shut down](crate::http::Server::shutdown) closes it with 1001, and waits for it.
    ///
    /// # Errors
    ///
    /// The request was answered then too, so a handler has nothing more to do:
    ///
    /// * [`ErrorKind::Protocol`], with the [`HandshakeFault`] as its source, for what asks for no WebSocket, or in a wrong
    ///   way: the answer is 426 if it is no such request or one of another version, 405 if it is no `GET`, 403 if the
    ///   [origin](Self::origin) is refused, else 400;
    /// * [`ErrorKind::Closed`] if the client is gone, or the server stops, which 503 says.
    pub fn accept(
        &self,
        ev: &mut EvLoop,
        request: &Request,
        reply: Reply,
        handler: impl FnMut(&mut EvLoop, WebSocket, WebSocketEvent<'_>) + 'static,
    ) -> Result<WebSocket> {
        self.accept_boxed(ev, request, reply, Box::new(handler))
    }

    fn accept_boxed(
        &self,
        ev: &mut EvLoop,
        request: &Request,
        reply: Reply,
        handler: Handler,
    ) -> Result<WebSocket> {
        let has_host = request.host().is_some();
        let fields = request.fields();
        let checked = check_request(request.method(), request.version(), has_host, fields);
        let checked = checked.and_then(|checked| {
            if request.content_length() == Some(0) {
                Ok(checked)
            } else {
                Err(HandshakeFault::BadField)
            }
        });
        let asked = match checked {
            Ok(asked) => asked,
            Err(fault) => return Err(refuse(ev, reply, fault)),
        };
        let settings = &self.0;
        if settings.origin.as_ref().is_some_and(|allow| !allow(request)) {
            return Err(refuse(ev, reply, HandshakeFault::BadOrigin));
        }
        let offered = &asked.protocols;
        let choose = settings.choose.as_ref().filter(|_| !offered.is_empty());
        let chosen = choose.and_then(|choose| choose(offered)).and_then(|at| offered.get(at));
        let mut reply = reply.header("Sec-WebSocket-Accept", asked.accept());
        if let Some(chosen) = chosen {
            reply = reply.header("Sec-WebSocket-Protocol", chosen);
        }
        #[cfg_attr(not(feature = "compress"), expect(unused_mut, reason = "by what compresses"))]
        let mut decoder = self.decoder(Role::Server);
        #[cfg(feature = "compress")]
        let deflater = settings.deflate.and_then(|options| {
            let agreed = options.agree(fields)?;
            decoder.set_inflater(agreed.inflater(Role::Server, &options));
            let deflater = agreed.deflater(Role::Server, &options);
            Some((agreed.answer(), (options.threshold, deflater)))
        });
        #[cfg(feature = "compress")]
        if let Some((answer, _)) = &deflater {
            reply = reply.header("Sec-WebSocket-Extensions", answer);
        }

        let hub = ev.local::<Hub>();
        let stream = reply.connection().stream();
        let server = reply.server();
        let peer = hub
            .insert(|index| Peer::new(WebSocket { stream, index }, Role::Server, self.clone(), 0));
        let Some(admission) = guests::admit(ev, server, Rc::clone(&peer) as Rc<_>) else {
            hub.remove(peer.key);
            let _ = reply.error(ev, Status::SERVICE_UNAVAILABLE);
            return Err(Error::new(ErrorKind::Closed, ACCEPTING));
        };
        if let Err(error) = reply.upgrade(ev, "websocket") {
            hub.remove(peer.key);
            guests::dismiss(ev, admission);
            return Err(error);
        }
        peer.admission.set(Some(admission));
        if let Some(chosen) = chosen {
            peer.rare(|rare| rare.protocol = Some((*chosen).into()));
        }
        #[cfg(feature = "compress")]
        if let Some((_, deflater)) = deflater {
            peer.rare(|rare| rare.deflater = Some(deflater));
        }
        let key = peer.key;
        let mut conn = Conn { hub, peer, decoder, handler, dialing: None };
        conn.begin(ev);
        let hub = Rc::clone(&conn.hub);
        let peer = Rc::clone(&conn.peer);
        if stream.set_handler(ev, move |ev, _, event| conn.on_event(ev, event)) {
            return Ok(key);
        }
        // The connection has ended meanwhile.
        hub.remove(key);
        if let Some(admission) = peer.admission.take() {
            guests::dismiss(ev, admission);
        }
        Err(Error::new(ErrorKind::Closed, ACCEPTING))
    }
}

impl WebSocket {
    /// Accepts with the [default options](WebSocketOptions): see [`WebSocketOptions::accept`].
    ///
    /// # Errors
    ///
    /// As for [`WebSocketOptions::accept`].
    pub fn accept(
        ev: &mut EvLoop,
        request: &Request,
        reply: Reply,
        handler: impl FnMut(&mut EvLoop, Self, WebSocketEvent<'_>) + 'static,
    ) -> Result<Self> {
        let options = ev.local::<Hub>().defaults.clone();
        options.accept_boxed(ev, request, reply, Box::new(handler))
    }
}

/// Whether a request comes from a page of the host that it is for, or from no page at all: for
/// [`WebSocketOptions::origin`].
///
/// `Origin` is what a browser says, and only a browser: who is none can say what it likes. It must be `http` or
/// `https`, and the host and port of `Host`: a proxy in front has to leave a port there that is not the usual one.
#[must_use]
pub fn same_origin(request: &Request) -> bool {
    let mut all = request.fields().get_all("origin");
    let Some(origin) = all.next() else { return true };
    let (Ok(origin), None) = (std::str::from_utf8(origin), all.next()) else { return false };
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let usual = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return false,
    };
    let divided = |text| crate::wire::split_authority(text);
    let (Some(of), Some(host)) = (divided(authority), request.host().and_then(divided)) else {
        return false;
    };
    // Behind a proxy that speaks TLS, the host comes without a port, as browsers leave the usual one out.
    let (ours, theirs) = (host.1.unwrap_or(usual), of.1.unwrap_or(usual));
    host.0.eq_ignore_ascii_case(of.0) && ours == theirs
}

/// Says no.
fn refuse(ev: &mut EvLoop, reply: Reply, fault: HandshakeFault) -> Error {
    let status = fault.status();
    let mut reply = reply.status(status);
    if status == Status::UPGRADE_REQUIRED {
        reply = reply.header("Upgrade", "websocket").header("Sec-WebSocket-Version", "13");
    } else if status == Status::METHOD_NOT_ALLOWED {
        reply = reply.header("Allow", "GET");
    }
    // A client that is gone wants no answer.
    let _ = reply.text(ev, format!("{fault}\n"));
    fault.into()
}
