//! One request and its reply.

// An exchange is a box that goes from request to request, and is lent to a connection only from the first byte of
// a head until the reply is written: a connection that is idle has none. What few requests need is in `Hooks`.

use std::rc::Rc;
use std::time::Duration;

use super::hosts::HostNumber;
use super::incoming::Incoming;
use super::outgoing::Puller;
use super::reply::{Held, Pending};
use super::request::{KEPT_HEAD, Parts};
use super::{Completed, CompletionReason, Disconnected, Summary};
use crate::EvLoop;
use crate::net::Buffer;
use crate::wire::{BodyDecoder, HeadLimits, Method, RequestHead, RequestParser, Status};

/// Bytes of a target up to which its memory is kept for the next.
const KEPT_TARGET: usize = 1024;

/// Who is to answer.
#[derive(Default)]
pub(super) enum Target {
    #[default]
    Nobody,
    Entry(u32),
    /// Others are asked, with these methods.
    Others(Vec<Method>),
    /// The server itself says what can be asked.
    Options(Vec<Method>),
}

/// How far the reply has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Answer {
    #[default]
    None,
    /// Its body comes piece by piece.
    Streaming(Framing),
    Done,
}

/// How the end of a reply's body is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Framing {
    /// So many bytes are left.
    Length(u64),
    Chunked,
    UntilClose,
}

/// Bits of [`Exchange::flags`].
pub(super) mod flag {
    pub(in super::super) const IS_HEAD: u32 = 1;
    pub(in super::super) const KEEPS_ALIVE: u32 = 1 << 1;
    pub(in super::super) const HTTP_10: u32 = 1 << 2;
    /// The client waits to be told to go on with its body.
    pub(in super::super) const EXPECTS: u32 = 1 << 3;
    pub(in super::super) const TAKES_TRAILERS: u32 = 1 << 4;
    pub(in super::super) const UPGRADES: u32 = 1 << 5;
    /// Whoever takes the body wants no more of it for now.
    pub(in super::super) const PAUSED: u32 = 1 << 6;
    /// A byte of the body has come.
    pub(in super::super) const BODY_SEEN: u32 = 1 << 7;
    /// All of the body has come.
    pub(in super::super) const BODY_DONE: u32 = 1 << 8;
    /// The handler was called.
    pub(in super::super) const HANDLED: u32 = 1 << 9;
    /// Somebody is waiting with a time-out for more of the body.
    pub(in super::super) const BODY_TIMED: u32 = 1 << 10;
    /// The connection ends with this exchange.
    pub(in super::super) const CLOSES: u32 = 1 << 11;
    pub(in super::super) const TOLD_DISCONNECT: u32 = 1 << 12;
    /// Nobody wants the body.
    pub(in super::super) const DISCARDED: u32 = 1 << 13;
    /// The handler has a time-out, which runs.
    pub(in super::super) const HANDLER_TIMED: u32 = 1 << 14;
    /// The end of the body was told, or somebody was told that there is none.
    pub(in super::super) const BODY_TOLD: u32 = 1 << 15;
    /// The hook that is called for a request line was.
    pub(in super::super) const LINE_TOLD: u32 = 1 << 16;
    /// The handler has failed: what is answered is 500.
    pub(in super::super) const FAILED: u32 = 1 << 17;
    /// It has not said so, but left what it was offered.
    pub(in super::super) const PARKED: u32 = 1 << 18;
    /// The client would rather have the reply packed so.
    #[cfg(feature = "compress")]
    pub(in super::super) const TAKES_GZIP: u32 = 1 << 20;
    #[cfg(feature = "compress")]
    pub(in super::super) const TAKES_DEFLATE: u32 = 1 << 21;
    /// What is written of the reply is packed.
    #[cfg(feature = "compress")]
    pub(in super::super) const PACKS: u32 = 1 << 22;
    /// The body comes packed.
    #[cfg(feature = "compress")]
    pub(in super::super) const UNPACKS: u32 = 1 << 23;
}

