//! Compressed messages: permessage-deflate (RFC 7692). Feature `compress`.
//!
//! Both ends agree on it in the handshake, and then each may compress the messages it likes.
//!
//! # Windows
//!
//! What is inflated may have been made with any window. What is deflated is made with one of 32 KiB, the only size
//! there is here. So:
//!
//! * a server declines an offer that asks it for a smaller one (`server_max_window_bits` below 15), and takes another
//!   of the same request if there is one; that the client would take `client_max_window_bits` it leaves unused;
//! * a client does not offer `client_max_window_bits`, so that no server may ask it for a smaller one.
//!
//! # Memory
//!
//! Without context takeover, the default, nothing is kept between messages. While one is read there are about 43 KiB
//! to inflate it and what has come of it; one that is written takes about 320 KiB for as long as that takes. With
//! context takeover each direction of each connection keeps that much, in exchange for messages that refer to earlier
//! ones.

use flate2::{Compress, Compression, FlushCompress};

use super::super::Fields;
use super::super::inflate::{Inflate, Step};
use super::{HandshakeFault, Role, WebSocketFault};

const NAME: &str = "permessage-deflate";

/// What ends every flush, and is not sent (RFC 7692 §7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xFF, 0xFF];

/// Inflated bytes of a message up to which its ratio is nobody's concern.
const FREE: usize = 1 << 20;

/// What to agree on, and how to go about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeflateOptions {
    /// Messages of fewer bytes are sent as they are; 256.
    pub threshold: usize,
    /// From 1, fast, to 9, small; 6.
    pub level: u32,
    /// How many times as large as what has come a message may inflate to, once it is above 1 MiB; 200. More closes
    /// with 1009.
    pub max_ratio: u32,
    /// The server forgets each message when it is sent. The default is yes.
    pub server_no_context_takeover: bool,
    /// So does the client. The default is yes.
    pub client_no_context_takeover: bool,
}

impl Default for DeflateOptions {
    fn default() -> Self {
        Self {
            threshold: 256,
            level: 6,
            max_ratio: 200,
            server_no_context_takeover: true,
            client_no_context_takeover: true,
        }
    }
}

/// What both ends have agreed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Agreed {
    /// The server forgets each message.
    pub server_no_context_takeover: bool,
    /// The client does.
    pub client_no_context_takeover: bool,
    /// The client has asked for a window that is the largest there is.
    names_window: bool,
}

/// The parameters of one offer, or of an answer.
#[derive(Default)]
struct Parameters {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_bits: Option<u8>,
    /// `Some(None)` without a number.
    client_bits: Option<Option<u8>>,
}

impl Parameters {
    /// `None` if there is one that is not known, is there twice, or has a value that it cannot have.
    fn read(text: &str) -> Option<Self> {
        let mut found = Self::default();
        for parameter in text.split(';') {
            let (name, value) = match parameter.split_once('=') {
                Some((name, value)) => (name.trim_matches([' ', '\t']), Some(value)),
                None => (parameter.trim_matches([' ', '\t']), None),
            };
            let value = value.map(|value| value.trim_matches([' ', '\t']));
            let is_new = match (name, value) {
                ("server_no_context_takeover", None) => {
                    !std::mem::replace(&mut found.server_no_context_takeover, true)
                }
                ("client_no_context_takeover", None) => {
                    !std::mem::replace(&mut found.client_no_context_takeover, true)
                }
                ("server_max_window_bits", Some(bits)) => {
                    found.server_bits.replace(window(bits)?).is_none()
                }
                ("client_max_window_bits", bits) => {
                    let bits = match bits {
                        Some(bits) => Some(window(bits)?),
                        None => None,
                    };
                    found.client_bits.replace(bits).is_none()
                }
                _ => false,
            };
            if !is_new {
                return None;
            }
        }
        Some(found)
    }
}

/// 8 to 15, without leading zeros; in quotes, or not.
fn window(text: &str) -> Option<u8> {
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let bits = inner.parse().ok().filter(|bits| (8..=15).contains(bits))?;
    inner.bytes().all(|byte| byte.is_ascii_digit()).then_some(())?;
    (!inner.starts_with('0')).then_some(bits)
}

