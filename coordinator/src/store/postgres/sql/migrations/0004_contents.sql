-- Where the result of a task's digest is, or will be if the point finishes.
CREATE TABLE content (
    digest TEXT NOT NULL,
    sweep BIGINT NOT NULL,
    point BIGINT NOT NULL,
    PRIMARY KEY (digest, sweep, point)
);
