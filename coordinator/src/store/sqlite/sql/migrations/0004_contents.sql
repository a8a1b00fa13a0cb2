-- Where the result of a task's digest is, or will be if the point finishes.
CREATE TABLE content (
    digest TEXT NOT NULL,
    sweep INTEGER NOT NULL REFERENCES sweep,
    point INTEGER NOT NULL,
    PRIMARY KEY (digest, sweep, point)
) STRICT, WITHOUT ROWID;
