//! What the lines of a request's head must say.

use evloop::wire;

use crate::naive;

fn valid(authority: &[u8]) -> Option<(&str, Option<u16>)> {
    wire::split_authority(std::str::from_utf8(authority).ok()?)
}

/// Whether a head that is made of well-formed lines obeys the rest of the rules, and what it says.
pub fn check(
    head: &naive::Head,
    limits: naive::Limits,
) -> Option<(Vec<u8>, Vec<u8>, bool, naive::Framing)> {
    let parts: Vec<_> = naive::split(&head.first, b" ");
    let [method, target, version] = parts[..] else { return None };
    let [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ b'0'..=b'9'] = version else {
        return None;
    };
    let http_10 = *minor == b'0';
    let visible = target.iter().all(|b| b.is_ascii_graphic() && *b != b'#');
    if !naive::is_token(method)
        || method.len() > 32
        || target.is_empty()
        || !visible
        || target.len() > limits.target
    {
        return None;
    }
    let lower = target.to_ascii_lowercase();
    let rest = lower.strip_prefix(b"http://").or(lower.strip_prefix(b"https://"));
    match (method, rest) {
        (b"CONNECT", _) => {
            valid(target).filter(|(host, port)| !host.is_empty() && port.is_some())?;
        }
        (_, None) => {
            if target[0] != b'/' && (target, method) != (b"*", b"OPTIONS") {
                return None;
            }
        }
        (_, Some(rest)) => {
            let authority = rest.split(|b| b"/?".contains(b)).next().unwrap_or_default();
            valid(authority).filter(|(host, _)| !host.is_empty())?;
        }
    }
    let hosts = naive::values(&head.fields, "host");
    if hosts.len() > 1
        || hosts.is_empty() && !http_10
        || hosts.iter().any(|host| valid(host).is_none())
    {
        return None;
    }
    let forbidden = |b: &u8| b"@/?# \t,\\\"<>".contains(b);
    assert!(!hosts.iter().any(|host| host.iter().any(forbidden)), "{hosts:?}");
    Some((method.to_vec(), target.to_vec(), http_10, naive::framing(&head.fields, http_10)?))
}
