//! Request heads: the outcome does not depend on how they arrive, exactly those are accepted that the rules allow,
//! and one that is written again reads the same.

#![no_main]

use evloop::wire::{
    self, Fault, Framing, HeadLimits, RequestHead, RequestParser, TargetForm, Version,
};
use evloop_fuzz::request::check;
use evloop_fuzz::{cuts, naive};
use libfuzzer_sys::fuzz_target;

#[derive(PartialEq, Debug)]
struct Outcome {
    end: usize,
    line: (String, String, Version),
    fields: naive::Fields,
    framing: Framing,
    form: TargetForm,
    parts: (String, Option<String>, Option<String>, Option<String>),
    flags: [bool; 5],
    upgrade: Option<Vec<u8>>,
}

fn outcome(head: &RequestHead, end: usize) -> Outcome {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    Outcome {
        end,
        line: (head.method().to_string(), head.target().to_owned(), head.version()),
        fields: head.fields().iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect(),
        framing: head.framing(),
        form: head.form(),
        parts: (
            head.raw_path().to_owned(),
            owned(head.query()),
            owned(head.authority()),
            owned(head.scheme()),
        ),
        flags: [
            head.keeps_alive(),
            head.expects_continue(),
            head.has_other_expectation(),
            head.accepts_trailers(),
            head.upgrade().is_some(),
        ],
        upgrade: head.upgrade().map(<[u8]>::to_owned),
    }
}

/// `Ok(None)` if the head is not complete.
fn parse(
    limits: HeadLimits,
    pieces: &mut dyn Iterator<Item = &[u8]>,
) -> Result<Option<Outcome>, Fault> {
    let mut parser = RequestParser::new(limits);
    let mut end = 0;
    for piece in pieces {
        let progress = parser.feed(piece).inspect_err(|fault| {
            assert_eq!(parser.feed(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), Err(*fault));
        })?;
        end += progress.used;
        if progress.done {
            return Ok(Some(outcome(parser.head(), end)));
        }
        assert_eq!(progress.used, piece.len());
    }
    Ok(None)
}

fn run(input: &[u8], limits: HeadLimits) {
    let read = cuts::in_every_way(input, |pieces| parse(limits, pieces));
    let bounds = naive::Limits {
        target: limits.target,
        head: limits.head,
        fields: limits.fields,
        empty_lines: limits.empty_lines,
    };
    let head = naive::head(input, bounds);
    let said = head.as_ref().and_then(|head| check(head, bounds));
    let (read, head, (method, target, http_10, framing)) = match (read, head, said) {
        (Ok(Some(read)), Some(head), Some(said)) => (read, head, said),
        (Ok(Some(read)), ..) => panic!("accepted: {read:?}"),
        (other, Some(_), Some(said)) => panic!("{other:?}: {said:?}"),
        _ => return,
    };
    assert_eq!(read.end, head.end);
    assert_eq!(read.line.0.as_bytes(), method);
    assert_eq!(read.line.1.as_bytes(), target);
    assert_eq!(read.line.2 == Version::Http10, http_10);
    assert_eq!(read.fields, head.fields);
    let framing = match framing {
        naive::Framing::None => Framing::None,
        naive::Framing::Length(length) => Framing::Length(length),
        naive::Framing::Chunked => Framing::Chunked,
    };
    assert_eq!(read.framing, framing);
    let lists = |name, word| naive::lists(&head.fields, name, word);
    let body = !matches!(framing, Framing::None | Framing::Length(0));
    assert_eq!(read.flags[0], naive::keeps_alive(&head.fields, http_10));
    assert_eq!(read.flags[1], !http_10 && body && lists("expect", "100-continue"));
    assert_eq!(read.flags[3], lists("te", "trailers"));
    let upgrades = naive::values(&head.fields, "upgrade");
    let upgrade = upgrades.first().filter(|_| !http_10 && lists("connection", "upgrade"));
    assert_eq!(read.upgrade.as_deref(), upgrade.copied());
    check_target(&read);

    // Written, with the same meaning, and read again.
    let mut again = Vec::new();
    let method = wire::Method::from_bytes(&method).expect("it was one");
    wire::request_line(&mut again, &method, &read.line.1).expect("it was one");
    for (name, value) in &read.fields {
        wire::field(&mut again, name, value).expect("it was one");
    }
    wire::end_of_head(&mut again);
    let limits = HeadLimits { head: usize::MAX, ..limits };
    if http_10 {
        return; // We write 1.1 only.
    }
    let written = parse(limits, &mut std::iter::once(again.as_slice()))
        .expect("it was one")
        .expect("all of it");
    assert_eq!(Outcome { end: read.end, ..written }, read);
}

/// The parts of a target put together are the target.
fn check_target(read: &Outcome) {
    let (path, query, authority, scheme) = &read.parts;
    let target = &read.line.1;
    let query = query.as_ref().map_or(String::new(), |query| format!("?{query}"));
    match read.form {
        TargetForm::Origin | TargetForm::Asterisk => assert_eq!(&format!("{path}{query}"), target),
        TargetForm::Authority => assert_eq!(authority.as_ref(), Some(target)),
        TargetForm::Absolute => {
            let authority = authority.as_deref().expect("there is one");
            let scheme = scheme.as_deref().expect("there is one");
            let whole = format!("{scheme}://{authority}{path}{query}");
            let bare = format!("{scheme}://{authority}{query}");
            let equal = |text: &str| {
                text.len() == target.len() && text[scheme.len()..] == target[scheme.len()..]
            };
            assert!(equal(&whole) || path == "/" && equal(&bare), "{whole}");
        }
    }
}

fuzz_target!(|input: &[u8]| {
    run(input, HeadLimits::default());
    run(input, HeadLimits { target: 12, head: 80, fields: 3, empty_lines: 1 });
});
