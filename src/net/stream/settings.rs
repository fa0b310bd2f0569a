//! How a stream behaves: marks, limits, filters, rates, and what its socket is told.

use std::any::{Any, TypeId};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use rustix::net::sockopt;

use super::cell::{Extra, State, Trace, flag, news};
use super::hub::Hub;
use super::rates::Rate;
use super::transport::Transport;
use super::{SETTING, Stream, closed};
use crate::net::{Direction, Filter, PeerCredentials, RateGroup, RateLimit, unix};
use crate::{Error, ErrorKind, EvLoop, Result};

/// Marks and limits.
impl Stream {
    /// Has `Received` told when there are `low` bytes, and reading stop while there are `high`
    /// (`bufferevent_setwatermark`). 0 and no limit are the defaults. At the end of the input a shorter rest is
    /// told too.
    ///
    /// A high mark below the low one is as good as the low one: else nothing would ever be told.
    pub fn set_read_marks(self, ev: &mut EvLoop, low: usize, high: Option<usize>) -> bool {
        self.change(ev, |state| {
            let limits = &mut state.extra().limits;
            limits.read_low = low;
            limits.read_high = high.unwrap_or(usize::MAX).max(low).max(1);
            let held = state.input_len() >= state.limits().read_high;
            state.put(flag::HELD, held);
        })
    }

    /// Has `Drained` told when the output falls to `low` bytes; the default is 0.
    pub fn set_write_mark(self, ev: &mut EvLoop, low: usize) -> bool {
        self.change(ev, |state| state.extra().limits.write_low = low)
    }

    /// Sets how much may wait to be sent: from `soft` bytes on `write` says
    /// [`Full`](super::Written::Full), and beyond `hard` it refuses. The defaults are 256 KiB and 1 MiB.
    ///
    /// For the hard limit only bytes that were copied count: shared ones and files take no memory of the
    /// stream. For the soft one all do, and eight parts of files are as much as it whatever their length, since
    /// each may keep a file open.
    pub fn set_write_limits(self, ev: &mut EvLoop, soft: usize, hard: usize) -> bool {
        self.change(ev, |state| {
            let limits = &mut state.extra().limits;
            limits.hard = hard.max(1);
            limits.soft = soft.clamp(1, limits.hard);
        })
    }

    /// Sets how much is read and sent in one iteration at most (`bufferevent_set_max_single_read`); 64 KiB
    /// each is the default. What is more waits until the others have had their turn. Of a file that the system
    /// sends by itself (`sendfile`), and that has no [rate](Self::set_rate), 32 times as much is sent.
    pub fn set_transfer_limits(self, ev: &mut EvLoop, read: usize, write: usize) -> bool {
        self.change(ev, |state| {
            let limits = &mut state.extra().limits;
            limits.read_most = read.max(1);
            limits.write_most = write.max(1);
        })
    }

    /// Whether what is written is offered to the system in the same iteration, which is the default, or
    /// only when the descriptor was found ready.
    pub fn set_direct_write(self, ev: &mut EvLoop, direct: bool) -> bool {
        self.change(ev, |state| state.put(flag::PATIENT, !direct))
    }

    /// Has [`Sent`](super::StreamEvent::Sent) and [`Drained`](super::StreamEvent::Drained) told only where
    /// output has to wait: `Sent` when the system first takes less than there is, even nothing, and from then on,
    /// and `Drained` when that is over; also of what had to wait already when it became quiet. Off at first.
    ///
    /// For protocols that write whole answers, and care only about peers that do not read them: what leaves at once,
    /// as most does, costs them no call of their handler.
    pub fn set_quiet(self, ev: &mut EvLoop, quiet: bool) -> bool {
        self.change(ev, |state| {
            let is_new = quiet && !state.has(flag::QUIET);
            state.put(flag::QUIET, quiet);
            state.clear(flag::LOUD);
            if is_new && state.has(flag::BLOCKED) && state.output_len() > 0 {
                state.set(flag::WAITED);
                state.news |= news::SENT;
            }
        })
    }

    /// The opposite of [quiet](Self::set_quiet), for who has his peers' time run from when they take nothing: `Sent` is
    /// told all the time, and also where the system takes nothing from the beginning.
    #[cfg(feature = "http-server")]
    pub(crate) fn set_loud(self, ev: &mut EvLoop) -> bool {
        self.change(ev, |state| {
            state.clear(flag::QUIET);
            state.set(flag::LOUD);
        })
    }

