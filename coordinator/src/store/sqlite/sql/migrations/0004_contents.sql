-- Where the result of a task's digest is, or will be if the point finishes.
CREATE TABLE content (
    digest TEXT PRIMARY KEY,
    sweep INTEGER NOT NULL REFERENCES sweep,
    point INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
