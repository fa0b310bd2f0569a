//! What proxies say of clients: net-and-http-server.md §3.12. The PROXY protocol, and `Forwarded`.

#![allow(clippy::unwrap_used)]

mod proxy_protocol {
    use evloop::wire::proxy_protocol::*;
    use proptest::prelude::*;

    const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
    const REST: &[u8] = b"GET / HTTP/1.1\r\n\r\n";

    /// What bytes that come in pieces of this size are, and how many of them.
    fn cut(
        input: &[u8],
        size: usize,
        limits: ProxyLimits,
    ) -> Result<(Option<ProxyHeader>, usize), ProxyFault> {
        let mut parser = ProxyParser::new(limits);
        let mut used = 0;
        for piece in input.chunks(size.max(1)) {
            match parser.feed(piece) {
                Ok(progress) => {
                    used += progress.used;
                    assert_eq!(progress.done, parser.is_done());
                    if progress.done {
                        assert_eq!(parser.feed(b"PROXY").unwrap().used, 0);
                        assert_eq!(parser.end_of_input(), Ok(()));
                        break;
                    }
                    assert_eq!(progress.used, piece.len());
                    assert_eq!(parser.end_of_input(), Err(ProxyFault::Incomplete));
                }
                Err(fault) => {
                    assert_eq!(parser.feed(b""), Err(fault));
                    assert_eq!(parser.feed(b"PROXY UNKNOWN\r\n"), Err(fault));
                    assert_eq!(parser.end_of_input(), Err(fault));
                    assert_eq!(parser.header(), None);
                    return Err(fault);
                }
            }
        }
        Ok((parser.into_header(), used))
    }

    /// The same, whole and cut in several ways.
    #[track_caller]
    fn read_with(
        input: &[u8],
        limits: ProxyLimits,
    ) -> Result<(Option<ProxyHeader>, usize), ProxyFault> {
        let whole = cut(input, input.len(), limits);
        for size in [1, 2, 3, 7, 13, 16, 17, 100] {
            assert_eq!(cut(input, size, limits), whole, "in pieces of {size}");
        }
        whole
    }

    /// The header of bytes that are followed by a request.
    #[track_caller]
    fn header(bytes: &[u8]) -> ProxyHeader {
        let (header, used) = read_with(&[bytes, REST].concat(), ProxyLimits::default()).unwrap();
        assert_eq!(used, bytes.len());
        header.expect("a header")
    }

    #[track_caller]
    fn fault(bytes: &[u8]) -> ProxyFault {
        read_with(bytes, ProxyLimits::default()).unwrap_err()
    }

