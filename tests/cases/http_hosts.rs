// Hosts of one server, and hooks that are about some of its paths.

use crate::talking::*;

fn says(text: &'static str) -> impl FnMut(&mut EvLoop, Request, Reply) -> Result<()> {
    move |ev, _, reply| reply.text(ev, text)
}

fn of(host: &str, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")
}

#[track_caller]
fn texts(ev: &mut EvLoop, client: &mut Client, expected: &[(&str, &str, u16, &str)]) {
    for &(host, path, status, text) in expected {
        let answer = client.ask(ev, of(host, path));
        let line = answer.text().trim_end().to_owned();
        assert_eq!((answer.status, line.as_str()), (status, text), "{path} of {host}");
    }
}

#[test]
fn each_host_has_its_own_routes_and_shares_those_around_them() {
    let mut ev = ev();
    let one = Routes::new().get("/", says("one")).get("/only", says("one only"));
    let two = Routes::new().get("/", says("two"));
    let routes = Routes::new()
        .get("/all", says("all"))
        .host(["one.org", "www.one.org"], one)
        .host(["*.two.org"], two)
        .get("/", says("nobody's"));
    let (_, mut client) = one_client(&mut ev, routes);
    texts(
        &mut ev,
        &mut client,
        &[
            ("one.org", "/", 200, "one"),
            ("WWW.One.Org:8080", "/", 200, "one"),
            ("one.org", "/only", 200, "one only"),
            ("one.org", "/all", 200, "all"),
            ("a.two.org", "/", 200, "two"),
            ("a.b.two.org.", "/", 200, "two"),
            ("a.two.org", "/only", 404, "404 Not Found"),
            ("two.org", "/", 200, "nobody's"),
            ("else.org", "/", 200, "nobody's"),
            ("", "/", 200, "nobody's"),
        ],
    );
}

#[test]
fn the_host_of_an_absolute_target_counts() {
    let mut ev = ev();
    let routes = Routes::new().host(["one.org"], Routes::new().get("/", says("one")));
    let (_, mut client) = one_client(&mut ev, routes);
    let asked = "GET http://one.org/ HTTP/1.1\r\nHost: else.org\r\n\r\n";
    assert_eq!(client.ask(&mut ev, asked).text(), "one");
}

#[test]
fn a_hosts_fallback_answers_instead_of_those_around_it() {
    let mut ev = ev();
    let own = Routes::new().get("/a", says("a")).fallback(says("own fallback"));
    let routes = Routes::new().host(["one.org"], own).get("/b", says("b")).fallback(says("last"));
    let (_, mut client) = one_client(&mut ev, routes);
    texts(
        &mut ev,
        &mut client,
        &[
            ("one.org", "/a", 200, "a"),
            ("one.org", "/b", 200, "own fallback"),
            ("else.org", "/b", 200, "b"),
            ("else.org", "/a", 200, "last"),
        ],
    );
}

#[test]
fn a_method_that_a_host_does_not_have_is_405_with_its_own() {
    let mut ev = ev();
    let own = Routes::new().post("/a", says("posted"));
    let routes = Routes::new().host(["one.org"], own).get("/a", says("got"));
    let (_, mut client) = one_client(&mut ev, routes);
    let answer = client.ask(&mut ev, of("one.org", "/a"));
    assert_eq!((answer.status, answer.field("allow")), (405, Some("POST, OPTIONS")));
    assert_eq!(client.ask(&mut ev, of("else.org", "/a")).text(), "got");
}

#[test]
fn hooks_and_pages_of_a_host_are_about_it_alone() {
    let mut ev = ev();
    let own = Routes::new()
        .get("/", says("one"))
        .before(|_, _, reply| Some(reply.header("X-Before", "one")))
        .after(|_, _, response| {
            *response = std::mem::take(response).header("X-After", "one");
        })
        .error_page(|_, status, _| Some(Response::text(format!("one has no page: {status}"))));
    let routes = Routes::new()
        .before(|_, _, reply| Some(reply.header("X-Before-All", "yes")))
        .host(["one.org"], own)
        .get("/", says("else"))
        .error_page(|_, status, _| Some(Response::text(format!("nobody has: {status}"))));
    let (_, mut client) = one_client(&mut ev, routes);
    let answer = client.ask(&mut ev, of("one.org", "/"));
    let fields = ["x-before", "x-after", "x-before-all"].map(|name| answer.field(name).is_some());
    assert_eq!(fields, [true; 3], "{answer:?}");
    let answer = client.ask(&mut ev, of("else.org", "/"));
    let fields = ["x-before", "x-after", "x-before-all"].map(|name| answer.field(name).is_some());
    assert_eq!(fields, [false, false, true], "{answer:?}");
    let expected = [
        ("one.org", "/x", 404, "one has no page: 404 Not Found"),
        ("else.org", "/x", 404, "nobody has: 404 Not Found"),
    ];
    texts(&mut ev, &mut client, &expected);
}

#[test]
fn names_that_cannot_be_and_hooks_about_all_are_errors_of_listening() {
    let mut ev = ev();
    let wrong = [
        Routes::new().host(["a b"], Routes::new()),
        Routes::new().host(["a.org:80"], Routes::new()),
        Routes::new().host(["a.org", "A.ORG"], Routes::new()),
        Routes::new().host(["a.org"], Routes::new().on_completed(|_, _| {})),
        Routes::new().host(["a.org"], Routes::new().host(["b.org"], Routes::new())),
        Routes::new().host(["a.org"], Routes::new().get("no slash", says(""))),
        Routes::new().before_at("no slash", |_, _, reply| Some(reply)),
    ];
    for routes in wrong {
        let error = ServerOptions::new().unbound(&mut ev, routes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:#}");
    }
}

#[test]
fn a_hook_for_some_paths_is_called_for_those_decoded() {
    let mut ev = ev();
    let routes = Routes::new()
        .before_at("/admin/#", |ev, _, reply| {
            reply.status(Status::FORBIDDEN).text(ev, "not you").ok();
            None
        })
        .before_at("/exact", |_, _, reply| Some(reply.header("X-Exact", "yes")))
        .fallback(says("come in"));
    let (_, mut client) = one_client(&mut ev, routes);
    texts(
        &mut ev,
        &mut client,
        &[
            ("here", "/admin/x", 403, "not you"),
            ("here", "/%61dmin/x/y", 403, "not you"),
            ("here", "/public/../admin/x", 403, "not you"),
            ("here", "/administrator", 200, "come in"),
            ("here", "/admin", 200, "come in"),
        ],
    );
    assert_eq!(client.ask(&mut ev, get("/exact")).field("x-exact"), Some("yes"));
    assert_eq!(client.ask(&mut ev, get("/exact/")).field("x-exact"), None);
}

#[test]
fn a_host_of_many_labels_costs_no_more_than_its_length() {
    let mut ev = ev();
    let routes = Routes::new()
        .host(["*.example.org"], Routes::new().get("/", says("below")))
        .get("/", says("nobody's"));
    let (_, mut client) = one_client(&mut ev, routes);
    let name = "a.".repeat(30_000);
    let begun = Instant::now();
    for _ in 0..4 {
        assert_eq!(client.ask(&mut ev, of(&name, "/")).text(), "nobody's");
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    // The longest that is a name still finds its host.
    let name = format!("{}.example.org", "a.".repeat(120).trim_end_matches('.'));
    assert_eq!(client.ask(&mut ev, of(&name, "/")).text(), "below");
}
