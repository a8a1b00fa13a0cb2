-- Files of the archive. They hold the records of points that have finished, which are no rows of `record` any more.
-- A file's last `footer` bytes tell where in it everything is, and have this digest.
CREATE TABLE segment (
    sweep INTEGER NOT NULL REFERENCES sweep,
    number INTEGER NOT NULL,
    name TEXT NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    points BLOB NOT NULL,
    row_count INTEGER NOT NULL,
    byte_count INTEGER NOT NULL,
    footer INTEGER NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (sweep, number)
) STRICT, WITHOUT ROWID;
