//! Cookies, as `wire` reads and writes them: net-and-http-server.md 3.10, RFC 6265; reliability.md R1, R2, R18, R20.

use std::time::{Duration, SystemTime};

use evloop::wire::cookie::{self, COOKIES_MAX, CookieFault, SameSite, SetCookie};
use proptest::prelude::*;

fn read(value: &str) -> Vec<(&str, &str)> {
    cookie::parse(value.as_bytes()).collect()
}

// --- read ---

#[test]
fn cookies_are_read_in_order_and_repeats_are_kept() {
    assert_eq!(read("a=1; b=2; a=3"), [("a", "1"), ("b", "2"), ("a", "3")]);
    assert_eq!(read(""), []);
}

#[test]
fn spaces_and_quotes_do_not_matter() {
    let all = [("a", "1"), ("b", "2 3"), ("c", "\"")];
    assert_eq!(read("a=1;b=2 3;c=\""), all);
    assert_eq!(read(" \ta = 1 ;; ;b=\"2 3\" ;c=\"\"\""), all);
}

#[test]
fn a_value_goes_on_to_the_semicolon() {
    assert_eq!(read("a=b=c==, d; e"), [("a", "b=c==, d"), ("e", "")]);
}

#[test]
fn what_has_no_name_is_skipped() {
    assert_eq!(read("=1; ;a=1; =;;"), [("a", "1")]);
}

#[test]
fn what_is_no_text_is_skipped() {
    let all: Vec<_> = cookie::parse(b"a=\xFF; \xFE=1; b=2").collect();
    assert_eq!(all, [("b", "2")]);
}

#[test]
fn reading_ends_at_the_limit() {
    let many = "a=1;".repeat(COOKIES_MAX + 1);
    let mut cookies = cookie::parse(many.as_bytes());
    assert_eq!(cookies.by_ref().count(), COOKIES_MAX);
    assert!(cookies.is_cut());
    let mut two = cookie::parse(b"a=1; b=2; ;").limit(2);
    assert_eq!(two.by_ref().count(), 2);
    assert!(!two.is_cut());
}

// --- written ---

fn written(cookie: SetCookie) -> Result<String, CookieFault> {
    cookie.to_value()
}

#[test]
fn all_attributes_are_written() {
    let cookie = SetCookie::new("id", "a3fWa")
        .path("/docs")
        .domain("example.org")
        .max_age(Duration::from_millis(61_999))
        .expires(SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777))
        .secure()
        .http_only()
        .same_site(SameSite::None)
        .partitioned();
    assert_eq!(
        written(cookie).unwrap(),
        "id=a3fWa; Path=/docs; Domain=example.org; Max-Age=61; Expires=Sun, 06 Nov 1994 08:49:37 GMT; \
         Secure; HttpOnly; SameSite=None; Partitioned"
    );
}

#[test]
fn a_cookie_is_removed_by_one_that_is_over() {
    let removal = SetCookie::removal("id").path("/");
    assert_eq!(
        written(removal).unwrap(),
        "id=; Path=/; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"
    );
}

#[test]
fn bytes_that_do_not_belong_there_are_faults() {
    for name in ["", "a b", "a=", "a;", "ä", "a\r\n", "a,"] {
        assert_eq!(written(SetCookie::new(name, "x")), Err(CookieFault::BadName), "{name:?}");
    }
    for value in
        ["a b", "a;b", "a,b", "a\"b", "\"", "a\\b", "ä", "a\r\nSet-Cookie: b=c", "\0", "\x7F"]
    {
        assert_eq!(written(SetCookie::new("a", value)), Err(CookieFault::BadValue), "{value:?}");
    }
    assert_eq!(written(SetCookie::new("a", "\"b\"")).unwrap(), "a=\"b\"");
    for path in ["", "a", "/a;b", "/\n", "/ä", "/\t"] {
        let cookie = SetCookie::new("a", "x").path(path);
        assert_eq!(written(cookie), Err(CookieFault::BadPath), "{path:?}");
    }
    for domain in ["", ".", "a b", "a;b", "a\r\n", "ä.org", "a,b"] {
        let cookie = SetCookie::new("a", "x").domain(domain);
        assert_eq!(written(cookie), Err(CookieFault::BadDomain), "{domain:?}");
    }
}

#[test]
fn what_is_too_long_for_clients_is_a_fault() {
    assert!(written(SetCookie::new("a", "x".repeat(4095))).is_ok());
    assert_eq!(written(SetCookie::new("a", "x".repeat(4096))), Err(CookieFault::TooLong));
    let path = |len| SetCookie::new("a", "").path(format!("/{}", "x".repeat(len)));
    assert!(written(path(1023)).is_ok());
    assert_eq!(written(path(1024)), Err(CookieFault::TooLong));
}

#[test]
fn prefixes_are_promises() {
    for name in ["__Secure-a", "__Host-a", "__secure-a", "__hOST-a"] {
        let cookie = SetCookie::new(name, "x").path("/");
        assert_eq!(written(cookie.clone()), Err(CookieFault::NotSecure), "{name}");
        assert!(written(cookie.secure()).is_ok());
    }
    let host = SetCookie::new("__Host-a", "x").secure();
    assert_eq!(written(host.clone()), Err(CookieFault::NotOfHost));
    assert_eq!(written(host.clone().path("/a")), Err(CookieFault::NotOfHost));
    let domain = host.path("/").domain("example.org");
    assert_eq!(written(domain), Err(CookieFault::NotOfHost));
}

#[test]
fn what_other_sites_cause_is_for_secure_cookies() {
    let cookie = SetCookie::new("a", "x").same_site(SameSite::None);
    assert_eq!(written(cookie.clone()), Err(CookieFault::NotSecure));
    assert_eq!(written(cookie.secure()).unwrap(), "a=x; Secure; SameSite=None");
    let cookie = SetCookie::new("a", "x").partitioned();
    assert_eq!(written(cookie), Err(CookieFault::NotSecure));
}

proptest! {
    #[test]
    fn what_is_written_is_read(pairs in prop::collection::vec(("[!#-'*+.0-9A-Z^-z|~-]{1,8}", "[!#-+./-:<-\\[\\]-~-]{0,8}"), 0..9)) {
        let values: Result<Vec<_>, _> =
            pairs.iter().map(|(n, v)| SetCookie::new(n, v).to_value()).collect();
        let sent = values.unwrap().join("; ");
        let expected: Vec<_> = pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        prop_assert_eq!(read(&sent), expected);
    }

    #[test]
    fn whatever_comes_is_read(value in prop::collection::vec(any::<u8>(), 0..200)) {
        for (name, value) in cookie::parse(&value) {
            prop_assert!(!name.is_empty() && !name.contains([';', '=']) && !value.contains(';'));
        }
    }

    #[test]
    fn whatever_is_set_is_one_line_or_a_fault(name in ".{0,9}", value in ".{0,9}", path in ".{0,9}") {
        if let Ok(text) = SetCookie::new(name, value).path(path).to_value() {
            prop_assert_eq!(text.matches(';').count(), 1);
            prop_assert!(text.bytes().all(|byte| (0x20..0x7F).contains(&byte)));
        }
    }
}
