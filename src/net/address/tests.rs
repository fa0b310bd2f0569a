use std::error;
use std::ffi::OsStr;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use proptest::prelude::*;

use super::fault::{Fault, Why};
use super::parsing::parse;
use super::*;
use crate::ErrorKind;

fn v6(text: &str) -> Place {
    Place::Socket(text.parse().unwrap())
}

fn name(host: &str, port: u16) -> Place {
    Place::Name { host: host.to_owned(), port }
}

#[test]
fn every_form_is_read_and_written_so_that_it_reads_the_same() {
    use Scheme::*;
    let long_label = format!("{}.org", "a".repeat(63));
    let long_name = format!("{}abc", format!("{}.", "a".repeat(49)).repeat(5));
    assert_eq!(long_name.len(), 253);
    let long_path = format!("unix:/{}", "p".repeat(106));
    let zoned = |zone: &str, port| {
        let (ip, zone) = ("fe80::1".parse().unwrap(), zone.to_owned());
        Place::Zoned { ip, zone, port }
    };
    let path = |path: &str| Place::Path(PathBuf::from(path));
    let v4 = |text: &str| Place::Socket(text.parse().unwrap());
    let table: Vec<(String, Option<Scheme>, Place, &str)> = vec![
        ("80".into(), None, Place::Any(80), ":80"),
        (":80".into(), None, Place::Any(80), ":80"),
        ("0".into(), None, Place::Any(0), ":0"),
        (":0".into(), None, Place::Any(0), ":0"),
        ("0080".into(), None, Place::Any(80), ":80"),
        (":65535".into(), None, Place::Any(65535), ":65535"),
        ("host:80".into(), None, name("host", 80), "host:80"),
        ("LocalHost:0".into(), None, name("localhost", 0), "localhost:0"),
        ("a.b-c.d_e.org:1".into(), None, name("a.b-c.d_e.org", 1), "a.b-c.d_e.org:1"),
        ("example.org.:1".into(), None, name("example.org.", 1), "example.org.:1"),
        ("xn--bcher-kva.example:1".into(), None, name("xn--bcher-kva.example", 1), ""),
        ("4chan.org:1".into(), None, name("4chan.org", 1), ""),
        ("10.example:1".into(), None, name("10.example", 1), ""),
        ("0xfg:1".into(), None, name("0xfg", 1), ""),
        ("a-.b:1".into(), None, name("a-.b", 1), ""),
        (format!("{long_label}:1"), None, name(&long_label, 1), ""),
        (format!("{long_name}:1"), None, name(&long_name, 1), ""),
        (format!("{long_name}.:1"), None, name(&format!("{long_name}."), 1), ""),
        ("1.2.3.4:80".into(), None, v4("1.2.3.4:80"), ""),
        ("0.0.0.0:0".into(), None, v4("0.0.0.0:0"), ""),
        ("[::1]:80".into(), None, v6("[::1]:80"), ""),
        ("[::]:0".into(), None, v6("[::]:0"), ""),
        ("[0:0:0:0:0:0:0:1]:80".into(), None, v6("[::1]:80"), "[::1]:80"),
        ("[::FFFF:1.2.3.4]:80".into(), None, v6("[::ffff:1.2.3.4]:80"), "[::ffff:1.2.3.4]:80"),
        ("[fe80::1%eth0]:80".into(), None, zoned("eth0", 80), ""),
        ("[fe80::1%br-1.2@x]:80".into(), None, zoned("br-1.2@x", 80), ""),
        ("[fe80::1%2]:80".into(), None, v6("[fe80::1%2]:80"), ""),
        ("[fe80::1%02]:80".into(), None, v6("[fe80::1%2]:80"), "[fe80::1%2]:80"),
        ("[fe80::1%2x]:80".into(), None, zoned("2x", 80), ""),
        ("unix:/run/it.sock".into(), None, path("/run/it.sock"), ""),
        ("UNIX:/run/it.sock".into(), None, path("/run/it.sock"), "unix:/run/it.sock"),
        ("unix:///run/it.sock".into(), None, path("/run/it.sock"), "unix:/run/it.sock"),
        ("unix:it.sock".into(), None, path("it.sock"), ""),
        ("unix:./@it".into(), None, path("./@it"), ""),
        ("unix:/with space/ü:80".into(), None, path("/with space/ü:80"), ""),
        (long_path.clone(), None, path(&long_path[5..]), ""),
        ("unix://////run".into(), None, path("/run"), "unix:/run"),
        ("unix:///".into(), None, path("/"), "unix:/"),
        ("unix:@name".into(), None, Place::Abstract("name".into()), ""),
        ("unix:@@".into(), None, Place::Abstract("@".into()), ""),
        ("unix:@/path".into(), None, Place::Abstract("/path".into()), ""),
        ("tcp://80".into(), Some(Tcp), Place::Any(80), "tcp://:80"),
        ("tcp://host:80".into(), Some(Tcp), name("host", 80), ""),
        ("udp://1.2.3.4:53".into(), Some(Udp), v4("1.2.3.4:53"), ""),
        ("http://host".into(), Some(Http), name("host", 80), "http://host:80"),
        ("http://host/".into(), Some(Http), name("host", 80), "http://host:80"),
        ("http://host:8080/".into(), Some(Http), name("host", 8080), "http://host:8080"),
        ("HTTPS://Host".into(), Some(Https), name("host", 443), "https://host:443"),
        ("https://[::1]".into(), Some(Https), v6("[::1]:443"), "https://[::1]:443"),
        ("https://[fe80::1%a]".into(), Some(Https), zoned("a", 443), "https://[fe80::1%a]:443"),
        ("http://127.0.0.1".into(), Some(Http), v4("127.0.0.1:80"), "http://127.0.0.1:80"),
        ("http://:8080".into(), Some(Http), Place::Any(8080), ""),
        ("https://8443".into(), Some(Https), Place::Any(8443), "https://:8443"),
    ];
    for (text, scheme, place, written) in table {
        let address = parse(&text).unwrap_or_else(|fault| panic!("{text}: {fault}"));
        assert_eq!(address, Address { scheme, place }, "{text}");
        let expected = if written.is_empty() { text.as_str() } else { written };
        assert_eq!(address.to_string(), expected, "{text}");
        assert_eq!(parse(&address.to_string()), Ok(address), "{text}");
    }
}

