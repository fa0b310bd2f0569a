//! Streams and other threads.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use super::Stream;
use super::cell::{flag, news};
use crate::{EvLoop, Remote};

/// A handle to a loop's streams for other threads: sends them messages, which their handlers get as
/// [`Wakeup`](super::StreamEvent::Wakeup) (mongoose's `mg_wakeup`).
///
/// ```
/// use evloop::EvLoop;
/// use evloop::net::StreamEvent;
///
/// let mut ev = EvLoop::new()?;
/// let (stream, _other) = ev.stream_pair(
///     |ev, stream, event| {
///         if let StreamEvent::Wakeup(message) = event {
///             assert_eq!(message.downcast_ref::<String>().unwrap(), "done");
///             stream.close_now(ev);
///         }
///     },
///     |_, _, _| {},
/// )?;
/// let streams = ev.stream_remote();
/// std::thread::spawn(move || streams.post(stream, "done".to_string())).join().unwrap();
/// ev.run()?;
/// # Ok::<(), evloop::Error>(())
/// ```
///
/// Messages of one thread arrive in the order in which they were sent. Sending never blocks, wakes the loop
/// where it sleeps, and does not lose anything: but a stream that has been closed by the time, or is another
/// loop's, gets nothing.
#[derive(Clone, Debug)]
pub struct StreamRemote(Remote);

/// What was posted to a stream.
pub struct Message(Contents);

enum Contents {
    /// For one.
    Own(Box<dyn Any + Send>),
    /// For many.
    Shared(Arc<dyn Any + Send + Sync>),
}

impl Message {
    /// The message, if it is of this type.
    #[must_use]
    pub fn downcast_ref<T: Any>(&self) -> Option<&T> {
        match &self.0 {
            Contents::Own(message) => message.downcast_ref(),
            Contents::Shared(message) => message.downcast_ref(),
        }
    }

    /// The message itself, if it is of this type and was posted to this stream alone.
    ///
    /// # Errors
    ///
    /// The message as it was, if not.
    pub fn downcast<T: Any>(self) -> Result<T, Self> {
        match self.0 {
            Contents::Own(message) => {
                message.downcast().map(|message| *message).map_err(|own| Self(Contents::Own(own)))
            }
            shared @ Contents::Shared(_) => Err(Self(shared)),
        }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.0 {
            Contents::Own(_) => "own",
            Contents::Shared(_) => "shared",
        };
        f.debug_tuple("Message").field(&kind).finish()
    }
}

impl EvLoop {
    /// A handle to this loop's streams for other threads.
    #[must_use]
    pub fn stream_remote(&self) -> StreamRemote {
        StreamRemote(self.remote())
    }
}

impl StreamRemote {
    /// Sends a message to one stream. Returns whether the loop is there.
    pub fn post<T: Send + 'static>(&self, to: Stream, message: T) -> bool {
        self.0.post(move |ev| deliver(ev, to, Message(Contents::Own(Box::new(message)))))
    }

    /// Sends a message to all streams for which `to` says so, in the loop's thread. Returns whether the
    /// loop is there.
    pub fn broadcast<T: Send + Sync + 'static>(
        &self,
        to: impl Fn(&EvLoop, Stream) -> bool + Send + 'static,
        message: T,
    ) -> bool {
        let message: Arc<dyn Any + Send + Sync> = Arc::new(message);
        self.0.post(move |ev| {
            for stream in ev.streams() {
                if to(ev, stream) {
                    deliver(ev, stream, Message(Contents::Shared(Arc::clone(&message))));
                }
            }
        })
    }

    /// The loop itself.
    #[must_use]
    pub fn remote(&self) -> &Remote {
        &self.0
    }
}

fn deliver(ev: &mut EvLoop, to: Stream, message: Message) {
    to.change(ev, |state| {
        if state.has(flag::OVER) {
            return;
        }
        state.extra().messages.push_back(message);
        state.news |= news::WAKEUP;
    });
}
