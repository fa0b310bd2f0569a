//! Forms with files, as `wire` reads them: net-and-http-server.md 3.10, RFC 2046 §5.1, RFC 7578; reliability.md R1, R2,
//! R18.

#[path = "wire/cuts.rs"]
mod cuts;
#[path = "wire/linear.rs"]
mod linear;

use evloop::wire::Status;
use evloop::wire::multipart::{
    MultipartEvent, MultipartFault, MultipartLimits, MultipartParser, boundary,
};
use proptest::prelude::*;

#[derive(Clone, PartialEq, Debug, Default)]
struct Part {
    name: String,
    filename: Option<String>,
    content_type: Option<String>,
    data: Vec<u8>,
    is_whole: bool,
}

#[derive(PartialEq, Debug)]
struct Outcome {
    parts: Vec<Part>,
    end: Result<(), MultipartFault>,
}

fn read_with(mut parser: MultipartParser, pieces: &mut dyn Iterator<Item = &[u8]>) -> Outcome {
    let mut parts: Vec<Part> = Vec::new();
    let mut ended = false;
    for mut rest in pieces {
        loop {
            let progress = match parser.feed(rest) {
                Ok(progress) => progress,
                Err(fault) => {
                    assert_eq!(parser.feed(b"--x--").map(|_| ()), Err(fault), "it comes again");
                    assert_eq!(parser.end_of_input(), Err(fault));
                    return Outcome { parts, end: Err(fault) };
                }
            };
            rest = &rest[progress.used..];
            match progress.event {
                None => {
                    assert!(rest.is_empty());
                    break;
                }
                Some(MultipartEvent::Begin(head)) => {
                    assert_eq!(head.is_file(), head.filename().is_some());
                    parts.push(Part {
                        name: head.name().into(),
                        filename: head.filename().map(Into::into),
                        content_type: head.content_type().map(Into::into),
                        ..Part::default()
                    });
                }
                Some(MultipartEvent::Data(data)) => {
                    assert!(!data.is_empty());
                    parts.last_mut().unwrap().data.extend_from_slice(data);
                }
                Some(MultipartEvent::PartEnd) => parts.last_mut().unwrap().is_whole = true,
                Some(MultipartEvent::End) => {
                    assert!(!std::mem::replace(&mut ended, true));
                    assert!(parser.is_done());
                }
                Some(other) => panic!("{other:?}"),
            }
        }
    }
    let end = parser.end_of_input();
    assert_eq!(end.is_ok(), ended);
    Outcome { parts, end }
}

/// The same, however it is cut.
fn read(of: &str, body: &[u8], limits: MultipartLimits) -> Outcome {
    cuts::in_every_way(body, |pieces| read_with(MultipartParser::new(of, limits).unwrap(), pieces))
}

/// A part with this disposition.
fn part(disposition: &str, data: &str) -> String {
    format!("--cut\r\nContent-Disposition: {disposition}\r\n\r\n{data}\r\n")
}

fn field(name: &str, data: &str) -> String {
    part(&format!("form-data; name=\"{name}\""), data)
}

#[track_caller]
fn parts_of(body: &str) -> Vec<Part> {
    let outcome = read("cut", body.as_bytes(), MultipartLimits::default());
    assert_eq!(outcome.end, Ok(()), "{body}");
    assert!(outcome.parts.iter().all(|part| part.is_whole));
    outcome.parts
}

#[track_caller]
fn fault_of(body: &str) -> MultipartFault {
    read("cut", body.as_bytes(), MultipartLimits::default()).end.unwrap_err()
}

/// What the content is of a form with one field.
#[track_caller]
fn content(data: &str) -> Vec<u8> {
    let mut parts = parts_of(&format!("{}--cut--\r\n", field("a", data)));
    assert_eq!(parts.len(), 1);
    parts.remove(0).data
}

