//! What the demo answers.

use std::cell::Cell;
use std::error::Error;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use evloop::EvLoop;
use evloop::http::{
    AccessLog, BodyEvent, BodyLength, CompletionReason, Disconnected, Method, Reply, ReplyStream,
    Request, Response, Routes, ServerStats, Status,
};
use evloop::net::Written;

use crate::meter::Desk;
use crate::page::View;
use crate::running::Everybody;
use crate::{content, events, page, talk};

/// The longest wait that is asked for, in milliseconds.
const LONGEST: u64 = 3_600_000;

/// How many threads of `/worker` there are at a time, whatever number of loops ask for them.
const WORKERS_MAX: usize = 64;

/// What all threads have in common.
#[derive(Clone, Default)]
pub struct Setup {
    pub threads: usize,
    pub has_tls: bool,
    /// What `/files` shows.
    pub root: Option<PathBuf>,
    /// Where `/upload` puts what is sent.
    pub upload_dir: Option<PathBuf>,
    /// How much of a body is taken, if it was said.
    pub max_body: Option<u64>,
    pub log: Option<AccessLog>,
}

impl Setup {
    /// What the first page says about the parts that not every server has.
    pub fn note(&self, place: &str) -> &'static str {
        match place {
            "files_off" if self.root.is_none() => r#"<span class="off">needs --root</span>"#,
            "upload_off" if self.upload_dir.is_none() => {
                r#"<span class="off">needs --upload-dir</span>"#
            }
            "ws_note" if !talk::IS_BUILT_IN => r#"<span class="off">not in this build</span>"#,
            "ws_off" if !talk::IS_BUILT_IN => " disabled",
            "ws_state" if talk::IS_BUILT_IN => "not connected",
            "ws_text" if talk::IS_BUILT_IN => "What is sent to <code>/ws</code> comes back.",
            "ws_text" => {
                "This server was built without <code>/ws</code>; it has it with the feature <code>websocket</code>."
            }
            _ => "",
        }
    }
}

