//! Who answers what.

use std::cell::RefCell;
use std::error::Error as StdError;
use std::fmt;

use super::hosts::{HostNumber, Hosts, Scope};
use super::reply::Reply;
use super::request::Request;
use super::{
    Completed, Connection, ConnectionEvent, Failure, HookSwitch, Refused, Response, Summary,
};
use crate::http::table::{PathPattern, Table};
use crate::wire::{Fault, Method, Status};
use crate::{Error, EvLoop};

/// What a handler may return: nothing, or a `Result` whose error is a reply of 500 if none was sent.
///
/// For `()` and for `Result<(), E>`, where `E` is an error or can become one: [`evloop::Error`](crate::Error),
/// `std::io::Error`, `String`, `Box<dyn Error>`. A semicolon lets go of what else there is; `.map(drop)` keeps the error
/// of a `Result`, which is a failure of the handler then.
#[diagnostic::on_unimplemented(
    message = "a handler returns nothing or a `Result<(), E>`, not `{Self}`",
    note = "a semicolon behind it lets go of what nobody wants; `.map(drop)` keeps the error of a `Result`, \
            which is a failure of the handler then"
)]
pub trait Outcome: sealed::Sealed {
    #[doc(hidden)]
    fn into_result(self) -> Result<(), Box<dyn StdError>>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for () {}
    impl<E> Sealed for Result<(), E> {}
}

impl Outcome for () {
    fn into_result(self) -> Result<(), Box<dyn StdError>> {
        Ok(())
    }
}

impl<E: Into<Box<dyn StdError>>> Outcome for Result<(), E> {
    fn into_result(self) -> Result<(), Box<dyn StdError>> {
        self.map_err(Into::into)
    }
}

type Answered = Result<(), Box<dyn StdError>>;
pub(super) type Handler = Box<dyn FnMut(&mut EvLoop, Request, Reply) -> Answered>;
type Before = Box<dyn FnMut(&mut EvLoop, &mut Request, Reply) -> Option<Reply>>;
type After = Box<dyn FnMut(&mut EvLoop, &Summary, &mut Response)>;
pub(super) type OnRequestLine = Box<dyn FnMut(&mut EvLoop, Connection, &Method, &str)>;
type OnConnection = Box<dyn FnMut(&mut EvLoop, Connection, ConnectionEvent)>;
type OnCompleted = Box<dyn FnMut(&mut EvLoop, &Completed)>;
type OnRefused = Box<dyn FnMut(&mut EvLoop, &Refused)>;
type OnFailure = Box<dyn FnMut(&mut EvLoop, Failure)>;
type ErrorPage = Box<dyn FnMut(&mut EvLoop, Status, Option<Fault>) -> Option<Response>>;

/// A route's handler, and when it is called.
pub(super) struct Entry {
    pub(super) handler: RefCell<Handler>,
    /// At the end of the head, rather than when the body is there.
    pub(super) streams: bool,
}