pub(super) struct Exchange {
    /// The number of the request on its connection; 0 while its head is coming.
    pub(super) serial: u32,
    pub(super) flags: u32,
    pub(super) answer: Answer,
    pub(super) status: Option<Status>,
    pub(super) parser: RequestParser,
    pub(super) decoder: BodyDecoder,
    /// The decoder is not the one for no body.
    pub(super) has_decoder: bool,
    pub(super) target: Target,
    /// Which of the server's hosts it is for.
    pub(super) host: HostNumber,
    /// Until the handler is called.
    pub(super) request: Option<Box<Parts>>,
    /// What was asked for, from then on.
    pub(super) method: Method,
    pub(super) asked: Vec<u8>,
    pub(super) hooks: Option<Box<Hooks>>,
    /// What has come of a body that is streamed and was not taken yet.
    pub(super) unread: Buffer,
    pub(super) body_limit: u64,
    /// What somebody has said instead of the server's options.
    pub(super) own: Option<Box<OwnTimes>>,
    pub(super) body_len: u64,
    /// How much more is read of a body that nobody wants.
    pub(super) drain_left: u64,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    /// Those of them that are the reply's head.
    pub(super) head_out: usize,
    /// In nanoseconds of the loop.
    pub(super) started: u64,
    /// When a body was announced: a moment that time-outs are counted from, as the next ones.
    pub(super) body_begun: u64,
    /// When waiting for the body began, and how much of it had come by then.
    pub(super) body_started: u64,
    pub(super) body_before: u64,
    pub(super) body_active: u64,
}

type OnDisconnect = Box<dyn FnMut(&mut EvLoop, Disconnected)>;
pub(super) type OnCompleted = Box<dyn FnOnce(&mut EvLoop, &Completed)>;
type OnDrained = Box<dyn FnMut(&mut EvLoop)>;

/// Time-outs of one request, each where it differs from the server's.
#[derive(Default)]
pub(super) struct OwnTimes {
    pub(super) body: Option<Option<Duration>>,
    pub(super) total: Option<Option<Duration>>,
    pub(super) handler: Option<Option<Duration>>,
    /// Bytes per second, and from when on.
    pub(super) rate: Option<(u64, Duration)>,
}

/// What few requests have.
#[derive(Default)]
pub(super) struct Hooks {
    /// What is to be answered by the loop, since somebody is to be asked first.
    pub(super) pending: Option<Pending>,
    /// What hooks have added to the reply before the handler has it.
    pub(super) held: Option<Held>,
    pub(super) incoming: Option<Incoming>,
    pub(super) on_disconnect: Option<OnDisconnect>,
    pub(super) on_completed: Vec<OnCompleted>,
    pub(super) on_drained: Option<OnDrained>,
    pub(super) puller: Option<Puller>,
    pub(super) summary: Option<Rc<Summary>>,
    #[cfg(feature = "compress")]
    pub(super) packer: Option<Box<super::packing::Packer>>,
    #[cfg(feature = "compress")]
    pub(super) unpacker: Option<Box<super::unpacking::Unpacker>>,
}

impl Exchange {
    pub(super) fn new(limits: HeadLimits) -> Box<Self> {
        Box::new(Self {
            serial: 0,
            flags: 0,
            answer: Answer::None,
            status: None,
            parser: RequestParser::new(limits),
            decoder: BodyDecoder::none(),
            has_decoder: false,
            target: Target::Nobody,
            host: 0,
            request: None,
            method: Method::GET,
            asked: Vec::new(),
            hooks: None,
            unread: Buffer::new(),
            body_limit: 0,
            own: None,
            body_len: 0,
            drain_left: 0,
            bytes_in: 0,
            bytes_out: 0,
            head_out: 0,
            started: 0,
            body_begun: 0,
            body_started: 0,
            body_before: 0,
            body_active: 0,
        })
    }

    /// Keeps what was asked for, for those who want to know it when the request is the handler's.
    pub(super) fn remember(&mut self, parts: &Parts) {
        self.method = parts.head.method().clone();
        self.asked.clear();
        self.asked.extend_from_slice(parts.head.target_bytes());
    }

    /// How it ends when its reply has left.
    pub(super) fn outcome(&self) -> CompletionReason {
        if self.has(flag::FAILED) { CompletionReason::HandlerError } else { CompletionReason::Ok }
    }

    /// Makes it fit for the next request. What users have handed over was taken out before.
    // It has many callers, and must be as cheap for the usual one as if that were the only one.
    #[inline(always)]
    pub(super) fn reset(&mut self) {
        self.serial = 0;
        self.flags = 0;
        self.answer = Answer::None;
        self.status = None;
        if !self.parser.is_fresh() {
            self.forget_head();
        }
        if self.has_decoder {
            self.has_decoder = false;
            self.decoder = BodyDecoder::none();
            if self.unread.capacity() > 0 {
                self.unread = Buffer::new();
            }
        }
        if !matches!(self.target, Target::Nobody | Target::Entry(_)) {
            self.target = Target::Nobody;
        }
        if self.asked.capacity() > KEPT_TARGET {
            self.asked = Vec::new();
        }
        self.own = None;
        self.body_len = 0;
        self.bytes_in = 0;
        self.bytes_out = 0;
    }

