INSERT INTO record (sweep, point, epoch, step, payload) VALUES (?1, ?2, ?3, ?4, ?5)
-- The same attempt measures the same: a repetition changes nothing.
ON CONFLICT DO NOTHING;
