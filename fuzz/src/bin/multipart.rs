//! Forms with files: the outcome does not depend on how they arrive, the parts are those that a naive reader of the
//! whole body finds, and what is beyond a limit is refused behind the same bytes.

#![no_main]

use evloop::wire::multipart::{
    MultipartEvent, MultipartFault, MultipartLimits, MultipartParser, boundary,
};
use evloop_fuzz::{cuts, naive};
use libfuzzer_sys::fuzz_target;

#[derive(PartialEq, Debug)]
struct Part {
    name: String,
    filename: Option<String>,
    data: Vec<u8>,
    is_whole: bool,
}

#[derive(PartialEq, Debug)]
struct Outcome {
    parts: Vec<Part>,
    end: Result<(), MultipartFault>,
}

fn read(limits: MultipartLimits, pieces: &mut dyn Iterator<Item = &[u8]>) -> Outcome {
    let mut parser = MultipartParser::new("cut", limits).expect("a boundary");
    let mut parts: Vec<Part> = Vec::new();
    for mut rest in pieces {
        loop {
            let progress = match parser.feed(rest) {
                Ok(progress) => progress,
                Err(fault) => {
                    assert!(matches!(parser.feed(b"x"), Err(again) if again == fault));
                    assert_eq!(parser.end_of_input(), Err(fault));
                    return Outcome { parts, end: Err(fault) };
                }
            };
            rest = &rest[progress.used..];
            match progress.event {
                None => {
                    assert!(rest.is_empty(), "all is used");
                    break;
                }
                Some(MultipartEvent::Begin(head)) => {
                    assert!(parts.last().is_none_or(|part| part.is_whole));
                    let (name, filename) = (head.name().into(), head.filename().map(Into::into));
                    parts.push(Part { name, filename, data: Vec::new(), is_whole: false });
                }
                Some(MultipartEvent::Data(data)) => {
                    let part = parts.last_mut().expect("a part");
                    assert!(!data.is_empty() && !part.is_whole);
                    part.data.extend_from_slice(data);
                }
                Some(MultipartEvent::PartEnd) => {
                    let part = parts.last_mut().expect("a part");
                    assert!(!std::mem::replace(&mut part.is_whole, true));
                }
                Some(_) => assert!(parser.is_done()),
            }
        }
    }
    let end = parser.end_of_input();
    assert_eq!(end.is_ok(), parser.is_done());
    Outcome { parts, end }
}

/// The contents of all parts; `None` if it is no form. Heads are only told from contents.
fn naively(input: &[u8]) -> Option<Vec<Vec<u8>>> {
    let delimiter = b"\r\n--cut";
    let body = [b"\r\n", input].concat();
    let mut rest = &body[naive::find(&body, delimiter)? + delimiter.len()..];
    let mut contents = Vec::new();
    loop {
        if rest.starts_with(b"--") {
            return Some(contents);
        }
        while let [b' ' | b'\t', after @ ..] = rest {
            rest = after;
        }
        rest = rest.strip_prefix(b"\r\n")?;
        // Lines up to an empty one.
        while !rest.starts_with(b"\r\n") {
            let end = naive::find(rest, b"\n")?;
            if !rest[..end].ends_with(b"\r") {
                return None;
            }
            rest = &rest[end + 1..];
        }
        // Whose line break may be that of the delimiter.
        let end = naive::find(rest, delimiter)?;
        contents.push(rest[..end].strip_prefix(b"\r\n").unwrap_or_default().to_vec());
        rest = &rest[end + delimiter.len()..];
    }
}

/// Content is read as it was written, whatever it is.
fn written(input: &[u8]) {
    let lines = [b"\r\n", input].concat();
    if naive::find(&lines, b"\r\n--cut").is_some() {
        return;
    }
    let head = b"--cut\r\nContent-Disposition: form-data; name=a; filename=b\r\n\r\n";
    let body = [head.as_slice(), input, b"\r\n--cut--"].concat();
    let outcome = read(MultipartLimits::default(), &mut std::iter::once(body.as_slice()));
    assert_eq!(outcome.end, Ok(()));
    assert_eq!(outcome.parts.len(), 1);
    assert_eq!(outcome.parts[0].data, input);
}

/// A name is read as a browser writes it.
fn named(text: &str) {
    if text.contains(|c: char| c.is_control() || matches!(c, '%' | '\\')) {
        return;
    }
    let quoted = text.replace('"', "%22");
    let body = format!(
        "--cut\r\nContent-Disposition: form-data; filename=\"{quoted}\"; name=\"{quoted}\"\r\n\r\n\r\n--cut--"
    );
    let outcome = read(MultipartLimits::default(), &mut std::iter::once(body.as_bytes()));
    let fits = body.len() < 8000;
    assert_eq!(outcome.end.is_ok(), fits, "{outcome:?}");
    if let [part] = outcome.parts.as_slice() {
        assert_eq!((part.name.as_str(), part.filename.as_deref()), (text, Some(text)));
    }
}

fuzz_target!(|input: &[u8]| {
    let limits = MultipartLimits::default();
    let outcome = cuts::in_every_way(input, |pieces| read(limits, pieces));
    match (naively(input), outcome.end) {
        (Some(contents), Ok(())) => {
            let read: Vec<_> = outcome.parts.iter().map(|part| &part.data).collect();
            assert_eq!(read, contents.iter().collect::<Vec<_>>());
        }
        (None, Ok(())) => panic!("accepted: {outcome:?}"),
        (Some(_), Err(fault)) => {
            let of_a_head = matches!(
                fault,
                MultipartFault::BadField
                    | MultipartFault::BadDisposition
                    | MultipartFault::HeadTooLong
            );
            assert!(of_a_head, "{fault}");
        }
        (None, Err(_)) => {}
    }

    let tight = MultipartLimits { parts: 2, head: 90, field: 5, file: 9, total: 400 };
    let less = cuts::in_every_way(input, |pieces| read(tight, pieces));
    for (part, all) in less.parts.iter().zip(&outcome.parts) {
        assert!(all.data.starts_with(&part.data));
        assert!(part.data.len() <= if part.filename.is_some() { 9 } else { 5 });
    }
    if less.end.is_ok() {
        assert_eq!(less, outcome);
    }

    written(input);
    if let Ok(text) = std::str::from_utf8(input) {
        named(text);
        if let Ok(boundary) = boundary(text) {
            assert!(MultipartParser::new(&boundary, limits).is_ok());
        }
    }
});
