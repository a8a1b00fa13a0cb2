//! The certificate with which the coordinator proves that it is the one that was meant.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tonic::transport::{Identity, ServerTlsConfig};

/// How long a client may take to shake hands.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A certificate with its key.
#[derive(Clone)]
pub struct Tls {
    pub(super) config: ServerTlsConfig,
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

/// A file of a certificate that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the {what} {}: {source}; `phasegrid init-cluster` makes a certificate with its key", .path.display())]
pub struct TlsError {
    what: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl Tls {
    /// Reads a certificate, and those that vouch for it if need be, with its key, both in PEM.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let read = |what, path: &Path| {
            std::fs::read_to_string(path).map_err(|source| TlsError { what, path: path.to_owned(), source })
        };
        let identity = Identity::from_pem(read("certificate", certificate)?, read("key", key)?);
        let config = ServerTlsConfig::new().identity(identity).timeout(HANDSHAKE);
        Ok(Self { config, certificate: certificate.to_owned(), key: key.to_owned() })
    }
}
