//! Where records wait for the coordinator: in memory, and beyond some megabytes in files without a name, which end with the
//! process. There is room for some gigabytes; when they are full, tasks wait until the coordinator has taken records. If the
//! disk fails there is no more room than memory has, until nothing waits any more: then it is tried again.
//!
//! The files are no journal: a worker that dies leaves its tasks to others, who go on from their snapshots.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use phasegrid_proto::v1;
use prost::Message as _;

/// Where records may wait, and how many bytes of encoded ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolSettings {
    /// The folder of the files; `None` is the system's for temporary ones.
    pub folder: Option<PathBuf>,
    /// Bytes in memory.
    pub memory: u64,
    /// Bytes in memory and on the disk.
    pub all: u64,
}

impl Default for SpoolSettings {
    fn default() -> Self {
        Self { folder: None, memory: 64 << 20, all: 4 << 30 }
    }
}

/// Bytes after which another file is begun: one that was read to its end gives its room back.
const PIECE: u64 = 64 << 20;
/// How often a task that waits for room looks whether it is still wanted.
const GLANCE: Duration = Duration::from_millis(200);

/// The room that is left; shared by those who bring records and those who take them away.
#[derive(Clone, Debug)]
pub(super) struct Room(Arc<(Mutex<Taken>, Condvar)>);

#[derive(Debug)]
struct Taken {
    bytes: u64,
    most: u64,
}

impl Room {
    fn new(most: u64) -> Self {
        Self(Arc::new((Mutex::new(Taken { bytes: 0, most }), Condvar::new())))
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes room for a record, waiting until there is some. False if it is of no use any more: then there is none for it. A
    /// record that is larger than all room there is gets it when nothing else waits.
    pub(super) fn take(&self, record: &v1::Record, is_unwanted: impl Fn() -> bool) -> bool {
        let bytes = record.encoded_len() as u64;
        let mut taken = self.taken();
        if taken.is_full(bytes) {
            tracing::warn!(bytes = taken.bytes, "records wait for the coordinator; tasks wait until it has taken some");
        }
        while taken.is_full(bytes) {
            if is_unwanted() {
                return false;
            }
            taken = self.0.1.wait_timeout(taken, GLANCE).unwrap_or_else(PoisonError::into_inner).0;
        }
        taken.bytes += bytes;
        true
    }

    /// Frees room, and says at once how much there is from now on, given what is still taken: nobody takes any in between.
    fn free(&self, bytes: u64, most: impl FnOnce(u64) -> u64) {
        let mut taken = self.taken();
        taken.bytes = taken.bytes.saturating_sub(bytes);
        taken.most = most(taken.bytes);
        self.0.1.notify_all();
    }
}

impl Taken {
    fn is_full(&self, bytes: u64) -> bool {
        self.bytes > 0 && self.bytes + bytes > self.most
    }
}

/// A record that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) step: u64,
    bytes: u64,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Memory(Box<v1::Record>),
    /// The file's number, and where in it the record begins.
    Disk {
        file: u64,
        begins: u64,
    },
}

impl Waiting {
    /// Bytes of the encoded record.
    pub(super) fn bytes(&self) -> usize {
        usize::try_from(self.bytes).unwrap_or(usize::MAX)
    }
}

/// A file of records that wait.
#[derive(Debug)]
struct Piece {
    file: File,
    end: u64,
    /// Records in it that still wait.
    waiting: u64,
}

/// All records that wait.
#[derive(Debug)]
pub(super) struct Spool {
    settings: SpoolSettings,
    room: Room,
    in_memory: u64,
    /// By number; the last is written. One of which no record waits any more is gone.
    files: BTreeMap<u64, Piece>,
    /// The disk takes no more for now.
    broken: bool,
}

impl Spool {
    pub(super) fn new(settings: SpoolSettings) -> Self {
        let room = Room::new(settings.all);
        Self { settings, room, in_memory: 0, files: BTreeMap::new(), broken: false }
    }

    /// For those who bring records.
    pub(super) fn room(&self) -> Room {
        self.room.clone()
    }

    /// Keeps a record for which room was taken.
    pub(super) fn keep(&mut self, record: v1::Record) -> Waiting {
        let (step, bytes) = (record.step, record.encoded_len() as u64);
        if self.in_memory + bytes > self.settings.memory && !self.broken {
            match self.write(&record) {
                Ok(place) => return Waiting { step, bytes, place },
                Err(error) => {
                    tracing::warn!(%error, "records that wait cannot be written to the disk; they stay in memory");
                    self.broken = true;
                    // A file that was begun for the record.
                    self.files.retain(|_, piece| piece.waiting > 0);
                    self.free(0);
                }
            }
        }
        self.in_memory += bytes;
        Waiting { step, bytes, place: Place::Memory(Box::new(record)) }
    }

    fn write(&mut self, record: &v1::Record) -> io::Result<Place> {
        let encoded = record.encode_to_vec();
        if self.files.last_key_value().is_none_or(|(_, piece)| piece.end >= PIECE) {
            let number = self.files.last_key_value().map_or(0, |(number, _)| number + 1);
            let file = self.settings.folder.as_ref().map_or_else(tempfile::tempfile, tempfile::tempfile_in)?;
            self.files.insert(number, Piece { file, end: 0, waiting: 0 });
        }
        let mut last = self.files.last_entry().ok_or(io::ErrorKind::NotFound)?;
        let (number, piece) = (*last.key(), last.get_mut());
        let begins = piece.end;
        piece.file.write_all_at(&encoded, begins)?;
        piece.end += encoded.len() as u64;
        piece.waiting += 1;
        Ok(Place::Disk { file: number, begins })
    }

