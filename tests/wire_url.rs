//! Paths, queries, forms, HTML and header parameters: `wire`'s readers of text that a peer wrote.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use evloop::wire::urlencoded::{
    Form, PAIRS_MAX, encode, parse, parse_strict, percent_decode, percent_encode_component,
};
use evloop::wire::{Fault, decode_path, html, parameters};
use proptest::prelude::*;

fn decoded(cases: &[(&str, &str)]) {
    for (raw, path) in cases {
        assert_eq!(decode_path(raw).as_deref(), Ok(*path), "{raw}");
    }
}

fn refused(fault: Fault, cases: &[&str]) {
    for raw in cases {
        assert_eq!(decode_path(raw), Err(fault), "{raw}");
    }
}

fn borrowed(cases: &[&str]) {
    for raw in cases {
        let path = decode_path(raw).unwrap();
        assert!(matches!(path, Cow::Borrowed(path) if path == *raw), "{raw}");
    }
}

#[test]
fn a_path_with_nothing_to_do_is_borrowed() {
    borrowed(&["/", "/plaintext", "/a/b/c", "//", "//a///b/", "/a\\b", "/a+b", "/style.css", "*"]);
    borrowed(&[
        "/.hidden",
        "/...",
        "/a..",
        "/..a/b",
        "/a./.b",
        "/1234567.",
        "/12345678.9",
        "/a.b/c.d/..e",
    ]);
}

#[test]
fn an_empty_path_is_the_root() {
    decoded(&[("", "/")]);
}

#[test]
fn what_does_not_begin_with_a_slash_is_no_path() {
    refused(Fault::BadTarget, &["a", "a/b", "**", "*/", ".", "..", "%2f", "http://x/"]);
}

#[test]
fn escapes_are_decoded_once() {
    decoded(&[
        ("/%41", "/A"),
        ("/a%20b", "/a b"),
        ("/%C3%A9", "/é"),
        ("/%c3%a9", "/é"),
        ("/%25", "/%"),
        ("/%2541", "/%41"),
        ("/%252e%252e/x", "/%2e%2e/x"),
        ("/%3f%23", "/?#"),
        ("/%0d%0a", "/\r\n"),
        ("/a%2Bb+c", "/a+b+c"),
    ]);
}

#[test]
fn an_escaped_slash_is_no_separator() {
    decoded(&[
        ("/a%2fb", "/a%2Fb"),
        ("/a%2Fb", "/a%2Fb"),
        ("/%2f", "/%2F"),
        ("/a/..%2fb", "/a/..%2Fb"),
        ("/..%2f..%2fetc/passwd", "/..%2F..%2Fetc/passwd"),
        ("/%2e%2e%2fetc", "/..%2Fetc"),
        ("/%2f%2e%2e", "/%2F.."),
    ]);
}

#[test]
fn a_backslash_is_no_separator() {
    decoded(&[
        ("/..%5c..%5cetc", "/..\\..\\etc"),
        ("/a/..%5C", "/a/..\\"),
        ("/..\\x/%2e%2e", "/"),
        ("/a\\..\\b", "/a\\..\\b"),
    ]);
}

#[test]
fn dot_segments_are_removed_after_decoding() {
    decoded(&[
        ("/.", "/"),
        ("/./", "/"),
        ("/a/.", "/a/"),
        ("/a/./b", "/a/b"),
        ("/a/..", "/"),
        ("/a/../", "/"),
        ("/a/../b", "/b"),
        ("/a/b/..", "/a/"),
        ("/a/b/../../c", "/c"),
        ("/%2e", "/"),
        ("/a/%2e%2e", "/"),
        ("/a/%2E./b", "/b"),
        ("/a/.%2e/b", "/b"),
        ("/a/%2e/b", "/a/b"),
        ("/a/.../b", "/a/.../b"),
        ("/a/..;/b", "/a/..;/b"),
        ("/a/.%20", "/a/. "),
        ("/mid/content=5/../6", "/mid/6"),
        ("/a/b/c/./../../g", "/a/g"),
    ]);
}