#[test]
fn what_is_no_address_is_refused_with_why_and_where() {
    use Why::*;
    let long_label = format!("{}.org:1", "a".repeat(64));
    let long_name = format!("{}abcd:1", format!("{}.", "a".repeat(49)).repeat(5));
    let long_path = format!("unix:/{}", "p".repeat(107));
    let long_abstract = format!("unix:@{}", "p".repeat(108));
    let table: Vec<(&str, Why, usize)> = vec![
        ("", Empty, 0),
        ("http://", Empty, 7),
        ("https:///", Empty, 8),
        ("tcp://", Empty, 6),
        (":", PortEmpty, 1),
        ("::", Brackets, 0),
        ("host:", PortEmpty, 5),
        ("[::1]:", PortEmpty, 6),
        ("host", NoPort, 4),
        ("1.2.3.4", NoPort, 7),
        ("[::1]", NoPort, 5),
        ("tcp://host", NoPort, 10),
        ("udp://[::1]", NoPort, 11),
        ("host:http", PortDigits, 5),
        ("host:+80", PortDigits, 5),
        ("host:-1", PortDigits, 5),
        ("host:8 0", PortDigits, 6),
        ("host: 80", PortDigits, 5),
        ("host:80 ", PortDigits, 7),
        (":80\n", PortDigits, 3),
        ("host:0x50", PortDigits, 6),
        ("host:٨٠", PortDigits, 5),
        ("65536", PortRange, 0),
        (":65536", PortRange, 1),
        ("host:99999999999999999999", PortRange, 5),
        ("::1", Brackets, 0),
        ("::1:80", Brackets, 0),
        ("::1]:80", Brackets, 0),
        ("fe80::1%eth0:80", Brackets, 0),
        ("host:80:80", Brackets, 0),
        ("tcp:host:80", Brackets, 0),
        ("[::1", Unclosed, 0),
        ("[::1:80", Unclosed, 0),
        ("[", Unclosed, 0),
        ("tcp://[::1", Unclosed, 6),
        ("[::1]80", AfterBracket, 5),
        ("[::1]]:80", AfterBracket, 5),
        ("[]:80", NotIpv6, 1),
        ("[1.2.3.4]:80", NotIpv6, 1),
        ("[host]:80", NotIpv6, 1),
        ("[::1::2]:80", NotIpv6, 1),
        ("[[::1]]:80", AfterBracket, 6),
        ("[12345::]:80", NotIpv6, 1),
        ("[fe80::1%]:80", Zone, 9),
        ("[fe80::1%0]:80", Zone, 9),
        ("[fe80::1%4294967296]:80", Zone, 9),
        ("[fe80::1%a%b]:80", Zone, 10),
        ("[fe80::1%é]:80", Zone, 9),
        ("[fe80::1%a\0]:80", Zone, 10),
        ("[fe80::1%sixteen-letters!]:80", ZoneLength, 24),
        ("1.2.3:80", NotIpv4, 0),
        ("1.2.3.4.5:80", NotIpv4, 0),
        ("256.1.1.1:80", NotIpv4, 0),
        ("01.2.3.4:80", NotIpv4, 0),
        ("1.2.3.4.:80", NotIpv4, 0),
        ("0x7f.1:80", NotIpv4, 0),
        ("0x7f000001:80", NotIpv4, 0),
        ("0x:80", NotIpv4, 0),
        ("http://127.1", NotIpv4, 7),
        ("bücher.example:80", NonAscii, 1),
        ("例え:80", NonAscii, 0),
        (" host:80", Character(' '), 0),
        ("user@host:80", Character('@'), 4),
        ("*:80", Character('*'), 0),
        ("a,b:80", Character(','), 1),
        ("a%41:80", Character('%'), 1),
        ("host\0:80", Character('\0'), 4),
        ("host]:80", Character(']'), 4),
        ("host?q", Character('?'), 4),
        ("http://host#x", Character('#'), 11),
        ("-host:80", Hyphen, 0),
        (".:80", LabelEmpty, 0),
        (".host:80", LabelEmpty, 0),
        ("a..b:80", LabelEmpty, 2),
        ("host..:80", LabelEmpty, 5),
        (&long_label, LabelLength, 63),
        (&long_name, NameLength, 253),
        ("/run/it.sock", Slash, 0),
        ("host:80/", Slash, 7),
        ("http://host/index", Slash, 11),
        ("http://host//", Slash, 11),
        ("tcp://host:80/", Slash, 13),
        ("http://unix:/run/it.sock", Slash, 12),
        ("ftp://host:21", Scheme, 0),
        ("://host:80", Scheme, 0),
        ("http ://host", Scheme, 0),
        ("ünix://host", Scheme, 0),
        ("unix:", PathEmpty, 5),
        ("unix:@", PathEmpty, 6),
        ("unix://", PathRelative, 7),
        ("unix://run/it.sock", PathRelative, 7),
        ("unix:/a\0b", PathNul, 7),
        ("unix:@a\0b", PathNul, 7),
        (&long_path, PathLength, 112),
        (&long_abstract, PathLength, 113),
    ];
    for (text, why, at) in table {
        assert_eq!(parse(text), Err(Fault { why, at }), "{text:?}");
        let error = text.parse::<Address>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let source = error::Error::source(&error).unwrap().to_string();
        assert!(source.ends_with(&format!(", at byte {at}")), "{source}");
    }
}