    /// The record, to be sent.
    ///
    /// # Errors
    /// If the file cannot be read, or holds something else.
    pub(super) fn read(&self, waiting: &Waiting) -> io::Result<v1::Record> {
        match &waiting.place {
            Place::Memory(record) => Ok((**record).clone()),
            Place::Disk { file, begins } => {
                let piece = self.files.get(file).ok_or(io::ErrorKind::NotFound)?;
                let mut encoded = vec![0; waiting.bytes()];
                piece.file.read_exact_at(&mut encoded, *begins)?;
                Ok(v1::Record::decode(&*encoded)?)
            }
        }
    }

    /// The record waits no longer.
    pub(super) fn forget(&mut self, waiting: Waiting) {
        match waiting.place {
            Place::Memory(_) => self.in_memory -= waiting.bytes,
            Place::Disk { file, .. } => self.leave(file),
        }
        self.broken &= self.in_memory > 0 || !self.files.is_empty();
        self.free(waiting.bytes);
    }

    /// Frees room. While the disk takes no more there is none but what is taken and what memory has: what was on the disk must
    /// not come to be in memory.
    fn free(&self, bytes: u64) {
        let Self { broken, settings: SpoolSettings { memory, all, .. }, .. } = self;
        self.room.free(bytes, |taken| if *broken { taken.max(*memory) } else { *all });
    }

    /// A record leaves a file, which is gone with the last of them.
    fn leave(&mut self, file: u64) {
        let Entry::Occupied(mut piece) = self.files.entry(file) else { return };
        piece.get_mut().waiting -= 1;
        if piece.get().waiting == 0 {
            piece.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn spool(memory: u64, all: u64) -> Spool {
        Spool::new(SpoolSettings { folder: None, memory, all })
    }

    fn record(step: u64) -> v1::Record {
        v1::Record { step, train_loss: Some(0.25), ..Default::default() }
    }

    fn bring(spool: &mut Spool, step: u64) -> Waiting {
        assert!(spool.room().take(&record(step), || false));
        spool.keep(record(step))
    }

    #[test]
    fn what_memory_does_not_hold_comes_back_from_the_disk_and_leaves_nothing_there() {
        let mut spool = spool(50, 1 << 20);
        let waiting: Vec<_> = (0..100).map(|step| bring(&mut spool, step)).collect();
        assert!(spool.in_memory <= 50 && spool.files[&0].waiting > 90);
        for (step, waiting) in (0..).zip(&waiting) {
            assert_eq!(spool.read(waiting).unwrap(), record(step));
        }
        waiting.into_iter().for_each(|waiting| spool.forget(waiting));
        assert_eq!((spool.in_memory, spool.files.len(), spool.room.taken().bytes), (0, 0, 0));
    }

    #[test]
    fn who_brings_more_than_there_is_room_for_waits_until_there_is() {
        let mut spool = spool(50, 100);
        let mut waiting: Vec<_> = (0..9).map(|step| bring(&mut spool, step)).collect();
        let (room, (told, heard)) = (spool.room(), mpsc::channel());
        assert!(room.taken().is_full(record(9).encoded_len() as u64));
        let bringer = std::thread::spawn(move || {
            told.send(room.take(&record(9), || false)).unwrap();
        });
        assert!(heard.recv_timeout(GLANCE * 2).is_err(), "there is no room");
        spool.forget(waiting.remove(0));
        assert!(heard.recv().unwrap());
        bringer.join().unwrap();
    }

    #[test]
    fn who_is_not_wanted_any_more_does_not_wait() {
        let mut spool = spool(5, 5);
        let _waiting = bring(&mut spool, 0);
        assert!(!spool.room().take(&record(1), || true));
    }

    #[test]
    fn where_the_disk_fails_records_stay_in_memory_and_there_is_no_more_room_until_nothing_waits() {
        let mut spool = spool(20, 1 << 20);
        // A file that cannot be written.
        spool.files.insert(0, Piece { file: File::open("/dev/null").unwrap(), end: 0, waiting: 0 });
        let mut waiting: Vec<_> = (0..3).map(|step| bring(&mut spool, step)).collect();
        assert!(spool.broken && spool.files.is_empty());
        assert_eq!(spool.read(&waiting[1]).unwrap(), record(1));
        assert!(spool.room.taken().is_full(1));
        spool.forget(waiting.remove(0));
        assert!(spool.broken && spool.room.taken().is_full(1), "what became free is not taken anew");
        waiting.into_iter().for_each(|waiting| spool.forget(waiting));
        assert!(!spool.room.taken().is_full(1 << 19));
        let waiting: Vec<_> = (0..9).map(|step| bring(&mut spool, step)).collect();
        assert!(!spool.broken && spool.files[&0].waiting > 5, "the disk is tried again");
        assert_eq!(spool.read(&waiting[8]).unwrap(), record(8));
    }

    #[test]
    fn a_folder_that_is_named_and_not_there_is_a_disk_that_fails() {
        let (folder, nowhere) = (tempfile::tempdir().unwrap(), Some("/nowhere/at/all".into()));
        for (folder, broken) in [(Some(folder.path().to_owned()), false), (nowhere, true)] {
            let mut spool = Spool::new(SpoolSettings { folder, memory: 0, all: 1 << 20 });
            let waiting = bring(&mut spool, 0);
            assert_eq!((spool.broken, spool.read(&waiting).unwrap()), (broken, record(0)));
        }
    }
}
