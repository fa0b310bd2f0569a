//! Several hosts on one server: which of them a request is for, and whom a hook is about.

// A host's routes are taken apart when they are given: handlers and hooks go to those of all, with the number of the
// host beside the hooks, and its table keeps their places. So whoever finds a handler or calls a hook knows no hosts.

use std::collections::HashMap;

use super::routes::Routes;
use crate::http::table::{PathPattern, Table};
use crate::{Error, ErrorKind, Result};

/// The number of a host of its server, from 1; 0 is none of them.
pub(super) type HostNumber = u16;

/// How many there may be.
const MOST: usize = 10_000;

/// How many bytes the name of a host has at most (RFC 1035 §2.3.4). Each of its labels is a look into the table: of a
/// field of 64 KiB they would be thousands of looks at thousands of bytes.
const LONGEST: usize = 255;

/// A host's own table.
pub(super) struct Host {
    pub(super) table: Table<u32>,
    /// Where its handlers begin among those of all.
    pub(super) first_entry: u32,
    pub(super) fallback: Option<u32>,
}

/// The hosts of a server, and their names.
#[derive(Default)]
pub(super) struct Hosts {
    list: Vec<Host>,
    exact: HashMap<Box<str>, HostNumber>,
    /// By what follows the `*`: `.example.org`.
    below: HashMap<Box<str>, HostNumber>,
}

/// Whom a hook is about.
#[derive(Default)]
pub(super) struct Scope {
    /// 0 for all hosts, and for none.
    pub(super) host: HostNumber,
    pub(super) path: Option<PathPattern>,
}

impl Scope {
    pub(super) fn covers(&self, host: HostNumber, path: &str) -> bool {
        (self.host == 0 || self.host == host)
            && self.path.as_ref().is_none_or(|pattern| pattern.matches(path))
    }
}

impl Hosts {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Adds one, and says its number.
    pub(super) fn add(
        &mut self,
        names: impl IntoIterator<Item = impl AsRef<str>>,
        host: Host,
    ) -> Result<HostNumber> {
        let wrong = |name: &str, why: &str| {
            let cause = format!("the host {name:?} {why}");
            Err(Error::caused(ErrorKind::InvalidInput, "adding a host to a server", cause.into()))
        };
        self.list.push(host);
        let number = match HostNumber::try_from(self.list.len()) {
            Ok(number) if self.list.len() <= MOST => number,
            _ => return wrong("", "is one too many"),
        };
        let mut has_name = false;
        for name in names {
            has_name = true;
            let name = name.as_ref();
            let (list, plain) = match name.strip_prefix('*') {
                Some(rest) if rest.starts_with('.') => (&mut self.below, rest),
                Some(_) => return wrong(name, "has a * that is not a label of its own"),
                None => (&mut self.exact, name),
            };
            let plain = canonical(plain);
            if plain.is_empty() || plain == "." || plain.contains(['*', '/', '@', ' ']) {
                return wrong(name, "is no name of a host");
            }
            // With a port it would never be asked for: ports are not looked at.
            if !plain.starts_with('[') && plain.contains(':') {
                return wrong(name, "has a port, or is an IPv6 address without brackets");
            }
            if list.insert(plain.into_boxed_str(), number).is_some() {
                return wrong(name, "is there twice");
            }
        }
        if has_name { Ok(number) } else { wrong("", "has no name") }
    }

    pub(super) fn get(&self, number: HostNumber) -> Option<&Host> {
        self.list.get(usize::from(number).checked_sub(1)?)
    }

    /// Which host an authority is: by its exact name, else by the longest `*.` that fits.
    pub(super) fn find(&self, authority: &str) -> HostNumber {
        let name = without_port(authority);
        // One byte more is the dot at the end.
        if name.len() > LONGEST + 1 {
            return 0;
        }
        let name = canonical(name);
        if let Some(&number) = self.exact.get(name.as_str()) {
            return number;
        }
        let mut rest = name.as_str();
        // As many steps as there are labels.
        while !self.below.is_empty() {
            let Some(dot) = rest.get(1..).and_then(|rest| rest.find('.')) else { break };
            rest = rest.get(dot + 1..).unwrap_or_default();
            if let Some(&number) = self.below.get(rest) {
                return number;
            }
        }
        0
    }
}

/// An authority without its port.
pub(super) fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// Whether an authority is an IP address, and no name.
#[cfg(feature = "tls")]
pub(super) fn is_address(authority: &str) -> bool {
    let host = without_port(authority);
    host.starts_with('[') || host.parse::<std::net::Ipv4Addr>().is_ok()
}