pub fn all(setup: &Setup, desk: &Rc<Desk>, everybody: &Everybody) -> Routes {
    let mut routes = Routes::new();
    if let Some(log) = &setup.log {
        routes = routes.access_log(log.clone());
    }
    let routes = routes
        .get("/plaintext", |ev, _, reply| reply.bytes(ev, "text/plain", "Hello, World!"))
        .get("/json", |ev, _, reply| reply.json(ev, r#"{"message":"Hello, World!"}"#))
        .streaming(Method::POST, "/echo", echo)
        .get("/query", query)
        .get("/slow", slow)
        .get("/worker", worker)
        .get("/stream", stream)
        .get("/events", events::plain);
    let routes = talk::all(content::all(routes, setup), desk);
    let routes = dashboard(routes, setup.clone(), desk, everybody);
    #[cfg(feature = "compress")]
    let routes = routes.compress(evloop::http::Compression::new());
    desk.watch(routes)
}

/// The first page, and where its figures are had from.
fn dashboard(routes: Routes, setup: Setup, desk: &Rc<Desk>, everybody: &Everybody) -> Routes {
    let (on_page, on_events) = (Rc::clone(desk), Rc::clone(desk));
    let (for_page, for_events) = (everybody.clone(), everybody.clone());
    let for_stats = everybody.clone();
    let threads = setup.threads;
    routes
        .get("/", move |ev, request: Request, reply: Reply| {
            let (setup, desk) = (setup.clone(), Rc::clone(&on_page));
            let own = reply.connection();
            desk.look(ev, Duration::ZERO);
            for_page.look(ev, &Arc::clone(&desk.meter), reply.server(), move |ev, stats| {
                let nonce = page::nonce();
                let origin = page::origin(&setup, &request);
                let view = View::new(ev, &stats, &desk, own);
                let text = view.html(&setup, &desk, &nonce, &origin);
                let policy = format!(
                    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data:; \
                     connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
                );
                let reply = reply
                    .header("Cache-Control", "no-store")
                    .header("Content-Security-Policy", policy)
                    .header("Referrer-Policy", "no-referrer")
                    .header("X-Content-Type-Options", "nosniff");
                // A client that has left meanwhile wants nothing.
                reply.html(ev, text).ok();
            });
        })
        .get("/stats", move |ev, _, reply| {
            for_stats.stats(ev, reply.server(), move |ev, stats| {
                let text = json(&stats, &Loop::of(ev), threads);
                reply.header("Cache-Control", "no-store").json(ev, text).ok();
            });
        })
        .get("/stats/events", move |ev, request, reply| {
            events::figures(ev, &request, reply, &on_events, &for_events)
        })
}

/// Sends the body back as it comes: of known length if it is, else in chunks. When the client does not read what it is
/// sent, nothing more is taken from it.
fn echo(ev: &mut EvLoop, request: Request, reply: Reply) -> evloop::Result<()> {
    let length = match request.content_length() {
        Some(length) => BodyLength::Known(length),
        None => BodyLength::Unknown,
    };
    let content_type = request.content_type().unwrap_or("application/octet-stream");
    let reply = reply.header("Content-Type", content_type);
    if length == BodyLength::Known(0) {
        return reply.empty(ev);
    }
    // The head leaves with the first piece; a client that waits to be told to go on is told so before.
    let mut unsent = Some(reply);
    let mut sent: Option<ReplyStream> = None;
    request.receive(ev, move |ev, body, event| match event {
        BodyEvent::Data(data) => {
            if let Some(reply) = unsent.take() {
                let Ok(stream) = reply.stream(ev, length) else { return };
                stream.on_drained(move |ev| {
                    body.resume(ev);
                });
                sent = Some(stream);
            }
            match sent.as_ref().map(|stream| stream.write_buffer(ev, data)) {
                Some(Ok(Written::Room)) => {}
                Some(Ok(Written::Full)) => {
                    body.pause(ev);
                }
                // The client is gone: there is nobody to send it to.
                _ => {
                    body.discard(ev);
                }
            }
        }
        BodyEvent::End(_) => {
            if let Some(reply) = unsent.take() {
                reply.empty(ev).ok();
            }
            if let Some(stream) = sent.take() {
                stream.end(ev).ok();
            }
        }
        // What was begun is cut when it is dropped.
        _ => sent = None,
    })?;
    Ok(())
}

/// The pairs of the query, in order.
fn query(ev: &mut EvLoop, request: Request, reply: Reply) -> evloop::Result<()> {
    let mut text = String::from("[");
    let mut pairs = request.query_pairs();
    for (name, value) in pairs.by_ref() {
        if text.len() > 1 {
            text.push(',');
        }
        text.push('[');
        quote(&mut text, &name);
        text.push(',');
        quote(&mut text, &value);
        text.push(']');
    }
    if pairs.is_cut() {
        // Rather nothing than some of it.
        return reply.error(ev, Status::URI_TOO_LONG);
    }
    text.push(']');
    reply.json(ev, text)
}

/// Answers later, from a timer, unless the client leaves first.
fn slow(ev: &mut EvLoop, request: Request, reply: Reply) -> evloop::Result<()> {
    let Some(delay) = milliseconds(&request, "ms", 1000) else { return bad(ev, reply, "ms") };
    // Dropped when the client is gone, and the timer with it.
    let waiting = Rc::new(Cell::new(None));
    let timer = {
        let waiting = Rc::clone(&waiting);
        ev.after(delay, move |ev| {
            if let Some(reply) = waiting.take() {
                let reply: Reply = reply;
                reply.text(ev, format!("waited {} ms\n", delay.as_millis())).ok();
            }
        })
    };
    reply.on_disconnect({
        let waiting = Rc::clone(&waiting);
        move |ev, how| {
            if how == Disconnected::Gone {
                timer.free(ev);
                drop(waiting.take());
            }
        }
    });
    waiting.set(Some(reply));
    Ok(())
}

/// How many of them there are.
static WORKERS: AtomicUsize = AtomicUsize::new(0);

/// One of them.
struct Worker;

impl Worker {
    /// `None` if there are enough.
    fn begin() -> Option<Self> {
        let one_more = |count| (count < WORKERS_MAX).then_some(count + 1);
        WORKERS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok().map(|_| Self)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        WORKERS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Answers from another thread, unless the client leaves first.
fn worker(ev: &mut EvLoop, request: Request, reply: Reply) -> Result<(), Box<dyn Error>> {
    let Some(delay) = milliseconds(&request, "ms", 1000) else {
        return Ok(bad(ev, reply, "ms")?);
    };
    let Some(one) = Worker::begin() else {
        return Ok(reply.error(ev, Status::SERVICE_UNAVAILABLE)?);
    };
    // Dropped when the client is gone, which wakes the thread.
    let (wanted, is_wanted) = mpsc::channel::<()>();
    let mut wanted = Some(wanted);
    reply.on_disconnect(move |_, how| {
        if how == Disconnected::Gone {
            drop(wanted.take());
        }
    });
    let Some(reply) = reply.into_remote() else { return Ok(()) };
    // A thread for each is for the show; `EvLoop::work` has a pool of them. Should there be none to be had, the
    // reply is dropped, which is 500.
    let spawned = thread::Builder::new().name("worker".to_owned()).spawn(move || {
        // The work.
        let outcome = is_wanted.recv_timeout(delay);
        // Before the client hears of it, and asks again.
        drop(one);
        if outcome == Err(RecvTimeoutError::Timeout) {
            reply.send(Response::text(format!("worked {} ms\n", delay.as_millis())));
        }
    });
    spawned.map(drop).map_err(Into::into)
}

/// Sends a line every so often. A client that does not read misses none: it is waited for.
fn stream(ev: &mut EvLoop, request: Request, reply: Reply) -> evloop::Result<()> {
    let Some(every) = milliseconds(&request, "ms", 100) else { return bad(ev, reply, "ms") };
    let count = request.query_value("n");
    let Some(count) = count.map_or(Some(10), |count| count.parse::<u64>().ok()) else {
        return bad(ev, reply, "n");
    };
    let reply = reply.header("Content-Type", "text/plain; charset=utf-8");
    if every.is_zero() {
        // As fast as it is read.
        let mut line = 0;
        reply.pull(ev, BodyLength::Unknown, move |_| {
            let mut text = String::new();
            while line < count && text.len() < 16 * 1024 {
                line += 1;
                let _ = writeln!(text, "line {line} of {count}");
            }
            if text.is_empty() {
                evloop::http::Pull::End
            } else {
                evloop::http::Pull::Data(text.into_bytes())
            }
        })?;
        return Ok(());
    }
    let out = reply.stream(ev, BodyLength::Unknown)?;
    if count == 0 {
        return out.end(ev);
    }
    let mut out = Some(out);
    let mut line = 0;
    let timer = ev.timer(every, every, move |ev, e| {
        let Some(to) = &out else {
            e.watcher.free(ev);
            return;
        };
        if to.is_connected(ev) {
            if to.is_full(ev) {
                return;
            }
            line += 1;
            let written = to.write(ev, format!("line {line} of {count}\n"));
            if written.is_ok() && line < count {
                return;
            }
        }
        e.watcher.free(ev);
        if let Some(done) = out.take() {
            if line == count {
                done.end(ev).ok();
            }
        }
    });
    timer.start(ev);
    Ok(())
}

// --- what several of them need -----------------------------------------------------------------

pub fn milliseconds(request: &Request, name: &str, default: u64) -> Option<Duration> {
    let value = request.query_value(name).map_or(Some(default), |value| value.parse().ok())?;
    (value <= LONGEST).then(|| Duration::from_millis(value))
}

pub fn bad(ev: &mut EvLoop, reply: Reply, name: &str) -> evloop::Result<()> {
    let text = format!("`{name}` is a number, and of milliseconds at most {LONGEST}\n");
    reply.status(Status::BAD_REQUEST).text(ev, text)
}

/// What the loop itself has counted.
struct Loop {
    iterations: u64,
    lag_ms: f64,
}

impl Loop {
    /// The lag is what this request has waited since the loop woke up.
    fn of(ev: &EvLoop) -> Self {
        let lag = Instant::now().saturating_duration_since(ev.now());
        Self { iterations: ev.iteration(), lag_ms: lag.as_secs_f64() * 1000.0 }
    }
}

fn json(stats: &ServerStats, here: &Loop, threads: usize) -> String {
    let mut text = format!(
        r#"{{"connections":{{"open":{},"accepted":{}}},"requests":{},"bytes":{{"in":{},"out":{}}},"completions":{{"#,
        stats.connections, stats.accepted, stats.requests, stats.bytes_in, stats.bytes_out,
    );
    for (index, reason) in CompletionReason::ALL.into_iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(text, r#"{comma}"{reason}":{}"#, stats.completed(reason));
    }
    let _ = write!(
        text,
        r#"}},"loop":{{"iterations":{},"lag_ms":{:.3}}},"threads":{threads}}}"#,
        here.iterations, here.lag_ms,
    );
    text
}

/// Text in JSON.
pub fn quote(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if u32::from(c) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
