//! Certificates that are made when they are needed, and the two ends of a connection without a network.

// Each test file uses its part.
#![allow(dead_code)]

use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};

use evloop::net::{
    Buffer, Filter, Mode, Pass, TlsClient, TlsClientBuilder, TlsFault, TlsIdentity, TlsInfo,
    TlsServer, TlsServerBuilder, TlsVersion, Verdict,
};
use evloop::{Error, ErrorKind};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};

// ---- certificates ----

pub struct Authority(pub CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        let name = format!("authority {}", MADE.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate and its key, in PEM.
    pub fn issue(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Pem {
        let key = KeyPair::generate().unwrap();
        (self.certify(&key, names, change), key.serialize_pem())
    }

    pub fn certify(
        &self,
        key: &KeyPair,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> String {
        let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, "somebody");
        change(&mut params);
        params.signed_by(key, &self.0).unwrap().pem()
    }

    pub fn identity(&self, names: &[&str]) -> TlsIdentity {
        identity(&self.issue(names, |_| {}))
    }

    /// Of a client.
    pub fn person(&self) -> TlsIdentity {
        identity(&self.issue(&["somebody"], |params| {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        }))
    }

    /// A client that trusts it.
    pub fn client(&self) -> TlsClientBuilder {
        TlsClient::builder().roots_pem(self.pem())
    }

    pub fn server(&self) -> TlsServerBuilder {
        TlsServer::builder(self.identity(&["localhost"]))
    }
}

pub type Pem = (String, String);

pub fn identity((certificate, key): &Pem) -> TlsIdentity {
    TlsIdentity::from_pem(certificate, key).unwrap()
}

// ---- one end, treated as the stream treats it ----

pub struct End {
    pub filter: Box<dyn Filter>,
    pub wire_in: Buffer,
    pub wire_out: Buffer,
    /// Plaintext that has come.
    pub input: Buffer,
    /// Plaintext that is to go.
    pub output: Buffer,
    pub limit: usize,
    pub ended: bool,
    pub error: Option<Error>,
}

impl End {
    pub fn new(filter: Box<dyn Filter>) -> Self {
        let mut end = Self {
            filter,
            wire_in: Buffer::new(),
            wire_out: Buffer::new(),
            input: Buffer::new(),
            output: Buffer::new(),
            limit: 64 * 1024,
            ended: false,
            error: None,
        };
        end.send(Mode::Normal);
        end
    }

    /// Gives it what has come, and whatever it wants to answer its turn.
    pub fn receive(&mut self, bytes: &[u8], mode: Mode) -> Option<Verdict> {
        if self.error.is_some() {
            return None;
        }
        self.wire_in.append(bytes);
        let verdict = loop {
            let before = (self.input.len(), self.wire_in.len());
            match self.filter.receive(&mut self.wire_in, &mut self.input, &pass(self.limit, mode)) {
                Ok(Verdict::More) => {
                    assert!(self.input.len() <= before.0 + self.limit, "more than the limit");
                    assert_ne!(before, (self.input.len(), self.wire_in.len()), "no progress");
                }
                Ok(verdict) => break Some(verdict),
                Err(error) => {
                    self.error = Some(*error.downcast::<Error>().unwrap());
                    break None;
                }
            }
        };
        self.ended |= verdict == Some(Verdict::Ended);
        if verdict.is_some() {
            assert!(self.wire_in.is_empty(), "nothing is left behind");
        }
        self.send(Mode::Normal);
        verdict
    }

    pub fn send(&mut self, mode: Mode) -> Option<Verdict> {
        loop {
            let pass = pass(self.limit, mode);
            match self.filter.send(&mut self.output, &mut self.wire_out, &pass) {
                Ok(Verdict::More) => {}
                Ok(verdict) => return Some(verdict),
                Err(error) => {
                    self.error.get_or_insert(*error.downcast::<Error>().unwrap());
                    return None;
                }
            }
        }
    }

    pub fn write(&mut self, bytes: &[u8]) {
        self.output.append(bytes);
        self.send(Mode::Normal);
    }

    pub fn info(&self) -> Rc<TlsInfo> {
        self.filter.info().unwrap().downcast().unwrap()
    }

    pub fn fault(&self) -> Option<TlsFault> {
        self.error.as_ref().and_then(|error| {
            assert_eq!(error.kind(), ErrorKind::Tls);
            TlsFault::of(error)
        })
    }
}

pub fn pass(limit: usize, mode: Mode) -> Pass {
    Pass::new(limit, mode)
}

pub fn take(buffer: &mut Buffer, most: usize) -> Vec<u8> {
    let mut bytes = vec![0; most.min(buffer.len())];
    buffer.copy_out(0, &mut bytes);
    buffer.drain(bytes.len());
    bytes
}

pub fn all(buffer: &mut Buffer) -> Vec<u8> {
    take(buffer, usize::MAX)
}

pub struct Pair {
    pub client: End,
    pub server: End,
}

impl Pair {
    pub fn new(client: &TlsClient, server: &TlsServer) -> Self {
        Self::named(client, server, "localhost")
    }

    pub fn named(client: &TlsClient, server: &TlsServer, name: &str) -> Self {
        Self { client: End::new(client.filter(name).unwrap()), server: End::new(server.filter()) }
    }

    /// Carries bytes, at most so many at a time, until nobody has any.
    pub fn carry(&mut self, most: usize) {
        while !(self.client.wire_out.is_empty() && self.server.wire_out.is_empty()) {
            for by_client in [true, false] {
                let (from, to) = self.way(by_client);
                let bytes = take(&mut from.wire_out, most);
                if !bytes.is_empty() {
                    to.receive(&bytes, Mode::Normal);
                }
            }
        }
    }

    /// Who sends, and who gets it.
    pub fn way(&mut self, by_client: bool) -> (&mut End, &mut End) {
        let Self { client, server } = self;
        if by_client { (client, server) } else { (server, client) }
    }

    pub fn connected(client: &TlsClient, server: &TlsServer) -> Self {
        let mut pair = Self::new(client, server);
        pair.carry(usize::MAX);
        pair.assert_ready();
        pair
    }

    pub fn assert_ready(&self) {
        for end in [&self.client, &self.server] {
            assert!(end.error.is_none(), "{:?}", end.error);
            assert!(end.filter.is_ready());
        }
    }
}

pub fn both_versions() -> [TlsVersion; 2] {
    [TlsVersion::Tls12, TlsVersion::Tls13]
}

pub fn ends(authority: &Authority, version: TlsVersion) -> (TlsClient, TlsServer) {
    let server = authority.server().max_version(version).build().unwrap();
    (authority.client().build().unwrap(), server)
}
