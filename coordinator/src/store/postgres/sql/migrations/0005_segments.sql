-- Files of the archive. They hold the records of points that have finished, which are no rows of `record` any more.
-- A file's last `footer` bytes tell where in it everything is, and have this digest.
CREATE TABLE segment (
    sweep BIGINT NOT NULL,
    number BIGINT NOT NULL,
    name TEXT NOT NULL,
    first BIGINT NOT NULL,
    last BIGINT NOT NULL,
    points BYTEA NOT NULL,
    row_count BIGINT NOT NULL,
    byte_count BIGINT NOT NULL,
    footer BIGINT NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (sweep, number)
);
