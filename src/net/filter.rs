//! Filters: what stands between the bytes of a connection and those its owner sees.
//!
//! A [`Filter`] is a pair of transforms, one for each direction. It knows no socket and no clock: it is
//! given what has come and a place for what it makes of that. Filters are put on a stream with
//! [`push_filter`](crate::net::Stream::push_filter), each above those that are there; the stream is
//! the same stream afterwards, with everything it can do. TLS is one of them.

use std::any::Any;
use std::rc::Rc;

use super::Buffer;

/// A pair of transforms between a stream and its owner (`bufferevent_filter`).
///
/// Both take as much as they can from the front of `from` and append what comes of it to `to`; what they
/// leave in `from` is there again next time, with more behind it. After each `receive`, `send` is called too,
/// also with nothing to send, so that a filter can answer by itself.
///
/// ```
/// use evloop::net::{Buffer, Filter, FilterError, Pass, Verdict};
///
/// /// Turns every byte around, both ways.
/// struct Xor(u8);
///
/// impl Xor {
///     fn turn(&self, from: &mut Buffer, to: &mut Buffer, pass: &Pass) -> Verdict {
///         let mut piece = [0; 512];
///         let mut left = pass.limit;
///         while left > 0 {
///             let most = piece.len().min(left);
///             let n = from.copy_out(0, &mut piece[..most]);
///             if n == 0 {
///                 break;
///             }
///             from.drain(n);
///             for byte in &mut piece[..n] {
///                 *byte ^= self.0;
///             }
///             to.append(&piece[..n]);
///             left -= n;
///         }
///         Verdict::Ok
///     }
/// }
///
/// impl Filter for Xor {
///     fn receive(&mut self, from: &mut Buffer, to: &mut Buffer, pass: &Pass) -> Result<Verdict, FilterError> {
///         Ok(self.turn(from, to, pass))
///     }
///
///     fn send(&mut self, from: &mut Buffer, to: &mut Buffer, pass: &Pass) -> Result<Verdict, FilterError> {
///         Ok(self.turn(from, to, pass))
///     }
/// }
/// ```
pub trait Filter: 'static {
    /// Makes of what the peer has sent what the owner reads.
    ///
    /// # Errors
    ///
    /// Whatever makes it impossible to go on: the stream raises it as its error, with
    /// [`ErrorKind::Filter`](crate::ErrorKind::Filter), sends what `send` still has to say, and closes.
    fn receive(
        &mut self,
        from: &mut Buffer,
        to: &mut Buffer,
        pass: &Pass,
    ) -> Result<Verdict, FilterError>;

    /// Makes of what the owner has written what the peer gets.
    ///
    /// # Errors
    ///
    /// As for [`receive`](Self::receive).
    fn send(
        &mut self,
        from: &mut Buffer,
        to: &mut Buffer,
        pass: &Pass,
    ) -> Result<Verdict, FilterError>;

    /// Whether it has agreed with the peer on how to begin, where it has to: until then the stream
    /// takes what is written and keeps it, and its handshake time-out runs. When it becomes `true`, the
    /// stream raises `Handshaked`.
    fn is_ready(&self) -> bool {
        true
    }

    /// What it has learnt, for [`Stream::filter_info`](crate::net::Stream::filter_info).
    fn info(&self) -> Option<Rc<dyn Any>> {
        None
    }
}

/// What stops a filter.
pub type FilterError = Box<dyn std::error::Error + Send + Sync>;

/// What one call of a [`Filter`] is for. More may join.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Pass {
    /// How many bytes to put into `to`, at most; a few more do no harm.
    pub limit: usize,
    /// How it goes on.
    pub mode: Mode,
}

impl Pass {
    /// For who calls a filter himself: a test, or a filter around another.
    #[must_use]
    pub fn new(limit: usize, mode: Mode) -> Self {
        Self { limit, mode }
    }
}

/// How it goes on after a [`Pass`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// With more.
    Normal,
    /// With more, later: what a filter has gathered should go on its way now.
    Flush,
    /// Not at all: receiving, the peer has ended its side, and `from` is all there is; sending, so has
    /// the owner. Asked again until `from` is empty and it answers something else than
    /// [`Verdict::More`].
    Finish,
}

/// What a [`Filter`] answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It has done what there was to do. Receiving, in [`Mode::Finish`]: and the end is a proper one.
    Ok,
    /// The limit was reached: there is more to be had from what it holds, without more from below.
    More,
    /// What is left in `from` is of no use without more behind it. A stream gathers 1 MiB of that, and
    /// closes then; a filter with longer pieces takes what there is and keeps it itself. Receiving, in [`Mode::Finish`]: it
    /// was cut off in the middle.
    NeedMore,
    /// Receiving: the peer has properly ended its side, whatever comes behind it.
    Ended,
}
