//! Log-ins, as `wire` reads and writes them: net-and-http-server.md 3.10, RFC 7616, RFC 7617, RFC 6750; reliability.md R1,
//! R2, R18.

use std::time::Duration;

use evloop::wire::auth::{
    AuthFault, BasicCredentials, Challenge, DigestAlgorithm, DigestChallenge, DigestCredentials,
    DigestRefusal, DigestRequest, DigestServer, DigestSettings, DigestUser, DigestUsers, Qop,
    UserDigest, bearer_token, same, scheme,
};
use proptest::prelude::*;

// --- basic and bearer ---

#[test]
fn basic_credentials_are_read() {
    for (value, user, password) in [
        ("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin", "open sesame"),
        ("bASIC   dGVzdDoxMjPCow==", "test", "123£"),
        (" Basic dGVzdDoxMjPCow ", "test", "123£"),
        ("Basic Og==", "", ""),
        ("Basic YTpiOmM=", "a", "b:c"),
    ] {
        let credentials = BasicCredentials::parse(value).unwrap();
        assert_eq!((credentials.user.as_str(), credentials.password.as_str()), (user, password));
        assert!(!format!("{credentials:?}").contains("123"));
    }
}

#[test]
fn basic_credentials_that_are_none_are_faults() {
    for (value, fault) in [
        ("", AuthFault::Malformed),
        ("Basic", AuthFault::Malformed),
        ("Basic !", AuthFault::Malformed),
        ("Basic YQ==", AuthFault::Malformed),
        ("Basic YTpi YTpi", AuthFault::Malformed),
        ("Basic YTpi, Basic YTpi", AuthFault::Malformed),
        ("Basic/YTpi", AuthFault::Malformed),
        ("Basicx YTpi", AuthFault::OtherScheme),
        ("Bearer YTpi", AuthFault::OtherScheme),
        ("Basic YTr/", AuthFault::BadText),
        ("Basic YQA6Yg==", AuthFault::BadText),
        ("Basic YTpiCg==", AuthFault::BadText),
    ] {
        assert_eq!(BasicCredentials::parse(value), Err(fault), "{value}");
    }
    for (user, password) in [("a:b", "c"), ("a\n", ""), ("a", "\0")] {
        let credentials = BasicCredentials { user: user.into(), password: password.into() };
        assert_eq!(credentials.to_value(), Err(AuthFault::BadValue));
    }
}

#[test]
fn a_bearer_token_is_a_token68() {
    assert_eq!(bearer_token("Bearer mF_9.B5f-4.1JqM"), Ok("mF_9.B5f-4.1JqM"));
    assert_eq!(bearer_token("bearer  a+/~=="), Ok("a+/~=="));
    for bad in
        ["Bearer", "Bearer ", "Bearer =", "Bearer a=b", "Bearer a b", "Bearer ä", "Bearer a,"]
    {
        assert_eq!(bearer_token(bad), Err(AuthFault::Malformed), "{bad}");
    }
    assert_eq!(bearer_token("Basic a"), Err(AuthFault::OtherScheme));
    assert_eq!(scheme("a\tb"), None);
}

#[test]
fn secrets_are_the_same_if_they_are_equal() {
    assert!(same("", "") && same("a", b"a"));
    assert!(!same("a", "b") && !same("a", "aa") && !same("", "a"));
}

// --- challenges ---

