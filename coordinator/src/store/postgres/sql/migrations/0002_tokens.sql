-- Access tokens. Of a secret only the digest is kept. A role is 1 worker, 2 submit, 3 read, 4 admin; no `expire_time` is
-- never, no `uses` any number. Rows are never deleted: where a token was ever made, tokens are asked for.
CREATE TABLE token (
    id TEXT PRIMARY KEY,
    role BIGINT NOT NULL,
    name TEXT NOT NULL,
    digest BYTEA NOT NULL,
    create_time BIGINT NOT NULL,
    expire_time BIGINT,
    uses BIGINT,
    used BIGINT NOT NULL DEFAULT 0,
    revoke_time BIGINT
);

-- The token that speaks for a worker.
CREATE TABLE token_worker (
    worker TEXT PRIMARY KEY,
    token TEXT NOT NULL REFERENCES token
);
CREATE INDEX token_worker_token ON token_worker (token);
