//! Pages of other origins: what browsers let them ask, and see of the replies (CORS, of the Fetch standard).

use std::time::Duration;

use super::{Method, Reply, Request, Routes, Status};
use crate::wire::is_token;
use crate::{Error, ErrorKind, EvLoop};

/// The longest list of fields that is said back to who has asked for it.
const LONGEST_LIST: usize = 4096;

/// Which pages of other origins may use this server from a browser, and how.
///
/// Browsers send such requests anyway, if those are ones that a form or an image could have made, and keep the
/// reply from the page; about others they ask first (a *preflight*). Those questions are answered here, with 204,
/// whether or not there is a handler for `OPTIONS`; from an origin that may not, with 403.
///
/// ```
/// use evloop::http::{Cors, Method, Routes};
/// use std::time::Duration;
///
/// let cors = Cors::origins(["https://app.example.org"])
///     .methods([Method::GET, Method::PUT])
///     .headers(["Content-Type", "X-Token"])
///     .credentials()
///     .max_age(Duration::from_secs(600));
/// let routes = Routes::new().cors(cors).get("/", |ev, _, reply| reply.text(ev, "hello"));
/// ```
///
/// # Sharp edges
///
/// * **It protects pages from each other, not the server**: whoever is no browser does not ask. A request that changes
///   something must be refused by its handler.
/// * **It is a [`before`](Routes::before)**: add it first, so that what other hooks answer can be seen by the page too.
///   500 for a handler that has failed cannot.
/// * What it has not to do with are the fields themselves: a handler that sends `Access-Control-Allow-Origin` as
///   well sends two of them, which browsers refuse.
pub struct Cors {
    origins: Origins,
    methods: Allowed,
    headers: Allowed,
    exposed: String,
    credentials: bool,
    max_age: Option<u64>,
    private_network: bool,
    wrong: Option<String>,
}

enum Origins {
    Any,
    List(Vec<String>),
    Matching(Box<dyn FnMut(&str) -> bool>),
}

enum Allowed {
    Any,
    List(String),
}

impl Cors {
    /// For pages of every origin, with `*`: for what is public. That cannot be with
    /// [credentials](Self::credentials).
    #[must_use]
    pub fn any() -> Self {
        Self::of(Origins::Any)
    }

    /// For pages of these: `https://example.org`, `http://localhost:3000`, without a slash at the end. What is no
    /// origin is an error of [`listen`](super::ServerOptions::listen). `null`, which is many a page's, can be one
    /// of them, and should not.
    #[must_use]
    pub fn origins(origins: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let mut list = Vec::new();
        let mut wrong = None;
        for origin in origins {
            let origin = origin.as_ref();
            if !is_origin(origin) {
                wrong.get_or_insert(format!("{origin:?} is no origin"));
            }
            list.push(origin.to_ascii_lowercase());
        }
        Self { wrong, ..Self::of(Origins::List(list)) }
    }

    /// For pages of those that a closure accepts. It is not asked about `null`.
    #[must_use]
    pub fn matching(accepts: impl FnMut(&str) -> bool + 'static) -> Self {
        Self::of(Origins::Matching(Box::new(accepts)))
    }

    fn of(origins: Origins) -> Self {
        Self {
            origins,
            methods: Allowed::List("GET, HEAD, POST".to_owned()),
            headers: Allowed::List(String::new()),
            exposed: String::new(),
            credentials: false,
            max_age: None,
            private_network: false,
            wrong: None,
        }
    }

