INSERT INTO content (digest, sweep, point) VALUES (?1, ?2, ?3)
ON CONFLICT (digest) DO UPDATE SET sweep = excluded.sweep, point = excluded.point
WHERE NOT EXISTS (SELECT 1 FROM task WHERE task.sweep = content.sweep AND task.point = content.point)
