//! Responses, read as strictly as we would have requests read.

#[derive(Debug, Clone, Default)]
pub struct Response {
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
    /// Statuses of interim responses that came before.
    pub interim: Vec<u16>,
}

impl Response {
    /// The only field of this name.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut all = self.fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        let first = all.next();
        assert!(all.next().is_none(), "several fields {name}: {:?}", self.fields);
        first.map(|(_, value)| value.as_str())
    }

    pub fn closes(&self) -> bool {
        self.field("Connection").is_some_and(|value| value.to_ascii_lowercase().contains("close"))
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }
}

/// The first response of the bytes, and how many of them it takes; nothing if it is not complete.
/// Panics on what no server may send.
#[track_caller]
pub fn parse(bytes: &[u8], method: &str, at_eof: bool) -> Option<(Response, usize)> {
    let end = find(bytes, b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).expect("a head in ASCII");
    let mut lines = head.split("\r\n");
    let line = lines.next().unwrap_or("");
    assert!(line.starts_with("HTTP/1.1 ") && line.as_bytes().get(12) == Some(&b' '), "{line:?}");
    let status: u16 = line[9..12].parse().expect("a status");
    let fields: Vec<(String, String)> = lines.map(field).collect();
    let mut response = Response { status, fields, ..Response::default() };
    let body = end + 4;
    let length = response.field("Content-Length").map(|text| text.parse::<usize>().expect(text));
    let coding = response.field("Transfer-Encoding").map(str::to_owned);
    assert!(length.is_none() || coding.is_none(), "two framings: {head}");
    if status >= 200 {
        assert!(response.field("Date").is_some(), "no Date: {head}");
    }
    response.field("Connection");
    if status < 200 || status == 204 {
        assert!(length.is_none() && coding.is_none(), "framing without a body: {head}");
    }
    if status < 200 || status == 204 || status == 304 || method == "HEAD" {
        return Some((response, body));
    }
    if let Some(length) = length {
        response.body = bytes.get(body..body + length)?.to_vec();
        return Some((response, body + length));
    }
    if let Some(coding) = coding {
        assert_eq!(coding, "chunked");
        let used = chunked(&bytes[body..], &mut response)?;
        return Some((response, body + used));
    }
    // Until the end, and then the server must have said that it ends.
    if !at_eof {
        return None;
    }
    assert!(response.closes(), "a body without an end: {head}");
    response.body = bytes[body..].to_vec();
    Some((response, bytes.len()))
}

#[track_caller]
fn field(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no field: {line:?}"));
    let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    assert!(!name.is_empty() && name.chars().all(good), "no name: {line:?}");
    assert!(!value.chars().any(char::is_control), "a control character: {line:?}");
    (name.to_owned(), value.trim_matches(' ').to_owned())
}

#[track_caller]
fn chunked(bytes: &[u8], response: &mut Response) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = &bytes[at..];
        let end = find(rest, b"\r\n")?;
        let text = std::str::from_utf8(&rest[..end]).expect("a chunk size");
        let good = !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
        assert!(good, "no chunk size: {text:?}");
        let size = usize::from_str_radix(text, 16).expect("a chunk size");
        at += end + 2;
        if size == 0 {
            break;
        }
        response.body.extend_from_slice(bytes.get(at..at + size)?);
        assert_eq!(bytes.get(at + size..at + size + 2)?, b"\r\n", "after a chunk");
        at += size + 2;
    }
    loop {
        let rest = &bytes[at..];
        let end = find(rest, b"\r\n")?;
        at += end + 2;
        if end == 0 {
            return Some(at);
        }
        let line = std::str::from_utf8(&rest[..end]).expect("a trailer");
        response.trailers.push(field(line));
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
