//! TLS for servers that want it. Integrity does not need it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::FetchError;
use super::http::Connection;
use crate::config::Server;
use crate::socket::Socket;

/// Whom to trust for the names of servers.
pub(super) struct Tls(Arc<ClientConfig>);

impl Tls {
    /// Trusts the certificates of a PEM file.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or none in it is of use.
    pub(super) fn new(ca: &Path) -> io::Result<Self> {
        let wrong = |e: &dyn std::fmt::Display| io::Error::other(format!("ca: {}: {e}", ca.display()));
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(ca).map_err(|e| wrong(&e))? {
            // One that is too old or new to be understood vouches for nobody.
            let _ = roots.add(certificate.map_err(|e| wrong(&e))?);
        }
        if roots.is_empty() {
            return Err(wrong(&"it has no certificates"));
        }
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().map_err(io::Error::other)?;
        Ok(Self(Arc::new(config.with_root_certificates(roots).with_no_client_auth())))
    }

    /// The connection by TLS on a socket. Hands are shaken with the first request.
    pub(super) fn open(&self, server: &Server, socket: Socket) -> Result<Connection, FetchError> {
        let unreachable = |e: &dyn std::fmt::Display| FetchError::Unreachable(e.to_string());
        let name = ServerName::try_from(server.host.clone()).map_err(|e| unreachable(&e))?;
        let session = ClientConnection::new(Arc::clone(&self.0), name).map_err(|e| unreachable(&e))?;
        Ok(Connection::Tls(Box::new(StreamOwned::new(session, socket))))
    }
}
