//! TLS, as a filter on a stream, over rustls: no OpenSSL, no C but the arithmetic of `ring`.
//!
//! [`TlsServer`] and [`TlsClient`] are what is decided once: certificates, whom to trust, what to
//! offer. Both are cheap to clone, may be shared by the loops of many threads, and make a
//! [`Filter`](super::Filter) for each connection. [`TlsInfo`] is what a connection agreed on,
//! [`TlsFault`] what went wrong.

// Who does what: `identity` reads PEM, `server` and `client` build rustls' configurations out of it, `filter`
// is the one place where bytes move. rustls never sees a socket: it is fed from one Buffer and emptied
// into another, and no type of it is in a public signature. The provider of the cryptography is named each
// time; the process-wide default is neither needed nor installed, so a program may have its own.

mod client;
mod fault;
mod filter;
mod identity;
mod info;
mod server;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::{KeyLog, SupportedProtocolVersion};

pub use client::{TlsClient, TlsClientBuilder};
pub use fault::TlsFault;
pub use identity::TlsIdentity;
pub use info::{TlsInfo, TlsVersion};
pub use server::{ClientCertificates, ClientHello, TlsServer, TlsServerBuilder};

use crate::{Error, ErrorKind, Result};

/// How long a handshake may take unless told otherwise.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The protocol versions from the lowest to the highest, as rustls wants them.
fn versions(
    lowest: TlsVersion,
    highest: TlsVersion,
) -> Result<Vec<&'static SupportedProtocolVersion>> {
    use rustls::version::{TLS12, TLS13};
    let all = [(TlsVersion::Tls13, &TLS13), (TlsVersion::Tls12, &TLS12)];
    if lowest > highest {
        return Err(Error::new(ErrorKind::InvalidInput, "choosing the versions of TLS"));
    }
    let wanted = all.into_iter().filter(|(version, _)| (lowest..=highest).contains(version));
    Ok(wanted.map(|(_, version)| version).collect())
}

/// The names of protocols, checked: each is sent behind a byte that tells its length, and together they have to
/// fit into a hello.
fn protocols(names: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>> {
    const MOST: usize = 4096;
    let together: usize = names.iter().map(|name| name.len() + 1).sum();
    if together > MOST || names.iter().any(|name| name.is_empty() || name.len() > 255) {
        return Err(Error::new(ErrorKind::InvalidInput, "naming the protocols for ALPN"));
    }
    Ok(names)
}

/// A user's hook for the secrets of each connection.
type LogKey = Box<dyn Fn(&str) + Send + Sync>;

struct KeyHook(LogKey);

impl KeyLog for KeyHook {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let mut line =
            String::with_capacity(label.len() + 2 * (client_random.len() + secret.len()) + 2);
        line.push_str(label);
        for bytes in [client_random, secret] {
            line.push(' ');
            for byte in bytes {
                for half in [byte >> 4, byte & 15] {
                    line.push(char::from_digit(half.into(), 16).unwrap_or('0'));
                }
            }
        }
        (self.0)(&line);
    }
}

impl fmt::Debug for KeyHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHook")
    }
}

/// What is wrong with something the program gave, where no library has words for it.
#[derive(Debug)]
struct Flaw(&'static str);

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Flaw {}

#[cold]
fn refused(
    doing: &'static str,
    cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Error {
    Error::caused(ErrorKind::Tls, doing, cause.into())
}
