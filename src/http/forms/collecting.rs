//! A form in the making: what has come of it, within its limits.

use std::fs::File;
use std::io::Write;

use super::{Form, FormContent, FormError, FormField, FormFile, FormLimits};
use crate::http::Request;
use crate::http::server::capacity::Held;
use crate::wire::multipart::{MultipartEvent, MultipartParser, PartHead};
use crate::wire::{parameters, urlencoded};

/// What each field costs besides its bytes, roughly.
const ENTRY: u64 = 96;

/// How the body is to be read.
pub(super) enum Encoding {
    Urlencoded(Pairs),
    Multipart(Box<MultipartParser>),
}

impl Encoding {
    /// That of a request's body.
    pub(super) fn of(request: &Request, limits: &FormLimits) -> Result<Self, FormError> {
        // Of two types, who knows which the others take.
        let mut types = request.fields().get_all("content-type");
        let (Some(only), None) = (types.next(), types.next()) else {
            return Err(FormError::NotAForm);
        };
        let text = std::str::from_utf8(only).map_err(|_| FormError::NotAForm)?;
        if parameters(text).0.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Ok(Self::Urlencoded(Pairs { total_left: limits.total, ..Pairs::default() }));
        }
        Ok(Self::Multipart(Box::new(MultipartParser::for_type(text, limits.multipart())?)))
    }
}

/// Fields and files so far, and how much memory they take.
pub(super) struct Collected {
    pub(super) form: Form,
    limits: FormLimits,
    pairs: usize,
    memory_left: u64,
    /// The same, where it is one of many that are coming.
    held: Option<Held>,
}

/// A part that is coming.
pub(super) struct Part {
    name: String,
    filename: Option<String>,
    content_type: Option<String>,
    pub(super) len: u64,
    content: FormContent,
    /// Where that is stored.
    file: Option<File>,
}

impl Part {
    pub(super) fn new(head: &PartHead, content: FormContent, file: Option<File>) -> Self {
        Self {
            name: head.name().to_owned(),
            filename: head.filename().map(str::to_owned),
            content_type: head.content_type().map(str::to_owned),
            len: 0,
            content,
            file,
        }
    }
}

impl Collected {
    pub(super) fn new(limits: FormLimits, held: Option<Held>) -> Self {
        Self { form: Form::default(), limits, pairs: 0, memory_left: limits.memory, held }
    }

    /// Accounts for so many bytes that are kept.
    fn charge(&mut self, bytes: u64) -> Result<(), FormError> {
        self.memory_left = self.memory_left.checked_sub(bytes).ok_or(FormError::TooLarge)?;
        if let Some(held) = &mut self.held {
            held.add(usize::try_from(bytes).unwrap_or(usize::MAX));
        }
        Ok(())
    }

    /// Adds a pair of a query or of an urlencoded body.
    pub(super) fn pair(&mut self, name: String, value: String) -> Result<(), FormError> {
        let len = name.len() as u64 + value.len() as u64;
        if self.pairs == self.limits.pairs || len > self.limits.field {
            return Err(FormError::TooLarge);
        }
        self.pairs += 1;
        self.charge(len + ENTRY)?;
        self.form.fields.push(FormField::new(name, value.into_bytes()));
        Ok(())
    }

    /// Adds some of a part's content, to what is kept in memory or on disk.
    pub(super) fn keep(&mut self, part: &mut Part, data: &[u8]) -> Result<(), FormError> {
        part.len += data.len() as u64;
        if let Some(file) = &mut part.file {
            file.write_all(data)?;
        }
        if let FormContent::Memory(content) = &mut part.content {
            self.charge(data.len() as u64)?;
            content.extend_from_slice(data);
        }
        Ok(())
    }

    /// Adds a part that is complete.
    pub(super) fn finish(&mut self, part: Part) -> Result<(), FormError> {
        let Part { name, filename, content_type, len, mut content, file } = part;
        if let (FormContent::Stored(stored), Some(file)) = (&mut content, file) {
            stored.complete(file, len)?;
        }
        let texts = [Some(&name), filename.as_ref(), content_type.as_ref()];
        let texts: usize = texts.into_iter().flatten().map(String::len).sum();
        self.charge(texts as u64 + ENTRY)?;
        match (content, &filename) {
            (FormContent::Memory(content), None) => {
                self.form.fields.push(FormField::new(name, content));
            }
            (content, _) => {
                let file = FormFile { name, filename, content_type, len, content };
                self.form.files.push(file);
            }
        }
        Ok(())
    }
}

/// An urlencoded body, as it comes.
#[derive(Default)]
pub(super) struct Pairs {
    /// The pair that has begun.
    pair: Vec<u8>,
    total_left: u64,
}

impl Pairs {
    pub(super) fn feed(
        &mut self,
        input: &[u8],
        collected: &mut Collected,
    ) -> Result<(), FormError> {
        self.total_left =
            self.total_left.checked_sub(input.len() as u64).ok_or(FormError::TooLarge)?;
        // Escaped, every byte is three; and between the two is one more.
        let most = collected.limits.field.saturating_mul(3).saturating_add(1);
        let mut pieces = input.split(|byte| *byte == b'&').peekable();
        while let Some(piece) = pieces.next() {
            if self.pair.len() as u64 + piece.len() as u64 > most {
                return Err(FormError::TooLarge);
            }
            self.pair.extend_from_slice(piece);
            if pieces.peek().is_some() {
                self.finish(collected)?;
            }
        }
        Ok(())
    }

    pub(super) fn finish(&mut self, collected: &mut Collected) -> Result<(), FormError> {
        for (name, value) in urlencoded::parse(&self.pair) {
            collected.pair(name.into_owned(), value.into_owned())?;
        }
        self.pair.clear();
        Ok(())
    }
}

/// The form in a whole body, all of it in memory.
pub(super) fn whole(request: &Request, collected: &mut Collected) -> Result<(), FormError> {
    let mut body = request.body();
    let mut parser = match Encoding::of(request, &collected.limits)? {
        Encoding::Urlencoded(mut pairs) => {
            pairs.feed(body, collected)?;
            return pairs.finish(collected);
        }
        Encoding::Multipart(parser) => parser,
    };
    let mut part: Option<Part> = None;
    loop {
        let progress = parser.feed(body)?;
        body = body.get(progress.used..).unwrap_or_default();
        match (progress.event, &mut part) {
            (None, _) => break,
            (Some(MultipartEvent::Begin(head)), _) => {
                part = Some(Part::new(head, FormContent::Memory(Vec::new()), None));
            }
            (Some(MultipartEvent::Data(data)), Some(part)) => {
                collected.keep(part, data)?;
            }
            (Some(MultipartEvent::PartEnd), place) => {
                if let Some(part) = place.take() {
                    collected.finish(part)?;
                }
            }
            _ => {}
        }
    }
    Ok(parser.end_of_input()?)
}
