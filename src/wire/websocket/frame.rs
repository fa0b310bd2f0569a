//! What frames are.

/// Which end of a connection this is. Clients mask what they send, servers do not (RFC 6455 §5.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    /// The end that was connected to: reads frames of clients.
    Server,
    /// The end that has connected: reads frames of servers.
    Client,
}

/// Of which kind a message is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MessageKind {
    /// UTF-8.
    Text,
    /// Any bytes.
    Binary,
}

/// What a frame is (RFC 6455 §5.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum OpCode {
    /// More of the message that was begun before.
    Continuation,
    /// A text, or the beginning of one.
    Text,
    /// Bytes, or the beginning of them.
    Binary,
    /// Nothing follows.
    Close,
    /// Asks for a pong.
    Ping,
    /// Answers a ping, or comes by itself.
    Pong,
}

impl OpCode {
    /// The opcode of that number; `None` for those that are reserved.
    #[must_use]
    pub fn new(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    /// Its number.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Continuation => 0,
            Self::Text => 1,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }

    /// Whether it is about the connection: close, ping, pong.
    #[must_use]
    pub fn is_control(self) -> bool {
        self.number() >= 8
    }
}

impl From<MessageKind> for OpCode {
    fn from(kind: MessageKind) -> Self {
        match kind {
            MessageKind::Text => Self::Text,
            MessageKind::Binary => Self::Binary,
        }
    }
}

/// The first byte of a frame that is to be written.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Frame {
    /// What it is.
    pub opcode: OpCode,
    /// It is the last of its message.
    pub is_last: bool,
    /// The message is compressed (RSV1 of RFC 7692), which its first frame says.
    pub is_compressed: bool,
}

impl Frame {
    /// A whole text.
    pub const TEXT: Self = Self::whole(OpCode::Text);
    /// A whole message of bytes.
    pub const BINARY: Self = Self::whole(OpCode::Binary);
    /// A ping.
    pub const PING: Self = Self::whole(OpCode::Ping);
    /// A pong.
    pub const PONG: Self = Self::whole(OpCode::Pong);

    /// A frame that is a message of its own, not compressed.
    #[must_use]
    pub const fn whole(opcode: OpCode) -> Self {
        Self { opcode, is_last: true, is_compressed: false }
    }

    /// The beginning of a message, or with `None` more of it.
    #[must_use]
    pub fn fragment(kind: Option<MessageKind>, is_last: bool) -> Self {
        let opcode = kind.map_or(OpCode::Continuation, OpCode::from);
        Self { opcode, is_last, is_compressed: false }
    }

    pub(super) fn first_byte(self) -> u8 {
        u8::from(self.is_last) << 7 | u8::from(self.is_compressed) << 6 | self.opcode.number()
    }
}
