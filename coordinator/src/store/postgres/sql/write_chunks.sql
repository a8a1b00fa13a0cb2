INSERT INTO chunk (sweep, chunk, finished, failed)
SELECT * FROM unnest($1::BIGINT[], $2::BIGINT[], $3::BYTEA[], $4::BYTEA[])
ON CONFLICT (sweep, chunk) DO UPDATE SET finished = excluded.finished, failed = excluded.failed