#[test]
fn an_empty_segment_stays_and_is_one_that_two_dots_remove() {
    decoded(&[
        ("//..", "/"),
        ("/a//..", "/a/"),
        ("/a//../b", "/a/b"),
        ("/a//./b", "/a//b"),
        ("//%61", "//a"),
        ("/%61//", "/a//"),
    ]);
}

#[test]
fn leaving_the_root_is_refused_even_if_the_path_comes_back() {
    refused(
        Fault::OutsideRoot,
        &[
            "/..",
            "/../",
            "/../a",
            "/%2e%2e",
            "/%2e%2e/",
            "/.%2E/etc/passwd",
            "/./..",
            "/a/../..",
            "/a/../../a",
            "/a/b/../../..",
            "//../..",
            "/static/%2e%2e/%2e%2e/etc/passwd",
        ],
    );
    for depth in 1..200 {
        let inside = format!("{}{}", "/a".repeat(depth), "/..".repeat(depth));
        decoded(&[(&inside, "/")]);
        refused(Fault::OutsideRoot, &[&format!("{inside}/.."), &format!("{inside}/%2e%2e/x")]);
    }
}

#[test]
fn a_bad_escape_is_refused() {
    refused(
        Fault::BadEscape,
        &["/%", "/%4", "/%zz", "/%4g", "/%g4", "/%+1", "/% 1", "/%%41", "/%4%31", "/a%2", "/a%2/b"],
    );
    refused(Fault::BadEscape, &["/%u0041", "/%é", "/%-1", "/%0x"]);
}

#[test]
fn a_zero_byte_is_refused() {
    refused(Fault::BadEscape, &["/%00", "/a%00.png", "/a/%00/../b"]);
}

#[test]
fn what_is_not_utf8_once_decoded_is_refused() {
    refused(
        Fault::BadEscape,
        &[
            "/%ff",
            "/%80",
            "/%c3",
            "/%c3/%a9",
            "/%c0%ae%c0%ae/x", // `..`, overlong in two bytes
            "/%e0%80%ae/x",    // `.`, overlong in three
            "/%f0%80%80%ae",   // and in four
            "/%c0%af",         // `/`
            "/%e0%80%af",
            "/%c0%80",       // a zero byte, overlong
            "/%ed%a0%80",    // a surrogate
            "/%f4%90%80%80", // beyond U+10FFFF
        ],
    );
}

#[test]
fn many_dot_segments_cost_linear_time() {
    let time = |count: usize| {
        let path = format!("{}{}", "/a%20".repeat(count), "/..".repeat(count));
        let start = Instant::now();
        assert_eq!(decode_path(&path).as_deref(), Ok("/"));
        start.elapsed()
    };
    time(1000);
    // Quadratic would be hours.
    assert!(time(2_000_000) < Duration::from_secs(20));
}

/// Text of the bytes that matter, so that what is looked for comes up.
fn raw_path() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        4 => Just("/".to_owned()),
        2 => Just(".".to_owned()),
        2 => Just("..".to_owned()),
        1 => Just("%2e".to_owned()),
        1 => Just("%2f".to_owned()),
        1 => Just("%5c".to_owned()),
        1 => Just("%25".to_owned()),
        1 => Just("%".to_owned()),
        1 => Just("%C3%A9".to_owned()),
        2 => "[a-z.]{1,3}",
        1 => "\\PC",
    ];
    prop::collection::vec(part, 0..20).prop_map(|parts| format!("/{}", parts.concat()))
}