/// The members of all `Sec-WebSocket-Extensions`: names, and what stands behind the first `;`.
fn extensions(fields: &Fields) -> impl Iterator<Item = Option<(&str, Option<&str>)>> {
    let values = fields.get_all("sec-websocket-extensions");
    let texts = values.map(|value| std::str::from_utf8(value).ok());
    texts
        .flat_map(|text| match text {
            Some(text) => text.split(',').map(Some).collect::<Vec<_>>(),
            None => vec![None],
        })
        .map(|member| {
            let member = member?.trim_matches([' ', '\t']);
            Some(match member.split_once(';') {
                Some((name, rest)) => (name.trim_matches([' ', '\t']), Some(rest)),
                None => (member, None),
            })
        })
}

impl DeflateOptions {
    /// As a server: what to agree on of what a client offers, in the order in which it offers it. The answer is
    /// [what was agreed on](Agreed::answer). `None` means messages are not compressed, which is never an error.
    #[must_use]
    pub fn agree(&self, request: &Fields) -> Option<Agreed> {
        extensions(request).flatten().filter(|(name, _)| name.eq_ignore_ascii_case(NAME)).find_map(
            |(_, rest)| {
                let offer = rest.map_or(Some(Parameters::default()), Parameters::read)?;
                if offer.server_bits.is_some_and(|bits| bits < 15) {
                    return None;
                }
                let server = self.server_no_context_takeover || offer.server_no_context_takeover;
                let client = self.client_no_context_takeover || offer.client_no_context_takeover;
                Some(Agreed {
                    server_no_context_takeover: server,
                    client_no_context_takeover: client,
                    names_window: offer.server_bits.is_some(),
                })
            },
        )
    }

    /// As a client: the value of `Sec-WebSocket-Extensions` to ask with.
    #[must_use]
    pub fn offer(&self) -> String {
        let mut offer = NAME.to_owned();
        if self.server_no_context_takeover {
            offer.push_str("; server_no_context_takeover");
        }
        if self.client_no_context_takeover {
            offer.push_str("; client_no_context_takeover");
        }
        offer
    }

    /// As a client that has [offered](Self::offer) this: what the server has agreed to, if anything.
    ///
    /// # Errors
    ///
    /// [`HandshakeFault::BadExtension`] for another extension, several, or parameters that were not offered.
    pub fn agreed(&self, response: &Fields) -> Result<Option<Agreed>, HandshakeFault> {
        let wrong = HandshakeFault::BadExtension;
        let mut all = extensions(response);
        let Some(first) = all.next() else { return Ok(None) };
        let (name, rest) = first.ok_or(wrong)?;
        if !name.eq_ignore_ascii_case(NAME) || all.next().is_some() {
            return Err(wrong);
        }
        let answer = rest.map_or(Some(Parameters::default()), Parameters::read).ok_or(wrong)?;
        // A server that was asked to forget must say that it does.
        let forgets = answer.server_no_context_takeover || !self.server_no_context_takeover;
        if answer.client_bits.is_some() || !forgets {
            return Err(wrong);
        }
        let client = self.client_no_context_takeover || answer.client_no_context_takeover;
        Ok(Some(Agreed {
            server_no_context_takeover: answer.server_no_context_takeover,
            client_no_context_takeover: client,
            names_window: false,
        }))
    }
}

impl Agreed {
    /// The value of `Sec-WebSocket-Extensions` with which a server agrees.
    #[must_use]
    pub fn answer(&self) -> String {
        let mut answer = NAME.to_owned();
        if self.server_no_context_takeover {
            answer.push_str("; server_no_context_takeover");
        }
        if self.client_no_context_takeover {
            answer.push_str("; client_no_context_takeover");
        }
        if self.names_window {
            answer.push_str("; server_max_window_bits=15");
        }
        answer
    }

    /// What inflates at this end.
    #[must_use]
    pub fn inflater(&self, role: Role, options: &DeflateOptions) -> Inflater {
        let forgets = match role {
            Role::Server => self.client_no_context_takeover,
            Role::Client => self.server_no_context_takeover,
        };
        Inflater {
            stream: None,
            keeps: !forgets,
            message: Vec::new(),
            frames: 0,
            taken: 0,
            made: 0,
            max_ratio: options.max_ratio as usize,
        }
    }

    /// What deflates at this end.
    #[must_use]
    pub fn deflater(&self, role: Role, options: &DeflateOptions) -> Deflater {
        let forgets = match role {
            Role::Server => self.server_no_context_takeover,
            Role::Client => self.client_no_context_takeover,
        };
        Deflater { stream: None, keeps: !forgets, level: options.level.clamp(1, 9) }
    }
}

