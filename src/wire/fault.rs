//! What is wrong with what came: one name per rule.
//!
//! A machine of this workshop that meets something it must not accept says which rule was broken. The
//! names are comparable, so that tests and error pages can tell them apart, and each knows the status a
//! server replies with. Nothing of a connection may be interpreted behind a fault.

use std::{error, fmt};

use super::Status;
use crate::error::{Error, ErrorKind};

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident $status:ident $text:literal;)*) => {
        /// A rule that what came, or what was to be sent, does not keep.
        ///
        /// ```
        /// use evloop::wire::{Fault, HeadLimits, RequestParser, Status};
        ///
        /// let mut parser = RequestParser::new(HeadLimits::default());
        /// let fault = parser.feed(b"GET / HTTP/1.1\nHost: a\n\n").unwrap_err();
        /// assert_eq!(fault, Fault::BadLineEnd);
        /// assert_eq!(fault.status(), Status::BAD_REQUEST);
        /// assert_eq!(fault.to_string(), "a line does not end with CR LF");
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Fault {
            $($(#[$doc])* $name,)*
        }

        impl Fault {
            /// The status with which a server refuses a request that has this fault.
            #[must_use]
            pub fn status(self) -> Status {
                match self {
                    $(Self::$name => Status::$status,)*
                }
            }

            fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

faults! {
    /// A line feed without a carriage return, or the other way round (RFC 9112 §2.2).
    BadLineEnd BAD_REQUEST "a line does not end with CR LF";
    /// A control byte where text should be: NUL, the start of a TLS handshake …
    ControlByte BAD_REQUEST "there is a control byte in the head";
    /// Not `method SP target SP version` (RFC 9112 §3).
    BadRequestLine BAD_REQUEST "the request line is malformed";
    /// A method of more than 32 bytes.
    MethodTooLong NOT_IMPLEMENTED "the method is too long";
    /// A target that has none of the four forms, or not one the method takes (RFC 9112 §3.2).
    BadTarget BAD_REQUEST "the request target is malformed";
    /// A target longer than [`HeadLimits::target`](super::HeadLimits::target).
    TargetTooLong URI_TOO_LONG "the request target is too long";
    /// Not `HTTP/` digit `.` digit, or no version at all, as HTTP/0.9 has it.
    BadVersion BAD_REQUEST "the version is malformed";
    /// A version that is not 1.x, such as that of HTTP/2's preface.
    UnsupportedVersion HTTP_VERSION_NOT_SUPPORTED "the version is not supported";
    /// A head longer than [`HeadLimits::head`](super::HeadLimits::head).
    HeadTooLong REQUEST_HEADER_FIELDS_TOO_LARGE "the head is too long";
    /// More field lines than [`HeadLimits::fields`](super::HeadLimits::fields).
    TooManyFields REQUEST_HEADER_FIELDS_TOO_LARGE "there are too many fields";
    /// More empty lines before a request than [`HeadLimits::empty_lines`](super::HeadLimits::empty_lines).
    TooManyEmptyLines BAD_REQUEST "there are too many empty lines before the request";
    /// A field's name that is not a token: empty, or with white space in or behind it (RFC 9112 §5.1).
    BadFieldName BAD_REQUEST "a field's name is malformed";
    /// A control byte in a field's value (RFC 9110 §5.5).
    BadFieldValue BAD_REQUEST "a field's value has a control byte";
    /// A field line without a colon.
    MissingColon BAD_REQUEST "a field line has no colon";
    /// A line that begins with white space, which once continued the one before (RFC 9112 §5.2).
    FoldedField BAD_REQUEST "a field line begins with white space";
    /// A request of HTTP/1.1 without `Host` (RFC 9112 §3.2).
    MissingHost BAD_REQUEST "there is no Host field";
    /// More than one `Host`, equal or not.
    SeveralHosts BAD_REQUEST "there are several Host fields";
    /// A `Host`, or an authority in the target, that is not `host` or `host:port`.
    BadHost BAD_REQUEST "the host is malformed";
    /// Both `Content-Length` and `Transfer-Encoding` (RFC 9112 §6.1).
    LengthAndCoding BAD_REQUEST "there are both a length and a transfer coding";
    /// `Transfer-Encoding` in HTTP/1.0 (RFC 9112 §6.1).
    CodingIn10 BAD_REQUEST "there is a transfer coding in HTTP/1.0";
    /// `Transfer-Encoding` that is not exactly `chunked`, or more than one.
    BadCoding BAD_REQUEST "the transfer coding is malformed";
    /// Transfer codings under `chunked` that nobody here can undo.
    UnknownCoding NOT_IMPLEMENTED "the transfer coding is not supported";
    /// `Content-Length` that is not a number of digits.
    BadLength BAD_REQUEST "the content length is malformed";
    /// More than one `Content-Length`, equal or not.
    SeveralLengths BAD_REQUEST "there are several content lengths";
    /// `Content-Length` above 2^63 − 1.
    LengthTooLarge CONTENT_TOO_LARGE "the content length is beyond all bounds";
    /// A body longer than is taken.
    BodyTooLarge CONTENT_TOO_LARGE "the body is too large";
    /// A packed body that expands to more than it may (feature `compress`).
    BodyTooDense CONTENT_TOO_LARGE "the body expands beyond all bounds";
    /// A packed body that cannot be unpacked: malformed, incomplete, or with another checksum (feature `compress`).
    BadContentCoding BAD_REQUEST "the content coding is malformed";
    /// A content coding that nobody here can undo (RFC 9110 §8.4).
    UnknownContentCoding UNSUPPORTED_MEDIA_TYPE "the content coding is not supported";
    /// The size of a chunk is not a hexadecimal number of at most 16 digits (RFC 9112 §7.1).
    BadChunkSize BAD_REQUEST "a chunk's size is malformed";
    /// The line of a chunk's size is too long, even without its extensions.
    ChunkLineTooLong BAD_REQUEST "a chunk's line is too long";
    /// A chunk extension that is not `; name` or `; name=value` (RFC 9112 §7.1.1).
    BadExtension BAD_REQUEST "a chunk extension is malformed";
    /// More chunk extensions in a body than are taken.
    ExtensionsTooLong BAD_REQUEST "the chunk extensions are too long";
    /// What follows a chunk's data is not CR LF.
    BadChunkEnd BAD_REQUEST "a chunk does not end with CR LF";
    /// A body of so many tiny chunks that it is mostly framing.
    TooMuchFraming BAD_REQUEST "the body is mostly framing";
    /// A trailer section that is too long.
    TrailersTooLong REQUEST_HEADER_FIELDS_TOO_LARGE "the trailers are too long";
    /// Too many trailer fields.
    TooManyTrailers REQUEST_HEADER_FIELDS_TOO_LARGE "there are too many trailers";
    /// The input ended in the middle of a message.
    Incomplete BAD_REQUEST "the message is incomplete";
    /// A response's first line is not `version SP status SP reason` (RFC 9112 §4).
    BadStatusLine BAD_GATEWAY "the status line is malformed";
    /// More interim (1xx) responses than are taken before the final one.
    TooManyInterim BAD_GATEWAY "there are too many interim responses";
    /// `%` without two hexadecimal digits, or one for a byte that must not be.
    BadEscape BAD_REQUEST "a percent escape is malformed";
    /// A path that climbs above its root.
    OutsideRoot BAD_REQUEST "the path leaves the root";
    /// A query, or an urlencoded body, that is malformed.
    BadQuery BAD_REQUEST "the query is malformed";
    /// More pairs in a query than are taken.
    TooManyPairs BAD_REQUEST "there are too many pairs";
    /// A parameter of a field's value is malformed.
    BadParameter BAD_REQUEST "a parameter is malformed";
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl error::Error for Fault {}

/// An error of the kind [`Protocol`](ErrorKind::Protocol), with the fault as its source.
impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::caused(ErrorKind::Protocol, "reading or writing a message", Box::new(fault))
    }
}
