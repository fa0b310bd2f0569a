//! Channels: typed values from other threads, bounded, delivered by a notifier's watcher.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{error, fmt};

use super::notifier::{Async, Notifier};
use crate::{EvLoop, Events};

/// Why a value was not sent; it comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError<T> {
    /// As many values wait as the channel was made for.
    Full(T),
    /// The receiving watcher was freed, or its loop is gone.
    Closed(T),
}

impl<T> SendError<T> {
    /// The value that was not sent.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(value) | Self::Closed(value) => value,
        }
    }
}

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("Full(..)"),
            Self::Closed(_) => f.write_str("Closed(..)"),
        }
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("the channel is full"),
            Self::Closed(_) => f.write_str("the channel's receiver is gone"),
        }
    }
}

impl<T> error::Error for SendError<T> {}

/// The sending half of a [`channel`](EvLoop::channel). Clone it, send it to other threads.
///
/// When the last one is dropped the watcher takes what is left and stops by itself.
pub struct Sender<T> {
    inner: Arc<Inner<T>>,
    notifier: Notifier,
}

struct Inner<T> {
    state: Mutex<State<T>>,
    bound: usize,
}

struct State<T> {
    queue: VecDeque<T>,
    senders: usize,
    /// The receiving closure was dropped.
    closed: bool,
}

impl<T> Inner<T> {
    /// Nothing that can panic happens under the lock, save for an allocation, so a poisoned state is
    /// still consistent.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Sender<T> {
    /// Sends a value, without waiting.
    ///
    /// Values from one thread arrive in the order they were sent. While the receiving watcher is
    /// stopped they wait for its next start, up to the channel's bound.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`] and [`SendError::Closed`] hand the value back.
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        {
            let mut state = self.inner.lock();
            if state.closed || self.notifier.is_loop_gone() {
                drop(state);
                return Err(SendError::Closed(value));
            }
            if state.queue.len() >= self.inner.bound {
                drop(state);
                return Err(SendError::Full(value));
            }
            state.queue.push_back(value);
        }
        self.notifier.notify();
        Ok(())
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.inner.lock().senders += 1;
        Self { inner: Arc::clone(&self.inner), notifier: self.notifier.clone() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let last = {
            let mut state = self.inner.lock();
            state.senders -= 1;
            state.senders == 0
        };
        if last {
            self.notifier.notify();
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.inner.lock();
        f.debug_struct("Sender")
            .field("waiting", &state.queue.len())
            .field("bound", &self.inner.bound)
            .field("closed", &state.closed)
            .finish()
    }
}

/// The receiving end, owned by the watcher's closure: closes the channel when that is dropped.
struct Receiver<T>(Arc<Inner<T>>);

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.closed = true;
        let unread = std::mem::take(&mut state.queue);
        // Their destructors may use a sender.
        drop(state);
        drop(unread);
    }
}

/// Sees to it that what one call leaves in the queue is not forgotten, also when the callback panics.
struct Rest<'a, T> {
    ev: &'a mut EvLoop,
    watcher: Async,
    receiver: &'a Receiver<T>,
}

impl<T> Drop for Rest<'_, T> {
    fn drop(&mut self) {
        let left = {
            let state = self.receiver.0.lock();
            !state.queue.is_empty() || state.senders == 0
        };
        if left && self.watcher.is_active(self.ev) {
            self.watcher.feed_later(self.ev, Events::ASYNC);
        }
    }
}

impl EvLoop {
    /// Makes a channel from other threads into this loop: `callback` is called with each value. At
    /// most `bound` values wait (at least one). The watcher is not started yet.
    ///
    /// At most `bound` values are delivered in one iteration, so a busy sender cannot keep io and
    /// timers from their turn. When the last [`Sender`] is dropped the watcher takes what is left and
    /// stops, so that a loop with nothing else to do ends.
    ///
    /// ```
    /// use evloop::EvLoop;
    ///
    /// let mut ev = EvLoop::new()?;
    /// let (watcher, sender) = ev.channel(16, |_, n: u32| assert!(n < 3));
    /// watcher.start(&mut ev);
    /// let thread = std::thread::spawn(move || {
    ///     for n in 0..3 {
    ///         sender.send(n).unwrap();
    ///     }
    /// });
    /// ev.run()?; // ends when the sender is gone
    /// thread.join().unwrap();
    /// # Ok::<(), evloop::Error>(())
    /// ```
    #[track_caller]
    pub fn channel<T: Send + 'static>(
        &mut self,
        bound: usize,
        mut callback: impl FnMut(&mut EvLoop, T) + 'static,
    ) -> (Async, Sender<T>) {
        let bound = bound.max(1);
        let state = State { queue: VecDeque::new(), senders: 1, closed: false };
        let inner = Arc::new(Inner { state: Mutex::new(state), bound });
        let receiver = Receiver(Arc::clone(&inner));
        let (watcher, notifier) = self.notifier(move |ev, e| {
            let rest = Rest { ev, watcher: e.watcher, receiver: &receiver };
            for _ in 0..bound {
                // The callback may have stopped or freed the channel; what is left stays.
                if !rest.watcher.is_active(rest.ev) {
                    return;
                }
                // Not held during the call, which may send.
                let (value, senders) = {
                    let mut state = receiver.0.lock();
                    (state.queue.pop_front(), state.senders)
                };
                match value {
                    Some(value) => callback(rest.ev, value),
                    None if senders > 0 => return,
                    None => {
                        rest.watcher.stop(rest.ev);
                    }
                }
            }
        });
        watcher.look_at_each_start(self);
        (watcher, Sender { inner, notifier })
    }
}
