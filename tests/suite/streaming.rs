//! Words for cases about streams: where they run, over what they travel, and what must be true of the
//! events of every stream in every case.

// Every test binary includes the whole file and uses a part of it.
#![allow(dead_code)]

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use evloop::net::{
    Buffer, Direction, Filter, FilterError, Mode, Pass, Stream, StreamEvent, Verdict,
};
use evloop::testing::MockClock;
use evloop::{Backend, EvLoop};

/// What the two ends of a connection travel over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Over {
    Tcp,
    Unix,
    Pair,
    #[cfg(feature = "tls")]
    Tls,
}

/// Where a case runs.
#[derive(Clone, Copy, Debug)]
pub struct World {
    pub backend: Backend,
    pub over: Over,
}

/// Both ends of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    pub client: Stream,
    pub server: Stream,
}

/// What is called with events.
pub type Handler = Box<dyn FnMut(&mut EvLoop, Stream, StreamEvent)>;

impl World {
    pub fn new(backend: Backend, over: Over) -> Self {
        Self { backend, over }
    }

    /// A loop on the real clock.
    pub fn ev(&self) -> EvLoop {
        EvLoop::builder().backend(self.backend).env(false).build().expect("a loop")
    }

    /// A loop whose clock moves only when it would sleep.
    pub fn mock(&self) -> (EvLoop, MockClock) {
        let clock = MockClock::new();
        let builder = EvLoop::builder().backend(self.backend).env(false).mock_clock(&clock);
        (builder.build().expect("a loop on a mock clock"), clock)
    }

    pub fn is_pair(&self) -> bool {
        self.over == Over::Pair
    }

    pub fn is_tcp(&self) -> bool {
        self.over == Over::Tcp
    }

    pub fn is_tls(&self) -> bool {
        #[cfg(feature = "tls")]
        return self.over == Over::Tls;
        #[cfg(not(feature = "tls"))]
        return false;
    }

    /// A connection. Both ends have a key when this returns; the first events may have been told.
    #[track_caller]
    pub fn link(
        &self,
        ev: &mut EvLoop,
        client: impl FnMut(&mut EvLoop, Stream, StreamEvent) + 'static,
        server: impl FnMut(&mut EvLoop, Stream, StreamEvent) + 'static,
    ) -> Link {
        let client = checked("client", self.is_tls(), client);
        let server = checked("server", self.is_tls(), server);
        if self.is_pair() {
            let (client, server) = ev.stream_pair(client, server).expect("a pair");
            return Link { client, server };
        }
        let address = if self.is_tcp() { "127.0.0.1:0".to_owned() } else { unix_name() };
        let accepted = Rc::new(Cell::new(None));
        let (slot, mut server) = (Rc::clone(&accepted), Some(server));
        let is_tls = self.is_tls();
        let listener = ev
            .listen(&*address, move |ev, accepted| {
                let stream = accepted.serve(ev, server.take().expect("one connection"));
                if is_tls {
                    start_server(ev, stream);
                }
                slot.set(Some(stream));
            })
            .expect("a listener");
        let address = listener.addresses(ev).remove(0);
        let client = ev.connect(address, client).expect("a client");
        if is_tls {
            start_client(ev, client);
        }
        // Without time passing, be it mocked.
        let begun = Instant::now();
        while accepted.get().is_none() {
            assert!(begun.elapsed() < Duration::from_secs(10), "nobody is accepted");
            ev.turn(Some(Duration::ZERO)).expect("a turn");
        }
        listener.close(ev);
        Link { client, server: accepted.get().expect("a server") }
    }

