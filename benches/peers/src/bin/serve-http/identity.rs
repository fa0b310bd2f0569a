//! Who the servers are where they speak TLS: a certificate by nobody, made for each run. All have a key of the same kind.

use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivatePkcs8KeyDer;

pub struct Identity(rcgen::CertifiedKey<rcgen::KeyPair>);

impl Identity {
    pub fn new() -> io::Result<Self> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
        made.map(Self).map_err(io::Error::other)
    }

    /// As PEM: the certificate and its key.
    pub fn pem(&self) -> (String, String) {
        (self.0.cert.pem(), self.0.signing_key.serialize_pem())
    }

    /// For whoever takes rustls as it is, with what all of them are built on.
    pub fn config(&self) -> io::Result<ServerConfig> {
        let key = PrivatePkcs8KeyDer::from(self.0.signing_key.serialize_der());
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(vec![self.0.cert.der().clone()], key.into())
            .map_err(io::Error::other)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}
