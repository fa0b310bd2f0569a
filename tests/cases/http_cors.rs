// Pages of other origins.

use crate::talking::*;

const ORIGIN: &str = "https://app.example.org";

fn from(origin: &str, fields: &str) -> String {
    request("GET", "/", &format!("Origin: {origin}\r\n{fields}"), "")
}

fn preflight(path: &str, origin: &str, fields: &str) -> String {
    let fields =
        format!("Origin: {origin}\r\nAccess-Control-Request-Method: PUT\r\n{fields}");
    request("OPTIONS", path, &fields, "")
}

#[test]
fn what_is_public_is_for_all_and_does_not_vary() {
    let mut ev = ev();
    let (_, mut client) = one_client(&mut ev, hello().cors(Cors::any().expose(["X-A", "X-B"])));
    for asked in [get("/"), from(ORIGIN, ""), from("null", "")] {
        let answer = client.ask(&mut ev, asked);
        assert_eq!(answer.text(), "hello");
        assert_eq!(answer.field("access-control-allow-origin"), Some("*"));
        assert_eq!(answer.field("access-control-expose-headers"), Some("X-A, X-B"));
        assert_eq!(answer.field("access-control-allow-credentials"), None);
        assert_eq!(answer.field("vary"), None);
    }
}

#[test]
fn an_origin_that_may_is_named_and_the_reply_varies() {
    let mut ev = ev();
    let cors = Cors::origins([ORIGIN, "http://localhost:3000"]).credentials().expose(["X-A"]);
    let (_, mut client) = one_client(&mut ev, hello().cors(cors));
    for origin in [ORIGIN, "http://localhost:3000"] {
        let answer = client.ask(&mut ev, from(origin, ""));
        assert_eq!(answer.text(), "hello");
        assert_eq!(answer.field("access-control-allow-origin"), Some(origin));
        assert_eq!(answer.field("access-control-allow-credentials"), Some("true"));
        assert_eq!(answer.field("access-control-expose-headers"), Some("X-A"));
        assert_eq!(answer.field("vary"), Some("Origin"));
    }
}

#[test]
fn an_origin_that_may_not_is_not_named_and_the_reply_varies_too() {
    let mut ev = ev();
    let (_, mut client) = one_client(&mut ev, hello().cors(Cors::origins([ORIGIN]).credentials()));
    for origin in [
        "https://evil.example",
        "https://app.example.org.evil.example",
        "https://app.example.org:8443",
        "http://app.example.org",
        "https://app.example.or",
        "null",
        "*",
        "https://app.example.org/",
        "https://app.example.org, https://evil.example",
        "https://app.example.org\r\nOrigin: https://evil.example",
    ] {
        let answer = client.ask(&mut ev, from(origin, ""));
        assert_eq!(answer.text(), "hello");
        assert_eq!(answer.field("access-control-allow-origin"), None, "{origin}");
        assert_eq!(answer.field("access-control-allow-credentials"), None);
        assert_eq!(answer.field("vary"), Some("Origin"));
    }
    let answer = client.ask(&mut ev, get("/"));
    assert_eq!((answer.field("access-control-allow-origin"), answer.field("vary")), (None, Some("Origin")));
}

#[test]
fn a_preflight_is_answered_also_where_there_is_no_handler_for_it() {
    let mut ev = ev();
    let cors = Cors::origins([ORIGIN])
        .methods([Method::GET, Method::PUT])
        .headers(["Content-Type", "X-Token"])
        .credentials()
        .max_age(secs(600));
    let (_, mut client) = one_client(&mut ev, hello().cors(cors));
    for path in ["/", "/none"] {
        let answer = client.ask(&mut ev, preflight(path, ORIGIN, ""));
        assert_eq!((answer.status, answer.body.len()), (204, 0));
        assert_eq!(answer.field("access-control-allow-origin"), Some(ORIGIN));
        assert_eq!(answer.field("access-control-allow-methods"), Some("GET, PUT"));
        assert_eq!(answer.field("access-control-allow-headers"), Some("Content-Type, X-Token"));
        assert_eq!(answer.field("access-control-allow-credentials"), Some("true"));
        assert_eq!(answer.field("access-control-max-age"), Some("600"));
        assert_eq!(answer.field("access-control-expose-headers"), None);
        assert!(answer.field("vary").unwrap().starts_with("Origin, Access-Control-Request-Method"));
    }
}