    /// A connection over which bytes can move at once: all first events were told.
    #[track_caller]
    pub fn open(
        &self,
        ev: &mut EvLoop,
        client: impl FnMut(&mut EvLoop, Stream, StreamEvent) + 'static,
        server: impl FnMut(&mut EvLoop, Stream, StreamEvent) + 'static,
    ) -> Link {
        let link = self.link(ev, client, server);
        let begun = Instant::now();
        let is_open = |ev: &EvLoop, stream: Stream| {
            stream.info(ev).is_none_or(|info| info.state == evloop::net::StreamState::Open)
        };
        while !(is_open(ev, link.client) && is_open(ev, link.server)) {
            assert!(begun.elapsed() < Duration::from_secs(10), "it does not open");
            ev.turn(Some(Duration::ZERO)).expect("a turn");
        }
        calm(ev);
        link
    }
}

#[cfg(feature = "tls")]
pub fn keys() -> &'static (evloop::net::TlsClient, evloop::net::TlsServer) {
    use std::sync::OnceLock;
    static KEYS: OnceLock<(evloop::net::TlsClient, evloop::net::TlsServer)> = OnceLock::new();
    KEYS.get_or_init(|| {
        let authority = crate::tls::Authority::new();
        let client = authority.client().build().expect("a client");
        (client, authority.server().build().expect("a server"))
    })
}

#[cfg(feature = "tls")]
pub fn start_server(ev: &mut EvLoop, stream: Stream) {
    stream.start_tls_server(ev, &keys().1).expect("TLS");
}

#[cfg(feature = "tls")]
pub fn start_client(ev: &mut EvLoop, stream: Stream) {
    stream.start_tls_client(ev, &keys().0, "localhost").expect("TLS");
}

#[cfg(not(feature = "tls"))]
fn start_server(_: &mut EvLoop, _: Stream) {}

#[cfg(not(feature = "tls"))]
fn start_client(_: &mut EvLoop, _: Stream) {}

/// An abstract name that no other test uses, as an address.
pub fn unix_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("unix:@evloop-stream-{}-{n}", std::process::id())
}

// ---- time passes ----

/// Runs the loop until this is so.
#[track_caller]
pub fn until(ev: &mut EvLoop, is_so: impl FnMut(&mut EvLoop) -> bool) {
    until_within(ev, Duration::from_secs(10), is_so);
}

#[track_caller]
pub fn until_within(ev: &mut EvLoop, limit: Duration, mut is_so: impl FnMut(&mut EvLoop) -> bool) {
    let begun = Instant::now();
    while !is_so(ev) {
        assert!(begun.elapsed() < limit, "nothing happens");
        ev.turn(Some(Duration::from_millis(10))).expect("a turn");
    }
}

/// Runs the loop for so long of its own time.
#[track_caller]
pub fn pass(ev: &mut EvLoop, time: Duration) {
    let end = ev.now() + time;
    let _keeps_running = ev.timer(time, Duration::ZERO, |_, _| {}).start(ev);
    while ev.now() < end {
        ev.turn(Some(end - ev.now())).expect("a turn");
    }
    ev.verify();
}

/// Runs the loop, without time passing, until all that is under way inside this machine has arrived.
#[track_caller]
pub fn calm(ev: &mut EvLoop) {
    for _ in 0..20 {
        ev.turn(Some(Duration::ZERO)).expect("a turn");
    }
    ev.verify();
}

// ---- what must be true of all events ----

thread_local! {
    static IN_VERB: Cell<bool> = const { Cell::new(false) };
    static REPLACED: Cell<bool> = const { Cell::new(false) };
}

/// Gives the stream another handler: the one it had need not see the end.
pub fn replace(
    ev: &mut EvLoop,
    stream: Stream,
    handler: impl FnMut(&mut EvLoop, Stream, StreamEvent) + 'static,
) {
    REPLACED.set(true);
    assert!(stream.set_handler(ev, handler));
}

/// Calls a verb: no handler may be called meanwhile.
pub fn verb<R>(verb: impl FnOnce() -> R) -> R {
    let before = IN_VERB.replace(true);
    let result = verb();
    IN_VERB.set(before);
    result
}

