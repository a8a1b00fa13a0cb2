//! Where records wait for the coordinator: in memory, and beyond some megabytes in a file that ends with the process. There
//! is room for some gigabytes; when they are full, tasks wait until the coordinator has taken records.
//!
//! The file is no journal: a worker that dies leaves its tasks to others, who go on from their snapshots.

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

    /// Takes room for a record, waiting until there is some, or it is of no use any more. A record that is larger than all
    /// room there is gets it when nothing else waits.
    pub(super) fn take(&self, record: &v1::Record, is_unwanted: impl Fn() -> bool) {
        let bytes = record.encoded_len() as u64;
        let mut taken = self.taken();
        if taken.is_full(bytes) {
            tracing::warn!(bytes = taken.bytes, "records wait for the coordinator; tasks wait until it has taken some");
        }
        while taken.is_full(bytes) && !is_unwanted() {
            taken = self.0.1.wait_timeout(taken, GLANCE).unwrap_or_else(PoisonError::into_inner).0;
        }
        taken.bytes += bytes;
    }

    fn free(&self, bytes: u64) {
        let mut taken = self.taken();
        taken.bytes = taken.bytes.saturating_sub(bytes);
        self.0.1.notify_all();
    }

    /// There is no more room than is taken now, but at least so much.
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
    /// Begins here in the file.
    Disk(u64),
}

impl Waiting {
    /// Bytes of the encoded record.
    pub(super) fn bytes(&self) -> usize {
        usize::try_from(self.bytes).unwrap_or(usize::MAX)
    }
}

/// All records that wait.
#[derive(Debug)]
pub(super) struct Spool {
    limits: Limits,
    room: Room,
    in_memory: u64,
    file: Option<File>,
    /// The end of the file, and the records in it that still wait.
    end: u64,
    on_disk: u64,
    /// The disk takes no more.
    broken: bool,
}

impl Spool {
    pub(super) fn new(limits: Limits) -> Self {
        let room = Room::new(limits.all);
        Self { limits, room, in_memory: 0, file: None, end: 0, on_disk: 0, broken: false }
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
                Ok(begins) => return Waiting { step, bytes, place: Place::Disk(begins) },
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

    fn write(&mut self, record: &v1::Record) -> io::Result<u64> {
        let file = match &self.file {
            Some(file) => file,
            None => self.file.insert(tempfile::tempfile()?),
        };
        let (begins, encoded) = (self.end, record.encode_to_vec());
        file.write_all_at(&encoded, begins)?;
        self.end += encoded.len() as u64;
        self.on_disk += 1;
        Ok(begins)
    }

    /// The record, to be sent.
    ///
    /// # Errors
    /// If the file cannot be read, or holds something else.
    pub(super) fn read(&self, waiting: &Waiting) -> io::Result<v1::Record> {
        match (&waiting.place, &self.file) {
            (Place::Memory(record), _) => Ok((**record).clone()),
            (Place::Disk(begins), Some(file)) => {
                let mut encoded = vec![0; waiting.bytes()];
                file.read_exact_at(&mut encoded, *begins)?;
                Ok(v1::Record::decode(&*encoded)?)
            }
            (Place::Disk(_), None) => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// The record waits no longer.
    pub(super) fn forget(&mut self, waiting: Waiting) {
        match waiting.place {
            Place::Memory(_) => self.in_memory -= waiting.bytes,
            Place::Disk(_) => self.on_disk -= 1,
        }
        if self.on_disk == 0 && self.end > 0 {
            // What stays of it costs room on the disk alone.
            let _ = self.file.as_ref().map(|file| file.set_len(0));
            self.end = 0;
        }
        self.room.free(waiting.bytes);
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
        spool.room().take(&record(step), || false);
        spool.keep(record(step))
    }

    #[test]
    fn what_memory_does_not_hold_comes_back_from_the_disk_and_leaves_nothing_there() {
        let mut spool = Spool::new(Limits { memory: 50, all: 1 << 20 });
        let waiting: Vec<_> = (0..100).map(|step| bring(&mut spool, step)).collect();
        assert!(spool.in_memory <= 50 && spool.on_disk > 90);
        for (step, waiting) in (0..).zip(&waiting) {
            assert_eq!(spool.read(waiting).unwrap(), record(step));
        }
        waiting.into_iter().for_each(|waiting| spool.forget(waiting));
        assert_eq!((spool.in_memory, spool.end, spool.on_disk, spool.room.taken().bytes), (0, 0, 0, 0));
        assert_eq!(spool.file.as_ref().unwrap().metadata().unwrap().len(), 0);
    }

    #[test]
    fn who_brings_more_than_there_is_room_for_waits_until_there_is() {
        let mut spool = Spool::new(Limits { memory: 50, all: 100 });
        let mut waiting: Vec<_> = (0..9).map(|step| bring(&mut spool, step)).collect();
        let (room, (told, heard)) = (spool.room(), mpsc::channel());
        assert!(room.taken().is_full(record(9).encoded_len() as u64));
        let bringer = std::thread::spawn(move || {
            room.take(&record(9), || false);
            told.send(()).unwrap();
        });
        assert!(heard.recv_timeout(GLANCE * 2).is_err(), "there is no room");
        spool.forget(waiting.remove(0));
        heard.recv().unwrap();
        bringer.join().unwrap();
    }

    #[test]
    fn who_is_not_wanted_any_more_does_not_wait() {
        let mut spool = Spool::new(Limits { memory: 5, all: 5 });
        let _waiting = bring(&mut spool, 0);
        spool.room().take(&record(1), || true);
    }

    #[test]
    fn where_the_disk_fails_records_stay_in_memory_and_there_is_no_more_room() {
        let mut spool = Spool::new(Limits { memory: 20, all: 1 << 20 });
        // A file that cannot be written.
        spool.file = Some(File::open("/dev/null").unwrap());
        let waiting: Vec<_> = (0..3).map(|step| bring(&mut spool, step)).collect();
        assert_eq!((spool.broken, spool.on_disk), (true, 0));
        assert_eq!(spool.read(&waiting[1]).unwrap(), record(1));
        let taken = spool.room.taken();
        assert_eq!(taken.most, taken.bytes);
    }
}