/// In lower case, and without the dot that a complete name may end with.
pub(super) fn canonical(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

impl Routes {
    /// Answers for a host, or for one with several names: `example.org`, and `*.example.org` for all names below it
    /// (`evhttp_add_virtual_host`, `evhttp_add_server_alias`).
    ///
    /// What `routes` have no handler for, those around them answer, as for all hosts; unless they have a
    /// [`fallback`](Self::fallback) of their own. Their [`before`](Self::before), [`after`](Self::after) and
    /// [`error_page`](Self::error_page) are for their host alone. The port does not matter, nor how the name is written. The
    /// exact name goes first, then the longest that begins with `*`.
    ///
    /// ```
    /// use evloop::http::Routes;
    ///
    /// let blog = Routes::new().get("/", |ev, _, reply| reply.text(ev, "a blog"));
    /// let routes = Routes::new()
    ///     .host(["blog.example.org", "*.blog.example.org"], blog)
    ///     .get("/", |ev, _, reply| reply.text(ev, "everybody else"))
    ///     .get("/health", |ev, _, reply| reply.text(ev, "of any host"));
    /// ```
    ///
    /// # Sharp edges
    ///
    /// * A client says what it likes in `Host`. Names choose, and authorise nothing; with TLS see
    ///   `ServerOptions::match_server_name`.
    /// * What is about connections or about all requests ([`on_connection`](Self::on_connection),
    ///   [`on_request_line`](Self::on_request_line), [`on_completed`](Self::on_completed),
    ///   [`on_refused`](Self::on_refused), [`on_failure`](Self::on_failure)) and further hosts are for the outermost: in `routes` they are an error of
    ///   `listen`.
    pub fn host(mut self, names: impl IntoIterator<Item = impl AsRef<str>>, routes: Self) -> Self {
        if let Some(wrong) = routes.wrong {
            self.wrong.get_or_insert(wrong);
            return self;
        }
        #[cfg(feature = "compress")]
        let has_codings = routes.coding.is_any();
        #[cfg(not(feature = "compress"))]
        let has_codings = false;
        if routes.request_line.is_some()
            || has_codings
            || routes.connection.is_some()
            || routes.completed.is_some()
            || routes.refused.is_some()
            || routes.failure.is_some()
            || !routes.hosts.is_empty()
        {
            let cause =
                "the routes of a host have a hook that is about all of them, or hosts of their own";
            let wrong =
                Error::caused(ErrorKind::InvalidInput, "adding a host to a server", cause.into());
            self.wrong.get_or_insert(wrong);
            return self;
        }
        let first_entry = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        let fallback = routes.fallback.map(|entry| entry + first_entry);
        let host = Host { table: routes.table, first_entry, fallback };
        self.entries.extend(routes.entries);
        let number = match self.hosts.add(names, host) {
            Ok(number) => number,
            Err(wrong) => {
                self.wrong.get_or_insert(wrong);
                return self;
            }
        };
        let own = |mut scope: Scope| {
            scope.host = number;
            scope
        };
        self.before.extend(routes.before.into_iter().map(|(scope, hook)| (own(scope), hook)));
        self.after.extend(routes.after.into_iter().map(|(_, hook)| (number, hook)));
        // The one of a host is asked before that of all.
        let pages = routes.error_page.into_iter().map(|(_, hook)| (number, hook));
        self.error_page.splice(0..0, pages);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> Host {
        Host { table: Table::default(), first_entry: 0, fallback: None }
    }

    #[test]
    fn the_exact_name_goes_before_the_longest_wildcard() {
        let mut hosts = Hosts::default();
        hosts.add(["*.example.org"], host()).unwrap();
        hosts.add(["*.b.example.org", "[::1]"], host()).unwrap();
        hosts.add(["a.b.example.org"], host()).unwrap();
        for (name, number) in [
            ("a.b.example.org", 3),
            ("A.B.Example.ORG.", 3),
            ("a.b.example.org:8080", 3),
            ("c.b.example.org", 2),
            ("d.c.b.example.org:1", 2),
            ("b.example.org", 1),
            ("x.y.example.org", 1),
            ("[::1]", 2),
            ("[::1]:80", 2),
            ("example.org", 0),
            (".example.org", 0),
            ("org", 0),
            ("", 0),
            (":", 0),
            ("...", 0),
        ] {
            assert_eq!(hosts.find(name), number, "{name}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for name in ["", ".", "*", "*example.org", "a*.org", "a.*.org", "a/b", "a b", "a:80", "u@h"]
        {
            assert!(Hosts::default().add([name], host()).is_err(), "{name}");
        }
        assert!(Hosts::default().add(["a.org", "A.org"], host()).is_err(), "twice");
        assert!(Hosts::default().add(Vec::<&str>::new(), host()).is_err(), "none");
    }
}