/// A handler that sees to it that the events are such as may be.
pub fn checked(
    who: &'static str,
    shakes: bool,
    mut handler: impl FnMut(&mut EvLoop, Stream, StreamEvent) + 'static,
) -> Handler {
    let mut check = Check::default();
    (check.who, check.shakes) = (who, shakes);
    Box::new(move |ev, stream, event| {
        check.note(&event);
        // Verbs that the handler calls are not the verb that might have called it.
        handler(ev, stream, event);
        IN_VERB.set(false);
    })
}

#[derive(Default)]
struct Check {
    who: &'static str,
    shakes: bool,
    told: Vec<String>,
    opened: bool,
    connected: bool,
    shaken: bool,
    eof: bool,
    failed: bool,
    closed: bool,
}

impl Check {
    fn note(&mut self, event: &StreamEvent) {
        if self.told.len() < 100 {
            self.told.push(words(event));
        }
        let sane = self.step(event);
        assert!(sane, "the {} was told what it may not be: {:?}", self.who, self.told);
        assert!(!IN_VERB.get(), "the {} was called from inside a verb: {:?}", self.who, self.told);
    }

    fn step(&mut self, event: &StreamEvent) -> bool {
        use StreamEvent as E;
        if self.closed {
            return false;
        }
        let first = std::mem::replace(&mut self.opened, true);
        if matches!(event, E::Opened) {
            return !first;
        }
        if !first {
            return false;
        }
        if self.failed && !matches!(event, E::Closed(_)) {
            return false;
        }
        let may_move = self.connected && (self.shaken || !self.shakes);
        match event {
            E::Connected | E::Accepted => !std::mem::replace(&mut self.connected, true),
            E::Handshaked => {
                self.connected && {
                    self.shaken = true;
                    true
                }
            }
            E::Received(n) => may_move && (*n == 0 || !self.eof),
            E::Sent(_) | E::Drained => may_move,
            E::Eof { .. } => self.connected && !std::mem::replace(&mut self.eof, true),
            E::Error { .. } => !std::mem::replace(&mut self.failed, true),
            E::Closed(_) => !std::mem::replace(&mut self.closed, true),
            _ => true,
        }
    }
}

impl Drop for Check {
    fn drop(&mut self) {
        // What panicked in a handler has not seen it to its end.
        if self.opened && !self.closed && !std::thread::panicking() && !REPLACED.get() {
            panic!("the {} was not told that it was closed: {:?}", self.who, self.told);
        }
    }
}

// ---- what was told ----

pub fn words(event: &StreamEvent) -> String {
    use StreamEvent as E;
    match event {
        E::Opened => "opened".to_owned(),
        E::Resolved => "resolved".to_owned(),
        E::Connected => "connected".to_owned(),
        E::Accepted => "accepted".to_owned(),
        E::Handshaked => "handshaked".to_owned(),
        E::Received(n) => format!("received {n}"),
        E::Sent(_) => "sent".to_owned(),
        E::Drained => "drained".to_owned(),
        E::Timer => "timer".to_owned(),
        E::Timeout(Direction::Read) => "timeout read".to_owned(),
        E::Timeout(Direction::Write) => "timeout write".to_owned(),
        E::Eof { clean: true } => "eof".to_owned(),
        E::Eof { clean: false } => "unclean eof".to_owned(),
        E::Error { error, .. } => format!("error {:?}", error.kind()),
        E::Wakeup(_) => "wakeup".to_owned(),
        E::Closed(reason) => format!("closed {reason:?}"),
        other => format!("{other:?}"),
    }
}

/// What a stream was told, in words.
#[derive(Clone, Default)]
pub struct Tape(Rc<RefCell<Vec<String>>>);

impl Tape {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn note(&self, event: &StreamEvent) {
        self.0.borrow_mut().push(words(event));
    }

    pub fn push(&self, text: &str) {
        self.0.borrow_mut().push(text.to_owned());
    }

    /// Everything so far.
    pub fn all(&self) -> Vec<String> {
        self.0.borrow().clone()
    }

    /// Everything since the last time.
    pub fn take(&self) -> Vec<String> {
        self.0.take()
    }

