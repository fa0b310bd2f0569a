// Forms in gathered bodies.

use crate::talking::*;

/// Routes that say what was in a form.
fn echoes(limits: FormLimits) -> Routes {
    let answer = move |ev: &mut EvLoop, form: Result<Form, FormError>, reply: Reply| match form {
        Ok(form) => reply.text(ev, said(&form)),
        Err(error) => reply.error(ev, error.status()),
    };
    Routes::new()
        .post("/", move |ev: &mut EvLoop, request: Request, reply: Reply| {
            answer(ev, request.form(&limits), reply)
        })
        .any("/all", move |ev: &mut EvLoop, request: Request, reply: Reply| {
            answer(ev, request.form_with_query(&limits), reply)
        })
}

fn said(form: &Form) -> String {
    let mut said = String::new();
    for field in form.fields() {
        said.push_str(&format!("{}={};", field.name(), field.text()));
    }
    for file in form.files() {
        let bytes = String::from_utf8_lossy(file.bytes().unwrap());
        let (name, kind) = (file.filename(), file.content_type());
        said.push_str(&format!("{}:{name:?}:{kind:?}:{}:{bytes};", file.name(), file.len()));
    }
    said
}

fn send(path: &str, kind: &str, body: &str) -> String {
    let fields = format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len());
    request("POST", path, &fields, body)
}

const URLENCODED: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data; boundary=cut";

fn part(disposition: &str, data: &str) -> String {
    format!("--cut\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{data}\r\n")
}

#[test]
fn both_encodings_come_to_the_same() {
    let mut ev = ev();
    let (_, mut client) = one_client(&mut ev, echoes(FormLimits::default()));
    let asked = send("/", URLENCODED, "a=1+%262&b=&a=3&&c");
    assert_eq!(client.ask(&mut ev, asked).text(), "a=1 &2;b=;a=3;c=;");
    let parts = [("a", "1 &2"), ("b", ""), ("a", "3"), ("c", "")];
    let body: String = parts.iter().map(|(n, v)| part(&format!("name={n}"), v)).collect();
    let asked = send("/", MULTIPART, &(body + "--cut--"));
    assert_eq!(client.ask(&mut ev, asked).text(), "a=1 &2;b=;a=3;c=;");
}

#[test]
fn files_are_in_memory() {
    let mut ev = ev();
    let (_, mut client) = one_client(&mut ev, echoes(FormLimits::default()));
    let body = part("name=f; filename=\"a.txt\"", "hello")
        + "--cut\r\nContent-Disposition: form-data; name=g; filename=\"\"\r\nContent-Type: a/b\r\n\r\n\r\n--cut--";
    let asked = send("/", MULTIPART, &body);
    let expected = r#"f:Some("a.txt"):None:5:hello;g:Some(""):Some("a/b"):0:;"#;
    assert_eq!(client.ask(&mut ev, asked).text(), expected);
}

#[test]
fn query_and_body_are_read_together() {
    let mut ev = ev();
    let (_, mut client) = one_client(&mut ev, echoes(FormLimits::default()));
    let asked = send("/all?a=1&b=2", URLENCODED, "a=3");
    assert_eq!(client.ask(&mut ev, asked).text(), "a=1;b=2;a=3;");
    assert_eq!(client.ask(&mut ev, request("POST", "/all?a=1", "", "")).text(), "a=1;");
    assert_eq!(client.ask(&mut ev, post("/all?a=1", "b=2")).status, 415);
}

/// Some clients say what their bodies are where they have none.
#[test]
fn without_a_body_the_query_is_all_there_is_of_whatever_type() {
    let mut ev = ev();
    let (_, mut client) = one_client(&mut ev, echoes(FormLimits::default()));
    for kind in [URLENCODED, MULTIPART, "application/json"] {
        let asked = request("GET", "/all?a=1", &format!("Content-Type: {kind}\r\n"), "");
        assert_eq!(client.ask(&mut ev, asked).text(), "a=1;", "{kind}");
    }
    // One that has nothing in it is a body.
    assert_eq!(client.ask(&mut ev, send("/all?a=1", "application/json", "")).status, 415);
    assert_eq!(client.ask(&mut ev, send("/all?a=1", MULTIPART, "")).status, 400);
}

