//! How clients and workers come to a coordinator: its URL, the CA that its certificate is checked against, and the token
//! that says who calls.
//!
//! A token is read from a file or the environment and never from a command line, which every user of a machine can read;
//! and it is sent over TLS alone, or to the machine itself.
//!
//! One who is frozen, or lost its power, does not say so. So nothing is waited for without end: neither a connection, nor the
//! other side's word on it, nor, with [`within`], an answer.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Uri};
use tonic::{Request, Status};

/// What [`endpoint`] takes for a URL.
pub const URLS: &str = "http://HOST:PORT or https://HOST:PORT";

/// How long a coordinator may take to accept a connection.
pub const CONNECT_TIME: Duration = Duration::from_secs(5);
/// How long it may then take to shake hands over TLS: of all who come back at once after a restart, the last waits.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// A connection that is silent for so long is probed, and given up after as much again.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// A connection whose calls carry the token.
pub type Connection = InterceptedService<Channel, Bearer>;

/// What a caller shows, and what it trusts.
#[derive(Clone, Debug, Default)]
pub struct Credentials {
    /// The certificate of the CA that vouches for the coordinator, in PEM.
    pub ca: Option<String>,
    /// The token.
    pub token: Option<Bearer>,
}

/// Puts a token on each call.
#[derive(Clone, Default)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

/// Why there is no way to a coordinator, before anything is sent.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// Not a URL of a coordinator.
    #[error("{0:?} is not accepted; accepted: {URLS}")]
    Url(String),
    /// Nobody to vouch for the other side.
    #[error("{0} needs the CA that vouches for the coordinator: name the ca.pem of `phasegrid init-cluster` {CA}")]
    NoCa(String),
    /// The CA's file holds none.
    #[error("{} holds no certificate in PEM: it is to be the ca.pem of `phasegrid init-cluster`", .0.display())]
    NoCertificate(PathBuf),
    /// The CA's certificate is of no use.
    #[error("the CA certificate cannot be used: {0}")]
    Ca(#[source] tonic::transport::Error),
    /// Everybody on the way could read the token.
    #[error(
        "a token is sent over TLS alone, and {0} has none: use https://, or reach the coordinator through an SSH tunnel"
    )]
    TokenInTheClear(String),
    /// A file cannot be read.
    #[error("cannot read {what} {}: {source}", .path.display())]
    File {
        /// What was to be in it.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What was given as a token is none.
    #[error("{0} holds no token: it is to be one line as `phasegrid token create` printed it")]
    Token(String),
}

const CA: &str = "with --ca or PHASEGRID_CA";

impl Credentials {
    /// Reads the CA from its file, and the token from its file or else as the environment has it.
    ///
    /// # Errors
    /// If a file cannot be read, or there is no token where one was said to be.
    pub fn read(
        ca_file: Option<&Path>,
        token_file: Option<&Path>,
        token: Option<&str>,
    ) -> Result<Self, ConnectionError> {
        let read = |what, path: &Path| {
            let failed = |source| ConnectionError::File { what, path: path.to_owned(), source };
            std::fs::read_to_string(path).map_err(failed)
        };
        let ca = ca_file.map(|path| read("the CA certificate", path)).transpose()?;
        if let (Some(path), Some(text)) = (ca_file, &ca)
            && !text.contains("-----BEGIN CERTIFICATE-----")
        {
            return Err(ConnectionError::NoCertificate(path.to_owned()));
        }
        let token = match (token_file, token) {
            (Some(path), _) => Some(Bearer::parse(&read("the token", path)?, &path.display().to_string())?),
            (None, Some(token)) => Some(Bearer::parse(token, "PHASEGRID_TOKEN")?),
            (None, None) => None,
        };
        Ok(Self { ca, token })
    }

    /// What puts the token on calls, if there is one.
    #[must_use]
    pub fn bearer(&self) -> Bearer {
        self.token.clone().unwrap_or_default()
    }
}

