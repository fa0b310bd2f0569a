//! TLS as a filter: two of them against each other in memory, and one against OpenSSL.

#![allow(clippy::unwrap_used)]

#[path = "suite/names.rs"]
mod names;
mod tls;

use std::error::Error as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use evloop::net::{
    Buffer, ClientCertificates, Mode, TlsClient, TlsClientBuilder, TlsFault, TlsIdentity,
    TlsServer, TlsVersion, Verdict,
};
use evloop::{Error, ErrorKind};
use names::temporary;
use proptest::collection::vec;
use proptest::prelude::*;
use rcgen::{ExtendedKeyUsagePurpose, KeyPair, date_time_ymd};
use tls::{Authority, End, Pair, all, both_versions, ends, identity, pass, take};

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

// ---- the handshake ----

#[test]
fn a_handshake_succeeds_in_one_go_and_byte_by_byte() {
    let authority = Authority::new();
    for version in both_versions() {
        for most in [usize::MAX, 1, 7] {
            let (client, server) = ends(&authority, version);
            let mut pair = Pair::new(&client, &server);
            assert!(!pair.client.filter.is_ready() && !pair.server.filter.is_ready());
            assert!(pair.client.filter.info().is_none());
            pair.carry(most);
            pair.assert_ready();
            let (ours, theirs) = (pair.client.info(), pair.server.info());
            assert_eq!((ours.version, theirs.version), (version, version));
            assert_eq!(ours.suite, theirs.suite);
            assert!(ours.suite.starts_with("TLS"));
            assert_eq!(theirs.server_name.as_deref(), Some("localhost"));
            assert_eq!(ours.peer_certificates.len(), 1);
            assert!(theirs.peer_certificates.is_empty());
            assert!(!ours.resumed && !theirs.resumed);
            assert_eq!(ours.alpn, None);
        }
    }
}

#[test]
fn what_is_written_before_the_handshake_waits_for_it() {
    let authority = Authority::new();
    for version in both_versions() {
        let (client, server) = ends(&authority, version);
        let mut pair = Pair::new(&client, &server);
        pair.client.write(b"early");
        pair.server.write(b"greeting");
        assert_eq!((pair.client.output.len(), pair.server.output.len()), (5, 8));
        pair.carry(usize::MAX);
        assert_eq!(all(&mut pair.server.input), b"early");
        assert_eq!(all(&mut pair.client.input), b"greeting");
    }
}

#[test]
fn the_first_protocol_of_the_server_that_the_client_names_too_is_chosen() {
    let authority = Authority::new();
    let server = authority.server().alpn(["h9", "http/1.1", "http/1.0"]).build().unwrap();
    for (named, chosen) in [
        (vec!["http/1.0", "http/1.1"], Some(&b"http/1.1"[..])),
        (vec!["http/1.0"], Some(b"http/1.0")),
        (vec![], None),
    ] {
        let client = authority.client().alpn(named).build().unwrap();
        let pair = Pair::connected(&client, &server);
        assert_eq!(pair.client.info().alpn.as_deref(), chosen);
        assert_eq!(pair.server.info().alpn.as_deref(), chosen);
    }
}

#[test]
fn without_a_common_protocol_both_ends_fail() {
    let authority = Authority::new();
    for version in both_versions() {
        let server = authority.server().alpn(["http/1.1"]).max_version(version).build().unwrap();
        let client = authority.client().alpn(["smtp"]).build().unwrap();
        let mut pair = Pair::new(&client, &server);
        pair.carry(usize::MAX);
        assert_eq!(pair.server.fault(), Some(TlsFault::NoCommonProtocol));
        assert_eq!(pair.client.fault(), Some(TlsFault::Alert(120)));
    }
}

#[test]
fn without_a_common_version_both_ends_fail() {
    let authority = Authority::new();
    let server = authority.server().min_version(TlsVersion::Tls13).build().unwrap();
    let client = authority.client().max_version(TlsVersion::Tls12).build().unwrap();
    let mut pair = Pair::new(&client, &server);
    pair.carry(usize::MAX);
    assert_eq!(pair.server.fault(), Some(TlsFault::Incompatible));
    assert_eq!(pair.client.fault(), Some(TlsFault::Alert(70)));
}

#[test]
fn protocols_versions_and_names_that_make_no_sense_are_refused() {
    let authority = Authority::new();
    let long = "x".repeat(256);
    let refused = |result: Result<(), Error>| {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidInput);
    };
    for name in ["", &long] {
        refused(authority.server().alpn([name]).build().map(drop));
        refused(authority.client().alpn([name]).build().map(drop));
    }
    let many: Vec<String> = (0..5000).map(|n| n.to_string()).collect();
    refused(authority.client().alpn(many).build().map(drop));
    let (low, high) = (TlsVersion::Tls12, TlsVersion::Tls13);
    refused(authority.server().min_version(high).max_version(low).build().map(drop));
    refused(authority.client().min_version(high).max_version(low).build().map(drop));
    let identity = authority.identity(&["localhost"]);
    for name in ["", ".", "*", "*.", "a..b", "a b", "*.*.x", "x.*", "bücher.example", &long] {
        refused(authority.server().name(name, identity.clone()).build().map(drop));
        refused(authority.server().build().unwrap().set_name(name, None));
    }
    let client = authority.client().build().unwrap();
    for name in [
        "",
        ".",
        "a..b",
        "a b",
        "[]",
        "[::1",
        "::1]",
        "[localhost]",
        "[127.0.0.1]",
        "localhost:443",
        "127.0.0.1:1",
        "fe80::1%eth0",
        "bücher.example",
        "x\0y",
        &long,
    ] {
        refused(client.filter(name).map(drop));
    }
    for name in ["localhost", "localhost.", "LOCALHOST", "127.0.0.1", "::1", "[::1]"] {
        assert!(client.filter(name).is_ok(), "{name}");
    }
}