/// Makes messages of what was compressed, within limits.
#[derive(Debug)]
pub struct Inflater {
    /// `None` before the first message, and between messages that do not refer to each other.
    stream: Option<Box<Inflate>>,
    keeps: bool,
    message: Vec<u8>,
    /// Of the message, the frames and bytes that have come, and the bytes that were made of them.
    frames: u64,
    taken: usize,
    made: usize,
    max_ratio: usize,
}

impl Inflater {
    /// A compressed message begins.
    pub(super) fn begin(&mut self) {
        self.message.clear();
        (self.frames, self.taken, self.made) = (0, 0, 0);
        self.stream.get_or_insert_with(|| Box::new(Inflate::new())).count_anew();
    }

    /// What was made and not let go of.
    pub(super) fn memory(&self) -> usize {
        self.message.capacity()
    }

    pub(super) fn message(&self) -> &[u8] {
        &self.message
    }

    /// It was delivered.
    pub(super) fn let_go(&mut self) {
        self.message = Vec::new();
    }

    /// The payload of the next frame.
    pub(super) fn feed(
        &mut self,
        piece: &[u8],
        is_last: bool,
        max: usize,
    ) -> Result<(), WebSocketFault> {
        let Some(mut stream) = self.stream.take() else {
            return Err(WebSocketFault::BadCompression);
        };
        // Each may have been flushed by itself.
        self.frames += 1;
        stream.allow(2 * self.frames);
        self.inflate(&mut stream, piece, max)?;
        if is_last {
            self.end(&mut stream, max)?;
        }
        if !is_last || self.keeps {
            self.stream = Some(stream);
        }
        Ok(())
    }

    /// All of the message is there. It ends with what a flush leaves behind, or with a last block.
    fn end(&mut self, stream: &mut Inflate, max: usize) -> Result<(), WebSocketFault> {
        // Of nothing nothing is missing.
        if self.taken == 0 || stream.is_at_start() {
            return Ok(());
        }
        let before = self.made;
        self.inflate(stream, &TAIL, max)?;
        // What was cut off takes it for more of itself.
        if self.made != before || stream.is_inside() {
            return Err(WebSocketFault::BadCompression);
        }
        Ok(())
    }

    fn inflate(
        &mut self,
        stream: &mut Inflate,
        mut piece: &[u8],
        max: usize,
    ) -> Result<(), WebSocketFault> {
        loop {
            let (used, step) = stream.step(piece);
            piece = piece.get(used..).unwrap_or_default();
            self.taken += used;
            let made = stream.made();
            self.made += made.len();
            if self.made > max {
                return Err(WebSocketFault::MessageTooBig);
            }
            if self.made > FREE && self.made / self.max_ratio.max(1) > self.taken {
                return Err(WebSocketFault::RatioTooHigh);
            }
            self.message.extend_from_slice(made);
            match step {
                Step::More | Step::End => {}
                Step::NeedsInput => return Ok(()),
                Step::Broken | Step::Framing => return Err(WebSocketFault::BadCompression),
            }
        }
    }
}

/// Compresses messages.
#[derive(Debug)]
pub struct Deflater {
    stream: Option<Box<Compress>>,
    keeps: bool,
    level: u32,
}

impl Deflater {
    /// Appends what the payload of a compressed message is. Returns whether it could be done; if not, nothing was
    /// appended, and no message may be compressed any more.
    pub fn message(&mut self, out: &mut Vec<u8>, payload: &[u8]) -> bool {
        let level = Compression::new(self.level);
        let stream = self.stream.get_or_insert_with(|| Box::new(Compress::new(level, false)));
        let (start, mut left) = (out.len(), payload);
        let done = loop {
            out.reserve(left.len() / 2 + 64);
            let (before_in, before_out) = (stream.total_in(), stream.total_out());
            let status = stream.compress_vec(left, out, FlushCompress::Sync);
            let used = (stream.total_in() - before_in) as usize;
            left = left.get(used..).unwrap_or_default();
            if status.is_err() {
                break false;
            }
            let made = stream.total_out() - before_out;
            if left.is_empty() && out.len() < out.capacity() {
                break true;
            }
            if used == 0 && made == 0 {
                break left.is_empty();
            }
        };
        if !self.keeps {
            self.stream = None;
        }
        let is_done = done && out.get(start..).is_some_and(|made| made.ends_with(&TAIL));
        let len = if is_done { out.len() - TAIL.len() } else { start };
        out.truncate(len);
        is_done
    }
}