    /// Has the stream notice that the peer is gone also while [nothing is read](Self::disable_read) and when it has
    /// ended its side: a reset is then an `Error` at once, and what was not read before it is lost. Off at first.
    ///
    /// That the peer only ends its side is still told by `Eof`, when all before it was read. For sockets; other
    /// streams are not watched.
    pub fn set_watch_hangup(self, ev: &mut EvLoop, watch: bool) -> bool {
        self.change(ev, |state| state.put(flag::WATCHED, watch))
    }

    /// Whether events are gathered and told at the end of the iteration, after those of all watchers, in
    /// place of at once (`BEV_OPT_DEFER_CALLBACKS`). The default is no.
    pub fn set_deferred(self, ev: &mut EvLoop, deferred: bool) -> bool {
        self.change(ev, |state| state.put(flag::DEFERRED, deferred))
    }

    /// Sets whether the stream keeps the loop running while it is open. The default is `true`.
    pub fn set_ref(self, ev: &mut EvLoop, keeps_running: bool) -> bool {
        let Some((hub, cell)) = self.find(ev) else { return false };
        let (watchers, waits) = {
            let mut state = cell.state.borrow_mut();
            if state.has(flag::UNREF) != keeps_running {
                return true;
            }
            state.put(flag::UNREF, !keeps_running);
            let write_io = state.extra.as_ref().and_then(|extra| extra.write_io);
            ([state.transport.io(), write_io], state.has(flag::WAITS))
        };
        for io in watchers.into_iter().flatten() {
            io.set_ref(ev, keeps_running);
        }
        if waits {
            hub.set_waiting(ev, keeps_running);
        }
        true
    }

    /// Sets the priority of the watcher that moves the stream's bytes, −2 to +2.
    pub fn set_priority(self, ev: &mut EvLoop, priority: i8) -> bool {
        let watchers = self.change_to(ev, |state| {
            // Before it is connected there is none.
            state.extra().priority = priority;
            [state.transport.io(), state.extra().write_io]
        });
        let Some(watchers) = watchers else { return false };
        for io in watchers.into_iter().flatten() {
            io.set_priority(ev, priority);
        }
        true
    }
}

/// What a filter may take to agree with the peer, unless it is said.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Filters.
impl Stream {
    /// Puts a filter on top of those that are there (`bufferevent_filter_new`).
    ///
    /// What was received and not taken yet was meant for it and goes through it; what was written and
    /// has not left goes out as it is. So a protocol that changes to TLS in the middle does it here.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Closed`] if the stream is closed, or one of its directions has ended.
    pub fn push_filter(self, ev: &mut EvLoop, filter: Box<dyn Filter>) -> Result<()> {
        self.push(ev, filter, HANDSHAKE)
    }

    /// Puts a filter on top that has so much time to agree with the peer on how to begin, in place of 10 s;
    /// zero is for ever. If it takes longer, the stream fails with
    /// [`Phase::Handshake`](super::Phase::Handshake).
    ///
    /// # Errors
    ///
    /// As for [`push_filter`](Self::push_filter).
    pub fn push_filter_within(
        self,
        ev: &mut EvLoop,
        filter: Box<dyn Filter>,
        limit: Duration,
    ) -> Result<()> {
        self.push(ev, filter, limit)
    }

    fn push(self, ev: &mut EvLoop, filter: Box<dyn Filter>, limit: Duration) -> Result<()> {
        let hub = ev.local::<Hub>();
        let due = if limit.is_zero() { None } else { ev.now().checked_add(limit) };
        let due = due.map(|due| hub.nanos(ev, due));
        let pushed = self.change_to(ev, |state| {
            if state.has(flag::SHUT | flag::OVER | flag::ENDED) {
                return false;
            }
            state.unshare(&hub);
            let (mut input, mut output) = (state.input.take(), state.output.take());
            let is_ready = filter.is_ready();
            state.extra().chain.push(filter, input.as_deref_mut(), output.as_deref_mut());
            for buffer in [input, output].into_iter().flatten() {
                hub.give_buffer(buffer);
            }
            state.received = 0;
            state.news &= !(news::RECEIVED | news::FORCED);
            state.clear(flag::HELD);
            state.set(flag::DIRTY);
            if !is_ready {
                state.set(flag::SHAKING | flag::RETIME);
                state.times().handshake = due.unwrap_or(super::cell::NEVER);
            }
            // Later, by the loop: a filter that panics is not the caller's affair.
            state.set(flag::FILTER);
            true
        });
        if pushed == Some(true) { Ok(()) } else { Err(Error::new(ErrorKind::Closed, SETTING)) }
    }

