INSERT INTO chunk (sweep, chunk, finished, failed) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT DO UPDATE SET finished = excluded.finished, failed = excluded.failed;
