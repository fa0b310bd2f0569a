//! The machine that finds the parts.

use super::{MultipartFault, MultipartLimits, PartHead, boundary, is_boundary};

/// Reads a form, however its bytes come. See the [module](super).
// The delimiter is CR LF, two hyphens and the boundary. A boundary has no CR in it, so no proper end of what has matched
// is a beginning of the delimiter: on a mismatch all of it is content, and the search goes on at the byte that
// did not match. That is Knuth, Morris and Pratt with a table of zeros, and the reason why no boundary makes the
// search slow.
#[derive(Debug)]
pub struct MultipartParser {
    delimiter: Vec<u8>,
    limits: MultipartLimits,
    state: State,
    /// How much of the delimiter has matched at the end of what was used.
    matched: usize,
    /// How much of that has never come: before the body, and behind the empty line of a head, half of a delimiter is
    /// there already.
    supposed: usize,
    /// The head that is coming, and where its last line begins.
    head: Vec<u8>,
    line: usize,
    part: PartHead,
    parts: usize,
    /// How much more of this part, and of everything, is taken.
    left: u64,
    total_left: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Preamble,
    /// Behind a boundary, where there is nothing yet but perhaps white space.
    Behind,
    /// A hyphen has come there.
    Hyphen,
    /// White space, or CR.
    Padding,
    BeforeLf,
    Head,
    Content,
    /// What is behind the last boundary.
    Epilogue,
    Failed(MultipartFault),
}

/// What became of the bytes that were fed.
#[derive(Debug)]
pub struct MultipartProgress<'a> {
    /// How many of them were used; feed what is left.
    pub used: usize,
    /// What was found. `None` if all was used, and more is needed.
    pub event: Option<MultipartEvent<'a>>,
}

