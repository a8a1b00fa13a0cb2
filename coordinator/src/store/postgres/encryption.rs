//! What travels between coordinator and database: encrypted, and to nobody but the server that was meant; or in the clear,
//! where nobody else can listen or somebody said that it may be so.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::Address;

/// Why a database is not talked to.
#[derive(Debug, thiserror::Error)]
pub enum EncryptionError {
    /// Others could read all that is said.
    #[error(
        "what is said to {0} would be sent in the clear: name the certificate of the CA that vouches for the server with \
         --store-ca; or append ?sslmode=disable to its URL if nobody else is on the network"
    )]
    InTheClear(Box<Address>),
    /// The address says that there is to be TLS.
    #[error(
        "sslmode in the URL of {0} asks for TLS: name the certificate of the CA that vouches for the server with --store-ca"
    )]
    NoCa(Box<Address>),
    /// The address says that there is to be none.
    #[error("--store-ca is of no use with sslmode=disable in the URL of {0}: leave one of them out")]
    Unwanted(Box<Address>),
    /// The CA's certificate cannot be read.
    #[error("cannot read the CA's certificate {}: {reason}", .path.display())]
    Ca {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl Address {
    /// The same database, reached over TLS if there is a CA that vouches for it.
    ///
    /// # Errors
    /// If there is none and others could listen, or it cannot be read.
    pub fn guarded(mut self, ca: Option<&Path>) -> Result<Self, EncryptionError> {
        let mode = self.config.get_ssl_mode();
        match (ca, mode) {
            (None, SslMode::Disable) => {}
            (None, SslMode::Prefer) if self.is_local() => {}
            (None, SslMode::Prefer) => return Err(EncryptionError::InTheClear(Box::new(self))),
            (None, _) => return Err(EncryptionError::NoCa(Box::new(self))),
            (Some(_), SslMode::Disable) => return Err(EncryptionError::Unwanted(Box::new(self))),
            (Some(ca), _) => {
                self.config.ssl_mode(SslMode::Require);
                self.encryption = Some(Encryption(Arc::new(trusting(ca)?)));
            }
        }
        Ok(self)
    }
}

/// TLS with whoever has a certificate of these CAs, and the name that was asked for.
#[derive(Clone)]
pub(super) struct Encryption(Arc<ClientConfig>);

impl Encryption {
    pub(super) fn connector(&self) -> MakeRustlsConnect {
        MakeRustlsConnect::new(ClientConfig::clone(&self.0))
    }
}

impl PartialEq for Encryption {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Encryption {}

fn trusting(ca: &Path) -> Result<ClientConfig, EncryptionError> {
    let unusable = |reason: String| EncryptionError::Ca { path: ca.to_owned(), reason };
    let certificates = CertificateDer::pem_file_iter(ca).map_err(|error| unusable(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unusable("there is no certificate in it; it takes PEM".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| unusable(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    #[test]
    fn a_database_elsewhere_takes_a_ca_or_a_word_that_it_needs_none() {
        let refused = address("postgres://grid:s3cret@db.example/sweeps").guarded(None).unwrap_err().to_string();
        assert!(refused.contains("--store-ca") && refused.contains("sslmode=disable"), "{refused}");
        assert!(!refused.contains("s3cret"), "{refused}");
        let elsewhere = address("postgres://grid@localhost/sweeps?hostaddr=10.0.0.5").guarded(None);
        assert!(matches!(elsewhere, Err(EncryptionError::InTheClear(_))));
        let asked = address("postgres://grid@127.0.0.1/sweeps?sslmode=require").guarded(None);
        assert!(matches!(asked, Err(EncryptionError::NoCa(_))));
        for taken in ["postgres://grid@db.example/sweeps?sslmode=disable", "postgres://grid@127.0.0.1/sweeps"] {
            assert_eq!(address(taken).guarded(None).unwrap(), address(taken));
        }
    }

    #[test]
    fn what_is_no_certificate_is_refused_with_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let (empty, missing) = (folder.path().join("empty.pem"), folder.path().join("missing.pem"));
        std::fs::write(&empty, "nothing").unwrap();
        for file in [&empty, &missing] {
            let refused = address("postgres://grid@db/sweeps").guarded(Some(file)).unwrap_err().to_string();
            assert!(refused.contains(file.to_str().unwrap()), "{refused}");
        }
        let unwanted = address("postgres://grid@db/sweeps?sslmode=disable").guarded(Some(&empty));
        assert!(matches!(unwanted, Err(EncryptionError::Unwanted(_))));
    }
}
