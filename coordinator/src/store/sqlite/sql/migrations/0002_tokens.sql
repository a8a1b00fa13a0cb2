-- Access tokens. Of a secret only the digest is kept. A role is 1 worker, 2 submit, 3 read, 4 admin; no `expire_time` is
-- never, no `uses` any number. Rows are never deleted: where a token was ever made, tokens are asked for.
CREATE TABLE token (
    id TEXT PRIMARY KEY,
    role INTEGER NOT NULL,
    name TEXT NOT NULL,
    digest BLOB NOT NULL,
    create_time INTEGER NOT NULL,
    expire_time INTEGER,
    uses INTEGER,
    used INTEGER NOT NULL DEFAULT 0,
    revoke_time INTEGER
) STRICT, WITHOUT ROWID;

-- The token that speaks for a worker.
CREATE TABLE token_worker (
    worker TEXT PRIMARY KEY,
    token TEXT NOT NULL REFERENCES token
) STRICT, WITHOUT ROWID;