    /// Takes the topmost filter off: from now on the stream is as it was before that was put on.
    ///
    /// What the filter was given and has not taken is input; what it has made of the output goes first.
    pub fn pop_filter(self, ev: &mut EvLoop) -> Option<Box<dyn Filter>> {
        let hub = ev.local::<Hub>();
        self.change_to(ev, |state| {
            state.unshare(&hub);
            let mut input = state.input.take().unwrap_or_else(|| hub.take_buffer());
            let mut output = state.output.take().unwrap_or_else(|| hub.take_buffer());
            let filter = state.extra().chain.pop(&mut input, &mut output);
            if !input.is_empty() && filter.is_some() {
                state.news |= news::RECEIVED;
            }
            state.input = Some(input);
            state.output = Some(output);
            state.set(flag::DIRTY);
            if state.extra().chain.is_ready() {
                state.clear(flag::SHAKING);
            }
            if !state.has_filters() {
                state.clear(flag::FILTER);
                if state.has(flag::EOF) && !state.has(flag::ENDED) {
                    state.set(flag::ENDED | flag::CLEAN);
                    state.news |= news::EOF;
                }
            }
            filter
        })?
    }

    /// What the topmost filter that has any has learnt of this type, such as `TlsInfo` with TLS.
    #[must_use]
    pub fn filter_info<T: Any>(self, ev: &EvLoop) -> Option<Rc<T>> {
        self.look(ev, |state| state.extra.as_ref()?.chain.info::<T>())?
    }
}

#[cfg(feature = "tls")]
impl Stream {
    /// Begins TLS as the server, now and on what follows: on a connection that was just accepted, or in the
    /// middle of a protocol that has agreed on it.
    ///
    /// [`Handshaked`](super::StreamEvent::Handshaked) is told when it is done, and
    /// [`filter_info`](Self::filter_info) knows a [`TlsInfo`](crate::net::TlsInfo) then. What is written until
    /// then waits; what was written before this call goes out as it is.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Closed`] if the stream is closed, or one of its directions has ended; [`ErrorKind::Tls`] if
    /// the configuration cannot be used.
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    pub fn start_tls_server(self, ev: &mut EvLoop, tls: &crate::net::TlsServer) -> Result<()> {
        let filter = tls.filter();
        self.push(ev, filter, tls.handshake_timeout())
    }

    /// Begins TLS as the client with a server of this name, which must be what its certificate says.
    ///
    /// # Errors
    ///
    /// As for [`start_tls_server`](Self::start_tls_server), and [`ErrorKind::InvalidInput`] for what can be no
    /// server's name.
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    pub fn start_tls_client(
        self,
        ev: &mut EvLoop,
        tls: &crate::net::TlsClient,
        server_name: &str,
    ) -> Result<()> {
        let filter = tls.filter(server_name)?;
        self.push(ev, filter, tls.handshake_timeout())
    }
}

/// Rates.
impl Stream {
    /// Limits how fast the stream reads and sends; `None` is as fast as can be
    /// (`bufferevent_set_rate_limit`).
    pub fn set_rate(self, ev: &mut EvLoop, limit: Option<RateLimit>) -> bool {
        self.change_rate(ev, |rate| rate.set_limit(limit))
    }

    /// Has the stream share a limit with others (`bufferevent_add_to_rate_limit_group`); `None` takes it out of
    /// its group. It obeys its own limit too.
    pub fn set_rate_group(self, ev: &mut EvLoop, group: Option<&RateGroup>) -> bool {
        self.change_rate(ev, |rate| rate.set_group(group))
    }

    /// The stream's own limit.
    #[must_use]
    pub fn rate(self, ev: &EvLoop) -> Option<RateLimit> {
        self.look(ev, |state| state.extra.as_ref()?.rate.as_ref()?.limit)?
    }

    /// How many bytes may move at once now; less than 0 when more have moved than might
    /// (`bufferevent_get_read_limit`). `None` if the direction has no limit of its own.
    #[must_use]
    pub fn rate_level(self, ev: &mut EvLoop, direction: Direction) -> Option<i64> {
        let now = ev.local::<Hub>().now(ev);
        self.change_to(ev, |state| state.extra.as_mut()?.rate.as_mut()?.level(direction, now))?
    }

    /// Puts bytes into what may move at once, or takes them out (`bufferevent_decrement_read_limit`).
    pub fn add_to_rate_level(self, ev: &mut EvLoop, direction: Direction, bytes: i64) -> bool {
        self.change_rate(ev, |rate| rate.add(direction, bytes))
    }