    /// Everything but how output left, of which TLS has some of its own.
    pub fn gist(&self) -> Vec<String> {
        self.all().into_iter().filter(|it| it != "sent" && it != "drained").collect()
    }

    pub fn count(&self, text: &str) -> usize {
        self.0.borrow().iter().filter(|it| *it == text).count()
    }

    pub fn has(&self, text: &str) -> bool {
        self.count(text) > 0
    }

    pub fn last(&self) -> String {
        self.0.borrow().last().cloned().unwrap_or_default()
    }

    pub fn is_closed(&self) -> bool {
        self.last().starts_with("closed")
    }

    /// A handler that only writes down.
    pub fn tells(&self) -> impl FnMut(&mut EvLoop, Stream, StreamEvent) + use<> + 'static {
        let tape = self.clone();
        move |_, _, event| tape.note(&event)
    }

    /// A handler that writes down and then does something.
    pub fn and(
        &self,
        mut handler: impl FnMut(&mut EvLoop, Stream, StreamEvent) + 'static,
    ) -> impl FnMut(&mut EvLoop, Stream, StreamEvent) + 'static {
        let tape = self.clone();
        move |ev, stream, event| {
            tape.note(&event);
            handler(ev, stream, event);
        }
    }

    /// A handler that writes down and closes at the end of the input.
    pub fn closes(&self) -> impl FnMut(&mut EvLoop, Stream, StreamEvent) + 'static {
        self.and(|ev, stream, event| {
            if let StreamEvent::Eof { .. } = event {
                stream.close_after_flush(ev);
            }
        })
    }
}

/// A handler that does nothing.
pub fn quiet(_: &mut EvLoop, _: Stream, _: StreamEvent) {}

/// What has come, gathered.
#[derive(Clone, Default)]
pub struct Bytes(Rc<RefCell<Vec<u8>>>);

impl Bytes {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn len(&self) -> usize {
        self.0.borrow().len()
    }

    pub fn get(&self) -> Vec<u8> {
        self.0.borrow().clone()
    }

    pub fn take_from(&self, ev: &mut EvLoop, stream: Stream) {
        let bytes = stream.take_all(ev);
        self.0.borrow_mut().extend(bytes);
    }

    /// A handler that gathers, and closes at the end of the input.
    pub fn gathers(&self) -> impl FnMut(&mut EvLoop, Stream, StreamEvent) + use<> + 'static {
        let bytes = self.clone();
        move |ev, stream, event| match event {
            StreamEvent::Received(_) => bytes.take_from(ev, stream),
            StreamEvent::Eof { .. } => stream.close_after_flush(ev),
            _ => {}
        }
    }
}

/// Bytes that look like nothing else.
pub fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

// ---- filters ----

/// Turns every byte around; as the documentation of `Filter` has it.
pub struct Xor(pub u8);

impl Xor {
    fn turn(&self, from: &mut Buffer, to: &mut Buffer, pass: &Pass) -> Verdict {
        let mut piece = [0; 512];
        let mut left = pass.limit;
        while left > 0 {
            let most = piece.len().min(left);
            let n = from.copy_out(0, &mut piece[..most]);
            if n == 0 {
                break;
            }
            from.drain(n);
            for byte in &mut piece[..n] {
                *byte ^= self.0;
            }
            to.append(&piece[..n]);
            left -= n;
        }
        Verdict::Ok
    }
}

impl Filter for Xor {
    fn receive(
        &mut self,
        f: &mut Buffer,
        t: &mut Buffer,
        p: &Pass,
    ) -> Result<Verdict, FilterError> {
        Ok(self.turn(f, t, p))
    }

    fn send(&mut self, f: &mut Buffer, t: &mut Buffer, p: &Pass) -> Result<Verdict, FilterError> {
        Ok(self.turn(f, t, p))
    }
}

/// Puts two bytes that tell the length before each piece; a piece that is cut off is no end.
pub struct Framed;

