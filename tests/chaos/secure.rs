//! A client that speaks TLS, byte by byte if need be.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::client::Client;
use crate::folder::Folder;
use crate::response::{self, Response};
use crate::server::command;
use crate::words::PATIENCE;
use crate::{Ending, Server, get};

/// A certificate for `localhost`, signed by itself, and its key, in PEM.
pub struct Identity {
    pub certificate: String,
    pub key: String,
    der: CertificateDer<'static>,
}

impl Identity {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let der = certificate.der().clone();
        Self { certificate: certificate.pem(), key: key.serialize_pem(), der }
    }

    /// What a client needs that trusts it, and nobody else.
    pub fn trusted(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
    }
}

/// A server with a certificate, in files that can be exchanged.
pub struct SecureServer {
    pub server: Server,
    pub config: Arc<ClientConfig>,
    pub folder: Folder,
}

impl SecureServer {
    #[track_caller]
    pub fn on(backend: &str, options: &[&str]) -> Self {
        let (folder, identity) = (Folder::new(), Identity::new());
        let config = identity.trusted();
        put(&folder, &identity);
        let (certificate, key) = (folder.text("cert.pem"), folder.text("key.pem"));
        let all = [
            "--listen",
            "127.0.0.1:0",
            "--backend",
            backend,
            "--tls-cert",
            &certificate,
            "--tls-key",
            &key,
        ];
        let server = Server::start_command(command(&[&all, options].concat()), 1);
        let mut all = Self { server, config, folder };
        let mut client = all.client();
        for target in ["/plaintext", "/slow?ms=1", "/worker?ms=1", "/stream?n=1&ms=0", "/stats"] {
            assert_eq!(client.ask(get(target)).status, 200, "{target}");
        }
        drop(client);
        all.server.settle();
        all
    }

    /// From the next SIGHUP on.
    pub fn put(&self, identity: &Identity) {
        put(&self.folder, identity);
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path(name)
    }

    #[track_caller]
    pub fn client(&self) -> Secure {
        Secure::open(self.server.client(), &self.config)
    }

    /// What [`Server::finish`] does.
    #[track_caller]
    pub fn finish(self) {
        self.server.await_descriptors_released();
        assert_eq!(
            self.client().ask(get("/plaintext")).body,
            b"Hello, World!",
            "a new client is served"
        );
        self.server.end();
    }
}

fn put(folder: &Folder, identity: &Identity) {
    folder.write("key.pem", &identity.key);
    folder.write("cert.pem", &identity.certificate);
}

pub struct Secure {
    pub client: Client,
    pub tls: ClientConnection,
    input: Vec<u8>,
}

impl Secure {
    /// Before it has said anything.
    pub fn silent(client: Client, config: &Arc<ClientConfig>) -> Self {
        let name = ServerName::try_from("localhost").unwrap();
        let tls = ClientConnection::new(Arc::clone(config), name).unwrap();
        Self { client, tls, input: Vec::new() }
    }

    #[track_caller]
    pub fn open(client: Client, config: &Arc<ClientConfig>) -> Self {
        let mut secure = Self::silent(client, config);
        while secure.tls.is_handshaking() {
            let out = secure.take_output();
            secure.client.send(out);
            if secure.tls.is_handshaking() {
                secure.receive().expect("a handshake");
            }
        }
        let out = secure.take_output();
        secure.client.send(out);
        secure
    }

    /// The bytes that are to be sent next.
    pub fn take_output(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut out).unwrap();
        }
        out
    }

    /// Takes what comes next. Fails with the end of the connection.
    #[track_caller]
    pub fn receive(&mut self) -> Result<(), Ending> {
        let bytes = self.client.more(Instant::now() + PATIENCE)?;
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            self.tls.read_tls(&mut rest).unwrap();
            self.tls.process_new_packets().expect("TLS as it should be");
            let mut block = [0; 16 * 1024];
            while let Ok(count @ 1..) = self.tls.reader().read(&mut block) {
                self.input.extend_from_slice(&block[..count]);
            }
        }
        Ok(())
    }

    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.tls.set_buffer_limit(None);
        self.tls.writer().write_all(bytes.as_ref()).unwrap();
        let out = self.take_output();
        self.client.send(out);
    }

    #[track_caller]
    pub fn response(&mut self) -> Response {
        loop {
            if let Some((response, used)) = response::parse(&self.input, "GET", false) {
                self.input.drain(..used);
                return response;
            }
            self.receive().expect("a response");
        }
    }

    #[track_caller]
    pub fn ask(&mut self, request: impl AsRef<[u8]>) -> Response {
        self.send(request);
        self.response()
    }

    /// What is to be read until the connection ends, and whether TLS has ended before (`close_notify`).
    #[track_caller]
    pub fn end(&mut self) -> (Vec<u8>, bool) {
        loop {
            match self.receive() {
                Ok(()) => {}
                Err(Ending::Open(_)) => panic!("it does not end"),
                Err(_) => break,
            }
        }
        let in_order = match self.tls.reader().read(&mut [0]) {
            Ok(0) => true,
            Ok(_) => panic!("more was there"),
            Err(_) => false,
        };
        (std::mem::take(&mut self.input), in_order)
    }
}