    fn change_rate(self, ev: &mut EvLoop, change: impl FnOnce(&mut Rate)) -> bool {
        let now = ev.local::<Hub>().now(ev);
        self.change(ev, |state| {
            change(state.extra().rate.get_or_insert_default());
            // Who waits by the old rules asks again by the new ones.
            let times = state.times();
            for rate in &mut times.rate {
                if *rate != super::cell::NEVER {
                    *rate = now;
                }
            }
            state.set(flag::RETIME);
        })
    }
}

/// What is attached.
impl Stream {
    /// Attaches a value to the stream, one of each type. Returns the one of this type that was there.
    ///
    /// It is dropped with the stream. For what the handler alone needs, its closure is the place.
    pub fn set_data<T: Any>(self, ev: &mut EvLoop, value: T) -> Option<Rc<T>> {
        let value: Rc<dyn Any> = Rc::new(value);
        let old = self.change_to(ev, |state| {
            let data = &mut state.extra().data;
            match data.iter_mut().find(|(of, _)| *of == TypeId::of::<T>()) {
                Some((_, old)) => Some(std::mem::replace(old, value)),
                None => {
                    data.push((TypeId::of::<T>(), value));
                    None
                }
            }
        });
        old??.downcast::<T>().ok()
    }

    /// What was attached of this type.
    #[must_use]
    pub fn data<T: Any>(self, ev: &EvLoop) -> Option<Rc<T>> {
        let found = self.look(ev, |state| {
            let data = &state.extra.as_ref()?.data;
            let (_, value) = data.iter().find(|(of, _)| *of == TypeId::of::<T>())?;
            Some(Rc::clone(value))
        });
        found??.downcast::<T>().ok()
    }

    /// Has a closure see the bytes that pass, as the transport has them: for a log, or a hex dump.
    ///
    /// What `sendfile` sends is not seen.
    pub fn set_trace(self, ev: &mut EvLoop, trace: impl FnMut(Direction, &[u8]) + 'static) -> bool {
        let trace: Trace = Box::new(trace);
        self.change_to(ev, |state| state.extra().trace.replace(trace)).is_some()
    }

    /// Ends what [`set_trace`](Self::set_trace) began.
    pub fn clear_trace(self, ev: &mut EvLoop) -> bool {
        self.change_to(ev, |state| state.extra().trace.take()).is_some()
    }
}

/// Sockets.
impl Stream {
    /// The stream's descriptor; of two, the one that is read.
    #[must_use]
    pub fn fd(self, ev: &EvLoop) -> Option<std::os::fd::RawFd> {
        use std::os::fd::AsRawFd;
        self.look(ev, |state| Some(state.transport.fd()?.as_raw_fd()))?
    }

    /// Whether small segments wait for each other, as Nagle would have them: off in every TCP stream
    /// (`TCP_NODELAY`) unless this turns it on.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Closed`] without an open socket, and what the system says, as
    /// [`ErrorKind::Unsupported`]; so for all settings of sockets.
    pub fn set_nodelay(self, ev: &mut EvLoop, nodelay: bool) -> Result<()> {
        self.set_socket(ev, |fd| sockopt::set_tcp_nodelay(fd, nodelay))
    }

    /// Holds back what does not fill a segment, for 200 ms at most, until it is turned off again
    /// (`TCP_CORK`). What is written in one iteration leaves in one call anyway. For a large file that the system
    /// sends by itself it is turned on and off without being asked for, unless it is on already.
    ///
    /// # Errors
    ///
    /// As for [`set_nodelay`](Self::set_nodelay).
    pub fn set_cork(self, ev: &mut EvLoop, cork: bool) -> Result<()> {
        self.set_socket(ev, |fd| sockopt::set_tcp_cork(fd, cork))?;
        self.change(ev, |state| {
            state.clear(flag::CORKED);
            state.put(flag::OWN_CORK, cork);
        });
        Ok(())
    }

    /// Has the system ask a silent peer whether it is there: after `idle`, then every `interval`, and give
    /// up after `probes` without an answer. `None` turns it off.
    ///
    /// # Errors
    ///
    /// As for [`set_nodelay`](Self::set_nodelay).
    pub fn set_keepalive(
        self,
        ev: &mut EvLoop,
        probing: Option<(Duration, Duration, u32)>,
    ) -> Result<()> {
        self.set_socket(ev, |fd| {
            if let Some((idle, interval, probes)) = probing {
                sockopt::set_tcp_keepidle(fd, idle)?;
                sockopt::set_tcp_keepintvl(fd, interval)?;
                sockopt::set_tcp_keepcnt(fd, probes)?;
            }
            sockopt::set_socket_keepalive(fd, probing.is_some())
        })
    }