fn take(buffer: &mut Buffer, n: usize) -> Vec<u8> {
    let mut bytes = vec![0; n.min(buffer.len())];
    let n = buffer.copy_out(0, &mut bytes);
    buffer.drain(n);
    bytes.truncate(n);
    bytes
}

impl Filter for Framed {
    fn receive(
        &mut self,
        f: &mut Buffer,
        t: &mut Buffer,
        p: &Pass,
    ) -> Result<Verdict, FilterError> {
        let begun = t.len();
        loop {
            let mut head = [0; 2];
            if f.copy_out(0, &mut head) < 2 {
                return Ok(if f.is_empty() { Verdict::Ok } else { Verdict::NeedMore });
            }
            let len = usize::from(u16::from_be_bytes(head));
            if f.len() < 2 + len {
                return Ok(Verdict::NeedMore);
            }
            if t.len() - begun >= p.limit {
                return Ok(Verdict::More);
            }
            f.drain(2);
            t.append(take(f, len));
        }
    }

    fn send(&mut self, f: &mut Buffer, t: &mut Buffer, p: &Pass) -> Result<Verdict, FilterError> {
        let begun = t.len();
        while !f.is_empty() {
            if t.len() - begun >= p.limit {
                return Ok(Verdict::More);
            }
            let piece = take(f, 1000);
            t.append(u16::try_from(piece.len()).unwrap().to_be_bytes());
            t.append(piece);
        }
        Ok(Verdict::Ok)
    }
}

/// Two digits for each byte. What is no digit is an error.
pub struct Hex;

impl Filter for Hex {
    fn receive(
        &mut self,
        f: &mut Buffer,
        t: &mut Buffer,
        p: &Pass,
    ) -> Result<Verdict, FilterError> {
        let begun = t.len();
        while f.len() >= 2 {
            if t.len() - begun >= p.limit {
                return Ok(Verdict::More);
            }
            let n = (f.len() / 2).min(p.limit - (t.len() - begun));
            let digits = take(f, 2 * n);
            for two in digits.chunks(2) {
                let text = std::str::from_utf8(two)?;
                t.append([u8::from_str_radix(text, 16)?]);
            }
        }
        Ok(if f.is_empty() { Verdict::Ok } else { Verdict::NeedMore })
    }

    fn send(&mut self, f: &mut Buffer, t: &mut Buffer, p: &Pass) -> Result<Verdict, FilterError> {
        for byte in take(f, (p.limit / 2).max(1)) {
            t.append(format!("{byte:02x}"));
        }
        Ok(if f.is_empty() { Verdict::Ok } else { Verdict::More })
    }
}

/// Takes all there is and gives out no more than it is asked for: what a compressor does.
#[derive(Default)]
pub struct Hoard {
    coming: Vec<u8>,
    going: Vec<u8>,
}

fn hoard(held: &mut Vec<u8>, f: &mut Buffer, t: &mut Buffer, p: &Pass) -> Verdict {
    held.extend(take(f, usize::MAX));
    let n = held.len().min(p.limit);
    t.append(held.drain(..n).as_slice());
    if held.is_empty() { Verdict::Ok } else { Verdict::More }
}

impl Filter for Hoard {
    fn receive(
        &mut self,
        f: &mut Buffer,
        t: &mut Buffer,
        p: &Pass,
    ) -> Result<Verdict, FilterError> {
        Ok(hoard(&mut self.coming, f, t, p))
    }

    fn send(&mut self, f: &mut Buffer, t: &mut Buffer, p: &Pass) -> Result<Verdict, FilterError> {
        Ok(hoard(&mut self.going, f, t, p))
    }
}

/// Fails at the first byte that comes, or goes.
pub struct Broken(pub Direction);

impl Filter for Broken {
    fn receive(
        &mut self,
        f: &mut Buffer,
        t: &mut Buffer,
        p: &Pass,
    ) -> Result<Verdict, FilterError> {
        if self.0 == Direction::Read && !f.is_empty() {
            return Err("not in my house".into());
        }
        Xor(0).receive(f, t, p)
    }

