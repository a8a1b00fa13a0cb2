//! What the disk can do, and what lies on it.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::Result;

/// How often a second 4 KiB can be made durable, which bounds the commits of any store on this disk.
pub(crate) fn syncs_per_second(folder: &Path) -> Result<f64> {
    let mut file = tempfile::tempfile_in(folder)?;
    let (start, mut syncs) = (Instant::now(), 0.0);
    while start.elapsed() < Duration::from_secs(1) {
        sync(&mut file)?;
        syncs += 1.0;
    }
    Ok(syncs / start.elapsed().as_secs_f64())
}

fn sync(file: &mut File) -> Result<()> {
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&[0; 4096])?;
    Ok(file.sync_data()?)
}

/// The bytes of all files of a folder, and of those below it.
pub(crate) fn bytes(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let about = entry.metadata()?;
        bytes += if about.is_dir() { self::bytes(&entry.path())? } else { about.len() };
    }
    Ok(bytes)
}
