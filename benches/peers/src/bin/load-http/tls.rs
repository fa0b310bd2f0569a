//! HTTPS: the same requests, over connections that rustls encrypts on this side. All servers are made to agree on the same.

#[cfg(not(feature = "tls"))]
pub fn measure(
    _server: &crate::server::Server,
    _connections: usize,
    _requests: u64,
) -> std::io::Result<()> {
    Err(crate::wrong("feature `tls` of this package is off"))
}

#[cfg(feature = "tls")]
pub use client::measure;

#[cfg(feature = "tls")]
mod client {
    use std::io::{self, Read, Write};
    use std::net::{Shutdown, TcpStream};
    use std::sync::Arc;

    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::crypto::{CryptoProvider, ring};
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use rustls::{
        ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned,
        version,
    };

    use crate::answer::Request;
    use crate::client::{self, PATIENCE, Stream};
    use crate::exchange;
    use crate::server::Server;

    pub fn measure(server: &Server, connections: usize, requests: u64) -> io::Result<()> {
        // As browsers have it: one version, one cipher.
        let provider = CryptoProvider {
            cipher_suites: vec![ring::cipher_suite::TLS13_AES_128_GCM_SHA256],
            ..ring::default_provider()
        };
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(&[&version::TLS13])
            .map_err(io::Error::other)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let config = Arc::new(config);
        let open = |server: &Server| connect(server, &config);
        exchange::measure_with(server, &Request::get(1), connections, requests, open)
    }

    type Tls = StreamOwned<ClientConnection, TcpStream>;

    fn connect(server: &Server, config: &Arc<ClientConfig>) -> io::Result<Tls> {
        let socket = client::connect_first(server)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let tls = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(tls, socket);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(stream)
    }

    impl Stream for Tls {
        fn socket(&self) -> &TcpStream {
            &self.sock
        }

        fn end(&mut self) -> io::Result<bool> {
            self.conn.send_close_notify();
            self.flush()?;
            self.sock.shutdown(Shutdown::Write)?;
            match self.read(&mut [0; 1]) {
                Ok(count) => Ok(count == 0),
                // It has closed without saying so.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(true),
                Err(error) => Err(error),
            }
        }
    }

    /// Whoever it is.
    #[derive(Debug)]
    struct Anybody;

    impl ServerCertVerifier for Anybody {
        fn verify_server_cert(
            &self,
            _certificate: &CertificateDer<'_>,
            _others: &[CertificateDer<'_>],
            _name: &ServerName<'_>,
            _ocsp: &[u8],
            _now: UnixTime,
        ) -> Result<ServerCertVerified, rustls::Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            _message: &[u8],
            _certificate: &CertificateDer<'_>,
            _signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn verify_tls13_signature(
            &self,
            _message: &[u8],
            _certificate: &CertificateDer<'_>,
            _signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            ring::default_provider().signature_verification_algorithms.supported_schemes()
        }
    }
}
