//! Where records wait for the coordinator: in memory, and beyond some megabytes in files of the temporary folder that end with
//! the process. There is room for some gigabytes; when they are full, tasks wait until the coordinator has taken records.
//!
//! The files are no journal: a worker that dies leaves its tasks to others, who go on from their snapshots.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use phasegrid_proto::v1;
use prost::Message as _;

/// How much may wait, in bytes of encoded records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// In memory.
    pub(super) memory: u64,
    /// In memory and on the disk.
    pub(super) all: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory: 64 << 20, all: 4 << 30 }
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

    fn free(&self, bytes: u64) {
        let mut taken = self.taken();
        taken.bytes = taken.bytes.saturating_sub(bytes);
        self.0.1.notify_all();
    }

    /// From now on there is no more room than is taken, and never less than so much.
    fn shrink(&self, least: u64) {
        let mut taken = self.taken();
        taken.most = taken.bytes.max(least);
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
    limits: Limits,
    room: Room,
    in_memory: u64,
    /// By number; the last is written. One of which no record waits any more is gone.
    files: BTreeMap<u64, Piece>,
    /// The disk takes no more.
    broken: bool,
}

impl Spool {
    pub(super) fn new(limits: Limits) -> Self {
        let room = Room::new(limits.all);
        Self { limits, room, in_memory: 0, files: BTreeMap::new(), broken: false }
    }

    /// For those who bring records.
    pub(super) fn room(&self) -> Room {
        self.room.clone()
    }

    /// Keeps a record for which room was taken.
    pub(super) fn keep(&mut self, record: v1::Record) -> Waiting {
        let (step, bytes) = (record.step, record.encoded_len() as u64);
        if self.in_memory + bytes > self.limits.memory && !self.broken {
            match self.write(&record) {
                Ok(place) => return Waiting { step, bytes, place },
                Err(error) => {
                    tracing::warn!(%error, "records that wait cannot be written to the temporary folder; they stay in memory");
                    self.broken = true;
                    self.room.shrink(self.limits.memory);
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
            self.files.insert(number, Piece { file: tempfile::tempfile()?, end: 0, waiting: 0 });
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
        self.room.free(waiting.bytes);
        match waiting.place {
            Place::Memory(_) => self.in_memory -= waiting.bytes,
            Place::Disk { file, .. } => self.leave(file),
        }
    }

    /// A record leaves a file, which is gone with the last of them.
    fn leave(&mut self, file: u64) {
        let Entry::Occupied(mut piece) = self.files.entry(file) else { return };
        piece.get_mut().waiting -= 1;
        if piece.get().waiting == 0 {
            piece.remove();
        }
        if self.broken {
            // What was on the disk must not come to be in memory.
            self.room.shrink(self.limits.memory);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn record(step: u64) -> v1::Record {
        v1::Record { step, train_loss: Some(0.25), ..Default::default() }
    }

    fn bring(spool: &mut Spool, step: u64) -> Waiting {
        assert!(spool.room().take(&record(step), || false));
        spool.keep(record(step))
    }

    #[test]
    fn what_memory_does_not_hold_comes_back_from_the_disk_and_leaves_nothing_there() {
        let mut spool = Spool::new(Limits { memory: 50, all: 1 << 20 });
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
        let mut spool = Spool::new(Limits { memory: 50, all: 100 });
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
        let mut spool = Spool::new(Limits { memory: 5, all: 5 });
        let _waiting = bring(&mut spool, 0);
        assert!(!spool.room().take(&record(1), || true));
    }

    #[test]
    fn where_the_disk_fails_records_stay_in_memory_and_there_is_no_more_room() {
        let mut spool = Spool::new(Limits { memory: 20, all: 1 << 20 });
        // A file that cannot be written.
        spool.files.insert(0, Piece { file: File::open("/dev/null").unwrap(), end: 0, waiting: 0 });
        let waiting: Vec<_> = (0..3).map(|step| bring(&mut spool, step)).collect();
        assert_eq!((spool.broken, spool.files[&0].waiting), (true, 0));
        assert_eq!(spool.read(&waiting[1]).unwrap(), record(1));
        let taken = spool.room.taken();
        assert_eq!(taken.most, taken.bytes);
    }
}