    fn send(&mut self, f: &mut Buffer, t: &mut Buffer, p: &Pass) -> Result<Verdict, FilterError> {
        if self.0 == Direction::Write && !f.is_empty() {
            return Err("not out of my house".into());
        }
        Xor(0).send(f, t, p)
    }
}

/// Waits for a byte of the peer before it begins; sends one itself.
#[derive(Default)]
pub struct Greets {
    has_sent: bool,
    is_ready: bool,
}

impl Filter for Greets {
    fn receive(
        &mut self,
        f: &mut Buffer,
        t: &mut Buffer,
        p: &Pass,
    ) -> Result<Verdict, FilterError> {
        if !self.is_ready && f.drain(1) == 0 {
            let is_end = p.mode == Mode::Finish;
            return Ok(if is_end { Verdict::NeedMore } else { Verdict::Ok });
        }
        self.is_ready = true;
        Xor(0).receive(f, t, p)
    }

    fn send(&mut self, f: &mut Buffer, t: &mut Buffer, p: &Pass) -> Result<Verdict, FilterError> {
        if !std::mem::replace(&mut self.has_sent, true) {
            t.append("!");
        }
        if !self.is_ready {
            return Ok(Verdict::Ok);
        }
        Xor(0).send(f, t, p)
    }

    fn is_ready(&self) -> bool {
        self.is_ready
    }
}

// ---- the cases ----

/// Makes tests of cases, one for each backend and each of what they name: functions of a `&World`.
macro_rules! cases {
    (@tests $backend:ident $over:ident $module:ident [$($(#[$meta:meta])* $name:ident),* $(,)?]) => {
        mod $module {
            use crate::streaming::{Over, World};
            $(
                #[test]
                $(#[$meta])*
                fn $name() {
                    let world = World::new(evloop::Backend::$backend, Over::$over);
                    super::super::super::$name(&world);
                }
            )*
        }
    };
    (@mods $set:ident $list:tt $($over:ident $module:ident),*) => {
        mod $set {
            mod epoll { $( crate::streaming::cases!(@tests Epoll $over $module $list); )* }
            mod poll { $( crate::streaming::cases!(@tests Poll $over $module $list); )* }
        }
    };
    (@mods_tls $set:ident $list:tt $($over:ident $module:ident),*) => {
        mod $set {
            mod epoll {
                $( crate::streaming::cases!(@tests Epoll $over $module $list); )*
                #[cfg(feature = "tls")]
                crate::streaming::cases!(@tests Epoll Tls tls $list);
            }
            mod poll {
                $( crate::streaming::cases!(@tests Poll $over $module $list); )*
                #[cfg(feature = "tls")]
                crate::streaming::cases!(@tests Poll Tls tls $list);
            }
        }
    };
    // Over everything.
    (every $list:tt) => { crate::streaming::cases!(@mods_tls every $list Tcp tcp, Unix unix, Pair pair); };
    // Over what has a descriptor.
    (sockets $list:tt) => { crate::streaming::cases!(@mods_tls sockets $list Tcp tcp, Unix unix); };
    // Over what arrives without time passing.
    (timed $list:tt) => { crate::streaming::cases!(@mods_tls timed $list Unix unix, Pair pair); };
    // Over what has no filter of its own.
    (plain $list:tt) => { crate::streaming::cases!(@mods plain $list Tcp tcp, Unix unix, Pair pair); };
    // Plain sockets.
    (wires $list:tt) => { crate::streaming::cases!(@mods wires $list Tcp tcp, Unix unix); };
    (tcp $list:tt) => { crate::streaming::cases!(@mods tcp_only $list Tcp tcp); };
    (unix $list:tt) => { crate::streaming::cases!(@mods unix_only $list Unix unix); };
    (pair $list:tt) => { crate::streaming::cases!(@mods pair_only $list Pair pair); };
}
pub(crate) use cases;
