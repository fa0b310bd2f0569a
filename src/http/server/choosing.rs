//! It is found out who is to answer a request, or why nobody can.

use std::borrow::Cow;

use super::exchange::Target;
use super::hosts::HostNumber;
use super::request::Parts;
use super::service::Service;
use crate::http::table::{Captures, Found, Table};
use crate::wire::{self, Fault, Framing, Method, RequestHead, Status, TargetForm, Version};

/// Finds who is to answer, or why nobody can.
pub(super) fn choose(
    service: &Service,
    parts: &mut Parts,
    target: &mut Target,
    host: &mut HostNumber,
) -> Result<(), Refused> {
    let head = &parts.head;
    let method = head.method();
    let is_plain = head.is_plain();
    if !is_plain && head.has_other_expectation() && head.version() == Version::Http11 {
        return Err((Status::EXPECTATION_FAILED, None));
    }
    // What names a path is no CONNECT.
    if !is_plain && *method == Method::CONNECT || *method == Method::TRACE {
        return Err((Status::NOT_IMPLEMENTED, None));
    }
    if let Some(methods) = &service.options.methods {
        if !methods.contains(method) {
            return Err((Status::NOT_IMPLEMENTED, None));
        }
    }
    if service.options.requires_length
        && head.framing() == Framing::None
        && [Method::POST, Method::PUT, Method::PATCH].contains(method)
        && !head.fields().iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length"))
    {
        return Err((Status::LENGTH_REQUIRED, None));
    }
    if !is_plain && head.form() == TargetForm::Asterisk {
        *target = Target::Options(Vec::new());
        return Ok(());
    }
    if service.routes.hosts.is_empty() {
        if let Some(&entry) = service.routes.table.find_raw(method, head.raw_path_bytes()) {
            parts.captures.clear();
            parts.path = None;
            *target = Target::Entry(entry);
            return Ok(());
        }
    }
    let raw = head.raw_path();
    let path = match wire::decode_path(raw) {
        Ok(Cow::Borrowed(path)) if path.len() == raw.len() => None,
        Ok(path) => Some(path.into_owned()),
        Err(fault) => return Err((fault.status(), Some(fault))),
    };
    let routes = &service.routes;
    let looked_up = path.as_deref().unwrap_or(raw);
    let only_known = service.options.methods.is_none();
    let captures = &mut parts.captures;
    if routes.hosts.is_empty()
        || !find_of_host(routes, head, looked_up, only_known, captures, target, host)?
    {
        let (table, fallback) = (&routes.table, routes.fallback);
        let answering = Answering { table, fallback, first_entry: 0, only_known };
        if !answering.find(method, looked_up, captures, target)? {
            if only_known && !method.is_known() {
                return Err((Status::NOT_IMPLEMENTED, None));
            }
            *target = Target::Nobody;
        }
    }
    parts.path = path;
    Ok(())
}

/// Finds which host a request is for, and who answers there. Says whether anybody does.
#[inline(never)]
fn find_of_host(
    routes: &super::Routes,
    head: &RequestHead,
    path: &str,
    only_known: bool,
    captures: &mut Captures,
    target: &mut Target,
    host: &mut HostNumber,
) -> Result<bool, Refused> {
    *host = routes.hosts.find(head.authority().unwrap_or_default());
    let Some(own) = routes.hosts.get(*host) else { return Ok(false) };
    let (table, fallback, first_entry) = (&own.table, own.fallback, own.first_entry);
    let answering = Answering { table, fallback, first_entry, only_known };
    answering.find(head.method(), path, captures, target)
}

/// Why nobody can answer.
type Refused = (Status, Option<Fault>);

/// Those who answer, for a host or for all.
struct Answering<'a> {
    table: &'a Table<u32>,
    /// What the numbers in the table are counted from.
    first_entry: u32,
    fallback: Option<u32>,
    /// Methods that nobody knows are refused.
    only_known: bool,
}

impl Answering<'_> {
    /// Finds who of them is to. Says whether it is anybody's.
    #[inline(always)]
    fn find(
        &self,
        method: &Method,
        path: &str,
        captures: &mut Captures,
        target: &mut Target,
    ) -> Result<bool, Refused> {
        *target = match self.table.find(method, path, captures) {
            Found::Route(&entry) => Target::Entry(entry + self.first_entry),
            Found::WrongMethod if *method == Method::OPTIONS => {
                Target::Options(self.table.allowed(path))
            }
            Found::WrongMethod if self.only_known && !method.is_known() => {
                return Err((Status::NOT_IMPLEMENTED, None));
            }
            Found::WrongMethod => Target::Others(self.table.allowed(path)),
            Found::None => match self.fallback {
                Some(entry) => Target::Entry(entry),
                None => return Ok(false),
            },
        };
        Ok(true)
    }
}
