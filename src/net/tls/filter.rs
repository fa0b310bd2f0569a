//! The filter itself: bytes of the network on one side, of the owner on the other, rustls in between.

// What is held where. `receive` gives rustls no more ciphertext while it holds plaintext that nobody took, and
// `send` takes out each record before it puts in the next. So rustls holds one record in each direction
// at most, a handshake's messages aside (64 KiB, its own limit), and its limits are never met.

use std::any::Any;
use std::cell::OnceCell;
use std::io::{self, BufRead, IoSlice, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use rustls::{Connection, HandshakeKind, InvalidMessage, ProtocolVersion, SupportedCipherSuite};

use super::{Flaw, TlsInfo, TlsVersion, refused};
use crate::net::{Buffer, Filter, FilterError, Mode, Pass, Verdict};
use crate::{Error, ErrorKind};

/// The most plaintext of one record.
const RECORD: usize = 16 * 1024;

/// How many pieces of it are gathered from.
const PIECES: usize = 16;

/// How many records before the keys of TLS 1.2 are worn out it ends here: those of its handshake are
/// among them.
const SPARE: u64 = 64;

const HANDSHAKE: &str = "agreeing on TLS with the peer";
const RECEIVE: &str = "receiving over TLS";
const SEND: &str = "sending over TLS";

pub(super) struct TlsFilter {
    /// An error if there could be none: the first call raises it.
    connection: Result<Connection, rustls::Error>,
    /// The name that a client was given.
    asked: Option<String>,
    info: OnceCell<Rc<TlsInfo>>,
    /// Why nothing more can be received or sent, but for what was received before, and an alert that tells the
    /// peer; and what was being done.
    failed: Option<(&'static str, rustls::Error)>,
    /// The peer has said that it ends.
    ended: bool,
    /// The owner has ended, so the peer is to be told when everything before that was sent.
    ending: bool,
    /// It was told.
    told: bool,
    /// How many records were sent.
    records: u64,
}

impl TlsFilter {
    pub(super) fn new(
        connection: Result<Connection, rustls::Error>,
        asked: Option<String>,
    ) -> Self {
        Self {
            connection,
            asked,
            info: OnceCell::new(),
            failed: None,
            ended: false,
            ending: false,
            told: false,
            records: 0,
        }
    }

    #[cold]
    fn fail(&mut self, doing: &'static str, cause: rustls::Error) -> FilterError {
        let error = refused(doing, cause.clone());
        self.failed = Some((doing, cause));
        error.into()
    }
}

impl Filter for TlsFilter {
    fn receive(
        &mut self,
        from: &mut Buffer,
        to: &mut Buffer,
        pass: &Pass,
    ) -> Result<Verdict, FilterError> {
        let connection = match &mut self.connection {
            Ok(connection) => connection,
            Err(cause) => return Err(refused(HANDSHAKE, cause.clone()).into()),
        };
        let mut room = pass.limit;
        let mut fed = false;
        let verdict = loop {
            if take(connection, to, &mut room) {
                break Verdict::More;
            }
            if let Some((doing, cause)) = &self.failed {
                // What was right before it comes first, and the error when asked again.
                if room < pass.limit {
                    return Ok(Verdict::More);
                }
                return Err(refused(doing, cause.clone()).into());
            }
            if self.ended {
                // By the standard, what comes behind the end is ignored.
                from.clear();
                break Verdict::Ended;
            }
            if from.is_empty() {
                break match pass.mode {
                    Mode::Finish if connection.is_handshaking() => {
                        let cause = rustls::Error::General(CUT_OFF.to_owned());
                        return Err(refused(HANDSHAKE, cause).into());
                    }
                    Mode::Finish => Verdict::NeedMore,
                    Mode::Normal | Mode::Flush => Verdict::Ok,
                };
            }
            let handshaking = connection.is_handshaking();
            if room == 0 && !handshaking {
                break Verdict::More;
            }
            fed = true;
            let result = match connection.read_tls(from) {
                Ok(0) => Err(rustls::Error::General(STUCK.to_owned())),
                Ok(_) => process(connection, self.told),
                // Its buffer is full, and what is in it no message yet.
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    Err(InvalidMessage::HandshakePayloadTooLarge.into())
                }
                // There is a file in `from`, which cannot be read.
                Err(error) => Err(rustls::Error::General(error.to_string())),
            };
            match result {
                Ok(ended) => self.ended = ended,
                Err(cause) => {
                    self.failed = Some((if handshaking { HANDSHAKE } else { RECEIVE }, cause));
                }
            }
        };
        if fed {
            // It lets go of a large buffer only when it is asked to read with nothing left in it.
            let _ = connection.read_tls(&mut Nothing);
        }
        Ok(verdict)
    }

    fn send(
        &mut self,
        from: &mut Buffer,
        to: &mut Buffer,
        pass: &Pass,
    ) -> Result<Verdict, FilterError> {
        let connection = match &mut self.connection {
            Ok(connection) => connection,
            Err(cause) => return Err(refused(HANDSHAKE, cause.clone()).into()),
        };
        // First what is there already: hello and finished, the answer to a change of keys, an alert.
        empty(connection, to)?;
        if self.failed.is_some() {
            return Ok(Verdict::Ok);
        }
        self.ending |= pass.mode == Mode::Finish;
        if connection.is_handshaking() {
            // An end before there was a beginning would end the handshake. It is kept until then.
            return Ok(if self.ending { Verdict::NeedMore } else { Verdict::Ok });
        }
        let worn_out = lifetime(connection);
        let mut left = pass.limit;
        while left > 0 && !self.told && !from.is_empty() {
            if self.records >= worn_out {
                let cause = rustls::Error::General(WORN_OUT.to_owned());
                return Err(self.fail(SEND, cause));
            }
            let most = left.min(RECORD);
            let n = match seal(connection, from, most) {
                Ok(n) => n,
                Err(error) => {
                    self.failed = Some((SEND, rustls::Error::General(error.to_string())));
                    return Err(error.into());
                }
            };
            empty(connection, to)?;
            self.records = self.records.saturating_add(1);
            left -= n;
        }
        if !from.is_empty() && !self.told {
            return Ok(Verdict::More);
        }
        if self.ending && !self.told {
            self.told = true;
            connection.send_close_notify();
            empty(connection, to)?;
        }
        Ok(Verdict::Ok)
    }

    fn is_ready(&self) -> bool {
        self.connection.as_ref().is_ok_and(|connection| !connection.is_handshaking())
    }

    fn info(&self) -> Option<Rc<dyn Any>> {
        let connection = self.connection.as_ref().ok().filter(|it| !it.is_handshaking())?;
        if self.info.get().is_none() {
            let _ = self.info.set(Rc::new(describe(connection, self.asked.as_deref())?));
        }
        self.info.get().map(|info| Rc::clone(info) as _)
    }
}

const CUT_OFF: &str = "the peer ended the connection in the middle of it";
const STUCK: &str = "a record that nothing can be made of";
const WORN_OUT: &str = "as much was sent as one set of keys is good for";
const INCONSISTENT: &str = "a record broke the rules after the end was announced";

/// Moves plaintext, as much as there is room for, and says whether there is more.
fn take(connection: &mut Connection, to: &mut Buffer, room: &mut usize) -> bool {
    let mut reader = connection.reader();
    loop {
        // An error says that there is nothing yet, no bytes that there is nothing any more.
        let n = match reader.fill_buf() {
            Ok([]) | Err(_) => return false,
            Ok(_) if *room == 0 => return true,
            Ok(bytes) => {
                let n = bytes.len().min(*room);
                to.append(&bytes[..n]);
                n
            }
        };
        reader.consume(n);
        *room -= n;
    }
}

/// Makes what it can of what was read, and says whether the peer has ended.
fn process(connection: &mut Connection, told: bool) -> Result<bool, rustls::Error> {
    if !told {
        return connection.process_new_packets().map(|state| state.peer_has_closed());
    }
    // Once it has announced the end, rustls 0.23 asserts that it has no other alert to send, in builds with
    // debug assertions. A peer that breaks the rules then would end the loop. The connection is of no use
    // after that, which is what an error says.
    catch_unwind(AssertUnwindSafe(|| connection.process_new_packets()))
        .unwrap_or_else(|_| Err(rustls::Error::General(INCONSISTENT.to_owned())))
        .map(|state| state.peer_has_closed())
}

/// How many records the keys are good for. Those of TLS 1.3 are renewed in time. Those of TLS 1.2
/// cannot be: when they are worn out (after 260 GB of full records), rustls ends the connection as if
/// that were meant, and loses what is being written.
fn lifetime(connection: &Connection) -> u64 {
    match connection.negotiated_cipher_suite() {
        Some(SupportedCipherSuite::Tls12(suite)) => {
            suite.common.confidentiality_limit.saturating_sub(SPARE)
        }
        _ => u64::MAX,
    }
}

/// Makes one record of what comes first, and says of how much.
fn seal(connection: &mut Connection, from: &mut Buffer, most: usize) -> Result<usize, Error> {
    let mut pieces = [IoSlice::new(&[]); PIECES];
    let mut filled = from.peek(most, &mut pieces);
    let there: usize = pieces[..filled].iter().map(|piece| piece.len()).sum();
    if there < most.min(from.len()) && filled < PIECES {
        // The next is a file. It is read here: nobody else can, where its bytes have to be encrypted.
        from.load(most)
            .map_err(|error| Error::os(ErrorKind::Io, "reading a file to send", error))?;
        pieces = [IoSlice::new(&[]); PIECES];
        filled = from.peek(most, &mut pieces);
    }
    let n = connection
        .writer()
        .write_vectored(&pieces[..filled])
        .map_err(|error| refused(SEND, error))?;
    if n == 0 {
        return Err(refused(SEND, Flaw("nothing more can be encrypted")));
    }
    from.drain(n);
    Ok(n)
}

/// Moves everything that is to go to the peer.
fn empty(connection: &mut Connection, to: &mut Buffer) -> Result<(), FilterError> {
    while connection.wants_write() {
        // A Buffer takes everything.
        connection.write_tls(to).map_err(|error| refused(SEND, error))?;
    }
    Ok(())
}

fn describe(connection: &Connection, asked: Option<&str>) -> Option<TlsInfo> {
    let version = match connection.protocol_version()? {
        ProtocolVersion::TLSv1_2 => TlsVersion::Tls12,
        ProtocolVersion::TLSv1_3 => TlsVersion::Tls13,
        _ => return None,
    };
    let server_name = match connection {
        Connection::Client(_) => asked.map(str::to_owned),
        Connection::Server(server) => server.server_name().map(str::to_ascii_lowercase),
    };
    let certificates = connection.peer_certificates().unwrap_or_default();
    Some(TlsInfo {
        version,
        suite: connection.negotiated_cipher_suite()?.suite().as_str()?,
        alpn: connection.alpn_protocol().map(<[u8]>::to_vec),
        server_name,
        peer_certificates: certificates.iter().map(|der| der.to_vec()).collect(),
        resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
    })
}

/// Has nothing to read now, which is not the end.
struct Nothing;

impl Read for Nothing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }
}