/// Which handler answers which request, and what is called around it.
///
/// # Patterns
///
/// | | matches |
/// |---|---|
/// | `/a/b` | that path |
/// | `/users/{id}` | one segment, which is [`param("id")`](Request::param) |
/// | `/img/*.png` | `*`: anything within a segment |
/// | `/files/#` | `#`: anything, slashes too |
///
/// Exact paths win over patterns, and of those the one that was added first. Paths are compared decoded.
/// `HEAD` is answered by `GET`'s handler, and its body is not sent; a path that has handlers, but none for the
/// method, answers 405 and says in `Allow` which it has; and `OPTIONS` says the same with 204, unless it
/// has a handler.
///
/// # Sharp edges
///
/// What is wrong with a pattern is an error of [`listen`](super::ServerOptions::listen), not of the call that adds
/// it, so that calls can be chained.
///
/// Handlers are closures with a state of their own, so routes are no one's twice: a function makes them for each
/// server that is to have the same ones, over HTTP and over HTTPS for example. One server may listen on several
/// addresses.
#[must_use = "routes do nothing until a server has them"]
#[derive(Default)]
pub struct Routes {
    pub(super) table: Table<u32>,
    pub(super) entries: Vec<Entry>,
    pub(super) fallback: Option<u32>,
    pub(super) hosts: Hosts,
    pub(super) before: Vec<(Scope, RefCell<Before>)>,
    pub(super) after: Vec<(HostNumber, RefCell<After>)>,
    /// Of hosts, and last that of all.
    pub(super) error_page: Vec<(HostNumber, RefCell<ErrorPage>)>,
    pub(super) request_line: Option<RefCell<OnRequestLine>>,
    pub(super) connection: Option<RefCell<OnConnection>>,
    pub(super) completed: Option<RefCell<Vec<OnCompleted>>>,
    /// What each of them is called while; until the server starts.
    pub(super) completed_while: Vec<Option<HookSwitch>>,
    pub(super) refused: Option<RefCell<Vec<OnRefused>>>,
    pub(super) failure: Option<RefCell<OnFailure>>,
    #[cfg(feature = "compress")]
    pub(in crate::http) coding: crate::http::compression::Codings,
    /// Summaries have details.
    pub(super) details: bool,
    pub(in crate::http) wrong: Option<Error>,
}

impl Routes {
    /// None yet: everything is answered with 404.
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers `GET`, and `HEAD`.
    pub fn get<R: Outcome>(
        self,
        pattern: &str,
        handler: impl FnMut(&mut EvLoop, Request, Reply) -> R + 'static,
    ) -> Self {
        self.on(Method::GET, pattern, handler)
    }

    /// Answers `POST`, when the whole body is there.
    pub fn post<R: Outcome>(
        self,
        pattern: &str,
        handler: impl FnMut(&mut EvLoop, Request, Reply) -> R + 'static,
    ) -> Self {
        self.on(Method::POST, pattern, handler)
    }

    /// Answers `PUT`, when the whole body is there.
    pub fn put<R: Outcome>(
        self,
        pattern: &str,
        handler: impl FnMut(&mut EvLoop, Request, Reply) -> R + 'static,
    ) -> Self {
        self.on(Method::PUT, pattern, handler)
    }

    /// Answers `PATCH`, when the whole body is there.
    pub fn patch<R: Outcome>(
        self,
        pattern: &str,
        handler: impl FnMut(&mut EvLoop, Request, Reply) -> R + 'static,
    ) -> Self {
        self.on(Method::PATCH, pattern, handler)
    }

    /// Answers `DELETE`.
    pub fn delete<R: Outcome>(
        self,
        pattern: &str,
        handler: impl FnMut(&mut EvLoop, Request, Reply) -> R + 'static,
    ) -> Self {
        self.on(Method::DELETE, pattern, handler)
    }

    /// Answers a method.
    pub fn on<R: Outcome>(
        self,
        method: Method,
        pattern: &str,
        handler: impl FnMut(&mut EvLoop, Request, Reply) -> R + 'static,
    ) -> Self {
        self.add(Some(method), pattern, handler, false)
    }

    /// Answers every method that has no handler of its own on that pattern.
    pub fn any<R: Outcome>(
        self,
        pattern: &str,
        handler: impl FnMut(&mut EvLoop, Request, Reply) -> R + 'static,
    ) -> Self {
        self.add(None, pattern, handler, false)
    }

    /// Answers a method, from the end of the head on: the body is not gathered, but comes as the handler
    /// [asks for it](Request::receive).
    pub fn streaming<R: Outcome>(
        self,
        method: Method,
        pattern: &str,
        handler: impl FnMut(&mut EvLoop, Request, Reply) -> R + 'static,
    ) -> Self {
        self.add(Some(method), pattern, handler, true)
    }

    /// Answers what nothing else does (`evhttp_set_gencb`). Without one, that is 404.
    pub fn fallback<R: Outcome>(
        mut self,
        handler: impl FnMut(&mut EvLoop, Request, Reply) -> R + 'static,
    ) -> Self {
        self.fallback = Some(self.entry(handler, false));
        self
    }

