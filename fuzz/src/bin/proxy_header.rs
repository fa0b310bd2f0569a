//! The PROXY protocol: the outcome does not depend on how it arrives, no byte behind it is taken, and what was read is
//! written and read again.

#![no_main]

use evloop::wire::proxy_protocol::{
    ProxyAddresses, ProxyFault, ProxyHeader, ProxyLimits, ProxyParser,
};
use evloop_fuzz::cuts;
use libfuzzer_sys::fuzz_target;

type Outcome = Result<(Option<ProxyHeader>, usize), ProxyFault>;

fn parse(limits: ProxyLimits, pieces: &mut dyn Iterator<Item = &[u8]>) -> Outcome {
    let mut parser = ProxyParser::new(limits);
    let mut used = 0;
    for piece in pieces {
        match parser.feed(piece) {
            Ok(progress) => {
                used += progress.used;
                if progress.done {
                    assert_eq!(parser.feed(b"P").map(|again| again.used), Ok(0));
                    break;
                }
                assert_eq!(progress.used, piece.len());
                assert_eq!(parser.end_of_input(), Err(ProxyFault::Incomplete));
            }
            Err(fault) => {
                assert_eq!(parser.feed(b"PROXY UNKNOWN\r\n"), Err(fault));
                return Err(fault);
            }
        }
    }
    Ok((parser.into_header(), used))
}

/// What a header of so many bytes must have, stated naively.
fn is_plausible(header: &ProxyHeader, bytes: &[u8]) {
    match bytes {
        [b'P', ..] => {
            assert!(bytes.len() <= 107 && bytes.ends_with(b"\r\n"));
            let text = std::str::from_utf8(bytes).expect("ASCII");
            let words: Vec<&str> = text.trim_end().split(' ').collect();
            match header.addresses() {
                ProxyAddresses::Inet { source, destination } => {
                    assert_eq!(words.len(), 6);
                    assert_eq!(words[2].parse(), Ok(source.ip()));
                    assert_eq!(words[3].parse(), Ok(destination.ip()));
                    assert_eq!(words[4], source.port().to_string());
                    assert_eq!(words[5], destination.port().to_string());
                }
                _ => assert_eq!(words[1], "UNKNOWN"),
            }
        }
        _ => {
            let len = usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
            assert_eq!(bytes.len(), 16 + len);
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let limits = ProxyLimits::default();
    for limits in [limits, ProxyLimits { length: 232, tlvs: 2 }] {
        let outcome = cuts::in_every_way(input, |pieces| parse(limits, pieces));
        let Ok((Some(header), used)) = outcome else { continue };
        is_plausible(&header, &input[..used]);
        let mut written = Vec::new();
        if header.write_v2(&mut written).is_ok() {
            let again = parse(ProxyLimits::default(), &mut std::iter::once(&written[..]));
            assert_eq!(again, Ok((Some(header.clone()), written.len())));
        }
        let mut line = Vec::new();
        if header.write_v1(&mut line).is_ok() {
            let again = parse(limits, &mut std::iter::once(&line[..]));
            let (read, len) = again.expect("it was written");
            assert_eq!(len, line.len());
            assert_eq!(read.as_ref().map(ProxyHeader::addresses), Some(header.addresses()));
        }
    }
});