#[test]
fn handshake_time_outs_are_ten_seconds_unless_told_otherwise() {
    let authority = Authority::new();
    let (ten, three) = (Duration::from_secs(10), Duration::from_secs(3));
    assert_eq!(authority.server().build().unwrap().handshake_timeout(), ten);
    assert_eq!(authority.client().build().unwrap().handshake_timeout(), ten);
    let server = authority.server().handshake_timeout(three).build().unwrap();
    let client = authority.client().handshake_timeout(three).build().unwrap();
    assert_eq!((server.handshake_timeout(), client.handshake_timeout()), (three, three));
}

// ---- certificates of servers ----

#[test]
fn the_name_that_is_asked_for_chooses_the_certificate() {
    let authority = Authority::new();
    let server = TlsServer::builder(authority.identity(&["usual.example", "127.0.0.1"]))
        .name("one.example", authority.identity(&["one.example"]))
        .name("*.Many.example.", authority.identity(&["*.many.example"]))
        .name("special.many.example", authority.identity(&["special.many.example"]))
        .build()
        .unwrap();
    let client = authority.client().build().unwrap();
    for (name, right) in [
        ("one.example", true),
        ("ONE.example.", true),
        ("a.many.example", true),
        ("special.many.example", true),
        ("usual.example", true),
        ("127.0.0.1", true),
        ("a.b.many.example", false), // gets the usual one
        ("many.example", false),
        ("two.example", false),
    ] {
        let mut pair = Pair::named(&client, &server, name);
        pair.carry(usize::MAX);
        if right {
            pair.assert_ready();
            let asked = pair.server.info().server_name.clone();
            let bare = name.to_lowercase().trim_end_matches('.').to_owned();
            assert_eq!(asked, (name != "127.0.0.1").then_some(bare.clone()));
            assert_eq!(pair.client.info().server_name, Some(bare));
        } else {
            assert_eq!(pair.client.fault(), Some(TlsFault::WrongName), "{name}");
            assert!(matches!(pair.server.fault(), Some(TlsFault::Alert(_))));
        }
    }
    let quiet = authority.client().without_server_name().build().unwrap();
    let mut pair = Pair::named(&quiet, &server, "one.example");
    pair.carry(usize::MAX);
    assert_eq!(pair.client.fault(), Some(TlsFault::WrongName));
}

#[test]
fn a_server_of_only_names_refuses_others() {
    let authority = Authority::new();
    let server =
        authority.server().name("one.example", authority.identity(&["one.example"])).only_names();
    let server = server.build().unwrap();
    let client = authority.client().build().unwrap();
    for (name, served) in [("one.example", true), ("localhost", false), ("127.0.0.1", false)] {
        let mut pair = Pair::named(&client, &server, name);
        pair.carry(usize::MAX);
        assert_eq!(pair.server.error.is_none(), served);
        assert_eq!(pair.client.fault(), (!served).then_some(TlsFault::Alert(49)));
    }
}

#[test]
fn a_resolver_goes_first_and_may_leave_it_to_the_names() {
    let authority = Authority::new();
    let special = authority.identity(&["one.example"]);
    let server = authority
        .server()
        .resolver(move |hello| {
            let alpn: Vec<_> = hello.alpn().collect();
            assert_eq!(alpn, [b"http/1.1"]);
            (hello.server_name() == Some("one.example")).then(|| special.clone())
        })
        .build()
        .unwrap();
    let client = authority.client().alpn(["http/1.1"]).build().unwrap();
    for name in ["one.example", "localhost"] {
        let mut pair = Pair::named(&client, &server, name);
        pair.carry(usize::MAX);
        pair.assert_ready();
    }
}

#[test]
fn certificates_that_are_out_of_date_for_others_or_of_strangers_are_refused() {
    let authority = Authority::new();
    let stranger = Authority::new();
    let client = authority.client().build().unwrap();
    let expired = authority.issue(&["localhost"], |params| {
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(2001, 1, 1);
    });
    let future = authority.issue(&["localhost"], |params| {
        params.not_before = date_time_ymd(4000, 1, 1);
        params.not_after = date_time_ymd(4001, 1, 1);
    });
    let for_clients = authority.issue(&["localhost"], |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    for (pem, fault, alert) in [
        (expired, TlsFault::Expired, 45),
        (future, TlsFault::Expired, 45),
        (authority.issue(&["other.example"], |_| {}), TlsFault::WrongName, 42),
        (stranger.issue(&["localhost"], |_| {}), TlsFault::UnknownIssuer, 48),
        (for_clients, TlsFault::BadCertificate, 43),
    ] {
        for version in both_versions() {
            let server = TlsServer::builder(identity(&pem)).max_version(version).build().unwrap();
            let mut pair = Pair::new(&client, &server);
            pair.client.write(b"secret");
            pair.carry(usize::MAX);
            assert_eq!(pair.client.fault(), Some(fault));
            assert!(pair.client.error.as_ref().unwrap().source().is_some());
            assert_eq!(pair.server.fault(), Some(TlsFault::Alert(alert)));
            assert!(!pair.client.filter.is_ready());
            assert!(pair.server.input.is_empty());
            assert_eq!(pair.client.output.len(), 6, "nothing of it has left");
        }
    }
    let (_, server) = ends(&authority, TlsVersion::Tls13);
    let mut pair = Pair::new(&TlsClient::new().unwrap(), &server);
    pair.carry(usize::MAX);
    assert_eq!(pair.client.fault(), Some(TlsFault::UnknownIssuer), "not one of Mozilla's");
}

#[test]
fn added_roots_are_trusted_beside_the_others_and_given_ones_alone() {
    let (one, other) = (Authority::new(), Authority::new());
    let server = one.server().build().unwrap();
    for (client, trusted) in [
        (TlsClient::builder().add_roots(one.pem()), true),
        (TlsClient::builder().roots_pem(other.pem()).roots_pem(one.pem()), true),
        (TlsClient::builder().roots_pem(other.pem() + &one.pem()), true),
        (TlsClient::builder().add_roots(other.pem()), false),
    ] {
        let mut pair = Pair::new(&client.build().unwrap(), &server);
        pair.carry(usize::MAX);
        assert_eq!(pair.client.error.is_none(), trusted);
    }
}

#[test]
fn what_is_dangerous_has_to_be_asked_for_by_name() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let other_name = TlsServer::builder(authority.identity(&["other.example"])).build().unwrap();
    let of_stranger = stranger.server().build().unwrap();
    let any_name = || authority.client().dangerously_without_name_verification();
    for version in both_versions() {
        let outcome = |client: TlsClientBuilder, server| {
            let mut pair = Pair::new(&client.max_version(version).build().unwrap(), server);
            pair.carry(usize::MAX);
            pair.client.fault()
        };
        assert_eq!(outcome(any_name(), &other_name), None);
        assert_eq!(outcome(any_name(), &of_stranger), Some(TlsFault::UnknownIssuer));
        let anybody = || any_name().dangerously_without_verification();
        assert_eq!(outcome(anybody(), &of_stranger), None);
        let anybody = || {
            authority
                .client()
                .dangerously_without_verification()
                .dangerously_without_name_verification()
        };
        assert_eq!(outcome(anybody(), &of_stranger), None);
    }
}

