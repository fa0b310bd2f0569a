//! How fast replies must be taken.

// A client that takes a little now and then is never stuck, and holds what waits for it all the same. Whoever has output that
// waits is in a list, which is gone through once a second; whose is none is in no list, and costs nothing.

use std::rc::Rc;
use std::time::Duration;

use super::CompletionReason;
use super::connection::{At, Phase, conn_flag};
use super::options::ServerOptions;
use super::service::{Service, State};
use crate::EvLoop;

/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Since when output waits, or it was judged last, in nanoseconds; and how many bytes had been taken by then.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    since: u64,
    taken: u64,
}

/// Output of a connection has to wait.
pub(super) fn watch(ev: &mut EvLoop, service: &Rc<Service>, at: At) {
    if service.options.min_write_rate == 0 {
        return;
    }
    let pace = Pace { since: ev.running_nanos(), taken: at.stream.acknowledged(ev) };
    let is_first = {
        let mut state = service.state.borrow_mut();
        let Some(conn) = state.conn(at) else { return };
        let more = conn.more();
        if more.pace.is_some() {
            return;
        }
        more.pace = Some(pace);
        // It may be there still from the last time, which it is not every second that it leaves.
        if !conn.has(conn_flag::PACED) {
            conn.set(conn_flag::PACED);
            state.paced.push(at);
        }
        state.pace_timer.is_none()
    };
    if is_first {
        let key = service.key;
        let every = LOOK.min(service.options.write_rate_grace.max(Duration::from_millis(1)));
        let timer = ev.timer(every, every, move |ev, _| {
            if let Some(service) = Service::find(ev, key) {
                look(ev, &service);
            }
        });
        service.state.borrow_mut().pace_timer = Some(timer.start(ev));
    }
}

fn look(ev: &mut EvLoop, service: &Rc<Service>) {
    let now = ev.running_nanos();
    let mut list = std::mem::take(&mut service.state.borrow_mut().paced);
    list.retain(|&at| {
        let taken = at.stream.acknowledged(ev);
        let waits = at.stream.output_len(ev) > 0;
        let mut state = service.state.borrow_mut();
        let verdict = judge(service, &mut state, at, now, taken, waits);
        let stays = verdict == Some(true);
        if let Some(conn) = state.conn(at).filter(|_| !stays) {
            conn.clear(conn_flag::PACED);
        }
        drop(state);
        if verdict == Some(false) {
            at.stream.reset(ev);
        }
        stays
    });
    let idle = {
        let mut state = service.state.borrow_mut();
        state.paced.append(&mut list);
        if state.paced.is_empty() { state.pace_timer.take() } else { None }
    };
    if let Some(timer) = idle {
        timer.free(ev);
    }
}

/// Whether it takes enough; `None` if there is nothing more to judge.
fn judge(
    service: &Service,
    state: &mut State,
    at: At,
    now: u64,
    taken: u64,
    waits: bool,
) -> Option<bool> {
    let ServerOptions { min_write_rate, write_rate_grace, .. } = service.options;
    let conn = state.conn(at)?;
    let more = conn.more.as_mut()?;
    if !waits {
        more.pace = None;
    }
    let pace = more.pace.as_mut()?;
    let waited = Duration::from_nanos(now.saturating_sub(pace.since));
    if waited < write_rate_grace {
        return Some(true);
    }
    let owed = u128::from(min_write_rate) * waited.as_millis() / 1000;
    if u128::from(taken.saturating_sub(pace.taken)) >= owed {
        // What was taken fast counts for its own time: the buffers of its system may be large.
        *pace = Pace { since: now, taken };
        return Some(true);
    }
    more.pace = None;
    more.reason = Some(CompletionReason::Timeout);
    conn.set(conn_flag::ENDING);
    conn.phase = Phase::Closing;
    Some(false)
}

impl ServerOptions {
    /// How fast a client must take what waits for it, in bytes per second, judged once in each `grace` for that time: as
    /// slowly as it likes, which is also what 0 says, as long as it takes [something](Self::write_timeout). Who is slower
    /// is cut.
    pub fn min_write_rate(mut self, bytes_per_second: u64, grace: Duration) -> Self {
        self.min_write_rate = bytes_per_second;
        self.write_rate_grace = grace;
        self
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::{Duration, EvLoop, ServerOptions, Service};
    use crate::http::{Reply, Response, Routes};

    #[test]
    fn whoever_waits_again_and_again_is_in_the_list_once() {
        let mut ev = EvLoop::new().unwrap();
        let routes = Routes::new().get("/", |ev: &mut EvLoop, _, reply: Reply| {
            reply.send(ev, Response::bytes("a/b", vec![b'x'; 1_000_000]))
        });
        let options = ServerOptions::new().min_write_rate(1, Duration::from_secs(60));
        let server = options.unbound(&mut ev, routes).unwrap();
        let (near, mut far) = UnixStream::pair().unwrap();
        server.serve_fd(&mut ev, near).unwrap();
        far.set_nonblocking(true).unwrap();
        let service = Service::find(&mut ev, server).unwrap();
        let mut buffer = vec![0; 64 * 1024];
        for _ in 0..20 {
            far.write_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n").unwrap();
            let mut came = 0;
            while came < 1_000_000 {
                ev.turn(Some(Duration::ZERO)).unwrap();
                came += far.read(&mut buffer).unwrap_or(0);
            }
            while far.read(&mut buffer).is_ok() {}
        }
        assert_eq!(service.state.borrow().paced.len(), 1);
    }
}
