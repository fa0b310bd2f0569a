// Who is let in, and what others are answered.

use std::process::{Command, Stdio};

use evloop::http::auth::*;
use evloop::wire::auth::{BasicCredentials, DigestChallenge, Qop};

use crate::talking::*;

/// Routes that say who has asked.
fn names() -> Routes {
    let answer = |ev: &mut EvLoop, request: Request, reply: Reply| {
        reply.text(ev, format!("{} {}", request.user().unwrap_or("-"), request.body().len()))
    };
    Routes::new().get("/", answer).post("/", answer)
}

fn basic() -> Basic {
    Basic::users("attic", [("Aladdin", "open sesame"), ("Jäsøn", "Secret, or not?")])
}

fn bearer() -> Bearer {
    Bearer::new("api", |token| same(token, "letmein").then(|| "robot".to_owned()))
}

fn digest_with(change: impl FnOnce(&mut DigestSettings)) -> Digest {
    let mut settings = DigestSettings::new("attic");
    change(&mut settings);
    let users = DigestUsers::new("attic").user("Mufasa", "Circle of Life");
    Digest::new(settings, users).unwrap()
}

fn digest() -> Digest {
    digest_with(|_| {})
}

fn with(credentials: &str) -> String {
    request("GET", "/", &format!("Authorization: {credentials}\r\n"), "")
}

fn basic_value(user: &str, password: &str) -> String {
    BasicCredentials { user: user.into(), password: password.into() }.to_value().unwrap()
}

/// The values of `WWW-Authenticate`.
fn challenges(answer: &Answer) -> Vec<&str> {
    let of = answer.fields.iter().filter(|(name, _)| name == "WWW-Authenticate");
    of.map(|(_, value)| value.as_str()).collect()
}

/// The last digest that is asked for.
fn asked(answer: &Answer) -> DigestChallenge {
    let all: Vec<_> = challenges(answer)
        .into_iter()
        .flat_map(|value| Challenge::parse_all(value).unwrap())
        .collect();
    DigestChallenge::from_challenge(all.last().unwrap()).unwrap()
}

fn mufasa(challenge: &DigestChallenge, count: u32) -> String {
    challenge.answer("Mufasa", "Circle of Life", ("GET", "/", None), "client", count).unwrap()
}

#[test]
fn a_guard_lets_in_who_knows_the_password() {
    let mut ev = ev();
    let (_, mut client) = one_client(&mut ev, names().before(basic().guard()));
    let asked = client.ask(&mut ev, get("/"));
    let expected = r#"Basic realm="attic", charset="UTF-8""#;
    assert_eq!((asked.status, challenges(&asked)), (401, vec![expected]));
    for (user, password, status) in [
        ("Aladdin", "open sesame", 200),
        ("Jäsøn", "Secret, or not?", 200),
        ("Aladdin", "Secret, or not?", 401),
        ("Aladdin", "", 401),
        ("", "open sesame", 401),
    ] {
        let answer = client.ask(&mut ev, with(&basic_value(user, password)));
        assert_eq!(answer.status, status, "{user} {password}");
        if status == 200 {
            assert_eq!(answer.text(), format!("{user} 0"));
        }
    }
}

#[test]
fn what_is_malformed_is_let_in_nowhere() {
    let mut ev = ev();
    let either = AnyOf::new().digest(digest()).basic(basic());
    let (_, mut client) = one_client(&mut ev, names().before(either.guard()));
    let good = basic_value("Aladdin", "open sesame");
    let long = format!("Digest username={}", "a".repeat(7000));
    for bad in ["", "Basic", "Basic !", "Digest", "Digest a=b", "\u{FF}", "Bearer x", &long] {
        assert_eq!(client.ask(&mut ev, with(bad)).status, 401, "{bad}");
    }
    let twice =
        request("GET", "/", &format!("Authorization: {good}\r\nAuthorization: {good}\r\n"), "");
    assert_eq!(client.ask(&mut ev, twice).status, 401);
    assert_eq!(client.ask(&mut ev, with(&good)).status, 200);
}

#[test]
fn the_user_is_in_the_record_of_the_request() {
    let mut ev = ev();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let users = Rc::clone(&seen);
    let routes = names().before(basic().guard()).on_completed(move |_, completed| {
        users.borrow_mut().push(completed.request.user.as_deref().map(str::to_owned));
    });
    let (_, mut client) = one_client(&mut ev, routes);
    client.ask(&mut ev, with(&basic_value("Aladdin", "open sesame")));
    client.ask(&mut ev, get("/"));
    settle(&mut ev);
    assert_eq!(*seen.borrow(), [Some("Aladdin".to_owned()), None]);
}

#[test]
fn a_body_is_not_asked_for_from_who_is_not_let_in() {
    let mut ev = ev();
    let (_, mut client) = one_client(&mut ev, names().before(basic().guard()));
    let head = "Content-Length: 5\r\nExpect: 100-continue\r\n";
    assert_eq!(client.ask(&mut ev, request("POST", "/", head, "")).status, 401);
}

