//! Makes the CA of a cluster and a coordinator's certificate. Whoever trusts the CA trusts the coordinators that it vouches
//! for, and nobody else: it is the cluster's own, and known nowhere else.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, Error, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// How long certificates are valid. One that runs out before the cluster does stops it on a bad day.
pub const VALID: Duration = Duration::from_secs(3650 * 24 * 3600);
/// Clocks of a cluster differ: what was made a moment ago is valid where it is not yet so late.
const SKEW: Duration = Duration::from_secs(24 * 3600);

/// What our CAs are called.
const CA_NAME: &str = "phasegrid CA";

/// Everything that a cluster needs, in PEM.
#[derive(Clone)]
pub struct Cluster {
    /// The CA's certificate, for clients and workers.
    pub ca: String,
    /// The CA's key, with which further certificates can be made.
    pub ca_key: String,
    /// The coordinator's certificate.
    pub certificate: String,
    /// The coordinator's key.
    pub key: String,
}

/// Why there is no further certificate of a CA.
#[derive(Debug, thiserror::Error)]
pub enum FurtherError {
    /// No certificate in PEM.
    #[error("ca.pem is no certificate")]
    Certificate,
    /// No key in PEM.
    #[error("ca.key is no key")]
    Key,
    /// They do not belong together.
    #[error("ca.key is not the key of ca.pem")]
    Mismatch,
    /// The CA is somebody else's.
    #[error("ca.pem is not of a CA that was made here; whoever made it can make a certificate for this host")]
    Foreign,
    /// A name is none.
    #[error(transparent)]
    Host(Error),
}

impl Cluster {
    /// A new CA, and a certificate of it for coordinators with these names and addresses.
    ///
    /// # Errors
    /// If a name is none.
    pub fn new(hosts: &[String], now: SystemTime) -> Result<Self, Error> {
        let ca_key = KeyPair::generate()?;
        let ca = authority(now)?.self_signed(&ca_key)?.pem();
        Self::under(ca, &ca_key, hosts, now)
    }

    /// A further certificate of a CA that was made here before, for coordinators with these names and addresses.
    ///
    /// # Errors
    /// If a name is none, or the key is none or another CA's.
    pub fn with_ca(ca: String, ca_key: &str, hosts: &[String], now: SystemTime) -> Result<Self, FurtherError> {
        let ca_key = KeyPair::from_pem(ca_key).map_err(|_| FurtherError::Key)?;
        let der = CertificateDer::from_pem_slice(ca.as_bytes()).map_err(|_| FurtherError::Certificate)?;
        // A certificate holds the key that it is for.
        let public = ca_key.public_key_raw();
        if !der.windows(public.len()).any(|part| part == public) {
            return Err(FurtherError::Mismatch);
        }
        // A certificate of ours says who vouches for it by this name.
        if !der.windows(CA_NAME.len()).any(|part| part == CA_NAME.as_bytes()) {
            return Err(FurtherError::Foreign);
        }
        Self::under(ca, &ca_key, hosts, now).map_err(FurtherError::Host)
    }

    fn under(ca: String, ca_key: &KeyPair, hosts: &[String], now: SystemTime) -> Result<Self, Error> {
        let key = KeyPair::generate()?;
        let mut server = params(hosts.to_vec(), "phasegrid coordinator", now)?;
        server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        server.use_authority_key_identifier_extension = true;
        // What is said of the issuer, its name and the digest of its key, does not depend on when it was made.
        let certificate = server.signed_by(&key, &Issuer::from_params(&authority(now)?, ca_key))?;
        Ok(Self { ca, ca_key: ca_key.serialize_pem(), certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

/// What a CA of ours says of itself.
fn authority(now: SystemTime) -> Result<CertificateParams, Error> {
    let mut ca = params(Vec::new(), CA_NAME, now)?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(ca)
}

fn params(hosts: Vec<String>, name: &str, now: SystemTime) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::new(hosts)?;
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, name);
    (params.not_before, params.not_after) = ((now - SKEW).into(), (now + VALID).into());
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn a_further_certificate_takes_a_ca_of_ours_and_its_key() {
        let hosts = ["gpu-head-2".to_owned()];
        let [ours, other] = [(); 2].map(|()| Cluster::new(&hosts, clock::now()).unwrap());
        let further = |ca: &str, key: &str| Cluster::with_ca(ca.to_owned(), key, &hosts, clock::now()).map(drop);
        assert!(further(&ours.ca, &ours.ca_key).is_ok());
        assert!(matches!(further(&ours.ca, &other.ca_key), Err(FurtherError::Mismatch)));
        let key = KeyPair::generate().unwrap();
        let foreign = CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap().pem();
        assert!(matches!(further(&foreign, &key.serialize_pem()), Err(FurtherError::Foreign)));
    }
}