    /// A header of version 2: command, family, and what follows the length.
    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let len = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [V2, &[command, family], &len, rest].concat()
    }

    const INET: [u8; 12] = [203, 0, 113, 7, 192, 0, 2, 1, 0xC8, 0x22, 1, 0xBB];

    fn inet(tlvs: &[u8]) -> Vec<u8> {
        v2(0x21, 0x11, &[&INET, tlvs].concat())
    }

    #[test]
    fn a_line_names_both_ends() {
        let header = header(b"PROXY TCP4 203.0.113.7 192.0.2.1 51234 443\r\n");
        assert_eq!(header.command(), ProxyCommand::Proxy);
        assert_eq!(header.source(), Some("203.0.113.7:51234".parse().unwrap()));
        assert_eq!(header.destination(), Some("192.0.2.1:443".parse().unwrap()));
        assert_eq!(header.tlvs().count(), 0);
    }

    #[test]
    fn a_line_names_both_ends_of_ipv6() {
        let header = header(b"PROXY TCP6 2001:db8::1 ::ffff:192.0.2.1 0 65535\r\n");
        assert_eq!(header.source(), Some("[2001:db8::1]:0".parse().unwrap()));
        assert_eq!(header.destination(), Some("[::ffff:192.0.2.1]:65535".parse().unwrap()));
    }

    #[test]
    fn a_line_of_unknown_names_nobody_whatever_follows_that() {
        for line in ["PROXY UNKNOWN\r\n", "PROXY UNKNOWN ff::1  what 1\r\n", "PROXY UNKNOWN \r\n"] {
            let header = header(line.as_bytes());
            assert_eq!(header.addresses(), &ProxyAddresses::Unspecified, "{line:?}");
            assert_eq!(header.command(), ProxyCommand::Proxy);
        }
    }

    #[test]
    fn a_line_of_another_grammar_is_a_fault() {
        use ProxyFault::*;
        for (line, what) in [
            ("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n", BadLine),
            ("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\r\n", BadLine),
            ("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\rx", BadLine),
            ("PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n", BadLine),
            ("PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n", BadLine),
            ("PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n", BadLine),
            ("PROXY TCP4  1.1.1.1 2.2.2.2 1 2\r\n", BadLine),
            ("PROXY  TCP4 1.1.1.1 2.2.2.2 1 2\r\n", BadLine),
            ("PROXY TCP4\t1.1.1.1 2.2.2.2 1 2\r\n", BadLine),
            ("PROXY TCP4 1.1.1.1 2.2.2.2\0 1 2\r\n", BadLine),
            ("PROXY TCP4 1.1.1.1 2.2.2.2 1 \u{e4}\r\n", BadLine),
            ("PROXY UDP4 1.1.1.1 2.2.2.2 1 2\r\n", BadLine),
            ("PROXY UNKNOWNS\r\n", BadLine),
            ("PROXY \r\n", BadLine),
            ("PROXY TCP4 1.1.1.1 2.2.2.2 1 65536\r\n", BadAddress),
            ("PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n", BadAddress),
            ("PROXY TCP4 1.1.1.1 2.2.2.2 +1 2\r\n", BadAddress),
            ("PROXY TCP4 1.1.1.1 2.2.2.2 -1 2\r\n", BadAddress),
            ("PROXY TCP4 1.1.1 2.2.2.2 1 2\r\n", BadAddress),
            ("PROXY TCP4 1.1.1.01 2.2.2.2 1 2\r\n", BadAddress),
            ("PROXY TCP4 1.1.1.256 2.2.2.2 1 2\r\n", BadAddress),
            ("PROXY TCP4 ::1 ::2 1 2\r\n", BadAddress),
            ("PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n", BadAddress),
            ("PROXY TCP6 [::1] ::2 1 2\r\n", BadAddress),
            ("PROXY TCP6 fe80::1%eth0 ::2 1 2\r\n", BadAddress),
            ("PROXY TCP4 localhost 2.2.2.2 1 2\r\n", BadAddress),
        ] {
            assert_eq!(fault(line.as_bytes()), what, "{line:?}");
        }
    }

    #[test]
    fn a_line_has_107_bytes_and_not_one_more() {
        let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(107 - 16));
        assert_eq!(longest.len(), 107);
        assert_eq!(header(longest.as_bytes()), ProxyHeader::unknown());
        let longer = longest.replace("\r\n", "x\r\n");
        assert_eq!(fault(longer.as_bytes()), ProxyFault::LineTooLong);
        // Without waiting for more than that.
        assert_eq!(fault(&longer.as_bytes()[..107]), ProxyFault::LineTooLong);
    }

    #[test]
    fn a_byte_that_cannot_begin_a_header_is_a_fault_at_once() {
        for first in 0..=u8::MAX {
            let mut parser = ProxyParser::new(ProxyLimits::default());
            let result = parser.feed(&[first]);
            assert_eq!(result.is_ok(), matches!(first, b'P' | b'\r'), "{first:#x}");
        }
        for input in [&b"GET / HTTP/1.1\r\n"[..], b"\x16\x03\x01", b"POST", b"PROXX", b"\r\nG"] {
            assert_eq!(fault(input), ProxyFault::NoHeader);
        }
        assert_eq!(read_with(b"", ProxyLimits::default()), Ok((None, 0)));
    }

    #[test]
    fn every_byte_of_the_signature_counts() {
        let good = inet(&[]);
        for at in 0..V2.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x20;
            assert_eq!(fault(&bad), ProxyFault::NoHeader, "byte {at}");
            assert_eq!(fault(&bad[..=at]), ProxyFault::NoHeader, "byte {at}");
        }
    }

    #[test]
    fn the_binary_form_names_both_ends() {
        let header = header(&inet(&[]));
        assert_eq!(header.source(), Some("203.0.113.7:51234".parse().unwrap()));
        assert_eq!(header.destination(), Some("192.0.2.1:443".parse().unwrap()));
        let mut rest = vec![0; 36];
        rest[15] = 1;
        rest[31] = 2;
        rest[33] = 80;
        let header = self::header(&v2(0x21, 0x21, &rest));
        assert_eq!(header.source(), Some("[::1]:80".parse().unwrap()));
        assert_eq!(header.destination(), Some("[::2]:0".parse().unwrap()));
    }

    #[test]
    fn paths_of_unix_sockets_end_at_their_first_zero() {
        let mut rest = vec![0; 216];
        rest[..7].copy_from_slice(b"/run/me");
        rest[8] = b'x';
        rest[108..113].copy_from_slice(b"\0name");
        let unix = |source: &[u8], destination: &[u8]| ProxyAddresses::Unix {
            source: source.to_vec(),
            destination: destination.to_vec(),
        };
        let read = header(&v2(0x21, 0x31, &rest));
        assert_eq!(read.addresses(), &unix(b"/run/me", b"\0name"));
        assert_eq!((read.source(), read.destination()), (None, None));
        assert_eq!(header(&v2(0x21, 0x31, &[0; 216])).addresses(), &unix(b"", b""));
        let full = [b'a'; 216];
        assert_eq!(header(&v2(0x21, 0x31, &full)).addresses(), &unix(&full[..108], &full[..108]));
    }

    #[test]
    fn local_is_the_proxys_own_and_what_it_says_is_passed_over() {
        for (family, rest) in [(0x00, vec![]), (0x11, INET.to_vec()), (0xFF, vec![7; 50])] {
            let header = header(&v2(0x20, family, &rest));
            assert_eq!(header, ProxyHeader::local());
            assert_eq!(header.source(), None);
        }
    }

    #[test]
    fn what_is_unspecified_is_passed_over() {
        assert_eq!(header(&v2(0x21, 0x00, &[])), ProxyHeader::unknown());
        assert_eq!(header(&v2(0x21, 0x00, &[9; 77])), ProxyHeader::unknown());
    }

    #[test]
    fn versions_commands_and_families_that_there_are_not_are_faults() {
        for (command, family, what) in [
            (0x11, 0x11, ProxyFault::BadVersion),
            (0x31, 0x11, ProxyFault::BadVersion),
            (0x22, 0x11, ProxyFault::BadCommand),
            (0x2F, 0x11, ProxyFault::BadCommand),
            (0x21, 0x10, ProxyFault::BadFamily),
            (0x21, 0x01, ProxyFault::BadFamily),
            (0x21, 0x13, ProxyFault::BadFamily),
            (0x21, 0x41, ProxyFault::BadFamily),
            (0x21, 0x12, ProxyFault::Datagrams),
            (0x21, 0x22, ProxyFault::Datagrams),
            (0x21, 0x32, ProxyFault::Datagrams),
        ] {
            assert_eq!(fault(&v2(command, family, &[0; 216])), what, "{command:x} {family:x}");
        }
    }

    #[test]
    fn a_length_without_room_for_the_addresses_is_a_fault() {
        for (family, len) in [(0x11, 12), (0x21, 36), (0x31, 216)] {
            assert_eq!(fault(&v2(0x21, family, &vec![0; len - 1])), ProxyFault::TooShort);
            header(&v2(0x21, family, &vec![0; len]));
        }
    }

    #[test]
    fn a_length_beyond_the_limit_is_a_fault_before_anything_of_it_comes() {
        let limits = ProxyLimits { length: 300, ..ProxyLimits::default() };
        let of = |len: u16| [V2, &[0x21, 0x00], &len.to_be_bytes(), &vec![0; len.into()]].concat();
        assert_eq!(read_with(&of(284), limits), Ok((Some(ProxyHeader::unknown()), 300)));
        assert_eq!(read_with(&of(285)[..16], limits), Err(ProxyFault::TooLong));
        assert_eq!(fault(&of(u16::MAX)[..16]), ProxyFault::TooLong);
        // Addresses always have room.
        let none = ProxyLimits { length: 0, tlvs: 0 };
        assert!(read_with(&v2(0x21, 0x31, &[0; 216]), none).is_ok());
        assert_eq!(read_with(&v2(0x21, 0x31, &[0; 217])[..16], none), Err(ProxyFault::TooLong));
    }

    #[test]
    fn extensions_are_read() {
        let ssl = [&[7, 0, 0, 0, 0][..], b"\x21\0\x07TLSv1.3\x22\0\x02me\x23\0\x03AES"].concat();
        let made = ProxyHeader::inet("1.2.3.4:5".parse().unwrap(), "6.7.8.9:10".parse().unwrap())
            .with_tlv(tlv_type::ALPN, "http/1.1")
            .with_tlv(tlv_type::AUTHORITY, "example.org")
            .with_tlv(tlv_type::UNIQUE_ID, [1, 2, 3])
            .with_tlv(tlv_type::SSL, &ssl)
            .with_tlv(0xEA, "own")
            .with_tlv(0xEA, "");
        let mut bytes = Vec::new();
        made.write_v2(&mut bytes).unwrap();
        let header = header(&bytes);
        assert_eq!(header, made);
        assert_eq!(header.alpn(), Some(&b"http/1.1"[..]));
        assert_eq!(header.authority(), Some("example.org"));
        assert_eq!(header.unique_id(), Some(&[1, 2, 3][..]));
        assert_eq!(header.tlv(0xEA), Some(&b"own"[..]));
        assert_eq!(
            header.tlvs().map(|(kind, _)| kind).collect::<Vec<_>>(),
            [1, 2, 5, 32, 234, 234]
        );
        let ssl = header.ssl().unwrap();
        assert!(ssl.is_tls() && ssl.has_certificate() && ssl.is_verified());
        assert_eq!((ssl.version(), ssl.common_name()), (Some("TLSv1.3"), Some("me")));
        assert_eq!((ssl.cipher(), ssl.verify(), ssl.tlvs().count()), (Some("AES"), 0, 3));
    }

    #[test]
    fn what_is_said_of_tls_is_nothing_when_it_is_malformed() {
        let of = |value: &[u8]| {
            let len = u8::try_from(value.len()).unwrap();
            header(&inet(&[&[tlv_type::SSL, 0, len], value].concat()))
        };
        for bad in [&[][..], &[1, 0, 0, 0], &[1, 0, 0, 0, 0, 0x21], &[1, 0, 0, 0, 0, 0x21, 0, 1]] {
            assert!(of(bad).ssl().is_none());
        }
        let header = of(&[3, 0, 0, 0, 9]);
        let unverified = header.ssl().unwrap();
        assert!(unverified.has_certificate() && !unverified.is_verified());
        let header = of(&[1, 0, 0, 0, 0]);
        assert!(!header.ssl().unwrap().is_verified());
    }

    #[test]
    fn extensions_that_cannot_be_divided_are_a_fault() {
        let long = [&[tlv_type::UNIQUE_ID, 0, 129][..], &[0; 129]].concat();
        for bad in [
            &[1][..],
            &[1, 0],
            &[1, 0, 1],
            &[1, 0, 0, 9],
            &[1, 0xFF, 0xFF, 0],
            &[tlv_type::CRC32C, 0, 3, 0, 0, 0],
            &long,
        ] {
            assert_eq!(fault(&inet(bad)), ProxyFault::BadTlv, "{bad:?}");
        }
        let limits = ProxyLimits { tlvs: 2, ..ProxyLimits::default() };
        assert!(read_with(&inet(&[1, 0, 0, 4, 0, 0]), limits).is_ok());
        assert_eq!(read_with(&inet(&[1, 0, 0, 4, 0, 0, 1, 0, 0]), limits), Err(ProxyFault::BadTlv));
    }

    #[test]
    fn a_checksum_is_that_of_all_other_bytes() {
        let made = ProxyHeader::inet("1.2.3.4:5".parse().unwrap(), "6.7.8.9:10".parse().unwrap())
            .with_tlv(tlv_type::ALPN, "http/1.1")
            .with_checksum();
        let mut bytes = Vec::new();
        made.write_v2(&mut bytes).unwrap();
        assert!(header(&bytes).has_checksum());
        assert_eq!(header(&bytes), made);
        for at in 16..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            // In a type or a length it can be another fault.
            let result = read_with(&bad, ProxyLimits::default());
            let unchecked = matches!(&result, Ok((Some(header), _)) if !header.has_checksum());
            assert!(result.is_err() || unchecked, "byte {at}: {result:?}");
        }
        let mut bad = bytes.clone();
        bad[17] ^= 1;
        assert_eq!(fault(&bad), ProxyFault::BadChecksum);
        let twice = [&inet(&[])[16..], &[3, 0, 4, 0, 0, 0, 0, 3, 0, 4, 0, 0, 0, 0]].concat();
        assert_eq!(fault(&v2(0x21, 0x11, &twice)), ProxyFault::BadTlv);
    }

    #[test]
    fn a_checksum_that_is_computed_bit_by_bit_is_right() {
        let bytes = inet(&[3, 0, 4, 0, 0, 0, 0]);
        let mut crc = !0_u32;
        for byte in &bytes {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = if crc & 1 == 1 { crc >> 1 ^ 0x82F6_3B78 } else { crc >> 1 };
            }
        }
        let mut good = bytes;
        let at = good.len() - 4;
        good[at..].copy_from_slice(&(!crc).to_be_bytes());
        assert!(header(&good).has_checksum());
    }

    #[test]
    fn what_cannot_be_said_is_not_written() {
        let mut out = b"before".to_vec();
        for unix in [
            ProxyHeader::unix("a\0b", ""),
            ProxyHeader::unix("", vec![b'a'; 109]),
            ProxyHeader::unix("\0a\0", ""),
            ProxyHeader::unix("\0", ""),
        ] {
            assert_eq!(unix.write_v2(&mut out), Err(ProxyFault::BadAddress));
        }
        assert_eq!(ProxyHeader::unix("a", "").write_v1(&mut out), Err(ProxyFault::BadFamily));
        assert_eq!(ProxyHeader::local().write_v1(&mut out), Err(ProxyFault::BadFamily));
        let any = "1.2.3.4:5".parse().unwrap();
        let long = ProxyHeader::inet(any, any).with_tlv(0xE0, vec![0; 70_000]);
        assert_eq!(long.write_v2(&mut out), Err(ProxyFault::TooLong));
        assert_eq!(out, b"before");
    }

    #[test]
    fn ends_of_two_families_are_both_written_as_ipv6() {
        let (four, six) = ("1.2.3.4:5".parse().unwrap(), "[::9]:10".parse().unwrap());
        let mut line = Vec::new();
        ProxyHeader::inet(four, six).write_v1(&mut line).unwrap();
        assert_eq!(line, b"PROXY TCP6 ::ffff:1.2.3.4 ::9 5 10\r\n");
        let mut bytes = Vec::new();
        ProxyHeader::inet(four, six).write_v2(&mut bytes).unwrap();
        assert_eq!(header(&bytes), header(&line));
    }

    #[test]
    fn a_fault_is_an_error_of_the_protocol() {
        let error = evloop::Error::from(ProxyFault::BadChecksum);
        assert_eq!(error.kind(), evloop::ErrorKind::Protocol);
        let source = std::error::Error::source(&error).unwrap();
        assert_eq!(source.downcast_ref(), Some(&ProxyFault::BadChecksum));
    }

    fn any_header() -> impl Strategy<Value = ProxyHeader> {
        use std::net::SocketAddr;
        let inet = prop_oneof![
            any::<([u8; 4], u16, [u8; 4], u16)>()
                .prop_map(|(a, b, c, d)| (SocketAddr::from((a, b)), SocketAddr::from((c, d)))),
            any::<([u8; 16], u16, [u8; 16], u16)>()
                .prop_map(|(a, b, c, d)| (SocketAddr::from((a, b)), SocketAddr::from((c, d)))),
        ];
        let path = || prop::collection::vec(1..=u8::MAX, 0..=108);
        let addressed = prop_oneof![
            inet.prop_map(|(source, destination)| ProxyHeader::inet(source, destination)),
            (path(), path()).prop_map(|(a, b)| ProxyHeader::unix(a, b)),
        ];
        let tlvs = prop::collection::vec(
            (any::<u8>(), prop::collection::vec(any::<u8>(), 0..=128)),
            0..10,
        );
        let addressed = (addressed, tlvs, any::<bool>()).prop_map(|(header, tlvs, checked)| {
            let header =
                tlvs.iter().fold(header, |header, (kind, value)| header.with_tlv(*kind, value));
            if checked { header.with_checksum() } else { header }
        });
        prop_oneof![addressed, Just(ProxyHeader::local()), Just(ProxyHeader::unknown()),]
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(made in any_header()) {
            let mut bytes = Vec::new();
            made.write_v2(&mut bytes).unwrap();
            prop_assert_eq!(&header(&bytes), &made);
            let mut line = Vec::new();
            if made.write_v1(&mut line).is_ok() {
                prop_assert!(line.len() <= 107);
                let read = header(&line);
                prop_assert_eq!(read.addresses(), made.addresses());
            }
        }

        #[test]
        fn nothing_makes_it_panic(start in 0..3_usize, bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let starts: [&[u8]; 3] = [b"", b"PROXY ", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x20"];
            let _ = read_with(&[starts[start], &bytes].concat(), ProxyLimits::default());
        }
    }
}

