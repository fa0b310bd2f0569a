//! What can go wrong, in few words.

use rustls::{CertificateError, Error as Cause};

use crate::Error;

/// What was wrong with a connection, told from an [`Error`] of the kind
/// [`Tls`](crate::ErrorKind::Tls). More may join.
///
/// ```
/// use evloop::ErrorKind;
/// use evloop::net::{Buffer, Mode, Pass, TlsClient, TlsFault};
///
/// let mut filter = TlsClient::new()?.filter("example.org")?;
/// let (mut wire, mut input) = (Buffer::from("HTTP/1.1 400 Bad Request\r\n"), Buffer::new());
/// let error = filter.receive(&mut wire, &mut input, &Pass::new(1024, Mode::Normal)).unwrap_err();
/// let error = error.downcast::<evloop::Error>().unwrap();
/// assert_eq!(error.kind(), ErrorKind::Tls);
/// assert_eq!(TlsFault::of(&error), Some(TlsFault::Misbehaved));
/// # Ok::<(), evloop::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum TlsFault {
    /// The peer's certificate was not issued by anybody who is trusted here.
    UnknownIssuer,
    /// It is no longer valid, or not yet: or the clock is wrong.
    Expired,
    /// It is for other names.
    WrongName,
    /// It was revoked, is for another use, is damaged, or is wrong in another way.
    BadCertificate,
    /// The peer was asked for a certificate and has none.
    NoCertificate,
    /// Both ends named protocols with ALPN, and none that the other knows.
    NoCommonProtocol,
    /// No version, cipher suite or the like that both know.
    Incompatible,
    /// The peer gave up, and said why: the number of its alert, of
    /// [IANA's list](https://www.iana.org/assignments/tls-parameters/tls-parameters.xhtml#tls-parameters-6).
    Alert(u8),
    /// What came is not TLS, was changed on its way, or breaks the rules.
    Misbehaved,
    /// Anything else.
    Other,
}

impl TlsFault {
    /// What was wrong, if the error is about a connection.
    #[must_use]
    pub fn of(error: &Error) -> Option<Self> {
        let mut source = std::error::Error::source(error);
        let cause = loop {
            match source?.downcast_ref::<Cause>() {
                Some(cause) => break cause,
                None => source = source?.source(),
            }
        };
        Some(match cause {
            Cause::InvalidCertificate(cause) => Self::of_certificate(cause),
            Cause::NoCertificatesPresented => Self::NoCertificate,
            Cause::NoApplicationProtocol => Self::NoCommonProtocol,
            Cause::PeerIncompatible(_) => Self::Incompatible,
            Cause::AlertReceived(alert) => Self::Alert((*alert).into()),
            Cause::InappropriateMessage { .. }
            | Cause::InappropriateHandshakeMessage { .. }
            | Cause::InvalidMessage(_)
            | Cause::DecryptError
            | Cause::PeerMisbehaved(_)
            | Cause::PeerSentOversizedRecord => Self::Misbehaved,
            _ => Self::Other,
        })
    }

    fn of_certificate(cause: &CertificateError) -> Self {
        match cause {
            CertificateError::UnknownIssuer => Self::UnknownIssuer,
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => Self::Expired,
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Self::WrongName
            }
            _ => Self::BadCertificate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn a_fault_is_found_below_other_errors() {
        let cause = Error::caused(ErrorKind::Tls, "one", Box::new(Cause::DecryptError));
        assert_eq!(TlsFault::of(&cause), Some(TlsFault::Misbehaved));
        let outer = Error::caused(ErrorKind::Filter, "another", Box::new(cause));
        assert_eq!(TlsFault::of(&outer), Some(TlsFault::Misbehaved));
        assert_eq!(TlsFault::of(&Error::new(ErrorKind::Tls, "nothing below")), None);
    }
}
