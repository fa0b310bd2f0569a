//! How WebSockets end.
//!
//! Whoever wants to end one sends a close frame, the other answers with one, and then the connection is ended: flushed,
//! shut, and read until the other has ended it too. All of that together has [one
//! deadline](super::WebSocketOptions::close_timeout).

use std::rc::Rc;

use super::hub::Hub;
use super::socket::{Peer, flag};
use crate::wire::websocket::{CloseCode, WebSocketFault};
use crate::{EvLoop, Result};

/// This end wants it to end.
pub(super) fn close(
    ev: &mut EvLoop,
    hub: &Hub,
    peer: &Rc<Peer>,
    code: Option<CloseCode>,
    reason: &str,
) -> Result<()> {
    if peer.has(flag::DEAF) {
        return Ok(());
    }
    if !peer.has(flag::OPEN) {
        // Nobody has agreed to anything.
        cut(ev, peer);
        return Ok(());
    }
    peer.write_close(ev, hub, code, reason)?;
    wait(ev, peer);
    // What has come already may be the answer.
    peer.stream().trigger_received(ev, true);
    Ok(())
}

/// The other end has said goodbye.
pub(super) fn goodbye(
    ev: &mut EvLoop,
    hub: &Hub,
    peer: &Rc<Peer>,
    code: Option<CloseCode>,
    reason: &str,
) {
    peer.set(flag::GOT_CLOSE);
    let code_or = code.unwrap_or(CloseCode::NO_STATUS);
    peer.rare(|rare| rare.closed = Some((code_or, reason.to_owned())));
    if !peer.has(flag::SENT_CLOSE) && peer.write_close(ev, hub, code, "").is_err() {
        return cut(ev, peer);
    }
    finish(ev, peer);
}

/// The other end breaks the rules.
pub(super) fn fault(ev: &mut EvLoop, hub: &Hub, peer: &Rc<Peer>, fault: WebSocketFault) {
    peer.set(flag::FAULTY);
    peer.rare(|rare| {
        rare.closed = Some((fault.close_code(), fault.text().to_owned()));
        rare.error = Some(fault.into());
    });
    let code = Some(fault.close_code());
    if !peer.has(flag::SENT_CLOSE) && peer.write_close(ev, hub, code, fault.text()).is_err() {
        return cut(ev, peer);
    }
    finish(ev, peer);
}

/// Nothing more is of interest, nothing more will be sent: flushes, ends this side, and waits for the other.
fn finish(ev: &mut EvLoop, peer: &Peer) {
    peer.set(flag::OVER);
    wait(ev, peer);
    peer.stream().shutdown_write(ev);
}

/// The connection has ended on the other side, without a goodbye.
pub(super) fn ended(ev: &mut EvLoop, peer: &Peer) {
    if peer.has(flag::OVER) {
        return;
    }
    peer.set(flag::OVER);
    wait(ev, peer);
    // What was sent may still be read there.
    peer.stream().close_after_flush(ev);
}

/// From now on there is a deadline, and nothing else that is waited for.
fn wait(ev: &mut EvLoop, peer: &Peer) {
    let stream = peer.stream();
    peer.clear(flag::PAUSED | flag::HELD);
    let settings = &peer.options.0;
    if settings.ping.is_some() {
        stream.set_timer(ev, None);
    }
    if settings.idle.is_some() {
        stream.set_read_timeout(ev, None);
    }
    stream.enable_read(ev);
    // Of all the steps to its end the first begins it.
    if !peer.has(flag::ENDS) {
        peer.set(flag::ENDS);
        stream.set_deadline_in(ev, settings.close);
    }
}

/// At once, without a word.
pub(super) fn cut(ev: &mut EvLoop, peer: &Peer) {
    peer.set(flag::OVER);
    peer.stream().close_now(ev);
}