#[test]
fn a_check_in_a_handler_is_for_that_handler() {
    let mut ev = ev();
    let basic = basic();
    let routes =
        names().get("/secret", move |ev: &mut EvLoop, mut request: Request, reply: Reply| {
            let Some(reply) = basic.check(ev, &mut request, reply) else { return Ok(()) };
            reply.text(ev, format!("for {}", request.user().unwrap()))
        });
    let (_, mut client) = one_client(&mut ev, routes);
    assert_eq!(client.ask(&mut ev, get("/")).text(), "- 0");
    assert_eq!(client.ask(&mut ev, get("/secret")).status, 401);
    let value = format!("Authorization: {}\r\n", basic_value("Aladdin", "open sesame"));
    assert_eq!(client.ask(&mut ev, request("GET", "/secret", &value, "")).text(), "for Aladdin");
}

#[test]
fn a_token_is_whoever_s_it_is() {
    let mut ev = ev();
    let (_, mut client) = one_client(&mut ev, names().before(bearer().guard()));
    assert_eq!(client.ask(&mut ev, with("Bearer letmein")).text(), "robot 0");
    for (credentials, status, challenge) in [
        ("Basic YTpi", 401, r#"Bearer realm="api""#),
        ("Bearer other", 401, r#"Bearer realm="api", error="invalid_token""#),
        ("Bearer a b", 400, r#"Bearer realm="api", error="invalid_request""#),
    ] {
        let answer = client.ask(&mut ev, with(credentials));
        assert_eq!((answer.status, challenges(&answer)), (status, vec![challenge]));
    }
}

#[test]
fn one_of_several_ways_is_enough() {
    let mut ev = ev();
    let any = AnyOf::new().bearer(bearer()).basic(basic()).digest(digest());
    let (_, mut client) = one_client(&mut ev, names().before(any.guard()));
    let answer = client.ask(&mut ev, get("/"));
    let schemes: Vec<_> =
        challenges(&answer).iter().map(|value| value.split(' ').next().unwrap()).collect();
    assert_eq!(schemes, ["Bearer", "Basic", "Digest", "Digest"]);
    assert_eq!(client.ask(&mut ev, with("Bearer letmein")).text(), "robot 0");
    assert_eq!(client.ask(&mut ev, with(&basic_value("Aladdin", "open sesame"))).status, 200);
    assert_eq!(client.ask(&mut ev, with(&mufasa(&asked(&answer), 1))).text(), "Mufasa 0");
}

#[test]
fn a_realm_that_cannot_be_sent_is_500() {
    let mut ev = ev();
    let routes = names().before(Basic::new("a\r\nX: y", |_, _| true).guard());
    let (_, mut client) = one_client(&mut ev, routes);
    assert_eq!(client.ask(&mut ev, get("/")).status, 500);
    let settings = DigestSettings::new("a\r\nX: y");
    let error = Digest::new(settings, DigestUsers::new("a\r\nX: y")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let error = Digest::new(DigestSettings::new("a"), DigestUsers::new("b")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn a_digest_is_good_once_and_its_nonce_for_a_while() {
    let mut ev = ev();
    let (_, mut client) = one_client(&mut ev, names().before(digest().guard()));
    let first = client.ask(&mut ev, get("/"));
    assert_eq!((first.status, challenges(&first).len()), (401, 2));
    let nonce = asked(&first);
    assert!(!nonce.stale && nonce.nonce != asked(&client.ask(&mut ev, get("/"))).nonce);
    assert_eq!(client.ask(&mut ev, with(&mufasa(&nonce, 1))).text(), "Mufasa 0");
    let again = client.ask(&mut ev, with(&mufasa(&nonce, 1)));
    assert!(again.status == 401 && asked(&again).stale, "{again:?}");
    assert_eq!(client.ask(&mut ev, with(&mufasa(&nonce, 2))).status, 200);
    let wrong = nonce.answer("Mufasa", "x", ("GET", "/", None), "c", 3).unwrap();
    let refused = client.ask(&mut ev, with(&wrong));
    assert!(refused.status == 401 && !asked(&refused).stale);

    // While the connection is in use it is not closed for being idle.
    for _ in 0..7 {
        pass(&mut ev, secs(50));
        client.ask(&mut ev, get("/"));
    }
    let late = client.ask(&mut ev, with(&mufasa(&nonce, 3)));
    assert!(late.status == 401 && asked(&late).stale);
    assert_eq!(client.ask(&mut ev, with(&mufasa(&asked(&late), 1))).status, 200);
}

#[test]
fn a_digest_protects_a_body_where_that_is_there() {
    let mut ev = ev();
    let digest = digest_with(|settings| settings.auth_int = true);
    let guard = digest.clone();
    let answer = move |ev: &mut EvLoop, mut request: Request, reply: Reply| {
        let Some(reply) = digest.check(ev, &mut request, reply) else { return Ok(()) };
        reply.text(ev, request.user().unwrap())
    };
    let mut guarding = guard.guard();
    let routes = Routes::new().post("/", answer).before(move |ev, request, reply| {
        if request.path() == "/guarded" { guarding(ev, request, reply) } else { Some(reply) }
    });
    let (_, mut client) = one_client(&mut ev, routes);
    let offered = asked(&client.ask(&mut ev, post("/", "text")));
    assert_eq!(offered.qop.len(), 2);
    let value = |body: &str, count| {
        let of = ("POST", "/", Some(body.as_bytes()));
        offered.answer("Mufasa", "Circle of Life", of, "client", count).unwrap()
    };
    let mut send = |body: &str, value: &str| {
        let fields = format!("Content-Length: {}\r\nAuthorization: {value}\r\n", body.len());
        client.ask(&mut ev, request("POST", "/", &fields, body)).status
    };
    assert_eq!(send("text", &value("text", 1)), 200);
    assert_eq!(send("test", &value("text", 2)), 401);
    assert_eq!(send("", &value("", 3)), 200);
    // In front of the body nobody can look at it.
    let guarded = asked(&client.ask(&mut ev, post("/guarded", "text")));
    assert_eq!(guarded.qop, [Qop::Auth]);
}

#[test]
fn users_may_be_looked_up_elsewhere() {
    let mut ev = ev();
    let hex = UserDigest::new(DigestAlgorithm::Sha256, "Mufasa", "attic", "Circle of Life");
    let settings = DigestSettings {
        algorithms: vec![DigestAlgorithm::Sha256Sess],
        ..DigestSettings::new("attic")
    };
    let looked_up = Digest::looking_up(settings, move |user, algorithm| {
        assert_eq!(algorithm, DigestAlgorithm::Sha256Sess);
        let known = *user == DigestUser::Name("Mufasa".into());
        known.then(|| ("The King".to_owned(), hex.clone()))
    });
    let (_, mut client) = one_client(&mut ev, names().before(looked_up.unwrap().guard()));
    let nonce = asked(&client.ask(&mut ev, get("/")));
    assert_eq!(client.ask(&mut ev, with(&mufasa(&nonce, 1))).text(), "The King 0");
}

#[test]
fn curl_logs_in() {
    let mut ev = live_ev();
    let digest = digest_with(|settings| {
        settings.bind_address = true;
        settings.bind_path = true;
        settings.opaque = Some("\"x".into());
    });
    let md5 = digest_with(|settings| settings.algorithms = vec![DigestAlgorithm::Md5Sess]);
    let mut guards = [basic().guard()];
    let mut bearing = bearer().guard();
    let (mut digesting, mut old) = (digest.guard(), md5.guard());
    let routes = names()
        .get("/#", |ev: &mut EvLoop, request: Request, reply: Reply| {
            reply.text(ev, request.user().unwrap())
        })
        .post("/#", |ev: &mut EvLoop, request: Request, reply: Reply| {
            reply.text(ev, format!("{} {}", request.user().unwrap(), request.body().len()))
        })
        .before(move |ev, request, reply| match request.path() {
            "/basic" => guards[0](ev, request, reply),
            "/bearer" => bearing(ev, request, reply),
            "/md5" => old(ev, request, reply),
            _ => digesting(ev, request, reply),
        });
    let server = ev.http_server("127.0.0.1:0", routes).unwrap();
    let port = server.addresses(&ev)[0].port().unwrap();
    let mufasa = "Mufasa:Circle of Life";
    for (args, path, expected) in [
        (vec!["--basic", "-u", "Jäsøn:Secret, or not?"], "basic", "Jäsøn"),
        (vec!["--anyauth", "-u", "Aladdin:open sesame"], "basic", "Aladdin"),
        (vec!["-f", "--basic", "-u", "Aladdin:x"], "basic", ""),
        (vec!["--oauth2-bearer", "letmein"], "bearer", "robot"),
        (vec!["--digest", "-u", mufasa], "digest?a=b&c", "Mufasa"),
        (vec!["--anyauth", "-u", mufasa], "md5", "Mufasa"),
        (vec!["--digest", "-u", mufasa, "-d", "some text"], "digest/b", "Mufasa 9"),
        (vec!["-f", "--digest", "-u", "Mufasa:x"], "digest", ""),
    ] {
        let child = Command::new("curl")
            .args(["-s", "--noproxy", "*", "-m", "20"])
            .args(&args)
            .arg(format!("http://127.0.0.1:{port}/{path}"))
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else {
            println!("not tried: there is no curl");
            return;
        };
        while child.try_wait().unwrap().is_none() {
            ev.turn(Some(ms(5))).unwrap();
        }
        let said = child.wait_with_output().unwrap().stdout;
        assert_eq!(String::from_utf8_lossy(&said), expected, "{args:?}");
    }
}
