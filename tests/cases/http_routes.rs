// Who answers what.

use crate::talking::*;

/// Routes that answer with a name.
fn names(method: Method, pattern: &str, name: &'static str, routes: Routes) -> Routes {
    routes.on(method, pattern, move |ev: &mut EvLoop, _, reply: Reply| reply.text(ev, name))
}

/// What `path` is answered, in the words of its captures.
fn captures(pattern: &str, path: &str) -> (u16, String) {
    let mut ev = ev();
    let routes = Routes::new().get(pattern, |ev: &mut EvLoop, request: Request, reply: Reply| {
        let all: Vec<&str> = (0..).map_while(|n| request.capture(n)).collect();
        reply.text(ev, all.join("|"))
    });
    let (_, mut client) = one_client(&mut ev, routes);
    let answer = client.ask(&mut ev, get(path));
    (answer.status, if answer.status == 200 { answer.text().to_owned() } else { String::new() })
}

#[test]
fn an_exact_path_is_found() {
    let mut ev = ev();
    let (_, mut client) = one_client(&mut ev, hello());
    let answer = client.ask(&mut ev, get("/"));
    assert_eq!((answer.line.as_str(), answer.text()), ("HTTP/1.1 200 OK", "hello"));
    assert_eq!(answer.field("content-length"), Some("5"));
    assert_eq!(answer.field("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(answer.field("connection"), None);
    assert_eq!(client.ask(&mut ev, get("/other")).status, 404);
    assert_eq!(client.ask(&mut ev, get("/?a=b")).text(), "hello");
}

#[test]
fn a_named_capture_is_one_segment() {
    let mut ev = ev();
    let routes = Routes::new().get("/a/{x}/{y}", |ev: &mut EvLoop, request: Request, reply: Reply| {
        let of = |name| request.param(name).unwrap_or("none").to_owned();
        reply.text(ev, format!("{} {} {}", of("x"), of("y"), of("z")))
    });
    let (_, mut client) = one_client(&mut ev, routes);
    assert_eq!(client.ask(&mut ev, get("/a/1/2")).text(), "1 2 none");
    assert_eq!(client.ask(&mut ev, get("/a/1%20/%C3%A4?q")).text(), "1  ä none");
    assert_eq!(client.ask(&mut ev, get("/a/1/2/3")).status, 404);
    assert_eq!(client.ask(&mut ev, get("/a/1")).status, 404);
    assert_eq!(client.ask(&mut ev, get("/a/1/")).status, 404);
}

#[test]
fn a_star_stays_in_its_segment_and_a_hash_does_not() {
    assert_eq!(captures("/img/*.png", "/img/cat.png"), (200, "cat".into()));
    assert_eq!(captures("/img/*.png", "/img/a/cat.png").0, 404);
    assert_eq!(captures("/img/*.png", "/img/cat.gif").0, 404);
    assert_eq!(captures("/files/#", "/files/a/b/c"), (200, "a/b/c".into()));
    assert_eq!(captures("/files/#", "/filed/a").0, 404);
    assert_eq!(captures("/{who}/*-*/#", "/me/a-b/c/d"), (200, "me|a|b|c/d".into()));
}

#[test]
fn a_slash_that_is_escaped_separates_nothing() {
    assert_eq!(captures("/a/{x}", "/a/b%2Fc"), (200, "b%2Fc".into()));
    assert_eq!(captures("/a/{x}", "/a/b%2fc").0, 200);
}

#[test]
fn dots_are_taken_out_before_a_route_is_looked_for() {
    assert_eq!(captures("/a/{x}", "/z/../a/./b"), (200, "b".into()));
    assert_eq!(captures("/a/{x}", "/z/%2e%2e/a/b"), (200, "b".into()));
    assert_eq!(captures("/a/{x}", "/../a/b").0, 400);
    assert_eq!(captures("/a/{x}", "/a/%zz").0, 400);
    assert_eq!(captures("/a/{x}", "/a/%00").0, 400);
}

#[test]
fn exact_wins_over_patterns_and_the_first_pattern_over_later_ones() {
    let mut ev = ev();
    let routes = names(Method::GET, "/a/{x}", "first", Routes::new());
    let routes = names(Method::GET, "/a/*", "second", routes);
    let routes = names(Method::GET, "/a/b", "exact", routes);
    let (_, mut client) = one_client(&mut ev, routes);
    assert_eq!(client.ask(&mut ev, get("/a/b")).text(), "exact");
    assert_eq!(client.ask(&mut ev, get("/a/c")).text(), "first");
}

#[test]
fn head_is_answered_by_get_without_the_body() {
    let mut ev = ev();
    let seen = Log::new();
    let notes = seen.clone();
    let routes = Routes::new().get("/", move |ev: &mut EvLoop, request: Request, reply: Reply| {
        notes.push(request.method().clone());
        reply.text(ev, "hello")
    });
    let (_, mut client) = one_client(&mut ev, routes);
    client.send(request("HEAD", "/", "", ""));
    let head = client.reply_to(&mut ev, "HEAD");
    assert_eq!((head.status, head.field("content-length")), (200, Some("5")));
    assert_eq!(client.ask(&mut ev, get("/")).text(), "hello");
    assert_eq!(seen.take(), [Method::HEAD, Method::GET]);
}

#[test]
fn head_has_a_handler_of_its_own_if_it_is_given_one() {
    let mut ev = ev();
    let routes = Routes::new()
        .on(Method::HEAD, "/", |ev: &mut EvLoop, _, reply: Reply| {
            reply.header("X-Own", "yes").header("Content-Length", "77").empty(ev)
        })
        .get("/", |ev: &mut EvLoop, _, reply: Reply| reply.text(ev, "hello"));
    let (_, mut client) = one_client(&mut ev, routes);
    client.send(request("HEAD", "/", "", ""));
    let head = client.reply_to(&mut ev, "HEAD");
    assert_eq!((head.field("x-own"), head.field("content-length")), (Some("yes"), Some("77")));
}

#[test]
fn another_method_is_405_and_told_which_there_are() {
    let mut ev = ev();
    let routes = names(Method::POST, "/a", "posted", names(Method::GET, "/a", "got", Routes::new()));
    let (_, mut client) = one_client(&mut ev, routes);
    let answer = client.ask(&mut ev, request("DELETE", "/a", "", ""));
    assert_eq!(answer.status, 405);
    let mut allowed: Vec<_> = answer.field("allow").unwrap().split(", ").collect();
    allowed.sort_unstable();
    assert_eq!(allowed, ["GET", "HEAD", "OPTIONS", "POST"]);
    assert!(!answer.closes());
    assert_eq!(client.ask(&mut ev, get("/a")).text(), "got");
}

#[test]
fn options_says_which_methods_there_are() {
    let mut ev = ev();
    let (_, mut client) = one_client(&mut ev, names(Method::PUT, "/a", "put", hello()));
    let answer = client.ask(&mut ev, request("OPTIONS", "/a", "", ""));
    assert_eq!((answer.status, answer.field("allow")), (204, Some("PUT, OPTIONS")));
    assert_eq!(answer.field("content-length"), None);
    assert_eq!(client.ask(&mut ev, request("OPTIONS", "/none", "", "")).status, 404);
}

#[test]
fn options_has_a_handler_of_its_own_if_it_is_given_one() {
    let mut ev = ev();
    let (_, mut client) = one_client(&mut ev, names(Method::OPTIONS, "/", "own", hello()));
    assert_eq!(client.ask(&mut ev, request("OPTIONS", "/", "", "")).text(), "own");
}

#[test]
fn options_of_the_whole_server_is_204() {
    let mut ev = ev();
    let (_, mut client) = one_client(&mut ev, hello());
    assert_eq!(client.ask(&mut ev, request("OPTIONS", "*", "", "")).status, 204);
    assert_eq!(client.ask(&mut ev, get("/")).status, 200);
}

#[test]
fn an_unknown_method_is_501() {
    let mut ev = ev();
    for path in ["/", "/nowhere"] {
        let (_, mut client) = one_client(&mut ev, hello());
        let answer = client.ask(&mut ev, request("FROB", path, "", ""));
        assert_eq!(answer.status, 501);
    }
}

#[test]
fn a_method_that_a_route_names_is_known() {
    let mut ev = ev();
    let frob = Method::from_bytes(b"FROB").unwrap();
    let (_, mut client) = one_client(&mut ev, names(frob, "/", "frobbed", Routes::new()));
    assert_eq!(client.ask(&mut ev, request("FROB", "/", "", "")).text(), "frobbed");
}

#[test]
fn connect_and_trace_are_always_refused() {
    let mut ev = ev();
    for method in ["TRACE / ", "CONNECT here:80 "] {
        let routes = Routes::new()
            .any("/", |ev: &mut EvLoop, _, reply: Reply| reply.text(ev, "any"))
            .fallback(|ev: &mut EvLoop, _, reply: Reply| reply.text(ev, "any"));
        let (_, mut client) = one_client(&mut ev, routes);
        let answer = client.ask(&mut ev, format!("{method}HTTP/1.1\r\nHost: here:80\r\n\r\n"));
        assert!([405, 501].contains(&answer.status));
        assert!(!answer.text().contains("any"));
    }
}

#[test]
fn only_methods_of_the_allow_list_are_known() {
    let mut ev = ev();
    let options = ServerOptions::new().methods([Method::GET]);
    let routes = Routes::new().any("/", |ev: &mut EvLoop, _, reply: Reply| reply.text(ev, "any"));
    let (_, mut client) = one_client_with(&mut ev, options, routes);
    assert_eq!(client.ask(&mut ev, get("/")).text(), "any");
    assert_eq!(client.ask(&mut ev, post("/", "x")).status, 501);
}

#[test]
fn any_answers_what_no_other_does() {
    let mut ev = ev();
    let routes =
        Routes::new().any("/", |ev: &mut EvLoop, _, reply: Reply| reply.text(ev, "any"));
    let (_, mut client) = one_client(&mut ev, names(Method::GET, "/", "got", routes));
    assert_eq!(client.ask(&mut ev, get("/")).text(), "got");
    assert_eq!(client.ask(&mut ev, post("/", "x")).text(), "any");
}

#[test]
fn the_fallback_answers_what_nobody_else_does() {
    let mut ev = ev();
    let routes = hello().fallback(|ev: &mut EvLoop, request: Request, reply: Reply| {
        let text = format!("no {} {}", request.path(), request.body().len());
        reply.status(Status::GONE).text(ev, text)
    });
    let (_, mut client) = one_client(&mut ev, routes);
    let answer = client.ask(&mut ev, post("/x", "four"));
    assert_eq!((answer.status, answer.text()), (410, "no /x 4"));
    assert_eq!(client.ask(&mut ev, get("/")).text(), "hello");
    assert_eq!(client.ask(&mut ev, post("/", "")).status, 405);
}

#[test]
fn a_pattern_that_cannot_be_is_an_error_of_listen() {
    let mut ev = ev();
    for pattern in ["", "no-slash", "/{", "/{a}/{a}", "/{}"] {
        let wrong = names(Method::GET, pattern, "x", hello());
        let error = ev.http_server("127.0.0.1:0", wrong).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{pattern}");
    }
    let twice = names(Method::GET, "/", "x", hello());
    assert_eq!(ev.http_server("127.0.0.1:0", twice).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn an_absolute_target_names_the_host() {
    let mut ev = ev();
    let routes = Routes::new().get("/a", |ev: &mut EvLoop, request: Request, reply: Reply| {
        reply.text(ev, format!("{} {}", request.host().unwrap_or(""), request.path()))
    });
    let (_, mut client) = one_client(&mut ev, routes);
    assert_eq!(client.ask(&mut ev, get("http://there:81/a?b")).text(), "there:81 /a");
    assert_eq!(client.ask(&mut ev, get("/a")).text(), "here /a");
}

#[test]
fn a_request_tells_all_that_it_was_sent() {
    let mut ev = ev();
    let routes = Routes::new().post("/{a}/x", |ev: &mut EvLoop, request: Request, reply: Reply| {
        assert_eq!(request.target(), "/%61%20b/x?one=1&two=%26&one=3");
        assert_eq!((request.path(), request.raw_path()), ("/a b/x", "/%61%20b/x"));
        assert_eq!(request.query(), Some("one=1&two=%26&one=3"));
        assert_eq!(request.query_value("two").as_deref(), Some("&"));
        assert_eq!(request.query_pairs().count(), 3);
        assert_eq!((request.param("a"), request.capture(0)), (Some("a b"), Some("a b")));
        assert_eq!(request.header("x-NAME"), Some("value"));
        assert_eq!(request.fields().get_all("x-name").count(), 2);
        assert_eq!(request.content_type(), Some("application/x-www-form-urlencoded"));
        assert_eq!(request.content_length(), Some(7));
        let form: Vec<_> = request.form_pairs().map(|(a, b)| format!("{a}:{b}")).collect();
        assert_eq!(form, ["a:b c", "d:"]);
        assert_eq!(request.version(), Version::Http11);
        reply.empty(ev)
    });
    let (_, mut client) = one_client(&mut ev, routes);
    let fields = "X-Name: value\r\nX-NAME: other\r\nContent-Length: 7\r\n\
                  Content-Type: application/x-www-form-urlencoded\r\n";
    let asked = request("POST", "/%61%20b/x?one=1&two=%26&one=3", fields, "a=b+c&d");
    assert_eq!(client.ask(&mut ev, asked).status, 200);
}
