//! The server's certificate, and its key, in files that can be read again.

#[cfg(feature = "tls")]
pub use with_tls::Certificate;
#[cfg(not(feature = "tls"))]
pub use without_tls::Certificate;

#[cfg(feature = "tls")]
mod with_tls {
    use evloop::http::ServerOptions;
    use evloop::net::{TlsIdentity, TlsServer};

    pub struct Certificate {
        certificates: String,
        key: String,
        server: TlsServer,
    }

    impl Certificate {
        pub const IS_BUILT_IN: Result<(), &str> = Ok(());

        pub fn read(certificates: String, key: String) -> Result<Self, String> {
            let server = TlsServer::builder(identity(&certificates, &key)?).build();
            let server = server.map_err(|error| format!("{error:#}"))?;
            Ok(Self { certificates, key, server })
        }

        /// For the connections that come from now on; those of all threads.
        pub fn read_again(&self) -> Result<(), String> {
            self.server.set_identity(identity(&self.certificates, &self.key)?);
            Ok(())
        }

        pub fn serve_with(&self, options: ServerOptions) -> ServerOptions {
            options.tls(self.server.clone())
        }
    }

    fn identity(certificates: &str, key: &str) -> Result<TlsIdentity, String> {
        let read = |path| std::fs::read(path).map_err(|error| format!("{path}: {error}"));
        TlsIdentity::from_pem(read(certificates)?, read(key)?)
            .map_err(|error| format!("{certificates}, {key}: {error:#}"))
    }
}

#[cfg(not(feature = "tls"))]
mod without_tls {
    use evloop::http::ServerOptions;

    /// There is none.
    pub enum Certificate {}

    impl Certificate {
        pub const IS_BUILT_IN: Result<(), &str> = Err("built without TLS; use --features tls");

        pub fn read(_: String, _: String) -> Result<Self, String> {
            Self::IS_BUILT_IN?;
            Err(String::new())
        }

        pub fn read_again(&self) -> Result<(), String> {
            match *self {}
        }

        pub fn serve_with(&self, _: ServerOptions) -> ServerOptions {
            match *self {}
        }
    }
}