#[test]
fn challenges_are_written_so_that_they_are_one_line() {
    let value = Challenge::basic("a \"b\" \\").to_value().unwrap();
    assert_eq!(value, r#"Basic realm="a \"b\" \\", charset="UTF-8""#);
    let value = Challenge::new("X").plain_parameter("a", "b").parameter("c", "").to_value();
    assert_eq!(value.as_deref(), Ok(r#"X a=b, c="""#));
    assert_eq!(Challenge::new("Negotiate").to_value().as_deref(), Ok("Negotiate"));
    for bad in [
        Challenge::basic("a\r\nX: y"),
        Challenge::new("a b"),
        Challenge::new(""),
        Challenge::new("a").parameter("b c", ""),
        Challenge::new("a").plain_parameter("b", ""),
        Challenge::new("a").plain_parameter("b", "c d"),
    ] {
        assert_eq!(bad.to_value(), Err(AuthFault::BadValue), "{bad:?}");
    }
}

#[test]
fn several_challenges_in_one_field_are_told_apart() {
    let read = |value: &str| Challenge::parse_all(value).unwrap();
    let both = read(r#"Digest realm="a, b", qop="auth, auth-int" , nonce=c,Basic realm="d""#);
    assert_eq!(both.len(), 2);
    assert_eq!((both[0].get("REALM"), both[0].get("nonce")), (Some("a, b"), Some("c")));
    assert_eq!((both[1].scheme(), both[1].get("realm")), ("Basic", Some("d")));
    let mixed = read("Negotiate, NTLM abc=, Basic realm = \"x\",,");
    let tokens: Vec<_> = mixed.iter().map(|each| (each.scheme(), each.token())).collect();
    assert_eq!(tokens, [("Negotiate", None), ("NTLM", Some("abc=")), ("Basic", None)]);
    assert_eq!(mixed[2].get("realm"), Some("x"));
    assert!(read(" ,").is_empty());
    for bad in ["=", "a b c", "a b=\"c", "a b=c d", "a b=c, b=d", "a b=c;d=e", "a \"b\""] {
        assert_eq!(Challenge::parse_all(bad), Err(AuthFault::Malformed), "{bad}");
    }
    assert_eq!(Challenge::parse_all(&"a,".repeat(33)), Err(AuthFault::Malformed));
}

// --- digest: RFC 7616 §3.9 ---

const MUFASA: (&str, &str) = ("Mufasa", "Circle of Life");

/// The value that the RFC's client answers to the RFC's server.
fn mufasa(algorithm: &str) -> String {
    let challenge = format!(
        "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, \
         nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", \
         opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
    );
    let challenge = Challenge::parse_all(&challenge).unwrap().remove(0);
    let challenge = DigestChallenge::from_challenge(&challenge).unwrap();
    let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
    challenge.answer(MUFASA.0, MUFASA.1, ("GET", "/dir/index.html", None), cnonce, 1).unwrap()
}

#[test]
fn the_examples_of_rfc_7616_with_md5_and_sha_256_come_out() {
    for (algorithm, response) in [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ] {
        let credentials = DigestCredentials::parse(&mufasa(algorithm)).unwrap();
        assert_eq!(credentials.response, response);
        assert_eq!(credentials.user, DigestUser::Name("Mufasa".into()));
        assert_eq!((credentials.qop, credentials.count), (Some(Qop::Auth), 1));
        let opaque = "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS";
        assert_eq!(credentials.opaque.as_deref(), Some(opaque));
    }
}

// With the numbers of erratum 4897: those of the RFC are of SHA-512 cut short, which is another function.
#[test]
fn the_example_of_rfc_7616_with_sha_512_256_and_a_hashed_name_comes_out() {
    let challenge = "Digest realm=\"api@example.org\", qop=\"auth\", algorithm=SHA-512-256, \
        nonce=\"5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK\", \
        opaque=\"HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS\", charset=UTF-8, userhash=true";
    let challenge = Challenge::parse_all(challenge).unwrap().remove(0);
    let challenge = DigestChallenge::from_challenge(&challenge).unwrap();
    assert!(challenge.userhash);
    let cnonce = "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v";
    let value = challenge
        .answer("Jäsøn Doe", "Secret, or not?", ("GET", "/doe.json", None), cnonce, 1)
        .unwrap();
    let credentials = DigestCredentials::parse(&value).unwrap();
    let hash = "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b";
    assert_eq!(credentials.user, DigestUser::Hash(hash.into()));
    let response = "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5";
    assert_eq!(credentials.response, response);
}

// RFC 2617 §3.5 and RFC 2069 §2.4 (with its erratum).
#[test]
fn the_examples_of_older_rfcs_come_out() {
    let value = "Digest realm=\"testrealm@host.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\"";
    let answer = |qop: &str| {
        let all = Challenge::parse_all(&format!("{value}{qop}")).unwrap();
        let challenge = DigestChallenge::from_challenge(&all[0]).unwrap();
        let request = ("GET", "/dir/index.html", None);
        let value = challenge.answer("Mufasa", "Circle Of Life", request, "0a4f113b", 1).unwrap();
        DigestCredentials::parse(&value).unwrap()
    };
    let with = answer(", qop=\"auth,auth-int\"");
    assert_eq!(with.response, "6629fae49393a05397450978507c4ef1");
    let without = answer("");
    assert_eq!((without.qop, without.response.len()), (None, 32));
    assert_eq!(without.response, "670fd8c2df070c60b045671b8b24ff02");
}

#[test]
fn credentials_are_read_as_the_rfc_writes_them() {
    let value = "Digest username*=UTF-8''J%C3%A4s%C3%B8n%20Doe, realm=\"api@example.org\", \
        uri=\"/doe.json\", algorithm=SHA-512-256, nonce=\"x\", nc=0000000A, cnonce=\"\\\"y\", \
        qop=auth, response=\"z\", userhash=false";
    let credentials = DigestCredentials::parse(value).unwrap();
    assert_eq!(credentials.user, DigestUser::Name("Jäsøn Doe".into()));
    assert_eq!((credentials.count, credentials.cnonce.as_str()), (10, "\"y"));
    assert_eq!(DigestCredentials::parse(&credentials.to_value().unwrap()), Ok(credentials));
}

#[test]
fn credentials_that_lack_something_are_faults() {
    let whole = mufasa("MD5");
    assert!(DigestCredentials::parse(&whole).is_ok());
    for name in ["username", "realm", "nonce", "uri", "response", "cnonce", "nc"] {
        let value = whole.replacen(&format!("{name}="), &format!("x{name}="), 1);
        assert_eq!(DigestCredentials::parse(&value), Err(AuthFault::Malformed), "{value}");
    }
    for (from, to, fault) in [
        ("algorithm=MD5", "algorithm=MD6", AuthFault::Unknown),
        ("qop=auth", "qop=auth-conf", AuthFault::Unknown),
        ("nc=00000001", "nc=1", AuthFault::Malformed),
        ("nc=00000001", "nc=+0000001", AuthFault::Malformed),
        ("nc=00000001", "nc=0000000g", AuthFault::Malformed),
        ("nc=00000001", "nc=00000001, nc=00000002", AuthFault::Malformed),
        ("nc=00000001", "nc=00000001, userhash=maybe", AuthFault::Malformed),
        ("nc=00000001", "nc=00000001, username*=UTF-8''a", AuthFault::Malformed),
        ("username=\"Mufasa\"", "username*=a", AuthFault::BadText),
        ("Digest ", "Basic ", AuthFault::OtherScheme),
    ] {
        let value = whole.replacen(from, to, 1);
        assert_ne!(value, whole);
        assert_eq!(DigestCredentials::parse(&value), Err(fault), "{value}");
    }
}

// --- digest: a server and a client ---

const REALM: &str = "attic";

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn users() -> DigestUsers {
    DigestUsers::new(REALM).user("Mufasa", "Circle of Life").user("Jäsøn Doe", "Secret, or not?")
}

fn settings() -> DigestSettings {
    DigestSettings::new(REALM)
}

fn server(settings: DigestSettings) -> DigestServer {
    DigestServer::new(settings, [3; 32]).unwrap()
}

const GET: DigestRequest<'static> =
    DigestRequest { method: "GET", target: "/a?b=c", client: b"one", body: None };

/// What it asks for first.
fn asked(
    server: &DigestServer,
    now: Duration,
    random: u8,
    request: &DigestRequest<'_>,
) -> DigestChallenge {
    let values = server.challenges(now, [random; 16], request, false);
    assert_eq!(values.len(), server.settings().algorithms.len());
    let all = Challenge::parse_all(&values[0]).unwrap();
    DigestChallenge::from_challenge(&all[0]).unwrap()
}

fn answered(challenge: &DigestChallenge, request: &DigestRequest<'_>, count: u32) -> String {
    let of = (request.method, request.target, request.body);
    challenge.answer(MUFASA.0, MUFASA.1, of, "client", count).unwrap()
}

fn checked(
    server: &mut DigestServer,
    now: Duration,
    request: &DigestRequest<'_>,
    value: &str,
) -> Result<(), DigestRefusal> {
    let credentials = DigestCredentials::parse(value).unwrap();
    let found = users().find(&credentials.user, credentials.algorithm);
    server.check(now, request, &credentials, found.as_ref().map(|(_, digest)| digest))
}

#[test]
fn who_knows_the_password_is_let_in_with_every_algorithm() {
    for name in ["MD5", "md5-SESS", "SHA-256", "SHA-256-sess", "SHA-512-256", "SHA-512-256-sess"] {
        for (userhash, auth_int) in [(false, false), (true, false), (false, true), (true, true)] {
            let algorithms = vec![DigestAlgorithm::from_name(name).unwrap()];
            let mut server =
                server(DigestSettings { algorithms, userhash, auth_int, ..settings() });
            let request = DigestRequest { method: "POST", body: Some(b"text"), ..GET };
            let challenge = asked(&server, at(1), 0, &request);
            assert_eq!(challenge.qop.contains(&Qop::AuthInt), auth_int);
            for (user, password) in [MUFASA, ("Jäsøn Doe", "Secret, or not?")] {
                let value = challenge
                    .answer(user, password, ("POST", GET.target, request.body), user, 1)
                    .unwrap();
                let credentials = DigestCredentials::parse(&value).unwrap();
                let found = users().find(&credentials.user, credentials.algorithm).unwrap();
                assert_eq!(found.0, user);
                // Of another count, as the nonce is the same for both.
                let outcome = server.check(at(2), &request, &credentials, Some(&found.1));
                let expected = if user == MUFASA.0 { Ok(()) } else { Err(DigestRefusal::Replayed) };
                assert_eq!(outcome, expected, "{name} {value}");
            }
        }
    }
}

#[test]
fn who_does_not_is_not() {
    let mut server = server(settings());
    let challenge = asked(&server, at(1), 0, &GET);
    let of = (GET.method, GET.target, None);
    for (user, password) in [("Mufasa", "circle of life"), ("Scar", "Circle of Life"), ("", "")] {
        let value = challenge.answer(user, password, of, "client", 1).unwrap();
        assert_eq!(checked(&mut server, at(1), &GET, &value), Err(DigestRefusal::Wrong));
    }
    assert_eq!(server.nonces_in_use(), 0);
}

#[test]
fn a_proof_is_for_one_method_target_and_body() {
    let mut server = server(DigestSettings { auth_int: true, ..settings() });
    let request = DigestRequest { body: Some(b"text"), ..GET };
    let value = answered(&asked(&server, at(1), 0, &request), &request, 1);
    for (other, refusal) in [
        (DigestRequest { method: "PUT", ..request }, DigestRefusal::Wrong),
        (DigestRequest { target: "/a?b=d", ..request }, DigestRefusal::Mismatch),
        (DigestRequest { body: Some(b"test"), ..request }, DigestRefusal::Wrong),
        (DigestRequest { body: None, ..request }, DigestRefusal::Mismatch),
    ] {
        assert_eq!(checked(&mut server, at(1), &other, &value), Err(refusal), "{other:?}");
    }
    let proxied = DigestRequest { target: "http://here:80/a?b=c", ..request };
    assert_eq!(checked(&mut server, at(1), &proxied, &value), Ok(()));
}

#[test]
fn what_was_not_offered_is_not_taken() {
    let mut server = server(settings());
    let challenge = asked(&server, at(1), 0, &GET);
    for change in [
        |c: &mut DigestChallenge| c.algorithm = DigestAlgorithm::Sha512_256,
        |c: &mut DigestChallenge| c.algorithm = DigestAlgorithm::Sha256Sess,
        |c: &mut DigestChallenge| c.realm = "cellar".into(),
        |c: &mut DigestChallenge| c.qop = vec![Qop::AuthInt],
        |c: &mut DigestChallenge| c.qop = vec![],
        |c: &mut DigestChallenge| c.opaque = Some("x".into()),
        |c: &mut DigestChallenge| c.userhash = true,
    ] {
        let mut other = challenge.clone();
        change(&mut other);
        let value = answered(&other, &GET, 1);
        assert_eq!(checked(&mut server, at(1), &GET, &value), Err(DigestRefusal::Mismatch));
    }
}

#[test]
fn a_count_is_good_once_in_any_order() {
    let mut server = server(settings());
    let challenge = asked(&server, at(1), 0, &GET);
    let mut take = |count| checked(&mut server, at(1), &GET, &answered(&challenge, &GET, count));
    let replayed = Err(DigestRefusal::Replayed);
    assert_eq!(take(0), replayed);
    for (count, expected) in [
        (2, Ok(())),
        (1, Ok(())),
        (2, replayed),
        (1, replayed),
        (0, replayed),
        (65, Ok(())),
        (3, Ok(())),
        (2, replayed),
        (1, replayed),
        (3, replayed),
        (64, Ok(())),
        (1000, Ok(())),
        (936, replayed),
        (937, Ok(())),
        (u32::MAX, Ok(())),
        (1001, replayed),
        (u32::MAX, replayed),
        (u32::MAX - 63, Ok(())),
        (u32::MAX - 64, replayed),
    ] {
        assert_eq!(take(count), expected, "{count}");
    }
    assert_eq!(server.nonces_in_use(), 1);
    assert!(DigestRefusal::Replayed.is_stale() && !DigestRefusal::Wrong.is_stale());
}

#[test]
fn a_nonce_ends_with_its_life() {
    let mut server = server(settings());
    let value =
        |server: &DigestServer, count| answered(&asked(server, at(10), 0, &GET), &GET, count);
    let (first, second, third) = (value(&server, 1), value(&server, 2), value(&server, 3));
    assert_eq!(
        checked(&mut server, at(9), &GET, &first),
        Err(DigestRefusal::Stale),
        "not made yet"
    );
    assert_eq!(checked(&mut server, at(10), &GET, &first), Ok(()));
    assert_eq!(checked(&mut server, at(310), &GET, &second), Ok(()));
    assert_eq!(checked(&mut server, at(311), &GET, &third), Err(DigestRefusal::Stale));
    assert_eq!(checked(&mut server, at(311), &GET, &first), Err(DigestRefusal::Stale));
}

#[test]
fn a_nonce_that_is_not_ours_is_stale_only_for_who_knows_the_password() {
    let mut ours = server(settings());
    let theirs = DigestServer::new(settings(), [4; 32]).unwrap();
    let mut challenge = asked(&theirs, at(1), 0, &GET);
    let value = answered(&challenge, &GET, 1);
    assert_eq!(checked(&mut ours, at(1), &GET, &value), Err(DigestRefusal::Stale));
    let wrong = challenge.answer("Mufasa", "x", ("GET", GET.target, None), "c", 1).unwrap();
    assert_eq!(checked(&mut ours, at(1), &GET, &wrong), Err(DigestRefusal::Wrong));
    for nonce in ["", "x", &"A".repeat(54), &"A".repeat(100_000), "ä"] {
        challenge.nonce = nonce.into();
        let value = answered(&challenge, &GET, 1);
        assert_eq!(checked(&mut ours, at(1), &GET, &value), Err(DigestRefusal::Stale));
    }
    // One bit of ours.
    let good = asked(&ours, at(1), 0, &GET);
    for at_byte in 0..good.nonce.len() {
        let mut bytes = good.nonce.clone().into_bytes();
        bytes[at_byte] = if bytes[at_byte] == b'A' { b'B' } else { b'A' };
        challenge.nonce = String::from_utf8(bytes).unwrap();
        let value = answered(&challenge, &GET, 1);
        assert_eq!(checked(&mut ours, at(1), &GET, &value), Err(DigestRefusal::Stale));
    }
    assert_eq!(ours.nonces_in_use(), 0);
}

#[test]
fn nonces_may_be_bound_to_an_address_and_a_path() {
    let others = [
        DigestRequest { client: b"two", ..GET },
        DigestRequest { target: "/other", ..GET },
        DigestRequest { target: "/a?another=query", ..GET },
    ];
    for (bind_address, bind_path, good) in [
        (false, false, [true, true, true]),
        (true, false, [false, true, true]),
        (false, true, [true, false, true]),
    ] {
        let mut server = server(DigestSettings { bind_address, bind_path, ..settings() });
        let challenge = asked(&server, at(1), 0, &GET);
        for (count, (request, good)) in others.iter().zip(good).enumerate() {
            let value = answered(&challenge, request, count as u32 + 1);
            let expected = if good { Ok(()) } else { Err(DigestRefusal::Stale) };
            assert_eq!(checked(&mut server, at(1), request, &value), expected, "{request:?}");
        }
    }
}

#[test]
fn the_table_of_nonces_is_bounded_and_what_falls_out_is_never_taken_again() {
    let mut server = server(DigestSettings { nonces: 4, ..settings() });
    let challenges: Vec<_> =
        (0..10).map(|n| asked(&server, at(u64::from(n) + 1), n, &GET)).collect();
    assert_eq!(server.nonces_in_use(), 0, "who only asks costs nothing");
    for challenge in &challenges[2..] {
        let value = answered(challenge, &GET, 1);
        assert_eq!(checked(&mut server, at(20), &GET, &value), Ok(()));
        assert!(server.nonces_in_use() <= 4);
    }
    for (n, challenge) in challenges.iter().enumerate() {
        // Those that have fallen out, and those as old that were never used.
        let again = checked(&mut server, at(20), &GET, &answered(challenge, &GET, 1));
        let expected = if n < 6 { DigestRefusal::Stale } else { DigestRefusal::Replayed };
        assert_eq!(again, Err(expected), "{n}");
        let next = checked(&mut server, at(20), &GET, &answered(challenge, &GET, 2));
        assert_eq!(next.is_ok(), n >= 6, "{n}");
    }
    // What is over makes room without that.
    let late = asked(&server, at(400), 0, &GET);
    assert_eq!(checked(&mut server, at(400), &GET, &answered(&late, &GET, 1)), Ok(()));
    assert_eq!(server.nonces_in_use(), 1);
}

#[test]
fn nonces_differ_as_their_randomness_does() {
    let server = server(settings());
    let [one, two, same] = [0, 1, 0].map(|random| asked(&server, at(1), random, &GET).nonce);
    assert!(one != two && one == same);
}

#[test]
fn challenges_offer_what_is_set() {
    let server = server(DigestSettings {
        opaque: Some("x\"y".into()),
        userhash: true,
        auth_int: true,
        ..settings()
    });
    let body = DigestRequest { body: Some(b""), ..GET };
    let values = server.challenges(at(1), [0; 16], &body, true);
    let rest = r#", opaque="x\"y", charset=UTF-8, userhash=true, stale=true"#;
    assert_eq!(values.len(), 2);
    for (value, algorithm) in values.iter().zip(["SHA-256", "MD5"]) {
        let start = format!(
            "Digest realm=\"attic\", qop=\"auth, auth-int\", algorithm={algorithm}, nonce=\""
        );
        assert!(value.starts_with(&start) && value.ends_with(rest), "{value}");
    }
    for bad in [
        DigestSettings { algorithms: vec![], ..settings() },
        DigestSettings { realm: "\n".into(), ..settings() },
        DigestSettings { opaque: Some("\0".into()), ..settings() },
    ] {
        assert!(DigestServer::new(bad, [0; 32]).is_err());
    }
}

#[test]
fn hashes_of_passwords_do_instead_of_passwords() {
    let hex = "3d78807defe7de2157e2b0b6573a855f";
    let digest = UserDigest::from_hex(DigestAlgorithm::Md5, &hex.to_uppercase()).unwrap();
    assert_eq!(digest.hex(), hex);
    assert!(!format!("{digest:?}").contains(hex));
    let md5 = DigestAlgorithm::Md5Sess;
    for bad in ["", "3d", &hex.replace('3', "x"), &hex.repeat(2)] {
        assert_eq!(UserDigest::from_hex(md5, bad), None);
    }
    let users = DigestUsers::new("http-auth@example.org").hashed("Mufasa", digest.clone());
    let name = DigestUser::Name("Mufasa".into());
    assert_eq!(users.find(&name, md5), Some(("Mufasa".into(), digest)));
    assert_eq!(users.find(&name, DigestAlgorithm::Sha256), None);
}

proptest! {
    #[test]
    fn whatever_comes_is_read_or_refused(text in "[ -~é\t]{0,60}") {
        for value in [text.clone(), format!("Basic {text}"), format!("Digest {text}"), format!("Bearer {text}")] {
            let _ = BasicCredentials::parse(&value);
            let _ = bearer_token(&value);
            let _ = DigestCredentials::parse(&value);
            if let Ok(all) = Challenge::parse_all(&value) {
                let written: Vec<_> = all.iter().map(|each| each.to_value().unwrap()).collect();
                // All but whether there were quotes.
                let again = Challenge::parse_all(&written.join(", ")).unwrap();
                prop_assert_eq!(again, all);
            }
        }
    }

    #[test]
    fn basic_is_read_as_it_was_written(user in "[^:\\p{Cc}]{0,9}", password in "\\PC{0,9}") {
        let credentials = BasicCredentials { user, password };
        let value = credentials.to_value().unwrap();
        prop_assert_eq!(BasicCredentials::parse(&value), Ok(credentials));
    }

    #[test]
    fn a_digest_is_taken_whatever_the_names_are(
        user in "\\PC{0,9}", password in ".{0,9}", realm in "\\PC{0,9}", cnonce in "\\PC{0,9}",
        hashed in any::<bool>(), count in 1u32..,
    ) {
        let algorithms = vec![DigestAlgorithm::Sha256Sess];
        let settings = DigestSettings { algorithms, userhash: hashed, ..DigestSettings::new(&realm) };
        let mut server = DigestServer::new(settings, [3; 32]).unwrap();
        let challenge = asked(&server, at(1), 0, &GET);
        let value = challenge.answer(&user, &password, ("GET", GET.target, None), &cnonce, count).unwrap();
        let credentials = DigestCredentials::parse(&value).unwrap();
        let users = DigestUsers::new(&realm).user(&user, &password);
        let (name, digest) = users.find(&credentials.user, credentials.algorithm).unwrap();
        prop_assert_eq!(name, user);
        prop_assert_eq!(server.check(at(1), &GET, &credentials, Some(&digest)), Ok(()));
    }
}