    /// Called at the end of each head, before the body is read and the handler called, in the order in which they were
    /// added, also for what has no handler.
    ///
    /// Returns the reply if things are to go on, perhaps with a few more fields; whoever answers returns
    /// `None`. A client that waits with its body to be told to go on is refused that way. A hook may also
    /// [take the body](Request::receive) itself, up to [as much](Request::set_max_body) as may come: then it is not gathered,
    /// and the handler is called at once and has none.
    pub fn before(
        mut self,
        hook: impl FnMut(&mut EvLoop, &mut Request, Reply) -> Option<Reply> + 'static,
    ) -> Self {
        self.before.push((Scope::default(), RefCell::new(Box::new(hook))));
        self
    }

    /// As [`before`](Self::before), for the paths that a pattern matches, whatever the method: `/admin/#`.
    ///
    /// What is matched is what routes are looked up by: the decoded path, with dots resolved, in which upper and lower case
    /// differ. So nobody gets to a route that the pattern matches past the hook, however the path is written.
    ///
    /// # Sharp edges
    ///
    /// `/admin/#` is what is below, and not `/admin` itself, which wants a hook of its own if there is something; nor
    /// is it `//admin/x`, which a [`fallback`](Self::fallback) gets as it is.
    pub fn before_at(
        mut self,
        pattern: &str,
        hook: impl FnMut(&mut EvLoop, &mut Request, Reply) -> Option<Reply> + 'static,
    ) -> Self {
        match PathPattern::new(pattern) {
            Ok(pattern) => {
                let scope = Scope { path: Some(pattern), ..Scope::default() };
                self.before.push((scope, RefCell::new(Box::new(hook))));
            }
            Err(error) => {
                self.wrong.get_or_insert(error);
            }
        }
        self
    }

    /// Called with each reply before its head is sent, in the order in which they were added; may change its
    /// status and fields. Not those of faults in what clients send, which have an [`error_page`](Self::error_page). One that
    /// runs the loop cannot be asked about the replies that become due there: they are 500.
    pub fn after(
        mut self,
        hook: impl FnMut(&mut EvLoop, &Summary, &mut Response) + 'static,
    ) -> Self {
        self.after.push((0, RefCell::new(Box::new(hook))));
        self
    }

    /// Makes the replies that the server sends by itself, such as 404 or 413, and those of
    /// [`Reply::error`] (`evhttp_set_errorcb`). `None` is the default: one line of plain text.
    ///
    /// It has no say in whether the connection is closed. The pages for what clients do wrong are bytes in memory: a
    /// file is left out there.
    pub fn error_page(
        mut self,
        page: impl FnMut(&mut EvLoop, Status, Option<Fault>) -> Option<Response> + 'static,
    ) -> Self {
        self.error_page.retain(|&(host, _)| host != 0);
        self.error_page.push((0, RefCell::new(Box::new(page))));
        self
    }

    /// Called when a request line has come, which may be long before the rest
    /// (`MHD_OPTION_URI_LOG_CALLBACK`).
    pub fn on_request_line(
        mut self,
        hook: impl FnMut(&mut EvLoop, Connection, &Method, &str) + 'static,
    ) -> Self {
        self.request_line = Some(RefCell::new(Box::new(hook)));
        self
    }

    /// Called when a connection is opened and when it is closed (`MHD_OPTION_NOTIFY_CONNECTION`).
    pub fn on_connection(
        mut self,
        hook: impl FnMut(&mut EvLoop, Connection, ConnectionEvent) + 'static,
    ) -> Self {
        self.connection = Some(RefCell::new(Box::new(hook)));
        self
    }

    /// Called once for each request whose head was complete, when it is over: its reply has left, or cannot
    /// (`MHD_OPTION_NOTIFY_COMPLETED`). Those of several are called in the order in which they were added.
    pub fn on_completed(self, hook: impl FnMut(&mut EvLoop, &Completed) + 'static) -> Self {
        self.completing(None, hook)
    }