// ---- certificates of clients ----

#[test]
fn client_certificates_are_required_optional_or_not_asked_for() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let expired = authority.issue(&["somebody"], |params| {
        params.not_after = date_time_ymd(2001, 1, 1);
        params.not_before = date_time_ymd(2000, 1, 1);
    });
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Outcome {
        Known,
        Unknown,
        Refused(TlsFault),
    }
    use ClientCertificates::{Optional, Required};
    use Outcome::{Known, Refused, Unknown};
    for version in both_versions() {
        for (which, mine, outcome) in [
            (Some(Required), Some(authority.person()), Known),
            (Some(Required), None, Refused(TlsFault::NoCertificate)),
            (Some(Required), Some(stranger.person()), Refused(TlsFault::UnknownIssuer)),
            (Some(Required), Some(identity(&expired)), Refused(TlsFault::Expired)),
            (Some(Optional), Some(authority.person()), Known),
            (Some(Optional), None, Unknown),
            (Some(Optional), Some(stranger.person()), Refused(TlsFault::UnknownIssuer)),
            (None, Some(authority.person()), Unknown),
        ] {
            let mut server = authority.server().max_version(version);
            if let Some(which) = which {
                server = server.client_certificates(authority.pem(), which);
            }
            let mut client = authority.client();
            if let Some(mine) = &mine {
                client = client.identity(mine.clone());
            }
            let mut pair = Pair::new(&client.build().unwrap(), &server.build().unwrap());
            pair.client.write(b"hello");
            pair.carry(usize::MAX);
            let shown = mine.map(|mine| mine.certificates().next().unwrap().to_vec());
            match outcome {
                Known => {
                    pair.assert_ready();
                    assert_eq!(pair.server.info().peer_certificates, [shown.unwrap()]);
                }
                Unknown => {
                    pair.assert_ready();
                    assert!(pair.server.info().peer_certificates.is_empty());
                }
                Refused(fault) => {
                    assert_eq!(pair.server.fault(), Some(fault));
                    assert!(matches!(pair.client.fault(), Some(TlsFault::Alert(_))));
                    assert!(pair.server.input.is_empty());
                    // As documented: with TLS 1.3 the client was done before it was refused.
                    assert_eq!(pair.client.filter.is_ready(), version == TlsVersion::Tls13);
                }
            }
        }
    }
}

// ---- reloading, sessions ----

#[test]
fn a_reload_changes_what_new_connections_see_on_all_clones() {
    let (old, new) = (Authority::new(), Authority::new());
    let server = old.server().build().unwrap();
    let clone = server.clone();
    let (trusts_old, trusts_new) = (old.client().build().unwrap(), new.client().build().unwrap());

    let mut before = Pair::connected(&trusts_old, &clone);
    let (certificate, key) = new.issue(&["localhost"], |_| {});
    assert_eq!(server.reload(&certificate, "junk").unwrap_err().kind(), ErrorKind::Tls);
    Pair::connected(&old.client().build().unwrap(), &clone); // as it was

    server.reload(&certificate, &key).unwrap();
    Pair::connected(&trusts_new, &clone);
    let mut refused = Pair::new(&trusts_old, &clone);
    refused.carry(usize::MAX);
    assert_eq!(refused.client.fault(), Some(TlsFault::UnknownIssuer), "also no old session");

    before.client.write(b"still here");
    before.carry(usize::MAX);
    assert_eq!(all(&mut before.server.input), b"still here");
}

#[test]
fn names_come_and_go_while_it_runs() {
    let authority = Authority::new();
    let server = authority.server().build().unwrap();
    let client = authority.client().build().unwrap();
    let served = || {
        let mut pair = Pair::named(&client, &server, "new.example");
        pair.carry(usize::MAX);
        pair.client.error.is_none()
    };
    assert!(!served());
    server.set_name("new.example", Some(authority.identity(&["new.example"]))).unwrap();
    assert!(served());
    server.set_name("NEW.example", None).unwrap();
    assert!(!served());
}

#[test]
fn a_client_that_comes_again_goes_on_with_its_session_unless_there_are_none() {
    let authority = Authority::new();
    for version in both_versions() {
        for (sessions, resumed) in [(1024, true), (0, false)] {
            let server = authority
                .server()
                .max_version(version)
                .sessions(sessions)
                .client_certificates(authority.pem(), ClientCertificates::Optional);
            let server = server.build().unwrap();
            let client = authority.client().identity(authority.person()).build().unwrap();
            let first = Pair::connected(&client, &server);
            assert!(!first.client.info().resumed);
            let second = Pair::connected(&client, &server);
            assert_eq!(second.client.info().resumed, resumed);
            assert_eq!(second.server.info().resumed, resumed);
            // Both still know who the other is.
            let (first, second) = (first.server.info(), second.server.info());
            assert_eq!(first.peer_certificates, second.peer_certificates);
            assert_eq!(second.peer_certificates.len(), 1);
            // Another client has no part in it.
            let other = authority.client().build().unwrap();
            assert!(!Pair::connected(&other, &server).client.info().resumed);
        }
    }
}

// ---- data ----