    /// A head that did not come to its end.
    #[cold]
    fn forget_head(&mut self) {
        if self.parser.head().memory() > KEPT_HEAD {
            self.parser.swap_head(&mut RequestHead::default());
        } else {
            self.parser.reset();
        }
    }

    pub(super) fn has(&self, flags: u32) -> bool {
        self.flags & flags != 0
    }

    pub(super) fn set(&mut self, flags: u32) {
        self.flags |= flags;
    }

    pub(super) fn clear(&mut self, flags: u32) {
        self.flags &= !flags;
    }

    pub(super) fn put(&mut self, flags: u32, on: bool) {
        if on { self.set(flags) } else { self.clear(flags) }
    }

    pub(super) fn hooks(&mut self) -> &mut Hooks {
        self.hooks.get_or_insert_default()
    }

    /// Whether nothing was sent yet, and nobody has said what is to be.
    pub(super) fn is_unanswered(&self) -> bool {
        self.answer == Answer::None
            && self.hooks.as_ref().is_none_or(|hooks| hooks.pending.is_none())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;
    use std::time::Instant;

    use super::{Duration, EvLoop, Exchange, KEPT_HEAD, Method};
    use crate::http::server::service::Service;
    use crate::http::{Reply, Request, Routes, ServerOptions};

    fn head(exchange: &Exchange) -> usize {
        exchange.parser.head().memory()
    }

    /// Serves a client that sends this, in two parts, and leaves: between them until some exchange is in use so far, and
    /// behind them until all are spare, which are returned.
    fn spares(
        parts: [&[u8]; 2],
        is_so_far: fn(&Exchange) -> bool,
        look: fn(&Exchange) -> usize,
    ) -> Vec<usize> {
        let routes = Routes::new().streaming(
            Method::POST,
            "/",
            |ev: &mut EvLoop, request: Request, reply: Reply| {
                request
                    // Who takes nothing of it.
                    .receive(ev, move |_, _, _| {
                        let _kept = &reply;
                    })
                    .map(drop)
            },
        );
        let begun = Instant::now();
        let turn = |ev: &mut EvLoop| {
            assert!(begun.elapsed() < Duration::from_secs(60), "it does not come to that");
            ev.turn(Some(Duration::ZERO)).unwrap();
        };
        let mut ev = EvLoop::new().unwrap();
        let server = ServerOptions::new().unbound(&mut ev, routes).unwrap();
        let service = Service::find(&mut ev, server).unwrap();
        let (near, mut far) = UnixStream::pair().unwrap();
        server.serve_fd(&mut ev, near).unwrap();
        far.write_all(parts[0]).unwrap();
        loop {
            let state = service.state.borrow();
            let mut all = state.conns.iter().filter_map(|(_, conn)| conn.exchange.as_deref());
            if all.any(is_so_far) {
                break;
            }
            drop(state);
            turn(&mut ev);
        }
        far.write_all(parts[1]).unwrap();
        drop(far);
        while !service.state.borrow().conns.is_empty() {
            turn(&mut ev);
        }
        let state = service.state.borrow();
        state.spare_exchanges.iter().map(|exchange| look(exchange)).collect()
    }

    #[test]
    fn heads_that_do_not_come_to_their_end_leave_no_memory_behind() {
        let begun = [b"GET / HTTP/1.1\r\nHost: h\r\nA: ", &[b'a'; 30_000][..]].concat();
        for end in [&b""[..], b"\r\nno field\r\n\r\n"] {
            let left = spares([&begun, end], |exchange| head(exchange) > KEPT_HEAD, head);
            assert!(left.iter().all(|&memory| memory <= KEPT_HEAD) && !left.is_empty(), "{left:?}");
        }
    }

    #[test]
    fn bodies_that_do_not_come_to_their_end_leave_no_memory_behind() {
        let head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 60000\r\n\r\n";
        let begun = [head, &[b'a'; 30_000][..]].concat();
        let memory = |exchange: &Exchange| exchange.unread.capacity();
        let left = spares([&begun, b""], |exchange| exchange.unread.capacity() > 0, memory);
        assert!(left.iter().all(|&memory| memory == 0) && !left.is_empty(), "{left:?}");
    }
}