proptest! {
    #[test]
    fn a_decoded_path_never_leaves_the_root(raw in raw_path()) {
        match decode_path(&raw) {
            Ok(path) => {
                prop_assert!(path.starts_with('/'));
                prop_assert!(!path.split('/').any(|segment| segment == "." || segment == ".."));
            }
            Err(fault) => prop_assert!(matches!(fault, Fault::BadEscape | Fault::OutsideRoot)),
        }
    }

    #[test]
    fn a_decoded_path_without_percent_is_decoded_to_itself(raw in raw_path()) {
        if let Ok(path) = decode_path(&raw) {
            if !path.contains('%') {
                prop_assert_eq!(decode_path(&path), Ok(Cow::Borrowed(&*path)));
            }
        }
    }

    #[test]
    fn segments_that_are_encoded_are_decoded_to_themselves(
        segments in prop::collection::vec("[^/\0]{0,8}", 1..6)
    ) {
        prop_assume!(!segments.iter().any(|segment| segment == "." || segment == ".."));
        let mut raw = String::new();
        for segment in &segments {
            raw.push('/');
            raw.push_str(&percent_encode_component(segment));
        }
        let path = format!("/{}", segments.join("/"));
        prop_assert_eq!(&decode_path(&raw).unwrap(), &path);
    }

    #[test]
    fn pairs_that_are_encoded_are_read_as_they_were(
        pairs in prop::collection::vec((any::<String>(), any::<String>()), 0..20)
    ) {
        let text = encode(pairs.iter().map(|(name, value)| (name, value)));
        prop_assert!(text.is_ascii());
        let read: Vec<_> = parse(&text).map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
        prop_assert_eq!(&read, &pairs);
        prop_assert_eq!(parse_strict(&text).unwrap(), pairs);
    }

    #[test]
    fn what_the_strict_reading_takes_the_lenient_one_reads_alike(text in "[a-c=&+%0-9A-F]{0,24}") {
        if let Ok(strict) = parse_strict(&text) {
            let lenient: Vec<_> = parse(&text).map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
            prop_assert_eq!(strict, lenient);
        }
    }

    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes).count();
        let _ = parse_strict(&bytes);
    }

    #[test]
    fn a_component_that_is_encoded_is_decoded_to_itself(text in any::<String>()) {
        let encoded = percent_encode_component(&text);
        prop_assert!(encoded.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)));
        prop_assert_eq!(&percent_decode(&encoded).unwrap(), &text);
    }

    #[test]
    fn escaped_html_has_no_markup(text in any::<String>()) {
        let escaped = html::escape(&text);
        prop_assert!(!escaped.contains(['<', '>', '"', '\'']));
        let back = escaped.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
        prop_assert_eq!(back.replace("&#39;", "'").replace("&amp;", "&"), text.as_str());
    }

    #[test]
    fn a_quoted_value_is_read_as_it_was(value in "[^\0-\x1f\x7f]{0,20}", more in any::<bool>()) {
        let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
        let text = format!("x; a=\"{quoted}\"{}", if more { " ; b=c" } else { "" });
        let (_, all) = parameters(&text);
        let read = all.named("A").unwrap();
        prop_assert_eq!(read.as_deref(), Some(value.as_str()));
    }

    #[test]
    fn any_text_has_parameters_or_a_fault(text in any::<String>()) {
        let (_, all) = parameters(&text);
        prop_assert!(all.count() <= text.len());
    }
}