    /// What closing does with what the system has not sent yet: `None`, the default, sends it in the
    /// background; zero throws it away and resets the connection (`SO_LINGER`). Other times make the system
    /// block a close and are refused.
    ///
    /// # Errors
    ///
    /// As for [`set_nodelay`](Self::set_nodelay), and [`ErrorKind::InvalidInput`] for a time that is not zero.
    pub fn set_linger(self, ev: &mut EvLoop, linger: Option<Duration>) -> Result<()> {
        if linger.is_some_and(|time| !time.is_zero()) {
            return Err(Error::new(ErrorKind::InvalidInput, SETTING));
        }
        self.set_socket(ev, |fd| sockopt::set_socket_linger(fd, linger))
    }

    /// How much the system buffers, in bytes; `None` leaves it as it is (`SO_RCVBUF`, `SO_SNDBUF`).
    ///
    /// # Errors
    ///
    /// As for [`set_nodelay`](Self::set_nodelay).
    pub fn set_system_buffers(
        self,
        ev: &mut EvLoop,
        receive: Option<usize>,
        send: Option<usize>,
    ) -> Result<()> {
        self.set_socket(ev, |fd| {
            if let Some(receive) = receive {
                sockopt::set_socket_recv_buffer_size(fd, receive)?;
            }
            if let Some(send) = send {
                sockopt::set_socket_send_buffer_size(fd, send)?;
            }
            Ok(())
        })
    }

    /// Who is at the other end of a Unix socket, as the system has seen it when they connected.
    ///
    /// # Errors
    ///
    /// As for [`set_nodelay`](Self::set_nodelay).
    pub fn peer_credentials(self, ev: &EvLoop) -> Result<PeerCredentials> {
        let found = self.look(ev, |state| state.transport.socket().map(unix::peer_credentials));
        found
            .flatten()
            .ok_or_else(closed)?
            .map_err(|e| Error::os(ErrorKind::Unsupported, SETTING, e))
    }

    /// Sends descriptors with the next byte that is written, to the process at the other end of a Unix
    /// socket (`SCM_RIGHTS`). They are closed here when they have left.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Closed`] without an open socket; [`ErrorKind::InvalidInput`] for more than 253, and for a
    /// stream with filters.
    pub fn send_fds(self, ev: &mut EvLoop, fds: Vec<OwnedFd>) -> Result<()> {
        let queued = self.change_to(ev, |state| {
            if !matches!(state.transport, Transport::Socket(_)) || state.has(flag::SHUT) {
                return Err(closed());
            }
            if fds.len() > unix::MAX_FDS || state.has_filters() {
                return Err(Error::new(ErrorKind::InvalidInput, "sending descriptors"));
            }
            let at = state.bytes_out + state.output_len() as u64;
            let queue = &mut state.extra().fds_out;
            match queue.back_mut() {
                Some((last, with)) if *last == at => {
                    if with.len() + fds.len() > unix::MAX_FDS {
                        return Err(Error::new(ErrorKind::InvalidInput, "sending descriptors"));
                    }
                    with.extend(fds);
                }
                _ => queue.push_back((at, fds)),
            }
            Ok(())
        });
        queued.ok_or_else(closed)?
    }

    /// Whether descriptors that come are kept for [`take_fds`](Self::take_fds). The default is no: the system
    /// closes them.
    ///
    /// They are to be taken: while 253 wait for it, nothing is read. Saying no closes those that wait.
    pub fn set_accept_fds(self, ev: &mut EvLoop, accept: bool) -> bool {
        self.change(ev, |state| {
            let extra = state.extra();
            extra.takes_fds = accept;
            if !accept {
                extra.fds_in.clear();
            }
        })
    }

    /// The descriptors that have come, in order; those that came with bytes are there when `Received`
    /// tells of these.
    pub fn take_fds(self, ev: &mut EvLoop) -> Vec<OwnedFd> {
        let take = |state: &mut State| {
            let extra: &mut Extra = state.extra.as_mut()?;
            Some(extra.fds_in.drain(..).collect())
        };
        self.change_to(ev, take).flatten().unwrap_or_default()
    }

    fn set_socket(
        self,
        ev: &EvLoop,
        set: impl FnOnce(BorrowedFd<'_>) -> rustix::io::Result<()>,
    ) -> Result<()> {
        let done = self.look(ev, |state| state.transport.socket().map(|fd| set(fd.as_fd())));
        let done = done.flatten().ok_or_else(closed)?;
        done.map_err(|e| Error::os(ErrorKind::Unsupported, SETTING, e.into()))
    }
}