    /// `switch` is what says whether it is called, where that is not always.
    pub(super) fn completing(
        mut self,
        switch: Option<HookSwitch>,
        hook: impl FnMut(&mut EvLoop, &Completed) + 'static,
    ) -> Self {
        self.completed.get_or_insert_default().get_mut().push(Box::new(hook));
        self.completed_while.push(switch);
        self
    }

    /// Called for what is answered without having been a request, so that there is no
    /// [`on_completed`](Self::on_completed) of it: a head that is malformed (400), too large (414, 431) or too slow (408),
    /// a connection that is [one too many](super::ServerOptions::refuse_connections_above). And for connections that end in
    /// the middle of a head, which are not answered; not for those on which nothing was said. Those of several are called
    /// in the order in which they were added.
    pub fn on_refused(mut self, hook: impl FnMut(&mut EvLoop, &Refused) + 'static) -> Self {
        self.refused.get_or_insert_default().get_mut().push(Box::new(hook));
        self
    }

    /// Has [`Summary::details`] filled in, for hooks that log: addresses, and a few fields. [Access
    /// logs](Self::access_log) do that by themselves.
    pub fn with_details(mut self) -> Self {
        self.details = true;
        self
    }

    /// Called when a handler has failed: with what it returned, or with what it panicked.
    pub fn on_failure(mut self, hook: impl FnMut(&mut EvLoop, Failure) + 'static) -> Self {
        self.failure = Some(RefCell::new(Box::new(hook)));
        self
    }

    /// Has `listen` fail.
    pub(crate) fn refused(mut self, wrong: Error) -> Self {
        self.wrong.get_or_insert(wrong);
        self
    }

    /// Drops all handlers and hooks, but those that are on the stack.
    pub(super) fn let_go(&self) {
        for entry in &self.entries {
            replace(&entry.handler, || Box::new(|_, _, _| Ok(())));
        }
        for (_, hook) in &self.before {
            replace(hook, || Box::new(|_, _, reply| Some(reply)));
        }
        for (_, hook) in &self.after {
            replace(hook, || Box::new(|_, _, _| {}));
        }
        for (_, page) in &self.error_page {
            replace(page, || Box::new(|_, _, _| None));
        }
        if let Some(hook) = &self.request_line {
            replace(hook, || Box::new(|_, _, _, _| {}));
        }
        if let Some(hook) = &self.connection {
            replace(hook, || Box::new(|_, _, _| {}));
        }
        if let Some(hook) = &self.failure {
            replace(hook, || Box::new(|_, _| {}));
        }
        if let Some(hooks) = &self.completed {
            replace(hooks, Vec::new);
        }
        if let Some(hooks) = &self.refused {
            replace(hooks, Vec::new);
        }
    }

    fn add<R: Outcome>(
        mut self,
        method: Option<Method>,
        pattern: &str,
        handler: impl FnMut(&mut EvLoop, Request, Reply) -> R + 'static,
        streams: bool,
    ) -> Self {
        let entry = self.entry(handler, streams);
        if let Err(error) = self.table.insert(method, pattern, entry) {
            self.wrong.get_or_insert(error);
        }
        self
    }

    fn entry<R: Outcome>(
        &mut self,
        mut handler: impl FnMut(&mut EvLoop, Request, Reply) -> R + 'static,
        streams: bool,
    ) -> u32 {
        let handler: Handler =
            Box::new(move |ev, request, reply| handler(ev, request, reply).into_result());
        self.entries.push(Entry { handler: RefCell::new(handler), streams });
        u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
    }
}

/// Drops what is there, with nothing borrowed, unless it is being called.
fn replace<T>(place: &RefCell<T>, by: impl FnOnce() -> T) {
    let old = place.try_borrow_mut().map(|mut place| std::mem::replace(&mut *place, by()));
    drop(old);
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Routes").field("handlers", &self.entries.len()).finish_non_exhaustive()
    }
}
