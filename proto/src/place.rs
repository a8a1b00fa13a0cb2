//! Where objects are kept (snapshots of long tasks, records of finished ones), as settings write it and as a coordinator
//! tells its workers.

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use url::Url;

/// What [`Place::from_str`] takes.
pub const PLACES: &str = "a folder, file:///FOLDER, s3://BUCKET/PREFIX or none";

/// A place for objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A folder, as an absolute path.
    Folder(PathBuf),
    /// S3 or its kin. Region, endpoint and credentials are the environment's.
    S3 {
        /// The bucket.
        bucket: String,
        /// What all keys begin with; may be empty.
        prefix: String,
    },
    /// None are kept.
    Nowhere,
}

impl Place {
    /// The folder at a path, which starts from the working folder if it is relative. "a/.." is nothing, whatever "a" is: so it
    /// is in a URL, and who is told the place is to find the same.
    #[must_use]
    pub fn folder(path: &Path) -> Self {
        // Fails if there is no working folder, in which case the folder cannot be made either.
        let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let mut folder = PathBuf::new();
        for part in absolute.components() {
            match part {
                // Above the root there is the root.
                Component::ParentDir => drop(folder.pop()),
                part => folder.push(part),
            }
        }
        Self::Folder(folder)
    }

    /// The place as a URL; empty if it is nowhere.
    #[must_use]
    pub fn url(&self) -> String {
        match self {
            Self::Folder(folder) => Url::from_file_path(folder).map(String::from).unwrap_or_default(),
            Self::S3 { bucket, prefix } => format!("s3://{bucket}/{prefix}"),
            Self::Nowhere => String::new(),
        }
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "" => return Err(()),
            "none" => return Ok(Self::Nowhere),
            _ if text.eq_ignore_ascii_case("none") => return Err(()),
            _ => {}
        }
        if !text.contains("://") {
            // "s3:bucket" and "s3:/bucket" are meant for URLs; a folder of such a name can be written "./s3:bucket".
            let first = text.split('/').next().unwrap_or_default();
            return if first.contains(':') { Err(()) } else { Ok(Self::folder(text.as_ref())) };
        }
        let url: Url = text.parse().map_err(|_| ())?;
        let bare = url.query().is_none() && url.fragment().is_none() && url.port().is_none() && url.username() == "";
        match url.scheme() {
            "file" if bare => url.to_file_path().map(Self::Folder),
            "s3" if bare => {
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
            Self::S3 { .. } => f.write_str(&self.url()),
            Self::Nowhere => f.write_str("none"),
        }
    }
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
            ("./s3:a", Place::Folder(here.join("s3:a"))),
            ("..", Place::Folder(here.parent().unwrap().to_owned())),
            ("/a/./b//../../../c/", Place::Folder("/c".into())),
            ("/a:b/c", Place::Folder("/a:b/c".into())),
            ("file:///var/two%20words", Place::Folder("/var/two words".into())),
            ("s3://bucket", s3("bucket", "")),
            ("s3://bucket/a/b/", s3("bucket", "a/b")),
            ("none", Place::Nowhere),
        ] {
            assert_eq!(text.parse(), Ok(place), "{text}");
        }
    }

    #[test]
    fn a_place_is_told_as_a_url_that_reads_as_it() {
        for (text, url) in [
            ("/var/two words/50%", "file:///var/two%20words/50%25"),
            ("s3://bucket/a/b", "s3://bucket/a/b"),
            ("s3://bucket", "s3://bucket/"),
        ] {
            let place: Place = text.parse().unwrap();
            assert_eq!(place.url(), url);
            assert_eq!(url.parse(), Ok(place));
        }
        assert_eq!(Place::Nowhere.url(), "");
    }

    #[test]
    fn what_is_no_place_is_refused() {
        let no_places = ["", "s3://", "s3:///prefix", "gs://bucket", "file://elsewhere/folder", "http://host/"];
        let with_more = ["s3://key:secret@bucket/a", "s3://bucket:9000/a", "s3://bucket/a?region=x", "file:///a#b"];
        let mistyped = ["s3:/bucket/x", "s3:bucket", "file:/folder", "C:\\snapshots", "None", "NONE"];
        for text in no_places.into_iter().chain(with_more).chain(mistyped) {
            assert_eq!(text.parse::<Place>(), Err(()), "{text:?}");
        }
    }
}
