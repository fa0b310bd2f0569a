//! `auth-param`, `token68` and the lists of them (RFC 9110 §11.2, §11.3).

use super::AuthFault;
use crate::wire::is_field_value;
use crate::wire::syntax::{TOKEN, is};

const OWS: [char; 2] = [' ', '\t'];

/// The token at the beginning, and what comes after it.
pub(super) fn token(text: &str) -> Option<(&str, &str)> {
    let end = text.bytes().position(|byte| !is(byte, TOKEN)).unwrap_or(text.len());
    text.split_at_checked(end).filter(|(token, _)| !token.is_empty())
}

/// The `token68` at the beginning, and what comes after it.
pub(super) fn token68(text: &str) -> Option<(&str, &str)> {
    let may = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    let end = text.bytes().position(|byte| !may(byte)).unwrap_or(text.len());
    if end == 0 {
        return None;
    }
    let pad = text.get(end..)?.bytes().take_while(|byte| *byte == b'=').count();
    text.split_at_checked(end + pad)
}

/// `name = value` at the beginning, and what comes after it.
pub(super) fn parameter(text: &str) -> Option<(&str, String, &str)> {
    let (name, rest) = token(text)?;
    let rest = rest.trim_start_matches(OWS).strip_prefix('=')?.trim_start_matches(OWS);
    match rest.strip_prefix('"') {
        Some(rest) => quoted(rest).map(|(value, rest)| (name, value, rest)),
        None => token(rest).map(|(value, rest)| (name, value.to_owned(), rest)),
    }
}

/// What is between here and the closing quote, and what comes after that.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let (plain, special) = rest.split_at_checked(rest.find(['"', '\\'])?)?;
        value.push_str(plain);
        if let Some(after) = special.strip_prefix('"') {
            return is_field_value(value.as_bytes()).then_some((value, after));
        }
        let mut after = special.strip_prefix('\\')?.chars();
        value.push(after.next()?);
        rest = after.as_str();
    }
}

/// Skips what divides a list: a comma at least, unless it has ended.
pub(super) fn comma(text: &str) -> Option<&str> {
    let rest = text.trim_start_matches(OWS);
    if rest.is_empty() {
        return Some(rest);
    }
    Some(rest.strip_prefix(',')?.trim_start_matches([' ', '\t', ',']))
}

/// Appends `name="value"`.
pub(super) fn push_quoted(out: &mut String, name: &str, value: &str) -> Result<(), AuthFault> {
    push_name(out, name)?;
    if !is_field_value(value.as_bytes()) {
        return Err(AuthFault::BadValue);
    }
    out.push('"');
    for c in value.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    Ok(())
}

/// Appends `name=value`.
pub(super) fn push_plain(out: &mut String, name: &str, value: &str) -> Result<(), AuthFault> {
    push_name(out, name)?;
    match token(value) {
        Some((_, "")) => out.push_str(value),
        _ => return Err(AuthFault::BadValue),
    }
    Ok(())
}

fn push_name(out: &mut String, name: &str) -> Result<(), AuthFault> {
    if !matches!(token(name), Some((_, ""))) {
        return Err(AuthFault::BadValue);
    }
    // Behind the scheme there is a space already.
    if !out.ends_with(' ') {
        out.push_str(", ");
    }
    out.push_str(name);
    out.push('=');
    Ok(())
}
