//! The rejection lists of net-and-http-server.md §3.1 to §3.3, one raw request per row.
//!
//! A row of the head tables is a whole head (or what was meant as one); of the framing table the
//! framing fields of a POST; of the chunk table a chunked body.

/// What is wrong, the bytes, and the statuses that may answer it.
pub struct Row {
    pub bytes: Vec<u8>,
    pub statuses: &'static [u16],
}

fn row(bytes: impl AsRef<[u8]>, statuses: &'static [u16]) -> Row {
    Row { bytes: bytes.as_ref().to_vec(), statuses }
}

const BAD: &[u16] = &[400];
const NOT_IMPLEMENTED: &[u16] = &[501];
const VERSION: &[u16] = &[505];
const EITHER: &[u16] = &[400, 501];
const TOO_LARGE: &[u16] = &[431];
const BAD_OR_TOO_LONG: &[u16] = &[400, 413];

/// §3.1: line ends, the request line, targets.
pub fn request_lines() -> Vec<Row> {
    let lines: &[&[u8]] = &[
        // Line ends other than CRLF.
        b"GET / HTTP/1.1\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\n",
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET / HTTP/1.1\rHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\r\n",
        b"GET / HTTP/1.1\r\n\rHost: a\r\n\r\n",
        b"GET /\rHTTP/1.1\r\nHost: a\r\n\r\n",
        b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        // NUL.
        b"\0GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"G\0T / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\0\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX\0: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n",
        // Exactly one space each, and nothing after.
        b" GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
        b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /\tHTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / a HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1 a\r\nHost: a\r\n\r\n",
        b"GET /\x0bHTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET\x0c/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b" / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET\r\nHost: a\r\n\r\n",
        // Methods are tokens.
        b"G(T / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"G\"T / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET: / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"G\xc3\x89T / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"G\x7fT / HTTP/1.1\r\nHost: a\r\n\r\n",
        // Targets.
        b"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /plaintext#x HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /plaintext?a#b HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET plaintext HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET ?a HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http:/a HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http:///plaintext HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"OPTIONS a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
        // Versions.
        b"GET /\r\n\r\n",
        b"GET / \r\nHost: a\r\n\r\n",
        b"GET / http/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.\r\nHost: a\r\n\r\n",
        b"GET / HTTP/.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/11.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.10\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1,1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/ 1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/+1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/A.1\r\nHost: a\r\n\r\n",
        b"GET / HTTPS/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP 1.1\r\nHost: a\r\n\r\n",
        b"GET / ICY/1.1\r\nHost: a\r\n\r\n",
    ];
    let mut rows: Vec<Row> = lines.iter().map(|bytes| row(bytes, BAD)).collect();
    for major in ["0.9", "0.0", "2.0", "2.1", "3.0", "9.9"] {
        rows.push(row(format!("GET / HTTP/{major}\r\nHost: a\r\n\r\n"), VERSION));
    }
    // The preface of HTTP/2.
    rows.push(row("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &[400, 505]));
    let long = "M".repeat(33);
    rows.push(row(format!("{long} / HTTP/1.1\r\nHost: a\r\n\r\n"), NOT_IMPLEMENTED));
    let long = "x".repeat(8192);
    rows.push(row(format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), &[414]));
    rows
}

/// §3.1: fields and Host. Each stands below a good request line.
pub fn fields() -> Vec<Row> {
    let bad: &[&[u8]] = &[
        b"Host: a\r\n: b\r\n",
        b"Host: a\r\nX : b\r\n",
        b"Host: a\r\nX\t: b\r\n",
        b"Host: a\r\nX Y: b\r\n",
        b"Host: a\r\nX\r\n",
        b"Host: a\r\nX b\r\n",
        b" Host: a\r\n",
        b" X: b\r\nHost: a\r\n",
        b"\tX: b\r\nHost: a\r\n",
        b"Host: a\r\n b\r\n",
        b"Host: a\r\nX: b\r\n c\r\n",
        b"Host: a\r\nX: b\r\n\tc\r\n",
        b"Host: a\r\nX: b\r\n \r\n",
        b"Host: a\r\nX(: b\r\n",
        b"Host: a\r\nX@Y: b\r\n",
        b"Host: a\r\nX\"Y\": b\r\n",
        b"Host: a\r\nX\xe9: b\r\n",
        b"Host: a\r\nX\x01: b\r\n",
        b"Host: a\r\nX: \x01\r\n",
        b"Host: a\r\nX: b\x7f\r\n",
        b"Host: a\r\nX: b\x0bc\r\n",
        b"Host: a\r\nX: b\x1bc\r\n",
        b"Host: a\r\nX: b\rc\r\n",
        b"Host: a\r\nX: b\nY: c\r\n",
        // Host.
        b"",
        b"X: b\r\n",
        b"Host: a\r\nHost: a\r\n",
        b"Host: a\r\nHost: b\r\n",
        b"Host: a\r\nX: y\r\nhost: a\r\n",
        b"Host: a\r\nHost:\r\n",
        b"Host: a b\r\n",
        b"Host: a,b\r\n",
        b"Host: a, b\r\n",
        b"Host: u@a\r\n",
        b"Host: u:p@a\r\n",
        b"Host: a/b\r\n",
        b"Host: http://a\r\n",
        b"Host: a?b\r\n",
        b"Host: a#b\r\n",
        b"Host: a\\b\r\n",
        b"Host: a:b\r\n",
        b"Host: a:80:80\r\n",
        b"Host: a:-1\r\n",
        b"Host: a:+80\r\n",
        b"Host: [::1\r\n",
        b"Host: ::1\r\n",
        b"Host: a\tb\r\n",
    ];
    let whole = |fields: &[u8]| [b"GET /plaintext HTTP/1.1\r\n", fields, b"\r\n"].concat();
    let mut rows: Vec<Row> = bad.iter().map(|fields| row(whole(fields), BAD)).collect();
    // An absolute target does not stand for the field.
    rows.push(row("GET http://a/plaintext HTTP/1.1\r\n\r\n", BAD));
    rows.push(row("GET http://a/plaintext HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", BAD));
    rows.push(row("GET /plaintext HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", BAD));
    let many = format!("Host: a\r\n{}", "X: y\r\n".repeat(100));
    rows.push(row(whole(many.as_bytes()), TOO_LARGE));
    let large = format!("Host: a\r\nX: {}\r\n", "y".repeat(66_000));
    rows.push(row(whole(large.as_bytes()), TOO_LARGE));
    rows
}

/// §3.2: framing fields of `GET /query HTTP/1.1`, and rows with heads of their own.
pub fn framings() -> Vec<Row> {
    let table: &[(&str, &[u16])] = &[
        ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", BAD),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", BAD),
        ("content-length: 5\r\nTRANSFER-ENCODING: chunked\r\n", BAD),
        ("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", BAD),
        ("Content-Length: 5\r\nTransfer-Encoding: identity\r\n", BAD),
        ("Content-Length: 5\r\nTransfer-Encoding:\r\n", BAD),
        ("Content-Length: 5\r\nTransfer-Encoding : chunked\r\n", BAD),
        ("Content-Length: 5\r\n Transfer-Encoding: chunked\r\n", BAD),
        ("Transfer-Encoding: gzip, chunked\r\n", NOT_IMPLEMENTED),
        ("Transfer-Encoding: identity, chunked\r\n", NOT_IMPLEMENTED),
        ("Transfer-Encoding: foo, bar, chunked\r\n", NOT_IMPLEMENTED),
        ("Transfer-Encoding: gzip\r\n", BAD),
        ("Transfer-Encoding: identity\r\n", BAD),
        ("Transfer-Encoding: chunked, gzip\r\n", BAD),
        ("Transfer-Encoding: chunked, identity\r\n", BAD),
        ("Transfer-Encoding: xchunked\r\n", BAD),
        ("Transfer-Encoding: chunkedx\r\n", BAD),
        ("Transfer-Encoding: chunked foo\r\n", BAD),
        ("Transfer-Encoding: x chunked\r\n", BAD),
        ("Transfer-Encoding: chunke\r\n", BAD),
        ("Transfer-Encoding:\r\n", BAD),
        ("Transfer-Encoding: \t \r\n", BAD),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", EITHER),
        ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", EITHER),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", EITHER),
        ("Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n", EITHER),
        ("Transfer-Encoding: chunked, chunked\r\n", EITHER),
        ("Transfer-Encoding: chunked;q=1\r\n", EITHER),
        ("Transfer-Encoding: chunked;\r\n", EITHER),
        ("Transfer-Encoding: \"chunked\"\r\n", EITHER),
        ("Transfer-Encoding: 'chunked'\r\n", EITHER),
        ("Transfer-Encoding: ,chunked\r\n", EITHER),
        ("Transfer-Encoding: chunked,\r\n", EITHER),
        ("Transfer-Encoding: \x0bchunked\r\n", BAD),
        ("Transfer-Encoding: chunked\x0c\r\n", BAD),
        ("Transfer-Encoding: chunked\0\r\n", BAD),
        ("Transfer-Encoding:\r\n chunked\r\n", BAD),
        ("Transfer-Encoding\t: chunked\r\n", BAD),
        ("Transfer-Encoding: \u{a0}chunked\r\n", BAD),
        ("Content-Length: +5\r\n", BAD),
        ("Content-Length: -5\r\n", BAD),
        ("Content-Length: -1\r\n", BAD),
        ("Content-Length: -0\r\n", BAD),
        ("Content-Length: 0x5\r\n", BAD),
        ("Content-Length: 5a\r\n", BAD),
        ("Content-Length: a\r\n", BAD),
        ("Content-Length: 5 5\r\n", BAD),
        ("Content-Length: 5\t5\r\n", BAD),
        ("Content-Length: 5,5\r\n", BAD),
        ("Content-Length: 5, 5\r\n", BAD),
        ("Content-Length: ,5\r\n", BAD),
        ("Content-Length: 5,\r\n", BAD),
        ("Content-Length: 5;x\r\n", BAD),
        ("Content-Length: \"5\"\r\n", BAD),
        ("Content-Length: 5.0\r\n", BAD),
        ("Content-Length: 5e0\r\n", BAD),
        ("Content-Length: 1_0\r\n", BAD),
        ("Content-Length:\r\n", BAD),
        ("Content-Length:  \t\r\n", BAD),
        ("Content-Length: \u{665}\r\n", BAD),
        ("Content-Length: 5\x0b\r\n", BAD),
        ("Content-Length: 5\0\r\n", BAD),
        ("Content-Length : 5\r\n", BAD),
        ("Content-Length:\r\n 5\r\n", BAD),
        ("Content-Length: 5\r\nContent-Length: 5\r\n", BAD),
        ("Content-Length: 5\r\nContent-Length: 6\r\n", BAD),
        ("Content-Length: 6\r\nX: y\r\ncontent-length: 5\r\n", BAD),
        ("Content-Length: 5\r\nContent-Length:\r\n", BAD),
        ("Content-Length: 9223372036854775808\r\n", BAD_OR_TOO_LONG),
        ("Content-Length: 18446744073709551615\r\n", BAD_OR_TOO_LONG),
        ("Content-Length: 18446744073709551616\r\n", BAD_OR_TOO_LONG),
        ("Content-Length: 18446744073709551621\r\n", BAD_OR_TOO_LONG),
        ("Content-Length: 99999999999999999999999999999999\r\n", BAD_OR_TOO_LONG),
        ("Content-Length: 9223372036854775807\r\n", &[413]),
        ("Content-Length: 8388609\r\n", &[413]),
    ];
    let head = |fields: &str| {
        let kind = "Content-Type: application/x-www-form-urlencoded\r\n";
        format!("GET /query HTTP/1.1\r\nHost: a\r\n{kind}{fields}\r\n")
    };
    let mut rows: Vec<Row> = table.iter().map(|(fields, good)| row(head(fields), good)).collect();
    let old = "GET /query HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    rows.push(row(old, BAD));
    let old = "GET /query HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n";
    rows.push(row(old, BAD));
    let old = "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n";
    rows.push(row(old, BAD));
    // For every method.
    for method in ["GET", "HEAD", "DELETE", "OPTIONS", "PUT"] {
        let fields = "Host: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n";
        rows.push(row(format!("{method} /plaintext HTTP/1.1\r\n{fields}\r\n"), BAD));
    }
    rows
}

