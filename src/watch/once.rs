//! Once: readiness or a time-out, whichever comes first, exactly one call (`ev_once`).

use std::any::Any;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::time::Duration;

use super::{Io, Timer};
use crate::engine::{Callback, IoCallback, Key};
use crate::event::{Events, Interest};
use crate::{EvLoop, Result};

/// Not the usual io cell: it gives its source back by value, so it takes itself apart when called.
struct Cell<F, C> {
    source: F,
    callback: C,
    /// Set once the timer exists.
    limit: std::cell::Cell<Option<Timer>>,
}

impl<F: AsFd + 'static, C: FnOnce(&mut EvLoop, F, Events) + 'static> Callback for Cell<F, C> {
    fn call(self: Rc<Self>, ev: &mut EvLoop, key: Key, ready: Events) {
        Io::from_key(key).free(ev);
        // The slot's half is gone and a running watcher is not entered again: this is the last one.
        if let Ok(cell) = Rc::try_unwrap(self) {
            (cell.callback)(ev, cell.source, ready);
        }
    }
}

impl<F: AsFd + 'static, C: FnOnce(&mut EvLoop, F, Events) + 'static> IoCallback for Cell<F, C> {
    fn fd(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }

    fn source(&self) -> Option<Rc<dyn Any>> {
        None
    }

    fn freed(&self, ev: &mut EvLoop) {
        if let Some(limit) = self.limit.get() {
            limit.free(ev);
        }
    }
}

impl EvLoop {
    /// Calls `f` exactly once: when `source` is ready for `interest`, or when `limit` has passed
    /// (`ev_once`). It is started already and frees itself; `f` gets the source back.
    ///
    /// The events are the readiness, or [`Events::TIMER`], or both if both happened in one iteration.
    /// A limit of zero looks once. For a delay alone there is [`after`](Self::after). The key is good
    /// for calling it off: freed, it drops the source and `f`. Stopped, it hears of nothing, and a limit
    /// that passes meanwhile is gone.
    ///
    /// ```
    /// use evloop::{EvLoop, Events, Interest};
    /// use std::{os::unix::net::UnixStream, time::Duration};
    ///
    /// let mut ev = EvLoop::new()?;
    /// let (stream, _peer) = UnixStream::pair()?;
    /// ev.once(stream, Interest::READ, Some(Duration::from_millis(5)), |_, _stream, events| {
    ///     assert_eq!(events, Events::TIMER);
    /// })?;
    /// ev.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`Io::start`]; source and `f` are dropped then.
    ///
    /// # Sharp edges
    ///
    /// [`Io::into_source`] and [`Io::set_callback`] do not work on this watcher.
    #[track_caller]
    pub fn once<F: AsFd + 'static>(
        &mut self,
        source: F,
        interest: Interest,
        limit: Option<Duration>,
        f: impl FnOnce(&mut EvLoop, F, Events) + 'static,
    ) -> Result<Io> {
        let cell = Rc::new(Cell { source, callback: f, limit: std::cell::Cell::new(None) });
        // As the trait object only, so that the slot's half is the only one.
        let io = self.insert_io(Rc::clone(&cell) as Rc<dyn IoCallback>, interest);
        io.start_or_free(self)?;
        if let Some(limit) = limit {
            // Timers are queued before io: if both are due, the event joins the readiness.
            let timer = self.timer(limit, Duration::ZERO, move |ev, _| {
                if io.is_active(ev) {
                    io.feed(ev, Events::TIMER);
                }
            });
            // The io watcher alone decides whether the loop goes on.
            cell.limit.set(Some(timer.set_ref(self, false).start(self)));
        }
        Ok(io)
    }
}
