-- Times are microseconds since 1970. Sets of points are serialised roaring bitmaps.

-- A sweep's state is 1 running, 2 completed, 3 cancelled.
CREATE TABLE sweep (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    request_id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    source TEXT NOT NULL,
    size INTEGER NOT NULL,
    create_time INTEGER NOT NULL,
    state INTEGER NOT NULL DEFAULT 1,
    epoch INTEGER NOT NULL DEFAULT 0,
    next INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Workers are named in every finished task: by number, which is shorter.
CREATE TABLE worker (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE
) STRICT;

-- Leases that are alive. `remain` holds those of the `granted` points that have not ended.
CREATE TABLE lease (
    sweep INTEGER NOT NULL REFERENCES sweep,
    epoch INTEGER NOT NULL,
    worker INTEGER NOT NULL REFERENCES worker,
    slots INTEGER NOT NULL,
    granted BLOB NOT NULL,
    remain BLOB NOT NULL,
    PRIMARY KEY (sweep, epoch)
) STRICT, WITHOUT ROWID;

-- Which of the points chunk * 65536 .. are finished and which set aside, as offsets into the chunk. What is in neither,
-- and in no lease, is pending: there are no rows for it.
CREATE TABLE chunk (
    sweep INTEGER NOT NULL REFERENCES sweep,
    chunk INTEGER NOT NULL,
    finished BLOB NOT NULL,
    failed BLOB NOT NULL,
    PRIMARY KEY (sweep, chunk)
) STRICT, WITHOUT ROWID;

-- Finished tasks, with the number of the attempt that finished them.
CREATE TABLE task (
    sweep INTEGER NOT NULL REFERENCES sweep,
    point INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    worker INTEGER NOT NULL,
    finish_time INTEGER NOT NULL,
    PRIMARY KEY (sweep, point)
) STRICT, WITHOUT ROWID;

-- Points of which attempts ended badly and that are not finished, with the latest of them.
CREATE TABLE setback (
    sweep INTEGER NOT NULL REFERENCES sweep,
    point INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    worker INTEGER NOT NULL,
    error TEXT NOT NULL,
    set_aside INTEGER NOT NULL,
    PRIMARY KEY (sweep, point)
) STRICT, WITHOUT ROWID;

-- The measurements of a checkpoint: an encoded phasegrid.v1.Record. The attempt is named by the epoch of its lease.
CREATE TABLE record (
    sweep INTEGER NOT NULL REFERENCES sweep,
    point INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    step INTEGER NOT NULL,
    payload BLOB NOT NULL,
    PRIMARY KEY (sweep, point, epoch, step)
) STRICT, WITHOUT ROWID;

-- Encoded phasegrid.v1.Estimate, by the digest of the configuration.
CREATE TABLE baseline (
    digest TEXT PRIMARY KEY,
    estimate BLOB NOT NULL
) STRICT, WITHOUT ROWID;
