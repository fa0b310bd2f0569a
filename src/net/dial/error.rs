//! Why there is no connection: what became of each attempt.

use std::error::Error as StdError;
use std::{fmt, io};

use crate::net::resolve::Unresolved;
use crate::net::{Address, Phase, Reason};
use crate::{Error, ErrorKind};

/// What became of the attempts to connect: the source of an [`Error`] of the kind
/// [`Connect`](ErrorKind::Connect), and of [`TimedOut`](ErrorKind::TimedOut) if it was not a name that took too
/// long.
///
/// ```
/// # use evloop::{Error, net::ConnectError};
/// fn explain(error: &Error) -> String {
///     let Some(attempts) = ConnectError::of(error).map(ConnectError::attempts) else {
///         return error.to_string();
///     };
///     let lines = attempts.iter().map(|attempt| format!("{}: {}", attempt.address, attempt.error));
///     lines.collect::<Vec<_>>().join("\n")
/// }
/// ```
#[derive(Debug)]
pub struct ConnectError {
    pub(super) attempts: Vec<Attempt>,
}

/// An attempt to connect that failed.
#[derive(Debug)]
#[non_exhaustive]
pub struct Attempt {
    /// Where to.
    pub address: Address,
    /// Why it failed; [`io::ErrorKind::TimedOut`] also if it was under way when the time was over.
    pub error: io::Error,
}

impl ConnectError {
    /// The one that is the source of an error, if it is.
    #[must_use]
    pub fn of(error: &Error) -> Option<&Self> {
        StdError::source(error)?.downcast_ref()
    }

    /// All attempts, in the order they were begun.
    #[must_use]
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.attempts {
            [] => f.write_str("no address was tried"),
            [Attempt { address, error }] => write!(f, "{address}: {error}"),
            [.., Attempt { address, error }] => {
                write!(f, "{address}: {error}, the last of {} attempts", self.attempts.len())
            }
        }
    }
}

impl StdError for ConnectError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.attempts.last().map(|attempt| &attempt.error as _)
    }
}

/// For the event `closed`: what a dial's error comes to.
pub(in crate::net) fn reason_of(error: &Error) -> Reason {
    let source = StdError::source(error);
    let is_about_a_name = source.is_some_and(|source| source.is::<Unresolved>());
    let refused = |e: &io::Error| e.kind() == io::ErrorKind::ConnectionRefused;
    let last = ConnectError::of(error).and_then(|e| e.attempts.last()).map(|last| &last.error);
    let last = last.or_else(|| source?.downcast_ref());
    match error.kind() {
        ErrorKind::TimedOut if is_about_a_name => Reason::Timeout(Phase::Resolve),
        ErrorKind::TimedOut => Reason::Timeout(Phase::Connect),
        _ if last.is_some_and(refused) => Reason::Refused,
        _ => Reason::Failed,
    }
}
