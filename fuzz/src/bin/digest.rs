//! Log-ins: what is read is written and read the same, nobody is let in who does not know the password, who does
//! is, and each count is good once.

#![no_main]

use std::collections::HashSet;
use std::time::Duration;

use evloop::wire::auth::{
    BasicCredentials, Challenge, DigestAlgorithm, DigestChallenge, DigestCredentials,
    DigestRefusal, DigestRequest, DigestServer, DigestSettings, DigestUsers, bearer_token,
};
use libfuzzer_sys::fuzz_target;

const NOW: Duration = Duration::from_secs(1);
const GET: DigestRequest<'static> =
    DigestRequest { method: "GET", target: "/a?b", client: b"", body: None };

fuzz_target!(|input: &[u8]| {
    counts(input);
    let Ok(text) = std::str::from_utf8(input) else { return };
    for value in [text.to_owned(), format!("Digest {text}"), format!("Basic {text}")] {
        credentials(&value);
    }
    let mut parts = text.splitn(4, '\n');
    let mut next = || parts.next().unwrap_or_default();
    whoever_knows(next(), next(), next(), next());
});

fn credentials(value: &str) {
    if let Ok(all) = Challenge::parse_all(value) {
        let written: Vec<_> =
            all.iter().map(|each| each.to_value().expect("it was read")).collect();
        assert_eq!(Challenge::parse_all(&written.join(", ")).as_deref(), Ok(all.as_slice()));
        for challenge in &all {
            let _ = DigestChallenge::from_challenge(challenge);
        }
    }
    if let Ok(basic) = BasicCredentials::parse(value) {
        let written = basic.to_value().expect("it was read");
        assert_eq!(BasicCredentials::parse(&written), Ok(basic));
    }
    if let Ok(token) = bearer_token(value) {
        assert!(token.bytes().all(|byte| byte.is_ascii_graphic()));
    }
    let Ok(digest) = DigestCredentials::parse(value) else { return };
    let written = digest.to_value().expect("it was read");
    let again = DigestCredentials::parse(&written).expect("it was written");
    assert_eq!(
        (&again.user, &again.nonce, &again.uri, again.count),
        (&digest.user, &digest.nonce, &digest.uri, digest.count)
    );
    // Who has guessed it has also guessed a nonce.
    let mut server = server("attic", DigestAlgorithm::Md5);
    let users = DigestUsers::new("attic").user("a", "b");
    let found = users.find(&digest.user, digest.algorithm);
    let found = found.as_ref().map(|(_, digest)| digest);
    assert!(server.check(NOW, &GET, &digest, found).is_err());
    assert_eq!(server.nonces_in_use(), 0);
}

fn server(realm: &str, algorithm: DigestAlgorithm) -> DigestServer {
    let settings = DigestSettings {
        algorithms: vec![algorithm],
        userhash: realm.len() % 2 == 1,
        ..DigestSettings::new(realm)
    };
    DigestServer::new(settings, [7; 32]).expect("a realm that can be sent")
}

fn asked(server: &DigestServer) -> DigestChallenge {
    let value = server.challenges(NOW, [1; 16], &GET, false).remove(0);
    let all = Challenge::parse_all(&value).expect("it was written");
    DigestChallenge::from_challenge(&all[0]).expect("it was written")
}

fn whoever_knows(user: &str, password: &str, realm: &str, cnonce: &str) {
    let has_control = |text: &str| text.chars().any(char::is_control);
    if has_control(user) || has_control(realm) || has_control(cnonce) {
        return;
    }
    let mut server = server(realm, DigestAlgorithm::Sha256Sess);
    let challenge = asked(&server);
    let users = DigestUsers::new(realm).user(user, password);
    let mut check = |password: &str, count| {
        let request = ("GET", GET.target, None);
        let value = challenge.answer(user, password, request, cnonce, count).expect("it can be");
        let credentials = DigestCredentials::parse(&value).expect("it was written");
        let (name, digest) = users.find(&credentials.user, credentials.algorithm).expect("a user");
        assert_eq!(name, user);
        server.check(NOW, &GET, &credentials, Some(&digest))
    };
    assert_eq!(check(&format!("{password}x"), 1), Err(DigestRefusal::Wrong));
    assert_eq!(check(password, 1), Ok(()));
    assert_eq!(check(password, 1), Err(DigestRefusal::Replayed));
    assert_eq!(check(password, 2), Ok(()));
}

/// Two bytes are a count each.
fn counts(input: &[u8]) {
    let mut server = server("attic", DigestAlgorithm::Md5);
    let challenge = asked(&server);
    let users = DigestUsers::new("attic").user("a", "b");
    let (mut used, mut highest) = (HashSet::new(), 0);
    for pair in input.chunks_exact(2).take(200) {
        let count = u32::from(pair[0] & 3) << 8 | u32::from(pair[1]);
        let request = ("GET", GET.target, None);
        let value = challenge.answer("a", "b", request, "c", count).expect("it can be");
        let credentials = DigestCredentials::parse(&value).expect("it was written");
        let (_, digest) = users.find(&credentials.user, credentials.algorithm).expect("a user");
        let is_good = count > 0 && count + 63 >= highest && used.insert(count);
        highest = highest.max(count);
        let expected = if is_good { Ok(()) } else { Err(DigestRefusal::Replayed) };
        assert_eq!(server.check(NOW, &GET, &credentials, Some(&digest)), expected, "{count}");
    }
}