impl Bearer {
    fn parse(text: &str, place: &str) -> Result<Self, ConnectionError> {
        let refused = || ConnectionError::Token(place.to_owned());
        let token = text.trim();
        if token.is_empty() || !token.chars().all(|c| c.is_ascii_graphic()) {
            return Err(refused());
        }
        let mut value: MetadataValue<Ascii> = format!("Bearer {token}").parse().map_err(|_| refused())?;
        // Kept out of the logs and the compression tables of HTTP/2.
        value.set_sensitive(true);
        Ok(Self(Some(value)))
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Bearer(…)" } else { "Bearer(none)" })
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

/// Whether this is the URL of a coordinator.
#[must_use]
pub fn is_url(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    let bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
    bare && matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
}

/// The endpoint at a URL, with TLS if that says so. A coordinator that falls silent there is given up.
///
/// # Errors
/// If the URL is none, or what the credentials lack or must not be used for.
pub fn endpoint(url: &str, credentials: &Credentials) -> Result<Endpoint, ConnectionError> {
    let refused = || ConnectionError::Url(url.to_owned());
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|_| refused())?;
    let endpoint = endpoint
        .tcp_nodelay(true)
        .connect_timeout(CONNECT_TIME)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(true);
    if !is_url(url) {
        return Err(refused());
    }
    if endpoint.uri().scheme_str() == Some("http") {
        if credentials.token.is_some() && !is_here(endpoint.uri()) {
            return Err(ConnectionError::TokenInTheClear(url.to_owned()));
        }
        return Ok(endpoint);
    }
    let ca = credentials.ca.as_ref().ok_or_else(|| ConnectionError::NoCa(url.to_owned()))?;
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca)).timeout(HANDSHAKE_TIME);
    endpoint.tls_config(tls).map_err(ConnectionError::Ca)
}

/// The answer to a call, or DEADLINE_EXCEEDED if it does not come within a time. A coordinator may live, as its connection
/// shows, and not answer.
///
/// # Errors
/// As the call's, and if the time is over.
pub async fn within<T>(time: Duration, answer: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    let late = |_| Status::deadline_exceeded(format!("it took the call and has not answered for {} s", time.as_secs()));
    tokio::time::timeout(time, answer).await.map_err(late).flatten()
}

/// Whether what is sent there stays on this machine.
fn is_here(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// What is wrong with the way to a coordinator, where a failure tells: what to do about it, and whether trying again is
/// of no use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// In one sentence.
    pub reason: String,
    /// It will be there the next time as well.
    pub lasts: bool,
}

/// The innermost reason of a failure, in words that help where TLS is the reason.
#[must_use]
pub fn obstacle(failure: &(dyn Error + 'static), url: &str) -> Obstacle {
    let chain = || std::iter::successors(Some(failure), |&error| error.source());
    if let Some(error) = chain().find_map(tls_error) {
        return refused_by_tls(error);
    }
    // What the coordinator itself says has no source, and speaks for itself.
    if let Some(status) = chain().last().and_then(|error| error.downcast_ref::<Status>()) {
        return Obstacle { reason: status.message().to_owned(), lasts: false };
    }
    let reason = chain().last().map(ToString::to_string).unwrap_or_default();
    // Some end with a full stop, and the sentence goes on.
    let reason = reason.trim_end_matches('.').to_owned();
    let refused = chain().filter_map(|error| error.downcast_ref::<io::Error>()).any(|error| {
        matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::TimedOut | io::ErrorKind::NotFound)
    });
    // What breaks after the connection was made may be a port that waited for TLS; what is silent is not.
    let silent = reason.ends_with("timed out");
    let hint = if url.starts_with("https://") || refused || silent {
        ""
    } else {
        " (if it speaks TLS, use https:// and its CA)"
    };
    Obstacle { reason: reason + hint, lasts: false }
}

fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    // An I/O error does not have what it wraps as its source, but what is below that.
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    wrapped.and_then(|inner| inner.downcast_ref()).or_else(|| error.downcast_ref())
}

fn refused_by_tls(error: &rustls::Error) -> Obstacle {
    use rustls::{CertificateError, Error};
    let (reason, lasts) = match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => (
            format!("its certificate is not of the CA that was given {CA}: take the ca.pem of the coordinator's own cluster"),
            true,
        ),
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => (
            "its certificate is for other names: use one of those, or make one with `phasegrid init-cluster --host NAME`"
                .to_owned(),
            true,
        ),
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            ("its certificate has expired: make another with `phasegrid init-cluster`".to_owned(), true)
        }
        Error::InvalidCertificate(_) => (format!("its certificate is not accepted: {error}"), true),
        Error::InvalidMessage(_) => ("what answers there does not speak TLS: use http://".to_owned(), false),
        _ => (format!("TLS fails: {error}"), false),
    };
    Obstacle { reason, lasts }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Credentials {
        Credentials::read(None, None, Some("secret")).unwrap()
    }

    #[test]
    fn only_bare_urls_with_a_host_are_coordinators() {
        for url in ["http://127.0.0.1:7700", "https://host:1", "http://[::1]:7700", "https://host/"] {
            assert!(is_url(url), "{url}");
        }
        for url in ["", "localhost:7700", "http://", "http://host/path", "ftp://host", "http://a b", "https://h?q"] {
            assert!(!is_url(url), "{url}");
        }
    }

    #[test]
    fn a_token_is_not_sent_in_the_clear() {
        for url in ["http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1"] {
            assert!(endpoint(url, &token()).is_ok(), "{url}");
        }
        let error = endpoint("http://there:1", &token()).unwrap_err().to_string();
        assert!(error.contains("use https://"), "{error}");
        assert!(endpoint("http://there:1", &Credentials::default()).is_ok());
    }

    #[test]
    fn tls_needs_a_ca_that_is_one() {
        let error = endpoint("https://there:1", &token()).unwrap_err().to_string();
        assert!(error.contains("--ca"), "{error}");
        let error = Credentials::read(Some(Path::new("/dev/null")), None, None).unwrap_err().to_string();
        assert!(error.starts_with("/dev/null holds no certificate"), "{error}");
    }

    #[test]
    fn the_innermost_reason_is_told() {
        let reason = |status: &Status| obstacle(status, "https://there:1").reason;
        let inner = io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused");
        assert_eq!(reason(&Status::from_error(Box::new(inner))), "connection refused");
        assert_eq!(reason(&Status::unavailable("stopping")), "stopping");
        let late = io::Error::other("TLS handshake timeout.");
        assert_eq!(reason(&Status::from_error(Box::new(late))), "TLS handshake timeout");
    }

    #[test]
    fn a_token_is_one_word_wherever_it_stands_and_is_not_shown() {
        let folder = std::env::temp_dir().join(format!("phasegrid-token-{}", std::process::id()));
        std::fs::write(&folder, "  phasegrid_abc\n").unwrap();
        let credentials = Credentials::read(None, Some(&folder), Some("another")).unwrap();
        let request = credentials.bearer().call(Request::new(())).unwrap();
        assert_eq!(request.metadata().get("authorization").unwrap(), "Bearer phasegrid_abc");
        assert!(!format!("{credentials:?} {request:?}").contains("abc"));
        std::fs::write(&folder, "two words").unwrap();
        let error = Credentials::read(None, Some(&folder), None).unwrap_err().to_string();
        assert!(error.contains("one line"), "{error}");
        std::fs::remove_file(&folder).unwrap();
        let error = Credentials::read(None, Some(&folder), None).unwrap_err().to_string();
        assert!(error.starts_with("cannot read the token "), "{error}");
        assert!(Credentials::read(None, None, Some("é")).is_err());
    }
}
