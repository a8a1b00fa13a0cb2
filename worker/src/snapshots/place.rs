//! Where snapshots are kept, as it is written in settings: a folder, a bucket, or nowhere.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientConfigKey, ObjectStore, RetryConfig};
use url::Url;

/// What [`Place::from_str`] takes.
pub const PLACES: &str = "a folder, file:///FOLDER, s3://BUCKET/PREFIX or none";

/// How long one request to S3 may take: a snapshot of 100 MB over 2 MB/s.
const REQUEST: &str = "50 seconds";
/// Failed requests to S3 are repeated so often, for so long.
const RETRY: RetryConfig = RetryConfig {
    backoff: BackoffConfig { init_backoff: Duration::from_millis(100), max_backoff: Duration::from_secs(3), base: 2.0 },
    max_retries: 3,
    retry_timeout: Duration::from_secs(20),
};

/// A place for snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A folder that this machine sees, as an absolute path.
    Folder(PathBuf),
    /// S3 or its kin. Region, endpoint and credentials are taken from the environment's `AWS_` variables.
    S3 {
        /// The bucket.
        bucket: String,
        /// What all keys begin with; may be empty.
        prefix: String,
    },
    /// None are kept.
    Nowhere,
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text.is_empty() {
            return Err(());
        }
        if text == "none" {
            return Ok(Self::Nowhere);
        }
        if !text.contains("://") {
            return std::path::absolute(text).map(Self::Folder).map_err(|_| ());
        }
        let url: Url = text.parse().map_err(|_| ())?;
        match url.scheme() {
            "file" => url.to_file_path().map(Self::Folder),
            "s3" => {
                let bucket = url.host_str().filter(|bucket| !bucket.is_empty()).ok_or(())?;
                Ok(Self::S3 { bucket: bucket.to_owned(), prefix: url.path().trim_matches('/').to_owned() })
            }
            _ => Err(()),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => folder.display().fmt(f),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
            Self::Nowhere => f.write_str("none"),
        }
    }
}

/// Why a place cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    #[error(transparent)]
    Folder(#[from] io::Error),
    #[error(transparent)]
    Store(#[from] object_store::Error),
}

impl Place {
    /// The store there; `None` is nowhere. Nothing is asked of it yet.
    pub(super) fn store(&self) -> Result<Option<Arc<dyn ObjectStore>>, Unusable> {
        Ok(match self {
            Self::Folder(folder) => {
                std::fs::create_dir_all(folder)?;
                let folder = LocalFileSystem::new_with_prefix(folder)?;
                Some(Arc::new(folder.with_automatic_cleanup(true)))
            }
            Self::S3 { bucket, prefix } => Some(s3(AmazonS3Builder::from_env(), bucket, prefix)?),
            Self::Nowhere => None,
        })
    }
}

/// The store in a bucket, for which `account` holds endpoint, region and credentials.
pub(super) fn s3(
    account: AmazonS3Builder,
    bucket: &str,
    prefix: &str,
) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
    // Where TLS comes from is settled once for a process; that it was settled before is as good.
    rustls::crypto::ring::default_provider().install_default().ok();
    let builder = account
        .with_bucket_name(bucket)
        .with_retry(RETRY)
        .with_config(AmazonS3ConfigKey::Client(ClientConfigKey::Timeout), REQUEST);
    // Whoever names an endpoint without TLS wants it so.
    let endpoint = builder.get_config_value(&AmazonS3ConfigKey::Endpoint);
    let plain = endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
    let store = if plain { builder.with_allow_http(true) } else { builder }.build()?;
    Ok(Arc::new(PrefixStore::new(store, prefix)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_folder_a_bucket_or_nowhere() {
        let here = std::env::current_dir().unwrap();
        let s3 = |bucket: &str, prefix: &str| Place::S3 { bucket: bucket.into(), prefix: prefix.into() };
        for (text, place) in [
            ("/var/snapshots", Place::Folder("/var/snapshots".into())),
            ("snapshots", Place::Folder(here.join("snapshots"))),
            ("file:///var/two%20words", Place::Folder("/var/two words".into())),
            ("s3://bucket", s3("bucket", "")),
            ("s3://bucket/a/b/", s3("bucket", "a/b")),
            ("none", Place::Nowhere),
        ] {
            assert_eq!(text.parse(), Ok(place), "{text}");
        }
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for text in ["", "s3://", "s3:///prefix", "gs://bucket", "file://elsewhere/folder", "http://host/"] {
            assert_eq!(text.parse::<Place>(), Err(()), "{text:?}");
        }
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_unusable() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(Place::Folder(file.path().join("below")).store(), Err(Unusable::Folder(_))));
        assert!(Place::Nowhere.store().unwrap().is_none());
    }
}
