//! Makes the CA of a cluster and a coordinator's certificate. Whoever trusts the CA trusts the coordinators that it vouches
//! for, and nobody else: it is the cluster's own, and known nowhere else.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, Error, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

/// How long certificates are valid. One that runs out before the cluster does stops it on a bad day.
pub const VALID: Duration = Duration::from_secs(3650 * 24 * 3600);
/// Clocks of a cluster differ: what was made a moment ago is valid where it is not yet so late.
const SKEW: Duration = Duration::from_secs(24 * 3600);

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

impl Cluster {
    /// A new CA, and a certificate of it for coordinators with these names and addresses.
    ///
    /// # Errors
    /// If a name is none.
    pub fn new(hosts: &[String], now: SystemTime) -> Result<Self, Error> {
        let ca_key = KeyPair::generate()?;
        let mut ca = params(Vec::new(), "phasegrid CA", now)?;
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca_certificate = ca.self_signed(&ca_key)?;

        let key = KeyPair::generate()?;
        let mut server = params(hosts.to_vec(), "phasegrid coordinator", now)?;
        server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        server.use_authority_key_identifier_extension = true;
        let certificate = server.signed_by(&key, &Issuer::from_params(&ca, &ca_key))?;
        Ok(Self {
            ca: ca_certificate.pem(),
            ca_key: ca_key.serialize_pem(),
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }
}

fn params(hosts: Vec<String>, name: &str, now: SystemTime) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::new(hosts)?;
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, name);
    (params.not_before, params.not_after) = ((now - SKEW).into(), (now + VALID).into());
    Ok(params)
}