    /// Sets the methods that may be asked for. The default is what browsers let through anyway: GET, HEAD, POST.
    #[must_use]
    pub fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        let methods: Vec<Method> = methods.into_iter().collect();
        let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
        self.methods = Allowed::List(names.join(", "));
        self
    }

    /// Lets any method be asked for.
    #[must_use]
    pub fn any_method(mut self) -> Self {
        self.methods = Allowed::Any;
        self
    }

    /// Sets the fields that requests may have, besides those that all may. `Content-Type` is one to name, if JSON is
    /// sent, and `Authorization`.
    #[must_use]
    pub fn headers(mut self, names: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.headers = Allowed::List(self.names(names));
        self
    }

    /// Lets requests have any field.
    #[must_use]
    pub fn any_header(mut self) -> Self {
        self.headers = Allowed::Any;
        self
    }

    /// Sets the fields of replies that pages may see, besides those that all may.
    #[must_use]
    pub fn expose(mut self, names: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.exposed = self.names(names);
        self
    }

    /// Lets pages use the cookies, certificates and log-ins that the browser has for this server.
    ///
    /// With [`any`](Self::any) origin that is an error of [`listen`](super::ServerOptions::listen): every page in the world
    /// could act for its reader. Who means it uses [`matching`](Self::matching).
    #[must_use]
    pub fn credentials(mut self) -> Self {
        self.credentials = true;
        self
    }

    /// Sets for how long browsers may remember the answer. Without it they do so for 5 seconds; they have limits of
    /// their own, of some hours.
    #[must_use]
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age.as_secs());
        self
    }

    /// Lets pages of the public network ask a server in a private one (`Access-Control-Allow-Private-Network`).
    #[must_use]
    pub fn private_network(mut self) -> Self {
        self.private_network = true;
        self
    }

    fn names(&mut self, names: impl IntoIterator<Item = impl AsRef<str>>) -> String {
        let mut list = String::new();
        for name in names {
            let name = name.as_ref();
            if !is_token(name.as_bytes()) {
                self.wrong.get_or_insert(format!("{name:?} is no name of a field"));
            }
            if !list.is_empty() {
                list.push_str(", ");
            }
            list.push_str(name);
        }
        list
    }

    /// Whether it does not matter who asks.
    fn is_for_all(&self) -> bool {
        matches!(self.origins, Origins::Any)
    }

    fn accepts(&mut self, origin: &str) -> bool {
        match &mut self.origins {
            Origins::Any => true,
            Origins::List(list) => list.iter().any(|known| known.eq_ignore_ascii_case(origin)),
            Origins::Matching(accepts) => origin != "null" && accepts(origin),
        }
    }

    fn before(&mut self, ev: &mut EvLoop, request: &Request, reply: Reply) -> Option<Reply> {
        let fields = request.fields();
        let asked = request.header("access-control-request-method");
        let mut origins = fields.get_all("origin");
        let origin = origins.next().and_then(|origin| std::str::from_utf8(origin).ok());
        let has_origin = origin.is_some();
        // Of several nobody knows which it is.
        let origin = origin.filter(|_| origins.next().is_none());
        let is_preflight = has_origin && *request.method() == Method::OPTIONS && asked.is_some();
        let accepted = origin.filter(|origin| self.accepts(origin));
        let mut reply = if is_preflight {
            let by = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers";
            reply.header("Vary", by)
        } else if self.is_for_all() {
            reply
        } else {
            reply.header("Vary", "Origin")
        };
        match accepted {
            _ if self.is_for_all() => reply = reply.header("Access-Control-Allow-Origin", "*"),
            Some(origin) => {
                reply = reply.header("Access-Control-Allow-Origin", origin);
                if self.credentials {
                    reply = reply.header("Access-Control-Allow-Credentials", "true");
                }
            }
            None => {}
        }
        if is_preflight {
            let reply = if accepted.is_some() {
                self.answer(request, asked.unwrap_or_default(), reply).status(Status::NO_CONTENT)
            } else {
                reply.status(Status::FORBIDDEN)
            };
            // Who is gone needs no answer.
            reply.empty(ev).ok();
            return None;
        }
        if !self.exposed.is_empty() && (accepted.is_some() || self.is_for_all()) {
            reply = reply.header("Access-Control-Expose-Headers", &self.exposed);
        }
        Some(reply)
    }

    /// What a page may that has asked first.
    fn answer(&self, request: &Request, method: &str, mut reply: Reply) -> Reply {
        // With credentials a star is a name like any other: what was asked for is said instead.
        match &self.methods {
            Allowed::List(list) => reply = reply.header("Access-Control-Allow-Methods", list),
            Allowed::Any if is_token(method.as_bytes()) => {
                reply = reply.header("Access-Control-Allow-Methods", method);
            }
            Allowed::Any => {}
        }
        match &self.headers {
            Allowed::List(list) if list.is_empty() => {}
            Allowed::List(list) => reply = reply.header("Access-Control-Allow-Headers", list),
            Allowed::Any => {
                let names = request.header("access-control-request-headers").unwrap_or_default();
                let are_names = names.len() <= LONGEST_LIST
                    && names.split(',').all(|name| is_token(name.trim().as_bytes()));
                if are_names {
                    reply = reply.header("Access-Control-Allow-Headers", names);
                }
            }
        }
        if let Some(age) = self.max_age {
            reply = reply.header("Access-Control-Max-Age", age.to_string());
        }
        let asks = request.header("access-control-request-private-network");
        if self.private_network && asks == Some("true") {
            reply = reply.header("Access-Control-Allow-Private-Network", "true");
        }
        reply
    }
}

/// Whether a browser could say it (RFC 6454 §6.2).
fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else { return text == "null" };
    let is_scheme = scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    let is_host = crate::wire::split_authority(host).is_some_and(|(host, _)| !host.is_empty());
    !scheme.is_empty() && is_scheme && is_host && !host.ends_with(':')
}

impl Routes {
    /// Says which pages of other origins may use this, and answers browsers who ask about it: see [`Cors`].
    ///
    /// For the routes of one host give it to those.
    pub fn cors(self, mut cors: Cors) -> Self {
        let wrong = cors.wrong.take().or_else(|| {
            let all = cors.is_for_all() && cors.credentials;
            all.then(|| "pages of any origin must not have credentials".to_owned())
        });
        if let Some(cause) = wrong {
            let doing = "letting pages of other origins in";
            return self.refused(Error::caused(ErrorKind::InvalidInput, doing, cause.into()));
        }
        self.before(move |ev, request, reply| cors.before(ev, request, reply))
    }
}