/// The name and the file's name that a disposition gives.
#[track_caller]
fn names(disposition: &str) -> (String, Option<String>) {
    let mut parts = parts_of(&format!("{}--cut--", part(disposition, "x")));
    let part = parts.remove(0);
    (part.name, part.filename)
}

// --- boundaries ---

#[test]
fn a_boundary_is_of_up_to_70_characters_that_rfc_2046_allows() {
    let of = |text: &str| boundary(&format!("multipart/form-data; boundary=\"{text}\""));
    let longest = "x".repeat(70);
    for good in ["x", "a b", "'()+_,-./:=?", &longest] {
        assert_eq!(of(good).as_deref(), Ok(good));
    }
    let too_long = "x".repeat(71);
    for bad in ["", " ", "a ", "a;b", "a*", "ä", "a@b", &too_long] {
        assert_eq!(of(bad), Err(MultipartFault::BadBoundary), "{bad}");
        assert!(MultipartParser::new(bad, MultipartLimits::default()).is_err());
    }
}

#[test]
fn what_is_no_form_is_415() {
    for other in [
        "",
        "text/plain",
        "multipart/mixed; boundary=x",
        "multipart/form-data",
        "multipart/form-data; boundary",
        "multipart/form-data; boundary=a; Boundary=b",
    ] {
        let fault = boundary(other).unwrap_err();
        assert_eq!((fault, fault.status().code()), (MultipartFault::NotMultipart, 415), "{other}");
    }
    assert_eq!(boundary("Multipart/Form-Data;charset=utf-8; BOUNDARY=x").as_deref(), Ok("x"));
}

#[test]
fn what_begins_like_a_boundary_is_content() {
    for data in [
        "",
        "\r",
        "\n",
        "\r\n",
        "-",
        "--",
        "--cu",
        "\r\n--cu",
        "\r\n--cu\r\n--cu",
        "\r\r\n--cu",
        "\r\n-\r\n--\r",
        "a\r\n--CUT",
        "\r\n\r\n\r\n",
        "--cu\r\n--cux",
        "x--cut",
        "x\n--cut--\n",
        "\r\n --cut",
    ] {
        assert_eq!(content(data), data.as_bytes(), "{data:?}");
    }
}

#[test]
fn content_is_bytes() {
    let body = [
        b"--cut\r\nContent-Disposition: form-data; name=a\r\n\r\n".as_slice(),
        b"\0\xFF\r\n\x80\r\n--cut--",
    ]
    .concat();
    let outcome = read("cut", &body, MultipartLimits::default());
    assert_eq!(outcome.parts[0].data, b"\0\xFF\r\n\x80");
}

#[test]
fn preamble_and_epilogue_are_ignored() {
    let form = field("a", "1");
    let body = format!("a preamble\r\n-- \r\n--cu\r\n{form}--cut-- and\r\n--cut\r\nmore");
    assert_eq!(parts_of(&body), parts_of(&format!("{form}--cut--")));
}

#[test]
fn white_space_behind_a_boundary_is_padding() {
    let body = field("a", "1").replace("--cut\r\n", "--cut \t \r\n") + "--cut--";
    assert_eq!(parts_of(&body).len(), 1);
}

#[test]
fn anything_else_behind_a_boundary_is_a_fault() {
    for behind in ["ter\r\n", "\n", "\r\r\n", "-\r\n", " -", " --", ": \r\n"] {
        let body = format!("{}--cut{behind}", field("a", "1"));
        assert_eq!(fault_of(&body), MultipartFault::BadBoundaryLine, "{behind:?}");
    }
}

#[test]
fn a_form_may_be_empty() {
    assert_eq!(parts_of("--cut--"), []);
    assert_eq!(parts_of("\r\n--cut--\r\n"), []);
}

#[test]
fn a_part_without_content_needs_no_empty_line_of_its_own() {
    let body = "--cut\r\nContent-Disposition: form-data; name=a\r\n\r\n--cut--";
    assert_eq!(parts_of(body)[0].data, b"");
}