/// §3.3: chunked bodies.
pub fn chunks() -> Vec<Row> {
    let bad: &[&[u8]] = &[
        b"5 \r\nhello\r\n0\r\n\r\n",
        b"5\t\r\nhello\r\n0\r\n\r\n",
        b" 5\r\nhello\r\n0\r\n\r\n",
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"-1\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"5h\r\nhello\r\n0\r\n\r\n",
        b"5_\r\nhello\r\n0\r\n\r\n",
        b"g\r\nhello\r\n0\r\n\r\n",
        b"\"5\"\r\nhello\r\n0\r\n\r\n",
        b"\r\nhello\r\n0\r\n\r\n",
        b"\r\n5\r\nhello\r\n0\r\n\r\n",
        b";a\r\nhello\r\n0\r\n\r\n",
        b"5\0\r\nhello\r\n0\r\n\r\n",
        b"5\nhello\r\n0\r\n\r\n",
        b"5\rhello\r\n0\r\n\r\n",
        b"5\r\rhello\r\n0\r\n\r\n",
        b"5\r\r\nhello\r\n0\r\n\r\n",
        b"\n5\r\nhello\r\n0\r\n\r\n",
        b"5 5\r\nhello\r\n0\r\n\r\n",
        b"5,5\r\nhello\r\n0\r\n\r\n",
        b"5;\r\nhello\r\n0\r\n\r\n",
        b"5;;a\r\nhello\r\n0\r\n\r\n",
        b"5;=b\r\nhello\r\n0\r\n\r\n",
        b"5;a=\"b\r\nhello\r\n0\r\n\r\n",
        b"5;a=b\"\r\nhello\r\n0\r\n\r\n",
        b"5;a\nhello\r\n0\r\n\r\n",
        b"5;a=b\nhello\r\n0\r\n\r\n",
        b"5;a=\"b\n\"\r\nhello\r\n0\r\n\r\n",
        b"5;a=\"b\r\"\r\nhello\r\n0\r\n\r\n",
        b"5;a\rb\r\nhello\r\n0\r\n\r\n",
        b"5;a=\x01\r\nhello\r\n0\r\n\r\n",
        b"5;a=\"\x01\"\r\nhello\r\n0\r\n\r\n",
        b"5;a=\"\x7f\"\r\nhello\r\n0\r\n\r\n",
        b"5;a=b\0\r\nhello\r\n0\r\n\r\n",
        b"5;a=(\r\nhello\r\n0\r\n\r\n",
        b"5;a b\r\nhello\r\n0\r\n\r\n",
        // Sizes that do not fit.
        b"FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n",
        b"10000000000000000\r\nhello\r\n0\r\n\r\n",
        b"10000000000000005\r\nhello\r\n0\r\n\r\n",
        b"100000000000000000000000000000005\r\nhello\r\n0\r\n\r\n",
        // After the data exactly CRLF.
        b"5\r\nhelloX\r\n0\r\n\r\n",
        b"5\r\nhelloXY0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhello\r0\r\n\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5\r\nhello\r\r\n0\r\n\r\n",
        b"5\r\nhello \r\n0\r\n\r\n",
        b"4\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\n\r\n0\r\n\r\n",
        // The last chunk and the trailers.
        b"0\n\r\n",
        b"0\r\n\n",
        b"0\r\n\rX",
        b"0 \r\n\r\n",
        b"0\r\nX: y\n\r\n",
        b"0\r\nX : y\r\n\r\n",
        b"0\r\nX\r\n\r\n",
        b"0\r\n: y\r\n\r\n",
        b"0\r\n X: y\r\n\r\n",
        b"0\r\nX: y\r\n z\r\n\r\n",
        b"0\r\nX: \0\r\n\r\n",
        b"0\r\nX: a\rb\r\n\r\n",
        b"0\r\nX(: y\r\n\r\n",
    ];
    let mut rows: Vec<Row> = bad.iter().map(|body| row(body, BAD)).collect();
    // Sizes that can be counted, but not kept, are in `pressure`.
    rows.push(row(format!("{}5\r\nhello\r\n0\r\n\r\n", "0".repeat(300)), BAD));
    let extension = format!("5;a={}\r\nhello\r\n0\r\n\r\n", "b".repeat(17 * 1024));
    rows.push(row(extension, BAD));
    let extensions = format!("5;a={}\r\nhello\r\n", "b".repeat(1000)).repeat(18);
    rows.push(row(format!("{extensions}0\r\n\r\n"), BAD));
    // More framing than 16 KiB + 16 for each byte of data.
    let padded = format!("{}1\r\nx\r\n", "0".repeat(60)).repeat(600);
    rows.push(row(format!("{padded}0\r\n\r\n"), BAD));
    rows.push(row(format!("0\r\n{}\r\n", "X: y\r\n".repeat(101)), TOO_LARGE));
    rows.push(row(format!("0\r\nX: {}\r\n\r\n", "y".repeat(17 * 1024)), TOO_LARGE));
    rows
}