fn pairs(input: &str) -> Vec<(String, String)> {
    parse(input).map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

#[test]
fn pairs_are_read_leniently() {
    for (input, expected) in [
        ("", &[][..]),
        ("a=1", &[("a", "1")]),
        ("a=1&b=2&a=3", &[("a", "1"), ("b", "2"), ("a", "3")]),
        ("a", &[("a", "")]),
        ("a=", &[("a", "")]),
        ("=a", &[("", "a")]),
        ("=", &[("", "")]),
        ("a=b=c", &[("a", "b=c")]),
        ("&&a=1&&&b=2&", &[("a", "1"), ("b", "2")]),
        ("a=1;b=2", &[("a", "1;b=2")]),
        ("a+b=c+d", &[("a b", "c d")]),
        ("a=%2B+%2b", &[("a", "+ +")]),
        ("%61=%62", &[("a", "b")]),
        ("a=100%", &[("a", "100%")]),
        ("a=%zz%4", &[("a", "%zz%4")]),
        ("a=%C3%BC", &[("a", "ü")]),
        ("a=%ff", &[("a", "\u{FFFD}")]),
        ("a=%00", &[("a", "\0")]),
        ("a=%26%3D", &[("a", "&=")]),
    ] {
        assert_eq!(pairs(input), owned(expected), "{input}");
    }
}

#[test]
fn pairs_end_at_the_limit_and_say_so() {
    let many = "a=1&".repeat(PAIRS_MAX + 1);
    let mut all = parse(&many);
    assert_eq!(all.by_ref().count(), PAIRS_MAX);
    assert!(all.is_cut());

    let enough = "a=1&".repeat(PAIRS_MAX);
    let mut all = parse(&enough);
    assert!(!all.is_cut());
    assert_eq!(all.by_ref().count(), PAIRS_MAX);
    assert!(!all.is_cut(), "an empty rest is no pair");

    assert_eq!(parse("a&b&c").limit(2).count(), 2);
    assert_eq!(parse(&many).limit(usize::MAX).count(), PAIRS_MAX + 1);
}

#[test]
fn the_strict_reading_refuses_what_is_malformed() {
    for input in
        ["&", "a=1&", "&a=1", "a&&b", "a=b c", "a=\u{e9}", "a=b\r\n", "a=\t", "a=\0", "a#b"]
    {
        assert_eq!(parse_strict(input), Err(Fault::BadQuery), "{input:?}");
    }
    assert_eq!(parse_strict(b"a=\xff".as_slice()), Err(Fault::BadQuery));
    for input in ["a=%", "a=%4", "%zz=1", "a=%ff", "a=%c0%ae", "a=%ed%a0%80"] {
        assert_eq!(parse_strict(input), Err(Fault::BadEscape), "{input}");
    }
    assert_eq!(parse_strict(&"a&".repeat(PAIRS_MAX + 1)), Err(Fault::TooManyPairs));
    let most = vec!["a"; PAIRS_MAX].join("&");
    assert_eq!(parse_strict(&most).map(|pairs| pairs.len()), Ok(PAIRS_MAX));
    assert_eq!(parse_strict(""), Ok(vec![]));
    assert_eq!(parse_strict("a&=&b=+%2b"), Ok(owned(&[("a", ""), ("", ""), ("b", " +")])));
}

#[test]
fn a_form_has_the_pairs_of_the_query_and_then_those_of_the_body() {
    let mut form = Form::new();
    assert!(form.is_empty());
    form.read("a=1&b=2").unwrap();
    form.read(b"a=3&c=%ff".as_slice()).unwrap();
    assert_eq!(form.len(), 4);
    assert_eq!(form.get("a"), Some("1"));
    assert_eq!(form.get_all("a").collect::<Vec<_>>(), ["1", "3"]);
    assert_eq!(form.get("c"), Some("\u{FFFD}"));
    assert_eq!(form.get("d"), None);
    assert_eq!(form.get("A"), None, "names have a case");
    assert_eq!(form.iter().last(), Some(("c", "\u{FFFD}")));
}

#[test]
fn the_limit_of_a_form_is_for_all_of_its_places_together() {
    let mut form = Form::new().limit(3);
    form.read("a&b").unwrap();
    assert_eq!(form.read("c&d"), Err(Fault::TooManyPairs));
    assert_eq!(form.len(), 3);
    assert_eq!(form.read("e"), Err(Fault::TooManyPairs));
    form.read("&&").unwrap();
    assert_eq!(form.len(), 3);

    let mut form = Form::new().limit(3);
    form.read_strict("a&b").unwrap();
    assert_eq!(form.read_strict("c&d"), Err(Fault::TooManyPairs));
    assert_eq!(form.read_strict("c&%"), Err(Fault::BadEscape));
    assert_eq!(form.len(), 2);
    form.read_strict("c").unwrap();
}

#[test]
fn encoding_leaves_nothing_that_divides() {
    assert_eq!(encode([("a b", "&=+%"), ("ü", "")]), "a+b=%26%3D%2B%25&%C3%BC=");
    assert_eq!(encode::<[(&str, &str); 0], _, _>([]), "");
    assert_eq!(percent_encode_component("a-b._~"), "a-b._~");
    assert_eq!(percent_encode_component("/?#&=+ %"), "%2F%3F%23%26%3D%2B%20%25");
    assert!(matches!(percent_encode_component("abc"), Cow::Borrowed("abc")));
}

#[test]
fn percent_decoding_leaves_the_plus() {
    assert_eq!(percent_decode("a+b%20c%2F").as_deref(), Ok("a+b c/"));
    assert!(matches!(percent_decode("a+b"), Ok(Cow::Borrowed("a+b"))));
    for bad in ["%", "%1", "%zz", "%ff"] {
        assert_eq!(percent_decode(bad), Err(Fault::BadEscape), "{bad}");
    }
}

#[test]
fn html_is_escaped_in_both_kinds_of_quotes() {
    assert_eq!(
        html::escape("<a href='x' b=\"y\">&amp;</a>"),
        "&lt;a href=&#39;x&#39; b=&quot;y&quot;&gt;&amp;amp;&lt;/a&gt;"
    );
    assert!(matches!(html::escape("plain ü"), Cow::Borrowed("plain ü")));
}

type Read<'a> = (&'a str, Vec<(&'a str, Cow<'a, str>)>);

