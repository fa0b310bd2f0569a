//! Server-sent events: the plain ones of `/events`, and those that move the dashboard.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use evloop::http::{EventOptions, EventStream, Reply, Request, Server};
use evloop::wire::events::Event;
use evloop::{EvLoop, Timer};

use crate::meter::{Desk, SECONDS};
use crate::page::View;
use crate::routes::{bad, milliseconds};
use crate::running::Everybody;

/// After how long a browser comes back.
const RETRY: Duration = Duration::from_secs(1);

/// The dashboard is not told more often.
const SHORTEST: Duration = Duration::from_millis(100);

/// Sends an event every so often. Each has a number; who comes back and names the last one goes on behind it.
pub fn plain(ev: &mut EvLoop, request: Request, reply: Reply) -> evloop::Result<()> {
    let Some(every) = milliseconds(&request, "ms", 1000).filter(|every| !every.is_zero()) else {
        return bad(ev, reply, "ms");
    };
    let mut number: u64 = last_number(&request).unwrap_or(0);
    let stream = reply.events(ev, EventOptions::new().retry(RETRY))?;
    let timer = ev.timer(every, every, {
        let stream = stream.clone();
        move |ev, e| {
            number = number.saturating_add(1);
            let event = Event::new(format!("event {number}")).id(number.to_string());
            if stream.send(ev, &event).is_err() {
                e.watcher.free(ev);
            }
        }
    });
    while_connected(ev, timer, &stream);
    Ok(())
}

/// Sends the figures of the dashboard every so often, the first at once. An event's number is that of the sample that comes
/// next: who comes back is sent the samples since then, everybody else begins with all.
pub fn figures(
    ev: &mut EvLoop,
    request: &Request,
    reply: Reply,
    desk: &Rc<Desk>,
    everybody: &Everybody,
) -> evloop::Result<()> {
    let Some(every) = milliseconds(request, "ms", 1000) else { return bad(ev, reply, "ms") };
    let server = reply.server();
    let told = Rc::new(Told {
        next: Cell::new(last_number(request).filter(|&next| desk.meter.knows(next))),
        is_asking: Cell::new(false),
        every,
        desk: Rc::clone(desk),
        everybody: everybody.clone(),
        server,
        stream: reply.events(ev, EventOptions::new().retry(RETRY))?,
    });
    told.tell(ev);
    let timer = ev.timer(every.max(SHORTEST), every.max(SHORTEST), {
        let told = Rc::clone(&told);
        move |ev, e| {
            if told.stream.is_connected(ev) {
                told.tell(ev);
            } else {
                e.watcher.free(ev);
            }
        }
    });
    while_connected(ev, timer, &told.stream);
    Ok(())
}

/// A dashboard.
struct Told {
    /// The first sample it has not been sent; `None` if it has none.
    next: Cell<Option<u64>>,
    /// The other threads have not answered yet.
    is_asking: Cell<bool>,
    every: Duration,
    desk: Rc<Desk>,
    everybody: Everybody,
    server: Server,
    stream: EventStream,
}

impl Told {
    fn tell(self: &Rc<Self>, ev: &mut EvLoop) {
        if self.is_asking.replace(true) {
            return;
        }
        self.desk.look(ev, self.every * 2);
        let told = Rc::clone(self);
        self.everybody.look(ev, &self.desk.meter, self.server, move |ev, stats| {
            told.is_asking.set(false);
            let view = View::new(ev, &stats, &told.desk, told.stream.connection());
            let before = told.next.get();
            let (samples, next) = told.desk.meter.samples(before.unwrap_or(0));
            // Who was away for longer has nothing to append to.
            let is_all = before.is_none() || samples.len() == SECONDS;
            let event = Event::new(view.json(&samples, is_all)).name("stats").id(next.to_string());
            if told.stream.send(ev, &event).is_ok() {
                told.next.set(Some(next));
            }
        });
    }
}

/// The timer of a stream goes with its client, and does not keep the loop running when the server has stopped.
fn while_connected(ev: &mut EvLoop, timer: Timer, stream: &EventStream) {
    let ending = stream.clone();
    stream.on_disconnect(move |ev, _| {
        // Also where only its sending side has ended: that is how a page that is closed looks from here, until something
        // is sent to it.
        timer.free(ev);
        ending.close(ev);
    });
    timer.set_ref(ev, false).start(ev);
}

fn last_number(request: &Request) -> Option<u64> {
    request.last_event_id()?.parse().ok()
}
