//! Certificates and keys, out of PEM.

use std::fmt;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;

use super::{Flaw, provider, refused};
use crate::Result;

const CHAIN: &str = "reading a certificate chain";
const KEY: &str = "reading a private key";

/// Who somebody is: a chain of certificates, and the key that belongs to the first.
///
/// Cheap to clone.
#[derive(Clone)]
pub struct TlsIdentity(pub(super) Arc<CertifiedKey>);

impl TlsIdentity {
    /// Reads both from PEM, and sees whether they belong together.
    ///
    /// `certificates` holds the chain in the order it is sent: the own certificate, then whoever issued
    /// it, and so on; the root may be left out. `key` holds the private key: PKCS#8, PKCS#1
    /// (`RSA PRIVATE KEY`) or SEC 1 (`EC PRIVATE KEY`); RSA of 2048 to 4096 bits, ECDSA on P-256 or
    /// P-384, or Ed25519. Each passes over what else is there, so one file with everything can be given
    /// twice.
    ///
    /// Whether the certificates are in date, and for which names, is not asked: that is for the peer.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Tls`](crate::ErrorKind::Tls): there is none, one does not parse, the key is
    /// encrypted, or they do not belong together. The text and the source say which.
    ///
    /// ```no_run
    /// use evloop::net::TlsIdentity;
    ///
    /// let identity = TlsIdentity::from_pem(std::fs::read("chain.pem")?, std::fs::read("key.pem")?)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_pem(certificates: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<Self> {
        let chain = chain(certificates.as_ref())?;
        let pem = key.as_ref();
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
            _ if is_encrypted(pem) => refused(KEY, Flaw("the key is encrypted")),
            pem::Error::NoItemsFound => refused(KEY, Flaw("there is no private key")),
            error => refused(KEY, error),
        })?;
        let key = provider().key_provider.load_private_key(key).map_err(|e| refused(KEY, e))?;
        let identity = CertifiedKey::new(chain, key);
        match identity.keys_match() {
            // Unknown: a key that does not tell its public half. None of this provider's.
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
                Ok(Self(Arc::new(identity)))
            }
            Err(error) => Err(refused("matching a private key with its certificate", error)),
        }
    }

    /// The certificates, each as DER, the own first.
    pub fn certificates(&self) -> impl Iterator<Item = &[u8]> {
        self.0.cert.iter().map(AsRef::as_ref)
    }
}

/// Tells nothing of the key.
impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsIdentity")
            .field("certificates", &self.0.cert.len())
            .finish_non_exhaustive()
    }
}

fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>> {
    let chain = certificates(pem, CHAIN)?;
    let Some((own, issuers)) = chain.split_first() else {
        return Err(refused(CHAIN, Flaw("there is no certificate")));
    };
    ParsedCertificate::try_from(own).map_err(|error| refused(CHAIN, error))?;
    // A peer would only say that it does not know the issuer.
    let mut parse = RootCertStore::empty();
    for issuer in issuers {
        parse.add(issuer.clone()).map_err(|error| refused(CHAIN, error))?;
    }
    Ok(chain)
}

/// Puts the certificates of a PEM file among those that are trusted.
pub(super) fn trust(roots: &mut RootCertStore, pem: &[u8]) -> Result<()> {
    const DOING: &str = "reading the certificates to trust";
    let found = certificates(pem, DOING)?;
    // Bundles of whole systems have some that nobody can use any more: no reason to trust none of them.
    match roots.add_parsable_certificates(found) {
        (0, 0) => Err(refused(DOING, Flaw("there is no certificate"))),
        (0, _) => Err(refused(DOING, Flaw("none of the certificates can be used"))),
        _ => Ok(()),
    }
}

fn certificates(pem: &[u8], doing: &'static str) -> Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| refused(doing, error))
}

/// Of both kinds: PKCS#8, and the older one inside the format of the key.
fn is_encrypted(pem: &[u8]) -> bool {
    [&b"BEGIN ENCRYPTED PRIVATE KEY"[..], b"Proc-Type: 4,ENCRYPTED"]
        .iter()
        .any(|mark| pem.windows(mark.len()).any(|part| part == *mark))
}
