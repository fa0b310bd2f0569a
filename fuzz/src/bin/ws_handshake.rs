//! WebSocket handshakes: a request is taken if and only if a naive reading takes it, and so is an answer; what
//! a client asks, a server understands; nothing that is negotiated is more than was offered.

#![no_main]

use evloop::wire::websocket::deflate::DeflateOptions;
use evloop::wire::websocket::{accept_key, check_request, check_response, client_request};
use evloop::wire::{Fields, HeadLimits, RequestParser, ResponseParser};
use libfuzzer_sys::fuzz_target;

/// The members of all fields of that name.
fn members<'a>(fields: &'a Fields, name: &str) -> Vec<&'a [u8]> {
    let of = fields.iter().filter(|(of, _)| of.eq_ignore_ascii_case(name));
    of.flat_map(|(_, value)| list(value)).map(|each| each.trim_ascii()).collect()
}

/// What stands between commas, but for commas between quotes (RFC 9110 §5.6.1, §5.6.4), whose end may be missing.
fn list(value: &[u8]) -> Vec<&[u8]> {
    let (mut members, mut start, mut at) = (Vec::new(), 0, 0);
    while at < value.len() {
        match value[at] {
            b'"' => {
                at += 1;
                while at < value.len() && value[at] != b'"' {
                    at += if value[at] == b'\\' { 2 } else { 1 };
                }
            }
            b',' => {
                members.push(&value[start..at]);
                start = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    members.push(&value[start..]);
    members
}

fn values<'a>(fields: &'a Fields, name: &str) -> Vec<&'a [u8]> {
    let of = fields.iter().filter(|(of, _)| of.eq_ignore_ascii_case(name));
    of.map(|(_, value)| value).collect()
}

fn is_key(key: &[u8]) -> bool {
    let digit = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/".contains(byte);
    // 16 bytes: 21 digits that say anything, one that says two bits, and the padding.
    key.len() == 24
        && key[..22].iter().all(digit)
        && b"AQgw".contains(&key[21])
        && &key[22..] == b"=="
}

fn request(input: &[u8]) {
    let mut parser = RequestParser::new(HeadLimits::default());
    if !parser.feed(input).is_ok_and(|progress| progress.done) {
        return;
    }
    let head = parser.head();
    let fields = head.fields();
    let checked = check_request(head.method(), head.version(), head.authority().is_some(), fields);
    let has = |name: &str, token: &[u8]| {
        members(fields, name).iter().any(|each| each.eq_ignore_ascii_case(token))
    };
    let keys = values(fields, "sec-websocket-key");
    let protocols = members(fields, "sec-websocket-protocol");
    let protocols: Vec<_> = protocols.into_iter().filter(|each| !each.is_empty()).collect();
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let good = head.method().as_str() == "GET"
        && head.version() == evloop::wire::Version::Http11
        && head.authority().is_some()
        && has("upgrade", b"websocket")
        && has("connection", b"upgrade")
        && values(fields, "sec-websocket-version") == [b"13"]
        && keys.len() == 1
        && is_key(keys[0])
        && protocols.iter().all(|each| each.iter().all(token))
        && (1..protocols.len()).all(|n| !protocols[..n].contains(&protocols[n]))
        && protocols.len() <= 64;
    assert_eq!(checked.is_ok(), good, "{checked:?}");
    match checked {
        Ok(request) => {
            let key = String::from_utf8_lossy(keys[0]);
            assert_eq!(request.accept(), accept_key(&key));
            assert_eq!(request.protocols.len(), protocols.len());
        }
        Err(fault) => assert!([400, 405, 426].contains(&fault.status().code())),
    }
    // Whatever is agreed on, a client that has offered it would take it.
    let options = DeflateOptions::default();
    if let Some(agreed) = options.agree(fields) {
        let mut answer = Fields::new();
        answer.push("Sec-WebSocket-Extensions", agreed.answer()).expect("a field");
        assert!(matches!(options.agreed(&answer), Ok(Some(_))));
    }
}

fn response(input: &[u8]) {
    let mut parser = ResponseParser::new(HeadLimits::default());
    if !parser.feed(input).is_ok_and(|progress| progress.done) {
        return;
    }
    let (head, accept) = (parser.head(), accept_key("dGhlIHNhbXBsZSBub25jZQ=="));
    let fields = head.fields();
    let chosen = values(fields, "sec-websocket-protocol");
    let upgrades = values(fields, "upgrade");
    let good = head.status().code() == 101
        && upgrades.len() == 1
        && upgrades[0].eq_ignore_ascii_case(b"websocket")
        && members(fields, "connection").iter().any(|each| each.eq_ignore_ascii_case(b"upgrade"))
        && values(fields, "sec-websocket-accept") == [accept.as_bytes()]
        && (chosen.is_empty() || chosen == [b"chat"]);
    let checked = check_response(head, &accept, &["chat"]);
    assert_eq!(checked.is_ok(), good, "{checked:?}");
    let _ = DeflateOptions::default().agreed(fields);
}

/// What a program gives: it is refused, or a server understands it.
fn asked(input: &[u8]) {
    let mut parts = input.split(|byte| *byte == 0xFF).map(String::from_utf8_lossy);
    let mut next = || parts.next().unwrap_or_default();
    let (host, target, protocol) = (next(), next(), next());
    let mut out = Vec::new();
    let fields = Fields::new();
    let protocols: Vec<&str> =
        Some(&*protocol).filter(|each| !each.is_empty()).into_iter().collect();
    let Ok(accept) = client_request(&mut out, &host, &target, [9; 16], &protocols, &fields) else {
        return;
    };
    let mut parser = RequestParser::new(HeadLimits::default());
    // A host or target that is none is for the server to refuse; it is the one that was given.
    let Ok(progress) = parser.feed(&out) else { return };
    if !progress.done {
        return;
    }
    assert_eq!(progress.used, out.len(), "a head ended early");
    let head = parser.head();
    assert_eq!(head.target(), target);
    let read = check_request(head.method(), head.version(), true, head.fields()).expect("ours");
    assert_eq!((read.accept(), read.protocols), (accept, protocols));
}

fuzz_target!(|input: &[u8]| {
    request(input);
    response(input);
    asked(input);
});