#[test]
fn a_path_is_taken_as_it_is_and_checked() {
    let unix = |path: &str| Address::unix(path).map(|address| address.to_string());
    assert_eq!(unix("/run/it.sock").unwrap(), "unix:/run/it.sock");
    assert_eq!(unix("@it").unwrap(), "unix:./@it");
    assert_eq!(unix("//run//it.sock").unwrap(), "unix:/run//it.sock");
    assert!(Address::unix("it").unwrap().is_unix());
    let bytes = OsStr::from_bytes(b"/run/\xff");
    assert_eq!(Address::unix(bytes).unwrap().place(), &Place::Path(PathBuf::from(bytes)));
    for path in ["", "a\0b", &"p".repeat(108)] {
        assert_eq!(unix(path).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    assert!(unix(&"p".repeat(107)).is_ok());
}

#[test]
fn a_socket_address_is_an_address() {
    for text in ["1.2.3.4:80", "[::1]:0", "[fe80::1%3]:80"] {
        let socket: SocketAddr = text.parse().unwrap();
        assert_eq!(Address::from(socket), text.parse().unwrap());
        assert_eq!(Address::from(socket).port(), Some(socket.port()));
    }
    let labelled = SocketAddrV6::new(Ipv6Addr::LOCALHOST, 1, 7, 0);
    assert_eq!(Address::from(SocketAddr::V6(labelled)), "[::1]:1".parse().unwrap());
}

/// Texts that are nearly addresses: pieces of such in any order.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("http://"),
        Just("tcp://"),
        Just("unix:"),
        Just("["),
        Just("]"),
        Just(":"),
        Just("%"),
        Just("::1"),
        Just("fe80::"),
        Just("eth0"),
        Just("1.2.3.4"),
        Just("80"),
        Just("65536"),
        Just("host"),
        Just("."),
        Just("-"),
        Just("/"),
        Just("//"),
        Just("@"),
        Just("\0"),
        Just("é"),
        Just("0x1"),
        Just(" "),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn whatever_is_read_reads_the_same_when_written(text in prop_oneof![pieces(), ".*", "[^/]{1,20}:[0-9]{1,5}"]) {
        match parse(&text) {
            Ok(address) => {
                prop_assert_eq!(parse(&address.to_string()), Ok(address));
            }
            Err(fault) => {
                prop_assert!(fault.at <= text.len());
                prop_assert!(text.is_char_boundary(fault.at) || matches!(fault.why, Why::PathLength));
            }
        }
    }

    #[test]
    fn what_the_kernel_calls_a_socket_is_read(ip: u128, port: u16, scope: u32) {
        let socket = SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::from(ip), port, 0, scope));
        prop_assert_eq!(parse(&socket.to_string()), Ok(Address::from(socket)));
        let socket = SocketAddr::from((Ipv4Addr::from(ip as u32), port));
        prop_assert_eq!(parse(&socket.to_string()), Ok(Address::from(socket)));
    }
}