#[test]
fn a_form_that_is_cut_is_a_fault_wherever_that_is() {
    let body = format!("{}{}--cut--", field("a", "1"), field("b", "2"));
    for end in 0..body.len() {
        let outcome = read("cut", &body.as_bytes()[..end], MultipartLimits::default());
        assert_eq!(outcome.end, Err(MultipartFault::Incomplete), "{}", &body[..end]);
    }
    assert_eq!(MultipartFault::Incomplete.status(), Status::BAD_REQUEST);
}

// --- heads ---

#[test]
fn a_head_gives_name_file_name_and_type() {
    let body = "--cut\r\ncontent-disposition:form-data;name=a;filename=b.txt\r\nX: y\r\n\
        CONTENT-TYPE: text/html; charset=utf-8 \r\n\r\nx\r\n--cut--";
    let expected = Part {
        name: "a".into(),
        filename: Some("b.txt".into()),
        content_type: Some("text/html; charset=utf-8".into()),
        data: b"x".into(),
        is_whole: true,
    };
    assert_eq!(parts_of(body), [expected]);
}

#[test]
fn file_names_are_read_as_browsers_write_them() {
    for (written, meant) in [
        (r#""a.txt""#, "a.txt"),
        (r#""""#, ""),
        (r#""a%22b.txt""#, "a\"b.txt"),
        (r#""a%0D%0Ab""#, "a\r\nb"),
        (r#""100%20 %""#, "100%20 %"),
        (r#""a\"b""#, "a\"b"),
        (r#""C:\dir\a.txt""#, r"C:\dir\a.txt"),
        (r#""C:\\dir\\a.txt""#, r"C:\dir\a.txt"),
        (r#""../../etc/passwd""#, "../../etc/passwd"),
        (r#""a;b=c""#, "a;b=c"),
        ("\"ü€.txt\"", "ü€.txt"),
        ("plain.txt", "plain.txt"),
    ] {
        let (name, filename) = names(&format!("form-data; name=\"x\"; filename={written}"));
        assert_eq!((name.as_str(), filename.as_deref()), ("x", Some(meant)), "{written}");
    }
}

#[test]
fn an_extended_file_name_wins() {
    let both = "form-data; name=x; filename=\"EUR\"; filename*=UTF-8''%e2%82%ac";
    assert_eq!(names(both).1.as_deref(), Some("€"));
    let latin = "form-data; filename*=iso-8859-1'en'%A3; filename=y; name=x";
    assert_eq!(names(latin).1.as_deref(), Some("£"));
}

#[test]
fn a_part_that_says_no_name_is_a_fault() {
    for disposition in [
        "form-data",
        "form-data; filename=a",
        "attachment; name=a",
        "form-data; name",
        "form-data; name=",
        "form-data; name=\"a",
        "form-data; name=\"a\" b",
        "form-data; name=\"a\"b",
        "form-data; name=a; name=b",
        "form-data; name=a; filename=b; FileName=c",
        "form-data; name=a; filename*=b",
        "form-data; na me=a",
    ] {
        let body = format!("{}--cut--", part(disposition, "x"));
        assert_eq!(fault_of(&body), MultipartFault::BadDisposition, "{disposition}");
    }
    for head in ["\r\n", "X: y\r\n\r\n"] {
        let body = format!("--cut\r\n{head}x\r\n--cut--");
        assert_eq!(fault_of(&body), MultipartFault::BadDisposition, "{head}");
    }
    let one = "Content-Disposition: form-data; name=a\r\n";
    let body = format!("--cut\r\n{one}{one}\r\nx\r\n--cut--");
    assert_eq!(fault_of(&body), MultipartFault::BadDisposition);
}

#[test]
fn a_head_that_is_no_head_is_a_fault() {
    for (head, fault) in [
        ("X: y\n", MultipartFault::BadLineEnd),
        ("\n", MultipartFault::BadLineEnd),
        ("no colon\r\n", MultipartFault::BadField),
        ("a b: c\r\n", MultipartFault::BadField),
        (": c\r\n", MultipartFault::BadField),
        ("X: \0\r\n", MultipartFault::BadField),
        ("X: a\rb\r\n", MultipartFault::BadField),
        ("X: a\r\n b\r\n", MultipartFault::BadField),
    ] {
        assert_eq!(fault_of(&format!("--cut\r\n{head}")), fault, "{head:?}");
    }
}

// --- limits ---

fn limits() -> MultipartLimits {
    MultipartLimits::default()
}

#[test]
fn content_is_taken_up_to_its_limit() {
    let mut few = limits();
    (few.field, few.file) = (4, 6);
    for data in ["1234", "\r\n--", "12\r\n"] {
        let ok = format!("{}--cut--", field("a", data));
        assert_eq!(read("cut", ok.as_bytes(), few).end, Ok(()), "{data:?}");
    }
    for data in ["12345", "123\r\n", "1234\r", "\r\n--c", "123456789"] {
        let body = format!("{}--cut--", field("a", data));
        let outcome = read("cut", body.as_bytes(), few);
        assert_eq!(outcome.end, Err(MultipartFault::FieldTooLarge), "{data:?}");
        assert_eq!(outcome.parts[0].data, &data.as_bytes()[..4]);
    }
    let file = |data| part("form-data; name=a; filename=b", data) + "--cut--";
    assert_eq!(read("cut", file("123456").as_bytes(), few).end, Ok(()));
    let outcome = read("cut", file("1234567").as_bytes(), few);
    assert_eq!(outcome.end, Err(MultipartFault::FileTooLarge));
    assert_eq!(MultipartFault::FileTooLarge.status(), Status::CONTENT_TOO_LARGE);
}

#[test]
fn parts_are_taken_up_to_their_limit() {
    let mut few = limits();
    few.parts = 2;
    let two = field("a", "1").repeat(2);
    assert_eq!(read("cut", format!("{two}--cut--").as_bytes(), few).end, Ok(()));
    let three = format!("{two}{}--cut--", field("a", "1"));
    let outcome = read("cut", three.as_bytes(), few);
    assert_eq!((outcome.end, outcome.parts.len()), (Err(MultipartFault::TooManyParts), 2));
}

#[test]
fn a_head_is_taken_up_to_its_limit() {
    let disposition = "Content-Disposition: form-data; name=a\r\n";
    let body = format!("--cut\r\n{disposition}\r\nx\r\n--cut--");
    let mut few = limits();
    few.head = disposition.len() + 2;
    assert_eq!(read("cut", body.as_bytes(), few).end, Ok(()));
    few.head -= 1;
    assert_eq!(read("cut", body.as_bytes(), few).end, Err(MultipartFault::HeadTooLong));
    let endless = format!("--cut\r\nX: {}", "x".repeat(9000));
    assert_eq!(read("cut", endless.as_bytes(), limits()).end, Err(MultipartFault::HeadTooLong));
}

#[test]
fn everything_together_is_taken_up_to_the_total() {
    let body = format!("pre\r\n{}--cut--epi", field("a", "1"));
    let mut few = limits();
    few.total = body.len() as u64;
    assert_eq!(read("cut", body.as_bytes(), few).end, Ok(()));
    for total in 0..body.len() {
        few.total = total as u64;
        let outcome = read("cut", body.as_bytes(), few);
        assert_eq!(outcome.end, Err(MultipartFault::TooLarge), "{total}");
    }
}

// CVE-2023-27371 (a boundary that is searched for beyond what came), civetweb#1404 (a size that wraps).
#[test]
fn limits_without_an_end_do_not_wrap() {
    let mut all = limits();
    (all.parts, all.head) = (usize::MAX, usize::MAX);
    (all.field, all.file, all.total) = (u64::MAX, u64::MAX, u64::MAX);
    let body = format!("{}--cut--", field("a", "1").repeat(300));
    assert_eq!(read("cut", body.as_bytes(), all).parts.len(), 300);
}

// --- work ---

#[test]
fn work_is_linear_in_the_body_whatever_is_in_it() {
    let name = "a".repeat(70);
    let almost = format!("\r\n--{}", &name[1..]);
    let dashes = "\r\n--".to_owned();
    for pattern in ["x", "\r", "\r\n", "-", &almost, &dashes] {
        linear::linear(12_000, |size| {
            let mut body = format!("--{name}\r\nContent-Disposition: form-data; name=b\r\n\r\n");
            body.push_str(&pattern.repeat(size / pattern.len()));
            body.push_str(&format!("\r\n--{name}--"));
            for step in [1, 1000] {
                let mut all = limits();
                all.field = u64::MAX;
                let parser = MultipartParser::new(&name, all).unwrap();
                assert_eq!(read_with(parser, &mut body.as_bytes().chunks(step)).end, Ok(()));
            }
        });
    }
}

// --- all of it ---

/// Content that likes to look like the boundary.
fn contents() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        Just(b"\r\n--cu".to_vec()),
        Just(b"\r".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"--".to_vec()),
        Just(b"cut".to_vec()),
        prop::collection::vec(any::<u8>(), 0..40),
    ];
    let has_no_boundary = |data: &Vec<u8>| {
        let line = [b"\r\n".as_slice(), data].concat();
        !line.windows(7).any(|window| window == b"\r\n--cut")
    };
    prop::collection::vec(word, 0..8)
        .prop_map(|words| words.concat())
        .prop_filter("the boundary is not in it", has_no_boundary)
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        parts in prop::collection::vec((".{0,8}", prop::option::of(".{0,8}"), contents()), 0..5),
        lengths in prop::collection::vec(0usize..60, 1..6),
    ) {
        // As a browser does.
        let quoted = |text: &str| {
            text.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A").replace('\\', "\\\\")
        };
        let printable = |text: &str| {
            text.replace(|c: char| c.is_control() && !matches!(c, '\r' | '\n'), "")
                .replace('%', "")
        };
        let mut body = Vec::new();
        let mut expected = Vec::new();
        for (name, filename, data) in &parts {
            let (name, filename) = (printable(name), filename.as_deref().map(printable));
            body.extend_from_slice(b"--cut\r\nContent-Disposition: form-data; name=\"");
            body.extend_from_slice(quoted(&name).as_bytes());
            if let Some(filename) = &filename {
                body.extend_from_slice(b"\"; filename=\"");
                body.extend_from_slice(quoted(filename).as_bytes());
            }
            body.extend_from_slice(b"\"\r\n\r\n");
            body.extend_from_slice(data);
            body.extend_from_slice(b"\r\n");
            expected.push(Part { name, filename, content_type: None, data: data.clone(), is_whole: true });
        }
        body.extend_from_slice(b"--cut--\r\n");
        let outcome = read("cut", &body, limits());
        prop_assert_eq!(&outcome.end, &Ok(()));
        prop_assert_eq!(&outcome.parts, &expected);
        let parser = MultipartParser::new("cut", limits()).unwrap();
        prop_assert_eq!(read_with(parser, &mut cuts::pieces(&body, &lengths).into_iter()), outcome);
    }

    #[test]
    fn whatever_comes_is_the_same_however_it_is_cut(
        words in prop::collection::vec(prop::sample::select(vec![
            "--cut", "\r\n", "--", "\r", "\n", "x", " ", "Content-Disposition: form-data; name=a\r\n\r\n",
            "Content-Disposition: form-data; name=a; filename=b\r\n\r\n", "-", "X: y\r\n",
        ]), 0..24),
    ) {
        let mut few = limits();
        (few.parts, few.head, few.field, few.file, few.total) = (3, 80, 4, 6, 200);
        read("cut", words.concat().as_bytes(), few);
    }
}
