//! What is wrong with a multipart body.

use std::{error, fmt};

use crate::error::{Error, ErrorKind};
use crate::wire::Status;

/// A rule of RFC 2046 or RFC 7578, or a limit, that a body does not keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MultipartFault {
    /// The type is not `multipart/form-data`, or has no boundary (RFC 7578 §4.1).
    NotMultipart,
    /// A boundary that is none: empty, longer than 70 bytes, of other characters than it may have, or with a space at
    /// its end (RFC 2046 §5.1.1).
    BadBoundary,
    /// Something stands behind a boundary, in its line.
    BadBoundaryLine,
    /// A line of a part's head does not end with CR LF.
    BadLineEnd,
    /// A line of a part's head is no field: no colon, a name that is none, a control byte in the value, or white space
    /// at the beginning, which once continued the line before.
    BadField,
    /// The head of a part is longer than [`MultipartLimits::head`](super::MultipartLimits::head).
    HeadTooLong,
    /// A part without `Content-Disposition: form-data` and a name in it, or with two of either.
    BadDisposition,
    /// More parts than [`MultipartLimits::parts`](super::MultipartLimits::parts).
    TooManyParts,
    /// A field longer than [`MultipartLimits::field`](super::MultipartLimits::field).
    FieldTooLarge,
    /// A file longer than [`MultipartLimits::file`](super::MultipartLimits::file).
    FileTooLarge,
    /// More in all than [`MultipartLimits::total`](super::MultipartLimits::total).
    TooLarge,
    /// It ended before its last boundary.
    Incomplete,
}

impl MultipartFault {
    /// The status with which a server refuses a request that has this fault: 400, 413, or 415.
    #[must_use]
    pub fn status(self) -> Status {
        match self {
            Self::NotMultipart => Status::UNSUPPORTED_MEDIA_TYPE,
            Self::TooManyParts | Self::FieldTooLarge | Self::FileTooLarge | Self::TooLarge => {
                Status::CONTENT_TOO_LARGE
            }
            _ => Status::BAD_REQUEST,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::NotMultipart => "the body is not multipart/form-data with a boundary",
            Self::BadBoundary => "the boundary is malformed",
            Self::BadBoundaryLine => "there is something behind a boundary",
            Self::BadLineEnd => "a line of a part's head does not end with CR LF",
            Self::BadField => "a field of a part's head is malformed",
            Self::HeadTooLong => "the head of a part is too long",
            Self::BadDisposition => "a part does not say what it is the value of",
            Self::TooManyParts => "there are too many parts",
            Self::FieldTooLarge => "a field of the form is too large",
            Self::FileTooLarge => "a file is too large",
            Self::TooLarge => "the form is too large",
            Self::Incomplete => "the form is incomplete",
        }
    }
}

impl fmt::Display for MultipartFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl error::Error for MultipartFault {}

/// An error of the kind [`Protocol`](ErrorKind::Protocol), with the fault as its source.
impl From<MultipartFault> for Error {
    fn from(fault: MultipartFault) -> Self {
        Self::caused(ErrorKind::Protocol, "reading a form", Box::new(fault))
    }
}