mod forwarded {
    use std::net::IpAddr;

    use evloop::wire::forwarded::*;
    use evloop::wire::{Fault, Fields};
    use proptest::prelude::*;

    fn fields(lines: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::default();
        for (name, value) in lines {
            fields.push(name, value).unwrap();
        }
        fields
    }

    /// Proxies are in 10.0.0.0/8 and in fd00::/8.
    fn trusted(ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(ip) => ip.octets()[0] == 10,
            IpAddr::V6(ip) => ip.octets()[0] == 0xFD,
        }
    }

    fn of(kind: ForwardedFields, peer: &str, lines: &[(&str, &str)]) -> ForwardedClient {
        client_of(&fields(lines), peer.parse().unwrap(), kind, trusted)
    }

    fn standard(peer: &str, lines: &[&str]) -> ForwardedClient {
        let lines: Vec<_> = lines.iter().map(|line| ("Forwarded", *line)).collect();
        of(ForwardedFields::Standard, peer, &lines)
    }

    fn legacy(peer: &str, lines: &[&str]) -> ForwardedClient {
        let lines: Vec<_> = lines.iter().map(|line| ("X-Forwarded-For", *line)).collect();
        of(ForwardedFields::XForwarded, peer, &lines)
    }

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn who_is_not_trusted_is_the_client_whatever_it_says() {
        for client in [
            standard("192.0.2.1", &["for=10.0.0.1;proto=https;host=a"]),
            legacy("192.0.2.1", &["10.0.0.1"]),
        ] {
            assert_eq!((client.ip, client.hops), (ip("192.0.2.1"), 0));
            assert_eq!((client.proto, client.host, client.port), (None, None, None));
        }
    }

    #[test]
    fn the_client_is_the_first_from_the_right_that_is_not_trusted() {
        let list = "for=1.1.1.1, for=2.2.2.2;proto=https, for=10.0.0.3;proto=http";
        let client = standard("10.0.0.1", &[list]);
        assert_eq!(
            (client.ip, client.hops, client.via),
            (ip("2.2.2.2"), 2, ip("10.0.0.3").unwrap())
        );
        assert_eq!(client.proto.as_deref(), Some("https"));
        let client = legacy("10.0.0.1", &["1.1.1.1, 2.2.2.2,10.0.0.3"]);
        assert_eq!(
            (client.ip, client.hops, client.via),
            (ip("2.2.2.2"), 2, ip("10.0.0.3").unwrap())
        );
    }

    #[test]
    fn several_fields_are_one_list() {
        let client =
            standard("10.0.0.1", &["for=1.1.1.1", "for=2.2.2.2, for=10.0.0.4", "for=10.0.0.3"]);
        assert_eq!((client.ip, client.hops), (ip("2.2.2.2"), 3));
        let client = legacy("10.0.0.1", &["1.1.1.1", "2.2.2.2", ", 10.0.0.3 ,"]);
        assert_eq!((client.ip, client.hops), (ip("2.2.2.2"), 2));
    }

    #[test]
    fn where_all_are_trusted_the_client_is_the_first_of_them() {
        assert_eq!(legacy("10.0.0.1", &["10.0.0.3, 10.0.0.2"]).ip, ip("10.0.0.3"));
        assert_eq!(standard("10.0.0.1", &["for=10.0.0.3, for=10.0.0.2"]).ip, ip("10.0.0.3"));
        assert_eq!(legacy("10.0.0.1", &[]).ip, ip("10.0.0.1"));
        assert_eq!(legacy("10.0.0.1", &[" , "]).ip, ip("10.0.0.1"));
        assert_eq!(standard("10.0.0.1", &[]).ip, ip("10.0.0.1"));
    }

    #[test]
    fn a_client_that_is_hidden_is_not_taken_for_its_proxy() {
        for list in ["for=unknown", "for=_gazonk", "proto=https", "for=\"_a:_b\"", "for=::1", "for"]
        {
            let client = standard("10.0.0.1", &["for=1.1.1.1", list]);
            assert_eq!((client.ip, client.hops), (None, 1), "{list}");
            assert_eq!(client.via, ip("10.0.0.1").unwrap());
        }
        for list in ["unknown", "-", "localhost", "1.2.3", "01.2.3.4", "1.2.3.4:x", "fe80::1%eth0"]
        {
            assert_eq!(legacy("10.0.0.1", &["1.1.1.1", list]).ip, None, "{list}");
        }
    }

    #[test]
    fn what_a_client_writes_cannot_hide_what_a_proxy_adds() {
        for forged in
            ["for=\"", "for=\"a\\", "\"", "for=\"\\\"", "for=1.1.1.1;;;\"", "for=10.0.0.9, \", "]
        {
            let list = format!("{forged}, for=\"203.0.113.7:99\"");
            let client = standard("10.0.0.1", &[&list]);
            assert_eq!((client.ip, client.port), (ip("203.0.113.7"), Some(99)), "{list}");
            let list = format!("{forged}, for=\"[2001:db8::1]\";host=\"a\\\",b\", for=10.0.0.2");
            let client = standard("10.0.0.1", &[&list]);
            assert_eq!(client.ip, ip("2001:db8::1"), "{list}");
            assert_eq!(client.host, None, "that is no host");
        }
    }

    #[test]
    fn ports_and_brackets_are_understood() {
        for (text, address, port) in [
            ("1.2.3.4", "1.2.3.4", None),
            ("1.2.3.4:80", "1.2.3.4", Some(80)),
            ("::1", "::1", None),
            ("[::1]", "::1", None),
            ("[::1]:65535", "::1", Some(65535)),
            ("::ffff:1.2.3.4", "1.2.3.4", None),
        ] {
            let client = legacy("10.0.0.1", &[text]);
            assert_eq!((client.ip, client.port), (ip(address), port), "{text}");
        }
        let client = standard("10.0.0.1", &["For=\"[::ffff:1.2.3.4]:_x\""]);
        assert_eq!((client.ip, client.port), (ip("1.2.3.4"), None));
    }

    #[test]
    fn a_peer_of_ipv4_in_ipv6_is_one_of_ipv4() {
        assert_eq!(legacy("::ffff:10.0.0.1", &["1.2.3.4"]).ip, ip("1.2.3.4"));
        assert_eq!(legacy("::ffff:11.0.0.1", &["1.2.3.4"]).ip, ip("11.0.0.1"));
    }

    #[test]
    fn only_the_chosen_fields_count() {
        let both = [("Forwarded", "for=1.1.1.1;proto=a"), ("X-Forwarded-For", "2.2.2.2")];
        let client = of(ForwardedFields::XForwarded, "10.0.0.1", &both);
        assert_eq!((client.ip, client.proto), (ip("2.2.2.2"), None));
        assert_eq!(of(ForwardedFields::Standard, "10.0.0.1", &both).ip, ip("1.1.1.1"));
    }

    #[test]
    fn protocol_and_host_are_those_of_the_nearest_proxy() {
        let lines = [
            ("X-Forwarded-For", "1.1.1.1"),
            ("X-Forwarded-Proto", "forged, HTTPS"),
            ("X-Forwarded-Host", "Example.org:8443"),
        ];
        let client = of(ForwardedFields::XForwarded, "10.0.0.1", &lines);
        assert_eq!(client.proto.as_deref(), Some("https"));
        assert_eq!(client.host.as_deref(), Some("Example.org:8443"));
        let lines = [("X-Forwarded-Proto", "ht tp"), ("X-Forwarded-Host", "a/b")];
        let client = of(ForwardedFields::XForwarded, "10.0.0.1", &lines);
        assert_eq!((client.proto, client.host), (None, None));
    }

    #[test]
    fn elements_obey_the_grammar() {
        let element =
            ForwardedElement::parse("FOR=\"192.0.2.43:47011\"; by=_SEVKISEK ;x=y").unwrap();
        assert_eq!(element.node, Some(Node::Ip("192.0.2.43".parse().unwrap(), Some(47011))));
        assert_eq!(element.by, Some(Node::Obfuscated("_SEVKISEK".into())));
        for bad in [
            "for=a",
            "for=",
            "for",
            "for=1.1.1.1;for=1.1.1.1",
            "for=\"[::1\"",
            "for=\"::1\"",
            "for=\"[1.1.1.1]\"",
            "for=\"1.1.1.1:\"",
            "for=\"1.1.1.1:65536\"",
            "for=\"1.1.1.1:+1\"",
            "for=_",
            "for=_a/b",
            "by = _a",
            "for=\"_a:-\"",
            "for=\"1.1.1.1:_\"",
        ] {
            assert_eq!(ForwardedElement::parse(bad), Err(Fault::BadParameter), "{bad}");
        }
    }

    #[test]
    fn a_list_of_a_megabyte_of_quotes_is_read_in_time() {
        let begun = std::time::Instant::now();
        for unit in ["\"", "\\", "\\\"", ",", "\",", ", \"a\\\""] {
            let list = unit.repeat(1 << 19);
            elements_from_last(list.as_bytes()).for_each(drop);
        }
        assert!(begun.elapsed().as_secs() < 20);
    }

    fn any_node() -> impl Strategy<Value = Node<'static>> {
        prop_oneof![
            any::<(IpAddr, Option<u16>)>().prop_map(|(ip, port)| Node::Ip(ip, port)),
            "_[A-Za-z0-9._-]{1,9}".prop_map(|name| Node::Obfuscated(name.into())),
            Just(Node::Unknown),
        ]
    }

    fn any_element() -> impl Strategy<Value = ForwardedElement<'static>> {
        let text = || prop::option::of("[ -~\t]{1,12}".prop_map(Into::into));
        let node = || prop::option::of(any_node());
        (node(), node(), text(), text())
            .prop_map(|(node, by, proto, host)| ForwardedElement { node, by, proto, host })
            .prop_filter("an empty one is none", |element| *element != ForwardedElement::default())
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(
            elements in prop::collection::vec(any_element(), 1..6),
            forged in "[ -~]{0,20}",
        ) {
            let list: Vec<_> = elements.iter().map(ToString::to_string).collect();
            // Whatever stands before them.
            let list = format!("{forged},{}", list.join(" , "));
            let read: Vec<_> = elements_from_last(list.as_bytes()).take(elements.len()).collect();
            let expected: Vec<_> = elements.iter().rev().cloned().map(Some).collect();
            prop_assert_eq!(read, expected);
        }
    }
}
