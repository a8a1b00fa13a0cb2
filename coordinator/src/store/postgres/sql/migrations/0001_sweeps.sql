-- Times are microseconds since 1970. Sets of points are serialised roaring bitmaps.

-- Who leads: the one row's term rises with every change of leader, and every commit of a leader names its own. It is a
-- key so that a commit can hold it (FOR KEY SHARE) while the leader's other connection moves the expiry.
CREATE TABLE leadership (
    term BIGINT PRIMARY KEY,
    -- Where the leader answers.
    address TEXT NOT NULL,
    -- By the database's clock, the only one that all coordinators share.
    expire_time TIMESTAMPTZ NOT NULL
);
INSERT INTO leadership (term, address, expire_time) VALUES (0, '', '-infinity');

-- A sweep's state is 1 running, 2 completed, 3 cancelled.
CREATE TABLE sweep (
    key BIGINT PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    request_id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    source TEXT NOT NULL,
    size BIGINT NOT NULL,
    create_time BIGINT NOT NULL,
    state BIGINT NOT NULL DEFAULT 1,
    epoch BIGINT NOT NULL DEFAULT 0,
    next BIGINT NOT NULL DEFAULT 0
);

-- Workers are named in every finished task: by number, which is shorter.
CREATE TABLE worker (
    key BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT NOT NULL UNIQUE
);

-- Leases that are alive. `remain` holds those of the `granted` points that have not ended.
CREATE TABLE lease (
    sweep BIGINT NOT NULL REFERENCES sweep,
    epoch BIGINT NOT NULL,
    worker BIGINT NOT NULL REFERENCES worker,
    slots BIGINT NOT NULL,
    granted BYTEA NOT NULL,
    remain BYTEA NOT NULL,
    PRIMARY KEY (sweep, epoch)
);

-- Which of the points chunk * 65536 .. are finished and which set aside, as offsets into the chunk. What is in neither,
-- and in no lease, is pending: there are no rows for it.
CREATE TABLE chunk (
    sweep BIGINT NOT NULL REFERENCES sweep,
    chunk BIGINT NOT NULL,
    finished BYTEA NOT NULL,
    failed BYTEA NOT NULL,
    PRIMARY KEY (sweep, chunk)
);

-- Finished tasks, with the number of the attempt that finished them. Sweeps and workers are never deleted: a foreign key
-- here would only be looked up once a task.
CREATE TABLE task (
    sweep BIGINT NOT NULL,
    point BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    worker BIGINT NOT NULL,
    finish_time BIGINT NOT NULL,
    PRIMARY KEY (sweep, point)
);

-- Points of which attempts ended badly and that are not finished, with the latest of them.
CREATE TABLE setback (
    sweep BIGINT NOT NULL,
    point BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    worker BIGINT NOT NULL,
    error TEXT NOT NULL,
    set_aside BOOLEAN NOT NULL,
    PRIMARY KEY (sweep, point)
);

-- The measurements of a checkpoint: an encoded phasegrid.v1.Record. The attempt is named by the epoch of its lease.
CREATE TABLE record (
    sweep BIGINT NOT NULL,
    point BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    step BIGINT NOT NULL,
    payload BYTEA NOT NULL,
    PRIMARY KEY (sweep, point, epoch, step)
);

-- Encoded phasegrid.v1.Estimate, by the digest of the configuration.
CREATE TABLE baseline (
    digest TEXT PRIMARY KEY,
    estimate BYTEA NOT NULL
);