#[test]
fn what_is_no_form_is_415_and_what_is_malformed_400() {
    let mut ev = ev();
    let (_, mut client) = one_client(&mut ev, echoes(FormLimits::default()));
    assert_eq!(client.ask(&mut ev, post("/", "a=1")).status, 415);
    for kind in ["text/plain", "multipart/form-data", "a\r\nContent-Type: b", "\u{FF}"] {
        assert_eq!(client.ask(&mut ev, send("/", kind, "a=1")).status, 415, "{kind}");
    }
    assert_eq!(
        client.ask(&mut ev, send("/", "multipart/form-data; boundary=\"@\"", "")).status,
        400
    );
    for body in ["", "x", "--cut\r\n\r\n\r\n--cut--", &part("name=a", "1")] {
        assert_eq!(client.ask(&mut ev, send("/", MULTIPART, body)).status, 400, "{body}");
    }
}

#[test]
fn what_is_beyond_a_limit_is_413() {
    let mut ev = ev();
    let limits =
        FormLimits { parts: 2, pairs: 2, field: 8, file: 10, total: 400, ..FormLimits::default() };
    let (_, mut client) = one_client(&mut ev, echoes(limits));
    let mut status = |kind, body: &str| client.ask(&mut ev, send("/", kind, body)).status;
    assert_eq!(status(URLENCODED, "a=1&b=2"), 200);
    assert_eq!(status(URLENCODED, "a=1&b=2&c=3"), 413);
    assert_eq!(status(URLENCODED, "a=%31234567"), 200);
    assert_eq!(status(URLENCODED, "a=%312345678"), 413);
    assert_eq!(status(URLENCODED, &"&".repeat(400)), 200);
    assert_eq!(status(URLENCODED, &"&".repeat(401)), 413);
    let form = |data: &str, times| part("name=a", data).repeat(times) + "--cut--";
    assert_eq!(status(MULTIPART, &form("12345678", 2)), 200);
    assert_eq!(status(MULTIPART, &form("123456789", 1)), 413);
    assert_eq!(status(MULTIPART, &form("", 3)), 413);
    let file = |data: &str| part("name=a; filename=b", data) + "--cut--";
    assert_eq!(status(MULTIPART, &file("1234567890")), 200);
    assert_eq!(status(MULTIPART, &file("12345678901")), 413);
}

#[test]
fn memory_is_bounded_however_small_the_fields_are() {
    let mut ev = ev();
    let limits = FormLimits { memory: 1000, ..FormLimits::default() };
    let (_, mut client) = one_client(&mut ev, echoes(limits));
    let asked = send("/all", URLENCODED, &"a&".repeat(20));
    assert_eq!(client.ask(&mut ev, asked).status, 413);
    let asked = send("/", MULTIPART, &(part("name=a; filename=b", &"x".repeat(1001)) + "--cut--"));
    assert_eq!(client.ask(&mut ev, asked).status, 413);
}

#[test]
fn bytes_that_are_no_text_are_kept() {
    let mut ev = ev();
    let routes = Routes::new().post("/", |ev: &mut EvLoop, request: Request, reply: Reply| {
        let form = request.form(&FormLimits::default()).unwrap();
        let field = &form.fields()[0];
        assert_eq!((field.text(), form.get("a")), ("x\u{FFFD}", Some("x\u{FFFD}")));
        reply.bytes(ev, "a/b", field.bytes())
    });
    let (_, mut client) = one_client(&mut ev, routes);
    let body = b"--cut\r\nContent-Disposition: form-data; name=a\r\n\r\nx\xFF\r\n--cut--";
    let head = format!("Content-Type: {MULTIPART}\r\nContent-Length: {}\r\n", body.len());
    client.send(request("POST", "/", &head, ""));
    client.send(body);
    assert_eq!(client.reply(&mut ev).body, b"x\xFF");
}
