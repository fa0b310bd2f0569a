//! Why there is no form.

use std::{error, fmt, io};

use crate::error::{Error, ErrorKind};
use crate::http::BodyError;
use crate::wire::multipart::MultipartFault;
use crate::wire::{Fault, Status};

/// Why a form could not be read. It knows the [status](Self::status) that says so.
#[derive(Debug)]
#[non_exhaustive]
pub enum FormError {
    /// The body is neither `application/x-www-form-urlencoded` nor `multipart/form-data`: 415.
    NotAForm,
    /// It is a multipart body that is malformed, cut, or beyond a limit.
    Multipart(MultipartFault),
    /// It is beyond a limit of [`FormLimits`](super::FormLimits): 413.
    TooLarge,
    /// [Refused](super::FormPart::refuse) by the handler.
    Refused(Status),
    /// What was sent could not be written, or whoever takes it has failed: 507 if there is no room for it (`ENOSPC`,
    /// `EDQUOT`), 503 if there was no descriptor or memory to be had just then (`EMFILE`, `ENFILE`, `ENOMEM`), else 500.
    Io(io::Error),
    /// The body did not come to its end.
    Body(BodyError),
}

impl FormError {
    /// The status to answer with.
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            Self::NotAForm => Status::UNSUPPORTED_MEDIA_TYPE,
            Self::Multipart(fault) => fault.status(),
            Self::TooLarge => Status::CONTENT_TOO_LARGE,
            Self::Refused(status) => *status,
            Self::Io(error) => match (error.kind(), error.raw_os_error()) {
                (io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded, _) => {
                    Status::INSUFFICIENT_STORAGE
                }
                (_, Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM)) => {
                    Status::SERVICE_UNAVAILABLE
                }
                _ => Status::INTERNAL_SERVER_ERROR,
            },
            Self::Body(BodyError::Fault(fault)) => fault.status(),
            Self::Body(_) => Status::BAD_REQUEST,
        }
    }
}

impl fmt::Display for FormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAForm => "the body is no form",
            Self::Multipart(_) => "the form is malformed or too large",
            Self::TooLarge => "the form is too large",
            Self::Refused(_) => "the form was refused",
            Self::Io(_) => "what was sent with a form could not be stored",
            Self::Body(_) => "the form has not come to its end",
        })
    }
}

impl error::Error for FormError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Multipart(fault) => Some(fault),
            Self::Io(error) => Some(error),
            Self::Body(BodyError::Fault(fault)) => Some(fault),
            _ => None,
        }
    }
}

impl From<MultipartFault> for FormError {
    fn from(fault: MultipartFault) -> Self {
        match fault {
            MultipartFault::NotMultipart => Self::NotAForm,
            fault => Self::Multipart(fault),
        }
    }
}

impl From<io::Error> for FormError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// An error of the kind [`Io`](ErrorKind::Io) for what could not be stored, else [`Protocol`](ErrorKind::Protocol).
impl From<FormError> for Error {
    fn from(error: FormError) -> Self {
        let kind = match error {
            FormError::Io(_) => ErrorKind::Io,
            _ => ErrorKind::Protocol,
        };
        // What is not ours to send to other threads is told by its cause.
        let cause: Box<dyn error::Error + Send + Sync> = match error {
            FormError::Io(error) => Box::new(error),
            FormError::Multipart(fault) => Box::new(fault),
            FormError::TooLarge => Box::new(Fault::BodyTooLarge),
            other => other.to_string().into(),
        };
        Self::caused(kind, "reading a form", cause)
    }
}