#[test]
fn large_data_passes_through_small_limits_and_through_large_ones() {
    let authority = Authority::new();
    let data: Vec<u8> = (0..200_000u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
    for version in both_versions() {
        let (client, server) = ends(&authority, version);
        for limit in [100, 4096, 16 * 1024, 64 * 1024, usize::MAX] {
            let mut pair = Pair::connected(&client, &server);
            (pair.client.limit, pair.server.limit) = (limit, limit);
            pair.client.write(&data);
            pair.server.write(&data);
            assert!(pair.client.output.is_empty());
            pair.carry(64 * 1024);
            assert!(all(&mut pair.server.input) == data);
            assert!(all(&mut pair.client.input) == data);
            pair.assert_ready();
        }
    }
}

#[test]
fn one_pass_makes_no_more_than_its_limit() {
    let authority = Authority::new();
    let (client, server) = ends(&authority, TlsVersion::Tls13);
    let mut pair = Pair::connected(&client, &server);
    pair.client.output.append(vec![7; 100_000]);
    let mut wire = Buffer::new();
    let verdict =
        pair.client.filter.send(&mut pair.client.output, &mut wire, &pass(20_000, Mode::Normal));
    assert_eq!(verdict.unwrap(), Verdict::More);
    assert_eq!(pair.client.output.len(), 80_000);
    assert!((20_000..20_100).contains(&wire.len()));
    // What rustls holds is there for an empty `from` too.
    let mut plain = Buffer::new();
    let pass = pass(1000, Mode::Normal);
    while !wire.is_empty() {
        assert_eq!(
            pair.server.filter.receive(&mut wire, &mut plain, &pass).unwrap(),
            Verdict::More
        );
    }
    let before = plain.len();
    assert!(before < 20_000);
    while pair.server.filter.receive(&mut wire, &mut plain, &pass).unwrap() == Verdict::More {}
    assert_eq!(plain.len(), 20_000);
}

#[test]
fn a_pass_with_no_room_goes_on_with_the_handshake_and_takes_no_data() {
    let authority = Authority::new();
    let (client, server) = ends(&authority, TlsVersion::Tls13);
    let mut pair = Pair::new(&client, &server);
    let none = pass(0, Mode::Normal);
    for _ in 0..4 {
        for by_client in [true, false] {
            let (from, to) = pair.way(by_client);
            to.filter.receive(&mut from.wire_out, &mut to.input, &none).unwrap();
            to.filter.send(&mut to.output, &mut to.wire_out, &none).unwrap();
        }
    }
    pair.assert_ready();
    pair.client.write(b"data");
    let end = &mut pair.server;
    for _ in 0..2 {
        let verdict = end.filter.receive(&mut pair.client.wire_out, &mut end.input, &none);
        assert_eq!(verdict.unwrap(), Verdict::More);
    }
    assert!(end.input.is_empty());
    let verdict = end.receive(&all(&mut pair.client.wire_out), Mode::Normal);
    assert_eq!((verdict, all(&mut end.input)), (Some(Verdict::Ok), b"data".to_vec()));
}

#[test]
fn files_are_read_and_encrypted_and_one_that_is_too_short_is_an_error_without_a_proper_end() {
    let authority = Authority::new();
    let (client, server) = ends(&authority, TlsVersion::Tls13);
    let path = temporary("tls");
    let data: Vec<u8> = (0..50_000u32).map(|n| (n / 3) as u8).collect();
    std::fs::write(&path, &data).unwrap();
    let file = Arc::new(std::fs::File::open(&path).unwrap());
    std::fs::remove_file(&path).unwrap();

    let mut pair = Pair::connected(&client, &server);
    pair.server.output.append("head ");
    pair.server.output.append_file(Arc::clone(&file), 0, 50_000).unwrap();
    pair.server.output.append(" tail");
    pair.server.send(Mode::Finish);
    pair.carry(usize::MAX);
    assert!(pair.client.ended);
    assert!(all(&mut pair.client.input) == [b"head ", &data[..], b" tail"].concat());

    let mut pair = Pair::connected(&client, &server);
    pair.server.output.append_file(file, 40_000, 20_000).unwrap();
    pair.server.send(Mode::Finish);
    assert_eq!(pair.server.error.as_ref().unwrap().kind(), ErrorKind::Io);
    assert_eq!(pair.server.send(Mode::Finish), Some(Verdict::Ok));
    pair.carry(usize::MAX);
    assert_eq!(pair.client.receive(b"", Mode::Finish), Some(Verdict::NeedMore));
    assert!(all(&mut pair.client.input).len() <= 10_000);
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn any_history_of_writes_and_splits_carries_the_same_bytes(
        old in any::<bool>(),
        steps in vec((any::<bool>(), 0..40_000usize, 1..20_000usize, 1..9_000usize), 1..20),
        pieces in 1..5usize,
    ) {
        thread_local!(static AUTHORITY: Authority = Authority::new());
        let version = if old { TlsVersion::Tls12 } else { TlsVersion::Tls13 };
        let (client, server) = AUTHORITY.with(|authority| ends(authority, version));
        let mut pair = Pair::new(&client, &server);
        let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
        let (mut at_server, mut at_client) = (Vec::new(), Vec::new());
        for (by_client, n, split, limit) in steps {
            (pair.client.limit, pair.server.limit) = (limit, limit);
            let data: Vec<u8> = (0..n).map(|i| (i ^ split) as u8).collect();
            let (end, expected) = if by_client {
                (&mut pair.client, &mut to_server)
            } else {
                (&mut pair.server, &mut to_client)
            };
            expected.extend_from_slice(&data);
            for piece in data.chunks(n / pieces + 1) {
                end.output.append_shared(piece.to_vec());
            }
            end.send(Mode::Normal);
            // Some of it arrives now.
            let some = take(&mut pair.client.wire_out, split);
            pair.server.receive(&some, Mode::Normal);
            let some = take(&mut pair.server.wire_out, split);
            pair.client.receive(&some, Mode::Normal);
            at_server.extend(all(&mut pair.server.input));
            at_client.extend(all(&mut pair.client.input));
        }
        pair.client.send(Mode::Finish);
        pair.server.send(Mode::Finish);
        pair.carry(usize::MAX);
        // Those that ended before the handshake was done have had it done since.
        at_server.extend(all(&mut pair.server.input));
        at_client.extend(all(&mut pair.client.input));
        prop_assert!(at_server == to_server);
        prop_assert!(at_client == to_client);
        prop_assert!(pair.client.ended && pair.server.ended);
    }
}

// ---- the end ----

#[test]
fn an_announced_end_is_one_and_the_other_way_stays_open() {
    let authority = Authority::new();
    for version in both_versions() {
        let (client, server) = ends(&authority, version);
        for most in [usize::MAX, 1] {
            let mut pair = Pair::connected(&client, &server);
            pair.client.output.append(b"the last");
            assert_eq!(pair.client.send(Mode::Finish), Some(Verdict::Ok));
            pair.carry(most);
            assert!(pair.server.ended);
            assert_eq!(all(&mut pair.server.input), b"the last");
            assert_eq!(pair.server.receive(b"ignored", Mode::Normal), Some(Verdict::Ended));
            assert_eq!(pair.server.receive(b"", Mode::Finish), Some(Verdict::Ended));

            let quiet = pair.client.wire_out.len();
            assert_eq!(pair.client.send(Mode::Finish), Some(Verdict::Ok));
            assert_eq!(pair.client.wire_out.len(), quiet, "said once");

            pair.server.write(b"answer");
            pair.server.send(Mode::Finish);
            pair.carry(most);
            assert_eq!(all(&mut pair.client.input), b"answer");
            assert!(pair.client.ended);
        }
    }
}

#[test]
fn an_end_before_the_handshake_is_done_waits_for_it() {
    let authority = Authority::new();
    for version in both_versions() {
        let (client, server) = ends(&authority, version);
        let mut pair = Pair::new(&client, &server);
        pair.client.output.append(b"all there is");
        assert_eq!(pair.client.send(Mode::Finish), Some(Verdict::NeedMore));
        assert_eq!(pair.server.send(Mode::Finish), Some(Verdict::NeedMore));
        pair.carry(usize::MAX);
        pair.assert_ready();
        assert!(pair.client.ended && pair.server.ended);
        assert_eq!(all(&mut pair.server.input), b"all there is");
    }
}

/// A short conversation in which one direction is cut after so many bytes. Says whether it was cut.
fn cut(client: &TlsClient, server: &TlsServer, of_client: bool, after: usize) -> bool {
    let mut pair = Pair::new(client, server);
    pair.client.output.append(b"request");
    pair.client.send(Mode::Finish);
    pair.server.output.append(b"reply");
    pair.server.send(Mode::Finish);
    let mut left = after;
    let mut sent = 0;
    loop {
        let (talker, victim) = pair.way(of_client);
        let bytes = all(&mut talker.wire_out);
        sent += bytes.len();
        let passed = &bytes[..bytes.len().min(left)];
        left -= passed.len();
        if !passed.is_empty() {
            victim.receive(passed, Mode::Normal);
        }
        let back = all(&mut victim.wire_out);
        if back.is_empty() && bytes.is_empty() {
            break;
        }
        talker.receive(&back, Mode::Normal);
    }
    let (talker, victim) = pair.way(of_client);
    let was_cut = sent > after;
    let verdict = victim.receive(b"", Mode::Finish);
    if was_cut {
        // In the middle of the handshake that is an error, afterwards an end that may be forged.
        let expected = victim.filter.is_ready().then_some(Verdict::NeedMore);
        assert_eq!(verdict, expected, "cut after {after}");
        assert!(!victim.ended && victim.error.is_some() == expected.is_none());
        assert!(victim.filter.info().is_none() || victim.filter.is_ready());
    } else {
        assert_eq!(verdict, Some(Verdict::Ended));
        assert!(talker.ended);
    }
    // And the connection goes: the other end has to see that, too, unless it was told.
    let verdict = talker.receive(b"", Mode::Finish);
    let told = talker.ended;
    let cut = talker.filter.is_ready().then_some(Verdict::NeedMore);
    assert_eq!(verdict, if told { Some(Verdict::Ended) } else { cut });
    was_cut
}

fn cut_everywhere(version: TlsVersion, of_client: bool) {
    let authority = Authority::new();
    let server = authority.server().max_version(version).sessions(0).build().unwrap();
    // A new one each time has no session, so all conversations are alike.
    let client = || authority.client().build().unwrap();
    let mut after = 0;
    while cut(&client(), &server, of_client, after) {
        after += 1;
    }
    assert!(after > 200, "{after}");
}

#[test]
fn a_server_sees_each_cut_of_tls_1_2() {
    cut_everywhere(TlsVersion::Tls12, true);
}

#[test]
fn a_server_sees_each_cut_of_tls_1_3() {
    cut_everywhere(TlsVersion::Tls13, true);
}

#[test]
fn a_client_sees_each_cut_of_tls_1_2() {
    cut_everywhere(TlsVersion::Tls12, false);
}

#[test]
fn a_client_sees_each_cut_of_tls_1_3() {
    cut_everywhere(TlsVersion::Tls13, false);
}

// ---- garbage ----

/// An alert in the clear.
fn is_alert(bytes: &[u8]) -> bool {
    bytes.len() == 7 && bytes[..2] == [21, 3] && bytes[3..6] == [0, 2, 2]
}

#[test]
fn what_is_not_tls_is_an_error_and_an_alert() {
    let authority = Authority::new();
    let (client, server) = ends(&authority, TlsVersion::Tls13);
    for garbage in [
        &b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"[..],
        b"220 mail.example ESMTP\r\n",
        &[0; 64],
        &[255; 64],
        b"\x16\x03\x01\x00\x05\x01\xff\xff\xff\xff",
        b"\x17\x03\x03\x00\x01x",
        b"\x16\x03\x01\x00\x00",
    ] {
        for mut end in [End::new(server.filter()), End::new(client.filter("localhost").unwrap())] {
            all(&mut end.wire_out);
            end.output.append(b"data");
            // Some only break the rules by and by: too many of them, or the end.
            for _ in 0..50 {
                end.receive(garbage, Mode::Normal);
            }
            if garbage.len() > 10 {
                let error = end.error.as_ref().unwrap();
                assert_eq!(error.to_string(), "agreeing on TLS with the peer: TLS failed");
                assert_eq!(end.fault(), Some(TlsFault::Misbehaved), "{error:?}");
                assert!(is_alert(&all(&mut end.wire_out)), "{garbage:?}");
            }
            assert!(end.error.is_some(), "{garbage:?}");
            // From then on it says the same, and nothing leaves.
            all(&mut end.wire_out);
            let (mut from, mut to) = (Buffer::from("more"), Buffer::new());
            let normal = pass(1000, Mode::Normal);
            assert!(end.filter.receive(&mut from, &mut to, &normal).is_err());
            for mode in [Mode::Normal, Mode::Finish] {
                assert_eq!(end.send(mode), Some(Verdict::Ok));
            }
            assert!(end.wire_out.is_empty() && to.is_empty());
            assert_eq!(end.output.len(), 4);
        }
    }
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn random_bytes_never_get_through(bytes in vec(any::<u8>(), 0..300), to_server in any::<bool>()) {
        thread_local! {
            static ENDS: (TlsClient, TlsServer) = ends(&Authority::new(), TlsVersion::Tls13);
        }
        let mut end = ENDS.with(|(client, server)| {
            End::new(if to_server { server.filter() } else { client.filter("localhost").unwrap() })
        });
        end.receive(&bytes, Mode::Normal);
        let verdict = end.receive(b"", Mode::Finish);
        prop_assert!(end.error.is_some() || verdict == Some(Verdict::NeedMore));
        prop_assert!(end.input.is_empty() && !end.filter.is_ready());
    }

    /// One bit of a whole conversation is turned, before and after the handshake, also after ends.
    #[test]
    fn a_turned_bit_is_an_error_and_never_other_bytes(
        old in any::<bool>(), of_client in any::<bool>(), place in 0..2000usize, bit in 0..8u8,
    ) {
        thread_local!(static AUTHORITY: Authority = Authority::new());
        let version = if old { TlsVersion::Tls12 } else { TlsVersion::Tls13 };
        let (client, server) = AUTHORITY.with(|authority| ends(authority, version));
        let mut pair = Pair::new(&client, &server);
        pair.client.output.append(b"request");
        pair.client.send(Mode::Finish);
        pair.server.output.append(b"reply");
        let mut passed = 0;
        while !(pair.client.wire_out.is_empty() && pair.server.wire_out.is_empty()) {
            for by_client in [true, false] {
                let (from, to) = pair.way(by_client);
                let mut bytes = all(&mut from.wire_out);
                if by_client == of_client {
                    if let Some(byte) = place.checked_sub(passed).and_then(|at| bytes.get_mut(at)) {
                        *byte ^= 1 << bit;
                    }
                    passed += bytes.len();
                }
                to.receive(&bytes, Mode::Normal);
            }
        }
        for end in [&mut pair.client, &mut pair.server] {
            let verdict = end.receive(b"", Mode::Finish);
            prop_assert!(end.error.is_some() || verdict.is_some());
        }
        prop_assert!(b"request".starts_with(&all(&mut pair.server.input)));
        prop_assert!(b"reply".starts_with(&all(&mut pair.client.input)));
        if pair.server.ended && pair.client.error.is_none() {
            prop_assert!(pair.client.filter.is_ready());
        }
    }
}

#[test]
fn an_end_that_anybody_could_have_announced_in_the_handshake_is_none() {
    let authority = Authority::new();
    let (client, server) = ends(&authority, TlsVersion::Tls13);
    for often in [1, 3, 50] {
        for mut end in [End::new(server.filter()), End::new(client.filter("localhost").unwrap())] {
            for _ in 0..often {
                end.receive(b"\x15\x03\x03\x00\x02\x01\x00", Mode::Normal);
            }
            assert_eq!(end.error.is_none(), often < 5, "too many are too much");
            assert_eq!(end.receive(b"", Mode::Finish), None, "an error all the same");
            assert!(end.error.is_some());
            assert!(!end.ended && !end.filter.is_ready());
        }
    }
    // And in the middle.
    let mut pair = Pair::new(&client, &server);
    let hello = all(&mut pair.client.wire_out);
    pair.server.receive(&hello, Mode::Normal);
    pair.server.receive(b"\x15\x03\x03\x00\x02\x01\x00", Mode::Normal);
    assert!(!pair.server.ended);
    assert_ne!(pair.server.receive(b"", Mode::Finish), Some(Verdict::Ended));
}

#[test]
fn a_message_that_is_longer_than_any_may_be_is_an_error() {
    let authority = Authority::new();
    let (_, server) = ends(&authority, TlsVersion::Tls13);
    for claimed in [0xea60u32, 0x01_0000, 0xff_ffff] {
        let mut end = End::new(server.filter());
        let mut hello = vec![1];
        hello.extend(&claimed.to_be_bytes()[1..]);
        hello.resize(60_000, 0);
        for byte in hello {
            end.receive(&[22, 3, 1, 0, 1, byte], Mode::Normal);
        }
        assert_eq!(end.fault(), Some(TlsFault::Misbehaved), "{:?}", end.error);
    }
}

#[test]
fn a_hook_that_panics_ends_its_connection_and_no_other() {
    let authority = Authority::new();
    let server = authority.server().resolver(|hello| {
        assert_ne!(hello.server_name(), Some("bad.example"), "as it should");
        None
    });
    let server = server.build().unwrap();
    let client = authority.client().build().unwrap();
    let mut pair = Pair::named(&client, &server, "bad.example");
    let hello = all(&mut pair.client.wire_out);
    let call = AssertUnwindSafe(|| pair.server.receive(&hello, Mode::Normal));
    assert!(catch_unwind(call).is_err());
    pair.server.receive(&hello, Mode::Normal);
    assert!(pair.server.fault().is_some());
    assert!(!pair.server.filter.is_ready());
    pair.server.send(Mode::Finish);
    assert!(all(&mut pair.server.wire_out).is_empty());
    Pair::connected(&client, &server);
}

#[test]
fn what_was_right_before_an_error_is_received_first() {
    let authority = Authority::new();
    for version in both_versions() {
        let (client, server) = ends(&authority, version);
        for limit in [1, 3, 1000] {
            let mut pair = Pair::connected(&client, &server);
            pair.server.limit = limit;
            pair.client.write(b"first");
            pair.client.write(b"second");
            let mut bytes = all(&mut pair.client.wire_out);
            bytes.extend(b"\x17\x03\x03\x00\x20aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
            pair.server.receive(&bytes, Mode::Normal);
            assert_eq!(all(&mut pair.server.input), b"firstsecond");
            assert_eq!(pair.server.fault(), Some(TlsFault::Misbehaved));
            pair.carry(usize::MAX);
            assert_eq!(pair.client.fault(), Some(TlsFault::Alert(20)));
        }
    }
}

#[test]
fn garbage_after_our_own_end_is_an_error_and_no_panic() {
    let authority = Authority::new();
    for version in both_versions() {
        let (client, server) = ends(&authority, version);
        for garbage in [
            &b"\x17\x03\x03\x00\x20aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"[..],
            b"GET / HTTP/1.1\r\n\r\n",
        ] {
            let mut pair = Pair::connected(&client, &server);
            pair.server.send(Mode::Finish);
            pair.server.receive(garbage, Mode::Normal);
            assert!(pair.server.error.is_some());
            assert!(pair.server.fault().is_some());
            assert!(pair.server.filter.is_ready());
        }
    }
}

// ---- PEM ----

fn key_file(name: &str) -> String {
    let path = format!("{}/tests/keys/{name}.pem", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn keys_of_all_forms_are_understood() {
    let authority = Authority::new();
    for (form, same) in [
        ("ec-pkcs8", "ec-pkcs8"),
        ("ec-sec1", "ec-pkcs8"),
        ("rsa-pkcs8", "rsa-pkcs8"),
        ("rsa-pkcs1", "rsa-pkcs8"),
    ] {
        let pair = KeyPair::from_pem(&key_file(same)).unwrap();
        let certificate = authority.certify(&pair, &["localhost"], |_| {});
        for version in both_versions() {
            let identity = TlsIdentity::from_pem(&certificate, key_file(form)).unwrap();
            let server = TlsServer::builder(identity).max_version(version).build().unwrap();
            Pair::connected(&authority.client().build().unwrap(), &server);
        }
    }
    let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let certificate = authority.certify(&key, &["localhost"], |_| {});
    let server = TlsServer::new(certificate, key.serialize_pem()).unwrap();
    Pair::connected(&authority.client().build().unwrap(), &server);
}

#[test]
fn one_file_may_hold_everything_and_text_between() {
    let authority = Authority::new();
    let (certificate, key) = authority.issue(&["localhost"], |_| {});
    let file = format!("a note\n{key}\nthe chain:\n{certificate}{}", authority.pem());
    let identity = TlsIdentity::from_pem(&file, &file).unwrap();
    assert_eq!(identity.certificates().count(), 2);
    let crlf = file.replace('\n', "\r\n");
    assert!(TlsIdentity::from_pem(&crlf, &crlf).is_ok());
}

#[test]
fn pem_that_cannot_be_used_is_an_error_that_says_why() {
    let authority = Authority::new();
    let (certificate, key) = authority.issue(&["localhost"], |_| {});
    let (_, other_key) = authority.issue(&["localhost"], |_| {});
    let no_der = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let no_base64 = "-----BEGIN CERTIFICATE-----\n****\n-----END CERTIFICATE-----\n";
    let no_key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let open = certificate.lines().take(4).collect::<Vec<_>>().join("\n");
    let (chain, private) = ("reading a certificate chain", "reading a private key");
    for (certificate, key, doing, why) in [
        ("", &*key, chain, "no certificate"),
        ("junk", &key, chain, "no certificate"),
        (&key, &key, chain, "no certificate"),
        (no_der, &key, chain, "invalid peer certificate"),
        (no_base64, &key, chain, "base64"),
        (&open, &key, chain, "missing section end"),
        (&format!("{certificate}{no_der}"), &key, chain, "invalid peer certificate"),
        (&certificate, "", private, "no private key"),
        (&certificate, &certificate, private, "no private key"),
        (&certificate, no_key, private, "failed to parse private key"),
        (&certificate, &key_file("ec-encrypted"), private, "encrypted"),
        (&certificate, &key_file("rsa-encrypted"), private, "encrypted"),
        (&certificate, &other_key, "matching a private key with its certificate", "KeyMismatch"),
    ] {
        let error = TlsIdentity::from_pem(certificate, key).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tls);
        assert_eq!(error.to_string(), format!("{doing}: TLS failed"));
        let source = error.source().unwrap().to_string();
        assert!(source.contains(why), "{source}");
        assert_eq!(TlsServer::new(certificate, key).unwrap_err().to_string(), error.to_string());
    }
    for roots in ["", "junk", no_der, no_base64, &open] {
        let client = TlsClient::builder().roots_pem(roots).build();
        assert_eq!(client.unwrap_err().kind(), ErrorKind::Tls);
        let server = authority.server().client_certificates(roots, ClientCertificates::Optional);
        assert_eq!(server.build().unwrap_err().kind(), ErrorKind::Tls);
    }
    // In a bundle, one that is of no use is passed over.
    assert!(TlsClient::builder().roots_pem(authority.pem() + no_der).build().is_ok());
}

// ---- the rest ----

#[test]
fn the_key_log_has_lines_that_others_read() {
    let authority = Authority::new();
    for (version, labels) in [
        (TlsVersion::Tls12, &["CLIENT_RANDOM"][..]),
        (TlsVersion::Tls13, &["CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"]),
    ] {
        let lines = [Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new()))];
        let hook = |n: usize| {
            let lines = Arc::clone(&lines[n]);
            move |line: &str| lines.lock().unwrap().push(line.to_owned())
        };
        let client = authority.client().key_log(hook(0)).build().unwrap();
        let server = authority.server().max_version(version).key_log(hook(1)).build().unwrap();
        Pair::connected(&client, &server);
        let [mut ours, mut theirs] = lines.map(|lines| std::mem::take(&mut *lines.lock().unwrap()));
        ours.sort();
        theirs.sort();
        assert_eq!(ours, theirs);
        for label in labels {
            let line = ours.iter().find(|line| line.starts_with(&format!("{label} "))).unwrap();
            let words: Vec<&str> = line.split(' ').collect();
            assert_eq!((words.len(), words[1].len()), (3, 64));
            assert!(words[2].len() >= 64 && words[2].bytes().all(|b| b.is_ascii_hexdigit()));
        }
    }
}

#[test]
fn the_cryptography_of_the_process_is_left_to_the_program() {
    let authority = Authority::new();
    let (client, server) = ends(&authority, TlsVersion::Tls13);
    Pair::connected(&client, &server);
    assert!(rustls::crypto::CryptoProvider::get_default().is_none());
}

#[test]
fn what_is_decided_once_crosses_threads_and_tells_no_secrets() {
    fn shared<T: Send + Sync + Clone + 'static>(_: &T) {}
    let authority = Authority::new();
    let (client, server) = ends(&authority, TlsVersion::Tls13);
    let identity = authority.person();
    shared(&client);
    shared(&server);
    shared(&identity);
    assert_eq!(format!("{client:?} {server:?}"), "TlsClient { .. } TlsServer { .. }");
    assert_eq!(format!("{identity:?}"), "TlsIdentity { certificates: 1, .. }");
}

// ---- OpenSSL ----

/// Whether there is one to talk to.
fn has_openssl() -> bool {
    Command::new("openssl").arg("version").output().is_ok()
}

/// Ends with the test, however that ends.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads until the peer has ended, or says enough.
fn converse(end: &mut End, socket: &mut TcpStream, enough: impl Fn(&mut End) -> bool) {
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut bytes = [0; 3000];
    loop {
        socket.write_all(&all(&mut end.wire_out)).unwrap();
        assert!(end.error.is_none(), "{:?}", end.error);
        if enough(end) {
            return;
        }
        let n = socket.read(&mut bytes).unwrap();
        end.receive(&bytes[..n], if n == 0 { Mode::Finish } else { Mode::Normal });
        assert!(n > 0 || end.ended, "cut off");
    }
}

#[test]
fn openssl_as_a_client_is_served() {
    if !has_openssl() {
        return;
    }
    let authority = Authority::new();
    let folder = Folder::new("client");
    let ca = folder.file("ca.pem", &authority.pem());
    let (certificate, key) = authority.issue(&["somebody"], |_| {});
    let (certificate, key) = (folder.file("cert.pem", &certificate), folder.file("key.pem", &key));
    for (version, flag) in [(TlsVersion::Tls12, "-tls1_2"), (TlsVersion::Tls13, "-tls1_3")] {
        let server = authority
            .server()
            .alpn(["http/1.1"])
            .client_certificates(authority.pem(), ClientCertificates::Required);
        let server = server.build().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let child = Command::new("openssl")
            .args(["s_client", "-connect", &address, "-servername", "localhost", "-quiet"])
            .args(["-CAfile", &ca, "-verify_return_error", "-cert", &certificate, "-key", &key])
            .args(["-alpn", "http/1.1", "-verify_hostname", "localhost", flag])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut child = Killed(child);
        let (mut socket, _) = listener.accept().unwrap();
        let mut end = End::new(server.filter());
        child.0.stdin.as_mut().unwrap().write_all(b"a question\n").unwrap();
        converse(&mut end, &mut socket, |end| end.input.len() == 11);
        assert_eq!(end.info().version, version);
        assert_eq!(end.info().alpn.as_deref(), Some(&b"http/1.1"[..]));
        assert!(!end.info().peer_certificates.is_empty());
        end.output.append(b"an answer");
        end.send(Mode::Finish);
        socket.write_all(&all(&mut end.wire_out)).unwrap();
        let mut answer = String::new();
        child.0.stdout.as_mut().unwrap().read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "an answer");
        converse(&mut end, &mut socket, |end| end.ended); // it says goodbye as well
    }
}

