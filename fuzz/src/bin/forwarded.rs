//! `Forwarded` and `X-Forwarded-For`: what trusted proxies add at the right is read whatever stands before it, what was
//! read is written and read again, and the walk ends where a naive one does.

#![no_main]

use std::net::IpAddr;

use evloop::wire::Fields;
use evloop::wire::forwarded::{
    ForwardedElement, ForwardedFields, Node, client_of, elements_from_last,
};
use libfuzzer_sys::fuzz_target;

fn trusted(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(ip) if ip.octets()[0] == 10)
}

/// The client that a list of nothing but addresses tells of; `None` for other lists.
fn naively(list: &[u8], peer: IpAddr) -> Option<IpAddr> {
    let text = std::str::from_utf8(list).ok()?;
    let mut ip = peer;
    let members = text.split(',').map(|member| member.trim_matches([' ', '\t']));
    for member in members.filter(|member| !member.is_empty()).rev() {
        if !trusted(ip) {
            break;
        }
        ip = member.parse::<IpAddr>().ok()?.to_canonical();
    }
    Some(ip)
}

fn field(name: &str, value: &[u8]) -> Option<Fields> {
    let mut fields = Fields::default();
    fields.push(name, value).ok()?;
    Some(fields)
}

fuzz_target!(|input: &[u8]| {
    for element in elements_from_last(input).flatten() {
        if element != ForwardedElement::default() {
            let text = element.to_string();
            assert_eq!(ForwardedElement::parse(&text).as_ref(), Ok(&element), "{text}");
        }
    }
    let peer = IpAddr::from([10, 0, 0, 1]);
    let client = IpAddr::from([203, 0, 113, 7]);
    let proxy = IpAddr::from([10, 0, 0, 2]);
    // What two proxies have added.
    let element = |ip, host: &str| ForwardedElement {
        node: Some(Node::Ip(ip, Some(4711))),
        host: Some(host.to_owned().into()),
        ..ForwardedElement::default()
    };
    let added = [element(client, "a"), element(proxy, "\",b\\")].map(|element| element.to_string());
    let value = [input, b",", added.join(", ").as_bytes()].concat();
    if let Some(fields) = field("Forwarded", &value) {
        let found = client_of(&fields, peer, ForwardedFields::Standard, trusted);
        assert_eq!((found.ip, found.via, found.hops), (Some(client), proxy, 2));
        assert_eq!(found.host.as_deref(), Some("a"));
    }
    if let Some(fields) = field("X-Forwarded-For", input) {
        let found = client_of(&fields, peer, ForwardedFields::XForwarded, trusted);
        if let Some(ip) = naively(input, peer) {
            assert_eq!(found.ip, Some(ip));
        }
        let other = client_of(&fields, client, ForwardedFields::XForwarded, trusted);
        assert_eq!((other.ip, other.hops), (Some(client), 0));
    }
});