#[test]
fn a_preflight_from_an_origin_that_may_not_is_403() {
    let mut ev = ev();
    let (_, mut client) = one_client(&mut ev, hello().cors(Cors::origins([ORIGIN])));
    let answer = client.ask(&mut ev, preflight("/", "https://evil.example", ""));
    assert_eq!(answer.status, 403);
    assert_eq!(answer.field("access-control-allow-origin"), None);
    assert_eq!(answer.field("access-control-allow-methods"), None);
    assert!(answer.field("vary").is_some());
}

#[test]
fn options_that_are_no_preflight_are_as_without() {
    let mut ev = ev();
    let (_, mut client) = one_client(&mut ev, hello().cors(Cors::origins([ORIGIN])));
    let answer = client.ask(&mut ev, request("OPTIONS", "/", "", ""));
    assert_eq!((answer.status, answer.field("allow")), (204, Some("GET, HEAD, OPTIONS")));
    let origin = format!("Origin: {ORIGIN}\r\n");
    let answer = client.ask(&mut ev, request("OPTIONS", "/", &origin, ""));
    assert_eq!(answer.field("allow"), Some("GET, HEAD, OPTIONS"));
    assert_eq!(answer.field("access-control-allow-origin"), Some(ORIGIN));
}

#[test]
fn what_was_asked_for_is_said_where_anything_may_be() {
    let mut ev = ev();
    let cors = Cors::matching(|origin| origin.ends_with(".example.org")).credentials();
    let routes = hello().cors(cors.any_method().any_header());
    let (_, mut client) = one_client(&mut ev, routes);
    let fields = "Access-Control-Request-Headers: x-a, x-b\r\n";
    let answer = client.ask(&mut ev, preflight("/", ORIGIN, fields));
    assert_eq!(answer.field("access-control-allow-methods"), Some("PUT"));
    assert_eq!(answer.field("access-control-allow-headers"), Some("x-a, x-b"));
    for bad in ["x a", "x,", "x;y", "\"x\""] {
        let fields = format!("Access-Control-Request-Headers: {bad}\r\n");
        let answer = client.ask(&mut ev, preflight("/", ORIGIN, &fields));
        assert_eq!((answer.status, answer.field("access-control-allow-headers")), (204, None));
    }
    // Nobody is asked about what is many a page's.
    assert_eq!(client.ask(&mut ev, preflight("/", "null", "")).status, 403);
}

#[test]
fn a_private_network_is_open_only_if_that_is_said_and_asked() {
    let mut ev = ev();
    let fields = "Access-Control-Request-Private-Network: true\r\n";
    let name = "access-control-allow-private-network";
    let (_, mut client) = one_client(&mut ev, hello().cors(Cors::any()));
    assert_eq!(client.ask(&mut ev, preflight("/", ORIGIN, fields)).field(name), None);
    let (_, mut client) = one_client(&mut ev, hello().cors(Cors::any().private_network()));
    assert_eq!(client.ask(&mut ev, preflight("/", ORIGIN, fields)).field(name), Some("true"));
    assert_eq!(client.ask(&mut ev, preflight("/", ORIGIN, "")).field(name), None);
}

#[test]
fn errors_and_streams_can_be_seen_by_pages_too() {
    let mut ev = ev();
    let routes = Routes::new()
        .cors(Cors::any())
        .before_at("/secret", |ev, _, reply| {
            reply.error(ev, Status::UNAUTHORIZED).ok();
            None
        })
        .get("/stream", |ev: &mut EvLoop, _, reply: Reply| {
            let stream = reply.stream(ev, BodyLength::Unknown)?;
            stream.write(ev, "x")?;
            stream.end(ev)
        });
    let (_, mut client) = one_client(&mut ev, routes);
    for (path, status) in [("/none", 404), ("/secret", 401), ("/stream", 200)] {
        let answer = client.ask(&mut ev, get(path));
        assert_eq!(answer.status, status);
        assert_eq!(answer.field("access-control-allow-origin"), Some("*"), "{path}");
    }
}

#[test]
fn what_cannot_be_is_an_error_of_listening() {
    let mut ev = ev();
    for cors in [
        Cors::any().credentials(),
        Cors::origins(["https://example.org/"]),
        Cors::origins(["example.org"]),
        Cors::origins(["https://"]),
        Cors::origins(["*"]),
        Cors::origins(["https://a b"]),
        Cors::any().headers(["a\r\nb"]),
        Cors::any().expose(["a b"]),
    ] {
        let error = ServerOptions::new().unbound(&mut ev, hello().cors(cors)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}