/// What is found in a form.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum MultipartEvent<'a> {
    /// A part begins.
    Begin(&'a PartHead),
    /// Some of its content, at least one byte.
    Data(&'a [u8]),
    /// It is complete.
    PartEnd,
    /// The last boundary has come. What follows is skipped.
    End,
}

/// What one step has come to.
enum Found {
    Nothing,
    Begin,
    /// So many bytes at the beginning of the input, of which more may have been used.
    Data(usize),
    /// That part of the delimiter, which was none.
    Held(usize, usize),
    PartEnd,
    End,
}

impl MultipartParser {
    /// For a body of this boundary, without the hyphens.
    ///
    /// # Errors
    ///
    /// [`BadBoundary`](MultipartFault::BadBoundary), see [`boundary`].
    pub fn new(boundary: &str, limits: MultipartLimits) -> Result<Self, MultipartFault> {
        if !is_boundary(boundary) {
            return Err(MultipartFault::BadBoundary);
        }
        Ok(Self {
            delimiter: [b"\r\n--", boundary.as_bytes()].concat(),
            limits,
            state: State::Preamble,
            matched: 2,
            supposed: 2,
            head: Vec::new(),
            line: 0,
            part: PartHead::default(),
            parts: 0,
            left: 0,
            total_left: limits.total,
        })
    }

    /// For a body of this `Content-Type`.
    ///
    /// # Errors
    ///
    /// Those of [`boundary`].
    pub fn for_type(content_type: &str, limits: MultipartLimits) -> Result<Self, MultipartFault> {
        Self::new(&boundary(content_type)?, limits)
    }

    /// Looks at bytes up to the next thing that is to be told; feed what is left again. An event may come without bytes
    /// being used: what looked like a boundary before was content.
    ///
    /// # Errors
    ///
    /// The first fault, and the same ever after.
    pub fn feed<'a>(
        &'a mut self,
        input: &'a [u8],
    ) -> Result<MultipartProgress<'a>, MultipartFault> {
        // Looked at no further than the total allows, so that the outcome does not depend on how much came at once.
        let most = usize::try_from(self.total_left).unwrap_or(usize::MAX).min(input.len());
        let (allowed, beyond) = input.split_at_checked(most).unwrap_or((input, &[]));
        let mut used = 0;
        let found = loop {
            let rest = allowed.get(used..).unwrap_or_default();
            match self.step(rest, &mut used) {
                Ok(Found::Nothing) if used < allowed.len() => {}
                Ok(Found::Data(n)) => break Found::Data(used - n),
                Ok(found) => break found,
                Err(fault) => return Err(self.fail(fault)),
            }
        };
        self.total_left -= used as u64;
        let event = match found {
            Found::Nothing if !beyond.is_empty() => return Err(self.fail(MultipartFault::TooLarge)),
            Found::Nothing => None,
            Found::Begin => Some(MultipartEvent::Begin(&self.part)),
            Found::Data(from) => allowed.get(from..used).map(MultipartEvent::Data),
            Found::Held(from, to) => self.delimiter.get(from..to).map(MultipartEvent::Data),
            Found::PartEnd => Some(MultipartEvent::PartEnd),
            Found::End => Some(MultipartEvent::End),
        };
        Ok(MultipartProgress { used, event })
    }

    /// Whether the last boundary has come.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Epilogue
    }

    /// The body has ended.
    ///
    /// # Errors
    ///
    /// [`Incomplete`](MultipartFault::Incomplete) if it has ended too early, or the fault that there was before.
    pub fn end_of_input(&mut self) -> Result<(), MultipartFault> {
        match self.state {
            State::Epilogue => Ok(()),
            State::Failed(fault) => Err(fault),
            _ => Err(self.fail(MultipartFault::Incomplete)),
        }
    }

    fn fail(&mut self, fault: MultipartFault) -> MultipartFault {
        self.state = State::Failed(fault);
        self.head = Vec::new();
        fault
    }

    /// One step. Adds what it has used of `input`.
    fn step(&mut self, input: &[u8], used: &mut usize) -> Result<Found, MultipartFault> {
        match self.state {
            State::Failed(fault) => return Err(fault),
            State::Preamble | State::Content => return self.search(input, used),
            State::Head => return self.read_head(input, used),
            State::Epilogue => {
                *used += input.len();
                return Ok(Found::Nothing);
            }
            _ => {}
        }
        let Some(&byte) = input.first() else { return Ok(Found::Nothing) };
        *used += 1;
        self.state = match (self.state, byte) {
            (State::Behind, b'-') => State::Hyphen,
            (State::Hyphen, b'-') => {
                self.state = State::Epilogue;
                return Ok(Found::End);
            }
            (State::Behind | State::Padding, b' ' | b'\t') => State::Padding,
            (State::Behind | State::Padding, b'\r') => State::BeforeLf,
            (State::BeforeLf, b'\n') => {
                if self.parts == self.limits.parts {
                    return Err(MultipartFault::TooManyParts);
                }
                self.parts += 1;
                self.head.clear();
                self.line = 0;
                self.part = PartHead::default();
                State::Head
            }
            _ => return Err(MultipartFault::BadBoundaryLine),
        };
        Ok(Found::Nothing)
    }

    /// Looks for the delimiter.
    fn search(&mut self, input: &[u8], used: &mut usize) -> Result<Found, MultipartFault> {
        if self.matched > 0 {
            return self.go_on_matching(input, used);
        }
        // Everything up to where a delimiter is, or may be.
        let mut at = 0;
        loop {
            let rest = input.get(at..).unwrap_or_default();
            let Some(cr) = position(rest, b'\r') else {
                at = input.len();
                break;
            };
            at += cr;
            let same = common(rest.get(cr..).unwrap_or_default(), &self.delimiter);
            if same == self.delimiter.len() || at + same == input.len() {
                break;
            }
            at += same;
        }
        if at == 0 {
            // Here one may begin: byte by byte, remembering how much of it there was.
            return self.go_on_matching(input, used);
        }
        let n = self.allow(at)?;
        *used += n;
        Ok(if self.state == State::Content { Found::Data(n) } else { Found::Nothing })
    }

    /// Where some of a delimiter has matched, or its first byte is the next.
    fn go_on_matching(&mut self, input: &[u8], used: &mut usize) -> Result<Found, MultipartFault> {
        let expected = self.delimiter.get(self.matched..).unwrap_or_default();
        let same = common(input, expected);
        *used += same;
        self.matched += same;
        if self.matched == self.delimiter.len() {
            self.matched = 0;
            self.supposed = 0;
            let was = std::mem::replace(&mut self.state, State::Behind);
            return Ok(if was == State::Content { Found::PartEnd } else { Found::Nothing });
        }
        if same == input.len() {
            return Ok(Found::Nothing);
        }
        // It was none. The byte that is different is looked at next.
        let (from, to) = (self.supposed, self.matched);
        if self.state == State::Preamble || from >= to {
            self.matched = 0;
            self.supposed = 0;
            return Ok(Found::Nothing);
        }
        let n = self.allow(to - from)?;
        self.supposed = from + n;
        if self.supposed == to {
            self.matched = 0;
            self.supposed = 0;
        }
        Ok(Found::Held(from, from + n))
    }

    /// How many of so many bytes of content may be told: what is too much is a fault once the rest was.
    fn allow(&mut self, n: usize) -> Result<usize, MultipartFault> {
        if self.state != State::Content {
            return Ok(n);
        }
        let allowed = usize::try_from(self.left).unwrap_or(usize::MAX).min(n);
        if allowed == 0 {
            return Err(if self.part.is_file() {
                MultipartFault::FileTooLarge
            } else {
                MultipartFault::FieldTooLarge
            });
        }
        self.left -= allowed as u64;
        Ok(allowed)
    }

    fn read_head(&mut self, input: &[u8], used: &mut usize) -> Result<Found, MultipartFault> {
        let end = position(input, b'\n').map(|at| at + 1);
        let room = self.limits.head - self.head.len();
        let n = end.unwrap_or(input.len());
        if n > room {
            return Err(MultipartFault::HeadTooLong);
        }
        self.head.extend_from_slice(input.get(..n).unwrap_or_default());
        *used += n;
        if end.is_none() {
            return Ok(Found::Nothing);
        }
        let line = self.head.get(self.line..).unwrap_or_default();
        let Some(line) = line.strip_suffix(b"\r\n") else { return Err(MultipartFault::BadLineEnd) };
        if !line.is_empty() {
            self.part.add_line(line)?;
            self.line = self.head.len();
            return Ok(Found::Nothing);
        }
        self.part.finish()?;
        self.head.clear();
        self.left = if self.part.is_file() { self.limits.file } else { self.limits.field };
        self.state = State::Content;
        // RFC 2046 lets a part have no content, and no empty line before the next delimiter, whose line break this
        // then is.
        self.matched = 2;
        self.supposed = 2;
        Ok(Found::Begin)
    }
}

/// How many bytes both begin with.
fn common(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// Where the byte is first.
// By blocks without a branch inside, which the compiler turns into vector instructions.
fn position(bytes: &[u8], byte: u8) -> Option<usize> {
    const BLOCK: usize = 32;
    let clean = bytes
        .chunks_exact(BLOCK)
        .take_while(|block| !block.iter().fold(false, |found, b| found | (*b == byte)))
        .count();
    let from = clean * BLOCK;
    let rest = bytes.get(from..)?;
    Some(from + rest.iter().position(|b| *b == byte)?)
}