#[cfg(test)]
mod tests {
    use rcgen::generate_simple_self_signed;

    use super::*;
    use crate::net::{TlsClient, TlsIdentity, TlsServer};

    const NORMAL: Pass = Pass { limit: 1 << 20, mode: Mode::Normal };

    fn connected(version: TlsVersion) -> [TlsFilter; 2] {
        let own = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (certificate, key) = (own.cert.pem(), own.signing_key.serialize_pem());
        let identity = TlsIdentity::from_pem(&certificate, key).unwrap();
        let server = TlsServer::builder(identity).max_version(version).build().unwrap();
        let client = TlsClient::builder().roots_pem(certificate).build().unwrap();
        let mut ends = [client.tls_filter("localhost").unwrap(), server.tls_filter()];
        let (mut wire, mut none) = (Buffer::new(), Buffer::new());
        for turn in 0..6 {
            ends[turn % 2].receive(&mut wire, &mut none, &NORMAL).unwrap();
            ends[turn % 2].send(&mut none, &mut wire, &NORMAL).unwrap();
        }
        assert!(ends.iter().all(|end| end.is_ready()));
        ends
    }

    #[test]
    fn keys_that_are_worn_out_are_an_error_before_anything_is_lost() {
        for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
            let [_, mut server] = connected(version);
            let (mut from, mut to) = (Buffer::from("data"), Buffer::new());
            server.records = (1 << 24) - SPARE - 1;
            server.send(&mut from, &mut to, &NORMAL).unwrap();
            assert!(from.is_empty() && !to.is_empty());
            from.append("more");
            to.clear();
            let result = server.send(&mut from, &mut to, &NORMAL);
            let renewed = version == TlsVersion::Tls13;
            assert_eq!(
                (result.is_ok(), from.is_empty(), !to.is_empty()),
                (renewed, renewed, renewed)
            );
            // An end that is announced would say that all was well.
            to.clear();
            let finish = Pass { mode: Mode::Finish, ..NORMAL };
            server.send(&mut from, &mut to, &finish).unwrap();
            assert_eq!(!to.is_empty(), renewed);
        }
    }

    #[test]
    fn a_connection_that_could_not_be_made_is_an_error_of_each_call() {
        let mut filter = TlsFilter::new(Err(rustls::Error::FailedToGetRandomBytes), None);
        let (mut from, mut to) = (Buffer::from("data"), Buffer::new());
        for _ in 0..2 {
            assert!(filter.receive(&mut from, &mut to, &NORMAL).is_err());
            assert!(filter.send(&mut from, &mut to, &NORMAL).is_err());
            assert!(!filter.is_ready() && filter.info().is_none());
        }
    }
}