#[test]
fn openssl_as_a_server_serves() {
    if !has_openssl() {
        return;
    }
    let authority = Authority::new();
    let folder = Folder::new("server");
    let (certificate, key) = authority.issue(&["localhost"], |_| {});
    let (certificate, key) = (folder.file("cert.pem", &certificate), folder.file("key.pem", &key));
    for (version, flag) in [(TlsVersion::Tls12, "-tls1_2"), (TlsVersion::Tls13, "-tls1_3")] {
        let child = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-cert", &certificate, "-key", &key])
            .args(["-alpn", "http/1.1", "-rev", "-naccept", "1", flag])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut child = Killed(child);
        let mut said = String::new();
        let address = loop {
            let mut byte = [0];
            let n = child.0.stdout.as_mut().unwrap().read(&mut byte).unwrap();
            assert_eq!(n, 1, "{said}");
            said.push(byte[0] as char);
            if let Some(line) = said.strip_suffix('\n') {
                if let Some(address) = line.lines().last().and_then(|l| l.strip_prefix("ACCEPT ")) {
                    break address.to_owned();
                }
            }
        };
        let client = authority.client().alpn(["http/1.1"]).build().unwrap();
        let mut socket = TcpStream::connect(address).unwrap();
        let mut end = End::new(client.filter("localhost").unwrap());
        end.write(b"backwards\n");
        converse(&mut end, &mut socket, |end| end.input.len() == 10);
        assert_eq!(all(&mut end.input), b"sdrawkcab\n");
        assert_eq!(end.info().version, version);
        assert_eq!(end.info().alpn.as_deref(), Some(&b"http/1.1"[..]));
        end.send(Mode::Finish);
        converse(&mut end, &mut socket, |end| end.ended);
    }
}

struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = temporary(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, contents: &str) -> String {
        let path = self.0.join(name);
        std::fs::write(&path, contents).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
