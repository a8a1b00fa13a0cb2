//! The object store at a place: a folder, or a bucket of S3 and its kin.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientConfigKey, ObjectStore, RetryConfig};

use crate::place::Place;

/// How long one request to S3 may take: a snapshot of 100 MB over 2 MB/s.
const REQUEST: &str = "50 seconds";
/// Failed requests to S3 are repeated so often, for so long.
const RETRY: RetryConfig = RetryConfig {
    backoff: BackoffConfig { init_backoff: Duration::from_millis(100), max_backoff: Duration::from_secs(3), base: 2.0 },
    max_retries: 3,
    retry_timeout: Duration::from_secs(20),
};

/// Why a place cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// The folder cannot be made.
    #[error(transparent)]
    Folder(#[from] io::Error),
    /// The store's own reason.
    #[error(transparent)]
    Store(#[from] object_store::Error),
}

/// What of a folder's files survives a crash of the machine. S3 keeps whatever it has acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeping {
    /// What the system had written by then.
    Loosely,
    /// Whatever was acknowledged: files and their folders are synced before.
    Durably,
}

/// The store at a place; `None` is nowhere. A folder is made if need be, of S3 nothing is asked yet.
///
/// # Errors
/// If the folder cannot be made, or the environment says nothing sensible about S3.
pub fn at(place: &Place, keeping: Keeping) -> Result<Option<Arc<dyn ObjectStore>>, Unusable> {
    Ok(match place {
        Place::Folder(folder) => {
            match keeping {
                Keeping::Loosely => std::fs::create_dir_all(folder)?,
                Keeping::Durably => make_durably(folder)?,
            }
            let folder = LocalFileSystem::new_with_prefix(folder)?;
            Some(Arc::new(folder.with_automatic_cleanup(true).with_fsync(keeping == Keeping::Durably)))
        }
        Place::S3 { bucket, prefix } => Some(s3(AmazonS3Builder::from_env(), bucket, prefix)?),
        Place::Nowhere => None,
    })
}

/// Makes a folder that is still there after a crash of the machine.
fn make_durably(folder: &Path) -> io::Result<()> {
    let missing = folder.ancestors().take_while(|folder| !folder.exists()).count();
    std::fs::create_dir_all(folder)?;
    // One that was there may have been made just before a crash.
    for parent in folder.ancestors().skip(1).take(missing.max(1)) {
        match File::open(parent).and_then(|parent| parent.sync_all()) {
            // Whoever may not look into it did not make it.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            outcome => outcome?,
        }
    }
    Ok(())
}

/// The store in a bucket, for which `account` holds endpoint, region and credentials.
///
/// # Errors
/// If that makes no sense.
pub fn s3(account: AmazonS3Builder, bucket: &str, prefix: &str) -> Result<Arc<dyn ObjectStore>, object_store::Error> {
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
    fn a_folder_that_cannot_be_made_is_unusable() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(at(&Place::Folder(file.path().join("below")), Keeping::Loosely), Err(Unusable::Folder(_))));
        let error = at(&Place::Folder(file.path().join("below")), Keeping::Durably);
        assert!(matches!(error, Err(Unusable::Folder(_))));
        assert!(at(&Place::Nowhere, Keeping::Durably).unwrap().is_none());
    }
}
