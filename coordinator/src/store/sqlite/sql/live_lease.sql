-- The fence: every write of a worker is preceded by this, in the same transaction. No row, no write: a lease that ended
-- has none, and its epoch is never granted again.
SELECT worker FROM lease WHERE sweep = ?1 AND epoch = ?2;