fn read(text: &str) -> Result<Read<'_>, Fault> {
    let (value, parameters) = parameters(text);
    Ok((value, parameters.collect::<Result<_, _>>()?))
}

#[test]
fn parameters_are_read_as_rfc_9110_writes_them() {
    for (text, value, expected) in [
        ("", "", &[][..]),
        ("text/html", "text/html", &[]),
        (" text/html ; charset=utf-8 ", "text/html", &[("charset", "utf-8")]),
        ("a;b=c;d=e", "a", &[("b", "c"), ("d", "e")]),
        ("a;;; ;b=c;", "a", &[("b", "c")]),
        ("a;\tb=c\t", "a", &[("b", "c")]),
        ("a; b=\"\"", "a", &[("b", "")]),
        ("a; b=\"c;d=e\"; f=g", "a", &[("b", "c;d=e"), ("f", "g")]),
        (r#"a; b="c\"d\\""#, "a", &[("b", r#"c"d\"#)]),
        (r#"a; b="\c""#, "a", &[("b", "c")]),
        ("a; b=\"ü\t\"", "a", &[("b", "ü\t")]),
        ("a; B=C; b=d", "a", &[("B", "C"), ("b", "d")]),
        (
            "form-data; filename*=UTF-8''%e2%82%ac",
            "form-data",
            &[("filename*", "UTF-8''%e2%82%ac")],
        ),
        (";a=b", "", &[("a", "b")]),
    ] {
        let expected: Vec<_> = expected.iter().map(|&(n, v)| (n, Cow::Borrowed(v))).collect();
        assert_eq!(read(text), Ok((value, expected)), "{text}");
    }
}

#[test]
fn malformed_parameters_are_refused() {
    for text in [
        "a; b",
        "a; b=",
        "a; =c",
        "a; b = c",
        "a; b =c",
        "a; b= c",
        "a; b=c d",
        "a; b=c, d",
        "a; b=\"c",
        "a; b=\"c\\",
        "a; b=\"c\\\"",
        "a; b=\"c\"d",
        "a; b=\"c\n\"",
        "a; b=\"c\\\0\"",
        "a; b=ü",
        "a; b=\"c\" \"d\"",
    ] {
        assert_eq!(read(text), Err(Fault::BadParameter), "{text:?}");
    }
}

#[test]
fn nothing_comes_after_a_malformed_parameter() {
    let (_, mut all) = parameters("a; b=c; d; e=f");
    assert_eq!(all.next(), Some(Ok(("b", "c".into()))));
    assert_eq!(all.next(), Some(Err(Fault::BadParameter)));
    assert_eq!(all.next(), None);
}

#[test]
fn a_named_parameter_is_there_once_or_refused() {
    let named = |text, name| parameters(text).1.named(name);
    assert_eq!(named("a; Boundary=x", "boundary"), Ok(Some("x".into())));
    assert_eq!(named("a; b=x", "boundary"), Ok(None));
    assert_eq!(named("a; boundary=x; BOUNDARY=x", "boundary"), Err(Fault::BadParameter));
    assert_eq!(named("a; boundary=x; b", "boundary"), Err(Fault::BadParameter));
}
